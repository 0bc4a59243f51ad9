"""Requests that foreign clients send: forms, parameters in bodies, and what the server library tolerates."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Gaps
from kantata_client.sandbox.forms import nested
from kantata_client.sandbox.routes.exports import column_key, dataset_key

from .conftest import only

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


async def form(api: API, method: str, path: str, pairs: list[tuple[str, str]], status: int = 200) -> Any:
    response = await api.client.request(
        method,
        path.lstrip("/"),
        content=urlencode(pairs),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert response.status_code == status, response.text
    return response.json() if response.content else None


@pytest.mark.parametrize(
    ("pairs", "made"),
    [
        ([("a", "1")], {"a": "1"}),
        ([("a[b]", "1"), ("a[c]", "")], {"a": {"b": "1", "c": ""}}),
        ([("a[]", "1"), ("a[]", "2")], {"a": ["1", "2"]}),
        ([("a[b][]", "1"), ("a[b][]", "2")], {"a": {"b": ["1", "2"]}}),
        (
            [("s[][t]", "1"), ("s[][u]", "2"), ("s[][t]", "3")],
            {"s": [{"t": "1", "u": "2"}, {"t": "3"}]},
        ),
        (
            [("s[][ids][]", "1"), ("s[][ids][]", "2"), ("s[][t]", "x"), ("s[][t]", "y")],
            {"s": [{"ids": ["1", "2"], "t": "x"}, {"t": "y"}]},
        ),
        (
            [("s[][r][a]", "1"), ("s[][r][b]", "2"), ("s[][r][a]", "3")],
            {"s": [{"r": {"a": "1", "b": "2"}}, {"r": {"a": "3"}}]},
        ),
    ],
)
async def test_form_field_names_nest_as_in_rails(pairs: list[tuple[str, str]], made: dict[str, Any]) -> None:
    assert nested(pairs) == made


@pytest.mark.parametrize(
    "names", [["a", "a[b]"], ["a[]", "a[b]"], ["a[b]", "a[]"], ["a[b"], ["[a]"], ["a" + "[b]" * 40]]
)
async def test_contradictory_form_field_names_are_refused(api: API, names: list[str]) -> None:
    answer = await form(api, "POST", "/time_entries", [(name, "1") for name in names], status=400)
    assert "can't be read" in answer["errors"][0]["message"]


ENTRY = {"workspace_id": "10012", "date_performed": "2026-11-02", "time_in_minutes": "30"}


async def test_forms_are_accepted_wherever_json_is(api: API) -> None:
    made = only(await form(api, "POST", "/time_entries", [(f"time_entry[{k}]", v) for k, v in ENTRY.items()]))
    assert (made["time_in_minutes"], made["billable"]) == (30, True)
    path = f"/time_entries/{made['id']}"
    changed = only(
        await form(api, "PUT", path, [("time_entry[billable]", "false"), ("time_entry[notes]", "")])
    )
    assert (changed["billable"], changed["notes"]) == (False, "")
    rows = [(f"time_entries[][{k}]", v) for _ in range(3) for k, v in ENTRY.items()]
    answer = await form(api, "POST", "/time_entries", rows)
    ids = [result["id"] for result in answer["results"]]
    assert len(ids) == 3
    await form(api, "DELETE", "/time_entries", [("ids[]", i) for i in ids[:2]], status=204)
    await form(api, "DELETE", "/time_entries", [("ids", f"{ids[2]},{made['id']}")], status=204)
    wrong = await form(api, "POST", "/time_entries", [("time_entry[time_in_minutes]", "soon")], status=422)
    assert {error["field"] for error in wrong["errors"]} >= {"time_in_minutes", "workspace_id"}


async def test_forms_may_contain_nested_objects_and_arrays(api: API) -> None:
    pairs = [
        ("story[workspace_id]", "10002"),
        ("story[title]", "By form"),
        ("story[assignee_ids][]", "1005"),
        ("story[assignee_ids][]", "1006"),
        ("story[custom_fields][][custom_field_id]", "3803"),
        ("story[custom_fields][][value]", "4"),
        ("story[external_reference][service_name]", "desk"),
        ("story[external_reference][service_model]", "Ticket"),
        ("story[external_reference][service_model_ref]", "77"),
    ]
    made = only(await form(api, "POST", "/stories", pairs))
    store = api.sandbox.store
    assert {row["assignee_id"] for row in store.where("assignments", "story_id", made["id"])} == {
        "1005",
        "1006",
    }
    about = {"key": "stories", "id": made["id"]}
    assert [row["value"] for row in store.where("custom_field_values", "subject_ref", about)] == ["4"]
    assert [row["service_model_ref"] for row in store.where("external_references", "subject_ref", about)] == [
        "77"
    ]


@pytest.mark.parametrize("shape", ["multipart", "form", "json", "json as the contract has it"])
async def test_a_direct_upload_starts_with_any_body_format(api: API, shape: str) -> None:
    fields = {"direct": "true", "attachment[type]": "receipt", "attachment[filename]": "bill.pdf"}
    inner = {"type": "receipt", "filename": "bill.pdf"}
    body: dict[str, Any] = {
        "multipart": {"files": {name: (None, value) for name, value in fields.items()}},
        "form": {"data": fields},
        "json": {"json": {"direct": True, "attachment": inner}},
        "json as the contract has it": {"json": {"attachment": {**inner, "direct": True}}},
    }[shape]
    response = await api.client.post("attachments", **body)
    assert response.status_code == 200, response.text
    assert response.json()["fields"]["key"]


async def test_objects_in_a_body_have_only_declared_properties(api: API) -> None:
    """Every declared object accepts its declared properties and names an unknown one."""
    tried = 0
    for operation in OPERATIONS.values():
        for name, parameter in (operation.body.fields if operation.body else {}).items():
            if parameter.kind != "object" or not parameter.fields or "{" in operation.path:
                continue
            body = {name: [{"surprise": 1}] if parameter.many else {"surprise": 1}}
            wrapper = operation.body.wrapper if operation.body else None
            sent = {wrapper: body} if wrapper else body
            response = await api.client.request(operation.method, operation.path.lstrip("/"), json=sent)
            if response.status_code == 501:
                continue
            assert response.status_code in {400, 422}, (operation.id, name)
            said = " ".join(error["message"] for error in response.json()["errors"])
            assert "surprise" in said, (operation.id, name, said)
            tried += 1
    assert tried > 25


async def test_custom_field_choices_are_updated_by_id(api: API) -> None:
    store = api.sandbox.store
    fields = {
        "name": "Size",
        "value_type": "single",
        "custom_field_set_id": store.put("custom_field_sets", {"subject_type": "Story"})["id"],
    }
    made = only(
        await api.post(
            "/custom_fields", {"custom_field": {**fields, "choices": [{"label": "S"}, {"label": "M"}]}}
        )
    )
    first = store.find("custom_field_choices", "custom_field_id", made["id"])[0]
    choices = [{"id": int(first), "label": "XS"}, {"label": "L"}]
    await api.put(f"/custom_fields/{made['id']}", {"custom_field": {"choices": choices}})
    labels = [row["label"] for row in store.where("custom_field_choices", "custom_field_id", made["id"])]
    assert labels == ["XS", "M", "L"]


async def test_only_returns_all_its_records_in_one_page(api: API, lenient: API) -> None:
    ids = api.sandbox.store.ids("time_entries")[:260]
    for each in (api, lenient):
        answer = await each.get("/time_entries", only=",".join(ids))
        assert {result["id"] for result in answer["results"]} == set(ids)
        assert (answer["meta"]["page_count"], answer["meta"]["page_number"]) == (1, 1)
        assert len(await each.ids("/time_entries", only=",".join(ids), page=3, per_page=20)) == 260


async def test_an_empty_list_has_page_number_0(empty: API) -> None:
    meta = (await empty.get("/vendors"))["meta"]
    assert meta == {"count": 0, "page_count": 0, "page_number": 0, "page_size": 20}


@pytest.mark.parametrize("query", [{"limit": 2}, {"offset": 7}, {"limit": 0}])
async def test_limit_or_offset_alone_has_no_effect(api: API, query: dict[str, int]) -> None:
    assert await api.ids("/users", **query, per_page=3) == await api.ids("/users", per_page=3)


@pytest.mark.parametrize(("role", "side"), [("client", "buyer"), ("consultant", "maven"), (None, "maven")])
async def test_creator_role_sets_the_side_of_the_creator(api: API, role: str | None, side: str) -> None:
    body = {"title": "P"} | ({"creator_role": role} if role else {})
    made = only(await api.post("/workspaces", {"workspace": body}))
    [row] = api.sandbox.store.where("participations", "workspace_id", made["id"])
    assert (row["user_id"], row["role"]) == ("1001", side)


async def test_a_missing_required_parameter_is_named(api: API, lenient: API) -> None:
    for each in (api, lenient):
        answer = await each.get("/participations", status=422)
        assert [error["field"] for error in answer["errors"]] == ["workspace_id"]


# What the library tolerates is refused by name, unless the sandbox is lenient.

SLOPPY_REQUESTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown parameter": ("/stories", {"colour": "red"}, "colour"),
    "cache buster": ("/stories", {"_": "1719823"}, "_"),
    "unknown include": ("/stories", {"include": "assignees,friends"}, "friends"),
    "unknown optional field": ("/stories", {"optional_fields": "mood"}, "mood"),
    "unknown order": ("/stories", {"order": "colour:asc"}, "colour"),
    "order without a direction": ("/stories", {"order": "due_date"}, "due_date"),
    "order with too many parts": ("/stories", {"order": "due_date:desc:asc"}, "due_date"),
    "large page": ("/stories", {"per_page": 5000}, "200"),
    "page 0": ("/stories", {"page": 0}, "page"),
    "page in words": ("/stories", {"page": "one"}, "page"),
    "no page size": ("/stories", {"per_page": 0}, "page"),
    "negative offset": ("/stories", {"limit": 5, "offset": -1}, "offset"),
    "large limit": ("/stories", {"limit": 999, "offset": 0}, "200"),
    "upper-case boolean": ("/stories", {"show_archived": "TRUE"}, "show_archived"),
    "blank filter": ("/stories", {"workspace_id": ""}, "workspace_id"),
    "blank search": ("/stories", {"search": " "}, "search"),
    "blank only": ("/stories", {"only": ""}, "only"),
    "default filters off": ("/stories", {"apply_default_filters": "false"}, "apply_default_filters"),
}


@pytest.mark.parametrize("case", SLOPPY_REQUESTS)
async def test_a_sloppy_request_is_refused_by_name_or_tolerated(api: API, lenient: API, case: str) -> None:
    path, query, name = SLOPPY_REQUESTS[case]
    answer = await api.get(path, **query, status=400)
    assert name in answer["errors"][0]["message"]
    await lenient.get(path, **query)


async def test_a_lenient_sandbox_interprets_sloppy_requests_as_the_library_does(lenient: API) -> None:
    get, ids = lenient.get, lenient.ids
    default = await ids("/stories")
    assert await ids("/stories", order="colour:asc") == default
    assert await ids("/stories", order="due_date") == await ids("/stories", order="due_date:asc")
    assert await ids("/stories", order="due_date:desc:asc") == await ids("/stories", order="due_date:desc")
    assert len(await ids("/stories", per_page=5000)) == 200
    assert await ids("/stories", page=-3, per_page="7x") == default[:7]
    assert await ids("/stories", only="") == default
    for digits in (12, 25, 5_000):
        assert await ids("/stories", page="9" * digits) == []
        assert await ids("/stories", limit=1, offset="9" * digits) == []
    shown = (await get("/stories", show_archived="TRUE", show_from_archived_workspaces="1"))["count"]
    assert (
        (await get("/stories", apply_default_filters="false"))["count"]
        == shown
        > (await get("/stories"))["count"]
    )
    assert (
        lenient.sandbox.gaps.count(
            "GET /stories: the order 'colour:asc' is unknown; the default order was used."
        )
        == 1
    )
    archived = lenient.sandbox.store.where("workspaces", "archived", True)[0]["id"]
    await get(f"/workspaces/{archived}", status=404)
    await get(f"/workspaces/{archived}", apply_default_filters="false")


async def test_parameters_in_a_body_are_used_only_when_lenient(api: API, lenient: API) -> None:
    post = {"workspace_id": 10012, "message": "m"}
    body = {"post": post, "include": "user,workspace", "colour": "red"}
    refused = await api.post("/posts", body, status=400)
    assert "`include`" in refused["errors"][0]["message"]
    answer = await lenient.post("/posts", body)
    assert (list(answer["users"]), list(answer["workspaces"])) == (["1001"], ["10012"])
    both = await lenient.post("/posts", {"post": post, "include": ["user"]}, include="workspace")
    assert "users" not in both  # the query wins
    assert "workspaces" in both


async def test_unknown_properties_are_ignored_only_when_lenient(api: API, lenient: API) -> None:
    story = {"title": "T", "assignments": [{"assignee_id": 1002}], "mood": 3}
    answer = await api.put("/stories/20551", {"story": story}, status=422)
    assert {error["field"] for error in answer["errors"]} == {"assignments", "mood"}
    assert only(await lenient.put("/stories/20551", {"story": story}))["title"] == "T"
    assert len(lenient.sandbox.gaps) == 2
    assert "PUT /stories/{id}: the property `mood` is unknown and was ignored." in lenient.sandbox.gaps
    await lenient.put("/account_memberships/2005/disable", {"reason": "x"})
    await api.put("/account_memberships/2005/disable", {"reason": "x"}, status=400)


def _updates() -> list[str]:
    return [
        name
        for name, operation in OPERATIONS.items()
        if operation.method == "PUT" and operation.name == "update" and operation.key and operation.body
    ]


RATES = [{"currency": "USD", "rate": 200}]
FIRST: dict[str, tuple[str, str, dict[str, Any]]] = {
    "exports": (
        "POST",
        "/exports",
        {"export": {"export_definition": {dataset_key("users"): {"columns": [column_key("users", "id")]}}}},
    ),
    "rate_card_table_rows": (
        "PUT",
        "/rate_card_set_versions/85901/rate_card_table_rows/3001",
        {"rate_card_table_row": {"rates": RATES}},
    ),
}
"""Envelope key → the request that makes the record, where the demo account has none with such a path."""
BESIDES: dict[str, dict[str, Any]] = {
    "rate_card_table_rows": {"rates": RATES},
    "resource_requests": {"request_resolution_status": "approve"},
}
"""Envelope key → what a body needs and no record shows."""
CHANGED = {"resource_requests": {"status": "approved"}}
"""Envelope key → what that changes."""


@pytest.mark.parametrize("name", _updates())
async def test_a_whole_record_can_be_written_back_when_lenient(lenient: API, name: str) -> None:
    """Clients without knowledge of the contract send everything they received, with one field changed."""
    operation = OPERATIONS[name]
    key = str(operation.key)
    store = lenient.sandbox.store
    identity = store.ids(key)[0] if key not in FIRST else ""
    if key in FIRST:
        method, path, body = FIRST[key]
        identity = only(await lenient.send(method, path, body=body))["id"]
    path = operation.path
    for placeholder, value in zip(operation.path_parameters, identity.split(":"), strict=True):
        path = path.replace(f"{{{placeholder}}}", value)
    before = {**(store.get(key, identity) or {}), **CHANGED.get(key, {})}
    assert before, name
    wrapper = operation.body.wrapper if operation.body else None
    sent = {**store.shown(key, before), **BESIDES.get(key, {}), "nobody_knows_this": 1}
    await lenient.put(path, {wrapper: sent} if wrapper else sent)
    after = store.get(key, identity) or {}
    untouched = before.keys() - {"updated_at"}
    assert {field: after.get(field) for field in untouched} == {field: before[field] for field in untouched}


async def test_a_time_may_come_back_in_milliseconds(lenient: API) -> None:
    """As brainstem-js reads and writes it, also where the body takes a date."""
    store = lenient.sandbox.store
    row = store.all("backup_approver_associations")[0]
    sent = {"start_date": datetime.fromisoformat(row["start_date"]).timestamp() * 1000}
    path = f"/backup_approver_associations/{row['id']}"
    await lenient.put(path, {"backup_approver_association": sent})
    assert store.all("backup_approver_associations")[0]["start_date"] == row["start_date"]
    other = {"start_date": sent["start_date"] + 86_400_000}
    await lenient.put(path, {"backup_approver_association": other}, status=422)


async def test_every_list_has_pages(api: API, lenient: API) -> None:
    await api.get("/revenue_recognition_methods", per_page=1, page=2, status=400)  # not in its contract
    every = await lenient.ids("/revenue_recognition_methods")
    assert await lenient.ids("/revenue_recognition_methods", per_page=1, page=2) == every[1:2]


async def test_gaps_are_counted_and_bounded() -> None:
    gaps = Gaps()
    for number in range(20_000):
        gaps.note(f"line {number}")
    gaps.note("line 7")
    assert (len(gaps), gaps.count("line 7"), gaps.count("line 19999")) == (10_000, 2, 0)
    gaps.clear()
    assert list(gaps) == []
