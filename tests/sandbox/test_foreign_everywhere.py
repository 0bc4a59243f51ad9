"""What foreign clients send, tried on every operation: forms, parameters in bodies, sloppy queries, unknown names.

Each test derives its requests from the contract. A probe finds a request that an operation carries out; the test sends it
again in the way of such clients, to an account that nothing else was written to, and expects the same answer.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from emulation.arguments import widest
from emulation.probe import Probe
from emulation.server import Server
from kantata_client.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulation.server import Answer
    from kantata_client._contract import Operation

FORM = "application/x-www-form-urlencoded"
VARYING = {"POST /attachments", "GET /exports/{id}/download_url", "GET /subscribed_events"}
"""Operations whose answers are never the same: with signed addresses, and with ids that no reset restarts."""

NOT_EMULATED = {"GET /recommendations/estimate_scenario_resource"}
"""The only operation that the sandbox answers with 501."""


@cache
def probe(strict: bool) -> Probe:
    return Probe(strict=strict)


@cache
def server(strict: bool) -> Server:
    return Server(strict=strict)


def known(operation: Operation) -> Answer:
    answer = probe(strict=True).again(operation)
    assert answer.ok, answer
    return answer


# Bodies


def bodies() -> list[str]:
    return [
        name
        for name, operation in OPERATIONS.items()
        if operation.body is not None and not operation.body.multipart and operation.method != "DELETE"
    ]


def wrapped(operation: Operation, item: Any) -> Any:
    wrapper = operation.body.wrapper if operation.body else None
    return {wrapper: item} if wrapper else item


def pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The fields of a form for a JSON value, as Rails names them."""
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from pairs(f"{name}[{inner}]" if name else inner, each)
    elif isinstance(value, list):
        for each in value:
            yield from pairs(f"{name}[]", each)
    elif isinstance(value, bool):
        yield name, str(value).lower()
    elif value is not None:
        yield name, str(value)


def form(body: Any) -> tuple[str, bytes]:
    return FORM, urlencode(list(pairs("", body))).encode()


@pytest.mark.parametrize("name", bodies())
def test_a_form_says_the_same_as_json(name: str) -> None:
    """Send all properties that the operation accepts, with nested objects and lists, or each alone."""
    operation, made = OPERATIONS[name], probe(strict=True)
    known(operation)
    accepted = made.accepted(operation)
    together = made.again(operation, item=accepted).ok
    for item in [accepted] if together else [{each: value} for each, value in accepted.items()]:
        sent = made.again(operation, item=item)
        again = made.again(operation, item=item, encode=lambda _, given: form(wrapped(operation, given)))
        assert (again.status, again.message) == (sent.status, sent.message), item
        assert name in VARYING or again.body == sent.body, item


@pytest.mark.parametrize("name", bodies())
def test_an_unknown_property_is_named_or_ignored(name: str) -> None:
    operation = OPERATIONS[name]
    known(operation)

    def more(_: Operation, item: dict[str, Any]) -> Any:
        return wrapped(operation, {**item, "nobody_knows_this": {"a": [1]}})

    refused = probe(strict=True).again(operation, encode=more)
    assert refused.status in {400, 422}, refused
    assert "nobody_knows_this" in refused.message
    expected, found = probe(strict=False).again(operation), probe(strict=False).again(operation, encode=more)
    assert found.ok, found.message
    assert name in VARYING or found.body == expected.body


@pytest.mark.parametrize("name", [name for name in bodies() if "include" in OPERATIONS[name].query])
def test_parameters_beside_the_object_are_used_when_lenient(name: str) -> None:
    operation = OPERATIONS[name]
    known(operation)
    include = ",".join(operation.query["include"].values[:2])

    def beside(_: Operation, item: dict[str, Any]) -> Any:
        return {**wrapped(operation, item), "include": include, "only": "7", "nobody_knows_this": 1}

    if operation.body is not None and operation.body.wrapper:
        assert "`include`" in probe(strict=True).again(operation, encode=beside).message
        expected = probe(strict=False).again(operation, {"include": include})
        found = probe(strict=False).again(operation, encode=beside)
        assert found.ok, found.message
        assert found.body == expected.body


def ids_in_bodies() -> list[str]:
    return [name for name, each in OPERATIONS.items() if each.method == "DELETE" and "ids" in each.query]


@pytest.mark.parametrize("name", ids_in_bodies())
@pytest.mark.parametrize("shape", ["json", "json text", "form", "form list", "query"])
def test_ids_to_delete_come_in_any_way(name: str, shape: str) -> None:
    operation, made = OPERATIONS[name], server(strict=True)
    made.reset()
    key = operation.path.strip("/")
    removable = [
        row["id"]
        for row in made.sandbox.store.all(key)
        if row.get("invoice_id") is None and row.get("active_submission_id") is None
    ]
    ids = removable[:2]
    assert len(ids) == 2
    text = ",".join(ids)
    body: Any = {
        "json": {"ids": [int(each) for each in ids]},
        "json text": {"ids": text},
        "form": (FORM, urlencode({"ids": text}).encode()),
        "form list": (FORM, urlencode([("ids[]", each) for each in ids]).encode()),
        "query": None,
    }[shape]
    answer = made.send("DELETE", operation.path, {"ids": text} if shape == "query" else {}, body)
    assert answer.ok, answer.message
    assert not [each for each in ids if made.sandbox.store.get(key, each)]


# Queries


def lists() -> list[str]:
    return [
        name
        for name, operation in OPERATIONS.items()
        if operation.method == "GET" and operation.result == "page" and "{" not in operation.path
    ]


def get(operation: Operation, *, strict: bool, **query: Any) -> Answer:
    if strict and "per_page" not in operation.query:
        query.pop("per_page", None)
        query.pop("page", None)
    asked = {name: value for name, value in widest(operation).items() if name != "per_page"} | query
    return server(strict=strict).send("GET", operation.path, asked)


def results(answer: Answer) -> list[str]:
    assert answer.ok, answer
    return [result["id"] for result in answer.body["results"]]


@pytest.mark.parametrize("name", lists())
def test_pages_are_capped_and_a_lone_limit_has_no_effect(name: str) -> None:
    operation = OPERATIONS[name]
    paged = "per_page" in operation.query
    for strict in (True, False) if paged else (False,):
        default = get(operation, strict=strict)
        for alone in ({"limit": 2}, {"offset": 1}, {"limit": 0}):
            assert results(get(operation, strict=strict, **alone)) == results(default)
        both = get(operation, strict=strict, limit=2, offset=1)
        assert results(both) == results(default)[1:3]
    for sloppy in (
        {"per_page": 5000},
        {"page": 0},
        {"page": "one"},
        {"per_page": 0},
        {"limit": 999, "offset": 0},
    ):
        assert not paged or get(operation, strict=True, **sloppy).status == 400, sloppy
        meta = get(operation, strict=False, **sloppy).body["meta"]
        assert meta["page_size"] == (
            20 if "page" in sloppy or (0 in sloppy.values() and "limit" not in sloppy) else 200
        )
        assert meta["page_number"] == min(meta["count"], 1)


@pytest.mark.parametrize("name", [name for name in lists() if "only" in OPERATIONS[name].query])
def test_only_is_never_paged(name: str) -> None:
    operation = OPERATIONS[name]
    for strict in (True, False):
        ids = results(get(operation, strict=strict, per_page=60))
        if ids:
            answer = get(operation, strict=strict, only=",".join(ids), per_page=1, page=2)
            assert sorted(results(answer)) == sorted(ids)


@pytest.mark.parametrize("name", [name for name in lists() if "order" in OPERATIONS[name].query])
def test_an_order_without_a_direction_or_with_too_many_parts(name: str) -> None:
    operation = OPERATIONS[name]
    default, values = results(get(operation, strict=False)), operation.query["order"].values
    assert results(get(operation, strict=False, order="nobody:asc")) == default
    assert get(operation, strict=True, order="nobody:asc").status == 400 or not values
    for value in values:
        head, _, direction = value.partition(":")
        if not direction or head == "custom_field":
            continue
        expected = get(operation, strict=False, order=value)
        if expected.status == 501:
            continue
        assert results(get(operation, strict=False, order=f"{value}:asc:x")) == results(expected)
        assert get(operation, strict=True, order=f"{value}:asc").status == 400
        if direction == "asc":
            assert results(get(operation, strict=False, order=head)) == results(expected)


def gets() -> list[str]:
    return [
        name
        for name, operation in OPERATIONS.items()
        if operation.method == "GET" and name not in NOT_EMULATED
    ]


@pytest.mark.parametrize("name", gets())
def test_blank_and_unknown_parameters_are_ignored_when_lenient(name: str) -> None:
    operation = OPERATIONS[name]
    known(operation)
    lenient = probe(strict=False)
    expected = lenient.again(operation)
    required = {each for each, parameter in operation.query.items() if parameter.required}
    blank = dict.fromkeys(operation.query.keys() - required - widest(operation).keys(), "")
    odd = {"_": "1719823", "nobody_knows_this": "x", "apply_default_filters": "true"}
    for more in (
        blank,
        odd,
        {f"{each}[]": " " for each in ("include", "optional_fields") if each in operation.query},
    ):
        found = lenient.again(operation, more)
        assert found.status == expected.status, (more, found)
        assert name in VARYING or found.body == expected.body, more
    for each, value in odd.items():
        refused = probe(strict=True).again(operation, {each: value})
        assert refused.status == 400, each
        assert f"`{each}`" in refused.message
    for each in ("include", "optional_fields"):
        if each in operation.query:
            assert lenient.again(operation, {each: "nobody"}).ok
            assert probe(strict=True).again(operation, {each: "nobody"}).status == 400


@pytest.mark.parametrize("name", gets())
def test_booleans_in_capitals_are_read_when_lenient(name: str) -> None:
    operation = OPERATIONS[name]
    known(operation)
    for each, parameter in operation.query.items():
        if parameter.kind != "boolean":
            continue
        for value in ("true", "false"):
            expected = probe(strict=False).again(operation, {each: value})
            found = probe(strict=False).again(operation, {each: value.upper()})
            assert found.status == expected.status, each
            assert name in VARYING or found.body == expected.body, each
            assert probe(strict=True).again(operation, {each: value.upper()}).status == 400
