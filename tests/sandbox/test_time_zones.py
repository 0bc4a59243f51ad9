"""A sandbox whose times carry offsets: clients read the same moments, and write them back."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import UsageError
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox

from .conftest import NOW, connected, only

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

LISTS = [
    operation
    for operation in OPERATIONS.values()
    if operation.result == "page"
    and "{" not in operation.path
    and operation.key
    and not any(parameter.required for parameter in operation.query.values())
]


def moments(value: Any) -> list[datetime]:
    """Every time in a JSON value, in order."""
    if isinstance(value, dict):
        return [moment for each in value.values() for moment in moments(each)]
    if isinstance(value, list):
        return [moment for each in value for moment in moments(each)]
    if not isinstance(value, str) or value[10:11] != "T":
        return []
    return [datetime.fromisoformat(value)]


async def page(api: API, operation: Any) -> Any:
    query = operation.widest | (
        {"include": ",".join(operation.query["include"].values)} if "include" in operation.query else {}
    )
    response = await api.client.get(operation.path.strip("/"), params={"per_page": 200, **query})
    if response.status_code == 501:
        response = await api.client.get(
            operation.path.strip("/"), params={"per_page": 200, **operation.widest}
        )
    return response.json()


async def test_every_list_has_the_same_times_with_offsets() -> None:
    zoned = Sandbox("demo", clock=lambda: NOW, time_zone="America/Denver")
    found: set[timedelta | None] = set()
    async with connected(zoned) as api, connected(Sandbox("demo", clock=lambda: NOW)) as plain:
        for operation in LISTS:
            ours, theirs = await page(api, operation), await page(plain, operation)
            text = json.dumps(ours)
            assert moments(ours) == moments(theirs), operation.id
            assert 'Z"' not in text, operation.id
            found |= {moment.utcoffset() for moment in moments(ours)}
    assert found == {timedelta(hours=-6), timedelta(hours=-7)}  # summer and winter


async def test_models_and_events_have_times_with_offsets() -> None:
    sandbox = Sandbox("demo", clock=lambda: NOW, time_zone="-07:00")
    async with sandbox.client(on_drift="raise") as kantata:
        made = await kantata.workspaces.create(title="Website relaunch")
        assert made.created_at == NOW
        assert made.created_at.utcoffset() == timedelta(hours=-7)
        events = kantata.subscribed_events.list(optional_fields=["current_payload"], include=["subject"])
        event = await events.first()
        assert event is not None
        assert event.created_at == NOW
        assert json.loads(event.current_payload or "")["created_at"] == "2026-07-01T02:30:00-07:00"
        times = [
            each.updated_at
            async for each in kantata.stories.list(updated_after=NOW - timedelta(days=90)).stable()
        ]
        assert times == sorted(times)  # pyright: ignore[reportArgumentType]
        assert all(time > NOW - timedelta(days=90) for time in times if time)


async def test_a_record_is_read_and_written_back_in_its_zone() -> None:
    sandbox = Sandbox("demo", clock=lambda: NOW, strict=False, time_zone="+05:30")
    async with connected(sandbox) as api:
        before = only(await api.get("/account_memberships/2005"))
        assert before["created_at"].endswith("+05:30")
        after = only(await api.put("/account_memberships/2005", {"account_membership": before}))
        assert after == {
            **before,
            "updated_at": NOW.astimezone(datetime.fromisoformat(before["created_at"]).tzinfo).isoformat(),
        }
        post = {"workspace_id": 10002, "message": "Z", "backdated_to": "2026-01-01T00:00:00-07:00"}
        made = only(await api.post("/posts", {"post": post}))
        assert made["created_at"] == "2026-01-01T12:30:00+05:30"
        assert sandbox.store.get("posts", made["id"])["created_at"] == "2026-01-01T07:00:00Z"  # type: ignore[index]


@pytest.mark.parametrize("name", ["-7", "+15:00", "-07:60", "Nowhere/Land", "", "../etc/passwd"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="time_zone"):
        Sandbox("empty", time_zone=name)


async def test_times_before_there_were_zones_stay_in_utc() -> None:
    zoned = Sandbox(clock=lambda: NOW, time_zone="America/Denver")
    row = zoned.store.all("backup_approver_associations")[0]
    days = {"start_date": "0829-02-12T00:00:00Z", "end_date": "1901-02-12T00:00:00Z"}
    zoned.store.change("backup_approver_associations", row["id"], **days)
    async with connected(zoned) as api:
        found = only(await api.get(f"/backup_approver_associations/{row['id']}"))
    assert (found["start_date"], found["end_date"]) == ("0829-02-12T00:00:00Z", "1901-02-11T17:00:00-07:00")
