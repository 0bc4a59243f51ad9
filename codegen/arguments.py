"""Arguments: the types of parameters, properties and fields, from openapi-python-client's parser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs
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
from codegen.errors import CodegenError, guarded
from codegen.facts import Argument
from codegen.markup import plain
from codegen.prose import DEPRECATED, TIMES, says
from codegen.schemas import CONSTRAINTS, default_of_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from openapi_python_client.parser.openapi import Endpoint
    from openapi_python_client.parser.properties.protocol import PropertyProtocol

    from codegen.nodes import ComponentNode, Contract, ParameterNode, Place

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

_TAKEN = {"date": "date | str", "datetime": "datetime | date | str", "number": "float | Decimal"}
"""Kind → the types that the runtime accepts for it, where it accepts more than it returns."""

_PAIRS: dict[Literal["date", "datetime"], str] = {
    "date": "tuple[date | str | None, date | str | None] | str",
    "datetime": "tuple[datetime | date | str | None, datetime | date | str | None] | str",
}


def parse(contract: Contract, output: Path) -> tuple[GeneratorData, Config]:
    """Let openapi-python-client's parser read the contract.

    Args:
        contract: The nodes.
        output: The folder that its configuration names; nothing is written.

    Raises:
        CodegenError: It refuses the contract, or a part of it.
    """
    config = Config.from_sources(
        ConfigFile(literal_enums=True, post_hooks=[]), MetaType.NONE, output, "utf-8", True, output
    )
    data = GeneratorData.from_dict(contract.as_openapi(), config=config)
    if not isinstance(data, GeneratorData):
        msg = f"the generator refuses the contract: {data.header} {' '.join(str(data.detail).split())}"
        raise CodegenError(msg)
    return data, config


def endpoints(data: GeneratorData, components: Mapping[str, ComponentNode]) -> dict[str, Endpoint]:
    """What the parser found for each operation, by `METHOD /path`.

    Args:
        data: What the parser read.
        components: The nodes of the classes, to report problems at their places.
    """
    problems = list(data.errors)
    found: dict[str, Endpoint] = {}
    for collection in data.endpoint_collections_by_tag.values():
        problems += collection.parse_errors
        for endpoint in collection.endpoints:
            found[f"{endpoint.method.upper()} {endpoint.path.get_untrusted_value()}"] = endpoint
    spoilt = any("/components/schemas/" in each.header for each in problems)
    for each in problems:
        detail, header = (" ".join((part or "").split()) for part in (each.detail, each.header))
        if spoilt and "Could not find reference" in detail:
            continue  # the class it refers to has a problem, which is reported
        name, place = _place_of(f"{header} {detail}", components)
        with guarded(*place):
            msg = f"{name or header}: openapi-python-client can't express it: {detail}"
            raise CodegenError(msg, shape="/components/schemas/" in each.header)
    return found


def _place_of(problem: str, components: Mapping[str, ComponentNode]) -> tuple[str, Place]:
    """(name, place) of the operation or class that a problem of the parser is about."""
    if named := re.search(r"([A-Z]+) (/\S*)", problem):
        return named[0], ("paths", named[2], named[1].lower())
    if (schema := re.search(r"/components/schemas/(\w+)", problem)) and schema[1] in components:
        return schema[1], components[schema[1]].place
    return "", ()


def text(value: Any) -> str:
    """A name as the contract spells it; the parser wraps what it does not trust."""
    return value.get_untrusted_value() if hasattr(value, "get_untrusted_value") else str(value)


class Reader:
    """Reads the types of properties from the parser's objects."""

    def __init__(self, data: GeneratorData, contract: Contract, ids: Collection[str] = ()) -> None:
        self.schemas = {name: node.schema for name, node in contract.components.items()}
        self._ids = ids
        self.models = {str(parsed.class_info.name): parsed for parsed in data.models}

    def arguments(self, where: str, component: str) -> tuple[Argument, ...]:
        """The properties of an input as keyword arguments."""
        schema, parsed = self.schemas[component], by_name(self.models[component])
        required = schema.get("required", [])
        if missing := schema["properties"].keys() - parsed.keys():
            msg = f"{where}: properties {sorted(missing)} can't be expressed"
            raise CodegenError(msg)
        return tuple(
            self._argument(
                where,
                parsed[name],
                value,
                description=value.get("description", ""),
                required=name in required,
                default=default_of_schema(value),
                deprecated=is_deprecated(value),
            )
            for name, value in schema["properties"].items()
        )

    def parameter(self, where: str, parsed: PropertyProtocol, node: ParameterNode) -> Argument:
        """A path or query parameter as a keyword argument."""
        argument = self._argument(
            where,
            parsed,
            node.schema,
            description=node.description,
            required=node.required,
            default=node.default,
            deprecated=node.deprecated,
        )
        of = range_of(argument)
        return argument if of is None else attrs.evolve(argument, range=of, annotation=_PAIRS[of])

    def _argument(
        self,
        where: str,
        parsed: PropertyProtocol,
        schema: Json,
        *,
        description: str,
        required: bool,
        default: str | float | bool | None,
        deprecated: bool = False,
    ) -> Argument:
        name = text(parsed.name)
        kind, annotation, models = self.type(where, parsed, schema, given=True)
        many = schema.get("type") == "array"
        item = schema["items"] if many else schema
        named = name in self._ids or _names_objects(name, kind, description)
        if named and not values_of(item):
            annotation = annotation.replace("int" if kind == "integer" else "str", "int | str")
        return Argument(
            name=name,
            keyword=names.python_name(name),
            kind=kind,
            annotation=annotation,
            description=" ".join(description.split()),
            required=required,
            many=many,
            values=values_of(item),
            default=default,
            maximum=schema.get("maxItems") if many else schema.get("maximum"),
            fields=self.arguments(where, item["$ref"].rsplit("/", 1)[-1]) if "$ref" in item else None,
            models=models,
            deprecated=deprecated,
            constraints=_constraints(schema),
        )

    def type(
        self, where: str, parsed: PropertyProtocol, schema: Json, *, given: bool
    ) -> tuple[str, str, frozenset[str]]:
        """(kind, annotation, classes in it) of a property that is sent (`given`) or received; the templates add `None`."""
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
                literal(values_of(schema) or sorted(parsed.values)) if given else annotation,
                frozenset(),
            )
        if isinstance(parsed, ModelProperty):
            return self._object(where, parsed, schema, given=given)
        for cls, (kind, annotation) in _KINDS.items():
            if isinstance(parsed, cls):
                return kind, _TAKEN.get(kind, annotation) if given else annotation, frozenset()
        msg = f"{where}: property {text(parsed.name)!r} has a type that codegen does not know ({type(parsed).__name__})"
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


def is_deprecated(schema: Json) -> bool:
    """Whether a property is deprecated, by its keyword or its description."""
    return schema.get("deprecated") is True or says(DEPRECATED, plain(schema.get("description") or ""))


def _constraints(schema: Json) -> dict[str, str | float | bool]:
    """What the service checks, of a value or of each value of a list."""
    found = {key: schema[key] for key in CONSTRAINTS if key in schema}
    item = schema.get("items")
    if isinstance(item, dict) and schema.get("type") == "array":
        inner = cast("Json", item)
        found |= {f"items.{key}": inner[key] for key in ("maximum", *CONSTRAINTS) if key in inner}
    return {key: value for key, value in found.items() if value is not False and value is not None}


def _names_objects(name: str, kind: str, description: str) -> bool:
    """Whether a value is an id, which is taken as a number and as text alike."""
    if kind not in ("integer", "string"):
        return False
    named = name in ("id", "ids", "only") or name.endswith(("_id", "_ids"))
    return named or (kind == "integer" and re.search(r"\bids?\b", description) is not None)


def range_of(argument: Argument) -> Literal["date", "datetime"] | None:
    """What `due_between` and the like are ranges of; they are declared as text, `START:END`."""
    if argument.kind != "string" or argument.many or not argument.name.endswith("_between"):
        return None
    return (
        "datetime" if argument.name.endswith("_at_between") or says(TIMES, argument.description) else "date"
    )


def by_name(model: ModelProperty) -> dict[str, PropertyProtocol]:
    return {
        text(each.name): each
        for each in (*(model.required_properties or []), *(model.optional_properties or []))
    }


def values_of(schema: Json) -> tuple[str | int, ...]:
    """What is listed; null is for the annotation's `None`."""
    return tuple(value for value in schema.get("enum", ()) if value is not None)


def literal(values: Iterable[str | int]) -> str:
    return f"Literal[{', '.join(repr(value) for value in values)}]"
