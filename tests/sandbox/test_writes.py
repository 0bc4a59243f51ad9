"""Creating, updating and deleting records, singly and in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client.sandbox.routes.exports import column_key, dataset_key

from .conftest import only

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

ENTRY = {"workspace_id": 10002, "date_performed": "2026-06-30", "time_in_minutes": 45}
REFERENCE = {"service_name": "deskbook", "service_model": "Slot", "service_model_ref": "S-1"}


async def test_a_record_is_created_updated_and_deleted(api: API) -> None:
    story = {"workspace_id": 10002, "title": "Kick-off"}
    made = only(await api.post("/stories", {"story": story}, include="workspace"))
    assert made["created_at"] == made["updated_at"] == "2026-07-01T09:30:00Z"
    assert (made["story_type"], made["state"], made["workspace_id"]) == ("task", "not started", "10002")
    changed = only(
        await api.put(f"/stories/{made['id']}", {"story": {"title": "Kick-off!", "due_date": "2026-08-01"}})
    )
    assert (changed["title"], changed["due_date"], changed["state"]) == (
        "Kick-off!",
        "2026-08-01",
        "not started",
    )
    cleared = only(await api.put(f"/stories/{made['id']}", {"story": {"due_date": None}}))
    assert cleared["due_date"] is None
    await api.delete(f"/stories/{made['id']}")
    await api.get(f"/stories/{made['id']}", status=404)
    await api.delete(f"/stories/{made['id']}", status=404)


async def test_ids_increase_and_are_not_reused(api: API) -> None:
    first = only(await api.post("/time_entries", {"time_entry": ENTRY}))["id"]
    await api.delete(f"/time_entries/{first}")
    second = only(await api.post("/time_entries", {"time_entry": ENTRY}))["id"]
    assert int(second) > int(first) > 9_000_000


async def test_a_new_record_gets_defaults(api: API) -> None:
    entry = only(await api.post("/time_entries", {"time_entry": ENTRY}, include="user"))
    assert (entry["user_id"], entry["currency"], entry["billable"]) == ("1001", "GBP", True)
    assert entry["rate_in_cents"] == 32_000
    theirs = {**ENTRY, "user_id": 1005, "rate_in_cents": 0}
    other = only(await api.post("/time_entries", {"time_entry": theirs}, include="user"))
    assert (other["user_id"], other["rate_in_cents"]) == ("1005", 0)


async def test_logged_time_adds_up_on_the_task(api: API) -> None:
    story = api.sandbox.store.where("stories", "workspace_id", "10002")[2]
    before = story["logged_billable_time_in_minutes"]
    entry = only(
        await api.post("/time_entries", {"time_entry": {**ENTRY, "story_id": story["id"], "billable": True}})
    )
    path = f"/stories/{story['id']}"
    assert only(await api.get(path))["logged_billable_time_in_minutes"] == before + 45
    await api.put(f"/time_entries/{entry['id']}", {"time_entry": {"time_in_minutes": 60}})
    assert only(await api.get(path))["logged_billable_time_in_minutes"] == before + 60
    await api.put(f"/time_entries/{entry['id']}", {"time_entry": {"billable": False}})
    assert only(await api.get(path))["logged_billable_time_in_minutes"] == before
    assert only(await api.get(path))["logged_nonbillable_time_in_minutes"] == 60
    await api.delete(f"/time_entries/{entry['id']}")
    assert only(await api.get(path))["logged_nonbillable_time_in_minutes"] == 0


async def test_time_entries_survive_the_deletion_of_their_task(api: API) -> None:
    entry = next(row for row in api.sandbox.store.all("time_entries") if row["workspace_id"] == "10002")
    await api.delete(f"/stories/{entry['story_id']}")
    assert only(await api.get(f"/time_entries/{entry['id']}", include="story"))["story_id"] is None


async def test_task_trees_stay_consistent(api: API) -> None:
    store = api.sandbox.store

    async def create(title: str, parent: str | None) -> str:
        body = {"workspace_id": 10002, "title": title, "parent_id": parent}
        return only(await api.post("/stories", {"story": body}))["id"]

    top, other = await create("Top", None), await create("Other", None)
    middle = await create("Middle", top)
    leaf = await create("Leaf", middle)
    assert store.get("stories", leaf)["ancestor_ids"] == [top, middle]
    assert store.get("stories", top)["sub_story_count"] == 2
    await api.put(f"/stories/{middle}", {"story": {"parent_id": other}})
    assert (store.get("stories", top)["sub_story_count"], store.get("stories", other)["sub_story_count"]) == (
        0,
        2,
    )
    moved = store.get("stories", leaf)
    assert (moved["ancestor_ids"], moved["root_id"], moved["ancestry_depth"]) == ([other, middle], other, 2)
    await api.put(f"/stories/{other}", {"story": {"parent_id": leaf}}, status=422)
    await api.post("/stories", {"story": {"workspace_id": 10003, "title": "x", "parent_id": top}}, status=422)
    await api.delete(f"/stories/{other}")
    assert store.get("stories", leaf) is None


async def test_assignees_become_assignments(api: API) -> None:
    body = {"workspace_id": 10002, "title": "Pair work", "assignee_ids": [1005, 1006]}
    story = only(await api.post("/stories", {"story": body}, include="assignees,current_assignments"))
    assert story["assignee_ids"] == ["1005", "1006"]
    kept = story["current_assignment_ids"][1]
    answer = await api.put(
        f"/stories/{story['id']}",
        {"story": {"assignee_ids": [1006, 1007]}},
        include="assignees,current_assignments",
    )
    assert sorted(only(answer)["assignee_ids"]) == ["1006", "1007"]
    assert kept in only(answer)["current_assignment_ids"]


async def test_a_task_is_created_with_tags_checklist_and_custom_fields(api: API) -> None:
    body = {
        "workspace_id": 10002,
        "title": "With extras",
        "tag_list": "red, blue",
        "checklist": ["one", "two"],
        "custom_fields": [{"custom_field_id": 3803, "value": "4"}],
    }
    answer = await api.post("/stories", {"story": body}, include="tags,story_tasks,custom_field_values")
    assert sorted(tag["name"] for tag in answer["tags"].values()) == ["blue", "red"]
    assert [task["name"] for task in answer["story_tasks"].values()] == ["one", "two"]
    [value] = answer["custom_field_values"].values()
    assert (value["value"], value["custom_field_name"]) == ("4", "Sprint")
    assert (await api.get("/stories", by_any_tag="red"))["count"] == 1


async def test_a_record_is_created_with_an_external_reference(api: API) -> None:
    query = {
        "external_reference_service_name": "deskbook",
        "external_reference_service_model_refs": "S-1,S-2",
    }
    assert (await api.get("/time_entries", **query))["count"] == 0
    entry = only(await api.post("/time_entries", {"time_entry": {**ENTRY, "external_reference": REFERENCE}}))
    assert await api.ids("/time_entries", **query) == [entry["id"]]
    shown = await api.get(f"/time_entries/{entry['id']}", include="external_references")
    [reference] = shown["external_references"].values()
    assert reference["service_model_ref"] == "S-1"
    stored = api.sandbox.store.get("external_references", reference["id"])
    assert stored["subject_ref"] == {"key": "time_entries", "id": entry["id"]}
    await api.delete(f"/time_entries/{entry['id']}")
    assert (await api.get("/time_entries", **query))["count"] == 0
    assert not api.sandbox.store.where("external_references", "service_model_ref", "S-1")


async def test_external_references_are_updated_in_place(api: API) -> None:
    body = {"subject_type": "Story", "subject_id": 20001, **REFERENCE}
    first = only(await api.post("/external_references/create_or_update", {"external_reference": body}))
    body["service_model_ref"] = "S-9"
    second = only(await api.post("/external_references/create_or_update", {"external_reference": body}))
    assert (second["id"], second["service_model_ref"]) == (first["id"], "S-9")
    body["subject_id"] = 1
    await api.post("/external_references/create_or_update", {"external_reference": body}, status=422)


async def test_bulk_creation_keeps_the_order(api: API) -> None:
    rows = [{**ENTRY, "time_in_minutes": minutes} for minutes in range(1, 101)]
    answer = await api.post("/time_entries", {"time_entries": rows})
    minutes = [answer["time_entries"][result["id"]]["time_in_minutes"] for result in answer["results"]]
    assert minutes == list(range(1, 101))
    assert answer["meta"]["page_count"] == 1


async def test_bulk_creation_is_atomic(api: API) -> None:
    before = api.sandbox.store.counts()
    rows = [{**ENTRY, "external_reference": REFERENCE}, ENTRY, {**ENTRY, "time_in_minutes": "long"}]
    answer = await api.post("/time_entries", {"time_entries": rows}, status=422)
    [error] = answer["errors"]
    assert error["field"] == "time_in_minutes"
    assert error["message"].startswith("Item 2: ")
    # The task is in another project: found out only while writing.
    rows = [{**ENTRY, "external_reference": REFERENCE}, {**ENTRY, "story_id": 20001}]
    answer = await api.post("/time_entries", {"time_entries": rows}, status=422)
    assert answer["errors"][0]["message"].startswith("Item 1: ")
    assert api.sandbox.store.counts() == before
    await api.post("/time_entries", {"time_entries": [ENTRY] * 101}, status=422)
    await api.post("/time_entries", {"time_entries": []}, status=422)
    assert api.sandbox.store.counts() == before


async def test_bulk_deletion_is_atomic(api: API) -> None:
    answer = await api.post("/time_entries", {"time_entries": [ENTRY] * 4})
    ids = [result["id"] for result in answer["results"]]
    before = api.sandbox.store.count("time_entries")
    invoiced = next(row["id"] for row in api.sandbox.store.all("time_entries") if row["invoice_id"])
    refused = await api.delete("/time_entries", ids=f"{ids[0]},777,{invoiced}", status=422)
    assert [error["message"] for error in refused["errors"]] == [
        "can't be deleted, there is no such record: 777.",
        f"can't be deleted, it is on an invoice: {invoiced}.",
    ]
    assert api.sandbox.store.count("time_entries") == before
    await api.delete("/time_entries", ids=",".join(ids[:2]))
    await api.delete("/time_entries", body={"ids": ",".join(ids[2:])})
    assert api.sandbox.store.count("time_entries") == before - 4
    await api.delete("/time_entries", status=400)
    await api.delete("/time_entries", ids=",".join(map(str, range(101))), status=422)


async def test_deleting_a_workspace_deletes_its_records(api: API) -> None:
    await api.delete("/workspaces/10002")
    store = api.sandbox.store
    for key in ("stories", "time_entries", "participations"):
        assert not store.find(key, "workspace_id", "10002")
    answer = await api.get("/time_entries", include="workspace,story", per_page=200)
    assert "10002" not in answer["workspaces"]


async def test_validation_reports_every_invalid_field(api: API) -> None:
    body = {"title": "", "due_date": "tomorrow", "story_type": "novel", "colour": "red", "parent_id": 5}
    answer = await api.post("/stories", {"story": body}, status=422)
    assert {error["field"] for error in answer["errors"]} == {"workspace_id", "title", *body}
    assert all(error["type"] == "validation" for error in answer["errors"])
    await api.put("/stories/20001", {"story": {"priority": "urgent"}}, status=422)


@pytest.mark.parametrize("body", [None, [], {}, {"title": "unwrapped"}, {"stories": {"title": "x"}}])
async def test_bodies_of_the_wrong_shape_are_refused(api: API, body: Any) -> None:
    await api.post("/stories", body, status=400)


async def test_properties_that_are_not_emulated_are_501(api: API) -> None:
    body = {"workspace": {"title": "From an estimate", "estimate_scenario_id": 82301}}
    answer = await api.post("/workspaces", body, status=501)
    assert "estimate_scenario_id" in answer["errors"][0]["message"]


async def test_the_creator_of_a_workspace_participates_in_it(api: API) -> None:
    workspace = only(await api.post("/workspaces", {"workspace": {"title": "Mine"}}, include="participants"))
    assert workspace["participant_ids"] == ["1001"]
    assert (await api.get(f"/workspaces/{workspace['id']}/permissions"))["can_change_currency"] is True


async def test_timesheets_are_submitted_approved_and_rejected(api: API) -> None:
    made = await api.post("/time_entries", {"time_entries": [ENTRY] * 2})
    ids = [int(result["id"]) for result in made["results"]]
    body = {"workspace_id": 10002, "title": "June", "line_item_ids": ids}
    sheet = only(
        await api.post("/timesheet_submissions", {"timesheet_submission": body}, include="time_entries")
    )
    assert (sheet["status"], sheet["time_entry_ids"]) == ("pending", [str(i) for i in ids])
    assert sheet["id"] in await api.ids("/timesheet_submissions", statuses="new", per_page=200)
    approved = only(await api.put(f"/timesheet_submissions/{sheet['id']}/approve", {"resolution": {}}))
    assert approved["status"] == "approved"
    assert api.sandbox.store.get("time_entries", ids[0])["approved"] is True
    rejection = {"resolution": {"submission_ids": [int(sheet["id"])], "description": "Too long"}}
    answer = await api.post("/timesheet_rejections", rejection)
    assert [row["type"] for row in answer["resolutions"]] == ["rejection"]
    assert api.sandbox.store.get("time_entries", ids[0])["active_submission_id"] is None
    await api.post("/timesheet_rejections", rejection, status=422)


async def test_invoiced_time_cannot_be_invoiced_again(api: API) -> None:
    entry = only(await api.post("/time_entries", {"time_entry": ENTRY}))
    body = {"payment_schedule": 30, "workspace_id": 10002, "time_entry_ids": [int(entry["id"])]}
    invoice = only(await api.post("/invoices", {"invoice": body}, include="time_entries,workspaces"))
    assert (invoice["time_entry_ids"], invoice["workspace_ids"]) == ([entry["id"]], ["10002"])
    assert invoice["balance_in_cents"] == 45 * 32_000 // 60
    await api.post("/invoices", {"invoice": body}, status=422)
    await api.put(f"/invoices/{invoice['id']}/cancel")
    assert only(await api.get(f"/time_entries/{entry['id']}", include="invoice"))["invoice_id"] is None


async def test_task_state_changes_are_logged(api: API) -> None:
    story = only(await api.post("/stories", {"story": {"workspace_id": 10002, "title": "Kick-off"}}))["id"]
    assert (await api.get("/story_state_changes", story_id=story))["count"] == 0
    for state in ("started", "started", "completed"):
        await api.put(f"/stories/{story}", {"story": {"state": state, "title": state}})
    answer = await api.get("/story_state_changes", story_id=story, include="user")
    changes = [answer["story_state_changes"][result["id"]] for result in answer["results"]]
    assert [change["state"] for change in changes] == ["started", "completed"]
    assert {change["user_id"] for change in changes} == {"1001"} == set(answer["users"])
    await api.delete(f"/stories/{story}")
    assert not api.sandbox.store.find("story_state_changes", "story_id", story)


async def test_deleted_accounting_records_are_listed_only_with_show_deleted(api: API) -> None:
    body = {"workspace_id": 10002, "start_date": "2026-07-01", "end_date": "2026-07-31", "currency": "USD"}
    path = "/project_accounting_records"
    others = await api.ids(path)
    ids = [(await api.post(path, {"project_accounting_record": body}))["results"][0]["id"] for _ in range(2)]
    await api.put(f"{path}/delete", ids=ids[0])
    assert set(await api.ids(path)) == {*others, ids[1]}
    await api.get(f"{path}/{ids[0]}", status=404)
    assert set(await api.ids(path, show_deleted=True)) == {*others, *ids}
    assert "deleted_at" not in (await api.get(path, show_deleted=True))["project_accounting_records"][ids[0]]
    await api.put(f"{path}/delete", ids="7", status=404)


@pytest.mark.parametrize(
    "filters", [{"updated_after": "2026-01-01"}, {"start_date": "soon"}, {"start_date": 7}, ["start_date"]]
)
async def test_exports_refuse_invalid_filters(api: API, filters: Any) -> None:
    definition = {dataset_key("users"): {"columns": [column_key("users", "id")], "filters": filters}}
    await api.post("/exports", {"export": {"export_definition": definition}}, status=422)


async def test_an_unexpected_body_is_refused(api: API) -> None:
    await api.put("/account_memberships/2005/disable", {"disabled": True}, status=400)
    await api.put("/account_memberships/2005/disable", {})


async def test_posting_a_custom_field_value_replaces_the_existing_one(api: API) -> None:
    body = {"subject_type": "Workspace", "subject_id": 10002, "custom_field_id": 3801, "value": "West"}
    before = api.sandbox.store.count("custom_field_values")
    value = only(await api.post("/custom_field_values", {"custom_field_value": body}, include="subject"))
    assert (value["value"], value["subject_ref"]) == ("West", {"key": "workspaces", "id": "10002"})
    assert api.sandbox.store.count("custom_field_values") == before


async def test_exchange_tables_have_rates(api: API) -> None:
    table = only(
        await api.post("/foreign_exchange/exchange_tables", None, name="Quarter", account_default=True)
    )
    path = f"/foreign_exchange/exchange_tables/{table['id']}"
    row = {
        "source_currency": "USD",
        "target_currency": "EUR",
        "effective_date": "2026-07-01",
        "exchange_rate": "0.9",
    }
    await api.post(f"{path}/rates", {"exchange_rates": [row]})
    rates = await api.post(f"{path}/rates", {"exchange_rates": [{**row, "exchange_rate": "0.91"}]})
    assert only(rates)["rate"] == "0.91"
    for wrong, field in (
        ({}, "source_currency"),
        ({**row, "rate_typo": 3}, "rate_typo"),
        ({**row, "exchange_rate": "abc"}, "exchange_rate"),
        ({**row, "effective_date": "no"}, "effective_date"),
        ({**row, "target_currency": ["x"]}, "target_currency"),
    ):
        answer = await api.post(f"{path}/rates", {"exchange_rates": [row, wrong]}, status=422)
        assert field in {error["field"] for error in answer["errors"]}
        assert all(error["message"].startswith("Item 1: ") for error in answer["errors"])
    assert (await api.get(f"{path}/rates", source_currency="USD"))["count"] == 1
    assert (await api.get(path))[table["id"]]["name"] == "Quarter"
    assert only(await api.put(path, None, name="Half"))["name"] == "Half"


async def test_rate_card_rows_have_composite_ids(api: API) -> None:
    cards = only(await api.post("/rate_card_sets", {"rate_card_set": {"title": "Standard"}}))
    body = {"rate_card_set_id": int(cards["id"]), "effective_date": "2026-07-01"}
    version = only(await api.post("/rate_card_set_versions", {"rate_card_set_version": body}))
    path = f"/rate_card_set_versions/{version['id']}/rate_card_table_rows"
    rates = {"rates": [{"currency": "USD", "rate": 20_000}]}
    row = only(await api.put(f"{path}/3002", {"rate_card_table_row": rates}))
    assert row["id"] == f"{version['id']}:3002"
    assert row["cells"] == {"USD": {"rate": 20_000}}
    assert await api.ids(path) == [row["id"]]
    await api.delete(f"{path}/3002")
    assert await api.ids(path) == []
    assert await api.put(f"/rate_card_set_versions/{version['id']}/publish") == {"activated": True}
    assert only(await api.get(f"/rate_card_set_versions/{version['id']}"))["active"] is True


async def test_results_without_an_envelope(api: API) -> None:
    job = {"title": "Weekly", "external_report_object_identifier": "r1", "recurrence": {"cadence": "daily"}}
    made = await api.post("/scheduled_jobs/insights_report_exports", {"insights_report_export": job})
    async with api.sandbox.client(on_drift="raise") as kantata:
        assert (await kantata.insights_report_exports.update(made["id"], title="Daily")).title == "Daily"
        assert (await kantata.insights_report_exports.list().one()).title == "Daily"
    assert [row["id"] for row in await api.get("/scheduled_jobs/insights_report_exports")] == [made["id"]]
    await api.delete(f"/scheduled_jobs/insights_report_exports/{made['id']}")
    assert [row["iso_code"] for row in await api.get("/currencies")] == ["EUR", "GBP", "USD"]
    assert await api.get("/account_rate_cards_activations") == {"activated": False}


async def test_account_memberships_are_disabled_and_enabled(api: API) -> None:
    await api.put("/account_memberships/2005/disable")
    await api.get("/users/1005", status=404)
    await api.put("/account_memberships/2005/enable")
    await api.get("/users/1005")


async def test_a_holiday_is_added_to_calendars(api: API) -> None:
    calendar = only(await api.post("/holiday_calendars", {"holiday_calendar": {"name": "North"}}))
    body = {"name": "Founding day", "holiday_calendar_ids": [int(calendar["id"])]}
    body |= {"start_date": "2026-09-01", "end_date": "2026-09-01"}
    answer = await api.post("/holidays", {"holiday": body}, include="holiday_calendar_associations")
    [row] = answer["holiday_calendar_associations"].values()
    stored = api.sandbox.store.get("holiday_calendar_associations", row["id"])
    assert (stored["holiday_calendar_id"], stored["holiday_id"]) == (calendar["id"], only(answer)["id"])


async def test_story_follows_add_followers(api: API) -> None:
    await api.post("/story_follows", {"story_follow": {"story_id": 20060, "follower_id": 1050}})
    assert "1050" in only(await api.get("/stories/20060", include="followers"))["follower_ids"]


async def test_an_empty_account_can_be_filled(empty: API) -> None:
    workspace = only(await empty.post("/workspaces", {"workspace": {"title": "First"}}))
    body = {"workspace_id": workspace["id"], "title": "Task"}
    story = only(await empty.post("/stories", {"story": body}))
    body = {**ENTRY, "workspace_id": workspace["id"], "story_id": int(story["id"])}
    await empty.post("/time_entries", {"time_entry": body})
    answer = await empty.get("/time_entries", include="story,workspace,user")
    assert answer["count"] == len(answer["stories"]) == len(answer["workspaces"]) == len(answer["users"]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("weight", value)
            for value in (2**63, -(2**63) - 1, 1e30, 0.5, "1_000", "٣", " 5", "1e3", "", "9" * 30)
        ),
        *(("start_date", value) for value in ("20260701", "2026-W27-3", "2026-07-01 or so", "2026-13-01", 5)),
    ],
)
async def test_numbers_and_dates_have_the_form_of_the_contract(api: API, field: str, value: Any) -> None:
    answer = await api.put("/stories/20551", {"story": {field: value}}, status=422)
    assert [error["field"] for error in answer["errors"]] == [field]


async def test_a_value_of_a_wider_type_has_to_fit_the_record(api: API) -> None:
    """The body takes an integer where the record has a boolean, or a decimal number where it has an integer."""
    path = f"/client_invoice_defaults/{api.sandbox.store.ids('client_invoice_defaults')[0]}"
    for value, shown in ((0, False), (1, True)):
        changed = await api.put(path, {"client_invoice_default": {"show_project_names": value}})
        assert only(changed)["show_project_names"] is shown
    await api.put(path, {"client_invoice_default": {"show_project_names": 2}}, status=422)
    path = f"/project_template_expense_budgets/{api.sandbox.store.ids('project_template_expense_budgets')[0]}"
    await api.put(path, {"project_template_expense_budget": {"markup_percentage": 12.5}}, status=422)
    changed = await api.put(path, {"project_template_expense_budget": {"markup_percentage": 12.0}})
    assert only(changed)["markup_percentage"] == 12


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/workspaces", {"workspace": {"title": "P", "organizations": [{"department_id": 10002}]}}),
        ("/workspaces", {"workspace": {"title": "P", "organizations": [{"geography_id": 1}]}}),
        ("/workspaces", {"workspace": {"title": "P", "rate_card_id": 1}}),
        (
            "/estimates",
            {"estimate": {"estimate_scenario": {"name": "S", "start_date": "2026-07-01", "rate_card_id": 1}}},
        ),
        ("/organization_memberships", {"organization_membership": {"department_id": 1}}),
        ("/custom_task_statuses", {"custom_task_status": {"status_set_id": 10002, "status": "S"}}),
    ],
)
async def test_every_id_in_a_body_has_to_be_that_of_a_record(api: API, path: str, body: Any) -> None:
    answer = await api.post(path, body, status=422)
    assert any("names no record of" in error["message"] for error in answer["errors"])


async def test_texts_inside_objects_that_were_sent_as_numbers_are_texts(api: API) -> None:
    link = {"workspace": {"title": "P", "external_link": {"url": 7, "text": 5.5}}}
    assert only(await api.post("/workspaces", link))["external_link"] == {"url": "7", "text": "5.5"}
    detail = {"category": "schedule", "color": "red", "description": 7}
    body = {"status_report": {"workspace_id": 10002, "color": "red", "description": 7, "details": [detail]}}
    made = only(await api.post("/status_reports", body))
    assert (made["description"], made["details"][0]["description"]) == ("7", "7")
    money = {"source_currency": "EUR", "source_value": 7}
    expense = {"workspace_id": 10002, "date": "2026-06-01", "amount_in_cents": 100, "category": "Travel"}
    body = {"expense": {**expense, "expense_category_id": 3701, "foreign_exchange_amount": money}}
    made = only(await api.post("/expenses", body))
    assert made["foreign_exchange_amount"]["source_value"] == "7"
