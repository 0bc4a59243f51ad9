"""The fields that read as something else than what was received: times, dates, and objects inside objects."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

from kantata_client._objects.model import Model, around


class _Field:
    """A field that reads as something else than what was received."""

    __slots__ = ("name",)
    name: str

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, model: Model, value: Any) -> None:
        model.__dict__[self.name] = received_form(value)

    def __delete__(self, model: Model) -> None:
        del model.__dict__[self.name]


class _Moment(_Field):
    __slots__ = ()

    def __get__(self, model: Model | None, owner: type[Model]) -> Any:
        if model is None:
            return self
        value = model.__dict__.get(self.name)
        if type(value) is str:
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                return value
        return value


class _Day(_Field):
    __slots__ = ()

    def __get__(self, model: Model | None, owner: type[Model]) -> Any:
        if model is None:
            return self
        value = model.__dict__.get(self.name)
        if type(value) is str:
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
            try:
                return datetime.fromisoformat(value).date()
            except ValueError:
                return value
        return value


class _Nested(_Field):
    __slots__ = ("_cls",)

    def __init__(self, cls: type[Model]) -> None:
        self._cls = cls

    def __get__(self, model: Model | None, owner: type[Model]) -> Any:
        return self if model is None else self._read(model.__dict__.get(self.name), model)

    def _read(self, value: Any, model: Model) -> Any:
        return self._one(value, model)

    def _one(self, value: Any, model: Model) -> Any:
        return (
            around(self._cls, cast("dict[str, Any]", value), model.__envelope__)
            if type(value) is dict
            else value
        )


class _NestedList(_Nested):
    __slots__ = ()

    def _read(self, value: Any, model: Model) -> Any:
        if type(value) is not list:
            return value
        return [self._one(each, model) for each in cast("list[Any]", value)]


class _NestedDict(_Nested):
    __slots__ = ()

    def _read(self, value: Any, model: Model) -> Any:
        if type(value) is not dict:
            return value
        return {key: self._one(each, model) for key, each in cast("dict[str, Any]", value).items()}


def received_form(value: Any) -> Any:
    """A value as JSON has it: what a model, a date or a time was made from."""
    if isinstance(value, Model):
        return value.__dict__
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [received_form(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: received_form(each) for key, each in cast("dict[Any, Any]", value).items()}
    return value


# Each stands where a default stands in a class body, so it is typed as what the field reads as.


def moment() -> Any:
    """A date and time, received as ISO 8601 text."""
    return _Moment()


def day() -> Any:
    """A date, received as ISO 8601 text."""
    return _Day()


def nested(cls: type[Model]) -> Any:
    """An object inside the object."""
    return _Nested(cls)


def nested_list(cls: type[Model]) -> Any:
    """A list of objects inside the object."""
    return _NestedList(cls)


def nested_dict(cls: type[Model]) -> Any:
    """A map of objects inside the object."""
    return _NestedDict(cls)
