"""What a filter keeps, and the kinds of functions that say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import attrs

from kantata_client.sandbox.records import Record

if TYPE_CHECKING:
    from kantata_client.sandbox.scope import Scope


@attrs.frozen
class Match:
    """What a filter keeps: the ids it allows (None: any), and a test of the record."""

    ids: frozenset[str] | None = None
    keep: Callable[[Record], bool] | None = None
    holds: Callable[[Record], bool] | None = None
    """What `ids` came from, as a test: for records that were written after the ids were looked up."""

    def allows(self, record: Record) -> bool:
        """Whether the filter keeps a record."""
        if self.holds is not None:
            return self.holds(record) and (self.keep is None or self.keep(record))
        return (self.ids is None or record["id"] in self.ids) and (self.keep is None or self.keep(record))


Rule: TypeAlias = "Callable[[Scope, str], Match]"
"""What a filter means: from its value to the records that it keeps."""

DefaultFilter: TypeAlias = "Callable[[Scope, Mapping[str, str]], Match | None]"
"""A filter that applies unless one of the request's parameters lifts it; then it returns None."""
