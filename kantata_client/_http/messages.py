"""What is sent and what comes back, as values that know nothing of httpx.

Fields with `repr=False` may hold secrets: tools that print local variables (rich) show the other fields of an attrs class,
whatever its `__repr__`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from kantata_client._http.retry import RetryPolicy
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

AsyncTransport: TypeAlias = "httpx.AsyncBaseTransport"
"""Sends one request; any async transport of httpx."""

TransportOption: TypeAlias = "AsyncTransport | Callable[[], AsyncTransport] | Literal['aiohttp']"
"""What `Kantata(transport=…)` takes: a transport, what makes one for each event loop, or the lane over aiohttp."""


_TOTAL = 300.0


@attrs.frozen
class Timeouts:
    """Seconds to wait; `None` sets no limit."""

    connect: float | None = 10.0
    """For a connection to be made."""
    read: float | None = 190.0
    """For the response to begin, and then for each further piece of it. The service itself gives up after 180."""
    write: float | None = 60.0
    """For each piece of the body to be accepted."""
    pool: float | None = None
    """For a free connection, of a transport of your own."""
    total: float | None = attrs.field(
        default=attrs.Factory(
            lambda self: None if self.read is None else max(_TOTAL, self.read), takes_self=True
        )
    )
    """From the end of the request to the end of the answer, however slowly that arrives: 300, or `read` if that is more. For
    a download: to its headers."""

    def check(self) -> None:
        """Check the values.

        Raises:
            UsageError: A timeout is not a number above 0.
        """
        given: list[object] = [self.connect, self.read, self.write, self.pool, self.total]
        if not all(_positive(seconds) for seconds in given if seconds is not None):
            raise UsageError(f"{self!r}: a timeout is a number of seconds above 0, or None for no limit.")


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


@attrs.frozen(eq=False)
class File:
    """A file in a multipart form."""

    name: str
    """Name of the form field."""
    filename: str
    content: bytes | AsyncIterable[bytes] = attrs.field(repr=False)
    """Bytes, or an async iterable of them. An iterable that can be iterated more than once (not a generator or an iterator)
    can be sent again after a failure."""
    content_type: str = "application/octet-stream"
    size: int | None = None
    """Size of an iterable in bytes. Without it the form is sent chunked, which S3, for example, refuses."""


@attrs.frozen(eq=False)
class Form:
    """A multipart form: first its fields, then its files."""

    fields: Sequence[tuple[str, str]] = attrs.field(default=(), repr=False)
    files: Sequence[File] = ()


@attrs.frozen(eq=False, repr=False)
class Request:
    """What to send. The token is not part of it."""

    method: str
    url: str = attrs.field(repr=False)
    """Absolute, without a query unless it is a signed URL."""
    query: Sequence[tuple[str, str]] = attrs.field(default=(), kw_only=True, repr=False)
    content: bytes | None = attrs.field(default=None, kw_only=True, repr=False)
    """JSON, unless `headers` names another content type."""
    form: Form | None = attrs.field(default=None, kw_only=True, repr=False)
    headers: Mapping[str, str] | None = attrs.field(default=None, kw_only=True, repr=False)
    operation: str = attrs.field(
        default=attrs.Factory(lambda self: self.method, takes_self=True), kw_only=True
    )
    """Id of the operation, for errors, logs and the throttle."""
    action: bool = attrs.field(default=False, kw_only=True)
    """A PUT that must not be repeated when its answer was lost."""
    own_limit: bool = attrs.field(default=False, kw_only=True)
    """The service limits the rate of the operation separately."""
    confidential: bool = attrs.field(default=False, kw_only=True)
    """Keep the body out of errors."""
    timeouts: Timeouts | None = attrs.field(default=None, kw_only=True, repr=False)
    """Instead of the client's."""
    retries: RetryPolicy | None = attrs.field(default=None, kw_only=True, repr=False)
    """Instead of the client's."""

    def is_below(self, base_url: str) -> bool:
        """Whether it goes to the API itself, not to a host of uploads or downloads."""
        url, end = self.url, len(base_url)
        return url.startswith(base_url) and url[end : end + 1] in ("", "/")

    def path_below(self, base_url: str) -> str:
        """Its path below the base URL, without the query: for messages."""
        return self.url.partition("?")[0].removeprefix(base_url) or "/"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url.partition('?')[0]}>"


@attrs.frozen(eq=False, repr=False)
class Response:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    """Names are looked up in any case."""
    content: bytes = attrs.field(repr=False)

    @property
    def request_id(self) -> str | None:
        """The id to quote to Kantata's support."""
        return self.headers.get("x-request-id")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}, {len(self.content)} bytes>"


@attrs.frozen
class Failure:
    """Why there is no answer, or only a part of one."""

    reason: str
    unsent: bool = False
    """No byte of the request left this machine."""
    timeout: bool = False
    hopeless: bool = False
    """Another attempt would fail in the same way."""
    advice: str = ""
    """What to do, if that is known."""
    status: int | None = None
    """Status of an answer that was cut off."""
    request_id: str | None = None
