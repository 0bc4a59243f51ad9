"""Items that the service writes into one object: each is done, and has that object."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import ExternalReferenceKey, UsageError
from kantata_client._bulk.matching import UnassignedError
from tests.bulk.nonconforming_services import NonconformingService, changed
from tests.bulk.test_proof import client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx
    from conftest import Place

pytestmark = pytest.mark.anyio

MONDAY, TUESDAY = "2026-01-05", "2026-01-06"


async def days(place: Place, *hours: tuple[str, float]) -> list[dict[str, Any]]:
    user = await place.kantata.users.me()
    return [{"user_id": user.id, "requested_date": day, "hours": number} for day, number in hours]


async def test_time_off_of_one_day_is_one_entry(place: Place) -> None:
    entries = place.kantata.time_off_entries
    rows = await days(place, (MONDAY, 1), (TUESDAY, 2), (MONDAY, 3))
    rows[2] |= {"user_id": int(rows[0]["user_id"]), "requested_date": date.fromisoformat(MONDAY)}
    result = await entries.create_many(rows)
    assert [outcome.status for outcome in result.outcomes] == ["done"] * 3
    assert [(entry.requested_date, entry.hours) for entry in result.results] == [
        (date(2026, 1, 5), 4),
        (date(2026, 1, 6), 2),
        (date(2026, 1, 5), 4),
    ]
    assert result.results[0].id == result.results[2].id
    again = await entries.create_many(await days(place, (TUESDAY, 1), (TUESDAY, 1), (MONDAY, 1)))
    assert [entry.hours for entry in again.results] == [4, 4, 5]
    assert place.store.count("time_off_entries") == 2


async def test_combined_items_can_not_have_keys(place: Place) -> None:
    rows = await days(place, (MONDAY, 1), (TUESDAY, 2), (MONDAY, 3))
    keyed = [{**row, "erp_id": f"line-{index}"} for index, row in enumerate(rows)]
    key = ExternalReferenceKey("erp", "line", ref="erp_id", patience=0.0)
    create = place.kantata.time_off_entries.create_many
    with pytest.raises(UsageError, match=r"items\[0\] and items\[2\] into one object"):
        await create(keyed, key=key)
    assert not place.sent(path="/time_off_entries")

    async def read() -> AsyncIterator[dict[str, Any]]:
        for row in keyed:
            yield row

    result = await create(read(), key=key)
    assert [outcome.status for outcome in result.outcomes] == ["done", "done", "failed"]
    again = await create(keyed[:2], key=key)
    assert len(again.found) == 2
    assert place.store.count("time_off_entries") == 2


async def test_last_value_of_an_upsert_wins(place: Place) -> None:
    kantata = place.kantata
    [member] = await kantata.account_memberships.list().collect(limit=10)
    row = {"account_membership_id": member.id, "currency": "USD"}
    for write in (kantata.cost_rates.create_many, kantata.cost_rates.update_many):
        rates = await write([{**row, "amount_in_subunits": 1}, {**row, "amount_in_subunits": 2}])
        assert [rate.amount_in_subunits for rate in rates.results] == [2, 2]
    field = {"name": "Region", "subject_type": "Workspace", "value_type": "string"}
    ids = {"custom_field_id": place.store.put("custom_fields", field)["id"], "subject_id": place.workspace}
    ours = {**ids, "subject_type": "Workspace"}
    values = await kantata.custom_field_values.create_many([{**ours, "value": "a"}, {**ours, "value": "b"}])
    assert [each.value for each in values.results] == ["b", "b"]
    assert values.results[0].id == values.results[1].id
    assert place.store.count("custom_field_values") == 1


def doubled(body: dict[str, Any]) -> None:
    """Name an object once for each item."""
    body["results"] += body["results"]


def unnamed(body: dict[str, Any]) -> None:
    """Leave out the last object."""
    gone = body["results"].pop()
    del body["time_off_entries"][gone["id"]]


def swapped(body: dict[str, Any]) -> None:
    body["results"].reverse()


@pytest.mark.parametrize(
    ("change", "days_off", "known"),
    [
        (doubled, [(MONDAY, 1), (MONDAY, 2)], True),
        (unnamed, [(MONDAY, 1), (MONDAY, 2), (TUESDAY, 1)], False),
        (swapped, [(MONDAY, 1), (MONDAY, 2), (TUESDAY, 1)], False),
    ],
)
async def test_answers_of_other_services(place: Place, change: Any, days_off: Any, known: bool) -> None:
    class Service(NonconformingService):
        async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
            answer = await self.forward(request, body)
            return changed(answer, change) if request.method == "POST" else answer

    async with client(place, Service(place.sandbox)) as kantata:
        result = await kantata.time_off_entries.create_many(await days(place, *days_off))
    assert {outcome.status for outcome in result.outcomes} == {"done" if known else "unknown"}
    if known:
        assert [entry.hours for entry in result.results] == [3, 3]
    elif change is swapped:
        assert isinstance(result.unknown[0].error, UnassignedError)
        assert len(result.unknown[0].error.objects) == 2
