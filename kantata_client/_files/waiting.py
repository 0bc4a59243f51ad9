"""Waiting for a file that the service is preparing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client._calls.numbers import seconds
from kantata_client.errors import BadRequestError, NotFoundError, ValidationError

if TYPE_CHECKING:
    from kantata_client._calls.session import Session

NOT_YET = (NotFoundError, ValidationError, BadRequestError)
"""Errors that mean that there is nothing to download yet."""

_SLOWER = 1.5
_SLOWEST = 15.0
"""Longest pause between two requests, in seconds."""


class Pauses:
    """Growing pauses between requests, up to a deadline."""

    def __init__(self, session: Session, interval: float, timeout: float) -> None:
        self._transport = session.transport
        self._end = self._transport.clock() + timeout
        self._pause = interval

    async def next(self) -> bool:
        """Wait, and return true; or return false at once if the deadline has passed."""
        left = self._end - self._transport.clock()
        if left <= 0:
            return False
        # No jitter: each client waits from its own answer, so waiting clients do not fall into step.
        await self._transport.rest(min(self._pause, left))
        self._pause = min(self._pause * _SLOWER, max(_SLOWEST, self._pause))
        return True


def check_pauses(where: str, interval: object, timeout: object) -> None:
    """Check the arguments `interval` and `timeout`, in seconds.

    Args:
        where: The method, for errors.
        interval: Above 0.
        timeout: At least 0.

    Raises:
        UsageError: One of them is not such a number.
    """
    seconds(f"{where}: interval", interval, above_zero=True)
    seconds(f"{where}: timeout", timeout)
