"""Associations as typed attributes, which find objects in the envelope that their owner was received in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Never, NoReturn, TypeVar, cast, overload

from kantata_client._objects.inclusion import Condition, not_included

if TYPE_CHECKING:
    from typing import Self

    from kantata_client._objects.model import Model
    from kantata_client.errors import NotIncludedError

T = TypeVar("T")


class Association:
    """How an object refers to others: the field that holds their ids, and the envelope key of the objects."""

    __slots__ = ("ids", "key", "name")

    many = False
    """Whether it can refer to several objects."""

    def __init__(self, ids: str, key: str | None) -> None:
        self.name = ""
        self.ids = ids
        """The field that holds the id, the list of ids, or `{key, id}` if the association is polymorphic."""
        self.key = key
        """The envelope key of the objects; `None` if polymorphic."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, model: Model, value: Never) -> NoReturn:
        msg = f"{type(model).__name__}.{self.name} can't be set; set {self.ids!r} instead"
        raise AttributeError(msg)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.ids} → {self.key or 'any type'}>"

    def _requested(self, model: Model) -> bool:
        """Whether the request included it, or the object's own field says that there is no such object."""
        envelope = model.__envelope__
        if envelope is None:
            return False
        received = model.__dict__
        return envelope.requested(
            model, self.name, known_empty=self.ids in received and not received[self.ids]
        )

    def not_included(self, model: Model) -> NotIncludedError:
        """The error for reading the association of an object whose request did not include it."""
        return not_included(model, self.name, Condition("include", self.name))


class One(Association, Generic[T]):
    """An association with at most one object.

    It reads as `None` if there is no such object, and if the user is not permitted to see it. In the latter case, the field
    with its id is not `None`.
    """

    __slots__ = ()

    @overload
    def __get__(self, model: None, owner: type) -> Self: ...
    @overload
    def __get__(self, model: Model, owner: type) -> T | None: ...
    def __get__(self, model: Model | None, owner: type) -> Self | T | None:
        if model is None:
            return self
        envelope, received = model.__envelope__, model.__dict__
        try:  # while the page is in use
            made: Any = envelope.models  # pyright: ignore[reportOptionalMemberAccess] - an AttributeError
            return made[self.key][received[self.ids]]
        except (KeyError, TypeError, AttributeError):
            reference: Any = received.get(self.ids)
        if envelope is not None and reference is not None:
            found: Any = envelope.find(str(self.key), reference)
            if found is not None:
                return found
        if not self._requested(model):
            raise self.not_included(model)
        return None


class Many(Association, Generic[T]):
    """An association with any number of objects, in the order of their ids.

    Objects that the user is not permitted to see are left out; their ids are still in the field.
    """

    __slots__ = ()
    many = True

    @overload
    def __get__(self, model: None, owner: type) -> Self: ...
    @overload
    def __get__(self, model: Model, owner: type) -> list[T]: ...
    def __get__(self, model: Model | None, owner: type) -> Self | list[T]:
        if model is None:
            return self
        envelope = model.__envelope__
        value: Any = model.__dict__.get(self.ids)
        found: list[Any] = []
        if envelope is not None and value:
            references: list[Any] = value if type(value) is list else [value]  # pyright: ignore[reportUnknownVariableType]
            key: Any = self.key
            try:  # while the page is in use
                made: Any = envelope.models[key]
                return [made[each] for each in references]
            except (KeyError, TypeError):
                found = envelope.find_all(key, references)
            if found and len(found) == len(references):
                return found
        if not self._requested(model):
            raise self.not_included(model)
        return found


class Polymorphic(Association):
    """An association with one object of any type; the reference names the type."""

    __slots__ = ()

    def __init__(self, ids: str) -> None:
        super().__init__(ids, None)

    @overload
    def __get__(self, model: None, owner: type) -> Self: ...
    @overload
    def __get__(self, model: Model, owner: type) -> Model | None: ...
    def __get__(self, model: Model | None, owner: type) -> Self | Model | None:
        if model is None:
            return self
        envelope = model.__envelope__
        reference: Any = model.__dict__.get(self.ids)
        if envelope is not None and isinstance(reference, dict):
            parts = cast("dict[str, Any]", reference)
            found = envelope.find_of_type(parts.get("key"), parts.get("id"))
            if found is not None:
                return found
        if not self._requested(model):
            raise self.not_included(model)
        return None
