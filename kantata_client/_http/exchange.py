"""Requests and responses as values, and the one place that hands them to httpx.

httpx is imported with the first request and by this module alone. Nothing of it gets out: its exceptions hold
the request with its headers, so a failure is returned as a value instead of being raised. Its transports are
used without `httpx.AsyncClient`, which would keep one user's cookies for the next, log signed URLs, and
double the cost.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias, cast

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    import httpx

    from kantata_client._http.tokens import Secret

AsyncTransport: TypeAlias = "httpx.AsyncBaseTransport"
"""What `Kantata(transport=…)` takes."""


class Timeouts(NamedTuple):
    """Seconds to wait, each `None` for ever."""

    connect: float | None = 10.0
    read: float | None = 190.0
    """For the answer, and then for each further piece of it. The service itself gives up after 180."""
    write: float | None = 60.0
    """For each piece of the body to be taken."""
    pool: float | None = None
    """For a free connection."""

    def check(self) -> None:
        """Raise `UsageError` if a time is not above zero."""
        given: list[object] = [seconds for seconds in self if seconds is not None]
        if not all(isinstance(seconds, (int, float)) and seconds > 0 for seconds in given):
            raise UsageError(f"{self!r}: a timeout is a number of seconds above 0, or None for no limit.")


class File(NamedTuple):
    """A file in a form."""

    name: str
    """Of the form's field."""
    filename: str
    content: bytes | AsyncIterable[bytes]
    """What can be iterated anew each time (no generator, no iterator) can be sent again after a failure."""
    content_type: str = "application/octet-stream"
    size: int | None = None
    """Bytes of a stream. Without it the form goes out chunked, which S3, for one, refuses."""


class Form(NamedTuple):
    """A multipart form: its fields, then its files."""

    fields: Sequence[tuple[str, str]] = ()
    files: Sequence[File] = ()


class Request:
    """What to send. The token is not part of it."""

    __slots__ = (
        "confidential",
        "content",
        "form",
        "headers",
        "method",
        "operation",
        "own_limit",
        "query",
        "url",
    )

    def __init__(
        self,
        method: str,
        url: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        content: bytes | None = None,
        form: Form | None = None,
        headers: Mapping[str, str] | None = None,
        operation: str = "",
        own_limit: bool = False,
        confidential: bool = False,
    ) -> None:
        """Make a request.

        `url` is absolute, and has no query unless it is somebody's signed one; `content` is JSON unless
        `headers` says otherwise; `operation` is the id that errors, logs and the throttle use; a
        `confidential` body shows in no error.
        """
        self.method = method
        self.url = url
        self.query = query
        self.content = content
        self.form = form
        self.headers = headers
        self.operation = operation or method
        self.own_limit = own_limit
        self.confidential = confidential

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url.partition('?')[0]}>"


class Response:
    """What came back."""

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """`headers` are looked up in any case."""
        self.status = status
        self.headers = headers
        self.content = content

    @property
    def request_id(self) -> str | None:
        """What Kantata's support asks for."""
        return self.headers.get("x-request-id")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}, {len(self.content)} bytes>"


class Failure(NamedTuple):
    """Why no answer came, or only a part of one."""

    reason: str
    unsent: bool = False
    """No byte of the request left."""
    timeout: bool = False
    hopeless: bool = False
    """It would fail the same way again."""
    status: int | None = None
    """Of the answer that was cut off."""
    request_id: str | None = None


class Download(Response):
    """A response whose body is still to be read, chunk by chunk; `content` is empty."""

    __slots__ = ("_link", "_pieces", "_raw")

    def __init__(self, link: Link, raw: httpx.Response) -> None:
        super().__init__(raw.status_code, raw.headers, b"")
        self._link = link
        self._raw = raw
        # What a transport (of a test, say) gives as a whole was read when the response was made.
        self._pieces: AsyncIterator[bytes] = (
            aiter(cast("AsyncIterable[bytes]", raw.stream)) if raw.is_stream_consumed else raw.aiter_raw()
        )

    async def chunk(self) -> bytes | Failure | None:
        """More of the body as it was sent (compressed, if `content-encoding` says so); `None` at the end."""
        try:
            return await anext(self._pieces, None)
        except self._link.broken as error:
            return self._link.failure(error, self._raw)

    async def aclose(self) -> None:
        """Give the connection back, or close it if something is left to read."""
        await self._raw.aclose()


class Prepared:
    """A request in httpx's form, to be sent once or more often."""

    __slots__ = ("_form", "_secret", "raw")

    def __init__(self, raw: httpx.Request, form: _FormBody | None) -> None:
        self.raw = raw
        self._form = form
        self._secret: Secret | None = None

    def authorize(self, secret: Secret) -> None:
        """Put the token in, or in the place of the last one."""
        self._secret = secret
        self.raw.headers["Authorization"] = f"Bearer {secret.reveal()}"

    def redacted(self, failure: Failure) -> Failure:
        """The failure without the token, which a server may have repeated where no answer begins so."""
        if self._secret is None:
            return failure
        return failure._replace(reason=self._secret.redact(failure.reason.encode()).decode())

    @property
    def path(self) -> bytes:
        """The path that is really sent, without the query."""
        return self.raw.url.raw_path.partition(b"?")[0]

    @property
    def replayable(self) -> bool:
        """Whether it can be sent (again)."""
        return self._form is None or self._form.rewindable or not self._form.began

    def raised(self, error: BaseException) -> bool:
        """Whether the error is of the stream that is to be uploaded, not of the network."""
        return self._form is not None and self._form.error is error


class Link:
    """The connections of one client in one event loop."""

    def __init__(
        self, transport: AsyncTransport | None, timeouts: Timeouts, keep: int, *, use_proxies: bool
    ) -> None:
        """`keep` is how many idle connections stay open; `use_proxies` heeds HTTPS_PROXY and its like."""
        import anyio
        import httpx

        class Stream(httpx.AsyncByteStream):
            """A form in httpx's terms."""

            def __init__(self, form: _FormBody) -> None:
                self._form = form

            def __aiter__(self) -> AsyncIterator[bytes]:
                return aiter(self._form)

        self._httpx = httpx
        self._stream = Stream
        self._transport = transport
        self._opened: dict[tuple[str, str], AsyncTransport] = {}
        self._limits = httpx.Limits(max_connections=None, max_keepalive_connections=keep)
        self._use_proxies = use_proxies
        self._extensions = {"timeout": timeouts._asdict()}
        self._headers = {
            "user-agent": _user_agent(),
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
        }
        # What transports raise, and what slips through their translation (TLS errors within a body).
        self.broken: tuple[type[Exception], ...] = (
            httpx.TransportError,
            httpx.DecodingError,
            OSError,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
            anyio.EndOfStream,
        )

    def prepare(self, request: Request) -> Prepared:
        """The request as httpx takes it, without a token."""
        url, headers, form = request.url, self._headers, None
        content = request.content
        if request.query:
            from urllib.parse import urlencode

            url = f"{url}?{urlencode(request.query, safe=',:')}"
        if content is not None:
            headers = {**headers, "content-type": "application/json"}
        elif request.form is not None:
            form = _FormBody(request.form)
            headers = {**headers, **form.headers}
        if request.headers:
            headers = {**headers, **{name.lower(): value for name, value in request.headers.items()}}
        try:
            address = self._httpx.URL(url)
            stream = None
            if form is not None:
                # httpx adds no headers to a stream of one's own.
                headers = {"host": address.netloc.decode("ascii"), **headers}
                stream = self._stream(form)
            raw = self._httpx.Request(
                request.method,
                address,
                headers=headers,
                content=content,
                stream=stream,
                extensions=self._extensions,
            )
        except self._httpx.InvalidURL as error:
            problem = str(error)
        else:
            return Prepared(raw, form)
        raise UsageError(f"{request!r} has no valid address: {problem}.")

    async def exchange(self, prepared: Prepared, *, stream: bool = False) -> Response | Failure:
        """Send once. With `stream` a success is a `Download`, which the caller closes."""
        raw: httpx.Response | None = None
        try:
            raw = await self._transport_to(prepared.raw.url).handle_async_request(prepared.raw)
            if stream and raw.is_success:
                return Download(self, raw)
            content = await raw.aread()
            return Response(raw.status_code, raw.headers, content)
        except self.broken as error:
            if prepared.raised(error):
                raise
            failure = prepared.redacted(self.failure(error, raw))
            if raw is None:
                return failure
        except BaseException as error:  # noqa: BLE001 - raised again
            if raw is not None:
                await raw.aclose()
            # A cancellation, mostly; the frames of httpcore have the headers, and so the token, in their local variables.
            raise error.with_traceback(None) from None
        await raw.aclose()
        # A refusal is one even if the explanation got lost.
        return failure if raw.is_success else Response(raw.status_code, raw.headers, b"")

    def failure(self, error: Exception, answer: httpx.Response | None) -> Failure:
        """What is told of an exception."""
        httpx = self._httpx
        timeout = isinstance(error, (httpx.TimeoutException, TimeoutError))
        reason = str(error) or ("no answer in time" if timeout else type(error).__name__)
        if answer is not None:
            reason = f"the answer was cut off ({reason})"
            status, request_id = answer.status_code, answer.headers.get("x-request-id")
            return Failure(reason, timeout=timeout, status=status, request_id=request_id)
        if isinstance(error, httpx.PoolTimeout):
            return Failure("no connection became free in time", unsent=True, timeout=True)
        if isinstance(error, httpx.ConnectTimeout):
            return Failure("no connection in time", unsent=True, timeout=True)
        if isinstance(error, (httpx.ConnectError, httpx.ProxyError)):
            certificate = "CERTIFICATE_VERIFY_FAILED" in reason
            return Failure(f"no connection ({reason})", unsent=True, hopeless=certificate)
        return Failure(reason, timeout=timeout)

    async def aclose(self) -> None:
        """Close all connections."""
        opened, self._opened = self._opened, {}
        for transport in opened.values():
            await transport.aclose()
        if self._transport is not None:
            await self._transport.aclose()

    def _transport_to(self, url: httpx.URL) -> AsyncTransport:
        if self._transport is not None:
            return self._transport
        place = url.scheme, url.host
        transport = self._opened.get(place)
        if transport is None:
            proxy = _proxy(*place) if self._use_proxies else None
            transport = self._httpx.AsyncHTTPTransport(limits=self._limits, proxy=proxy)
            self._opened[place] = transport
        return transport


class _FormBody:
    """A multipart body, made while it is sent."""

    def __init__(self, form: Form) -> None:
        import os

        boundary = os.urandom(16).hex()
        self._parts: list[bytes | File] = []
        for name, value in form.fields:
            self._parts.append(f"--{boundary}\r\n{_disposition(name)}\r\n\r\n{value}\r\n".encode())
        for file in form.files:
            kind = f"content-type: {file.content_type}"
            head = f"--{boundary}\r\n{_disposition(file.name, file.filename)}\r\n{kind}\r\n\r\n"
            self._parts += [head.encode(), file, b"\r\n"]
        self._parts.append(f"--{boundary}--\r\n".encode())
        self.headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        sizes = [_size(part) for part in self._parts]
        if None in sizes:
            self.headers["transfer-encoding"] = "chunked"
        else:
            self.headers["content-length"] = str(sum(size for size in sizes if size is not None))
        self.rewindable = not any(isinstance(file.content, AsyncIterator) for file in form.files)
        self.began = False
        self.error: BaseException | None = None

    def __aiter__(self) -> _Pieces:
        self.began = True
        return _Pieces(self, self._parts)


class _Pieces:
    """One pass through a form.

    No generator, since an upload that breaks off would leave it unfinished to the garbage collector, which trio
    complains of.
    """

    def __init__(self, form: _FormBody, parts: Sequence[bytes | File]) -> None:
        self._form = form
        self._parts = iter(parts)
        self._stream: AsyncIterator[bytes] | None = None
        self._size: int | None = None
        self._sent = 0
        self._filename = ""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._stream is not None:
                piece = await self._next_of(self._stream)
                if piece is not None:
                    return piece
                self._stream = None
            part = next(self._parts, None)
            if part is None:
                raise StopAsyncIteration
            if isinstance(part, bytes):
                return part
            if isinstance(part.content, bytes):
                return part.content
            self._stream, self._size, self._sent = aiter(part.content), part.size, 0
            self._filename = part.filename

    async def _next_of(self, stream: AsyncIterator[bytes]) -> bytes | None:
        """The next piece of a file; None at its end."""
        try:
            piece = await anext(stream, None)
            self._sent += len(piece or b"")
            # What is too long is read to its end, but not sent.
            while piece is not None and self._size is not None and self._sent > self._size:
                piece = await anext(stream, None)
                self._sent += len(piece or b"")
            if piece is None and self._size is not None and self._sent != self._size:
                raise UsageError(
                    f"{self._filename}: {self._size} bytes were announced, but the stream has "
                    f"{'more' if self._sent > self._size else f'only {self._sent}'}.",
                    consequence="The upload was aborted.",
                )
        except Exception as error:
            self._form.error = error
            raise
        return piece


def _size(part: bytes | File) -> int | None:
    if isinstance(part, bytes):
        return len(part)
    return len(part.content) if isinstance(part.content, bytes) else part.size


def _disposition(name: str, filename: str | None = None) -> str:
    text = f'content-disposition: form-data; name="{_quoted(name)}"'
    return text if filename is None else f'{text}; filename="{_quoted(filename)}"'


def _quoted(text: str) -> str:
    """As browsers write names in forms."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _proxy(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for a host."""
    from urllib.request import getproxies, proxy_bypass

    proxies: dict[str, Any] = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"kantata-client/{version('kantata-client')}"
    except PackageNotFoundError:
        return "kantata-client"
