"""Approvals that a project's settings give: of what was logged before they were switched on, or before the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .conftest import only, refusal

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


async def project(api: API) -> int:
    return int(only(await api.post("/workspaces", {"workspace": {"title": "P"}}))["id"])


async def logged(api: API, workspace: int, *days: str) -> list[str]:
    row = {"workspace_id": workspace, "time_in_minutes": 30}
    rows = [{**row, "date_performed": day} for day in days]
    return [result["id"] for result in (await api.post("/time_entries", {"time_entries": rows}))["results"]]


async def spent(api: API, workspace: int, *days: str) -> list[str]:
    row = {
        "workspace_id": workspace,
        "amount_in_cents": 100,
        "category": "Travel",
        "expense_category_id": 3701,
    }
    rows = [{**row, "date": day} for day in days]
    return [result["id"] for result in (await api.post("/expenses", {"expenses": rows}))["results"]]


@pytest.mark.parametrize(("kind", "key"), [("time", "time_entries"), ("expense", "expenses")])
async def test_backfilling_approves_what_is_there(api: API, kind: str, key: str) -> None:
    workspace = await project(api)
    make = logged if kind == "time" else spent
    early, late = await make(api, workspace, "2026-05-04", "2026-05-05")
    path = f"/workspaces/{workspace}/toggle_{kind}_approvals"
    switch: dict[str, Any] = {"enable": False, "backfill_date": "2026-05-04"}
    assert "switched on" in await refusal(api, "PUT", path, {"workspace": switch})
    body = await api.put(path, {"workspace": {**switch, "enable": True}})
    assert only(body)[f"require_{kind}_approvals"] is True
    assert await api.ids(f"/{key}", workspace_id=workspace, approved=True) == [early]
    show = {"optional_fields": "user_can_edit"}
    assert only(await api.get(f"/{key}/{early}", **show))["user_can_edit"] is False
    assert only(await api.get(f"/{key}/{late}", **show))["user_can_edit"] is True


async def test_unarchiving_with_approvals_approves_time_up_to_the_lock(api: API) -> None:
    store = api.sandbox.store
    workspace = await project(api)
    early, late = await logged(api, workspace, "2024-01-06", "2024-01-07")
    path = f"/workspaces/{workspace}/unarchive_with_approvals"
    show = {"optional_fields": "lock_date"}
    assert only(await api.get(f"/workspaces/{workspace}", **show))["lock_date"] is None
    store.put("line_item_locks", {"locked_to": "2024-01-06"})
    assert only(await api.get(f"/workspaces/{workspace}", **show))["lock_date"] == "2024-01-06"
    for approvals, approved in ((False, []), (True, [early])):
        store.change("workspaces", str(workspace), archived=True, require_time_approvals=approvals)
        assert only(await api.put(path))["archived"] is False
        rows = [row for row in (early, late) if (store.get("time_entries", row) or {})["approved"]]
        assert rows == approved


async def test_the_first_workweek_switches_workweeks_on(api: API) -> None:
    path = "/workweeks"
    for row in api.sandbox.store.all("workweeks"):
        api.sandbox.store.remove("workweeks", row["id"])
    body = {"workweek": dict.fromkeys((f"{day}day_minutes" for day in ("mon", "tues")), 480)}
    refused = await api.send("POST", path, body=body, status=400)
    assert "enable_workweeks=true" in refused["errors"][0]["message"]
    await api.post(path, body, enable_workweeks=True)
    await api.post(path, body)
    assert len(await api.ids(path)) == 2


async def test_accounting_records_are_deleted_by_a_csv_file(api: API) -> None:
    path = "/project_accounting_records/delete"
    ids = await api.ids("/project_accounting_records")
    await api.send("PUT", path, status=400)
    await api.send("PUT", path, status=422, csv_file=f"Id\n{ids[0]}")
    await api.send("PUT", path, status=404, csv_file=f"ID\n{ids[0]}\n7")
    await api.send("PUT", path, csv_file=f"ID,Note\n{ids[0]},x\n{ids[2]},y", ids=ids[1])
    assert await api.ids("/project_accounting_records") == ids[3:]


@pytest.mark.parametrize("key", ["timesheet_submissions", "expense_report_submissions"])
async def test_decisions_go_with_the_submission(api: API, key: str) -> None:
    store = api.sandbox.store
    row = next(row for row in store.all(key) if row["status"] == "pending")
    await api.put(f"/{key}/{row['id']}/approve", {"resolution": {}})
    decision = store.all("resolutions")[-1]
    assert str(decision["target_id"]) == row["id"]
    await api.delete(f"/workspaces/{row['workspace_id']}")
    kept = store.get("resolutions", decision["id"])
    assert kept is None or kept["target_id"] is None
