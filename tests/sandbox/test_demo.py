"""The demo account: identical on every machine, consistent, and conforming to the contract."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from kantata_client import UsageError
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox, demo, demo_details, registry, relations, schema
from kantata_client.sandbox.scope import Scope

if TYPE_CHECKING:
    from kantata_client.sandbox import Store

DIGEST = """
import hashlib, msgspec
from kantata_client.sandbox import demo
print(hashlib.sha256(msgspec.json.encode(demo.demo())).hexdigest())
"""


def test_the_demo_account_has_the_documented_size() -> None:
    counts = Sandbox().store.counts()
    assert counts["time_entries"] == 20_000
    assert sum(not row["archived"] for row in Sandbox().store.all("workspaces")) == 40
    live = {row["id"] for row in Sandbox().store.all("workspaces") if not row["archived"]}
    assert sum(row["workspace_id"] in live for row in Sandbox().store.all("stories")) == 2_000
    assert counts["users"] == 61  # one of them has left


def test_the_demo_account_is_identical_in_another_process() -> None:
    here = hashlib.sha256(msgspec.json.encode(demo.demo())).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Pacific/Auckland"}
    there = subprocess.run(
        [sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True, env=environment
    )
    assert there.stdout.strip() == here


def test_the_demo_account_is_built_quickly() -> None:
    demo.demo.cache_clear()
    start = time.process_time()
    Sandbox()
    assert time.process_time() - start < 1.5


@pytest.mark.parametrize("key", sorted(demo.demo()))
def test_demo_records_have_only_declared_fields(key: str) -> None:
    model = schema.model(key)
    known = {
        "id",
        *schema.TIMES,
        *model.kinds,
        *model.hidden,
        *(reference.ids for reference in model.references.values()),
    }
    for record in demo.demo()[key]:
        assert record.keys() <= known


def test_every_list_field_and_include_has_demo_data_or_is_declared_empty() -> None:
    store = Sandbox().store
    scope = Scope(store, demo.OWNER)
    keys = {operation.key for operation in OPERATIONS.values() if operation.key}
    assert {key for key in keys if not store.count(key)} == demo_details.WITHOUT & keys
    empty: set[tuple[str, str]] = set()
    for key in keys - demo_details.WITHOUT:
        model, rows = schema.model(key), store.all(key)
        for field in set(model.kinds) - model.optional - set(model.bound):
            if all(row.get(field) in (None, []) for row in rows):
                empty.add((key, field))
        for name, reference in model.references.items():
            if not any(relations.referred(scope, key, row, reference) for row in rows):
                empty.add((key, name))
    assert empty == {(key, field) for key, field in demo_details.NEVER if key in keys}


@pytest.mark.parametrize("key", sorted(demo.demo()))
def test_demo_references_resolve(key: str) -> None:
    store = Sandbox().store
    scope = Scope(store, demo.OWNER)
    for record in store.all(key)[:500]:
        for reference in schema.model(key).references.values():
            stored = record.get(reference.ids)
            if stored and reference.ids not in registry.resource(key).derived:
                expected = len(stored) if isinstance(stored, list) else 1
                assert len(relations.referred(scope, key, record, reference)) == expected, reference


def test_demo_tasks_form_consistent_trees() -> None:
    store = Sandbox().store
    for story in store.all("stories"):
        parent = store.get("stories", story["parent_id"])
        if parent is None:
            assert story["ancestor_ids"] == []
            assert story["root_id"] is None
        else:
            assert story["ancestor_ids"] == [*parent["ancestor_ids"], parent["id"]]
            assert story["root_id"] == story["ancestor_ids"][0]
            assert story["workspace_id"] == parent["workspace_id"]
        assert story["ancestry_depth"] == len(story["ancestor_ids"])
        assert story["sub_story_count"] == len(store.find("stories", "ancestor_ids", story["id"]))


def check_time(store: Store, last_day: date) -> Counter[tuple[str, str]]:
    """Check the time entries against their tasks; returns the minutes of each user and day."""
    days: Counter[tuple[str, str]] = Counter()
    logged: Counter[str] = Counter()
    for entry in store.all("time_entries"):
        story = store.get("stories", entry["story_id"])
        assert story is not None
        assert story["workspace_id"] == entry["workspace_id"]
        assert str(last_day - timedelta(days=364)) <= entry["date_performed"] <= str(last_day)
        assert entry["time_in_minutes"] % 15 == 0
        days[entry["user_id"], entry["date_performed"]] += entry["time_in_minutes"]
        logged[story["id"]] += entry["time_in_minutes"]
    for identity, minutes in logged.items():
        story = store.get("stories", identity)
        assert story is not None
        assert minutes == (
            story["logged_billable_time_in_minutes"] + story["logged_nonbillable_time_in_minutes"]
        )
    return days


@pytest.mark.parametrize("now", [datetime(2026, 7, 1, 9, tzinfo=UTC), datetime(2027, 3, 4, 9, tzinfo=UTC)])
def test_demo_time_ends_yesterday_and_adds_up_to_the_totals_of_its_tasks(now: datetime) -> None:
    store = Sandbox(clock=lambda: now).store
    yesterday = now.date() - timedelta(days=1)
    days = check_time(store, yesterday)
    assert max(days.values()) <= 10 * 60
    assert all(date.fromisoformat(day).weekday() < 5 for _, day in days)
    assert max(day for _, day in days) == str(yesterday)
    assert max(row["created_at"] for key in store.filled() for row in store.all(key)) < str(now.date())


def test_a_reset_restores_the_same_demo_account() -> None:
    sandbox = Sandbox(clock=lambda: datetime(2027, 3, 4, 9, tzinfo=UTC))
    before = sandbox.dump()
    sandbox.clock.advance(3 * 86_400)
    sandbox.reset()
    assert sandbox.dump() == before


def test_a_large_demo_account_adds_up_and_can_be_written_to() -> None:
    sandbox = Sandbox(entries=50_123, clock=lambda: datetime(2026, 7, 1, 9, tzinfo=UTC))
    store = sandbox.store
    assert store.count("time_entries") == 50_123
    check_time(store, demo.LAST_DAY)
    assert Sandbox(clock=sandbox.clock).store.all("time_entries") == store.all("time_entries")[:20_000]
    [last] = store.ids("time_entries")[-1:]
    store.change("time_entries", last, notes="changed")
    store.remove("time_entries", store.ids("time_entries")[-2])
    assert store.count("time_entries") == 50_122
    assert (store.get("time_entries", last) or {})["notes"] == "changed"
    sandbox.reset()
    assert store.count("time_entries") == 50_123
    assert (store.get("time_entries", last) or {})["notes"] != "changed"


@pytest.mark.parametrize(
    "options",
    [{"entries": 19_999}, {"entries": 1_000_001}, {"seed": "empty"}, {"records": {}}, {"persist": "x.db"}],
)
def test_an_unsuitable_number_of_entries_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="`entries`"):
        Sandbox(**{"entries": 20_000, **options})


def test_an_empty_account_has_only_its_owner() -> None:
    assert Sandbox("empty").store.counts() == {"users": 1, "account_memberships": 1}
    assert Sandbox(None).store.counts() == Sandbox("empty").store.counts()
