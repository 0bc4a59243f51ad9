"""The records of the sandbox: one collection per envelope key, with indexes, in memory."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

import msgspec

from kantata_client._lazy import resolvable
from kantata_client.sandbox import schema
from kantata_client.sandbox.cdn import Files
from kantata_client.sandbox.columns import Columns, UnfitError, Values
from kantata_client.sandbox.listings import ColumnListing, Listing, Reads, Search, WatchedStore
from kantata_client.sandbox.packed import PackedRecords, evaluate
from kantata_client.sandbox.records import Record

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Generator,
        Iterator,
        Mapping,
        MutableMapping,
        Sequence,
    )

    from kantata_client.sandbox.persistence import Database

Rows: TypeAlias = (
    Iterable[Record] | dict[str, Record] | PackedRecords
)  # not text: other modules use it in hints
"""The records to start with, of one envelope key."""

_Result = TypeVar("_Result")

FIRST_NEW_ID = 9_000_001
MOST_LISTINGS, MOST_LISTED = 64, 12_000_000
"""Maximum number of listings, and of ids in all of them together."""


LARGE = 5_000
"""Number of records from which a collection has columns."""

MOST_ENCODED, MOST_VERSIONS = 50_000, 4
"""Maximum number of records per envelope key whose JSON is cached, and of versions of each."""


class _Collection:
    """The records under one envelope key."""

    __slots__ = ("columns", "encoded", "indexes", "records", "unfit")

    def __init__(self) -> None:
        self.records: MutableMapping[str, Record] = {}
        self.columns: Columns | None = None
        self.unfit = False
        """Whether the records can't have columns, until one is removed."""
        self.indexes: dict[str, dict[Any, dict[str, None]]] = {}
        self.encoded: OrderedDict[str, dict[tuple[Any, ...], msgspec.Raw]] = OrderedDict()

    def put(self, record: Record) -> None:
        identity = record["id"]
        old = self.records.get(identity)
        for field, index in self.indexes.items():
            now = dict.fromkeys(_values(record, field))
            if old is not None:
                for value in _values(old, field):
                    if value not in now:
                        index[value].pop(identity, None)
            for value in now:
                index.setdefault(value, {}).setdefault(identity)
        self.records[identity] = record
        self.encoded.pop(identity, None)
        if self.columns is not None:
            self.columns.note(identity, old)

    def remove(self, identity: str) -> None:
        record = self.records.pop(identity)
        self.unfit = False
        self.encoded.pop(identity, None)
        if self.columns is not None:
            self.columns.note(identity, record)
        for field, index in self.indexes.items():
            for value in _values(record, field):
                index.get(value, {}).pop(identity, None)

    def index(self, field: str) -> dict[Any, dict[str, None]]:
        index = self.indexes.get(field)
        if index is None:
            index = self.indexes[field] = {}
            for identity, values in evaluate(self.records, lambda record: tuple(_values(record, field))):
                for value in values:
                    index.setdefault(value, {})[identity] = None
        return index


@resolvable
class Store:
    """All records of a sandbox. Tests may read them, and write with `put`, `change` and `remove`.

    Every method can be called from any thread, even while a server in another thread uses the store.
    """

    def __init__(
        self,
        records: Mapping[str, Rows] | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        references: Literal["documented", "always"] = "documented",
        blank: Callable[[str], Mapping[str, Any]] | None = None,
        check: Callable[[str, Record], None] | None = None,
    ) -> None:
        """Start with records.

        Args:
            records: Envelope key → records.
            clock: Returns the time of each write (an aware datetime).
            references: Whether single references are shown only when included, or always.
            blank: Returns the empty fields of a type, to complete records written by tests.
            check: Raises UsageError if a record written by tests has an unknown envelope key or field.
        """
        self.lock = threading.RLock()
        """Held by each method, and by the API for a whole request, so that nothing interferes with it."""
        self._blank = blank
        self._check = check
        self.references: Literal["documented", "always"] = references
        """Whether single references are shown only when included, or always."""
        self._unshown: dict[tuple[str, str], frozenset[str]] = {}
        self._collections: dict[str, _Collection] = {}
        self._clock = clock
        self.files = Files(clock)
        """The files on the CDN."""
        self._ids = itertools.count(FIRST_NEW_ID)
        self._listings: OrderedDict[object, Listing | ColumnListing] = OrderedDict()
        self._journal: list[tuple[str, str, Record | None]] | None = None
        self._aside: dict[str, dict[str, Record]] = {}
        self._database: Database | None = None
        self._dirty: set[tuple[str, str]] = set()
        self._changes: list[tuple[str, Record | None, Record | None]] = []
        self.watch: Callable[[str, Record | None, Record | None], None] | None = None
        """Called with each write: envelope key, the record before, the record after."""
        self.feed: Any = None
        """The change feed, if the account has one."""
        self.author: str | None = None
        """The user whose request is writing; None for writes outside the API."""
        for key, rows in (records or {}).items():
            self._collection(key).records = _by_id(rows)

    def __repr__(self) -> str:
        counts = ", ".join(f"{key}={count}" for key, count in self.counts().items())
        return f"<Store {counts or 'empty'}>"

    def filled(self) -> list[str]:
        """The envelope keys that have records."""
        with self.lock:
            return [key for key, collection in self._collections.items() if collection.records]

    def counts(self) -> dict[str, int]:
        """Envelope key → number of records, of the collections that have any."""
        with self.lock:
            return {key: len(c.records) for key, c in self._collections.items() if c.records}

    def count(self, key: str) -> int:
        """The number of records under an envelope key."""
        return len(self._collection(key).records)

    def all(self, key: str) -> list[Record]:
        """The records under an envelope key, in order of creation; do not modify them."""
        with self.lock:
            return list(self._collection(key).records.values())

    def evaluate(
        self,
        key: str,
        function: Callable[[Record], _Result],
        test: Callable[[Record], bool] | None = None,
        ids: Iterable[str] | None = None,
    ) -> Iterator[tuple[str, _Result]]:
        """The id of each record (of `ids`, or all) that passes a test with the result of a function.

        Nothing may be written during the iteration, and the functions must not keep a record.
        """
        return evaluate(self._collection(key).records, function, test, ids)

    def get(self, key: str, identity: object) -> Record | None:
        """One record, by id (number or string)."""
        return self._collection(key).records.get(str(identity))

    def ids(self, key: str) -> list[str]:
        """The ids under an envelope key, in order of creation."""
        with self.lock:
            return list(self._collection(key).records)

    def find(self, key: str, field: str, value: object) -> list[str]:
        """The ids of the records whose `field` is `value` (or `{key, id}`), or has it in its list."""
        with self.lock:
            values = self._values_of(key, field)
            if values is None:
                return list(self._collection(key).index(field).get(_indexed(value), ()))
            return values[0].identities(values[1].find(str(_indexed(value))))

    def number(self, key: str, field: str, value: object) -> int:
        """The number of ids that `find` returns."""
        with self.lock:
            values = self._values_of(key, field)
            if values is None:
                return len(self._collection(key).index(field).get(_indexed(value), ()))
            return values[1].number(str(_indexed(value)))

    def _values_of(self, key: str, field: str) -> tuple[Columns, Values] | None:
        """The column that takes the place of an index in a large collection."""
        columns = self.columns(key)
        values = None if columns is None else columns.values(field)
        return None if columns is None or values is None else (columns, values)

    def where(self, key: str, field: str, value: object) -> list[Record]:
        """The records that `find` finds."""
        with self.lock:
            records = self._collection(key).records
            return [records[identity] for identity in self.find(key, field, value)]

    def put(self, key: str, record: Record) -> Record:
        """Write a whole record, with its values in the types of the contract.

        A record without an id gets one, and one without `created_at` gets the missing fields of its type.

        Args:
            key: The envelope key, such as `stories`.
            record: The fields. They replace those of a record with the same id.

        Returns:
            The record as it is stored.

        Raises:
            UsageError: The contract has no such envelope key or field.
        """
        with self.lock:
            if self._check is not None and self._journal is None:
                self._check(key, record)
            kinds = schema.model(key).kinds
            if "created_at" not in record and kinds and self._blank is not None:
                record = {**self._blank(key), **dict.fromkeys(schema.TIMES, self.now()), **record}
            record = {"id": str(record.get("id") or self.new_id())} | {
                field: schema.typed(kinds.get(field, "Any"), value)
                for field, value in record.items()
                if field != "id"
            }
            self._note(key, record["id"])
            self._changed(key, self._collection(key).records.get(record["id"]), record)
            self._write(key, record["id"], record)
            return record

    def change(self, key: str, identity: str, **changes: Any) -> Record:
        """Write some fields of a record, and `updated_at`; KeyError if the record does not exist.

        Raises:
            UsageError: The contract has no such field.
        """
        with self.lock:
            record = self._collection(key).records[identity]
            return self.put(key, {**record, "updated_at": self.now(), **changes})

    def remove(self, key: str, identity: str) -> None:
        """Remove a record."""
        with self.lock:
            self._note(key, identity)
            self._changed(key, self._collection(key).records.get(identity), None)
            self._write(key, identity, None)

    def put_aside(self, key: str, identity: str, **changes: Any) -> None:
        """Remove a record, but keep it for lists of deleted records."""
        with self.lock:
            record = {**self._collection(key).records[identity], **changes}
            self.remove(key, identity)
            self._aside.setdefault(key, {})[identity] = record
            if self._database is not None:
                self._dirty.add((key, identity))
                if self._journal is None:
                    self._save()

    def change_aside(self, key: str, identity: str, **changes: Any) -> None:
        """Write some fields of a deleted record that was kept."""
        with self.lock:
            self._aside[key][identity] = {**self._aside[key][identity], **changes}
            if self._database is not None:
                self._dirty.add((key, identity))
                if self._journal is None:
                    self._save()

    def aside_keys(self) -> list[str]:
        """The envelope keys that have kept deleted records."""
        with self.lock:
            return [key for key, rows in self._aside.items() if rows]

    def aside(self, key: str) -> list[Record]:
        """The deleted records that were kept under an envelope key."""
        with self.lock:
            return list(self._aside.get(key, {}).values())

    def deleted(self, key: str, identity: str) -> Record | None:
        """One of the deleted records that were kept."""
        return self._aside.get(key, {}).get(identity)

    def forget(self, key: str, field: str, value: str) -> list[str]:
        """Drop the kept deleted records whose `field` is `value`; returns their ids."""
        with self.lock:
            found = [row["id"] for row in self.aside(key) if str(row.get(field)) == value]
            for identity in found:
                del self._aside[key][identity]
                if self._database is not None:
                    self._dirty.add((key, identity))
            return found

    def _write(self, key: str, identity: str, new: Record | None) -> None:
        collection = self._collection(key)
        old = collection.records.get(identity)
        self._before_write(key, identity, old, new)
        if self._database is not None:
            self._dirty.add((key, identity))
        if new is not None:
            collection.put(new)
            self._after_write(key, new)
        elif old is not None:
            collection.remove(identity)
        if self._journal is None:
            self._save()

    def _save(self) -> None:
        """Write the changes to the file, if the store has one."""
        if self._database is not None and self._dirty:
            changes = {(key, identity): self._held(key, identity) for key, identity in self._dirty}
            self._dirty.clear()
            self._database.save(changes)

    def _held(self, key: str, identity: str) -> tuple[Record | None, bool]:
        """A record, and whether it is a deleted one."""
        record = self._collection(key).records.get(identity)
        aside = self._aside.get(key, {}).get(identity)
        return (record, False) if record is not None else (aside, aside is not None)

    def reset(self, records: Mapping[str, Rows]) -> None:
        """Replace all records, and restart the ids of new ones."""
        with self.lock:
            self._collections = {}
            self._aside = {}
            self._listings.clear()
            self.files.clear()
            self._ids = itertools.count(FIRST_NEW_ID)
            for key, rows in records.items():
                self._collection(key).records = _by_id(rows)
            if self._database is not None:
                self._database.clear()
                self._dirty.update(
                    (key, identity) for key in records for identity in self._collection(key).records
                )
                self._save()

    def keep_in(self, database: Database) -> bool:
        """Keep the records in a file from now on; the records in it replace the current ones.

        Returns:
            Whether the file had records; if not, the current ones are written to it.
        """
        with self.lock:
            self._database = database
            records, aside = database.load()
            if not records:
                self.reset({key: list(c.records.values()) for key, c in self._collections.items()})
                return False
            self._database = None
            self.reset(records)
            self._aside = {key: {record["id"]: record for record in rows} for key, rows in aside.items()}
            self._database = database
            numbers = [
                int(i) for c in self._collections.values() for i in c.records if i.isdigit() and len(i) < 18
            ]
            self._ids = itertools.count(max([FIRST_NEW_ID - 1, *numbers]) + 1)
            return True

    @contextmanager
    def all_or_nothing(self) -> Generator[None]:
        """Roll back every write in the block if it raises."""
        with self.lock:
            journal: list[tuple[str, str, Record | None]] = []
            aside = {key: dict(rows) for key, rows in self._aside.items()}
            self._journal = journal
            try:
                yield
            except BaseException:
                for key, identity, old in reversed(journal):
                    self._write(key, identity, old)
                self._aside = aside
                self._changes.clear()
                self._dirty.clear()
                raise
            finally:
                self._journal = None
            self._save()
            changes, self._changes = self._changes, []
            for change in changes:
                self._changed(*change)

    def _note(self, key: str, identity: str) -> None:
        if self._journal is not None:
            self._journal.append((key, identity, self._collection(key).records.get(identity)))

    def _changed(self, key: str, before: Record | None, after: Record | None) -> None:
        """Notify the watcher of a write as soon as it can no longer be rolled back."""
        if self._journal is not None:
            self._changes.append((key, before, after))
        elif self.watch is not None:
            self.watch(key, before, after)

    def new_id(self) -> str:
        """A new id: unique in the whole sandbox, and higher than all earlier ones."""
        return str(next(self._ids))

    def now(self) -> str:
        """The time, in UTC, as ISO 8601 with seconds."""
        return schema.written(self._clock())

    def today(self) -> str:
        """The date, in UTC."""
        return self.now()[:10]

    def shown(self, key: str, record: Record) -> dict[str, Any]:
        """A record without the fields that are sent only on request."""
        model = schema.model(key)
        unshown = self._unshown.get((key, self.references))
        if unshown is None:
            bound = model.bound if self.references == "documented" else ()
            unshown = self._unshown[key, self.references] = model.hidden.union(bound)
        shown = {field: value for field, value in record.items() if field not in unshown}
        return shown | {"id": int(record["id"])} if model.numbered else shown

    def encoded(
        self, key: str, identity: str, also: tuple[str, ...] = (), more: Mapping[str, Any] | None = None
    ) -> msgspec.Raw:
        """`shown` as JSON, with some hidden fields (`also`) and other values as well; cached until the record is written."""
        collection = self._collection(key)
        versions = collection.encoded.get(identity)
        version = (also, msgspec.json.encode(more)) if more else also
        raw = None if versions is None else versions.get(version)
        if raw is None:
            record = collection.records[identity]
            shown = self.shown(key, record) | {field: record.get(field) for field in also}
            raw = msgspec.Raw(msgspec.json.encode({**shown, **more} if more else shown))
            if versions is None:
                if len(collection.encoded) >= MOST_ENCODED:
                    collection.encoded.popitem(last=False)
                versions = collection.encoded[identity] = {}
            if len(versions) >= MOST_VERSIONS:
                versions.clear()
            versions[version] = raw
        return raw

    def remembered(self, query: object, search: Search) -> Sequence[str]:
        """The ids that a search finds, kept up to date while records are written.

        Args:
            query: Identifies the search.
            search: Runs the search if its listing does not exist yet.
        """
        with self.lock:
            listing = self._listings.get(query)
            if listing is None or not listing.usable:
                reads = Reads()
                watched = WatchedStore(self, reads, _indexed)
                listing = self._listings[query] = search.listing(watched, reads)
                while len(self._listings) > 1 and (
                    len(self._listings) > MOST_LISTINGS
                    or sum(each.weight for each in self._listings.values()) > MOST_LISTED
                ):
                    self._listings.popitem(last=False)
            else:
                self._listings.move_to_end(query)
            return listing.ids

    def records(self, key: str) -> Mapping[str, Record]:
        """The records under an envelope key by id; they change with each write."""
        return self._collection(key).records

    def columns(self, key: str) -> Columns | None:
        """The columns of the records under an envelope key; None if the records are few, or an id is not a number."""
        collection = self._collection(key)
        if collection.columns is None or collection.columns.lost:
            collection.columns = None
            if len(collection.records) >= LARGE and not collection.unfit:
                kinds = {**dict.fromkeys(schema.TIMES, "datetime"), **schema.model(key).kinds}
                try:
                    collection.columns = Columns(collection.records, kinds)
                except UnfitError:
                    collection.unfit = True
        return collection.columns

    @property
    def plain(self) -> Store:
        """The store itself, whose reads are not noted."""
        return self

    def index(self, key: str, field: str, value: object) -> list[str]:
        """`find` for the records that a query selects from, whose changes a listing notices anyway."""
        return self.find(key, field, value)

    def _before_write(self, key: str, identity: str, old: Record | None, new: Record | None) -> None:
        """Discard the listings that depend on the old record, and remove it from the others."""
        stale: list[object] = []
        for query, listing in self._listings.items():
            if listing.reads.touched(key, identity, old, new, _values) or (
                listing.key == key
                and old is not None
                and not listing.take_out(old, self._collection(key).records)
            ):
                stale.append(query)
        for query in stale:
            del self._listings[query]

    def _after_write(self, key: str, new: Record) -> None:
        """Insert a record into the listings that select it."""
        records = self._collection(key).records
        for listing in self._listings.values():
            if listing.key == key:
                listing.put_in(new, records)

    def _collection(self, key: str) -> _Collection:
        collection = self._collections.get(key)
        return self._collections.setdefault(key, _Collection()) if collection is None else collection


def _by_id(rows: Rows) -> MutableMapping[str, Record]:
    if isinstance(rows, PackedRecords):
        return rows
    if isinstance(rows, dict):
        return cast("dict[str, Record]", rows).copy()
    return {record["id"]: record for record in rows}


def _values(record: Record, field: str) -> Iterable[Any]:
    value = record.get(field)
    if isinstance(value, list):
        return map(_indexed, cast("list[Any]", value))
    return () if value is None else (_indexed(value),)


def _indexed(value: Any) -> Any:
    """A value as an index stores it: a pair for `{key, id}`, and text for numbers, since ids occur as both."""
    if isinstance(value, dict):
        reference = cast("dict[str, str]", value)
        return reference["key"], reference["id"]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
