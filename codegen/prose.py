"""Prose: the types, values and associations that the contract states in its descriptions only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import attrs

from codegen.errors import CodegenError
from codegen.nodes import AssociationNode
from codegen.schemas import objects_in

if TYPE_CHECKING:
    from collections.abc import Collection

    from codegen.nodes import OperationNode, ParameterNode, Place

Json = dict[str, Any]

_VALID_VALUES = re.compile(r"Valid values: ((?:`[^`]+`[^`.;]*)+)")
_COMMA_SEPARATED = re.compile(
    r"^(?:Csv|Comma-separated)\b(?! file| geography)|\bcsv or array\b|\bcsv in URL\b", re.IGNORECASE
)
_AT_MOST = re.compile(r"\b(?:at most|max) (\d+)\b")
_ASSOCIATION = re.compile(
    r"^- `(?P<name>\w+)` \((?P<type>[\w:]+)\)(?: - (?P<text>.*))?$",
)
_REFERENCED_BY = re.compile(r"^referenced by `(\w+)`")
_FOUND_UNDER = re.compile(r"\bfound under `(\w+)`")


def read_parameters(node: OperationNode) -> OperationNode:
    """The operation with the types of its query parameters and the associations that the prose gives them.

    Raises:
        CodegenError: A line of `include` does not describe an association.
    """
    associations: tuple[AssociationNode, ...] = ()
    parameters: list[ParameterNode] = []
    for parameter in node.parameters:
        if parameter.location != "query":
            parameters.append(parameter)
        elif parameter.name == "include":
            associations = read_associations(node.id, parameter.description, parameter.place)
            names = [each.name for each in associations]
            schema = {"type": "array", "items": {"type": "string", "enum": names}}
            intro = parameter.description.split("\n", 1)[0].rstrip(":").replace(", comma-separated", "")
            parameters.append(attrs.evolve(parameter, schema=schema, description=f"{intro}."))
        else:
            parameters.append(_read_parameter(parameter))
    return attrs.evolve(node, parameters=tuple(parameters), associations=associations)


def _read_parameter(parameter: ParameterNode) -> ParameterNode:
    schema: Json = dict(parameter.schema)
    if isinstance(schema.get("items"), dict):
        schema["items"] = dict(schema["items"])
    prose = read_values(schema, parameter.description)
    if schema.get("type") == "string" and "format" not in schema:
        several = parameter.name == "only" or parameter.name.endswith("_ids")
        if several or _COMMA_SEPARATED.search(prose):
            schema = {"type": "array", "items": schema}
        if most := _AT_MOST.search(prose):
            schema["maxItems" if schema["type"] == "array" else "maxLength"] = int(most[1])
    return attrs.evolve(parameter, schema=schema, description=prose)


def read_values(schema: Json, prose: str) -> str:
    """Make an `enum` of the values that prose lists for a text; the prose without them."""
    text = schema["items"] if schema.get("type") == "array" else schema
    values = _VALID_VALUES.search(prose)
    if text.get("type") != "string" or "enum" in text or not values:
        return prose
    text["enum"] = re.findall(r"`([^`]+)`", values[1])
    return (prose[: values.start()] + prose[values.end() :].lstrip(". ")).strip()


def read_values_inside(schema: Json) -> None:
    """The same for every property of a body, in place."""
    for value in schema.get("properties", {}).values():
        if value.get("description"):
            value["description"] = read_values(value, value["description"])
        for inner in objects_in(value):
            read_values_inside(inner)


def read_associations(where: str, prose: str, place: Place) -> tuple[AssociationNode, ...]:
    """The associations that the description of an `include` parameter lists, one a line."""
    entries: list[AssociationNode] = []
    for line in prose.split("\n")[1:]:
        if not line.startswith("- "):
            msg = f"{where}: line {line!r} of the include parameter does not describe an association"
            raise CodegenError(msg, place)
        if not (entry := _ASSOCIATION.match(line)):
            msg = f"{where}: association {line!r} can't be read"
            raise CodegenError(msg, place)
        text = entry["text"] or ""
        field, key = _REFERENCED_BY.match(text), _FOUND_UNDER.search(text)
        notes = [part for part in re.split(r"; |, (?=found under)|(?<=`)\.$", text) if part]
        note = "; ".join(
            part for part in notes if not re.match(r"(referenced by|found under) `", part)
        ).rstrip(".")
        entries.append(
            AssociationNode(entry["name"], entry["type"], field and field[1], key and key[1], note, place)
        )
    return tuple(entries)


_ONLY_ON_REQUEST = re.compile(
    r"\b(?:only|present|unless)\b[^.]*\binclude|\binclude[ds]?\b[^.]*\b(?:only|if|when)\b", re.IGNORECASE
)
_NAMED = re.compile(r"`(\w+)`")


def sent_on_request(
    prose: str, fields: Collection[str]
) -> tuple[Literal["include", "optional_fields"], str] | None:
    """The query parameter that has to name something for a field to be sent, and the association it has to name.

    Args:
        prose: The description of the field.
        fields: The names of all fields of its model, which are no associations.

    Returns:
        The parameter and the association (empty for `optional_fields`, which takes the field's own name); `None` for a
        field that is always sent.
    """
    for sentence in re.split(r"(?<=\.)\s+", prose):
        if "optional_fields" in sentence:
            return "optional_fields", ""
        if _ONLY_ON_REQUEST.search(sentence):
            named = [name for name in _NAMED.findall(sentence) if name != "include" and name not in fields]
            if named:
                return "include", named[-1]
    return None
