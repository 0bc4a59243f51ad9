"""The change feed of the sandbox: an event for each write, disturbed on demand."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import PermissionDeniedError, UsageError, ValidationError
from kantata_client.events import FileCheckpoint
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


class Clock:
    now = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    return Sandbox("demo", clock=clock)


async def test_each_write_becomes_an_event(sandbox: Sandbox) -> None:
    async with sandbox.client() as kantata:
        assert await kantata.subscribed_events.list().count() == 0
        made = await kantata.workspaces.create(title="Moon base", creator_role="consultant")
        await kantata.workspaces.update(made.id, title="Mars base")
        entry = await kantata.time_entries.create(
            workspace_id=int(made.id), date_performed="2026-07-01", time_in_minutes=30
        )
        await kantata.time_entries.delete(entry.id)
        fields = ("previous_payload", "current_payload", "payload_changes")
        events = await kantata.subscribed_events.list(
            order="created_at:asc", optional_fields=fields, include="subject"
        ).collect()
    kinds = [event.event_type for event in events if event.subject_type in ("Workspace", "TimeEntry")]
    assert kinds[0] == "workspace:created"
    assert "workspace:updated" in kinds
    assert kinds[-2:] == ["time_entry:created", "time_entry:deleted"]
    renamed = next(each for each in events if "Mars" in str(each.current_payload))
    assert json.loads(str(renamed.payload_changes))["title"] == {
        "previous": "Moon base",
        "current": "Mars base",
    }
    assert json.loads(str(renamed.previous_payload))["title"] == "Moon base"
    assert renamed.subject is not None
    assert renamed.subject.id == made.id
    assert (renamed.subject_id, renamed.user_id, renamed.context_workspace_id) == (
        int(made.id),
        1001,
        made.id,
    )
    deleted = events[-1]
    assert (deleted.subject, deleted.current_payload) == (None, None)
    assert json.loads(str(deleted.previous_payload))["time_in_minutes"] == 30


async def test_payloads_and_subjects_are_sent_only_on_request(sandbox: Sandbox) -> None:
    async with sandbox.client() as kantata:
        await kantata.workspaces.create(title="Moon base", creator_role="consultant")
        event = await kantata.subscribed_events.list().first()
    assert event is not None
    assert (
        not {"previous_payload", "current_payload", "payload_changes", "subject_ref"} & event.to_dict().keys()
    )


async def test_refused_writes_leave_no_event(sandbox: Sandbox) -> None:
    async with sandbox.client() as kantata:
        fine, wrong = (
            {"workspace_id": workspace, "date_performed": "2026-07-01", "time_in_minutes": 30}
            for workspace in (int(sandbox.store.ids("workspaces")[0]), -1)
        )
        with pytest.raises(ValidationError):
            await kantata.request("POST", "/time_entries", json={"time_entries": [fine, wrong]})
    assert sandbox.feed.all() == []


async def test_events_can_be_filtered(sandbox: Sandbox, clock: Clock) -> None:
    store = sandbox.store
    first, second, third = store.ids("time_entries")[:3]
    moments: list[datetime] = []
    for identity in (first, second, first, third):
        clock.now += MINUTE
        moments.append(clock.now)
        store.change("time_entries", identity, notes=str(clock.now))
    clock.now += MINUTE
    store.remove("time_entries", third)
    store.change("stories", store.ids("stories")[0], title="x")

    async with sandbox.client() as kantata:

        async def found(**query: Any) -> list[str]:
            events = kantata.subscribed_events.list(order="created_at:asc", **query)
            return [f"{event.event_type} {event.subject_id}" async for event in events]

        updates = [f"time_entry:updated {each}" for each in (first, second, first, third)]
        gone = f"time_entry:deleted {third}"
        assert await found(subject_type="TimeEntry") == [*updates, gone]
        assert await found(event_types=["time_entry:deleted", "user:created"]) == [gone]
        assert await found(created_after=moments[1], created_before=moments[3]) == updates[1:3]
        assert await found(subject_type="TimeEntry", subject_id=[second, third]) == [
            updates[1],
            updates[3],
            gone,
        ]
        assert await found(subject_type="TimeEntry", most_recent=True) == [updates[1], updates[2], gone]
        assert await found(subject_type="TimeEntry", most_recent_by_event_type=True) == [*updates[1:], gone]
        assert await found(user_ids=1002) == []
        newest = await kantata.subscribed_events.list(subject_type="Story").one()
        assert await kantata.subscribed_events.list(only=newest.id).one() == newest
        paged = [page async for page in kantata.subscribed_events.list(per_page=2).pages()]
        assert [len(page.items) for page in paged] == [2, 2, 2]
        assert paged[0].count == 6


async def test_events_are_kept_for_9_days(sandbox: Sandbox, clock: Clock) -> None:
    identity = sandbox.store.ids("stories")[0]
    for _ in range(12):
        sandbox.store.change("stories", identity, title=str(clock.now))
        clock.now += timedelta(days=1)
    clock.now -= timedelta(days=1)
    async with sandbox.client() as kantata:
        assert await kantata.subscribed_events.list().count() == 10
    assert len(sandbox.feed.all()) == 10


async def test_only_administrators_may_read_events(sandbox: Sandbox) -> None:
    membership = sandbox.store.where("account_memberships", "user_id", "1001")[0]
    sandbox.store.change("account_memberships", membership["id"], permission="collaborator")
    async with sandbox.client() as kantata:
        with pytest.raises(PermissionDeniedError, match="administrators"):
            await kantata.subscribed_events.list().first()


async def test_event_types_are_listed_with_their_fields(sandbox: Sandbox) -> None:
    async with sandbox.client() as kantata:
        types = await kantata.subscribed_events.event_types()
    assert types.subscribed_event_types
    assert {"time_entry:deleted", "story:updated", "workspace:created"} <= set(types.subscribed_event_types)
    assert types.subscribed_event_type_schemas
    schema = types.subscribed_event_type_schemas["time_entry:updated"]
    assert schema.fields
    assert schema.fields["time_in_minutes"].type == "int"
    subjects = OPERATIONS["GET /subscribed_events"].query["subject_type"].values
    assert len(types.subscribed_event_types) <= 3 * len(subjects)


async def test_disturbed_events_are_late_duplicated_shuffled_and_reproducible(
    clock: Clock, tmp_path: Path
) -> None:
    def events(seed: int) -> tuple[Sandbox, list[tuple[str, datetime, datetime]]]:
        clock.now = datetime(2026, 7, 1, tzinfo=UTC)
        sandbox = Sandbox("demo", clock=clock)
        sandbox.feed.disturb(late=30 * MINUTE, shuffled=10 * MINUTE, doubled=0.1, seed=seed)
        for identity in sandbox.store.ids("time_entries")[:1_000]:
            clock.now += timedelta(seconds=30)
            sandbox.store.change("time_entries", identity, notes="changed")
        return sandbox, [(each.identity, each.written_at, each.visible_at) for each in sandbox.feed.all()]

    sandbox, found = events(1)
    assert found == events(1)[1] != events(2)[1]
    assert 1_060 < len(found) < 1_140
    assert len({each[0] for each in found}) == 1_000
    order = [int(each.identity) for each in sandbox.feed.all()]
    assert order != sorted(order)
    assert max(visible - written for _, written, visible in found) > 20 * MINUTE

    sandbox, _ = events(1)
    delivered: Counter[str] = Counter()
    async with sandbox.client() as kantata:
        for _ in range(8):
            async with kantata.subscribed_events.follow(
                since=timedelta(days=2), checkpoint=FileCheckpoint(tmp_path / "f"), wait=False, now=clock
            ) as following:
                async for event in following:
                    delivered[str(event.subject_id)] += 1
            clock.now += 7 * MINUTE
    assert len(delivered) == 1_000
    assert set(delivered.values()) == {1}


def test_invalid_disturbances_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(UsageError, match="probability"):
        sandbox.feed.disturb(doubled=2)
    with pytest.raises(UsageError, match="negative"):
        sandbox.feed.disturb(late=-MINUTE)
