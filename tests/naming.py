"""Ids of parameters that are the same in each process."""

from __future__ import annotations

import re


def steady(value: object) -> str:
    """The value as text, without the memory addresses that a plain `repr` shows."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
