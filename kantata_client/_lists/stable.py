"""The walk that misses no record: it pages by time, not by position.

In a list sorted by time, the first page after a moment is a snapshot without gaps, whatever happens to earlier records. So
each request asks for the first page after the last time seen. It asks for a little earlier than that, because the service
may round times, and `…_after` may or may not include the moment itself; the walk drops the records that come twice.

If more than a page of records share a moment, as after a bulk creation, a narrow window around it is read with larger and
larger pages. If one page holds all of it, that is a snapshot again. If not, the window is read until as many ids are known
as the service counts, and then read again until the ids are the same: these records, and no others, existed between the two
readings, in whatever order the service sends equal times.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from math import factorial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import attrs

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
    from kantata_client._lists.numbered import FetchedPage

M = TypeVar("M", bound=Model)

_GRAINS = (timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1))
"""The granularities to which the service may cut times, from fine to coarse."""
_PROOF = 1e-4
"""Pages prove that the service sorts when they would be in order by chance less often than this."""
_MOST_TIMES = 20
"""How many different times of a page count for that; the factorial of more would not fit a float."""
_MOST_RETURNS = 5
"""How often the walk returns to a moment before it gives up."""
_MOST_READINGS = 30
"""How often the records of one moment are read before the walk gives up."""


def check_stable(operation: Operation, query: Mapping[str, Any]) -> str:
    """Check that a list can be read by time.

    Returns:
        The field to sort by: `created_at` or `updated_at`.

    Raises:
        UsageError: The service can't sort or filter the list by it, or an argument rules it out.
    """
    by = operation.stable_by
    if by is None:
        raise UsageError(
            f"{operation.resource}.{operation.name}: a stable walk is not possible, because the service can't sort and "
            "filter this list by time"
        )
    taken = {name: query[name] for name in ("order", "search", "only", "page") if query.get(name) is not None}
    if taken.get("order") == f"{by}:asc":
        del taken["order"]
    if taken:
        raise UsageError(
            f"{operation.resource}.{operation.name}: a stable walk is sorted by {by}. Leave out {', '.join(taken)}"
        )
    return by


class _Reading:
    """What the last request returned."""

    __slots__ = ("after", "complete", "count", "times")

    def __init__(
        self, after: datetime | None, count: int, times: dict[Any, datetime], *, complete: bool
    ) -> None:
        self.after = after
        """The moment after which records were requested."""
        self.count = count
        """How many records the service counts after it."""
        self.times = times
        """The time of each record that was returned, by its identity."""
        self.complete = complete
        """Whether the counts prove that no record up to the next moment is missing."""


class TimeWindows(Generic[M]):
    """Fetches the pages of a stable walk."""

    def __init__(
        self,
        operation: Operation,
        query: Mapping[str, Any],
        sent: Mapping[str, str],
        fetch: Callable[[int, Mapping[str, str]], Awaitable[FetchedPage[M]]],
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
        self._moment: datetime | None = None
        """The moment after which the next request asks for records; `None` at the beginning."""
        self._finest = _GRAINS[-1]
        """The finest granularity of the times seen so far."""
        self._grain = _GRAINS[0]
        """The granularity to which the service is assumed to cut times."""
        self._chance = 1.0
        """How likely it is that a service that does not sort would have sent the pages so far in order."""
        self._last: _Reading | None = None
        self._returns = 0
        """How often the walk has returned to the current moment."""
        self.delivered = 0
        self._delivered_before = -1
        """`delivered`, with absent records, when the end was last checked."""
        self._most_counted = 0
        """The largest count of the whole list so far."""
        self._restarted = False
        self._absent: set[Any] = set()
        """The identities of records whose objects were not in a response."""
        self._complete = False
        """Whether the count of the whole list was reached, or the walk has failed."""
        self._number = 0
        self._at_end = False
        """Whether the last window held all remaining records."""

    async def next(
        self, concurrency: int, needed: int | None, ahead: Ahead | None
    ) -> tuple[list[FetchedPage[M]], Exception | None]:
        """Fetch the next page, or all pages of a moment that has too many records for one; see `PageSource.next`."""
        try:
            if self._at_end and await self._is_complete():
                return [], None
            return await self._advance(concurrency)
        except KantataError as error:
            return [], error

    async def _is_complete(self) -> bool:
        """Whether as many records were read as the whole list has. If not, the walk continues.

        It continues at its last moment, for records created since, and if that finds nothing, from the beginning.

        Raises:
            UnstableListError: Reading on found nothing more.
        """
        if self._complete or (self._moment is None and not self._restarted and not self._returns):
            return True
        read = self.delivered + len(self._absent)
        count = await self._count()
        if count is not None and count <= read < self._most_counted:
            # Either records were deleted, or a cache sent the answer to an earlier request.
            count = await self._count()
        if count is None or count <= read:
            self._complete = True
            return True
        if read == self._delivered_before:
            if self._restarted:
                self._fail(f"it counts {count} records, but has returned {read}")
            # Records that were hidden when their moment was read may be in the list again.
            self._restarted, self._moment = True, None
        self._delivered_before = read
        self._at_end, self._last = False, None
        return False

    async def _count(self) -> int | None:
        """How many records the whole list has."""
        return (await self._fetch(1, {**self._window_after(None), "per_page": "1"})).decoded.count

    async def _advance(self, concurrency: int) -> tuple[list[FetchedPage[M]], Exception | None]:
        page = await self._fetch(1, self._window())
        pages, decoded = [page], page.decoded
        if decoded.count is None:
            self._fail("its response has no count, so missing records could not be noticed")
        if self._moment is None:
            self._most_counted = max(self._most_counted, decoded.count)
        times = self._checked_times(page)
        self._absent.update(decoded.absent)
        if await self._is_gap(decoded):
            return await self._advance(concurrency)
        # The service may return smaller pages than requested.
        self._size = min(self._size, decoded.size or self._size)
        times_read = _times_by_identity(page, times)
        before = self._moment
        if decoded.entries >= decoded.count:
            self._at_end = True
        elif not decoded.entries:
            self._fail(f"it counts {decoded.count} records after {self._moment}, but returns none of them")
        elif not decoded.items:
            malformed("the response contains none of the objects that `results` names", self._operation, None)
        else:
            latest = times[-1]
            lower = self._moment or self._from
            if lower is not None and latest - self._grain <= lower:
                pages, error = await self._read_moment(latest + 2 * self._grain, concurrency)
                if error is not None:
                    return [self._numbered(each) for each in pages], error
                for each in pages:
                    times_read |= _times_by_identity(each, self._times(each))
                latest += 2 * self._grain
            if before is not None and latest - self._grain <= before:
                self._fail(f"it ignores {self._after}: no record is newer than {latest.isoformat()}")
            self._moment = latest - self._grain
        self._last = _Reading(before, decoded.count, times_read, complete=pages[0] is not page)
        return [self._numbered(each) for each in pages], None

    def _checked_times(self, page: FetchedPage[M]) -> list[datetime]:
        """The times of a page's objects.

        Raises:
            UnstableListError: The service has not sorted or filtered by them.
        """
        times = self._times(page)
        for time in times:
            if time.second or time.microsecond:
                self._finest = min(self._finest, _GRAINS[0])
            elif time.minute or time.hour:
                self._finest = min(self._finest, _GRAINS[1])
        if times:
            self._grain = self._finest
        if any(later < earlier for earlier, later in pairwise(times)):
            self._fail(f"it ignores order={self._by}:asc: the records of a page are in another order")
        self._chance /= factorial(min(len(set(times)), _MOST_TIMES))
        if times and self._moment is not None and times[0] + self._grain < self._moment:
            self._fail(
                f"it ignores {self._after}, or compares coarser times than it sends: for {self._moment.isoformat()} it "
                f"returned a record of {times[0].isoformat()}"
            )
        return times

    async def _is_gap(self, decoded: Decoded[M]) -> bool:
        """Whether records between the last moment and this one were not read. If so, the walk returns to the last moment.

        Once the pages prove that the service sorts, the counts after both moments are enough. Before that, the identities
        are compared.

        Raises:
            UnstableListError: Reading again did not help.
        """
        last, moment = self._last, self._moment
        if last is None or moment is None or decoded.count is None:
            return False
        current = set(decoded.all_identities)
        passed = sum(time <= moment and identity not in current for identity, time in last.times.items())
        sorts = last.complete or self._chance < _PROOF
        if sorts and last.count - decoded.count <= passed:
            self._returns = 0
            return False
        missing = await self._missing(last, moment, current)
        if missing is None:
            count = (await self._fetch(1, self._window_after(last.after))).decoded.count or 0
            missing = max(0, count - decoded.count - passed)
        if not missing:
            self._returns = 0
            return False
        self._returns += 1
        if self._returns > _MOST_RETURNS:
            self._fail(
                f"{missing} of its records up to {moment.isoformat()} were not returned when they were due: it ignores "
                "`order`, or compares coarser times than it sends"
            )
        self._moment, self._last = last.after, None
        return True

    async def _missing(self, last: _Reading, moment: datetime, current: set[Any]) -> int | None:
        """How many records between the last moment and this one were not read, or `None` if they don't fit on one page.

        The counts alone would not show it: a record that was read and then deleted makes up for one that was never sent.
        """
        window = self._window_after(last.after)
        # A grain later, since `…_before` may exclude the moment itself.
        window |= {self._before: (moment + self._grain).isoformat(), "per_page": str(LARGEST_PAGE)}
        page = await self._fetch(1, window)
        unread = sum(
            time <= moment and identity not in last.times and identity not in current
            for identity, time in _times_by_identity(page, self._times(page)).items()
        )
        return unread or (0 if page.decoded.entries == page.decoded.count else None)

    def _fail(self, problem: str) -> NoReturn:
        self._at_end = self._complete = True
        raise UnstableListError(
            f"{self._operation.id}: the service does not support a stable walk of this list: {problem}. Nothing more was "
            "read."
        )

    async def reread(self, page: FetchedPage[M]) -> FetchedPage[M] | None:
        """Nothing to do: each request moves the walk on, or fails."""
        return None

    def close(self) -> None:
        """Nothing to do: no request is under way between two calls."""

    async def _read_moment(
        self, until: datetime, concurrency: int
    ) -> tuple[list[FetchedPage[M]], Exception | None]:
        """Read all records between the last moment and another one, of which there are more than a page."""
        window = self._window()
        window[self._before] = (until if self._until is None else min(until, self._until)).isoformat()
        found: list[FetchedPage[M]] = []
        known: set[Any] = set()
        confirmed: set[Any] = set()
        counted: int | None = None
        for reading in range(_MOST_READINGS):
            size = max(self._size, min(self._size << reading, LARGEST_PAGE))
            pages, error = await self._read_window({**window, "per_page": str(size)}, concurrency)
            if error is not None:
                return found, error
            found += pages
            ids = {identity for page in pages for identity in page.decoded.all_identities}
            counts = {page.decoded.count for page in pages}
            if len(pages) == 1 and counts == {len(ids)}:
                return found, None
            if None in counts:
                self._fail("its response has no count, so missing records could not be noticed")
            if counts != {counted} or len(known | ids) > (counted or 0):
                # The window has changed, so known records may be gone.
                known, confirmed, counted = set(), set(), pages[-1].decoded.count or 0
                if len(counts) > 1:
                    continue
            known |= ids
            if len(known) == counted:
                if known == confirmed:
                    return found, None
                known, confirmed = set(), known
        msg = (
            f"{self._operation.id}: more than {self._size} records share a moment ({window}), and they kept changing during "
            f"{_MOST_READINGS} readings. Read the list again when fewer records are written, or pass a larger per_page."
        )
        return found, UnstableListError(msg)

    async def _read_window(
        self, window: Mapping[str, str], concurrency: int
    ) -> tuple[list[FetchedPage[M]], Exception | None]:
        """Read all pages of a window, up to an empty one."""
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
        return self._window_after(self._moment)

    def _window_after(self, moment: datetime | None) -> dict[str, str]:
        window = {"order": f"{self._by}:asc"}
        if moment is not None:
            lower = moment if self._from is None else max(moment, self._from)
            window[self._after] = lower.isoformat()
        return window

    def _times(self, page: FetchedPage[M]) -> list[datetime]:
        """The time of each object of a page."""
        times: list[datetime] = []
        for item in page.decoded.items:
            time = getattr(item, self._by)
            if not isinstance(time, datetime):
                malformed(
                    f"{item!r} has no {self._by}, which a stable walk is sorted by", self._operation, None
                )
            times.append(_zoned(time.replace(microsecond=0)))
        return times

    def _numbered(self, page: FetchedPage[M]) -> FetchedPage[M]:
        self._number += 1
        # Only the first window is the whole list.
        return attrs.evolve(page, number=self._number, count=page.count if self._number == 1 else None)


def _times_by_identity(page: FetchedPage[Any], times: list[datetime]) -> dict[Any, datetime]:
    """The time of each record of a page, given those of its objects. One without an object counts as old as the oldest."""
    decoded = page.decoded
    known = dict(zip(decoded.identities or (), times, strict=False))
    return known | dict.fromkeys(decoded.absent, min(times, default=datetime.min.replace(tzinfo=UTC)))


def _parsed(text: str | None) -> datetime | None:
    return None if text is None else _zoned(datetime.fromisoformat(text))


def _zoned(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
