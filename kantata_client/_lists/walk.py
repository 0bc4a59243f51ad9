"""A walk: pages delivered in order, each object once, however the list moves meanwhile.

It is an iterator object, no generator, and whatever it starts has ended when it hands out a page: leaving the loop early
leaves nothing behind, neither a task nor a connection, on any event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kantata_client._lazy import resolvable
from kantata_client._objects.model import Model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import anyio

    from kantata_client._calls.envelope import Decoded
    from kantata_client._lists.numbered import Fetched, Source
    from kantata_client.hooks import Progress

M = TypeVar("M", bound=Model)

_LONGEST_NUMBER = 20
"""Digits of the ids that are kept as bits."""


@resolvable
class Page(Generic[M]):
    """One page of a list."""

    __slots__ = ("_decoded", "count", "items", "number")

    def __init__(
        self, items: list[M], number: int, count: int | None, decoded: Decoded[M] | None = None
    ) -> None:
        self._decoded = decoded
        self.items = items
        """Its objects, in order, without those that an earlier page of the walk had."""
        self.number = number
        """Its number, from 1."""
        self.count = count
        """Objects of the whole list when the page was made, if the service tells."""

    def __del__(self) -> None:
        self.items = []  # what nobody else holds is gone before the envelope looks at what is left

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<Page {self.number}: {len(self.items)} of {self.count}>"


@resolvable
class Pages(Generic[M]):
    """A walk page by page: an async iterator."""

    def __init__(
        self,
        source: Source[M],
        concurrency: int,
        limit: int | None,
        progress: Progress | None,
        *,
        size: int | None = None,
        skipped: int = 0,
        to_drop: int = 0,
    ) -> None:
        self._source = source
        self._concurrency = concurrency
        self._left = limit
        self._limit = limit
        self._progress = progress
        self._size = size
        self._skipped = skipped
        self._skip = to_drop
        self._ready: list[Fetched[M]] = []
        self._error: Exception | None = None
        self._lock: anyio.Lock | None = None
        self._seen = _Seen()
        self.delivered = 0
        """Objects delivered so far."""
        self.total: int | None = None
        """Objects to deliver, known from the first page on, if the service tells; a page may correct it."""

    def __aiter__(self) -> Pages[M]:
        return self

    async def __anext__(self) -> Page[M]:
        if self._lock is None:
            from anyio import Lock

            self._lock = Lock()
        async with self._lock:  # several tasks may share a walk
            return await self._advance()

    async def aclose(self) -> None:
        """End the walk; there is nothing to give back."""
        self._left = 0

    async def _advance(self) -> Page[M]:
        if self._left == 0:
            raise StopAsyncIteration
        if not self._ready and self._error is None:
            several = self._concurrency
            if self._left is not None and self._size:
                several = min(several, -(-(self._left + self._skip) // self._size))
            pages, self._error = await self._source.next(several)
            self._ready = pages[::-1]
        if not self._ready:
            error, self._error = self._error, None
            raise StopAsyncIteration if error is None else error
        page = self._delivered(self._ready.pop())
        if self._progress is not None:
            self._progress(self.delivered, self.total)
        return page

    def _delivered(self, fetched: Fetched[M]) -> Page[M]:
        decoded = fetched.decoded
        items = (
            decoded.items if decoded.identities is None else self._seen.new(decoded.items, decoded.identities)
        )
        if self._skip:
            items, self._skip = items[self._skip :], max(0, self._skip - len(items))
        if self._left is not None:
            items = items[: self._left]
            self._left -= len(items)
        self.delivered += len(items)
        if decoded.count is not None:
            total = max(0, decoded.count - self._skipped)
            self.total = total if self._limit is None else min(total, self._limit)
        return Page(items, fetched.number, decoded.count, decoded)


@resolvable
class Items(Generic[M]):
    """A walk object by object."""

    def __init__(self, pages: Pages[M]) -> None:
        self._pages = pages
        self._items: list[M] = []
        self._page: Page[M] | None = None
        """The page that the objects are from, which keeps them together."""

    def __aiter__(self) -> AsyncIterator[M]:
        return self

    async def __anext__(self) -> M:
        while not self._items:
            self._page = page = await anext(self._pages)
            items, page.items = page.items, []
            self._items[:0] = items[::-1]  # another task may have put some there meanwhile
        return self._items.pop()

    async def aclose(self) -> None:
        """End the walk; there is nothing to give back."""
        self._items.clear()
        self._page = None
        await self._pages.aclose()


@resolvable
class Dicts(Generic[M]):
    """A walk object by object, each as it was received."""

    def __init__(self, items: Items[M]) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return (await anext(self._items)).__dict__

    async def aclose(self) -> None:
        """End the walk; there is nothing to give back."""
        await self._items.aclose()


class _Seen:
    """What a walk has delivered, a bit each while ids are dense: records move between pages while one walks."""

    def __init__(self) -> None:
        self._bits: dict[int, int] = {}
        self._others: set[object] = set()

    def new(self, items: list[M], identities: list[Any]) -> list[M]:
        """The items that were not seen before."""
        fresh: list[M] = []
        all_bits = self._bits
        for item, identity in zip(items, identities, strict=True):
            text = str(identity) if type(identity) is int else identity
            # Other spellings of a number (007) are other ids.
            if (
                type(text) is str
                and text.isascii()
                and text.isdecimal()
                and text[0] != "0"
                and len(text) < _LONGEST_NUMBER
            ):
                number = int(text)
                place, bit = number >> 8, 1 << (number & 255)
                bits = all_bits.get(place, 0)
                if bits & bit:
                    continue
                all_bits[place] = bits | bit
            else:
                other = text if type(text) in (str, tuple) else repr(text)
                if other in self._others:
                    continue
                self._others.add(other)
            fresh.append(item)
        return fresh
