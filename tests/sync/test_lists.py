"""A sync reads all lists of the contract, and converts records to the contract's types."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pyarrow as pa
import pytest

from kantata_client import UsageError
from kantata_client.operations import OPERATIONS
from kantata_client.sync import arrow
from kantata_client.sync.catalog import lists, select, select_nested


def test_every_list_of_the_contract_has_a_spec() -> None:
    gets = [OPERATIONS[name] for name in OPERATIONS if name.startswith("GET ")]
    expected = {each.id for each in gets if each.result in ("page", "array")}
    assert {each.operation.id for each in lists().values()} == expected
    assert len(lists()) == 91
    assert sum(each.since == "updated_after" for each in lists().values()) == 51


def test_required_parameters_fan_out() -> None:
    found = {name: each.fan_out for name, each in lists().items() if each.fan_out}
    parents = {name: each.parent for name, each in found.items() if each.parent}
    assert parents == {
        "estimate_scenario_resources": "estimate_scenarios",
        "exchange_rates": "exchange_tables",
        "participations": "workspaces",
        "rate_card_table_rows": "rate_card_set_versions",
        "story_state_changes": "stories",
        "workspace_status_changes": "workspaces",
    }
    assert {name: len(each.values) for name, each in found.items() if each.values} == {
        "custom_field_values": 6,
        "external_references": 33,
    }
    for name, each in lists().items():
        required = {key for key, parameter in each.operation.query.items() if parameter.required}
        required |= set(each.operation.path_parameters)
        assert required == ({each.fan_out.parameter} if each.fan_out else set()), name


def test_ids_that_need_include_are_included() -> None:
    for each in lists().values():
        include = each.query.get("include", [])
        assert isinstance(include, list)
        for name, association in each.model.ASSOCIATIONS.items():
            declared = each.operation.query.get("include")
            if declared and name in declared.values and association.ids in each.model.FIELDS:
                assert name in include, (each.name, name)


def test_every_field_has_exactly_one_target() -> None:
    for each in lists().values():
        for field in each.model.FIELDS:
            targets = [field in each.columns, field in each.references]
            targets.append(field in {child.field for child in each.children})
            assert targets.count(True) == 1, (each.name, field)
        assert each.key in each.columns
        tables = [child.table for child in each.children]
        assert all(child.item != child.owner for child in each.children)
        assert len(set(tables)) == len(tables)


def test_column_kinds_are_those_of_the_contract() -> None:
    columns = lists()["time_entries"].columns
    assert columns["id"] == columns["workspace_id"] == columns["location_id"] == "text"
    assert columns["rate_in_cents"] == columns["time_in_minutes"] == "bigint"
    assert columns["date_performed"] == "date"
    assert columns["updated_at"] == "timestamp"
    assert columns["billable"] == "bool"
    assert lists()["workspaces"].columns["task_statuses"] == "json"
    assert lists()["posts"].columns["subject_ref__id"] == "text"


def test_unknown_list_raises_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="unknown list 'time_entry'; did you mean 'time_entries'"):
        select(["time_entry"])
    assert [each.name for each in select(["users", "stories", "users"])] == ["stories", "users"]
    assert len(select(None, ["users", "stories"])) == len(lists()) - 2


def row(**fields: Any) -> dict[str, Any]:
    return {"id": "1", **fields}


def converted(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return arrow.records(lists()["time_entries"], list(rows)).to_pylist()


def test_values_are_converted_to_column_types() -> None:
    [found] = converted(
        row(
            workspace_id="7",
            rate_in_cents=12_000,
            billable=False,
            date_performed="2026-03-02",
            updated_at="2026-03-02T09:30:00-07:00",
            created_at="2026-03-02T09:30:00Z",
        )
    )
    assert found["id"] == "1"
    assert found["workspace_id"] == "7"
    assert found["rate_in_cents"] == 12_000
    assert found["billable"] is False
    assert found["date_performed"] == dt.date(2026, 3, 2)
    assert found["updated_at"] == dt.datetime(2026, 3, 2, 16, 30, tzinfo=dt.UTC)
    assert found["created_at"] == dt.datetime(2026, 3, 2, 9, 30, tzinfo=dt.UTC)
    assert found["_extra"] is None
    assert found["notes"] is None


def test_record_that_lacks_a_field_has_null_there() -> None:
    spec = lists()["time_entries"]
    whole = {**dict.fromkeys(spec.columns), "id": "1", "notes": "Call", "time_in_minutes": 30}
    lacking = {"id": "2", "time_in_minutes": 15}
    both = arrow.records(spec, [whole, lacking]).to_pylist()
    assert both == [
        *arrow.records(spec, [whole]).to_pylist(),
        *arrow.records(spec, [lacking]).to_pylist(),
    ]
    assert [(each["id"], each["notes"], each["time_in_minutes"]) for each in both] == [
        ("1", "Call", 30),
        ("2", None, 15),
    ]


def test_values_of_similar_types_are_converted() -> None:
    first, second = converted(
        {"id": 5, "workspace_id": 7, "rate_in_cents": "100", "time_in_minutes": 3.0, "date_performed": None},
        row(date_performed="2026-03-02T10:00:00Z", updated_at="2026-03-02T09:30:00", rate_in_cents=None),
    )
    assert (first["id"], first["workspace_id"], first["rate_in_cents"], first["time_in_minutes"]) == (
        "5",
        "7",
        100,
        3,
    )
    assert second["date_performed"] == dt.date(2026, 3, 2)
    assert second["updated_at"] == dt.datetime(2026, 3, 2, 9, 30, tzinfo=dt.UTC)
    assert first["_extra"] is None
    assert second["_extra"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate_in_cents", "a lot"),
        ("rate_in_cents", 1.5),
        ("rate_in_cents", 2**70),
        ("rate_in_cents", True),
        ("billable", "yes"),
        ("billable", 1),
        ("date_performed", "soon"),
        ("date_performed", 20260302),
        ("updated_at", "soon"),
        ("updated_at", ["2026-03-02"]),
        ("notes", {"a": 1}),
        ("workspace_id", ["7"]),
        ("a_new_field", {"deep": [1, None]}),
        ("another", None),
    ],
)
def test_unknown_fields_and_invalid_values_go_to_extra(field: str, value: Any) -> None:
    invalid, valid = converted(row(**{field: value}), row(billable=True, rate_in_cents=1))
    extra = json.loads(invalid["_extra"])
    assert extra == {field: value}
    assert invalid.get(field) is None
    assert valid["billable"] is True
    assert valid["_extra"] is None


def test_id_lists_become_rows_and_empty_lists_delete() -> None:
    stories = lists()["stories"]
    child = next(each for each in stories.children if each.field == "assignee_ids")
    rows = [
        {"id": "1", "assignee_ids": ["7", 8]},
        {"id": "2", "assignee_ids": []},
        {"id": "3", "assignee_ids": None},
        {"id": "4"},
    ]
    assert [tuple(each.values()) for each in arrow.children(child, "id", rows).to_pylist()] == [
        ("1", 0, "7", None),
        ("1", 1, "8", None),
        ("2", 0, None, True),
        ("3", 0, None, True),
    ]
    assert arrow.children(child, "id", [{"id": "4"}]) is None


def test_polymorphic_reference_becomes_two_columns() -> None:
    posts = lists()["posts"]
    table = arrow.records(
        posts, [{"id": "1", "subject_ref": {"key": "stories", "id": "9"}}, {"id": "2", "subject_ref": "?"}]
    )
    first, second = table.to_pylist()
    assert (first["subject_ref__key"], first["subject_ref__id"], first["_extra"]) == ("stories", "9", None)
    assert (second["subject_ref__id"], second["_extra"]) == (None, '{"subject_ref":"?"}')


def test_empty_columns_have_types() -> None:
    for each in lists().values():
        empty = arrow.records(each, [{each.key: "1"}])
        assert not any(pa.types.is_null(field.type) for field in empty.schema), each.name


def nested_rows(name: str, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    spec = lists()[name.partition(".")[0]]
    [table] = [each for each in spec.nested if each.name == name]
    return arrow.nested(table, spec.key, list(rows)).to_pylist()


def test_every_json_field_of_known_shape_can_be_a_table() -> None:
    tables = {nested.name for spec in lists().values() for nested in spec.nested}
    fields = {
        f"{name}.{field}"
        for name, spec in lists().items()
        for field, kind in spec.columns.items()
        if kind == "json" and field in spec.model.FIELDS
    }
    assert fields - tables == {"custom_field_values.value"}  # of any type


def test_nested_object_becomes_one_row() -> None:
    [found] = nested_rows(
        "workspaces.status", {"id": "1", "status": {"key": 305, "message": "Late", "new": [1]}}
    )
    assert (found["workspace_id"], found["_position"], found["key"], found["message"]) == (
        "1",
        0,
        "305",
        "Late",
    )
    assert (found["_extra"], found["_deleted"]) == ('{"new":[1]}', None)


def test_nested_list_becomes_rows_and_an_empty_one_deletes() -> None:
    rows = nested_rows(
        "workspaces.task_statuses",
        {"id": "1", "task_statuses": ["started", "done"]},
        {"id": "2", "task_statuses": []},
        {"id": "3", "task_statuses": None},
        {"id": "4"},
    )
    assert [(row["workspace_id"], row["_position"], row["value"], row["_deleted"]) for row in rows] == [
        ("1", 0, "started", None),
        ("1", 1, "done", None),
        ("2", 0, None, True),
        ("3", 0, None, True),
    ]


def test_nested_map_becomes_rows_with_keys() -> None:
    cells = {"USD": {"rate": 100, "new": True}, "EUR": {"rate": 90}, "odd": 5}
    rows = nested_rows("rate_card_table_rows.cells", {"id": "1:2", "cells": cells})
    assert [row["_key"] for row in rows] == ["USD", "EUR", "odd"]
    assert rows[2]["_extra"] == '{"value":5}'


@pytest.mark.parametrize("value", ["text", 5, {"a": 1}, [{"a": 1}]])
def test_nested_value_of_another_shape_is_kept(value: Any) -> None:
    for spec in lists().values():
        for table in spec.nested:
            row = {spec.key: "1", table.field: value}
            assert arrow.nested(table, spec.key, [row]).num_rows >= 1, table.name


def test_unknown_nested_table_raises_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"unknown table 'workspaces\.task_status'; did you mean"):
        select_nested(["workspaces.task_status"])
    assert select_nested("all") >= {"workspaces.status", "rate_card_table_rows.cells"}
