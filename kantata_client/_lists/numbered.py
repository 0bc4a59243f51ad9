"""Where the pages of a walk come from: pages by their numbers, and chunks of ids."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from kantata_client._calls.arguments import items_of
from kantata_client._concurrency import in_order
from kantata_client._objects.model import Model
from kantata_client.errors import KantataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kantata_client._calls.envelope import Decoded
    from kantata_client._contract import Operation

M = TypeVar("M", bound=Model)

LARGEST_PAGE = 200
_LONGEST_ONLY = 4_000
"""Characters of ids in one request: a longer URL is refused by some proxies."""


class Fetched(Generic[M]):
    """A page as it came."""

    __slots__ = ("decoded", "number")

    def __init__(self, decoded: Decoded[M], number: int) -> None:
        self.decoded = decoded
        self.number = number


class Source(Protocol[M]):
    """Where a walk gets its pages from."""

    async def next(self, concurrency: int) -> tuple[list[Fetched[M]], Exception | None]:
        """The next pages, fetched at once; none when the walk is over; and what kept the page behind them from coming."""
        ...


class Numbered(Generic[M]):
    """Pages by their numbers."""

    def __init__(
        self, fetch: Callable[[int], Awaitable[Fetched[M]]], first: int, *, last: int | None, size: int | None
    ) -> None:
        self._fetch = fetch
        self._next = first
        self._last = last
        self._size = size

    async def next(self, concurrency: int) -> tuple[list[Fetched[M]], Exception | None]:
        if self._last is not None and self._next > self._last:
            return [], None
        several = 1 if self._last is None else min(concurrency, self._last - self._next + 1)
        calls = [partial(self._fetch, number) for number in range(self._next, self._next + several)]
        pages, error = await in_order(calls)
        if pages and self._size and self._last is None and self._next > 1:
            given = pages[0].decoded.size
            if given and given < self._size:
                return [], UsageError(
                    f"the service gives {given} objects a page, not {self._size}: begin again with per_page={given}",
                    consequence="",
                )
        self._next += len(pages)
        if pages and self._size:
            # A page that is not full is the last one: more are only fetched as long as the count promises them.
            ended = next((page for page in pages if page.decoded.entries == 0), None)
            self._last = ended.number if ended else self._last_page(pages[-1], self._size)
        elif pages and self._last is None:
            self._last = pages[-1].number
        if isinstance(error, KantataError) and self._size and self._next > 1:
            where = f"The walk stopped before page {self._next}; it can be resumed with page={self._next}."
            error.args = (f"{error} {where}", *error.args[1:])
        return pages, error

    def _last_page(self, newest: Fetched[M], size: int) -> int:
        """The last page as the newest answer tells: the list may have grown or shrunk."""
        count, entries = newest.decoded.count, newest.decoded.entries
        # The service may give less than it is asked for, and may not tell.
        told = newest.decoded.size
        if told is None and newest.number == 1 and count is not None and 0 < entries < min(size, count):
            told = entries
        size = self._size = min(size, told or size)
        if count is None:
            return newest.number + (entries >= size)
        # A full page that the count does not reach shows that the count is wrong.
        beyond = entries >= size and count < newest.number * size
        return newest.number + 1 if beyond else max(-(-count // size), newest.number)


def chunks_of_only(operation: Operation, query: Mapping[str, Any], sent: dict[str, str]) -> list[str]:
    """The ids of `only` in chunks that one request takes, if they are too many for one; they are taken out of `sent`."""
    only = operation.query.get("only")
    if only is None or "only" not in sent:
        return []
    ids = list(dict.fromkeys(items_of(operation, "only", only, query["only"])))
    size = int(sent.get("per_page", LARGEST_PAGE))
    if len(ids) <= size and len(sent["only"]) <= _LONGEST_ONLY:
        return []
    del sent["only"]
    chunks: list[str] = []
    chunk: list[str] = []
    for identifier in ids:
        if len(chunk) == size or sum(map(len, chunk)) + len(chunk) + len(identifier) > _LONGEST_ONLY:
            chunks.append(",".join(chunk))
            chunk = []
        chunk.append(identifier)
    return [*chunks, ",".join(chunk)]
