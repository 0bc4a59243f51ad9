"""Values of the wrong kind: each is refused at its own line, all of them at once, and nothing else is said of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from codegen.compile import understand
from codegen.errors import CodegenError, collecting, of_file
from codegen.load import apart, load
from tests.codegen.small import openapi, swagger
from tests.codegen.test_mutations import facts
from tests.codegen.vendored import vendored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Json = dict[str, Any]
AUTHOR = ("definitions", "Author")
LIST = ("paths", "/books", "get")
IN_3 = ("components", "schemas", "Author")


def spoilt(contract: Json, place: tuple[str | int, ...], value: Any) -> Json:
    node: Any = contract
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = value
    return contract


def refused(tmp_path: Path, contract: Json) -> list[str]:
    path = tmp_path / "specification.json"
    path.write_text(json.dumps(contract, indent=1), encoding="utf-8")
    with pytest.raises(CodegenError) as caught, collecting():
        load(path)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("dialect", "place", "value"),
    [
        (swagger, ("definitions",), []),
        (swagger, AUTHOR, 7),
        (swagger, (*AUTHOR, "properties"), ["id"]),
        (swagger, (*AUTHOR, "required"), "name"),
        (swagger, (*AUTHOR, "required"), [7]),
        (swagger, (*AUTHOR, "properties", "name"), None),
        (swagger, (*AUTHOR, "properties", "name", "type"), 7),
        (swagger, (*AUTHOR, "properties", "name", "type"), {"a": 1}),
        (swagger, (*AUTHOR, "properties", "name", "enum"), "a"),
        (swagger, (*AUTHOR, "properties", "name", "enum"), [{}]),
        (swagger, (*AUTHOR, "properties", "name", "format"), 7),
        (swagger, (*AUTHOR, "properties", "name", "items"), "string"),
        (swagger, (*AUTHOR, "properties", "name", "deprecated"), "true"),
        (swagger, (*AUTHOR, "properties", "name", "readOnly"), 1),
        (swagger, (*AUTHOR, "properties", "name", "maxLength"), "9"),
        (swagger, (*LIST, "deprecated"), "yes"),
        (swagger, (*LIST, "parameters", 0, "maximum"), True),
        (swagger, (*LIST, "parameters", 0, "exclusiveMinimum"), "9"),
        (swagger, (*LIST, "parameters", 0, "pattern"), 7),
        (swagger, (*AUTHOR, "properties", "name", "allOf"), None),
        (swagger, (*AUTHOR, "properties", "name", "oneOf"), {}),
        (swagger, (*AUTHOR, "properties", "name", "anyOf"), [7]),
        (swagger, (*AUTHOR, "properties", "name", "additionalProperties"), []),
        (swagger, (*AUTHOR, "properties", "name", "$ref"), 7),
        (swagger, ("paths", "/books"), [1]),
        (swagger, LIST, "x"),
        (swagger, (*LIST, "parameters"), {"a": 1}),
        (swagger, (*LIST, "parameters", 0), "x"),
        (swagger, (*LIST, "parameters", 0, "name"), 7),
        (swagger, (*LIST, "parameters", 0, "type"), 7),
        (swagger, (*LIST, "tags"), "Books"),
        (swagger, (*LIST, "tags"), [7]),
        (swagger, (*LIST, "produces"), 7),
        (swagger, (*LIST, "responses"), [1]),
        (swagger, (*LIST, "responses", "200"), 7),
        (swagger, (*LIST, "responses", "200", "schema"), "x"),
        (swagger, ("consumes",), "application/json"),
        (openapi, (*IN_3, "properties"), 7),
        (openapi, ("components", "schemas"), []),
        (openapi, ("components",), 7),
        (openapi, (*LIST, "responses", "200", "content"), 7),
        (openapi, (*LIST, "responses", "200", "content", "application/json"), 7),
        (openapi, (*LIST, "responses", "200", "content", "application/json", "schema"), 7),
        (openapi, ("paths", "/books", "post", "requestBody"), 7),
    ],
)
def test_names_the_value_of_the_wrong_kind(
    tmp_path: Path, dialect: Callable[[], Json], place: tuple[str | int, ...], value: Any
) -> None:
    (said,) = refused(tmp_path, spoilt(apart(dialect()), place, value))
    match = re.fullmatch(
        r".*specification\.json:(\d+): (.+): expected .+, got .+: correct it in the file", said
    )
    assert match, said
    assert match[2].startswith(" > ".join(map(str, place)))
    if isinstance(place[-1], str) and match[2] == " > ".join(map(str, place)):
        line = (tmp_path / "specification.json").read_text(encoding="utf-8").splitlines()[int(match[1]) - 1]
        assert f'"{place[-1]}"' in line


def test_names_all_of_them_and_nothing_that_follows(tmp_path: Path) -> None:
    contract = vendored()
    story = contract["definitions"]["Story"]["properties"]
    story["title"] = {"type": "array", "items": "string"}
    story["start_date"] = 7
    contract["paths"]["/skills"]["get"]["responses"]["200"]["schema"]["properties"] = "all"
    path = tmp_path / "specification.json"
    path.write_text(json.dumps(contract, indent=1), encoding="utf-8")
    with pytest.raises(CodegenError) as caught:
        understand(path)
    lines = str(caught.value).splitlines()
    assert {line.split(": expected")[0].rsplit(" > ", 1)[1] for line in lines} == {
        "start_date",
        "items",
        "properties",
    }
    assert len(lines) == 3


@pytest.mark.parametrize("wrong", [{"type": "integer", "default": "x"}, {"type": "string", "enum": ["a", 1]}])
def test_what_the_parser_refuses_has_a_line(tmp_path: Path, wrong: Json) -> None:
    contract = apart(swagger())
    body = contract["paths"]["/books"]["post"]["parameters"][0]["schema"]["properties"]["book"]
    body["properties"]["shelf"] = wrong
    path = tmp_path / "specification.json"
    path.write_text(json.dumps(contract, indent=1), encoding="utf-8")
    with pytest.raises(CodegenError) as caught, collecting(), of_file(path):
        facts(contract)
    for line in str(caught.value).splitlines():
        match = re.match(
            r".*specification\.json:(\d+): CreateBook: openapi-python-client can't express it", line
        )
        assert match, line
        assert int(match[1]) > path.read_text(encoding="utf-8").splitlines().index('   "post": {')
