"""The connections of one client in one event loop, and one exchange over them.

Exceptions of the network stay inside: they may hold the request with its token, so a failure is returned as a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import attrs

from kantata_client._http.adapters import Answer
from kantata_client._http.aiohttp_adapter import AiohttpAdapter
from kantata_client._http.bodies import Body, UndecodableError
from kantata_client._http.environment import Trust, proxy_for
from kantata_client._http.failures import failure_of
from kantata_client._http.http11_adapter import HTTP11Adapter
from kantata_client._http.httpx_adapter import HttpxAdapter, through_proxy, tls_context
from kantata_client._http.messages import Failure, Response
from kantata_client._http.pool import Pool
from kantata_client._http.prepared import Preparer, Upload
from kantata_client._http.storage_guard import StorageGuard
from kantata_client.errors import KantataError, UsageError

if TYPE_CHECKING:
    import ssl

    from kantata_client._http.adapters import Adapter
    from kantata_client._http.environment import Proxy
    from kantata_client._http.messages import AsyncTransport, Timeouts
    from kantata_client._http.prepared import PreparedRequest
    from kantata_client._http.urls import Origin


@attrs.frozen(eq=False, repr=False)
class Download(Response):
    """A response whose body is read chunk by chunk; `content` is empty."""

    _answer: Answer = attrs.field(repr=False)

    async def chunk(self) -> bytes | Failure | None:
        """Read more of the body as sent (compressed, if `content-encoding` says so); `None` at the end."""
        # With a fast sender, the next piece has always arrived already, and a cancellation would never be delivered.
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            return await anext(self._answer, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the download failed
            return failure_of(error, self._answer)

    async def aclose(self) -> None:
        """Return the connection to the pool, or close it if some of the body is unread."""
        await self._answer.aclose()


class Connections:
    """The connections of one client in one event loop."""

    def __init__(
        self,
        transport: AsyncTransport | None,
        base_url: str,
        timeouts: Timeouts,
        *,
        theirs: bool,
        aiohttp: bool,
        keep: int,
        largest: int | None,
        trust: Trust,
        use_proxies: bool,
    ) -> None:
        """Set up without connecting to anything.

        Args:
            transport: The user's own transport, used for everything.
            base_url: URL of the API.
            timeouts: For each attempt.
            theirs: Whether the user's transport outlives the event loop.
            aiohttp: Whether requests to the API are sent over aiohttp.
            keep: Most idle connections kept open to an origin.
            largest: Largest response, in bytes after decompression.
            trust: The certificates of the client.
            use_proxies: Whether HTTPS_PROXY and the like are obeyed.

        Raises:
            UsageError: The base URL is invalid.
        """
        headers = {
            "user-agent": _user_agent(),
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
        }
        self._preparer = Preparer(base_url, timeouts, headers)
        self.prepare = self._preparer.prepare
        self.base_path = self._preparer.base.path
        """The path of the base URL as it is sent, without a slash at its end."""
        self._origin = self._preparer.base.target.origin
        self._users = None if transport is None else HttpxAdapter(transport)
        self._theirs = theirs
        self._use_aiohttp = aiohttp
        self._aiohttp: AiohttpAdapter | None = None
        self._trust = trust
        self.pool = Pool(keep, self._tls, StorageGuard.for_api(base_url))
        self._own = HTTP11Adapter(self.pool)
        self._proxied: dict[Origin, tuple[Adapter | None, Proxy | None]] = {}
        self._largest = largest
        self._use_proxies = use_proxies

    @property
    def is_open(self) -> bool:
        """Whether there are open connections of its own, or an adapter that may have some."""
        proxied = any(adapter is not None for adapter, _ in self._proxied.values())
        return len(self.pool) > 0 or self._aiohttp is not None or proxied

    def check(self) -> None:
        """Check what the environment sets for requests to the API.

        Raises:
            UsageError: A certificate file or a proxy setting is invalid.
        """
        if self._users is None:
            self._route(self._origin)
            if self._origin[0] == "https":
                self._tls()

    async def exchange(
        self, prepared: PreparedRequest, *, stream: bool = False, limit: float | None = None
    ) -> Response | Failure:
        """Send once.

        Args:
            prepared: What to send.
            stream: Return a success as a `Download`, which the caller closes.
            limit: Most seconds for the attempt, from the end of the request to the end of the response (of a download: to
                the end of its headers). `Timeouts.total` applies as well.

        Raises:
            UsageError: The request or the environment is invalid; nothing was sent.
        """
        answer: Answer | None = None
        total = prepared.timeouts.total
        if limit is not None and (total is None or limit < total):
            total = limit
        adapter, proxy = self._route(prepared.origin)
        try:
            if total is None or (not stream and adapter.limits_total(prepared)):
                answer = await adapter.send(prepared, total)
                if stream and 200 <= answer.status < 300:
                    return Download(answer.status, answer.headers, b"", answer)
                return await self._read(answer)
            with anyio.move_on_after(total) as scope:
                if isinstance(prepared.body, Upload):
                    prepared.body.on_piece = lambda: _extend(scope, total)
                answer = await adapter.send(prepared, None)
                if stream and 200 <= answer.status < 300:
                    return Download(answer.status, answer.headers, b"", answer)
                return await self._read(answer)
            raise TimeoutError(f"no complete answer within {total:.3g} s")
        except KantataError:
            if answer is not None:
                await answer.aclose()
            raise
        except Exception as error:
            if (theirs := prepared.upload_error) is not None:
                if theirs is error:
                    raise
                raise theirs from None
            problem = None if proxy is None else proxy.mistake(error)
            failure = None if problem else prepared.redacted(failure_of(error, answer))
        except BaseException as error:  # noqa: BLE001 - raised again
            if answer is not None:
                await answer.aclose()
            # Mostly a cancellation. The frames below hold the headers, and so the token, in their local variables.
            raise error.with_traceback(None) from None
        if failure is None:
            raise UsageError(str(problem))
        if answer is None:
            return failure
        await answer.aclose()
        # A refusal is a refusal, even if its body was lost.
        return failure if 200 <= answer.status < 300 else Response(answer.status, answer.headers, b"")

    async def aclose(self, *, for_good: bool) -> None:
        """Close all connections; with `for_good`, a transport that outlives the event loop, too."""
        await self._own.aclose()
        aiohttp, self._aiohttp = self._aiohttp, None
        if aiohttp is not None:
            await aiohttp.aclose()
        proxied, self._proxied = self._proxied, {}
        for adapter, _ in proxied.values():
            if adapter is not None:
                await adapter.aclose()
        if self._users is not None and (for_good or not self._theirs):
            await self._users.aclose()

    async def _read(self, answer: Answer) -> Response:
        """Read a response to its end."""
        if answer.content is not None:
            return Response(answer.status, answer.headers, answer.content)
        headers, arrived, largest = answer.headers, answer.arrived, self._largest
        encoding = headers.get("content-encoding")
        if arrived is not None and encoding is None and (largest is None or len(arrived) <= largest):
            return Response(answer.status, headers, arrived)
        try:
            body = Body(encoding or "", largest)
        except UndecodableError:
            if 200 <= answer.status < 300:
                raise
            body = Body("", largest)  # the status of an error says enough without its body
        async for piece in answer:
            body.add(piece)
        await answer.aclose()
        return Response(answer.status, headers, body.end())

    def _route(self, origin: Origin) -> tuple[Adapter, Proxy | None]:
        """What sends to an origin, and the proxy that it uses."""
        if self._users is not None:
            return self._users, None
        if not self._use_proxies or origin[0] != "https":
            return self._direct(origin), None
        route = self._proxied.get(origin)
        if route is None:
            proxy = proxy_for(*origin)
            adapter = None if proxy is None else through_proxy(proxy, self._tls())
            route = self._proxied[origin] = adapter, proxy
        adapter, proxy = route
        return adapter or self._direct(origin), proxy

    def _direct(self, origin: Origin) -> Adapter:
        """What sends without a proxy."""
        if not self._use_aiohttp or origin != self._origin:
            return self._own
        if self._aiohttp is None:
            base = f"{origin[0]}://{self._preparer.base.target.host.decode('ascii')}"
            tls = self._tls() if origin[0] == "https" else None
            self._aiohttp = AiohttpAdapter(base, self._preparer.headers, tls)
        return self._aiohttp

    def _tls(self) -> ssl.SSLContext:
        return self._trust.context(tls_context)


def _extend(scope: anyio.CancelScope, seconds: float) -> None:
    scope.deadline = anyio.current_time() + seconds


def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"kantata-client/{version('kantata-client')}"
    except PackageNotFoundError:
        return "kantata-client"
