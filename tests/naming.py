"""Ids of parameters that are the same in each process."""

from __future__ import annotations

import re


def steady(value: object) -> str:
    """The value as text, without what differs from process to process: memory addresses, and the order of sets.

    Even the order of a constant set depends on whether its module was compiled or loaded.
    """
    text = re.sub(r" at 0x[0-9a-f]+", "", str(value))
    return re.sub(
        r"set\(\{([^{}]*)\}\)", lambda found: f"set({', '.join(sorted(found[1].split(', ')))})", text
    )
