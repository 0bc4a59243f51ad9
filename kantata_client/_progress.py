"""Telling how far a long call has come."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("kantata_client")

Progress: TypeAlias = "Callable[[int, int | None], object]"
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
        msg = f"{where}: progress is {progress!r}; a function that is not async is needed. Nothing was sent."
        raise UsageError(msg)

    def call(done: int, total: int | None) -> None:
        try:
            progress(done, total)
        except Exception:
            logger.exception("The progress hook of %s failed", where)

    return call
