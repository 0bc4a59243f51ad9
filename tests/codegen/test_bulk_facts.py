"""Facts about bulk writes and look-ups: as complete as the contract, and refused where they contradict it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codegen.errors import CodegenError
from codegen.load import load_data
from codegen.overlay import apply
from codegen.semantics import load_semantics
from kantata_client.operations import OPERATIONS
from tests.codegen.vendored import vendored

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PATH = ROOT / "overrides" / "semantics.yaml"
CONTRACT = apply(vendored(), load_data(ROOT / "overrides" / "overlay.yaml"))
KEYED = [operation for operation in OPERATIONS.values() if operation.external_reference]


@pytest.mark.parametrize("operation", KEYED, ids=lambda operation: operation.resource)
def test_widest_shows_what_default_filters_hide(operation: Any) -> None:
    """Else what was created could not be found again, and would be created twice."""
    listing = OPERATIONS[f"GET {operation.path}"]
    assert "external_references" in listing.query["include"].values
    narrow = {"pending", "paid", "without_drafts", "show_deleted", "all_on_account", "only_my_account"}
    defaults = {
        name: parameter.default
        for name, parameter in listing.query.items()
        if parameter.kind == "boolean" and parameter.default is not None and name not in narrow
    }
    assert {name: not default for name, default in defaults.items()}.items() <= dict(listing.widest).items()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda facts: facts["decisions"].update({"POST /timesheet_approvals": "approve"}),
            "resource.method",
        ),
        (lambda facts: facts["decisions"].update({"POST /nothing": "a.b"}), "has no operation"),
        (lambda facts: facts["widest"].update({"GET /roles": {"archived": True}}), "no parameter 'archived'"),
        (lambda facts: facts["widest"].update({"GET /roles": {"only_active": 0}}), "not true or false"),
        (lambda facts: facts["widest"].update({"GET /roles": []}), "is not a mapping"),
        (lambda facts: facts.pop("widest"), "lacks 'widest'"),
    ],
    ids=range(6),
)
def test_refuses_facts_that_do_not_fit(tmp_path: Path, change: Callable[[Any], object], problem: str) -> None:
    facts: Any = copy.deepcopy(load_data(PATH))
    change(facts)
    path = tmp_path / "semantics.yaml"
    path.write_text(json.dumps(facts))
    with pytest.raises(CodegenError, match=problem):
        load_semantics(path, CONTRACT)
