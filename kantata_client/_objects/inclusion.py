"""What a request has to ask for, so that the service sends a field or an association."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from kantata_client.errors import NotIncludedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kantata_client._objects.model import Model

Parameter: TypeAlias = Literal["include", "optional_fields"]
"""The query parameter that asks for it."""


class Envelope(Protocol):
    """The response that an object came in: what was asked for, and the other objects in it by type and id."""

    @property
    def made(self) -> Mapping[str, Mapping[str, Model]]: ...
    def requested(self, model: Model, name: str, *, known_empty: bool = False) -> bool: ...
    def advice(self, model: Model, parameter: Parameter, name: str) -> str | None: ...
    def find(self, key: str, identifier: Any) -> Model | None: ...
    def find_all(self, key: str, identifiers: Iterable[Any]) -> list[Model]: ...
    def find_of_type(self, name: Any, identifier: Any) -> Model | None: ...
    def kept(self, model: Model) -> Envelope: ...
    def adopt(self, model: Model) -> None: ...


class Condition:
    """Under which condition the service sends a field: a query parameter has to name something."""

    __slots__ = ("name", "parameter")

    def __init__(self, parameter: Parameter, name: str = "") -> None:
        self.parameter: Parameter = parameter
        self.name = name
        """The association that `include` has to name, or the field itself, which `optional_fields` has to name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def __repr__(self) -> str:
        return f'{self.parameter}=["{self.name}"]'

    def holds(self, model: Model) -> bool:
        """Whether the request asked for the field; nothing was left out of an object that was made by hand."""
        envelope = model.__envelope__
        return envelope is None or envelope.requested(model, self.name)


def not_included(model: Model, read: str, condition: Condition) -> NotIncludedError:
    """The error for a field or an association that was not asked for.

    Args:
        model: The object that was read.
        read: The name of the field or the association.
        condition: What would have asked for it.
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
        known = cls.ASSOCIATIONS.get(read)
        advice = (
            f"no call that returns this object takes {condition!r}"
            if known is None
            else f"the field {known.ids!r} has what is known of it"
        )
    return NotIncludedError(cls.__name__, read, advice)
