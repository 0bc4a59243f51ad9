"""Every operation of the contract is served, or declared as not emulated."""

from __future__ import annotations

import random
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import registry, schema
from kantata_client.sandbox.pointers import plain
from kantata_client.sandbox.routes.exports import column_key, dataset_key

if TYPE_CHECKING:
    from kantata_client._contract import Operation, Parameter
    from kantata_client.sandbox import Sandbox
    from kantata_client.sandbox.store import Store

    from .conftest import API

NOT_EMULATED = registry.not_emulated()
CUSTOM = registry.handlers()
UNKNOWN_INCLUDES = {(each.key, name) for each in registry.declared() for name in each.unknown_includes}

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

REQUIRED: dict[str, Any] = {"subject_type": "Workspace", "workspace_id": 10002, "story_id": 20060}
"""Values of required query parameters."""


def test_declared_routes_are_operations_of_the_contract() -> None:
    assert NOT_EMULATED.keys() <= OPERATIONS.keys()
    assert CUSTOM.keys() <= OPERATIONS.keys()
    assert not NOT_EMULATED.keys() & CUSTOM.keys()


def test_at_most_five_operations_are_not_emulated() -> None:
    assert len(NOT_EMULATED) <= 5


def _lists() -> list[Operation]:
    return [
        operation
        for operation in OPERATIONS.values()
        if operation.method == "GET" and operation.result in {"page", "array"} and "{" not in operation.path
    ]


@pytest.mark.parametrize("operation", _lists(), ids=lambda operation: operation.id)
async def test_every_list_responds_to_each_include_and_order(api: API, operation: Operation) -> None:
    query = {name: REQUIRED.get(name, 1) for name, parameter in operation.query.items() if parameter.required}
    if operation.id in NOT_EMULATED:
        answer = await api.get(operation.path, **query, status=501)
        assert operation.id in answer["errors"][0]["message"]
        return
    answer = await api.get(operation.path, **query)
    if operation.result == "array":
        assert isinstance(answer, list)
        return
    assert operation.key in answer
    for include in operation.query["include"].values if "include" in operation.query else ():
        response = await api.client.get(operation.path.lstrip("/"), params={**query, "include": include})
        assert response.status_code in {200, 501}, response.text
    for order in operation.query["order"].values if "order" in operation.query else ():
        response = await api.client.get(operation.path.lstrip("/"), params={**query, "order": order})
        assert response.status_code in {200, 501}, response.text


_VALUES: dict[str, Any] = {
    "currency": "EUR",
    "workspace_id": 10002,
    "user_id": 1005,
    "story_id": 20060,
    "role_id": 3001,
    "assignment_id": 30001,
    "skill_id": 3201,
    "subject_id": 10002,
    "subject_type": "Workspace",
    "custom_field_id": 3801,
    "account_membership_id": 2005,
    "workspace_group_id": 3501,
    "expense_category_id": 3701,
    "workspace_resource_id": 15001,
    "approver_id": 1002,
    "backup_approver_id": 1003,
    "follower_id": 1005,
    "skill_category_id": 3101,
    "resource_id": 15001,
    "user_ids": [1005],
}
_KINDS: dict[str, Any] = {
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "string": "x",
    "any": "x",
    "date": "2026-07-01",
    "datetime": "2026-07-01T09:00:00Z",
}


def _value(name: str, parameter: Parameter) -> Any:
    if name in _VALUES:
        return _VALUES[name]
    value: Any = parameter.values[0] if parameter.values else _KINDS.get(parameter.kind)
    if parameter.kind == "object":
        value = _required(parameter.fields or {})
    return [value] if parameter.many else value


def _required(fields: Any) -> dict[str, Any]:
    return {name: _value(name, parameter) for name, parameter in fields.items() if parameter.required}


def _creations() -> list[Operation]:
    return [
        operation
        for operation in OPERATIONS.values()
        if operation.method == "POST"
        and operation.name == "create"
        and operation.key is not None
        and operation.id not in NOT_EMULATED
        and not (operation.body and operation.body.multipart)
    ]


@pytest.mark.parametrize("operation", _creations(), ids=lambda operation: operation.id)
async def test_created_records_can_be_read_updated_and_deleted(api: API, operation: Operation) -> None:
    """A created record can be read, updated and deleted if the contract has these operations."""
    fields = _required(operation.body.fields if operation.body else {})
    if operation.id == "POST /exports":
        fields["export_definition"] = {
            dataset_key("users"): {"columns": [column_key("users", "id"), column_key("users", "full_name")]}
        }
    if operation.id == "POST /assignments":
        fields["assignee_id"] = 1005
    if operation.id == "POST /invoices":
        items = [{"notes": "Workshop", "amount": 100}]
        fields |= {"draft": True, "additional_items": items}  # only drafts can be deleted
    if operation.id == "POST /resource_requests":
        fields |= {"approver_ids": [1002], "resource_id": 15001}
    if operation.id == "POST /line_item_locks":
        fields["locked_to"] = "2024-01-06"  # a Saturday before all entries
    if operation.id == "POST /rate_cards":
        fields |= {
            "rate_card_set_id": 86001,
            "currency": "EUR",
        }  # only the account's default set takes any currency
    if operation.id == "POST /survey_answers":
        fields["string_value"] = "x"
    if operation.id == "POST /participations":
        fields["user_id"] = _non_participant(api.sandbox.store)
    references = await _prerequisites(api, operation, fields)
    body = {operation.body.wrapper: fields | references} if operation.body else None
    query = _required(operation.query)
    answer = await api.post(operation.path, body, **query)
    [result] = answer["results"]
    assert result["key"] == operation.key
    path = f"{operation.path}/{result['id']}"
    async with api.sandbox.client(on_drift="raise") as kantata:
        if f"GET {operation.path}/{{id}}" in OPERATIONS:
            getting = OPERATIONS[f"GET {operation.path}/{{id}}"]
            read = await getattr(getattr(kantata, getting.resource), getting.name)(result["id"])
            assert str(read.id) == result["id"]
        listing = OPERATIONS.get(f"GET {operation.path}")
        if listing is not None and listing.result == "page" and "only" in listing.query:
            given = {**REQUIRED, **fields, **references}
            required = {name: given[name] for name, p in listing.query.items() if p.required}
            walk = getattr(getattr(kantata, listing.resource), listing.name)(**required, only=result["id"])
            assert [each.id for each in await walk.collect()] == [result["id"]]
    change = OPERATIONS.get(f"PUT {operation.path}/{{id}}")
    if change is not None and change.body is not None and change.body.wrapper is not None:
        required = _required(change.body.fields) if operation.id == "POST /resource_requests" else {}
        required |= {"request_resolution_status": "approve"} if required else {}
        await api.put(path, {change.body.wrapper: required})
    if f"DELETE {operation.path}/{{id}}" in OPERATIONS:
        removed = OPERATIONS[f"DELETE {operation.path}/{{id}}"]
        await api.delete(path, status=204 if removed.result == "none" else 200)
        left = api.sandbox.store.get(operation.key or "", result["id"])
        if operation.id == "POST /assignments":
            assert left is not None
            assert left["current"] is False
        elif operation.id == "POST /expense_categories":
            assert left is not None
            assert left["deleted_at"] is not None
        else:
            assert left is None


def _non_participant(store: Store) -> int:
    """A user who does not participate in the project of the requests."""
    team = {row["user_id"] for row in store.where("participations", "workspace_id", "10002")}
    return int(next(identity for identity in store.ids("users") if identity not in team))


async def _prerequisites(api: API, operation: Operation, fields: dict[str, Any]) -> dict[str, Any]:
    """Create the records that a request refers to and that the demo account lacks."""
    made: dict[str, Any] = {}
    model = schema.model(operation.key or "")
    targets = {name: reference.key for name in fields if (reference := model.reference_of(name)) is not None}
    targets |= {name: key for name in fields if (key := plain(model.key, name)) is not None}
    targets |= {"line_item_ids": "time_entries" if operation.key == "timesheet_submissions" else "expenses"}
    for name, value in fields.items():
        target = targets.get(name)
        ids = value if isinstance(value, list) else [value]
        if target is None or all(api.sandbox.store.get(target, item) is not None for item in ids):
            continue
        stored = api.sandbox.store.all(target)
        if not stored:
            creation = OPERATIONS.get(f"POST /{target}")
            if creation is None:
                continue
            inner = _required(creation.body.fields if creation.body else {})
            inner |= await _prerequisites(api, creation, inner)
            assert creation.body is not None
            await api.post(creation.path, {creation.body.wrapper: inner})
            stored = api.sandbox.store.all(target)
        if name == "line_item_ids":
            stored = [
                row for row in stored if row["workspace_id"] == "10002" and not row["active_submission_id"]
            ]
        made[name] = [int(stored[-1]["id"])] if isinstance(value, list) else int(stored[-1]["id"])
    return made


RANDOM_TEXTS: tuple[Any, ...] = (
    *(
        "",
        "x",
        "0",
        "-1",
        "1",
        "10002",
        "1001,1002",
        "true",
        "2026-01-01",
        "2026-01-01:2026-02-01",
        ":",
        "a:b:c",
    ),
    *("2026-01-01T00:00:00Z", "9" * 30, "ä/ö", "1:2", "(1:a):(2:b)", "\x00"),
)
RANDOM_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        1,
        -1,
        10002,
        1.5,
        "",
        "x",
        "1",
        "2026-01-01",
        [],
        [1],
        ["x", None],
        {},
        {"id": 1},
        [{}],
    ),
    *(
        [{"id": 3801, "value": 1}],
        10**30,
        {"service_name": "a", "service_model": "b", "service_model_ref": "c"},
    ),
)


@pytest.mark.parametrize("seed", range(3))
async def test_random_requests_never_crash(api: API, seed: int) -> None:
    """Every response has a status of the API; an exception in the sandbox would be raised here."""
    choose = random.Random(seed).choice
    chance = random.Random(seed).random
    ids = {"stories": "20060", "users": "1005", "workspaces": "10002", "time_entries": "100001"}
    for operation in OPERATIONS.values():
        collection = operation.path.split("/")[1]
        path = operation.path
        for name in operation.path_parameters:
            path = path.replace(f"{{{name}}}", ids.get(collection, choose(("1", "x", "1:2"))))
        query = {name: choose(RANDOM_TEXTS) for name in operation.query if chance() < 0.15}
        body: Any = None
        if operation.body is not None:
            fields = {name: choose(RANDOM_VALUES) for name in operation.body.fields if chance() < 0.4}
            good = _required(operation.body.fields) if chance() < 0.7 else {}
            item = choose((good, good | fields, fields))
            wrapper, plural = operation.body.wrapper, operation.body.plural
            body = choose(
                [{wrapper: item} if wrapper else item] * 6 + [{plural or "x": [item, item]}, item, []]
            )
        response = await api.client.request(operation.method, path.lstrip("/"), params=query, json=body)
        assert response.status_code in {200, 204, 400, 404, 422, 501}, (operation.id, response.text)


_UNCONVERTED: dict[str, Any] = {
    "str": 7,
    "int": "7",
    "float": "1.5",
    "bool": True,
    "date": "2026-01-02T03:04:05Z",
    "datetime": "2026-01-02",
}
"""Values as requests may contain them: only booleans have the type that responses need."""


def _put_complete(store: Store, key: str) -> None:
    """Store a record with a value in every field and association."""
    model = schema.model(key)
    record: dict[str, Any] = {
        field: [_UNCONVERTED[kind]] if field in model.lists else _UNCONVERTED[kind]
        for field, kind in model.kinds.items()
        if kind in _UNCONVERTED and field not in {"archived", "deleted_at", "disabled_at"}
    }
    for reference in model.references.values():
        target = reference.key or "workspaces"
        others = store.ids(target) or [store.put(target, {"id": 1})["id"]]
        here = str(REQUIRED.get(reference.ids, others[0]))
        about = {"key": target, "id": here} if reference.key is None else here
        record[reference.ids] = [about] if reference.many or reference.ids.endswith("_ids") else about
    asked_for = {**REQUIRED, "estimate_scenario_id": 1, "project_plan": True}
    record |= {field: value for field, value in asked_for.items() if field in model.kinds}
    store.put(key, {**record, "id": 1})


LIFTING: dict[str, dict[str, Any]] = {
    "users": {"on_my_account": True},
    "expense_report_submissions": {"all_on_account": True},
}
"""Envelope key → parameters that lift the default filters that would hide such a record."""


async def test_records_conform_to_the_contract(sandbox: Sandbox) -> None:
    """The client checks a complete record of each list with all includes, and those of the demo account."""
    lists = [each for each in _lists() if each.id not in NOT_EMULATED and each.key is not None]
    for operation in lists:
        if operation.key != "external_references":  # the demo account has complete ones
            _put_complete(sandbox.store, operation.key or "")
    async with sandbox.client(on_drift="raise") as kantata:
        for operation in lists:
            query = {name: REQUIRED.get(name, 1) for name, p in operation.query.items() if p.required}
            if "include" in operation.query:
                query["include"] = [
                    name
                    for name in operation.query["include"].values
                    if (operation.key, name) not in UNKNOWN_INCLUDES
                ]
            query |= LIFTING.get(operation.key or "", {})
            walk = getattr(getattr(kantata, operation.resource), operation.name)
            assert await walk(**query).collect(limit=20), operation.id
            if (
                operation.key not in ("external_references", "subscribed_events")
                and "only" in operation.query
            ):
                if "optional_fields" in operation.query:
                    query["optional_fields"] = operation.query["optional_fields"].values
                found = await walk(**query, only="1").collect()
                assert len(found) == 1, operation.id
                [full] = found
                assert str(full.id) == "1"


async def test_results_without_records_conform_to_the_contract(sandbox: Sandbox, api: API) -> None:
    body = {"access_group_membership": {"access_group_id": 80101, "user_id": 1005}}
    made = await api.post("/access_group_memberships", body)
    expense = await api.get("/expenses", uninvoiced=True, per_page=1)
    async with sandbox.client(on_drift="raise") as kantata:
        membership = made["results"][0]["id"]
        assert (await kantata.access_group_memberships.delete(membership)).success
        [gone] = [result["id"] for result in expense["results"]]
        answer = await kantata.request("DELETE", "/expenses", params={"ids": gone})
        assert answer == {"deleted": [int(gone)]}
        await kantata.currencies.list().collect()
        await kantata.invoices.next_invoice_number()
        assert (await kantata.account_rate_cards_activations.create(rate_card_set_version_id=85901)).activated
        assert (await kantata.account_rate_cards_activations.get()).activated
        await kantata.exports.available_datasets()
        made = await kantata.time_entries.create(
            workspace_id=10002, date_performed=date(2026, 7, 1), time_in_minutes=60
        )
        sheet = await kantata.timesheet_submissions.create(
            workspace_id=10002, title="July", line_item_ids=[int(made.id)]
        )
        assert await kantata.timesheet_approvals.create(submission_ids=[int(sheet.id)])
        table = await kantata.exchange_tables.create(name="Rates")
        rate = {"source_currency": "EUR", "target_currency": "USD", "effective_date": "2026-07-01"}
        rows: Any = [{**rate, "exchange_rate": "1.1"}]
        made = await kantata.exchange_tables.import_rates(table.id, exchange_rates=rows)
        assert [each.rate for each in made] == ["1.1"]
        await kantata.exchange_tables.get(table.id)
        await kantata.exchange_tables.rates(table.id).collect()
    assert not kantata.drift
