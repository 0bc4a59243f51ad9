"""The CPU time of a small request over each transport that `Kantata(transport=…)` takes.

`python -m benchmarks.transports TRANSPORT URL REQUESTS IN_FLIGHT` prints the microseconds of a request.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.concurrency import serving
from benchmarks.measure import Line, by_turns, in_new_process

if TYPE_CHECKING:
    from benchmarks.measure import Report

TRANSPORTS = ("its own", "httpx", "httpx2", "aiohttp")
NUMBERS = (8, 32)
"""Requests in flight."""
REQUESTS = 1_000


def _transport(name: str, in_flight: int) -> Any:
    if name == "its own":
        return None
    if name == "aiohttp":
        return name
    library: Any = import_module(name)
    limits = library.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    return lambda: library.AsyncHTTPTransport(limits=limits)


async def _run(name: str, url: str, requests: int, in_flight: int) -> float:
    from kantata_client import Kantata

    transport = _transport(name, in_flight)
    async with Kantata("secret", base_url=url, max_concurrency=in_flight, transport=transport) as kantata:
        left = 0

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                assert (await kantata.users.me()).full_name == "Ada"

        for count in (5 * in_flight, requests):  # the first ones open the connections
            left = count
            gc.collect()
            cpu = time.process_time()
            await asyncio.gather(*(work() for _ in range(in_flight)))
            cpu = time.process_time() - cpu
        return cpu / requests * 1e6


def lines(rounds: int, report: Report | None = None) -> list[Line]:
    """Measure a request over each transport, in alternation."""
    with serving() as url:
        things = {
            f"{name} at {number}": lambda name=name, number=number: float(
                in_new_process("transports", name, url, str(REQUESTS), str(number))
            )
            for name in TRANSPORTS
            for number in NUMBERS
        }
        measured = by_turns(rounds, things, report)

    def line(name: str, other: str, number: int) -> Line:
        what, reference = f"{name} at {number}", f"{other} at {number}"
        ratio = measured.ratio(what, reference)
        return Line(f"users.me over {what}", measured.value(what), "µs CPU", reference, ratio)

    return [line("httpx2", "httpx", number) for number in NUMBERS] + [
        line(name, "its own", number)
        for name in TRANSPORTS
        if name not in ("its own", "httpx2")
        for number in NUMBERS
    ]


if __name__ == "__main__":
    print(asyncio.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
