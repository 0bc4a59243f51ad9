"""Addresses that secrets may go to: HTTPS, or plain HTTP to this machine itself."""

from __future__ import annotations

from urllib.parse import urlsplit


def unsafe(url: str) -> str | None:
    """Why secrets must not go to an address, without repeating more than its host; None if they may."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its text may repeat a password
        return "its host or port can't be read"
    if not host or parts.scheme not in ("https", "http"):
        return "it has to begin with https:// and a host"
    if parts.username is not None or "#" in url:
        return f"{parts.scheme}://{host}: it must hold no user name, password or fragment"
    if any(character in " \\" or not character.isprintable() for character in url):
        return f"{parts.scheme}://{host}: it has a character that no address has"
    if parts.scheme == "http" and not loopback(host):
        return f"http://{host} is not encrypted: use https:// (http:// only to this machine itself)"
    return None


def loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    from ipaddress import ip_address

    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
