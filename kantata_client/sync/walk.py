"""Walking one list from a moment on, so that no record is lost and an interrupted walk can be continued.

A list that can be walked in the order of a time is cut into parts of that time, which are walked side by side: each request
of such a walk depends on the last one, and one walk alone would leave most of the rate limit unused. What is kept after each
page is how far each part got.
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
from kantata_client.sync.lists import lists

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from kantata_client._lists.paginator import Paginator
    from kantata_client.client import Kantata
    from kantata_client.sync.lists import FanOut, List
    from kantata_client.sync.progress import Progress

PARTS = 8
"""Parts of a list that are walked side by side."""
_SPLIT_FROM = 8
"""Pages from which a list is split."""
_PAGE = 200
_GRAIN = timedelta(seconds=1)
"""Times of the service may be cut to seconds, and whether its filters include the moment itself is not documented."""
_WALKS = 3
"""Walks over a list that has no order of time, before a count that does not fit is accepted."""


@attrs.define(eq=False)
class Part:
    """A part of a list that is still to be read."""

    value: str | None = None
    """Of the parameter by which the list is read in parts."""
    after: datetime | None = None
    before: datetime | None = None
    split: bool = False

    def kept(self) -> list[Any]:
        """As JSON."""
        return [self.value, _written(self.after), _written(self.before), self.split]


class Walk:
    """A walk over a list, or its continuation."""

    def __init__(
        self,
        kantata: Kantata,
        of: List,
        since: datetime | None,
        kept: Mapping[str, Any] | None,
        progress: Progress,
        emit: Callable[[list[dict[str, Any]], Mapping[str, Any] | None], Awaitable[None]],
    ) -> None:
        self._kantata = kantata
        self._of = of
        self._progress = progress
        self._emit = emit
        self._seen = Seen()
        self._newest: datetime | None = None
        if kept is None:
            self._since = since
            self._started = datetime.now(UTC)
            self._latest: datetime | None = None
            self._parts: list[Part] | None = None
        else:
            self._since = _parsed(kept["since"])
            self._started = datetime.fromisoformat(kept["started"])
            self._latest = _parsed(kept["latest"])
            self._parts = [
                Part(each[0], _parsed(each[1]), _parsed(each[2]), each[3]) for each in kept["parts"]
            ]
        # A list that is read parent by parent has too many parts to keep how far each got.
        self._resumable = of.fan_out is None or of.fan_out.parent is None

    @property
    def latest(self) -> datetime | None:
        """What was updated since then may be missing: the beginning of the walk, by the clock of the service.

        This machine's clock may be ahead, so it is the latest update that the service knew when the walk began.
        """
        latest = self._latest or self._newest
        if latest is None and self._of.fan_out is not None:
            return (
                self._started
            )  # there are no records, and asking each parent again would cost many requests
        return None if latest is None else min(latest, self._started)

    async def run(self) -> bool:
        """Read the list.

        Returns:
            Whether it was read to its end, and not stopped before.
        """
        try:
            return await self._run()
        except (BadRequestError, PermissionDeniedError, ValidationError, ServerError) as error:
            if "include" not in self._of.query or (isinstance(error, ServerError) and error.status != 501):
                raise
            refused = await self._refused_includes()
            include = [each for each in cast("list[str]", self._of.query["include"]) if each not in refused]
            if not refused or not include:
                raise
            self._of = attrs.evolve(self._of, query={**self._of.query, "include": include or None})
            self._progress.note(
                self._of.name, f"without the ids of {', '.join(refused)}, which the service refuses"
            )
        return await self._run()

    async def _refused_includes(self) -> list[str]:
        """The associations that the service refuses, an account without an add-on for example."""
        of = self._of
        part = self._parts[0] if self._parts else Part()
        refused: list[str] = []
        for include in cast("list[str]", of.query["include"]):
            more: dict[str, Any] = {"include": [include]}
            if "per_page" in of.operation.query:
                more["per_page"] = 1
            self._progress.requested(of.name)
            try:
                await self._paginator(part, more).first()
            except (BadRequestError, PermissionDeniedError, ValidationError, ServerError):
                refused.append(include)
        return refused

    async def _run(self) -> bool:
        of = self._of
        if self._parts is None:
            self._parts = await self._beginning()
        pending = list(self._parts)
        limit = asyncio.Semaphore(PARTS)

        async def read(part: Part) -> None:
            async with limit:
                await self._read(part)

        while pending:
            try:
                async with asyncio.TaskGroup() as group:
                    for part in pending:
                        group.create_task(read(part))
            except BaseExceptionGroup as errors:
                raise _first(errors) from None
            if self._progress.stopping or self._progress.enough(of.name):
                return not self._parts
            pending = list(self._parts)
        return True

    async def _beginning(self) -> list[Part]:
        of = self._of
        if of.fan_out is None:
            self._latest = await self._latest_update({})
            return [Part()]
        if of.fan_out.parent is None:
            latest = [await self._latest_update({of.fan_out.parameter: value}) for value in of.fan_out.values]
            self._latest = max((each for each in latest if each is not None), default=None)
            return [Part(value) for value in of.fan_out.values]
        return [Part(value) async for value in self._parents(of.fan_out)]

    async def _parents(self, fan_out: FanOut) -> AsyncIterator[str]:
        parent = lists()[str(fan_out.parent)]
        query = {name: value for name, value in parent.query.items() if name != "include"}
        if fan_out.history and self._since is not None:
            query["updated_after"] = self._since
        method = getattr(getattr(self._kantata, parent.operation.resource), parent.operation.name)
        found = method(**query)
        async for page in (found.stable() if parent.stable_by else found).pages():
            self._progress.requested(self._of.name)
            for item in page.items:
                yield str(item.to_dict()[parent.key])

    async def _latest_update(self, more: Mapping[str, Any]) -> datetime | None:
        of = self._of
        by = "created_at" if of.log else "updated_at"
        order = of.operation.query.get("order")
        if of.since is None or order is None or f"{by}:desc" not in order.values:
            return None
        query = {name: value for name, value in of.query.items() if name != "include"}
        self._progress.requested(of.name)
        first = await self._method()(**query, **more, order=f"{by}:desc").first()
        return None if first is None else _time(first.to_dict().get(by))

    async def _read(self, part: Part) -> None:
        """Read a part, or what the run has time for."""
        of, resumable = self._of, self._resumable
        if self._progress.stopping or (resumable and self._progress.enough(of.name)):
            return
        if of.stable_by and not part.split:
            more = await self._split(part) if resumable else []
            part.split = True
            cast("list[Part]", self._parts).extend(more)
            if more:
                return  # the parts are read side by side
        read = self._read_by_time if of.stable_by else self._read_by_page
        try:
            done = await read(part)
        except NotFoundError:
            if of.fan_out is None or of.fan_out.parent is None:
                raise
            done = True  # the parent was deleted meanwhile
        if done:
            cast("list[Part]", self._parts).remove(part)
            await self._emit([], self._state() if resumable else None)

    async def _read_by_time(self, part: Part) -> bool:
        of, resumable = self._of, self._resumable
        async for page in self._paginator(part).stable().pages(concurrency=1):
            rows = self._fresh(page.items)
            if page.items:
                last = _time(page.items[-1].to_dict().get(str(of.stable_by)))
                if last is not None and (part.after is None or last - _GRAIN > part.after):
                    part.after = last - _GRAIN
            self._progress.expect(of.name, page.count if page.number == 1 else None, part.value)
            await self._hand_over(rows, self._state() if resumable else None)
            if self._progress.stopping or (resumable and self._progress.enough(of.name)):
                return False
        return True

    async def _read_by_page(self, part: Part) -> bool:
        """Read a list that is paged by position: what moves to an earlier page meanwhile is found by another walk."""
        of = self._of
        for _ in range(_WALKS):
            count, found = None, set[str]()
            async for page in self._paginator(part).pages():
                count = page.count if of.operation.result == "page" else None
                self._progress.expect(of.name, count, part.value)
                found |= {str(item.to_dict().get(of.key)) for item in page.items}
                await self._hand_over(self._fresh(page.items), None)
                if self._progress.stopping:
                    return False
            if count is None or len(found) >= count:
                break
        return True

    async def _hand_over(self, rows: list[dict[str, Any]], state: Mapping[str, Any] | None) -> None:
        self._progress.read(self._of.name, len(rows))
        await self._emit(rows, state)

    def _fresh(self, items: list[Any]) -> list[dict[str, Any]]:
        """Records that this run did not read yet; of two versions the first, since the next run reads the other one."""
        of = self._of
        fresh: list[dict[str, Any]] = []
        for item in items:
            row: dict[str, Any] = item.to_dict()
            if row.get(of.key) is None:
                self._progress.note(of.name, f"without records that have no {of.key}")
            elif self._seen.add(str(row.get(of.key))):
                fresh.append(row)
                if self._latest is None and of.since is not None:
                    at = _time(row.get("updated_at"))
                    if at is not None and (self._newest is None or at > self._newest):
                        self._newest = at
        return fresh

    async def _split(self, part: Part) -> list[Part]:
        """Cut a large part into several of about the same number of records. The part itself becomes the first of them."""
        of = self._of
        paginator = self._paginator(part, include=False)
        self._progress.requested(of.name)
        count = await paginator.count()
        pages = -(-count // _PAGE)
        if pages < _SPLIT_FROM:
            return []
        self._progress.expect(of.name, count, part.value)
        number = min(PARTS, pages // 2)
        cuts = await asyncio.gather(
            *(self._time_of(part, count * each // number) for each in range(1, number))
        )
        bounds = sorted({cut for cut in cuts if cut is not None})
        if not bounds:
            return []
        ends = [*bounds[1:], part.before]
        part.before, more = (
            bounds[0],
            [
                Part(part.value, start - _GRAIN, None if end is None else end, split=True)
                for start, end in zip(bounds, ends, strict=True)
            ],
        )
        return more

    async def _time_of(self, part: Part, position: int) -> datetime | None:
        """The time of the record at a position."""
        by = str(self._of.stable_by)
        more = {"order": f"{by}:asc", "per_page": 1, "page": position + 1}
        self._progress.requested(self._of.name)
        found = await self._paginator(part, more, include=False).first()
        return None if found is None else _time(found.to_dict().get(by))

    def _paginator(
        self, part: Part, more: Mapping[str, Any] | None = None, *, include: bool = True
    ) -> Paginator[Any]:
        of = self._of
        query = {name: value for name, value in of.query.items() if include or name != "include"}
        query |= more or {}
        if of.since is not None and self._since is not None:
            query[of.since] = self._since
        if of.stable_by is not None:
            after, before = (f"{of.stable_by.removesuffix('_at')}_{word}" for word in ("after", "before"))
            if part.after is not None:
                given = query.get(after)
                query[after] = part.after if given is None else max(part.after, cast("datetime", given))
            if part.before is not None:
                query[before] = part.before + _GRAIN
        path: list[str] = []
        if part.value is not None and of.fan_out is not None:
            if of.fan_out.in_path:
                path.append(part.value)
            else:
                query[of.fan_out.parameter] = part.value
        return self._method()(*path, **query)

    def _method(self) -> Callable[..., Paginator[Any]]:
        operation = self._of.operation
        return getattr(getattr(self._kantata, operation.resource), operation.name)

    def _state(self) -> Mapping[str, Any]:
        return {
            "since": _written(self._since),
            "started": self._started.isoformat(),
            "latest": _written(self._latest or self._newest),
            "parts": [part.kept() for part in cast("list[Part]", self._parts)],
        }

    @property
    def seen(self) -> Seen:
        """The ids that this run read."""
        return self._seen


class Seen:
    """A set of ids, a bit each while they are dense numbers."""

    def __init__(self) -> None:
        self._bits: dict[int, int] = {}
        self._others: set[str] = set()

    def add(self, identity: str) -> bool:
        """Add an id; whether it is new."""
        if identity.isdecimal() and identity.isascii() and identity[0] != "0" and len(identity) < 19:
            place, bit = divmod(int(identity), 256)
            bits = self._bits.get(place, 0)
            self._bits[place] = bits | 1 << bit
            return not bits >> bit & 1
        new = identity not in self._others
        self._others.add(identity)
        return new

    def __contains__(self, identity: str) -> bool:
        if identity.isdecimal() and identity.isascii() and identity[0] != "0" and len(identity) < 19:
            place, bit = divmod(int(identity), 256)
            return bool(self._bits.get(place, 0) >> bit & 1)
        return identity in self._others


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first, without the groups around it."""
    error = errors.exceptions[0]
    return (
        _first(cast("BaseExceptionGroup[BaseException]", error))
        if isinstance(error, BaseExceptionGroup)
        else error
    )


def _time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _parsed(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
