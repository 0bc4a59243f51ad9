"""What a record is, wherever records are passed around."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

Record: TypeAlias = Mapping[str, Any]
"""A record as it is stored: JSON values, `id` a string. Never changed in place, a write replaces it."""


def listed(value: Any) -> list[Any]:
    """The items of a list, or the one value, or nothing of null."""
    return cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]
