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
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from kantata_client._calls.envelope import malformed
from kantata_client._concurrency import in_order
from kantata_client._lists.numbered import LARGEST_PAGE
from kantata_client._objects.model import Model
from kantata_client.errors import KantataError, UnstableListError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kantata_client._calls.envelope import Decoded
    from kantata_client._concurrency import Ahead
    from kantata_client._contract import Operation
    from kantata_client._lists.numbered import Fetched

M = TypeVar("M", bound=Model)

_GRAINS = (timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1))
"""What the service's times may be cut to: whatever all times that were sent have in common."""
_TRIES = 5
"""How often the walk goes back to a moment before it gives up."""
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


class _Last:
    """What was read behind the last moment."""

    __slots__ = ("behind", "count", "read")

    def __init__(self, behind: datetime | None, count: int, read: dict[Any, datetime]) -> None:
        self.behind = behind
        self.count = count
        """Records behind it, by the service's word."""
        self.read = read
        """The time of each record, by what tells it from others."""


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
        self._finest = _GRAINS[-1]
        """The finest time seen so far: the service's times may be cut to it."""
        self._grain = _GRAINS[0]
        self._last: _Last | None = None
        self._tries = 0
        self.seen = 0
        """Records that the walk has delivered."""
        self._seen_before = -1
        self._restarted = False
        self._absent: set[Any] = set()
        self._complete = False
        self._number = 0
        self._over = False

    async def next(
        self, concurrency: int, needed: int | None, ahead: Ahead | None
    ) -> tuple[list[Fetched[M]], Exception | None]:
        """As `Source.next`: one page, or those of a moment that is too full for one, which are fetched several at once."""
        try:
            if self._over and await self._is_complete():
                return [], None
            return await self._advance(concurrency)
        except KantataError as error:
            return [], error

    async def _is_complete(self) -> bool:
        """Whether as many records were read as there are in the whole list; if not, the walk goes on.

        It goes on at its last moment for those that were created since, and, if that finds nothing, from the beginning.

        Raises:
            UnstableListError: Reading on found nothing more.
        """
        if self._complete or (self._behind is None and not self._restarted):
            return True
        count = (await self._fetch(1, {**self._window_behind(None), "per_page": "1"})).decoded.count
        seen = self.seen + len(self._absent)
        if count is None or count <= seen:
            self._complete = True
            return True
        if seen == self._seen_before:
            if self._restarted:
                self._unstable(f"it counts {count} records, and has returned {seen}")
            # Records that were hidden when their moment was read are in the list again.
            self._restarted, self._behind = True, None
        self._seen_before = seen
        self._over, self._last = False, None
        return False

    async def _advance(self, concurrency: int) -> tuple[list[Fetched[M]], Exception | None]:
        page = await self._fetch(1, self._window())
        pages, decoded = [page], page.decoded
        if decoded.count is None:
            self._unstable(
                "its response has no count, without which nobody can tell whether records are missing"
            )
        times = self._checked_times(page)
        self._absent.update(decoded.absent)
        if await self._is_gap(decoded):
            return await self._advance(concurrency)
        # The service may give less than it is asked for.
        self._size = min(self._size, decoded.size or self._size)
        read = self._read_times(page)
        before = self._behind
        if decoded.entries >= decoded.count:
            self._over = True
        elif not decoded.entries:
            self._unstable(
                f"it counts {decoded.count} records behind {self._behind} and returns none of them"
            )
        elif not decoded.items:
            malformed("none of the objects that `results` names is in the response", self._operation, None)
        else:
            latest = times[-1]
            behind = self._behind or self._from
            if behind is not None and latest - self._grain <= behind:
                crowd, error = await self._crowd(latest + 2 * self._grain, concurrency)
                if error is not None:
                    return [self._numbered(each) for each in crowd], error
                for each in crowd:
                    read |= self._read_times(each)
                pages = crowd
                latest += 2 * self._grain
            if before is not None and latest - self._grain <= before:
                self._unstable(
                    f"it ignores {self._after}: its records get no newer than {latest.isoformat()}"
                )
            self._behind = latest - self._grain
        self._last = _Last(before, decoded.count, read)
        return [self._numbered(each) for each in pages], None

    def _checked_times(self, page: Fetched[M]) -> list[datetime]:
        """The times of a page's objects, if the service has sorted and filtered by them.

        Raises:
            UnstableListError: It has not.
        """
        times = [self._time(item) for item in page.decoded.items]
        for time in times:
            if time.second or time.microsecond:
                self._finest = min(self._finest, _GRAINS[0])
            elif time.minute or time.hour:
                self._finest = min(self._finest, _GRAINS[1])
        if times:
            self._grain = self._finest
        if any(later < earlier for earlier, later in pairwise(times)):
            self._unstable(f"it ignores order={self._by}:asc: the records of a page are not in that order")
        if times and self._behind is not None and times[0] + self._grain < self._behind:
            self._unstable(
                f"it ignores {self._after}, or compares coarser times: a record of {times[0].isoformat()} came for "
                f"{self._behind.isoformat()}"
            )
        return times

    def _read_times(self, page: Fetched[M]) -> dict[Any, datetime]:
        """The time of each record of a page; one whose object is missing may be as old as the oldest."""
        decoded = page.decoded
        times = [self._time(item) for item in decoded.items]
        read = dict(zip(decoded.identities or (), times, strict=False))
        return read | dict.fromkeys(decoded.absent, min(times, default=datetime.min.replace(tzinfo=UTC)))

    async def _is_gap(self, decoded: Decoded[M]) -> bool:
        """Whether records between the last moment and this one were not read, which the counts behind both tell.

        If so, the walk has gone back to the last moment.

        Raises:
            UnstableListError: Reading again did not help.
        """
        last, behind = self._last, self._behind
        if last is None or behind is None or decoded.count is None:
            return False
        here = set(decoded.all_identities)
        gone = sum(time <= behind and identity not in here for identity, time in last.read.items())
        if last.count - decoded.count <= gone:
            self._tries = 0
            return False
        window = self._window_behind(last.behind)
        again = (await self._fetch(1, window)).decoded.count
        if again is None or again - decoded.count <= gone:
            self._tries = 0
            return False
        self._tries += 1
        if self._tries > _TRIES:
            self._unstable(
                f"it counts {again - decoded.count} records up to {behind.isoformat()} and has returned {gone} of them: "
                f"it ignores `order`, or compares coarser times than it sends"
            )
        self._behind, self._last = last.behind, None
        return True

    def _unstable(self, what: str) -> NoReturn:
        self._over = self._complete = True
        msg = f"{self._operation.id}: no stable walk of this list is possible: {what}. Nothing more was read."
        raise UnstableListError(msg)

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
                self._unstable(
                    "its response has no count, without which nobody can tell whether records are missing"
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
        """All pages of a window, up to one that is empty."""
        pages, error = await in_order([partial(self._fetch, 1, window)])
        size = max(1, pages[0].decoded.entries) if pages else 1
        while error is None and len(pages) < (last := -(-(pages[0].decoded.count or 0) // size)):
            numbers = range(len(pages) + 1, min(len(pages) + concurrency, last) + 1)
            more, error = await in_order([partial(self._fetch, number, window) for number in numbers])
            pages += more
            if any(each.decoded.entries == 0 for each in more):
                break
        return pages, error

    def _window(self) -> dict[str, str]:
        return self._window_behind(self._behind)

    def _window_behind(self, moment: datetime | None) -> dict[str, str]:
        window = {"order": f"{self._by}:asc"}
        if moment is not None:
            behind = moment if self._from is None else max(moment, self._from)
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
