"""Describe: the normalised contract as the facts that the templates print, one object for each thing that they print."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser.openapi import GeneratorData
from openapi_python_client.parser.properties.any import AnyProperty
from openapi_python_client.parser.properties.boolean import BooleanProperty
from openapi_python_client.parser.properties.date import DateProperty
from openapi_python_client.parser.properties.datetime import DateTimeProperty
from openapi_python_client.parser.properties.file import FileProperty
from openapi_python_client.parser.properties.float import FloatProperty
from openapi_python_client.parser.properties.int import IntProperty
from openapi_python_client.parser.properties.list_property import ListProperty
from openapi_python_client.parser.properties.literal_enum_property import LiteralEnumProperty
from openapi_python_client.parser.properties.model_property import ModelProperty
from openapi_python_client.parser.properties.none import NoneProperty
from openapi_python_client.parser.properties.string import StringProperty
from openapi_python_client.parser.properties.union import UnionProperty

from codegen import names
from codegen.errors import CodegenError, reading
from codegen.normalise import operations
from kantata_client._objects.model import Model

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from openapi_python_client.parser.openapi import Endpoint
    from openapi_python_client.parser.properties.protocol import PropertyProtocol

    from codegen.semantics import Semantics

Json = dict[str, Any]

_KINDS: dict[type, tuple[str, str]] = {
    StringProperty: ("string", "str"),
    IntProperty: ("integer", "int"),
    FloatProperty: ("number", "float"),
    BooleanProperty: ("boolean", "bool"),
    DateProperty: ("date", "date"),
    DateTimeProperty: ("datetime", "datetime"),
    FileProperty: ("file", "bytes | File"),
    AnyProperty: ("any", "object"),
}
_RESERVED = frozenset({*vars(Model), "self", "extra", "FIELDS", "KEY"})


@dataclass(frozen=True)
class Argument:
    """A query parameter, or a property of a body, as a keyword argument."""

    name: str
    keyword: str
    kind: str
    annotation: str
    """Without `None` and without `Unset`."""
    description: str
    required: bool
    many: bool = False
    values: tuple[str | int, ...] = ()
    default: str | int | bool | None = None
    maximum: int | None = None
    fields: tuple[Argument, ...] | None = None
    models: frozenset[str] = frozenset()
    """Input classes that the annotation names."""
    alias: str | None = None
    """Name of the `Literal` alias in the module, where there is one."""


@dataclass(frozen=True)
class BodyFacts:
    arguments: tuple[Argument, ...]
    wrapper: str | None
    plural: str | None
    multipart: bool
    input_class: str


@dataclass(frozen=True)
class OperationFacts:
    method: str
    path: str
    resource: str
    name: str
    summary: str
    description: str
    tags: tuple[str, ...]
    result: str
    model: str | None
    key: str | None
    keys: dict[str, str]
    path_arguments: tuple[Argument, ...]
    query: tuple[Argument, ...]
    body: BodyFacts | None
    bulk_limit: int | None
    own_rate_limit: bool
    external_reference: bool
    widest: dict[str, bool]
    upsert: bool
    """A creation that changes what is there already."""
    stable_by: str | None
    alternative: tuple[str, str] | None
    """(argument that asks for it, model) of a second shape of the answer."""

    @property
    def id(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def constant(self) -> str:
        return self.name.upper()

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """All keyword arguments, the required ones first."""
        every = (*(self.body.arguments if self.body else ()), *self.query)
        return tuple(sorted(every, key=lambda argument: not argument.required))


@dataclass(frozen=True)
class FieldFacts:
    name: str
    annotation: str
    default: str
    """The class attribute that answers when the field is missing, or that converts it when it is read."""
    description: str
    models: frozenset[str]


@dataclass(frozen=True)
class AssociationFacts:
    name: str
    model: str | None
    ids: str
    key: str | None
    many: bool
    note: str


@dataclass
class ModelFacts:
    name: str
    description: str
    fields: list[FieldFacts]
    key: str | None = None
    associations: list[AssociationFacts] = field(default_factory=list)
    nested: list[ModelFacts] = field(default_factory=list)
    """Classes that only this one's fields use; they live in the same module, before it."""

    @property
    def module(self) -> str:
        return names.snake(self.name)


@dataclass(frozen=True)
class InputFacts:
    """A `TypedDict` of what a body takes."""

    name: str
    description: str
    arguments: tuple[Argument, ...]


@dataclass
class ResourceFacts:
    name: str
    operations: list[OperationFacts]
    aliases: dict[str, tuple[str | int, ...]]
    decisions: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Method → (operation of another resource that decides on several objects of this one, most in one request)."""
    handwritten: tuple[str, str] | None = None
    """(module below `kantata_client`, class) of its hand-written methods; set by `codegen.handwritten`."""

    @property
    def class_name(self) -> str:
        return names.pascal(self.name)


@dataclass(frozen=True)
class Facts:
    """All that the templates need."""

    resources: list[ResourceFacts]
    models: list[ModelFacts]
    inputs: list[InputFacts]
    keys: dict[str, str]
    """Envelope key → model."""
    types: dict[str, str]
    """Type name in a polymorphic reference → envelope key."""
    data: GeneratorData
    config: Config


def describe(document: Json, semantics: Semantics, output: Path) -> Facts:
    """Read the normalised contract with openapi-python-client's parser and join it with what else is known.

    Raises:
        CodegenError: The parser could not express something, or an association's field can't be told.
    """
    config = Config.from_sources(
        ConfigFile(literal_enums=True, post_hooks=[]), MetaType.NONE, output, "utf-8", True, output
    )
    data = GeneratorData.from_dict(document, config=config)
    if not isinstance(data, GeneratorData):
        msg = f"the generator refuses the contract: {data.header} {data.detail}"
        raise CodegenError(msg)
    endpoints = _endpoints(data)
    reader = _Reader(data, document)
    keys = _envelope_keys(document)
    found: list[OperationFacts] = []
    for method, path, operation in operations(document):
        with reading("paths", path, method.lower()):
            found.append(_operation(method, path, operation, endpoints, keys, reader, document, semantics))
            _check_arguments(found[-1])
            _check_bulk(found[-1], semantics)
    found = _link_external_references(found)
    models = _models(reader, document, keys, semantics)
    for model in models:
        for each in model.associations:
            if each.key and each.model:
                keys.setdefault(each.key, each.model)
    return Facts(
        resources=_deciding(_resources(found), semantics),
        models=models,
        inputs=_inputs(reader),
        keys=keys,
        types=_polymorphic_types(document, keys, semantics),
        data=data,
        config=config,
    )


def _endpoints(data: GeneratorData) -> dict[str, Endpoint]:
    problems = [f"{each.header}: {each.detail}" for each in data.errors]
    found: dict[str, Endpoint] = {}
    for collection in data.endpoint_collections_by_tag.values():
        problems += [f"{each.header}: {each.detail}" for each in collection.parse_errors]
        for endpoint in collection.endpoints:
            found[f"{endpoint.method.upper()} {endpoint.path.get_untrusted_value()}"] = endpoint
    if problems:
        raise CodegenError("the generator can't express:\n  " + "\n  ".join(problems))
    return found


def _text(value: Any) -> str:
    return value.get_untrusted_value() if hasattr(value, "get_untrusted_value") else str(value)


# --- operations ----------------------------------------------------------------------------------------------------


def _operation(
    method: str,
    path: str,
    operation: Json,
    endpoints: dict[str, Endpoint],
    keys: dict[str, str],
    reader: _Reader,
    document: Json,
    semantics: Semantics,
) -> OperationFacts:
    where = f"{method} {path}"
    if where not in endpoints:
        msg = f"{where}: the generator dropped it"
        raise CodegenError(msg)
    endpoint = endpoints[where]
    declared = {parameter["name"]: parameter for parameter in operation["parameters"]}
    parsed = {_text(each.name): each for each in (*endpoint.path_parameters, *endpoint.query_parameters)}
    if missing := declared.keys() - parsed.keys():
        msg = f"{where}: parameters {sorted(missing)} can't be expressed"
        raise CodegenError(msg)
    arguments = {
        name: reader.argument(where, parsed[name], parameter["schema"], described=parameter)
        for name, parameter in declared.items()
    }
    envelope: dict[str, str] = operation.get("x-envelope", {})
    return OperationFacts(
        method=method,
        path=path,
        resource=operation["x-resource"],
        name=operation["x-name"],
        summary=operation.get("summary", "").strip(),
        description=operation.get("description", "").strip(),
        tags=tuple(operation["x-tags"]),
        result=operation["x-result"],
        model=operation.get("x-model"),
        key=operation.get("x-key"),
        keys={key: model for key, model in envelope.items() if keys[key] != model},
        path_arguments=tuple(
            arguments[part.strip("{}")] for part in names.segments(path) if names.is_placeholder(part)
        ),
        query=tuple(arguments[name] for name, parameter in declared.items() if parameter["in"] == "query"),
        body=_body(where, operation, reader, bulk=where in semantics.bulk_create),
        bulk_limit=semantics.bulk_limit(where),
        own_rate_limit=where in semantics.own_rate_limit,
        external_reference=False,
        widest=dict(semantics.widest.get(where, {})),
        upsert=where in semantics.upserts,
        stable_by=_stable_by(operation, arguments, document),
        alternative=_alternative(where, operation, document, semantics),
    )


def _check_arguments(operation: OperationFacts) -> None:
    """Refuse keywords that one method can't have beside each other."""
    places = {"self": "what the method is called on", operation.constant: "its operation"}
    places |= {operation.model: "its result"} if operation.model else {}
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


def _check_bulk(operation: OperationFacts, semantics: Semantics) -> None:
    """Refuse what the methods for many objects would leave out."""
    name = operation.id
    if name in semantics.bulk_create and (operation.name != "create" or operation.body is None):
        msg = f"bulk_create: {name} is no creation with a body, so that `create_many` can't do it"
        raise CodegenError(msg, ("bulk_create", name), facts=True)
    if name in semantics.bulk_delete and operation.name != "delete_many":
        msg = f"bulk_delete: {name} is no deletion on a collection, so that `delete_many` can't do it"
        raise CodegenError(msg, ("bulk_delete", name), facts=True)
    if operation.name != "delete_many":
        return
    way_out = "name it in overrides/semantics.yaml, and it gets a method of its own"
    if (
        operation.method != "DELETE"
        or operation.path_arguments
        or operation.body
        or [each.name for each in operation.query] != ["ids"]
    ):
        msg = f"{name}: `delete_many` sends `ids` in the query and nothing else, which is not what it takes: {way_out}"
        raise CodegenError(msg)
    if operation.bulk_limit is None:
        msg = f"{name}: how many ids it takes is not known: say so under `bulk_delete`, or {way_out}"
        raise CodegenError(msg)


def _stable_by(operation: Json, arguments: dict[str, Argument], document: Json) -> str | None:
    """The time by which a list can be sorted and filtered, and which its objects have; that of creation never changes."""
    if operation["x-result"] != "page" or not {"order", "page", "per_page"} <= arguments.keys():
        return None
    fields = document["components"]["schemas"][operation["x-model"]]["properties"]
    for by, after in (("created_at", "created_after"), ("updated_at", "updated_after")):
        timed = fields.get(by, {}).get("format") == "date-time" and after in arguments
        if timed and f"{by}:asc" in arguments["order"].values:
            return by
    return None


def _alternative(where: str, operation: Json, document: Json, semantics: Semantics) -> tuple[str, str] | None:
    known = semantics.alternatives.get(where)
    if known is None:
        return None
    (content,) = operation.get("requestBody", {"content": {"": {"schema": {"$ref": ""}}}})["content"].values()
    body = document["components"]["schemas"].get(content["schema"]["$ref"].rsplit("/", 1)[-1], {})
    if known.when not in {names.python_name(each) for each in body.get("properties", {})}:
        msg = (
            f"alternatives: {where}: its body has no property {known.when!r}; delete the line, or correct it"
        )
        raise CodegenError(msg, ("alternatives", where), facts=True)
    return known.when, document["x-class-names"][known.definition]


def _body(where: str, operation: Json, reader: _Reader, *, bulk: bool) -> BodyFacts | None:
    if "requestBody" not in operation:
        return None
    ((media, content),) = operation["requestBody"]["content"].items()
    name = content["schema"]["$ref"].rsplit("/", 1)[-1]
    return BodyFacts(
        arguments=reader.arguments(where, name),
        wrapper=operation["x-wrapper"],
        plural=operation["x-resource"] if bulk else None,
        multipart=media == "multipart/form-data",
        input_class=name,
    )


class _Reader:
    """The types of properties, as the generator's parser understood them."""

    def __init__(self, data: GeneratorData, document: Json) -> None:
        self.schemas: Json = document["components"]["schemas"]
        self.models = {str(parsed.class_info.name): parsed for parsed in data.models}

    def arguments(self, where: str, component: str) -> tuple[Argument, ...]:
        """The properties of an input as keyword arguments."""
        schema, parsed = self.schemas[component], _by_name(self.models[component])
        required = schema.get("required", [])
        if missing := schema["properties"].keys() - parsed.keys():
            msg = f"{where}: properties {sorted(missing)} can't be expressed"
            raise CodegenError(msg)
        return tuple(
            self.argument(where, parsed[name], value, described=value | {"required": name in required})
            for name, value in schema["properties"].items()
        )

    def argument(self, where: str, parsed: PropertyProtocol, schema: Json, *, described: Json) -> Argument:
        name = _text(parsed.name)
        kind, annotation, models = self.type(where, parsed, schema, given=True)
        many = schema.get("type") == "array"
        item = schema["items"] if many else schema
        if _names_objects(name, kind, described.get("description", "")) and not _values(item):
            annotation = annotation.replace("int" if kind == "integer" else "str", "int | str")
        return Argument(
            name=name,
            keyword=names.python_name(name),
            kind=kind,
            annotation=annotation,
            description=" ".join(described.get("description", "").split()),
            required=described.get("required", False),
            many=many,
            values=_values(item),
            default=described.get("x-default"),
            maximum=schema.get("maxItems") if many else schema.get("maximum"),
            fields=self.arguments(where, item["$ref"].rsplit("/", 1)[-1]) if "$ref" in item else None,
            models=models,
        )

    def type(
        self, where: str, parsed: PropertyProtocol, schema: Json, *, given: bool
    ) -> tuple[str, str, frozenset[str]]:
        """(kind, annotation, classes in it) of a property that is given, or received; `None` is left to the templates."""
        if isinstance(parsed, UnionProperty):
            rest = [each for each in parsed.inner_properties if not isinstance(each, NoneProperty)]
            if len(rest) == 1:
                return self.type(where, rest[0], schema, given=given)
            annotations = [self.type(where, each, {}, given=given)[1] for each in rest]
            return "any", " | ".join(dict.fromkeys(annotations)), frozenset()
        if isinstance(parsed, ListProperty):
            kind, annotation, models = self.type(
                where, parsed.inner_property, schema.get("items", {}), given=given
            )
            return kind, f"Sequence[{annotation}]" if given else f"list[{annotation}]", models
        if isinstance(parsed, LiteralEnumProperty):
            kind, annotation = ("integer", "int") if parsed.value_type is int else ("string", "str")
            # In what is received, a value that is not listed yet has to read as well as the others.
            return (
                kind,
                literal(_values(schema) or sorted(parsed.values)) if given else annotation,
                frozenset(),
            )
        if isinstance(parsed, ModelProperty):
            return self._object(where, parsed, schema, given=given)
        for cls, (kind, annotation) in _KINDS.items():
            if isinstance(parsed, cls):
                return kind, annotation, frozenset()
        msg = f"{where}: property {_text(parsed.name)!r} has a type that codegen does not know ({type(parsed).__name__})"
        raise CodegenError(msg)

    def _object(
        self, where: str, parsed: ModelProperty, schema: Json, *, given: bool
    ) -> tuple[str, str, frozenset[str]]:
        name = str(parsed.class_info.name)
        if name in self.schemas:
            return "object", name, frozenset({name})
        mapping = "Mapping" if given else "dict"
        values: Any = schema.get("additionalProperties")
        if not isinstance(values, dict) or parsed.additional_properties is None:
            return "object", f"{mapping}[str, object]", frozenset()
        _, annotation, models = self.type(
            where, parsed.additional_properties, cast("Json", values), given=given
        )
        return "object", f"{mapping}[str, {annotation}]", models


def _names_objects(name: str, kind: str, description: str) -> bool:
    """Whether a value is an id, which is taken as a number and as text alike."""
    if kind not in ("integer", "string"):
        return False
    named = name in ("id", "ids", "only") or name.endswith(("_id", "_ids"))
    return named or (kind == "integer" and re.search(r"\bids?\b", description) is not None)


def _by_name(model: ModelProperty) -> dict[str, PropertyProtocol]:
    return {
        _text(each.name): each
        for each in (*(model.required_properties or []), *(model.optional_properties or []))
    }


def _values(schema: Json) -> tuple[str | int, ...]:
    """What is listed; null is for the annotation's `None`."""
    return tuple(value for value in schema.get("enum", ()) if value is not None)


def literal(values: Iterable[str | int]) -> str:
    return f"Literal[{', '.join(repr(value) for value in values)}]"


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
        replace(operation, external_reference=True)
        if operation.name == "create"
        and operation.resource in filtered
        and operation.body is not None
        and any(argument.name == "external_reference" for argument in operation.body.arguments)
        else operation
        for operation in found
    ]


def _resources(found: list[OperationFacts]) -> list[ResourceFacts]:
    grouped: dict[str, list[OperationFacts]] = {}
    for operation in found:
        grouped.setdefault(operation.resource, []).append(operation)
    return [_with_aliases(name, grouped[name]) for name in sorted(grouped)]


def _deciding(resources: list[ResourceFacts], semantics: Semantics) -> list[ResourceFacts]:
    """Give the resources that are decided on the methods for it."""
    known = {resource.name: resource for resource in resources}
    for operation, place in semantics.decisions.items():
        name, _, method = place.partition(".")
        if name not in known or method in {each.name for each in known[name].operations}:
            msg = f"decisions: {operation}: {place!r} is no free method of a resource"
            raise CodegenError(msg, ("decisions", operation), facts=True)
        known[name].decisions[method] = operation, semantics.bulk_limit_unless_stated
    return resources


def _with_aliases(name: str, found: list[OperationFacts]) -> ResourceFacts:
    """Give each list of values in a resource a name: `Include`, `Order`; `CreateInclude` where creation has another."""
    aliases: dict[str, tuple[str | int, ...]] = {}
    classes = {names.pascal(name)}
    for operation in found:
        body = operation.body.arguments if operation.body else ()
        classes |= {model for argument in (*operation.query, *body) for model in argument.models}
        classes |= {model for model in (operation.model, *(operation.alternative or ())) if model}

    def aliased(argument: Argument, operation: OperationFacts) -> Argument:
        if not argument.values:
            return argument
        base = names.pascal(
            names.singular(argument.keyword) if argument.many else argument.keyword.rstrip("_")
        )
        for alias in (base, names.pascal(operation.name) + base):
            if alias in classes:
                continue
            if aliases.setdefault(alias, argument.values) == argument.values:
                annotation = argument.annotation.replace(literal(argument.values), alias)
                return replace(argument, alias=alias, annotation=annotation)
        msg = f"{operation.id}: no free name for the values of {argument.name!r}"
        raise CodegenError(msg)

    listed: list[OperationFacts] = []
    for operation in found:
        body = operation.body
        if body is not None:
            body = replace(body, arguments=tuple(aliased(each, operation) for each in body.arguments))
        listed.append(
            replace(operation, query=tuple(aliased(each, operation) for each in operation.query), body=body)
        )
    return ResourceFacts(name, listed, aliases)


# --- models --------------------------------------------------------------------------------------------------------


def _envelope_keys(document: Json) -> dict[str, str]:
    """Envelope key → the model that its objects usually are."""
    seen: dict[str, Counter[str]] = {}
    for _, _, operation in operations(document):
        for key, model in operation.get("x-envelope", {}).items():
            seen.setdefault(key, Counter())[model] += 1
    chosen: dict[str, str] = {}
    for key, models in sorted(seen.items()):
        own = names.pascal(names.singular(key))
        chosen[key] = own if own in models else models.most_common(1)[0][0]
    return chosen


def _polymorphic_types(document: Json, keys: dict[str, str], semantics: Semantics) -> dict[str, str]:
    by_model = {model: key for key, model in keys.items()}
    types = {old: by_model[new] for old, new in document["x-class-names"].items() if new in by_model}
    for name, key in semantics.types.items():
        if key not in keys or types.get(name) == key:
            why = "no answer has this key" if key not in keys else "it is so without this line"
            msg = f"types: {name}: {key}: {why}; delete the line, or correct it"
            raise CodegenError(msg, ("types", name), facts=True)
    return types | dict(semantics.types)


def _models(reader: _Reader, document: Json, keys: dict[str, str], semantics: Semantics) -> list[ModelFacts]:
    schemas = reader.schemas
    received = [name for name, schema in schemas.items() if not schema.get("x-input")]
    if missing := set(received) - reader.models.keys():
        msg = f"definitions {sorted(missing)} can't be expressed"
        raise CodegenError(msg)
    found: dict[str, ModelFacts] = {}
    for name in received:
        with reading(*_definition_place(name, document)):
            found[name] = _model(name, reader)
    for key, model in keys.items():
        found[model].key = key
    every = _association_entries(document)
    _check_associations(every, document, semantics)
    for name, entries in every.items():
        model = found[name]
        model.associations = [
            _association(model, entry, schemas[name], keys, semantics, document) for entry in entries.values()
        ]
        missing = [each for each in model.associations if each.ids not in schemas[name]["properties"]]
        for each in missing:
            annotation = "list[str]" if each.many else "str"
            model.fields.append(
                FieldFacts(
                    each.ids,
                    f"{annotation} | None",
                    "None",
                    f"Present when `{each.name}` is included.",
                    frozenset(),
                )
            )
        model.fields.sort(key=lambda each: (each.name != "id", each.name))
        names_of_fields = {each.name for each in model.fields}
        for each in model.associations:
            if each.name in names_of_fields or each.name in _RESERVED:
                msg = (
                    f"{name}: association {each.name!r} has the name of a field, or of what all models have: remove one of "
                    "them in overrides/overlay.yaml"
                )
                raise CodegenError(msg, _definition_place(name, document))
    return _nest(found, document)


def _definition_place(model: str, document: Json) -> tuple[str, str]:
    return "definitions", next((old for old, new in document["x-class-names"].items() if new == model), model)


def _check_associations(every: dict[str, dict[str, Json]], document: Json, semantics: Semantics) -> None:
    for definition, name in semantics.associations:
        if name not in every.get(document["x-class-names"].get(definition, definition), {}):
            msg = f"associations: {definition}.{name}: no `include` brings it; delete the line, or correct it"
            raise CodegenError(msg, ("associations", definition, name), facts=True)


def _model(name: str, reader: _Reader) -> ModelFacts:
    schema, parsed = reader.schemas[name], _by_name(reader.models[name])
    fields: list[FieldFacts] = []
    for wire, value in schema["properties"].items():
        if wire not in parsed:
            msg = f"{name}: field {wire!r} can't be expressed"
            raise CodegenError(msg)
        if (
            not wire.isidentifier()
            or wire.startswith("_")
            or wire in _RESERVED
            or names.python_name(wire) != wire
        ):
            msg = f"{name}: field {wire!r} can't be an attribute: remove it in overrides/overlay.yaml (`extra` keeps it)"
            raise CodegenError(msg)
        fields.append(_field(name, wire, parsed[wire], value, reader))
    fields.sort(key=lambda each: (each.name != "id", each.name))
    return ModelFacts(name, " ".join(schema.get("description", "").split()), fields)


def _field(owner: str, wire: str, parsed: PropertyProtocol, schema: Json, reader: _Reader) -> FieldFacts:
    kind, annotation, models = reader.type(f"{owner}.{wire}", parsed, schema, given=False)
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
    return FieldFacts(wire, f"{annotation} | None", default, description, models)


def _association_entries(document: Json) -> dict[str, dict[str, Json]]:
    """Model → association name → entry, over all operations that return the model; they must agree."""
    found: dict[str, dict[str, Json]] = {}
    for method, path, operation in operations(document):
        if "x-envelope" not in operation:
            continue
        for entry in operation.get("x-associations", ()):
            known = found.setdefault(operation["x-model"], {}).setdefault(entry["name"], dict(entry))
            for part in ("type", "field", "key"):
                if known[part] is None:
                    known[part] = entry[part]
                elif entry[part] is not None and entry[part] != known[part]:
                    msg = (
                        f"{method} {path}: association {entry['name']!r} has {part} {entry[part]!r}, "
                        f"elsewhere {known[part]!r}; correct it in overrides/overlay.yaml"
                    )
                    raise CodegenError(msg)
            known["envelope"] = operation["x-envelope"] | known.get("envelope", {})
    return found


def _association(
    model: ModelFacts, entry: Json, schema: Json, keys: dict[str, str], semantics: Semantics, document: Json
) -> AssociationFacts:
    name, properties = entry["name"], schema["properties"]
    definition = next(
        (old for old, new in document["x-class-names"].items() if new == model.name), model.name
    )
    corrected = semantics.association(definition, name)
    type_name = corrected.get("type", entry["type"])
    polymorphic = type_name == "polymorphic"
    told = [
        field_name
        for field_name, value in properties.items()
        if f"`include` names `{name}`" in value.get("description", "")
        and field_name.endswith(("_id", "_ids", "_ref"))
    ]
    by_name = [f"{name}_ref"] if polymorphic else [f"{name}_id", f"{names.singular(name)}_ids"]
    candidates = [
        corrected.get("field"),
        entry["field"],
        *told,
        *(each for each in by_name if each in properties),
    ]
    ids = next((each for each in candidates if each), None)
    if ids is None:
        msg = f"{model.name}.{name}: the field that refers to it can't be told; name it in overrides/semantics.yaml"
        raise CodegenError(msg)
    many = ids.endswith("_ids") or properties.get(ids, {}).get("type") == "array"
    if polymorphic and ids.endswith("_ref"):
        return AssociationFacts(name, None, ids, None, many, entry["note"])
    target = None if polymorphic else document["x-class-names"].get(type_name, type_name)
    key = corrected.get("key") or entry["key"] or _key_of(target, name, entry["envelope"], keys)
    if key is None or (target is not None and target not in document["components"]["schemas"]):
        lacking = (
            f"no envelope key holds {type_name!r}: name the `key` under `associations` in overrides/semantics.yaml"
            if target is None or target in document["components"]["schemas"]
            else f"by the prose of `include` it is a {type_name!r}, and no definition is called so: correct the prose in "
            "overrides/overlay.yaml, or give the `type` under `associations` in overrides/semantics.yaml"
        )
        msg = f"{model.name}.{name}: {lacking}"
        raise CodegenError(msg)
    return AssociationFacts(name, target or keys[key], ids, key, many, entry["note"])


def _key_of(target: str | None, name: str, envelope: dict[str, str], keys: dict[str, str]) -> str | None:
    found = [key for key, model in envelope.items() if model == target]
    if len(found) > 1:
        found = [key for key in found if key == name] or found
    return found[0] if found else next((key for key, model in keys.items() if model == target), None)


def _nest(found: dict[str, ModelFacts], document: Json) -> list[ModelFacts]:
    """Put each class that only one other class's fields use into that class's module."""
    own = set(document["x-class-names"].values())
    own |= {
        model for _, _, operation in operations(document) for model in (operation.get("x-model"),) if model
    }
    own |= {
        model
        for _, _, operation in operations(document)
        for model in operation.get("x-envelope", {}).values()
    }
    users: dict[str, set[str]] = {}
    for model in found.values():
        for each in model.fields:
            for name in each.models:
                users.setdefault(name, set()).add(model.name)
    nested = {name for name in found if name not in own and len(users.get(name, ())) == 1}

    def collect(model: ModelFacts) -> list[ModelFacts]:
        inner = sorted({name for each in model.fields for name in each.models if name in nested})
        return [each for name in inner for each in (*collect(found[name]), found[name])]

    modules = [model for name, model in found.items() if name not in nested]
    for model in modules:
        model.nested = collect(model)
    return sorted(modules, key=lambda model: model.name)


def _inputs(reader: _Reader) -> list[InputFacts]:
    taken = [name for name, schema in reader.schemas.items() if schema.get("x-input")]
    if missing := set(taken) - reader.models.keys():
        msg = f"bodies {sorted(missing)} can't be expressed"
        raise CodegenError(msg)
    return [
        InputFacts(
            name, " ".join(reader.schemas[name].get("description", "").split()), reader.arguments(name, name)
        )
        for name in sorted(taken)
    ]
