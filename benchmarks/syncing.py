"""Syncing an account into DuckDB from a sandbox in another process.

`python -m benchmarks.syncing million` measures the memory of a sync of 1,000,000 records; it takes some minutes.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import ROOT, Line, in_new_process
from tests.foreign.running import Running, running
from tests.foreign.streams import KEYS, STREAMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Report

LATENCY = 0.05
"""Seconds that each request waits."""
LIMIT = 100
"""Requests that the service accepts in a second."""
LISTS = sorted(KEYS.get(stream, stream) for stream in STREAMS)
"""The lists that the Singer tap reads."""
TAP_ROWS = 100_000
"""Time entries of the account that the tap reads. Each sync starts dlt and stores 60 tables, which takes longer than
reading a small account."""
ROWS, MORE_ROWS = 20_000, 60_000
STORED_ROWS = 200_000
"""Records of the sync whose rate is compared with that of reading; with few, the start of dlt is most of the time."""
MILLION = 1_000_000
TAP = "KANTATA_TEST_TAP"
"""Environment variable with the interpreter of an environment that has the Singer tap, see `.ci/peers`."""


def lines(report: Report) -> list[Line]:
    """The time of a sync compared with the limit, the tap and reading alone, and its memory."""
    steps = {"limit": _limit, "tap": _tap, "storing": _storing, "memory": _memory}
    found: list[Line] = []
    for done, (name, measure) in enumerate(steps.items()):
        report(name, done, len(steps))
        found += measure()
    return found


def _limit() -> list[Line]:
    with running("--latency", str(LATENCY), "--rate", str(LIMIT), quiet=True) as service:
        costs = _run("sync", service, "all", rate=LIMIT)
    ideal = costs["requests"] / LIMIT
    name = f"sync of all lists, {LIMIT} requests/s allowed"
    ratio = costs["seconds"] / ideal
    return [Line(name, costs["seconds"], "s", f"{costs['requests']} requests ÷ limit", ratio, 1.15)]


def _tap() -> list[Line]:
    interpreter = os.environ.get(TAP)
    if interpreter is None:
        print(
            f"The Singer tap is not compared: {TAP} does not name an environment that has it, see .ci/peers."
        )
        return []
    with running(
        "--latency", str(LATENCY), "--rate", str(LIMIT), "--entries", str(TAP_ROWS), quiet=True
    ) as service:
        costs = _run("sync", service, ",".join(LISTS))  # neither of them is told the limit
        seconds = _run_tap(interpreter, service)
    name = f"sync of {len(LISTS)} lists with {TAP_ROWS:,} time entries, compared with a Singer tap"
    return [Line(name, costs["seconds"], "s", "tap ÷ sync", seconds / costs["seconds"], 6, at_least=True)]


def _run_tap(interpreter: str, service: Running) -> float:
    """Return the seconds that the tap takes for all its streams."""
    with tempfile.TemporaryDirectory() as folder:
        settings, catalog = Path(folder, "settings.json"), Path(folder, "catalog.json")
        settings.write_text(json.dumps({"token": service.token}), encoding="utf-8")
        script = str(ROOT / "tests" / "foreign" / "tap.py")
        command = [interpreter, script, service.url, "--config", str(settings)]
        found = subprocess.run([*command, "--discover"], capture_output=True, check=True, timeout=300)
        discovered: dict[str, Any] = json.loads(found.stdout)
        for stream in discovered["streams"]:
            for each in stream["metadata"]:
                if not each["breadcrumb"]:
                    each["metadata"]["selected"] = True
        catalog.write_text(json.dumps(discovered), encoding="utf-8")
        start = time.perf_counter()
        subprocess.run(
            [*command, "--catalog", str(catalog)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=900,
        )
        return time.perf_counter() - start


def _storing() -> list[Line]:
    with running("--entries", str(STORED_ROWS), quiet=True) as service:
        read = _run("read", service, "time_entries")
        stored = _run("sync", service, "time_entries")
    ratio = stored["seconds"] / read["seconds"]
    value = stored["rows"] / stored["seconds"]
    return [Line(f"records a second into DuckDB, of {STORED_ROWS:,}", value, "/s", "reading alone", ratio, 2)]


def _memory(few: int = ROWS, many: int = MORE_ROWS) -> list[Line]:
    peaks: list[float] = []
    for rows in (few, many):
        with running("--entries", str(rows), quiet=True) as service:
            peaks.append(_run("sync", service, "time_entries")["peak"])
    name = f"memory of a sync of {many:,} records"
    return [Line(name, peaks[1], "MB", f"sync of {few:,}", peaks[1] / peaks[0], 1.25)]


def _run(what: str, service: Running, names: str, *, rate: int = 0) -> Mapping[str, float]:
    """Sync or only read in a new process, and return seconds, requests, rows and the peak of memory."""
    costs = in_new_process("syncing", what, service.url, service.token, names, str(rate))
    if costs["failed"]:
        msg = f"{what} failed: {costs['failed']}"
        raise RuntimeError(msg)
    return costs


def _sync(names: str, rate: int) -> dict[str, Any]:
    from kantata_client.cli import main as run_command

    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["kantata", "sync", "--json", "--no-report", "--to", str(Path(folder, "account.duckdb"))]
        sys.argv += [] if names == "all" else ["--resources", names]
        sys.argv += ["--rate", str(rate)] if rate else []
        with redirect_stdout(io.StringIO()) as out, suppress(SystemExit):
            run_command()
    summary = json.loads(out.getvalue())
    if summary["status"] == "error":
        raise RuntimeError(summary["error"])
    failed = [f"{each['name']}: {each['error']}" for each in summary["lists"] if each["status"] != "done"]
    requests = summary["requests"] + summary["limited"]
    return {"seconds": summary["seconds"], "requests": requests, "rows": summary["rows"], "failed": failed}


async def _read(name: str) -> dict[str, Any]:
    from kantata_client import Kantata
    from kantata_client.sync.catalog import lists
    from kantata_client.sync.extract import Walk
    from kantata_client.sync.progress import Progress

    async def drop(rows: list[dict[str, Any]], state: Mapping[str, Any] | None) -> None:
        del state
        progress.read(name, len(rows))

    progress, start = Progress(), time.perf_counter()
    async with Kantata() as kantata:
        await Walk(kantata, lists()[name], None, None, progress, drop).run()
    seconds, counters = time.perf_counter() - start, progress.for_list(name)
    return {"seconds": seconds, "requests": counters.requests, "rows": counters.rows, "failed": []}


def main() -> None:
    what, *arguments = sys.argv[1:]
    if what == "million":
        [line] = _memory(100_000, MILLION)
        print(f"{line.name}: {line.value:.0f} MB, {line.ratio:.2f} times that of a {line.reference}")
        sys.exit(0 if line.holds else 1)
    url, token, names, rate = arguments
    os.environ["KANTATA_BASE_URL"], os.environ["KANTATA_ACCESS_TOKEN"] = url, token
    costs = asyncio.run(_read(names)) if what == "read" else _sync(names, int(rate))
    processes = (
        resource.RUSAGE_SELF,
        resource.RUSAGE_CHILDREN,
    )  # the command reads lists in a process of its own
    costs["peak"] = sum(resource.getrusage(each).ru_maxrss for each in processes) / 1024
    print(json.dumps(costs))


if __name__ == "__main__":
    main()
