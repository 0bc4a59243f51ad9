"""The walk that loses nothing: by time instead of by place.

Sorted by time, the first page behind a moment is a snapshot without gaps, whatever happened to the records before it. So
each request asks for the first page behind the last moment that was seen, a little earlier than needed since neither the
service's granularity nor whether `…_after` includes the moment is known; what comes twice is dropped by the walk. Where
more than a page of records share a moment, a bulk creation for example, a narrow window is read with larger and larger
pages. If one page takes it all, that is a snapshot again. If not, it is read until as many ids are known as the service
counts, and then all over until these are the same ones: so each of them was there between the two readings, and nothing
else was, in whatever order equal times were sent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kantata_client._calls.envelope import malformed
from kantata_client._concurrency import in_order
from kantata_client._lists.numbered import LARGEST_PAGE
from kantata_client._objects.model import Model
from kantata_client.errors import UnstableListError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kantata_client._concurrency import Ahead
    from kantata_client._contract import Operation
    from kantata_client._lists.numbered import Fetched

M = TypeVar("M", bound=Model)

_GRAIN = timedelta(seconds=1)
"""The service's times may be cut to seconds."""
_ATTEMPTS = 30
"""Readings of a moment's records before the walk gives up."""


def check_stable(operation: Operation, query: Mapping[str, Any]) -> str:
    """The field by whose order a list can be walked without a loss.

    Raises:
        UsageError: The list has none, or was asked for in another way.
    """
    by = operation.stable_by
    if by is None:
        raise UsageError(
            f"{operation.resource}.{operation.name}: the service can't sort and filter it by time, so no walk is stable"
        )
    taken = {name: query[name] for name in ("order", "search", "only", "page") if query.get(name) is not None}
    if taken.get("order") == f"{by}:asc":
        del taken["order"]
    if taken:
        raise UsageError(
            f"{operation.resource}.{operation.name}: a stable walk goes by {by}; leave out {', '.join(taken)}"
        )
    return by


class Windows(Generic[M]):
    """Pages behind moments; a source of a walk."""

    def __init__(
        self,
        operation: Operation,
        query: Mapping[str, Any],
        sent: Mapping[str, str],
        fetch: Callable[[int, Mapping[str, str]], Awaitable[Fetched[M]]],
        size: int,
    ) -> None:
        self._operation = operation
        self._by = check_stable(operation, query)
        kind = self._by.removesuffix("_at")
        self._after, self._before = f"{kind}_after", f"{kind}_before"
        self._from = _parsed(sent.get(self._after))
        self._until = _parsed(sent.get(self._before))
        self._fetch = fetch
        self._size = size
        self._behind: datetime | None = None
        self._number = 0
        self._over = False

    async def next(
        self, concurrency: int, needed: int | None, ahead: Ahead | None
    ) -> tuple[list[Fetched[M]], Exception | None]:
        """As `Source.next`: one page, or those of a moment that is too full for one, which are fetched several at once."""
        if self._over:
            return [], None
        pages, error = await in_order([partial(self._fetch, 1, self._window())])
        if error is not None:
            return [], error
        page = pages[0].decoded
        self._size = min(
            self._size, page.size or self._size
        )  # the service may give less than it is asked for
        if page.entries < self._size:
            self._over = True
        elif not page.items:
            malformed("none of the objects that `results` names is in the response", self._operation, None)
        else:
            latest = self._time(page.items[-1])
            behind = self._behind or self._from
            if behind is not None and latest - _GRAIN <= behind:
                pages, error = await self._crowd(latest + 2 * _GRAIN, concurrency)
                latest += 2 * _GRAIN
            if error is None:
                self._behind = latest - _GRAIN
        return [self._numbered(page) for page in pages], error

    async def stale(self, page: Fetched[M]) -> Fetched[M] | None:
        """As `Source.stale`; the walk's own checks see to it that it goes on."""
        return None

    def close(self) -> None:
        """Nothing is on its way between two calls."""

    async def _crowd(self, until: datetime, concurrency: int) -> tuple[list[Fetched[M]], Exception | None]:
        """All records between the last moment and another one, more than a page."""
        window = self._window()
        window[self._before] = (until if self._until is None else min(until, self._until)).isoformat()
        found: list[Fetched[M]] = []
        known: set[Any] = set()
        confirmed: set[Any] = set()
        counted: int | None = None
        for attempt in range(_ATTEMPTS):
            size = max(self._size, min(self._size << attempt, LARGEST_PAGE))
            pages, error = await self._read({**window, "per_page": str(size)}, concurrency)
            if error is not None:
                return found, error
            found += pages
            ids = {identity for page in pages for identity in page.decoded.all_identities}
            counts = {page.decoded.count for page in pages}
            if len(pages) == 1 and counts == {len(ids)}:
                return found, None
            if None in counts:
                malformed(
                    "its response tells no count, without which no walk is stable", self._operation, None
                )
            if counts != {counted} or len(known | ids) > (counted or 0):
                # It has changed, so what is known may be gone.
                known, confirmed, counted = set(), set(), pages[-1].decoded.count or 0
                if len(counts) > 1:
                    continue
            known |= ids
            if len(known) == counted:
                if known == confirmed:
                    return found, None
                known, confirmed = set(), known
        msg = (
            f"{self._operation.id}: more than {self._size} records share a moment ({window}), and they kept changing while "
            f"they were read {_ATTEMPTS} times. Walk again when less is written, or use a larger per_page."
        )
        return found, UnstableListError(msg)

    async def _read(
        self, window: Mapping[str, str], concurrency: int
    ) -> tuple[list[Fetched[M]], Exception | None]:
        """All pages of a window."""
        pages, error = await in_order([partial(self._fetch, 1, window)])
        size = max(1, pages[0].decoded.entries) if pages else 1
        while error is None and len(pages) < (last := -(-(pages[0].decoded.count or 0) // size)):
            numbers = range(len(pages) + 1, min(len(pages) + concurrency, last) + 1)
            more, error = await in_order([partial(self._fetch, number, window) for number in numbers])
            pages += more
        return pages, error

    def _window(self) -> dict[str, str]:
        window = {"order": f"{self._by}:asc"}
        if self._behind is not None:
            behind = self._behind if self._from is None else max(self._behind, self._from)
            window[self._after] = behind.isoformat()
        return window

    def _time(self, item: M) -> datetime:
        time = getattr(item, self._by)
        if not isinstance(time, datetime):
            malformed(f"{item!r} has no {self._by}, by which the list is walked", self._operation, None)
        return _zoned(time.replace(microsecond=0))

    def _numbered(self, page: Fetched[M]) -> Fetched[M]:
        self._number += 1
        page.number = self._number
        if self._number != 1:  # the count of a window, which is not that of the list
            page.decoded.count = None
        return page


def _parsed(text: str | None) -> datetime | None:
    return None if text is None else _zoned(datetime.fromisoformat(text))


def _zoned(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
