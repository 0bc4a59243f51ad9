"""What the semantic diff tells apart: one line for each kind of change that a contract of this kind can have.

The list follows the kinds that oasdiff tells apart, and each line is read in both directions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codegen.describe import describe
from codegen.diff import RULES, bump, diff
from codegen.errors import ROOT, CodegenError
from codegen.lower import lower
from codegen.normalise import normalise
from codegen.ratchet import check_losses
from codegen.resolve import resolve
from codegen.snapshot import comparable, snapshot
from codegen.vendor import vendor
from tests.codegen.small import NOTHING_KNOWN, openapi, swagger

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


def facts(contract: Json) -> Json:
    return snapshot(describe(normalise(resolve(lower(contract)), NOTHING_KNOWN), NOTHING_KNOWN, ROOT))


def operation(contract: Json, name: str = "get /books") -> Json:
    method, path = name.split()
    return contract["paths"][path][method]


def parameter(contract: Json, name: str = "title") -> Json:
    return next(each for each in operation(contract)["parameters"] if each["name"] == name)


def sent(contract: Json) -> Json:
    """The object in the body of `POST /books`."""
    return operation(contract, "post /books")["parameters"][0]["schema"]["properties"]["book"]


def received(contract: Json, name: str = "title") -> Json:
    return contract["definitions"]["Library::Book"]["properties"][name]


Change = tuple[str, str]
"""(rule, subject)."""


def _placeholder(contract: Json, name: str, *types: str) -> None:
    """Give the placeholder of the path in `before` the second type."""
    for each in operation(contract, "get /shelves/{name}")["parameters"]:
        if each["name"] == name:
            assert each["type"] == types[0]
            each["type"] = types[1]


def _form(contract: Json) -> None:
    created = operation(contract, "post /books")
    created["consumes"] = ["multipart/form-data"]
    created["parameters"] = [
        {"in": "formData", "name": "title", "type": "string", "required": True},
        {"in": "formData", "name": "printed_on", "type": "string", "format": "date"},
    ]


def both(subject: str, there: str, back: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    return ((there, subject),), ((back, subject),)


FILTER, BODY, FIELD, BOOKS = "GET /books title", "POST /books title", "Book.title", "GET /books"
QUIET = (), ()
"""Not noticed by users of this client."""

CHANGES: dict[str, tuple[Callable[[Json], Any], tuple[tuple[Change, ...], tuple[Change, ...]]]] = {
    # operations
    "operation": (
        lambda c: c["paths"].update(
            {"/books/new": {"get": operation(c, "get /books/{id}") | {"parameters": []}}}
        ),
        both("GET /books/new", "operation added", "operation removed"),
    ),
    "deprecated operation": (
        lambda c: operation(c).update(deprecated=True),
        both(BOOKS, "operation deprecated", "operation restored"),
    ),
    "operation deprecated in prose": (
        lambda c: operation(c).update(description="This endpoint is deprecated."),
        both(BOOKS, "operation deprecated", "operation restored"),
    ),
    "own rate limit": (
        lambda c: operation(c).update(description="Has its own rate limit."),
        both(BOOKS, "rate limit added", "rate limit removed"),
    ),
    "operation id": (lambda c: operation(c).update(operationId="All"), QUIET),
    "tag": (lambda c: operation(c).update(tags=["Volumes"]), QUIET),
    "security": (lambda c: operation(c).update(security=[{"Token": ["read"]}]), QUIET),
    "status of success": (
        lambda c: operation(c).update(responses={"201": operation(c)["responses"]["200"]}),
        QUIET,
    ),
    "status of failure": (
        lambda c: operation(c)["responses"].update({"409": {"description": "Conflict."}}),
        QUIET,
    ),
    "header of the answer": (
        lambda c: operation(c)["responses"]["200"].update(headers={"X-Total": {"type": "integer"}}),
        QUIET,
    ),
    "media type of the answer": (
        lambda c: operation(c, "get /books/{id}").update(produces=["text/csv"]),
        (
            (("model changed", "GET /books/{id}"), ("result changed", "GET /books/{id}")),
            (("model changed", "GET /books/{id}"), ("result changed", "GET /books/{id}")),
        ),
    ),
    "type of a placeholder": (
        lambda c: _placeholder(c, "name", "string", "integer"),
        both("GET /shelves/{name}", "path arguments changed", "path arguments changed"),
    ),
    # parameters
    "parameter": (
        lambda c: operation(c)["parameters"].append({"in": "query", "name": "signed", "type": "boolean"}),
        both("GET /books signed", "parameter added", "parameter removed"),
    ),
    "required parameter": (
        lambda c: operation(c)["parameters"].append(
            {"in": "query", "name": "signed", "type": "boolean", "required": True}
        ),
        both("GET /books signed", "required parameter added", "parameter removed"),
    ),
    "parameter required": (
        lambda c: parameter(c).update(required=True),
        both(FILTER, "parameter became required", "parameter became optional"),
    ),
    "deprecated parameter": (
        lambda c: parameter(c).update(deprecated=True),
        both(FILTER, "parameter deprecated", "parameter restored"),
    ),
    "parameter type": (
        lambda c: parameter(c).update(type="number"),
        both(FILTER, "parameter type changed", "parameter type changed"),
    ),
    "parameter format": (
        lambda c: parameter(c).update(format="date"),
        both(FILTER, "parameter type changed", "parameter type changed"),
    ),
    "format that is text": (lambda c: parameter(c).update(format="uuid"), QUIET),
    "range of times": (
        lambda c: parameter(c, "sold_between").update(description="A range of time stamps."),
        both("GET /books sold_between", "parameter type changed", "parameter type changed"),
    ),
    "parameter as a list": (
        lambda c: parameter(c).update(type="array", items={"type": "string"}),
        both(FILTER, "parameter became a list", "parameter became single"),
    ),
    "values of a parameter": (
        lambda c: parameter(c).update(enum=["a", "b"]),
        both(FILTER, "values listed", "values free"),
    ),
    "value of a parameter": (
        lambda c: parameter(c, "order").update(
            description="Valid values: `title:asc`, `title:desc`, `id:asc`."
        ),
        both("GET /books order", "value added", "value removed"),
    ),
    "default": (
        lambda c: parameter(c, "order").update(default="title:desc"),
        both("GET /books order", "default changed", "default changed"),
    ),
    "first default": (
        lambda c: parameter(c).update(default="x"),
        both(FILTER, "default added", "default removed"),
    ),
    "maximum": (
        lambda c: parameter(c, "per_page").update(maximum=100),
        both("GET /books per_page", "maximum lowered", "maximum raised"),
    ),
    "most values of a list": (
        lambda c: parameter(c, "shelves").update(maxItems=5),
        both("GET /books shelves", "maximum lowered", "maximum removed"),
    ),
    **{
        f"{key} of a parameter": (
            lambda c, key=key, value=value: parameter(c).update({key: value}),
            both(FILTER, "constraint added", "constraint removed"),
        )
        for key, value in {
            "minLength": 1,
            "maxLength": 9,
            "pattern": "^a",
            "minimum": 0,
            "multipleOf": 2,
        }.items()
    },
    "length of the values of a list": (
        lambda c: parameter(c, "shelves").update(items={"type": "string", "maxLength": 3}),
        both("GET /books shelves", "constraint added", "constraint removed"),
    ),
    "shorter text": (
        lambda c: parameter(c, "blurb").update(maxLength=50),
        both("GET /books blurb", "constraint tightened", "constraint loosened"),
    ),
    "longer least text": (
        lambda c: parameter(c, "blurb").update(minLength=5),
        both("GET /books blurb", "constraint tightened", "constraint loosened"),
    ),
    "other pattern": (
        lambda c: parameter(c, "blurb").update(pattern="^b"),
        both("GET /books blurb", "constraint changed", "constraint changed"),
    ),
    # bodies
    "property": (
        lambda c: sent(c)["properties"].update(pages={"type": "integer"}),
        both("POST /books pages", "parameter added", "parameter removed"),
    ),
    "property required": (
        lambda c: sent(c)["required"].append("printed_on"),
        both("POST /books printed_on", "parameter became required", "parameter became optional"),
    ),
    "property type": (
        lambda c: sent(c)["properties"]["title"].update(type="boolean"),
        both(BODY, "parameter type changed", "parameter type changed"),
    ),
    "property as a list": (
        lambda c: sent(c)["properties"].update(title={"type": "array", "items": {"type": "string"}}),
        both(BODY, "parameter became a list", "parameter became single"),
    ),
    "values of a property": (
        lambda c: sent(c)["properties"]["title"].update(enum=["a"]),
        both(BODY, "values listed", "values free"),
    ),
    "default of a property": (
        lambda c: sent(c)["properties"]["title"].update(default="Untitled"),
        both(BODY, "default added", "default removed"),
    ),
    "deprecated property": (
        lambda c: sent(c)["properties"]["title"].update(deprecated=True),
        both(BODY, "parameter deprecated", "parameter restored"),
    ),
    "property deprecated in prose": (
        lambda c: sent(c)["properties"]["title"].update(description="Deprecated."),
        both(BODY, "parameter deprecated", "parameter restored"),
    ),
    "read-only property": (
        lambda c: sent(c)["properties"]["title"].update(readOnly=True),
        both(BODY, "constraint added", "constraint removed"),
    ),
    "length of a property": (
        lambda c: sent(c)["properties"]["title"].update(maxLength=80),
        both(BODY, "constraint added", "constraint removed"),
    ),
    "length of an inner property": (
        lambda c: sent(c)["properties"]["shelf"]["properties"]["room"].update(maxLength=80),
        both("POST /books shelf.room", "constraint added", "constraint removed"),
    ),
    "form instead of JSON": (
        _form,
        (
            (("body changed", "POST /books"), ("parameter removed", "POST /books shelf")),
            (("body changed", "POST /books"), ("parameter added", "POST /books shelf")),
        ),
    ),
    "body": (
        lambda c: operation(c, "put /books/{id}/lend")["parameters"].append(
            {
                "in": "body",
                "name": "body",
                "schema": {"type": "object", "properties": {"reader": {"type": "string"}}},
            }
        ),
        both("PUT /books/{id}/lend reader", "parameter added", "parameter removed"),
    ),
    # models
    "field": (
        lambda c: c["definitions"]["Library::Book"]["properties"].update(pages={"type": "integer"}),
        both("Book.pages", "field added", "field removed"),
    ),
    "field required": (
        lambda c: c["definitions"]["Library::Book"].update(required=["title", "printed_on"]),
        QUIET,
    ),
    "field that may be null": (lambda c: received(c).update({"x-nullable": True}), QUIET),
    "field type": (
        lambda c: received(c).update(type="integer"),
        both(FIELD, "field type changed", "field type changed"),
    ),
    "field as a list": (
        lambda c: c["definitions"]["Library::Book"]["properties"].update(
            title={"type": "array", "items": {"type": "string"}}
        ),
        both(FIELD, "field type changed", "field type changed"),
    ),
    "field format": (
        lambda c: received(c).update(format="date-time"),
        both(FIELD, "field type changed", "field type changed"),
    ),
    "deprecated field": (
        lambda c: received(c).update(deprecated=True),
        both(FIELD, "field deprecated", "field restored"),
    ),
    "field deprecated in prose": (
        lambda c: received(c).update(description="Use `name` instead. Deprecated."),
        both(FIELD, "field deprecated", "field restored"),
    ),
    "deprecated field of an inner object": (
        lambda c: received(c, "shelf")["properties"]["room"].update(deprecated=True),
        both("BookShelf.room", "field deprecated", "field restored"),
    ),
    "deprecated field of a class": (
        lambda c: received(c, "writer").update(deprecated=True),
        both("Book.writer", "field deprecated", "field restored"),
    ),
    "deprecated object": (
        lambda c: received(c, "shelf").update(deprecated=True),
        both("Book.shelf", "field deprecated", "field restored"),
    ),
    "deprecated field of a definition that is no class": (
        lambda c: received(c, "size").update(deprecated=True),
        both("Book.size", "field deprecated", "field restored"),
    ),
    "value in a map of a field": (
        lambda c: received(c, "moods")["additionalProperties"]["enum"].append("glad"),
        both("Book.moods", "field value added", "field value removed"),
    ),
    "values of a field": (
        lambda c: received(c).update(enum=["a", "b"]),
        both(FIELD, "field values listed", "field values free"),
    ),
    "values of a field in prose": (
        lambda c: received(c).update(description="Can be one of `a`, `b`."),
        both(FIELD, "field values listed", "field values free"),
    ),
    "value of a field": (
        lambda c: c["definitions"]["Author"]["properties"]["standing"]["enum"].append("famous"),
        both("Author.standing", "field value added", "field value removed"),
    ),
    "value of a list in a field": (
        lambda c: c["definitions"]["Author"]["properties"]["prizes"]["items"]["enum"].append(3),
        both("Author.prizes", "field value added", "field value removed"),
    ),
    "value of a field in prose": (
        lambda c: received(c, "binding").update(description="Valid values: `hard`, `soft`, `none`."),
        both("Book.binding", "field value added", "field value removed"),
    ),
    "field on request": (
        lambda c: received(c).update(description="Returned only when named in `optional_fields`."),
        both(FIELD, "field now on request", "field always sent"),
    ),
    "length of a field": (lambda c: received(c).update(maxLength=9, pattern="^a", readOnly=True), QUIET),
    "association": (
        lambda c: parameter(c, "include").update(
            description=parameter(c, "include")["description"]
            + "\n- `editor` (Author) - referenced by `author_id`."
        ),
        (
            (("association added", "Book.editor"),),
            (("association removed", "Book.editor"), ("value removed", "GET /books include")),
        ),
    ),
}


def before() -> Json:
    """The small contract with a parameter and a field of each kind that is changed."""
    contract = swagger()
    operation(contract)["parameters"] += [
        {"in": "query", "name": "title", "type": "string"},
        {"in": "query", "name": "sold_between", "type": "string"},
        {"in": "query", "name": "shelves", "type": "array", "items": {"type": "string"}},
        {"in": "query", "name": "blurb", "type": "string", "minLength": 2, "maxLength": 90, "pattern": "^a"},
    ]
    binding = {"type": "string", "description": "Valid values: `hard`, `soft`."}
    contract["definitions"]["Library::Book"]["properties"]["binding"] = binding
    moods = {"type": "object", "additionalProperties": {"type": "string", "enum": ["calm"]}}
    contract["definitions"]["Library::Book"]["properties"]["moods"] = moods
    contract["definitions"]["Library::Book"]["properties"]["writer"] = {"$ref": "#/definitions/Author"}
    contract["definitions"]["Size"] = {"type": "string", "enum": ["large", "small"]}
    contract["definitions"]["Library::Book"]["properties"]["size"] = {"$ref": "#/definitions/Size"}
    named = {"in": "path", "name": "name", "required": True, "type": "string"}
    shelf = operation(contract, "get /books/{id}") | {"parameters": [named]}
    contract["paths"]["/shelves/{name}"] = {"get": shelf}
    return contract


KNOWN = facts(before())


@pytest.mark.parametrize("name", CHANGES)
def test_each_kind_of_change_has_its_rule_in_both_directions(name: str) -> None:
    change, (there, back) = CHANGES[name]
    contract = before()
    change(contract)
    changed = facts(contract)
    assert _found(diff(KNOWN, changed)) == sorted(there)
    assert _found(diff(changed, KNOWN)) == sorted(back)
    vendored = facts(vendor(contract, before()))
    assert _found(diff(KNOWN, vendored)) == sorted(there), "the vendored form keeps it"


def _found(changes: list[Any]) -> list[Change]:
    return sorted((each.rule, each.subject) for each in changes)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("value of a field", "minor"),
        ("values of a field", "patch"),
        ("deprecated field", "minor"),
        ("shorter text", "major"),
        ("length of a property", "minor"),
        ("other pattern", "minor"),
        ("tag", "none"),
    ],
)
def test_severity_is_for_users_of_this_client(name: str, part: str) -> None:
    contract = before()
    CHANGES[name][0](contract)
    assert bump(diff(KNOWN, facts(contract))) == part


@pytest.mark.parametrize(
    ("name", "there", "back"),
    [
        ("maxLength of a parameter", "maxLength 9", "maxLength 9"),
        ("shorter text", "maxLength 90 to 50", "maxLength 50 to 90"),
        ("length of the values of a list", "items.maxLength 3", "items.maxLength 3"),
        ("value of a field", "famous", "famous"),
        ("type of a placeholder", "name: str to int", "name: int to str"),
    ],
)
def test_details_say_what_changed(name: str, there: str, back: str) -> None:
    contract = before()
    CHANGES[name][0](contract)
    changed = facts(contract)
    assert [each.detail for each in diff(KNOWN, changed)] == [there]
    assert [each.detail for each in diff(changed, KNOWN)] == [back]


def test_numeric_exclusive_bounds_are_those_of_earlier_dialects() -> None:
    def limited(version: str, **limits: object) -> Json:
        contract = openapi() | {"openapi": version}
        operation(contract)["parameters"].append(
            {"in": "query", "name": "size", "schema": {"type": "number"} | limits}
        )
        return facts(contract)["operations"][BOOKS]["query"]["size"]

    assert limited("3.1.0", exclusiveMaximum=9, exclusiveMinimum=1) == limited(
        "3.0.3", maximum=9, exclusiveMaximum=True, minimum=1, exclusiveMinimum=True
    )
    assert limited("3.1.0", exclusiveMaximum=9, maximum=5) == limited("3.0.3", maximum=5)
    assert limited("3.1.0", exclusiveMinimum=1.5, minimum=1) == limited(
        "3.0.3", minimum=1.5, exclusiveMinimum=True
    )
    assert limited("3.0.3", uniqueItems=False) == limited("3.0.3")


@pytest.mark.parametrize(
    "name", ["deprecated field", "value of a field", "values of a field in prose", "pattern of a parameter"]
)
def test_ratchet_keeps_what_is_said_of_fields_and_constraints(name: str) -> None:
    change, ((_, back)) = CHANGES[name]
    contract = before()
    change(contract)
    lost = diff(facts(contract), KNOWN)
    ((rule, subject),) = back
    with pytest.raises(CodegenError, match=rf"1 .* gone: {subject}"):
        check_losses(lost, [])
    check_losses(lost, [f"{rule}: {subject}"])


def test_what_an_earlier_snapshot_does_not_record_is_no_change() -> None:
    """A snapshot of an earlier revision has no version, and none of what was added since."""
    contract = before()
    for name in (
        "deprecated field",
        "length of an inner property",
        "default of a property",
        "range of times",
    ):
        CHANGES[name][0](contract)
    new = facts(contract)
    operations = {
        name: {key: value for key, value in each.items() if key != "path_types"}
        for name, each in KNOWN["operations"].items()
    }
    models = {
        name: {key: value for key, value in each.items() if key != "values"}
        for name, each in KNOWN["models"].items()
    }
    old = {"operations": operations, "models": models}
    assert diff(old, new) == []
    assert diff(new, old) == []
    assert comparable(KNOWN, new) == (KNOWN, new)
    assert {rule for _, (there, back) in CHANGES.values() for rule, _ in (*there, *back)} <= RULES.keys()


@pytest.mark.parametrize(
    "said", [{"deprecated": True}, {"readOnly": True}, {"nullable": True, "deprecated": True}]
)
def test_a_reference_in_allof_is_that_reference_whatever_is_said_beside_it(said: Json) -> None:
    def book(field: Json) -> Json:
        contract = openapi()
        contract["components"]["schemas"]["Library::Book"]["properties"]["writer"] = field
        return facts(contract)["models"]["Book"]

    author = {"$ref": "#/components/schemas/Author"}
    assert book({"allOf": [author], **said}) == book({**author, **said})
    assert book({"allOf": [author], **said})["fields"]["writer"] == "Author"
    assert ("writer" in book({"allOf": [author], **said}).get("deprecated", ())) == ("deprecated" in said)


def test_a_deprecation_is_read_wherever_a_dialect_has_it() -> None:
    contract = openapi()
    parameters = operation(contract)["parameters"]
    parameters.append({"in": "query", "name": "one", "schema": {"type": "string", "deprecated": True}})
    parameters.append({"in": "query", "name": "other", "deprecated": True, "schema": {"type": "string"}})
    old = {"type": "string", "deprecated": True}
    form = {"type": "object", "properties": {"old": old, "title": {"type": "string"}}}
    operation(contract, "post /books")["requestBody"] = {"content": {"multipart/form-data": {"schema": form}}}
    found = facts(contract)["operations"]
    assert [name for name, each in found[BOOKS]["query"].items() if each.get("deprecated")] == [
        "one",
        "other",
    ]
    assert [name for name, each in found["POST /books"]["body"].items() if each.get("deprecated")] == ["old"]
