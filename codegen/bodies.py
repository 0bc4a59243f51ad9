"""Bodies: unwrap each one, and name its object and the objects inside as components."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs

from codegen import names
from codegen.errors import CodegenError, Proposal, guarded
from codegen.nodes import COMPONENTS, ComponentNode, Place
from codegen.prose import read_values_inside
from codegen.schemas import objects_in, structure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codegen.nodes import OperationNode
    from codegen.semantics import Semantics

Json = dict[str, Any]


def name_bodies(
    nodes: Iterable[OperationNode], components: dict[str, ComponentNode], semantics: Semantics
) -> list[OperationNode]:
    """The operations with their bodies unwrapped; the components of the bodies are added.

    Raises:
        CodegenError: A body has no properties, or would get the name of another component.
    """
    naming = _Naming(components)
    unwrapped: list[OperationNode] = []
    for node in nodes:
        if node.body is None:
            unwrapped.append(node)
            continue
        with guarded(*node.place):
            wrapper, schema = _unwrap(node, node.body.schema, semantics)
            read_values_inside(schema)
            owner = names.pascal(names.singular(node.resource))
            naming.take(owner, names.pascal(node.name), schema, node.body.place)
            component = names.pascal(node.name) + owner
            body = attrs.evolve(node.body, wrapper=wrapper, schema=schema, component=component)
            unwrapped.append(attrs.evolve(node, body=body))
    naming.name_all()
    for node in unwrapped:
        if node.body is not None:
            name = node.body.component
            if name in components:
                msg = f"{node.id}: its body would be named {name}, which exists: name it in overrides/semantics.yaml"
                safe = f"{node.method.lower()}_{node.name}"
                proposal = Proposal("names", node.id, safe, "how should the method be called?")
                raise CodegenError(msg, node.place, proposals=[proposal])
            components[name] = ComponentNode(name, node.body.schema, is_input=True, place=node.body.place)
    return unwrapped


def _unwrap(node: OperationNode, schema: Json, semantics: Semantics) -> tuple[str | None, Json]:
    """(wrapper, object) of `{wrapper: object}`, or of `{wrapper: object, plural: [object, …]}`."""
    schema = _merged(node, schema)
    properties: Json = {name: _flattened(node, each) for name, each in schema.get("properties", {}).items()}
    if not properties:
        kind = (
            "a list"
            if schema.get("type") == "array"
            else "a map"
            if "additionalProperties" in schema
            else "empty"
        )
        msg = (
            f"{node.id}: its body is {kind}, and has no properties that could become arguments: declare an object in "
            "overrides/overlay.yaml, or remove the operation there and send it with `kantata.request`"
        )
        raise CodegenError(msg, node.body.place if node.body else node.place)
    objects = {
        name: each
        for name, each in properties.items()
        if each.get("type", "object") == "object" and "properties" in each
    }
    if node.id in semantics.wrappers:
        return _decided(node, semantics.wrappers[node.id], schema, objects)
    arrays = {name: each for name, each in properties.items() if each.get("type") == "array"}
    if len(objects) == 1 and len(objects) + len(arrays) == len(properties) and len(arrays) <= 1:
        ((wrapper, inner),) = objects.items()
        return wrapper, inner
    if objects:
        others = ", ".join(repr(name) for name in properties)
        msg = (
            f"{node.id}: its body has {others}, so that it is not clear which of them wraps the properties: say so under "
            "`wrappers` in overrides/semantics.yaml (null: none), or remove one in overrides/overlay.yaml"
        )
        proposal = Proposal(
            "wrappers", node.id, None, f"which of {', '.join(properties)} wraps the properties?"
        )
        raise CodegenError(msg, node.body.place if node.body else node.place, proposals=[proposal])
    return None, {**schema, "properties": properties}


def _decided(
    node: OperationNode, wrapper: str | None, schema: Json, objects: Json
) -> tuple[str | None, Json]:
    if wrapper is None:
        return None, schema
    if wrapper not in objects:
        msg = f"wrappers: {node.id}: its body has no object {wrapper!r}; delete the line, or correct it"
        raise CodegenError(msg, ("wrappers", node.id), facts=True)
    return wrapper, objects[wrapper]


def _flattened(node: OperationNode, schema: Json) -> Json:
    """The same with `allOf` merged, wherever it stands inside."""
    found = dict(_merged(node, schema))
    if isinstance(found.get("properties"), dict):
        found["properties"] = {name: _flattened(node, each) for name, each in found["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _flattened(node, found[key])
    return found


def _merged(node: OperationNode, schema: Json) -> Json:
    """The object that `allOf` composes; other compositions become plain JSON."""
    for key in ("oneOf", "anyOf"):
        if key in schema and not schema.get("properties"):
            return {name: value for name, value in schema.items() if name != key}  # any JSON
    if "allOf" not in schema:
        return schema
    merged: Json = {"type": "object", "properties": {}, "required": []}
    for part in ({name: value for name, value in schema.items() if name != "allOf"}, *schema["allOf"]):
        flat = _merged(node, part)
        for name, value in flat.get("properties", {}).items():
            if merged["properties"].setdefault(name, value) != value:
                msg = f"{node.id}: `allOf` in its body gives {name!r} two types: leave one in overrides/overlay.yaml"
                raise CodegenError(msg, node.body.place if node.body else node.place)
        merged["required"] += flat.get("required", [])
    said = {name: schema[name] for name in ("description",) if name in schema}
    return (
        merged | said
        if merged["required"]
        else {"type": "object", "properties": merged["properties"], **said}
    )


@attrs.frozen
class _Found:
    name: str
    owner: str
    verb: str
    structure: str
    schema: Json
    place: Place


class _Naming:
    """Names for the objects inside bodies: the same structure gets one name, `ExternalReferenceInput`."""

    def __init__(self, components: dict[str, ComponentNode]) -> None:
        self._components = components
        self._found: list[_Found] = []

    def take(self, owner: str, verb: str, schema: Json, place: Place) -> None:
        for name, value in schema.get("properties", {}).items():
            for inner in objects_in(value):
                self.take(owner, verb, inner, place)
                self._found.append(
                    _Found(names.pascal(names.singular(name)), owner, verb, structure(inner), inner, place)
                )

    def name_all(self) -> None:
        shapes: dict[str, Counter[str]] = {}
        for each in self._found:
            shapes.setdefault(each.name, Counter())[each.structure] += 1
        chosen: dict[tuple[str, str], str] = {}
        for each in self._found:
            if (each.name, each.structure) not in chosen:
                candidates = [f"{each.owner}{each.name}Input", f"{each.verb}{each.owner}{each.name}Input"]
                if shapes[each.name].most_common(1)[0][0] == each.structure:
                    candidates.insert(0, f"{each.name}Input")
                name = next(candidate for candidate in candidates if candidate not in self._components)
                chosen[each.name, each.structure] = name
                self._components[name] = ComponentNode(name, {}, is_input=True, place=each.place)
        for each in self._found:  # inner objects come before the objects that hold them
            name = chosen[each.name, each.structure]
            self._components[name].schema.update(each.schema)
            description = each.schema.get("description")
            each.schema.clear()
            each.schema.update(
                {"$ref": COMPONENTS + name} | ({"description": description} if description else {})
            )
