"""Random mutations of the vendored contract, each with the changes that the diff must show.

A mutation changes the contract in place and returns what it touched, with the rules of `codegen.diff` that may follow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from codegen.load import apart

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

Json = dict[str, Any]

NAMES = (
    *("class", "import", "None", "self", "extra", "id", "größe", "名前", "Σ", "9lives", "a[b]", "x-y"),
    *("with space", "_hidden", "list", "kantata", "limit", "colour", "page2", "ßtraße", "True", "a.b", ""),
)


@attrs.frozen
class Mutation:
    """What was changed."""

    subject: str
    """Text that every change of the diff, or the refusal, must mention: an operation, a definition or a name."""
    rules: frozenset[str]
    """Rules of `codegen.diff` of which one must be in the diff."""
    quiet: bool = False
    """Whether users may notice nothing."""
    refused: bool = False
    """Whether it must be refused."""


def _mutation(subject: str, *rules: str, quiet: bool = False, refused: bool = False) -> Mutation:
    return Mutation(subject, frozenset(rules), quiet, refused)


def _operations(contract: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in contract["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _operation(
    contract: Json, chance: random.Random, fits: Callable[[str, str, Json], bool] = lambda *_: True
) -> tuple[str, Json]:
    method, path, operation = chance.choice([each for each in _operations(contract) if fits(*each)])
    return f"{method.upper()} {path}", operation


def _definition(contract: Json, chance: random.Random) -> tuple[str, Json]:
    """A definition that becomes a model."""
    used = [
        (name, each)
        for name, each in contract["definitions"].items()
        if len(each.get("properties", {})) > 3 and "::" not in name and "Error" not in name
    ]
    return chance.choice(used)


def _parameters(operation: Json, place: str = "query") -> list[Json]:
    return [
        each for each in operation.get("parameters", ()) if each["in"] == place and each["name"] != "include"
    ]


def _has_query(_: str, __: str, operation: Json) -> bool:
    return any(each["name"] not in ("page", "per_page", "order", "only") for each in _parameters(operation))


def _filter(contract: Json, chance: random.Random) -> tuple[str, Json, Json]:
    """(operation, its declaration, a query parameter of it)."""
    where, operation = _operation(contract, chance, _has_query)
    special = ("page", "per_page", "order", "only", "search")
    fit = [
        each
        for each in _parameters(operation)
        if each["name"] not in special and "external" not in each["name"]
    ]
    return where, operation, chance.choice(fit or _parameters(operation))


def _has_body(_: str, __: str, operation: Json) -> bool:
    bodies = _parameters(operation, "body")
    return bool(bodies) and any(
        "properties" in each for each in bodies[0]["schema"].get("properties", {}).values()
    )


def _body(contract: Json, chance: random.Random) -> tuple[str, Json, Json, str]:
    """(operation, body parameter, wrapped object, wrapper)."""
    where, operation = _operation(contract, chance, _has_body)
    body = _parameters(operation, "body")[0]
    wrapper, inner = next(
        (name, each) for name, each in body["schema"]["properties"].items() if "properties" in each
    )
    return where, body, inner, wrapper


def _has_include(_: str, __: str, operation: Json) -> bool:
    include = [each for each in operation.get("parameters", ()) if each["name"] == "include"]
    return bool(include) and include[0]["description"].count("\n- ") > 1


def _has_envelope(_: str, __: str, operation: Json) -> bool:
    schema = operation.get("responses", {}).get("200", {}).get("schema", {})
    return "results" in schema.get("properties", {})


def _states_a_bulk_limit(_: str, __: str, operation: Json) -> bool:
    return "objects in one request" in operation.get("description", "")


# --- fields --------------------------------------------------------------------------------------------------------


def rename_field(contract: Json, chance: random.Random) -> Mutation:
    name, definition = _definition(contract, chance)
    old = chance.choice([each for each in definition["properties"] if each != "id"])
    new = chance.choice(NAMES)
    definition["properties"][new] = definition["properties"].pop(old)
    return _mutation(
        name, "field renamed", "field removed", "field type changed", "association changed", quiet=new == "id"
    )


def remove_field(contract: Json, chance: random.Random) -> Mutation:
    name, definition = _definition(contract, chance)
    del definition["properties"][chance.choice([each for each in definition["properties"] if each != "id"])]
    return _mutation(name, "field removed", "field type changed", "stable walk lost", "field always sent")


def retype_field(contract: Json, chance: random.Random) -> Mutation:
    name, definition = _definition(contract, chance)
    field = chance.choice([each for each in definition["properties"] if each != "id"])
    definition["properties"][field] = chance.choice(
        [
            {"type": "object", "additionalProperties": {"type": "boolean"}},
            {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
            {"type": "object", "properties": {"odd": {"type": "string"}}},
            {"oneOf": [{"$ref": "#/definitions/User"}, {"$ref": "#/definitions/Story"}]},
            {"$ref": "#/definitions/User"},
            {"$ref": f"#/definitions/{name}"},
            {"type": "array", "items": {"$ref": f"#/definitions/{name}"}},
        ]
    )
    return _mutation(name, "field type changed", "association changed", quiet=True)


def format_uuid(contract: Json, chance: random.Random) -> Mutation:
    name, definition = _definition(contract, chance)
    definition["properties"]["fingerprint"] = {"type": "string", "format": "uuid"}
    return _mutation(name, "field added")


def nullable_type(contract: Json, chance: random.Random) -> Mutation:
    name, definition = _definition(contract, chance)
    field = chance.choice(
        [
            key
            for key, each in definition["properties"].items()
            if isinstance(each.get("type"), str) and key != "id"
        ]
    )
    definition["properties"][field]["type"] = [definition["properties"][field]["type"], "null"]
    return _mutation(name, quiet=True)


def add_field(contract: Json, chance: random.Random) -> Mutation:
    name, definition = _definition(contract, chance)
    field = chance.choice(NAMES)
    known = field in definition["properties"]
    definition["properties"][field] = {"type": "string"}
    return _mutation(name, "field added", quiet=known)


def required_fields(contract: Json, chance: random.Random) -> Mutation:
    name, definition = _definition(contract, chance)
    definition["required"] = list(definition["properties"])
    return _mutation(name, quiet=True)


def cyclic_definitions(contract: Json, chance: random.Random) -> Mutation:
    name, definition = _definition(contract, chance)
    definition["properties"]["inside"] = {"$ref": "#/definitions/Inside"}
    contract["definitions"]["Inside"] = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "outside": {"$ref": f"#/definitions/{name}"}},
    }
    return _mutation(name, refused=True)


def colliding_definition(contract: Json, chance: random.Random) -> Mutation:
    name, _ = _definition(contract, chance)
    new = chance.choice([name.upper(), f"Other::{name}", "Inputs", "None", "9Lives", "Model", "Größe", "a b"])
    contract["definitions"][new] = {"type": "object", "properties": {"x": {"type": "string"}}}
    return _mutation(new, "model added")


def allof_definition(contract: Json, chance: random.Random) -> Mutation:
    name, definition = _definition(contract, chance)
    contract["definitions"][name] = {"allOf": [definition, {"properties": {"x": {"type": "string"}}}]}
    return _mutation(name, refused=True)


# --- parameters ----------------------------------------------------------------------------------------------------


def rename_parameter(contract: Json, chance: random.Random) -> Mutation:
    where, _, parameter = _filter(contract, chance)
    parameter["name"] = chance.choice(NAMES)
    return _mutation(where, "parameter renamed", "parameter removed")


def remove_parameter(contract: Json, chance: random.Random) -> Mutation:
    where, operation, parameter = _filter(contract, chance)
    operation["parameters"].remove(parameter)
    return _mutation(where, "parameter removed")


def add_required_parameter(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance)
    operation.setdefault("parameters", []).append(
        {"in": "query", "name": chance.choice(NAMES), "type": "string", "required": True}
    )
    return _mutation(where, "required parameter added")


def undeclared_placeholder(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance, lambda _, path, __: "{" in path)
    operation["parameters"] = [each for each in operation.get("parameters", ()) if each["in"] != "path"]
    return _mutation(where, refused=True)


def retype_parameter(contract: Json, chance: random.Random) -> Mutation:
    where, _, parameter = _filter(contract, chance)
    for key in ("format", "enum", "default", "items"):
        parameter.pop(key, None)
    old, parameter["type"] = parameter["type"], chance.choice(["boolean", "number"])
    return _mutation(
        where, "parameter type changed", "parameter became single", quiet=old == parameter["type"]
    )


def collection_format(contract: Json, chance: random.Random) -> Mutation:
    where, _, parameter = _filter(contract, chance)
    separator = chance.choice(["multi", "pipes", "ssv", "tsv"])
    parameter.pop("enum", None)
    parameter |= {"type": "array", "items": {"type": "string"}, "collectionFormat": separator}
    return _mutation(where, refused=True)


def parameter_elsewhere(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance)
    operation.setdefault("parameters", []).append(
        {"in": chance.choice(["header", "cookie"]), "name": "X-Thing", "type": "string"}
    )
    return _mutation(where, refused=True)


def deprecated_parameter(contract: Json, chance: random.Random) -> Mutation:
    where, _, parameter = _filter(contract, chance)
    wordings = (
        "Deprecated.",
        "This parameter is deprecated.",
        "(deprecated) Ignored.",
        "DEPRECATED: ignored",
    )
    parameter["description"] = chance.choice(wordings)
    return _mutation(where, "parameter deprecated", quiet=True)


def listed_values(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance)
    wordings = (
        "Can be one of `red`, `blue`.",
        "Allowed values: red, blue.",
        "Valid values are:\n- `red`\n- `blue`\n",
        'Must be either "red" or "blue".',
    )
    operation.setdefault("parameters", []).append(
        {"in": "query", "name": "hue", "type": "string", "description": chance.choice(wordings)}
    )
    return _mutation(where, "parameter added")


def limited_list(contract: Json, chance: random.Random) -> Mutation:
    where, _ = _operation(contract, chance, _has_query)
    operation = next(
        each for method, path, each in _operations(contract) if f"{method.upper()} {path}" == where
    )
    operation["parameters"].append(
        {
            "in": "query",
            "name": "hues",
            "type": "string",
            "description": "Comma separated list of hues, up to 9.",
        }
    )
    return _mutation(where, "parameter added")


# --- includes ------------------------------------------------------------------------------------------------------


def drop_association(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance, _has_include)
    include = next(each for each in operation["parameters"] if each["name"] == "include")
    lines = include["description"].split("\n")
    lines.pop(chance.randrange(1, len(lines)))
    include["description"] = "\n".join(lines)
    return _mutation(where, "association removed", "value removed")


def add_association(contract: Json, chance: random.Random) -> Mutation:
    _, operation = _operation(contract, chance, _has_include)
    include = next(each for each in operation["parameters"] if each["name"] == "include")
    kind = chance.choice(["User", "polymorphic", "Unknown", "Attachments::Base"])
    name = chance.choice(["reader", "class", "9th", "größe"])
    include["description"] += f"\n- `{name}` ({kind})" + chance.choice(
        ["", ".", " - the reader. Referenced by `reader_id`.", ". Found in the `users` top-level key."]
    )
    return _mutation(name, "association added", "value added")


def formal_include(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance, _has_include)
    include = next(each for each in operation["parameters"] if each["name"] == "include")
    names = re.findall(r"^- `(\w+)`", include["description"], re.MULTILINE)
    include |= {"type": "array", "items": {"type": "string", "enum": names}}
    return _mutation(where, quiet=True)


# --- bodies --------------------------------------------------------------------------------------------------------


def second_wrapper(contract: Json, chance: random.Random) -> Mutation:
    where, body, inner, _ = _body(contract, chance)
    body["schema"]["properties"]["options"] = apart(inner)
    return _mutation(where, refused=True)


def composed_body(contract: Json, chance: random.Random) -> Mutation:
    where, body, inner, wrapper = _body(contract, chance)
    added = {"type": "object", "properties": {"hue": {"type": "string"}}}
    body["schema"]["properties"][wrapper] = {"allOf": [inner, added]}
    return _mutation(where, "parameter added")


def body_of_another_kind(contract: Json, chance: random.Random) -> Mutation:
    where, body, _, _ = _body(contract, chance)
    body["schema"] = chance.choice(
        [
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object"},
        ]
    )
    return _mutation(where, refused=True)


def add_property(contract: Json, chance: random.Random) -> Mutation:
    where, _, inner, _ = _body(contract, chance)
    name = chance.choice(NAMES)
    known = name in inner["properties"]
    inner["properties"][name] = {"type": "boolean"}
    return _mutation(where, "parameter added", "parameter type changed", quiet=known)


def require_property(contract: Json, chance: random.Random) -> Mutation:
    where, _, inner, _ = _body(contract, chance)
    name = chance.choice(list(inner["properties"]))
    known = name in inner.get("required", ())
    inner["required"] = sorted({*inner.get("required", ()), name})
    return _mutation(where, "parameter became required", quiet=known)


def media_types(contract: Json, chance: random.Random) -> Mutation:
    where, _ = _operation(contract, chance, _has_body)
    operation = next(
        each for method, path, each in _operations(contract) if f"{method.upper()} {path}" == where
    )
    operation["consumes"] = chance.choice(
        [
            ["application/xml", "application/json"],
            ["application/vnd.kantata+json"],
            ["application/json; charset=utf-8"],
            ["application/x-www-form-urlencoded"],
            ["text/csv"],
        ]
    )
    plain = not any("json" in each for each in operation["consumes"])
    return _mutation(where, quiet=not plain, refused=plain)


# --- operations ----------------------------------------------------------------------------------------------------


def remove_path(contract: Json, chance: random.Random) -> Mutation:
    path = chance.choice(list(contract["paths"]))
    del contract["paths"][path]
    return _mutation("", "operation removed")


def rename_path(contract: Json, chance: random.Random) -> Mutation:
    path = chance.choice([each for each in contract["paths"] if each.count("/") == 1])
    contract["paths"][f"{path}_v2"] = contract["paths"].pop(path)
    return _mutation("", "operation renamed", "operation removed")


def add_path(contract: Json, chance: random.Random) -> Mutation:
    source = chance.choice(
        [path for path, item in contract["paths"].items() if path.count("/") == 1 and "get" in item]
    )
    new = chance.choice(
        [
            "/shelves",
            "/9lives",
            "/größen",
            f"{source}/class",
            f"{source}/list",
            "/new things",
            "/hooks",
            "/close",
        ]
    )
    contract["paths"][new] = {chance.choice(["get", "head"]): apart(contract["paths"][source]["get"])}
    return _mutation(new, "operation added")


def change_tags(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance)
    operation["tags"] = chance.choice([["New"], [], ["a", "b"], ['Ünïcode """\\']])
    return _mutation(where, quiet=True)


def deprecated_operation(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance)
    if chance.random() < 0.5:
        operation["deprecated"] = True
    else:
        operation["description"] = operation.get("description", "") + " This endpoint is deprecated."
    return _mutation(where, "operation deprecated")


def statuses(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance, lambda *each: "200" in each[2].get("responses", {}))
    success = operation["responses"].pop("200")
    change = chance.choice(["2XX", "201", "both", "none"])
    operation["responses"] |= {
        "2XX": {"2XX": success},
        "201": {"201": success},
        "both": {"200": success, "202": {"description": "Later.", "schema": {"type": "object"}}},
        "none": {},
    }[change]
    return _mutation(where, quiet=change in ("2XX", "201"), refused=change in ("both", "none"))


def retype_answer(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance, _has_envelope)
    schema = operation["responses"]["200"]["schema"]
    key = next(each for each in schema["properties"] if each not in ("count", "meta", "results"))
    schema["properties"][key] = {
        "type": "array",
        "items": schema["properties"][key].get("additionalProperties", {}),
    }
    return _mutation(where, refused=True)


def bulk_wording(contract: Json, chance: random.Random) -> Mutation:
    where, operation = _operation(contract, chance, _states_a_bulk_limit)
    unlimited = re.search(r"no limit (?:stated|told)", operation["description"])
    operation["description"] = chance.choice(
        [
            "This endpoint supports bulk creating up to 7 objects.",
            "Up to 7 objects can be created or updated at once.",
            "No more than 7 records can be created in one request.",
            "Accepts at most 7 records per request.",
            "A maximum of 7 objects can be sent in a single request.",
        ]
    )
    if unlimited and where.startswith("POST /timesheet_"):  # approvals and the like: a first limit is news
        return _mutation(where, "bulk added")
    stated = where != "POST /project_accounting_records"  # the overrides know 100 of it, so that 7 is less
    return _mutation(where, "bulk limit lowered", refused=stated)


def address(contract: Json, chance: random.Random) -> Mutation:
    contract |= chance.choice([{"host": "api.example.com"}, {"basePath": "/api/v2"}])
    return _mutation("the contract is for", refused=True)


EVERY: tuple[Callable[[Json, random.Random], Mutation], ...] = (
    *(rename_field, remove_field, retype_field, format_uuid, nullable_type, add_field, required_fields),
    *(cyclic_definitions, colliding_definition, allof_definition),
    *(rename_parameter, remove_parameter, add_required_parameter, retype_parameter, collection_format),
    *(parameter_elsewhere, undeclared_placeholder, deprecated_parameter, listed_values, limited_list),
    *(drop_association, add_association, formal_include),
    *(second_wrapper, composed_body, body_of_another_kind, add_property, require_property, media_types),
    *(
        remove_path,
        rename_path,
        add_path,
        change_tags,
        deprecated_operation,
        statuses,
        retype_answer,
        bulk_wording,
    ),
    address,
)
"""Each kind."""
