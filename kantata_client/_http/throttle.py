"""How fast requests leave: as fast as they can until the service answers 429, then as fast as it lets them.

The limits of the service are not public and no header tells what is left, so `AdaptiveThrottle` finds them,
as TCP finds the bandwidth of a line: a little faster with each success, much slower at each refusal.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from kantata_client._loops import PerLoop
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import anyio

logger = logging.getLogger("kantata_client")

_LATE = 0.25
"""Seconds by which who waited may leave too late and still keep the place: timers and busy event loops are late, and the
rate would suffer. What stood still for longer must not leave all at once."""


class Throttle(Protocol):
    """Says when a request may leave; one for a client and all its `with_token` copies.

    Use it under both asyncio and trio, and in several event loops one after the other: hold no lock of
    either.
    """

    async def acquire(self, operation: str, own_limit: bool, patience: float) -> float | None:
        """Wait until `operation` may leave.

        With `own_limit` the service limits the operation separately too: wait for that limit alone. The general one is asked
        for by a second call without it, so that who waits for the first takes no place from others.

        Returns:
            `None` (or 0), or without waiting the seconds for which the service wants a pause, if these are more than
            `patience`: then the request fails with `RateLimitedError`.
        """
        ...

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """A request was answered, and not by 429."""
        ...

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> None:
        """A request that left `seconds` ago was answered 429; `retry_after` in seconds, if it came."""
        ...


async def _sleep(seconds: float) -> None:
    import anyio  # not at the top: a client is often made long before it is used

    await anyio.sleep(seconds)


class _Gate:
    """Lets requests out at a rate, or at once when there is none; `burst` of them may go together.

    A place is taken by who leaves, not by who waits: who gives up leaves no gap. Of those who wait in an event loop only
    one, the first of the list, looks at the clock, so that many cost no more each than few do. Who follows is drawn by lot.
    The one who came first would have waited longest: if more come than may leave and each gives up after a while, all of
    them would leave just before they give up, and nobody would get an answer.
    """

    __slots__ = ("__weakref__", "_clock", "_sleep", "asked", "burst", "next", "rate")

    def __init__(
        self,
        rate: float | None,
        burst: int,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.rate = rate
        self.burst = burst
        self.next = 0.0
        """When the next request may leave."""
        self.asked = float("-inf")
        """Until when the service asked to wait."""
        self._clock = clock
        self._sleep = sleep

    async def wait(self, patience: float) -> float | None:
        """Wait for the next place; or return how long the service wants a pause, if that is more than `patience`."""
        if self.rate is None:
            return None
        asked = self.asked - self._clock()
        if asked > patience:
            return asked
        waiting = self._waiting()
        if not waiting and self._left(0.0) <= 0:
            return None
        import anyio

        turn = anyio.Event()
        waiting.append(turn)
        try:
            if waiting[0] is not turn:
                await turn.wait()
            while (left := self._left(_LATE)) > 0:
                asked = self.asked - self._clock()
                if asked > patience:
                    return asked
                await self._sleep(left)
        finally:
            first = waiting[0] is turn
            waiting.remove(turn)
            if first and waiting:
                drawn = random.randrange(len(waiting))
                waiting[0], waiting[drawn] = waiting[drawn], waiting[0]
                waiting[0].set()
        return None

    def hold(self, seconds: float) -> None:
        """Let nobody out for so long, not even those who wait already."""
        self.next = max(self.next, self._clock() + seconds)

    def obey(self, seconds: float, operation: str, scope: str) -> None:
        """Hold for as long as the service asks for."""
        until = self._clock() + seconds
        if until > self.asked + 1:  # once, and not for each of many requests that were refused together
            logger.warning("429 for %s: %s held for %.0f s, as the service asks", operation, scope, seconds)
        self.asked = max(self.asked, until)
        self.hold(seconds)

    def _left(self, late: float) -> float:
        """Seconds until a place is free; if it is now, it is taken."""
        if self.rate is None:
            return 0.0
        now, interval = self._clock(), 1 / self.rate
        start = max(self.next, now - (self.burst - 1) * interval - late)
        if start <= now:
            self.next = start + interval
        return start - now

    def _waiting(self) -> list[anyio.Event]:
        """Those who wait in the running event loop, the one whose turn it is first."""
        loop = _lines.running()
        waiting = loop.get(self)
        if waiting is None:
            waiting = loop[self] = []
        return waiting


_lines: PerLoop[_Gate, list[anyio.Event]] = PerLoop()


class FixedRate:
    """So many requests a second, for those who know their share of the account's limit."""

    def __init__(
        self,
        rate_per_second: float,
        burst: int = 1,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = _sleep,
    ) -> None:
        """`burst` requests may leave together after a pause; `clock` (seconds) and `sleep` are for tests."""
        if not (_number(rate_per_second) and _number(burst) and rate_per_second > 0 and burst >= 1):
            raise UsageError(
                f"FixedRate({rate_per_second!r}, {burst!r}): it needs a number of requests a second above 0, and a "
                "burst of at least 1."
            )
        self._gate = _Gate(rate_per_second, burst, clock, sleep)

    async def acquire(self, operation: str, own_limit: bool, patience: float = math.inf) -> float | None:
        """Wait for the next free place; limits of operations of their own are left to that one rate."""
        return None if own_limit else await self._gate.wait(patience)

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Nothing: the rate is fixed."""

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> None:
        """Hold everything for as long as the service wishes, if it says so; the rate stays."""
        if retry_after:
            self._gate.obey(retry_after, operation, "all requests are")


class _AdaptiveGate(_Gate):
    """A gate whose rate is unknown until a 429 tells that it was too high."""

    __slots__ = ("changed", "refusals", "slope", "starts")

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        super().__init__(None, 1, clock, sleep)
        self.starts: deque[float] = deque(maxlen=64)
        self.changed = float("-inf")
        self.slope = 0.0
        self.refusals = 0

    def observed(self, now: float) -> float:
        """Requests a second that left lately."""
        recent = [start for start in self.starts if start > now - 10]
        return (len(recent) - 1) / max(now - recent[0], 0.001) if len(recent) > 1 else 10.0


class AdaptiveThrottle:
    """Finds the service's limits: additive increase, multiplicative decrease.

    Nothing waits before the first 429. A 429 slows all requests of the client to `decrease` times the rate at
    which they left, once for all requests that were under way; from there the rate grows steadily, so that it
    is back after `recovery` seconds of traffic. After ten times that without a 429 the limit is forgotten.

    A 429 of an operation that has a limit of its own slows that operation only.
    """

    def __init__(
        self,
        *,
        decrease: float = 0.5,
        recovery: float = 30.0,
        slowest: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = _sleep,
    ) -> None:
        """`slowest` is in requests a second; no 429 goes below. `clock` and `sleep` are for tests."""
        numbers = all(map(_number, (decrease, recovery, slowest)))
        if not (numbers and 0 < decrease < 1 and recovery > 0 and slowest > 0):
            raise UsageError(
                f"AdaptiveThrottle(decrease={decrease!r}, recovery={recovery!r}, slowest={slowest!r}): they are numbers, "
                "with 0 < decrease < 1, and recovery (seconds) and slowest (requests a second) above 0."
            )
        self._decrease = decrease
        self._recovery = recovery
        self._slowest = slowest
        self._clock = clock
        self._sleep = sleep
        self._general = _AdaptiveGate(clock, sleep)
        self._own: dict[str, _AdaptiveGate] = {}

    async def acquire(self, operation: str, own_limit: bool, patience: float = math.inf) -> float | None:
        """Wait for the general limit, or for the operation's own one."""
        gate = self._gate(operation, own_limit)
        if gate.rate is not None:
            if self._clock() - max(gate.changed, gate.asked) > 10 * self._recovery:
                gate.rate = None
            asked = await gate.wait(patience)
            if asked:
                return asked
        gate.starts.append(self._clock())
        return None

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Grow the rates a little."""
        for gate in (self._general, self._gate(operation, own_limit)):
            if gate.rate is not None:
                gate.refusals = 0
                # `rate` successes a second make it grow by `slope` a second.
                gate.rate += gate.slope / gate.rate
            if not own_limit:
                break

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> None:
        """Slow down, unless the request left before the last time."""
        gate = self._gate(operation, own_limit)
        now = self._clock()
        if now - seconds > gate.changed:
            gate.changed = now
            # Refusals without a success in between tell that the budget of a whole minute, say, is used up. A
            # lower rate would not help then, and would linger: wait longer and longer instead.
            if gate.rate is None or gate.refusals == 0:
                before = min(gate.rate or math.inf, gate.observed(now))
                gate.rate = max(before * self._decrease, self._slowest)
                gate.slope = max(before - gate.rate, self._slowest) / self._recovery
            gate.hold(max(1 / gate.rate, min(0.5 * 2.0**gate.refusals, self._recovery)))
            gate.refusals = min(gate.refusals + 1, 60)
            scope = "it" if own_limit else "all requests"
            logger.warning("429 for %s: slowing %s to %.3g a second", operation, scope, gate.rate)
        if retry_after:
            gate.obey(retry_after, operation, "it is" if own_limit else "all requests are")

    def _gate(self, operation: str, own_limit: bool) -> _AdaptiveGate:
        if not own_limit:
            return self._general
        gate = self._own.get(operation)
        if gate is None:
            gate = self._own[operation] = _AdaptiveGate(self._clock, self._sleep)
        return gate


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
