"""Which addresses may receive secrets and files, and which paths may be sent."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_LOCAL_NAMES = frozenset({"localhost", "localdomain", "ip6-localhost", "ip6-loopback"})
_EMBEDDING = frozenset({0, 0x0064_FF9B << 64})
"""Upper 96 bits of IPv6 addresses whose lower 32 bits are an IPv4 address: IPv4-compatible addresses and NAT64."""


def unsafe(url: str) -> str | None:
    """Why secrets must not be sent to a URL; None if they may be.

    HTTPS is allowed, and plain HTTP to this machine. The reason repeats no part of the URL except its host.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its message may contain a password
        return "its host or port can't be read"
    if not host or parts.scheme not in ("https", "http"):
        return "it must begin with https:// and a host"
    if parts.username is not None or "#" in url:
        return f"{parts.scheme}://{host}: it must not have a user name, password or fragment"
    if any(character in " \\" or not character.isprintable() for character in url):
        return f"{parts.scheme}://{host}: it contains a character that is not allowed in a URL"
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
    """Why a URL from an API response must not be used; None if it may be.

    A remote API has no reason to store files on this machine or its local link, and services there may trust every request
    that comes from this machine.
    """
    host, base = host_of(url), host_of(base_url)
    if not is_local(host) or is_local(base):
        return None
    return f"{host} is this machine or its own network, but the API is at {base}"


def host_of(url: str) -> str:
    """The host in a URL; empty if there is none or it can't be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_local(host: str) -> bool:
    """Whether a host is this machine or on its local link, in any notation that resolvers accept."""
    import socket
    from ipaddress import IPv4Address, ip_address

    name = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").rstrip(".").lower()
    if name in _LOCAL_NAMES or name.endswith((".localhost", ".localdomain")):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        try:
            address = IPv4Address(socket.inet_aton(name))  # such as 127.1, 2130706433 or 0x7f000001
        except (OSError, ValueError):
            return False
    address = _without_embedding(address)
    return address.is_loopback or address.is_link_local or address.is_unspecified


def is_private(address: str) -> bool:
    """Whether an IP address is not routed on the Internet."""
    from ipaddress import ip_address

    return _without_embedding(ip_address(address.partition("%")[0])).is_private


def _without_embedding(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address embeds, or else the address itself."""
    if address.version == 4 or int(address) <= 1:
        return address
    if int(address) >> 32 in _EMBEDDING:
        from ipaddress import IPv4Address

        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def misleading(path: str) -> str | None:
    """Why a path could lead to a different record than it appears to; None if it can't.

    Some proxies and servers decode `%2F`, or decode twice, or treat a backslash or a look-alike character as a slash, or cut
    a segment at `;`. So the check applies to the path after decoding it until it no longer changes.
    """
    decoded, before = path, ""
    while decoded != before:
        before, decoded = decoded, unquote(decoded)
    plain = unicodedata.normalize("NFKC", decoded)
    if any(segment in (".", "..") for segment in plain.replace("\\", "/").split("/")):
        return "it must not contain a segment '.' or '..', encoded or not"
    if "\ufffd" in plain or not decoded.isprintable():
        return "it must not contain control characters or invalid UTF-8"
    if plain.count("/") != path.count("/") or any(character in plain for character in "\\?#;"):
        return "a segment must not contain / \\ ? # or ;, encoded or not"
    return None
