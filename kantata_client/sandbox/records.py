"""The type of a stored record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

Record: TypeAlias = Mapping[str, Any]
"""A stored record: JSON values, with `id` as a string. It is never changed in place: a write replaces it."""


def listed(value: Any) -> list[Any]:
    """The value as a list: a list itself, a single value in a list, and no items for null."""
    return cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]
