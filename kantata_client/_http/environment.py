"""Certificates and proxies from the environment. Mistakes in them are reported before anything is sent."""

from __future__ import annotations

import os
import re
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

    def mistake(self, error: Exception) -> str | None:
        """What to correct in the variable if a proxy's answer shows a mistake in it; None for other failures.

        Args:
            error: What httpx raised.
        """
        text = str(error)
        if type(error).__module__.partition(".")[0] == "socksio":
            return f"The proxy does not speak SOCKS5: correct its scheme, host or port in {self.variable}."
        if type(error).__name__ != "ProxyError":
            return None
        if text.startswith("407"):
            return f"The proxy refused to connect (407): check the user name and password in {self.variable}."
        if text.startswith(("Invalid username/password", "Requested ")):
            return f"The SOCKS proxy refused to connect: check the user name and password in {self.variable}."
        return None


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
            if variable == "SSL_CERT_DIR" and (defect := _defect_of_directories(os.environ[variable])):
                raise UsageError(f"{variable} is {os.environ[variable]!r}, which {defect}")
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
    if key_log and (Path(key_log).is_dir() or not os.access(Path(key_log).parent, os.W_OK)):
        return UsageError(f"SSLKEYLOGFILE is {key_log!r}, which can't be written: correct or unset it")
    if variable is None:
        return UsageError(f"TLS can't be set up on this machine ({error})")
    path = os.environ[variable]
    defect = "can't be read" if not os.access(path, os.R_OK) else "has no certificates in PEM format"
    return UsageError(f"{variable} is {path!r}, which {defect}: correct or unset it")


def _defect_of_directories(listed: str) -> str | None:
    """What is wrong with `SSL_CERT_DIR`: a directory, or several separated as in `PATH`."""
    directories = [Path(each) for each in listed.split(os.pathsep) if each]
    if not any(each.is_dir() for each in directories):
        return "is not a directory"
    # OpenSSL finds a certificate by the hash in its file's name.
    hashed = (path for each in directories if each.is_dir() for path in each.glob("????????.[0-9]*"))
    if next(hashed, None) is None:
        return "has no certificates whose file names are hashes: run `openssl rehash` on it, or use SSL_CERT_FILE"
    return None


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

    Entries are separated by commas or blanks. An entry is `*`, a name (which includes its subdomains), `.name`, `*.name`, an
    address, the beginning of one (`10.*`), or a network (CIDR). A port after it limits it to that port.
    """
    name = _ascii(host.lower().strip("[]").rstrip("."))
    entries = re.split(r"[,\s]+", listed.lower())
    return any(_covers(entry, name, port) for entry in entries) or bool(proxy_bypass(host) and not listed)


def _covers(entry: str, host: str, port: int) -> bool:
    entry = entry.partition("://")[2] or entry
    network, only_port = _split(entry.rstrip("/"))
    if only_port is not None and only_port != port:
        return False
    if network in ("", "*"):
        return network == "*"
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        pass
    parts = network.split(".")
    if len(parts) > 1 and parts[0].isdecimal() and parts[-1] == "*":
        while parts[-1] == "*":
            parts.pop()
        return host.split(".")[: len(parts)] == parts and _is_address(host)
    name = _ascii(network.removeprefix("*").strip("."))
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _ascii(name: str) -> str:
    """A name as DNS has it."""
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def _split(entry: str) -> tuple[str, int | None]:
    """The host or network of an entry, and its port. An IPv6 address without a port needs no brackets."""
    if entry.startswith("["):
        address, _, rest = entry[1:].partition("]")
        length, colon, port = rest.rpartition(":")
        if not colon:
            length, port = rest, ""
        return address + length, int(port) if port.isdecimal() else None
    name, colon, port = entry.rpartition(":")
    if colon and ":" not in name and (port.isdecimal() or not port):
        return name, int(port) if port else None
    return entry, None
