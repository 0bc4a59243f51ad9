"""The walk that loses nothing: by time instead of by place.

Sorted by time, the first page behind a moment is a snapshot without gaps, whatever happened to the records before it. So
each request asks for the first page behind the last moment that was seen, a little earlier than needed since neither the
service's granularity nor whether `…_after` includes the moment is known; what comes twice is dropped by the walk. Where
more than a page of records share a moment, a bulk creation for example, these are read as pages of a narrow window until
their number and the service's count agree.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kantata_client._concurrency import in_order
from kantata_client._envelope import malformed
from kantata_client._model import Model
from kantata_client._paginator import Page
from kantata_client.errors import UnstableListError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kantata_client._operation import Operation

M = TypeVar("M", bound=Model)

_GRAIN = timedelta(seconds=1)
"""The service's times may be cut to seconds."""
_ATTEMPTS = 20
"""Readings of a moment's records before the walk gives up."""


def check_stable(operation: Operation, query: Mapping[str, Any]) -> str:
    """The field by whose order a list can be walked without a loss.

    Raises:
        UsageError: The list has none, or was asked for in another way.
    """
    by = operation.stable_by
    if by is None:
        msg = f"{operation.resource}.{operation.name}: the service can't sort and filter it by time, so no walk is stable"
        raise UsageError(msg)
    taken = {name: query[name] for name in ("order", "search", "only", "page") if query.get(name) is not None}
    if taken.get("order") == f"{by}:asc":
        del taken["order"]
    if taken:
        msg = (
            f"{operation.resource}.{operation.name}: a stable walk goes by {by}; leave out {', '.join(taken)}"
        )
        raise UsageError(msg)
    return by


class Windows(Generic[M]):
    """Pages behind moments; a source of a walk."""

    def __init__(
        self,
        operation: Operation,
        query: Mapping[str, Any],
        fetch: Callable[[int, Mapping[str, str]], Awaitable[Page[M]]],
        size: int,
    ) -> None:
        self._operation = operation
        self._by = check_stable(operation, query)
        kind = self._by.removesuffix("_at")
        self._after, self._before = f"{kind}_after", f"{kind}_before"
        self._limited = query.get(self._before) is not None
        self._fetch = fetch
        self._size = size
        self._behind: datetime | None = None
        self._number = 0
        self._over = False

    async def next(self, concurrency: int) -> tuple[list[Page[M]], Exception | None]:
        """The next page; pages of a moment that is too full for one are fetched several at once."""
        if self._over:
            return [], None
        pages, error = await in_order([partial(self._fetch, 1, self._window())])
        if error is not None:
            return [], error
        items = pages[0].items
        if len(items) < self._size:
            self._over = True
        else:
            latest = self._time(items[-1])
            if self._behind is not None and latest - _GRAIN <= self._behind:
                pages, error = await self._crowd(latest + 2 * _GRAIN, concurrency)
                latest += 2 * _GRAIN
            if error is None:
                self._behind = latest - _GRAIN
        return [self._numbered(page) for page in pages], error

    async def _crowd(self, until: datetime, concurrency: int) -> tuple[list[Page[M]], Exception | None]:
        """All records between the last moment and another one, more than a page."""
        window = self._window()
        if not self._limited:
            window[self._before] = until.isoformat()
        found: list[Page[M]] = []
        for _ in range(_ATTEMPTS):
            first = await self._fetch(1, window)
            pages, last = [first], -(-(first.count or 0) // self._size)
            while len(pages) < last:
                numbers = range(len(pages) + 1, min(len(pages) + concurrency, last) + 1)
                more, error = await in_order([partial(self._fetch, number, window) for number in numbers])
                if error is not None:
                    return found, error
                pages += more
            found += pages
            ids = {item.__dict__.get("id") for page in pages for item in page.items}
            if all(page.count == len(ids) for page in pages):
                return found, None
        msg = (
            f"{self._operation.id}: more than {self._size} records share a moment ({window}), and they kept changing while "
            f"they were read {_ATTEMPTS} times. Walk again when less is written, or use a larger per_page."
        )
        return found, UnstableListError(msg)

    def _window(self) -> dict[str, str]:
        window = {"order": f"{self._by}:asc"}
        if self._behind is not None:
            window[self._after] = self._behind.isoformat()
        return window

    def _time(self, item: M) -> datetime:
        time = getattr(item, self._by)
        if not isinstance(time, datetime):
            malformed(f"{item!r} has no {self._by}, by which the list is walked", self._operation, None)
        whole = time.replace(microsecond=0)
        return whole if whole.tzinfo else whole.replace(tzinfo=UTC)

    def _numbered(self, page: Page[M]) -> Page[M]:
        self._number += 1
        return Page(page.items, self._number, page.count if self._number == 1 else None)
