"""Updating, deleting and deciding on many."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import NotFoundError, RetryPolicy, UsageError, ValidationError
from kantata_client.models import CostRate, TimeEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Place

pytestmark = pytest.mark.anyio


async def entries(place: Place, count: int) -> list[Any]:
    return (await place.kantata.time_entries.create_many(place.rows(count))).created


async def test_updates_by_id(place: Place) -> None:
    first, second, third = await entries(place, 3)
    third = third.replace(notes="by model")
    result = await place.kantata.time_entries.update_many(
        [(first.id, {"notes": "by pair"}), {"id": int(second.id), "notes": "by mapping"}, third]
    )
    assert [entry.notes for entry in result.results] == place.notes() == ["by pair", "by mapping", "by model"]
    assert {request.path for request in place.sandbox.requests if request.method == "PUT"} == {
        f"/time_entries/{entry.id}" for entry in (first, second, third)
    }


async def test_update_reports_each_failure(place: Place) -> None:
    made = await entries(place, 20)
    changes = [(entry.id, {"notes": "new"}) for entry in made]
    changes[7] = ("1", {"notes": "new"})
    changes[8] = (made[8].id, {"story_id": 1})
    result = await place.kantata.time_entries.update_many(changes, concurrency=3)
    assert [type(outcome.error) for outcome in result.failed] == [NotFoundError, ValidationError]
    assert [outcome.index for outcome in result.failed] == [7, 8]
    assert place.notes().count("new") == 18


async def test_only_the_changes_of_a_model_are_sent(place: Place) -> None:
    [entry] = await entries(place, 1)
    await place.kantata.time_entries.update(entry.id, time_in_minutes=45)
    made = TimeEntry(id=entry.id, billable=False)
    await place.kantata.time_entries.update_many([entry.replace(notes="new"), made], concurrency=1)
    bodies = [each.json()["time_entry"] for each in place.sandbox.requests if each.method == "PUT"][1:]
    assert bodies == [{"notes": "new"}, {"billable": False}]
    [row] = place.store.all("time_entries")
    assert (row["notes"], row["time_in_minutes"], row["billable"]) == ("new", 45, False)


async def test_received_values_that_can_not_be_sent_do_not_prevent_an_update(place: Place) -> None:
    place.store.change("workspaces", str(place.workspace), price="£113,000")
    workspace = await place.kantata.workspaces.get(place.workspace)
    result = await place.kantata.workspaces.update_many([workspace.replace(title="New")])
    assert [each.title for each in result.results] == ["New"]


async def test_models_without_changes_are_rejected(place: Place) -> None:
    made = await entries(place, 2)
    made[1].notes = "changed in place"
    same = made[0].replace(notes=made[0].notes)
    update = place.kantata.time_entries.update_many
    advice = rf"items\[1\] \(id {made[1].id}\) was not changed with replace\(\), so .* model\.replace\("
    with pytest.raises(UsageError, match=advice):
        await update([made[0].replace(notes="new"), made[1]])
    with pytest.raises(UsageError, match=rf"items\[0\] \(id {same.id}\) has nothing to change"):
        await update([same])
    with pytest.raises(UsageError, match=r"items\[0\]\.created_at is not a known property"):
        await update([same.replace(created_at=datetime(2026, 1, 1, tzinfo=UTC))])
    with pytest.raises(UsageError, match=r"items\[0\] has no id"):
        await update([TimeEntry(notes="x")])

    async def source() -> AsyncIterator[TimeEntry]:
        yield made[0].replace(notes="new")
        yield made[1]

    result = await update(source())
    assert [outcome.status for outcome in result.outcomes] == ["done", "failed"]
    assert isinstance(result.failed[0].error, UsageError)
    assert place.notes() == ["new", "1"]


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"notes": "x"}, r"items\[0\] has no id"),
        ((1, {}), r"items\[0\] has nothing to change"),
        ((1, {"nots": "x"}), r"items\[0\]\.nots"),
        ((True, {"notes": "x"}), r"items\[0\] must be an id, not True"),
        (("", {"notes": "x"}), r"items\[0\] must be an id, not ''"),
        ((1, {"time_in_minutes": "x"}), r"items\[0\]\.time_in_minutes"),
        ((1, 2), r"items\[0\] must be a mapping or a model"),
        ((1, {}, 3), r"a pair of an id and a mapping, not"),
        (7, r"items\[0\] must be a mapping .*, not 7"),
    ],
    ids=str,
)
async def test_invalid_updates_are_rejected_before_anything_is_sent(
    place: Place, item: Any, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        await place.kantata.time_entries.update_many([item])
    assert not [request for request in place.sandbox.requests if request.method == "PUT"]


async def test_update_without_an_answer_is_unknown(place: Place) -> None:
    [entry] = await entries(place, 1)
    place.faults.reset(committed=True, method="PUT", times=None)
    result = await place.kantata.time_entries.update_many([(entry.id, {"notes": "new"})])
    assert len(result.unknown) == 1
    place.faults.clear()
    place.faults.reset(committed=True, method="PUT", times=2)
    result = await place.kantata.time_entries.update_many([(entry.id, {"notes": "newer"})])
    assert [each.notes for each in result.results] == ["newer"]


async def test_cost_rates_are_updated_together(place: Place) -> None:
    kantata = place.kantata
    [member] = await kantata.account_memberships.list().collect(limit=10)
    currencies = ("USD", "EUR", "GBP")
    rates = [
        {"account_membership_id": member.id, "currency": currency, "amount_in_subunits": 100}
        for currency in currencies
    ]
    made = (await kantata.cost_rates.create_many(rates)).created
    made = [rate.replace(amount_in_subunits=200) for rate in made]
    result = await kantata.cost_rates.update_many(
        [*made, *({**rate, "amount_in_subunits": 300} for rate in rates)][:3]
    )
    assert [rate.amount_in_subunits for rate in result.results] == [200] * 3
    assert place.store.count("cost_rates") == 3
    assert len(place.sent(path="/cost_rates")) == 2

    mixed = [{**rates[0], "amount_in_subunits": 5}, (made[1].id, {"amount_in_subunits": 6}), rates[2]]
    result = await kantata.cost_rates.update_many(mixed, concurrency=1)
    assert [rate.amount_in_subunits for rate in result.results] == [5, 6, 100]
    methods = [(each.method, each.path) for each in place.sandbox.requests][-3:]
    assert methods == [("POST", "/cost_rates"), ("PUT", f"/cost_rates/{made[1].id}"), ("POST", "/cost_rates")]


async def test_identity_of_a_cost_rate_is_not_updated(place: Place) -> None:
    rates = place.kantata.cost_rates
    [member] = await place.kantata.account_memberships.list().collect(limit=10)
    row = {"account_membership_id": member.id, "amount_in_subunits": 100}
    [rate] = (await rates.create_many([{**row, "currency": "USD"}])).created
    with pytest.raises(UsageError, match=r"items\[0\]\.currency is not a known property"):
        await rates.update_many([rate.replace(currency="EUR")])
    for unchanged in (rate, rate.replace()):
        with pytest.raises(UsageError, match=rf"items\[0\] \(id {rate.id}\)"):
            await rates.update_many([unchanged])
    await rates.update_many([CostRate(**{**row, "currency": "EUR"})])
    assert [each["currency"] for each in place.store.all("cost_rates")] == ["USD", "EUR"]
    # Not more than one request, and none of the other kind.
    assert len(place.sent(path="/cost_rates")) == 2


async def test_models_are_deleted_by_their_ids(place: Place) -> None:
    made = await entries(place, 3)
    result = await place.kantata.time_entries.delete_many([made[0], made[1].id, made[2]])
    assert len(result.done) == 3
    assert [outcome.item for outcome in result.outcomes] == [made[0], made[1].id, made[2]]
    workspaces = place.kantata.workspaces.list()
    for source in (workspaces, await workspaces.collect()):
        with pytest.raises(UsageError, match=r"ids\[0\] must be an id or a TimeEntry, not Workspace\("):
            await place.kantata.time_entries.delete_many(source)
    with pytest.raises(UsageError, match=r"ids\[0\] must be an id, not None"):
        await place.kantata.time_entries.delete_many([TimeEntry(notes="x")])


async def test_deletion_in_chunks(place: Place) -> None:
    made = await entries(place, 250)
    result = await place.kantata.time_entries.delete_many(entry.id for entry in made)
    assert len(result.done) == 250
    assert result.results == [None] * 250
    assert len(place.sent("DELETE")) == 3
    assert not place.notes()


async def test_refused_deletion_is_split(place: Place) -> None:
    made = await entries(place, 100)
    ids = [entry.id for entry in made]
    ids[10], ids[50] = "1", "2"
    result = await place.kantata.time_entries.delete_many(ids)
    assert [outcome.item for outcome in result.failed] == ["1", "2"]
    assert len(place.notes()) == 2
    assert len(place.sent("DELETE")) == 4


async def test_deletion_that_lost_its_answer_is_done(place: Place) -> None:
    made = await entries(place, 100)
    place.faults.reset(committed=True, method="DELETE")
    result = await place.kantata.time_entries.delete_many([entry.id for entry in made])
    assert len(result.done) == 100
    assert not place.notes()


async def test_deletion_that_lost_its_answer_with_an_invalid_id(place: Place) -> None:
    made = await entries(place, 20)
    place.faults.reset(committed=True, method="DELETE")
    place.store.change("time_entries", made[5].id, invoice_id="77")
    result = await place.kantata.time_entries.delete_many([entry.id for entry in made])
    assert [outcome.index for outcome in result.failed] == [5]
    assert place.notes() == ["5"]


async def test_deletion_without_any_answer_is_unknown(place: Place) -> None:
    made = await entries(place, 20)
    place.faults.reset(committed=True, method="DELETE", times=None)
    result = await place.kantata.time_entries.delete_many([entry.id for entry in made])
    assert len(result.unknown) == 20


async def test_deletion_one_by_one(place: Place) -> None:
    row = {"workspace_id": place.workspace, "title": "T", "story_type": "task"}
    made = (await place.kantata.stories.create_many([row] * 10)).created
    place.faults.reset(committed=True, method="DELETE", times=2)
    result = await place.kantata.stories.delete_many([*(story.id for story in made), 1])
    assert len(result.done) == 10
    assert [outcome.item for outcome in result.failed] == [1]
    assert isinstance(result.failed[0].error, NotFoundError)
    assert not place.store.count("stories")


@pytest.mark.parametrize("ids", [[None], [True], [""], ["1,2"], [1.5], []], ids=str)
async def test_invalid_ids_are_rejected_before_anything_is_sent(place: Place, ids: list[Any]) -> None:
    with pytest.raises(UsageError):
        await place.kantata.time_entries.delete_many(ids)
    assert not place.sent("DELETE")


async def test_decisions(place: Place) -> None:
    made = await entries(place, 3)
    for number in range(3):
        place.store.put(
            "timesheet_submissions",
            {**_submission(), "id": str(500 + number), "workspace_id": str(place.workspace)},
        )
    assert made
    submissions = place.kantata.timesheet_submissions
    result = await submissions.approve_many([500, "501"], description="fine")
    assert [resolution.target_id for resolution in result.results] == [500, 501]
    assert {resolution.type for resolution in result.results} == {"approval"}
    result = await submissions.reject_many([502, 999])
    assert [resolution.target_id for resolution in result.results] == [502]
    assert [outcome.item for outcome in result.failed] == [999]
    result = await submissions.cancel_many([500])
    assert [resolution.type for resolution in result.results] == ["cancellation"]
    statuses = [row["status"] for row in place.store.all("timesheet_submissions")]
    assert statuses == ["cancelled", "approved", "rejected"]
    with pytest.raises(UsageError, match=r"approve_many: ids\[0\] must be an id, not 'x'"):
        await submissions.approve_many(["x"])
    with pytest.raises(UsageError, match=r"ids\[0\] must be an id or a TimesheetSubmission, not TimeEntry"):
        await submissions.approve_many(made)
    result = await submissions.cancel_many(submissions.list())
    assert len(result.outcomes) == 3


def _submission() -> dict[str, Any]:
    return {"status": "submitted", "user_id": "1001", "created_at": "2026-01-01T00:00:00Z", "updated_at": ""}


async def test_soft_deletions(place: Place) -> None:
    policy = RetryPolicy(retries=0)
    async with place.sandbox.client(retries=policy) as kantata:
        with pytest.raises(UsageError, match="the input is empty"):
            await kantata.project_accounting_records.delete_many([])
        for number in range(3):
            place.store.put("project_accounting_records", {"id": str(800 + number), "deleted_at": None})
        result = await kantata.project_accounting_records.delete_many([800, 801, 5])
    assert len(result.done) == 2
    assert [outcome.item for outcome in result.failed] == [5]
    deleted = [row["deleted_at"] is not None for row in place.store.all("project_accounting_records")]
    assert deleted == [True, True, False]
