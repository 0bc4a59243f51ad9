"""Numbered pages, and chunks of ids: fetched ahead, delivered in order, and decoded on delivery."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import attrs

from kantata_client._calls.arguments import items_of
from kantata_client._calls.envelope import Decoded
from kantata_client._concurrency import Job, in_order
from kantata_client._objects.model import Model
from kantata_client.errors import KantataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kantata_client._concurrency import Ahead
    from kantata_client._contract import Operation
    from kantata_client._http.messages import Response

M = TypeVar("M", bound=Model)

LARGEST_PAGE = 200
_LONGEST_ONLY = 4_000
"""Characters of ids in one request; some proxies reject a longer URL."""


@attrs.frozen(eq=False)
class FetchedPage(Generic[M]):
    """A page that was fetched and decoded."""

    decoded: Decoded[M]
    number: int
    count: int | None
    """How many objects the whole list has, if that is known."""
    full: bool = False
    """Whether it has as many entries as a page can hold, so that another page may follow."""


class PageSource(Protocol[M]):
    """Fetches the pages of a walk."""

    delivered: int
    """How many objects the walk has delivered; the walk counts them here."""

    async def next(
        self, concurrency: int, needed: int | None, ahead: Ahead | None
    ) -> tuple[list[FetchedPage[M]], Exception | None]:
        """Fetch the next pages.

        Args:
            concurrency: The largest number of pages to fetch or hold at once.
            needed: How many more pages the walk can use; `None` for all.
            ahead: Tasks that may outlast this call. Without it, everything that is started has ended when this returns.

        Returns:
            The pages, in order, or an empty list at the end of the walk; and the error that kept the next page from
            coming.
        """
        ...

    async def reread(self, page: FetchedPage[M]) -> FetchedPage[M] | None:
        """Fetch a full page again that had nothing new.

        Returns:
            The page if it has changed, or `None` if it is right.

        Raises:
            UnstableListError: The service returns the same objects for every page.
        """
        ...

    def close(self) -> None:
        """Cancel the requests under way."""
        ...


class _FailedPage:
    """Stands for a page that could not be fetched."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class NumberedPages(Generic[M]):
    """Fetches pages by their numbers."""

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[Response]],
        read: Callable[[Response], Decoded[M]],
        first: int,
        *,
        last: int | None,
        size: int | None,
        complete: Callable[[Decoded[M], int], Awaitable[None]] | None = None,
    ) -> None:
        """Create a source.

        Args:
            fetch: Fetches a page by its number.
            read: Decodes a page.
            first: The number of the first page.
            last: The number of the last page, if it is known in advance.
            size: Objects on a full page; `None` if pages have no fixed size.
            complete: Adds the objects that the service left out of a page.
        """
        self._fetch = fetch
        self._read = read
        self._complete = complete
        self.delivered = 0
        self._first = first
        self._next = first
        """The number of the next page to deliver."""
        self._last = last
        self._size = size
        self._ahead: deque[Job[Response] | Response | _FailedPage] = deque()
        """The pages from the next one on: under way, received but not decoded, or failed."""

    async def next(
        self, concurrency: int, needed: int | None, ahead: Ahead | None
    ) -> tuple[list[FetchedPage[M]], Exception | None]:
        """Fetch the next page; see `PageSource.next`. Pages come one at a time."""
        if self._last is not None and self._next > self._last and not self._ahead:
            return [], None
        most = concurrency if needed is None else min(concurrency, needed)
        if ahead is not None:
            self._fill(most, ahead)
        elif not self._ahead:
            await self._fetch_all(most)
        error = None
        try:
            response = await self._arrived()
            after = min(concurrency, concurrency if needed is None else needed - 1)
            if ahead is not None and self._last is not None and self._fill(after + 1, ahead):
                from anyio.lowlevel import checkpoint

                # The next request should leave before decoding, and then the caller, keep the event loop busy.
                await checkpoint()
            decoded = self._read(response)
            if self._complete is not None:
                await self._complete(decoded, self._next)
            await self._check_size(decoded)
        except Exception as problem:  # noqa: BLE001 - returned, with the page where the walk stopped
            error = problem
        else:
            self._ahead.popleft()
            number, self._next = self._next, self._next + 1
            full = self._update_last(decoded, number)
            # The count of a chunk of ids is not that of the list.
            count = decoded.count if self._complete is None else None
            fetched = FetchedPage(decoded, number, count, full)
            if ahead is not None:
                self._fill(after, ahead)
            return [fetched], None
        self.close()
        if (
            isinstance(error, KantataError)
            and self._size
            and self._next > 1
            and not isinstance(error, UsageError)
        ):
            where = f"The walk stopped before page {self._next}; it can be resumed with page={self._next}."
            error.args = (f"{error} {where}", *error.args[1:])
        return [], error

    def _fill(self, most: int, ahead: Ahead) -> bool:
        """Start requests for the next pages that are known to exist; returns whether there were any."""
        before = len(self._ahead)
        last = self._next if self._last is None else self._last
        while len(self._ahead) < most and (number := self._next + len(self._ahead)) <= last:
            self._ahead.append(ahead.start(partial(self._fetch, number)))
        return len(self._ahead) > before

    async def _fetch_all(self, most: int) -> None:
        """Fetch the next pages at once, and wait for all of them."""
        last = self._next if self._last is None else self._last
        numbers = range(self._next, min(self._next + most - 1, last) + 1)
        responses, error = await in_order([partial(self._fetch, number) for number in numbers])
        self._ahead.extend(responses)
        if error is not None:
            self._ahead.append(_FailedPage(error))

    async def _arrived(self) -> Response:
        """Wait for the response with the next page."""
        first = self._ahead[0]
        if isinstance(first, _FailedPage):
            raise first.error
        if not isinstance(first, Job):
            return first
        await first.ended()
        if first.error is not None:
            raise first.error
        if first.result is None:  # the client was closed; a new request raises the error that says so
            return await self._fetch(self._next)
        return first.result

    def _update_last(self, decoded: Decoded[M], number: int) -> bool:
        """Update the number of the last page by what a page says; returns whether the page is full."""
        if not self._size:
            if self._last is None:
                self._last = number
            return False
        if decoded.entries == 0:
            self._last = number
            self.close()
            return False
        self._last = self._last_page(decoded, number, self._size)
        # The list may have become shorter.
        while self._ahead and self._next + len(self._ahead) - 1 > self._last:
            surplus = self._ahead.pop()
            if isinstance(surplus, Job):
                surplus.cancel()
        return decoded.entries >= self._size

    def _last_page(self, newest: Decoded[M], number: int, size: int) -> int:
        """The number of the last page according to the newest one: the list may have grown or shrunk."""
        count, entries = newest.count, newest.entries
        # The service may return smaller pages than requested, without saying so.
        stated = newest.size
        if stated is None and number == 1 and entries < size and (count is None or entries < count):
            stated = entries
        size = self._size = min(size, stated or size)
        if count is None:
            return number + (entries >= size)
        # A full page beyond the count shows that the count is too small.
        too_small = entries >= size and count < number * size
        return number + 1 if too_small else max(-(-count // size), number)

    async def _check_size(self, decoded: Decoded[M]) -> None:
        """Refuse to start in the middle of a list whose pages are smaller than requested: records would be skipped."""
        if not self._size or self._next != self._first or self._first == 1 or self._complete is not None:
            return
        actual = decoded.size
        if actual is None and decoded.entries < self._size:
            first = self._read(await self._fetch(1))
            actual = first.entries if first.all_identities != decoded.all_identities else None
        if actual and actual < self._size:
            msg = f"the service returns {actual} objects per page, not {self._size}: start again with per_page={actual}"
            raise UsageError(msg)

    async def reread(self, page: FetchedPage[M]) -> FetchedPage[M] | None:
        """Fetch a page again that had nothing new; see `PageSource.reread`."""
        if not page.full or page.number == self._first or self._size is None:
            return None
        decoded = self._read(await self._fetch(page.number))
        again = FetchedPage(decoded, page.number, decoded.count)
        moved = set(again.decoded.all_identities) != set(page.decoded.all_identities)
        if moved and decoded.count is not None and (page.number - 1) * self._size < decoded.count:
            return again  # the count says that there is such a page
        beyond = max(page.number, self._last or 0) + 1_000
        if self._read(await self._fetch(beyond)).entries == 0:
            return again if moved else None  # the service tells pages apart: the list moved during the walk
        from kantata_client.errors import UnstableListError

        msg = (
            f"Page {page.number} has the same {page.decoded.entries} objects as earlier pages, and so does page {beyond}: "
            "the service, or a cache in between, ignores `page`. The objects of other pages are missing."
        )
        raise UnstableListError(msg)

    def close(self) -> None:
        """Cancel the requests under way."""
        while self._ahead:
            job = self._ahead.popleft()
            if isinstance(job, Job):
                job.cancel()


def chunks_of_only(operation: Operation, query: Mapping[str, Any], sent: dict[str, str]) -> list[str]:
    """Split the ids of `only` into chunks of one request each, and remove them from `sent`.

    Returns:
        The chunks, as they are sent; an empty list if all ids fit into one request.
    """
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
