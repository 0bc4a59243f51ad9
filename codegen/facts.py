"""Facts: what the templates print, one object for each thing that they print."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import attrs
from openapi_python_client.config import Config
from openapi_python_client.parser.openapi import GeneratorData

from codegen import names

_NOTHING: Mapping[str, tuple[str, int]] = MappingProxyType({})
_NO_CONSTRAINTS: Mapping[str, str | float | bool] = MappingProxyType({})


@attrs.frozen
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
    default: str | float | bool | None = None
    maximum: float | None = None
    fields: tuple[Argument, ...] | None = None
    models: frozenset[str] = frozenset()
    """Input classes that the annotation names."""
    alias: str | None = None
    """Name of the `Literal` alias in the module, where there is one."""
    range: Literal["date", "datetime"] | None = None
    """What a text is a range of, where a pair is taken as well."""
    narrowed: bool = False
    """Whether the alias lists values that this operation does not take."""
    deprecated: bool = False
    constraints: Mapping[str, str | float | bool] = _NO_CONSTRAINTS
    """What else the service checks, by keyword of JSON Schema: `maxLength`, or `items.pattern` for each value of a list."""


@attrs.frozen
class BodyFacts:
    arguments: tuple[Argument, ...]
    wrapper: str | None
    plural: str | None
    multipart: bool
    input_class: str


@attrs.frozen
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
    keys: Mapping[str, str]
    path_arguments: tuple[Argument, ...]
    query: tuple[Argument, ...]
    body: BodyFacts | None
    bulk_limit: int | None
    own_rate_limit: bool
    external_reference: bool
    widest: Mapping[str, bool]
    action: bool
    """A PUT that must not be repeated like other PUTs."""
    upsert: bool
    """A creation that changes what is there already."""
    identified_by: tuple[str, ...]
    """The properties in which items agree that the creation writes into one object."""
    deprecated: bool
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
        """All keyword arguments; required arguments come first."""
        every = (*(self.body.arguments if self.body else ()), *self.query)
        return tuple(sorted(every, key=lambda argument: not argument.required))


@attrs.frozen
class FieldFacts:
    name: str
    annotation: str
    default: str
    """The class attribute that answers when the field is missing, or that converts it when it is read."""
    description: str
    models: frozenset[str]
    values: tuple[str | int, ...] = ()
    """The known values; others are read as well."""
    deprecated: bool = False


@attrs.frozen
class AssociationFacts:
    name: str
    model: str | None
    ids: str
    key: str | None
    many: bool
    note: str


@attrs.frozen
class ModelFacts:
    name: str
    description: str
    fields: tuple[FieldFacts, ...]
    key: str | None = None
    associations: tuple[AssociationFacts, ...] = ()
    nested: tuple[ModelFacts, ...] = ()
    """Classes that only this one's fields use; they live in the same module, before it."""

    @property
    def module(self) -> str:
        return names.snake(self.name)


@attrs.frozen
class InputFacts:
    """A `TypedDict` of what a body takes."""

    name: str
    description: str
    arguments: tuple[Argument, ...]


@attrs.frozen
class ResourceFacts:
    name: str
    operations: tuple[OperationFacts, ...]
    aliases: Mapping[str, tuple[str | int, ...]]
    decisions: Mapping[str, tuple[str, int]] = _NOTHING
    """Method → (operation of another resource that decides on several objects of this one, most in one request)."""
    handwritten: tuple[str, str] | None = None
    """(module below `kantata_client`, class) of its hand-written methods; set by `codegen.handwritten`."""
    handwritten_calls: tuple[str, ...] = ()
    """Names of its hand-written coroutine methods; set with `handwritten`."""

    @property
    def class_name(self) -> str:
        return names.pascal(self.name)


@attrs.frozen
class Facts:
    """All that the templates need."""

    resources: tuple[ResourceFacts, ...]
    models: tuple[ModelFacts, ...]
    inputs: tuple[InputFacts, ...]
    keys: Mapping[str, str]
    """Envelope key → model."""
    types: Mapping[str, str]
    """Type name in a polymorphic reference → envelope key."""
    data: GeneratorData
    config: Config
