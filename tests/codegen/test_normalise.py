"""Normalising either dialect; what can't be expressed is refused by name."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from codegen.errors import CodegenError
from codegen.load import apart
from codegen.lower import lower
from codegen.normalise import normalise
from codegen.resolve import resolve
from tests.codegen.small import BOOKKEEPING, NOTHING_KNOWN, openapi, swagger

if TYPE_CHECKING:
    from collections.abc import Callable

    from codegen.nodes import Contract, OperationNode

Json = dict[str, Any]


def normalised(contract: Json) -> Contract:
    return normalise(resolve(lower(contract)), NOTHING_KNOWN)


def by_id(contract: Contract) -> dict[str, OperationNode]:
    return {node.id: node for node in contract.operations}


def test_both_dialects_become_equal_nodes() -> None:
    assert normalised(swagger()) == normalised(openapi())


@pytest.mark.parametrize("contract", [swagger, openapi])
def test_normalising_leaves_its_input_alone(contract: Callable[[], Json]) -> None:
    given, before = contract(), contract()
    normalised(given)
    assert given == before


@pytest.mark.parametrize("contract", [swagger, openapi])
def test_shared_parts_are_copied(contract: Callable[[], Json]) -> None:
    """As YAML's aliases make them: the small contract names one response five times."""
    given = contract()
    items = given["paths"]
    assert items["/books"]["get"]["responses"] is items["/books"]["post"]["responses"]
    assert by_id(normalised(given))["POST /books"].model == "Book"


def test_every_operation_requires_the_token() -> None:
    document = normalised(swagger()).as_openapi()
    assert document["security"] == [{"token": []}]
    assert document["servers"] == [{"url": "https://library.example/v1"}]


def test_colliding_titles_are_dropped_and_names_cleaned() -> None:
    schemas = {name: node.schema for name, node in normalised(swagger()).components.items()}
    assert {"Book", "Author"} <= set(schemas)
    assert not any("title" in schema and isinstance(schema["title"], str) for schema in schemas.values())
    assert schemas["Book"]["properties"]["title"]["type"] == "string"


def test_every_field_of_a_response_may_be_null_or_missing() -> None:
    book = normalised(swagger()).components["Book"].schema
    assert "required" not in book
    assert all(each["nullable"] for each in book["properties"].values())
    assert "id" in book["properties"]


def test_operations_get_resource_name_and_result() -> None:
    found = {
        name: (each.resource, each.name, each.result, each.model, each.key)
        for name, each in by_id(normalised(swagger())).items()
    }
    assert found == {
        "GET /books": ("books", "list", "page", "Book", "books"),
        "POST /books": ("books", "create", "one", "Book", "books"),
        "GET /books/{id}": ("books", "get", "one", "Book", "books"),
        "DELETE /books/{id}": ("books", "delete", "none", None, None),
        "PUT /books/{id}/lend": ("books", "lend", "one", "Book", "books"),
    }


def test_prose_becomes_types() -> None:
    listed = by_id(normalised(swagger()))["GET /books"]
    parameters = {each.name: each for each in listed.parameters}
    assert parameters["order"].schema["enum"] == ["title:asc", "title:desc"]
    assert parameters["order"].default == "title:asc"
    assert parameters["include"].schema["items"]["enum"] == ["author", "sequels"]
    assert [(each.name, each.type, each.field, each.key) for each in listed.associations] == [
        ("author", "Author", None, None),
        ("sequels", "Library::Book", "sequel_ids", "books"),
    ]
    assert listed.associations[1].note == "the later ones"


def test_bodies_are_unwrapped_and_named() -> None:
    contract = normalised(swagger())
    created = by_id(contract)["POST /books"].body
    assert created is not None
    assert (created.wrapper, created.component, created.media) == ("book", "CreateBook", "application/json")
    body = contract.components["CreateBook"].schema
    assert body["required"] == ["title"]
    assert body["properties"]["shelf"]["$ref"].endswith("/ShelfInput")


# --- what stops it -----------------------------------------------------------------------------


def two_successes(contract: Json) -> None:
    contract["paths"]["/books"]["get"]["responses"]["201"] = {"description": "More."}


def no_success(contract: Json) -> None:
    contract["paths"]["/books"]["get"]["responses"] = {"404": {"description": "None."}}


def key_without_a_map(contract: Json) -> None:
    schema = contract["paths"]["/books"]["get"]["responses"]["200"]["schema"]
    schema["properties"]["authors"] = {"type": "object", "properties": {"id": {"type": "string"}}}


def empty_envelope(contract: Json) -> None:
    schema = {"type": "object", "properties": copy.deepcopy(BOOKKEEPING)}
    contract["paths"]["/books"]["get"]["responses"]["200"]["schema"] = schema


def _include(contract: Json, line: str) -> None:
    contract["paths"]["/books"]["get"]["parameters"][0]["description"] += f"\n{line}"


def association_without_a_type(contract: Json) -> None:
    _include(contract, "- `reader`")


def line_that_is_no_association(contract: Json) -> None:
    _include(contract, "and others on demand")


def two_definitions_of_one_class(contract: Json) -> None:
    contract["definitions"]["Other::Book"] = {"type": "object", "properties": {}}


def unknown_reference(contract: Json) -> None:
    contract["definitions"]["Author"]["properties"]["shop"] = {"$ref": "#/definitions/Shop"}


def two_methods_of_one_name(contract: Json) -> None:
    lend = apart(contract["paths"]["/books/{id}/lend"]["put"])
    lend["parameters"] = [each for each in lend["parameters"] if each["in"] != "path"]
    contract["paths"]["/books/lend"] = {"put": lend}


def body_without_properties(contract: Json) -> None:
    contract["paths"]["/books"]["post"]["parameters"][0]["schema"] = {"type": "object"}


def body_named_like_a_definition(contract: Json) -> None:
    contract["definitions"]["CreateBook"] = {"type": "object", "properties": {"x": {"type": "string"}}}


def parameter_in_an_unknown_place(contract: Json) -> None:
    contract["paths"]["/books"]["get"]["parameters"].append(
        {"in": "cookie", "name": "session", "type": "string"}
    )


def two_objects_of_one_name(contract: Json) -> None:
    schema = {"type": "object", "properties": {"lent": {"type": "boolean"}}}
    contract["paths"]["/books/{id}"]["get"]["responses"] = {"200": {"description": "One.", "schema": schema}}


def second_body(contract: Json) -> None:
    contract["paths"]["/books"]["post"]["parameters"] += [{"in": "formData", "name": "cover", "type": "file"}]


def path_without_a_slash(contract: Json) -> None:
    contract["paths"]["books"] = contract["paths"].pop("/books")


STOPS: dict[Callable[[Json], None], tuple[str, ...]] = {
    two_successes: ("GET /books", "2 success responses"),
    no_success: ("GET /books", "0 success responses"),
    key_without_a_map: ("GET /books", "'authors'", "map by id"),
    empty_envelope: ("GET /books", "no objects"),
    association_without_a_type: ("GET /books", "`reader`", "can't be read"),
    line_that_is_no_association: ("GET /books", "and others on demand"),
    two_definitions_of_one_class: ("Library::Book", "Other::Book"),
    unknown_reference: ("'Shop'", "does not exist"),
    two_methods_of_one_name: ("PUT /books/lend", "PUT /books/{id}/lend", "books.lend"),
    body_without_properties: ("POST /books", "no properties"),
    body_named_like_a_definition: ("POST /books", "CreateBook"),
    parameter_in_an_unknown_place: ("GET /books", "'session'", "'cookie'"),
    second_body: ("POST /books", "two bodies"),
    path_without_a_slash: ("GET books", "slash"),
    two_objects_of_one_name: ("GET /books/{id}", "Book"),
}


@pytest.mark.parametrize("spoil", STOPS, ids=lambda each: each.__name__)
def test_refuses_what_cannot_be_expressed_by_name(spoil: Callable[[Json], None]) -> None:
    contract = swagger()
    spoil(contract)
    with pytest.raises(CodegenError) as caught:
        normalised(contract)
    for part in STOPS[spoil]:
        assert part in str(caught.value)


def test_semantics_names_resolve_collisions() -> None:
    contract = swagger()
    two_methods_of_one_name(contract)
    semantics = attrs.evolve(NOTHING_KNOWN, names={"PUT /books/lend": "lend_all"})
    assert by_id(normalise(resolve(lower(contract)), semantics))["PUT /books/lend"].name == "lend_all"
