"""The base class of all models. An instance wraps a decoded JSON object without copying it.

`obj.__dict__` *is* the received object. So `to_dict()` and fields that the contract does not know cost nothing, values of an
unexpected type are preserved, and the class knows what is missing. Descriptors convert dates and nested objects when
they are read. What attrs needs to know of a class (`attrs.fields`, `attrs.evolve`, `attrs.asdict`) is computed on demand,
because importing attrs and letting it build a class takes longer than decoding a page.
"""

from __future__ import annotations

from copy import deepcopy
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, dataclass_transform

from kantata_client._lazy import resolvable
from kantata_client._objects.associations import Association
from kantata_client._objects.inclusion import Condition, not_included
from kantata_client._objects.scalars import MissingError, native
from kantata_client._suggestions import similar
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from kantata_client._objects.inclusion import Envelope

M = TypeVar("M", bound="Model")
F = TypeVar("F", bound="Callable[..., Any]")

_LABELS = ("title", "name", "full_name", "label", "subject", "filename", "currency", "service_name")
_LABEL_LENGTH = 40


class _AttrsFields:
    """`__attrs_attrs__`, created for a class when attrs first reads it."""

    def __get__(self, instance: object, owner: type[Model]) -> tuple[Any, ...]:
        from kantata_client._objects.introspection import attrs_fields

        made = owner.__attrs_attrs__ = attrs_fields(owner)
        return made


class _AttrsProperties:
    """A lazy stand-in for what `attrs.inspect` returns: attrs reads it from the class dictionary, past any descriptor."""

    def __init__(self, owner: type[Model]) -> None:
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._made(), name)

    def __repr__(self) -> str:
        return repr(self._made())

    def _made(self) -> Any:
        from kantata_client._objects.introspection import attrs_properties

        made = self._owner.__attrs_props__ = attrs_properties(self._owner)
        return made


class _Documentation:
    """`__doc__` with the fields and their types, for `help`; created when it is read."""

    def __init__(self, text: str | None) -> None:
        self._text = text or ""

    def __get__(self, instance: object, owner: type[Model]) -> str:
        from kantata_client._objects.introspection import documentation

        return documentation(owner, self._text)


class _Unshadowed:
    """A method that is not shadowed by a received field of the same name."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.__wrapped__ = method
        self.__doc__ = method.__doc__

    def __get__(self, model: Model | None, owner: type[Model]) -> Any:
        return self.__wrapped__ if model is None else MethodType(self.__wrapped__, model)

    def __set__(self, model: Model, value: object) -> None:
        msg = f"{type(model).__name__}.{self.__wrapped__.__name__} is a method"
        raise AttributeError(msg)


def _unshadowed(method: F) -> F:
    return cast("F", _Unshadowed(method))


@resolvable
@dataclass_transform(kw_only_default=True, eq_default=False)
class Model:
    """An object of the API. Any field and any association may be `None`.

    Reading an association, or a field that the service sends only on request, raises `NotIncludedError` if the request did
    not ask for it. Two objects are equal if they have the same class and the same values in all fields that are not null.
    The hash depends on the class and the id.
    """

    __slots__ = ("__dict__", "__envelope__", "__origin__", "__weakref__")

    KEY: ClassVar[str | None] = None
    """The envelope key of objects of this class."""
    FIELDS: ClassVar[tuple[str, ...]] = ()
    """Names of the fields in the contract."""
    ASSOCIATIONS: ClassVar[Mapping[str, Association]] = {}
    """Associations by name; each has a field with ids (`ids`), an envelope key (`key`), and one or `many` objects."""
    CONDITIONS: ClassVar[Mapping[str, Condition]] = {}
    """Field → what a request has to ask for, if the service does not always send the field."""

    __attrs_attrs__: ClassVar[Any] = _AttrsFields()
    __attrs_props__: ClassVar[Any] = None

    __envelope__: Envelope | None
    __origin__: dict[str, Any]
    """The received form of the object that `replace` was called on; empty if made by hand, and not set if received."""

    def __init_subclass__(cls) -> None:
        if cls.__base__ is not Model:
            msg = f"{cls.__name__}: a model has no subclasses, since no call would return one: write a function of it"
            raise TypeError(msg)
        own = vars(cls)
        fields = (name for name, text in own["__annotations__"].items() if not text.startswith("ClassVar"))
        associations = {name: value for name, value in own.items() if isinstance(value, Association)}
        conditions = {
            name: condition
            for name, value in own.items()
            if (condition := value if type(value) is Condition else getattr(value, "condition", None))
        }
        facts = {
            "FIELDS": tuple(fields),
            "ASSOCIATIONS": associations,
            "CONDITIONS": conditions,
            "__attrs_attrs__": _AttrsFields(),
            "__attrs_props__": _AttrsProperties(cls),
            "__doc__": _Documentation(own.get("__doc__")),
        }
        for name, value in facts.items():
            setattr(cls, name, value)
        for name, condition in conditions.items():
            if own[name] is condition:  # a missing field has to lead to `__getattr__`
                delattr(cls, name)
        resolvable(cls)

    def __init__(self, **fields: Any) -> None:
        self.__envelope__ = None
        self.__origin__ = {}
        known_fields = type(self).FIELDS
        evolved = len(fields) == len(known_fields)
        for name, value in fields.items():
            if name not in known_fields:
                known = similar(name, known_fields)
                msg = f"{type(self).__name__} has no field {name!r}{known}"
                raise TypeError(msg)
            # attrs.evolve passes every field: `None` for a missing one, and an empty id.
            if not evolved or (value is not None and (value or name != "id")):
                setattr(self, name, value)

    @property
    def extra(self) -> dict[str, Any]:
        """The received fields that are not in the contract."""
        return {name: value for name, value in self.__dict__.items() if name not in type(self).FIELDS}

    @_unshadowed
    def replace(self, *positional: Any, **changes: Any) -> Self:
        """A copy with other values in some fields; `None` means null.

        Unlike `attrs.evolve`, this keeps associations and fields that are not in the contract. `update_many` sends only the
        fields that differ from the original.

        Raises:
            TypeError: A field does not exist.
        """
        cls = type(self)
        if positional:  # accepted only so that the signatures of the generated subclasses are compatible
            msg = f"{cls.__name__}.replace takes keyword arguments only"
            raise TypeError(msg)
        changed = wrap(cls, _deep_copied(self.__dict__), self.__envelope__)
        changed.__envelope__ = _detached(changed)
        origin = _origin(self)
        changed.__origin__ = _deep_copied(self.__dict__) if origin is None else origin
        for name, value in changes.items():
            if name not in cls.FIELDS:
                msg = f"{cls.__name__} has no field {name!r}{similar(name, cls.FIELDS)}"
                raise TypeError(msg)
            setattr(changed, name, value)
        return changed

    @_unshadowed
    def to_dict(self) -> dict[str, Any]:
        """The object as it was received: the dictionary itself, not a copy."""
        return self.__dict__

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from kantata_client._objects.introspection import pydantic_schema

        return pydantic_schema(cls, handler)

    if not TYPE_CHECKING:  # with it, type checkers would accept any attribute

        def __getattr__(self, name: str) -> Any:
            cls = type(self)
            condition = cls.CONDITIONS.get(name)
            if condition is not None:
                if condition.holds(self) or _is_attrs_reading(cls, name):
                    return None
                raise not_included(self, name, condition)
            association = cls.ASSOCIATIONS.get(name)
            if association is not None:  # its descriptor raised an AttributeError
                raise association.not_included(self)
            known = (*cls.FIELDS, *cls.ASSOCIATIONS)
            msg = f"{cls.__name__!r} object has no attribute {name!r}{similar(name, known)}"
            raise AttributeError(msg)

        def __setattr__(self, name: str, value: Any) -> None:
            cls = type(self)
            if name not in cls.FIELDS and name not in self.__dict__ and not _has_setter(cls, name):
                msg = f"{cls.__name__} has no field {name!r}{similar(name, cls.FIELDS)}"
                raise AttributeError(msg)
            try:
                object.__setattr__(self, name, native(value))
            except MissingError as missing:
                problem = f"{cls.__name__}.{name} is {missing}, a missing value: set None"
                raise UsageError(problem, consequence="") from None

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return _read(self) == _read(cast("Model", other))

    def __copy__(self) -> Self:
        copied = wrap(type(self), dict(self.__dict__), self.__envelope__)
        copied.__envelope__ = _detached(copied)
        if (origin := _origin(self)) is not None:
            copied.__origin__ = origin
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self.__dict__, _detached(self), _origin(self))

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.__dict__.get("id")))

    def __repr__(self) -> str:
        present = _present(self)
        shown = [f"id={present['id']!r}"] if "id" in present else []
        if label := next((each for each in _LABELS if isinstance(present.get(each), str)), None):
            text = present[label]
            shown.append(
                f"{label}={text if len(text) <= _LABEL_LENGTH else text[: _LABEL_LENGTH - 1] + '…'!r}"
            )
        if more := len(present) - len(shown):
            shown.append(f"+{more} fields" if more > 1 else "+1 field")
        return f"{type(self).__name__}({', '.join(shown)})"


set_received: Callable[[Model, Any], None] = vars(Model)["__dict__"].__set__
"""Set the received object that a model wraps, faster than an assignment, which checks the name."""
set_envelope: Callable[[Model, Envelope | None], None] = vars(Model)["__envelope__"].__set__
"""Set the envelope of a model, faster than an assignment."""


def _has_setter(cls: type[Model], name: str) -> bool:
    """Whether the class defines what an assignment to a name does: for associations and methods, it says why it fails."""
    return hasattr(vars(cls).get(name, vars(Model).get(name)), "__set__")


def annotation_of(cls: type[Model], name: str) -> str:
    """The annotation of a field as text, without importing the classes that associations refer to."""
    annotations: dict[str, str] = vars(cls)["__annotations__"]
    return dict[str, str].__getitem__(annotations, name)


def _is_attrs_reading(cls: type[Model], name: str) -> bool:
    """Whether `attrs.asdict` or `attrs.evolve` is reading a field; they read every field.

    They pass the string objects of `attrs.fields`, which no other code passes.
    """
    fields: Any = vars(cls)["__attrs_attrs__"]
    return type(fields) is not _AttrsFields and any(each.name is name for each in fields)


def _present(model: Model) -> dict[str, Any]:
    return {name: value for name, value in model.__dict__.items() if value is not None}


def _read(model: Model) -> dict[str, Any]:
    """The fields that are not null, converted: equal times in different notations compare as equal."""
    fields = vars(type(model))
    return {
        name: getattr(model, name) if hasattr(fields.get(name), "__get__") else value
        for name, value in _present(model).items()
    }


def changes_of(model: Model) -> dict[str, Any] | None:
    """The fields that `replace` changed, or all fields of an object that was made by hand.

    Returns:
        The JSON form of each field; `None` for an object that was received, since what was set on it later can't be told
        from what was received.
    """
    origin = _origin(model)
    if origin is None:
        return None
    return {
        name: value
        for name, value in model.__dict__.items()
        if name not in origin or not _same(origin[name], value)
    }


def _deep_copied(received: dict[str, Any]) -> dict[str, Any]:
    """A copy that shares no mutable value with the original."""
    return {
        name: deepcopy(value) if type(value) in (list, dict) else value for name, value in received.items()
    }


def _detached(model: Model) -> Envelope | None:
    """The envelope for a copy or a pickle of an object, which may outlive its page."""
    envelope = model.__envelope__
    return None if envelope is None else envelope.detached(model)


def _origin(model: Model) -> dict[str, Any] | None:
    try:
        return _read_origin(model)
    except AttributeError:
        return None


_read_origin: Callable[[Model], dict[str, Any]] = vars(Model)[
    "__origin__"
].__get__  # without `__getattr__`'s advice


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def _unpickled(
    cls: type[M], received: dict[str, Any], envelope: Envelope | None, origin: dict[str, Any] | None
) -> M:
    """Unpickle an object."""
    model = wrap(cls, received, envelope)
    if origin is not None:
        model.__origin__ = origin
    if envelope is not None:
        envelope.adopt(model)
    return model


def wrap(cls: type[M], received: dict[str, Any], envelope: Envelope | None) -> M:
    """Wrap a received object, which becomes the `__dict__` of the instance."""
    model = cls.__new__(cls)
    set_received(model, received)
    set_envelope(model, envelope)
    return model
