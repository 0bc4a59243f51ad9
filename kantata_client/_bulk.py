"""Writing many: the input is checked and cut into chunks, several are under way at once, and each item's outcome is told.

What is done with a chunk is in `_bulk_writes`. A run begins when it is awaited or iterated, and has no task between two
outcomes: it sends a bounded number of chunks, hands their outcomes out, and sends the next ones.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, cast

from kantata_client.errors import AuthenticationError, BulkError, KantataError, OAuthError, UsageError

logger = logging.getLogger("kantata_client")

T = TypeVar("T")

Status: TypeAlias = Literal["done", "failed", "unknown"]

Source: TypeAlias = Iterable[Any] | AsyncIterable[Any]

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with how many items have an outcome, and how many there are (`None`: an async input does not tell)."""

CHECKED_AT_ONCE = 1_000
"""Items that are checked before other tasks get a turn."""

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
            msg = (
                f"{len(failed)} of {len(self.outcomes)} items failed, {len(unknown)} are unsure; "
                f"the first is item {first.index}: {first.error}"
            )
            raise BulkError(msg, result=self) from first.error

    def __repr__(self) -> str:
        found = f"{len(self.found)} of them found, " if self.found else ""
        done, failed, unknown = len(self.done), len(self.failed), len(self.unknown)
        return f"<BulkResult: {done} done, {found}{failed} failed, {unknown} unknown>"


class BulkRun(Generic[T]):
    """A bulk write that has not begun: `await` it for a `BulkResult`, or iterate it for each `Outcome`.

    An input that can be iterated at once is checked as a whole before anything is sent. Of an async one, an item that is
    wrong is `failed` with a `UsageError`, and the others are written.
    """

    result: BulkResult[T]
    """What is known so far of an awaited run, also after an exception ended it. Items without an outcome: those of the
    chunks that were under way then may have been written, the others were not sent."""

    def __init__(self, job: Job[T], source: Source, concurrency: int, progress: Progress | None) -> None:
        if concurrency < 1:
            msg = f"{job.name}: concurrency is {concurrency}, it begins at 1. Nothing was sent."
            raise UsageError(msg)
        if not _is_collection(source):
            kind = type(source).__name__
            msg = f"{job.name}: a collection of items is needed, not {kind}. Nothing was sent."
            raise UsageError(msg)
        self._job = job
        self._source = source
        self._concurrency = concurrency
        self._progress = progress
        self.result = BulkResult([])

    def __await__(self) -> Generator[Any, Any, BulkResult[T]]:
        return self._all().__await__()

    async def _all(self) -> BulkResult[T]:
        self.result = result = BulkResult[T]([])
        async for outcome in self:
            result.outcomes.append(outcome)
        return result

    def __aiter__(self) -> AsyncIterator[Outcome[T]]:
        """The outcomes in the order of the input, as they become known. They are not kept."""
        return _Outcomes(self._job, self._source, self._concurrency, self._progress)

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
        if isinstance(self._source, AsyncIterable):
            self._iterator = aiter(self._source)
            return
        import anyio.lowlevel

        # Checked items are not kept but made again when they are sent: there may be millions.
        given = self._source if isinstance(self._source, Sequence) else list(self._source)
        for index, item in enumerate(given):
            if index % CHECKED_AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
            self._distinct(self._job.prepare(index, item))
        self.total = len(given)
        if not given:
            self._refuse_empty()
        self._given = given

    async def next(self) -> Item | Outcome[Any] | None:
        """The next item, or what became of it as it is wrong; `None` at the end."""
        index = self._index
        if self._iterator is not None:
            try:
                given = await anext(self._iterator)
            except StopAsyncIteration:
                if index == 0:
                    self._refuse_empty()
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
            return Outcome(index, given, "failed", error=error)
        return item

    def _distinct(self, item: Item) -> None:
        if item.key is None:
            return
        first = self._keys.setdefault(item.key, item.index)
        if first != item.index:
            msg = (
                f"{self._job.name}: items[{first}] and items[{item.index}] have the same external reference "
                f"{item.key!r}, so they would be one object. items[{item.index}] was not sent."
            )
            raise UsageError(msg)
        if self._iterator is not None and len(self._keys) > REMEMBERED_KEYS:
            del self._keys[next(iter(self._keys))]

    def _refuse_empty(self) -> None:
        msg = f"{self._job.name}: the input is empty. Nothing was sent."
        raise UsageError(msg)


class _Outcomes(Generic[T]):
    def __init__(self, job: Job[T], source: Source, concurrency: int, progress: Progress | None) -> None:
        self._job = job
        self._items = _Items(job, source)
        self._concurrency = concurrency
        # An async source may be slow or large: less of it is read ahead.
        self._ahead = concurrency * (2 if isinstance(source, AsyncIterable) else 8)
        self._progress = progress
        self._begun = self._ended = self._broken = False
        self._ready: deque[Outcome[T]] = deque()
        self._told = 0
        self._next: Item | None = None
        self._error: Exception | None = None
        """Raised when the outcomes before it are handed out."""
        self._hopeless: KantataError | None = None
        """Why nothing more is sent."""

    def __aiter__(self) -> AsyncIterator[Outcome[T]]:
        return self

    async def __anext__(self) -> Outcome[T]:
        if not self._begun:
            self._begun = True
            await self._items.begin()
        while not self._ready:
            if self._error is not None:
                error, self._error = self._error, None
                self._ended = True
                raise error
            if self._ended:
                raise StopAsyncIteration
            await self._fill()
        return self._ready.popleft()

    async def _fill(self) -> None:
        """Send some chunks, and wait until all of them have outcomes."""
        chunks: deque[list[Item]] = deque()
        outcomes: list[Outcome[T]] = []
        while len(chunks) < self._ahead and not self._ended:
            if chunk := await self._chunk(outcomes):
                chunks.append(chunk)
        if outcomes:
            self._tell(len(outcomes))
        if len(chunks) == 1:
            await self._work(chunks, outcomes)
        elif chunks:
            import anyio

            async with anyio.create_task_group() as group:
                for _ in range(min(self._concurrency, len(chunks))):
                    group.start_soon(self._work, chunks, outcomes)
        self._ready.extend(sorted(outcomes, key=lambda outcome: outcome.index))

    async def _chunk(self, outcomes: list[Outcome[T]]) -> list[Item]:
        """The next items that go into one request; those that are wrong get their outcomes at once."""
        chunk = [] if self._next is None else [self._next]
        self._next = None
        while len(chunk) < self._job.size and not (chunk and chunk[0].alone):
            try:
                item = await self._items.next()
            except Exception as error:  # noqa: BLE001 - raised later
                # The source failed: what it gave before is sent, and then the error is raised.
                self._error, item = error, None
            if item is None:
                self._ended = True
                break
            if isinstance(item, Outcome):
                outcomes.append(item)
            elif item.alone and chunk:
                self._next = item
                break
            else:
                chunk.append(item)
        return chunk

    async def _work(self, chunks: deque[list[Item]], outcomes: list[Outcome[T]]) -> None:
        while chunks and not self._broken:
            told = await self._send(chunks.popleft())
            outcomes += told
            self._tell(len(told))

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

    def _tell(self, count: int) -> None:
        self._told += count
        if self._progress is not None:
            try:
                self._progress(self._told, self._items.total)
            except Exception:
                logger.exception("The progress hook of %s failed", self._job.name)


def _is_collection(source: object) -> bool:
    return isinstance(source, (Iterable, AsyncIterable)) and not isinstance(source, (str, bytes, Mapping))
