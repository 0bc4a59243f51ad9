"""Updating, deleting and deciding on many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import NotFoundError, RetryPolicy, UsageError, ValidationError

if TYPE_CHECKING:
    from conftest import Place

pytestmark = pytest.mark.anyio


async def entries(place: Place, count: int) -> list[Any]:
    return (await place.kantata.time_entries.create_many(place.rows(count))).created


async def test_updates_by_id(place: Place) -> None:
    first, second, third = await entries(place, 3)
    third.notes = "by model"
    result = await place.kantata.time_entries.update_many(
        [(first.id, {"notes": "by pair"}), {"id": int(second.id), "notes": "by mapping"}, third]
    )
    assert [entry.notes for entry in result.results] == place.notes() == ["by pair", "by mapping", "by model"]
    assert {request.path for request in place.sandbox.requests if request.method == "PUT"} == {
        f"/time_entries/{entry.id}" for entry in (first, second, third)
    }


async def test_an_update_of_many_tells_each_failure(place: Place) -> None:
    made = await entries(place, 20)
    changes = [(entry.id, {"notes": "new"}) for entry in made]
    changes[7] = ("1", {"notes": "new"})
    changes[8] = (made[8].id, {"story_id": 1})
    result = await place.kantata.time_entries.update_many(changes, concurrency=3)
    assert [type(outcome.error) for outcome in result.failed] == [NotFoundError, ValidationError]
    assert [outcome.index for outcome in result.failed] == [7, 8]
    assert place.notes().count("new") == 18


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"notes": "x"}, r"items\[0\] has no id"),
        ((1, {}), r"items\[0\] has nothing to change"),
        ((1, {"nots": "x"}), r"items\[0\]\.nots"),
        ((True, {"notes": "x"}), r"items\[0\] is True, which is no id"),
        (("", {"notes": "x"}), r"items\[0\] is '', which is no id"),
        ((1, {"time_in_minutes": "x"}), r"items\[0\]\.time_in_minutes"),
        ((1, 2), r"items\[0\]: a mapping or a model"),
        ((1, {}, 3), r"a pair of id and changes"),
        (7, r"items\[0\] is 7"),
    ],
    ids=str,
)
async def test_wrong_updates_are_refused_before(place: Place, item: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        await place.kantata.time_entries.update_many([item])
    assert not [request for request in place.sandbox.requests if request.method == "PUT"]


async def test_an_update_whose_answers_are_lost_is_unknown(place: Place) -> None:
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
    for rate in made:
        rate.amount_in_subunits = 200
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


async def test_deletes_by_chunks(place: Place) -> None:
    made = await entries(place, 250)
    result = await place.kantata.time_entries.delete_many(entry.id for entry in made)
    assert len(result.done) == 250
    assert result.results == [None] * 250
    assert len(place.sent("DELETE")) == 3
    assert not place.notes()


async def test_a_refused_deletion_finds_the_culprits(place: Place) -> None:
    made = await entries(place, 100)
    ids = [entry.id for entry in made]
    ids[10], ids[50] = "1", "2"
    result = await place.kantata.time_entries.delete_many(ids)
    assert [outcome.item for outcome in result.failed] == ["1", "2"]
    assert len(place.notes()) == 2
    assert len(place.sent("DELETE")) == 4


async def test_a_deletion_that_lost_its_answer_is_done(place: Place) -> None:
    made = await entries(place, 100)
    place.faults.reset(committed=True, method="DELETE")
    result = await place.kantata.time_entries.delete_many([entry.id for entry in made])
    assert len(result.done) == 100
    assert not place.notes()


async def test_a_deletion_that_lost_its_answer_with_a_culprit(place: Place) -> None:
    made = await entries(place, 20)
    place.faults.reset(committed=True, method="DELETE")
    place.store.change("time_entries", made[5].id, invoice_id="77")
    result = await place.kantata.time_entries.delete_many([entry.id for entry in made])
    assert [outcome.index for outcome in result.failed] == [5]
    assert place.notes() == ["5"]


async def test_a_deletion_without_any_answer_is_unknown(place: Place) -> None:
    made = await entries(place, 20)
    place.faults.reset(committed=True, method="DELETE", times=None)
    result = await place.kantata.time_entries.delete_many([entry.id for entry in made])
    assert len(result.unknown) == 20


async def test_deletes_one_by_one(place: Place) -> None:
    row = {"workspace_id": place.workspace, "title": "T", "story_type": "task"}
    made = (await place.kantata.stories.create_many([row] * 10)).created
    place.faults.reset(committed=True, method="DELETE", times=2)
    result = await place.kantata.stories.delete_many([*(story.id for story in made), 1])
    assert len(result.done) == 10
    assert [outcome.item for outcome in result.failed] == [1]
    assert isinstance(result.failed[0].error, NotFoundError)
    assert not place.store.count("stories")


@pytest.mark.parametrize("ids", [[None], [True], [""], ["1,2"], [1.5], []], ids=str)
async def test_wrong_ids_are_refused_before(place: Place, ids: list[Any]) -> None:
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
    with pytest.raises(UsageError, match=r"approve_many: ids\[0\] is 'x'"):
        await submissions.approve_many(["x"])


def _submission() -> dict[str, Any]:
    return {"status": "submitted", "user_id": "1001", "created_at": "2026-01-01T00:00:00Z", "updated_at": ""}


async def test_soft_deletions(place: Place) -> None:
    policy = RetryPolicy(attempts=1)
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
