"""Send a request: authorization, throttle and retries. Everything that a client sends goes through this module."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, cast
from weakref import ReferenceType, ref

import anyio
import attrs

from kantata_client._http import reports
from kantata_client._http.addresses import inward, unsafe
from kantata_client._http.connections import Connections
from kantata_client._http.endings import at_the_end
from kantata_client._http.environment import Trust
from kantata_client._http.messages import Failure, Request, Timeouts, TransportOption
from kantata_client._http.options import make_transport
from kantata_client._http.retry import RetryPolicy, decide, may_be_done, response_deadline
from kantata_client._http.throttle import Throttle
from kantata_client._http.tokens import current, replaced
from kantata_client._loops import PerLoop, Slots, running_loop, user
from kantata_client.errors import KantataError, RateLimitedError, UsageError
from kantata_client.errors.responses import retry_after
from kantata_client.hooks import Hooks

if TYPE_CHECKING:
    from kantata_client._http.connections import Download
    from kantata_client._http.messages import AsyncTransport, Response
    from kantata_client._http.prepared import PreparedRequest
    from kantata_client._http.tokens import Secret, TokenProvider

_UPWARDS = re.compile(r"(?i)/(?:\.|%2e){1,2}(?=[/?#]|$)")
"""A `.` or `..` segment of a path."""

_LEAST = 0.001
"""Shortest time limit of an attempt, in seconds."""

_NOTICEABLE = 0.001
"""Shortest delay by the throttle that is reported, in seconds."""


@attrs.define(eq=False)
class Settings:
    """The options of a client, shared by the senders of all its event loops."""

    base_url: str
    throttle: Throttle
    hooks: Hooks
    timeouts: Timeouts
    retries: RetryPolicy
    max_concurrency: int
    max_response_bytes: int | None
    transport: TransportOption | None
    clock: Callable[[], float]
    rest: Callable[[float], Awaitable[None]]
    closed: bool = False
    trust: Trust = attrs.field(factory=Trust)
    bound: ReferenceType[object] | None = None
    """The event loop in which the user's transport was first used."""


class Explain(Protocol):
    """Builds the error for a request that failed."""

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
    """The part of a client that belongs to one event loop: its connections, and the slots for requests in flight."""

    def __init__(self, settings: Settings) -> None:
        """Set up the connections.

        Raises:
            UsageError: The environment has a mistake, or the user's transport belongs to another event loop.
        """
        most = settings.max_concurrency
        self.connections = Connections(
            _transport_here(settings),
            settings.base_url,
            settings.timeouts,
            theirs=hasattr(settings.transport, "handle_async_request"),
            aiohttp=settings.transport == "aiohttp",
            keep=most,
            largest=settings.max_response_bytes,
            trust=settings.trust,
            # An HTTP proxy would receive plain HTTP, and the token in it, from this machine.
            use_proxies=settings.base_url.startswith("https:"),
        )
        self.connections.check()
        self.storage_slots = Slots(max(1, most // 2))
        """Slots for requests to other hosts."""
        self._settings = settings
        self._slots = Slots(most)
        self._own_slots: dict[str, Slots] = {}
        self._below = self.connections.base_path + b"/"
        self._end = at_the_end(self.connections)

    async def perform(
        self, request: Request, auth: TokenProvider | None, explain: Explain, *, stream: bool
    ) -> Response:
        """Send a request, repeating it as the policy says. `Transport.send` lists the errors."""
        settings = self._settings
        admit(request, settings.base_url, auth)
        prepared = self.connections.prepare(request)
        ours, path = request.is_below(settings.base_url), prepared.path
        if ours and not (path.startswith(self._below) or path.partition(b"?")[0] + b"/" == self._below):
            raise UsageError(
                f"{request!r} is not below {settings.base_url}, and the token must not be sent anywhere else."
            )
        started: float | None = None
        attempt, refused, refreshed, lost = 1, 0, False, False
        secret: Secret | None = None
        try:
            while True:
                if auth is not None:
                    secret = await current(auth)
                    prepared.authorize(secret)
                if user.get() != id(auth):
                    user.set(id(auth))  # after the provider ran, because it may send requests too
                send = self._attempt_in_turn if ours and request.own_limit else self._attempt
                left, outcome, held = await send(
                    request, prepared, attempt, started, ours=ours, stream=stream
                )
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
                    # If the throttle already delays the next attempt, a backoff would only add to it.
                    delay = policy.pause(wish) if held else delay
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
            # Any error counts, such as a missing token or a closed client.
            if lost:
                error.answer_was_lost = True
                if request.method not in ("GET", "HEAD"):
                    error.add_note(
                        "An earlier attempt got no usable response, and may have been carried out."
                    )
            raise

    async def download(self, request: Request, auth: TokenProvider | None, explain: Explain) -> Download:
        """Like `perform`, but returns a successful response before its body is read."""
        return cast("Download", await self.perform(request, auth, explain, stream=True))

    async def aclose(self) -> None:
        """Close all connections."""
        # A cancelled task closes its connections too, but waits only a short time for the peers.
        with anyio.move_on_after(5, shield=True):
            await self.connections.aclose(for_good=True)
        self._end.release()

    async def _attempt_in_turn(
        self,
        request: Request,
        prepared: PreparedRequest,
        attempt: int,
        started: float | None,
        *,
        ours: bool,
        stream: bool,
    ) -> tuple[float, Response | Failure, bool]:
        """Make an attempt of an operation that has a rate limit of its own; see `_attempt`."""
        self._check_open()
        settings = self._settings
        async with self._slots_of(request.operation):
            begun, patience = settings.clock(), (request.retries or settings.retries).deadline
            if pause := await settings.throttle.acquire(request.operation, True, patience):
                raise self._paused(request, pause, patience, "this operation")
            waited = settings.clock() - begun
            return await self._attempt(request, prepared, attempt, started, waited, ours=ours, stream=stream)

    async def _attempt(
        self,
        request: Request,
        prepared: PreparedRequest,
        attempt: int,
        started: float | None,
        waited: float = 0.0,
        *,
        ours: bool,
        stream: bool,
    ) -> tuple[float, Response | Failure, bool]:
        """Make an attempt. All of it is in one function, because each further coroutine costs every request some CPU.

        Args:
            request: What to send.
            prepared: The same, as it is sent.
            attempt: Its number, 1 for the first.
            started: When the first attempt was sent; `None` for the first.
            waited: For how many seconds the operation's own limit has delayed it.
            ours: Whether it goes to the API, so that slots and throttle apply.
            stream: Return a success before its body is read.

        Returns:
            When the attempt was sent, its outcome, and whether the throttle delays the next attempt.
        """
        self._check_open()
        settings, slots = self._settings, self._slots
        hooks, throttle, clock = settings.hooks, settings.throttle, settings.clock
        policy = request.retries or settings.retries
        if ours and not slots.take():
            await slots.wait()
        try:
            if ours:
                # It waits for the throttle while it occupies a slot, so that a 429 also holds back those that wait for one.
                begun = clock()
                if pause := await throttle.acquire(request.operation, False, policy.deadline):
                    raise self._paused(request, pause, policy.deadline, "all requests")
                waited += clock() - begun
                if waited > _NOTICEABLE:
                    reports.throttled(hooks, request, request.path_below(settings.base_url), waited)
            if hooks.on_request is not None:
                reports.leaving(hooks, request, request.path_below(settings.base_url), attempt)
            start = clock()
            limit = response_deadline(policy)
            if limit is not None and started is not None:
                limit = max(limit - (start - started), _LEAST)
            outcome = await self.connections.exchange(prepared, stream=stream, limit=limit)
            seconds, held = clock() - start, False
            if ours and not isinstance(outcome, Failure):
                if outcome.status == 429:
                    asked = retry_after(outcome.headers)
                    held = bool(throttle.limited(request.operation, request.own_limit, asked, seconds))
                else:
                    throttle.succeeded(request.operation, request.own_limit)
            if reports.wanted(hooks):
                path = request.path_below(settings.base_url)
                reports.ended(hooks, request, path, attempt, outcome, seconds)
            return start, outcome, held
        finally:
            if ours:
                slots.release()

    def _check_open(self) -> None:
        if self._settings.closed:
            raise UsageError(
                "The client was closed while this request waited to be sent.",
                consequence="It was not sent.",
            )

    def _paused(self, request: Request, pause: float, patience: float, scope: str) -> RateLimitedError:
        """The error of a request that cannot wait for the end of a pause; times are in seconds."""
        path = request.path_below(self._settings.base_url)
        error = RateLimitedError(
            f"{request.method} {path} was not sent: after a 429 the service asked to pause {scope}, for {pause:.0f} s more, "
            f"and the deadline for retries is {patience:g} s. Try again after the pause.",
            status=429,
            method=request.method,
            path=path,
        )
        error.retry_after = pause
        return error

    def _slots_of(self, operation: str) -> Slots:
        """The slots for an operation with a rate limit of its own: half as many as all, which leaves the rest for others."""
        slots = self._own_slots.get(operation)
        if slots is None:
            slots = self._own_slots[operation] = Slots(max(1, self._settings.max_concurrency // 2))
        return slots


SENDERS: PerLoop[object, Sender] = PerLoop()
"""The sender of each transport."""

_BOUND = frozenset({"AsyncHTTPTransport", "AsyncConnectionInterface", "AiohttpTransport", "ClientSession"})
"""Classes of httpx, its successors, httpcore and aiohttp whose objects keep connections, and so belong to an event loop."""


def _transport_here(settings: Settings) -> AsyncTransport | None:
    """The user's transport, to be used in the running event loop."""
    given = settings.transport
    if given is None or given == "aiohttp":
        return None
    if not hasattr(given, "handle_async_request"):
        return make_transport(cast("Callable[[], AsyncTransport]", given))
    transport = cast("AsyncTransport", given)
    if _keeps_connections(transport):
        loop = running_loop()
        if settings.bound is None:
            settings.bound = ref(loop)
        elif settings.bound() is not loop:
            raise UsageError(
                f"transport= is a {type(transport).__name__} that was used in another event loop, and its connections "
                "belong to that loop: pass a function that makes one, such as transport=lambda: httpx.AsyncHTTPTransport()"
            )
    return transport


def _keeps_connections(value: object, depth: int = 2) -> bool:
    """Whether a transport, or a transport that it wraps, keeps connections."""
    if not _BOUND.isdisjoint(each.__name__ for each in type(value).__mro__):
        return True
    return depth > 0 and any(
        _keeps_connections(each, depth - 1) for each in getattr(value, "__dict__", {}).values()
    )


def admit(request: Request, base_url: str, auth: TokenProvider | None) -> None:
    """Check that a request, and the token with it, may be sent to its URL.

    Raises:
        UsageError: The URL is not allowed.
    """
    if request.is_below(base_url):
        # httpx would resolve such segments. A server or a proxy may resolve them even if they are percent-encoded.
        below = request.url[len(base_url) :]
        if ("." in below or "%" in below) and _UPWARDS.search(below):
            raise UsageError(
                f"{request!r} contains the path segment '.' or '..', which could lead to a different record: remove it."
            )
        return
    if auth is not None:
        raise UsageError(
            f"{request!r} is not below {base_url}, and the token must not be sent anywhere else."
        )
    url = request.url.partition("?")[0]
    problem = unsafe(url) or inward(url, base_url)
    if problem is not None:
        raise UsageError(f"A file must not be sent to or read from this URL: {problem}.")
