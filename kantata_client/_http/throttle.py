"""How fast requests leave: freely until the service answers 429, and from then on as fast as it lets them.

The limits of the service are not published and no header tells what is left of them, so `AdaptiveThrottle` finds them.
"""

from __future__ import annotations

import logging
import math
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from kantata_client._http.limits import LATE, Limit, Pace
from kantata_client._http.turns import Line, Turn
from kantata_client._loops import PerLoop
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger("kantata_client")

LONGEST_PAUSE = 3600.0
"""Seconds for which a `Retry-After` is obeyed at most."""

_left: ContextVar[float] = ContextVar("kantata_client: left", default=-math.inf)
"""When the running task's request left."""
_served: ContextVar[float] = ContextVar("kantata_client: served", default=-math.inf)
"""When the running task's last request was accepted."""


class Throttle(Protocol):
    """Says when a request may leave; one for a client and all its `with_token` copies.

    It must work on asyncio and on trio, and in several event loops one after the other, so it must not hold a lock of
    either.
    """

    async def acquire(self, operation: str, own_limit: bool, patience: float) -> float | None:
        """Wait until a request may leave.

        Args:
            operation: The operation's id, such as `GET /stories`.
            own_limit: Wait for the limit that the service has for this operation besides the general one. For the general
                limit `acquire` is called again without it, so that a request that waits here takes no place from others.
            patience: Seconds that the request can wait for a pause that the service asked for.

        Returns:
            `None` (or 0) when the request may leave. If the service asked for a pause longer than `patience`, the seconds
            that are left of it, at once: the request then fails with `RateLimitedError`.
        """
        ...

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """A request got an answer other than 429. Called by the task that called `acquire`."""
        ...

    def limited(
        self, operation: str, own_limit: bool, retry_after: float | None, seconds: float
    ) -> bool | None:
        """A request that left `seconds` ago got a 429. Called by the task that called `acquire`.

        Args:
            operation: The operation's id.
            own_limit: Whether the operation has a limit of its own.
            retry_after: The pause that the service asked for, in seconds, if it did.
            seconds: How long ago the request left.

        Returns:
            True if `acquire` holds the repetition back for long enough. Otherwise it is sent after a backoff.
        """
        ...


async def _sleep(seconds: float) -> None:
    import anyio  # not at the top: a client is often made long before it is used

    await anyio.sleep(seconds)


class _Gate:
    """Lets requests out at a pace. A request that gives up while it waits leaves no gap: only leaving takes a place."""

    __slots__ = ("__weakref__", "_clock", "_sleep", "pace")

    def __init__(
        self, pace: Pace, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.pace = pace
        self._clock = clock
        self._sleep = sleep

    async def wait(self, patience: float) -> float | None:
        """Wait for the next place; or return how long the service wants a pause, if that is more than `patience`."""
        pace, now = self.pace, self._clock()
        if pace.free:
            self._leaves(now, waited=False)
            return None
        if pace.asked - now > patience:
            return pace.asked - now
        line = self._line()
        if line.first is None and pace.left(now, 0.0) <= 0:
            self._leaves(now, waited=False)
            return None
        turn = Turn(_served.get())
        line.join(turn, now)
        try:
            if line.first is not turn:
                await turn.woken.wait()
            while (left := pace.left(now := self._clock(), LATE)) > 0:
                if pace.asked - now > patience:
                    return pace.asked - now
                await self._sleep(left)
            self._leaves(now, waited=True)
        finally:
            line.leave(turn, self._clock())
        return None

    def obey(self, seconds: float, longest: float, operation: str, scope: str) -> None:
        """Hold for as long as the service asks for, at most for `longest`."""
        until = self._clock() + min(seconds, longest)
        if until > self.pace.asked + 1:  # once for many requests that were refused together
            asked = f"{seconds:.0f} s" if seconds < 1e9 else "ever"
            capped = f" (it asks for {asked})" if seconds > longest else ""
            logger.warning(
                "429 for %s: %s held for %.0f s, as the service asks%s",
                operation, scope, min(seconds, longest), capped,
            )  # fmt: skip
        self.pace.obey(until)

    def _leaves(self, now: float, *, waited: bool) -> None:
        self.pace.leaves(now, waited=waited)
        _left.set(now)

    def _line(self) -> Line:
        """Those who wait in the running event loop."""
        lines = _lines.running()
        line = lines.get(self)
        if line is None:
            line = lines[self] = Line()
        return line


_lines: PerLoop[_Gate, Line] = PerLoop()


class FixedRate:
    """A fixed number of requests a second, for those who know their share of the account's limit."""

    def __init__(
        self,
        rate_per_second: float,
        burst: int = 1,
        *,
        longest_pause: float = LONGEST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = _sleep,
    ) -> None:
        """Make a throttle.

        Args:
            rate_per_second: Requests a second.
            burst: How many requests may leave together after a pause.
            longest_pause: Seconds for which a `Retry-After` is obeyed at most.
            clock: Gives seconds; for tests.
            sleep: Waits for seconds; for tests.

        Raises:
            UsageError: A number is not positive.
        """
        numbers = all(map(_number, (rate_per_second, burst, longest_pause)))
        if not (numbers and rate_per_second > 0 and burst >= 1 and longest_pause > 0):
            raise UsageError(
                f"FixedRate({rate_per_second!r}, {burst!r}, longest_pause={longest_pause!r}): give requests a second above "
                "0, a burst of at least 1, and a longest pause above 0 seconds."
            )
        self._longest = longest_pause
        self._gate = _Gate(Pace(rate_per_second, burst), clock, sleep)

    async def acquire(self, operation: str, own_limit: bool, patience: float = math.inf) -> float | None:
        """Wait for the next free place. Limits of single operations are ignored: the rate is for all requests."""
        return None if own_limit else await self._gate.wait(patience)

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Note that the task had its turn; the rate is fixed."""
        _served.set(_left.get())

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> bool:
        """Hold all requests for as long as the service asks for, if it does; the rate stays."""
        if retry_after:
            self._gate.obey(retry_after, self._longest, operation, "all requests are")
        return False


class AdaptiveThrottle:
    """Finds the service's limits, whether they are buckets of tokens or counts per window.

    Nothing waits before the first 429. After it, requests leave one by one until one is accepted, and then at a pace a
    little below what the limit has allowed so far. The pace asks for more after some seconds without a refusal, faster and
    faster, so that a limit that was raised is found soon. After `memory` seconds without a 429 the limit is forgotten.

    An operation with a limit of its own has a pace of its own besides, and a 429 for it slows that operation only.
    """

    def __init__(
        self,
        *,
        slowest: float = 0.05,
        memory: float = 600.0,
        longest_pause: float = LONGEST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = _sleep,
    ) -> None:
        """Make a throttle.

        Args:
            slowest: Requests a second; no 429 makes the pace slower.
            memory: Seconds after which a limit without a 429 is forgotten.
            longest_pause: Seconds for which a `Retry-After` is obeyed at most. Then single requests try whether it is over.
            clock: Gives seconds; for tests.
            sleep: Waits for seconds; for tests.

        Raises:
            UsageError: A number is not positive.
        """
        numbers = (slowest, memory, longest_pause)
        if not (all(map(_number, numbers)) and all(number > 0 for number in numbers)):
            raise UsageError(
                f"AdaptiveThrottle(slowest={slowest!r}, memory={memory!r}, longest_pause={longest_pause!r}): give numbers "
                "above 0, slowest in requests a second, memory and longest_pause in seconds."
            )
        self._slowest = slowest
        self._memory = memory
        self._longest = longest_pause
        self._clock = clock
        self._sleep = sleep
        self._general = self._gate()
        self._own: dict[str, tuple[_Gate, Limit]] = {}

    async def acquire(self, operation: str, own_limit: bool, patience: float = math.inf) -> float | None:
        """Wait for the general limit, or for the operation's own one."""
        gate, limit = self._of(operation, own_limit)
        if limit.known and self._clock() - max(limit.refused_last, limit.asked) > self._memory:
            limit.forget()
        return await gate.wait(patience)

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Count what the limits allow."""
        now, left = self._clock(), _left.get()
        _served.set(left)
        sent = None if math.isinf(left) else left
        self._note(self._general[1], now, sent, "all requests")
        if own_limit:
            self._note(self._of(operation, own_limit)[1], now, sent, operation)

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> bool:
        """Slow down, unless the request left before the last time."""
        gate, limit = self._of(operation, own_limit)
        now = self._clock()
        began = limit.limited(now, now - seconds)
        if retry_after:
            gate.obey(retry_after, self._longest, operation, "it is" if own_limit else "all requests are")
        elif began:
            scope = "its requests are" if own_limit else "all requests are"
            logger.warning(
                "429 for %s: %s held for %.2g s, and then sent one by one until one is accepted",
                operation, scope, limit.pause(now),
            )  # fmt: skip
        return True

    def _note(self, limit: Limit, now: float, left: float | None, scope: str) -> None:
        since = limit.refused_last
        if limit.succeeded(now, left):
            logger.info(
                "Accepted again after %.2g s: %s leave at %.3g a second now", now - since, scope, limit.rate
            )

    def _of(self, operation: str, own_limit: bool) -> tuple[_Gate, Limit]:
        if not own_limit:
            return self._general
        own = self._own.get(operation)
        if own is None:
            own = self._own[operation] = self._gate()
        return own

    def _gate(self) -> tuple[_Gate, Limit]:
        limit = Limit(self._slowest)
        return _Gate(limit, self._clock, self._sleep), limit


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
