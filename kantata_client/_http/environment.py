"""Certificates and proxies from the environment. Mistakes in them are reported before anything is sent."""

from __future__ import annotations

import os
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_SCHEMES = ("http", "https", "socks5", "socks5h")
_SYSTEM = "the system's proxy settings"


@attrs.frozen
class Proxy:
    """A proxy, and the environment variable that sets it."""

    url: str = attrs.field(repr=False)
    """May hold a password."""
    variable: str

    @property
    def advice(self) -> str:
        """What to do when the proxy rejects its user name or password."""
        return f"The proxy refused to connect (407): check the user name and password in {self.variable}."


class Trust:
    """The certificates that a client trusts, loaded once for its first TLS connection."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None

    def context(self, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """The TLS context, which `make` creates on the first call.

        Raises:
            UsageError: The certificates named by the environment can't be read.
        """
        if self._context is None:
            variable = next(
                (name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), None
            )
            if variable == "SSL_CERT_DIR" and not Path(os.environ[variable]).is_dir():
                raise UsageError(f"{variable} is {os.environ[variable]!r}, which is not a directory")
            try:
                self._context = make()
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                problem = _certificate_error(error, variable)
            else:
                self._context.set_alpn_protocols(["http/1.1"])
                return self._context
            raise problem
        return self._context


def _certificate_error(error: Exception, variable: str | None) -> UsageError:
    key_log = os.environ.get("SSLKEYLOGFILE")
    if key_log and not os.access(Path(key_log).parent, os.W_OK):
        return UsageError(f"SSLKEYLOGFILE is {key_log!r}, which can't be written: correct or unset it")
    if variable is None:
        return UsageError(f"TLS can't be set up on this machine ({error})")
    path = os.environ[variable]
    defect = "can't be read" if not os.access(path, os.R_OK) else "has no certificates in PEM format"
    return UsageError(f"{variable} is {path!r}, which {defect}: correct or unset it")


def proxy_for(scheme: str, host: str, port: int | None) -> Proxy | None:
    """The proxy that the environment sets for a host.

    Raises:
        UsageError: The proxy's URL is invalid.
    """
    proxies: dict[str, str] = getproxies()
    kind = scheme if proxies.get(scheme) else "all"
    url = proxies.get(kind, "").strip()
    if not url or _bypassed(host, port or {"http": 80, "https": 443}.get(scheme, 0), proxies.get("no", "")):
        return None
    variable = next(
        (name for name in (f"{kind}_proxy", f"{kind}_proxy".upper()) if os.environ.get(name)), _SYSTEM
    )
    url = url if "://" in url else f"http://{url}"
    defect = _defect(url)
    if defect:
        raise UsageError(f"{variable} is not a valid proxy URL: {defect}")
    return Proxy(url, variable)


def _defect(url: str) -> str | None:
    """What is wrong with a proxy's URL. The text repeats nothing of the URL, which may contain a password."""
    hint = "escape characters such as # / ? @ in its user name or password with % (# is %23)"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return f"its host or port can't be read; {hint}"
    if parts.scheme not in _SCHEMES:
        return (
            f"it must begin with {', '.join(f'{scheme}://' for scheme in _SCHEMES[:-1])} or {_SCHEMES[-1]}://"
        )
    if parts.query or parts.fragment or parts.path not in ("", "/"):
        return f"it must end after the host and port; {hint}"
    if not host:
        return "it has no host"
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        return "it contains a space, a control character or a non-ASCII character: escape it with %"
    if parts.scheme.startswith("socks"):
        try:
            import socksio  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError:
            return "SOCKS needs an extra: pip install 'kantata-client[socks]'"
    return None


def _bypassed(host: str, port: int, listed: str) -> bool:
    """Whether `NO_PROXY` excludes a host from proxying.

    An entry is `*`, a name (which includes its subdomains), `.name`, `*.name`, an address or a network (CIDR). A port after
    it limits it to that port.
    """
    return any(
        _covers(entry.strip().lower(), host.lower().strip("[]").rstrip("."), port)
        for entry in listed.split(",")
    ) or bool(proxy_bypass(host) and not listed)


def _covers(entry: str, host: str, port: int) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    if "/" in entry:
        try:
            return ip_address(host) in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, only_port = _split(entry)
    if only_port is not None and only_port != port:
        return False
    try:
        return ip_address(host) == ip_address(name)
    except ValueError:
        pass
    name = name.removeprefix("*").lstrip(".").rstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, int | None]:
    """The host and port of an entry such as `name:443` or `[::1]:443`. An IPv6 address without a port needs no brackets."""
    if entry.startswith("["):
        address, _, rest = entry[1:].partition("]")
        return address, int(rest[1:]) if rest[1:].isdecimal() else None
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and ":" not in name:
        return name, int(port)
    return entry, None
