"""Simulate a service with a rate limit, and tasks that keep it busy, on a clock that jumps from event to event."""

from __future__ import annotations

import asyncio
import selectors
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from kantata_client._http.throttle import AdaptiveThrottle

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from kantata_client._http.throttle import Throttle


class _Jump(selectors.SelectSelector):
    """Advances the clock instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("Nothing would ever wake up the simulation.")
        self.now += timeout
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine like `asyncio.run`, without waiting. The clock starts at 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(main)


class Limiter(Protocol):
    """Decides which requests a service accepts."""

    def accepts(self, now: float) -> bool: ...

    def change(self, factor: float) -> None: ...


class Bucket:
    """A token bucket: `rate` tokens a second, `burst` at most."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._tokens, self._filled = burst, 0.0

    def __repr__(self) -> str:
        return f"Bucket({self.rate:g}, {self.burst:g})"

    def accepts(self, now: float) -> bool:
        # The tolerance keeps rounding from refusing requests that are sent exactly at the rate.
        self._tokens = min(self.burst, self._tokens + (now - self._filled) * self.rate + 1e-9)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def change(self, factor: float) -> None:
        self.rate *= factor


class Windows:
    """`rate * seconds` requests in each window of `seconds`; the first one ends after `phase` of its length."""

    def __init__(self, rate: float, seconds: float, phase: float = 1.0) -> None:
        self.rate, self.seconds = rate, seconds
        self._shift = (1 - phase) * seconds
        self._window, self._used = -1, 0

    def __repr__(self) -> str:
        return f"Windows({self.rate:g}, {self.seconds:g})"

    def accepts(self, now: float) -> bool:
        window = int((now + self._shift) // self.seconds)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used >= round(self.rate * self.seconds):
            return False
        self._used += 1
        return True

    def change(self, factor: float) -> None:
        self.rate *= factor


@attrs.define
class Seen:
    """What happened: when requests were accepted or refused, and when each task got a success."""

    accepted: list[float] = attrs.field(factory=list)
    refused: list[float] = attrs.field(factory=list)
    turns: list[list[float]] = attrs.field(factory=list)

    def share(self, begin: float, end: float, rate: float) -> float:
        """How many requests were accepted between two times, as a share of `rate` a second."""
        return sum(begin <= time < end for time in self.accepted) / (rate * (end - begin))

    def refusals(self, begin: float, end: float) -> float:
        """The share of 429s among the responses between two times."""
        refused = sum(begin <= time < end for time in self.refused)
        return refused / max(1, refused + sum(begin <= time < end for time in self.accepted))


def simulate(
    limiter: Limiter,
    *,
    tasks: int,
    seconds: float,
    latency: float = 0.1,
    jitter: float = 0.0,
    changes: dict[float, float] | None = None,
    throttle: Throttle | None = None,
    seed: int = 1,
) -> Seen:
    """Keep `tasks` tasks sending for `seconds`. Each repeats refused requests.

    Args:
        limiter: The service's limit.
        tasks: How many tasks send, each one request after the other.
        seconds: How long, on the simulated clock.
        latency: Seconds from sending to the response; the service decides after half of them.
        jitter: Random part of the latency, as a share of it.
        changes: Times in seconds, and the factors by which the limit changes then.
        throttle: The throttle to test. Default: an `AdaptiveThrottle`.
        seed: Seed of the jitter.
    """
    seen = Seen(turns=[[] for _ in range(tasks)])
    chance = Random(seed)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        gate = throttle or AdaptiveThrottle(clock=loop.time, sleep=asyncio.sleep)

        async def one(number: int) -> None:
            while True:
                await gate.acquire("GET /stories", False, 300.0)
                sent = loop.time()
                await asyncio.sleep(latency / 2 * (1 + jitter * chance.random()))
                now = loop.time()
                accepted = limiter.accepts(now)
                (seen.accepted if accepted else seen.refused).append(now)
                await asyncio.sleep(latency / 2)
                if accepted:
                    seen.turns[number].append(loop.time())
                    gate.succeeded("GET /stories", False)
                else:
                    gate.limited("GET /stories", False, None, loop.time() - sent)

        running = [loop.create_task(one(number)) for number in range(tasks)]
        passed = 0.0
        for time, factor in sorted((changes or {}).items()):
            await asyncio.sleep(time - passed)
            limiter.change(factor)
            passed = time
        await asyncio.sleep(seconds - passed)
        for task in running:
            task.cancel()

    run(main())
    return seen
