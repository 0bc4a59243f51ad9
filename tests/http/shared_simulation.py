"""Several processes with one shared budget, on a clock that jumps from one event to the next."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import attrs

from kantata_client._http.shared_throttle import Entry, SharedThrottle, StoreUnavailableError
from tests.http.simulation import Seen, run

if TYPE_CHECKING:
    from tests.http.simulation import Limiter

EPOCH = 1_800_000_000.0
"""The store's clock when the simulation begins."""


@attrs.define
class FakeStore:
    """Does in memory what Redis does."""

    clock: Callable[[], float]
    state: dict[str, tuple[str, str]] = attrs.field(factory=dict)
    members: set[str] = attrs.field(factory=set)
    exchanges: int = 0
    down: bool = False

    def exchange(self, key: str, member: str, expected: str | None, version: str, state: str) -> Entry:
        if self.down:
            raise StoreUnavailableError("down")
        self.exchanges += 1
        self.members.add(member)
        now = EPOCH + self.clock()
        found = self.state.get(key, ("", ""))
        if expected == found[0]:
            self.state[key] = (version, state)
            return Entry(now, True, version, "", len(self.members))
        return Entry(now, False, *found, len(self.members))

    def close(self) -> None:
        pass


@attrs.define
class Shared:
    """What happened."""

    seen: Seen
    store: FakeStore
    counts: list[int]
    """Accepted requests of each process."""


def simulate_processes(
    limiter: Limiter,
    *,
    processes: int = 8,
    tasks: int = 6,
    seconds: float,
    latency: float = 0.05,
    store_latency: float = 0.001,
    changes: dict[float, Callable[[Limiter, FakeStore], object]] | None = None,
    seed: int = 1,
    **options: Any,
) -> Shared:
    """Keep `tasks` tasks in each of several processes sending for `seconds`; each repeats what is refused.

    Args:
        limiter: The service's limit.
        processes: How many processes share the budget.
        tasks: Tasks in each, which send one request after the other.
        seconds: How long, on the simulated clock.
        latency: Seconds from sending to the answer, up to a half longer by chance.
        store_latency: Seconds of an exchange with the store, up to twice as long by chance.
        changes: What happens to the service or the store, and when.
        seed: Of chance.
        options: Of the throttles.
    """
    chance = Random(seed)
    random.seed(seed)  # the throttles draw too
    seen, counts = Seen(), [0] * processes
    stores: list[FakeStore] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        store = FakeStore(loop.time)
        stores.append(store)
        background: set[asyncio.Task[Any]] = set()

        async def in_thread(function: Callable[[], Any]) -> Any:
            await asyncio.sleep(store_latency / 2 * (1 + chance.random()))
            result = function()
            await asyncio.sleep(store_latency / 2 * (1 + chance.random()))
            return result

        def submit(function: Callable[[], object]) -> None:
            task = loop.create_task(in_thread(function))
            background.add(task)
            task.add_done_callback(background.discard)

        def throttle(number: int) -> SharedThrottle:
            settings = {"first": 20.0, "slowest": 0.05, "fastest": 1e9, "memory": 600.0, **options}
            shift = 1_000.0 * number  # each process has its own clock
            return SharedThrottle(
                store,
                "test",
                clock=lambda: loop.time() + shift,
                sleep=asyncio.sleep,
                in_thread=in_thread,
                submit=submit,
                **settings,
            )

        async def one(number: int, gate: SharedThrottle) -> None:
            while True:
                await gate.acquire("GET /stories", False, 300.0)
                sent = loop.time()
                await asyncio.sleep(latency / 2 * (1 + 0.5 * chance.random()))
                accepted = limiter.accepts(loop.time())
                (seen.accepted if accepted else seen.refused).append(loop.time())
                await asyncio.sleep(latency / 2 * (1 + 0.5 * chance.random()))
                if accepted:
                    counts[number] += 1
                    gate.succeeded("GET /stories", False)
                else:
                    gate.limited("GET /stories", False, None, loop.time() - sent)

        gates = [throttle(number) for number in range(processes)]
        running = [
            loop.create_task(one(number, gate)) for number, gate in enumerate(gates) for _ in range(tasks)
        ]
        passed = 0.0
        for at, change in sorted((changes or {}).items()):
            await asyncio.sleep(at - passed)
            change(limiter, store)
            passed = at
        await asyncio.sleep(seconds - passed)
        failed = [task for task in running if task.done()]
        for task in running:
            task.cancel()
        for task in failed:
            task.result()

    run(main())
    return Shared(seen, stores[0], counts)
