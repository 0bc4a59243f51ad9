"""The result of a filter, and the types of functions that produce it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import attrs

from kantata_client.sandbox.filters.conditions import Condition
from kantata_client.sandbox.records import Record

if TYPE_CHECKING:
    from kantata_client.sandbox.scope import Scope


@attrs.frozen
class Match:
    """The records that pass a filter: their ids (None: any), a test of the record, and a condition on its fields."""

    ids: frozenset[str] | None = None
    keep: Callable[[Record], bool] | None = None
    condition: Condition | None = None

    def allows(self, record: Record) -> bool:
        """Whether a record passes."""
        return (
            (self.ids is None or record["id"] in self.ids)
            and (self.keep is None or self.keep(record))
            and (self.condition is None or self.condition.holds(record))
        )


Rule: TypeAlias = "Callable[[Scope, str], Match]"
"""A filter: from its value to the records that pass."""

DefaultFilter: TypeAlias = "Callable[[Scope, Mapping[str, str]], Match | None]"
"""A filter that applies by default; None if one of the parameters lifts it."""
