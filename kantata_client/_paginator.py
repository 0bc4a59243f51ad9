"""Walking a list: page by page or object by object, with several pages fetched at once and delivered in order.

A walk is an iterator object, no generator, and whatever it starts has ended when it hands out a page: leaving the loop
early leaves nothing behind, neither a task nor a connection, on any event loop.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kantata_client._arguments import path_of, query_of
from kantata_client._concurrency import in_order
from kantata_client._envelope import malformed
from kantata_client._model import Model
from kantata_client.errors import NotOneError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping

    from kantata_client._operation import Operation
    from kantata_client._session import Session

M = TypeVar("M", bound=Model)

LARGEST_PAGE = 200
CONCURRENCY = 4
"""Pages fetched at once unless told otherwise."""


class Page(Generic[M]):
    """One page of a list."""

    __slots__ = ("count", "items", "number")

    def __init__(self, items: list[M], number: int, count: int | None) -> None:
        self.items = items
        """Its objects, in order, without those that an earlier page of the walk had."""
        self.number = number
        """Its number, from 1."""
        self.count = count
        """Objects of the whole list when the page was made, if the service tells."""

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<Page {self.number}: {len(self.items)} of {self.count}>"


class Paginator(Generic[M]):
    """A list that is not fetched yet: iterate it, or await one of its methods.

    Several walks over one paginator are independent of each other.
    """

    __slots__ = ("_cls", "_first_page", "_operation", "_path", "_query", "_sent", "_session")

    def __init__(
        self,
        session: Session,
        operation: Operation,
        cls: type[M],
        path: tuple[int | str, ...],
        query: Mapping[str, Any],
    ) -> None:
        self._session = session
        self._operation = operation
        self._cls = cls
        self._path = path_of(operation, path)
        self._query = query
        sent = dict(query_of(operation, query))
        self._first_page = int(sent.pop("page", 1))
        if "per_page" in operation.query:
            sent.setdefault("per_page", str(LARGEST_PAGE))
        self._sent = sent

    def __repr__(self) -> str:
        return f"<Paginator of {self._operation.id}>"

    def __aiter__(self) -> AsyncIterator[M]:
        """Every object, in order, each id once."""
        return _Items(self.pages())

    def __await__(self) -> Generator[Any, None, Any]:
        msg = (
            f"{self._operation.resource}.{self._operation.name}() is a walk and is not awaited itself: "
            "`async for` over it, or await its first(), one(), count() or collect()."
        )
        raise TypeError(msg)

    def pages(self, *, concurrency: int = CONCURRENCY) -> AsyncIterator[Page[M]]:
        """Every page, in order.

        Args:
            concurrency: Most pages to fetch at once; that many are held in memory.
        """
        if concurrency < 1:
            msg = f"concurrency is {concurrency}, it begins at 1"
            raise UsageError(msg)
        return _Pages(self._fetch, self._first_page, self._page_size, concurrency)

    async def first(self) -> M | None:
        """The first object, or `None` when there is none."""
        page = await self._fetch(self._first_page, 1)
        return page.items[0] if page.items else None

    async def one(self) -> M:
        """The only object.

        Raises:
            NotOneError: There is none, or there are several.
        """
        page = await self._fetch(self._first_page, 2)
        if len(page.items) != 1:
            found = "none" if not page.items else f"{page.count or 'several'}"
            msg = f"{self._operation.id}: exactly one object was expected, but there are {found}: check the filters."
            raise NotOneError(msg)
        return page.items[0]

    async def count(self) -> int:
        """The number of objects that the service finds.

        Raises:
            MalformedResponseError: The service does not tell.
        """
        page = await self._fetch(1, 1)
        if page.count is None:
            malformed("its response tells no count", self._operation, None)
        return page.count

    async def collect(self, limit: int | None = None) -> list[M]:
        """All objects, or the first ones, in a list.

        Args:
            limit: Most objects to fetch.
        """
        items: list[M] = []
        if limit is not None and limit < 1:
            return items
        pages = self.pages(
            concurrency=CONCURRENCY if limit is None else -(-min(limit, 1_000) // LARGEST_PAGE)
        )
        async for page in pages:
            items += page.items
            if limit is not None and len(items) >= limit:
                return items[:limit]
        return items

    async def _fetch(self, number: int, per_page: int | None = None) -> Page[M]:
        query = dict(self._sent)
        if "page" in self._operation.query and number != 1:
            query["page"] = str(number)
        if per_page is not None and "per_page" in query:
            query["per_page"] = str(per_page)
        response = await self._session.send(self._operation, self._path, list(query.items()))
        decoded = self._session.read(response, self._operation, self._cls, self._query)
        return Page(decoded.items, number, decoded.count)

    @property
    def _page_size(self) -> int | None:
        """Objects on a full page; `None` when the list comes as a whole."""
        return (
            int(self._sent["per_page"])
            if "page" in self._operation.query and "per_page" in self._sent
            else None
        )


class _Pages(Generic[M]):
    """A walk page by page."""

    def __init__(
        self, fetch: Callable[[int], Awaitable[Page[M]]], first: int, size: int | None, concurrency: int
    ) -> None:
        self._fetch = fetch
        self._next = first
        self._size = size
        self._concurrency = concurrency
        self._last: int | None = None
        self._buffer: list[Page[M]] = []
        self._seen = _SeenIds()

    def __aiter__(self) -> AsyncIterator[Page[M]]:
        return self

    async def __anext__(self) -> Page[M]:
        if not self._buffer:
            await self._fill()
        if not self._buffer:
            raise StopAsyncIteration
        page = self._buffer.pop()
        page.items = self._seen.new(page.items)
        return page

    async def _fill(self) -> None:
        """Fetch the next pages, as many as may be fetched at once and are known to be there."""
        if self._last is not None and self._next > self._last:
            return
        several = 1 if self._last is None else min(self._concurrency, self._last - self._next + 1)
        numbers = range(self._next, self._next + several)
        pages = await in_order([partial(self._fetch, number) for number in numbers])
        self._next += several
        self._last = self._last_page(pages)
        self._buffer = pages[::-1]

    def _last_page(self, pages: list[Page[M]]) -> int:
        """The last page as the newest answer tells: the list may have grown or shrunk."""
        size, newest = self._size, pages[-1]
        if size is None:
            return newest.number
        if newest.count is None:
            return newest.number if len(newest.items) < size else newest.number + 1
        return max(-(-newest.count // size), newest.number if newest.items else 0)


class _Items(Generic[M]):
    """A walk object by object."""

    def __init__(self, pages: AsyncIterator[Page[M]]) -> None:
        self._pages = pages
        self._items: list[M] = []

    def __aiter__(self) -> AsyncIterator[M]:
        return self

    async def __anext__(self) -> M:
        while not self._items:
            self._items = (await anext(self._pages)).items[::-1]
        return self._items.pop()


class _SeenIds:
    """The ids that a walk has delivered, a bit each while ids are dense: records move between pages while one walks."""

    def __init__(self) -> None:
        self._bits: dict[int, int] = {}
        self._others: set[object] = set()

    def new(self, items: list[M]) -> list[M]:
        """The items whose ids were not seen before."""
        return [item for item in items if self._add(item.__dict__.get("id"))]

    def _add(self, identifier: object) -> bool:
        if identifier is None:
            return True
        if isinstance(identifier, str) and identifier.isdecimal():
            identifier = int(identifier)
        if type(identifier) is not int:
            if identifier in self._others:
                return False
            self._others.add(identifier)
            return True
        place, bit = identifier >> 8, 1 << (identifier & 255)
        bits = self._bits.get(place, 0)
        if bits & bit:
            return False
        self._bits[place] = bits | bit
        return True
