"""Listings equal a fresh search, whatever is written between two pages."""

from __future__ import annotations

import gc
import os
import random
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox, columns, schema, store
from kantata_client.sandbox import query as query_module
from kantata_client.sandbox.filters import selection
from kantata_client.sandbox.query import SHAPING
from kantata_client.sandbox.records import listed
from kantata_client.sandbox.store import Store

from .conftest import NOW, connected, only

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

QUERIES: list[tuple[str, dict[str, Any]]] = [
    ("/time_entries", {}),
    ("/time_entries", {"order": "updated_at:asc"}),
    ("/time_entries", {"workspace_id": 10002, "order": "created_at:desc"}),
    ("/time_entries", {"from_archived_workspaces": True}),
    ("/time_entries", {"approved": True, "with_user_ids": "1005,1006"}),
    ("/stories", {}),
    ("/stories", {"show_archived": True, "order": "priority_level:desc"}),
    ("/stories", {"with_assignees": "1005"}),
    ("/stories", {"not_assigned_to_user": 1005}),
    ("/stories", {"search": "review design"}),
    ("/stories", {"only_deleted": True}),
    ("/stories", {"workspace_id": 10002}),
    ("/stories", {"has_external_references": True}),
    ("/stories", {"by_custom_text_value": "3803:4"}),
    ("/workspaces", {"order": "amount_paid:desc"}),
    ("/workspaces", {"has_participant": 1005}),
    ("/workspaces", {"user_not_participating": 1005}),
    ("/workspaces", {"include_archived": True, "order": "custom_field:3801:asc"}),
    ("/users", {}),
    ("/users", {"show_disabled": True, "by_full_name_or_account_role": "engineer"}),
]


def forget(sandbox: Sandbox) -> None:
    """Make the next page of every list run a new search."""
    sandbox.store._listings.clear()


async def _write_at_random(api: API, chosen: random.Random, made: list[tuple[str, str]]) -> None:
    store = api.sandbox.store
    workspace = int(chosen.choice(store.ids("workspaces")[1:12]))
    story = chosen.choice(store.ids("stories"))
    match chosen.randrange(10):
        case 0:
            body = {"workspace_id": workspace, "date_performed": f"2026-0{chosen.randint(1, 9)}-15"}
            body |= {"time_in_minutes": chosen.randint(1, 600), "user_id": chosen.choice((1005, 1006, 1007))}
            made.append(("time_entries", only(await api.post("/time_entries", {"time_entry": body}))["id"]))
        case 1:
            title = chosen.choice(("Design review", "Reviewing designs", "Something else"))
            extras: dict[str, Any] = {"assignee_ids": [1005]} if chosen.random() < 0.5 else {}
            extras |= (
                {"custom_fields": [{"custom_field_id": 3803, "value": "4"}]} if chosen.random() < 0.5 else {}
            )
            body = {"workspace_id": workspace, "title": title, **extras}
            made.append(("stories", only(await api.post("/stories", {"story": body}))["id"]))
        case 2:
            fields: dict[str, Any] = {
                "priority": chosen.choice(("low", "high")),
                "archived": chosen.random() < 0.5,
            }
            await api.put(f"/stories/{story}", {"story": fields})
        case 3:
            await api.put(f"/stories/{story}", {"story": {"assignee_ids": chosen.sample([1005, 1006], 1)}})
        case 4:
            archived = not (store.get("workspaces", workspace) or {}).get("archived")
            await api.put(f"/workspaces/{workspace}", {"workspace": {"title": "x", "archived": archived}})
        case 5 if made:
            key, identity = made.pop(chosen.randrange(len(made)))
            await api.client.delete(f"{key}/{identity}")
        case 6:
            verb = chosen.choice(("disable", "enable"))
            await api.put(f"/account_memberships/{chosen.randint(2005, 2009)}/{verb}")
        case 7:
            entry = chosen.choice(store.ids("time_entries")[:500])
            await api.put(
                f"/time_entries/{entry}",
                {"time_entry": {"date_performed": f"2026-0{chosen.randint(1, 9)}-02"}},
            )
        case 8:
            rows = [row for row in store.all("invoices") if row["status"] == "accepted payment"]
            await api.put(f"/invoices/{chosen.choice(rows)['id']}/cancel")
        case _:
            reference = {"service_name": "d", "service_model": "T", "service_model_ref": str(chosen.random())}
            await api.put(f"/stories/{story}", {"story": {"external_reference": reference}})


@pytest.mark.parametrize("seed", range(3))
async def test_a_maintained_listing_equals_a_fresh_search(api: API, seed: int) -> None:
    chosen = random.Random(seed)
    made: list[tuple[str, str]] = []
    for _ in range(6):
        kept = [await api.ids(path, **query, per_page=200) for path, query in QUERIES]
        forget(api.sandbox)
        fresh = [await api.ids(path, **query, per_page=200) for path, query in QUERIES]
        for (path, query), one, other in zip(QUERIES, kept, fresh, strict=True):
            assert one == other, (path, query)
        for _ in range(6):
            await _write_at_random(api, chosen, made)


async def test_a_refused_write_leaves_listings_unchanged(api: API) -> None:
    before = await api.ids("/time_entries", order="updated_at:desc", per_page=200)
    row = {"workspace_id": 10002, "date_performed": "2026-01-01", "time_in_minutes": 0, "user_id": 1005}
    await api.post("/time_entries", {"time_entries": [row, {**row, "story_id": 20001}]}, status=422)
    assert await api.ids("/time_entries", order="updated_at:desc", per_page=200) == before


async def test_a_page_after_a_write_needs_no_new_search(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = ({}, {"workspace_id": 10002, "order": "updated_at:asc"}, {"approved": True})
    for query in queries:
        await api.get("/time_entries", **query)
    searched: list[str] = []
    for search in ("select", "positions"):
        monkeypatch.setattr(selection, search, lambda *args, **options: searched.append("x"))
    row = {"workspace_id": 10002, "date_performed": "2026-01-01", "time_in_minutes": 30}
    for _ in range(3):
        await api.post("/time_entries", {"time_entry": row})
        for query in queries:
            await api.get("/time_entries", **query)
    assert searched == []


PACKED_QUERIES: list[dict[str, Any]] = [
    {},
    {"order": "updated_at:asc"},
    {"order": "created_at:desc", "workspace_id": 10002},
    {"created_after": "2026-01-01T12:00:00Z"},
    {"only": "100001,120001,149000"},
    {"with_user_ids": "1005", "approved": False},
    {"include": "user,story", "date_performed_between": "2026-06-01:2026-06-30"},
]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the collector goes through every dict")
async def test_the_garbage_collector_leaves_packed_records_alone() -> None:
    sandbox = Sandbox(entries=25_000, clock=lambda: NOW)
    records: Any = sandbox.store.records("time_entries")
    async with connected(sandbox) as api:
        for identity in ("100001", "124999"):
            await api.put(f"/time_entries/{identity}", {"time_entry": {"notes": "x"}})
            assert (sandbox.store.get("time_entries", identity) or {})["notes"] == "x"
        await api.delete("/time_entries/124998")
        assert len(records) == sandbox.store.count("time_entries") == 24_999
    assert not gc.is_tracked(records._rows)


async def test_packed_records_are_listed_like_others() -> None:
    """The same records as plain dicts give the same pages, before and after writes."""
    packed = Sandbox(entries=50_000, clock=lambda: NOW)
    plain = Sandbox("empty", clock=lambda: NOW)
    plain.store.reset(packed.dump())
    async with connected(packed) as one, connected(plain) as other:
        for write in (False, True):
            if write:
                for api in (one, other):
                    await api.put("/time_entries/120001", {"time_entry": {"notes": "changed"}})
                    await api.put("/time_entries/130001", {"time_entry": {"date_performed": "2026-06-29"}})
                    await api.delete("/time_entries/140001")
                    body = {"workspace_id": 10002, "date_performed": "2026-06-30", "time_in_minutes": 30}
                    await api.post("/time_entries", {"time_entry": body})
            for query in PACKED_QUERIES:
                pages = [await api.get("/time_entries", **query, per_page=200) for api in (one, other)]
                assert pages[0] == pages[1], query


@pytest.fixture(scope="module")
def large() -> Sandbox:
    """An account whose time entries are packed, and have columns from the start."""
    return Sandbox(entries=20_500, clock=lambda: NOW)


FILTERS: list[dict[str, Any]] = [
    {},
    {"workspace_id": 10002},
    {"with_user_ids": "1002,1003", "updated_after": "2026-03-01T12:00:00Z"},
    {"billable": True, "date_performed_between": "2026-05-01:2026-05-31"},
]


@pytest.mark.parametrize("order", OPERATIONS["GET /time_entries"].query["order"].values)
async def test_a_large_account_lists_what_its_plain_records_would(large: Sandbox, order: str) -> None:
    plain = Sandbox(records=None, clock=lambda: NOW)
    plain.store.reset({key: large.store.all(key) for key in large.store.counts()})
    async with connected(large) as ours, connected(plain) as theirs:
        for query in FILTERS:
            asked = {**query, "order": order, "per_page": 200, "page": 2}
            found, expected = [await each.get("/time_entries", **asked) for each in (ours, theirs)]
            assert found["results"] == expected["results"] != []
            assert found["count"] == expected["count"]


async def test_a_large_account_has_its_columns_when_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No filter and no order of its entries reads them all, and none makes an index."""
    sandbox = Sandbox(entries=20_000, clock=lambda: NOW)
    operation = OPERATIONS["GET /time_entries"]
    read: list[str] = []
    for module, name in ((columns, "column"), (store, "evaluate")):
        monkeypatch.setattr(module, name, lambda *args, **options: read.append("x") or iter(()))
    async with connected(sandbox) as api:
        for order in operation.query["order"].values:
            for name, parameter in operation.query.items():
                if name not in SHAPING:
                    query = {name: SAMPLES.get(name) or query_module.SAMPLES[parameter.kind]}
                    await api.get("/time_entries", order=order, **query)
    assert read == []


SAMPLES = {"workspace_id": "10002", "with_user_ids": "1005,1006", "created_by": "1007"}


def scanned(sandbox: Sandbox) -> AbstractContextManager[object]:
    """Every page is the result of a new search that tests record after record."""
    return patch.multiple(
        Store, columns=lambda self, key: None, remembered=lambda self, query, search: search()
    )


RANDOM_LISTS = [
    "time_entries",
    "stories",
    "expenses",
    "posts",
    "workspaces",
    "participations",
    "users",
    "assignments",
    "timesheet_submissions",
    "invoices",
    "custom_field_values",
    "story_state_changes",
    "external_references",
    "account_memberships",
]


def _random_value(chosen: random.Random, sandbox: Sandbox, key: str, name: str, kind: str) -> str:
    """A value for a filter: one that a record has, if possible."""
    record = sandbox.store.get(key, chosen.choice(sandbox.store.ids(key))) or {}
    times = [
        record.get(field) for field in ("created_at", "updated_at", "date_performed", "due_date", "date")
    ]
    moment = str(chosen.choice([time for time in times if time] or ["2026-01-31T12:00:00Z"]))
    match kind:
        case "boolean":
            return chosen.choice(("true", "false"))
        case "datetime" | "date":
            return moment if kind == "datetime" else moment[:10]
        case _ if name.endswith("_between"):
            return chosen.choice(
                (f"{moment[:10]}:2026-06-30", f"2025-09-01:{moment[:10]}", f":{moment[:10]}")
            )
        case _:
            field = name.removeprefix("with_").removesuffix("s")
            value = next((record[each] for each in (name, field) if record.get(each)), None)
            return str(value) if isinstance(value, (str, int)) else chosen.choice(("1005", "10002", "20010"))


def _random_query(chosen: random.Random, sandbox: Sandbox, key: str) -> dict[str, Any]:
    """Up to three filters, an order and a page of a list."""
    operation = schema.list_of(key)
    assert operation is not None
    names = [name for name in operation.query if name not in {*SHAPING, "search"}]
    query: dict[str, Any] = {"per_page": chosen.choice((20, 200)), "page": chosen.choice((1, 1, 1, 2))}
    for name in chosen.sample(names, min(len(names), chosen.choice((0, 1, 1, 2, 3)))):
        parameter = operation.query[name]
        value = _random_value(chosen, sandbox, key, name, parameter.kind)
        query[name] = chosen.choice(parameter.values) if parameter.values else value
    if key == "workspaces" and chosen.random() < 0.5:
        query["optional_fields"] = (
            "billable_minutes,non_billable_minutes,minutes_logged,total_minutes_approved"
        )
    orders = [o for o in (operation.query["order"].values if "order" in operation.query else ()) if ":" in o]
    if orders and chosen.random() < 0.8:
        query["order"] = chosen.choice([order for order in orders if "custom" not in order] or orders)
    return query


def _check_a_lookup(records: Store, chosen: random.Random) -> None:
    """The column of a field finds the records that have one of its values."""
    key, field = chosen.choice(LOOKED_UP)
    value = chosen.choice(records.all(key)).get(field)
    wanted = chosen.choice([*listed(value), None])
    found = records.find(key, field, wanted)
    assert len(found) == records.number(key, field, wanted)
    assert sorted(found) == sorted(
        row["id"]
        for row in records.all(key)
        if wanted is not None and str(wanted) in map(str, listed(row.get(field)))
    )


LOOKED_UP = (
    ("time_entries", "workspace_id"),
    ("time_entries", "invoice_id"),
    ("time_entries", "billable"),
    ("stories", "ancestor_ids"),
    ("stories", "parent_id"),
    ("assignments", "assignee_id"),
    ("external_references", "service_name"),
)


@pytest.mark.parametrize("seed", range(int(os.environ.get("KANTATA_TEST_LISTINGS", "2"))))
async def test_columns_list_what_a_scan_lists(api: API, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random filters, orders and pages of lists with columns, between random writes."""
    monkeypatch.setattr(store, "LARGE", 1)
    chosen = random.Random(seed)
    made: list[tuple[str, str]] = []
    asked: list[tuple[str, dict[str, Any]]] = []
    filled = 0
    for number in range(60):
        key = chosen.choice(RANDOM_LISTS)
        if asked and number % 4 == 0:
            key, query = chosen.choice(asked)  # once more, from the listing that was kept
        else:
            query = _random_query(chosen, api.sandbox, key)
            asked.append((key, query))
        found = (await api.client.get(key, params=query)).json()
        with scanned(api.sandbox):
            expected = (await api.client.get(key, params=query)).json()
        assert found == expected, (key, query)
        filled += bool(found.get("results"))
        await _write_at_random(api, chosen, made)
        _check_a_lookup(api.sandbox.store, chosen)
    assert filled > 5
