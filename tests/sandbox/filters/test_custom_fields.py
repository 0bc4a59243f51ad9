"""The filters by custom fields, in each resource that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .related_records import CUSTOM, SUBJECTS

if TYPE_CHECKING:
    from .conftest import Account

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


@pytest.mark.parametrize(("name", "value"), sorted(CUSTOM))
@pytest.mark.parametrize("key", SUBJECTS)
async def test_a_filter_keeps_records_with_a_matching_value(
    related: Account, key: str, name: str, value: str
) -> None:
    _, with_values, without = SUBJECTS[key]
    query = {"on_my_account": True} if key == "users" else {}
    found = await related.ids(key, **query, **{name: value})
    assert with_values in found
    assert without not in found


@pytest.mark.parametrize("value", ["1:Red", "2:41", "3:2026-04-01:", "5:1250:EUR", "2:42;2:43;5:1"])
async def test_a_filter_drops_records_with_another_value(related: Account, value: str) -> None:
    kinds = {"1": "text", "2": "number", "3": "date", "5": "currency"}
    found = await related.ids("stories", **{f"by_custom_{kinds[value[0]]}_value": value})
    assert not found & {201, 202}


async def test_blank_keeps_records_without_a_choice(related: Account) -> None:
    found = await related.ids("stories", by_custom_choice_value="4:blank")
    assert 202 in found
    assert 201 not in found
