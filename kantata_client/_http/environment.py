"""What the environment sets up: certificates and proxies. What is wrong with it is found before anything is sent."""

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
    """A proxy, and the variable that sets it."""

    url: str = attrs.field(repr=False)
    """May hold a password."""
    variable: str

    @property
    def advice(self) -> str:
        """What to do when it refuses its user name or password."""
        return f"The proxy refused to connect (407): check the user name and password in {self.variable}."


class Trust:
    """The certificates that a client trusts: read once, when the first connection over TLS is made."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None

    def context(self, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """The TLS context, made by `make` when it is first asked for.

        Raises:
            UsageError: The certificates that the environment names can't be read.
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
                problem = _untrusted(error, variable)
            else:
                self._context.set_alpn_protocols(["http/1.1"])
                return self._context
            raise problem
        return self._context


def _untrusted(error: Exception, variable: str | None) -> UsageError:
    key_log = os.environ.get("SSLKEYLOGFILE")
    if key_log and not os.access(Path(key_log).parent, os.W_OK):
        return UsageError(f"SSLKEYLOGFILE is {key_log!r}, which can't be written: correct or unset it")
    if variable is None:
        return UsageError(f"TLS can't be set up on this machine ({error})")
    given = os.environ[variable]
    found = "can't be read" if not os.access(given, os.R_OK) else "has no certificates in PEM format"
    return UsageError(f"{variable} is {given!r}, which {found}: correct or unset it")


def proxy_for(scheme: str, host: str, port: int | None) -> Proxy | None:
    """The proxy that the environment sets for an address.

    Raises:
        UsageError: The proxy's address is invalid.
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
    problem = _problem_of(url)
    if problem:
        raise UsageError(f"{variable} is not the address of a proxy: {problem}")
    return Proxy(url, variable)


def _problem_of(url: str) -> str | None:
    """What is wrong with a proxy's address, without repeating any of it: it may hold a password."""
    hint = "characters such as # / ? @ in its user name or password have to be %-escaped (# is %23)"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return f"its host or port can't be read; {hint}"
    if parts.scheme not in _SCHEMES:
        return f"it has to begin with {', '.join(f'{scheme}://' for scheme in _SCHEMES[:-1])} or {_SCHEMES[-1]}://"
    if parts.query or parts.fragment or parts.path not in ("", "/"):
        return f"something follows its host and port; {hint}"
    if not host:
        return "it has no host"
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        return "it has a space, a control character or another one that is not ASCII: escape it with %"
    if parts.scheme.startswith("socks"):
        try:
            import socksio  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError:
            return "SOCKS needs an extra: pip install 'kantata-client[socks]'"
    return None


def _bypassed(host: str, port: int, listed: str) -> bool:
    """Whether a host is reached without a proxy.

    Entries of `NO_PROXY`: `*`, a name (which covers its subdomains), `.name`, `*.name`, an address, a network (CIDR), each
    with a port if only that one is meant.
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
    name, only = _split(entry)
    if only is not None and only != port:
        return False
    try:
        return ip_address(host) == ip_address(name)
    except ValueError:
        pass
    name = name.removeprefix("*").lstrip(".").rstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry: `name:443`, `[::1]:443`; an IPv6 address needs no brackets."""
    if entry.startswith("["):
        address, _, rest = entry[1:].partition("]")
        return address, int(rest[1:]) if rest[1:].isdecimal() else None
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and ":" not in name:
        return name, int(port)
    return entry, None
