"""URLs in the form in which they are sent. httpx parses and normalizes them."""

from __future__ import annotations

import re
from typing import TypeAlias

import attrs

from kantata_client._http.library import httpx

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~:-]+)+")
"""A path that httpx sends as it is: nothing to escape, and no segment to resolve."""


class InvalidURLError(ValueError):
    """A URL cannot be parsed."""


@attrs.frozen
class Target:
    """Where a request is sent."""

    origin: Origin
    host: bytes
    """The `host` header."""
    path: bytes
    """Path and query, escaped."""


def parsed(url: str) -> Target:
    """Parse any URL.

    Raises:
        InvalidURLError: It is not a URL.
        UnicodeError: It cannot be encoded.
    """
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidURLError(str(error)) from None
    port = found.port or _DEFAULT_PORTS.get(found.scheme, 0)
    return Target((found.scheme, found.host, port), found.netloc, found.raw_path)


class Base:
    """The base URL of an API. Most URLs below it need not be parsed, which costs more than anything else in a request."""

    def __init__(self, url: str) -> None:
        """Parse the base URL, which has no query; for the errors see `parsed`."""
        self.target = parsed(url)
        self.path = self.target.path.rstrip(b"/")
        self._url = url

    def below(self, url: str, query: str) -> bytes | None:
        """Path and query of a URL below the base URL, as `parsed` would find them; `None` if it has to be parsed.

        Args:
            url: An absolute URL.
            query: Its query, already escaped; may be empty.
        """
        length = len(self._url)
        if not url.startswith(self._url) or not _PLAIN.fullmatch(url, length):
            return None
        path = url[length:]
        return self.path + (f"{path}?{query}" if query else path).encode("ascii")
