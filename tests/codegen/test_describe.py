"""The facts that the templates print: operations, models and associations; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from codegen.describe import describe
from codegen.errors import CodegenError
from codegen.lower import lower
from codegen.normalise import normalise
from codegen.resolve import resolve
from tests.codegen.small import NOTHING_KNOWN, openapi, swagger

if TYPE_CHECKING:
    from codegen.facts import Facts
    from codegen.semantics import Semantics


def facts(contract: dict[str, Any], semantics: Semantics = NOTHING_KNOWN) -> Facts:
    return describe(normalise(resolve(lower(contract)), semantics), semantics, Path())


def test_swagger_and_openapi_3_give_equal_facts() -> None:
    one, other = facts(swagger()), facts(openapi())
    assert one.resources == other.resources
    assert one.models == other.models
    assert one.inputs == other.inputs
    assert (one.keys, one.types) == (other.keys, other.types)


def test_operations() -> None:
    (books,) = facts(swagger()).resources
    listed, created, *_, lent = books.operations
    assert books.class_name == "Books"
    assert [each.id for each in books.operations][0::4] == ["GET /books", "PUT /books/{id}/lend"]
    assert {each.name: each.keyword for each in listed.query}["except"] == "except_"
    assert [each.kind for each in listed.query] == ["boolean", "string", "string", "integer", "integer"]
    assert {each.name: (each.default, each.maximum) for each in listed.query}["per_page"] == (20, 200)
    assert books.aliases["Include"] == ("author", "sequels")
    assert created.body is not None
    assert (created.body.wrapper, created.body.plural, created.body.multipart) == ("book", None, False)
    assert [(each.name, each.required) for each in created.body.arguments] == [
        ("printed_on", False),
        ("shelf", False),
        ("title", True),
    ]
    assert [each.name for each in lent.path_arguments] == ["id"]


def test_bulk_creation() -> None:
    semantics = attrs.evolve(NOTHING_KNOWN, bulk_create={"POST /books": None})
    (books,) = facts(swagger(), semantics).resources
    created = books.operations[1]
    assert created.bulk_limit == 100
    assert created.body is not None
    assert created.body.plural == "books"


def test_models_and_associations() -> None:
    found = {each.name: each for each in facts(swagger()).models}
    assert sorted(found) == ["Author", "Book"]
    book = found["Book"]
    assert [each.name for each in book.fields] == [
        "id",
        "author_id",
        "printed_on",
        "sequel_ids",
        "shelf",
        "title",
    ]
    assert {each.name: each.default for each in book.fields}["printed_on"] == "day()"
    assert [each.name for each in book.nested] == ["BookShelf"]
    assert book.key == "books"
    found = {each.name: (each.model, each.ids, each.key, each.many) for each in book.associations}
    assert found == {
        "author": ("Author", "author_id", "authors", False),
        "sequels": ("Book", "sequel_ids", "books", True),
    }


def test_a_corrected_association() -> None:
    contract = swagger()
    del contract["definitions"]["Library::Book"]["properties"]["author_id"]
    contract["definitions"]["Library::Book"]["properties"]["written_by"] = {"type": "string"}
    semantics = attrs.evolve(
        NOTHING_KNOWN, associations={("Library::Book", "author"): {"field": "written_by"}}
    )
    book = next(each for each in facts(contract, semantics).models if each.name == "Book")
    assert book.associations[0].ids == "written_by"


# --- what stops it -----------------------------------------------------------------------------


def unknown_field(contract: dict[str, Any]) -> None:
    del contract["definitions"]["Library::Book"]["properties"]["author_id"]


def unknown_type(contract: dict[str, Any]) -> None:
    include = contract["paths"]["/books"]["get"]["parameters"][0]
    include["description"] = include["description"].replace("(Author)", "(Painter)")


def named_like_a_field(contract: dict[str, Any]) -> None:
    contract["definitions"]["Library::Book"]["properties"]["author"] = {"type": "string"}


def field_that_is_no_name(contract: dict[str, Any]) -> None:
    contract["definitions"]["Author"]["properties"]["first name"] = {"type": "string"}


def field_that_is_a_keyword(contract: dict[str, Any]) -> None:
    contract["definitions"]["Author"]["properties"]["class"] = {"type": "string"}


def field_that_models_use(contract: dict[str, Any]) -> None:
    contract["definitions"]["Author"]["properties"]["extra"] = {"type": "string"}


def contradicting_prose(contract: dict[str, Any]) -> None:
    include = dict(contract["paths"]["/books"]["get"]["parameters"][0])
    include["description"] = include["description"].replace("sequel_ids", "later_ids")
    contract["paths"]["/books/{id}"]["get"]["parameters"].append(include)


def type_that_nobody_knows(contract: dict[str, Any]) -> None:
    contract["paths"]["/books"]["get"]["parameters"].append({"in": "query", "name": "odd", "type": "tuple"})


STOPS = {
    unknown_field: ("Book.author", "is not known"),
    unknown_type: ("Book.author", "'Painter'"),
    named_like_a_field: ("Book", "'author'", "name of a field"),
    field_that_is_no_name: ("Author", "'first name'"),
    field_that_is_a_keyword: ("Author", "'class'"),
    field_that_models_use: ("Author", "'extra'"),
    contradicting_prose: ("GET /books/{id}", "'sequels'", "'later_ids'", "'sequel_ids'"),
    type_that_nobody_knows: ("/books",),
}


@pytest.mark.parametrize("spoil", STOPS, ids=lambda each: each.__name__)
def test_refuses_what_cannot_be_expressed_by_name(spoil: Any) -> None:
    contract = swagger()
    spoil(contract)
    with pytest.raises(CodegenError) as caught:
        facts(contract)
    for part in STOPS[spoil]:
        assert part in str(caught.value)
