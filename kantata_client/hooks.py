"""What a client tells while it works: events for metrics and tracing.

    requests = Counter()
    kantata = Kantata(hooks=Hooks(on_response=lambda event: requests.update([event.operation])))

Events carry no header, no query and no body. A hook is an ordinary function, is called in the task that
sends, and should be quick; what it raises is logged under `kantata_client` and otherwise ignored, since a
request may have been carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from kantata_client.errors import UsageError

logger = logging.getLogger("kantata_client")


class RequestEvent(NamedTuple):
    """An attempt is about to be sent."""

    operation: str
    """The operation's id, such as `GET /stories/{id}`: few values, so good for a metric's label."""
    method: str
    path: str
    """Below the base URL, such as `/stories/7`."""
    attempt: int
    """1 for the first."""


class ResponseEvent(NamedTuple):
    """An attempt is over: an answer came, with whatever status, or none."""

    operation: str
    method: str
    path: str
    attempt: int
    status: int | None
    """`None` when no answer came."""
    seconds: float
    """From sending to the end of the answer's body; of a download to its headers. Without waits."""
    request_id: str | None


class RetryEvent(NamedTuple):
    """An attempt failed and another one follows."""

    operation: str
    method: str
    path: str
    attempt: int
    """The one that failed."""
    status: int | None
    """`None` when no answer came."""
    delay: float
    """Seconds until the next attempt."""
    reason: str
    request_id: str | None


class ThrottleEvent(NamedTuple):
    """The throttle held a request back; told when the wait is over."""

    operation: str
    method: str
    path: str
    delay: float
    """Seconds that the request waited."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What to call on which event; `None` calls nothing and costs nothing."""

    on_request: Callable[[RequestEvent], object] | None = None
    on_response: Callable[[ResponseEvent], object] | None = None
    on_retry: Callable[[RetryEvent], object] | None = None
    on_throttle: Callable[[ThrottleEvent], object] | None = None

    def check(self) -> None:
        """Raise `UsageError` if a hook could not be called, or would be called in vain."""
        from inspect import iscoroutinefunction

        for name in self.__slots__:
            hook = getattr(self, name)
            if hook is not None and not callable(hook):
                raise UsageError(f"Hooks({name}=…) is {hook!r}: give a function that takes the event.")
            if iscoroutinefunction(hook) or iscoroutinefunction(getattr(type(hook), "__call__", None)):  # noqa: B004
                raise UsageError(
                    f"Hooks({name}=…) is an async function, but nobody would await it: give an ordinary function, "
                    "which may start a task or put the event into a queue."
                )


Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with what is done so far (objects or bytes), and with all there is to do where that is known.

An ordinary function that returns quickly; what it raises is logged, and the call goes on.
"""


def logged(progress: Progress | None, where: str) -> Progress | None:
    """`progress`, with what it raises logged, as with hooks: nothing is broken off by it.

    Raises:
        UsageError: It could not be called, or would be called in vain.
    """
    if progress is None:
        return None
    from inspect import iscoroutinefunction

    if not callable(progress) or iscoroutinefunction(progress):
        raise UsageError(f"{where}: progress is {progress!r}; a function that is not async is needed.")

    def call(done: int, total: int | None) -> None:
        try:
            progress(done, total)
        except Exception:
            logger.exception("The progress hook of %s failed", where)

    return call
