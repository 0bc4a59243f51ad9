"""From a request to a response or an error: authorization, throttle, retries. One place sends."""

from __future__ import annotations

import logging
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

from kantata_client._concurrency import PerLoop
from kantata_client._http.addresses import unsafe
from kantata_client._http.exchange import Download, Failure, Link, Request, Response, Timeouts
from kantata_client._http.retry import RetryPolicy, decide, may_be_done
from kantata_client._http.throttle import AdaptiveThrottle, FixedRate, Throttle
from kantata_client._http.tokens import current, replaced
from kantata_client.errors import (
    KantataConnectionError,
    KantataError,
    KantataTimeoutError,
    RateLimitedError,
    UnknownOutcomeError,
    UsageError,
    error_from_response,
    retry_after,
)
from kantata_client.hooks import Hooks, RequestEvent, ResponseEvent, RetryEvent, ThrottleEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    import anyio

    from kantata_client._http.exchange import AsyncTransport, Prepared
    from kantata_client._http.tokens import Secret, TokenProvider

_UPWARDS = r"(?i)/(?:\.|%2e){1,2}(?=[/?#]|$)"
"""A part of a path that stands for another one; compiled when there is something to look at."""

BASE_URL = "https://api.mavenlink.com/api/v1"

logger = logging.getLogger("kantata_client")


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
        if isinstance(chunk, Failure):
            raise _connection_error(chunk, self._request, self._path, "Resume or repeat the download.")
        return chunk


class _Loop:
    """What belongs to one event loop: connections, and places for requests under way."""

    def __init__(self, link: Link, base_url: str, most: int) -> None:
        self.link = link
        self._most = most
        self.places = _semaphore(most)
        self._own: dict[str, anyio.Semaphore] = {}
        self.elsewhere = _semaphore(max(1, most // 2))
        self.below = link.prepare(Request("GET", base_url)).path.rstrip(b"/") + b"/"

    def own_places(self, operation: str) -> anyio.Semaphore:
        """Half as many as the places: so few may leave together after they have waited for a limit of their own."""
        places = self._own.get(operation)
        if places is None:
            places = self._own[operation] = _semaphore(max(1, self._most // 2))
        return places


def _semaphore(value: int) -> anyio.Semaphore:
    import anyio

    return anyio.Semaphore(value, fast_acquire=True)


_loops: PerLoop[Transport, _Loop] = PerLoop("connections")


class Transport:
    """Sends for a client and all its `with_token` copies: one throttle, one pool of connections.

    Making one costs next to nothing and needs no event loop; httpx and TLS are set up by the first request.
    It may be used in several event loops one after the other (`asyncio.run` twice): each has connections of
    its own.
    """

    def __init__(
        self,
        *,
        base_url: str = BASE_URL,
        timeout: float | Timeouts | None = None,
        retries: RetryPolicy | int | None = None,
        throttle: Throttle | float | None = None,
        max_concurrency: int = 32,
        transport: AsyncTransport | None = None,
        hooks: Hooks | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        """Make a transport; nothing is opened yet.

        `timeout` in seconds is for connecting, reading and writing each; `retries` as a number is the most attempts,
        `throttle` as a number a `FixedRate` in requests a second; `max_concurrency` bounds the
        requests under way, save for downloads whose headers have come; `transport` replaces the network, by
        any async transport of httpx; `clock` (seconds) and `sleep` are for tests. Raises `UsageError`.
        """
        self.base_url, self._closed = "", False  # what the repr needs, in case that an option is refused
        self.base_url = _checked(base_url)
        self.throttle = _throttle(throttle)
        self.hooks = _hooks(hooks)
        self._timeouts = _seconds(timeout)
        self._retries = _policy(retries)
        self._max_concurrency = _places(max_concurrency)
        self._transport = _sends(transport)
        self._clock = clock
        self._sleep = sleep

    async def send(self, request: Request, auth: TokenProvider | None = None) -> Response:
        """Send, again if need be, and return the answer, whose status is 2xx.

        Raises `APIError` (by status), `KantataConnectionError`, `KantataTimeoutError`, `UnknownOutcomeError`
        (only POST and PATCH), `UsageError` before anything is sent, and what the token provider raises.
        """
        return await self._perform(request, auth, stream=False)

    @asynccontextmanager
    async def stream(
        self, request: Request, auth: TokenProvider | None = None
    ) -> AsyncGenerator[StreamedResponse]:
        """Like `send`, but the body is still to be read. What breaks there is not tried again."""
        response = await self._perform(request, auth, stream=True)
        assert isinstance(response, Download)  # noqa: S101 - a success with `stream`
        try:
            yield StreamedResponse(response, request, self._path(request))
        finally:
            await response.aclose()

    def elsewhere(self) -> anyio.Semaphore:
        """Places for uploads to and downloads from other hosts: to be taken before the signed address is asked for.

        A request outside of `base_url` takes none of the other places, since its address would expire while it waits.
        """
        return self._loop().elsewhere

    @property
    def retries(self) -> RetryPolicy:
        """How often, how long and on what a request is repeated."""
        return self._retries

    def clock(self) -> float:
        """Seconds of a clock that only runs forward."""
        return self._clock()

    async def rest(self, seconds: float) -> None:
        """Let time pass before something is tried again."""
        if self._sleep is not None:
            await self._sleep(seconds)
        else:
            import anyio

            await anyio.sleep(seconds)

    async def aclose(self) -> None:
        """Close the connections of this event loop; nothing can be sent afterwards. May be called again."""
        self._closed = True
        loop = _loops.running().pop(self, None)
        if loop is not None:
            import anyio

            # A cancelled task closes its connections too, but does not wait for ever for its peers.
            with anyio.move_on_after(5, shield=True):
                await loop.link.aclose()

    def __repr__(self) -> str:
        return f"<Transport to {self.base_url}{', closed' if self._closed else ''}>"

    async def _perform(self, request: Request, auth: TokenProvider | None, *, stream: bool) -> Response:
        self._admit(request, auth)
        loop = self._loop()
        prepared = loop.link.prepare(request)
        if self._ours(request) and not (prepared.path + b"/").startswith(loop.below):
            raise UsageError(f"{request!r} leads out of {self.base_url}: the token goes to no other address.")
        started: float | None = None
        attempt, refreshed, lost = 1, False, False
        secret: Secret | None = None
        try:
            while True:
                if auth is not None:
                    secret = await current(auth)
                    prepared.authorize(secret)
                left, outcome = await self._attempt(request, prepared, attempt, stream=stream)
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
                decision = decide(
                    self._retries, request.method, ending, attempt, replayable=prepared.replayable
                )
                delay = self._retries.delay(attempt, wish)
                late = self._clock() - started + delay > self._retries.deadline
                if decision != "retry" or late or (isinstance(outcome, Failure) and outcome.hopeless):
                    break
                lost = lost or may_be_done(ending)
                await self._pause(request, outcome, attempt, delay)
                attempt += 1
            raise self._error(request, outcome, secret, attempt, unknown=decision == "unknown", lost=lost)
        except KantataError as error:
            # Whatever it is: also that there is no token any more, or that the client was closed.
            if lost:
                error.answer_was_lost = True
                if request.method not in ("GET", "HEAD"):
                    error.add_note("An earlier attempt got no proper answer, and may have been carried out.")
            raise

    async def _attempt(
        self, request: Request, prepared: Prepared, attempt: int, *, stream: bool
    ) -> tuple[float, Response | Failure]:
        """When it left, and what became of it."""
        loop = self._loop()
        if not self._ours(request):
            return await self._once(loop.link, request, prepared, attempt, stream=stream)
        if not request.own_limit:
            async with loop.places:
                waited = await self._wait(request, own_limit=False)
                return await self._once(loop.link, request, prepared, attempt, waited, stream=stream)
        async with loop.own_places(request.operation):
            waited = await self._wait(request, own_limit=True)
            async with loop.places:
                waited += await self._wait(request, own_limit=False)
                return await self._once(loop.link, request, prepared, attempt, waited, stream=stream)

    async def _wait(self, request: Request, *, own_limit: bool) -> float:
        """Wait for the throttle; seconds.

        For the general limit in a place and not before: a 429 has to slow the requests that wait for a place, too.
        """
        start, longest = self._clock(), self._retries.deadline
        pause = await self.throttle.acquire(request.operation, own_limit, longest)
        if not pause:
            return self._clock() - start
        path, scope = self._path(request), "this operation" if own_limit else "all requests"
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
        link: Link,
        request: Request,
        prepared: Prepared,
        attempt: int,
        waited: float | None = None,
        *,
        stream: bool,
    ) -> tuple[float, Response | Failure]:
        """Send; `waited` is how long the throttle held the request, if there is one."""
        operation, own_limit, hooks, clock = request.operation, request.own_limit, self.hooks, self._clock
        if waited is not None and waited > 0.001:
            logger.debug("%s waited %.3f s for the throttle", operation, waited)
            if hooks.on_throttle:
                _tell(
                    hooks.on_throttle, ThrottleEvent(operation, request.method, self._path(request), waited)
                )
        if hooks.on_request:
            _tell(hooks.on_request, RequestEvent(operation, request.method, self._path(request), attempt))
        start = clock()
        outcome = await link.exchange(prepared, stream=stream)
        seconds = clock() - start
        if waited is not None and not isinstance(outcome, Failure):
            if outcome.status == 429:
                self.throttle.limited(operation, own_limit, retry_after(outcome.headers), seconds)
            else:
                self.throttle.succeeded(operation, own_limit)
        if hooks.on_response:
            path, status, request_id = self._path(request), outcome.status, outcome.request_id
            event = ResponseEvent(operation, request.method, path, attempt, status, seconds, request_id)
            _tell(hooks.on_response, event)
        if logger.isEnabledFor(logging.DEBUG):
            what = outcome.reason if isinstance(outcome, Failure) else outcome.status
            path, request_id = self._path(request), outcome.request_id
            logger.debug(
                "%s %s: %s in %.3f s (attempt %d, request id %s)",
                request.method, path, what, seconds, attempt, request_id,
            )  # fmt: skip
        return start, outcome

    async def _pause(self, request: Request, outcome: Response | Failure, attempt: int, delay: float) -> None:
        path, reason = self._path(request), _reason(outcome)
        logger.info(
            "%s %s: %s; attempt %d follows in %.1f s", request.method, path, reason, attempt + 1, delay
        )
        if self.hooks.on_retry:
            status, request_id = outcome.status, outcome.request_id
            event = RetryEvent(
                request.operation, request.method, path, attempt, status, delay, reason, request_id
            )
            _tell(self.hooks.on_retry, event)
        await self.rest(delay)

    def _error(
        self,
        request: Request,
        outcome: Response | Failure,
        secret: Secret | None,
        attempts: int,
        *,
        unknown: bool,
        lost: bool,
    ) -> KantataError:
        method, path = request.method, self._path(request)
        if unknown:
            reason = _reason(outcome)
            if isinstance(outcome, Response):
                content = self._told(request, outcome, secret)
                reason = str(error_from_response(outcome.status, outcome.headers, content, method, path))
            return UnknownOutcomeError(
                f"{method} {path} may or may not have been carried out: {reason.rstrip('.')}. "
                "It was not sent again, since that could create a duplicate: look whether it happened first.",
                method=method,
                path=path,
                sent=_sent(request),
                status=outcome.status,
                request_id=outcome.request_id,
            )
        tries = f" ({attempts} attempts)" if attempts > 1 else ""
        if isinstance(outcome, Failure):
            unsent = outcome.unsent and not lost
            advice = "Nothing was carried out." if unsent else ""
            if outcome.hopeless:
                advice += " This machine does not trust the certificate that came back."
            elif outcome.unsent:
                advice += " Check base_url, the network and the proxy settings."
            elif method in ("PUT", "DELETE"):
                advice = "It may have been carried out; sending it again does no harm."
            elif outcome.timeout:
                advice = "Ask for less at once (per_page, includes, a narrower filter), or try later."
            else:
                advice = "Try again later."
            return _connection_error(outcome, request, path, advice.strip(), tries, unsent=unsent)
        content = self._told(request, outcome, secret)
        error = error_from_response(outcome.status, outcome.headers, content, method, path)
        if tries:
            error.add_note(f"It was the answer to the last of {attempts} attempts.")
        return error

    def _told(self, request: Request, answer: Response, secret: Secret | None) -> bytes:
        """What an error may repeat of the answer."""
        if not self._ours(request):
            # S3 repeats the signature and what was signed; its code for the problem is enough.
            code = re.search(rb"<Code>(\w{1,60})</Code>", answer.content)
            return code[1] if code else b""
        return secret.redact(answer.content) if secret else answer.content

    def _loop(self) -> _Loop:
        if self._closed:
            raise UsageError(
                "This client is closed: make a new one, or send inside of its `async with` block."
            )
        loops = _loops.running()
        loop = loops.get(self)
        if loop is None:
            # Through a proxy, a request over plain HTTP would leave this machine with its token.
            proxies = self.base_url.startswith("https:")
            link = Link(self._transport, self._timeouts, self._max_concurrency, use_proxies=proxies)
            loop = loops[self] = _Loop(link, self.base_url, self._max_concurrency)
        return loop

    def _ours(self, request: Request) -> bool:
        """Whether the request goes to the API itself, not to a download's or an upload's host."""
        base = self.base_url
        return request.url.startswith(base) and request.url[len(base) : len(base) + 1] in ("", "/")

    def _admit(self, request: Request, auth: TokenProvider | None) -> None:
        if self._ours(request):
            # httpx would resolve them, and so may a server or a proxy on the way, even where they are quoted.
            below = request.url[len(self.base_url) :]
            if ("." in below or "%" in below) and re.search(_UPWARDS, below):
                raise UsageError(
                    f"{request!r} has '.' or '..' between slashes: a path leads to one record, and never upwards."
                )
            return
        if auth is not None:
            raise UsageError(f"{request!r} is not below {self.base_url}: the token goes to no other address.")
        _checked(request.url.partition("?")[0])

    def _path(self, request: Request) -> str:
        return (request.url.partition("?")[0]).removeprefix(self.base_url) or "/"


class _Told(Protocol):
    @property
    def operation(self) -> str: ...


def _tell(hook: Callable[[Any], object], event: _Told) -> None:
    try:
        hook(event)
    except Exception:
        logger.exception("The hook for %s failed at %s", type(event).__name__, event.operation)


def _seconds(given: object) -> Timeouts:
    timeouts = Timeouts(given, given, given) if isinstance(given, (int, float)) else given
    if timeouts is None:
        return Timeouts()
    if isinstance(given, bool) or not isinstance(timeouts, Timeouts):
        raise UsageError(f"timeout is {given!r}: give seconds, or Timeouts(…).")
    timeouts.check()
    return timeouts


def _places(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise UsageError(
            f"max_concurrency is {given!r}: give a whole number; at least one request has to be possible."
        )
    return given


def _policy(given: object) -> RetryPolicy:
    if given is None:
        return RetryPolicy()
    policy = RetryPolicy(attempts=given) if isinstance(given, int) else given
    if not isinstance(policy, RetryPolicy):
        raise UsageError(f"retries is {given!r}: give the number of attempts, or RetryPolicy(…).")
    policy.check()
    return policy


def _throttle(given: Any) -> Throttle:
    if given is None:
        return AdaptiveThrottle()
    if isinstance(given, (int, float)):
        return FixedRate(given)
    names = ("acquire", "succeeded", "limited")
    if isinstance(given, type) or not all(callable(getattr(given, name, None)) for name in names):
        raise UsageError(
            f"throttle is {given!r}: give requests a second, FixedRate(…), AdaptiveThrottle(…), or a Throttle of your own."
        )
    return given


def _hooks(given: object) -> Hooks:
    if given is None:
        return Hooks()
    if not isinstance(given, Hooks):
        raise UsageError(f"hooks is {given!r}: give Hooks(on_request=…, on_response=…, …).")
    given.check()
    return given


def _sends(transport: Any) -> AsyncTransport | None:
    sends = getattr(transport, "handle_async_request", None)
    if transport is not None and (isinstance(transport, type) or not callable(sends)):
        raise UsageError(
            f"transport is of type {type(transport).__name__}: give an async transport of httpx, such as "
            "httpx.AsyncHTTPTransport(…), rather than a client or a transport for synchronous use."
        )
    return transport


def _checked(url: str) -> str:
    """The URL without a last slash, if tokens may go there."""
    problem = unsafe(url)
    if problem is None and "?" in url:
        problem = f"{url.partition('?')[0]}: it must hold no query"
    if problem is not None:
        raise UsageError(f"Not an address to send to: {problem}.")
    scheme, colon, rest = url.partition(":")
    return f"{scheme.lower()}{colon}{rest}".rstrip("/")


def _reason(outcome: Response | Failure) -> str:
    return outcome.reason if isinstance(outcome, Failure) else f"status {outcome.status}"


def _connection_error(
    failure: Failure, request: Request, path: str, advice: str, tries: str = "", *, unsent: bool = False
) -> KantataConnectionError:
    kind = KantataTimeoutError if failure.timeout else KantataConnectionError
    message = f"{request.method} {path}: {failure.reason.rstrip('.')}{tries}. {advice}"
    if failure.request_id:
        message += f" (request id {failure.request_id})"
    return kind(message, method=request.method, path=path, unsent=unsent, request_id=failure.request_id)


def _sent(request: Request) -> Any:
    """The body as `UnknownOutcomeError` tells it."""
    if request.confidential:
        return None
    if request.form is not None:
        return dict(request.form.fields) | {file.name: file.filename for file in request.form.files}
    if request.content is None:
        return None
    import json

    try:
        return json.loads(request.content)
    except ValueError:
        return request.content
