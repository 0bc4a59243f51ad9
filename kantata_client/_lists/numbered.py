"""Pages by their numbers, and ids in chunks: fetched ahead, delivered in order, decoded when they are delivered."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from kantata_client._calls.arguments import items_of
from kantata_client._concurrency import Job, in_order
from kantata_client._objects.model import Model
from kantata_client.errors import KantataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kantata_client._calls.envelope import Decoded
    from kantata_client._concurrency import Ahead
    from kantata_client._contract import Operation
    from kantata_client._http.messages import Response

M = TypeVar("M", bound=Model)

LARGEST_PAGE = 200
_LONGEST_ONLY = 4_000
"""Characters of ids in one request; some proxies refuse a longer URL."""


class Fetched(Generic[M]):
    """A page with its objects."""

    __slots__ = ("decoded", "full", "number")

    def __init__(self, decoded: Decoded[M], number: int, *, full: bool = False) -> None:
        self.decoded = decoded
        self.number = number
        self.full = full
        """Whether it has as many entries as a page can have, and another page may follow."""


class Source(Protocol[M]):
    """Where a walk gets its pages from."""

    seen: int
    """Objects that the walk has delivered; it counts them here."""

    async def next(
        self, concurrency: int, needed: int | None, ahead: Ahead | None
    ) -> tuple[list[Fetched[M]], Exception | None]:
        """The next pages.

        Args:
            concurrency: Most pages to fetch or to hold at once.
            needed: Pages that are needed at most; `None` for all.
            ahead: Tasks that may go on after this call; without it, everything that is started ends before it returns.

        Returns:
            The pages, none when the walk is over; and the error that kept the page after them from coming.
        """
        ...

    async def stale(self, page: Fetched[M]) -> Fetched[M] | None:
        """A full page had nothing new: the same page again if that helps.

        Raises:
            UnstableListError: The service does not go on in the list.
        """
        ...

    def close(self) -> None:
        """Cancel what is on its way."""
        ...


class _Failed:
    """A page that could not be fetched."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class Numbered(Generic[M]):
    """Pages by their numbers."""

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
        """Make a source.

        Args:
            fetch: Fetches a page by its number.
            read: Decodes a page.
            first: The number of the first page.
            last: The number of the last page, if it is known beforehand.
            size: Objects on a full page; `None` if there is no such number.
            complete: Adds to the objects of a page what the service left out of it.
        """
        self._fetch = fetch
        self._read = read
        self._complete = complete
        self.seen = 0
        self._first = first
        self._next = first
        """The next page to deliver."""
        self._last = last
        self._size = size
        self._ahead: deque[Job[Response] | Response | _Failed] = deque()
        """The pages from the next one on: under way, waiting as they came, or failed."""

    async def next(
        self, concurrency: int, needed: int | None, ahead: Ahead | None
    ) -> tuple[list[Fetched[M]], Exception | None]:
        """As `Source.next`; the pages come one at a time."""
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
            decoded = self._read(response)
            if self._complete is not None:
                await self._complete(decoded, self._next)
            await self._check_size(decoded)
        except Exception as problem:  # noqa: BLE001 - it is told below where the walk stopped
            error = problem
        else:
            self._ahead.popleft()
            fetched = Fetched(decoded, self._next)
            self._next += 1
            self._note(fetched)
            if ahead is not None:
                self._fill(min(concurrency, concurrency if needed is None else needed - 1), ahead)
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

    def _fill(self, most: int, ahead: Ahead) -> None:
        """Start requests for the pages to come, as many as are known to exist."""
        last = self._next if self._last is None else self._last
        while len(self._ahead) < most and (number := self._next + len(self._ahead)) <= last:
            self._ahead.append(ahead.start(partial(self._fetch, number)))

    async def _fetch_all(self, most: int) -> None:
        """Fetch the pages to come all at once."""
        last = self._next if self._last is None else self._last
        numbers = range(self._next, min(self._next + most - 1, last) + 1)
        responses, error = await in_order([partial(self._fetch, number) for number in numbers])
        self._ahead.extend(responses)
        if error is not None:
            self._ahead.append(_Failed(error))

    async def _arrived(self) -> Response:
        """The response with the next page, when it is there."""
        first = self._ahead[0]
        if isinstance(first, _Failed):
            raise first.error
        if not isinstance(first, Job):
            return first
        await first.ended()
        if first.error is not None:
            raise first.error
        if first.result is None:  # the client was closed, which the request itself tells best
            return await self._fetch(self._next)
        return first.result

    def _note(self, fetched: Fetched[M]) -> None:
        """Learn from a page how many there are."""
        decoded = fetched.decoded
        if not self._size:
            if self._last is None:
                self._last = fetched.number
            return
        if decoded.entries == 0:
            self._last = fetched.number
            self.close()
            return
        self._last = self._last_page(fetched, self._size)
        fetched.full = decoded.entries >= self._size
        # The list may have become shorter.
        while self._ahead and self._next + len(self._ahead) - 1 > self._last:
            gone = self._ahead.pop()
            if isinstance(gone, Job):
                gone.cancel()

    def _last_page(self, newest: Fetched[M], size: int) -> int:
        """The last page by what the newest one says: the list may have grown or shrunk."""
        count, entries = newest.decoded.count, newest.decoded.entries
        # The service may give less than it is asked for, and may not say so.
        told = newest.decoded.size
        if told is None and newest.number == 1 and entries < size and (count is None or entries < count):
            told = entries
        size = self._size = min(size, told or size)
        if count is None:
            return newest.number + (entries >= size)
        # A full page that the count does not reach shows that the count is wrong.
        beyond = entries >= size and count < newest.number * size
        return newest.number + 1 if beyond else max(-(-count // size), newest.number)

    async def _check_size(self, decoded: Decoded[M]) -> None:
        """Refuse to begin in the middle of a list whose pages are smaller than asked for: records would be left out."""
        if not self._size or self._next != self._first or self._first == 1 or self._complete is not None:
            return
        given = decoded.size
        if given is None and decoded.entries < self._size:
            first = self._read(await self._fetch(1))
            given = first.entries if first.all_identities != decoded.all_identities else None
        if given and given < self._size:
            msg = f"the service returns {given} objects per page, not {self._size}: start again with per_page={given}"
            raise UsageError(msg)

    async def stale(self, page: Fetched[M]) -> Fetched[M] | None:
        """As `Source.stale`."""
        if not page.full or page.number == self._first or self._size is None:
            return None
        again = Fetched(self._read(await self._fetch(page.number)), page.number)
        if set(again.decoded.all_identities) != set(page.decoded.all_identities):
            return again
        beyond = max(page.number, self._last or 0) + 1_000
        if self._read(await self._fetch(beyond)).entries == 0:
            return None  # pages are told apart: the list moved while it was walked
        from kantata_client.errors import UnstableListError

        msg = (
            f"Page {page.number} has the same {page.decoded.entries} objects as earlier pages, and so has page {beyond}: "
            "the service, or a cache on the way, ignores `page`. Objects of other pages are missing."
        )
        raise UnstableListError(msg)

    def close(self) -> None:
        """Cancel what is on its way."""
        while self._ahead:
            job = self._ahead.popleft()
            if isinstance(job, Job):
                job.cancel()


def chunks_of_only(operation: Operation, query: Mapping[str, Any], sent: dict[str, str]) -> list[str]:
    """The ids of `only` in chunks that fit one request each, if there are too many for one; they are taken out of `sent`."""
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
