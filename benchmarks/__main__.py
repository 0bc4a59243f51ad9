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

from benchmarks import concurrency, decoding, starting, walking
from benchmarks.measure import ROOT

if TYPE_CHECKING:
    from benchmarks.measure import Line

_OUT = ROOT / "benchmarks" / "out"


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument(
        "--plot", type=Path, default=_OUT / "memory.svg", help="where to draw memory over records (SVG)"
    )
    drawn: Path = options.parse_args().plot
    _OUT.mkdir(parents=True, exist_ok=True)
    logging.getLogger("kantata_client").addHandler(logging.NullHandler())
    console, begun = Console(), time.perf_counter()
    found: list[Line] = []
    for what, measured in (
        ("decoding", lambda: decoding.lines(25)),
        ("starting", lambda: starting.lines(15)),
        ("walking", lambda: walking.lines(9, drawn)),
        ("concurrency", lambda: concurrency.lines(3, drawn.with_name("concurrency.svg"))),
    ):
        with console.status(f"measuring: {what}"):
            found += measured()
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
