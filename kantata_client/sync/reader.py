"""Reads lists in a thread with an event loop, several at once, while dlt stores rows in the main thread.

The thread also converts the records to Arrow tables, so that this goes on while dlt stores those before. Each list has a
queue of tables. All lists pause when too many records wait, until dlt takes some.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import attrs

from kantata_client.client import Kantata
from kantata_client.errors import KantataError
from kantata_client.hooks import Hooks
from kantata_client.sync import arrow
from kantata_client.sync.catalog import lists
from kantata_client.sync.extract import Seen, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from concurrent.futures import Future

    from kantata_client.hooks import ResponseEvent
    from kantata_client.sync.catalog import ListSpec
    from kantata_client.sync.progress import Progress

T = TypeVar("T")

_QUEUED_ROWS = 100_000
"""Records of all lists that may wait: those that arrive while dlt stores the ones before."""
_LEAST = 20
"""A page with fewer records counts as this many."""
_BATCH_ROWS, _BATCH_SECONDS = 2_000, 1.0
"""Records of a list that are converted at once, and how long fewer wait for more; as received, they take more memory."""
CONCURRENT_LISTS = 16


@attrs.frozen
class Rows:
    """Records of a list."""

    count: int
    tables: Mapping[str, Any]
    """Arrow tables of the list and of its child tables, by name."""
    state: Mapping[str, Any] | None
    """State of the walk to save once these rows are stored."""
    room: int
    """How much room they take in the queues."""


@attrs.frozen
class End:
    """Reading the list has ended, at its last record or where the run was stopped."""

    complete: bool
    seen: Seen | None = None
    """Ids of the records that were read."""
    latest: datetime | None = None
    """Start of the next incremental sync: it reads what was updated since then."""


Message = Rows | End | Exception
Deleted = tuple[dict[str, set[str]], datetime]
"""Deleted ids by class name, such as `"TimeEntry"`, and the time up to which the change feed was read."""


class Queue(Protocol):
    """What was read of a list."""

    def poll(self) -> Message | None:
        """Take the next message; `None` if the queue is empty."""
        ...

    def drop(self) -> None:
        """End the walk, and give the room of its records back."""
        ...


class ListReader(Protocol):
    """Reads lists in the background, shared by the lists of a run."""

    @property
    def progress(self) -> Progress:
        """Counters of the sync."""
        ...

    def open(self) -> None:
        """Start if it is not running. Each `open` that succeeds needs a `close`.

        Raises:
            KantataError: The client can't be made, for example without a token.
        """
        ...

    def close(self) -> None:
        """End when the last user closes it."""
        ...

    def read(
        self,
        spec: ListSpec,
        since: datetime | None,
        saved: Mapping[str, Any] | None,
        nested: frozenset[str] = frozenset(),
    ) -> Queue:
        """Begin to read a list.

        Args:
            spec: The list.
            since: Read what was updated since then; `None` reads everything.
            saved: State of a walk that an earlier run began.
            nested: Fields with nested objects that get a child table.

        Returns:
            The queue of tables.
        """
        ...

    def existing_ids(self, spec: ListSpec, ids: list[str], part: str | None) -> Future[set[str]]:
        """Find out which of the ids the service still has."""
        ...

    def deleted_records(self, since: datetime) -> Future[Deleted | None]:
        """Read from the change feed which records were deleted since then, once for all lists of the run.

        Returns:
            The deleted ids; `None` if the account has no feed, or the feed does not reach back that far.
        """
        ...


def counting_client(names: Iterable[str], progress: Progress, **options: Any) -> Callable[[], Kantata]:
    """Return a function that makes a client with these options, whose 429s are counted in `progress`."""
    operations = {lists()[name].operation.id: name for name in names}

    def count_429(event: ResponseEvent) -> None:
        if event.status == 429 and event.operation in operations:
            progress.limited(operations[event.operation])

    return lambda: Kantata(hooks=Hooks(on_response=count_429), **options)


class Room:
    """Room for a number of records, taken in the order of the calls: no position overtakes the rows that lead to it."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._served = 0
        """Waiters that have their room and have not resumed yet."""

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for room."""
        return bool(self._waiting or self._served)

    def has(self, size: int) -> bool:
        """Whether `take` would not wait."""
        return not self.wanted and self._free >= size

    async def take(self, size: int) -> None:
        """Wait until there is room, and take it."""
        if self.has(size):
            self._free -= size
            return
        served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = size, served
        self._waiting.append(waiter)
        try:
            await served
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not served.cancelled():
                self._served -= 1
                self._free += size
            self.give(0)
            raise
        self._served -= 1
        self.give(0)

    def give(self, size: int) -> None:
        """Give room back, and serve those who wait for it."""
        self._free += size
        while self._waiting and self._waiting[0][0] <= self._free:
            taken, served = self._waiting.popleft()
            if not served.cancelled():
                self._free -= taken
                self._served += 1
                served.set_result(None)


class Reading:
    """The queue of a list that is being read."""

    def __init__(self, reader: Reader, spec: ListSpec, nested: frozenset[str]) -> None:
        self._reader = reader
        self._spec = spec
        self._nested = nested
        self._messages: deque[Message] = deque()
        # Records that are not converted yet.
        self._rows: list[dict[str, Any]] = []
        self._state: Mapping[str, Any] | None = None
        self._room = 0
        self._began = 0.0
        self.task: Future[None]
        """The walk that fills the queue."""

    def poll(self) -> Message | None:
        """Take the next message; `None` if the queue is empty."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        if isinstance(message, Rows):
            self._reader.give(message.room)
        return message

    async def add(self, rows: list[dict[str, Any]], state: Mapping[str, Any] | None) -> None:
        """Add records, and the state of the walk after them. They wait until there is room."""
        size = min(max(len(rows), _LEAST), _QUEUED_ROWS)
        room = self._reader.room
        if not room.has(size):
            self._convert()  # dlt gives back the room of what it can take
        await room.take(size)
        if not self._room:
            self._began = time.monotonic()
        self._rows += rows
        self._room += size
        self._state = state or self._state
        is_old = time.monotonic() - self._began > _BATCH_SECONDS
        if len(self._rows) >= _BATCH_ROWS or is_old or room.wanted:
            self._convert()

    def end(self, message: End | Exception) -> None:
        """Add the last message."""
        self._convert()
        self.put(message)

    def put(self, message: Message) -> None:
        """Queue a message."""
        self._messages.append(message)

    def drop(self) -> None:
        """End the walk, and give the room of its records back."""
        self.task.cancel()
        self._reader.call_soon(self._drain)

    def _convert(self) -> None:
        if not self._room:
            return
        rows, state, room = self._rows, self._state, self._room
        self._rows, self._state, self._room = [], None, 0
        tables = arrow.tables(self._spec, self._nested, rows)
        self.put(Rows(len(rows), tables, state, room))

    def _drain(self) -> None:
        self._convert()
        while self.poll() is not None:
            pass


class Reader:
    """A client in its own thread, shared by the lists of a run."""

    def __init__(self, client: Callable[[], Kantata], progress: Progress) -> None:
        self._client = client
        self.progress = progress
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._users = 0
        self._deleted: Future[Deleted | None] | None = None
        self._failure: Exception | None = None
        self._closing: asyncio.Event
        self._slots: asyncio.Semaphore
        self.room: Room
        """Room in the queues."""
        self.kantata: Kantata

    def open(self) -> None:
        """Start the thread if it is not running. Each `open` that succeeds needs a `close`.

        Raises:
            KantataError: The client can't be made, for example without a token.
        """
        with self._lock:
            self._users += 1
            if self._thread is None:
                ready = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(ready,), name="kantata-sync-reader", daemon=True
                )
                self._thread.start()
                ready.wait()
            if self._failure is not None:
                failure, self._failure = self._failure, None
                self._users -= 1
                self._thread.join()
                self._thread = self._loop = None
                raise failure

    def close(self) -> None:
        """End the thread when its last user closes it."""
        with self._lock:
            self._users -= 1
            if self._users or self._thread is None or self._loop is None:
                return
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
            self._thread = self._loop = None
            self._deleted = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the thread."""
        loop = self._loop
        if loop is None:
            work.close()
            raise RuntimeError("the reader is closed")
        return asyncio.run_coroutine_threadsafe(work, loop)

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Call a function in the thread, without waiting for it."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(callback, *arguments)

    def give(self, size: int) -> None:
        """Give room in the queues back."""
        if size:
            self.call_soon(self.room.give, size)

    def read(
        self,
        spec: ListSpec,
        since: datetime | None,
        saved: Mapping[str, Any] | None,
        nested: frozenset[str] = frozenset(),
    ) -> Reading:
        """Begin to read a list; see `ListReader.read`."""
        return self.begin(Reading(self, spec, nested), spec, since, saved)

    def begin(
        self, reading: Reading, spec: ListSpec, since: datetime | None, saved: Mapping[str, Any] | None
    ) -> Reading:
        """Begin to fill a queue."""
        reading.task = self.submit(self._read(reading, spec, since, saved))
        return reading

    async def _read(
        self, reading: Reading, spec: ListSpec, since: datetime | None, saved: Mapping[str, Any] | None
    ) -> None:
        async with self._slots:
            if self.progress.stopping:
                reading.end(End(complete=False))
                return
            try:
                walk = Walk(self.kantata, spec, since, saved, self.progress, reading.add)
                complete = await walk.run()
                reading.end(End(complete, walk.seen, walk.latest))
            except Exception as error:  # noqa: BLE001 - the consumer of the queue raises or reports it
                reading.end(error)

    def existing_ids(self, spec: ListSpec, ids: list[str], part: str | None) -> Future[set[str]]:
        """Find out which of the ids the service still has."""
        return self.submit(self._existing_ids(spec, ids, part))

    def deleted_records(self, since: datetime) -> Future[Deleted | None]:
        """Read deletions from the change feed; see `ListReader.deleted_records`."""
        with self._lock:
            if self._deleted is None:
                self._deleted = self.submit(self._deleted_records(since))
            return self._deleted

    async def _existing_ids(self, spec: ListSpec, ids: list[str], part: str | None) -> set[str]:
        query = {
            name: value for name, value in spec.query.items() if name not in ("include", "optional_fields")
        }
        if part is not None and spec.fan_out is not None:
            query[spec.fan_out.parameter] = part
        method = getattr(getattr(self.kantata, spec.operation.resource), spec.operation.name)
        found: set[str] = set()
        async for page in method(**query, only=ids).pages(concurrency=1):
            self.progress.requested(spec.name)
            found |= {str(item.to_dict().get(spec.key)) for item in page.items}
        return found

    async def _deleted_records(self, since: datetime) -> Deleted | None:
        deleted: dict[str, set[str]] = {}
        latest = since
        try:
            if datetime.now(UTC) - since > timedelta(days=9):
                return None
            follow = self.kantata.subscribed_events.follow(since=since, payloads=False, wait=False)
            async with follow as events:
                async for event in events:
                    latest = max(latest, event.written_at)
                    if event.action == "deleted" and event.subject_type and event.subject_id:
                        deleted.setdefault(event.subject_type, set()).add(event.subject_id)
        except KantataError:
            return None
        return deleted, latest

    def _run(self, ready: threading.Event) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._closing = asyncio.Event()
            self._slots = asyncio.Semaphore(CONCURRENT_LISTS)
            self.room = Room(_QUEUED_ROWS)
            async with self._client() as self.kantata:
                ready.set()
                await self._closing.wait()
                if self.kantata.drift:
                    self.progress.drift = str(self.kantata.drift)
                tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        try:
            asyncio.run(main())
        except Exception as error:
            if ready.is_set():
                raise
            self._failure = error  # `open` raises it in the thread that waits
        finally:
            ready.set()
