"""Report the steps of a request to hooks and to the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from kantata_client._http.messages import Failure
from kantata_client._http.problems import reason_of
from kantata_client.errors import UsageError
from kantata_client.hooks import RequestEvent, ResponseEvent, RetryEvent, ThrottleEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client._http.messages import Request, Response
    from kantata_client.hooks import Hooks

logger = logging.getLogger("kantata_client")


def throttled(hooks: Hooks, request: Request, path: str, seconds: float) -> None:
    """Report that the throttle delayed a request."""
    logger.debug("%s waited %.3f s for the throttle", request.operation, seconds)
    if hooks.on_throttle:
        _call(hooks.on_throttle, ThrottleEvent(request.operation, request.method, path, seconds))


def leaving(hooks: Hooks, request: Request, path: str, attempt: int) -> None:
    """Report that an attempt is about to be sent."""
    if hooks.on_request:
        _call(hooks.on_request, RequestEvent(request.operation, request.method, path, attempt, request.page))


def wanted(hooks: Hooks) -> bool:
    """Whether `ended` would report anything."""
    return hooks.on_response is not None or logger.isEnabledFor(logging.DEBUG)


def ended(
    hooks: Hooks, request: Request, path: str, attempt: int, outcome: Response | Failure, seconds: float
) -> None:
    """Report that an attempt has ended."""
    method, request_id = request.method, outcome.request_id
    if hooks.on_response:
        event = ResponseEvent(
            request.operation, method, path, attempt, outcome.status, seconds, request_id, request.page
        )
        _call(hooks.on_response, event)
    if logger.isEnabledFor(logging.DEBUG):
        what = outcome.reason if isinstance(outcome, Failure) else outcome.status
        logger.debug(
            "%s %s: %s in %.3f s (attempt %d, request id %s)",
            method,
            path,
            what,
            seconds,
            attempt,
            request_id,
        )


def retrying(
    hooks: Hooks, request: Request, path: str, attempt: int, outcome: Response | Failure, delay: float
) -> None:
    """Report that an attempt failed and will be repeated."""
    reason = reason_of(outcome)
    logger.info("%s %s: %s; attempt %d follows in %.1f s", request.method, path, reason, attempt + 1, delay)
    if hooks.on_retry:
        event = RetryEvent(
            request.operation,
            request.method,
            path,
            attempt,
            outcome.status,
            delay,
            reason,
            outcome.request_id,
            request.page,
        )
        _call(hooks.on_retry, event)


def log_to_stderr(level: str) -> None:
    """Write the package's log to stderr, as the environment variable `KANTATA_LOG` asks.

    If the program has set up logging, its handlers receive the records, and only the level changes.

    Args:
        level: `debug`, `info` or `warning`.

    Raises:
        UsageError: The level is another one.
    """
    if level.lower() not in ("debug", "info", "warning"):
        raise UsageError(
            f"KANTATA_LOG is {level!r}: set it to debug, info or warning, or unset it.", consequence=""
        )
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)


class _Event(Protocol):
    @property
    def operation(self) -> str: ...


def _call(hook: Callable[[Any], object], event: _Event) -> None:
    try:
        hook(event)
    except Exception:
        logger.exception("The hook for %s failed at %s", type(event).__name__, event.operation)
