"""Waiting until a file is ready that the service prepares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client.errors import BadRequestError, NotFoundError, UsageError, ValidationError

if TYPE_CHECKING:
    from kantata_client._calls.session import Session

NOT_YET = (NotFoundError, ValidationError, BadRequestError)
"""What the service answers while there is nothing to download."""

_SLOWER = 1.5
_SLOWEST = 15.0
"""Longest pause between two looks, in seconds."""


class Pauses:
    """Growing pauses between two looks, up to a deadline."""

    def __init__(self, session: Session, interval: float, timeout: float) -> None:
        self._transport = session.transport
        self._end = self._transport.clock() + timeout
        self._pause = interval

    async def next(self) -> bool:
        """Wait; false when there is no time left for it."""
        left = self._end - self._transport.clock()
        if left <= 0:
            return False
        # Not jittered: who waits here has been answered, so that nothing brings waiting clients into step.
        await self._transport.rest(min(self._pause, left))
        self._pause = min(self._pause * _SLOWER, max(_SLOWEST, self._pause))
        return True


def check_pauses(where: str, interval: float, timeout: float) -> None:
    if not (interval > 0 and timeout >= 0):
        raise UsageError(f"{where}: interval={interval!r}, timeout={timeout!r}: seconds above 0 are needed.")
