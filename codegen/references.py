"""References: inline the definitions that do not become classes."""

from __future__ import annotations

from typing import Any, cast

from codegen.dialect import operations
from codegen.errors import CodegenError, reading
from codegen.load import apart
from codegen.nodes import COMPONENTS
from codegen.schemas import BESIDE

Json = dict[str, Any]

ENVELOPE = frozenset({"count", "results"})
"""The properties by which an envelope is known."""


def inline(document: Json) -> None:
    """Inline the definitions that do not become classes: envelopes, arrays, maps, texts, and those that bodies use."""
    schemas: Json = document["components"]["schemas"]
    plain = {name: schema for name, schema in schemas.items() if _becomes_no_class(schema)}
    for method, path, operation in operations(document):
        with reading("paths", path, method.lower()):
            if "requestBody" in operation:
                operation["requestBody"] = _inlined(operation["requestBody"], schemas, ())
            operation["parameters"] = _inlined(operation["parameters"], schemas, ())
            operation["responses"] = _inlined(operation["responses"], plain, ())
    for name in [each for each in schemas if each not in plain]:
        with reading("definitions", name):
            schemas[name] = _inlined(schemas[name], plain, ())
    for name in plain:
        del schemas[name]


def _becomes_no_class(schema: Json) -> bool:
    properties: Json = schema.get("properties", {})
    return (
        "$ref" in schema
        or schema.get("type", "object") != "object"
        or properties.keys() >= ENVELOPE
        or (not properties and isinstance(schema.get("additionalProperties"), dict))
    )


def _inlined(node: Any, schemas: Json, inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inlined(each, schemas, inside) for each in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    found = cast("Json", node)
    reference = found.get("$ref")
    name = reference.removeprefix(COMPONENTS) if isinstance(reference, str) else None
    if name not in schemas:
        return {key: _inlined(value, schemas, inside) for key, value in found.items()}
    if name in inside:
        msg = f"definition {name} contains itself, which an argument can't: cut the cycle in overrides/overlay.yaml"
        raise CodegenError(msg)
    said = {key: value for key, value in found.items() if key in BESIDE}
    return {**_inlined(apart(schemas[name]), schemas, (*inside, name)), **said}
