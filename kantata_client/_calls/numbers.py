"""Numbers that say how a call is carried out: limits, concurrency, seconds. The service never sees them."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from kantata_client._objects.scalars import MissingError, native
from kantata_client.errors import UsageError


def whole(name: str, value: object, *, least: int = 1) -> int:
    """A whole number, which may be one of numpy.

    Args:
        name: What it is, for errors.
        value: The argument.
        least: The smallest number that is accepted.

    Raises:
        UsageError: It is not a whole number, or too small.
    """
    number = _plain(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise UsageError(f"{name} must be a whole number, not {value!r}")
    if number < least:
        raise UsageError(f"{name} must be at least {least}, not {value!r}")
    return number


def seconds(name: str, value: object, *, above_zero: bool = False) -> float:
    """A number of seconds, which may be one of numpy.

    Args:
        name: What it is, for errors.
        value: The argument.
        above_zero: Whether 0 is refused too.

    Raises:
        UsageError: It is not a number of at least 0 seconds.
    """
    number = _plain(value)
    if isinstance(number, timedelta):
        raise UsageError(f"{name} must be a number of seconds, not {value!r}: pass its total_seconds()")
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not number >= 0:
        raise UsageError(f"{name} must be a number of seconds, at least 0, not {value!r}")
    if above_zero and not number:
        raise UsageError(f"{name} must be above 0 seconds")
    return number


def _plain(value: object) -> object:
    try:
        return cast("object", native(value))
    except MissingError:
        return None
