"""Fields hold the values that the contract lists for them, in the demo account and after every kind of write."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client.sandbox import demo, schema
from tests.contract.contract import class_name, contract

from .conftest import only

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


@cache
def listed() -> dict[str, dict[str, list[str]]]:
    """Class → field → the values that the contract lists for the field in a response."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, definition in contract()["definitions"].items():
        for field, each in definition.get("properties", {}).items():
            prose = (each.get("description") or "").partition("Valid values: ")[2].partition(". ")[0]
            values = [str(value) for value in each.get("enum", ())] or re.findall(r"`([^`]+)`", prose)
            if values:
                found.setdefault(class_name(name), {})[field] = values
    return found


UNLISTED = {("external_references", "subject_type", "ProjectAccountingRecord")}
"""Values that the contract does not list, though it says elsewhere that there are such records."""


def undocumented(key: str, record: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """(envelope key, field, value) of the values that are not listed."""
    return [
        (key, field, value)
        for field, values in listed().get(schema.model(key).name, {}).items()
        for value in (record[field] if isinstance(record.get(field), list) else [record.get(field)])
        if value is not None and str(value) not in values and (key, field, value) not in UNLISTED
    ]


def test_the_contract_lists_values_of_many_fields() -> None:
    assert sum(map(len, listed().values())) > 60


@pytest.mark.parametrize("key", sorted(demo.demo()))
def test_the_demo_account_has_documented_values(key: str) -> None:
    assert [found for record in demo.demo()[key] for found in undocumented(key, record)] == []


async def test_a_submission_is_pending_until_it_is_decided(api: API) -> None:
    entry = {"workspace_id": 10002, "date_performed": "2026-07-01", "time_in_minutes": 60}
    made = only(await api.post("/time_entries", {"time_entry": entry}))
    fields = {"workspace_id": 10002, "title": "July", "line_item_ids": [int(made["id"])]}
    sheet = only(await api.post("/timesheet_submissions", {"timesheet_submission": fields}))
    assert sheet["status"] == "pending"
    assert sheet["id"] in await api.ids("/timesheet_submissions", statuses="new", per_page=200)
    decided = only(await api.put(f"/timesheet_submissions/{sheet['id']}/approve", {"resolution": {}}))
    assert decided["status"] == "approved"


async def test_a_resource_request_is_new_until_it_is_resolved(api: API) -> None:
    fields = {"approver_ids": [1002], "resource_id": 15001}
    made = only(await api.post("/resource_requests", {"resource_request": fields}))
    assert made["status"] == "new"
    assert made["id"] in await api.ids("/resource_requests", pending_requests_only=True)
    waiting = [row["id"] for row in demo.demo()["resource_requests"] if row["status"] == "new"]
    body = {"resource_request": {"request_resolution_status": "approve"}}
    assert only(await api.put(f"/resource_requests/{waiting[0]}", body))["status"] == "approved"


@pytest.mark.parametrize(
    ("path", "body", "field", "shown"),
    [
        (
            "/project_templates",
            {"title": "T", "currency": "USD", "sharing": "viewable_template"},
            "sharing",
            "shared",
        ),
        (
            "/stories",
            {"title": "T", "workspace_id": 10002, "story_type": "issue"},
            "state",
            "can't reproduce",
        ),
        ("/workspaces", {"title": "P", "access_level": "admins"}, "access_level", "admin"),
    ],
)
async def test_a_value_is_shown_as_records_spell_it(
    api: API, path: str, body: dict[str, Any], field: str, shown: str
) -> None:
    if field == "state":
        body = body | {"state": "can't repro"}
    wrapper = {"/project_templates": "project_template", "/stories": "story", "/workspaces": "workspace"}[
        path
    ]
    made = only(await api.post(path, {wrapper: body}))
    assert made[field] == shown


async def test_a_participation_shows_its_access_and_permissions(api: API) -> None:
    taken = {row["user_id"] for row in api.sandbox.store.where("participations", "workspace_id", "10002")}
    user = next(identity for identity in api.sandbox.store.ids("users") if identity not in taken)
    fields = {"workspace_id": 10002, "user_id": int(user), "role": "maven", "access_level": "edit_financials"}
    fields["permissions"] = "view_only,can_edit_time,can_schedule_their_hours"
    query = {"optional_fields": "access_level,permissions_label,can_schedule_their_hours"}
    made = only(await api.post("/participations", {"participation": fields}, **query))
    assert (made["access_level"], made["permissions_label"]) == ("financial", "view_with_custom")
    assert (made["can_edit"], made["can_edit_time"], made["can_schedule_their_hours"]) == (False, True, True)
    path, word = f"/participations/{made['id']}", {"permissions": "view_only"}
    changed = only(await api.put(path, {"participation": word}, **query))
    assert changed["permissions_label"] == "view_only"
    await api.put(path, {"participation": {"permissions": "view_only,fly"}}, status=422)


async def test_members_of_an_organization_are_found_by_filters(api: API) -> None:
    organizations = [row["id"] for row in api.sandbox.store.all("organizations")]
    before = set(await api.ids("/workspaces", with_organizations=True, per_page=200))
    fields = {"member_type": "workspace", "member_id": 10002, "department_id": int(organizations[1])}
    fields["geography_id"] = int(organizations[0])
    await api.post("/organization_memberships", {"organization_membership": fields})
    assert set(await api.ids("/workspaces", with_organizations=True, per_page=200)) == before | {"10002"}


async def test_a_member_has_the_minutes_of_its_own_workweek(api: API) -> None:
    fields = {"user_id": 1005, "start_date": "2026-07-05", "friday_minutes": 240}
    body = {"workweek_membership": fields}
    answer = await api.post("/workweek_memberships", body, include="workweek")
    week = answer["workweeks"][only(answer)["workweek_id"]]
    assert (week["friday_minutes"], week["monday_minutes"], week["total_minutes"]) == (
        240,
        480,
        4 * 480 + 240,
    )
    capacity = await api.get("/users/1005/capacity", start_date="2026-07-06", end_date="2026-07-10")
    assert capacity
    again = await api.post("/workweek_memberships", {"workweek_membership": fields | {"user_id": 1006}})
    weeks = api.sandbox.store.all("workweeks")
    assert only(again)["id"]
    assert len([row for row in weeks if row["friday_minutes"] == 240]) == 1


async def test_changes_of_a_project_need_approval_if_asked_for(api: API) -> None:
    for body, expected in (({}, False), ({"budgeted": True}, True), ({"change_orders": True}, True)):
        made = only(await api.post("/workspaces", {"workspace": {"title": "P", **body}}))
        assert made["change_orders_enabled"] is expected


async def test_a_resource_is_labelled_by_its_new_role_if_asked_for(api: API) -> None:
    role = api.sandbox.store.all("roles")[2]
    fields = {"role_id": int(role["id"]), "auto_update_label": True}
    path = "/workspace_resources/15001"
    assert only(await api.put(path, {"workspace_resource": fields}))["label"] == role["name"]
    named = {**fields, "label": "Lead"}
    assert only(await api.put(path, {"workspace_resource": named}))["label"] == "Lead"


async def test_what_a_write_adds_is_included(api: API) -> None:
    """External references and values of custom fields, also on records that had some before."""
    reference = {"service_name": "ledger", "service_model": "Entry", "service_model_ref": "L-1"}
    for key, wrapper in (("time_entries", "time_entry"), ("workspace_resources", "workspace_resource")):
        row = api.sandbox.store.all(key)[0]
        before = await api.get(f"/{key}/{row['id']}", include="external_references")
        body = {wrapper: {"external_reference": reference}}
        answer = await api.put(f"/{key}/{row['id']}", body, include="external_references")
        references = answer["external_references"]
        assert len(references) == len(before["external_references"]) + 1
        assert "ledger" in {each["service_name"] for each in references.values()}


async def test_the_lines_of_an_invoice_are_replaced(api: API) -> None:
    store = api.sandbox.store
    entries = [row for row in store.all("time_entries") if row["invoice_id"] is None][:3]
    first, second, third = (int(row["id"]) for row in entries)
    fields = {"workspace_id": int(entries[0]["workspace_id"]), "payment_schedule": 30}
    made = only(await api.post("/invoices", {"invoice": {**fields, "time_entry_ids": [first, second]}}))
    path, lines = f"/invoices/{made['id']}", {"invoice": {"time_entry_ids": [second, third]}}
    changed = only(await api.put(path, lines, include="time_entries"))
    assert changed["time_entry_ids"] == [str(second), str(third)]
    assert (store.get("time_entries", first) or {})["is_invoiced"] is False
    due = sum(
        row["time_in_minutes"] * (row["rate_in_cents"] or 0) // 60
        for row in store.where("time_entries", "invoice_id", made["id"])
    )
    assert changed["balance_in_cents"] == due
    taken = next(row for row in store.all("time_entries") if row["invoice_id"] not in (None, made["id"]))
    await api.put(path, {"invoice": {"time_entry_ids": [int(taken["id"])]}}, status=422)


async def test_lines_written_back_leave_the_balance_of_a_paid_invoice(api: API) -> None:
    store = api.sandbox.store
    paid = next(row for row in store.all("invoices") if row["status"] == "accepted payment")
    lines = [int(identity) for identity in store.find("time_entries", "invoice_id", paid["id"])]
    assert lines
    await api.put(f"/invoices/{paid['id']}", {"invoice": {"time_entry_ids": lines}})
    assert (store.get("invoices", paid["id"]) or {})["balance_in_cents"] == 0


async def test_answers_choose_among_the_choices_of_their_question(api: API) -> None:
    choices = [{"label": "Good"}, {"label": "Bad"}]
    question = {"text": "How was it?", "question_type": "single", "choices": choices}
    asked = only(await api.post("/survey_questions", {"survey_question": question}))
    response = api.sandbox.store.all("survey_responses")[0]["id"]
    fields = {"survey_question_id": int(asked["id"]), "survey_response_id": int(response)}
    body = {"survey_answer": {**fields, "choice_values": ["Bad"]}}
    answer = await api.post("/survey_answers", body, include="choices")
    assert [each["label"] for each in answer["survey_question_choices"].values()] == ["Bad"]
    body["survey_answer"]["choice_values"] = ["Fine"]
    await api.post("/survey_answers", body, status=422)


async def test_a_new_assignment_is_current(api: API) -> None:
    fields = {"story_id": 20060, "assignee_id": 1005}
    assert only(await api.post("/assignments", {"assignment": fields}))["current"] is True


@pytest.mark.parametrize("value", ['{"3201": 1}', '{"ids": 3201}', '["3201"]', "x"])
async def test_skills_without_a_list_of_levels_are_refused(api: API, value: str) -> None:
    await api.get("/users", with_skills=value, status=400)
