"""Fields and associations that the service sends only if the request asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from kantata_client.errors import NotIncludedError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from kantata_client._objects.associations import Association
    from kantata_client._objects.model import Model

Parameter: TypeAlias = Literal["include", "optional_fields"]
"""The query parameter that asks for a field or an association."""


class Envelope(Protocol):
    """The response that an object was received in: what the request asked for, and all objects by type and id."""

    @property
    def models(self) -> Mapping[str, Mapping[str, Model]]: ...
    @property
    def included(self) -> Container[Association]: ...
    def requested(self, model: Model, name: str, *, known_empty: bool = False) -> bool: ...
    def advice(self, model: Model, parameter: Parameter, name: str) -> str | None: ...
    def find(self, key: str, identifier: Any) -> Model | None: ...
    def find_all(self, key: str, identifiers: Iterable[Any]) -> list[Model]: ...
    def find_of_type(self, name: Any, identifier: Any) -> Model | None: ...
    def detached(self, model: Model) -> Envelope: ...
    def adopt(self, model: Model) -> None: ...


class Condition:
    """When the service sends a field: if a query parameter names an association or the field."""

    __slots__ = ("name", "parameter")

    def __init__(self, parameter: Parameter, name: str = "") -> None:
        self.parameter: Parameter = parameter
        self.name = name
        """What the parameter has to name: an association for `include`, the field itself for `optional_fields`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def __repr__(self) -> str:
        return f'{self.parameter}=["{self.name}"]'

    def holds(self, model: Model) -> bool:
        """Whether the request asked for the field. An object that was not received counts as complete."""
        envelope = model.__envelope__
        return envelope is None or envelope.requested(model, self.name)


def not_included(model: Model, read: str, condition: Condition) -> NotIncludedError:
    """The error for reading a field or an association that the request did not ask for.

    Args:
        model: The object.
        read: The name of the field or the association.
        condition: What the request would have had to ask for.
    """
    envelope, cls = model.__envelope__, type(model)
    advice = None
    if envelope is not None:
        advice = envelope.advice(model, condition.parameter, condition.name)
    if advice is None:
        from kantata_client.operations import OPERATIONS

        get = OPERATIONS.get(f"GET /{cls.KEY}/{{id}}")
        taken = None if get is None else get.query.get(condition.parameter)
        if get is not None and taken is not None and condition.name in taken.values:
            identifier = model.__dict__.get("id")
            advice = f"ask for it: kantata.{get.resource}.{get.name}({identifier!r}, {condition!r})"
    if advice is None:
        association = cls.ASSOCIATIONS.get(read)
        advice = (
            f"no call that returns this object accepts {condition!r}"
            if association is None
            else f"only its reference is available, in the field {association.ids!r}"
        )
    return NotIncludedError(cls.__name__, read, advice)
