"""Records that share most of their fields, kept in a few bytes each and unpacked when they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kantata_client.sandbox.records import Record

_Result = TypeVar("_Result")

Row: TypeAlias = "tuple[str, int]"
"""A packed record: the time of its creation, and the index of its template."""

_OWN = frozenset({"id", "created_at", "updated_at"})
"""Fields that a packed record does not share."""


class PackedRecords(MutableMapping[str, "Record"]):
    """Records by id, in order of creation. A record that was written since is kept as it is.

    The large dict holds no dicts, so that Python's garbage collector does not go through it.
    """

    __slots__ = ("_own", "_rows", "_templates")

    def __init__(
        self, templates: Sequence[Record], own: dict[str, Record], rows: dict[str, Row | None]
    ) -> None:
        """Start with packed and other records. Changes are made in these dicts.

        Args:
            templates: What packed records share: all fields but `id`, `created_at` and `updated_at`.
            own: Id → record, of those that are not packed.
            rows: Id → packed record, or None for those in `own`.
        """
        self._templates = templates
        self._own = own
        self._rows = rows

    def __getitem__(self, identity: str) -> Record:
        row = self._rows[identity]
        if row is None:
            return self._own[identity]
        created, template = row
        return {**self._templates[template], "id": identity, "created_at": created, "updated_at": created}

    def __setitem__(self, identity: str, record: Record) -> None:
        self._own[identity] = record
        self._rows[identity] = None

    def __delitem__(self, identity: str) -> None:
        del self._rows[identity]
        self._own.pop(identity, None)

    def __contains__(self, identity: object) -> bool:
        return identity in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def evaluate(
        self,
        function: Callable[[Record], _Result],
        test: Callable[[Record], bool] | None = None,
        ids: Iterable[str] | None = None,
    ) -> Iterator[tuple[str, _Result]]:
        """The id of each record (of `ids`, or all) that passes a test with the result of a function.

        Each is called once for what records share if that decides.
        """
        value = _Shared(self._templates, function)
        passes = None if test is None else _Shared(self._templates, test)
        rows = self._rows
        chosen = rows.items() if ids is None else ((each, rows[each]) for each in ids if each in rows)
        for identity, row in chosen:
            if row is None:
                record = self._own[identity]
                if test is None or test(record):
                    yield identity, function(record)
            elif passes is None or passes(identity, row):
                yield identity, value(identity, row)

    def column(self, field: str) -> list[Any]:
        """The values of a field, in the order of the records."""
        rows, own = self._rows.items(), self._own
        if field == "id":
            return list(self._rows)
        if field in _OWN:
            return [own[identity].get(field) if row is None else row[0] for identity, row in rows]
        shared = [template.get(field) for template in self._templates]
        return [own[identity].get(field) if row is None else shared[row[1]] for identity, row in rows]


class _Shared(Generic[_Result]):
    """A function of packed records that is called again only if it reads a field that they do not share."""

    __slots__ = ("_function", "_known", "_own", "_templates", "_view")

    def __init__(self, templates: Sequence[Record], function: Callable[[Record], _Result]) -> None:
        self._templates = templates
        self._function = function
        self._known: dict[int, _Result] = {}
        self._own: set[int] = set()
        self._view = _View()

    def __call__(self, identity: str, row: Row) -> _Result:
        """The result for one record."""
        created, template = row
        if template in self._known:
            return self._known[template]
        view = self._view
        view.identity, view.created, view.shared, view.own = (
            identity,
            created,
            self._templates[template],
            False,
        )
        result = self._function(view)
        if template not in self._own:
            if view.own:
                self._own.add(template)
            else:
                self._known[template] = result
        return result


class _View(Mapping[str, Any]):
    """A packed record as it is read, for one call; it notes whether a field is read that such records do not share."""

    __slots__ = ("created", "identity", "own", "shared")

    identity: str
    created: str
    shared: Record
    own: bool

    def get(self, field: str, default: Any = None) -> Any:
        """See `dict.get`."""
        if field in _OWN:
            self.own = True
            return self.identity if field == "id" else self.created
        return self.shared.get(field, default)

    def __getitem__(self, field: str) -> Any:
        return self.get(field) if field in _OWN else self.shared[field]

    def __contains__(self, field: object) -> bool:
        return field in _OWN or field in self.shared

    def __iter__(self) -> Iterator[str]:
        return iter({**self.shared, **dict.fromkeys(_OWN)})

    def __len__(self) -> int:
        return len({**self.shared, **dict.fromkeys(_OWN)})


def evaluate(
    records: Mapping[str, Record],
    function: Callable[[Record], _Result],
    test: Callable[[Record], bool] | None = None,
    ids: Iterable[str] | None = None,
) -> Iterator[tuple[str, _Result]]:
    """The id of each record (of `ids`, or all) that passes a test with the result of a function."""
    if isinstance(records, PackedRecords):
        return records.evaluate(function, test, ids)
    chosen = records.items() if ids is None else ((each, records[each]) for each in ids if each in records)
    return ((identity, function(record)) for identity, record in chosen if test is None or test(record))


def column(records: Mapping[str, Record], field: str) -> list[Any]:
    """The values of a field (None where it is missing), in the order of the records."""
    if isinstance(records, PackedRecords):
        return records.column(field)
    return [record.get(field) for record in records.values()]
