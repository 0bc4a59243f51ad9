"""The clock of a sandbox: real time, or a time that tests set and advance."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """A clock that tests can stop, advance and restart. Calling it returns the time in UTC."""

    def __init__(self, source: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Start with the time of `source`, which returns aware datetimes."""
        self._source = source
        self._lock = threading.Lock()
        self._stopped: datetime | None = None
        self._ahead = timedelta()

    def __repr__(self) -> str:
        return f"<Clock {self():%Y-%m-%dT%H:%M:%SZ}{' (stopped)' if self._stopped else ''}>"

    def __call__(self) -> datetime:
        """The time, in UTC."""
        with self._lock:
            return (self._stopped or self._source()).astimezone(UTC) + self._ahead

    def set(self, now: datetime) -> None:
        """Stop the clock at a time; a naive datetime is taken as UTC."""
        with self._lock:
            self._stopped = (now if now.tzinfo else now.replace(tzinfo=UTC)).astimezone(UTC)
            self._ahead = timedelta()

    def advance(self, seconds: float) -> None:
        """Move the clock forward by some seconds, whether it is stopped or not."""
        with self._lock:
            self._ahead += timedelta(seconds=seconds)

    def run(self) -> None:
        """Return to the time of the source."""
        with self._lock:
            self._stopped, self._ahead = None, timedelta()
