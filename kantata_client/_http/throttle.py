"""Throttles: `AdaptiveThrottle` finds the service's rate limits, and `FixedRate` keeps to a given rate.

The service does not publish its rate limits, and no header says how much of them is left.
"""

from __future__ import annotations

import logging
import math
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from kantata_client._http.limits import LATE, Limit, Pace
from kantata_client._http.turns import Line, Turn
from kantata_client._lazy import resolvable
from kantata_client._loops import PerLoop
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger("kantata_client")

LONGEST_PAUSE = 3600.0
"""Longest `Retry-After` in seconds that is respected."""

_left: ContextVar[float] = ContextVar("kantata_client: left", default=-math.inf)
"""When the running task's request was sent."""
_served: ContextVar[float] = ContextVar("kantata_client: served", default=-math.inf)
"""When the last request of the running task that the service accepted was sent."""


class Throttle(Protocol):
    """Decides when a request may be sent. A client and all its `with_token` copies share one.

    It must work on asyncio and on trio, and in several event loops one after the other, so it must not keep a lock of
    either.
    """

    async def acquire(self, operation: str, own_limit: bool, patience: float) -> float | None:
        """Wait until a request may be sent.

        Args:
            operation: The operation's id, such as `GET /stories`.
            own_limit: Wait for the operation's own limit. `acquire` is then called again without it, for the general limit,
                so that a request that waits here keeps no other request waiting.
            patience: Seconds for which the request can wait for the end of a pause that the service asked for.

        Returns:
            None (or 0) when the request may be sent. If the service asked for a pause that lasts longer than `patience`, the
            rest of the pause in seconds, without waiting: the request then fails with `RateLimitedError`.
        """
        ...

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Record that a request got a response other than 429. Called by the task that called `acquire`."""
        ...

    def limited(
        self, operation: str, own_limit: bool, retry_after: float | None, seconds: float
    ) -> bool | None:
        """Record that a request got a 429. Called by the task that called `acquire`.

        Args:
            operation: The operation's id.
            own_limit: Whether the operation has a limit of its own.
            retry_after: The pause in seconds that the service asked for; None if it did not.
            seconds: How long ago the request was sent.

        Returns:
            True if the next `acquire` delays the request for long enough. Otherwise it is repeated after a backoff.
        """
        ...


async def _sleep(seconds: float) -> None:
    import anyio  # not at the top: a client is often made long before it is used

    await anyio.sleep(seconds)


class _Gate:
    """Makes requests wait for their turn. A request that gives up while it waits uses up nothing."""

    __slots__ = ("__weakref__", "_clock", "_sleep", "pace")

    def __init__(
        self, pace: Pace, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.pace = pace
        self._clock = clock
        self._sleep = sleep

    async def wait(self, patience: float) -> float | None:
        """Wait for a turn; or return the rest of a pause that the service asked for, if that is longer than `patience`."""
        pace, now = self.pace, self._clock()
        if pace.free:
            return self.pass_freely()
        if pace.asked - now > patience:
            return pace.asked - now
        line = self._line()
        if line.first is None and pace.left(now, 0.0) <= 0:
            self._record_sent(now, waited=False)
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
            self._record_sent(now, waited=True)
        finally:
            line.leave(turn, self._clock())
        return None

    def pass_freely(self) -> None:
        """Let a request pass that has to wait for nothing."""
        self._record_sent(self._clock(), waited=False)

    def obey(self, seconds: float, longest: float, operation: str, scope: str) -> None:
        """Pause for as long as the service asks, up to `longest` seconds."""
        until = self._clock() + min(seconds, longest)
        if until > self.pace.asked + 1:  # log once for many requests that were refused together
            asked = f"{seconds:.0f} s" if seconds < 1e9 else "ever"
            capped = f" (it asked for {asked})" if seconds > longest else ""
            logger.warning(
                "429 for %s: %s paused for %.0f s, as the service asked%s",
                operation, scope, min(seconds, longest), capped,
            )  # fmt: skip
        self.pace.obey(until)

    def _record_sent(self, now: float, *, waited: bool) -> None:
        self.pace.leaves(now, waited=waited)
        _left.set(now)

    def _line(self) -> Line:
        """The waiting requests of the running event loop."""
        lines = _lines.running()
        line = lines.get(self)
        if line is None:
            line = lines[self] = Line()
        return line


_lines: PerLoop[_Gate, Line] = PerLoop()


@resolvable
class FixedRate:
    """A fixed rate, for programs that know their share of the account's limit."""

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
            burst: How many requests may be sent at once after a pause.
            longest_pause: Longest `Retry-After` in seconds that is respected.
            clock: Returns the time in seconds; for tests.
            sleep: Waits for a number of seconds; for tests.

        Raises:
            UsageError: A number is not positive.
        """
        numbers = all(map(_number, (rate_per_second, burst, longest_pause)))
        if not (numbers and rate_per_second > 0 and burst >= 1 and longest_pause > 0):
            raise UsageError(
                f"FixedRate({rate_per_second!r}, {burst!r}, longest_pause={longest_pause!r}): pass more than 0 requests a "
                "second, a burst of at least 1, and a longest_pause above 0 seconds."
            )
        self._longest = longest_pause
        self._gate = _Gate(Pace(rate_per_second, burst), clock, sleep)

    async def acquire(self, operation: str, own_limit: bool, patience: float = math.inf) -> float | None:
        """Wait for a turn. Limits of single operations are ignored, because the rate is for all requests."""
        return None if own_limit else await self._gate.wait(patience)

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Record that the task had its turn. The rate stays the same."""
        _served.set(_left.get())

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> bool:
        """Pause all requests if the service asks for it. The rate stays the same."""
        if retry_after:
            self._gate.obey(retry_after, self._longest, operation, "all requests are")
        return False


@resolvable
class AdaptiveThrottle:
    """Finds the service's rate limits, whether they are token buckets or fixed windows.

    Before the first 429, no request waits. After it, requests are sent one by one until one is accepted, and then at a rate
    slightly below what the limit has allowed so far. After some seconds without a 429 the rate increases, faster and faster,
    to find out soon if the limit was raised. After `memory` seconds without a 429 the limit is forgotten.

    An operation with a limit of its own also has a rate of its own, and a 429 for it slows down only that operation.
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
            slowest: The lowest rate in requests a second, however many requests get a 429.
            memory: Seconds without a 429 after which a limit is forgotten.
            longest_pause: Longest `Retry-After` in seconds that is respected. After that, single requests find out whether
                the service accepts requests again.
            clock: Returns the time in seconds; for tests.
            sleep: Waits for a number of seconds; for tests.

        Raises:
            UsageError: A number is not positive.
        """
        numbers = (slowest, memory, longest_pause)
        if not (all(map(_number, numbers)) and all(number > 0 for number in numbers)):
            raise UsageError(
                f"AdaptiveThrottle(slowest={slowest!r}, memory={memory!r}, longest_pause={longest_pause!r}): pass "
                "numbers above 0, slowest in requests a second, memory and longest_pause in seconds."
            )
        self._slowest = slowest
        self._memory = memory
        self._longest = longest_pause
        self._clock = clock
        self._sleep = sleep
        self._general = self._gate()
        self._own: dict[str, tuple[_Gate, Limit]] = {}

    async def acquire(self, operation: str, own_limit: bool, patience: float = math.inf) -> float | None:
        """Wait for the general limit, or for the operation's own limit."""
        gate, limit = self._of(operation, own_limit)
        if limit.known and self._clock() - max(limit.refused_last, limit.asked) > self._memory:
            limit.forget()
        return await gate.wait(patience) if limit.known else gate.pass_freely()

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Record an accepted request."""
        now, left = self._clock(), _left.get()
        _served.set(left)
        sent = None if math.isinf(left) else left
        self._note(self._general[1], now, sent, "all requests are")
        if own_limit:
            self._note(self._of(operation, own_limit)[1], now, sent, f"{operation} is")

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> bool:
        """Slow down, unless the request was sent before the last slowdown."""
        gate, limit = self._of(operation, own_limit)
        now = self._clock()
        began = limit.limited(now, now - seconds)
        if retry_after:
            gate.obey(
                retry_after, self._longest, operation, "its requests are" if own_limit else "all requests are"
            )
        elif began:
            scope = "its requests are" if own_limit else "all requests are"
            logger.warning(
                "429 for %s: %s paused for %.2g s, and then sent one by one until one is accepted",
                operation, scope, limit.pause(now),
            )  # fmt: skip
        return True

    def _note(self, limit: Limit, now: float, left: float | None, scope: str) -> None:
        since = limit.refused_last
        if limit.succeeded(now, left):
            logger.info(
                "Accepted again after %.2g s: %s now sent at %.3g a second", now - since, scope, limit.rate
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
