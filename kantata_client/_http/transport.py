"""The transport of a client, created with the client and set up by its first request."""

from __future__ import annotations

import sys
import time
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Self
from weakref import ref

from kantata_client._concurrency import Ahead
from kantata_client._http.options import (
    parse_base_url,
    parse_hooks,
    parse_max_concurrency,
    parse_max_response_bytes,
    parse_retries,
    parse_throttle,
    parse_timeout,
    parse_transport,
)
from kantata_client._lazy import resolvable
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
    from types import ModuleType

    from kantata_client._http.connections import Download
    from kantata_client._http.messages import Failure, Request, Response, Timeouts, TransportOption
    from kantata_client._http.retry import RetryPolicy
    from kantata_client._http.sender import Sender, Settings
    from kantata_client._http.throttle import Throttle
    from kantata_client._http.tokens import Secret, TokenProvider
    from kantata_client._loops import Slots
    from kantata_client.errors import KantataError
    from kantata_client.hooks import Hooks

BASE_URL = "https://api.mavenlink.com/api/v1"

LARGEST = 256 * 2**20
"""Default maximum size of a response in bytes. A page of 200 records has about half a million."""


@resolvable
class StreamedResponse:
    """A successful response whose body is read chunk by chunk: `async for chunk in response`."""

    def __init__(self, download: Download, request: Request, path: str) -> None:
        self.status = download.status
        self.headers: Mapping[str, str] = download.headers
        self.request_id = download.request_id
        self._download = download
        self._request = request
        self._path = path

    def __aiter__(self) -> Self:
        """Iterate over the body as it was sent: still compressed if there is a `content-encoding` header."""
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._download.chunk()
        if chunk is None:
            raise StopAsyncIteration
        if isinstance(chunk, bytes):
            return chunk
        from kantata_client._http.problems import connection_error

        raise connection_error(chunk, self._request, self._path, "Resume or repeat the download.")


class Transport:
    """Sends the requests of a client and all its `with_token` copies, with one throttle and one set of connections.

    Creating one is cheap and needs no event loop; the first request sets up httpx and TLS. It can be used in several event
    loops (such as `asyncio.run` twice), and has separate connections in each.
    """

    def __init__(
        self,
        *,
        base_url: str = BASE_URL,
        timeout: float | Timeouts | None = None,
        retries: RetryPolicy | int | None = None,
        throttle: Throttle | float | None = None,
        max_concurrency: int = 32,
        max_response_bytes: int | None = LARGEST,
        transport: TransportOption | None = None,
        hooks: Hooks | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        """Create a transport. No connection is opened yet.

        Args:
            base_url: The API's base URL.
            timeout: Seconds to wait for a connection, for each read and for each write; or `Timeouts`.
            retries: How often to repeat a failed request; or a `RetryPolicy`.
            throttle: A fixed rate in requests a second; or a `Throttle`.
            max_concurrency: Maximum number of requests in flight, not counting downloads whose headers have arrived.
            max_response_bytes: Maximum size of a decompressed response; None for no limit. Downloads are not limited.
            transport: An async transport of httpx to use instead of the client's own, a function that makes one for each
                event loop, or `"aiohttp"`.
            hooks: Callbacks for events.
            clock: Returns the time in seconds; for tests.
            sleep: Waits for a number of seconds; for tests.

        Raises:
            UsageError: An option is invalid.
        """
        self.base_url, self._closed = "", False  # for repr and del, if an option is refused
        self._shared: Settings | None = None
        self._here: tuple[ref[object], ref[Sender]] | None = None
        """The event loop that asked last, and its sender."""
        self.base_url = base_url if base_url == BASE_URL else parse_base_url(base_url)
        self._throttle = parse_throttle(throttle)
        self._hooks = parse_hooks(hooks)
        self._timeouts = parse_timeout(timeout)
        self._retries = parse_retries(retries)
        self._max_concurrency = parse_max_concurrency(max_concurrency)
        self._max_response_bytes = parse_max_response_bytes(max_response_bytes)
        self._transport: TransportOption | None = parse_transport(transport)
        self._clock = clock
        self._sleep = sleep
        self.ahead = Ahead()
        """Background requests of a client that was entered with `async with`."""

    def send(self, request: Request, auth: TokenProvider | None = None) -> Coroutine[Any, Any, Response]:
        """Send a request, repeat it as the retry policy says, and return the successful (2xx) response.

        Raises:
            UsageError: The request is invalid. Nothing was sent.
            APIError: The service rejected it; the class depends on the status.
            KantataConnectionError: No connection could be made, or it broke.
            KantataTimeoutError: No response arrived in time.
            UnknownOutcomeError: The request may have been carried out, and must not be repeated.
            KantataError: The token provider raised it.
        """
        return self._sender().perform(request, auth, self._problem, stream=False)

    @asynccontextmanager
    async def stream(
        self, request: Request, auth: TokenProvider | None = None
    ) -> AsyncGenerator[StreamedResponse]:
        """Like `send`, but yields the response before its body is read. A failure while reading the body is not retried."""
        download = await self._sender().download(request, auth, self._problem)
        try:
            yield StreamedResponse(download, request, request.path_below(self.base_url))
        finally:
            await download.aclose()

    def storage_slots(self) -> Slots:
        """Slots for uploads and downloads at other hosts. Take one before you request the signed URL.

        A request to another host takes no other slot, because its signed URL could expire while it waits.
        """
        return self._sender().storage_slots

    @property
    def throttle(self) -> Throttle:
        """The throttle, which decides when a request may be sent."""
        if self._throttle is None:
            from kantata_client._http.throttle import AdaptiveThrottle

            self._throttle = AdaptiveThrottle()
        return self._throttle

    @property
    def retries(self) -> RetryPolicy:
        """The retry policy."""
        if self._retries is None:
            from kantata_client._http.retry import RetryPolicy

            self._retries = RetryPolicy()
        return self._retries

    def check(self) -> None:
        """Set up what the first request needs. Call it in the event loop.

        Raises:
            UsageError: The environment or the transport is invalid.
        """
        self._sender()

    def clock(self) -> float:
        """The time in seconds, by a monotonic clock."""
        return self._clock()

    async def rest(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        await (_rest if self._sleep is None else self._sleep)(seconds)

    async def aclose(self) -> None:
        """Close the connections of the running event loop. Nothing can be sent afterwards. Further calls do nothing."""
        self._closed, self._here = True, None
        await self.ahead.aclose()
        if self._shared is None:
            return  # nothing was sent yet
        self._shared.closed = True
        from kantata_client._http.sender import SENDERS

        sender = SENDERS.running().pop(self, None)
        if sender is not None:
            await sender.aclose()

    def __del__(self) -> None:
        """Warn about connections that the client's last copy leaves open."""
        if self._closed or self._shared is None or sys.is_finalizing():
            return
        from kantata_client._http.sender import SENDERS

        sender = SENDERS.peek(self)
        if sender is None or not sender.connections.is_open:
            return
        import warnings

        warnings.warn(
            f"A client of {self.base_url} was not closed: write `async with Kantata() as kantata:`, or call "
            "`await kantata.aclose()` when it has done its work.",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )

    def __repr__(self) -> str:
        return f"<Transport to {self.base_url}{', closed' if self._closed else ''}>"

    def _problem(
        self,
        request: Request,
        outcome: Response | Failure,
        secret: Secret | None,
        attempts: int,
        *,
        unknown: bool,
        lost: bool,
    ) -> KantataError:
        from kantata_client._http.problems import problem

        return problem(request, self.base_url, outcome, secret, attempts, unknown=unknown, lost=lost)

    def _sender(self) -> Sender:
        if self._closed:
            raise UsageError("The client is closed: create a new one, or send inside its `async with` block.")
        sending = _sending()
        loop, here = sending.running_loop(), self._here
        if here is not None and here[0]() is loop and (sender := here[1]()) is not None:
            return sender
        senders = sending.SENDERS.running()
        sender = senders.get(self)
        if sender is None:
            sender = senders[self] = sending.Sender(self._settings())
        self._here = ref(loop), ref(sender)
        return sender

    def _settings(self) -> Settings:
        if self._shared is None:
            from kantata_client._http.messages import Timeouts
            from kantata_client._http.sender import Settings
            from kantata_client.hooks import Hooks

            self._shared = Settings(
                base_url=self.base_url,
                throttle=self.throttle,
                hooks=self._hooks or Hooks(),
                timeouts=self._timeouts or Timeouts(),
                retries=self.retries,
                max_concurrency=self._max_concurrency,
                max_response_bytes=self._max_response_bytes,
                transport=self._transport,
                clock=self._clock,
                rest=_rest if self._sleep is None else self._sleep,
            )
        return self._shared


@cache
def _sending() -> ModuleType:
    """The module that sends, which is imported by the first request."""
    from kantata_client._http import sender

    return sender


async def _rest(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)
