"""Addresses that secrets may be sent to, and paths that lead where they seem to."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote, urlsplit

_LOCAL_NAMES = frozenset({"localhost", "localdomain", "ip6-localhost", "ip6-loopback"})
_EMBEDDING = frozenset({0, 0x0064_FF9B << 64})
"""Upper bits of IPv6 addresses that hold an IPv4 address in the lower ones: compatible ones, and those of NAT64."""


def unsafe(url: str) -> str | None:
    """Why secrets must not be sent to an address; None if they may.

    Allowed are HTTPS, and plain HTTP to this machine. The text repeats no more of the address than its host.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its text may repeat a password
        return "its host or port can't be read"
    if not host or parts.scheme not in ("https", "http"):
        return "it must begin with https:// and a host"
    if parts.username is not None or "#" in url:
        return f"{parts.scheme}://{host}: it must not have a user name, password or fragment"
    if any(character in " \\" or not character.isprintable() for character in url):
        return f"{parts.scheme}://{host}: it has a character that is not allowed in an address"
    if parts.scheme == "http" and not loopback(host):
        return f"http://{host} is not encrypted: use https:// (http:// only for this machine)"
    return None


def loopback(host: str) -> bool:
    """Whether a host is this machine."""
    from ipaddress import ip_address

    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def inward(url: str, base_url: str) -> str | None:
    """Why an address that the API named must not be used; None if it may.

    An address of this machine, or of the link it is on, is no place for files of an API that is elsewhere: there may be
    services that trust every request from here.
    """
    host, base = _host_of(url), _host_of(base_url)
    if not _local(host) or _local(base):
        return None
    return f"{host} is this machine or its own network, but the API is at {base}"


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _local(host: str) -> bool:
    """Whether a host is this machine or on its link, in any spelling that resolvers accept."""
    import socket
    from ipaddress import IPv4Address, IPv6Address, ip_address

    name = unicodedata.normalize("NFKC", unquote(host)).rstrip(".").lower()
    if name in _LOCAL_NAMES or name.endswith((".localhost", ".localdomain")):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        try:
            address = IPv4Address(socket.inet_aton(name))  # such as 127.1, 2130706433 or 0x7f000001
        except (OSError, ValueError):
            return False
    if isinstance(address, IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is None and int(address) >> 32 in _EMBEDDING:
            embedded = IPv4Address(int(address) & 0xFFFF_FFFF)
        address = embedded if embedded is not None and int(address) > 1 else address
    return address.is_loopback or address.is_link_local or address.is_unspecified


def misleading(path: str) -> str | None:
    """Why a path may lead to another record than it seems to; None if it can't.

    Proxies and servers on the way decode `%2F`, some twice, some take a backslash or a look-alike for a slash, and some cut
    a segment off at `;`. So the path is judged as what it can become: decoded until nothing changes.
    """
    decoded, before = path, ""
    while decoded != before:
        before, decoded = decoded, unquote(decoded)
    plain = unicodedata.normalize("NFKC", decoded)
    if any(segment in (".", "..") for segment in plain.replace("\\", "/").split("/")):
        return "it must have no segment '.' or '..', encoded or not"
    if "\ufffd" in plain or not decoded.isprintable():
        return "it must have no control character and no bytes that are not UTF-8"
    if plain.count("/") != path.count("/") or any(character in plain for character in "\\?#;"):
        return "a segment must not contain / \\ ? # or ;, encoded or not"
    return None
