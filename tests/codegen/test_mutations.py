"""Random mutations of a small contract: valid code with matching changes, or an error that names the place."""

from __future__ import annotations

import os
import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from codegen.describe import describe
from codegen.diff import RULES, diff
from codegen.errors import ROOT, CodegenError, collecting, of_file
from codegen.load import apart
from codegen.lower import lower
from codegen.normalise import normalise
from codegen.render import check, render
from codegen.resolve import resolve
from codegen.snapshot import snapshot
from tests.codegen.small import NOTHING_KNOWN, swagger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codegen.facts import Facts

Json = dict[str, Any]
MUTATIONS = int(os.environ.get("KANTATA_TEST_MUTATIONS", "40"))
NAMES = (
    *(
        "class",
        "größe",
        "9lives",
        "a[b]",
        "with space",
        "none",
        "self",
        "extra",
        "list",
        "import",
        "名前",
        "_x",
    ),
    *("Σ", "x-y"),
)


def definition(contract: Json, chance: random.Random) -> Json:
    return chance.choice(list(contract["definitions"].values()))


def operation(contract: Json, chance: random.Random) -> Json:
    return chance.choice([each for item in contract["paths"].values() for each in item.values()])


def rename_field(contract: Json, chance: random.Random) -> None:
    properties = definition(contract, chance)["properties"]
    properties[chance.choice(NAMES)] = properties.pop(chance.choice(list(properties)))


def remove_field(contract: Json, chance: random.Random) -> None:
    properties = definition(contract, chance)["properties"]
    del properties[chance.choice(list(properties))]


def retype_field(contract: Json, chance: random.Random) -> None:
    properties = definition(contract, chance)["properties"]
    properties[chance.choice(list(properties))] = chance.choice(
        [
            {"type": "integer"},
            {"type": "string", "format": "uuid"},
            {"type": "array", "items": {"type": "number"}},
            {"$ref": "#/definitions/Author"},
            {"oneOf": [{"$ref": "#/definitions/Author"}, {"type": "string"}]},
            {"type": ["string", "null"]},
            {"type": "object", "additionalProperties": {"type": "boolean"}},
            {},
        ]
    )


def add_field(contract: Json, chance: random.Random) -> None:
    definition(contract, chance)["properties"][chance.choice(NAMES)] = {"type": "string"}


def add_parameter(contract: Json, chance: random.Random) -> None:
    parameter = {
        "in": "query",
        "name": chance.choice(NAMES),
        "type": chance.choice(["string", "integer", "boolean"]),
    }
    parameter["required"] = chance.random() < 0.5
    operation(contract, chance)["parameters"].append(parameter)


def remove_parameter(contract: Json, chance: random.Random) -> None:
    parameters = operation(contract, chance)["parameters"]
    if parameters:
        parameters.pop(chance.randrange(len(parameters)))


def change_parameter(contract: Json, chance: random.Random) -> None:
    parameters = operation(contract, chance)["parameters"]
    if parameters:
        chance.choice(parameters).update(
            chance.choice(
                [
                    {"collectionFormat": "pipes", "type": "array", "items": {"type": "string"}},
                    {"deprecated": True},
                    {"in": "header"},
                    {"default": 7},
                    {"type": "array", "items": {"type": "integer"}},
                    {"description": "Comma separated list of ids, up to 9."},
                    {"description": "Can be one of `a`, `b`."},
                ]
            )
        )


def drop_association(contract: Json, chance: random.Random) -> None:
    include = contract["paths"]["/books"]["get"]["parameters"][0]
    lines = include["description"].split("\n")
    lines.pop(chance.randrange(1, len(lines)))
    include["description"] = "\n".join(lines)


def add_association(contract: Json, chance: random.Random) -> None:
    include = contract["paths"]["/books"]["get"]["parameters"][0]
    kind = chance.choice(["Author", "polymorphic", "Unknown", "Library::Book"])
    include["description"] += (
        f"\n- `{chance.choice(['reader', 'class', 'title'])}` ({kind})."
        + chance.choice(["", " Through `author_id`.", " Found in the `authors` top-level key."])
    )


def add_path(contract: Json, chance: random.Random) -> None:
    path = chance.choice(
        ["/shelves", "/books/{id}/class", "/books/{id}/9", "/größen", "/books/{id}/list", "/books/lend"]
    )
    item = apart(contract["paths"][chance.choice(list(contract["paths"]))])
    contract["paths"][path] = {chance.choice(["get", "put", "head", "patch"]): next(iter(item.values()))}


def remove_path(contract: Json, chance: random.Random) -> None:
    del contract["paths"][chance.choice(list(contract["paths"]))]


def change_tags(contract: Json, chance: random.Random) -> None:
    operation(contract, chance)["tags"] = chance.choice([["New"], [], ["a", "b"], ['Ünïcode """']])


def change_answer(contract: Json, chance: random.Random) -> None:
    found = operation(contract, chance)
    success = next(iter(found["responses"].values()))
    found["responses"] = chance.choice(
        [
            {"2XX": success},
            {"201": success},
            {"200": success, "201": success},
            {"404": success},
            {"default": success},
        ]
    )


def change_body(contract: Json, chance: random.Random) -> None:
    schema = contract["paths"]["/books"]["post"]["parameters"][0]["schema"]
    book = schema["properties"]["book"]
    chance.choice(
        [
            lambda: schema["properties"].update(options=apart(book)),
            lambda: schema["properties"].update(
                book={"allOf": [book, {"properties": {"x": {"type": "string"}}}]}
            ),
            lambda: book["properties"].update({chance.choice(NAMES): {"type": "string"}}),
            lambda: book.update(required=["title", "printed_on"]),
            lambda: schema.update(type="array", items={"type": "string"}),
        ]
    )()


def add_definition(contract: Json, chance: random.Random) -> None:
    name = chance.choice(["Inputs", "AUTHOR", "Other::Book", "9Lives", "Größe", "Model", "None", "New"])
    contract["definitions"][name] = {"type": "object", "properties": {"x": {"type": "string"}}}


EVERY: list[Callable[[Json, random.Random], None]] = [
    *(rename_field, remove_field, retype_field, add_field, add_parameter, remove_parameter, change_parameter),
    *(
        drop_association,
        add_association,
        add_path,
        remove_path,
        change_tags,
        change_answer,
        change_body,
        add_definition,
    ),
]


def facts(contract: Json) -> Facts:
    return describe(normalise(resolve(lower(contract)), NOTHING_KNOWN), NOTHING_KNOWN, ROOT)


@pytest.mark.parametrize("seed", range(MUTATIONS))
def test_small_contract_mutations_become_valid_code_or_located_errors(tmp_path: Path, seed: int) -> None:
    import yaml

    chance = random.Random(seed)
    contract = apart(swagger())
    mutation = EVERY[seed % len(EVERY)]
    mutation(contract, chance)
    path = tmp_path / "specification.yaml"
    path.write_text(yaml.safe_dump(contract, sort_keys=False, allow_unicode=True), encoding="utf-8")
    refusal = ""
    found: list[Facts] = []
    try:
        with collecting(), of_file(path):
            found.append(facts(contract))
    except CodegenError as error:
        refusal = str(error)
    if refusal:
        for line in refusal.split(f"\n{tmp_path.as_posix()}"):
            assert re.search(r"specification\.yaml:[1-9]\d*: ", line), refusal
        assert "Traceback" not in refusal
        return
    before, after = snapshot(facts(swagger())), snapshot(found[0])
    changes = diff(before, after)
    assert bool(changes) == (before != after)
    assert {each.rule for each in changes} <= RULES.keys()
    try:
        render(found[0], ROOT / "overrides" / "templates", tmp_path)
    except CodegenError as error:
        refusal = str(error)
    if refusal:
        assert re.search(r"\.jinja: line \d+ of ", refusal), refusal
        return
    for module in tmp_path.rglob("*.py"):
        check(module.read_text(encoding="utf-8"))
