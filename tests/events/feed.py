"""A fake service with only a change feed, and its own clock."""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import attrs
import httpx

EPOCH = datetime(2026, 3, 2, tzinfo=UTC)


@attrs.frozen
class Written:
    """An event in the feed."""

    id: int
    change: int
    """Number of the change; copies of an event share it."""
    changed_at: datetime
    written_at: datetime
    visible_at: datetime


@attrs.define
class Feed:
    """Answers `GET /subscribed_events` as of `now`, and counts requests."""

    events: list[Written]
    now: datetime = EPOCH
    requests: int = 0
    failures: list[httpx.Response | Exception] = attrs.field(factory=list)
    payloads: bool = True

    def __attrs_post_init__(self) -> None:
        self.events.sort(key=lambda event: (event.written_at, event.id))

    def clock(self) -> datetime:
        return self.now

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        query = request.url.params
        size, number = int(query.get("per_page", 20)), int(query.get("page", 1))
        assert query.get("order") == "created_at:asc"
        start = bisect_left(
            self.events, datetime.fromisoformat(query["created_after"]), key=lambda event: event.written_at
        )
        end = len(self.events)
        if "created_before" in query:
            before = datetime.fromisoformat(query["created_before"])
            end = bisect_left(self.events, before, key=lambda event: event.written_at)
        kinds = set(query["event_types"].split(",")) if "event_types" in query else None
        oldest = self.now - timedelta(days=9)
        found = [
            event
            for event in self.events[start:end]
            if event.visible_at <= self.now
            and event.written_at >= oldest
            and (kinds is None or kind_of(event.change) in kinds)
        ]
        page = found[(number - 1) * size : number * size]
        return httpx.Response(200, json=self._envelope(page, len(found), number, size))

    def _envelope(self, page: list[Written], count: int, number: int, size: int) -> dict[str, object]:
        return {
            "count": count,
            "meta": {
                "count": count,
                "page_count": -(-count // size),
                "page_number": number,
                "page_size": size,
            },
            "results": [{"key": "subscribed_events", "id": str(event.id)} for event in page],
            "subscribed_events": {str(event.id): self._shown(event) for event in page},
        }

    def _shown(self, event: Written) -> dict[str, object]:
        shown: dict[str, object] = {
            "id": str(event.id),
            "event_type": kind_of(event.change),
            "subject_type": "TimeEntry",
            "subject_id": event.change % 1_000,
            "subject_changed_at": event.changed_at.isoformat(timespec="seconds"),
            "created_at": event.written_at.isoformat(timespec="seconds"),
            "user_id": 2,
        }
        if self.payloads:
            shown["current_payload"] = json.dumps(
                {"id": str(event.change % 1_000), "notes": str(event.change)}
            )
        return shown


def kind_of(change: int) -> str:
    return "time_entry:deleted" if change % 10 == 0 else "time_entry:updated"


def written(count: int, *, days: float, seed: int, doubled: float = 0.1) -> list[Written]:
    """Make events of some days: a share of them twice, up to 10 minutes out of order, visible up to 30 minutes late."""
    draw = random.Random(seed)
    events: list[Written] = []
    for change in range(count):
        changed_at = EPOCH + timedelta(days=days * change / count)
        for _ in range(2 if draw.random() < doubled else 1):
            at = (changed_at + timedelta(seconds=draw.uniform(-600, 600))).replace(microsecond=0)
            visible_at = at + timedelta(minutes=draw.uniform(0, 30))
            events.append(Written(0, change, changed_at, at, visible_at))
    draw.shuffle(events)
    return [attrs.evolve(event, id=number) for number, event in enumerate(events, start=1)]
