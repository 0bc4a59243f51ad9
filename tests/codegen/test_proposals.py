"""Proposals: what the compiler can't decide is written into the overrides, with a comment that says what to decide."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from codegen import update
from codegen.compile import CONTRACT, OVERRIDES, understand
from codegen.errors import CodegenError, Proposal
from codegen.load import apart
from codegen.proposals import MARK, write_proposals
from codegen.render import check, render
from tests.codegen.vendored import vendored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Json = dict[str, Any]
VENDORED = vendored()


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    return shutil.copytree(OVERRIDES, tmp_path / "overrides")


def undecided(contract: Json) -> None:
    """One question of each kind."""
    paths, definitions = contract["paths"], contract["definitions"]
    skill = {"in": "path", "name": "id", "required": True, "type": "integer"}
    answer = {"responses": {"200": {"description": "Done."}}, "parameters": [skill]}
    paths["/skills/{id}/polish"] = {"put": apart(answer)}
    paths["/skills/{id}/list"] = {"get": apart(answer)}
    paths["/skills/{id}/9lives"] = {"get": apart(answer), "head": apart(answer)}
    paths["/skills"]["delete"] = apart(paths["/expenses"]["delete"]) | {"description": "Deletes skills."}
    paths["/skills/{id}"]["get"]["parameters"] += [
        {"in": "header", "name": "X-Thing", "type": "string"},
        {
            "in": "query",
            "name": "hues",
            "type": "array",
            "items": {"type": "string"},
            "collectionFormat": "pipes",
        },
    ]
    body = next(each for each in paths["/skills"]["post"]["parameters"] if each["in"] == "body")
    body["schema"]["properties"]["options"] = {"type": "object", "properties": {"x": {"type": "string"}}}
    paths["/skills/{id}"]["put"]["responses"].pop("200")
    definitions["Skill"]["properties"] |= {
        "class": {"type": "string"},
        "itself": {"$ref": "#/definitions/Skill"},
    }
    include = next(each for each in paths["/skills/{id}"]["get"]["parameters"] if each["name"] == "include")
    definitions["Post"] = {
        "allOf": [
            definitions["Post"],
            {"$ref": "#/definitions/Signed"},
            {"properties": {"hue": {"type": "string"}}},
        ]
    }
    definitions["Signed"] = {"type": "object", "properties": {"signer": {"$ref": "#/definitions/User"}}}
    definitions["Shape"] = {
        "oneOf": [{"properties": {"x": {"type": "string"}}}, {"$ref": "#/definitions/Signed"}]
    }
    for name in ("Other::Skill", "STORY", "Inputs", "9Lives"):
        definitions[name] = {"type": "object", "properties": {"x": {"type": "string"}}}
    for path in ("/posts", "/attachments"):
        paths[path]["post"]["consumes"] = ["application/x-www-form-urlencoded"]
    include["description"] += "\n- `mentor` (User)\n- `tools` (Tool) - referenced by `tool_ids`."


def test_every_question_is_settled_by_a_proposal(
    tmp_path: Path, overrides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = apart(VENDORED)
    undecided(contract)
    path = tmp_path / "specification.json"
    path.write_text(json.dumps(contract, indent=1))
    monkeypatch.setattr(update, "OVERRIDES", overrides)

    def generate(_: list[str]) -> int:
        understand(path, overrides, stale=[])
        return 0

    written = update._generate([], generate)  # pyright: ignore[reportPrivateUsage] - without vendoring and checks
    said = "\n".join(written)
    for part in (
        "repeatable: PUT /skills/{id}/polish",
        "names: GET /skills/{id}/list",
        "names: GET /skills/{id}/9lives",
        "overlay: $['paths']['/skills/{id}/9lives']['head']",
        "bulk_delete: DELETE /skills",
        "[?@.name == 'X-Thing']",
        "[?@.name == 'hues']",
        "wrappers: POST /skills",
        "['/skills/{id}']['put']['responses']",
        "['Skill']['properties']['class']",
        "['Skill']['properties']['itself']",
        "which field has the ids of mentor?",
        "Tool is named as an association only",
        "$['definitions']['Post']['allOf']",
        "$['definitions']['Shape']['oneOf']",
        'classes: "Other::Skill"',
        'classes: "STORY"',
        'classes: "Inputs"',
        'classes: "9Lives"',
        "$['paths']['/posts']['post']['consumes']: does the service take application/json too?",
    ):
        assert part in said, part
    text = (overrides / "semantics.yaml").read_text()
    assert text.count(MARK) == sum(not each.startswith("overlay") for each in written)
    assert text.startswith((OVERRIDES / "semantics.yaml").read_text().splitlines()[0])
    facts = understand(path, overrides, stale=[])
    skills = next(each for each in facts.resources if each.name == "skills")
    assert {"get_list", "get_9lives", "polish"} <= {each.name for each in skills.operations}
    assert next(each for each in skills.operations if each.name == "polish").action
    models = {each.name: each for each in facts.models}
    assert {"Story", "Skill"} <= models.keys()
    assert {"hue", "signer", "subject_ref"} <= {each.name for each in models["Post"].fields}


def test_classes_of_definitions_are_checked(overrides: Path) -> None:
    found = mistakes(
        lambda text: text.replace(
            "classes: {}", "classes:\n  Story: Story\n  Nothing: Something\n  Skill: a-b\n  Post: Skill\n"
        ),
        overrides,
    )
    said = "\n".join(found)
    for part in (
        "Story: it is so without this line",
        "Nothing: there is no such definition",
        "'a-b' can't be",
    ):
        assert part in said, (part, said)


def test_a_result_with_the_class_of_its_resource_is_settled(tmp_path: Path, overrides: Path) -> None:
    contract = apart(VENDORED)
    contract["definitions"]["Skills"] = {"type": "object", "properties": {"x": {"type": "string"}}}
    answer = contract["paths"]["/skills/{id}"]["get"]["responses"]["200"]["schema"]
    answer["properties"]["skills"]["additionalProperties"]["$ref"] = "#/definitions/Skills"
    contract["paths"]["/timesheet_cancellations_v2"] = contract["paths"].pop("/timesheet_cancellations")
    path = tmp_path / "specification.json"
    path.write_text(json.dumps(contract, indent=1))
    with pytest.raises(
        CodegenError, match=r"specification\.json:\d+: GET /skills/\{id\}: the class of the resource"
    ) as caught:
        understand(path, overrides, stale=[])
    assert "_v2" not in str(caught.value)
    write_proposals(caught.value.proposals, overrides)
    facts = understand(path, overrides, stale=[])
    assert "SkillsRecord" in {each.name for each in facts.models}
    render(facts, OVERRIDES / "templates", tmp_path)
    for module in tmp_path.rglob("*.py"):
        check(module.read_text(encoding="utf-8"))


def test_an_error_without_a_proposal_is_raised(overrides: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "OVERRIDES", overrides)

    def fails(_: list[str]) -> int:
        raise CodegenError("openapi/specification.yaml:7: it can't be", located=True)

    with pytest.raises(CodegenError, match="it can't be"):
        update._generate([], fails)  # pyright: ignore[reportPrivateUsage]
    assert (overrides / "semantics.yaml").read_bytes() == (OVERRIDES / "semantics.yaml").read_bytes()


def test_associations_are_added_to_their_definition(overrides: Path) -> None:
    write_proposals(
        [
            Proposal("associations", "Post.reader", {"key": "users"}, "what is its key?"),
            Proposal("associations", "Skill.reader", {"type": "User"}, "what is its type?"),
        ],
        overrides,
    )
    found = load_semantics(overrides)["associations"]
    assert found["Post"] == {"subject": {"field": "subject_ref"}, "reader": {"key": "users"}}
    assert found["Skill"] == {"reader": {"type": "User"}}


def load_semantics(overrides: Path) -> Json:
    from codegen.load import load_data

    return load_data(overrides / "semantics.yaml")


def mistakes(change: Callable[[str], str], overrides: Path) -> list[str]:
    path = overrides / "semantics.yaml"
    path.write_text(change(path.read_text()))
    with pytest.raises(CodegenError) as caught:
        understand(CONTRACT, overrides)
    return str(caught.value).splitlines()


def test_all_mistakes_in_the_semantics_are_reported_with_their_lines(overrides: Path) -> None:
    found = mistakes(
        lambda text: (
            text.replace("names:\n", "names:\n  GET /nothing: x\n  GET /stories: a-b\n", 1)
            .replace("results:\n", "results:\n  GET /skills: heap\n", 1)
            .replace("bulk_create:\n", "bulk_create:\n  GET /skills: 5\n  POST /skills: -1\n", 1)
            .replace("upserts:\n", "upserts:\n  - POST /nothing\n", 1)
            .replace("  POST /skills: 200\n", "", 1)
            .replace("repeatable:\n", "repeatable:\n  GET /skills: true\n", 1)
            .replace("types:\n", "types:\n  Thing: 7\n", 1)
        ),
        overrides,
    )
    for line in found:
        assert "semantics.yaml:" in line, line
    said = "\n".join(found)
    for part in (
        "'GET /nothing'",
        "'a-b'",
        "'heap'",
        "GET /skills is not a POST",
        "-1 is not",
        "not a PUT",
        "Thing: 7",
    ):
        assert part in said, (part, said)
    lines = [int(line.split("semantics.yaml:")[1].split(":")[0]) for line in found]
    assert len(set(lines)) == len(lines) > 7
