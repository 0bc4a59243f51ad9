"""Reading lists from a service on loopback: CPU, memory over records, and how well requests overlap."""

from __future__ import annotations

from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Line, by_turns, in_new_process
from benchmarks.plot import plot
from benchmarks.server import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGES = 1_000
RECORDS = 200 * PAGES
LATENCY = 0.05
CONCURRENCY = 8


def lines(rounds: int, drawn: Path) -> list[Line]:
    """All walks; memory over records is drawn into the SVG file `drawn`."""
    return [*_long_walks(rounds, drawn), *_latency(rounds)]


def _long_walks(rounds: int, drawn: Path) -> list[Line]:
    told: dict[str, list[dict[str, Any]]] = {"walk": [], "walk_by_httpx": []}
    with serving(PAGES) as url:

        def measured(way: str, *arguments: str) -> Callable[[], float]:
            def run() -> float:
                found = in_new_process("client", way, url, *arguments)
                if found["records"] != RECORDS:
                    msg = f"{way} saw {found['records']} of {RECORDS} records"
                    raise RuntimeError(msg)
                told[way].append(found)
                return found["cpu"]

            return run

        cpu = by_turns(
            rounds, {"walk": measured("walk", "4"), "walk_by_httpx": measured("walk_by_httpx", str(PAGES))}
        )
    memory = {way: [tuple(point) for point in found[-1]["memory"]] for way, found in told.items()}
    plot(
        drawn,
        f"Peak memory of a process during a walk over {RECORDS:,} stories (MB)",
        {
            "kantata-client, 4 pages at once": memory["walk"],
            "httpx and response.json(), page by page": memory["walk_by_httpx"],
        },
    )
    growth = [_at(each["memory"], RECORDS) / _at(each["memory"], RECORDS // 10) for each in told["walk"]]
    peak = median(_at(each["memory"], RECORDS) for each in told["walk"])
    return [
        Line(
            f"walk of {RECORDS:,}: CPU",
            cpu.value("walk"),
            "s",
            "httpx + response.json()",
            cpu.ratio("walk", "walk_by_httpx"),
            0.9,
        ),
        Line(
            f"walk of {RECORDS:,}: peak memory", peak, "MB", f"after {RECORDS // 10:,}", median(growth), 1.05
        ),
    ]


def _latency(rounds: int) -> list[Line]:
    pages = 100
    ideal = (1 + ceil((pages - 1) / CONCURRENCY)) * LATENCY
    with serving(pages, LATENCY) as url:
        found = [in_new_process("client", "walk", url, str(CONCURRENCY)) for _ in range(rounds)]
    seconds = median(each["seconds"] for each in found)
    # The time to the first page holds its latency; the clock of the client starts behind it.
    ratio = median((each["seconds"] + LATENCY) / (ideal + each["cpu_after_first"]) for each in found)
    return [
        Line(
            f"{pages} pages, {LATENCY * 1000:.0f} ms latency, {CONCURRENCY} at once",
            seconds + LATENCY,
            "s",
            f"ideal {ideal:.2f} s + CPU",
            ratio,
            1.1,
        )
    ]


def _at(memory: list[list[float]], records: int) -> float:
    (found,) = [megabytes for seen, megabytes in memory if seen == records]
    return found
