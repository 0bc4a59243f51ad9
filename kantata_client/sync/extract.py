"""Reads all records of one list, or all since a time, without missing any; an interrupted walk can be continued.

A list that can be ordered by time is split into time ranges that are read concurrently: each request of a stable walk
depends on the one before, so a single walk would leave most of the rate limit unused. The position of each part is saved
after each page.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import attrs

from kantata_client.errors import (
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    ValidationError,
)
from kantata_client.sync.catalog import lists

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from kantata_client._lists.paginator import Paginator
    from kantata_client.client import Kantata
    from kantata_client.sync.catalog import FanOut, ListSpec
    from kantata_client.sync.progress import Progress

MAX_PARTS = 12
"""Parts of a list that are read concurrently."""
_MAX_PARENTS = 24
"""Parents whose lists are read concurrently. They are thousands of short lists, and take most of the requests of a sync."""
_SPLIT_PAGES = 8
"""A list with at least this many pages is split."""
_PAGE_SIZE = 200
_RESOLUTION = timedelta(seconds=1)
"""The service may truncate times to seconds, and it is not documented whether its filters include the given time."""
_MAX_WALKS = 3
"""How often a list without an order by time is read when fewer records came than the service counted."""


@attrs.define(eq=False)
class Part:
    """A part of a list that is not read completely yet."""

    value: str | None = None
    """Value of the parameter by which the list is read in parts."""
    after: datetime | None = None
    before: datetime | None = None
    split: bool = False
    """Whether this is a time range of a split part, or too small to split."""

    def to_json(self) -> list[Any]:
        """Return the part as JSON values."""
        return [self.value, _to_iso(self.after), _to_iso(self.before), self.split]


class Walk:
    """A walk over one list, new or continued from a saved state."""

    def __init__(
        self,
        kantata: Kantata,
        spec: ListSpec,
        since: datetime | None,
        saved: Mapping[str, Any] | None,
        progress: Progress,
        emit: Callable[[list[dict[str, Any]], Mapping[str, Any] | None], Awaitable[None]],
    ) -> None:
        self._kantata = kantata
        self._spec = spec
        self._progress = progress
        self._emit = emit
        self._seen = Seen()
        self._newest: datetime | None = None
        self._counts: dict[str | None, int | None] = {}
        """Records of each part, counted when the walk began."""
        if saved is None:
            self._since = since
            self._started = datetime.now(UTC)
            self._latest: datetime | None = None
            self._parts: list[Part] | None = None
        else:
            self._since = _from_iso(saved["since"])
            self._started = datetime.fromisoformat(saved["started"])
            self._latest = _from_iso(saved["latest"])
            self._parts = [
                Part(each[0], _from_iso(each[1]), _from_iso(each[2]), each[3]) for each in saved["parts"]
            ]

    @property
    def latest(self) -> datetime | None:
        """Time from which on updates may be missing: the start of the walk, by the service's clock.

        This machine's clock may be ahead, so it is the latest update that the service had when the walk began. `None` if the
        list has no records, or no times.
        """
        latest = self._latest or self._newest
        if latest is None and self._spec.fan_out is not None:
            return self._started  # no records: without a time the next sync would ask each parent again
        return None if latest is None else min(latest, self._started)

    async def run(self) -> bool:
        """Read the list.

        Returns:
            Whether the list was read to its end; `False` if it was stopped before.
        """
        try:
            return await self._run()
        except (BadRequestError, PermissionDeniedError, ValidationError, ServerError) as error:
            if "include" not in self._spec.query or (isinstance(error, ServerError) and error.status != 501):
                raise
            refused = await self._refused_includes()
            include = [each for each in cast("list[str]", self._spec.query["include"]) if each not in refused]
            if not refused or not include:
                raise
            self._spec = attrs.evolve(self._spec, query={**self._spec.query, "include": include or None})
            self._progress.note(
                self._spec.name,
                f"without the ids of {', '.join(refused)}: the service refuses to include them",
            )
        return await self._run()

    async def _refused_includes(self) -> list[str]:
        """Return the associations that the service refuses to include, for example because the account lacks an add-on."""
        spec = self._spec
        part = self._parts[0] if self._parts else Part()
        refused: list[str] = []
        for include in cast("list[str]", spec.query["include"]):
            more: dict[str, Any] = {"include": [include]}
            if "per_page" in spec.operation.query:
                more["per_page"] = 1
            self._progress.requested(spec.name)
            try:
                await self._paginator(part, more).first()
            except (BadRequestError, PermissionDeniedError, ValidationError, ServerError):
                refused.append(include)
        return refused

    async def _run(self) -> bool:
        if self._parts is None:
            self._parts = await self._initial_parts()
        pending = list(self._parts)
        limit = asyncio.Semaphore(MAX_PARTS if self._spec.saves_position else _MAX_PARENTS)

        async def read(part: Part) -> None:
            async with limit:
                await self._read(part)

        while pending:
            try:
                async with asyncio.TaskGroup() as group:
                    for part in pending:
                        group.create_task(read(part))
            except BaseExceptionGroup as errors:
                raise _first_error(errors) from None
            if self._progress.stopping:
                return not self._parts
            pending = list(self._parts)
        return True

    async def _initial_parts(self) -> list[Part]:
        """Return the parts that have records to read, and note the latest update of all of them."""
        fan_out = self._spec.fan_out
        if fan_out is not None and fan_out.parent is not None:
            return [Part(value) async for value in self._parents(fan_out)]
        parts = [Part(value) for value in (fan_out.values if fan_out is not None else (None,))]
        latest = [await self._latest_update(part) for part in parts]
        self._latest = max((each for each in latest if each is not None), default=None)
        return [part for part in parts if self._since is None or self._counts.get(part.value) != 0]

    async def _parents(self, fan_out: FanOut) -> AsyncIterator[str]:
        parent = lists()[str(fan_out.parent)]
        query = {name: value for name, value in parent.query.items() if name != "include"}
        if fan_out.history and self._since is not None:
            query["updated_after"] = self._since
        method = getattr(getattr(self._kantata, parent.operation.resource), parent.operation.name)
        found = method(**query)
        async for page in (found.stable() if parent.stable_by else found).pages():
            self._progress.requested(self._spec.name)
            for item in page.items:
                yield str(item.to_dict()[parent.key])

    async def _latest_update(self, part: Part) -> datetime | None:
        """Return the time of the latest update in a part, and note how many records it has."""
        spec = self._spec
        by = "created_at" if spec.log else "updated_at"
        order = spec.operation.query.get("order")
        if spec.since is None or order is None or f"{by}:desc" not in order.values:
            return None
        latest = self._paginator(part, {"order": f"{by}:desc"}, include=False)
        self._progress.requested(spec.name)
        async for page in latest.pages(concurrency=1, limit=1):
            self._counts[part.value] = page.count
            return _parse_time(page.items[0].to_dict().get(by)) if page.items else None
        self._counts[part.value] = 0
        return None

    async def _read(self, part: Part) -> None:
        """Read a part to its end, or until the sync stops."""
        spec = self._spec
        if self._progress.stopping:
            return
        if spec.stable_by and not part.split:
            more = await self._split(part) if spec.saves_position else []
            part.split = True
            cast("list[Part]", self._parts).extend(more)
            if more:
                return  # the new parts, and this one, are read in the next round
        read = self._read_by_time if spec.stable_by else self._read_by_page
        try:
            done = await read(part)
        except NotFoundError:
            if spec.fan_out is None or spec.fan_out.parent is None:
                raise
            done = True  # the parent was deleted in the meantime
        if done:
            cast("list[Part]", self._parts).remove(part)
            state = self._state()
            if state is not None:
                await self._emit([], state)

    async def _read_by_time(self, part: Part) -> bool:
        spec = self._spec
        async for page in self._paginator(part).stable().pages(concurrency=1):
            rows = self._new_rows(page.items)
            if page.items:
                last = _parse_time(page.items[-1].to_dict().get(str(spec.stable_by)))
                if last is not None and (part.after is None or last - _RESOLUTION > part.after):
                    part.after = last - _RESOLUTION
            self._progress.expect(spec.name, page.count if page.number == 1 else None, part.value)
            await self._deliver(rows, self._state())
            if self._progress.stopping:
                return False
        return True

    async def _read_by_page(self, part: Part) -> bool:
        """Read a list by page number, again if records are missing because they moved to an earlier page in the meantime."""
        spec = self._spec
        for _ in range(_MAX_WALKS):
            count, found = None, set[str]()
            async for page in self._paginator(part).pages():
                count = page.count if spec.operation.result == "page" else None
                self._progress.expect(spec.name, count, part.value)
                found |= {str(item.to_dict().get(spec.key)) for item in page.items}
                await self._deliver(self._new_rows(page.items), None)
                if self._progress.stopping:
                    return False
            if count is None or len(found) >= count:
                break
        return True

    async def _deliver(self, rows: list[dict[str, Any]], state: Mapping[str, Any] | None) -> None:
        self._progress.requested(self._spec.name)
        await self._emit(rows, state)

    def _new_rows(self, items: list[Any]) -> list[dict[str, Any]]:
        """Return the records that this walk has not read yet. A newer version of a record is left to the next walk."""
        spec = self._spec
        new: list[dict[str, Any]] = []
        for item in items:
            row: dict[str, Any] = item.to_dict()
            if row.get(spec.key) is None:
                self._progress.note(spec.name, f"without the records that have no {spec.key}")
            elif self._seen.add(str(row.get(spec.key))):
                new.append(row)
                if self._latest is None and spec.since is not None:
                    at = _parse_time(row.get("updated_at"))
                    if at is not None and (self._newest is None or at > self._newest):
                        self._newest = at
        return new

    async def _split(self, part: Part) -> list[Part]:
        """Split a large part into time ranges with about the same number of records.

        The part itself becomes the first range.

        Returns:
            The other ranges.
        """
        spec = self._spec
        count = self._counts.get(part.value)
        if count is None:
            self._progress.requested(spec.name)
            count = await self._paginator(part, include=False).count()
        pages = -(-count // _PAGE_SIZE)
        if pages < _SPLIT_PAGES:
            return []
        self._progress.expect(spec.name, count, part.value)
        number = min(MAX_PARTS, pages // 2)
        cuts = await asyncio.gather(
            *(self._time_at(part, count * each // number) for each in range(1, number))
        )
        bounds = sorted({cut for cut in cuts if cut is not None})
        if not bounds:
            return []
        ends = [*bounds[1:], part.before]
        part.before, more = (
            bounds[0],
            [
                Part(part.value, start - _RESOLUTION, None if end is None else end, split=True)
                for start, end in zip(bounds, ends, strict=True)
            ],
        )
        return more

    async def _time_at(self, part: Part, position: int) -> datetime | None:
        """Return the time of the record at an index."""
        by = str(self._spec.stable_by)
        more = {"order": f"{by}:asc", "per_page": 1, "page": position + 1}
        self._progress.requested(self._spec.name)
        found = await self._paginator(part, more, include=False).first()
        return None if found is None else _parse_time(found.to_dict().get(by))

    def _paginator(
        self, part: Part, more: Mapping[str, Any] | None = None, *, include: bool = True
    ) -> Paginator[Any]:
        spec = self._spec
        query = {name: value for name, value in spec.query.items() if include or name != "include"}
        query |= more or {}
        if spec.since is not None and self._since is not None:
            query[spec.since] = self._since
        if spec.stable_by is not None:
            after, before = (f"{spec.stable_by.removesuffix('_at')}_{word}" for word in ("after", "before"))
            if part.after is not None:
                given = query.get(after)
                query[after] = part.after if given is None else max(part.after, cast("datetime", given))
            if part.before is not None:
                query[before] = part.before + _RESOLUTION
        path: list[str] = []
        if part.value is not None and spec.fan_out is not None:
            if spec.fan_out.in_path:
                path.append(part.value)
            else:
                query[spec.fan_out.parameter] = part.value
        return self._method()(*path, **query)

    def _method(self) -> Callable[..., Paginator[Any]]:
        operation = self._spec.operation
        return getattr(getattr(self._kantata, operation.resource), operation.name)

    def _state(self) -> Mapping[str, Any] | None:
        if not self._spec.saves_position:
            return None
        return {
            "since": _to_iso(self._since),
            "started": self._started.isoformat(),
            "latest": _to_iso(self._latest or self._newest),
            "parts": [part.to_json() for part in cast("list[Part]", self._parts)],
        }

    @property
    def seen(self) -> Seen:
        """The ids of the records that this walk has read."""
        return self._seen


class Seen:
    """A set of ids that needs little memory: one bit for each id if they are dense numbers."""

    def __init__(self) -> None:
        self._bits: dict[int, int] = {}
        self._others: set[str] = set()

    def add(self, identity: str) -> bool:
        """Add an id, and return whether it is new."""
        if identity.isdecimal() and identity.isascii() and identity[0] != "0" and len(identity) < 19:
            index, bit = divmod(int(identity), 256)
            bits = self._bits.get(index, 0)
            self._bits[index] = bits | 1 << bit
            return not bits >> bit & 1
        new = identity not in self._others
        self._others.add(identity)
        return new

    def __contains__(self, identity: str) -> bool:
        if identity.isdecimal() and identity.isascii() and identity[0] != "0" and len(identity) < 19:
            index, bit = divmod(int(identity), 256)
            return bool(self._bits.get(index, 0) >> bit & 1)
        return identity in self._others


def _first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error, without the groups around it."""
    error = errors.exceptions[0]
    return (
        _first_error(cast("BaseExceptionGroup[BaseException]", error))
        if isinstance(error, BaseExceptionGroup)
        else error
    )


def _parse_time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _from_iso(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _to_iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
