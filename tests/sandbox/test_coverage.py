"""The page `docs/coverage.md` is what a probe of the sandbox finds, and what is left out stays within limits."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emulation.arguments import widest
from emulation.page import line, totals
from emulation.probe import ASPECTS, Probe
from emulation.server import Server
from kantata_client import models
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import demo_details, registry

from .test_documented_values import undocumented

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kantata_client._contract import Operation

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"

TRACELESS = {
    (
        "POST /account_invitations",
        "external_reference",
    ),  # lists of references don't take the type of an invitation
    ("POST /attachments", "attachment[type]"),
    ("PUT /expenses/{id}", "workspace_id"),  # in the contract's body, though it says that this can't change
}
"""Properties without a trace in what the API shows, besides those that resources declare."""


@cache
def probe() -> Probe:
    return Probe()


@cache
def page() -> list[str]:
    return PAGE.read_text(encoding="utf-8").splitlines()


def table(heading: str) -> list[list[str]]:
    """The cells of the rows of the table below a heading."""
    start = page().index(f"## {heading}")
    rows = [text for text in page()[start + 4 :] if text.startswith("|")]
    end = next((i for i, text in enumerate(page()[start + 4 :]) if not text.startswith("|")), None)
    return [[cell.strip() for cell in text.strip("|").split("|")] for text in rows[:end]]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_emulated_as_the_page_says(name: str) -> None:
    operation = OPERATIONS[name]
    row = probe().row(operation)
    assert line(row) in page(), "run `make coverage`"
    findings = [*row.aspects.values(), {name: row.finding}]
    assert [(what, f.why) for found in findings for what, f in found.items() if f.level == "unclear"] == []
    declared = registry.resource(operation.key or "").without_effect
    for what, finding in row.aspects.get("properties", {}).items():
        if finding.level == "no effect":
            assert what in declared or (name, what) in TRACELESS, what
        elif finding.level == "yes":
            assert what not in declared, what


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_answers_with_documented_values(name: str) -> None:
    answer = probe().answer(OPERATIONS[name])
    objects = answer.body if isinstance(answer.body, dict) else {}
    records = [
        (key, record)
        for key, rows in objects.items()
        if key not in ("meta", "fields") and isinstance(rows, dict)
        for record in rows.values()
        if isinstance(record, dict)
    ]
    assert [found for key, record in records for found in undocumented(key, record)] == []


def test_every_operation_is_on_the_page() -> None:
    names = [re.match(r"`([^`]+)`", cells[0]) for cells in table("Operations")]
    assert [name and name[1] for name in names] == list(OPERATIONS)
    assert len(OPERATIONS) == 419


def test_the_totals_are_those_of_the_lines() -> None:
    counted: dict[str, Counter[str]] = {aspect: Counter() for aspect in ASPECTS}
    for cells in table("Operations"):
        for aspect, cell in zip(ASPECTS, cells[1:], strict=True):
            match = re.match(r"(\d+)(?: of (\d+))?", cell)
            if match:
                good, declared = int(match[1]), int(match[2] or match[1])
                silent = len(re.findall(r"\*[^*]+\*", cell))
                counted[aspect].update(
                    {"declared": declared, "yes": good, "501": declared - good - silent, "silent": silent}
                )
    for aspect, *numbers in table("Totals")[1:]:
        assert [int(number.replace(",", "")) for number in numbers] == [
            counted[aspect][what] for what in ("declared", "yes", "501", "silent")
        ], aspect


def test_little_is_left_out() -> None:
    found = {
        aspect: [int(number.replace(",", "")) for number in numbers] for aspect, *numbers in table("Totals")
    }
    assert found["operations"][2] <= 5
    for aspect in ("parameters", "orders", "includes", "properties"):
        assert found[aspect][2] <= 0.03 * found[aspect][0], aspect
    assert found["optional fields"][2] <= 0.15 * found["optional fields"][0]
    assert found["includes"][0] > 1_300
    assert found["properties"][0] > 800


def test_levels_are_counted_by_aspect() -> None:
    counted = totals([probe().row(OPERATIONS[name]) for name in ("GET /vendors", "POST /vendors")])
    assert counted["operations"] == {"yes": 2}
    assert counted["properties"]["yes"] == len(OPERATIONS["POST /vendors"].body.fields)  # pyright: ignore[reportOptionalMemberAccess]


LISTS = [
    name
    for name, operation in OPERATIONS.items()
    if operation.result == "page"
    and "{" not in operation.path
    and operation.model
    and operation.key not in demo_details.WITHOUT
]
NARROWED = {"story_state_changes", "custom_branding"}
"""Keys whose list needs a change that the demo account does not have, or is about the account itself."""


VIEWS: dict[str, list[dict[str, Any]]] = {
    "account_memberships": [{}, {"only_inactive": True}],
    "participations": [{}, {"workspace_id": 10001}],
}
"""Envelope key → the queries that show all kinds of records, where one does not."""


def pages(
    server: Server, operation: Operation, query: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The pages of a list, in all its views."""
    for view in VIEWS.get(operation.key or "", [{}]):
        if "page" not in operation.query:
            yield {}, view
            continue
        count = server.send("GET", operation.path, query | view).body["meta"]["page_count"]
        for number in range(1, count + 1):
            yield {"page": number}, view


@pytest.mark.parametrize("name", LISTS)
def test_a_list_pretends_nothing(name: str) -> None:
    """Every field that is always shown has a value in some record, and every include finds something."""
    operation = OPERATIONS[name]
    if operation.key in NARROWED:
        return
    server, model = Server(), getattr(models, operation.model or "")
    shown = set(model.FIELDS) - set(model.CONDITIONS)
    fields, includes = set(shown), set(model.ASSOCIATIONS)
    query = widest(operation) | {
        "include": operation.query["include"].values if "include" in operation.query else ()
    }
    includes &= set(query["include"])
    for number, view in pages(server, operation, query):
        answer = server.send("GET", operation.path, query | view | number)
        assert answer.ok, answer.message
        for record in answer.records:
            fields -= {field for field in fields if record.get(field) not in (None, [])}
            includes -= {
                each for each in includes if record.get(model.ASSOCIATIONS[each].ids) not in (None, [])
            }
        if not fields | includes:
            break
    never = {field for key, field in demo_details.NEVER if key == operation.key}
    assert fields | includes <= never


@pytest.mark.parametrize("query", [{}, {"page": 2}])
def test_a_plain_client_of_the_application_reads_pages(query: dict[str, Any]) -> None:
    answer = Server().send("GET", "/stories", query)
    assert (answer.status, len(answer.records)) == (200, 20)
