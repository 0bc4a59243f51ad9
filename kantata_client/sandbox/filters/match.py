"""The result of a filter, and the types of functions that produce it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import attrs

from kantata_client.sandbox.records import Record

if TYPE_CHECKING:
    from kantata_client.sandbox.scope import Scope


@attrs.frozen
class Match:
    """The records that pass a filter: their ids (None: any), and a test of the record."""

    ids: frozenset[str] | None = None
    keep: Callable[[Record], bool] | None = None
    holds: Callable[[Record], bool] | None = None
    """The condition behind `ids` as a test, for records written after the ids were looked up."""

    def allows(self, record: Record) -> bool:
        """Whether a record passes."""
        if self.holds is not None:
            return self.holds(record) and (self.keep is None or self.keep(record))
        return (self.ids is None or record["id"] in self.ids) and (self.keep is None or self.keep(record))


Rule: TypeAlias = "Callable[[Scope, str], Match]"
"""A filter: from its value to the records that pass."""

DefaultFilter: TypeAlias = "Callable[[Scope, Mapping[str, str]], Match | None]"
"""A filter that applies by default; None if one of the parameters lifts it."""
