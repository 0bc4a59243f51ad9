"""Models: what the templates print of the classes of what is received, and of the inputs that bodies take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from codegen import names
from codegen.arguments import by_name, is_deprecated
from codegen.errors import CodegenError, Proposal, action, guarded, outdated
from codegen.facts import AssociationFacts, FieldFacts, InputFacts, ModelFacts
from codegen.markup import plain
from codegen.nodes import AssociationNode
from codegen.prose import DEPRECATED, says, sent_on_request, values_in
from codegen.relax import KNOWN_VALUES
from kantata_client._objects.model import Model

if TYPE_CHECKING:
    from openapi_python_client.parser.properties.protocol import PropertyProtocol

    from codegen.arguments import Reader
    from codegen.nodes import ComponentNode, Contract, Place
    from codegen.semantics import Semantics

Json = dict[str, Any]

_RESERVED = frozenset({*vars(Model), "self", "extra", "FIELDS", "KEY"})


def envelope_keys(contract: Contract) -> dict[str, str]:
    """Envelope key → the model that its objects usually are."""
    seen: dict[str, Counter[str]] = {}
    for node in contract.operations:
        for key, model in node.envelope.items():
            seen.setdefault(key, Counter())[model] += 1
    chosen: dict[str, str] = {}
    for key, models in sorted(seen.items()):
        own = names.pascal(names.singular(key))
        chosen[key] = own if own in models else models.most_common(1)[0][0]
    return chosen


def polymorphic_types(contract: Contract, keys: Mapping[str, str], semantics: Semantics) -> dict[str, str]:
    """Type name in a polymorphic reference → envelope key."""
    by_model = {model: key for key, model in keys.items()}
    types = {old: by_model[new] for old, new in contract.classes.items() if new in by_model}
    for name, key in semantics.types.items():
        if key not in keys or types.get(name) == key:
            why = "no answer has this key" if key not in keys else "it is so without this line"
            msg = f"types: {name}: {key}: {why}; delete the line, or correct it"
            outdated(msg, ("types", name), facts=True)
    return types | {name: key for name, key in semantics.types.items() if key in keys}


def models(
    reader: Reader, contract: Contract, keys: Mapping[str, str], semantics: Semantics
) -> tuple[ModelFacts, ...]:
    """The classes of what is received, with their fields and associations.

    Args:
        reader: The types.
        contract: The nodes.
        keys: Envelope key → the model that its objects usually are.
        semantics: Facts of `overrides/semantics.yaml`.

    Raises:
        CodegenError: A field can't be an attribute, or what an association refers to is not known.
    """
    if missing := {node.name for node in contract.received} - reader.models.keys():
        msg = f"definitions {sorted(missing)} can't be expressed"
        raise CodegenError(msg)
    found: dict[str, ModelFacts] = {}
    for node in contract.received:
        found[node.name] = ModelFacts(node.name, "", ())
        with guarded(*node.place):
            found[node.name] = _model(node.name, reader, node.place)
    for node in contract.received:
        with guarded(*node.place):
            _check_cycle(node, found)
    for key, model in keys.items():
        found[model] = attrs.evolve(found[model], key=key)
    every = _association_entries(contract)
    _check_associations(every, contract, semantics)
    for name, entries in every.items():
        component = contract.components[name]
        if component.faulty:
            continue
        associations: list[AssociationFacts] = []
        for entry in entries.values():
            with guarded(*entry.node.place):
                associations.append(_association(component, entry, keys, semantics, contract))
        with guarded(*component.place):
            found[name] = _with_associations(found[name], tuple(associations), component)
    return _nest(_sent_on_request(found, contract), contract)


def _check_cycle(node: ComponentNode, found: Mapping[str, ModelFacts]) -> None:
    """Refuse fields that lead back to their own class: modules that import each other could not be imported."""
    seen: set[str] = set()
    waiting = [(each.name, model) for each in found[node.name].fields for model in sorted(each.models)]
    for field, model in waiting:  # grows while it is walked
        if model == node.name:
            msg = (
                f"{node.name}.{field}: its object leads back to {node.name} itself, which no class can: make it plain JSON "
                "(`type: object`) in overrides/overlay.yaml, or list it in `include`"
            )
            at = (*node.place, "properties", field)
            plain_json = {"type": "object", "description": "An object that leads back to its owner."}
            proposal = action(
                at, "plain JSON, because it leads back to itself", x_was={}, x_replace=plain_json
            )
            raise CodegenError(msg, at, proposals=[proposal])
        if model not in seen and model in found:
            seen.add(model)
            waiting += [(field, inner) for each in found[model].fields for inner in sorted(each.models)]


def _with_associations(
    model: ModelFacts, associations: tuple[AssociationFacts, ...], component: ComponentNode
) -> ModelFacts:
    """The model with its associations, and with the fields of their ids where the contract does not list them."""
    fields = list(model.fields)
    for each in associations:
        if each.ids not in component.schema["properties"]:
            annotation = "list[str]" if each.many else "str"
            description = f"Present when `{each.name}` is included."
            fields.append(FieldFacts(each.ids, f"{annotation} | None", "None", description, frozenset()))
    fields.sort(key=lambda each: (each.name != "id", each.name))
    taken = {each.name for each in fields}
    for each in associations:
        if not _can_be_an_attribute(each.name):
            msg = (
                f"{model.name}: association {each.name!r} can't be an attribute: remove it from `include` in "
                "overrides/overlay.yaml"
            )
            raise CodegenError(msg)
        if each.name in taken or each.name in _RESERVED:
            msg = (
                f"{model.name}: association {each.name!r} has the name of a field, or of what all models have: "
                "remove one of them in overrides/overlay.yaml"
            )
            raise CodegenError(msg)
    return attrs.evolve(model, associations=associations, fields=tuple(fields))


def _sent_on_request(found: Mapping[str, ModelFacts], contract: Contract) -> dict[str, ModelFacts]:
    """The models, their fields marked that are sent only when `include` or `optional_fields` names something.

    The description of a field says so, or `optional_fields` of an operation that returns its model lists it. The field
    that refers to an association is sent with it where its description says so, and where the contract has no such field.
    """
    optional: dict[str, set[str]] = {}
    for node in contract.operations:
        for parameter in node.parameters:
            if parameter.name == "optional_fields" and node.model is not None:
                optional.setdefault(node.model, set()).update(
                    parameter.schema.get("items", {}).get("enum", ())
                )
    marked: dict[str, ModelFacts] = {}
    for name, model in found.items():
        names_of_fields = {each.name for each in model.fields}
        fields: list[FieldFacts] = []
        for each in model.fields:
            request = sent_on_request(each.description, names_of_fields)
            if request is None and each.name in optional.get(name, ()):
                request = ("optional_fields", "")
            fields.append(each if request is None or each.name == "id" else _marked(each, *request))
        marked[name] = attrs.evolve(model, fields=tuple(fields))
    return marked


def _marked(field: FieldFacts, parameter: str, association: str) -> FieldFacts:
    """The field, with a class attribute that says what has to be requested."""
    if field.default == "None":
        default = f'included("{association}")' if parameter == "include" else "optional()"
    else:
        argument = f'include="{association}"' if parameter == "include" else "optional=True"
        inside = field.default[:-1]
        default = f"{inside}{'' if inside.endswith('(') else ', '}{argument})"
    return attrs.evolve(field, default=default)


@attrs.frozen
class _Entry:
    """An association of a model, over all operations that return the model."""

    node: AssociationNode
    envelope: Mapping[str, str]


def _association_entries(contract: Contract) -> dict[str, dict[str, _Entry]]:
    """Model → association name → entry, over all operations that return the model; they must agree."""
    found: dict[str, dict[str, _Entry]] = {}
    for node in contract.operations:
        if not node.envelope or node.model is None:
            continue
        for entry in node.associations:
            entries = found.setdefault(node.model, {})
            known = entries.get(entry.name, _Entry(entry, {}))
            with guarded(*entry.place):
                agreed = _agreed(known.node, entry, node.id)
                entries[entry.name] = _Entry(agreed, {**node.envelope, **known.envelope})
    return found


def _agreed(known: AssociationNode, other: AssociationNode, where: str) -> AssociationNode:
    for part in ("type", "field", "key"):
        one, new = getattr(known, part), getattr(other, part)
        if one and new and one != new:
            msg = (
                f"{where}: association {other.name!r} has {part} {new!r}, elsewhere {one!r}; correct it in "
                "overrides/overlay.yaml"
            )
            raise CodegenError(msg, other.place)
    return attrs.evolve(
        known, type=known.type or other.type, field=known.field or other.field, key=known.key or other.key
    )


def _check_associations(
    every: Mapping[str, Mapping[str, _Entry]], contract: Contract, semantics: Semantics
) -> None:
    for definition, name in semantics.associations:
        if name not in every.get(contract.classes.get(definition, definition), {}):
            msg = f"associations: {definition}.{name}: no `include` brings it; delete the line, or correct it"
            outdated(msg, ("associations", definition, name), facts=True)


def _model(name: str, reader: Reader, place: Place) -> ModelFacts:
    schema, parsed = reader.schemas[name], by_name(reader.models[name])
    fields: list[FieldFacts] = []
    for wire, value in schema["properties"].items():
        if wire not in parsed:
            msg = f"{name}: field {wire!r} can't be expressed"
            raise CodegenError(msg)
        if not can_be_a_field(wire):
            msg = f"{name}: field {wire!r} can't be an attribute: remove it in overrides/overlay.yaml (`extra` keeps it)"
            at = (*place, "properties", wire)
            proposal = action(at, "`extra` keeps what can't be an attribute", remove=True)
            raise CodegenError(msg, at, proposals=[proposal])
        fields.append(_field(name, wire, parsed[wire], value, reader))
    fields.sort(key=lambda each: (each.name != "id", each.name))
    return ModelFacts(name, " ".join(schema.get("description", "").split()), tuple(fields))


def can_be_a_field(name: str) -> bool:
    """Whether a field of a response can be an attribute of a model."""
    return name not in _RESERVED and _can_be_an_attribute(name)


def _can_be_an_attribute(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_") and names.python_name(name) == name


def _field(owner: str, wire: str, parsed: PropertyProtocol, schema: Json, reader: Reader) -> FieldFacts:
    kind, annotation, models = reader.type(f"{owner}.{wire}", parsed, schema, given=False)
    deprecated = is_deprecated(schema)
    if wire == "id" and kind in ("string", "integer"):
        return FieldFacts(wire, annotation, '""' if kind == "string" else "0", "", frozenset())
    many = annotation.startswith(("list[", "dict["))
    if models:
        (inner,) = models
        default = f"nested({inner})" if not many else f"nested_{annotation[:4]}({inner})"
    elif kind in ("date", "datetime") and not many:
        default = "day()" if kind == "date" else "moment()"
    else:
        default = "None"
    description = " ".join(schema.get("description", "").split())
    if deprecated and not says(DEPRECATED, description):
        description = f"{description} Deprecated.".strip()
    values = _known_values(kind, schema)
    return FieldFacts(wire, f"{annotation} | None", default, description, models, values, deprecated)


def _known_values(kind: str, schema: Json) -> tuple[str | int, ...]:
    """The values of a field that the contract lists, in `enum` or in its description."""
    if KNOWN_VALUES in schema:
        return tuple(each for each in schema[KNOWN_VALUES] if each is not None)
    return values_in(plain(schema.get("description", "")))[0] if kind == "string" else ()


def _association(
    component: ComponentNode,
    entry: _Entry,
    keys: Mapping[str, str],
    semantics: Semantics,
    contract: Contract,
) -> AssociationFacts:
    node, properties = entry.node, component.schema["properties"]
    name, where = node.name, f"{component.name}.{node.name}"
    corrected = semantics.association(component.definition or component.name, name)
    type_name = corrected.get("type", node.type)
    if not type_name:
        msg = (
            f"{where}: the contract does not say which definition it is: give its `type` under `associations` in "
            "overrides/semantics.yaml"
        )
        alike = [old for old, new in contract.classes.items() if new == names.pascal(names.singular(name))]
        raise CodegenError(
            msg, proposals=[_association_line(component, name, "type", each) for each in alike[:1]]
        )
    polymorphic = type_name == "polymorphic"
    bound = [
        field_name
        for field_name, value in properties.items()
        if sent_on_request(value.get("description", ""), properties) == ("include", name)
        and field_name.endswith(("_id", "_ids", "_ref"))
    ]
    by_rule = [f"{name}_ref"] if polymorphic else [f"{name}_id", f"{names.singular(name)}_ids"]
    candidates = [
        corrected.get("field"),
        node.field,
        *bound,
        *(each for each in by_rule if each in properties),
    ]
    ids = next((each for each in candidates if each), None)
    if ids is None:
        msg = f"{where}: the field with its ids is not known; name it in overrides/semantics.yaml"
        raise CodegenError(msg, proposals=[_ids_field(component, name)] if component.definition else [])
    many = ids.endswith("_ids") or properties.get(ids, {}).get("type") == "array"
    if polymorphic and ids.endswith("_ref"):
        return AssociationFacts(name, None, ids, None, many, node.note)
    target = None if polymorphic else contract.classes.get(type_name, type_name)
    key = corrected.get("key") or node.key or _key_of(target, name, entry.envelope, keys)
    if key is None or (target is not None and target not in contract.components):
        lacking = (
            f"no envelope key holds {type_name!r}: name the `key` under `associations` in overrides/semantics.yaml"
            if target is None or target in contract.components
            else f"by the prose of `include` it is a {type_name!r}, and no definition is called so: correct the prose in "
            "overrides/overlay.yaml, or give the `type` under `associations` in overrides/semantics.yaml"
        )
        msg = f"{where}: {lacking}"
        if target is None or target in contract.components:
            proposals = (
                []
                if target is None
                else [_association_line(component, name, "key", names.plural(names.snake(target)))]
            )
        else:
            unpublished = {type_name: {"type": "object", "properties": {"id": {"type": "string"}}}}
            proposals = [
                action(("definitions",), f"{type_name} is named as an association only", update=unpublished)
            ]
        raise CodegenError(msg, proposals=proposals)
    return AssociationFacts(name, target or keys[key], ids, key, many, node.note)


def _association_line(component: ComponentNode, name: str, fact: str, value: str) -> Proposal:
    definition = component.definition or component.name
    return Proposal("associations", f"{definition}.{name}", {fact: value}, f"what is its {fact}?")


def _ids_field(component: ComponentNode, name: str) -> Proposal:
    many = name != names.singular(name)
    field = f"{names.singular(name)}_ids" if many else f"{name}_id"
    schema: Json = {"type": "array", "items": {"type": "string"}} if many else {"type": "string"}
    schema["description"] = f"Present only when `include` names `{name}`."
    at = ("definitions", str(component.definition), "properties")
    return action(at, f"which field has the ids of {name}?", update={field: schema})


def _key_of(
    target: str | None, name: str, envelope: Mapping[str, str], keys: Mapping[str, str]
) -> str | None:
    found = [key for key, model in envelope.items() if model == target]
    if len(found) > 1:
        found = [key for key in found if key == name] or found
    return found[0] if found else next((key for key, model in keys.items() if model == target), None)


def _nest(found: dict[str, ModelFacts], contract: Contract) -> tuple[ModelFacts, ...]:
    """Put each class that only one other class's fields use into that class's module."""
    own = {node.name for node in contract.components.values() if node.definition is not None}
    for node in contract.operations:
        own |= {model for model in (node.model, *node.envelope.values()) if model}
    users: dict[str, set[str]] = {}
    for model in found.values():
        for each in model.fields:
            for name in each.models:
                users.setdefault(name, set()).add(model.name)
    nested = {name for name in found if name not in own and len(users.get(name, ())) == 1}

    def collect(model: ModelFacts) -> tuple[ModelFacts, ...]:
        inner = sorted({name for each in model.fields for name in each.models if name in nested})
        return tuple(each for name in inner for each in (*collect(found[name]), found[name]))

    modules = [
        attrs.evolve(model, nested=collect(model)) for name, model in found.items() if name not in nested
    ]
    return tuple(sorted(modules, key=lambda model: model.name))


def inputs(reader: Reader, contract: Contract) -> tuple[InputFacts, ...]:
    """What bodies take, as the templates print it."""
    taken = {node.name: node for node in contract.inputs}
    if missing := taken.keys() - reader.models.keys():
        msg = f"bodies {sorted(missing)} can't be expressed"
        raise CodegenError(msg)
    found = {
        name: InputFacts(
            name, " ".join(taken[name].schema.get("description", "").split()), reader.arguments(name, name)
        )
        for name in sorted(taken)
    }
    return _dependencies_first(found)


def _dependencies_first(found: dict[str, InputFacts]) -> tuple[InputFacts, ...]:
    """The inputs by name, each behind those that its annotations use: annotations are evaluated where they stand."""
    ordered: dict[str, InputFacts] = {}

    def place(name: str) -> None:
        for argument in found[name].arguments:
            for used in sorted(argument.models - ordered.keys()):
                place(used)
        ordered[name] = found[name]

    for name in found:
        if name not in ordered:
            place(name)
    return tuple(ordered.values())
