"""Walking a list: page by page or object by object, with several pages fetched at once and delivered in order.

A walk is an iterator object, no generator, and whatever it starts has ended when it hands out a page: leaving the loop
early leaves nothing behind, neither a task nor a connection, on any event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, cast

from kantata_client._arguments import items_of, path_of, query_of
from kantata_client._concurrency import in_order
from kantata_client._envelope import malformed
from kantata_client._model import Model
from kantata_client._session import asked_for
from kantata_client.errors import KantataError, NotOneError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping

    import anyio

    from kantata_client._envelope import Decoded
    from kantata_client._operation import Operation
    from kantata_client._session import Session

M = TypeVar("M", bound=Model)

LARGEST_PAGE = 200
CONCURRENCY = 4
"""Pages fetched at once unless told otherwise."""
_LONGEST_NUMBER = 20
"""Digits of the ids that are kept as bits."""
_LONGEST_ONLY = 4_000
"""Characters of ids in one request: a longer URL is refused by some proxies."""

Progress: TypeAlias = "Callable[[int, int | None], None]"
"""Told after each page: objects delivered so far, objects in all (`None`: not known)."""


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


class Paginator(Generic[M]):
    """A list that is not fetched yet: iterate it, or await one of its methods.

    Several walks over one paginator are independent of each other.
    """

    __slots__ = (
        "_asked",
        "_chunks",
        "_cls",
        "_first_page",
        "_operation",
        "_path",
        "_query",
        "_sent",
        "_session",
        "_skipped",
        "_stable",
    )

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
        query = {name: _kept(value) for name, value in query.items()}
        self._query = query
        sent = dict(query_of(operation, query))
        self._asked = asked_for(sent.items())
        self._chunks = _chunks_of_only(operation, query, sent)
        self._first_page = int(sent.pop("page", 1))
        if self._chunks and ("order" in sent or self._first_page != 1):
            msg = (
                f"{operation.resource}.{operation.name}: the ids of `only` are asked for in {len(self._chunks)} requests, "
                "which can't be ordered or begun at a page together: leave `order` and `page` out, or give fewer ids"
            )
            raise UsageError(msg)
        if "per_page" in operation.query:
            sent.setdefault("per_page", str(LARGEST_PAGE))
        self._sent = sent
        self._skipped = 0
        self._stable = False

    def __repr__(self) -> str:
        return f"<Paginator of {self._operation.id}>"

    def __aiter__(self) -> AsyncIterator[M]:
        """Every object, in order, each id once."""
        return self.items()

    if not TYPE_CHECKING:  # so that the type checker refuses it too

        def __await__(self) -> Generator[Any, None, Any]:
            msg = (
                f"{self._operation.resource}.{self._operation.name}() is a walk and is not awaited itself: "
                "`async for` over it, or await its first(), one(), count() or collect()."
            )
            raise TypeError(msg)

        def __iter__(self) -> Generator[Any, None, Any]:
            msg = f"{self._operation.resource}.{self._operation.name}() is walked with `async for`, not with `for`"
            raise TypeError(msg)

    # --- other walks over the same list ---

    def skip(self, count: int) -> Paginator[M]:
        """The list without its first objects: to resume a walk that ended after `count` of them. Skips add up.

        Raises:
            UsageError: The number is negative, or the walk can't be resumed so.
        """
        if count < 0 or self._stable or self._first_page != 1:
            msg = (
                f"skip({count}): a walk from its first page on can skip 0 or more objects; a stable one can't"
            )
            raise UsageError(msg)
        other = self._copy()
        other._skipped += count
        return other

    def stable(self) -> Paginator[M]:
        """The list in a walk that loses nothing, whatever happens to it meanwhile.

        Everything that is in the list when the walk begins and still is when it ends is delivered, exactly once, in the
        order of creation (or of the last update). Ordinary walks, whose pages are places in a list that moves, may skip
        a record when another one is deleted. A stable walk asks for what is behind the last moment that it saw.

        Raises:
            UsageError: The list has no such order and filters (see `docs/walks.md`), or it is ordered, searched or begun
                otherwise already.
        """
        from kantata_client._stable import check_stable

        check_stable(self._operation, self._query)
        if self._skipped:
            msg = f"{self._operation.id}: a stable walk begins at the beginning, not behind {self._skipped} objects"
            raise UsageError(msg)
        other = self._copy()
        other._stable = True
        return other

    # --- iterating ---

    def pages(
        self, *, concurrency: int = CONCURRENCY, limit: int | None = None, progress: Progress | None = None
    ) -> Pages[M]:
        """Every page, in order.

        Args:
            concurrency: Most pages to fetch at once; that many are held in memory.
            limit: Most objects to deliver.
            progress: Called after each page with the objects delivered so far and those in all.

        Raises:
            UsageError: A number is too small.
        """
        if concurrency < 1:
            msg = f"concurrency is {concurrency}, it begins at 1"
            raise UsageError(msg)
        if limit is not None and limit < 1:
            msg = f"limit is {limit}, it begins at 1"
            raise UsageError(msg)
        size = self._page_size
        by_page = size and not self._chunks
        return Pages(
            self._source(limit),
            concurrency,
            limit,
            progress,
            size=size,
            skipped=self._skipped + (self._first_page - 1) * (size or 0),
            to_drop=self._skipped % size if size and by_page else self._skipped,
        )

    def items(
        self, *, concurrency: int = CONCURRENCY, limit: int | None = None, progress: Progress | None = None
    ) -> _Items[M]:
        """Every object, in order, each id once; the arguments are those of `pages`."""
        return _Items(self.pages(concurrency=concurrency, limit=limit, progress=progress))

    def dicts(
        self, *, concurrency: int = CONCURRENCY, limit: int | None = None, progress: Progress | None = None
    ) -> _Dicts[M]:
        """Every object as the plain dictionary that was received; the arguments are those of `pages`."""
        return _Dicts(self.items(concurrency=concurrency, limit=limit, progress=progress))

    # --- awaiting ---

    async def first(self) -> M | None:
        """The first object, or `None` when there is none."""
        return await anext(self.items(concurrency=1, limit=1), None)

    async def one(self) -> M:
        """The only object.

        Raises:
            NotOneError: There is none, or there are several.
        """
        found = [item async for item in self.items(concurrency=1, limit=2)]
        if len(found) != 1:
            msg = f"{self._operation.id}: exactly one object was expected, but there are {'several' if found else 'none'}"
            raise NotOneError(f"{msg}: check the filters.")
        return found[0]

    async def count(self) -> int:
        """The number of objects that the service finds, without `skip`.

        Raises:
            MalformedResponseError: The service does not tell.
        """
        counts = [
            (await self._fetch(1, per_page=1, chunk=chunk)).decoded.count
            for chunk in range(max(1, len(self._chunks)))
        ]
        if None in counts:
            malformed("its response tells no count", self._operation, None)
        return sum(count for count in counts if count is not None)

    async def collect(self, limit: int | None = None, *, concurrency: int = CONCURRENCY) -> list[M]:
        """All objects, or the first ones, in a list.

        Args:
            limit: Most objects to fetch.
            concurrency: Most pages to fetch at once.
        """
        items: list[M] = []
        async for page in self.pages(concurrency=concurrency, limit=limit):
            items += page.items
        return items

    # --- inside ---

    def _copy(self) -> Paginator[M]:
        other: Paginator[M] = object.__new__(type(self))
        for name in Paginator.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def _source(self, limit: int | None) -> Source[M]:
        if self._chunks:
            return _Numbered(partial(self._fetch_chunk), 1, last=len(self._chunks), size=None)
        if self._stable:
            from kantata_client._stable import Windows

            size = self._page_size or LARGEST_PAGE
            return Windows(self._operation, self._query, self._sent, self._fetch_window, size)
        size = self._page_size
        if limit and size and limit < size and self._first_page == 1 and not self._skipped:
            return _Numbered(partial(self._fetch, per_page=limit), 1, last=None, size=limit)
        first = self._first_page + (self._skipped // size if size else 0)
        return _Numbered(self._fetch, first, last=None, size=size)

    async def _fetch_chunk(self, number: int) -> Fetched[M]:
        decoded = (await self._fetch(1, chunk=number - 1)).decoded
        most = min(decoded.count or 0, self._chunks[number - 1].count(",") + 1)
        page = more = 1
        while more and decoded.entries < most:  # the service gives fewer than it is asked for
            page += 1
            following = (await self._fetch(page, chunk=number - 1)).decoded
            more = following.entries
            decoded.extend(following)
        decoded.count = None  # it is the chunk's
        return Fetched(decoded, number)

    async def _fetch_window(self, number: int, window: Mapping[str, str]) -> Fetched[M]:
        return await self._fetch(number, window=window)

    async def _fetch(
        self,
        number: int,
        *,
        per_page: int | None = None,
        chunk: int = 0,
        window: Mapping[str, str] | None = None,
    ) -> Fetched[M]:
        query = {**self._sent, **(window or {})}
        if self._chunks:
            query["only"] = self._chunks[chunk]
        if number != 1:
            query["page"] = str(number)
        if per_page is not None and "per_page" in query:
            query["per_page"] = str(per_page)
        response = await self._session.send(self._operation, self._path, list(query.items()))
        return Fetched(self._session.read(response, self._operation, self._cls, self._asked), number)

    @property
    def _page_size(self) -> int | None:
        """Objects on a full page; `None` when the list comes as a whole."""
        paged = "page" in self._operation.query and "per_page" in self._sent
        return int(self._sent["per_page"]) if paged else None


def _kept(value: Any) -> Any:
    """An iterator as what it gives: a walk looks at its arguments more than once."""
    return list(cast("Iterator[Any]", value)) if isinstance(value, Iterator) else value


def _chunks_of_only(operation: Operation, query: Mapping[str, Any], sent: dict[str, str]) -> list[str]:
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


class _Numbered(Generic[M]):
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
                msg = f"the service gives {given} objects a page, not {self._size}: begin again with per_page={given}"
                return [], UsageError(msg)
        self._next += len(pages)
        if pages and self._size:
            # A page that is not full is the last one: more are only fetched as long as the count promises them.
            ended = next((page for page in pages if page.decoded.entries == 0), None)
            self._last = ended.number if ended else self._last_page(pages[-1], self._size)
        elif pages and self._last is None:
            self._last = pages[-1].number
        if isinstance(error, KantataError) and self._size:
            where = f"The walk stopped before page {self._next}; it can be resumed with page={self._next}."
            error.args = (f"{error} {where}", *error.args[1:])
        return pages, error

    def _last_page(self, newest: Fetched[M], size: int) -> int:
        """The last page as the newest answer tells: the list may have grown or shrunk."""
        count, entries = newest.decoded.count, newest.decoded.entries
        size = self._size = min(
            size, newest.decoded.size or size
        )  # the service may give less than it is asked for
        if count is None:
            return newest.number + (entries >= size)
        # A full page that the count does not reach shows that the count is wrong.
        beyond = entries >= size and count < newest.number * size
        return newest.number + 1 if beyond else max(-(-count // size), newest.number)


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
        self._undelivered: Page[M] | None = None
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
        if self._undelivered is None:
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
            self._undelivered = self._delivered(self._ready.pop())
            if self._progress is not None:
                self._progress(self.delivered, self.total)  # if it raises, the page comes next time
        page, self._undelivered = self._undelivered, None
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
        return Page(items, fetched.number, decoded.count)


class _Items(Generic[M]):
    """A walk object by object."""

    def __init__(self, pages: Pages[M]) -> None:
        self._pages = pages
        self._items: list[M] = []

    def __aiter__(self) -> AsyncIterator[M]:
        return self

    async def __anext__(self) -> M:
        while not self._items:
            page = await anext(self._pages)
            self._items[:0] = page.items[::-1]  # another task may have put some there meanwhile
        return self._items.pop()

    async def aclose(self) -> None:
        """End the walk; there is nothing to give back."""
        self._items.clear()
        await self._pages.aclose()


class _Dicts(Generic[M]):
    """A walk object by object, each as it was received."""

    def __init__(self, items: _Items[M]) -> None:
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
