"""Requests, responses and failures as values that do not depend on httpx.

Fields with `repr=False` may contain secrets. Tools that print local variables (such as rich) show the other fields of an
attrs class and ignore its `__repr__`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from kantata_client._http.retry import RetryPolicy
from kantata_client.errors import UsageError


class AsyncTransport(Protocol):
    """Sends one request: any async transport of httpx or httpx2."""

    async def handle_async_request(self, request: Any, /) -> Any:
        """Send a request of the transport's library, and return a response of it."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


TransportOption: TypeAlias = AsyncTransport | Callable[[], AsyncTransport] | Literal["aiohttp"]
"""A value for `Kantata(transport=…)`: a transport, a function that makes one for each event loop, or `"aiohttp"`."""


_TOTAL = 300.0


@attrs.frozen
class Timeouts:
    """Time limits in seconds; `None` means no limit."""

    connect: float | None = 10.0
    """To make a connection."""
    read: float | None = 190.0
    """Until the response begins, and then between its pieces. The service itself gives up after 180 seconds."""
    write: float | None = 60.0
    """Until the peer accepts each piece of the request body."""
    pool: float | None = None
    """To wait for a free connection, if you pass a transport of your own that limits their number."""
    total: float | None = attrs.field(
        default=attrs.Factory(
            lambda self: None if self.read is None else max(_TOTAL, self.read), takes_self=True
        )
    )
    """From the end of the request to the end of the response, or to the headers of a download. Default: 300, or `read` if
    that is more."""

    def check(self) -> None:
        """Check the values.

        Raises:
            UsageError: A timeout is not a number above 0.
        """
        values: list[object] = [self.connect, self.read, self.write, self.pool, self.total]
        if not all(_positive(seconds) for seconds in values if seconds is not None):
            raise UsageError(
                f"{self!r}: a timeout must be a number of seconds above 0, or None for no limit."
            )


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


@attrs.frozen(eq=False)
class File:
    """A file in a multipart form."""

    name: str
    """Name of the form field."""
    filename: str
    content: bytes | AsyncIterable[bytes] = attrs.field(repr=False)
    """Bytes, or an async iterable of bytes. Only bytes, and iterables that can be iterated more than once (not generators or
    iterators), can be sent again after a failure."""
    content_type: str = "application/octet-stream"
    size: int | None = None
    """Size of an iterable in bytes. If it is unknown, the form is sent chunked, which S3, for example, rejects."""


@attrs.frozen(eq=False)
class Form:
    """A multipart form. Its fields are sent before its files."""

    fields: Sequence[tuple[str, str]] = attrs.field(default=(), repr=False)
    files: Sequence[File] = ()


@attrs.frozen(eq=False, repr=False)
class Request:
    """A request without its token."""

    method: str
    url: str = attrs.field(repr=False)
    """Absolute. Only signed URLs include a query."""
    query: Sequence[tuple[str, str]] = attrs.field(default=(), kw_only=True, repr=False)
    content: bytes | None = attrs.field(default=None, kw_only=True, repr=False)
    """JSON, unless `headers` names another content type."""
    form: Form | None = attrs.field(default=None, kw_only=True, repr=False)
    headers: Mapping[str, str] | None = attrs.field(default=None, kw_only=True, repr=False)
    operation: str = attrs.field(
        default=attrs.Factory(lambda self: self.method, takes_self=True), kw_only=True
    )
    """The operation's id, for errors, logs and the throttle."""
    action: bool = attrs.field(default=False, kw_only=True)
    """A PUT that must not be repeated after its response was lost."""
    own_limit: bool = attrs.field(default=False, kw_only=True)
    """The service has a separate rate limit for this operation."""
    confidential: bool = attrs.field(default=False, kw_only=True)
    """Leave the body out of errors."""
    paged: bool = attrs.field(default=False, kw_only=True)
    """The operation returns a list page by page."""
    timeouts: Timeouts | None = attrs.field(default=None, kw_only=True, repr=False)
    """Overrides the client's timeouts."""
    retries: RetryPolicy | None = attrs.field(default=None, kw_only=True, repr=False)
    """Overrides the client's policy."""

    @property
    def page(self) -> int | None:
        """The number of the requested page of a list, for events."""
        number = next((value for name, value in self.query if name == "page"), "1" if self.paged else "")
        return int(number) if number.isdecimal() else None

    def is_below(self, base_url: str) -> bool:
        """Whether the request goes to the API, and not to a storage host."""
        url, end = self.url, len(base_url)
        return url.startswith(base_url) and url[end : end + 1] in ("", "/")

    def path_below(self, base_url: str) -> str:
        """The path below the base URL without its query, for messages."""
        return self.url.partition("?")[0].removeprefix(base_url) or "/"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url.partition('?')[0]}>"


@attrs.frozen(eq=False, repr=False)
class Response:
    """A response with its whole body."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    """Lookup ignores the case of names."""
    content: bytes = attrs.field(repr=False)

    @property
    def request_id(self) -> str | None:
        """The id that Kantata's support asks for."""
        return self.headers.get("x-request-id")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}, {len(self.content)} bytes>"


@attrs.frozen
class Failure:
    """Why there is no complete response."""

    reason: str
    unsent: bool = False
    """No byte of the request was sent."""
    timeout: bool = False
    hopeless: bool = False
    """Another attempt would fail the same way."""
    advice: str = ""
    """What the user should do; empty if unknown."""
    status: int | None = None
    """Status of a response that was cut off."""
    request_id: str | None = None
