"""The dlt source, with one dlt resource for each list of the contract."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import attrs
import dlt
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext

from kantata_client import models
from kantata_client._lazy import resolvable
from kantata_client.errors import (
    KantataConnectionError,
    KantataError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UsageError,
)
from kantata_client.sync import arrow
from kantata_client.sync.catalog import DELETED, DELETED_AT, EXTRA, POSITION, select, select_nested
from kantata_client.sync.progress import Progress
from kantata_client.sync.reader import End, Queue, Reader, Rows, counting_client
from kantata_client.sync.warehouse import Database, Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from dlt.extract import DltResource, DltSource

    from kantata_client._http.throttle import Throttle
    from kantata_client.client import Kantata
    from kantata_client.sync.catalog import ListSpec
    from kantata_client.sync.extract import Seen
    from kantata_client.sync.progress import Reason
    from kantata_client.sync.reader import ListReader

T = TypeVar("T")

OVERLAP = timedelta(minutes=5)
"""How long before the last run an incremental run begins to read updates."""

logger = logging.getLogger("kantata_client")

_TABLE_ROWS = 25_000
"""Records in one Arrow table for dlt, which spends milliseconds on each table."""
_LOOKUP_IDS = 200
"""Ids in one look-up request."""
_CONCURRENT_LOOKUPS = 8
"""Look-up requests in flight."""
_FEED_OVERLAP = timedelta(hours=1)
"""How far each run reads the change feed again, since events become visible late."""
_FEED_FACTOR = 7
"""With a change feed, ids are compared this many times less often."""


@attrs.frozen
class Options:
    """The options of `kantata_source` that concern each list."""

    since: datetime | None
    full: bool
    overlap: timedelta
    deletions: Literal["auto", "ids", "off"]
    compare_every: timedelta
    soft_delete: bool
    on_error: Literal["raise", "skip"]
    nested: frozenset[str] = frozenset()


@resolvable
def kantata_source(
    token: str | None = None,
    *,
    resources: Iterable[str] | None = None,
    without: Iterable[str] | None = None,
    since: datetime | None = None,
    full: bool = False,
    overlap: timedelta = OVERLAP,
    deletions: Literal["auto", "ids", "off"] = "auto",
    compare_every: timedelta = timedelta(days=1),
    soft_delete: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    nested: Iterable[str] | None = None,
    base_url: str | None = None,
    throttle: Throttle | float | None = None,
    max_concurrency: int = 32,
    client: Callable[[], Kantata] | None = None,
    progress: Progress | None = None,
) -> DltSource:
    """Make a dlt source that reads an account, with one dlt resource for each list.

        pipeline = dlt.pipeline("kantata", destination="duckdb", dataset_name="main")
        pipeline.run(kantata_source(resources=["time_entries", "stories", "users"]))

    The first run reads everything. Later runs read what was updated since, if the list has a filter for it, and remove
    what was deleted. dlt keeps the state. Rows are merged by id, so a run can be repeated safely.

    Args:
        token: An access token; `KANTATA_ACCESS_TOKEN` by default.
        resources: Names of lists, such as `"time_entries"`; all 91 by default.
        without: Lists that are left out, for example because the account lacks an add-on.
        since: In the first run, read only records updated since this time, from lists that can be read incrementally.
        full: Read all records again, and compare all ids.
        overlap: An incremental run reads updates from this long before the last run began, because some become visible
            late.
        deletions: `"auto"` reads deletions from the change feed, if the account has one, and also compares ids; `"ids"`
            only compares ids; `"off"` deletes nothing.
        compare_every: Time between two comparisons of the ids in the warehouse with those of the service; seven times as
            long with a change feed. Lists that are read in full are compared in each run.
        soft_delete: Keep the rows of deleted records, and set `_deleted_at`.
        on_error: What happens when a list fails, for example with a 403: `"skip"` reports it in `progress` and continues
            with the other lists; `"raise"` ends the run.
        nested: Fields with nested objects or lists that get a child table as well, such as `"workspaces.task_statuses"`;
            `"all"` for all of them. By default they are only columns with JSON.
        base_url: As for `Kantata`.
        throttle: As for `Kantata`.
        max_concurrency: As for `Kantata`.
        client: Makes the client; replaces `token`, `base_url`, `throttle` and `max_concurrency`.
        progress: Counters, and the switch that stops the run.

    Returns:
        The source, to be passed to `pipeline.run`.

    Raises:
        UsageError: A list or a nested field is unknown, or `since` has no time zone.
    """
    if since is not None and since.tzinfo is None:
        msg = f"kantata_source(since={since!r}) has no time zone: give one, such as since.replace(tzinfo=UTC)"
        raise UsageError(msg)

    specs = select(resources, without)
    counters = progress or Progress()
    if client is None:
        client = counting_client(
            [each.name for each in specs],
            counters,
            token=token,
            base_url=base_url,
            throttle=throttle,
            max_concurrency=max_concurrency,
        )
    options = Options(
        since, full, overlap, deletions, compare_every, soft_delete, on_error, select_nested(nested)
    )
    return source_of(specs, Reader(client, counters), options)


def source_of(
    specs: Iterable[ListSpec], reader: ListReader, options: Options, walks: dict[str, ListWalk] | None = None
) -> DltSource:
    """Make a dlt source.

    Args:
        specs: The lists.
        reader: What reads them.
        options: How they are read.
        walks: Keeps the walks that a run leaves to the next run, by name of the list. The reader goes on with them in
            between, so it has to stay open.
    """
    database = Database()

    @dlt.source(name="kantata", section="kantata", max_table_nesting=0)
    def kantata() -> list[DltResource]:
        return [_resource(spec, reader, database, options, walks) for spec in specs]

    return kantata()


def _resource(
    spec: ListSpec,
    reader: ListReader,
    database: Database,
    options: Options,
    walks: dict[str, ListWalk] | None,
) -> DltResource:
    def rows() -> Iterator[Any]:
        with database.in_use():
            yield from _Run(spec, reader, database, options, walks).rows()

    columns: dict[str, Any] = {
        name: {"name": name, "data_type": kind, "nullable": name != spec.key}
        for name, kind in spec.columns.items()
    }
    columns[EXTRA] = {"name": EXTRA, "data_type": "json", "nullable": True}
    if options.soft_delete:
        columns[DELETED_AT] = {"name": DELETED_AT, "data_type": "timestamp", "nullable": True}
    else:
        columns[DELETED] = {"name": DELETED, "data_type": "bool", "nullable": True, "hard_delete": True}
    # A run yields each record once, so dlt can skip the removal of duplicates.
    hints: Any = {"x-stage-data-deduplicated": True}
    resource = dlt.resource(
        rows,
        name=spec.name,
        table_name=spec.name,
        primary_key=spec.key,
        write_disposition="merge",
        columns=columns,
        file_format=_file_format(),
    )
    resource.apply_hints(additional_table_hints=hints)
    for child in spec.children:
        child_columns: dict[str, Any] = {
            child.owner: {"name": child.owner, "data_type": "text", "nullable": False},
            POSITION: {"name": POSITION, "data_type": "bigint", "nullable": True},
            child.item: {"name": child.item, "data_type": "text", "nullable": True},
        }
        _add_child_table(resource, child.table, child.owner, child_columns)
    for each in spec.nested:
        if each.name in options.nested:
            kinds = {each.owner: "text", **arrow.nested_columns(each)}
            nested_columns: dict[str, Any] = {
                name: {"name": name, "data_type": kind, "nullable": name != each.owner}
                for name, kind in kinds.items()
            }
            _add_child_table(resource, each.table, each.owner, nested_columns)
    return resource


def _add_child_table(resource: DltResource, table: str, owner: str, columns: dict[str, Any]) -> None:
    deleted: Any = {"name": DELETED, "data_type": "bool", "nullable": True, "hard_delete": True}
    # A variant begins with the hints of the resource: the first call clears them, the second sets its own.
    resource.apply_hints(
        table_name=table, create_table_variant=True, columns={}, primary_key="", merge_key=owner
    )
    resource.apply_hints(table_name=table, create_table_variant=True, columns={**columns, DELETED: deleted})


def _file_format() -> Any:
    """Return the file format for the active pipeline's destination; `None` for the one that dlt prefers.

    In the CSV files that dlt prefers for Postgres, an empty text can't be told from null.
    """
    context = Container()[PipelineContext]
    destination: Any = context.pipeline().destination if context.is_active() else None
    is_postgres = destination is not None and destination.destination_type.endswith(".postgres")
    return "insert_values" if is_postgres else None


@attrs.frozen
class ListWalk:
    """A walk over a list, with what was known when it began."""

    pages: Queue
    began: datetime
    since: datetime | None
    compares: bool
    """Whether the ids in the warehouse are compared with those of the service when it has ended."""
    events: tuple[set[str], datetime] | None
    """Deleted ids from the change feed, and the time up to which it was read. It was read before the list, so a record that
    the list has returned exists."""
    is_older: bool
    """Whether an earlier sync began it. A record that changed between the two is left to the next walk."""


def _reason(error: KantataError) -> Reason:
    if isinstance(error, PermissionDeniedError):
        return "denied"
    is_fault = isinstance(error, ServerError) and error.status != 501
    return (
        "temporary" if is_fault or isinstance(error, (KantataConnectionError, RateLimitedError)) else "other"
    )


class _Tables:
    """The Arrow tables of a list, until there are enough records for dlt."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[Any]] = {}
        self.rows = 0
        """Records that wait."""

    def add(self, rows: Rows) -> None:
        """Keep the tables of some records."""
        self.rows += rows.count
        for name, piece in rows.tables.items():
            self._pieces.setdefault(name, []).append(piece)

    def take(self) -> Iterator[Any]:
        """Yield the tables for dlt."""
        for name, pieces in self._pieces.items():
            yield dlt.mark.with_table_name(arrow.joined(pieces), name)
        self._pieces, self.rows = {}, 0


class _Run:
    """One run of one dlt resource: rows, then deletions, then the state for the next run."""

    def __init__(
        self,
        spec: ListSpec,
        reader: ListReader,
        database: Database,
        options: Options,
        walks: dict[str, ListWalk] | None,
    ) -> None:
        self._spec = spec
        self._reader = reader
        self._warehouse = Warehouse(database, spec, soft_delete=options.soft_delete)
        self._options = options
        self._walks = walks
        self._deleted_ids: set[str] = set()
        """Ids that this run has deleted already; both the feed and the comparison may report a record."""

    def rows(self) -> Iterator[Any]:
        """Yield Arrow tables for dlt, and `None` while waiting for the service."""
        spec, progress = self._spec, self._reader.progress
        self._reader.open()
        try:
            progress.begin(spec.name)
            state: dict[str, Any] = dlt.current.resource_state(spec.name)
            try:
                complete = yield from self._run(state)
            except KantataError as error:
                progress.fail(spec.name, str(error), _reason(error))
                if self._options.on_error == "raise":
                    raise
                logger.warning("%s was not read: %s", spec.name, error)
            else:
                progress.end(spec.name, "done" if complete else "partial")
        finally:
            self._reader.close()

    def _run(self, state: dict[str, Any]) -> Generator[Any, None, bool]:
        """Read the list, then the deletions.

        Returns:
            Whether the warehouse has the list as it was when the sync began; if not, the list has to be read once more.
        """
        spec, options = self._spec, self._options
        walk = self._walks.pop(spec.name, None) if self._walks is not None else None
        if walk is None:
            walk = yield from self._begin(state)
        end = yield from self._read(walk.pages, state)
        if end is None:
            if self._walks is None:
                walk.pages.drop()
            else:
                self._walks[spec.name] = walk
            return False
        if walk.events is not None:
            ids, feed_read_until = walk.events
            yield from self._delete_reported(
                {each for each in ids if end.seen is None or each not in end.seen}
            )
            state["events"] = feed_read_until.isoformat()
        if not end.complete:
            return False
        state.pop("walk", None)
        if spec.since is not None and end.latest is not None:
            state["since"] = end.latest.isoformat()
        if walk.compares and end.seen is not None:
            yield from self._compare(end.seen, whole=walk.since is None and options.since is None)
            state["compared"] = walk.began.isoformat()
        return not walk.is_older

    def _begin(self, state: dict[str, Any]) -> Generator[Any, None, ListWalk]:
        """Begin a walk, or continue one that an earlier sync has begun."""
        spec, options = self._spec, self._options
        now = datetime.now(UTC)
        saved, began = state.get("walk"), self._reader.progress.began
        is_older = saved is not None and datetime.fromisoformat(saved["started"]) < began
        if options.full and is_older:
            saved, is_older = None, False
        compares = self._compares_ids(state, now)
        events = yield from self._deletion_events(state)
        since = None
        if spec.since is not None and not options.full and not (compares and not spec.filters_ids):
            since = options.since
            if "since" in state:
                since = datetime.fromisoformat(state["since"]) - options.overlap
        pages = self._reader.read(spec, since, saved, options.nested)
        return ListWalk(pages, now, since, compares, events, is_older)

    def _read(self, pages: Queue, state: dict[str, Any]) -> Generator[Any, None, End | None]:
        """Yield the rows of a walk.

        Returns:
            Its end, or `None` if the rest is left to the next run.
        """
        spec, progress = self._spec, self._reader.progress
        can_stop = self._walks is not None or (spec.saves_position and spec.stable_by is not None)
        tables = _Tables()
        saved: Mapping[str, Any] | None = None
        while True:
            is_full = can_stop and progress.slice_full
            message = None if is_full else pages.poll()
            if message is None and not is_full:
                yield None
                continue
            if isinstance(message, Rows):
                progress.read(spec.name, message.count)
                tables.add(message)
                saved = message.state or saved
                if tables.rows < _TABLE_ROWS:
                    continue
            yield from tables.take()
            if saved is not None:
                state["walk"] = dict(saved)
            if isinstance(message, Exception):
                raise message
            if isinstance(message, End) or is_full:
                return message if isinstance(message, End) else None

    # --- deletions ---

    def _compares_ids(self, state: Mapping[str, Any], now: datetime) -> bool:
        """Whether this run compares the ids in the warehouse with those of the service."""
        spec, options = self._spec, self._options
        if options.deletions == "off" or spec.log:
            return False
        if spec.since is None or options.full or "compared" not in state:
            return True
        every = options.compare_every * (_FEED_FACTOR if "events" in state else 1)
        return now - datetime.fromisoformat(state["compared"]) >= every

    def _deletion_events(
        self, state: dict[str, Any]
    ) -> Generator[Any, None, tuple[set[str], datetime] | None]:
        """Return deleted ids from the change feed, and the time up to which it was read; `None` without a feed."""
        spec = self._spec
        if self._options.deletions != "auto" or spec.log:
            return None
        types = {name for name, key in models.TYPES.items() if key == spec.operation.key}
        if not types:
            return None
        now = datetime.now(UTC)
        # A list that is read again has the deletions from the beginning of the sync: they are read once.
        since = datetime.fromisoformat(state["events"]) if "events" in state else self._reader.progress.began
        states: dict[str, Any] = dlt.current.source_state().get("resources", {})
        earliest = min(
            (datetime.fromisoformat(each["events"]) for each in states.values() if "events" in each),
            default=now,
        )
        earliest = min(earliest, since) - _FEED_OVERLAP
        [found] = yield from _wait_for([self._reader.deleted_records(earliest)])
        if found is None:
            state.pop("events", None)
            return None
        deleted, latest = found
        ids = (
            set[str]().union(*(deleted.get(name, ()) for name in types)) if "events" in state else set[str]()
        )
        return ids, max(latest, since)

    def _delete_reported(self, ids: set[str]) -> Iterator[Any]:
        """Delete records that the change feed reports as deleted, if the warehouse has them."""
        spec = self._spec
        if not ids:
            return
        stored = sorted(self._warehouse.existing_ids(sorted(ids)))
        if not spec.filters_ids or spec.fan_out is not None:
            yield from self._delete(stored)
            return
        chunks = [stored[start : start + _LOOKUP_IDS] for start in range(0, len(stored), _LOOKUP_IDS)]
        yield from self._delete_missing(chunks, [self._submit(chunk, None) for chunk in chunks])

    def _submit(self, ids: list[str], part: str | None) -> Future[set[str]]:
        return self._reader.existing_ids(self._spec, ids, part)

    def _compare(self, seen: Seen, *, whole: bool) -> Iterator[Any]:
        """Delete the records that the service no longer has.

        Ids that were not read are looked up first, if the list can filter by ids. If it can't, they are deleted only if this
        run read the whole list (`whole`).
        """
        spec = self._spec
        parts = spec.fan_out.values if spec.fan_out is not None and spec.filters_ids else (None,)
        for part in parts:
            futures: list[Future[set[str]]] = []
            asked: list[list[str]] = []
            stored = self._warehouse.ids(part)
            while chunk := list(islice(stored, _LOOKUP_IDS)):
                unread = [identity for identity in chunk if identity not in seen]
                if not unread:
                    continue
                if not spec.filters_ids:
                    if whole:
                        yield from self._delete(set(unread))
                    continue
                asked.append(unread)
                futures.append(self._submit(unread, part))
                if len(futures) == _CONCURRENT_LOOKUPS:
                    yield from self._delete_missing(asked, futures)
                    asked, futures = [], []
            yield from self._delete_missing(asked, futures)

    def _delete_missing(self, asked: list[list[str]], futures: list[Future[set[str]]]) -> Iterator[Any]:
        """Delete the ids that look-ups did not find."""
        found = yield from _wait_for(futures)
        yield from self._delete({identity for ids in asked for identity in ids}.difference(*found))

    def _delete(self, ids: Collection[str]) -> Iterator[Any]:
        """Delete rows, or mark them as deleted."""
        spec = self._spec
        ids = set(ids) - self._deleted_ids
        if not ids:
            return
        self._deleted_ids |= ids
        if self._options.soft_delete:
            stored = self._warehouse.rows(sorted(ids))
            if not stored:
                return
            tables = [(spec.name, arrow.soft_deletions(spec, stored, datetime.now(UTC)))]
        else:
            tables = arrow.deletions(spec, ids, self._options.nested)
        self._reader.progress.for_list(spec.name).deleted += tables[0][1].num_rows
        for name, table in tables:
            yield dlt.mark.with_table_name(table, name)


def _wait_for(futures: list[Future[T]]) -> Generator[Any, None, list[T]]:
    """Wait until all futures are done, and return their results."""
    while not all(future.done() for future in futures):
        yield None
    return [future.result() for future in futures]
