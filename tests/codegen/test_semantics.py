"""The facts in overrides/semantics.yaml: complete, consistent with the contract, and otherwise refused."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from codegen.errors import CodegenError
from codegen.load import load_data
from codegen.overlay import apply
from codegen.semantics import load_semantics
from tests.codegen.vendored import vendored

ROOT = Path(__file__).parents[2]
PATH = ROOT / "overrides" / "semantics.yaml"
DATA = load_data(PATH)
CONTRACT = apply(vendored(), load_data(ROOT / "overrides" / "overlay.yaml"))
SEMANTICS = load_semantics(PATH, CONTRACT)
DESCRIPTIONS = {
    f"{method.upper()} {path}": operation.get("description", "")
    for path, item in CONTRACT["paths"].items()
    for method, operation in item.items()
}


def test_bulk_limits_are_those_of_the_descriptions() -> None:
    takes = re.compile(r"(?:Takes|Updates|Deletes) (?:up to (\d+)|several) objects in one request")
    decisions = {f"POST /timesheet_{each}" for each in ("approvals", "cancellations", "rejections")}
    stated = {
        name: int(found[1]) if found[1] else None
        for name, text in DESCRIPTIONS.items()
        if (found := takes.search(text)) and name not in decisions
    }
    listed = {**SEMANTICS.bulk_create, **SEMANTICS.bulk_update, **SEMANTICS.bulk_delete}
    told_otherwise = {
        "DELETE /story_allocation_days": 100,
        "PUT /project_accounting_records/delete": None,
        "PUT /workspace_task_status_sets/bulk_update": None,
    }
    assert listed == stated | told_otherwise


def test_unstated_limits_have_a_default() -> None:
    assert SEMANTICS.bulk_limit("POST /stories") == 300
    assert SEMANTICS.bulk_limit("DELETE /time_entries") == 100
    assert SEMANTICS.bulk_create["POST /time_off_entries"] is None
    assert SEMANTICS.bulk_limit("POST /time_off_entries") == SEMANTICS.bulk_limit_unless_stated == 100
    assert SEMANTICS.bulk_limit("POST /assignments") is None


def test_own_rate_limits_are_those_of_the_descriptions() -> None:
    said = {name for name, text in DESCRIPTIONS.items() if "its own rate limit" in text}
    assert said == SEMANTICS.own_rate_limit
    assert len(said) == 8


def test_associations_are_corrected_to_fields_that_exist() -> None:
    assert SEMANTICS.association("Expense", "expense_category") == {"field": "expense_category_id"}
    assert SEMANTICS.association("Expense", "vendor") == {}
    for (definition, _), facts in SEMANTICS.associations.items():
        assert facts["field"] in CONTRACT["definitions"][definition]["properties"]


def test_the_alternative_of_an_upload() -> None:
    alternative = SEMANTICS.alternatives["POST /attachments"]
    assert (alternative.definition, alternative.when) == ("DirectUpload", "direct")


def changed(key: str, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    data[key] = value
    return data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (changed("nmaes", {}), "has 'nmaes', which is unknown"),
        ({key: value for key, value in DATA.items() if key != "types"}, "lacks 'types'"),
        (changed("names", {"GET /nothing": "get"}), "names: the contract has no operation 'GET /nothing'"),
        (changed("names", {"GET /stories": "list all"}), "'list all' can't be the name of a method"),
        (changed("names", {"GET /stories": "class"}), "'class' can't be the name of a method"),
        (changed("results", {"GET /stories": "pages"}), "'pages' is not one of page, "),
        (changed("bulk_create", {"POST /stories": 0}), "bulk_create: POST /stories: 0 is not a number"),
        (changed("bulk_create", {"POST /stories": True}), "True is not a number"),
        (changed("bulk_delete", {"POST /stories": 1}), "POST /stories is not a DELETE"),
        (changed("repeatable", {"POST /stories": False}), "repeatable: POST /stories is not a PUT"),
        (changed("repeatable", {"PUT /workspaces/{id}/apply_template": 0}), "0 must be true or false"),
        (
            changed("repeatable", {"PUT /workspaces/{id}/applied": True}),
            "no operation 'PUT /workspaces/{id}/applied'",
        ),
        (changed("own_rate_limit", {"GET /workspaces": True}), "own_rate_limit is not a list"),
        (changed("own_rate_limit", ["GET /workspaces", "GET /workspaces"]), "listed twice"),
        (changed("upserts", ["PATCH /stories"]), "no operation 'PATCH /stories'"),
        (changed("identified_by", {"POST /skill": ["name"]}), "no operation 'POST /skill'"),
        (changed("identified_by", {"POST /skills": "name"}), "'name' is not a list of properties"),
        (changed("identified_by", {"POST /skills": []}), "[] is not a list of properties"),
        (changed("associations", {"Storey": {}}), "associations: the contract has no definition 'Storey'"),
        (changed("associations", {"Story": {"x": {"field": "x_id"}}}), "Story has no field 'x_id'"),
        (changed("associations", {"Story": {"x": {"type": "X"}}}), "no definition 'X'"),
        (changed("associations", {"Story": {"x": {"fields": "x"}}}), "has 'fields', which is unknown"),
        (changed("alternatives", {"POST /attachments": {"definition": "User"}}), "lacks 'when'"),
        (changed("types", {"Resource": 1}), "not an envelope key"),
    ],
)
def test_refuses_facts_that_do_not_fit_the_contract(tmp_path: Path, data: dict[str, Any], said: str) -> None:
    path = tmp_path / "semantics.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(CodegenError, match=r"semantics\.json") as caught:
        load_semantics(path, CONTRACT)
    assert said in str(caught.value)
