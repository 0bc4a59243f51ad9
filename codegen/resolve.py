"""Resolve: inline shared parameters, bodies and responses, and check the shape of each part once.

The modules after this one rely on it: every path item, operation, parameter and response is complete, and the only
`$ref`s left lead to schemas.
"""

from __future__ import annotations

from typing import Any, cast

from codegen.errors import CodegenError, Proposal, action, guarded, parameter_place
from codegen.load import apart, follow
from codegen.names import METHODS

Json = dict[str, Any]

_TO_SCHEMAS = ("#/definitions/", "#/components/schemas/")
_ORDER = {"path": 0, "query": 1, "header": 2, "formData": 3, "body": 4}
"""Parameters are sorted by where they are sent, then by name, so that the publisher's order does not matter."""
_BESIDE_METHODS = frozenset({"parameters", "summary", "description", "servers"})


def resolve(contract: Json) -> Json:
    """The same contract without references, except from schema to schema.

    Args:
        contract: The corrected contract, Swagger 2.0 or OpenAPI 3.x; not changed.

    Raises:
        CodegenError: A part is missing or has the wrong type, or an HTTP method has no Python counterpart; the message
            names the operation or definition.
    """
    document = apart(contract)
    for name, schema in _schemas(document).items():
        with guarded("definitions", name):
            _check_schema(schema, f"definition {name}")
    for path in list(_mapping(document.get("paths"), "`paths`")):
        item: Json = {}
        with guarded("paths", path):
            item = _part(document, document["paths"][path], path)
            shared = _parameters(document, item, path)
            if shared:
                item["parameters"] = shared
        document["paths"][path] = item
        for key in list(item):
            operation = item.pop(key)
            if key not in METHODS and key not in _BESIDE_METHODS and not key.startswith("x-"):
                with guarded("paths", path, key):
                    msg = (
                        f"{key.upper()} {path}: codegen makes no method of it, only of {', '.join(METHODS).upper()}; remove "
                        "it in overrides/overlay.yaml, or teach codegen/names.py"
                    )
                    proposal = action(("paths", path, key), "no method is made of it", remove=True)
                    raise CodegenError(msg, proposals=[proposal])
            elif key in METHODS:
                with guarded("paths", path, key):
                    item[key] = _operation(document, operation, f"{key.upper()} {path}")
            else:
                item[key] = operation
    return document


def _schemas(document: Json) -> Json:
    if "openapi" not in document:
        return _mapping(document.get("definitions", {}), "`definitions`")
    return _mapping(_mapping(document.get("components", {}), "`components`").get("schemas", {}), "`schemas`")


def _operation(document: Json, operation: Any, where: str) -> Json:
    operation = _part(document, operation, where)
    operation["parameters"] = _parameters(document, operation, where)
    if "requestBody" in operation:
        body = operation["requestBody"] = _part(document, operation["requestBody"], f"{where}: its body")
        content = _mapping(body.get("content"), f"{where}: the `content` of its body")
        if len(content) != 1:
            msg = (
                f"{where}: its body has {len(content)} forms ({', '.join(content) or 'none'}), and methods send one: "
                "leave one in overrides/overlay.yaml"
            )
            raise CodegenError(msg)
        _check_content(content, f"{where}: its body")
    responses = operation["responses"] = dict(_mapping(operation.get("responses"), f"{where}: `responses`"))
    for status, declared in list(responses.items()):
        said = f"{where}: response {status}"
        response = responses[status] = _part(document, declared, said)
        if "schema" in response:
            _check_schema(response["schema"], said)
        if "content" in response:
            _check_content(_mapping(response["content"], f"{said}: `content`"), said)
    return operation


def _parameters(document: Json, holder: Json, where: str) -> list[Json]:
    listed: Any = holder.get("parameters", [])
    if not isinstance(listed, list):
        msg = f"{where}: its `parameters` must be a list"
        raise CodegenError(msg)
    found = [_part(document, each, f"{where}: a parameter") for each in cast("list[Any]", listed)]
    for each in found:
        name = each.get("name")
        if not name or not isinstance(name, str) or not isinstance(each.get("in"), str):
            msg = f"{where}: a parameter lacks `name` or `in`: {each!r}"
            raise CodegenError(msg)
        said = f"{where}: parameter {name!r}"
        if "schema" in each:
            _check_schema(each["schema"], said)
        elif each["in"] == "body" or "type" not in each:
            msg = f"{said} lacks `{'schema' if each['in'] == 'body' else 'type'}`"
            raise CodegenError(msg)
        else:
            _check_schema(each, said)
        if each["in"] in ("query", "path") and _holds_parts(each):
            msg = (
                f"{said} is a list of lists or objects, which can't be sent with commas between: make it a text in "
                "overrides/overlay.yaml"
            )
            raise CodegenError(msg, proposals=_as_text(where, each))
        if each.get("collectionFormat", "csv") != "csv" and each.get("type") == "array":
            msg = (
                f"{said} separates its values by `{each['collectionFormat']}`, and the client by commas: if the service "
                "takes commas too, set `collectionFormat: csv` in overrides/overlay.yaml; otherwise make it a text there"
            )
            raise CodegenError(msg, proposals=_as_text(where, each))
    return sorted(found, key=lambda each: (_ORDER.get(each["in"], len(_ORDER)), each["name"]))


def _holds_parts(parameter: Json) -> bool:
    """Whether each value of a list is a list or an object itself."""
    item: Any = parameter.get("items")
    return isinstance(item, dict) and cast("Json", item).get("type") in ("array", "object")


def _as_text(where: str, parameter: Json) -> list[Proposal]:
    method, _, path = where.partition(" ")
    if not path:
        return []
    text = {key: parameter[key] for key in ("in", "name", "required", "description") if key in parameter}
    at = ("paths", path, method.lower(), "parameters", parameter_place(parameter))
    was = {key: parameter[key] for key in ("type", "collectionFormat") if key in parameter}
    return [action(at, "does the service take commas too?", x_was=was, x_replace=text | {"type": "string"})]


def _part(document: Json, node: Any, where: str) -> Json:
    """A path item, operation, parameter, body or response itself, where a `$ref` may stand for it."""
    seen: set[str] = set()
    while isinstance(node, dict) and "$ref" in node:
        target: Any = cast("Json", node)["$ref"]
        if not isinstance(target, str) or target in seen:
            msg = f"{where}: its reference {target!r} leads nowhere"
            raise CodegenError(msg)
        seen.add(target)
        node = apart(follow(document, target))
    part = _mapping(node, where)
    _check_prose(part, where)
    return part


def _check_content(content: Json, where: str) -> None:
    for media, form in content.items():
        schema = _mapping(form, f"{where} as {media}").get("schema")
        if schema is not None:
            _check_schema(schema, where)


def _check_schema(schema: Any, where: str) -> None:
    """Refuse what is not a schema; the message gives its place below the operation or definition."""
    found = _mapping(schema, where)
    _check_prose(found, where)
    if "$ref" in found:
        if not isinstance(found["$ref"], str) or not found["$ref"].startswith(_TO_SCHEMAS):
            msg = f"{where}: its reference {found['$ref']!r} leads to no definition"
            raise CodegenError(msg)
        return
    declared = found.get("type")
    if declared is not None and not isinstance(declared, str | list):
        msg = f"{where}: its `type` is {declared!r}"
        raise CodegenError(msg)
    if "enum" in found and (not isinstance(found["enum"], list) or not found["enum"]):
        msg = f"{where}: its `enum` lists no values"
        raise CodegenError(msg)
    if declared == "array" and "items" not in found:
        msg = f"{where} is an array, but lacks `items`"
        raise CodegenError(msg)
    for name, inner in _mapping(found.get("properties", {}), f"{where}: `properties`").items():
        _check_schema(inner, f"{where} > {name}")
    for key in ("items", "additionalProperties"):
        if key in found and not isinstance(found[key], bool):
            _check_schema(found[key], f"{where} > {key}")
    for key in ("allOf", "oneOf", "anyOf"):
        for inner in found.get(key, ()):
            _check_schema(inner, f"{where} > {key}")


def _check_prose(node: Json, where: str) -> None:
    """Drop descriptions that are null, and refuse those that are not text."""
    for key, kind in (("summary", str), ("description", str), ("tags", list)):
        if key in node and node[key] is None:
            del node[key]
        if not isinstance(node.get(key, kind()), kind):
            msg = f"{where}: its `{key}` is {node[key]!r}"
            raise CodegenError(msg)


def _mapping(node: Any, where: str) -> Json:
    if not isinstance(node, dict):
        found = "nothing" if node is None else repr(node)
        raise CodegenError(
            f"{where}: expected a mapping, found {found}; correct it in overrides/overlay.yaml"
        )
    return cast("Json", node)
