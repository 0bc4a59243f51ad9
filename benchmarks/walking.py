"""Reading lists from a service on loopback, with two includes whose associations are read, as users do it.

CPU is compared with what a user would write by hand, in the same rounds, and time with a pipeline written for the benchmark.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Line, by_turns, in_new_process
from benchmarks.plot import plot
from benchmarks.rivals import stock_package
from benchmarks.server import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.measure import Report, Rounds

PAGES = 60
LONG = 1_000
"""Pages of the walks whose memory is drawn."""
JITTERED = 100
"""Pages of the walks with latency."""
LATENCY, SIGMA = 0.04, 0.8
"""Median seconds and sigma of a lognormal distribution."""
WORK = (0.0, 0.005, 0.02)
"""Seconds that the caller takes for a page."""
AHEAD = 16


def lines(rounds: int, drawn: Path, report: Report) -> list[Line]:
    """All walks; memory over records is drawn into the SVG file `drawn`."""
    return [*_cpu(rounds, report), *_latency(rounds, report), *_memory(rounds, drawn, report)]


def run(lane: str, url: str, pages: int, *options: str) -> dict[str, Any]:
    """The costs of one lane in a new process; it has to read every record."""
    costs = in_new_process("lanes", lane, url, *options)
    if costs["records"] != 200 * pages:
        msg = f"{lane} saw {costs['records']} of {200 * pages} records"
        raise RuntimeError(msg)
    return costs


def _cpu(rounds: int, report: Report) -> list[Line]:
    with serving(PAGES) as url, serving(PAGES, nulls=False) as url_without_nulls, stock_package() as stock:

        def cpu(lane: str, concurrency: int, *options: str, at: str = url) -> Callable[[], float]:
            arguments = ("--concurrency", str(concurrency), *options)
            return lambda: run(lane, at, PAGES, *arguments)["cpu"] / PAGES * 1000

        code = ("--code", str(stock.folder), "--module", stock.module)
        things = {
            **{
                f"{lane} at {number}": cpu(lane, number)
                for number in (1, 4, 16)
                for lane in ("kantata", "httpx")
            },
            **{
                f"{lane} without includes at {number}": cpu(lane, number, "--no-include")
                for number in (1, 4)
                for lane in ("kantata", "httpx")
            },
            "kantata-dicts": cpu("kantata-dicts", 4, "--no-include"),
            "ideal": cpu("ideal", 4),
            "pydantic": cpu("pydantic", 4),
            "stock": cpu("stock", 4, *code, at=url_without_nulls),
            "httpx without nulls": cpu("httpx", 4, at=url_without_nulls),
            "tap": cpu("tap", 1),
        }
        measured = by_turns(rounds, things, report)
    return _cpu_lines(measured)


def _cpu_lines(measured: Rounds) -> list[Line]:
    def line(name: str, what: str, reference: str, to: str, target: float | None = None) -> Line:
        ratio = measured.ratio(what, reference)
        return Line(name, measured.value(what), "ms/page", to, ratio, target)

    by_hand = "httpx + json + look-ups"
    return [
        *(
            line(
                f"walk, 2 includes, {number} at once: CPU",
                f"kantata at {number}",
                f"httpx at {number}",
                by_hand,
                target,
            )
            for number, target in ((1, 0.85), (4, 0.90), (16, 0.90))
        ),
        *(
            line(
                f"walk, no includes, {number} at once: CPU",
                f"kantata without includes at {number}",
                f"httpx without includes at {number}",
                by_hand,
                0.80,
            )
            for number in (1, 4)
        ),
        line("dicts(), no includes, 4 at once: CPU", "kantata-dicts", "httpx without includes at 4", by_hand),
        line("by hand with orjson, 4 at once", "ideal", "httpx at 4", by_hand),
        line("httpx + pydantic, 4 at once", "pydantic", "httpx at 4", by_hand),
        line("stock generator, 4 at once, no nulls", "stock", "httpx without nulls", by_hand),
        line("in the manner of a Singer tap, 1 at once", "tap", "httpx at 1", by_hand),
    ]


def _latency(rounds: int, report: Report) -> list[Line]:
    found: list[Line] = []
    cases = [(concurrency, work) for concurrency in (4, 8) for work in WORK]
    with serving(JITTERED, latency=LATENCY, sigma=SIGMA) as url:

        def seconds(lane: str, concurrency: int, work: float) -> Callable[[], float]:
            arguments = ("--concurrency", str(concurrency), "--work", str(work))
            return lambda: run(lane, url, JITTERED, *arguments)["seconds"]

        things = {f"{lane} {case}": seconds(lane, *case) for case in cases for lane in ("kantata", "ideal")}
        measured = by_turns(rounds, things, report)
    for case in cases:
        concurrency, work = case
        caller = f"{work * 1000:.0f} ms of work a page" if work else "idle caller"
        found.append(
            Line(
                f"jittered latency, {concurrency} at once, {caller}: time",
                measured.value(f"kantata {case}"),
                "s",
                "ideal pipeline",
                measured.ratio(f"kantata {case}", f"ideal {case}"),
                1.08,
            )
        )
    return found


def _memory(rounds: int, drawn: Path, report: Report) -> list[Line]:
    peaks: dict[int, list[float]] = {1: [], AHEAD: []}
    with serving(PAGES) as url:
        # The caller is slower than the service, so that all pages wait.
        for step in range(rounds):
            for concurrency, found in peaks.items():
                report(f"memory with {concurrency} ahead", 2 * step, 2 * rounds)
                arguments = ("--concurrency", str(concurrency), "--work", "0.01")
                found.append(run("kantata", url, PAGES, *arguments)["peak"])
        waiting = AHEAD * _page_megabytes(url)
    one, ahead = median(peaks[1]), median(peaks[AHEAD])
    with serving(LONG) as url:
        memory: dict[str, list[tuple[float, float]]] = {}
        for step, (lane, name, concurrency) in enumerate(
            (
                ("kantata", "kantata-client, 4 pages at once", "4"),
                ("httpx", "httpx and response.json(), page by page", "1"),
            )
        ):
            report(f"memory of {lane} over {200 * LONG:,} records", step, 2)
            costs = run(lane, url, LONG, "--concurrency", concurrency, "--points", "10000")
            memory[name] = [tuple(point) for point in costs["memory"]]
    plot(drawn, f"Peak memory of a process during a walk over {200 * LONG:,} stories (MB)", memory)
    walked = dict(memory["kantata-client, 4 pages at once"])
    return [
        Line(
            f"{AHEAD} pages ahead: peak memory",
            ahead,
            "MB",
            f"1.3 times that with 1 ({one:.0f} MB) + {AHEAD} pages of bytes",
            ahead / (1.3 * one + waiting),
            1.0,
        ),
        Line(
            f"walk of {200 * LONG:,}: peak memory",
            walked[200 * LONG],
            "MB",
            f"after {20 * LONG:,}",
            walked[200 * LONG] / walked[20 * LONG],
            1.05,
        ),
    ]


def _page_megabytes(url: str) -> float:
    import httpx

    response = httpx.get(f"{url}/stories", params={"page": 1, "include": "assignees,workspace"})
    return len(response.content) / 2**20
