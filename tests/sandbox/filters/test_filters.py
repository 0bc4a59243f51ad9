"""Every named filter of the lists: which records pass, and that others do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client.sandbox import registry
from kantata_client.sandbox.filters import named
from kantata_client.sandbox.filters.common import COMMON

from . import own_fields, related_records

if TYPE_CHECKING:
    from .conftest import Account

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

ALL_PASS = {
    ("account_memberships", "is_active", "true"),
    ("workspaces", "only_participating_or_joinable", "true"),
    ("workspaces", "viewable_for_time_administration", "true"),
}
"""Filters that every record of the account passes."""


def beyond(key: str, name: str, value: str) -> dict[str, Any]:
    """The query of the list that has more records than the filtered one."""
    if key == "users":
        return {"on_my_account": True}
    if key == "workspace_resources":
        return {"include_unnamed": True}
    return {name: "include"} if value == "only" else {}


@pytest.mark.parametrize(("key", "name", "value"), own_fields.KEPT)
async def test_a_filter_by_own_fields_keeps_matching_records_only(
    own: Account, key: str, name: str, value: str
) -> None:
    passing = await own.ids(key, **{name: value})
    assert passing == own_fields.KEPT[key, name, value]
    if value not in {"exclude", "include"}:
        assert await own.ids(key) - passing


@pytest.mark.parametrize("case", sorted(related_records.KEPT), ids="-".join)
async def test_a_filter_by_related_records_keeps_matching_records_only(
    related: Account, case: tuple[str, str, str]
) -> None:
    key, name, value = case
    query = {"on_my_account": True} if key == "users" else {}
    passing = await related.ids(key, **query, **{name: value})
    assert passing == related_records.KEPT[case]
    if value != "exclude" and case not in ALL_PASS:
        assert await related.ids(key, **beyond(*case)) - passing


@pytest.mark.parametrize(("key", "name", "value"), own_fields.LIFTED)
async def test_a_parameter_lifts_a_default_filter(own: Account, key: str, name: str, value: str) -> None:
    default = await own.ids(key)
    assert await own.ids(key, **{name: value}) == default | own_fields.LIFTED[key, name, value] != default


@pytest.mark.parametrize(("key", "name", "value"), sorted(own_fields.WITHOUT_EFFECT))
async def test_a_filter_without_effect_keeps_every_record(
    own: Account, key: str, name: str, value: str
) -> None:
    assert await own.ids(key, **{name: value}) == await own.ids(key) != set()


@pytest.mark.parametrize(("key", "name", "value"), sorted(related_records.WITHOUT_EFFECT))
async def test_a_filter_without_effect_keeps_every_record_with_relations(
    related: Account, key: str, name: str, value: str
) -> None:
    query = {"on_my_account": True} if key == "users" else {}
    assert await related.ids(key, **query, **{name: value}) == await related.ids(key, **query) != set()


def test_every_declared_filter_is_tested() -> None:
    cases = [*own_fields.KEPT, *own_fields.LIFTED, *own_fields.WITHOUT_EFFECT]
    cases += [*related_records.KEPT, *related_records.WITHOUT_EFFECT]
    tested = {(key, name) for key, name, _ in cases} | related_records.LIFTING
    tested |= {(key, name) for key in related_records.SUBJECTS for name, _ in related_records.CUSTOM}
    declared = registry.declared()
    assert not {(each.key, name) for each in declared for name in each.filters} - tested
    assert not COMMON.keys() - {name for _, name in tested}
    hiding = {each.key for each in declared if each.default_filters}
    assert hiding == {key for key, _, _ in own_fields.LIFTED} | {"story_dependencies", "account_memberships"}


def test_the_table_of_filters_is_made_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has each declared filter, and those that follow from names; a request only looks into it."""

    def guess(key: str, name: str) -> None:
        raise AssertionError(name)

    monkeypatch.setattr(named, "_by_name", guess)
    for each in registry.declared():
        for name in each.filters:
            assert named.rule_of(each.key, name) is each.filters[name]
    assert named.rule_of("time_entries", "workspace_id") is not None
    assert named.rule_of("time_entries", "date_performed_between") is not None
    assert named.rule_of("time_entries", "colour") is None


@pytest.mark.parametrize(
    ("key", "query"),
    [
        ("stories", {"starting_between": "foo:bar"}),
        ("stories", {"starting_between": "2026-01-01"}),
        ("stories", {"starting_between": "2026-01-01:2026-01-02:2026-01-03"}),
        ("stories", {"active_between": "2026-13-01:"}),
        ("stories", {"by_custom_number_value": "2:many"}),
        ("stories", {"by_custom_text_value": "colour:red"}),
        ("stories", {"by_custom_text_value": ";"}),
        ("time_entries", {"date_performed_between": ":soon"}),
        ("users", {"with_skills": "python"}),
        ("workspace_allocations", {"overlaps_with_date_range": "nonsense"}),
        ("workspaces", {"milestone_weight_percentage_complete": "half"}),
        ("workspaces", {"pending_timesheet_submissions": "2026-01-01"}),
        ("account_locations", {"archived": "perhaps"}),
    ],
)
async def test_an_invalid_filter_value_is_refused_by_name(
    related: Account, key: str, query: dict[str, str]
) -> None:
    assert next(iter(query)) in await related.refusal(key, **query)


async def test_search_results_are_ranked(related: Account) -> None:
    assert await related.api.ids("/stories", search="interviews") == ["201", "202"]
    assert await related.api.ids("/stories", search="report interviewing") == ["202"]


async def test_days_of_unnamed_resources_are_hidden_by_default(related: Account) -> None:
    assert await related.ids("story_allocation_days") == {1, 2}
    assert await related.ids("story_allocation_days", include_unnamed=True) == {1, 2, 3}
