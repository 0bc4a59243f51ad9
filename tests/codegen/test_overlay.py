"""Applying an overlay: merging, removing, order, and corrections that no longer apply."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from codegen.compile import OVERRIDES
from codegen.errors import CodegenError
from codegen.load import load_data
from codegen.lower import lower
from codegen.overlay import apply
from tests.codegen.vendored import vendored


def overlay(*actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"overlay": "1.0.0", "info": {"title": "t", "version": "1"}, "actions": list(actions), **more}


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "paths": {
            "/a": {"get": {"tags": ["x"], "parameters": [{"in": "query", "name": "p", "default": 1}]}},
            "/b": {"get": {"parameters": [{"in": "query", "name": "p"}, {"in": "query", "name": "q"}]}},
        },
        "definitions": {"A": {"type": "object", "properties": {"n": {"type": "string"}}}},
    }


def test_update_merges_deeply_and_leaves_the_input_alone(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    action = {
        "target": "$.definitions.A",
        "update": {"title": "A", "properties": {"n": {"type": "integer", "format": "int32"}, "m": {}}},
    }
    result = apply(document, overlay(action))
    assert result["definitions"]["A"] == {
        "type": "object",
        "title": "A",
        "properties": {"n": {"type": "integer", "format": "int32"}, "m": {}},
    }
    assert document == before
    result["paths"].clear()
    assert document == before


def test_lists_are_concatenated(document: dict[str, Any]) -> None:
    into_object = {"target": "$.paths['/a'].get", "update": {"tags": ["y", "z"]}}
    one = {"target": "$.paths['/a'].get.parameters", "update": {"in": "path", "name": "p"}}
    several = {"target": "$.paths.*.get.parameters", "update": [{"in": "query", "name": "r"}]}
    result = apply(document, overlay(into_object, one, several))
    assert result["paths"]["/a"]["get"]["tags"] == ["x", "y", "z"]
    assert [each["name"] for each in result["paths"]["/a"]["get"]["parameters"]] == ["p", "p", "r"]
    assert [each["name"] for each in result["paths"]["/b"]["get"]["parameters"]] == ["p", "q", "r"]


def test_remove_takes_out_objects_and_entries(document: dict[str, Any]) -> None:
    entries = {"target": "$.paths.*.get.parameters[?@.in == 'query']", "remove": True}
    inner = {"target": "$.definitions.A.properties.n", "remove": True}
    result = apply(document, overlay(entries, inner))
    assert result["paths"]["/b"]["get"]["parameters"] == []
    assert result["definitions"]["A"]["properties"] == {}


def test_remove_takes_nested_matches(document: dict[str, Any]) -> None:
    result = apply(document, overlay({"target": "$.definitions..*[?@.n || @.type]", "remove": True}))
    assert "properties" not in result["definitions"]["A"]


def test_actions_apply_in_order(document: dict[str, Any]) -> None:
    actions = [
        {"target": "$.definitions.A.properties.n", "remove": True},
        {"target": "$.definitions.A.properties", "update": {"n": {"description": "any"}}},
        {"target": "$.definitions.A.properties.n", "update": {"description": "anything"}},
    ]
    result = apply(document, overlay(*actions))
    assert result["definitions"]["A"]["properties"]["n"] == {"description": "anything"}


def test_merged_values_are_copied(document: dict[str, Any]) -> None:
    shared = {"type": "string"}  # as a YAML anchor gives it
    result = apply(document, overlay({"target": "$.paths.*.get", "update": {"x-1": shared, "x-2": shared}}))
    result["paths"]["/a"]["get"]["x-1"]["type"] = "integer"
    assert result["paths"]["/a"]["get"]["x-2"] == shared
    assert result["paths"]["/b"]["get"]["x-1"] == {"type": "string"}


def test_true_replaces_one(document: dict[str, Any]) -> None:
    result = apply(
        document, overlay({"target": "$.paths['/a'].get.parameters[0]", "update": {"default": True}})
    )
    assert result["paths"]["/a"]["get"]["parameters"][0]["default"] is True


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (
            {"target": "$.paths['/c']", "update": {}},
            r"overlay action 1 \(\$\.paths\['/c'\]\) selects nothing",
        ),
        ({"target": "$.definitions.A.properties.n.type", "remove": True}, "neither an object nor a list"),
        ({"target": "$.definitions.A", "update": {"type": "object"}}, "changes nothing at definitions > A"),
        ({"target": "$.definitions.A", "update": []}, "can only be updated with an object"),
        ({"target": "$.paths['/a'].get.tags", "update": "x"}, "has 'x' already"),
        (
            {
                "target": "$.paths['/a'].get.parameters",
                "update": {"in": "query", "name": "p", "type": "string"},
            },
            "has .*'p'.* already",
        ),
        ({"target": "$", "remove": True}, "the whole document"),
        ({"target": "paths", "update": {}}, "not a JSONPath"),
        ({"target": "$.definitions.A", "update": {"items": {"$ref": "#/definitions/B"}}}, "#/definitions/B"),
    ],
)
def test_refuses_corrections_that_do_not_apply(
    document: dict[str, Any], action: dict[str, Any], said: str
) -> None:
    with pytest.raises(CodegenError, match=said):
        apply(document, overlay(action))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"overlay": "2.0.0"}, "overlay: 2.0.0"),
        ({"overlay": 1.0}, "overlay: 1.0"),
        ({"info": {"title": "t"}}, "lacks `version`"),
        ({"notes": "x"}, "has `notes`, which is unknown"),
        ({"actions": []}, "at least one action"),
        ({"actions": [{"target": "$", "updates": {}}]}, "has `updates`, which is unknown"),
        ({"actions": [{"target": "$"}]}, "needs one of `update`"),
        ({"actions": [{"target": "$", "update": {}, "remove": True}]}, "needs one of"),
        ({"actions": [{"update": {}}]}, "overlay action 1 lacks `target`"),
    ],
)
def test_refuses_invalid_overlays(document: dict[str, Any], broken: dict[str, Any], said: str) -> None:
    with pytest.raises(CodegenError) as caught:
        apply(document, overlay({"target": "$", "update": {"x-a": 1}}) | broken)
    assert said in str(caught.value)


def test_extensions_are_ignored(document: dict[str, Any]) -> None:
    action = {"target": "$", "description": "why", "update": {"x-a": 1}, "x-note": "n"}
    more = {"x-b": 2, "extends": "contract.yaml"}
    assert apply(document, overlay(action, **more))["x-a"] == 1


# --- actions that notice when they are no longer needed ----------------------------------------


def replacing(**action: Any) -> dict[str, Any]:
    document = {"definitions": {"Book": {"properties": {"size": {"type": "string", "description": "Big."}}}}}
    whole = {
        "overlay": "1.0.0",
        "info": {"title": "x", "version": "1"},
        "actions": [{"target": "$.definitions.Book.properties.size", **action}],
    }
    return apply(document, whole)["definitions"]["Book"]["properties"]


def test_x_replace_replaces_the_expected_value() -> None:
    found = replacing(**{"x-was": {"type": "string"}, "x-replace": {"type": "integer"}})
    assert found == {"size": {"type": "integer"}}
    assert replacing(
        target="$.definitions.Book.properties.size.type", **{"x-was": "string", "x-replace": "integer"}
    ) == {"size": {"type": "integer", "description": "Big."}}


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"x-was": {"type": "integer"}, "x-replace": {"type": "number"}}, "look at it again"),
        (
            {"x-was": {"type": "integer"}, "x-replace": {"type": "string", "description": "Big."}},
            "the contract says so itself now; delete this action",
        ),
        ({"x-replace": {"type": "number"}}, "`x-replace` needs `x-was`"),
        ({"x-replace": {"typ": "number"}, "x-was": {}}, "`typ` is not a word"),
        (
            {"remove": True, "x-replace": 1, "x-was": 2},
            "needs one of `update`, `remove: true` and `x-replace`",
        ),
        ({"remove": True, "x-test": "$.definitions.Author"}, "its `x-test` selects nothing"),
        ({"remove": True, "x-test": "$["}, "`x-test` is not a JSONPath"),
    ],
)
def test_refuses_actions_that_no_longer_fit(action: dict[str, Any], message: str) -> None:
    with pytest.raises(CodegenError) as caught:
        replacing(**action)
    assert message in str(caught.value)


def test_type_corrections_record_the_old_type() -> None:
    """One that the service makes itself is noticed, whichever it is."""
    overlay = load_data(OVERRIDES / "overlay.yaml")
    replacements = [each for each in overlay["actions"] if "x-replace" in each]
    assert len(replacements) >= 8
    contract = lower(vendored())
    corrected = apply(contract, overlay)
    with pytest.raises(CodegenError, match=r"delete this action|has .* already|selects nothing"):
        apply(corrected, overlay)
