"""Relax: give every model an id, make all fields optional and nullable, and name the objects inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs

from codegen import names
from codegen.errors import CodegenError, action, guarded
from codegen.nodes import COMPONENTS, ComponentNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from codegen.errors import Proposal
    from codegen.nodes import OperationNode, Place

Json = dict[str, Any]

_COMPOSED = ("allOf", "oneOf", "anyOf")
KNOWN_VALUES = "x-known-values"
"""The keyword that keeps what `enum` listed for a field of a response."""


def relax(components: dict[str, ComponentNode], nodes: Iterable[OperationNode]) -> None:
    """Change the schemas of responses, so that missing, null and unknown values can be read.

    Raises:
        CodegenError: A schema is composed of others, or an object inside one would get the name of a definition.
    """
    proposals = _flattenings(components)
    in_envelopes = {model for node in nodes for model in node.envelope.values()}
    for component in [each for each in components.values() if not each.is_input]:
        done = False
        with guarded(*component.place):
            properties = component.schema.setdefault("properties", {})
            identified = component.name in in_envelopes or component.definition is not None
            if identified and "Error" not in component.name and "id" not in properties:
                component.schema["properties"] = {"id": {"type": "string"}, **properties}
            _refuse_composed(component, proposals.get(component.name, ()))
            _relax(component.name, component.schema, components, component.place)
            done = True
        if not done:
            schema: Json = {"type": "object", "properties": {"id": {"type": "string", "nullable": True}}}
            components[component.name] = attrs.evolve(component, schema=schema, faulty=True)


def _refuse_composed(component: ComponentNode, proposals: Sequence[Proposal]) -> None:
    if composed := [key for key in _COMPOSED if key in component.schema]:
        msg = (
            f"{component.name}: no class is made of what `{composed[0]}` composes: list its properties in "
            "overrides/overlay.yaml"
        )
        raise CodegenError(msg, component.place, proposals=proposals)


def _flattenings(components: dict[str, ComponentNode]) -> dict[str, list[Proposal]]:
    """For each composed definition, actions that list its properties instead; every field may be missing anyway."""
    found: dict[str, list[Proposal]] = {}
    definitions = {COMPONENTS + name: each.definition for name, each in components.items()}
    for name, component in components.items():
        composed = [key for key in _COMPOSED if key in component.schema]
        if not composed or component.definition is None:
            continue
        properties = _properties(component.schema, components, frozenset({name}))
        if properties is None:
            continue
        at = ("definitions", component.definition)
        flat = _with_definitions({"type": "object", "properties": properties}, definitions)
        reason = f"are these the fields that `{composed[0]}` composes?"
        found[name] = [
            *(action((*at, key), f"{reason} (1)", remove=True) for key in composed),
            action(at, f"{reason} (2)", update=flat),
        ]
    return found


def _properties(schema: Json, components: dict[str, ComponentNode], seen: frozenset[str]) -> Json | None:
    """The properties that a schema composes; `None` if one has two types, or something composes itself."""
    target = str(schema.get("$ref", "")).removeprefix(COMPONENTS)
    if target:
        inner = components.get(target)
        return (
            None
            if inner is None or target in seen
            else _properties(inner.schema, components, seen | {target})
        )
    found: Json = dict(schema.get("properties", {}))
    for part in [each for key in _COMPOSED for each in schema.get(key, ())]:
        inner = _properties(part, components, seen)
        if inner is None or any(found.get(name, value) != value for name, value in inner.items()):
            return None
        found |= inner
    return found or None


def _with_definitions(node: Any, definitions: dict[str, str | None]) -> Any:
    """A copy whose references are spelled as in the contract."""
    if isinstance(node, dict):
        copied = {key: _with_definitions(value, definitions) for key, value in cast("Json", node).items()}
        target = copied.get("$ref")
        return {**copied, "$ref": f"#/definitions/{definitions[target]}"} if target in definitions else copied
    return (
        [_with_definitions(each, definitions) for each in cast("list[Any]", node)]
        if isinstance(node, list)
        else node
    )


def _relax(owner: str, schema: Json, components: dict[str, ComponentNode], place: Place) -> None:
    if composed := [key for key in _COMPOSED if key in schema]:
        msg = f"{owner}: no class is made of what `{composed[0]}` composes: list its properties in overrides/overlay.yaml"
        raise CodegenError(msg, place)
    schema.pop("required", None)
    for name, value in schema["properties"].items():
        _any_of(value)
        for each in _with_values(value):
            # The service is ahead of its contract: a value that is not listed yet has to read as well as the others.
            if listed := each.pop("enum", None):
                known = ", ".join(f"`{one}`" for one in listed if one is not None)
                value[KNOWN_VALUES] = list(listed)
                value["description"] = f"{value.get('description', '')} Known values: {known}.".strip()
        inner = _name_objects(f"{owner}{names.pascal(name)}", value, components, (*place, "properties", name))
        schema["properties"][name] = _nullable(inner)


def _with_values(schema: Json) -> Iterator[Json]:
    """A schema, and the schemas of what its lists and maps hold."""
    yield schema
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _with_values(schema[key])


def _any_of(value: Json) -> None:
    """Drop `oneOf` and the like, also inside lists and maps: what is received is read as it is, since no class fits."""
    for key in ("oneOf", "anyOf", "allOf"):
        if key in value:
            for word in [each for each in value if each != "description"]:
                del value[word]
    for key in ("items", "additionalProperties"):
        if isinstance(value.get(key), dict):
            _any_of(value[key])


def _name_objects(name: str, schema: Json, components: dict[str, ComponentNode], place: Place) -> Json:
    if schema.get("type") == "object" and schema.get("properties"):
        if set(schema["properties"]) == {"id", "key"}:  # the form of every polymorphic reference
            name = "Reference"
        elif name in components:
            msg = f"the object {name} would be named like a definition"
            raise CodegenError(msg, place)
        if name not in components:
            bare = {key: value for key, value in schema.items() if key != "description"}
            components[name] = ComponentNode(name, bare, is_input=False, place=place)
            _relax(name, bare, components, place)
        said = {"deprecated": True} if schema.get("deprecated") is True else {}
        return {"$ref": COMPONENTS + name, "description": schema.get("description", ""), **said}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict) and schema[key]:
            one = names.singular(name)
            entry = one if one != name else f"{name}Entry"
            schema[key] = _name_objects(entry, schema[key], components, (*place, key))
    return schema


def _nullable(schema: Json) -> Json:
    if "$ref" in schema:
        return {
            "nullable": True,
            "allOf": [{"$ref": schema["$ref"]}],
            **{key: schema[key] for key in ("description", "deprecated") if schema.get(key)},
        }
    if schema.get("type") == "object":  # a map: the generator would make a class of its nullable form
        return schema
    return {**schema, "nullable": True}
