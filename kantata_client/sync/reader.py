"""Reading lists in a thread with an event loop, several at once and ahead of whoever stores the rows.

dlt takes rows in the main thread, list by list in turn. The reader fetches meanwhile: each list has a queue of pages, and
waits when it is full.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from kantata_client.errors import KantataError
from kantata_client.sync.walk import Seen, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from kantata_client.client import Kantata
    from kantata_client.sync.lists import List
    from kantata_client.sync.progress import Progress

T = TypeVar("T")

PAGES_AHEAD = 16
"""Pages of a list that wait to be stored before it pauses."""
LISTS_AT_ONCE = 16


@attrs.frozen
class Rows:
    """Records of a list, as they were received."""

    rows: list[dict[str, Any]]
    state: Mapping[str, Any] | None = None
    """What to keep of the walk when these rows are stored."""


@attrs.frozen
class End:
    """The list was read, up to its end or to where the run stops."""

    complete: bool
    seen: Seen | None = None
    """The ids that were read."""
    latest: datetime | None = None
    """The next incremental sync reads what was updated since."""


Message = Rows | End | Exception


class Reading:
    """A list that is being read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._messages: deque[Message] = deque()
        self._room = asyncio.Semaphore(PAGES_AHEAD)

    def poll(self) -> Message | None:
        """The next message, or `None` if there is none yet."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        self._reader.call_soon(self._room.release)
        return message

    async def put(self, message: Message) -> None:
        """Queue a message; wait while the queue is full."""
        await self._room.acquire()
        self._messages.append(message)


class Reader:
    """A client in a thread of its own. Start it once for a run; `close` ends everything."""

    def __init__(self, client: Callable[[], Kantata], progress: Progress) -> None:
        self._client = client
        self.progress = progress
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._users = 0
        self._shared: dict[str, Future[Any]] = {}
        self._over: asyncio.Event
        self._slots: asyncio.Semaphore
        self.kantata: Kantata

    def open(self) -> None:
        """Start the thread, or share it."""
        with self._lock:
            self._users += 1
            if self._thread is None:
                ready = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(ready,), name="kantata-sync-reader", daemon=True
                )
                self._thread.start()
                ready.wait()

    def close(self) -> None:
        """End the thread when nobody uses it any more."""
        with self._lock:
            self._users -= 1
            if self._users or self._thread is None or self._loop is None:
                return
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
            self._thread = self._loop = None
            self._shared.clear()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Do something in the thread."""
        loop = self._loop
        if loop is None:
            work.close()
            raise RuntimeError("the reader is closed")
        return asyncio.run_coroutine_threadsafe(work, loop)

    def once(self, name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Do something once for all lists of the run."""
        with self._lock:
            if name not in self._shared:
                self._shared[name] = self.submit(work())
            return self._shared[name]

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call a function in the thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(callback)

    def read(self, of: List, since: datetime | None, kept: Mapping[str, Any] | None) -> Reading:
        """Begin to read a list.

        Args:
            of: The list.
            since: Read what was updated since, or everything.
            kept: The state of a walk that a former run began.
        """
        reading = Reading(self)
        self.submit(self._read(reading, of, since, kept))
        return reading

    async def _read(
        self, reading: Reading, of: List, since: datetime | None, kept: Mapping[str, Any] | None
    ) -> None:
        async with self._slots:
            if self.progress.stopping:
                await reading.put(End(complete=False))
                return

            async def emit(rows: list[dict[str, Any]], state: Mapping[str, Any] | None) -> None:
                await reading.put(Rows(rows, state))

            try:
                walk = Walk(self.kantata, of, since, kept, self.progress, emit)
                complete = await walk.run()
            except Exception as error:  # noqa: BLE001 - raised, or reported, where the rows are taken
                await reading.put(error)
            else:
                await reading.put(End(complete, walk.seen, walk.latest))

    async def existing(self, of: List, ids: list[str], part: str | None) -> set[str]:
        """Which of these ids the service still has."""
        query = {
            name: value for name, value in of.query.items() if name not in ("include", "optional_fields")
        }
        if part is not None and of.fan_out is not None:
            query[of.fan_out.parameter] = part
        method = getattr(getattr(self.kantata, of.operation.resource), of.operation.name)
        found: set[str] = set()
        async for page in method(**query, only=ids).pages(concurrency=1):
            self.progress.requested(of.name)
            found |= {str(item.to_dict().get(of.key)) for item in page.items}
        return found

    async def deleted(self, since: datetime) -> tuple[dict[str, set[str]], datetime] | None:
        """The records that the change feed reports as deleted since then, and up to when it was read.

        Returns:
            Ids by class name, such as `"TimeEntry"`; `None` if the account has no feed, or it does not reach back so far.
        """
        gone: dict[str, set[str]] = {}
        latest = since
        try:
            if datetime.now(UTC) - since > timedelta(days=9):
                return None
            follow = self.kantata.subscribed_events.follow(since=since, payloads=False, wait=False)
            async with follow as events:
                async for event in events:
                    latest = max(latest, event.written_at)
                    if event.action == "deleted" and event.subject_type and event.subject_id:
                        gone.setdefault(event.subject_type, set()).add(event.subject_id)
        except KantataError:
            return None
        return gone, latest

    def _run(self, ready: threading.Event) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._over = asyncio.Event()
            self._slots = asyncio.Semaphore(LISTS_AT_ONCE)
            async with self._client() as self.kantata:
                ready.set()
                await self._over.wait()
                if self.kantata.drift:
                    self.progress.drift = str(self.kantata.drift)
                tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        try:
            asyncio.run(main())
        finally:
            ready.set()
