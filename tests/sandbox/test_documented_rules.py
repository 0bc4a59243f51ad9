"""Rules that the documentation states about money, resources, members and single records, each with its siblings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client.operations import OPERATIONS

from .conftest import only, refusal

if TYPE_CHECKING:
    from kantata_client._contract import Operation

    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


async def make(api: API, key: str, wrapper: str, **fields: Any) -> dict[str, Any]:
    return only(await api.post(f"/{key}", {wrapper: fields}))


async def test_the_owner_can_neither_be_removed_nor_disabled(api: API) -> None:
    assert "owner" in await refusal(api, "DELETE", "/account_memberships/2001")
    assert "owner" in await refusal(api, "PUT", "/account_memberships/2001/disable")


async def test_a_removed_member_stays_on_projects_and_can_only_view_them(api: API) -> None:
    store = api.sandbox.store
    await api.delete("/account_memberships/2005")
    assert "1005" in await api.ids("/users", per_page=200)
    assert "1005" not in await api.ids("/users", per_page=200, on_my_account=True)
    assert await api.ids("/users", per_page=200, contacts_on_different_account=True) == ["1005"]
    rows = store.where("participations", "user_id", "1005")
    assert rows
    assert {(row["show_as_read_only"], row["can_edit"], row["can_post"]) for row in rows} == {
        (True, False, False)
    }
    address = (store.get("users", "1005") or {})["email_address"]
    await make(api, "account_invitations", "account_invitation", full_name="X", email_address=address)
    assert "1005" in await api.ids("/users", per_page=200, on_my_account=True)


async def test_a_milestone_is_billed_once_and_then_fixed(api: API) -> None:
    fields = {"workspace_id": 10002, "title": "Go-live", "amount_in_cents": 500, "billing_type": "fixed_date"}
    made = await make(api, "billing_milestones", "billing_milestone", **fields, date_to_invoice="2026-09-01")
    path, change = f"/billing_milestones/{made['id']}", {"billing_milestone": {"title": "Launch"}}
    assert made["currency"] == "GBP"
    await api.put(path, change)
    bill = {"workspace_id": 10002, "payment_schedule": 30, "billing_milestone_ids": [int(made["id"])]}
    invoice = await make(api, "invoices", "invoice", **bill)
    assert (invoice["balance_in_cents"], invoice["currency"], invoice["currency_symbol"]) == (500, "GBP", "£")
    assert only(await api.get(path))["invoice_id"] == invoice["id"]
    assert "on an invoice" in await refusal(api, "PUT", path, change)
    assert "on an invoice" in await refusal(api, "DELETE", path)
    assert "on an invoice" in await refusal(api, "POST", "/invoices", {"invoice": bill})
    await api.put(f"/invoices/{invoice['id']}/cancel")
    draft = await make(api, "invoices", "invoice", **bill, draft=True)
    await api.delete(f"/invoices/{draft['id']}")
    await api.delete(path)


async def test_only_active_invoices_are_cancelled(api: API) -> None:
    bill = {"workspace_id": 10002, "payment_schedule": 30, "additional_items": [{"notes": "x", "amount": 9}]}
    draft = await make(api, "invoices", "invoice", **bill, draft=True)
    assert "draft" in await refusal(api, "PUT", f"/invoices/{draft['id']}/cancel")
    active = await make(api, "invoices", "invoice", **bill)
    await api.put(f"/invoices/{active['id']}/cancel")
    assert "already" in await refusal(api, "PUT", f"/invoices/{active['id']}/cancel")


async def test_a_new_invoice_has_a_number_that_no_other_has(api: API) -> None:
    bill = {"workspace_id": 10002, "payment_schedule": 30, "additional_items": [{"notes": "x", "amount": 9}]}
    first, _ = [await make(api, "invoices", "invoice", **bill, draft=True) for _ in range(2)]
    await api.delete(f"/invoices/{first['id']}")
    number = (await api.get("/invoices/next_invoice_number"))["next_invoice_number"]
    third = await make(api, "invoices", "invoice", **bill, draft=True)
    assert str(third["user_invoice_number"]) == number
    numbers = [str(row["user_invoice_number"]) for row in api.sandbox.store.all("invoices")]
    assert len(set(numbers)) == len(numbers)
    await make(api, "invoices", "invoice", **bill, user_invoice_number=900)
    assert (await make(api, "invoices", "invoice", **bill))["user_invoice_number"] == 901


async def test_a_payment_settles_a_waiting_invoice_of_its_project(api: API) -> None:
    store = api.sandbox.store
    bill = {
        "workspace_id": 10002,
        "payment_schedule": 30,
        "additional_items": [{"notes": "x", "amount": 900}],
    }
    invoice = (await make(api, "invoices", "invoice", **bill))["id"]
    pay = {"workspace_id": 10002, "invoice_id": int(invoice), "amount_in_cents": 400}
    first = await make(api, "external_payments", "external_payment", **pay)
    assert (store.get("invoices", invoice) or {})["balance_in_cents"] == 500
    path = "/external_payments"
    assert "500 cents due" in await refusal(
        api, "POST", path, {"external_payment": {**pay, "amount_in_cents": 501}}
    )
    other = {"external_payment": {**pay, "workspace_id": 10003}}
    assert "that project" in await refusal(api, "POST", path, other)
    await make(api, "external_payments", "external_payment", **{**pay, "amount_in_cents": 500})
    assert (store.get("invoices", invoice) or {})["status"] == "accepted payment"
    assert "does not wait" in await refusal(api, "POST", path, {"external_payment": pay})
    await api.delete(f"{path}/{first['id']}")
    left = store.get("invoices", invoice) or {}
    assert (left["balance_in_cents"], left["status"]) == (400, "new")
    draft = (await make(api, "invoices", "invoice", **bill, draft=True))["id"]
    assert "does not wait" in await refusal(
        api, "POST", path, {"external_payment": {**pay, "invoice_id": int(draft)}}
    )


@pytest.mark.parametrize("fixed_fee", [True, False])
@pytest.mark.parametrize("burns_budget", [True, False])
@pytest.mark.parametrize("billable", [True, False])
async def test_expense_budgets_have_one_of_the_documented_kinds(
    api: API, fixed_fee: bool, burns_budget: bool, billable: bool
) -> None:
    kind = {"fixed_fee": fixed_fee, "burns_budget": burns_budget, "billable": billable}
    fields = {"workspace_id": 10002, "title": "Travel", **kind}
    body = {"expense_budget": fields}
    if billable or (burns_budget and not fixed_fee):
        made = only(await api.post("/expense_budgets", body))
        wrong = {"fixed_fee": True, "burns_budget": True, "billable": False}
        assert "combined" in await refusal(
            api, "PUT", f"/expense_budgets/{made['id']}", {"expense_budget": wrong}
        )
    else:
        assert "combined" in await refusal(api, "POST", "/expense_budgets", body)


async def test_an_expense_budget_with_expenses_stays_and_an_expense_keeps_its_project(api: API) -> None:
    expense = next(row for row in api.sandbox.store.all("expenses") if row.get("expense_budget_id"))
    assert "logged" in await refusal(api, "DELETE", f"/expense_budgets/{expense['expense_budget_id']}")
    path = f"/expenses/{expense['id']}"
    await api.put(path, {"expense": {"workspace_id": int(expense["workspace_id"])}})
    assert "can't be changed" in await refusal(api, "PUT", path, {"expense": {"workspace_id": 10002}})


async def test_an_estimate_goes_with_its_scenarios_resources_and_allocations(api: API) -> None:
    store = api.sandbox.store
    made = await make(
        api,
        "estimates",
        "estimate",
        name="Rollout",
        currency="USD",
        estimate_scenario={"name": "S", "start_date": "2026-07-01"},
    )
    [scenario] = store.where("estimate_scenarios", "estimate_id", made["id"])
    resource = await make(
        api,
        "estimate_scenario_resources",
        "estimate_scenario_resource",
        estimate_scenario_id=int(scenario["id"]),
        label="Designer",
        role_id=3001,
        allocation_attributes={"relative_start_day": 1, "duration_days": 5, "percent_allocated": 50},
    )
    [allocation] = store.where("estimate_scenario_resource_allocations", "resource_id", resource["id"])
    await api.delete(f"/estimates/{made['id']}")
    for key, row in (
        ("estimate_scenarios", scenario),
        ("estimate_scenario_resources", resource),
        ("estimate_scenario_resource_allocations", allocation),
    ):
        assert store.get(key, row["id"]) is None


async def test_a_participant_leaves_with_resources_assignments_and_allocations(api: API) -> None:
    store = api.sandbox.store
    resource = next(
        row
        for row in store.all("workspace_resources")
        if row["participation_id"] and store.number("assignments", "resource_id", row["id"])
    )
    assignments = store.find("assignments", "resource_id", resource["id"])
    await api.delete(f"/participations/{resource['participation_id']}")
    assert store.get("workspace_resources", resource["id"]) is None
    assert [each for each in assignments if store.get("assignments", each)] == []


async def test_a_new_resource_has_the_primary_role_and_the_last_one_of_it_stays(api: API) -> None:
    fields = {"workspace_id": 10002, "user_id": 1002}
    made = await make(api, "workspace_resources", "workspace_resource", **fields)
    named = (made["role_name"], made["label"], made["full_name"])
    assert named == ("Consultant", "Consultant", "Bastian Dunmarrow")
    same = await make(api, "workspace_resources", "workspace_resource", **fields)
    other = await make(api, "workspace_resources", "workspace_resource", **fields, role_id=3001)
    unnamed = await make(api, "workspace_resources", "workspace_resource", workspace_id=10002, role_id=3001)
    for identity in (other["id"], unnamed["id"], same["id"]):
        await api.delete(f"/workspace_resources/{identity}")
    assert "last one" in await refusal(api, "DELETE", f"/workspace_resources/{made['id']}")


async def test_time_off_on_the_same_day_is_one_entry(api: API) -> None:
    entry = {"user_id": 1005, "requested_date": "2026-07-06", "hours": 3}
    first = await make(api, "time_off_entries", "time_off_entry", **entry)
    second = await api.post("/time_off_entries", {"time_off_entries": [entry, {**entry, "hours": 1}]})
    assert [result["id"] for result in second["results"]] == [first["id"]]
    assert only(second)["hours"] == 7
    changed = await api.put(f"/time_off_entries/{first['id']}", {"time_off_entry": {"hours": 2}})
    assert only(changed)["hours"] == 2


async def test_replaced_values_take_along_what_refers_to_them(api: API) -> None:
    value = {"custom_field_id": 3801, "subject_type": "Workspace", "subject_id": 10002}
    made = await make(api, "custom_field_values", "custom_field_value", **value, value="a")
    reference = {"subject_type": "CustomFieldValue", "subject_id": int(made["id"]), "service_model_ref": "7"}
    named = {**reference, "service_name": "erp", "service_model": "value"}
    await api.post("/external_references/create_or_update", {"external_reference": named})
    two = [{**value, "value": "b"}, {**value, "value": "c"}]
    body = await api.post("/custom_field_values", {"custom_field_values": two})
    assert (body["count"], len(body["results"]), only(body)["value"]) == (1, 1, "c")
    assert not api.sandbox.store.find(
        "external_references", "subject_ref", {"key": "custom_field_values", "id": made["id"]}
    )


async def test_organizations_are_two_trees(api: API) -> None:
    rows = api.sandbox.store.all("organizations")
    geography, department = (
        [row for row in rows if row["type"] == kind] for kind in ("Geography", "Department")
    )
    root, child = geography
    assert (root["parent_id"], child["parent_id"], child["ancestor_ids"]) == (None, root["id"], [root["id"]])
    leaf = await make(api, "organizations", "organization", name="Coast", parent_id=int(child["id"]))
    assert (leaf["type"], leaf["ancestor_ids"]) == ("Geography", [root["id"], child["id"]])
    other = await make(api, "organizations", "organization", name="Hills", parent_id=int(root["id"]))

    async def move(row: dict[str, Any], parent: dict[str, Any]) -> dict[str, Any]:
        body = {"organization": {"parent_id": int(parent["id"])}}
        return only(await api.put(f"/organizations/{row['id']}", body))

    for row in (root, child, leaf):
        body = {"organization": {"parent_id": int(leaf["id"])}}
        assert "or below it" in await refusal(api, "PUT", f"/organizations/{row['id']}", body)
    body = {"organization": {"parent_id": int(department[0]["id"])}}
    assert "not a Geography" in await refusal(api, "PUT", f"/organizations/{leaf['id']}", body)
    moved = await move(child, other)
    assert moved["ancestor_ids"] == [root["id"], other["id"]]
    below = only(await api.get(f"/organizations/{leaf['id']}"))
    assert below["ancestor_ids"] == [root["id"], other["id"], child["id"]]
    await api.delete(f"/organizations/{root['id']}")
    assert await api.ids("/organizations") == [row["id"] for row in department]


async def test_records_that_refer_to_each_other_can_be_deleted(api: API) -> None:
    first, second, *_ = (row["id"] for row in api.sandbox.store.all("organizations"))
    api.sandbox.store.change("organizations", first, parent_id=second)
    api.sandbox.store.change("organizations", second, parent_id=first)
    await api.delete(f"/organizations/{first}")
    assert not {first, second} & set(await api.ids("/organizations"))


async def test_a_survey_answer_has_one_value(api: API) -> None:
    ids = {"survey_question_id": 88101, "survey_response_id": 88201}
    path = "/survey_answers"
    assert "needs a value" in await refusal(api, "POST", path, {"survey_answer": ids})
    both = {"string_value": "x", "integer_value": 3}
    assert "one value" in await refusal(api, "POST", path, {"survey_answer": {**ids, **both}})
    made = await make(api, "survey_answers", "survey_answer", **ids, string_value="x")
    assert "one value" in await refusal(api, "PUT", f"{path}/{made['id']}", {"survey_answer": both})


async def test_a_new_task_status_is_the_last_of_its_set_and_goes_with_it(api: API) -> None:
    store = api.sandbox.store
    owner = (await make(api, "task_status_sets", "task_status_set", name="Kanban"))["id"]
    fields = {"status": "Review", "category": "started", "status_set_id": int(owner)}
    made = await make(api, "custom_task_statuses", "custom_task_status", **fields)
    assert made["position"] == 5
    found = await api.get(f"/task_status_sets/{owner}", include="custom_task_statuses")
    assert list(only(found)["custom_task_status_ids"])[-1] == made["id"]
    await api.delete(f"/task_status_sets/{owner}")
    assert store.get("custom_task_statuses", made["id"]) is None


def updates() -> list[tuple[Operation, str]]:
    """Each update, with a property that the creation requires."""
    found: list[tuple[Operation, str]] = []
    for operation in OPERATIONS.values():
        create = OPERATIONS.get(f"POST {operation.path.removesuffix('/{id}')}")
        if (
            operation.method == "PUT"
            and operation.name == "update"
            and operation.body
            and create
            and create.body
        ):
            found += [
                (operation, name)
                for name, parameter in create.body.fields.items()
                if parameter.required and name in operation.body.fields
            ]
    return found


@pytest.mark.parametrize(("operation", "name"), updates(), ids=lambda each: getattr(each, "id", each))
async def test_an_update_can_not_clear_what_a_creation_requires(
    api: API, operation: Operation, name: str
) -> None:
    assert operation.body is not None
    if operation.key is None:  # the demo account has no scheduled job
        job = {"external_report_object_identifier": "abc", "recurrence": {"cadence": "daily"}}
        made = await api.post("/scheduled_jobs/insights_report_exports", {operation.body.wrapper: job})
        identity = str(made["id"])
    else:
        identity = api.sandbox.store.all(operation.key)[-1]["id"]
    path = operation.path.replace("{id}", identity)
    for blank in (None, "", " \n"):
        if blank is None or operation.body.fields[name].kind == "string":
            assert f"{name} can't be blank" in await refusal(
                api, "PUT", path, {operation.body.wrapper: {name: blank}}
            )


PERIODS = [
    ("/backup_approver_associations", "backup_approver_association", "end_date"),
    ("/holidays", "holiday", "end_date"),
    ("/stories", "story", "due_date"),
    ("/workspaces", "workspace", "due_date"),
    ("/workspace_allocations", "workspace_allocation", "end_date"),
    ("/project_accounting_records", "project_accounting_record", "end_date"),
]


@pytest.mark.parametrize(("path", "wrapper", "end"), PERIODS)
async def test_a_period_can_not_end_before_it_starts(api: API, path: str, wrapper: str, end: str) -> None:
    fields = {
        "approver_id": 1001, "backup_approver_id": 1002, "name": "x", "title": "x", "workspace_id": 10002,
        "resource_id": 15002, "minutes": 60, "currency": "USD", "paid": True,
    }  # fmt: skip
    operation = OPERATIONS[f"POST {path}"]
    assert operation.body is not None
    fields = {name: value for name, value in fields.items() if name in operation.body.fields}
    wrong = {wrapper: {**fields, "start_date": "2026-07-06", end: "2026-07-01"}}
    assert "before the start date" in await refusal(api, "POST", path, wrong)
    await api.post(path, {wrapper: {**fields, "start_date": "2026-07-06", end: "2026-07-06"}})


def with_currency() -> list[Any]:
    return [
        pytest.param(operation, name, id=f"{operation.id} {name}")
        for operation in OPERATIONS.values()
        if operation.body is not None and operation.method == "POST" and operation.body.wrapper
        for name in operation.body.fields
        if name == "currency"
    ]


@pytest.mark.parametrize(("operation", "name"), with_currency())
async def test_an_unknown_currency_is_refused_everywhere(api: API, operation: Operation, name: str) -> None:
    assert operation.body is not None
    message = await refusal(api, "POST", operation.path, {operation.body.wrapper: {name: "ZZZ"}})
    assert f"{name} is not a currency of the sandbox: ZZZ" in message


@pytest.mark.parametrize(
    ("method", "path", "wrapper", "name"),
    [
        ("POST", "/stories", "story", "time_estimate_in_minutes"),
        ("POST", "/time_off_entries", "time_off_entry", "hours"),
        ("POST", "/workspace_allocations", "workspace_allocation", "minutes"),
        ("POST", "/story_allocation_days", "story_allocation_day", "minutes"),
        ("PUT", "/assignments/31030", "assignment", "estimated_minutes"),
        ("PUT", "/time_entries/100002", "time_entry", "time_in_minutes"),
        ("POST", "/workweeks", "workweek", "monday_minutes"),
    ],
)
async def test_a_negative_span_of_time_is_refused_everywhere(
    api: API, method: str, path: str, wrapper: str, name: str
) -> None:
    assert f"{name} is negative" in await refusal(api, method, path, {wrapper: {name: -1}})
