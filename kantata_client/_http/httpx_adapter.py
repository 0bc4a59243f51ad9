"""Sending through a transport of httpx: the user's own, or httpx's for a proxy."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

import anyio

from kantata_client._http.adapters import UnconnectedError
from kantata_client._http.library import adapted, httpx
from kantata_client._http.prepared import Upload
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    import ssl

    from kantata_client._http.environment import Proxy
    from kantata_client._http.messages import AsyncTransport
    from kantata_client._http.prepared import PreparedRequest


class HttpxAdapter:
    """Sends through an async transport of httpx or httpx2.

    `httpx.AsyncClient` is not used: it would send one user's cookies with the next user's requests, log signed URLs, and
    double the cost.
    """

    def __init__(self, transport: AsyncTransport, *, traced: bool = False) -> None:
        """Send through a transport; `traced` if it is httpx's own, which reports how far a request got."""
        self.transport = adapted(transport)
        self._traced = traced

    def limits_total(self, request: PreparedRequest) -> bool:
        """Never: transports of httpx have no such timeout."""
        return False

    async def send(self, request: PreparedRequest, total: float | None) -> HttpxAnswer:
        """Send a request; see `Adapter`. The exceptions are those of the transport."""
        sent = _in_httpx(request)
        if not self._traced:
            return HttpxAnswer(await self.transport.handle_async_request(sent))
        progress = _Progress()
        sent.extensions["trace"] = progress
        try:
            return HttpxAnswer(await self.transport.handle_async_request(sent))
        except BaseException as error:
            if not progress.unsent:
                raise
            await progress.aclose()
            # Errors of a proxy and of connecting say by their class that nothing was sent.
            told = isinstance(error, (httpx.ProxyError, httpx.ConnectError, httpx.ConnectTimeout))
            if told or not isinstance(error, Exception) or type(error).__module__.startswith("socksio"):
                raise
            if isinstance(error, httpx.TimeoutException):
                raise UnconnectedError from TimeoutError()
            raise UnconnectedError(f"through the proxy: {str(error) or type(error).__name__}") from None

    async def aclose(self) -> None:
        """Close the transport."""
        await self.transport.aclose()


class _Progress:
    """Follows a request by the events of httpcore: a tunnel through a proxy is made before anything of it is sent."""

    def __init__(self) -> None:
        self._connecting = False
        self._sending = False
        self._stream: Any = None

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        self._connecting = True
        if event.endswith("connect_tcp.complete"):
            self._stream = info.get("return_value")
        elif event.endswith("send_request_headers.started"):
            self._sending = self._sending or getattr(info.get("request"), "method", None) != b"CONNECT"

    @property
    def unsent(self) -> bool:
        """Whether no byte of the request left; False if nothing is known."""
        return self._connecting and not self._sending

    async def aclose(self) -> None:
        """Close the connection to the proxy, which httpcore leaves open if SOCKS fails."""
        if self._stream is not None:
            with anyio.CancelScope(shield=True), suppress(Exception):
                await self._stream.aclose()


def through_proxy(proxy: Proxy, tls: ssl.SSLContext) -> HttpxAdapter:
    """An adapter that sends through a proxy, over a new connection for each request.

    Raises:
        UsageError: The proxy's URL is invalid.
    """
    # httpx would reuse a connection with bytes left over from an earlier response, so none is kept.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    try:
        transport = httpx.AsyncHTTPTransport(verify=tls, limits=limits, proxy=httpx.Proxy(proxy.url))
        return HttpxAdapter(transport, traced=True)
    except Exception:  # noqa: BLE001 - its text may repeat a password
        problem = f"{proxy.variable} is not the address of a proxy"
    raise UsageError(problem)


def tls_context() -> ssl.SSLContext:
    """The TLS context that httpx makes by default."""
    return httpx.create_ssl_context()


def _in_httpx(request: PreparedRequest) -> httpx.Request:
    times, body = request.timeouts, request.body
    stream = _Pieces(body) if isinstance(body, Upload) else None
    content = body if isinstance(body, bytes) and body else None
    try:
        raw = httpx.Request(
            request.method, request.url, headers=request.headers, content=content, stream=stream
        )
    except (httpx.InvalidURL, UnicodeError, TypeError, ValueError) as error:
        problem = f"{request.method} can't be sent: {error}"
    else:
        if content is not None:
            raw.stream = _Content(content)
        raw.extensions = {
            "timeout": {
                "connect": times.connect,
                "read": times.read,
                "write": times.write,
                "pool": times.pool,
            }
        }
        return raw
    raise UsageError(problem)


class _Pieces(httpx.AsyncByteStream):
    """A form as a stream of httpx."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._upload)


class _Content(httpx.AsyncByteStream):
    """A body in one piece. httpx's own is a generator, which trio reports if a cancelled write leaves it unfinished."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once:
    def __init__(self, piece: bytes) -> None:
        self._left = [piece] if piece else []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class HttpxAnswer:
    """A response of httpx."""

    def __init__(self, raw: httpx.Response) -> None:
        self.status = raw.status_code
        self.headers = raw.headers
        # A transport that returns its whole body at once, as in tests: httpx has read and decompressed it.
        self.content = raw.content if raw.is_stream_consumed else None
        self.arrived: bytes | None = None
        self._stream = cast("httpx.AsyncByteStream", raw.stream)
        self._pieces: AsyncIterator[bytes] | None = None if self.content is None else _Once(self.content)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._pieces is None:
            self._pieces = aiter(cast("AsyncIterable[bytes]", self._stream))
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Close the response."""
        if isinstance(self._pieces, AsyncGenerator):
            await cast("AsyncGenerator[bytes]", self._pieces).aclose()
        await self._stream.aclose()
