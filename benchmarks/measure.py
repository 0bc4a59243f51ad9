"""Measuring in rounds: everything that is compared runs in the same round, and only ratios within a round count."""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[1]

Report: TypeAlias = "Callable[[str, int, int], None]"
"""Called before each measurement: what is measured, how many measurements are done, and how many there are."""


@attrs.frozen
class Line:
    """One line of the result."""

    name: str
    value: float
    """Median, in `unit`."""
    unit: str
    reference: str
    """What the ratio compares with."""
    ratio: float
    """Median of the ratios of all rounds."""
    target: float | None = None
    """The largest ratio allowed; `None` for a line without a target."""
    at_least: bool = False
    """The target is the smallest ratio allowed instead."""

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; `None` without one."""
        if self.target is None:
            return None
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target

    def as_json(self) -> dict[str, str | float]:
        """The line as `latest.json` stores it."""
        return {
            "name": self.name,
            "value": float(f"{self.value:.4g}"),
            "unit": self.unit,
            "reference": self.reference,
            "ratio": round(self.ratio, 3),
        }


class Rounds:
    """Figures of several things, one figure of each thing a round."""

    def __init__(self, figures: Mapping[str, Sequence[float]]) -> None:
        self._figures = figures

    def value(self, name: str) -> float:
        """The median of a thing's figures."""
        return median(self._figures[name])

    def ratio(self, name: str, reference: str) -> float:
        """The median of the rounds' ratios of one thing to another."""
        pairs = zip(self._figures[name], self._figures[reference], strict=True)
        return median(own / other for own, other in pairs)


def by_turns(rounds: int, things: Mapping[str, Callable[[], float]], report: Report | None = None) -> Rounds:
    """Measure each thing once in each round, in a new order every time."""
    figures: dict[str, list[float]] = {name: [] for name in things}
    order = list(things)
    chance = random.Random(1)
    for turn in range(rounds):
        chance.shuffle(order)
        for step, name in enumerate(order):
            if report is not None:
                report(name, turn * len(order) + step, rounds * len(order))
            figures[name].append(things[name]())
    return Rounds(figures)


def seconds_of(run: Callable[[], Any], times: int = 1) -> Callable[[], float]:
    """CPU seconds that one run takes, on average over several, after one that warms up the caches."""

    def timed() -> float:
        gc.collect()
        run()
        start = time.process_time()
        for _ in range(times):
            run()
        return (time.process_time() - start) / times

    return timed


def in_new_process(module: str, *arguments: str) -> Any:
    """Run a module of this folder in a new interpreter; what it prints is JSON."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        msg = f"{module} {' '.join(arguments)} failed:\n{done.stderr}"
        raise RuntimeError(msg)
    return json.loads(done.stdout)
