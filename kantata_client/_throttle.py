"""How fast requests leave: as fast as they can until the service answers 429, then as fast as it lets them.

The limits of the service are not public and no header tells what is left, so `AdaptiveThrottle` finds them,
as TCP finds the bandwidth of a line: a little faster with each success, much slower at each refusal.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger("kantata_client")


class Throttle(Protocol):
    """Says when a request may leave; one for a client and all its `with_token` copies.

    Use it under both asyncio and trio, and in several event loops one after the other: hold no lock of
    either.
    """

    async def acquire(self, operation: str, own_limit: bool) -> None:
        """Wait until `operation` may leave; with `own_limit` the service limits it separately too."""
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
    """Lets requests out at a rate, or at once when there is none; `burst` of them may go together."""

    __slots__ = ("_clock", "_sleep", "_turn", "burst", "next", "rate")

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
        self._turn = 0
        self._clock = clock
        self._sleep = sleep

    async def wait(self) -> None:
        while self.rate is not None:
            turn, now, interval = self._turn, self._clock(), 1 / self.rate
            start = max(self.next, now - (self.burst - 1) * interval)
            self.next = start + interval
            if start <= now:
                return
            await self._sleep(start - now)
            if turn == self._turn:
                return
            # The gate was held meanwhile, and this place in the line is void.

    def hold(self, seconds: float) -> None:
        """Let nobody out for so long, not even those who wait already."""
        self._turn += 1
        self.next = max(self.next, self._clock() + seconds)


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
        if not rate_per_second > 0 or burst < 1:
            raise UsageError("FixedRate needs a rate above 0 requests a second and a burst of at least 1.")
        self._gate = _Gate(rate_per_second, burst, clock, sleep)

    async def acquire(self, operation: str, own_limit: bool) -> None:
        """Wait for the next free place."""
        await self._gate.wait()

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Nothing: the rate is fixed."""

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> None:
        """Hold everything for as long as the service wishes, if it says so; the rate stays."""
        if retry_after:
            self._gate.hold(retry_after)


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
        if not 0 < decrease < 1 or recovery <= 0 or slowest <= 0:
            raise UsageError("AdaptiveThrottle needs 0 < decrease < 1, and recovery and slowest above 0.")
        self._decrease = decrease
        self._recovery = recovery
        self._slowest = slowest
        self._clock = clock
        self._sleep = sleep
        self._general = _AdaptiveGate(clock, sleep)
        self._own: dict[str, _AdaptiveGate] = {}

    async def acquire(self, operation: str, own_limit: bool) -> None:
        """Wait for the operation's own limit, if it has one, and for the general one."""
        if own_limit:
            await self._pass(self._gate(operation, own_limit=True))
        await self._pass(self._general)

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
                gate.next = now
            gate.hold(max(1 / gate.rate, min(0.5 * 2.0**gate.refusals, self._recovery)))
            gate.refusals = min(gate.refusals + 1, 60)
            scope = operation if own_limit else "all requests"
            logger.warning("429 for %s: slowing %s to %.3g a second", operation, scope, gate.rate)
        if retry_after:
            gate.hold(retry_after)

    def _gate(self, operation: str, own_limit: bool) -> _AdaptiveGate:
        if not own_limit:
            return self._general
        gate = self._own.get(operation)
        if gate is None:
            gate = self._own[operation] = _AdaptiveGate(self._clock, self._sleep)
        return gate

    async def _pass(self, gate: _AdaptiveGate) -> None:
        if gate.rate is not None:
            if self._clock() - gate.changed > 10 * self._recovery:
                gate.rate = None
            await gate.wait()
        gate.starts.append(self._clock())
