"""A walk over a list: pages are delivered in order and each object once, even if the list changes meanwhile.

A walk is an iterator object, not a generator, so leaving its loop early leaves no code to run later. Requests under way are
tasks of the client if it was entered (`async with Kantata(…)`), or of the walk if that was entered; they are cancelled when
the walk is garbage-collected or closed. Otherwise, everything that a step of the walk starts has ended when it returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from kantata_client._calls.envelope import Decoded
from kantata_client._concurrency import Ahead
from kantata_client._lazy import resolvable
from kantata_client._lists.seen import Seen
from kantata_client._objects.model import Model
from kantata_client.errors import UnstableListError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    import anyio

    from kantata_client._lists.numbered import FetchedPage, PageSource
    from kantata_client.hooks import Progress

M = TypeVar("M", bound=Model)


@resolvable
@attrs.frozen(repr=False, eq=False)
class Page(Generic[M]):
    """One page of a list."""

    items: list[M]
    """Its objects, in order, without those that an earlier page of the walk had."""
    number: int
    """Its number, from 1."""
    count: int | None
    """How many objects the whole list had when the service made the page; `None` if it does not say."""
    _decoded: Decoded[M] | None = None
    """Keeps the envelope of the objects alive."""

    def __del__(self) -> None:
        # Frees the objects that nobody else holds, before the envelope looks for those still held.
        object.__setattr__(self, "items", [])

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<Page {self.number}: {len(self.items)} of {self.count}>"


_ASYNCHRONOUS = (
    "A walk is asynchronous: write `async for {0} in …`, or `[{0} async for {0} in …]`, in an `async def` or in a cell of a "
    "notebook"
)


@resolvable
class Pages(Generic[M]):
    """A walk page by page: an async iterator."""

    def __init__(
        self,
        source: PageSource[M],
        ahead: Ahead,
        concurrency: int,
        limit: int | None,
        progress: Progress | None,
        *,
        size: int | None = None,
        skipped: int = 0,
        to_drop: int = 0,
    ) -> None:
        self._source = source
        self._ahead = ahead
        """The tasks of the client, or of the walk itself if it was entered."""
        self._concurrency = concurrency
        self._left = limit
        self._limit = limit
        self._progress = progress
        self._size = size
        self._skipped = skipped
        self._skip = to_drop
        self._ready: list[FetchedPage[M]] = []
        self._error: Exception | None = None
        self._lock: anyio.Lock | None = None
        self._seen = Seen()
        self._owned = False
        self.delivered = 0
        """How many objects were delivered so far."""
        self.total: int | None = None
        """How many objects the walk delivers in all. Known from the first page on, if the service counts them, and updated
        by each page."""

    def __aiter__(self) -> Pages[M]:
        return self

    if not TYPE_CHECKING:  # type checkers should report it as an error

        def __iter__(self) -> Any:
            raise TypeError(_ASYNCHRONOUS.format("page"))

    async def __anext__(self) -> Page[M]:
        if self._lock is None:
            from anyio import Lock

            self._lock = Lock()
        async with self._lock:  # several tasks may share a walk
            return await self._advance()

    async def __aenter__(self) -> Self:
        if not self._ahead.is_open:
            self._ahead = Ahead()
            self._ahead.is_open = self._owned = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._source.close()

    async def aclose(self) -> None:
        """End the walk, and cancel its requests."""
        self._left = 0
        self._source.close()
        if self._owned:
            await self._ahead.aclose()

    async def _advance(self) -> Page[M]:
        if self._left == 0:
            raise StopAsyncIteration
        if not self._ready and self._error is None:
            needed = None
            if self._left is not None and self._size:
                needed = -(-(self._left + self._skip) // self._size)
            ahead = self._ahead if self._ahead.is_open else None
            pages, self._error = await self._source.next(self._concurrency, needed, ahead)
            self._ready = pages[::-1]
        if not self._ready:
            error, self._error = self._error, None
            raise StopAsyncIteration if error is None else error
        fetched = self._ready.pop()
        items = self._new(fetched)
        if fetched.full and fetched.decoded.entries and not items:
            try:
                again = await self._source.reread(fetched)
            except UnstableListError:
                await self.aclose()
                raise
            if again is not None:
                fetched, items = again, self._new(again)
        page = self._delivered(fetched, items)
        if self._progress is not None:
            self._progress(self.delivered, self.total)
        return page

    def _new(self, fetched: FetchedPage[M]) -> list[M]:
        """The objects of a page that no earlier page had."""
        decoded = fetched.decoded
        if decoded.identities is None:
            return decoded.items
        items = self._seen.new(decoded.items, decoded.identities)
        self._source.delivered += len(items)
        return items

    def _delivered(self, fetched: FetchedPage[M], items: list[M]) -> Page[M]:
        decoded = fetched.decoded
        if self._skip:
            items, self._skip = items[self._skip :], max(0, self._skip - len(items))
        if self._left is not None:
            items = items[: self._left]
            self._left -= len(items)
        self.delivered += len(items)
        if fetched.count is not None:
            total = max(0, fetched.count - self._skipped)
            self.total = total if self._limit is None else min(total, self._limit)
        return Page(items, fetched.number, fetched.count, decoded)


@resolvable
class Items(Generic[M]):
    """A walk object by object."""

    def __init__(self, pages: Pages[M]) -> None:
        self._pages = pages
        self._items: list[M] = []
        self._page: Page[M] | None = None
        """The page of the objects, which keeps their envelope alive."""

    def __aiter__(self) -> AsyncIterator[M]:
        return self

    if not TYPE_CHECKING:  # type checkers should report it as an error

        def __iter__(self) -> Any:
            raise TypeError(_ASYNCHRONOUS.format("item"))

    async def __anext__(self) -> M:
        while not self._items:
            self._page = page = await anext(self._pages)
            self._items[:0] = page.items[::-1]  # another task may have put some there meanwhile
        return self._items.pop()

    async def __aenter__(self) -> Self:
        await self._pages.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the walk, and cancel its requests."""
        self._items.clear()
        self._page = None
        await self._pages.aclose()


@resolvable
class Dicts(Generic[M]):
    """A walk object by object, each as the dictionary that was received."""

    def __init__(self, items: Items[M]) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    if not TYPE_CHECKING:  # type checkers should report it as an error

        def __iter__(self) -> Any:
            raise TypeError(_ASYNCHRONOUS.format("item"))

    async def __anext__(self) -> dict[str, Any]:
        return (await anext(self._items)).__dict__

    async def __aenter__(self) -> Self:
        await self._items.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the walk, and cancel its requests."""
        await self._items.aclose()
