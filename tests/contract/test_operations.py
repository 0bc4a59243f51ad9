"""Every operation, called through its public method, sends what the contract declares."""

from __future__ import annotations

import inspect
import json
import re
from email import message_from_bytes
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from codegen.snapshot import SNAPSHOT
from kantata_client import Kantata
from kantata_client.operations import OPERATIONS
from tests.contract.contract import (
    Declared,
    answer,
    argument,
    class_name,
    contract,
    keyword,
    operations,
    query_argument,
)

EVERY = list(operations().values())
BASE_PATH = "/api/v1"
BULK_CREATION = {
    "stories": 300,
    "skill_memberships": 200,
    "skills": 200,
    "workspace_allocations": 200,
    "workspace_resources": 200,
    "billing_milestones": 100,
    "cost_rates": 100,
    "custom_field_values": 100,
    "expenses": 100,
    "organization_memberships": 100,
    "organizations": 100,
    "participations": 100,
    "posts": 100,
    "project_template_expense_budgets": 100,
    "time_entries": 100,
    "user_group_memberships": 100,
    "workspaces": 100,
    "account_invitations": 50,
    "project_accounting_records": None,
    "time_off_entries": None,
}
"""Collection → most objects in one request, as documented; None where no number is stated."""
BULK_DELETION = (
    "custom_field_values",
    "expenses",
    "time_entries",
    "time_off_entries",
    "story_allocation_days",
)

SINGLE = [each for each in EVERY if not (each.method == "DELETE" and each.path.endswith(BULK_DELETION))]
"""All operations but the deletions on a collection, which only `delete_many` has."""


class Recorder:
    """A transport that keeps what it gets and gives one answer."""

    def __init__(self, status: int, content: Any) -> None:
        self.requests: list[httpx.Request] = []
        self._status = status
        self._content = content

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        if self._content is None:
            return httpx.Response(self._status)
        return httpx.Response(self._status, json=self._content)

    @property
    def request(self) -> httpx.Request:
        (request,) = self.requests
        return request


def client(recorder: Recorder) -> Kantata:
    return Kantata("secret", transport=httpx.MockTransport(recorder))


def public_method(kantata: Kantata, declared: Declared) -> Any:
    operation = OPERATIONS[declared.id]
    return getattr(getattr(kantata, operation.resource), operation.name)


def sent_path(request: httpx.Request) -> str:
    return request.url.raw_path.decode().partition("?")[0].removeprefix(BASE_PATH)


def sent_query(request: httpx.Request) -> dict[str, str]:
    pairs = parse_qsl(
        request.url.query.decode(), keep_blank_values=True, strict_parsing=bool(request.url.query)
    )
    assert len(dict(pairs)) == len(pairs), "a parameter was sent twice"
    return dict(pairs)


def sent_form(request: httpx.Request) -> dict[str, bytes]:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    form = message_from_bytes(head + request.content, policy=HTTP)
    assert form.get_content_type() == "multipart/form-data"
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)  # type: ignore[misc]
        for part in form.iter_parts()  # type: ignore[attr-defined]
    }


@pytest.mark.asyncio
@pytest.mark.parametrize("declared", SINGLE, ids=lambda each: each.id)
async def test_sends_each_argument_as_the_contract_declares_it(declared: Declared) -> None:
    recorder = Recorder(declared.status, answer(declared))
    path: list[Any] = [(7, "a:b", "ä/b")[place] for place, _ in enumerate(declared.placeholders)]
    query = {name: query_argument(name, parameter) for name, parameter in declared.query.items()}
    body = {name: argument(name, schema) for name, schema in (declared.body | declared.form).items()}
    arguments = {declared.keywords[name]: given for name, (given, _) in (query | body).items()}

    async with client(recorder) as kantata:
        called = public_method(kantata, declared)(*path, **arguments)
        result = await (anext(called.pages()) if hasattr(called, "pages") else called)

    # A walk that begins in the middle of a list may look at its first page, to learn how large pages are.
    request, *others = recorder.requests
    assert len(others) <= ("page" in query)
    assert all(sent_query(other).items() <= sent_query(request).items() for other in others)
    expected = declared.path
    for name, text in zip(declared.placeholders, ("7", "a:b", "%C3%A4%2Fb"), strict=False):
        expected = expected.replace(f"{{{name}}}", text)
    assert request.method == declared.method
    assert str(request.url).startswith(f"https://{contract()['host']}{contract()['basePath']}/")
    assert sent_path(request) == expected
    assert sent_query(request) == {name: text for name, (_, text) in query.items()}
    if declared.form:
        assert sent_form(request) == {
            name: plain if isinstance(plain, bytes) else {True: "true"}.get(plain, plain).encode()
            for name, (_, plain) in body.items()
        }
    elif declared.body:
        assert request.headers["content-type"] == "application/json"
        plain = {name: plain for name, (_, plain) in body.items()}
        sent = json.loads(request.content)
        assert sent == ({declared.wrapper: plain} if declared.wrapper else plain)
        assert json_types(sent) == json_types({declared.wrapper: plain} if declared.wrapper else plain)
    else:
        assert request.content == b""
    check_result(declared, result)


def json_types(value: Any) -> Any:
    """The shape of JSON: 1, 1.0 and True are equal to Python."""
    if isinstance(value, dict):
        return {key: json_types(each) for key, each in value.items()}
    return [json_types(each) for each in value] if isinstance(value, list) else type(value)


def check_result(declared: Declared, result: Any) -> None:
    content = answer(declared)
    if declared.id == "GET /project_accounting_records/export_to_csv":
        assert json.loads(result) == content
        return
    if content is None:
        assert result is None
        return
    items = result.items if hasattr(result, "items") and hasattr(result, "number") else result
    first = items[0] if isinstance(items, list) else items
    assert str(first.to_dict()["id"]) == "7"
    if not (isinstance(content, dict) and "results" in content):
        check_plain_object(declared, type(first))
    if isinstance(content, dict) and "results" in content:
        assert declared.response is not None
        key = content["results"][0]["key"]
        reference = (
            declared.response["properties"][key]["additionalProperties"].get("$ref", "").rpartition("/")[2]
        )
        if reference:
            assert type(first).__name__ == class_name(reference)


def check_plain_object(declared: Declared, cls: Any) -> None:
    """What is no envelope is decoded into the class of the very object that is declared, and of no other."""
    if "direct" in declared.form:
        schema = {
            "$ref": "#/definitions/DirectUpload"
        }  # which the overlay adds; a form can't be answered in two shapes
    else:
        assert declared.response is not None
        schema = declared.response
    if schema.get("type") == "array":
        schema = schema["items"]
    elif "properties" not in schema and isinstance(schema.get("additionalProperties"), dict):
        schema = schema["additionalProperties"]
    if "$ref" in schema:
        definition = schema["$ref"].rpartition("/")[2]
        assert cls.__name__ == class_name(definition)
        schema = contract()["definitions"][definition]
    assert set(cls.FIELDS) - {"id"} == set(schema["properties"]) - {"id"}


@pytest.mark.asyncio
@pytest.mark.parametrize("collection", BULK_DELETION)
async def test_deletion_on_a_collection_sends_the_ids(collection: str) -> None:
    declared = operations()[f"DELETE /{collection}"]
    assert list(declared.query) == ["ids"]
    recorder = Recorder(declared.status, answer(declared))
    async with client(recorder) as kantata:
        result = await getattr(kantata, collection).delete_many([7, "8", 9])
    assert recorder.request.method == "DELETE"
    assert sent_path(recorder.request) == f"/{collection}"
    assert sent_query(recorder.request) == {"ids": "7,8,9"}
    assert recorder.request.content == b""
    assert [outcome.status for outcome in result.outcomes] == ["done"] * 3


@pytest.mark.asyncio
@pytest.mark.parametrize("collection", BULK_DELETION)
async def test_deletion_sends_100_ids_per_request(collection: str) -> None:
    recorder = Recorder(200, {"success": True})
    async with client(recorder) as kantata:
        await getattr(kantata, collection).delete_many(range(1, 251))
    assert [len(sent_query(each)["ids"].split(",")) for each in recorder.requests] == [100, 100, 50]


@pytest.mark.parametrize("collection", BULK_CREATION)
@pytest.mark.asyncio
async def test_bulk_creation_sends_an_array_under_the_plural(collection: str) -> None:
    declared = operations()[f"POST /{collection}"]
    assert BULK_CREATION[collection] in (None, OPERATIONS[declared.id].bulk_limit)
    recorder = Recorder(
        200,
        {
            "count": 2,
            "results": [{"key": collection, "id": each} for each in ("7", "8")],
            collection: {"7": {"id": "7"}, "8": {"id": "8"}},
        },
    )
    both = [argument(collection, {"type": "object", "properties": declared.body}) for _ in range(2)]
    async with client(recorder) as kantata:
        result = await getattr(kantata, collection).create_many([given for given, _ in both])
    assert (recorder.request.method, sent_path(recorder.request)) == ("POST", f"/{collection}")
    assert json.loads(recorder.request.content) == {collection: [plain for _, plain in both]}
    assert [each.id for each in result.created] == ["7", "8"]


@pytest.mark.asyncio
@pytest.mark.parametrize("collection", [name for name, most in BULK_CREATION.items() if most])
async def test_bulk_creation_keeps_to_the_documented_maximum(collection: str) -> None:
    most = BULK_CREATION[collection]
    assert most
    declared = operations()[f"POST /{collection}"]
    item = {name: argument(name, declared.body[name])[0] for name in declared.required & set(declared.body)}
    sizes: list[int] = []

    async def echo(request: httpx.Request) -> httpx.Response:
        count = len(json.loads(await request.aread())[collection])
        sizes.append(count)
        ids = [f"{len(sizes)}{place:03}" for place in range(count)]
        results = [{"key": collection, "id": each} for each in ids]
        return httpx.Response(
            200, json={"count": count, "results": results, collection: {each: {"id": each} for each in ids}}
        )

    async with Kantata("secret", transport=httpx.MockTransport(echo)) as kantata:
        result = await getattr(kantata, collection).create_many([item] * (most + 1), concurrency=1)
    assert sizes == [most, 1]
    assert len(result.created) == most + 1


# --- signatures -----------------------------------------------------------------------------------


def test_operations_equal_those_of_the_contract() -> None:
    assert set(OPERATIONS) == set(json.loads(SNAPSHOT.read_text(encoding="utf-8"))["operations"])
    assert set(OPERATIONS) == set(operations())
    assert all(OPERATIONS[name].id == name for name in OPERATIONS)


def test_operations_without_a_body_in_the_response_return_none() -> None:
    """A response in a form that the generator does not read would be missing here."""
    silent = {name for name, each in operations().items() if each.response is None}
    assert {name for name, each in OPERATIONS.items() if each.result == "none"} == silent
    recorded = json.loads(SNAPSHOT.read_text(encoding="utf-8"))["operations"]
    assert {name for name, each in recorded.items() if each["result"] == "none"} == silent


def test_every_operation_is_a_method_of_its_resource() -> None:
    kantata = Kantata("secret")
    places = {(each.resource, each.name) for each in OPERATIONS.values()}
    assert len(places) == len(OPERATIONS)
    for resource, name in places:
        assert callable(getattr(getattr(kantata, resource), name)), f"{resource}.{name}"


def test_resources_are_named_by_the_collection() -> None:
    named = {name: (OPERATIONS[name].resource, OPERATIONS[name].name) for name in OPERATIONS}
    assert named["GET /stories"] == ("stories", "list")
    assert named["GET /users/me"] == ("users", "me")
    assert named["GET /foreign_exchange/exchange_tables"] == ("exchange_tables", "list")
    assert named["GET /scheduled_jobs/insights_report_exports"] == ("insights_report_exports", "list")
    assert named["GET /subscribed_events/event_types"] == ("subscribed_events", "event_types")
    assert named["PUT /timesheet_submissions/{id}/approve"] == ("timesheet_submissions", "approve")
    assert named["GET /exports/{id}/download_url"] == ("exports", "download_url")


@pytest.mark.parametrize("declared", EVERY, ids=lambda each: each.id)
def test_every_parameter_and_property_is_a_keyword(declared: Declared) -> None:
    signature = inspect.signature(public_method(Kantata("secret"), declared))
    if declared.method == "DELETE" and declared.path.endswith(BULK_DELETION):
        assert list(signature.parameters) == ["ids", "concurrency", "progress", "extra_query"]
        return
    positional = [each for each in signature.parameters.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
    keywords = {each.name: each for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY}
    assert len(positional) + len(keywords) == len(signature.parameters)
    assert [each.name for each in positional] == [keyword(name) for name in declared.placeholders]
    beyond = {"extra_query", "extra_body"} if declared.method in ("POST", "PUT") else {"extra_query"}
    assert set(keywords) == {*declared.keywords.values(), *beyond}
    assert len(declared.keywords) == len(declared.query) + len(declared.form) + len(declared.body)
    must = {name for name, each in keywords.items() if each.default is each.empty}
    assert must == {declared.keywords[name] for name in declared.required}


@pytest.mark.parametrize("declared", EVERY, ids=lambda each: each.id)
def test_operation_constants_equal_the_contract(declared: Declared) -> None:
    operation = OPERATIONS[declared.id]
    assert (operation.method, operation.path) == (declared.method, declared.path)
    assert operation.path_parameters == declared.placeholders
    assert list(operation.tags) == contract()["paths"][declared.path][declared.method.lower()].get("tags", [])
    assert set(operation.query) == set(declared.query)
    assert set(operation.body.fields if operation.body else ()) == {*declared.body, *declared.form}
    for name, parameter in (operation.query | (operation.body.fields if operation.body else {})).items():
        assert parameter.required == (name in declared.required), name
    for name, parameter in operation.query.items():
        given = declared.query[name]
        said = re.search(r"default (true|false)\.", given.get("description", ""))
        assert parameter.default == given.get("default", said and said[1] == "true"), name


def test_operations_with_their_own_rate_limit() -> None:
    assert {name for name, each in OPERATIONS.items() if each.own_rate_limit} == {
        "POST /workspaces",
        "GET /workspaces",
        "POST /workspaces/{id}/invite",
        "POST /account_invitations",
        "PUT /account_invitations/{id}/resend",
        "POST /custom_field_values",
        "GET /custom_field_values",
        "POST /project_snapshots",
    }


def test_creations_with_an_external_reference() -> None:
    expected = {
        f"POST {path}"
        for path, item in contract()["paths"].items()
        if "{" not in path
        and {"get", "post"} <= set(item)
        and {"external_reference_service_name", "external_reference_service_model_refs"}
        <= set(operations()[f"GET {path}"].query)
        and "external_reference" in operations()[f"POST {path}"].body
    }
    assert {name for name, each in OPERATIONS.items() if each.external_reference} == expected
    assert "POST /time_entries" in expected


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["start_date", "end_date"])
async def test_range_filters_take_pairs(name: str) -> None:
    declared = operations()["GET /project_accounting_records"]
    assert "`a;b` for a range" in declared.query[name]["description"]
    recorder = Recorder(declared.status, answer(declared))
    async with client(recorder) as kantata:
        await kantata.project_accounting_records.list(**{name: "2026-01-01;2026-02-28"}).first()
    assert sent_query(recorder.request)[name] == "2026-01-01;2026-02-28"
