"""Time limits of many requests with a single timer of asyncio."""

from __future__ import annotations

import asyncio

_RESOLUTION = 0.005
"""Seconds between two scans for deadlines that have passed, at least."""


class Deadline:
    """The time limit of one task: `renew` it for each piece of an answer, and `end` it."""

    __slots__ = ("_cancelling", "_deadlines", "_late", "_read", "_task", "_total", "at", "expired", "renewed")

    def __init__(self, deadlines: Deadlines, read: float | None, total: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - there is always one on asyncio
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines = deadlines
        self._read = read
        self._total = deadlines.loop.time() + total
        self._late = f"no complete answer within {total:.3g} s"
        self.expired = False
        self.renewed = False
        """Whether it was renewed, so that something has begun."""
        self.at = self._total
        """When it passes, by the clock of the event loop."""
        deadlines.watch(self)

    def renew(self) -> None:
        """Wait for another piece: the read timeout starts again, the total one goes on."""
        self.renewed = True
        read = self._read
        self.at = self._total if read is None else min(self._deadlines.loop.time() + read, self._total)
        self._deadlines.watch(self)

    def expire(self) -> None:
        """Interrupt the task. It is suspended where `error` handles that: a deadline is ended before anything else."""
        self.expired = True
        self._task.cancel()

    def error(self, error: asyncio.CancelledError) -> BaseException:
        """What to raise for a cancellation: `TimeoutError` if this deadline caused it, and nothing else did."""
        if not self.expired or self._task.uncancel() > self._cancelling:
            return error
        return TimeoutError(self._late if self.at >= self._total else "")

    def end(self) -> None:
        """Stop watching; can be called more than once."""
        self._deadlines.forget(self)


class Deadlines:
    """The deadlines of one event loop. Most requests end in time, so a deadline costs two set operations, and no timer."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._watched: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, read: float | None, total: float) -> Deadline:
        """Start a deadline for the running task.

        Args:
            read: Seconds until the next piece; `None` for no limit.
            total: Seconds until the end.
        """
        return Deadline(self, read, total)

    def watch(self, deadline: Deadline) -> None:
        """Interrupt the task of a deadline when it passes."""
        self._watched.add(deadline)
        if self._timer is None or deadline.at < self._timer.when():
            self._set_timer(deadline.at)

    def forget(self, deadline: Deadline) -> None:
        """Stop watching a deadline."""
        self._watched.discard(deadline)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, at: float) -> None:
        self.close()
        self._timer = self.loop.call_at(at, self._check)

    def _check(self) -> None:
        self._timer, now = None, self.loop.time()
        for deadline in [each for each in self._watched if each.at <= now]:
            self._watched.discard(deadline)
            deadline.expire()
        if self._watched:
            self._set_timer(max(min(each.at for each in self._watched), now + _RESOLUTION))
