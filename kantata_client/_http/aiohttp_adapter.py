"""Sending over aiohttp (`Kantata(transport="aiohttp")`), and how far a request got when aiohttp raises."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Self

import h11

from kantata_client._http.adapters import UnconnectedError
from kantata_client._http.deadlines import Deadlines
from kantata_client._http.headers import Headers
from kantata_client._http.prepared import Upload
from kantata_client._loops import on_asyncio
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ssl import SSLContext

    from aiohttp import ClientRequest, ClientResponse, ClientSession, ClientTimeout, TCPConnector
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.tracing import Trace

    from kantata_client._http.deadlines import Deadline
    from kantata_client._http.prepared import PreparedRequest, RawHeaders

_UNSENT = frozenset({"ClientConnectorError", "ConnectionTimeoutError"})
"""Names of the exceptions that aiohttp raises while it connects."""

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})


class AiohttpAdapter:
    """Sends with a `ClientSession`.

    Driving it directly, and not through a transport of httpx, costs a third less CPU: no URL is parsed, and no request or
    response of httpx is built.
    """

    def __init__(self, base: str, headers: RawHeaders, tls: SSLContext | None) -> None:
        """Open a session in the running event loop.

        Args:
            base: Scheme and host of all requests.
            headers: Those that requests usually have, including `host`. They are merged once, and not for each request.
            tls: For https.

        Raises:
            UsageError: aiohttp is not installed, or the event loop is not asyncio's.
        """
        if not on_asyncio():
            raise UsageError("transport='aiohttp' needs asyncio: leave it out under trio")
        try:
            import aiohttp
            from yarl import URL
        except ImportError:
            missing = "transport='aiohttp' needs an extra: pip install 'kantata-client[aiohttp]'"
        else:
            self._url = URL
            self._timeout = aiohttp.ClientTimeout
            self._timeouts: dict[tuple[float | None, float | None], ClientTimeout] = {}
            self._base = base
            self._usual = headers
            self._deadlines = Deadlines()
            self._session: ClientSession = aiohttp.ClientSession(
                connector=_connector(tls, self._deadlines),
                # aiohttp adds no header of its own, because these have all that it knows.
                headers=_as_text(headers),
                # One user's cookies must not go out with the next user's requests.
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
            # aiohttp would repeat a PUT itself. Which requests may be repeated is decided per operation, by the sender.
            self._session._retry_connection = False  # pyright: ignore[reportPrivateUsage]
            return
        raise UsageError(missing)

    def limits_total(self, request: PreparedRequest) -> bool:
        """Unless the body is a form, whose pieces may take any time."""
        return isinstance(request.body, bytes)

    async def send(self, request: PreparedRequest, total: float | None) -> AiohttpAnswer:
        """Send a request; see `Adapter`."""
        if request.custom or request.method not in _METHODS:
            _check(request)
        body = request.body
        headers = _as_text(request.headers_besides(self._usual))
        if isinstance(body, Upload):
            headers.pop("transfer-encoding", None)  # aiohttp sets it itself
        url = self._url(self._base + request.path.decode("ascii"), encoded=True)
        times = request.timeouts
        deadline = None if total is None else self._deadlines.start(times.read, total)
        read = times.read if deadline is None else None
        try:
            response = await self._session.request(
                request.method,
                url,
                headers=headers,
                data=body or None,
                allow_redirects=False,
                timeout=self._limits(times.connect, read),
            )
        except BaseException as error:
            if deadline is None:
                raise
            deadline.end()
            if not isinstance(error, CancelledError):
                raise
            raised = deadline.error(error)
            if isinstance(raised, TimeoutError) and deadline.connecting:
                raise UnconnectedError from raised
            raise raised from None
        return AiohttpAnswer(response, deadline)

    async def aclose(self) -> None:
        """Close the session."""
        self._deadlines.close()
        await self._session.close()

    def _limits(self, connect: float | None, read: float | None) -> ClientTimeout:
        """Timeouts for aiohttp, made once and not for each request."""
        limits = self._timeouts.get((connect, read))
        if limits is None:
            limits = self._timeout(total=None, sock_connect=connect, sock_read=read)
            if len(self._timeouts) > 100:
                self._timeouts.clear()
            self._timeouts[connect, read] = limits
        return limits


def _connector(tls: SSLContext | None, deadlines: Deadlines) -> TCPConnector:
    """Connections without a limit, since the sender has one. A deadline knows while one is being made."""
    from aiohttp import TCPConnector

    class Connector(TCPConnector):
        async def _create_connection(
            self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
        ) -> ResponseHandler:
            deadline = deadlines.running()
            if deadline is None:
                return await super()._create_connection(req, traces, timeout)
            deadline.connect()
            protocol = await super()._create_connection(req, traces, timeout)
            deadline.renew()
            return protocol

    return Connector(limit=0, ssl=tls or True, keepalive_timeout=5.0)


def _as_text(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("ascii"): value.decode("ascii") for name, value in headers}


class AiohttpAnswer:
    """A response of aiohttp."""

    __slots__ = ("_deadline", "_ended", "_response", "arrived", "content", "headers", "status")

    def __init__(self, response: ClientResponse, deadline: Deadline | None) -> None:
        self.status = response.status
        self.headers = Headers(response.raw_headers)
        self.content: bytes | None = None
        self.arrived: bytes | None = None
        self._response = response
        self._deadline = deadline
        self._ended = False
        body = response.content
        if body.is_eof() and body.exception() is None:
            self.arrived = body.read_nowait()  # aiohttp has its connection back
            self._ended = True
            if deadline is not None:
                deadline.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        deadline, body = self._deadline, self._response.content
        piece, self.arrived = self.arrived or b"", None
        if piece or body.at_eof():
            pass
        elif deadline is None:
            piece = await body.readany()
        else:
            deadline.renew()
            try:
                piece = await body.readany()
            except CancelledError as error:
                raise deadline.error(error) from None
        if not piece:
            self._ended = True
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Close the connection if the body was not read to its end."""
        if self._deadline is not None:
            self._deadline.end()
        if not self._ended:  # else aiohttp has its connection back
            self._response.close()


def _check(request: PreparedRequest) -> None:
    """Check a request as the client's own connections do; aiohttp raises nothing that would show that it is unsent.

    Raises:
        UsageError: It is not valid HTTP.
    """
    try:
        h11.Request(method=request.method, target=request.path, headers=request.headers)
    except h11.LocalProtocolError as error:
        problem = str(error)
    else:
        return
    raise UsageError(f"{request.method} can't be sent: {problem}")


def aiohttp_failure(error: BaseException) -> tuple[str, bool, bool] | None:
    """The reason of an exception of aiohttp, whether nothing was sent, and whether time ran out.

    `None` for an exception of another origin. httpx-aiohttp, a transport that users may pass, has it as its cause.
    """
    for each in (error, error.__cause__):
        if each is not None and type(each).__module__.partition(".")[0] == "aiohttp":
            names = {kind.__name__ for kind in type(each).__mro__}
            timeout = isinstance(each, TimeoutError)
            return str(each) or type(each).__name__, not names.isdisjoint(_UNSENT), timeout
    return None
