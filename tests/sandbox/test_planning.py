"""Planning and staffing: capacity, allocations, requests, snapshots, templates, statuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import only

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


async def test_capacity_is_the_workweek_minus_holidays_and_time_off(api: API) -> None:
    store = api.sandbox.store
    period = {"start_date": "2026-05-01", "end_date": "2026-05-05"}  # from a Friday to a Tuesday
    hours = (await api.get("/users/1005/capacity", **period))["hours"]
    assert hours == {"2026-05-01": 8, "2026-05-02": 0, "2026-05-03": 0, "2026-05-04": 8, "2026-05-05": 8}
    store.put("holiday_calendars", {"id": 1, "name": "North"})
    store.put("holidays", {"id": 1, "name": "May day", "start_date": "2026-05-01"})
    store.put("holidays", {"id": 2, "name": "Half day", "start_date": "2026-05-04", "total_hours": 4})
    for holiday in (1, 2):
        store.put("holiday_calendar_associations", {"holiday_id": str(holiday), "holiday_calendar_id": "1"})
    store.put("holiday_calendar_memberships", {"user_id": 1005, "holiday_calendar_id": "1"})
    store.put("time_off_entries", {"user_id": "1005", "requested_date": "2026-05-05", "hours": 3})
    hours = (await api.get("/users/1005/capacity", **period))["hours"]
    assert [hours[day] for day in sorted(hours)] == [0, 0, 0, 4, 5]
    store.put("workweeks", {"id": 7, "default": False, "monday_minutes": 240, "start_date": "2026-01-01"})
    store.put("workweek_memberships", {"user_id": 1005, "workweek_id": "7", "start_date": "2026-05-05"})
    assert (await api.get("/users/1005/capacity", start_date="2026-05-11", end_date="2026-05-11"))[
        "hours"
    ] == {"2026-05-11": 4}
    await api.get("/users/1005/capacity", start_date="2026-05-05", end_date="2026-05-04", status=422)
    await api.get("/users/1005/capacity", start_date="2026-05-05", status=422)


async def test_an_allocation_is_split(api: API) -> None:
    fields = {
        "resource_id": 15001,
        "start_date": "2026-07-01",
        "end_date": "2026-07-10",
        "minutes": 1000,
        "hard": True,
    }
    made = only(await api.post("/workspace_allocations", {"workspace_allocation": fields}))
    query = {"workspace_allocation_id": made["id"], "split_date": "2026-07-04"}
    answer = await api.put("/workspace_allocations/split", **query)
    rows = [answer["workspace_allocations"][result["id"]] for result in answer["results"]]
    shown = [(row["start_date"], row["end_date"], row["minutes"], row["hard"]) for row in rows]
    assert shown == [("2026-07-01", "2026-07-03", 300, True), ("2026-07-04", "2026-07-10", 700, True)]
    assert {row["workspace_resource_id"] for row in rows} <= {"15001", None}
    for day in ("2026-07-01", "2026-08-01"):
        await api.put("/workspace_allocations/split", **{**query, "split_date": day}, status=422)


async def test_allocations_are_made_to_match_scheduled_hours(api: API) -> None:
    store = api.sandbox.store
    resource = store.all("workspace_resources")[60]
    story = store.find("stories", "workspace_id", str(resource["workspace_id"]))[3]
    assignment = store.put(
        "assignments", {"story_id": story, "assignee_id": resource["user_id"], "current": True}
    )
    for day, minutes in (("2026-07-01", 60), ("2026-07-02", 90), ("2026-08-01", 30)):
        place = {"assignment_id": assignment["id"], "story_id": story, "date": day, "minutes": minutes}
        store.put("story_allocation_days", {**place, "current": True})
    path = f"/workspace_resources/{resource['id']}/allocations_matching_scheduled_hours"
    july = {"type": "between", "start_date": "2026-07-01T00:00:00Z", "end_date": "2026-07-31T00:00:00Z"}
    assert await api.post(path, {"data": [{"hard": True, "occurrence": july}]}) == {"success": True}
    rows = store.where("workspace_allocations", "workspace_resource_id", resource["id"])
    assert [(row["start_date"], row["minutes"]) for row in rows] == [("2026-07-01", 60), ("2026-07-02", 90)]
    unnamed = store.put("workspace_resources", {"workspace_id": resource["workspace_id"], "user_id": None})
    body = {"data": [{"resource_ids": [int(unnamed["id"])], "hard": True, "occurrence": {"type": "anytime"}}]}
    await api.post("/workspace_resources/allocations_matching_scheduled_hours", body, status=422)
    body["data"][0] |= {"hard": False, "occurrence": {"type": "after"}}
    refused = await api.post("/workspace_resources/allocations_matching_scheduled_hours", body, status=422)
    assert "after_date" in refused["errors"][0]["message"]


async def test_a_resource_request_is_created_and_staffed(api: API) -> None:
    store = api.sandbox.store
    fields = {
        "resource_workspace_id": 10002,
        "resource_role_id": 3004,
        "approver_ids": [1002],
        "workspace_allocation_start_date": "2026-07-01",
        "workspace_allocation_end_date": "2026-07-31",
        "workspace_allocation_percentage": 50,
    }
    made = only(
        await api.post("/resource_requests", {"resource_request": fields}, include="resource,creator")
    )
    assert (made["status"], made["creator_id"]) == ("new", "1001")
    allocations = store.where("workspace_allocations", "workspace_resource_id", made["resource_id"])
    assert [row["percentage"] for row in allocations] == [50]
    path = f"/resource_requests/{made['id']}"
    moved = only(
        await api.put(
            f"{path}/update_approver", {"resource_request": {"new_approver_id": [1003]}}, include="approvers"
        )
    )
    assert moved["approver_ids"] == ["1003"]
    approval = {"request_resolution_status": "approve", "user_id": 1009, "allocations_state": False}
    assert only(await api.put(path, {"resource_request": approval}))["status"] == "approved"
    resource = store.get("workspace_resources", made["resource_id"])
    assert (resource["user_id"], resource["full_name"]) == ("1009", store.get("users", 1009)["full_name"])
    await api.put(path, {"resource_request": approval}, status=422)
    await api.post("/resource_requests", {"resource_request": {**fields, "approver_ids": [5]}}, status=422)


async def test_a_snapshot_copies_the_plan(api: API) -> None:
    store = api.sandbox.store
    body = {"workspace_id": 10002, "title": "Kick-off", "replace_baseline": True}
    answer = await api.post(
        "/project_snapshots",
        {"project_snapshot": body},
        include="project_snapshot_tasks,project_snapshot_resources,project_snapshot_assignments",
    )
    made = only(answer)
    stories = store.where("stories", "workspace_id", "10002")
    assert made["is_baseline"] is True
    assert {task["title"] for task in answer["project_snapshot_tasks"].values()} == {
        s["title"] for s in stories
    }
    assert len(answer["project_snapshot_resources"]) == store.number(
        "workspace_resources", "workspace_id", 10002
    )
    assert answer["project_snapshot_assignments"]
    second = only(await api.post("/project_snapshots", {"project_snapshot": body}))
    shown = [store.get("project_snapshots", each["id"])["is_baseline"] for each in (made, second)]
    assert shown == [False, True]


TEMPLATE = {
    "stories": [
        {
            "title": "Discovery",
            "duration_days": 5,
            "time_estimate_in_minutes": 600,
            "assignments": [1],
            "checklist": ["Invite", "Book a room"],
            "sub_stories": [{"title": "Interviews", "start_day": 1}],
        },
        {"title": "Design", "start_day": 5},
    ]
}


async def test_a_template_is_applied(api: API) -> None:
    store = api.sandbox.store
    store.put("project_template_assignments", {"id": 1, "role_id": "3004", "project_template_id": "5"})
    store.put("project_templates", {"id": 5, "title": "Audit", "raw_json": json.dumps(TEMPLATE)})
    fields: dict[str, Any] = {
        "title": "Audit of 2026",
        "project_tracker_template_id": 5,
        "project_template_start_date": "2026-07-03",  # a Friday
        "project_template_assignment_mappings": [{"resource_id": 1, "user_id": 1005}],
        "project_template_distribute_hours": True,
    }
    made = only(await api.post("/workspaces", {"workspace": fields}))
    rows = {row["title"]: row for row in store.where("stories", "workspace_id", made["id"])}
    dates = {title: (row["start_date"], row["due_date"]) for title, row in rows.items()}
    assert dates == {
        "Discovery": ("2026-07-03", "2026-07-09"),
        "Interviews": ("2026-07-06", "2026-07-06"),
        "Design": ("2026-07-10", "2026-07-10"),
    }
    assert rows["Interviews"]["parent_id"] == rows["Discovery"]["id"]
    assert rows["Discovery"]["sub_story_count"] == 1
    [assignment] = store.where("assignments", "story_id", rows["Discovery"]["id"])
    assert assignment["assignee_id"] == "1005"
    planned = store.where("story_allocation_days", "assignment_id", assignment["id"])
    assert [row["minutes"] for row in planned] == [120] * 5
    assert store.number("story_tasks", "story_id", rows["Discovery"]["id"]) == 2
    path = f"/workspaces/{made['id']}/apply_template"
    again = {"project_tracker_template_id": 5, "project_template_checklist_as_todos": True}
    response = await api.client.put(f"{path.lstrip('/')}?edit_stories=true", json={"workspace": again})
    assert json.loads(response.json()["template_stories_json"]) == TEMPLATE["stories"]
    assert store.number("stories", "workspace_id", made["id"]) == 3
    await api.put(
        path, {"workspace": {**again, "project_template_before_story_id": int(rows["Discovery"]["id"])}}
    )
    top = [row for row in store.where("stories", "workspace_id", made["id"]) if row["parent_id"] is None]
    titles = [row["title"] for row in sorted(top, key=lambda row: row["position"])]
    assert titles == ["Discovery", "Discovery", "Design", "Design"]
    assert (
        sum(row["project_plan"] is False for row in store.where("stories", "workspace_id", made["id"])) == 2
    )
    await api.put(path, {"workspace": {"project_tracker_template_id": 77}}, status=422)


async def test_workspace_bodies_set_status_team_and_preferences(api: API) -> None:
    store = api.sandbox.store
    store.put("organizations", {"id": 81, "name": "Design"})
    fields = {
        "title": "P",
        "status_key": 400,
        "invoice_preference": {"purchase_order": "PO-7"},
        "participations": [{"user_id": 1005, "access": "edit_financials"}],
        "organizations": [{"department_id": 81}],
    }
    made = only(await api.post("/workspaces", {"workspace": fields}, include="participants"))
    assert made["status"]["key"] == "400"
    assert made["participant_ids"] == ["1001", "1005"]
    preference = store.get("workspace_invoice_preferences", made["workspace_invoice_preference_id"])
    assert preference["purchase_order"] == "PO-7"
    assert await api.ids("/workspaces", with_organizations=True) == [made["id"]]
    path = f"/workspaces/{made['id']}"
    changed = only(
        await api.put(path, {"workspace": {"status_key": 305, "invoice_preference": {"project_code": "A1"}}})
    )
    assert (
        changed["status"]["key"],
        store.number("workspace_status_changes", "workspace_id", made["id"]),
    ) == ("305", 2)
    assert store.get("workspace_invoice_preferences", preference["id"])["project_code"] == "A1"
    await api.put(path, {"workspace": {"status_key": 1}}, status=422)


async def test_invoice_bodies_create_fixed_fee_and_additional_items(api: API) -> None:
    fields = {
        "payment_schedule": 30,
        "workspace_id": 10002,
        "fixed_fee_items": [{"notes": "Workshop", "amount": 50_000, "workspace_id": 10002}],
        "additional_items": [{"notes": "Travel", "amount": 1_250}],
    }
    answer = await api.post("/invoices", {"invoice": fields}, include="fixed_fee_items,additional_items")
    assert only(answer)["balance_in_cents"] == 51_250
    assert [item["amount_in_cents"] for item in answer["fixed_fee_items"].values()] == [50_000]
    assert [item["notes"] for item in answer["additional_items"].values()] == ["Travel"]
    workspace = only(await api.get("/workspaces/10002", optional_fields="total_invoiced"))
    assert workspace["total_invoiced"]
    path = f"/invoices/{only(answer)['id']}"
    await api.delete(path, status=422)


async def test_task_status_sets_are_assigned_atomically(api: API) -> None:
    store = api.sandbox.store
    store.put("task_status_sets", {"id": 4, "name": "Kanban"})
    rows = [{"workspace_id": 10002, "status_set_id": 4}, {"workspace_id": 10003, "status_set_id": 4}]
    path = "/workspace_task_status_sets/bulk_update"
    wrong = [*rows, {"workspace_id": 5, "status_set_id": 4}]
    refused = await api.put(path, {"workspace_task_status_sets": wrong}, status=422)
    assert "Item 2" in refused["errors"][0]["message"]
    assert store.get("workspaces", 10002)["task_status_set_id"] != "4"
    answer = await api.put(path, {"workspace_task_status_sets": rows})
    assert len(answer["results"]) == 2
    assert store.get("workspaces", 10003)["task_status_set_name"] == "Kanban"
    before = store.count("workspace_task_status_sets")
    await api.put(path, {"workspace_task_status_sets": rows})
    assert store.count("workspace_task_status_sets") == before


async def test_a_user_returns_to_the_default_workweek(api: API) -> None:
    store = api.sandbox.store
    path, body = "/workweek_memberships/standardize_to_default", {"workweek_membership": {"user_id": 1005}}
    for row in store.all("workweeks"):
        store.remove("workweeks", row["id"])
    await api.put(path, body, status=400)
    store.put("workweeks", {"id": 7, "default": True})
    old = store.put("workweek_memberships", {"user_id": 1005, "workweek_id": "8", "start_date": "2026-01-01"})
    made = only(await api.put(path, body, include="workweek"))
    assert (made["workweek_id"], made["start_date"]) == ("7", "2026-07-01")
    assert store.get("workweek_memberships", old["id"])["end_date"] == "2026-06-30"


async def test_computed_fields_follow_from_other_records(api: API) -> None:
    store = api.sandbox.store
    entries = store.where("time_entries", "workspace_id", "10002")
    names = "minutes_logged,billable_minutes,non_billable_minutes,estimated_minutes,provider_lead_name"
    shown = only(await api.get("/workspaces/10002", optional_fields=names))
    assert shown["minutes_logged"] == sum(row["time_in_minutes"] for row in entries)
    assert shown["minutes_logged"] == shown["billable_minutes"] + shown["non_billable_minutes"]
    assert shown["provider_lead_name"]
    story = only(await api.get("/stories/20055", optional_fields="can_edit,read_only,formatted_description"))
    assert (story["can_edit"], story["read_only"]) == (True, False)
    assert story["formatted_description"].startswith("<p>")


async def test_deleting_an_assignment_ends_it(api: API) -> None:
    row = api.sandbox.store.all("assignments")[0]
    await api.delete(f"/assignments/{row['id']}")
    assert row["id"] not in await api.ids("/assignments", current=True, story_id=row["story_id"])
    answer = await api.get(f"/stories/{row['story_id']}", include="assignees")
    assert row["assignee_id"] not in only(answer)["assignee_ids"]
