"""Callbacks: events of requests for metrics and tracing, and the progress of long calls.

    requests = Counter()
    kantata = Kantata(hooks=Hooks(on_response=lambda event: requests.update([event.operation])))

Events contain no headers, no body, and of the query only the number of the page. A hook is an ordinary function that
returns quickly; it is called in the task that sends. An exception from a hook is logged under `kantata_client` and otherwise
ignored, because the request may have been carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

import attrs

from kantata_client.errors import UsageError

logger = logging.getLogger("kantata_client")


@attrs.frozen
class RequestEvent:
    """An attempt is about to be sent."""

    operation: str
    """The operation's id, such as `GET /stories/{id}`. It has few distinct values, so it is suitable as a metric label."""
    method: str
    path: str
    """Below the base URL, such as `/stories/7`."""
    attempt: int
    """1 for the first."""
    page: int | None = None
    """The number of the page, for a list."""


@attrs.frozen
class ResponseEvent:
    """An attempt has ended, with or without a response."""

    operation: str
    method: str
    path: str
    attempt: int
    status: int | None
    """None if no response came."""
    seconds: float
    """From sending to the end of the response's body (of a download: its headers). Earlier waiting is not included."""
    request_id: str | None
    page: int | None = None
    """The number of the page, for a list."""


@attrs.frozen
class RetryEvent:
    """An attempt failed and will be repeated."""

    operation: str
    method: str
    path: str
    attempt: int
    """The one that failed."""
    status: int | None
    """None if no response came."""
    delay: float
    """Seconds until the next attempt."""
    reason: str
    request_id: str | None
    page: int | None = None
    """The number of the page, for a list."""


@attrs.frozen
class ThrottleEvent:
    """The throttle delayed a request; sent when the delay is over."""

    operation: str
    method: str
    path: str
    delay: float
    """Seconds that the request waited."""


@attrs.frozen
class Hooks:
    """The functions to call for each kind of event. None costs nothing.

    Raises:
        UsageError: A hook cannot be called, or is an async function, which nothing would await.
    """

    on_request: Callable[[RequestEvent], None] | None = None
    on_response: Callable[[ResponseEvent], None] | None = None
    on_retry: Callable[[RetryEvent], None] | None = None
    on_throttle: Callable[[ThrottleEvent], None] | None = None

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(Hooks):
            hook = getattr(self, field.name)
            if hook is not None and not callable(hook):
                raise UsageError(f"Hooks({field.name}=…) is {hook!r}: pass a function that takes the event")
            if _is_async(hook):
                raise UsageError(
                    f"Hooks({field.name}=…) is an async function, which nothing would await: pass an ordinary function, "
                    "which may start a task or put the event into a queue"
                )


def _is_async(function: object) -> bool:
    from inspect import iscoroutinefunction

    return iscoroutinefunction(function) or iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004


Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the number of objects or bytes so far, and with the total (None while it is unknown).

It is an ordinary function that returns quickly. An exception from it is logged, and the call continues.
"""


def logged(progress: Progress | None, where: str) -> Progress | None:
    """Wrap `progress` so that an exception from it is logged and stops nothing.

    Raises:
        UsageError: `progress` can't be called, or is an async function.
    """
    if progress is None:
        return None
    if not callable(progress) or _is_async(progress):
        raise UsageError(f"{where}: progress is {progress!r}: pass a function that is not async")

    def call(done: int, total: int | None) -> None:
        try:
            progress(done, total)
        except Exception:
            logger.exception("The progress hook of %s failed", where)

    return call
