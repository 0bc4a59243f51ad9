"""The change feed: an event for each write, kept for 9 days; on demand late, duplicated and out of order."""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from kantata_client import models
from kantata_client.errors import UsageError
from kantata_client.operations.subscribed_events import LIST
from kantata_client.sandbox import schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.store import Store

KEPT = timedelta(days=9)
FIRST_ID = 700_000_001
"""Events are numbered separately, so that they do not affect the ids of other records."""

_SUBJECTS: Mapping[str, str] = {"ExpenseReportSubmission": "expense_report"}
"""Class → the subject in its event types, if it is not the class name in snake case."""


@attrs.frozen(order=False)
class FeedEvent:
    """An event of the change feed."""

    id: str
    key: str
    """Envelope key of the changed record."""
    subject_type: str
    action: str
    before: Mapping[str, Any] | None = attrs.field(repr=False)
    after: Mapping[str, Any] | None = attrs.field(repr=False)
    user: str | None
    changed_at: datetime
    written_at: datetime
    visible_at: datetime

    @property
    def type(self) -> str:
        """Such as `time_entry:updated`."""
        return f"{subject_of(self.subject_type)}:{self.action}"

    @property
    def identity(self) -> str:
        """The id of the changed record."""
        record = self.after or self.before or {}
        return str(record.get("id"))

    def __lt__(self, other: Self) -> bool:
        return (self.written_at, int(self.id)) < (other.written_at, int(other.id))


@attrs.define
class _Disorder:
    late: float = 0.0
    shuffled: float = 0.0
    doubled: float = 0.0
    random: random.Random = attrs.Factory(random.Random)


class Feed:
    """The events of a sandbox. They arrive on time, once and in order unless `disturb` was called."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        """Record an event for each write to `store`; `clock` returns the time as an aware datetime."""
        self._store = store
        self._clock = clock
        self._events: list[FeedEvent] = []
        self._pending: deque[tuple[str, Record | None, Record | None, str | None, datetime]] = deque()
        self._next = FIRST_ID
        self._disorder = _Disorder()
        store.watch = self.note

    def __repr__(self) -> str:
        return f"<Feed of {len(self.all())} events>"

    def clear(self) -> None:
        """Delete all events."""
        with self._store.lock:
            self._events.clear()
            self._pending.clear()

    def disturb(
        self,
        *,
        late: timedelta = timedelta(),
        shuffled: timedelta = timedelta(),
        doubled: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Treat the events of later writes as the service does at its worst.

        Args:
            late: How long an event may stay invisible after it was written.
            shuffled: How long after the change an event may be written. Events of changes that are closer together than
                that come in any order.
            doubled: Probability with which an event is written twice, under two ids.
            seed: Of the generator: the same writes at the same times get the same events.

        Raises:
            UsageError: A duration is negative, or `doubled` is not a probability.
        """
        if late < timedelta() or shuffled < timedelta() or not 0 <= doubled <= 1:
            msg = f"disturb(late={late!r}, shuffled={shuffled!r}, doubled={doubled!r}): durations can't be negative, and "
            raise UsageError(msg + "`doubled` is a probability between 0 and 1.", consequence="")
        with self._store.lock:
            self._write()
            self._disorder = _Disorder(
                late.total_seconds(), shuffled.total_seconds(), doubled, random.Random(seed)
            )

    def all(self) -> list[FeedEvent]:
        """All events of the last 9 days, including those not visible yet, in the order they were written."""
        with self._store.lock:
            self._write()
            return list(self._events)

    def note(self, key: str, before: Record | None, after: Record | None) -> None:
        """Note a write: the record before and after it."""
        if key in _types() and before != after:
            now = self._clock()
            while self._pending and self._pending[0][4] < now - KEPT:
                self._pending.popleft()
            self._pending.append((key, before, after, self._store.author, now))

    def visible(self, after: datetime | None, before: datetime | None) -> list[FeedEvent]:
        """The visible events written between two times, in the order they were written."""
        self._write()
        now = self._clock()
        start = 0 if after is None else bisect_left(self._events, after, key=_written)
        end = len(self._events) if before is None else bisect_left(self._events, before, key=_written)
        oldest = now - KEPT
        return [
            event
            for event in self._events[start:end]
            if event.visible_at <= now and event.written_at <= now and event.written_at >= oldest
        ]

    def _write(self) -> None:
        """Write the events of the changes noted since the last call; doing so at each change would slow writes down."""
        while self._pending:
            key, before, after, user, changed_at = self._pending.popleft()
            action = "created" if before is None else "deleted" if after is None else "updated"
            disorder = self._disorder
            for _ in range(2 if disorder.random.random() < disorder.doubled else 1):
                written_at = changed_at + timedelta(seconds=disorder.random.uniform(0, disorder.shuffled))
                written_at = written_at.replace(microsecond=0)
                visible_at = written_at + timedelta(seconds=disorder.random.uniform(0, disorder.late))
                event = FeedEvent(
                    str(self._next),
                    *(key, _types()[key], action, before, after, user, changed_at, written_at, visible_at),
                )
                self._next += 1
                insort(self._events, event)
        keep = bisect_left(self._events, self._clock() - KEPT, key=_written)
        del self._events[:keep]


def shown(event: FeedEvent, store: Store, *, optional: frozenset[str], subject: bool) -> dict[str, Any]:
    """An event as the API sends it; payloads and the reference to the record are included on request."""
    record = event.after or event.before or {}
    workspace = event.identity if event.key == "workspaces" else record.get("workspace_id")
    found: dict[str, Any] = {
        "id": event.id,
        "account_id": 1,
        "context_workspace_id": None if workspace is None else str(workspace),
        "created_at": schema.written(event.written_at),
        "event_type": event.type,
        "subject_changed_at": schema.written(event.changed_at),
        "subject_id": int(event.identity) if event.identity.isdecimal() else None,
        "subject_type": event.subject_type,
        "user_id": None if event.user is None else int(event.user),
    }
    payloads = {
        "previous_payload": lambda: _payload(event.key, store, event.before),
        "current_payload": lambda: _payload(event.key, store, event.after),
        "payload_changes": lambda: _changes(event.key, store, event.before, event.after),
    }
    found |= {name: payloads[name]() for name in sorted(optional & payloads.keys())}
    if subject:
        exists = store.get(event.key, event.identity) is not None
        found["subject_ref"] = {"key": event.key, "id": event.identity} if exists else None
    return found


@cache
def event_types() -> dict[str, Any]:
    """The result of `GET /subscribed_events/event_types`: the types, and the fields of their payloads."""
    types: list[str] = []
    schemas: dict[str, Any] = {}
    for key, name in _types().items():
        kinds = {"id": "str", **schema.model(key).kinds}
        fields = {
            field: {"name": field, "type": kind, "description": None, "fields": None}
            for field, kind in sorted(kinds.items())
        }
        for action in ("created", "updated", "deleted"):
            kind = f"{subject_of(name)}:{action}"
            types.append(kind)
            schemas[kind] = {"name": kind, "description": f"A {name} was {action}.", "fields": fields}
    return {"subscribed_event_types": types, "subscribed_event_type_schemas": schemas}


def subject_of(name: str) -> str:
    """The part of an event type before the colon, for a class such as `TimeEntry`."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")
    return _SUBJECTS.get(name, snake)


@cache
def _types() -> Mapping[str, str]:
    """Envelope key → class, of the records whose changes the service reports."""
    reported = LIST.query["subject_type"].values
    return {models.TYPES[name]: name for name in reported if name in models.TYPES}


def _payload(key: str, store: Store, record: Record | None) -> str | None:
    return None if record is None else msgspec.json.encode(store.shown(key, record)).decode()


def _changes(key: str, store: Store, before: Record | None, after: Record | None) -> str:
    old = store.shown(key, before) if before else {}
    new = store.shown(key, after) if after else {}
    changed = {
        field: {"previous": old.get(field), "current": new.get(field)}
        for field in {**old, **new}
        if old.get(field) != new.get(field)
    }
    return msgspec.json.encode(changed).decode()


def _written(event: FeedEvent) -> datetime:
    return event.written_at


def moment(text: str | None) -> datetime | None:
    """A time in a query; one without a zone is UTC."""
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
