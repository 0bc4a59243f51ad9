"""Associations as typed attributes, which find objects in the envelope that their owner was received in.

They are read more often than anything else of an object. So at run time they are properties, whose getters Python calls
without a detour through a `__get__` written in Python: this takes half the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Never, NoReturn, TypeVar, cast, overload

from kantata_client._objects.inclusion import Condition, not_included

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from kantata_client._objects.model import Model
    from kantata_client.errors import NotIncludedError

    class _Property:
        """A property, whose type is that of a subclass's `__get__`."""

        def __init__(self, fget: Callable[[Model], Any]) -> None: ...
else:
    _Property = property

T = TypeVar("T")


class Association(_Property):
    """How an object refers to others: the field that holds their ids, and the envelope key of the objects."""

    many = False
    """Whether it can refer to several objects."""

    def __init__(self, ids: str, key: str | None) -> None:
        super().__init__(self._reader(ids, key))
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

    def _reader(self, ids: str, key: str | None) -> Callable[[Model], Any]:
        """The function that reads the association of an object, given the arguments of `__init__`."""
        raise NotImplementedError  # abstract: `One`, `Many` and `Polymorphic` define it

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

    if TYPE_CHECKING:

        @overload
        def __get__(self, model: None, owner: type) -> Self: ...
        @overload
        def __get__(self, model: Model, owner: type) -> T | None: ...
        def __get__(self, model: Model | None, owner: type) -> Self | T | None: ...

    def _reader(self, ids: str, key: str | None) -> Callable[[Model], Any]:
        def read(model: Model) -> Any:
            envelope: Any = model.__envelope__
            try:  # while the page is in use
                reference = model.__dict__[ids]
                if reference is not None:
                    return envelope.models[key][reference]
                if self in envelope.included:
                    return None
            except (KeyError, TypeError, AttributeError):
                pass
            return self._find(model)

        return read

    def _find(self, model: Model) -> Any:
        envelope, reference = model.__envelope__, model.__dict__.get(self.ids)
        if envelope is not None and reference is not None:
            found = envelope.find(str(self.key), reference)
            if found is not None:
                return found
        if not self._requested(model):
            raise self.not_included(model)
        return None


class Many(Association, Generic[T]):
    """An association with any number of objects, in the order of their ids.

    Objects that the user is not permitted to see are left out; their ids are still in the field.
    """

    many = True

    if TYPE_CHECKING:

        @overload
        def __get__(self, model: None, owner: type) -> Self: ...
        @overload
        def __get__(self, model: Model, owner: type) -> list[T]: ...
        def __get__(self, model: Model | None, owner: type) -> Self | list[T]: ...

    def _reader(self, ids: str, key: str | None) -> Callable[[Model], Any]:
        def read(model: Model) -> Any:
            envelope: Any = model.__envelope__
            try:  # while the page is in use
                references: Any = model.__dict__[ids]
                if references:
                    if type(references) is list:
                        models_of_key = envelope.models[key]
                        found: list[Any] = []
                        for reference in cast("list[Any]", references):
                            found.append(models_of_key[reference])  # noqa: PERF401 - comprehensions are slow in 3.11
                        return found
                elif self in envelope.included:
                    return []
            except (KeyError, TypeError, AttributeError):
                pass
            return self._find(model)

        return read

    def _find(self, model: Model) -> list[Any]:
        envelope = model.__envelope__
        value: Any = model.__dict__.get(self.ids)
        found: list[Any] = []
        if envelope is not None and value:
            references: list[Any] = value if type(value) is list else [value]  # pyright: ignore[reportUnknownVariableType]
            found = envelope.find_all(str(self.key), references)
            if found and len(found) == len(references):
                return found
        if not self._requested(model):
            raise self.not_included(model)
        return found


class Polymorphic(Association):
    """An association with one object of any type; the reference names the type."""

    def __init__(self, ids: str) -> None:
        super().__init__(ids, None)

    if TYPE_CHECKING:

        @overload
        def __get__(self, model: None, owner: type) -> Self: ...
        @overload
        def __get__(self, model: Model, owner: type) -> Model | None: ...
        def __get__(self, model: Model | None, owner: type) -> Self | Model | None: ...

    def _reader(self, ids: str, key: str | None) -> Callable[[Model], Any]:
        def read(model: Model) -> Model | None:
            envelope = model.__envelope__
            reference: Any = model.__dict__.get(ids)
            if envelope is not None and isinstance(reference, dict):
                parts = cast("dict[str, Any]", reference)
                found = envelope.find_of_type(parts.get("key"), parts.get("id"))
                if found is not None:
                    return found
            if not self._requested(model):
                raise self.not_included(model)
            return None

        return read
