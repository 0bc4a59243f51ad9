"""Time limits of many requests with a single timer of asyncio."""

from __future__ import annotations

import asyncio
import math
from typing import cast

_RESOLUTION = 0.005
"""Seconds between two scans for deadlines that have passed, at least."""


class Deadline:
    """The time limit of one task: `renew` it for each piece of an answer, and `end` it."""

    __slots__ = (
        "_cancelling", "_deadlines", "_read", "_total", "at", "connecting", "expired", "seconds", "task"
    )  # fmt: skip

    def __init__(
        self, deadlines: Deadlines, task: asyncio.Task[object], read: float | None, total: float
    ) -> None:
        now = deadlines.loop.time()
        self.task = task
        self._cancelling = task.cancelling()
        self._deadlines = deadlines
        self._read = read
        self._total = now + total
        self.seconds = total
        self.expired = False
        self.connecting = False
        """Whether the task waits for a new connection, so that nothing is sent yet."""
        self.at = self._total if read is None or read >= total else now + read
        """When it passes, by the clock of the event loop."""

    def connect(self) -> None:
        """Wait for a new connection: the read timeout does not apply to that."""
        self.connecting = True
        self.at = self._total

    def renew(self) -> None:
        """Wait for another piece: the read timeout starts again, the total one goes on."""
        self.connecting = False
        read = self._read
        self.at = self._total if read is None else min(self._deadlines.loop.time() + read, self._total)
        self._deadlines.watch(self)

    def expire(self) -> None:
        """Interrupt the task. It is suspended where `error` handles that: a deadline is ended before anything else."""
        self.expired = True
        self.task.cancel()

    def error(self, error: asyncio.CancelledError) -> BaseException:
        """What to raise for a cancellation: `TimeoutError` if this deadline caused it, and nothing else did."""
        if not self.expired or self.task.uncancel() > self._cancelling:
            return error
        return TimeoutError(
            f"no complete answer within {self.seconds:.3g} s" if self.at >= self._total else ""
        )

    def end(self) -> None:
        """Stop watching; can be called more than once."""
        self._deadlines.forget(self.task)


class Deadlines:
    """The deadlines of one event loop. Most requests end in time, so a deadline costs two dict operations, and no timer."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._watched: dict[asyncio.Task[object], Deadline] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = math.inf
        """When the timer is set to, by the clock of the event loop."""

    def start(self, read: float | None, total: float) -> Deadline:
        """Start a deadline for the running task.

        Args:
            read: Seconds until the next piece; `None` for no limit.
            total: Seconds until the end.
        """
        task = cast("asyncio.Task[object]", asyncio.current_task())
        deadline = self._watched[task] = Deadline(self, task, read, total)
        self._set_timer(deadline.at)
        return deadline

    def running(self) -> Deadline | None:
        """The deadline of the running task."""
        return self._watched.get(cast("asyncio.Task[object]", asyncio.current_task()))

    def watch(self, deadline: Deadline) -> None:
        """Interrupt the task of a deadline when it passes."""
        self._watched[deadline.task] = deadline
        self._set_timer(deadline.at)

    def forget(self, task: asyncio.Task[object]) -> None:
        """Stop watching the deadline of a task."""
        self._watched.pop(task, None)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._next = None, math.inf

    def _set_timer(self, at: float) -> None:
        """Set the timer to a time, unless it is set to an earlier one."""
        if at < self._next:
            self.close()
            self._timer, self._next = self.loop.call_at(at, self._check), at

    def _check(self) -> None:
        self._timer, self._next, now = None, math.inf, self.loop.time()
        for task, deadline in [each for each in self._watched.items() if each[1].at <= now]:
            del self._watched[task]
            deadline.expire()
        if self._watched:
            self._set_timer(max(min(each.at for each in self._watched.values()), now + _RESOLUTION))
