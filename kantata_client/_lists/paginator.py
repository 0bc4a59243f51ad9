"""A list that is not fetched yet: its request, and the ways to read it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from kantata_client._calls.arguments import path_of, query_of
from kantata_client._calls.envelope import malformed
from kantata_client._calls.numbers import whole
from kantata_client._calls.session import requested_by
from kantata_client._lazy import resolvable
from kantata_client._lists.numbered import LARGEST_PAGE, FetchedPage, NumberedPages, chunks_of_only
from kantata_client._lists.walk import Dicts, Items, Pages
from kantata_client._objects.model import Model
from kantata_client.errors import NotOneError, UnstableListError, UsageError
from kantata_client.hooks import logged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Mapping, Sequence

    from kantata_client._calls.envelope import Decoded
    from kantata_client._calls.session import Session
    from kantata_client._contract import Operation
    from kantata_client._http.messages import Response
    from kantata_client._lists.numbered import PageSource
    from kantata_client._lists.tables import ArrowTable, PandasFrame, PolarsFrame
    from kantata_client.hooks import Progress

M = TypeVar("M", bound=Model)

CONCURRENCY = 4
"""How many pages are fetched at once by default."""


@resolvable
class Paginator(Generic[M]):
    """A list that is not fetched yet: iterate over it, or await one of its methods.

    Walks over the same paginator are independent of each other.
    """

    __slots__ = (
        "_chunks",
        "_cls",
        "_first_page",
        "_operation",
        "_path",
        "_query",
        "_requested",
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
        query = {name: _reusable(value) for name, value in query.items()}
        self._query = query
        sent = dict(query_of(operation, query))
        self._requested = requested_by(sent.items())
        self._chunks = chunks_of_only(operation, query, sent)
        self._first_page = int(sent.pop("page", 1))
        if self._chunks and ("order" in sent or self._first_page != 1):
            raise UsageError(
                f"{operation.resource}.{operation.name}: `only` has too many ids for one request and is split into "
                f"{len(self._chunks)}, which can't be sorted or paged together. Leave out `order` and `page`, or pass fewer "
                "ids"
            )
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

    if not TYPE_CHECKING:  # type checkers should report these as errors

        def __await__(self) -> Generator[Any, None, Any]:
            msg = (
                f"{self._operation.resource}.{self._operation.name}() can't be awaited itself: "
                "iterate over it with `async for`, or await its first(), one(), count() or collect()."
            )
            raise TypeError(msg)

        def __iter__(self) -> Generator[Any, None, Any]:
            name = f"{self._operation.resource}.{self._operation.name}()"
            msg = f"{name} is asynchronous: write `async for item in {name}`, or `items = await {name}.collect()`"
            raise TypeError(msg)

        def __len__(self) -> int:
            name = f"{self._operation.resource}.{self._operation.name}()"
            msg = f"{name} is not fetched yet, so it has no length: write `await {name}.count()`"
            raise TypeError(msg)

        def __bool__(self) -> bool:
            return True  # without asking for the length: it says only that there is a paginator

        def __getitem__(self, key: object) -> Any:
            name = f"{self._operation.resource}.{self._operation.name}()"
            if type(key) is slice and key.start is None and key.step is None and isinstance(key.stop, int):
                way = f"await {name}.collect(limit={key.stop})"
            else:
                shown = "…" if type(key) is slice else repr(key)
                way = f"(await {name}.collect())[{shown}]"
            msg = f"{name} is not fetched yet, so it has no items: write `{way}`"
            raise TypeError(msg)

    # --- other walks over the same list ---

    def skip(self, count: int) -> Paginator[M]:
        """The list without its first objects: to resume a walk that ended after `count` of them. Skips add up.

        Raises:
            UsageError: The number is negative, or the walk can't be resumed so.
        """
        count = whole(f"skip({count!r}): the number of objects", count, least=0)
        if self._stable or self._first_page != 1:
            raise UsageError(
                f"skip({count}): a walk from its first page on can skip 0 or more objects; a stable one can't"
            )
        other = self._copy()
        other._skipped += count
        return other

    def stable(self) -> Paginator[M]:
        """The same list, read in a way that misses no record even if the list changes meanwhile.

        Every record that is in the list from the beginning of the walk to its end is delivered exactly once, in order of
        creation (or of the last update). Pages of an ordinary walk are positions in a list, so a deletion can make it miss
        a record. A stable walk asks for the records after the last time it has seen instead.

        Raises:
            UsageError: The service can't sort and filter this list by time (see `docs/walks.md`), or the list is sorted,
                searched, limited to ids or started at a page already.
        """
        from kantata_client._lists.stable import check_stable

        by = check_stable(self._operation, self._query)
        if self._skipped:
            raise UsageError(
                f"{self._operation.id}: a stable walk can't skip {self._skipped} objects. To resume it, pass "
                f"{by.removesuffix('_at')}_after="
            )
        other = self._copy()
        other._stable = True
        return other

    # --- iterating ---

    def pages(
        self, *, concurrency: int = CONCURRENCY, limit: int | None = None, progress: Progress | None = None
    ) -> Pages[M]:
        """Every page, in order.

        Args:
            concurrency: The largest number of pages to fetch at once; as many are held in memory.
            limit: The largest number of objects to deliver.
            progress: Called after each page with the number of objects delivered so far and in all.

        Raises:
            UsageError: A number is too small, or not a whole number.
        """
        concurrency = whole("concurrency", concurrency)
        limit = None if limit is None else whole("limit", limit)
        size = self._page_size
        by_page = size and not self._chunks
        return Pages(
            self._source(limit),
            self._session.transport.ahead,
            concurrency,
            limit,
            logged(progress, f"{self._operation.resource}.{self._operation.name}"),
            size=size,
            skipped=self._skipped + (self._first_page - 1) * (size or 0),
            to_drop=self._skipped % size if size and by_page else self._skipped,
        )

    def items(
        self, *, concurrency: int = CONCURRENCY, limit: int | None = None, progress: Progress | None = None
    ) -> Items[M]:
        """Every object, in order, each id once. The arguments are those of `pages`."""
        return Items(self.pages(concurrency=concurrency, limit=limit, progress=progress))

    def dicts(
        self, *, concurrency: int = CONCURRENCY, limit: int | None = None, progress: Progress | None = None
    ) -> Dicts[M]:
        """Every object as the plain dictionary that was received. The arguments are those of `pages`."""
        return Dicts(self.items(concurrency=concurrency, limit=limit, progress=progress))

    # --- awaiting ---

    async def first(self) -> M | None:
        """The first object; `None` if the list is empty."""
        return await anext(self.items(concurrency=1, limit=1), None)

    async def one(self) -> M:
        """The only object.

        Raises:
            NotOneError: The list is empty, or has several objects.
        """
        found = [item async for item in self.items(concurrency=1, limit=2)]
        if len(found) != 1:
            actual = "has several" if found else "is empty"
            raise NotOneError(
                f"{self._operation.id}: one object was expected, but the list {actual}: check the filters."
            )
        return found[0]

    async def count(self) -> int:
        """The number of objects that the service counts; `skip` does not change it.

        Raises:
            MalformedResponseError: The response has no count.
        """
        counts = [
            self._read(await self._response(1, per_page=1, chunk=chunk)).count
            for chunk in range(max(1, len(self._chunks)))
        ]
        if None in counts:
            malformed("the response has no count", self._operation, None)
        return sum(count for count in counts if count is not None)

    async def collect(self, limit: int | None = None, *, concurrency: int = CONCURRENCY) -> list[M]:
        """All objects, or the first ones, in a list.

        Args:
            limit: The largest number of objects to fetch.
            concurrency: The largest number of pages to fetch at once.
        """
        items: list[M] = []
        async with self.pages(concurrency=concurrency, limit=limit) as pages:
            async for page in pages:
                items += page.items
        return items

    # --- tables ---

    async def to_arrow(
        self,
        *,
        fields: Sequence[str] | None = None,
        associations: Sequence[str] = (),
        limit: int | None = None,
        concurrency: int = CONCURRENCY,
    ) -> ArrowTable:
        """All objects, or the first ones, as a `pyarrow.Table`; only one page of objects is in memory at a time.

        Args:
            fields: Names of the fields that become columns. Default: all that the request asks for.
            associations: Fields of associated objects, such as `"workspace.title"`; the request has to include them.
            limit: The largest number of objects.
            concurrency: The largest number of pages to fetch at once.

        Returns:
            The table; `kantata_client.table` describes its columns.

        Raises:
            UsageError: pyarrow is not installed (`pip install 'kantata-client[data]'`), or a field does not exist.
            NotIncludedError: The request does not ask for a field or an association.
        """
        from kantata_client._lists.tables import TableBuilder

        builder = TableBuilder(self._cls, fields, associations)
        async for page in self.pages(concurrency=concurrency, limit=limit):
            builder.add(page.items)
        return builder.table()

    async def to_polars(
        self,
        *,
        fields: Sequence[str] | None = None,
        associations: Sequence[str] = (),
        limit: int | None = None,
        concurrency: int = CONCURRENCY,
    ) -> PolarsFrame:
        """All objects, or the first ones, as a `polars.DataFrame`; the arguments are those of `to_arrow`."""
        from kantata_client._lists.tables import as_polars

        return as_polars(
            await self.to_arrow(
                fields=fields, associations=associations, limit=limit, concurrency=concurrency
            )
        )

    async def to_pandas(
        self,
        *,
        fields: Sequence[str] | None = None,
        associations: Sequence[str] = (),
        limit: int | None = None,
        concurrency: int = CONCURRENCY,
    ) -> PandasFrame:
        """All objects, or the first ones, as a `pandas.DataFrame`; the arguments are those of `to_arrow`."""
        from kantata_client._lists.tables import as_pandas

        return as_pandas(
            await self.to_arrow(
                fields=fields, associations=associations, limit=limit, concurrency=concurrency
            )
        )

    # --- inside ---

    def _copy(self) -> Paginator[M]:
        other: Paginator[M] = object.__new__(type(self))
        for name in Paginator.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def _source(self, limit: int | None) -> PageSource[M]:
        if self._chunks:
            fetch, last = self._response_of_chunk, len(self._chunks)
            return NumberedPages(fetch, self._read, 1, last=last, size=None, complete=self._complete_chunk)
        size = self._page_size
        if self._stable:
            from kantata_client._lists.stable import TimeWindows

            fetch_window = self._fetch_window
            return TimeWindows(self._operation, self._query, self._sent, fetch_window, size or LARGEST_PAGE)
        if limit and size and limit < size and self._first_page == 1 and not self._skipped:
            return NumberedPages(
                partial(self._response, per_page=limit), self._read, 1, last=None, size=limit
            )
        first = self._first_page + (self._skipped // size if size else 0)
        return NumberedPages(self._response, self._read, first, last=None, size=size)

    async def _response_of_chunk(self, number: int) -> Response:
        return await self._response(1, chunk=number - 1)

    async def _complete_chunk(self, decoded: Decoded[M], number: int) -> None:
        """Fetch the rest of a chunk of ids if the service returns smaller pages than requested."""
        most = min(decoded.count or 0, self._chunks[number - 1].count(",") + 1)
        page, known = 1, set(map(repr, decoded.all_identities))
        while len(known) < most:
            page += 1
            following = self._read(await self._response(page, chunk=number - 1))
            more = set(map(repr, following.all_identities))
            if not more:
                break
            if more <= known:
                raise UnstableListError(
                    f"{self._operation.id}: page {page} of the ids in `only` has the same objects as earlier pages: the "
                    f"service, or a cache in between, ignores `page`. {most - len(known)} objects are missing: pass fewer "
                    "ids at once."
                )
            known |= more
            decoded.extend(following)

    async def _fetch_window(self, number: int, window: Mapping[str, str]) -> FetchedPage[M]:
        decoded = self._read(await self._response(number, window=window))
        return FetchedPage(decoded, number, decoded.count)

    def _read(self, response: Response) -> Decoded[M]:
        return self._session.read(response, self._operation, self._cls, self._requested)

    async def _response(
        self,
        number: int,
        *,
        per_page: int | None = None,
        chunk: int = 0,
        window: Mapping[str, str] | None = None,
    ) -> Response:
        query = {**self._sent, **(window or {})}
        if self._chunks:
            query["only"] = self._chunks[chunk]
        if number != 1:
            query["page"] = str(number)
        if per_page is not None and "per_page" in query:
            query["per_page"] = str(per_page)
        return await self._session.send(self._operation, self._path, list(query.items()))

    @property
    def _page_size(self) -> int | None:
        """Objects on a full page; `None` if the list is not paged."""
        paged = "page" in self._operation.query and "per_page" in self._sent
        return int(self._sent["per_page"]) if paged else None


def _reusable(value: Any) -> Any:
    """The value, or a list of its items if it is an iterator: a walk reads its arguments more than once."""
    return list(cast("Iterator[Any]", value)) if isinstance(value, Iterator) else value
