"""Operations: what the templates print of operations and of the resources that have them as methods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from codegen import names
from codegen.arguments import endpoints, literal, text
from codegen.errors import CodegenError, Proposal, guarded, outdated
from codegen.facts import Argument, BodyFacts, OperationFacts, ResourceFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openapi_python_client.parser.openapi import Endpoint, GeneratorData

    from codegen.arguments import Reader
    from codegen.nodes import Contract, OperationNode
    from codegen.semantics import Semantics


def resources(
    contract: Contract, data: GeneratorData, keys: Mapping[str, str], semantics: Semantics, reader: Reader
) -> tuple[ResourceFacts, ...]:
    """The resources with their operations.

    Args:
        contract: The nodes.
        data: What the parser made of them.
        keys: Envelope key → the model that its objects usually are.
        semantics: Facts of `overrides/semantics.yaml`.
        reader: The types.

    Raises:
        CodegenError: An operation can't be expressed, or a fact does not fit it.
    """
    parsed = endpoints(data, contract.components)
    found: list[OperationFacts] = []
    for node in contract.operations:
        with guarded(*node.place):
            found.append(_operation(node, parsed, keys, reader, contract, semantics))
            _check_arguments(found[-1])
            _check_class(found[-1], contract)
            _check_bulk(found[-1], semantics)
    grouped = _grouped(_link_external_references(found))
    return tuple(_deciding(grouped, semantics).values())


def _operation(
    node: OperationNode,
    parsed: Mapping[str, Endpoint],
    keys: Mapping[str, str],
    reader: Reader,
    contract: Contract,
    semantics: Semantics,
) -> OperationFacts:
    where = node.id
    if where not in parsed:
        msg = f"{where}: the generator dropped it"
        raise CodegenError(msg, vague=True)
    endpoint = parsed[where]
    known = {text(each.name): each for each in (*endpoint.path_parameters, *endpoint.query_parameters)}
    if missing := {each.name for each in node.parameters} - known.keys():
        msg = f"{where}: parameters {sorted(missing)} can't be expressed"
        raise CodegenError(msg)
    arguments = {each.name: reader.parameter(where, known[each.name], each) for each in node.parameters}
    return OperationFacts(
        method=node.method,
        path=node.path,
        resource=node.resource,
        name=node.name,
        summary=node.summary,
        description=node.description,
        tags=node.tags,
        result=node.result,
        model=node.model,
        key=node.key,
        keys={key: model for key, model in node.envelope.items() if keys[key] != model},
        path_arguments=tuple(
            arguments[part.strip("{}")] for part in names.segments(node.path) if names.is_placeholder(part)
        ),
        query=tuple(arguments[each.name] for each in node.parameters if each.location == "query"),
        body=_body(node, reader, bulk=_creates_many(node, semantics)),
        bulk_limit=_bulk_limit(node, semantics),
        own_rate_limit=node.own_rate_limit or where in semantics.own_rate_limit,
        deprecated=node.deprecated,
        external_reference=False,
        widest=dict(semantics.widest.get(where, {})),
        action=semantics.repeatable.get(where) is False,
        upsert=where in semantics.upserts,
        identified_by=semantics.identified_by.get(where, ()),
        stable_by=_stable_by(node, arguments, contract),
        alternative=_alternative(node, contract, semantics),
    )


def check_repeatable(operations: Iterable[OperationFacts], semantics: Semantics) -> None:
    """Check that `repeatable` decides about each PUT that could be an action.

    Raises:
        CodegenError: One is not decided, or the decision says what is so without it.
    """
    for operation in operations:
        if operation.method != "PUT":
            continue
        where, of_a_record = operation.id, names.is_placeholder(names.segments(operation.path)[-1])
        decided = semantics.repeatable.get(where)
        if decided is None and not of_a_record:
            msg = (
                f"{where}: it is not decided whether the client may repeat it after a lost response. Add it to `repeatable` "
                "in overrides/semantics.yaml: true if it sets values, false if it does something each time"
            )
            proposal = Proposal("repeatable", where, False, "may it be repeated after a lost response?")
            with guarded("paths", operation.path, "put"):
                raise CodegenError(msg, proposals=[proposal])
        if decided and of_a_record:
            msg = f"repeatable: {where}: a PUT on a record is repeatable without this line; delete it"
            outdated(msg, ("repeatable", where), facts=True)


def _creates_many(node: OperationNode, semantics: Semantics) -> bool:
    """Whether it also takes an array under the plural: by the semantics, or by a number in its description."""
    wrapped = node.name == "create" and node.body is not None and node.body.wrapper is not None
    return node.id in semantics.bulk_create or (wrapped and node.bulk_limit is not None)


def _bulk_limit(node: OperationNode, semantics: Semantics) -> int | None:
    """The most objects or ids in one request; the semantics and the contract must agree.

    Raises:
        CodegenError: They differ.
    """
    known = semantics.bulk_stated(node.id)
    if known is not None and node.bulk_limit not in (None, known):
        msg = (
            f"{node.id}: the contract allows {node.bulk_limit} objects in one request, but overrides/semantics.yaml says "
            f"{known}: correct the number there"
        )
        raise CodegenError(msg)
    deletes = node.name == "delete_many" or _creates_many(node, semantics)
    if semantics.bulk_limit(node.id) is None:
        return node.bulk_limit if deletes else None
    return known or node.bulk_limit or semantics.bulk_limit_unless_stated


def _check_arguments(operation: OperationFacts) -> None:
    """Refuse two arguments of one method with the same keyword."""
    places = {"self": "what the method is called on", operation.constant: "its operation"}
    places |= {operation.model: "its result"} if operation.model else {}
    places |= dict.fromkeys(("extra_query", "extra_body"), "what the contract lacks")
    body = operation.body.arguments if operation.body else ()
    for place, arguments in (("path", operation.path_arguments), ("query", operation.query), ("body", body)):
        for argument in arguments:
            if argument.keyword in places:
                msg = (
                    f"{operation.id}: `{argument.keyword}` would be the keyword of {argument.name!r} in the {place} and of "
                    f"{places[argument.keyword]}: rename or remove one in overrides/overlay.yaml"
                )
                raise CodegenError(msg)
            places[argument.keyword] = f"{argument.name!r} in the {place}"
    for argument in operation.query:
        if argument.name in ("include", "only", "optional_fields") and not argument.many:
            msg = (
                f"{operation.id}: `{argument.name}` must be a text that lists names or ids, and is declared as "
                f"{argument.kind}: correct it in overrides/overlay.yaml"
            )
            raise CodegenError(
                msg,
                ("paths", operation.path, operation.method.lower(), "parameters", f"query {argument.name}"),
            )


def _check_class(operation: OperationFacts, contract: Contract) -> None:
    """Refuse a result whose class has the name of the resource's class, since both are in one module."""
    name = names.pascal(operation.resource)
    if name in (operation.model, *operation.keys.values()):
        definition = next((old for old, new in contract.classes.items() if new == name), name)
        msg = (
            f"{operation.id}: the class of the resource {operation.resource!r} and that of definition {definition!r} would "
            f"both be {name}: name the latter under `classes` in overrides/semantics.yaml"
        )
        proposal = Proposal(
            "classes", json.dumps(definition), f"{name}Record", "how should its class be called?"
        )
        raise CodegenError(msg, proposals=[proposal])


def _check_bulk(operation: OperationFacts, semantics: Semantics) -> None:
    """Refuse operations that `create_many` or `delete_many` could not send completely."""
    name = operation.id
    if name in semantics.bulk_create and (operation.name != "create" or operation.body is None):
        msg = f"bulk_create: {name} is not a creation with a body, so `create_many` can't use it"
        raise CodegenError(msg, ("bulk_create", name), facts=True)
    if name in semantics.bulk_delete and operation.name != "delete_many":
        msg = f"bulk_delete: {name} is not a deletion on a collection, so `delete_many` can't use it"
        raise CodegenError(msg, ("bulk_delete", name), facts=True)
    properties = {each.name for each in operation.body.arguments} if operation.body else set[str]()
    if strange := [field for field in operation.identified_by if field not in properties]:
        msg = f"identified_by: the body of {name} has no property {strange[0]!r}; correct or delete the line"
        raise CodegenError(msg, ("identified_by", name), facts=True)
    if operation.name != "delete_many":
        return
    way_out = "name it in overrides/semantics.yaml, and it gets a method of its own"
    if (
        operation.method != "DELETE"
        or operation.path_arguments
        or operation.body
        or [each.name for each in operation.query] != ["ids"]
    ):
        msg = f"{name}: `delete_many` sends `ids` in the query and nothing else, but this operation takes more: {way_out}"
        proposal = Proposal("names", name, "delete_several", "how should the method be called?")
        raise CodegenError(msg, proposals=[proposal])
    if operation.bulk_limit is None:
        msg = f"{name}: how many ids it takes is not known: say so under `bulk_delete`, or {way_out}"
        raise CodegenError(msg, proposals=[Proposal("bulk_delete", name, None, "how many ids does it take?")])


def _stable_by(node: OperationNode, arguments: Mapping[str, Argument], contract: Contract) -> str | None:
    """The time by which a list can be sorted and filtered, and which its objects have; that of creation never changes."""
    if node.result != "page" or node.model is None or not {"order", "page", "per_page"} <= arguments.keys():
        return None
    fields = contract.components[node.model].schema["properties"]
    for by, after in (("created_at", "created_after"), ("updated_at", "updated_after")):
        timed = fields.get(by, {}).get("format") == "date-time" and after in arguments
        if timed and f"{by}:asc" in arguments["order"].values:
            return by
    return None


def _alternative(node: OperationNode, contract: Contract, semantics: Semantics) -> tuple[str, str] | None:
    known = semantics.alternatives.get(node.id)
    if known is None:
        return None
    body = contract.components[node.body.component].schema if node.body else {}
    if known.when not in {names.python_name(each) for each in body.get("properties", {})}:
        msg = f"alternatives: {node.id}: its body has no property {known.when!r}; delete the line, or correct it"
        raise CodegenError(msg, ("alternatives", node.id), facts=True)
    return known.when, contract.classes[known.definition]


def _body(node: OperationNode, reader: Reader, *, bulk: bool) -> BodyFacts | None:
    if node.body is None:
        return None
    return BodyFacts(
        arguments=reader.arguments(node.id, node.body.component),
        wrapper=node.body.wrapper,
        plural=node.resource if bulk else None,
        multipart=node.body.media == "multipart/form-data",
        input_class=node.body.component,
    )


def _link_external_references(found: list[OperationFacts]) -> list[OperationFacts]:
    """Mark the creations whose record can be found again by its external reference."""
    filtered = {
        operation.resource
        for operation in found
        if operation.name == "list"
        and {"external_reference_service_name", "external_reference_service_model_refs"}
        <= {argument.name for argument in operation.query}
    }
    return [
        attrs.evolve(operation, external_reference=True)
        if operation.name == "create"
        and operation.resource in filtered
        and operation.body is not None
        and any(argument.name == "external_reference" for argument in operation.body.arguments)
        else operation
        for operation in found
    ]


def _grouped(found: list[OperationFacts]) -> dict[str, ResourceFacts]:
    grouped: dict[str, list[OperationFacts]] = {}
    for operation in found:
        grouped.setdefault(operation.resource, []).append(operation)
    return {name: _with_aliases(name, grouped[name]) for name in sorted(grouped)}


def _deciding(resources: dict[str, ResourceFacts], semantics: Semantics) -> dict[str, ResourceFacts]:
    """Add the methods that decide on several objects to the resources of these objects."""
    known = dict(resources)
    for operation, place in semantics.decisions.items():
        name, _, method = place.partition(".")
        if name not in known or method in {each.name for each in known[name].operations}:
            msg = f"decisions: {operation}: {place!r} is not a free method of a resource"
            raise CodegenError(msg, ("decisions", operation), facts=True)
        decision = {method: (operation, semantics.bulk_limit_unless_stated)}
        known[name] = attrs.evolve(known[name], decisions={**known[name].decisions, **decision})
    return known


def _with_aliases(name: str, found: list[OperationFacts]) -> ResourceFacts:
    """Give each list of values in a resource a name: `Include`, `Order`.

    Lists of one name that have most of their values in common share it, so that a value which one of them gains or loses
    renames nothing that users import; the alias then has the values of all, and an operation checks its own.
    """
    classes = {names.pascal(name)}
    for operation in found:
        classes |= {model for argument in _given(operation) for model in argument.models}
        classes |= {model for model in (operation.model, *(operation.alternative or ())) if model}
    aliases: dict[str, tuple[str | int, ...]] = {}
    chosen: dict[tuple[str, str, tuple[str | int, ...]], str] = {}
    for operation in found:
        for argument in _given(operation):
            if argument.values:
                alias = _alias(argument, operation, aliases, classes)
                known = aliases.get(alias, ())
                aliases[alias] = (*known, *(each for each in argument.values if each not in known))
                chosen[operation.name, argument.name, argument.values] = alias

    def aliased(arguments: tuple[Argument, ...], operation: OperationFacts) -> tuple[Argument, ...]:
        return tuple(
            _renamed(each, alias, aliases[alias])
            if (alias := chosen.get((operation.name, each.name, each.values)))
            else each
            for each in arguments
        )

    listed: list[OperationFacts] = []
    for operation in found:
        body = operation.body
        if body is not None:
            body = attrs.evolve(body, arguments=aliased(body.arguments, operation))
        listed.append(attrs.evolve(operation, query=aliased(operation.query, operation), body=body))
    return ResourceFacts(name, tuple(listed), aliases)


def _given(operation: OperationFacts) -> tuple[Argument, ...]:
    return (*operation.query, *(operation.body.arguments if operation.body else ()))


def _alias(
    argument: Argument,
    operation: OperationFacts,
    aliases: Mapping[str, tuple[str | int, ...]],
    classes: set[str],
) -> str:
    word = names.singular(argument.keyword) if argument.many else argument.keyword.rstrip("_")
    for alias in (names.pascal(word), names.pascal(f"{operation.name}_{word}")):
        known, own = set(aliases.get(alias, ())), set(argument.values)
        alike = not known or known <= own or own <= known or 2 * len(known & own) >= len(known | own)
        if alias not in classes and alike:
            return alias
    msg = f"{operation.id}: no free name for the values of {argument.name!r}: rename its definition or method in overrides/"
    raise CodegenError(msg, ("paths", operation.path, operation.method.lower()))


def _renamed(argument: Argument, alias: str, values: tuple[str | int, ...]) -> Argument:
    annotation = argument.annotation.replace(literal(argument.values), alias)
    return attrs.evolve(argument, alias=alias, annotation=annotation, narrowed=values != argument.values)
