"""From a request to its outcome: authorization, throttle, retries. One place sends."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, cast
from weakref import ReferenceType, ref

import anyio
import attrs

from kantata_client._http import reports
from kantata_client._http.addresses import inward, unsafe
from kantata_client._http.connection import Connections
from kantata_client._http.endings import at_the_end
from kantata_client._http.environment import Trust
from kantata_client._http.messages import Failure, Request, Timeouts, TransportOption
from kantata_client._http.options import made_by
from kantata_client._http.retry import RetryPolicy, decide, may_be_done
from kantata_client._http.throttle import Throttle
from kantata_client._http.tokens import current, replaced
from kantata_client._loops import PerLoop, Places, running_loop, user
from kantata_client.errors import KantataError, RateLimitedError, UsageError
from kantata_client.errors.responses import retry_after
from kantata_client.hooks import Hooks

if TYPE_CHECKING:
    from kantata_client._http.connection import Download, Prepared
    from kantata_client._http.messages import AsyncTransport, Response
    from kantata_client._http.tokens import Secret, TokenProvider

_UPWARDS = re.compile(r"(?i)/(?:\.|%2e){1,2}(?=[/?#]|$)")
"""A segment of a path that stands for another one."""

_LEAST = 0.001
"""Seconds that an attempt has at least."""

_NOTICEABLE = 0.001
"""Seconds of waiting for the throttle that are reported."""


@attrs.define(eq=False)
class Settings:
    """The options of a client, shared by the senders of all its event loops."""

    base_url: str
    throttle: Throttle
    hooks: Hooks
    timeouts: Timeouts
    retries: RetryPolicy
    patience: float | None
    """Seconds after the first attempt left at which an answer that is still arriving is given up: the deadline of the
    retries, if the user chose it."""
    max_concurrency: int
    max_response_bytes: int | None
    transport: TransportOption | None
    clock: Callable[[], float]
    rest: Callable[[float], Awaitable[None]]
    closed: bool = False
    trust: Trust = attrs.field(factory=Trust)
    bound: ReferenceType[object] | None = None
    """The event loop that the user's transport was first used in."""


class Explain(Protocol):
    """Makes the error that a request ends with."""

    def __call__(
        self,
        request: Request,
        outcome: Response | Failure,
        secret: Secret | None,
        attempts: int,
        *,
        unknown: bool,
        lost: bool,
    ) -> KantataError: ...


class Sender:
    """What a client has in one event loop: connections, and places for requests in flight."""

    def __init__(self, settings: Settings) -> None:
        """Set up.

        Raises:
            UsageError: The environment is wrong, or the user's transport belongs to another event loop; nothing was sent.
        """
        most = settings.max_concurrency
        self.connections = Connections(
            _transport_here(settings),
            settings.timeouts,
            theirs=hasattr(settings.transport, "handle_async_request"),
            fast=settings.base_url if settings.transport == "aiohttp" else None,
            keep=most,
            largest=settings.max_response_bytes,
            trust=settings.trust,
            # An HTTP proxy would receive plain HTTP, and the token in it, from this machine.
            use_proxies=settings.base_url.startswith("https:"),
        )
        self.connections.check(settings.base_url)
        self.elsewhere = Places(max(1, most // 2))
        """Places for requests to other hosts."""
        self._settings = settings
        self._places = Places(most)
        self._own_places: dict[str, Places] = {}
        base = self.connections.prepare(Request("GET", settings.base_url))
        self._below = base.path.rstrip(b"/") + b"/"
        self._end = at_the_end(self.connections)

    async def perform(
        self, request: Request, auth: TokenProvider | None, explain: Explain, *, stream: bool
    ) -> Response:
        """Send a request until it succeeds or fails for good; `Transport.send` has the errors."""
        settings = self._settings
        admit(request, settings.base_url, auth)
        prepared = self.connections.prepare(request)
        ours = request.is_below(settings.base_url)
        if ours and not (prepared.path + b"/").startswith(self._below):
            raise UsageError(
                f"{request!r} leads out of {settings.base_url}: the token goes to no other address."
            )
        started: float | None = None
        attempt, refused, refreshed, lost = 1, 0, False, False
        secret: Secret | None = None
        try:
            while True:
                if auth is not None:
                    secret = await current(auth)
                    prepared.authorize(secret)
                user.set(id(auth))  # here, since a token provider may send requests as well
                left, outcome, held = await self._attempt(request, prepared, attempt, started, stream=stream)
                started = left if started is None else started
                if isinstance(outcome, Failure):
                    wish, ending = None, "unsent" if outcome.unsent else "lost"
                elif 200 <= outcome.status < 300:
                    return outcome
                else:
                    wish, ending = retry_after(outcome.headers), outcome.status
                    if outcome.status == 401 and auth and secret and not refreshed and prepared.replayable:
                        refreshed = True
                        if await replaced(auth, secret):
                            continue
                policy = request.retries or settings.retries
                decision = decide(
                    policy,
                    request.method,
                    ending,
                    attempt - refused,
                    replayable=prepared.replayable,
                    action=request.action,
                )
                delay = policy.delay(attempt, wish)
                if ending == 429:
                    refused += 1
                    # A throttle that holds the repetition makes a pause of one's own useless.
                    delay = policy.asked(wish) if held else delay
                late = settings.clock() - started + delay > policy.deadline
                if decision != "retry" or late or (isinstance(outcome, Failure) and outcome.hopeless):
                    break
                lost = lost or may_be_done(ending)
                path = request.path_below(settings.base_url)
                reports.retrying(settings.hooks, request, path, attempt, outcome, delay)
                await settings.rest(delay)
                attempt += 1
            raise explain(request, outcome, secret, attempt, unknown=decision == "unknown", lost=lost)
        except KantataError as error:
            # Whatever it is: there may be no token any more, or the client was closed.
            if lost:
                error.answer_was_lost = True
                if request.method not in ("GET", "HEAD"):
                    error.add_note("An earlier attempt got no proper answer, and may have been carried out.")
            raise

    async def download(self, request: Request, auth: TokenProvider | None, explain: Explain) -> Download:
        """Like `perform`, but the body of a success is still to be read."""
        return cast("Download", await self.perform(request, auth, explain, stream=True))

    async def aclose(self) -> None:
        """Close all connections."""
        # A cancelled task closes its connections too, but does not wait for its peers for ever.
        with anyio.move_on_after(5, shield=True):
            await self.connections.aclose(for_good=True)
        self._end.release()

    async def _attempt(
        self, request: Request, prepared: Prepared, attempt: int, started: float | None, *, stream: bool
    ) -> tuple[float, Response | Failure, bool]:
        """When the attempt left (by the clock), what became of it, and whether the throttle holds its repetition."""
        if self._settings.closed:
            raise UsageError(
                "This client was closed while a request waited to leave.",
                consequence="It was not sent.",
            )
        if not request.is_below(self._settings.base_url):
            return await self._once(request, prepared, attempt, started, stream=stream)
        if not request.own_limit:
            async with self._places:
                waited = await self._wait(request, own_limit=False)
                return await self._once(request, prepared, attempt, started, waited, stream=stream)
        async with self._own(request.operation):
            waited = await self._wait(request, own_limit=True)
            async with self._places:
                waited += await self._wait(request, own_limit=False)
                return await self._once(request, prepared, attempt, started, waited, stream=stream)

    async def _wait(self, request: Request, *, own_limit: bool) -> float:
        """Wait for the throttle, and return the seconds that took.

        The general limit is waited for in a place: a 429 has to slow down the requests that wait for a place, too.
        """
        settings = self._settings
        start, longest = settings.clock(), (request.retries or settings.retries).deadline
        pause = await settings.throttle.acquire(request.operation, own_limit, longest)
        if not pause:
            return settings.clock() - start
        path, scope = request.path_below(settings.base_url), "this operation" if own_limit else "all requests"
        error = RateLimitedError(
            f"{request.method} {path} was not sent: a 429 asked for a pause of {scope}, of which {pause:.0f} s are left, "
            f"and the deadline of the retries is {longest:g} s. Try again after the pause.",
            status=429,
            method=request.method,
            path=path,
        )
        error.retry_after = pause
        raise error

    async def _once(
        self,
        request: Request,
        prepared: Prepared,
        attempt: int,
        started: float | None,
        waited: float | None = None,
        *,
        stream: bool,
    ) -> tuple[float, Response | Failure, bool]:
        """Send one attempt.

        `started` is when the first one left; `waited` is how long the throttle held this one, or `None` without a throttle.
        """
        settings = self._settings
        hooks, throttle, path = settings.hooks, settings.throttle, request.path_below(settings.base_url)
        if waited is not None and waited > _NOTICEABLE:
            reports.throttled(hooks, request, path, waited)
        reports.leaving(hooks, request, path, attempt)
        start = settings.clock()
        limit = settings.patience
        if limit is not None and started is not None:
            limit = max(limit - (start - started), _LEAST)
        outcome = await self.connections.exchange(prepared, stream=stream, limit=limit)
        seconds, held = settings.clock() - start, False
        if waited is not None and not isinstance(outcome, Failure):
            if outcome.status == 429:
                asked = retry_after(outcome.headers)
                held = bool(throttle.limited(request.operation, request.own_limit, asked, seconds))
            else:
                throttle.succeeded(request.operation, request.own_limit)
        reports.ended(hooks, request, path, attempt, outcome, seconds)
        return start, outcome, held

    def _own(self, operation: str) -> Places:
        """Half as many as all places: no more may leave together after waiting for a limit of their own."""
        places = self._own_places.get(operation)
        if places is None:
            places = self._own_places[operation] = Places(max(1, self._settings.max_concurrency // 2))
        return places


SENDERS: PerLoop[object, Sender] = PerLoop()
"""The sender of each transport."""

_BOUND = frozenset({"AsyncHTTPTransport", "AsyncConnectionInterface", "AiohttpTransport", "ClientSession"})
"""Classes whose objects keep connections, and with them an event loop: of httpx and its successors, httpcore and aiohttp."""


def _transport_here(settings: Settings) -> AsyncTransport | None:
    """The user's transport for the running event loop."""
    given = settings.transport
    if given is None or given == "aiohttp":
        return None
    if not hasattr(given, "handle_async_request"):
        return made_by(cast("Callable[[], AsyncTransport]", given))
    transport = cast("AsyncTransport", given)
    if _keeps_connections(transport):
        loop = running_loop()
        if settings.bound is None:
            settings.bound = ref(loop)
        elif settings.bound() is not loop:
            raise UsageError(
                f"transport= is a {type(transport).__name__} that was used in another event loop, to which its connections "
                "belong: give a function that makes a transport, such as transport=lambda: httpx.AsyncHTTPTransport()"
            )
    return transport


def _keeps_connections(value: object, depth: int = 2) -> bool:
    """Whether a transport, or one that it wraps, keeps connections."""
    if not _BOUND.isdisjoint(each.__name__ for each in type(value).__mro__):
        return True
    return depth > 0 and any(
        _keeps_connections(each, depth - 1) for each in getattr(value, "__dict__", {}).values()
    )


def admit(request: Request, base_url: str, auth: TokenProvider | None) -> None:
    """Check that a request, and the token with it, may go where its URL leads.

    Raises:
        UsageError: It may not.
    """
    if request.is_below(base_url):
        # httpx would resolve such segments, and so may a server or a proxy on the way, even if they are quoted.
        below = request.url[len(base_url) :]
        if ("." in below or "%" in below) and _UPWARDS.search(below):
            raise UsageError(
                f"{request!r} has '.' or '..' between slashes: a path leads to one record, and never upwards."
            )
        return
    if auth is not None:
        raise UsageError(f"{request!r} is not below {base_url}: the token goes to no other address.")
    url = request.url.partition("?")[0]
    problem = unsafe(url) or inward(url, base_url)
    if problem is not None:
        raise UsageError(f"Not an address to send to: {problem}.")
