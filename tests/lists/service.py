"""A list in memory that is edited between any two requests, as an httpx transport."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()


@dataclass(slots=True)
class Record:
    """`created` and `updated` in seconds since 1970."""

    id: int
    created: float
    updated: float
    visible: bool = True
    flipped: bool = False
    """Whether it was hidden or shown during the walk; a stable walk makes no promise for such records."""


@dataclass
class ListService(httpx.AsyncBaseTransport):
    """Serves any list; counts, and filters and sorts by time, with equal times in a new order in each response.

    `edit` is called before each response and may change the records. With `whole_seconds`, times are cut to seconds for
    filtering and sorting, as they always are in responses. `inclusive` says whether `…_after` and `…_before` include the
    moment itself.
    """

    records: dict[int, Record] = field(default_factory=dict[int, Record])
    key: str = "stories"
    now: float = START
    whole_seconds: bool = False
    inclusive: bool = False
    steady: bool = False
    """Sort equal times by id, which real services do not promise."""
    chance: Random = field(default_factory=lambda: Random(1))
    edit: Callable[[], None] = lambda: None
    requests: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    under_way: int = 0
    most_under_way: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        self.requests.append(query)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            for _ in range(self.chance.randrange(3)):
                await anyio.lowlevel.checkpoint()
            self.edit()
            content = self.answer(query)
            for _ in range(self.chance.randrange(3)):
                await anyio.lowlevel.checkpoint()
        finally:
            self.under_way -= 1
        return httpx.Response(200, content=content, headers={"x-request-id": f"r-{len(self.requests)}"})

    def answer(self, query: dict[str, str]) -> bytes:
        found = [record for record in self.records.values() if record.visible]
        for by in ("created", "updated"):
            if (after := query.get(f"{by}_after")) is not None:
                moment = datetime.fromisoformat(after).timestamp()
                found = [record for record in found if self._is_behind(getattr(record, by), moment)]
            if (before := query.get(f"{by}_before")) is not None:
                moment = datetime.fromisoformat(before).timestamp()
                found = [record for record in found if self._is_behind(moment, getattr(record, by))]
        if only := query.get("only"):
            wanted = {int(each) for each in only.split(",")}
            found = [record for record in found if record.id in wanted]
        if not self.steady:
            self.chance.shuffle(found)
        by = query.get("order", "created_at:asc").removesuffix("_at:asc")
        if by != "id":
            found.sort(key=lambda record: self._grain(getattr(record, by)))
        size, number = int(query.get("per_page", "20")), int(query.get("page", "1"))
        page = found[size * (number - 1) : size * number]
        return envelope(self.key, [self._as_json(record) for record in page], len(found))

    def _as_json(self, record: Record) -> dict[str, Any]:
        return {
            "id": str(record.id),
            "created_at": _text(record.created),
            "updated_at": _text(record.updated),
            "title": f"Record {record.id}",
        }

    def _is_behind(self, time: float, moment: float) -> bool:
        time, moment = self._grain(time), self._grain(moment)
        return time >= moment if self.inclusive else time > moment

    def _grain(self, time: float) -> float:
        return float(int(time)) if self.whole_seconds else time

    # --- edits ---

    def add(self, *, visible: bool = True) -> Record:
        identifier = max(self.records, default=0) + 1
        record = self.records[identifier] = Record(identifier, self.now, self.now, visible)
        return record

    def fill(self, count: int, spread: float) -> None:
        """Add records from the past up to now, `spread` seconds apart."""
        for identifier in range(1, count + 1):
            time = self.now - spread * (count - identifier)
            self.records[identifier] = Record(identifier, time, time)


def envelope(key: str, objects: list[dict[str, Any]], count: int | None) -> bytes:
    """A response with these results."""
    body: dict[str, Any] = {
        "results": [{"key": key, "id": each["id"]} for each in objects],
        key: {each["id"]: each for each in objects},
    }
    return json.dumps(body | ({} if count is None else {"count": count})).encode()


def _text(time: float) -> str:
    return datetime.fromtimestamp(int(time), UTC).isoformat()


class NonconformingService(ListService):
    """A service that deviates from its contract.

    `grain` is the granularity of times in seconds: in responses, filters and sorting. `coarse_filter` is that of filters
    alone. `ignored` are query parameters without effect. `most` is the largest page, which no response mentions. `counted`
    says whether there is a count. `repeats` are the numbers of requests that get the previous response.
    """

    def __init__(
        self,
        *,
        grain: float = 1.0,
        coarse_filter: float = 0.0,
        ignored: frozenset[str] = frozenset(),
        most: int = 10_000,
        counted: bool = True,
        repeats: frozenset[int] = frozenset(),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.grain = grain
        self.coarse_filter = coarse_filter
        self.ignored = ignored
        self.most = most
        self.counted = counted
        self.repeats = repeats
        self._before = b""

    def answer(self, query: dict[str, str]) -> bytes:
        if len(self.requests) in self.repeats and self._before:
            return self._before
        ignored = {
            *self.ignored,
            *(f"{kind}_after" for kind in ("created", "updated") if "after" in self.ignored),
        }
        query = {name: value for name, value in query.items() if name not in ignored}
        query["per_page"] = str(min(int(query.get("per_page", "20")), self.most))
        if "order" in ignored:
            query["order"] = "id"
        body = json.loads(super().answer(query))
        if not self.counted:
            del body["count"]
        self._before = json.dumps(body).encode()
        return self._before

    def _as_json(self, record: Record) -> dict[str, Any]:
        fields = super()._as_json(record)
        fields["created_at"], fields["updated_at"] = (
            _text(self._grain(record.created)),
            _text(self._grain(record.updated)),
        )
        return fields

    def _is_behind(self, time: float, moment: float) -> bool:
        cut = max(self.coarse_filter, self.grain if self.whole_seconds or self.grain > 1 else 0.0)
        if cut:
            time, moment = time - time % cut, moment - moment % cut
        return time >= moment if self.inclusive else time > moment

    def _grain(self, time: float) -> float:
        return time - time % self.grain if self.grain > 1 or self.whole_seconds else time
