"""Records that share most of their fields, kept in a few bytes each and unpacked when they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kantata_client.sandbox.records import Record

_Result = TypeVar("_Result")

Row: TypeAlias = "tuple[str, int]"
"""A packed record: the time of its creation, and the index of its template."""

_OWN = frozenset({"id", "created_at", "updated_at"})
"""Fields that a packed record does not share."""


class PackedRecords(MutableMapping[str, "Record"]):
    """Records by id, in order of creation. A record that was written since is kept as it is."""

    __slots__ = ("_rows", "_templates")

    def __init__(self, templates: Sequence[Record], rows: dict[str, Row | Record]) -> None:
        """Start with packed and other records.

        Args:
            templates: What packed records share: all fields but `id`, `created_at` and `updated_at`.
            rows: Id → record, or its packed form. Changes are made in this dict.
        """
        self._templates = templates
        self._rows = rows

    def __getitem__(self, identity: str) -> Record:
        return self._unpacked(identity, self._rows[identity])

    def _unpacked(self, identity: str, row: Row | Record) -> Record:
        if not isinstance(row, tuple):
            return row
        created, template = row
        return {**self._templates[template], "id": identity, "created_at": created, "updated_at": created}

    def __setitem__(self, identity: str, record: Record) -> None:
        self._rows[identity] = record

    def __delitem__(self, identity: str) -> None:
        del self._rows[identity]

    def __contains__(self, identity: object) -> bool:
        return identity in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def evaluate(self, function: Callable[[Record], _Result]) -> Iterator[tuple[str, _Result]]:
        """The id of each record with the result of a function, called once for what records share if that decides."""
        shared: dict[int, _Result] = {}
        own: set[int] = set()
        for identity, row in self._rows.items():
            if not isinstance(row, tuple):
                yield identity, function(row)
            elif row[1] in shared:
                yield identity, shared[row[1]]
            elif row[1] in own:
                yield identity, function(self._unpacked(identity, row))
            else:
                watched = _Watched(self._unpacked(identity, row))
                result = function(watched)
                if watched.own:
                    own.add(row[1])
                else:
                    shared[row[1]] = result
                yield identity, result


class _Watched(Mapping[str, Any]):
    """A record that notes whether a field is read that packed records do not share."""

    __slots__ = ("_record", "own")

    def __init__(self, record: Record) -> None:
        self._record = record
        self.own = False

    def __getitem__(self, field: str) -> Any:
        self.own = self.own or field in _OWN
        return self._record[field]

    def get(self, field: str, default: Any = None) -> Any:
        """See `dict.get`."""
        self.own = self.own or field in _OWN
        return self._record.get(field, default)

    def __contains__(self, field: object) -> bool:
        return field in self._record

    def __iter__(self) -> Iterator[str]:
        self.own = True
        return iter(self._record)

    def __len__(self) -> int:
        return len(self._record)


def evaluate(
    records: Mapping[str, Record], function: Callable[[Record], _Result]
) -> Iterator[tuple[str, _Result]]:
    """The id of each record with the result of a function."""
    if isinstance(records, PackedRecords):
        return records.evaluate(function)
    return ((identity, function(record)) for identity, record in records.items())
