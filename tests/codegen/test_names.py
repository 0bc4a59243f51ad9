"""Names of resources, methods, classes and keywords."""

from __future__ import annotations

import keyword

import pytest

from codegen import names
from tests.codegen.vendored import vendored

PATHS = list(vendored()["paths"])
COLLECTIONS = names.find_collections(PATHS)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("GET /stories", ("stories", "list")),
        ("POST /stories", ("stories", "create")),
        ("GET /stories/{id}", ("stories", "get")),
        ("PUT /stories/{id}", ("stories", "update")),
        ("PATCH /stories/{id}", ("stories", "update")),
        ("DELETE /stories/{id}", ("stories", "delete")),
        ("DELETE /time_entries", ("time_entries", "delete_many")),
        ("GET /users/me", ("users", "me")),
        ("POST /workspaces/{id}/invite", ("workspaces", "invite")),
        ("GET /exports/{id}/download_url", ("exports", "download_url")),
        ("GET /foreign_exchange/exchange_tables", ("exchange_tables", "list")),
        ("GET /foreign_exchange/exchange_tables/{id}", ("exchange_tables", "get")),
        ("GET /foreign_exchange/exchange_tables/{id}/rates", ("exchange_tables", "rates")),
        ("GET /scheduled_jobs/insights_report_exports", ("insights_report_exports", "list")),
        ("GET /subscribed_events/event_types", ("subscribed_events", "event_types")),
    ],
)
def test_the_rule_of_the_path(operation: str, expected: tuple[str, str]) -> None:
    method, path = operation.split(" ")
    assert path in PATHS
    assert names.resource_and_method(method.lower(), path, COLLECTIONS) == expected


def test_namespaces_are_not_collections() -> None:
    assert not COLLECTIONS & {"foreign_exchange", "scheduled_jobs", "me", "invite", "event_types"}


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("Story", "Story"),
        ("CustomFields::ChoiceValue", "ChoiceValue"),
        ("Attachments::Base", "Attachment"),
        ("ActsAsTaggableOn::Tag", "Tag"),
        ("Project::Snapshots::Models::ProjectSnapshot", "ProjectSnapshot"),
        ("time entry", "TimeEntry"),
        ("Base", "Base"),
    ],
)
def test_class_names(definition: str, expected: str) -> None:
    assert names.class_name(definition) == expected


@pytest.mark.parametrize(
    ("plural", "expected"),
    [
        ("stories", "story"),
        ("statuses", "status"),
        ("addresses", "address"),
        ("boxes", "box"),
        ("users", "user"),
        ("expenses", "expense"),
        ("time_entries", "time_entry"),
        ("custom_field_choices", "custom_field_choice"),
        ("status", "status"),
        ("address", "address"),
        ("basis", "basis"),
    ],
)
def test_singular(plural: str, expected: str) -> None:
    assert names.singular(plural) == expected


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ("title", "title"),
        ("except", "except_"),
        ("from", "from_"),
        ("attachment[type]", "type"),
        ("x-mark", "x_mark"),
        ("2nd", "_2nd"),
    ],
)
def test_python_names(wire: str, expected: str) -> None:
    assert names.python_name(wire) == expected
    assert expected.isidentifier()
    assert not keyword.iskeyword(expected)


@pytest.mark.parametrize("pascal", ["Story", "TimeEntry", "CustomFieldValue"])
def test_snake_and_back(pascal: str) -> None:
    assert names.pascal(names.snake(pascal)) == pascal


def test_snake_keeps_abbreviations_together() -> None:
    assert names.snake("APIKey") == "api_key"
