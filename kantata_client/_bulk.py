"""Writing many: the input is cut into chunks that one request takes, and every item's outcome is told.

A run begins when it is awaited or iterated. Chunks are sent several at once, a bounded number ahead of who reads the
outcomes, and outcomes come in the order of the input.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, cast

from kantata_client._arguments import item_of, path_of, query_of
from kantata_client._concurrency import in_order
from kantata_client.errors import (
    BulkError,
    KantataError,
    MalformedResponseError,
    UnknownOutcomeError,
    UsageError,
)

if TYPE_CHECKING:
    from kantata_client._model import Model
    from kantata_client._operation import Operation
    from kantata_client._session import Session

T = TypeVar("T")
M = TypeVar("M", bound="Model")

Source: TypeAlias = Iterable[Any] | AsyncIterable[Any]


@dataclass(frozen=True, slots=True)
class _Item:
    index: int
    given: Any
    ready: Any
    """As it is sent."""


_Send: TypeAlias = Callable[[list[_Item]], Awaitable[list[T]]]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of one item."""

    index: int
    """Its place in the input, from 0."""
    item: Any
    """The item as it was given."""
    status: Literal["done", "failed", "unknown"]
    """`unknown`: it was sent, and no answer tells whether it was done."""
    result: T | None = None
    error: KantataError | None = None


class BulkResult(Generic[T]):
    """What became of all items."""

    def __init__(self, outcomes: list[Outcome[T]]) -> None:
        self.outcomes = outcomes
        """One for each item, in the order of the input."""

    @property
    def created(self) -> list[T]:
        """The objects that were created, in the order of the input."""
        return [cast("T", outcome.result) for outcome in self.outcomes if outcome.status == "done"]

    @property
    def done(self) -> list[Outcome[T]]:
        """The items that were written."""
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
        if missing := [*self.failed, *self.unknown]:
            first = missing[0]
            msg = (
                f"{len(self.failed)} of {len(self.outcomes)} items failed, {len(self.unknown)} are unsure; "
                f"the first is item {first.index}: {first.error}"
            )
            raise BulkError(msg, result=self) from first.error

    def __repr__(self) -> str:
        return f"<BulkResult: {len(self.done)} done, {len(self.failed)} failed, {len(self.unknown)} unknown>"


class BulkRun(Generic[T]):
    """A bulk write that has not begun: `await` it, or iterate it."""

    def __init__(
        self, source: Source, prepare: Callable[[int, Any], Any], size: int, send: _Send[T], concurrency: int
    ) -> None:
        if concurrency < 1:
            msg = f"concurrency is {concurrency}, it begins at 1"
            raise UsageError(msg)
        self._source = source
        self._prepare = prepare
        self._size = size
        self._send = send
        self._concurrency = concurrency

    def __await__(self) -> Generator[Any, Any, BulkResult[T]]:
        return self._all().__await__()

    async def _all(self) -> BulkResult[T]:
        return BulkResult([outcome async for outcome in self])

    def __aiter__(self) -> AsyncIterator[Outcome[T]]:
        """The outcomes in the order of the input, as they become known."""
        return _Outcomes(self._begin, self._send, self._concurrency)

    def _begin(self) -> _Chunks:
        source = self._source
        if isinstance(source, AsyncIterable):
            return _AsyncChunks(aiter(source), self._prepare, self._size)
        if isinstance(source, (str, bytes)):
            msg = f"a collection of items is needed, not {type(source).__name__}"
            raise UsageError(msg)
        # All is checked before anything is sent.
        return _ReadyChunks(
            [_Item(index, item, self._prepare(index, item)) for index, item in enumerate(source)], self._size
        )


class _ReadyChunks:
    def __init__(self, items: list[_Item], size: int) -> None:
        self._items: Iterator[_Item] = iter(items)
        self._size = size

    async def next(self) -> list[_Item]:
        return list(islice(self._items, self._size))


class _AsyncChunks:
    def __init__(self, source: AsyncIterator[Any], prepare: Callable[[int, Any], Any], size: int) -> None:
        self._source = source
        self._prepare = prepare
        self._size = size
        self._index = 0

    async def next(self) -> list[_Item]:
        chunk: list[_Item] = []
        while len(chunk) < self._size:
            try:
                item = await anext(self._source)
            except StopAsyncIteration:
                break
            chunk.append(_Item(self._index, item, self._prepare(self._index, item)))
            self._index += 1
        return chunk


_Chunks: TypeAlias = _ReadyChunks | _AsyncChunks


class _Outcomes(Generic[T]):
    def __init__(self, begin: Callable[[], _Chunks], send: _Send[T], concurrency: int) -> None:
        self._begin = begin
        self._send = send
        self._concurrency = concurrency
        self._chunks: _Chunks | None = None
        self._ready: list[Outcome[T]] = []

    def __aiter__(self) -> AsyncIterator[Outcome[T]]:
        return self

    async def __anext__(self) -> Outcome[T]:
        if not self._ready:
            await self._fill()
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.pop()

    async def _fill(self) -> None:
        if self._chunks is None:
            self._chunks = self._begin()
        chunks: list[list[_Item]] = []
        while len(chunks) < self._concurrency and (chunk := await self._chunks.next()):
            chunks.append(chunk)
        if chunks:
            told, error = await in_order([partial(_outcomes, self._send, chunk) for chunk in chunks])
            if error is not None:
                raise error
            self._ready = [outcome for outcomes in reversed(told) for outcome in reversed(outcomes)]


async def _outcomes(send: _Send[T], chunk: list[_Item]) -> list[Outcome[T]]:
    """What became of a chunk; errors of the service are outcomes, and leave the other chunks alone."""
    try:
        results = await send(chunk)
    except (UnknownOutcomeError, MalformedResponseError) as error:
        return [Outcome(item.index, item.given, "unknown", error=error) for item in chunk]
    except KantataError as error:
        return [Outcome(item.index, item.given, "failed", error=error) for item in chunk]
    return [
        Outcome(item.index, item.given, "done", result) for item, result in zip(chunk, results, strict=True)
    ]


def create_many(
    session: Session, operation: Operation, cls: type[M], items: Source, concurrency: int
) -> BulkRun[M]:
    """Create objects by the array form of a creation."""
    body, limit = operation.body, operation.bulk_limit
    if body is None or body.plural is None or limit is None:
        msg = f"{operation.id} takes one object at a time"
        raise UsageError(msg)
    plural, path = body.plural, path_of(operation, ())

    async def send(chunk: list[_Item]) -> list[M]:
        response = await session.send(operation, path, (), {plural: [item.ready for item in chunk]})
        found = session.read(response, operation, cls, frozenset()).items
        if len(found) != len(chunk):
            msg = (
                f"{operation.id}: {len(chunk)} objects were sent and {len(found)} came back, so it is unsure which were "
                f"created (request id {response.request_id})."
            )
            raise MalformedResponseError(
                msg, method=operation.method, path=path, request_id=response.request_id
            )
        return found

    def prepare(index: int, item: Any) -> dict[str, Any]:
        return item_of(operation, item, f"items[{index}]")

    return BulkRun(items, prepare, limit, send, concurrency)


def delete_many(session: Session, operation: Operation, ids: Source, concurrency: int) -> BulkRun[None]:
    """Delete objects: by chunks of ids where the service has that, otherwise one by one."""
    by_ids = not operation.path_parameters

    def prepare(index: int, identifier: Any) -> str:
        if (
            isinstance(identifier, bool)
            or not isinstance(identifier, (int, str))
            or not str(identifier).strip()
        ):
            msg = f"{operation.resource}.delete_many: ids[{index}] is {identifier!r}, which is no id. Nothing was sent."
            raise UsageError(msg)
        return str(identifier).strip()

    async def send(chunk: list[_Item]) -> list[None]:
        identifiers = [item.ready for item in chunk]
        if by_ids:
            await session.send(operation, path_of(operation, ()), query_of(operation, {"ids": identifiers}))
        else:
            await session.send(operation, path_of(operation, (identifiers[0],)))
        return [None] * len(chunk)

    return BulkRun(ids, prepare, (operation.bulk_limit or 1) if by_ids else 1, send, concurrency)
