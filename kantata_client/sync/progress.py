"""Counters of a running sync, list by list, and the switch that stops it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import attrs

Status: TypeAlias = Literal["waiting", "reading", "done", "partial", "failed"]
Reason: TypeAlias = Literal["denied", "temporary", "other"]
"""Why a list failed: the account may not read it, the network or the service had a fault, or something else."""


@attrs.define
class ListProgress:
    """Counters of one list."""

    name: str
    status: Status = "waiting"
    rows: int = 0
    """Records read in this sync."""
    deleted: int = 0
    requests: int = 0
    limited: int = 0
    """Answers 429."""
    expected: int | None = None
    """Records to read, if the service returns a count."""
    error: str | None = None
    reason: Reason | None = None
    """Why it failed."""
    notes: list[str] = attrs.field(factory=list[str])
    """What is missing from the rows, and the reason."""
    started: float | None = None
    seconds: float = 0.0
    counts: dict[str | None, int] = attrs.field(factory=dict[str | None, int], repr=False)
    """Expected records by part of the list."""

    @property
    def rate(self) -> float:
        """Records a second."""
        seconds = self.elapsed
        return self.rows / seconds if seconds > 0 else 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the first request; the duration once the list is done."""
        if self.started is None or self.status in ("done", "failed"):
            return self.seconds
        return time.monotonic() - self.started

    @property
    def eta(self) -> float | None:
        """Estimated seconds left; `None` if unknown."""
        if self.expected is None or not self.rate or self.status != "reading":
            return None
        return max(0.0, (self.expected - self.rows) / self.rate)


class Progress:
    """Counters of a sync. `stop()` ends the sync at the next page."""

    def __init__(self, *, rows: int | None = None, stop: threading.Event | None = None) -> None:
        """Start at zero.

        Args:
            rows: Records after which a run leaves the rest to the next run, if the list can be continued; `None` reads all
                lists to their end.
            stop: Ends the sync at the next page when it is set, as `stop()` does.
        """
        self.began = datetime.now(UTC)
        """Start of the sync, by this machine's clock."""
        self.lists: dict[str, ListProgress] = {}
        self.drift = ""
        """Differences between the service and the contract, as a table in text."""
        self.stored = 0
        """Records that are in the warehouse. Those of a run are added when the next one begins."""
        self.resumes: float | None = None
        """End of the pause before failed lists are read again, by the monotonic clock."""
        self._rows = rows
        self._rows_in_slice = 0
        self._slice_ends: float | None = None
        self._stopped = stop or threading.Event()
        self._lock = threading.Lock()

    @property
    def stopping(self) -> bool:
        """Whether to stop at the next page."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Stop at the next page. Records that were read are still stored."""
        self._stopped.set()

    def next_slice(self, seconds: float) -> None:
        """Start counting the rows of another run; those of the run before are stored.

        Args:
            seconds: Time after which the run leaves the rest to the next run, if it has read any records.
        """
        self.stored = sum(each.rows for each in self.lists.values())
        self._rows_in_slice = 0
        self._slice_ends = time.monotonic() + seconds

    @property
    def slice_full(self) -> bool:
        """Whether this run leaves the rest to the next run."""
        if self._rows is not None and self._rows_in_slice >= self._rows:
            return True
        return (
            self._slice_ends is not None and self._rows_in_slice > 0 and time.monotonic() > self._slice_ends
        )

    def for_list(self, name: str) -> ListProgress:
        """Return the counters of a list."""
        with self._lock:
            return self.lists.setdefault(name, ListProgress(name))

    def begin(self, name: str) -> None:
        """Note that reading a list begins."""
        progress = self.for_list(name)
        progress.status = "reading"
        if progress.started is None:
            progress.started = time.monotonic()

    def end(self, name: str, status: Status) -> None:
        """Note that a list was read, or that the rest is left to the next run."""
        progress = self.for_list(name)
        progress.seconds = progress.elapsed
        progress.status, progress.error, progress.reason = status, None, None

    def fail(self, name: str, error: str, reason: Reason) -> None:
        """Note that a list failed."""
        self.end(name, "failed")
        progress = self.for_list(name)
        progress.error, progress.reason = error, reason

    def pause(self, seconds: float) -> None:
        """Wait before failed lists are read again, at most until the sync is stopped."""
        self.resumes = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < self.resumes:
            time.sleep(min(0.2, seconds))
        self.resumes = None

    def read(self, name: str, rows: int) -> None:
        """Count records that are given to the destination."""
        self.for_list(name).rows += rows
        self._rows_in_slice += rows

    def limited(self, name: str) -> None:
        """Count an answer 429."""
        self.for_list(name).limited += 1

    def requested(self, name: str) -> None:
        """Count a request."""
        self.for_list(name).requests += 1

    def note(self, name: str, text: str) -> None:
        """Note that something is missing from the rows of a list, once for each text."""
        notes = self.for_list(name).notes
        if text not in notes:
            notes.append(text)

    def expect(self, name: str, count: int | None, part: str | None) -> None:
        """Note how many records a part of the list has; `count` is `None` if the service does not say."""
        if count is not None:
            progress = self.for_list(name)
            progress.counts[part] = max(count, progress.counts.get(part, 0))
            progress.expected = sum(progress.counts.values())

    @property
    def failed(self) -> list[ListProgress]:
        """The lists that failed."""
        return [each for each in self.lists.values() if each.status == "failed"]
