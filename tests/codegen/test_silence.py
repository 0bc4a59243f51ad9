"""Nothing becomes wrong code in silence: each contract here is read correctly, or refused with place and way out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_type_hints

import attrs
import pytest
import yaml

from codegen.compile import CONTRACT, understand
from codegen.describe import describe
from codegen.errors import ROOT, CodegenError, collecting, of_file
from codegen.load import load_data
from codegen.lower import check_address, lower
from codegen.normalise import normalise
from codegen.render import check, render
from codegen.resolve import resolve
from kantata_client._contract import Parameter
from tests.codegen.small import NOTHING_KNOWN, openapi, swagger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codegen.facts import Facts
    from codegen.semantics import Semantics

Json = dict[str, Any]


def facts(contract: Json, semantics: Semantics = NOTHING_KNOWN) -> Facts:
    return describe(normalise(resolve(lower(contract)), semantics), semantics, ROOT)


def operation(contract: Json, name: str, semantics: Semantics = NOTHING_KNOWN) -> Any:
    (found,) = (
        each for one in facts(contract, semantics).resources for each in one.operations if each.id == name
    )
    return found


def created(contract: Json) -> Json:
    return contract["paths"]["/books"]["post"]


def body(contract: Json) -> Json:
    return created(contract)["parameters"][0]["schema"]


# --- right -------------------------------------------------------------------------------------


def test_allof_in_a_body_is_merged() -> None:
    contract = swagger()
    book = body(contract)["properties"]["book"]
    extra = {"type": "object", "properties": {"pages": {"type": "integer"}}, "required": ["pages"]}
    body(contract)["properties"]["book"] = {"allOf": [book, extra]}
    found = operation(contract, "POST /books").body
    assert found.wrapper == "book"
    assert {each.name: each.required for each in found.arguments} == {
        "pages": True,
        "printed_on": False,
        "shelf": False,
        "title": True,
    }


def test_other_formats_are_text() -> None:
    contract = swagger()
    contract["definitions"]["Author"]["properties"]["key"] = {"type": "string", "format": "uuid"}
    contract["paths"]["/books"]["get"]["parameters"].append(
        {"in": "query", "name": "key", "type": "string", "format": "uuid"}
    )
    author = next(each for each in facts(contract).models if each.name == "Author")
    assert {each.name: each.annotation for each in author.fields}["key"] == "str | None"
    assert {each.name: each.annotation for each in operation(contract, "GET /books").query}["key"] == "str"


def test_2xx_is_a_success() -> None:
    contract = swagger()
    responses = contract["paths"]["/books"]["get"]["responses"]
    contract["paths"]["/books"]["get"]["responses"] = {"2XX": responses["200"]}
    assert operation(contract, "GET /books").result == "page"


def test_responses_other_than_json_are_files() -> None:
    contract = swagger()
    contract["paths"]["/books/{id}"]["get"]["produces"] = ["text/csv"]
    assert operation(contract, "GET /books/{id}").result == "file"
    contract = openapi()
    content = contract["paths"]["/books/{id}"]["get"]["responses"]["200"]["content"]
    contract["paths"]["/books/{id}"]["get"]["responses"]["200"]["content"] = {
        "text/csv": content["application/json"]
    }
    assert operation(contract, "GET /books/{id}").result == "file"


def test_include_may_be_an_array_with_an_enum() -> None:
    contract = swagger()
    include = contract["paths"]["/books"]["get"]["parameters"][0]
    include |= {"type": "array", "items": {"type": "string", "enum": ["author", "sequels"]}}
    assert operation(contract, "GET /books") == operation(swagger(), "GET /books")


def test_deprecations_reach_the_docstrings() -> None:
    contract = swagger()
    contract["paths"]["/books"]["get"]["deprecated"] = True
    contract["paths"]["/books"]["get"]["parameters"][-1]["deprecated"] = True
    found = operation(contract, "GET /books")
    assert found.deprecated
    assert [each.name for each in found.query if each.deprecated] == ["except"]


def test_oneof_is_any_json() -> None:
    contract = swagger()
    one_of = [{"$ref": "#/definitions/Author"}, {"$ref": "#/definitions/Library::Book"}]
    contract["definitions"]["Author"]["properties"]["favourite"] = {"oneOf": one_of}
    author = next(each for each in facts(contract).models if each.name == "Author")
    assert {each.name: each.annotation for each in author.fields}["favourite"] == "object | None"


def test_a_field_may_be_of_the_class_that_an_association_leads_to(tmp_path: Path) -> None:
    contract = swagger()
    writer = {"allOf": [{"$ref": "#/definitions/Author"}], "description": "Who wrote it."}
    contract["definitions"]["Library::Book"]["properties"]["writer"] = writer
    found = facts(contract)
    render(found, ROOT / "overrides" / "templates", tmp_path)
    module = (tmp_path / "models" / "book.py").read_text(encoding="utf-8")
    check(module)
    assert module.count("import Author") == 1
    assert "writer: Author | None = nested(Author)" in module
    assert 'author: ClassVar[One[Author]] = One("author_id", "authors")' in module


@pytest.mark.parametrize(
    ("schema", "default"),
    [
        ({"type": "boolean", "default": "False"}, False),
        ({"type": "integer", "default": "20"}, 20),
        ({"type": "integer", "default": 20.0}, 20),
        ({"type": "number", "default": 0.5}, 0.5),
        ({"type": "string", "default": "20"}, "20"),
        ({"type": "array", "items": {"type": "string"}, "default": ["a", "b"]}, "a,b"),
        ({"type": "array", "items": {"type": "string"}, "default": []}, None),
        ({"type": "string", "default": {"a": 1}}, None),
        ({"type": "string", "default": None}, None),
    ],
)
def test_defaults_have_the_type_of_their_parameter(schema: Json, default: object) -> None:
    contract = swagger()
    contract["paths"]["/books"]["get"]["parameters"].append({"in": "query", "name": "given", **schema})
    (found,) = (each for each in operation(contract, "GET /books").query if each.name == "given")
    assert (found.default, type(found.default)) == (default, type(default))
    assert isinstance(found.default, int | get_type_hints(Parameter)["default"])


def test_a_maximum_need_not_be_whole() -> None:
    contract = swagger()
    contract["paths"]["/books"]["get"]["parameters"].append(
        {"in": "query", "name": "share", "type": "number", "maximum": 9.5}
    )
    (found,) = (each for each in operation(contract, "GET /books").query if each.name == "share")
    assert found.maximum == 9.5
    assert isinstance(found.maximum, get_type_hints(Parameter)["maximum"])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one_of: {"type": "array", "items": one_of},
        lambda one_of: {"type": "object", "additionalProperties": one_of},
        lambda one_of: {"type": "array", "items": {"type": "array", "items": one_of}},
    ],
    ids=["list", "map", "list of lists"],
)
def test_oneof_inside_is_any_json_too(wrap: Callable[[Json], Json]) -> None:
    contract = swagger()
    one_of = {"oneOf": [{"$ref": "#/definitions/Author"}, {"$ref": "#/definitions/Library::Book"}]}
    contract["definitions"]["Author"]["properties"]["favourites"] = wrap(one_of)
    author = next(each for each in facts(contract).models if each.name == "Author")
    (found,) = (each.annotation for each in author.fields if each.name == "favourites")
    assert "object" in found
    assert not {"Author", "Book"} & set(re.findall(r"\w+", found))


def test_semantics_decide_the_wrapper() -> None:
    contract = swagger()
    body(contract)["properties"]["options"] = {"type": "object", "properties": {"x": {"type": "string"}}}
    decided = attrs.evolve(NOTHING_KNOWN, wrappers={"POST /books": None})
    assert [each.name for each in operation(contract, "POST /books", decided).body.arguments] == [
        "book",
        "options",
    ]
    wrong = attrs.evolve(NOTHING_KNOWN, wrappers={"POST /books": "volume"})
    with pytest.raises(CodegenError, match="its body has no object 'volume'; delete"):
        facts(contract, wrong)


# --- refused -----------------------------------------------------------------------------------


def second_object(contract: Json) -> None:
    body(contract)["properties"]["options"] = {"type": "object", "properties": {"x": {"type": "string"}}}


def text_beside_the_wrapper(contract: Json) -> None:
    body(contract)["properties"]["mode"] = {"type": "string"}


def urlencoded(contract: Json) -> None:
    created(contract)["consumes"] = ["application/x-www-form-urlencoded"]
    created(contract)["parameters"] = [{"in": "formData", "name": "title", "type": "string"}]


def multi(contract: Json) -> None:
    many = {
        "in": "query",
        "name": "tags",
        "type": "array",
        "items": {"type": "string"},
        "collectionFormat": "multi",
    }
    contract["paths"]["/books"]["get"]["parameters"].append(many)


def list_of_lists(contract: Json) -> None:
    pairs = {"type": "array", "items": {"type": "string"}, "collectionFormat": "pipes"}
    contract["paths"]["/books"]["get"]["parameters"].append(
        {"in": "query", "name": "pairs", "type": "array", "items": pairs}
    )


def property_named_like_an_option(contract: Json) -> None:
    body(contract)["properties"]["book"]["properties"]["extra_body"] = {"type": "string"}


def filter_named_like_an_option(contract: Json) -> None:
    contract["paths"]["/books"]["get"]["parameters"].append(
        {"in": "query", "name": "extra_query", "type": "string"}
    )


def same_module(contract: Json) -> None:
    contract["definitions"]["BookURL"] = contract["definitions"]["BookUrl"] = {
        "type": "object",
        "properties": {},
    }


def inputs(contract: Json) -> None:
    contract["definitions"]["Inputs"] = {"type": "object", "properties": {}}


def body_is_a_list(contract: Json) -> None:
    created(contract)["parameters"][0]["schema"] = {"type": "array", "items": {"type": "string"}}


def body_is_a_map(contract: Json) -> None:
    created(contract)["parameters"][0]["schema"] = {
        "type": "object",
        "additionalProperties": {"type": "string"},
    }


def to_itself(contract: Json) -> None:
    contract["definitions"]["Author"]["properties"]["teacher"] = {"$ref": "#/definitions/Author"}


def cycle(contract: Json) -> None:
    contract["definitions"]["Author"]["properties"]["book"] = {"$ref": "#/definitions/Library::Book"}
    contract["definitions"]["Library::Book"]["properties"]["writer"] = {"$ref": "#/definitions/Author"}


def named_like_its_association(contract: Json) -> None:
    contract["definitions"]["Library::Book"]["properties"]["author"] = {"$ref": "#/definitions/Author"}


def include_of_unknown_type(contract: Json) -> None:
    include = contract["paths"]["/books"]["get"]["parameters"][0]
    include |= {"type": "array", "items": {"type": "string", "enum": ["author", "sequels", "readers"]}}


def long_name(contract: Json) -> None:
    contract["definitions"]["B" * 260] = {"type": "object", "properties": {}}


REFUSED: dict[Callable[[Json], None], tuple[str, str, str]] = {
    second_object: ("POST /books", "'options'", "`wrappers`"),
    text_beside_the_wrapper: ("POST /books", "'mode'", "`wrappers`"),
    urlencoded: ("POST /books", "x-www-form-urlencoded", "overlay.yaml"),
    multi: ("GET /books", "'tags' separates its values by `multi`", "overlay.yaml"),
    list_of_lists: ("GET /books", "'pairs' is a list of lists", "overlay.yaml"),
    property_named_like_an_option: ("POST /books", "`extra_body`", "rename"),
    filter_named_like_an_option: ("GET /books", "`extra_query`", "rename"),
    same_module: ("BookURL", "BookUrl", "rename"),
    inputs: ("Inputs", "something else", "rename"),
    body_is_a_list: ("POST /books", "a list", "overlay.yaml"),
    body_is_a_map: ("POST /books", "a map", "overlay.yaml"),
    to_itself: ("Author.teacher", "leads back to Author", "overlay.yaml"),
    cycle: ("Author.book", "leads back to Author", "overlay.yaml"),
    named_like_its_association: ("Book", "'author'", "overlay.yaml"),
    include_of_unknown_type: ("Book.readers", "which definition", "`associations`"),
    long_name: ("BBB", "can't be the name of a class", "rename"),
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda each: each.__name__)
def test_refusals_name_a_way_out(spoil: Callable[[Json], None]) -> None:
    contract = swagger()
    spoil(contract)
    with pytest.raises(CodegenError) as caught:
        facts(contract)
    for part in REFUSED[spoil]:
        assert part in str(caught.value)


@pytest.mark.parametrize("key", ["host", "basePath"])
def test_refuses_another_address(key: str) -> None:
    contract = {"swagger": "2.0", "host": "api.mavenlink.com", "basePath": "/api/v1"}
    check_address(contract)
    with pytest.raises(CodegenError, match="the client calls https://api"):
        check_address(contract | {key: "/v2.example"})
    with pytest.raises(CodegenError, match="the client calls https://api"):
        check_address({"openapi": "3.0.0", "servers": [{"url": "https://other.example/api/v1"}]})


# --- files that are no contract ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!DOCTYPE html><html><body>Sign in</body></html>", "looks like a sign-in page"),
        ("\n  <html>", "looks like a sign-in page"),
        ("{" * 5000, ":1: can't be read|:1:.*nested too deeply"),
        ("a: " + "[" * 1000 + "]" * 1000, "nested too deeply"),
        ("a: &a\n  b: *a\n", "contains itself by an alias"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9)
            ),
            "too large once its aliases are expanded",
        ),
        ("[1, 2]", "not a mapping"),
        ("a: 1\na: 2\n", ":2: can't be read: key 'a' is given twice"),
        ('{"a": 1,\n"b": }', ":2: can't be read"),
        ("\x00\x01", "can't be read"),
    ],
)
def test_refuses_other_files_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "specification.yaml"
    path.write_text(text)
    with pytest.raises(CodegenError, match=message) as caught:
        load_data(path)
    assert re.match(rf"{re.escape(path.as_posix())}:\d+", str(caught.value))


# --- all at once -------------------------------------------------------------------------------


def test_reports_all_errors_at_once_with_their_lines(tmp_path: Path) -> None:
    text = CONTRACT.read_text(encoding="utf-8")
    faults = {
        "\n  /skills/{id}:\n": "\n  /skills/{id}:\n    head: {}\n",
        "\n  SkillCategory:\n": "\n  SkillCategory:\n    allOf: []\n",
        "\n  /roles/{id}:\n": "\n  /roles/{id}:\n    trace: {}\n",
    }
    for old, new in faults.items():
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "specification.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CodegenError) as caught:
        understand(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    for line, message in zip(
        sorted(lines, key=_number), ("SkillCategory", "TRACE /roles/{id}", "HEAD /skills/{id}"), strict=True
    ):
        number = re.match(rf"{re.escape(path.as_posix())}:(\d+): ", line)
        assert number, line
        assert message in line
        at = text.splitlines()[int(number[1]) - 1]
        assert at.split(":")[0].strip() in ("SkillCategory", "allOf", "trace", "head"), at


def _number(line: str) -> int:
    return int(line.split(":")[1])


def test_names_the_line_of_the_parameter_at_fault(tmp_path: Path) -> None:
    for dialect in (swagger, openapi):
        contract = dialect()
        include = contract["paths"]["/books"]["get"]["parameters"][0]
        include["description"] += "\n- `reader`"
        path = tmp_path / "contract.yaml"
        path.write_text(yaml.safe_dump(contract, sort_keys=False))
        with pytest.raises(CodegenError) as caught, of_file(path), collecting():
            facts(load_data(path))
        located = str(caught.value)
        assert "can't be read" in located, located
