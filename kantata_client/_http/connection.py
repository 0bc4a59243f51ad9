"""Handing one request to a transport of httpx and reading its answer: the only module that imports httpx.

httpx is imported with the first request. Its exceptions stay inside: they hold the request with its headers, so a failure
is returned as a value. `httpx.AsyncClient` is not used: it would send one user's cookies with the next user's requests, log
signed URLs, and double the cost. Nor is httpx's own pool, unless a proxy has to be passed: it looks at all of its
connections for each request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from errno import EMFILE
from os import strerror
from typing import TYPE_CHECKING, Any, Self, cast

import anyio
import attrs
import httpx

from kantata_client._http.bodies import Body, TooLargeError, UndecodableError
from kantata_client._http.environment import Proxy, Trust, proxy_for
from kantata_client._http.fast import over_aiohttp, reached
from kantata_client._http.http11 import BrokenError, UnsentError
from kantata_client._http.messages import Failure, Response
from kantata_client._http.multipart import MultipartBody
from kantata_client._http.pool import Pool
from kantata_client.errors import KantataError, UsageError

if TYPE_CHECKING:
    import ssl

    from kantata_client._http.http11 import Connection
    from kantata_client._http.messages import AsyncTransport, Request, Timeouts
    from kantata_client._http.pool import Origin
    from kantata_client._http.tokens import Secret

_BROKEN: tuple[type[Exception], ...] = (
    httpx.TransportError,
    httpx.DecodingError,
    OSError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
"""What transports raise when an exchange fails. The last four slip through httpx's translation (TLS errors in a body)."""

_UNTRUSTED = "This machine does not trust the server's certificate."
_FILES = "Each connection is an open file: allow more (`ulimit -n`), or lower max_concurrency."
_LARGER = "Ask for less at once (per_page, includes, a narrower filter), or set max_response_bytes higher."
_PROXY = "Check base_url and the proxies on the way."

_EMPTY: dict[str, Any] = {}


class _Upload(httpx.AsyncByteStream):
    """A form in httpx's terms."""

    def __init__(self, body: MultipartBody) -> None:
        self.body = body
        self.on_piece: Callable[[], object] | None = None
        """Called whenever another piece is asked for."""
        self._pieces: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> Self:
        self._pieces = aiter(self.body)
        return self

    async def __anext__(self) -> bytes:
        if self.on_piece is not None:
            self.on_piece()
        assert self._pieces is not None  # noqa: S101 - made by __aiter__
        return await anext(self._pieces)


class _Content(httpx.AsyncByteStream):
    """A body in one piece. httpx's own is a generator, which a cancelled write leaves unfinished: trio reports that."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once:
    def __init__(self, piece: bytes) -> None:
        self._left = [piece]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends over connections of a `Pool`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and return the answer with its body unread.

        Raises:
            httpx.ConnectError: There is no connection; nothing was sent.
            httpx.ConnectTimeout: There was no connection in time; nothing was sent.
            httpx.TransportError: The exchange failed.
            UsageError: The request is not valid HTTP, or TLS can't be set up; nothing was sent.
        """
        url, times = request.url, request.extensions.get("timeout", _EMPTY)
        origin = url.raw_scheme, url.host, url.port or (443 if url.scheme == "https" else 80)
        try:
            connection = await self._pool.take(origin, times.get("connect"))
        except TimeoutError:
            raise httpx.ConnectTimeout("") from None
        except OSError as error:
            raise httpx.ConnectError(str(error) or type(error).__name__) from None
        except UnicodeError:
            raise UsageError(f"{url.host[:100]!r} is not the name of a host") from None
        try:
            status, headers = await _exchanged(connection, request, times)
        except UnsentError as error:
            self._pool.discard(connection)
            raise UsageError(f"{request.method} can't be sent: {error}") from None
        except BaseException as error:  # noqa: BLE001 - raised again
            self._pool.discard(connection)
            raise _translated(error, request.stream) from None
        body = _Answer(connection, self._pool, origin)
        return httpx.Response(status, headers=headers, stream=body, request=request)

    @property
    def is_open(self) -> bool:
        """Whether it has connections."""
        return len(self._pool) > 0

    async def aclose(self) -> None:
        """Close all connections."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


async def _exchanged(
    connection: Connection, request: httpx.Request, times: dict[str, Any]
) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Send a request, and return status and headers of the response."""
    stream = cast("httpx.AsyncByteStream", request.stream)
    content = stream if isinstance(stream, _Upload) else request.content
    refused: OSError | None = None
    try:
        await connection.send(
            request.method.encode("ascii"),
            request.url.raw_path,
            request.headers.raw,
            content,
            read=times.get("read"),
            write=times.get("write"),
            total=times.get("total"),
        )
    except OSError as error:
        if isinstance(stream, _Upload) and stream.body.error is error:
            raise
        if isinstance(error, TimeoutError):
            raise httpx.WriteTimeout("the request was not accepted in time") from None
        # A server may refuse an upload before its end, and close the connection: its answer may be there.
        refused = error
    try:
        return await connection.head()
    except BrokenError:
        if refused is not None:
            raise refused from None
        raise


def _translated(error: BaseException, upload: object = None) -> BaseException:
    """An exception as httpx names it; what the upload's own iterable raised is left as it is."""
    if isinstance(upload, _Upload) and upload.body.error is error:
        return error
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout(str(error))
    if isinstance(error, BrokenError):
        return httpx.RemoteProtocolError(str(error))
    if isinstance(error, OSError):
        return httpx.ReadError(str(error) or type(error).__name__)
    return error.with_traceback(None)


class _Answer(httpx.AsyncByteStream):
    """The body of an answer; its connection goes back to the pool at the end."""

    def __init__(self, connection: Connection, pool: Pool, origin: Origin) -> None:
        self._connection: Connection | None = connection
        self._pool = pool
        self._origin = origin

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise StopAsyncIteration
        try:
            return await anext(connection)
        except StopAsyncIteration:
            self._connection = None
            self._pool.release(self._origin, connection)
            raise
        except BaseException as error:  # noqa: BLE001 - raised again
            self._connection = None
            self._pool.discard(connection)
            raise _translated(error) from None

    async def aclose(self) -> None:
        """Close the connection if the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.discard(connection)


@attrs.frozen(eq=False, repr=False)
class Download(Response):
    """A response whose body is read chunk by chunk; `content` is empty."""

    _raw: httpx.Response = attrs.field(repr=False)
    _pieces: AsyncIterator[bytes] = attrs.field(repr=False)

    async def chunk(self) -> bytes | Failure | None:
        """More of the body as it was sent (compressed, if `content-encoding` says so); `None` at the end."""
        # A fast sender would keep a cancellation from being delivered: the next piece is always there already.
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            return await anext(self._pieces, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the download broke
            return _failure_of(error, self._raw)

    async def aclose(self) -> None:
        """Return the connection to the pool, or close it if some of the body is unread."""
        await _close(self._raw)


class Prepared:
    """A request in httpx's form, to be sent once or more often."""

    __slots__ = ("_body", "_secret", "raw", "timeouts")

    def __init__(self, raw: httpx.Request, body: MultipartBody | None, timeouts: Timeouts) -> None:
        self.raw = raw
        self.timeouts = timeouts
        self._body = body
        self._secret: Secret | None = None

    def authorize(self, secret: Secret) -> None:
        """Put the token in, replacing an earlier one."""
        self._secret = secret
        self.raw.headers["Authorization"] = f"Bearer {secret.reveal()}"

    def redacted(self, failure: Failure) -> Failure:
        """The failure without the token: a server may repeat it where a status line is expected."""
        if self._secret is None:
            return failure
        return attrs.evolve(failure, reason=self._secret.redact(failure.reason.encode()).decode())

    @property
    def path(self) -> bytes:
        """The path as it is sent, without the query."""
        return self.raw.url.raw_path.partition(b"?")[0]

    @property
    def replayable(self) -> bool:
        """Whether it can be sent (again)."""
        return self._body is None or self._body.rewindable or not self._body.began

    @property
    def upload(self) -> _Upload | None:
        """Its form, to be notified of progress."""
        stream = self.raw.stream
        return stream if isinstance(stream, _Upload) else None

    @property
    def upload_error(self) -> BaseException | None:
        """What the stream to be uploaded raised, as opposed to the network."""
        return None if self._body is None else self._body.error


class Connections:
    """The connections of one client in one event loop."""

    def __init__(
        self,
        transport: AsyncTransport | None,
        timeouts: Timeouts,
        *,
        theirs: bool,
        fast: str | None,
        keep: int,
        largest: int | None,
        trust: Trust,
        use_proxies: bool,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            transport: The user's own transport, used for everything.
            timeouts: For each attempt.
            theirs: The user's transport outlives the event loop.
            fast: The base URL, if requests to it go over aiohttp.
            keep: How many idle connections of an origin stay open.
            largest: Most bytes of an answer, decompressed.
            trust: The certificates of the client.
            use_proxies: Heed HTTPS_PROXY and the like.
        """
        self._transport = transport
        self._theirs = theirs
        self._fast_origin = None if fast is None else _origin(httpx.URL(fast))
        self._fast: AsyncTransport | None = None
        self._trust = trust
        self._pooled = PooledTransport(Pool(keep, self._tls))
        self._proxied: dict[tuple[str, int | None], tuple[AsyncTransport, Proxy | None]] = {}
        self._limits = httpx.Limits(max_connections=None, max_keepalive_connections=keep)
        self._largest = largest
        self._use_proxies = use_proxies
        self._timeouts = timeouts
        self._headers = {
            "user-agent": _user_agent(),
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
        }

    def prepare(self, request: Request) -> Prepared:
        """The request in httpx's form, without a token."""
        url, headers, body = request.url, self._headers, None
        content = request.content
        if request.query:
            from urllib.parse import urlencode

            url = f"{url}?{urlencode(request.query, safe=',:')}"
        if content is not None:
            headers = {**headers, "content-type": "application/json"}
        elif request.form is not None:
            body = MultipartBody(request.form)
            headers = {**headers, **body.headers}
        if request.headers:
            headers = {**headers, **{name.lower(): value for name, value in request.headers.items()}}
        try:
            address = httpx.URL(url)
            stream = None
            if body is not None:
                # httpx adds no headers when the stream is not its own.
                headers = {"host": address.netloc.decode("ascii"), **headers}
                stream = _Upload(body)
            raw = httpx.Request(request.method, address, headers=headers, content=content, stream=stream)
            if content is not None:
                raw.stream = _Content(content)
        except httpx.InvalidURL as error:
            problem = f"has an invalid address: {error}"
        except (UnicodeError, TypeError, ValueError) as error:
            problem = f"can't be sent: {error}"
        else:
            return Prepared(raw, body, request.timeouts or self._timeouts)
        raise UsageError(f"{request!r} {problem}")

    @property
    def is_open(self) -> bool:
        """Whether there are open connections of its own, or a pool that may have some."""
        others = any(transport is not self._pooled for transport, _ in self._proxied.values())
        return self._pooled.is_open or self._fast is not None or others

    def check(self, url: str) -> None:
        """Check what the environment sets up for requests to a URL.

        Raises:
            UsageError: A certificate file or a proxy setting is wrong.
        """
        if self._transport is None:
            self._route(httpx.URL(url))
            if url.startswith("https:"):
                self._tls()

    async def exchange(
        self, prepared: Prepared, *, stream: bool = False, limit: float | None = None
    ) -> Response | Failure:
        """Send once.

        Args:
            prepared: What to send.
            stream: Return a success as a `Download`, which the caller closes.
            limit: Most seconds for the attempt, from the end of the request to the end of the answer (of a download: to its
                headers). `Timeouts.total` holds besides.

        Raises:
            UsageError: The request or the environment is wrong; nothing was sent.
        """
        raw: httpx.Response | None = None
        request, times = prepared.raw, prepared.timeouts
        total = _least(limit, times.total)
        transport, proxy = self._route(request.url)
        pooled = transport is self._pooled and not stream
        request.extensions = {
            "timeout": {
                "connect": times.connect,
                "read": times.read,
                "write": times.write,
                "pool": times.pool,
                "total": total if pooled else None,
            }
        }
        try:
            if pooled or total is None:
                raw = await transport.handle_async_request(request)
                if stream and raw.is_success:
                    return _download(raw)
                return await self._answer(raw)
            with anyio.move_on_after(total) as scope:
                if prepared.upload is not None:
                    prepared.upload.on_piece = lambda: _extend(scope, total)
                raw = await transport.handle_async_request(request)
                if stream and raw.is_success:
                    return _download(raw)
                return await self._answer(raw)
            raise TimeoutError(_too_long(total))
        except KantataError:
            if raw is not None:
                await _close(raw)
            raise
        except Exception as error:
            if (theirs := prepared.upload_error) is not None:
                if theirs is error:
                    raise
                raise theirs from None
            if isinstance(error, httpx.ProxyError) and proxy is not None and str(error).startswith("407"):
                failure, problem = None, proxy.advice
            else:
                failure, problem = prepared.redacted(_failure_of(error, raw)), ""
        except BaseException as error:  # noqa: BLE001 - raised again
            if raw is not None:
                await _close(raw)
            # Mostly a cancellation. The frames below hold the headers, and so the token, in their local variables.
            raise error.with_traceback(None) from None
        if failure is None:
            raise UsageError(problem)
        if raw is None:
            return failure
        await _close(raw)
        # A refusal counts even if its explanation got lost.
        return failure if raw.is_success else Response(raw.status_code, raw.headers, b"")

    async def aclose(self, *, for_good: bool) -> None:
        """Close all connections; `for_good` closes a transport that outlives the event loop, too."""
        self._pooled.close()
        fast, self._fast = self._fast, None
        if fast is not None:
            await fast.aclose()
        proxied, self._proxied = self._proxied, {}
        for transport, _ in proxied.values():
            if transport is not self._pooled:
                await transport.aclose()
        if self._transport is not None and (for_good or not self._theirs):
            await self._transport.aclose()

    async def _answer(self, raw: httpx.Response) -> Response:
        """The answer, read to its end."""
        if raw.is_stream_consumed:  # by a transport that gives its whole body at once, as in tests
            return Response(raw.status_code, raw.headers, raw.content)
        try:
            body = Body(raw.headers.get("content-encoding", ""), self._largest)
        except UndecodableError:
            if raw.is_success:
                raise
            body = Body("", self._largest)  # of an error, which says what it can without its body
        pieces = aiter(cast("AsyncIterable[bytes]", raw.stream))
        try:
            async for piece in pieces:
                body.add(piece)
        finally:
            if isinstance(pieces, AsyncGenerator):
                await cast("AsyncGenerator[bytes]", pieces).aclose()
        await _close(raw)
        return Response(raw.status_code, raw.headers, body.end())

    def _route(self, url: httpx.URL) -> tuple[AsyncTransport, Proxy | None]:
        """What sends to a URL, and the proxy that is passed."""
        if self._transport is not None:
            return self._transport, None
        if not self._use_proxies or url.scheme != "https":
            return self._direct(url), None
        place = url.host, url.port
        route = self._proxied.get(place)
        if route is None:
            proxy = proxy_for(url.scheme, *place)
            transport = self._pooled if proxy is None else self._through(proxy)
            route = self._proxied[place] = transport, proxy
        return (self._direct(url), None) if route[1] is None else route

    def _direct(self, url: httpx.URL) -> AsyncTransport:
        """What sends without a proxy."""
        if self._fast_origin is None or _origin(url) != self._fast_origin:
            # Signed addresses do not go over aiohttp, which normalizes them.
            return self._pooled
        if self._fast is None:
            self._fast = over_aiohttp(self._tls() if url.scheme == "https" else None)
        return self._fast

    def _through(self, proxy: Proxy) -> AsyncTransport:
        tls = self._tls()
        try:
            return httpx.AsyncHTTPTransport(verify=tls, limits=self._limits, proxy=httpx.Proxy(proxy.url))
        except Exception:  # noqa: BLE001 - its text may repeat a password
            problem = f"{proxy.variable} is not the address of a proxy"
        raise UsageError(problem)

    def _tls(self) -> ssl.SSLContext:
        return self._trust.context(httpx.create_ssl_context)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _download(raw: httpx.Response) -> Download:
    # A transport that gives its whole body at once (in a test) has it read when the response is made.
    if raw.is_stream_consumed:
        return Download(raw.status_code, raw.headers, b"", raw, _once(raw.content))
    pieces = aiter(cast("AsyncIterable[bytes]", raw.stream))
    return Download(raw.status_code, raw.headers, b"", raw, pieces)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content


async def _close(raw: httpx.Response) -> None:
    await cast("httpx.AsyncByteStream", raw.stream).aclose()


def _least(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _extend(scope: anyio.CancelScope, seconds: float) -> None:
    scope.deadline = anyio.current_time() + seconds


def _too_long(seconds: float) -> str:
    return f"no complete answer within {seconds:.3g} s"


def _failure_of(error: Exception, answer: httpx.Response | None) -> Failure:
    """The failure that an exception stands for; `answer` is what had arrived by then."""
    found = reached(error)
    if found is not None and answer is None:
        return _of_aiohttp(*found)
    timeout = isinstance(error, (httpx.TimeoutException, TimeoutError))
    reason = str(error) or ("no answer in time" if timeout else type(error).__name__)
    if answer is not None:
        status, request_id = answer.status_code, answer.headers.get("x-request-id")
        if isinstance(error, (TooLargeError, UndecodableError)):
            advice = _LARGER if isinstance(error, TooLargeError) else _PROXY
            return Failure(reason, hopeless=True, advice=advice, status=status, request_id=request_id)
        reason = f"the answer was cut off ({reason})"
        return Failure(reason, timeout=timeout, status=status, request_id=request_id)
    if isinstance(error, httpx.PoolTimeout):
        return Failure("no connection became free in time", unsent=True, timeout=True)
    if isinstance(error, httpx.ConnectTimeout):
        return Failure("no connection in time", unsent=True, timeout=True)
    if isinstance(error, (httpx.ConnectError, httpx.ProxyError)):
        return _unconnected(reason)
    if not isinstance(error, _BROKEN):
        # A fault of a transport. How far the request got is not known, and it would hardly go better next time.
        return Failure(f"the transport failed with {type(error).__name__}: {error}", hopeless=True)
    return Failure(reason, timeout=timeout)


def _unconnected(reason: str) -> Failure:
    """The failure of an attempt that got no connection."""
    if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate verify failed" in reason:
        return Failure(f"no connection ({reason})", unsent=True, hopeless=True, advice=_UNTRUSTED)
    advice = _FILES if strerror(EMFILE) in reason else ""
    return Failure(f"no connection ({reason})", unsent=True, advice=advice)


def _of_aiohttp(reason: str, unsent: bool, timeout: bool) -> Failure:
    if not unsent:
        return Failure("no answer in time" if timeout else reason, timeout=timeout)
    return Failure("no connection in time", unsent=True, timeout=True) if timeout else _unconnected(reason)


def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"kantata-client/{version('kantata-client')}"
    except PackageNotFoundError:
        return "kantata-client"
