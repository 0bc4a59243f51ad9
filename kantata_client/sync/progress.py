"""How far a sync is, list by list: written by the reader, read by whoever shows it; and when it has to stop."""

from __future__ import annotations

import threading
import time
from typing import Literal, TypeAlias

import attrs

Status: TypeAlias = Literal["waiting", "reading", "done", "partial", "failed"]


@attrs.define
class ListProgress:
    """How far one list is."""

    name: str
    status: Status = "waiting"
    rows: int = 0
    """Records read and stored in this sync."""
    deleted: int = 0
    requests: int = 0
    limited: int = 0
    """Answers 429."""
    expected: int | None = None
    """Records to read, where the service says so."""
    error: str | None = None
    notes: list[str] = attrs.field(factory=list[str])
    """What is missing from the rows, and why."""
    started: float | None = None
    seconds: float = 0.0
    counts: dict[str | None, int] = attrs.field(factory=dict[str | None, int], repr=False)
    """Records by part of the list, where the service says so."""

    @property
    def rate(self) -> float:
        """Records a second."""
        seconds = self.elapsed
        return self.rows / seconds if seconds > 0 else 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since it was begun."""
        if self.started is None or self.status in ("done", "failed"):
            return self.seconds
        return time.monotonic() - self.started

    @property
    def eta(self) -> float | None:
        """Seconds that are probably left."""
        if self.expected is None or not self.rate or self.status != "reading":
            return None
        return max(0.0, (self.expected - self.rows) / self.rate)


class Progress:
    """The counters of a sync, and its brakes: `stop()` ends it at the next page, `slice` after so many records."""

    def __init__(self, *, rows: int | None = None) -> None:
        """Cut each list after `rows` records of one run, where it can be continued; `None` reads to the end."""
        self.lists: dict[str, ListProgress] = {}
        self.drift = ""
        """Where the service differs from the contract, as a table."""
        self._rows = rows
        self._budget: dict[str, int] = {}
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    @property
    def stopping(self) -> bool:
        """Whether to stop at the next page."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Stop at the next page. What was read is stored."""
        self._stopped.set()

    def next_slice(self) -> None:
        """Begin another run."""
        self._budget.clear()

    def enough(self, name: str) -> bool:
        """Whether a list had its share of this run."""
        return self._rows is not None and self._budget.get(name, 0) >= self._rows

    def of(self, name: str) -> ListProgress:
        """The counters of a list."""
        with self._lock:
            found = self.lists.get(name)
            if found is None:
                found = self.lists[name] = ListProgress(name)
            return found

    def begin(self, name: str) -> None:
        """A list is being read."""
        found = self.of(name)
        found.status = "reading"
        if found.started is None:
            found.started = time.monotonic()

    def end(self, name: str, status: Status, error: str | None = None) -> None:
        """A list was read, or failed."""
        found = self.of(name)
        found.seconds = found.elapsed
        found.status, found.error = status, error

    def read(self, name: str, rows: int) -> None:
        """A page came."""
        found = self.of(name)
        found.rows += rows
        found.requests += 1
        self._budget[name] = self._budget.get(name, 0) + rows

    def limited(self, name: str) -> None:
        """The service answered 429."""
        self.of(name).limited += 1

    def requested(self, name: str) -> None:
        """A request was sent that brings no records."""
        self.of(name).requests += 1

    def note(self, name: str, text: str) -> None:
        """Something is missing from the rows of a list."""
        notes = self.of(name).notes
        if text not in notes:
            notes.append(text)

    def expect(self, name: str, count: int | None, part: str | None) -> None:
        """The service says how many records there are, in a part of the list."""
        if count is not None:
            found = self.of(name)
            found.counts[part] = max(count, found.counts.get(part, 0))
            found.expected = sum(found.counts.values())

    @property
    def failed(self) -> list[ListProgress]:
        """The lists that failed."""
        return [each for each in self.lists.values() if each.status == "failed"]
