"""Many calls at once: their wall time, walks side by side, and the memory of calls that wait and of connections.

`python -m benchmarks.at_once walks URL WALKS` prints the CPU seconds of that many walks at once;
`python -m benchmarks.at_once queued URL CALLS` prints the bytes that each of so many waiting calls takes;
`python -m benchmarks.at_once connections URL NUMBER` prints the bytes that each of so many connections takes.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

from benchmarks import server
from benchmarks.concurrency import JITTER, LATENCY, more_files, serving
from benchmarks.data import STORIES
from benchmarks.measure import Line, by_turns, in_new_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Report

WALKS = 500
QUEUED = (1_000, 100_000)


async def _walks(url: str, walks: int) -> float:
    from kantata_client import Kantata

    async with Kantata("secret", base_url=url) as kantata:

        async def walk(workspace: int) -> int:
            count = 0
            async for story in kantata.stories.list(workspace_id=workspace):
                _ = story.title  # reads it, as a program would
                count += 1
            return count

        await kantata.stories.list(workspace_id=1).first()
        gc.collect()
        cpu = time.process_time()
        found = sum(await asyncio.gather(*(walk(number + 1) for number in range(walks))))
        cpu = time.process_time() - cpu
        assert found == WALKS * STORIES
        return cpu


async def _queued(url: str, calls: int) -> float:
    from kantata_client import Kantata

    async with Kantata("secret", base_url=url, max_concurrency=8) as kantata:
        tasks = [asyncio.ensure_future(kantata.users.me()) for _ in range(100)]
        await asyncio.sleep(0.5)  # 8 are in flight, and the others wait
        gc.collect()
        tracemalloc.start()
        tasks += [asyncio.ensure_future(kantata.users.me()) for _ in range(calls)]
        await asyncio.sleep(0)
        grown = tracemalloc.get_traced_memory()[0] / calls
        tracemalloc.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return grown


async def _connections(url: str, number: int) -> float:
    from kantata_client import Kantata

    async with Kantata("secret", base_url=url, max_concurrency=number) as kantata:
        await kantata.users.me()
        gc.collect()
        tracemalloc.start()
        await asyncio.gather(*(kantata.users.me() for _ in range(number)))
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] / number
        tracemalloc.stop()
        return grown


def wall_over_ideal(url: str) -> float:
    """Wall time of 4,000 requests at 1,000 in flight, over their CPU time plus four times the latency.

    Both are from the same run, in a process of its own. Jitter leaves the average latency as it is, but the last responses
    of a run come later.
    """
    requests, in_flight = 4_000, 1_000
    cost = in_new_process("concurrency", "kantata", url, str(requests), str(in_flight))
    return cost["wall"] / (cost["cpu"] / 1e6 * requests + requests / in_flight * LATENCY)


def lines(rounds: int, report: Report | None = None) -> list[Line]:
    """Measure everything, in alternation."""
    with (
        serving(LATENCY, 0) as even,
        serving(LATENCY, JITTER) as uneven,
        serving(60, 0) as slow,
        server.serving(1) as one_page,
        server.serving(WALKS) as pages,
    ):
        things: dict[str, Callable[[], float]] = {
            "wall time": lambda: wall_over_ideal(even),
            "wall time with jitter": lambda: wall_over_ideal(uneven),
            "CPU and latency": lambda: 1.0,
            "walks": lambda: in_new_process("at_once", "walks", one_page, str(WALKS)),
            "one walk": lambda: in_new_process("at_once", "walks", pages, "1"),
        }
        memory: dict[str, Callable[[], float]] = {
            "connections": lambda: in_new_process("at_once", "connections", even, "1000"),
        }
        for calls in QUEUED:
            memory[f"{calls} queued"] = lambda calls=calls: in_new_process(
                "at_once", "queued", slow, str(calls)
            )
        measured = by_turns(rounds, things, report)
        in_memory = by_turns(1, memory, report)  # which hardly differs from run to run

    def line(name: str, what: str, unit: str, reference: str, target: float | None) -> Line:
        of = in_memory if what in memory else measured
        return Line(name, of.value(what), unit, reference, of.ratio(what, reference), target)

    few, many = (f"{calls} queued" for calls in QUEUED)
    return [
        line("users.me: wall time at 1000", "wall time", "of ideal", "CPU and latency", 1.1),
        line(
            "users.me: wall time at 1000, jittered latency",
            "wall time with jitter",
            "of ideal",
            "CPU and latency",
            1.1,
        ),
        line(f"{WALKS} walks at once, a page each", "walks", "s CPU", "one walk", 1.1),
        line(f"memory of a call, {many}", many, "bytes", few, 1.1),
        line("memory of a connection", "connections", "bytes", many, None),
    ]


if __name__ == "__main__":
    more_files()
    run = {"walks": _walks, "queued": _queued, "connections": _connections}[sys.argv[1]]
    print(asyncio.run(run(sys.argv[2], int(sys.argv[3]))))
