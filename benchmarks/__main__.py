"""`make bench`: the targets for speed and memory, each measured in the same run as what it is compared with."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks import at_once, concurrency, decoding, sandbox, starting, syncing, transports, walking
from benchmarks.measure import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.status import Status

    from benchmarks.measure import Line, Report

_OUT = ROOT / "benchmarks" / "out"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--plot", type=Path, default=_OUT / "memory.svg", help="where to draw memory over records (SVG)"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=(
            "decoding",
            "starting",
            "walking",
            "concurrency",
            "at once",
            "transports",
            "sandbox",
            "syncing",
        ),
        help="measure only this",
    )
    options = parser.parse_args()
    drawn: Path = options.plot
    _OUT.mkdir(parents=True, exist_ok=True)
    logging.getLogger("kantata_client").addHandler(logging.NullHandler())
    console, begun = Console(), time.perf_counter()
    found: list[Line] = []
    groups: dict[str, Callable[[Report], list[Line]]] = {
        "decoding": lambda report: decoding.lines(25, report),
        "starting": lambda report: starting.lines(15, report),
        "walking": lambda report: walking.lines(7, drawn, report),
        "concurrency": lambda report: concurrency.lines(3, drawn.with_name("concurrency.svg"), report),
        "at once": lambda report: at_once.lines(3, report),
        "transports": lambda report: transports.lines(3, report),
        "sandbox": lambda report: sandbox.lines(3, report),
        "syncing": syncing.lines,
    }
    for group in options.only or groups:
        with console.status(group) as status:

            def report(what: str, done: int, total: int, group: str = group, status: Status = status) -> None:
                passed = time.perf_counter() - begun
                text = f"{group}: {what} ({done} of {total} measured, {passed:.0f} s so far)"
                status.update(text)
                if not console.is_terminal and done % max(1, total // 10) == 0:
                    console.print(text)

            found += groups[group](report)
    console.print(_table(found))
    missed = [line.name for line in found if line.holds is False]
    console.print(f"missed in this run: {', '.join(missed)}" if missed else "all targets hold")
    (_OUT / "latest.json").write_text(json.dumps([line.as_json() for line in found], indent=1) + "\n")
    console.print(f"{time.perf_counter() - begun:.0f} s; {_OUT / 'latest.json'}, {drawn}")
    if missed:
        sys.exit(1)


def _table(lines: list[Line]) -> Table:
    table = Table(title="kantata-client: medians of rounds; only ratios count")
    for name in ("what", "value", "ratio", "to", "target", "holds"):
        table.add_column(name, justify="right" if name in ("value", "ratio", "target") else "left")
    for line in lines:
        target = "" if line.target is None else f"{'≥' if line.at_least else '≤'} {line.target:g}"
        table.add_row(
            line.name,
            f"{line.value:,.3g} {line.unit}" if line.value < 1000 else f"{line.value:,.0f} {line.unit}",
            f"{line.ratio:.2f}",
            line.reference,
            target,
            {True: "yes", False: "[bold red]no", None: ""}[line.holds],
        )
    return table


if __name__ == "__main__":
    main()
