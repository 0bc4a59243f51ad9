"""Normalise: the corrected contract as nodes (`codegen.nodes`) that a generator can take literally.

Names become Python's, prose that states a type becomes that type, each inline object gets a name, every field of a response
may be missing or null, and the envelope around every answer is described once, as data.
"""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from codegen import names
from codegen.bodies import name_bodies
from codegen.dialect import operations, to_openapi_3
from codegen.errors import CodegenError, Proposal, guarded, outdated, parameter_place
from codegen.markup import plain
from codegen.nodes import COMPONENTS, BodyNode, ComponentNode, Contract, OperationNode, ParameterNode
from codegen.prose import DEPRECATED, bulk_limit, has_own_rate_limit, read_parameters, says
from codegen.references import inline
from codegen.relax import relax
from codegen.results import describe_results
from codegen.schemas import default_of_schema, mappings
from kantata_client._resources.base import Resource

if TYPE_CHECKING:
    from codegen.nodes import Place
    from codegen.semantics import Semantics

Json = dict[str, Any]


def normalise(contract: Json, semantics: Semantics) -> Contract:
    """The contract as nodes.

    Args:
        contract: The corrected contract as `codegen.resolve.resolve` returns it; not changed.
        semantics: Facts of `overrides/semantics.yaml`.

    Raises:
        CodegenError: Something can't be expressed; the message names the operation, parameter or definition.
    """
    document = to_openapi_3(contract)
    inline(document)
    components = _name_definitions(document, semantics)
    nodes = _name_operations(document, semantics)
    read: list[OperationNode] = []
    for node in nodes:
        with guarded(*node.place):
            _check_placeholders(node)
            read.append(read_parameters(node))
    nodes = name_bodies(read, components, semantics)
    nodes = describe_results(nodes, components, semantics)
    relax(components, nodes)
    servers = tuple(str(each["url"]) for each in document.get("servers", ()))
    return Contract(document["info"], servers, tuple(nodes), components)


def _name_definitions(document: Json, semantics: Semantics) -> dict[str, ComponentNode]:
    """Components by class name; titles are dropped, since the parser would prefer them, and they collide."""
    schemas: Json = document["components"]["schemas"]
    renamed = {name: semantics.classes.get(name, names.class_name(name)) for name in schemas}
    for name, times in Counter(renamed.values()).items():
        if times > 1:
            clashing = sorted(old for old, new in renamed.items() if new == name)
            msg = (
                f"definitions {', '.join(clashing)} would all be the class {name}: name them under `classes` in "
                "overrides/semantics.yaml"
            )
            raise CodegenError(msg, ("definitions", clashing[0]), proposals=_classes(clashing, renamed))
    for (old, cls), module in zip(renamed.items(), map(names.snake, renamed.values()), strict=True):
        with guarded("definitions", old):
            _check_class(old, cls, module, renamed)
    for each in mappings([schemas, document["paths"]]):
        if isinstance(reference := each.get("$ref"), str) and reference.startswith(COMPONENTS):
            old = reference.removeprefix(COMPONENTS)
            if old not in renamed:
                msg = f"a reference points to definition {old!r}, which does not exist"
                raise CodegenError(msg)
            each["$ref"] = COMPONENTS + renamed[old]
        if isinstance(each.get("title"), str) and "type" in each:
            del each["title"]
    return {
        renamed[old]: ComponentNode(
            renamed[old], schema, is_input=False, place=("definitions", old), definition=old
        )
        for old, schema in schemas.items()
    }


_TAKEN = frozenset(
    {
        "Model",
        "One",
        "Many",
        "Polymorphic",
        "ClassVar",
        "Literal",
        "NotRequired",
        "TypedDict",
        "TypeAlias",
        "Mapping",
    }
    | {
        "Sequence",
        "Iterable",
        "AsyncIterable",
        "File",
        "Unset",
        "Paginator",
        "BulkRun",
        "Progress",
    }
    | {"ExternalReferenceKey", "Operation", "Parameter", "Body", "Reference", "None", "True", "False"}
)
"""What generated modules call by these names already."""
_LONGEST = 100
"""Letters of a name; files are named after it."""


def _classes(clashing: list[str], renamed: dict[str, str]) -> list[Proposal]:
    """Proposed classes for all but one of the definitions that clash; the one that is spelled like a class keeps its own."""

    def unusual(definition: str) -> tuple[bool, bool, str]:
        cls = renamed[definition]
        return names.pascal(names.snake(cls)) != cls, definition != cls, definition

    return [_class(each, renamed) for each in sorted(clashing, key=unusual)[1:]]


def _class(definition: str, renamed: dict[str, str]) -> Proposal:
    """A proposed class for a definition."""
    words = [word[0].upper() + word[1:] for word in re.split(r"[^0-9A-Za-z]+", definition) if word]
    spelled = "".join(words)[: _LONGEST // 2]
    spelled = spelled if spelled.isidentifier() else f"Definition{spelled}"
    modules = {names.snake(each) for each in (*renamed.values(), *_TAKEN)} | {"inputs"}
    candidates = (spelled, f"{spelled}Record", *(f"{spelled}Record{number}" for number in range(2, 1000)))
    new = next(each for each in candidates if names.snake(each) not in modules)
    return Proposal("classes", json.dumps(definition), new, "how should its class be called?")


def _check_class(definition: str, cls: str, module: str, renamed: dict[str, str]) -> None:
    way_out = "rename its class under `classes` in overrides/semantics.yaml"
    sharing = [each for each in renamed.values() if names.snake(each) == module]
    proposals: list[Proposal] = []
    if len(sharing) > 1:
        clashing = sorted(old for old, new in renamed.items() if new in sharing)
        proposals = _classes(clashing, renamed)
        msg = f"definitions {', '.join(sorted(set(sharing)))} would all be in the module {module}: {way_out}"
    elif cls in _TAKEN or module in ("inputs", "__init__") or keyword.iskeyword(module):
        msg = f"definition {definition}: generated modules use the name {cls!r} for something else: {way_out}"
        proposals = [_class(definition, renamed)]
    elif not cls.isidentifier() or len(cls) > _LONGEST:
        msg = f"definition {definition!r}: {cls!r} can't be the name of a class: {way_out}"
        proposals = [_class(definition, renamed)]
    else:
        return
    raise CodegenError(msg, proposals=proposals)


def _name_operations(document: Json, semantics: Semantics) -> list[OperationNode]:
    collections = names.find_collections(document["paths"])
    taken: dict[tuple[str, str], str] = {}
    nodes: list[OperationNode] = []
    for method, path, operation in operations(document):
        where, place = f"{method} {path}", ("paths", path, method.lower())
        with guarded(*place):
            by_rule = names.resource_and_method(method.lower(), path, collections)
            resource, name = _named(where, by_rule, semantics)
            places = Counter(parameter["name"] for parameter in operation["parameters"])
            if twice := [each for each, times in places.items() if times > 1]:
                msg = f"{where}: parameter {twice[0]!r} is declared in two places; correct it in overrides/overlay.yaml"
                raise CodegenError(msg)
            if (resource, name) in taken:
                both = f"{where} and {taken[resource, name]}"
                msg = f"{both} would both be {resource}.{name}: name one in overrides/semantics.yaml"
                raise CodegenError(msg, proposals=[_name(where, f"{method.lower()}_{name}")])
            taken[resource, name] = where
            prose = plain(operation.get("description", ""))
            nodes.append(
                OperationNode(
                    method=method,
                    path=path,
                    resource=resource,
                    name=name,
                    summary=operation.get("summary", "").strip(),
                    description=prose,
                    bulk_limit=bulk_limit(prose),
                    own_rate_limit=has_own_rate_limit(prose),
                    tags=tuple(operation.get("tags", ())),
                    parameters=tuple(
                        _parameter(each, (*place, "parameters", parameter_place(each)))
                        for each in operation["parameters"]
                    ),
                    body=_body(operation, (*place, "parameters", "body body")),
                    responses=operation["responses"],
                    place=place,
                    deprecated=operation.get("deprecated") is True or says(DEPRECATED, prose),
                )
            )
    return nodes


def _check_placeholders(node: OperationNode) -> None:
    """Refuse a path whose placeholders differ from the declared path parameters."""
    placeholders = {each.strip("{}") for each in names.segments(node.path) if names.is_placeholder(each)}
    declared = {each.name for each in node.parameters if each.location == "path"}
    if odd := sorted(placeholders ^ declared):
        what = (
            "is no placeholder of its path" if odd[0] in declared else "is not declared as a path parameter"
        )
        msg = f"{node.id}: {odd[0]!r} {what}: correct it in overrides/overlay.yaml"
        raise CodegenError(msg)


def _parameter(parameter: Json, place: Place) -> ParameterNode:
    # A default is what the service assumes, not what the client sends: the parser must not see it.
    schema = {key: value for key, value in parameter["schema"].items() if key != "default"}
    return ParameterNode(
        name=parameter["name"],
        location=parameter["in"],
        schema=schema,
        description=parameter.get("description", ""),
        required=parameter.get("required", False),
        default=default_of_schema(parameter["schema"]) if parameter["in"] == "query" else None,
        place=place,
        deprecated=parameter.get("deprecated", False) is True,
    )


def _body(operation: Json, place: Place) -> BodyNode | None:
    if "requestBody" not in operation:
        return None
    ((media, content),) = operation["requestBody"]["content"].items()
    required = operation["requestBody"].get("required", False)
    return BodyNode("", media, None, required, content["schema"], place)


def _named(where: str, by_rule: tuple[str, str], semantics: Semantics) -> tuple[str, str]:
    """The resource and the method of an operation; `names` gives the method, or both."""
    given = semantics.names.get(where)
    resource, name = by_rule
    if given is not None:
        resource, _, name = given.rpartition(".")
        resource = resource or by_rule[0]
        if (resource, name) == by_rule:
            msg = f"names: {where}: it is {name!r} without this line; delete the line"
            outdated(msg, ("names", where), facts=True)
    for word in (resource, name):
        if keyword.iskeyword(word) or not word.isidentifier() or word.startswith("_") or len(word) > _LONGEST:
            msg = f"{where}: {word!r} can't be the name of a {'resource' if word == resource else 'method'}: "
            safe = f"{where.split(maxsplit=1)[0].lower()}_{re.sub(r'[^0-9A-Za-z]+', '_', name).strip('_')}"
            proposals = [_name(where, safe)] if word == name else []
            raise CodegenError(msg + "name it in overrides/semantics.yaml", proposals=proposals)
    if name in ("create_many", "update_many") or hasattr(Resource, name):
        msg = f"{where}: {name!r} is what every resource has already: name it in overrides/semantics.yaml"
        raise CodegenError(msg, proposals=[_name(where, f"{where.split(maxsplit=1)[0].lower()}_{name}")])
    return resource, name


def _name(where: str, name: str) -> Proposal:
    return Proposal("names", where, name, "how should the method be called?")
