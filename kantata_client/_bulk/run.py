"""A bulk run: check the input, cut it into chunks, send several at once, report an outcome for each item.

What is sent for a chunk is up to `_bulk.writes`. A run starts when it is awaited or iterated. An iterated run holds no
task between two outcomes: it sends a bounded number of chunks, hands out their outcomes, then sends more.
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
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, cast

from kantata_client._bulk.outcomes import BulkResult, Outcome
from kantata_client._calls.numbers import whole
from kantata_client._concurrency import plainly
from kantata_client._lazy import resolvable
from kantata_client.errors import AuthenticationError, KantataError, OAuthError, UsageError
from kantata_client.hooks import logged

if TYPE_CHECKING:
    import anyio
    from anyio.abc import TaskGroup

    from kantata_client._bulk.outcomes import Item
    from kantata_client.hooks import Progress

T = TypeVar("T")

Input: TypeAlias = Iterable[Any] | AsyncIterable[Any]

CHECKED_AT_ONCE = 1_000
"""How many items are checked before other tasks get a turn."""

INVALID_SHOWN = 5
"""How many invalid items an error lists; it counts the rest."""

REMEMBERED_KEYS = 100_000
"""How many keys of an async input, which may be endless, are remembered to detect duplicates."""


class Job(Protocol[T]):
    """A kind of bulk write."""

    @property
    def name(self) -> str:
        """The method, such as `stories.create_many`."""
        ...

    @property
    def size(self) -> int:
        """The largest number of items in a chunk."""
        ...

    @property
    def stopped(self) -> KantataError | None:
        """Why nothing more can be written; every further item fails with it."""
        ...

    def prepare(self, index: int, given: Any) -> Item:
        """Check an item; raises a `UsageError` that names its index."""
        ...

    def check(self) -> None:
        """Check that requests can be sent at all; raises a `UsageError`."""
        ...

    async def send(self, chunk: list[Item]) -> Sequence[Outcome[T]]:
        """Write a chunk; the service's errors become outcomes."""
        ...


@resolvable
class BulkRun(Generic[T]):
    """A bulk write that has not started: `await` it for a `BulkResult`, or iterate it for each `Outcome`, once.

    A list or other synchronous input is checked completely before anything is sent. In an async input, an invalid item is
    `failed` with a `UsageError`, and the others are written.
    """

    def __init__(self, job: Job[T], source: Input, concurrency: int, progress: Progress | None) -> None:
        self._concurrency = whole(f"{job.name}: concurrency", concurrency)
        if not _is_collection(source):
            raise UsageError(f"{job.name}: expected a collection of items, got {type(source).__name__}")
        self._job = job
        self._source = source
        self._progress = logged(progress, job.name)
        self._outcomes: Outcomes[T] | None = None

    def __await__(self) -> Generator[Any, Any, BulkResult[T]]:
        return self._all(self._begun(kept=True)).__await__()

    async def _all(self, outcomes: Outcomes[T]) -> BulkResult[T]:
        await outcomes.finish()
        return BulkResult(outcomes.known())

    def __aiter__(self) -> Outcomes[T]:
        """The outcomes in input order, as they become known. The run does not keep them."""
        return self._begun(kept=False)

    def _begun(self, *, kept: bool) -> Outcomes[T]:
        if self._outcomes is not None:
            raise UsageError(
                f"{self._job.name}: this run has already started, and running it again would write everything twice. "
                "Await it or iterate it, not both, and call the method again for another input",
                consequence="Nothing more was sent.",
            )
        self._outcomes = Outcomes(self._job, self._source, self._concurrency, self._progress, kept=kept)
        return self._outcomes

    @property
    def result(self) -> BulkResult[T]:
        """The outcomes known so far of an awaited run, also after an exception or a cancellation ended it.

        Items that were being sent at that moment are `unknown`. Items without an outcome were not sent.

        Raises:
            UsageError: The run is being iterated, so it does not keep its outcomes.
        """
        if self._outcomes is None:
            return BulkResult([])
        if not self._outcomes.kept:
            raise UsageError(
                f"{self._job.name}: an iterated run does not keep its outcomes. Collect them in the loop, or await the run",
                consequence="",
            )
        return BulkResult(self._outcomes.known())

    def __repr__(self) -> str:
        return f"<BulkRun of {self._job.name}>"


class _Items:
    """The input, item by item."""

    total: int | None = None

    def __init__(self, job: Job[Any], source: Input) -> None:
        self._job = job
        self._source = source
        self._keys: dict[object, int] = {}
        self._index = 0
        self._given: Sequence[Any] | None = None
        self._iterator: AsyncIterator[Any] | None = None

    async def begin(self) -> None:
        """Check the whole input if it is synchronous."""
        import anyio.lowlevel

        from kantata_client._lists.paginator import Paginator

        if isinstance(self._source, Paginator):
            # Writing shifts the pages of a list: objects would be missed if it were read at the same time.
            given: Sequence[Any] = await self._source.collect()
        elif isinstance(self._source, AsyncIterable):
            self._iterator = aiter(self._source)
            return
        else:
            given = self._source if isinstance(self._source, Sequence) else list(self._source)
        if not given:
            raise self._empty()
        # Checked items are not kept, since there may be millions: they are prepared again when they are sent.
        shown: list[UsageError] = []
        invalid = 0
        for index, item in enumerate(given):
            if index % CHECKED_AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
            try:
                self._distinct(self._job.prepare(index, item))
            except UsageError as error:
                invalid += 1
                if invalid <= INVALID_SHOWN:
                    shown.append(error)
        if invalid == 1:
            raise shown[0]
        if shown:
            details = [error.problem for error in shown]
            if invalid > len(shown):
                details.append(f"and {invalid - len(shown)} more.")
            raise UsageError(
                f"{self._job.name}: {invalid} of {len(given)} items are invalid", details=details
            ) from shown[0]
        self.total = len(given)
        self._given = given

    async def next(self) -> Item | Outcome[Any] | None:
        """The next item, or its outcome if it is invalid; `None` at the end."""
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
                f"{item.key!r}, which identifies a single object"
            )
        if item.identity is not None and (
            (first := self._keys.setdefault(item.identity, item.index)) != item.index
        ):
            raise UsageError(
                f"{self._job.name}: the service writes items[{first}] and items[{item.index}] into one object, which keeps "
                "only one of their external references. Combine them into one item, or leave out the key"
            )
        while self._iterator is not None and len(self._keys) > REMEMBERED_KEYS:
            del self._keys[next(iter(self._keys))]

    def _empty(self) -> UsageError:
        return UsageError(f"{self._job.name}: the input is empty")

    async def close(self) -> None:
        """Close an async generator that may not be exhausted; trio warns about those left open."""
        source = self._iterator or self._source
        if isinstance(source, AsyncGenerator):
            await cast("AsyncGenerator[Any, None]", source).aclose()


class Outcomes(Generic[T]):
    """The outcomes of a run, in input order.

    A cancellation ends the run: the outcomes known by then can still be iterated, and items that were being sent are
    `unknown`. If you leave the loop early and the input is an async generator, use `contextlib.aclosing`: it closes both.
    """

    def __init__(
        self, job: Job[T], source: Input, concurrency: int, progress: Progress | None, *, kept: bool
    ) -> None:
        """With `kept`, outcomes are handed out only at the end, so sending never pauses for them."""
        self.kept = kept
        self._job = job
        self._items = _Items(job, source)
        self._concurrency = concurrency
        # An async input may be slow or large, so less of it is read ahead.
        chunks = concurrency * (2 if isinstance(source, AsyncIterable) else 8)
        self._ahead = sys.maxsize if kept else chunks * job.size
        self._progress = progress
        self._begun = self._ended = False
        self._lock: anyio.Lock | None = None
        self._ready: deque[Outcome[T]] = deque()
        """Ready to be handed out, in order."""
        self._known: list[Outcome[T]] = []
        """Known, but not yet in order."""
        self._reported = 0
        self._chunk: list[Item] = []
        """Items read that wait for a full chunk, or for their turn."""
        self._under_way: dict[int, list[Item]] = {}
        """Chunks being sent, by the index of their first item."""
        self._answered = False
        self._error: Exception | None = None
        """Raised once the outcomes before it have been handed out."""
        self._broken = False
        """Nothing more is sent; items already read are dropped."""
        self._hopeless: KantataError | None = None
        """Why no further item can succeed; each still gets an outcome, without a request."""

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
        """Write the whole input, and keep the outcomes."""
        while not self._ended:
            await self._fill()
        self._raise_error()

    def known(self) -> list[Outcome[T]]:
        """The outcomes not yet handed out."""
        return sorted([*self._ready, *self._known], key=lambda outcome: outcome.index)

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    async def _fill(self) -> None:
        """Read and send until enough is read ahead or the input is slower than the service, then wait for all answers."""
        import anyio

        self._answered = False
        places = anyio.Semaphore(self._concurrency)
        try:
            if not self._begun:
                self._begun = True
                self._job.check()
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
                    f"{self._job.name}: the run ended while this item was being sent, so it may have been written. "
                    "Look it up before you send it again."
                )
                self._known += [Outcome(item.index, item.given, "unknown", error=error) for item in chunk]
            self._under_way.clear()
            await self._hand_over()

    async def _hand_over(self) -> None:
        # Items behind one that is still waiting have to wait as well.
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
        """Read one item, and send the chunk that it completes."""
        try:
            item = await self._items.next()
        except Exception as error:  # noqa: BLE001 - raised later
            # The input failed: what it yielded before is sent, then the error is raised.
            self._error, item = self._error or error, None
        if item is None:
            self._ended = True
        elif isinstance(item, Outcome):
            self._report([item])
        else:
            if item.alone:
                await self._send_chunk(group, places)
            self._chunk.append(item)
        if self._chunk:
            first = self._chunk[0]
            # Invalid items count as well, which bounds the number of outcomes that wait for this chunk.
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
        outcomes = await self._send(chunk)
        del self._under_way[chunk[0].index]
        self._answered = True
        self._report(outcomes)
        places.release()

    async def _send(self, chunk: list[Item]) -> Sequence[Outcome[T]]:
        if self._hopeless is not None:
            return [Outcome(item.index, item.given, "failed", error=self._hopeless) for item in chunk]
        try:
            outcomes = await self._job.send(chunk)
        except Exception as error:  # noqa: BLE001 - raised later
            # Not the service's error, but for example a token provider's. Known outcomes are handed out before it is raised.
            self._broken = self._ended = True
            self._error = self._error or error
            return [Outcome(item.index, item.given, "unknown", error=error) for item in chunk]
        if isinstance(outcomes[0].error, (AuthenticationError, OAuthError)):
            self._hopeless = outcomes[0].error
        self._hopeless = self._hopeless or self._job.stopped
        return outcomes

    def _report(self, outcomes: Sequence[Outcome[T]]) -> None:
        self._known += outcomes
        self._reported += len(outcomes)
        if self._progress is not None:
            self._progress(self._reported, self._items.total)


def _is_collection(source: object) -> bool:
    return isinstance(source, (Iterable, AsyncIterable)) and not isinstance(source, (str, bytes, Mapping))
