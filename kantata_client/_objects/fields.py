"""Fields of models: what a missing field means, and fields whose value is converted when it is read.

Each function stands in for a default in a class body, so it returns `Any`: the annotation gives the field's type.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

from kantata_client._objects.inclusion import Condition
from kantata_client._objects.model import Model, wrap


def included(association: str) -> Any:
    """A field that the service sends only when `include` names an association."""
    return Condition("include", association)


def optional() -> Any:
    """A field that the service sends only when `optional_fields` names it."""
    return Condition("optional_fields")


def moment(*, include: str | None = None, optional: bool = False) -> Any:
    """A date and time, received as ISO 8601 text."""
    return _Moment(_condition(include, optional=optional))


def day(*, include: str | None = None, optional: bool = False) -> Any:
    """A date, received as ISO 8601 text."""
    return _Day(_condition(include, optional=optional))


def nested(cls: type[Model], *, include: str | None = None, optional: bool = False) -> Any:
    """An object inside the object."""
    return _Nested(_condition(include, optional=optional), cls)


def nested_list(cls: type[Model], *, include: str | None = None, optional: bool = False) -> Any:
    """A list of objects inside the object."""
    return _NestedList(_condition(include, optional=optional), cls)


def nested_dict(cls: type[Model], *, include: str | None = None, optional: bool = False) -> Any:
    """A map of objects inside the object."""
    return _NestedDict(_condition(include, optional=optional), cls)


def _condition(include: str | None, *, optional: bool) -> Condition | None:
    if include is not None:
        return Condition("include", include)
    return Condition("optional_fields") if optional else None


class ConvertedField:
    """A field whose received value is converted when it is read."""

    __slots__ = ("condition", "name")
    name: str

    def __init__(self, condition: Condition | None) -> None:
        self.condition = condition
        """What the request has to ask for, if the service does not always send the field."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        if self.condition is not None:
            self.condition.__set_name__(owner, name)

    def __get__(self, model: Model | None, owner: type[Model]) -> Any:
        if model is None:
            return self
        value = model.__dict__.get(self.name)
        if value is not None:
            return self._read(value, model)
        if self.condition is not None and self.name not in model.__dict__:
            raise AttributeError(self.name)  # leads to `Model.__getattr__`, which raises the right error
        return None

    def __set__(self, model: Model, value: Any) -> None:
        model.__dict__[self.name] = received_form(value)

    def __delete__(self, model: Model) -> None:
        del model.__dict__[self.name]

    def _read(self, value: Any, model: Model) -> Any:
        """The value converted to the field's type, or unchanged if it has an unexpected form."""
        raise NotImplementedError  # abstract: each kind of field defines it


class _Moment(ConvertedField):
    __slots__ = ()

    def _read(self, value: Any, model: Model) -> Any:
        if type(value) is not str:
            return value
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value


class _Day(ConvertedField):
    __slots__ = ()

    def __set__(self, model: Model, value: Any) -> None:
        super().__set__(model, value.date() if isinstance(value, datetime) else value)

    def _read(self, value: Any, model: Model) -> Any:
        if type(value) is not str:
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(value).date()
        except ValueError:
            return value


class _Nested(ConvertedField):
    __slots__ = ("_cls",)

    def __init__(self, condition: Condition | None, cls: type[Model]) -> None:
        super().__init__(condition)
        self._cls = cls

    def _read(self, value: Any, model: Model) -> Any:
        return self._one(value, model)

    def _one(self, value: Any, model: Model) -> Any:
        if type(value) is not dict:
            return value
        # Few inner objects have associations. One without any must not keep the whole page alive.
        envelope = model.__envelope__ if self._cls.ASSOCIATIONS or self._cls.CONDITIONS else None
        return wrap(self._cls, cast("dict[str, Any]", value), envelope)


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
    """The JSON form of a value: models, dates and times as they are received."""
    if isinstance(value, Model):
        return value.__dict__
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [received_form(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: received_form(each) for key, each in cast("dict[Any, Any]", value).items()}
    return value
