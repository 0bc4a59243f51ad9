"""Listings: search results that stay up to date while records are written.

A page after a write therefore needs no new search. A listing knows which other records its filters and its order have read.
A write to one of those discards the listing; a write to one of its own records moves that record.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, overload

import attrs

from kantata_client.sandbox.columns import Bits, Columns, numbered
from kantata_client.sandbox.records import Record

if TYPE_CHECKING:
    from kantata_client.sandbox.columns import Numbers

Rank: TypeAlias = "tuple[Any, tuple[int, str]]"
"""The sort key of a record: its value, then its id."""


def by_id(record: Mapping[str, Any]) -> tuple[int, str]:
    """The sort key of a record by id; ids that are not numbers come first."""
    return _id_rank(record["id"])


Groups: TypeAlias = "dict[Any, list[str]]"
"""The ids of records by rank."""


def grouped(ranked: Iterable[tuple[Any, str]]) -> Groups:
    """The ids of records by rank, sorted within each rank.

    Args:
        ranked: The rank of each record (all None: without order) and its id.
    """
    groups: Groups = {}
    for rank, identity in ranked:
        groups.setdefault(rank, []).append(identity)
    return {rank: _sorted_ids(ids) if len(ids) > 1 else ids for rank, ids in groups.items()}


def in_order(groups: Groups, descending: bool) -> list[str]:
    """The ids of records, sorted by rank and, within a rank, by id.

    Args:
        groups: The ids by rank.
        descending: Whether the highest rank comes first.
    """
    values = sorted(groups, reverse=descending) if len(groups) > 1 else list(groups)
    return [identity for value in values for identity in groups[value]]


def _sorted_ids(ids: list[str]) -> list[str]:
    return sorted(ids, key=int if all(map(str.isdigit, ids)) else _id_rank)


def _id_rank(identity: str) -> tuple[int, str]:
    return (int(identity), "") if identity.isdigit() else (0, identity)


@attrs.frozen(order=False, eq=False)
class Descending:
    """A value that sorts in reverse."""

    value: Any

    def __lt__(self, other: Descending) -> bool:
        return other.value < self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and other.value == self.value

    __hash__ = None  # pyright: ignore[reportAssignmentType]


@attrs.define(eq=False)
class Reads:
    """The records that a search has read besides those it selects from."""

    fields: dict[str, set[str]] = attrs.Factory(dict[str, set[str]])
    """Envelope key → the fields of single records that were read."""
    absent: dict[str, set[str]] = attrs.Factory(dict[str, set[str]])
    """Envelope key → ids that were looked up but do not exist."""
    lookups: dict[str, dict[str, set[Any]]] = attrs.Factory(dict[str, dict[str, set[Any]]])
    """Envelope key → field → values that were looked up in an index."""
    rows: dict[str, set[str]] = attrs.Factory(dict[str, set[str]])
    """Envelope key → ids of records that were read with all their fields."""
    whole: set[str] = attrs.Factory(set[str])
    """Envelope keys of which all records were read."""

    def touched(
        self,
        key: str,
        identity: str,
        old: Record | None,
        new: Record | None,
        values: Callable[[Record, str], Any],
    ) -> bool:
        """Whether a write may affect what was read."""
        if key in self.whole or identity in self.rows.get(key, ()):
            return True
        if key in self.fields:
            if old is None:
                if identity in self.absent.get(key, ()):
                    return True
            elif new is None or any(old.get(field) != new.get(field) for field in self.fields[key]):
                return True
        elif old is None and identity in self.absent.get(key, ()):
            return True
        for field, looked_up in self.lookups.get(key, {}).items():
            before = set(values(old, field)) if old is not None else set[Any]()
            after = set(values(new, field)) if new is not None else set[Any]()
            if (before ^ after) & looked_up:
                return True
        return False


class _WatchedRecord(Mapping[str, Any]):
    """The current state of a record, which notes the fields that are read."""

    __slots__ = ("_fields", "_identity", "_key", "_store")

    def __init__(self, store: Any, key: str, identity: str, fields: set[str]) -> None:
        self._store = store
        self._key = key
        self._identity = identity
        self._fields = fields

    def _record(self) -> Record:
        return self._store.get(self._key, self._identity) or {}

    def __getitem__(self, field: str) -> Any:
        self._fields.add(field)
        return self._record()[field]

    def get(self, field: str, default: Any = None) -> Any:
        """See `dict.get`."""
        self._fields.add(field)
        return self._record().get(field, default)

    def __contains__(self, field: object) -> bool:
        self._fields.add(str(field))
        return field in self._record()

    def __iter__(self) -> Iterator[str]:
        self._fields.update(self._record())
        return iter(self._record())

    def __len__(self) -> int:
        return len(self._record())


class WatchedStore:
    """A read-only view of a `Store` that notes what is read."""

    def __init__(self, store: Any, reads: Reads, values: Callable[[Any], Any]) -> None:
        self._store = store
        self._reads = reads
        self._indexed = values
        self._records: dict[tuple[str, str], _WatchedRecord] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def plain(self) -> Any:
        """The store itself, whose reads are not noted."""
        return self._store

    def index(self, key: str, field: str, value: object) -> list[str]:
        """See `Store.index`."""
        return self._store.find(key, field, value)

    def get(self, key: str, identity: object) -> Mapping[str, Any] | None:
        """See `Store.get`."""
        address = key, str(identity)
        watched = self._records.get(address)
        if watched is not None:
            return watched
        record = self._store.get(key, identity)
        if record is None:
            self._reads.absent.setdefault(key, set()).add(address[1])
            return None
        watched = _WatchedRecord(self._store, key, address[1], self._reads.fields.setdefault(key, set()))
        self._records[address] = watched
        return watched

    def _look_up(self, key: str, field: str, value: object) -> None:
        self._reads.lookups.setdefault(key, {}).setdefault(field, set()).add(self._indexed(value))

    def find(self, key: str, field: str, value: object) -> list[str]:
        """See `Store.find`."""
        self._look_up(key, field, value)
        return self._store.find(key, field, value)

    def number(self, key: str, field: str, value: object) -> int:
        """See `Store.number`."""
        self._look_up(key, field, value)
        return self._store.number(key, field, value)

    def where(self, key: str, field: str, value: object) -> list[Record]:
        """See `Store.where`."""
        self._look_up(key, field, value)
        found = self._store.where(key, field, value)
        self._reads.rows.setdefault(key, set()).update(record["id"] for record in found)
        return found

    def all(self, key: str) -> list[Record]:
        """See `Store.all`."""
        self._reads.whole.add(key)
        return self._store.all(key)

    def ids(self, key: str) -> list[str]:
        """See `Store.ids`."""
        self._reads.whole.add(key)
        return self._store.ids(key)

    def count(self, key: str) -> int:
        """See `Store.count`."""
        self._reads.whole.add(key)
        return self._store.count(key)

    def aside(self, key: str) -> list[Record]:
        """See `Store.aside`."""
        self._reads.whole.add(key)
        return self._store.aside(key)

    def deleted(self, key: str, identity: str) -> Record | None:
        """See `Store.deleted`."""
        self._reads.whole.add(key)
        return self._store.deleted(key, identity)


@attrs.define(eq=False)
class Listing:
    """The ids that a query selects, in its order."""

    key: str
    ids: list[str]
    reads: Reads
    belongs: Callable[[Mapping[str, Any]], bool]
    """Whether the query selects a record."""
    rank: Callable[[Mapping[str, Any]], Rank]
    """The sort key of a record."""
    usable = True

    @property
    def weight(self) -> int:
        """The number of ids."""
        return len(self.ids)

    def _position(self, record: Record, records: Mapping[str, Record]) -> int:
        rank = cast("Any", self.rank)
        return bisect_left(self.ids, rank(record), key=lambda identity: rank(records[identity]))

    def take_out(self, record: Record, records: Mapping[str, Record]) -> bool:
        """Remove a record, given its old state; false if it is not at its position."""
        if not self.belongs(record):
            return True
        position = self._position(record, records)
        if position == len(self.ids) or self.ids[position] != record["id"]:
            return False
        del self.ids[position]
        return True

    def put_in(self, record: Record, records: Mapping[str, Record]) -> None:
        """Insert a record at its position, if the query selects it."""
        if self.belongs(record):
            self.ids.insert(self._position(record, records), record["id"])


class Page(Sequence[str]):
    """The ids of a set of positions, in an order; only what is read is sorted."""

    __slots__ = ("_bits", "_columns", "_count", "_descending", "_numbers")

    def __init__(
        self, columns: Columns, bits: Bits, count: int, numbers: Numbers | None, *, descending: bool
    ) -> None:
        self._columns = columns
        self._bits = bits
        self._count = count
        self._numbers = numbers
        self._descending = descending

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, int):
            position = range(self._count)[index]
            return self[position : position + 1][0]
        start, stop, step = index.indices(self._count)
        if self._numbers is None:
            found = numbered(self._bits, start, stop) if start < stop else []
        else:
            found = self._numbers.window(self._bits, self._count, start, stop, descending=self._descending)
        return self._columns.identities(found[::step])


@attrs.define(eq=False)
class ColumnListing:
    """What a query selects from a large collection, as a set of positions."""

    key: str
    columns: Columns
    bits: Bits
    order: str | None
    """The field to sort by; None for the id."""
    descending: bool
    reads: Reads
    belongs: Callable[[Mapping[str, Any]], bool]
    """Whether the query selects a record."""
    records: Mapping[str, Record]
    _written: set[str] = attrs.field(factory=set[str], init=False)
    _count: int | None = attrs.field(default=None, init=False)

    @property
    def usable(self) -> bool:
        """Whether the columns still answer the query."""
        return not self.columns.lost and (self.order is None or self.columns.numbers(self.order) is not None)

    @property
    def weight(self) -> int:
        """The memory it takes, in ids of a list."""
        return len(self.columns) // 64

    @property
    def ids(self) -> Page:
        """The ids in order."""
        numbers = None if self.order is None else self.columns.numbers(self.order)
        if self._written:
            before = self.columns.positions(self._written) & self.bits
            after = self.columns.positions(
                identity
                for identity in self._written
                if (record := self.records.get(identity)) is not None and self.belongs(record)
            )
            self.bits ^= before ^ after
            self._written.clear()
            self._count = None
        if self._count is None:
            self._count = self.bits.bit_count()
        return Page(self.columns, self.bits, self._count, numbers, descending=self.descending)

    def take_out(self, record: Record, records: Mapping[str, Record]) -> bool:
        """Take note that a record will be written or removed."""
        self._written.add(record["id"])
        return True

    def put_in(self, record: Record, records: Mapping[str, Record]) -> None:
        """Take note that a record was written."""
        self._written.add(record["id"])


class Search(Protocol):
    """A search for the ids that a query selects."""

    def __call__(self) -> Sequence[str]:
        """Run the search without keeping the listing."""
        ...

    def listing(self, store: Any, reads: Reads) -> Listing | ColumnListing:
        """Run the search as a listing: `store` is read, and `reads` records what was read."""
        ...
