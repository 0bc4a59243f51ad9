"""The dlt source: one resource for each list of the contract."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import attrs
import dlt

from kantata_client import models
from kantata_client.client import Kantata
from kantata_client.errors import KantataError, UsageError
from kantata_client.hooks import Hooks
from kantata_client.sync import arrow
from kantata_client.sync.lists import DELETED, DELETED_AT, EXTRA, POSITION, chosen
from kantata_client.sync.progress import Progress
from kantata_client.sync.reader import End, Reader, Rows
from kantata_client.sync.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from dlt.extract import DltResource, DltSource

    from kantata_client._http.throttle import Throttle
    from kantata_client.hooks import ResponseEvent
    from kantata_client.sync.lists import List
    from kantata_client.sync.walk import Seen

T = TypeVar("T")

logger = logging.getLogger("kantata_client")

_BATCH = 5_000
"""Records that go to dlt together."""
_CHUNK = 200
"""Ids that are looked up in one request."""
_LOOKUPS = 8
"""Look-ups under way at once."""
_FEED_LATENESS = timedelta(hours=1)
_WITH_FEED = 7
"""How many times more rarely ids are compared where the change feed reports deletions."""


@attrs.frozen
class Options:
    """How a source reads and stores."""

    since: datetime | None
    full: bool
    overlap: timedelta
    deletions: Literal["auto", "ids", "off"]
    compare_every: timedelta
    soft_delete: bool
    on_error: Literal["raise", "skip"]


def kantata_source(
    token: str | None = None,
    *,
    resources: Iterable[str] | None = None,
    since: datetime | None = None,
    full: bool = False,
    overlap: timedelta = timedelta(minutes=5),
    deletions: Literal["auto", "ids", "off"] = "auto",
    compare_every: timedelta = timedelta(days=1),
    soft_delete: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    base_url: str | None = None,
    throttle: Throttle | float | None = None,
    max_concurrency: int = 32,
    client: Callable[[], Kantata] | None = None,
    progress: Progress | None = None,
) -> DltSource:
    """The lists of an account as a dlt source, one resource each.

        pipeline = dlt.pipeline("kantata", destination="duckdb", dataset_name="main")
        pipeline.run(kantata_source(resources=["time_entries", "stories", "users"]))

    The first run reads everything; later runs read what was updated since, where the contract has a filter for it, and
    remove what was deleted. State is kept by dlt. Rows are merged by id, so repeating a run does no harm.

    Args:
        token: An access token; `KANTATA_ACCESS_TOKEN` by default.
        resources: Names of lists, such as `"time_entries"`; all 91 by default.
        since: Read only records updated since, in the first run of lists that can be read incrementally.
        full: Read everything, and compare all ids, also where an incremental run would do.
        overlap: How far an incremental run reaches back behind the beginning of the last one, for updates that became
            visible late.
        deletions: `"auto"` reads deleted records from the change feed, where the account has one, and compares ids
            besides; `"ids"` compares ids only; `"off"` deletes nothing.
        compare_every: How often the ids in the warehouse are compared with those of the service. With a change feed it is
            done seven times more rarely. Lists that are read in full are compared in each run.
        soft_delete: Keep deleted records, with the time in `_deleted_at`, instead of deleting them.
        on_error: `"skip"` reports a list that fails (a 403, say) in `progress` and goes on with the others; `"raise"` ends
            the run.
        base_url: As for `Kantata`.
        throttle: As for `Kantata`.
        max_concurrency: As for `Kantata`.
        client: Makes the client, instead of the four arguments above and the token.
        progress: Counters to watch, and to stop the run by.

    Returns:
        The source, for `pipeline.run`.

    Raises:
        UsageError: An argument is wrong.
    """
    if since is not None and since.tzinfo is None:
        msg = f"kantata_source(since={since!r}) has no time zone: give one, such as since.replace(tzinfo=UTC)"
        raise UsageError(msg)

    wanted = chosen(resources)
    counters = progress or Progress()
    names = {each.operation.id: each.name for each in wanted}

    def answered(event: ResponseEvent) -> None:
        if event.status == 429 and event.operation in names:
            counters.limited(names[event.operation])

    def made() -> Kantata:
        return Kantata(
            token,
            base_url=base_url,
            throttle=throttle,
            max_concurrency=max_concurrency,
            hooks=Hooks(on_response=answered),
        )

    options = Options(since, full, overlap, deletions, compare_every, soft_delete, on_error)
    reader = Reader(client or made, counters)

    @dlt.source(name="kantata", section="kantata", max_table_nesting=0)
    def kantata() -> list[DltResource]:
        return [_resource(of, reader, options) for of in wanted]

    return kantata()


def _resource(of: List, reader: Reader, options: Options) -> DltResource:
    def rows() -> Iterator[Any]:
        yield from _Run(of, reader, options).rows()

    columns: dict[str, Any] = {
        name: {"name": name, "data_type": kind, "nullable": name != of.key}
        for name, kind in of.columns.items()
    }
    columns[EXTRA] = {"name": EXTRA, "data_type": "json", "nullable": True}
    if options.soft_delete:
        columns[DELETED_AT] = {"name": DELETED_AT, "data_type": "timestamp", "nullable": True}
    else:
        columns[DELETED] = {"name": DELETED, "data_type": "bool", "nullable": True, "hard_delete": True}
    # A run never has two versions of a record, so the warehouse need not look for them.
    unique: Any = {"x-stage-data-deduplicated": True}
    resource = dlt.resource(
        rows,
        name=of.name,
        table_name=of.name,
        primary_key=of.key,
        write_disposition="merge",
        columns=columns,
    )
    resource.apply_hints(additional_table_hints=unique)
    for child in of.children:
        # The hints of the variant begin as a copy of the resource's.
        resource.apply_hints(
            table_name=child.table,
            create_table_variant=True,
            columns={},
            primary_key="",
            merge_key=child.owner,
        )
        shown: dict[str, Any] = {
            child.owner: {"name": child.owner, "data_type": "text", "nullable": False},
            POSITION: {"name": POSITION, "data_type": "bigint", "nullable": True},
            child.item: {"name": child.item, "data_type": "text", "nullable": True},
            DELETED: {"name": DELETED, "data_type": "bool", "nullable": True, "hard_delete": True},
        }
        resource.apply_hints(table_name=child.table, create_table_variant=True, columns=shown)
    return resource


class _Run:
    """One run of one resource: rows, then deletions, then the state for the next run."""

    def __init__(self, of: List, reader: Reader, options: Options) -> None:
        self._of = of
        self._reader = reader
        self._options = options
        self._gone: set[str] = set()
        """Ids that this run has deleted: the feed and the comparison may both find a record."""

    def rows(self) -> Iterator[Any]:
        """Arrow tables for dlt; `None` while the service is being waited for."""
        of, progress = self._of, self._reader.progress
        self._reader.open()
        try:
            progress.begin(of.name)
            state: dict[str, Any] = dlt.current.resource_state(of.name)
            try:
                complete = yield from self._run(state)
            except KantataError as error:
                progress.end(of.name, "failed", str(error))
                if self._options.on_error == "raise":
                    raise
                logger.warning("%s was not read: %s", of.name, error)
            else:
                progress.end(of.name, "done" if complete else "partial")
        finally:
            self._reader.close()

    def _run(self, state: dict[str, Any]) -> Generator[Any, None, bool]:
        of, options = self._of, self._options
        now = datetime.now(UTC)
        compares = self._compares(state, now)
        events = yield from self._events(state)
        since = None
        if of.since is not None and not options.full and not (compares and not of.filters_ids):
            since = options.since
            if "since" in state:
                since = datetime.fromisoformat(state["since"]) - options.overlap
        end = yield from self._read(state, since)
        if events is not None:
            # The feed was read before the list, so what the list still had exists.
            ids, latest = events
            yield from self._reported({each for each in ids if end.seen is None or each not in end.seen})
            state["events"] = latest.isoformat()
        if not end.complete:
            return False
        state.pop("walk", None)
        if of.since is not None and end.latest is not None:
            state["since"] = end.latest.isoformat()
        if compares and end.seen is not None:
            yield from self._compare(end.seen, whole=since is None and options.since is None)
            state["compared"] = now.isoformat()
        return True

    def _read(self, state: dict[str, Any], since: datetime | None) -> Generator[Any, None, End]:
        of = self._of
        reading = self._reader.read(of, since, None if self._options.full else state.get("walk"))
        batch: list[dict[str, Any]] = []
        kept: Mapping[str, Any] | None = None
        while True:
            message = reading.poll()
            if message is None:
                yield None
                continue
            if isinstance(message, Rows):
                batch += message.rows
                kept = message.state or kept
                if len(batch) < _BATCH:
                    continue
            yield from self._stored(batch)
            batch = []
            if kept is not None:
                state["walk"] = dict(kept)
            if isinstance(message, Exception):
                raise message
            if isinstance(message, End):
                return message

    def _stored(self, rows: list[dict[str, Any]]) -> Iterator[Any]:
        of = self._of
        if not rows:
            return
        yield dlt.mark.with_table_name(arrow.records(of, rows), of.name)
        for child in of.children:
            items = arrow.children(child, of.key, rows)
            if items is not None:
                yield dlt.mark.with_table_name(items, child.table)

    # --- deletions ---

    def _compares(self, state: Mapping[str, Any], now: datetime) -> bool:
        """Whether the ids in the warehouse are compared with those of the service in this run."""
        of, options = self._of, self._options
        if options.deletions == "off" or of.log:
            return False
        if of.since is None or options.full or "compared" not in state:
            return True
        every = options.compare_every * (_WITH_FEED if "events" in state else 1)
        return now - datetime.fromisoformat(state["compared"]) >= every

    def _events(self, state: dict[str, Any]) -> Generator[Any, None, tuple[set[str], datetime] | None]:
        """The ids that the change feed reports as deleted, and up to when; `None` without a feed."""
        of = self._of
        if self._options.deletions != "auto" or of.log:
            return None
        types = {name for name, key in models.TYPES.items() if key == of.operation.key}
        if not types:
            return None
        begun = datetime.now(UTC)
        since = datetime.fromisoformat(state["events"]) if "events" in state else begun
        every: dict[str, Any] = dlt.current.source_state().get("resources", {})
        earliest = min(
            (datetime.fromisoformat(each["events"]) for each in every.values() if "events" in each),
            default=begun,
        )
        earliest = min(earliest, since) - _FEED_LATENESS
        reader = self._reader
        future = reader.once("deletions", lambda: reader.deleted(earliest))
        [found] = yield from _waited([future])
        if found is None:
            state.pop("events", None)
            return None
        gone, latest = found
        ids = set[str]().union(*(gone.get(name, ()) for name in types)) if "events" in state else set[str]()
        return ids, max(latest, since)

    def _reported(self, ids: set[str]) -> Iterator[Any]:
        """Delete what the change feed reports as deleted, and the warehouse has."""
        of = self._of
        known = sorted(Warehouse(of, soft_delete=self._options.soft_delete).having(sorted(ids)))
        if not of.filters_ids or of.fan_out is not None:
            yield from self._delete(known)
            return
        chunks = [known[start : start + _CHUNK] for start in range(0, len(known), _CHUNK)]
        yield from self._looked_up(chunks, [self._submit(chunk, None) for chunk in chunks])

    def _submit(self, ids: list[str], part: str | None) -> Future[set[str]]:
        return self._reader.submit(self._reader.existing(self._of, ids, part))

    def _compare(self, seen: Seen, *, whole: bool) -> Iterator[Any]:
        """Delete what the service does not have any more.

        With `whole`, everything that the service has was just read; ids that were not are looked up all the same, where the
        service can do that, since a list without an order of time may skip a record.
        """
        of = self._of
        warehouse = Warehouse(of, soft_delete=self._options.soft_delete)
        parts = of.fan_out.values if of.fan_out is not None and of.filters_ids else (None,)
        for part in parts:
            futures: list[Future[set[str]]] = []
            asked: list[list[str]] = []
            for chunk in warehouse.ids(_CHUNK, part):
                unread = [identity for identity in chunk if identity not in seen]
                if not unread:
                    continue
                if not of.filters_ids:
                    if whole:
                        yield from self._delete(set(unread))
                    continue
                asked.append(unread)
                futures.append(self._submit(unread, part))
                if len(futures) == _LOOKUPS:
                    yield from self._looked_up(asked, futures)
                    asked, futures = [], []
            yield from self._looked_up(asked, futures)

    def _looked_up(self, asked: list[list[str]], futures: list[Future[set[str]]]) -> Iterator[Any]:
        found = yield from _waited(futures)
        yield from self._delete({identity for ids in asked for identity in ids}.difference(*found))

    def _delete(self, ids: Collection[str]) -> Iterator[Any]:
        of = self._of
        ids = set(ids) - self._gone
        if not ids:
            return
        self._gone |= ids
        if self._options.soft_delete:
            stored = Warehouse(of, soft_delete=True).rows(sorted(ids))
            if not stored:
                return
            tables = [(of.name, arrow.marked(of, stored, datetime.now(UTC)))]
        else:
            tables = arrow.deletions(of, ids)
        self._reader.progress.of(of.name).deleted += tables[0][1].num_rows
        for name, table in tables:
            yield dlt.mark.with_table_name(table, name)


def _waited(futures: list[Future[T]]) -> Generator[Any, None, list[T]]:
    """The results of what the reader does, when all of it is done."""
    while not all(future.done() for future in futures):
        yield None
    return [future.result() for future in futures]
