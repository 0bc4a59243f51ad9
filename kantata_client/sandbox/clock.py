"""The clock of a sandbox: real time, or a time that tests set and advance."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kantata_client._lazy import resolvable
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


_FIRST_YEAR, _LAST_YEAR = 1900, 2999
_MOST_SECONDS = 10**10


def _check(now: datetime) -> None:
    if not _FIRST_YEAR <= now.year <= _LAST_YEAR:
        message = f"The clock runs from {_FIRST_YEAR} to {_LAST_YEAR}, got {now.isoformat()}."
        raise UsageError(message, consequence="")


@resolvable
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
        """Stop the clock at a time; a naive datetime is taken as UTC.

        Raises:
            UsageError: The time is before 1900 or after 2999.
        """
        stopped = now if now.tzinfo else now.replace(tzinfo=UTC)
        _check(stopped)
        with self._lock:
            self._stopped, self._ahead = stopped.astimezone(UTC), timedelta()

    def advance(self, seconds: float) -> None:
        """Move the clock forward by some seconds, whether it is stopped or not.

        Raises:
            UsageError: The new time is before 1900 or after 2999.
        """
        with self._lock:
            now = (self._stopped or self._source()).astimezone(UTC) + self._ahead
            if not abs(seconds) < _MOST_SECONDS:
                raise UsageError(
                    f"`seconds` must be less than {_MOST_SECONDS:,}, got {seconds}.", consequence=""
                )
            _check(now + timedelta(seconds=seconds))
            self._ahead += timedelta(seconds=seconds)

    def run(self) -> None:
        """Return to the time of the source."""
        with self._lock:
            self._stopped, self._ahead = None, timedelta()
