"""Where requests of a client go out: made with the client, and set up by its first request."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from kantata_client._concurrency import Ahead
from kantata_client._http.options import (
    base_url_of,
    bytes_of,
    concurrency_of,
    hooks_of,
    policy_of,
    throttle_of,
    timeouts_of,
    transport_of,
)
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from kantata_client._http.connection import Download
    from kantata_client._http.messages import Failure, Request, Response, Timeouts, TransportOption
    from kantata_client._http.retry import RetryPolicy
    from kantata_client._http.sender import Sender, Settings
    from kantata_client._http.throttle import Throttle
    from kantata_client._http.tokens import Secret, TokenProvider
    from kantata_client._loops import Places
    from kantata_client.errors import KantataError
    from kantata_client.hooks import Hooks

BASE_URL = "https://api.mavenlink.com/api/v1"

LARGEST = 256 * 2**20
"""Most bytes of an answer by default. A page of 200 records has half a million."""


class StreamedResponse:
    """A successful answer whose body is read piece by piece: `async for chunk in response`."""

    def __init__(self, download: Download, request: Request, path: str) -> None:
        self.status = download.status
        self.headers: Mapping[str, str] = download.headers
        self.request_id = download.request_id
        self._download = download
        self._request = request
        self._path = path

    def __aiter__(self) -> Self:
        """Pieces of the body as it was sent: compressed, if the header `content-encoding` says so."""
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
    """Sends for a client and all its `with_token` copies: one throttle, one set of connections.

    Making one costs next to nothing and needs no event loop; httpx and TLS are set up by the first request. It can be used
    in several event loops, one after the other (`asyncio.run` twice): each has its own connections.
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
        """Make a transport; nothing is opened yet.

        Args:
            base_url: Where the API is.
            timeout: Seconds for connecting, for each read and each write; or `Timeouts`.
            retries: How often to repeat a request; or a `RetryPolicy`.
            throttle: Requests a second, at a fixed rate; or a `Throttle`.
            max_concurrency: Most requests in flight at once, not counting downloads whose headers have arrived.
            max_response_bytes: Most bytes of an answer, decompressed; `None` sets no limit. Downloads have none.
            transport: An async transport of httpx to use instead of the client's own, a function that makes one for each
                event loop, or `"aiohttp"`.
            hooks: What to call on events.
            clock: Gives seconds; for tests.
            sleep: Waits for seconds; for tests.

        Raises:
            UsageError: An option is wrong.
        """
        self.base_url, self._closed = "", False  # the repr needs them if an option is refused
        self.base_url = base_url if base_url == BASE_URL else base_url_of(base_url)
        self._throttle = throttle_of(throttle)
        self._hooks = hooks_of(hooks)
        self._timeouts = timeouts_of(timeout)
        self._retries = policy_of(retries)
        self._default_deadline = self._retries is None or isinstance(retries, int)
        self._max_concurrency = concurrency_of(max_concurrency)
        self._max_response_bytes = bytes_of(max_response_bytes)
        self._transport: TransportOption | None = transport_of(transport)
        self._clock = clock
        self._sleep = sleep
        self._shared: Settings | None = None
        self.ahead = Ahead()
        """Requests in progress while their caller does something else, of a client that was entered."""

    async def send(self, request: Request, auth: TokenProvider | None = None) -> Response:
        """Send, repeat if need be, and return the answer, whose status is 2xx.

        Raises:
            UsageError: The request can't be sent; nothing was.
            APIError: The service refused; the class depends on the status.
            KantataConnectionError: No connection, or it broke.
            KantataTimeoutError: No answer in time.
            UnknownOutcomeError: The request may have been carried out and must not be repeated.
            KantataError: What the token provider raises.
        """
        return await self._sender().perform(request, auth, self._problem, stream=False)

    @asynccontextmanager
    async def stream(
        self, request: Request, auth: TokenProvider | None = None
    ) -> AsyncGenerator[StreamedResponse]:
        """Like `send`, but the body is still to be read. A failure while it is read is not retried."""
        download = await self._sender().download(request, auth, self._problem)
        try:
            yield StreamedResponse(download, request, request.path_below(self.base_url))
        finally:
            await download.aclose()

    def elsewhere(self) -> Places:
        """Places for uploads to and downloads from other hosts: take one before you ask for the signed address.

        A request outside of `base_url` takes no other place, since its address would expire while it waits.
        """
        return self._sender().elsewhere

    @property
    def throttle(self) -> Throttle:
        """What decides when a request may leave."""
        if self._throttle is None:
            from kantata_client._http.throttle import AdaptiveThrottle

            self._throttle = AdaptiveThrottle()
        return self._throttle

    @property
    def retries(self) -> RetryPolicy:
        """How often, how long and on what a request is repeated."""
        if self._retries is None:
            from kantata_client._http.retry import RetryPolicy

            self._retries = RetryPolicy()
        return self._retries

    def check(self) -> None:
        """Set up what the first request would; call it in the event loop.

        Raises:
            UsageError: The environment or the transport is wrong.
        """
        self._sender()

    def clock(self) -> float:
        """Seconds of a clock that never goes back."""
        return self._clock()

    async def rest(self, seconds: float) -> None:
        """Wait before something is tried again."""
        await (_rest if self._sleep is None else self._sleep)(seconds)

    async def aclose(self) -> None:
        """Close the connections of this event loop; nothing can be sent afterwards. It can be called more than once."""
        self._closed = True
        await self.ahead.aclose()
        if self._shared is None:
            return  # nothing was sent yet
        self._shared.closed = True
        from kantata_client._http.sender import SENDERS

        sender = SENDERS.running().pop(self, None)
        if sender is not None:
            await sender.aclose()

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
            raise UsageError("This client is closed: make a new one, or send inside its `async with` block.")
        from kantata_client._http.sender import SENDERS, Sender

        senders = SENDERS.running()
        sender = senders.get(self)
        if sender is None:
            sender = senders[self] = Sender(self._settings())
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
                patience=None if self._default_deadline else self.retries.deadline or None,
                max_concurrency=self._max_concurrency,
                max_response_bytes=self._max_response_bytes,
                transport=self._transport,
                clock=self._clock,
                rest=_rest if self._sleep is None else self._sleep,
            )
        return self._shared


async def _rest(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)
