"""Aliases of lists of values: an added value must not rename what users import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codegen.describe import describe
from codegen.errors import ROOT
from codegen.lower import lower
from codegen.normalise import normalise
from codegen.resolve import resolve
from tests.codegen.small import INCLUDE, NOTHING_KNOWN, swagger

if TYPE_CHECKING:
    from codegen.facts import ResourceFacts


def books(contract: dict[str, Any]) -> ResourceFacts:
    facts = describe(normalise(resolve(lower(contract)), NOTHING_KNOWN), NOTHING_KNOWN, ROOT)
    return facts.resources[0]


def with_includes(created: str) -> dict[str, Any]:
    contract = swagger()
    include = {"in": "query", "name": "include", "type": "string", "description": created}
    contract["paths"]["/books"]["post"]["parameters"].append(include)
    return contract


def test_equal_lists_share_an_alias() -> None:
    found = books(with_includes(INCLUDE))
    assert found.aliases["Include"] == ("author", "sequels")
    assert {each.narrowed for operation in found.operations for each in operation.query} == {False}


def test_an_added_value_renames_no_alias() -> None:
    found = books(with_includes(INCLUDE + "\n- `readers` (Author) - referenced by `author_id`"))
    assert [name for name in found.aliases if name.endswith("Include")] == ["Include"]
    assert found.aliases["Include"] == ("author", "sequels", "readers")
    listed, created = (
        next(each for each in operation.query if each.name == "include") for operation in found.operations[:2]
    )
    assert (listed.alias, created.alias) == ("Include", "Include")
    assert listed.values == ("author", "sequels")
    assert (listed.narrowed, created.narrowed) == (True, False)


def test_unlike_lists_get_aliases_of_their_own() -> None:
    other = "Any of these:\n- `a` (Author) - referenced by `author_id`\n- `b` (Author) - referenced by `author_id`"
    found = books(with_includes(other))
    assert {"Include", "CreateInclude"} <= found.aliases.keys()
