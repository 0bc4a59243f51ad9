"""What the next contract may contain: it becomes valid code, or an error with the place and a way out."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from itertools import cycle
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from codegen.__main__ import _replace
from codegen.compile import CONTRACT, OVERRIDES, understand, write
from codegen.describe import describe
from codegen.errors import ROOT, CodegenError
from codegen.load import apart, load_data
from codegen.lower import lower
from codegen.normalise import normalise
from codegen.render import check, render
from codegen.resolve import resolve
from codegen.semantics import Alternative
from codegen.verify import verify
from tests.codegen.small import NOTHING_KNOWN, envelope, openapi, swagger
from tests.codegen.vendored import vendored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from codegen.facts import Facts
    from codegen.semantics import Semantics

Json = dict[str, Any]
PUBLISHED = vendored()


def facts(contract: Json, semantics: Semantics = NOTHING_KNOWN) -> Facts:
    return describe(normalise(resolve(lower(contract)), semantics), semantics, ROOT)


def operation(contract: Json, name: str, semantics: Semantics = NOTHING_KNOWN) -> Any:
    (found,) = (
        each for one in facts(contract, semantics).resources for each in one.operations if each.id == name
    )
    return found


# --- shared parts ------------------------------------------------------------------------------


def share(contract: Json) -> None:
    """Say the same of the small contract by references, wherever the dialect allows one."""
    swagger_2 = "swagger" in contract
    shared: Json = contract if swagger_2 else contract["components"]
    prefix = "#/" if swagger_2 else "#/components/"
    listed, one = contract["paths"]["/books"]["get"], contract["paths"]["/books/{id}"]
    shared["parameters"] = {
        "page": listed["parameters"][2],
        "id": (one if "parameters" in one else one["get"])["parameters"][0],
    }
    listed["parameters"][2] = {"$ref": f"{prefix}parameters/page"}
    (one if "parameters" in one else one["get"])["parameters"] = [{"$ref": f"{prefix}parameters/id"}]
    answer = copy.deepcopy(listed["responses"]["200"])
    schemas = shared.setdefault("definitions" if swagger_2 else "schemas", {})
    holder = answer if swagger_2 else answer["content"]["application/json"]
    schemas["Library::Books"] = holder["schema"]
    schemas["Library::Answer"] = {
        "$ref": f"{prefix}{'definitions' if swagger_2 else 'schemas'}/Library::Books"
    }
    holder["schema"] = {"$ref": f"{prefix}{'definitions' if swagger_2 else 'schemas'}/Library::Answer"}
    shared["responses"] = {"Books": answer, "Same": {"$ref": f"{prefix}responses/Books"}}
    listed["responses"] = {"200": {"$ref": f"{prefix}responses/Same"}}
    creation = contract["paths"]["/books"]["post"]
    if swagger_2:
        shared["parameters"]["body"] = creation["parameters"][0]
        creation["parameters"] = [{"$ref": "#/parameters/body"}]
    else:
        body = shared["requestBodies"] = {"Book": creation["requestBody"]}
        creation["requestBody"] = {"$ref": "#/components/requestBodies/Book"}
        content = body["Book"]["content"]["application/json"]
        schemas["NewBook"] = content["schema"]
        content["schema"] = {"$ref": "#/components/schemas/NewBook"}
        contract["x-items"] = {"book": one}
        contract["paths"]["/books/{id}"] = {"$ref": "#/x-items/book"}


@pytest.mark.parametrize("dialect", [swagger, openapi])
def test_shared_parts_read_like_unshared_ones(dialect: Callable[[], Json]) -> None:
    contract = dialect()
    share(contract)
    before, expected = copy.deepcopy(contract), facts(dialect())
    found = facts(contract)
    assert found.resources == expected.resources
    assert tuple(each for each in found.models if each.name != "NewBook") == expected.models
    assert contract == before


@pytest.mark.parametrize(
    ("schema", "result", "model"),
    [
        ({"type": "array", "items": {"$ref": "#/definitions/Author"}}, "array", "Author"),
        ({"type": "object", "additionalProperties": {"$ref": "#/definitions/Author"}}, "keyed", "Author"),
        ({"type": "object", "properties": {"lent": {"type": "boolean"}}}, "object", "Shared"),
        (envelope("#/definitions/", authors="Author"), "one", "Author"),
    ],
)
def test_shared_responses_keep_their_kind(schema: Json, result: str, model: str) -> None:
    contract = swagger()
    contract["definitions"]["Shared"] = schema
    contract["paths"]["/books/{id}/lend"]["put"]["responses"] = {
        "200": {"description": "x", "schema": {"$ref": "#/definitions/Shared"}}
    }
    lent = operation(contract, "PUT /books/{id}/lend")
    assert (lent.result, lent.model) == (result, model)


def test_bodies_may_use_definitions() -> None:
    contract = swagger()
    contract["definitions"]["Colour"] = {"type": "string", "enum": ["red", "blue"]}
    contract["definitions"]["Cover"] = {
        "type": "object",
        "properties": {"colour": {"$ref": "#/definitions/Colour"}},
    }
    body = contract["paths"]["/books"]["post"]["parameters"][0]["schema"]["properties"]["book"]
    body["properties"]["cover"] = {"$ref": "#/definitions/Cover", "description": "Around it."}
    cover = {each.name: each for each in operation(contract, "POST /books").body.arguments}["cover"]
    assert (cover.annotation, cover.description) == ("CoverInput", "Around it.")
    assert cover.fields[0].values == ("red", "blue")


# --- enums -----------------------------------------------------------------------------------------


def test_received_values_are_not_restricted() -> None:
    contract = swagger()
    contract["definitions"]["Colour"] = {"type": "string", "enum": ["red", "blue"]}
    contract["definitions"]["Author"]["properties"]["colour"] = {"$ref": "#/definitions/Colour"}
    author = next(each for each in facts(contract).models if each.name == "Author")
    fields = {each.name: (each.annotation, each.description) for each in author.fields}
    assert fields["standing"] == ("str | None", "As we see it. Known values: `new`, `known`.")
    assert fields["prizes"] == ("list[int] | None", "Known values: `1`, `2`.")
    assert fields["colour"] == ("str | None", "Known values: `red`, `blue`.")


def test_enums_in_arguments_keep_the_type_of_their_values() -> None:
    contract = swagger()
    listed = contract["paths"]["/books"]["get"]["parameters"]
    listed += [
        {"in": "query", "name": "size", "type": "integer", "enum": [1, 2]},
        {"in": "query", "name": "shelf_id", "type": "string", "enum": ["str", "all", None]},
    ]
    found = {each.name: each for each in operation(contract, "GET /books").query}
    assert (found["size"].kind, found["size"].values, found["size"].alias) == ("integer", (1, 2), "Size")
    assert (found["shelf_id"].kind, found["shelf_id"].values) == ("string", ("str", "all"))


def test_aliases_avoid_the_names_of_classes() -> None:
    contract = swagger()
    contract["paths"]["/books"]["get"]["parameters"].append(
        {"in": "query", "name": "book", "type": "string", "enum": ["old", "new"]}
    )
    (books,) = facts(contract).resources
    assert books.aliases["ListBook"] == ("old", "new")


# --- what stops it ---------------------------------------------------------------------------------


IDENTIFIER = {"in": "path", "name": "id", "required": True, "type": "integer"}


def added(path: str = "/books/{id}/mark", method: str = "put", **changes: Any) -> Callable[[Json], None]:
    def change(contract: Json) -> None:
        lent = contract["paths"]["/books/{id}/lend"]["put"]
        given = {**lent, "parameters": lent["parameters"] if "{id}" in path else [], **changes}
        contract["paths"].setdefault(path, {})[method] = {
            key: each for key, each in given.items() if each != "gone"
        }

    return change


def changed(*place: Any, to: Any) -> Callable[[Json], None]:
    def change(contract: Json) -> None:
        node = contract
        for part in place[:-1]:
            node = node[part]
        node[place[-1]] = to

    return change


def body(**properties: Any) -> Json:
    return {"in": "body", "name": "body", "schema": {"type": "object", "properties": properties}}


TEXT = {"type": "string"}
QUERY = {"in": "query", "name": "note", "type": "string"}

STOPS: dict[str, tuple[Callable[[Json], None], tuple[str, ...]]] = {
    "query and body": (
        added(parameters=[IDENTIFIER, QUERY, body(note=TEXT)]),
        ("PUT /books/{id}/mark", "`note`", "in the query", "in the body", "overlay.yaml"),
    ),
    "path and body": (
        added(parameters=[IDENTIFIER, body(id=TEXT)]),
        ("PUT /books/{id}/mark", "`id`", "in the path"),
    ),
    "self": (added(parameters=[IDENTIFIER, body(self=TEXT)]), ("PUT /books/{id}/mark", "`self`")),
    "one keyword of two names": (
        added(parameters=[IDENTIFIER, body(**{"a-b": TEXT, "a_b": TEXT})]),
        ("PUT /books/{id}/mark", "'a-b'", "'a_b'"),
    ),
    "head": (added("/books/{id}", "head"), ("HEAD /books/{id}", "overlay.yaml")),
    "options": (added("/books", "options"), ("OPTIONS /books", "no method")),
    "patch beside put": (
        lambda contract: (added("/books/{id}", "put")(contract), added("/books/{id}", "patch")(contract))[0],
        ("PATCH /books/{id}", "PUT /books/{id}", "books.update"),
    ),
    "deletion without ids": (
        added("/books", "delete", parameters=[QUERY]),
        ("DELETE /books", "`delete_many`", "semantics.yaml"),
    ),
    "deletion with more than ids": (
        added("/books", "delete", parameters=[{"in": "query", "name": "ids", "type": "string"}, QUERY]),
        ("DELETE /books", "nothing else"),
    ),
    "deletion of nobody knows how many": (
        added("/books", "delete", parameters=[{"in": "query", "name": "ids", "type": "string"}]),
        ("DELETE /books", "`bulk_delete`"),
    ),
    "method named delete_many": (added("/books/delete_many"), ("PUT /books/delete_many", "semantics.yaml")),
    "method named create_many": (added("/books/create_many"), ("PUT /books/create_many", "semantics.yaml")),
    "method of every resource": (added("/books/{id}/_one"), ("PUT /books/{id}/_one", "'_one'")),
    "no responses": (added(responses="gone"), ("PUT /books/{id}/mark", "`responses`", "nothing")),
    "response is null": (added(responses={"200": None}), ("PUT /books/{id}/mark", "response 200", "nothing")),
    "operation is null": (changed("paths", "/books/{id}", "get", to=None), ("GET /books/{id}", "nothing")),
    "path item is null": (changed("paths", "/books/{id}", to=None), ("/books/{id}", "nothing")),
    "parameter is text": (added(parameters=["id"]), ("PUT /books/{id}/mark", "a parameter", "'id'")),
    "parameters are a mapping": (added(parameters={}), ("PUT /books/{id}/mark", "must be a list")),
    "parameter without name": (added(parameters=[{"in": "query"}]), ("PUT /books/{id}/mark", "lacks `name`")),
    "parameter without type": (added(parameters=[{"in": "query", "name": "x"}]), ("'x' lacks `type`",)),
    "parameter in a circle": (
        lambda contract: (
            changed("parameters", to={"a": {"$ref": "#/parameters/a"}})(contract),
            added(parameters=[{"$ref": "#/parameters/a"}])(contract),
        )[0],
        ("PUT /books/{id}/mark", "'#/parameters/a'"),
    ),
    "field is null": (
        changed("definitions", "Author", "properties", "name", to=None),
        ("definition Author > name", "nothing"),
    ),
    "array of nothing": (
        changed("definitions", "Author", "properties", "name", to={"type": "array"}),
        ("definition Author > name", "lacks `items`"),
    ),
    "enum of nothing": (
        changed("definitions", "Author", "properties", "name", to={"type": "string", "enum": []}),
        ("definition Author > name", "lists no values"),
    ),
    "composed definition": (
        changed("definitions", "Author", to={"allOf": [{"$ref": "#/definitions/Library::Book"}]}),
        ("Author", "`allOf`", "overlay.yaml"),
    ),
    "private field": (
        changed("definitions", "Author", "properties", "_data", to=TEXT),
        ("Author", "'_data'"),
    ),
    "definition that holds itself in a body": (
        lambda contract: (
            changed(
                "definitions",
                "Page",
                to={"type": "object", "properties": {"n": {"$ref": "#/definitions/Page"}}},
            )(contract),
            added(parameters=[IDENTIFIER, body(page={"$ref": "#/definitions/Page"})])(contract),
        )[0],
        ("Page contains itself",),
    ),
    "prose of another kind": (added(summary=["x"]), ("PUT /books/{id}/mark: its `summary` is ['x']",)),
    "form without a schema": (
        added(
            parameters=[IDENTIFIER, {"in": "formData", "name": "data", "type": "array", "items": {"type": 7}}]
        ),
        ("PUT /books/{id}/mark: parameter 'data' > items: its `type` is 7",),
    ),
    "status of no number": (
        added(responses={"2YZ": {"description": "x"}}),
        ("PUT /books/{id}/mark can't be read", "ValueError", "results.py:"),
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_refuses_unsupported_contracts_by_name(name: str) -> None:
    change, expected = STOPS[name]
    contract = swagger()
    change(contract)
    with pytest.raises(CodegenError) as caught:
        facts(contract)
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "medias",
    [
        ("text/csv", "application/json"),
        ("multipart/form-data", "application/json; charset=utf-8"),
        ("application/x-www-form-urlencoded", "application/vnd.kantata.v1+json"),
    ],
)
def test_chooses_json_of_several_media_types(medias: tuple[str, ...]) -> None:
    contract = openapi()
    body = contract["paths"]["/books"]["post"]["requestBody"]["content"]["application/json"]
    other = {"schema": {"type": "object", "properties": {"wrong": TEXT}}}
    content = {medias[0]: other, medias[1]: body}
    contract["paths"]["/books"]["post"]["requestBody"]["content"] = content
    assert operation(contract, "POST /books") == operation(openapi(), "POST /books")


@pytest.mark.parametrize("lacking", ["host", "consumes", "produces"])
def test_optional_parts_may_be_missing(lacking: str) -> None:
    contract = swagger()
    del contract[lacking]
    listed = contract["paths"]["/books"]["get"]
    listed["consumes"] = []
    listed["description"] = listed["summary"] = listed["parameters"][2]["description"] = None
    assert operation(contract, "GET /books").description == ""


def test_patch_becomes_update() -> None:
    contract = swagger()
    added("/books/{id}", "patch")(contract)
    assert operation(contract, "PATCH /books/{id}").name == "update"


def test_names_can_set_the_resource() -> None:
    semantics = attrs.evolve(NOTHING_KNOWN, names={"PUT /books/{id}/lend": "loans.start"})
    found = operation(swagger(), "PUT /books/{id}/lend", semantics)
    assert (found.resource, found.name) == ("loans", "start")


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ({"names": {"GET /books": "list"}}, "'list' without this line; delete"),
        ({"results": {"GET /books": "page"}}, "'page' is so without this line"),
        ({"results": {"DELETE /books/{id}": "none"}}, "'none' is so without this line"),
        ({"results": {"DELETE /books/{id}": "one"}}, "does not fit"),
        ({"alternatives": {"POST /books": Alternative("Author", "titel")}}, "no property 'titel'"),
        ({"alternatives": {"GET /books": Alternative("Author", "title")}}, "no property 'title'"),
        ({"types": {"Volume": "volumes"}}, "no answer has this key"),
        ({"types": {"Author": "authors"}}, "without this line"),
        ({"associations": {("Library::Book", "painter"): {}}}, "Book.painter: no `include` brings it"),
        ({"bulk_create": {"PUT /books/{id}/lend": 5}}, "not a creation"),
        ({"bulk_delete": {"DELETE /books/{id}": 5}}, "not a deletion on a collection"),
        ({"decisions": {"POST /books": "books.list"}}, "not a free method"),
    ],
    ids=str,
)
def test_refuses_semantics_that_do_not_hold(fact: Any, message: str) -> None:
    with pytest.raises(CodegenError) as caught:
        facts(swagger(), attrs.evolve(NOTHING_KNOWN, **fact))
    assert message in str(caught.value)
    assert caught.value.facts
    assert caught.value.place[0] in fact


def places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, value in (
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    ):
        yield (*above, key)
        yield from places(value, (*above, key))


@pytest.mark.parametrize("dialect", [swagger, openapi])
def test_wrong_values_anywhere_end_in_located_errors(dialect: Callable[[], Json]) -> None:
    wrong = cycle([None, [], 7, {}, "x", ["x"], True, {"x": None}, {"$ref": 7}, {"$ref": "#/paths"}, [None]])
    stopped = 0
    for place in places(dialect()):
        if place[0] not in ("paths", "definitions", "components"):
            continue
        contract = apart(dialect())
        changed(*place, to=next(wrong))(contract)
        try:
            facts(contract)
        except CodegenError:
            stopped += 1
    assert stopped > 100


# --- file and line ---------------------------------------------------------------------------------


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract is read once for all these tests; the first step copies it."""
    monkeypatch.setattr("codegen.compile.load", lambda _: PUBLISHED)


def overrides(folder: Path, name: str, old: str, new: str) -> Path:
    """A copy of `overrides/` with one change."""
    copied = folder / "overrides"
    shutil.copytree(OVERRIDES, copied)
    text = (copied / name).read_text(encoding="utf-8")
    assert old in text
    (copied / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    return copied


def line_of(path: Path, part: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if part in line)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("overlay.yaml", "['/story_state_changes']", "['/story_state_chages']", "selects nothing"),
        (
            "overlay.yaml",
            "target: $.paths['/story_state_changes'].get.parameters",
            "target: 7",
            "must be text",
        ),
        (
            "semantics.yaml",
            "POST /cost_rates: 100",
            "POST /cost_rats: 100",
            "no operation 'POST /cost_rats'; delete",
        ),
        ("semantics.yaml", "    expense_category: {", "    expense_categry: {", "no `include` brings it"),
        ("semantics.yaml", "when: direct", "when: dierct", "no property 'dierct'"),
        ("semantics.yaml", "cancel_many", "import", "is not written resource.method"),
        ("semantics.yaml", "cancel_many", "approve_many", "gives timesheet_submissions.approve_many already"),
        ("semantics.yaml", "  - GET /workspaces", "\t- GET /workspaces", "can't be read: found a"),
    ],
)
def test_names_the_line_of_a_mistake_in_overrides(
    tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    copied = overrides(tmp_path, name, old, new)
    line = line_of(OVERRIDES / name, old.splitlines()[0])
    with pytest.raises(CodegenError) as caught:
        understand(CONTRACT, copied)
    assert str(caught.value).startswith(f"{(copied / name).as_posix()}:{line}")
    assert message in str(caught.value)


def test_names_the_lines_of_operations_and_definitions(tmp_path: Path) -> None:
    text = CONTRACT.read_text(encoding="utf-8")
    for old, new, at in (
        ("\n  /skills/{id}:\n", "\n  /skills/{id}:\n    head: {}\n", "head: {}"),
        ("\n  Skill:\n", "\n  Skill:\n    allOf: []\n", "  Skill:"),
    ):
        assert old in text
        contract = tmp_path / "specification.yaml"
        contract.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(CodegenError) as caught:
            understand(contract)
        assert str(caught.value).startswith(f"{contract.as_posix()}:{line_of(contract, at)}: ")


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("required: true", "requried: true", "`requried` is not a word of .*; did you mean 'required'"),
        ("        type: integer", "        tpye: integer", "`tpye` is not a word"),
        (
            "        type: integer",
            "        type: interger",
            "`interger` is not a type; did you mean 'integer'",
        ),
        ("        type: integer\n        format: int32\n", "", "'story_id' lacks `type`"),
    ],
)
def test_refuses_mistakes_inside_an_update(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(CodegenError, match=message):
        understand(CONTRACT, overrides(tmp_path, "overlay.yaml", old, new))


@pytest.mark.usefixtures("loaded")
def test_names_in_an_update_are_not_checked_as_keywords(tmp_path: Path) -> None:
    copied = overrides(
        tmp_path, "overlay.yaml", "      AccessGroup:", "      Requried: {type: object}\n      AccessGroup:"
    )
    assert "Requried" in {each.name for each in understand(CONTRACT, copied).models}


# --- templates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("model.py.jinja", "{{ notice }}", "{{ notise }}", r"model\.py\.jinja:\d+: 'notise' is undefined"),
        ("model.py.jinja", "field.annotation", "field.anotation", r"model\.py\.jinja:\d+: .*'anotation'"),
        ("model.py.jinja", "{% endfor %}", "", r"model\.py\.jinja:\d+: .*(endfor|endmacro)"),
        (
            "model.py.jinja",
            "| docstring(4)",
            "| docstrin(4)",
            r"model\.py\.jinja:\d+: No filter named 'docstrin'",
        ),
        (
            "model.py.jinja",
            "(Model):",
            "(Model)",
            r"model\.py\.jinja: line \d+ of models/\w+\.py.*expected ':'",
        ),
        ("arguments.jinja", "argument.many and", "argument.mny and", r"arguments\.jinja:\d+: .*'mny'"),
    ],
)
def test_names_the_line_of_a_mistake_in_a_template(
    tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    templates = overrides(tmp_path, f"templates/{name}", old, new) / "templates"
    with pytest.raises(CodegenError, match=message):
        render(facts(swagger()), templates, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(a, a): pass", "duplicate argument"),
        ("class A:\n    def f(self): pass\n    async def f(self): pass", "'f' is defined twice"),
        ("from m import Book\nBook = 1", "'Book' is defined twice"),
        ("if X:\n    from m import Book\nclass Book: pass", "'Book' is defined twice"),
        ("class A:\n    x: int = 1\n    x: str = ''", "'x' is defined twice"),
        ("X = {'a': 1, 'a': 2}", "'a' is defined twice"),
        ("def f(:", "invalid syntax"),
    ],
)
def test_refuses_modules_that_bind_a_name_twice(text: str, message: str) -> None:
    with pytest.raises(SyntaxError, match=re.escape(message)) as caught:
        check(text)
    assert caught.value.lineno


# --- what was generated, in use --------------------------------------------------------------------


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The generated code of a contract with an enum in an answer, which `write` has verified, and its operations."""
    folder = tmp_path_factory.mktemp("enum")
    contract = copy.deepcopy(PUBLISHED)
    contract["definitions"]["Skill"]["properties"]["level"] = {"type": "string", "enum": ["low", "high"]}
    path = folder / "specification.yaml"
    path.write_text(json.dumps(contract), encoding="utf-8")
    facts = write(folder, path)
    return folder, [each.id for resource in facts.resources for each in resource.operations]


def test_enums_in_responses_are_documented_not_enforced(generated: tuple[Path, list[str]]) -> None:
    assert "level: str | None = None" in (generated[0] / "models" / "skill.py").read_text()


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "models/skill.py",
            "level: str",
            "level: Literal[low]",
            "models/skill.py: NameError: name 'Literal'",
        ),
        ("models/skill.py", "(Model)", "(Modell)", "models/skill.py: NameError"),
        (
            "api/skills.py",
            "async def get(",
            "async def fetch(",
            "GET /skills/{id}: `skills.get` is not its method",
        ),
        ("api/skills.py", "Source: GET /skills/{id}", "", "GET /skills/{id}: `skills.get` is not its method"),
        (
            "operations/__init__.py",
            '"GET /skills": "skills.LIST",',
            "",
            "GET /skills is not among the operations",
        ),
    ],
)
def test_verify_refuses_wrong_code(
    generated: tuple[Path, list[str]], tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    folder, operations = generated
    for each in ("api", "models", "operations"):
        shutil.copytree(folder / each, tmp_path / each)
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1))
    with pytest.raises(CodegenError) as caught:
        verify(tmp_path, operations)
    assert message in str(caught.value)


def test_refuses_collections_named_like_attributes_of_the_client(tmp_path: Path) -> None:
    word = "drift"
    contract = copy.deepcopy(PUBLISHED)
    contract["paths"][f"/{word}"] = {"get": PUBLISHED["paths"]["/skills"]["get"]}
    path = tmp_path / "specification.yaml"
    path.write_text(json.dumps(contract), encoding="utf-8")
    with pytest.raises(CodegenError, match=rf"GET /{word}: `kantata.{word}` is something else already"):
        write(tmp_path, path)


def test_folders_are_replaced_as_a_whole(tmp_path: Path) -> None:
    committed, fresh = tmp_path / "api", tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "new.py").write_text("x = 1\n")
    for _ in range(2):
        _replace(committed, fresh)
        assert [each.name for each in committed.iterdir()] == ["new.py"]
        assert sorted(each.name for each in tmp_path.iterdir()) == ["api", "fresh"]
        (committed / "old.py").write_text("x = 2\n")


def test_command_prints_errors_without_traceback() -> None:
    """Facts that do not fit, on the command line: the message, no traceback."""
    assert load_data(OVERRIDES / "semantics.yaml")
    code = (
        "import codegen.__main__ as m, codegen.compile as c\n"
        "c.load_data = lambda path: {'overlay': '1.0.0'}\n"
        "raise SystemExit(m.main(['check']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == "codegen: overrides/overlay.yaml:1: the overlay lacks `info`, lacks `actions`\n"
