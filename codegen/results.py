"""Results: what each operation returns, as data instead of a response class for each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import attrs

from codegen import names
from codegen.errors import CodegenError, action, guarded, outdated
from codegen.nodes import COMPONENTS, ComponentNode
from codegen.references import ENVELOPE
from codegen.schemas import structure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codegen.nodes import OperationNode, Place
    from codegen.semantics import Semantics
    from kantata_client._contract import Result

Json = dict[str, Any]

_BOOKKEEPING = frozenset({"count", "meta", "results"})


def describe_results(
    nodes: Iterable[OperationNode], components: dict[str, ComponentNode], semantics: Semantics
) -> list[OperationNode]:
    """The operations with their results; components for objects that responses declare inline are added.

    Raises:
        CodegenError: A response can't be expressed, or a fact of `results` does not fit it.
    """
    described: list[OperationNode] = []
    for node in nodes:
        with guarded(*node.place):
            described.append(_described(node, components, semantics.results.get(node.id)))
    return described


def _described(
    node: OperationNode, components: dict[str, ComponentNode], decided: Result | None
) -> OperationNode:
    status, response = _success(node)
    node = attrs.evolve(node, status=status)
    schema = _json_schema(response)
    if decided in ("file", "none") and (decided, schema) != ("none", None):
        return attrs.evolve(node, result=decided)
    owner = names.pascal(names.singular(node.resource))
    standard = node.name in ("list", "get", "create", "update")
    if owner == names.pascal(node.resource):  # the class of the resource itself is called so
        standard = False
    plain = owner if standard else f"{owner}{names.pascal(node.name)}Result"
    place = (*node.place, "responses", status)
    fitting: tuple[str, ...] = ()
    result: Result
    if schema is None:
        result = "none"
    elif schema.get("type") == "file":
        result = "file"
    elif schema.get("type") == "array":
        result = "array"
        node = attrs.evolve(node, model=_component(node.id, plain, schema["items"], components, place))
    elif set(schema.get("properties", {})) >= ENVELOPE:
        result, fitting = _result_in_envelope(node), ("page", "one", "many")
        node = _with_envelope(node, schema["properties"], components, place)
    elif "properties" not in schema and isinstance(schema.get("additionalProperties"), dict):
        result = "keyed"
        values = schema["additionalProperties"]
        node = attrs.evolve(node, model=_component(node.id, plain, values, components, place))
    else:
        result = "object"
        node = attrs.evolve(node, model=_component(node.id, plain, schema, components, place))
    if decided is not None and (decided == result or decided not in fitting):
        why = "is so without this line" if decided == result else f"does not fit what is declared, {result!r}"
        msg = f"results: {node.id}: {decided!r} {why}; delete the line, or correct it"
        outdated(msg, ("results", node.id), facts=True)
        decided = None
    return attrs.evolve(node, result=decided or result)


def _success(node: OperationNode) -> tuple[str, Json]:
    found = [
        (str(status), response) for status, response in node.responses.items() if str(status).startswith("2")
    ]
    if len({json.dumps(response, sort_keys=True) for _, response in found}) == 1:
        found = found[:1]
    if len(found) != 1:
        msg = f"{node.id}: {len(found)} success responses are declared; correct it in overrides/overlay.yaml"
        at = (*node.place, "responses")
        added = {"204" if node.method == "DELETE" else "200": {"description": "Success."}}
        proposals = [
            action((*at, status), "which success is the usual one?", remove=True) for status, _ in found[1:]
        ]
        if not found:
            proposals = [action(at, "what does it answer when it succeeds?", update=added)]
        raise CodegenError(msg, at, proposals=proposals)
    status, response = found[0]
    if status.upper() == "2XX":
        return "200", response
    int(status)
    return status, response


def _json_schema(response: Json) -> Json | None:
    contents: Json = response.get("content", {})
    for media in ("application/json", *contents):
        if media in contents:
            return contents[media].get("schema")
    return None


def _with_envelope(
    node: OperationNode, properties: Json, components: dict[str, ComponentNode], place: Place
) -> OperationNode:
    envelope: dict[str, str] = {}
    for key, schema in properties.items():
        if key in _BOOKKEEPING:
            continue
        values: Any = schema.get("additionalProperties")
        if not isinstance(values, dict):
            msg = (
                f"{node.id}: the objects under {key!r} are not declared as a map by id; correct it in "
                "overrides/overlay.yaml"
            )
            raise CodegenError(msg, place)
        name = names.pascal(names.singular(key))
        envelope[key] = _component(node.id, name, cast("Json", values), components, place)
    if not envelope:
        msg = f"{node.id}: its envelope holds no objects"
        raise CodegenError(msg, place)
    classes = {each.definition: name for name, each in components.items() if each.definition is not None}
    key = _key(node, envelope, classes)
    return attrs.evolve(node, envelope=envelope, key=key, model=envelope[key])


def _key(node: OperationNode, envelope: dict[str, str], classes: dict[str, str]) -> str:
    """The key of the results: the resource, or else the one key that no association brings."""
    if node.resource in envelope:
        return node.resource
    associated = {classes.get(each.type, names.class_name(each.type)) for each in node.associations}
    own = [key for key, model in envelope.items() if model not in associated]
    return next(iter(own or envelope))


def _result_in_envelope(node: OperationNode) -> Result:
    if node.method == "GET":
        walked = node.name == "list" or any(each.name == "page" for each in node.parameters)
        return "page" if walked else "one"
    custom = node.name not in ("create", "update")
    return "many" if custom and "{" not in node.path else "one"


def _component(
    where: str, name: str, schema: Json, components: dict[str, ComponentNode], place: Place
) -> str:
    """The name of the component that a response's object is; an inline object becomes one."""
    if "$ref" in schema:
        return schema["$ref"].removeprefix(COMPONENTS)
    if name in components:
        if structure(components[name].schema) != structure(schema):
            msg = f"{where}: its object would be named {name}, which is something else; name it in codegen/results.py"
            raise CodegenError(msg, place)
    else:
        components[name] = ComponentNode(name, schema, is_input=False, place=place)
    return name
