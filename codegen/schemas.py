"""Helpers for schemas as JSON data: to walk them, and to compare them."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]


def mappings(node: Any) -> Iterator[Json]:
    """Every mapping in a document, outer before inner."""
    if isinstance(node, dict):
        yield cast("Json", node)
        for value in cast("Json", node).values():
            yield from mappings(value)
    elif isinstance(node, list):
        for value in cast("list[Any]", node):
            yield from mappings(value)


def objects_in(schema: Json) -> Iterator[Json]:
    """The objects with properties that a property's value is, or holds in its arrays and maps."""
    if schema.get("type") == "object" and schema.get("properties"):
        yield schema
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from objects_in(schema[key])


CONSTRAINTS = (
    *("minimum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "minItems", "uniqueItems", "readOnly"),
)
"""Keywords that restrict what the service accepts, besides a maximum, which is a fact of its own."""


def default_of_schema(schema: Json) -> str | float | bool | None:
    """What a schema says that the service assumes, in the schema's own type; a list as it is sent, with commas.

    Returns:
        `None` if it says nothing, or nothing that is sent as one value.
    """
    default, kind = schema.get("default"), schema.get("type")
    if isinstance(default, list):
        values = cast("list[Any]", default)
        single = all(isinstance(each, str | int | float) for each in values)
        return ",".join(map(str, values)) if values and single else None
    if not isinstance(default, str | int | float):
        return None
    if isinstance(default, str) and kind == "boolean" and default.lower() in ("true", "false"):
        return default.lower() == "true"
    if isinstance(default, str) and kind == "integer" and default.isdecimal():
        return int(default)
    return (
        int(default) if kind == "integer" and isinstance(default, float) and default.is_integer() else default
    )


BESIDE = ("description", "deprecated", "readOnly")
"""What is said of a property beside a reference, and not by what it refers to."""
_SAID = ("description", "title", "pattern")
"""Keywords whose text doesn't affect the type; the value of a property with such a name is a mapping."""
_CHECKED = ("readOnly", "minLength", "maxLength", "uniqueItems", "deprecated")
"""Keywords whose number or boolean doesn't affect the type either."""


def structure(schema: Json) -> str:
    """A schema as text, without what doesn't affect the type, to compare it with others."""
    bare = copy.deepcopy(schema)
    for each in mappings(bare):
        for key in (*_SAID, *_CHECKED):
            if isinstance(each.get(key), str if key in _SAID else int):
                del each[key]
    return json.dumps(bare, sort_keys=True)
