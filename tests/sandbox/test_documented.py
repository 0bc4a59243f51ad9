"""Rules of single resources that the service documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .conftest import only, refusal

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

ENTRY = {"workspace_id": 10002, "date_performed": "2026-06-30", "time_in_minutes": 45}


async def test_deleting_a_role_marks_it_if_used_and_removes_it_otherwise(api: API) -> None:
    store = api.sandbox.store
    await api.delete("/roles/3001")
    assert store.get("roles", 3001)["deleted_at"]
    assert "3001" not in await api.ids("/roles", per_page=200)
    assert "3001" in await api.ids("/roles", per_page=200, only_active=False)
    unused = only(await api.post("/roles", {"role": {"name": "Poet"}}))["id"]
    await api.delete(f"/roles/{unused}")
    assert store.get("roles", unused) is None


async def test_disabled_memberships_are_hidden_by_default(api: API) -> None:
    await api.put("/account_memberships/2005/disable")
    assert "2005" not in await api.ids("/account_memberships", per_page=200)
    await api.get("/account_memberships/2005", status=404)
    await api.get("/account_memberships/2005", is_active=False)
    assert "owner" in await refusal(api, "DELETE", "/account_memberships/2001")


async def test_users_lists_project_participants_by_default(api: API) -> None:
    made = api.sandbox.store.put("users", {"full_name": "Lone Wolf"})["id"]
    assert made not in await api.ids("/users", per_page=200)
    await api.get(f"/users/{made}", status=404)
    assert made in await api.ids("/users", per_page=200, on_my_account=True)


async def test_expense_reports_of_others_need_all_on_account(api: API) -> None:
    store = api.sandbox.store
    mine = store.put("expense_report_submissions", {"user_id": "1001", "status": "pending"})["id"]
    theirs = store.put("expense_report_submissions", {"user_id": "1002", "status": "pending"})["id"]
    ids = await api.ids("/expense_report_submissions", per_page=200)
    assert (mine in ids, theirs in ids) == (True, False)
    assert theirs in await api.ids("/expense_report_submissions", per_page=200, all_on_account=True)


async def test_an_invitation_creates_the_user_and_the_participation(api: API) -> None:
    store = api.sandbox.store
    known = store.get("users", 1040)
    for address, role in ((known["email_address"], "buyer"), ("new@client.example", "maven")):
        body = {
            "full_name": "X",
            "email_address": address,
            "invitee_role": role,
            "subject": "s",
            "message": "m",
        }
        await api.post("/workspaces/10002/invite", {"invitation": body})
        [user] = store.find("users", "email_address", address)
        rows = store.where("participations", "workspace_id", "10002")
        assert [row["role"] for row in rows if row["user_id"] == user][-1:] == [role] or user == "1040"
    body = {"full_name": "Mia", "email_address": "mia@client.example"}
    await api.post("/account_invitations", {"account_invitation": body})
    [user] = store.find("users", "email_address", "mia@client.example")
    assert store.find("account_memberships", "user_id", user)


async def test_a_duplicate_participation_is_refused(api: API) -> None:
    user = api.sandbox.store.where("participations", "workspace_id", "10002")[0]["user_id"]
    body = {"participation": {"workspace_id": 10002, "user_id": int(user), "role": "maven"}}
    assert "takes part" in await refusal(api, "POST", "/participations", body)


async def test_invoices_need_a_line_item_and_only_drafts_can_be_deleted(api: API) -> None:
    body = {"payment_schedule": 30, "workspace_id": 10002}
    assert "line item" in await refusal(api, "POST", "/invoices", {"invoice": body})
    entry = only(await api.post("/time_entries", {"time_entry": ENTRY}))["id"]
    draft = {**body, "draft": True, "time_entry_ids": [int(entry)]}
    made = only(await api.post("/invoices", {"invoice": draft}))["id"]
    await api.delete(f"/invoices/{made}")
    freed = api.sandbox.store.get("time_entries", entry)
    assert (freed["invoice_id"], freed["is_invoiced"]) == (None, False)
    sent = only(await api.post("/invoices", {"invoice": {**draft, "draft": False}}))["id"]
    assert "draft" in await refusal(api, "DELETE", f"/invoices/{sent}")


async def test_a_submission_covers_one_project_and_an_entry_is_in_one_active_submission(api: API) -> None:
    ids = [only(await api.post("/time_entries", {"time_entry": ENTRY}))["id"] for _ in range(2)]
    other = only(await api.post("/time_entries", {"time_entry": {**ENTRY, "workspace_id": 10003}}))["id"]
    body = {"workspace_id": 10002, "title": "June", "line_item_ids": [int(ids[0]), int(other)]}
    assert "another project" in await refusal(
        api, "POST", "/timesheet_submissions", {"timesheet_submission": body}
    )
    body["line_item_ids"] = [int(ids[0])]
    sheet = only(await api.post("/timesheet_submissions", {"timesheet_submission": body}))["id"]
    assert "already" in await refusal(api, "POST", "/timesheet_submissions", {"timesheet_submission": body})
    path, switch = "/workspaces/10002/toggle_time_approvals", {"workspace": {"enable": False}}
    assert "switched off" in await refusal(api, "PUT", path, switch)
    for row in api.sandbox.store.where("timesheet_submissions", "workspace_id", "10002"):
        if row["status"] in {"pending", "approved"}:
            await api.put(f"/timesheet_submissions/{row['id']}/cancel", {"resolution": {}})
    assert api.sandbox.store.get("timesheet_submissions", sheet)["status"] == "cancelled"
    await api.put(path, switch)
    await api.post("/timesheet_submissions", {"timesheet_submission": body})


async def test_a_new_task_status_set_has_default_statuses_and_one_in_use_cannot_be_deleted(api: API) -> None:
    made = await api.post(
        "/task_status_sets", {"task_status_set": {"name": "Kanban"}}, include="custom_task_statuses"
    )
    names = [row["status"] for row in made["custom_task_statuses"].values()]
    assert names == ["Not Started", "Started", "Needs Info", "Completed"]
    identity = only(made)["id"]
    rows = {"workspace_task_status_sets": [{"workspace_id": 10002, "status_set_id": int(identity)}]}
    await api.put("/workspace_task_status_sets/bulk_update", rows)
    assert "uses it" in await refusal(api, "DELETE", f"/task_status_sets/{identity}")


async def test_time_off_cannot_exceed_the_workday(api: API) -> None:
    body = {"user_id": 1005, "requested_date": "2026-07-06", "hours": 6}
    await api.post("/time_off_entries", {"time_off_entry": body})
    assert "exceeds" in await refusal(
        api, "POST", "/time_off_entries", {"time_off_entry": {**body, "hours": 3}}
    )
    await api.post("/time_off_entries", {"time_off_entry": {**body, "hours": 2}})
    sunday = {**body, "requested_date": "2026-07-05", "hours": 1}
    assert "exceeds" in await refusal(api, "POST", "/time_off_entries", {"time_off_entry": sunday})


async def test_tasks_nest_at_most_five_levels_deep(api: API) -> None:
    parent = None
    for depth in range(5):
        body = {"workspace_id": 10002, "title": f"Level {depth}", "parent_id": parent}
        made = only(await api.post("/stories", {"story": body}))
        assert made["ancestry_depth"] == depth
        parent = made["id"]
    body = {"workspace_id": 10002, "title": "Too deep", "parent_id": parent}
    assert "too deep" in await refusal(api, "POST", "/stories", {"story": body})


async def test_locked_time_cannot_be_changed(api: API) -> None:
    lock = {"line_item_lock": {"locked_to": "2025-06-28"}}  # a Saturday before the first entry
    for day in ("2025-06-27", "2026-12-26"):
        assert "Saturday" in await refusal(
            api, "POST", "/line_item_locks", {"line_item_lock": {"locked_to": day}}
        )
    await api.post("/line_item_locks", lock)
    old = {**ENTRY, "date_performed": "2025-06-28"}
    assert "locked" in await refusal(api, "POST", "/time_entries", {"time_entry": old})
    entry = only(await api.post("/time_entries", {"time_entry": ENTRY}))["id"]
    assert "locked" in await refusal(
        api, "PUT", f"/time_entries/{entry}", {"time_entry": {"date_performed": "2025-01-01"}}
    )
    earlier = {"line_item_lock": {"locked_to": "2025-06-21"}}
    assert "before the present lock" in await refusal(api, "POST", "/line_item_locks", earlier)
    later = {"line_item_lock": {"locked_to": "2026-06-27"}}
    assert "not approved" in await refusal(api, "POST", "/line_item_locks", later)


async def test_overriding_a_custom_field_value_creates_a_new_id(api: API) -> None:
    store = api.sandbox.store
    body = {"subject_type": "Workspace", "subject_id": 10002, "custom_field_id": 3801, "value": "West"}
    first = only(await api.post("/custom_field_values", {"custom_field_value": body}))["id"]
    second = only(await api.post("/custom_field_values", {"custom_field_value": {**body, "value": "East"}}))[
        "id"
    ]
    assert first != second
    assert store.get("custom_field_values", first) is None
    assert store.get("custom_field_values", second)["value"] == "East"


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/time_entries", {"time_entry": {**ENTRY, "time_in_minutes": -5}}, "time_in_minutes"),
        ("POST", "/workspaces", {"workspace": {"title": "P", "currency": "ZZZ"}}, "currency"),
        (
            "POST",
            "/workspaces",
            {"workspace": {"title": "P", "start_date": "2026-02-01", "due_date": "2026-01-01"}},
            "due_date",
        ),
        (
            "PUT",
            "/stories/20055",
            {"story": {"start_date": "2027-01-01", "due_date": "2026-01-01"}},
            "due_date",
        ),
        ("PUT", "/stories/20055", {"story": {"title": None}}, "title"),
        ("PUT", "/workspaces/10002", {"workspace": {"title": ""}}, "title"),
    ],
)
async def test_invalid_values_are_refused_by_field(
    api: API, method: str, path: str, body: Any, field: str
) -> None:
    assert (await refusal(api, method, path, body)).startswith(field)


async def test_deletions_leave_no_dangling_references(api: API) -> None:
    """Delete records of many types; every stored reference still resolves."""
    from kantata_client.sandbox import registry, schema

    store = api.sandbox.store
    paths = ["/skills/3201", "/workspaces/10003", "/stories/20055", "/posts/50001", "/expenses/60001"]
    paths += ["/custom_fields/3801", "/vendors/{}", "/estimates/{}", "/rate_card_sets/{}", "/holidays/{}"]
    paths += ["/survey_templates/{}", "/holiday_calendars/{}", "/workweeks/{}", "/project_templates/{}"]
    for path in paths:
        key = path.split("/")[1]
        identity = store.ids(key)[0] if path.endswith("{}") else path.split("/")[2]
        response = await api.client.delete(f"{key}/{identity}")
        assert response.status_code in {200, 204, 404, 422}, response.text
    for key in store.filled():
        for reference in schema.model(key).references.values():
            if reference.key is None or reference.ids in registry.resource(key).derived:
                continue
            for row in store.all(key):
                held = row.get(reference.ids)
                for item in held if isinstance(held, list) else [held]:
                    assert item is None or store.get(reference.key, item) is not None, (
                        key,
                        row["id"],
                        reference.ids,
                    )
