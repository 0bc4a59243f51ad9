"""Writing many: the input is checked and cut into chunks, several are under way at once, and each item's outcome is told.

What is done with a chunk is in `_bulk_writes`. A run begins when it is awaited or iterated. An iterated one has no task
between two outcomes: it sends a bounded number of chunks, hands their outcomes out, and sends the next ones.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar, cast

from kantata_client._concurrency import plainly
from kantata_client.errors import AuthenticationError, BulkError, KantataError, OAuthError, UsageError
from kantata_client.hooks import logged

if TYPE_CHECKING:
    import anyio
    from anyio.abc import TaskGroup

    from kantata_client.hooks import Progress

T = TypeVar("T")

Status: TypeAlias = Literal["done", "failed", "unknown"]

Source: TypeAlias = Iterable[Any] | AsyncIterable[Any]

CHECKED_AT_ONCE = 1_000
"""Items that are checked before other tasks get a turn."""

WRONG_SHOWN = 5
"""Wrong items that an error tells of; of the others it tells how many there are."""

REMEMBERED_KEYS = 100_000
"""Keys of an async input that are remembered in order to find duplicates: it may be endless."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item, checked."""

    index: int
    given: Any
    ready: Any
    """As it is sent."""
    key: str | None = None
    """What must not occur twice in one input."""
    alone: bool = False
    """It takes a request of its own."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of one item."""

    index: int
    """Its place in the input, from 0."""
    item: Any
    """The item as it was given."""
    status: Status
    """`failed`: certainly not written; `unknown`: it was sent, and no answer tells whether it was written."""
    result: T | None = None
    error: Exception | None = None
    """Why it is not `done`."""
    found: bool = False
    """It was there already (by its external reference), and was not created again."""


class Job(Protocol[T]):
    """A kind of bulk write."""

    @property
    def name(self) -> str:
        """As in `stories.create_many`."""
        ...

    @property
    def size(self) -> int:
        """Most items of a chunk."""
        ...

    def prepare(self, index: int, given: Any) -> Item:
        """Check an item. Raises `UsageError`, naming its index."""
        ...

    async def send(self, chunk: list[Item]) -> Sequence[Outcome[T]]:
        """Write a chunk; errors of the service are outcomes."""
        ...


class BulkResult(Generic[T]):
    """What became of all items."""

    def __init__(self, outcomes: list[Outcome[T]]) -> None:
        self.outcomes = outcomes
        """One for each item, in the order of the input."""

    @property
    def results(self) -> list[T]:
        """The objects of the items that are written or were there already, in the order of the input."""
        return [cast("T", outcome.result) for outcome in self.outcomes if outcome.status == "done"]

    @property
    def created(self) -> list[T]:
        """As `results`, without what was there already."""
        return [cast("T", outcome.result) for outcome in self.done if not outcome.found]

    @property
    def found(self) -> list[T]:
        """As `results`, only what was there already."""
        return [cast("T", outcome.result) for outcome in self.done if outcome.found]

    @property
    def done(self) -> list[Outcome[T]]:
        """The items that are written, or were there already."""
        return [outcome for outcome in self.outcomes if outcome.status == "done"]

    @property
    def failed(self) -> list[Outcome[T]]:
        """The items that were refused; nothing of them was written."""
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]

    @property
    def unknown(self) -> list[Outcome[T]]:
        """The items that may or may not have been written."""
        return [outcome for outcome in self.outcomes if outcome.status == "unknown"]

    def raise_for_failures(self) -> None:
        """Raise `BulkError` unless all items were written."""
        failed, unknown = self.failed, self.unknown
        if missing := [*failed, *unknown]:
            first = min(missing, key=lambda outcome: outcome.index)
            why = str(first.error).removeprefix(f"Item {first.index} of the input, ")
            msg = (
                f"{len(failed)} of {len(self.outcomes)} items failed, {len(unknown)} are unsure; "
                f"the first is item {first.index}: {why}"
            )
            raise BulkError(msg, result=self) from first.error

    def __repr__(self) -> str:
        found = f"{len(self.found)} of them found, " if self.found else ""
        done, failed, unknown = len(self.done), len(self.failed), len(self.unknown)
        return f"<BulkResult: {done} done, {found}{failed} failed, {unknown} unknown>"


class BulkRun(Generic[T]):
    """A bulk write that has not begun: `await` it for a `BulkResult`, or iterate it for each `Outcome`; once.

    An input that can be iterated at once is checked as a whole before anything is sent. Of an async one, an item that is
    wrong is `failed` with a `UsageError`, and the others are written.
    """

    def __init__(self, job: Job[T], source: Source, concurrency: int, progress: Progress | None) -> None:
        given: Any = concurrency
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise UsageError(
                f"{job.name}: concurrency is {given!r}; it is the number of requests under way at once, from 1 on"
            )
        if not _is_collection(source):
            raise UsageError(f"{job.name}: a collection of items is needed, not {type(source).__name__}")
        self._job = job
        self._source = source
        self._concurrency = concurrency
        self._progress = logged(progress, job.name)
        self._outcomes: Outcomes[T] | None = None

    def __await__(self) -> Generator[Any, Any, BulkResult[T]]:
        return self._all(self._begun(kept=True)).__await__()

    async def _all(self, outcomes: Outcomes[T]) -> BulkResult[T]:
        await outcomes.finish()
        return BulkResult(outcomes.known())

    def __aiter__(self) -> Outcomes[T]:
        """The outcomes in the order of the input, as they become known. They are not kept."""
        return self._begun(kept=False)

    def _begun(self, *, kept: bool) -> Outcomes[T]:
        if self._outcomes is not None:
            raise UsageError(
                f"{self._job.name}: this run has begun already, and to run it again would write everything twice. "
                "Await it or iterate it, not both; make a new one for another input.",
                consequence="Nothing more was sent.",
            )
        self._outcomes = Outcomes(self._job, self._source, self._concurrency, self._progress, kept=kept)
        return self._outcomes

    @property
    def result(self) -> BulkResult[T]:
        """What is known so far of an awaited run, also after an exception or a cancellation ended it.

        What was under way then is `unknown`. Items without an outcome were not sent.

        Raises:
            UsageError: The run is iterated, and so keeps no outcomes.
        """
        if self._outcomes is None:
            return BulkResult([])
        if not self._outcomes.kept:
            raise UsageError(
                f"{self._job.name}: an iterated run keeps no outcomes: note them in the loop, or await a run",
                consequence="",
            )
        return BulkResult(self._outcomes.known())

    def __repr__(self) -> str:
        return f"<BulkRun of {self._job.name}>"


class _Items:
    """The input, item by item."""

    total: int | None = None

    def __init__(self, job: Job[Any], source: Source) -> None:
        self._job = job
        self._source = source
        self._keys: dict[str, int] = {}
        self._index = 0
        self._given: Sequence[Any] | None = None
        self._iterator: AsyncIterator[Any] | None = None

    async def begin(self) -> None:
        """Check the whole input, unless it is async."""
        import anyio.lowlevel

        from kantata_client._lists.paginator import Paginator

        if isinstance(self._source, Paginator):
            # What is written moves the pages of a list, so that it would lose objects if it was read meanwhile.
            given: Sequence[Any] = await self._source.collect()
        elif isinstance(self._source, AsyncIterable):
            self._iterator = aiter(self._source)
            return
        else:
            given = self._source if isinstance(self._source, Sequence) else list(self._source)
        if not given:
            raise self._empty()
        # Checked items are not kept but made again when they are sent: there may be millions.
        wrong: list[UsageError] = []
        wrong_in_all = 0
        for index, item in enumerate(given):
            if index % CHECKED_AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
            try:
                self._distinct(self._job.prepare(index, item))
            except UsageError as error:
                wrong_in_all += 1
                if wrong_in_all <= WRONG_SHOWN:
                    wrong.append(error)
        if wrong_in_all == 1:
            raise wrong[0]
        if wrong:
            details = [error.problem for error in wrong]
            if wrong_in_all > len(wrong):
                details.append(f"and {wrong_in_all - len(wrong)} more.")
            raise UsageError(
                f"{self._job.name}: {wrong_in_all} of {len(given)} items are wrong", details=details
            ) from wrong[0]
        self.total = len(given)
        self._given = given

    async def next(self) -> Item | Outcome[Any] | None:
        """The next item, or what became of it as it is wrong; `None` at the end."""
        index = self._index
        if self._iterator is not None:
            try:
                given = await anext(self._iterator)
            except StopAsyncIteration:
                if index == 0:
                    raise self._empty() from None
                return None
        elif self._given is None or index >= len(self._given):
            return None
        else:
            given = self._given[index]
        self._index += 1
        try:
            item = self._job.prepare(index, given)
            if self._iterator is not None:
                self._distinct(item)
        except UsageError as error:
            # Items before it may have been sent already.
            alone = UsageError(error.problem, consequence="This item was not sent.")
            return Outcome(index, given, "failed", error=alone)
        return item

    def _distinct(self, item: Item) -> None:
        if item.key is None:
            return
        first = self._keys.setdefault(item.key, item.index)
        if first != item.index:
            raise UsageError(
                f"{self._job.name}: items[{first}] and items[{item.index}] have the same external reference "
                f"{item.key!r}, so they would be one object"
            )
        if self._iterator is not None and len(self._keys) > REMEMBERED_KEYS:
            del self._keys[next(iter(self._keys))]

    def _empty(self) -> UsageError:
        return UsageError(f"{self._job.name}: the input is empty")

    async def close(self) -> None:
        """Close a generator that may not have come to its end; trio complains of those that are left."""
        source = self._iterator or self._source
        if isinstance(source, AsyncGenerator):
            await cast("AsyncGenerator[Any, None]", source).aclose()


class Outcomes(Generic[T]):
    """The outcomes of a run, in the order of the input.

    A cancellation ends the run: what is known by then can still be iterated, and what was under way is `unknown`. Close
    one that is left before its end (`contextlib.aclosing`) if its input is an async generator, which is closed with it.
    """

    def __init__(
        self, job: Job[T], source: Source, concurrency: int, progress: Progress | None, *, kept: bool
    ) -> None:
        """`kept`: nothing is handed out before the end, so that nothing is waited for in between."""
        self.kept = kept
        self._job = job
        self._items = _Items(job, source)
        self._concurrency = concurrency
        # An async source may be slow or large: less of it is read ahead.
        chunks = concurrency * (2 if isinstance(source, AsyncIterable) else 8)
        self._ahead = sys.maxsize if kept else chunks * job.size
        self._progress = progress
        self._begun = self._ended = False
        self._lock: anyio.Lock | None = None
        self._ready: deque[Outcome[T]] = deque()
        """Those that can be handed out, in order."""
        self._known: list[Outcome[T]] = []
        """Those that came since, in any order."""
        self._told = 0
        self._chunk: list[Item] = []
        """What is read and waits for more, or for its turn."""
        self._under_way: dict[int, list[Item]] = {}
        """Chunks by the index of their first item."""
        self._answered = False
        self._error: Exception | None = None
        """Raised when the outcomes before it are handed out."""
        self._broken = False
        """Nothing more is sent, and what is read already is left."""
        self._hopeless: KantataError | None = None
        """Why nothing more is sent, though all that comes gets its outcome."""

    def __aiter__(self) -> Outcomes[T]:
        return self

    async def __anext__(self) -> Outcome[T]:
        if self._lock is None:
            from anyio import Lock

            self._lock = Lock()
        async with self._lock:  # several tasks may share a run
            while not self._ready:
                if self._ended:
                    self._raise_error()
                    raise StopAsyncIteration
                await self._fill()
            return self._ready.popleft()

    async def aclose(self) -> None:
        """End the run: nothing more is read, sent or handed out."""
        self._ended = True
        self._ready.clear()
        self._chunk.clear()
        self._error = None
        await self._items.close()

    async def finish(self) -> None:
        """Write all there is, and keep the outcomes."""
        while not self._ended:
            await self._fill()
        self._raise_error()

    def known(self) -> list[Outcome[T]]:
        """The outcomes that were not handed out."""
        return sorted([*self._ready, *self._known], key=lambda outcome: outcome.index)

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    async def _fill(self) -> None:
        """Read and send, until enough is read or the input gives less than is answered; wait for all outcomes."""
        import anyio

        self._answered = False
        places = anyio.Semaphore(self._concurrency)
        try:
            if not self._begun:
                self._begun = True
                await self._items.begin()
            with plainly():
                async with anyio.create_task_group() as group:
                    for _ in range(self._ahead):
                        await self._read(group, places)
                        idle = self._answered and not self._under_way
                        if self._ended or (idle and not self.kept):
                            break
        except BaseException:
            self._ended = True
            raise
        finally:
            for chunk in self._under_way.values():
                error = KantataError(
                    f"{self._job.name}: the run was broken off while this item was under way, so it may have been written."
                )
                self._known += [Outcome(item.index, item.given, "unknown", error=error) for item in chunk]
            self._under_way.clear()
            await self._hand_over()

    async def _hand_over(self) -> None:
        # What is behind an item that waits has to wait, too.
        end = self._chunk[0].index if self._chunk and not self._ended else sys.maxsize
        known = sorted(self._known, key=lambda outcome: outcome.index)
        self._ready.extend(outcome for outcome in known if outcome.index < end)
        self._known = [outcome for outcome in known if outcome.index >= end]
        if self._ended:
            try:
                await self._items.close()
            except Exception as error:  # noqa: BLE001 - raised later
                self._error = self._error or error

    async def _read(self, group: TaskGroup, places: anyio.Semaphore) -> None:
        """Take one item of the input, and send the chunk that it completes."""
        try:
            item = await self._items.next()
        except Exception as error:  # noqa: BLE001 - raised later
            # The source failed: what it gave before is sent, and then the error is raised.
            self._error, item = self._error or error, None
        if item is None:
            self._ended = True
        elif isinstance(item, Outcome):
            self._tell([item])
        else:
            if item.alone:
                await self._send_chunk(group, places)
            self._chunk.append(item)
        if self._chunk:
            first = self._chunk[0]
            # Wrong items count, too, so that the outcomes that have to wait for the chunk are not many.
            if item is None or first.alone or item.index - first.index + 1 >= self._job.size:
                await self._send_chunk(group, places)

    async def _send_chunk(self, group: TaskGroup, places: anyio.Semaphore) -> None:
        if not self._chunk:
            return
        await places.acquire()
        if not self._broken:
            chunk, self._chunk = self._chunk, []
            self._under_way[chunk[0].index] = chunk
            group.start_soon(self._work, chunk, places)

    async def _work(self, chunk: list[Item], places: anyio.Semaphore) -> None:
        told = await self._send(chunk)
        del self._under_way[chunk[0].index]
        self._answered = True
        self._tell(told)
        places.release()

    async def _send(self, chunk: list[Item]) -> Sequence[Outcome[T]]:
        if self._hopeless is not None:
            return [Outcome(item.index, item.given, "failed", error=self._hopeless) for item in chunk]
        try:
            told = await self._job.send(chunk)
        except Exception as error:  # noqa: BLE001 - raised later
            # Not the service's, such as one of a token provider. What is known is handed out before it is raised.
            self._broken = self._ended = True
            self._error = self._error or error
            return [Outcome(item.index, item.given, "unknown", error=error) for item in chunk]
        if isinstance(told[0].error, (AuthenticationError, OAuthError)):
            self._hopeless = told[0].error
        return told

    def _tell(self, outcomes: Sequence[Outcome[T]]) -> None:
        self._known += outcomes
        self._told += len(outcomes)
        if self._progress is not None:
            self._progress(self._told, self._items.total)


def _is_collection(source: object) -> bool:
    return isinstance(source, (Iterable, AsyncIterable)) and not isinstance(source, (str, bytes, Mapping))
