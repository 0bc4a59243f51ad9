"""The envelope: decoding it, its results in their order, and the objects that came along, one for each type and id.

An envelope is held by its objects and holds them weakly: no reference cycle, so a page is gone as soon as its last
object is. Objects of a request without `include` share an envelope that holds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast
from weakref import ref

import orjson

from kantata_client import models
from kantata_client._objects.model import Model, around
from kantata_client.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kantata_client._calls.drift import Drift
    from kantata_client._contract import Operation
    from kantata_client._http.messages import Response
    from kantata_client._objects.inclusion import Parameter

M = TypeVar("M", bound=Model)

_NOTHING: dict[str, Any] = {}


class NotJSONError(MalformedResponseError):
    """The body of a response is not JSON."""

    described = False

    def of(self, response: Response) -> NotJSONError:
        """The error with what the response was instead."""
        if self.described:
            return self
        self.described = True
        from kantata_client.errors.responses import readable_text

        kind = str(response.headers.get("content-type", "")).partition(";")[0].strip()
        parts = [f"status {response.status}", f"content type {kind[:80]!r}" if kind else "no content type"]
        if text := readable_text(response.content, response.headers.get("content-encoding")):
            parts.append(f"the text {text!r}")
        self.args = (f"{self} It had {', '.join(parts)}. Check base_url, and proxies on the way.",)
        return self


class Envelope:
    """The objects of one response by type and id."""

    __slots__ = ("_asked", "_made", "_operation", "_received", "_results")

    def __init__(
        self,
        operation: Operation,
        asked: frozenset[str],
        received: dict[str, Any],
        results: Collection[str] = (),
    ) -> None:
        self._operation = operation
        self._asked = asked
        self._received = received
        self._made: dict[str, dict[str, ref[Any]]] = {}
        self._results = results

    def __reduce__(self) -> tuple[Any, ...]:
        return Envelope, (self._operation, self._asked, self._received, tuple(self._results))

    def asked(self, model: Model, name: str, *, told: bool = False) -> bool:
        """Whether the request asked for an association or an optional field of this object.

        It asked for its results only, not for objects that came along, even of the same class. `told`: the object's own
        field says that it has no such object, which holds for those that came along too.
        """
        return (
            name in self._asked
            and type(model).__name__ == self._operation.model
            and (told or self._is_result(model))
        )

    def advice(self, model: Model, parameter: Parameter, name: str) -> str | None:
        """How the request could have asked for an association or an optional field; `None` if it could not."""
        taken = self._operation.query.get(parameter)
        possible = taken is not None and name in taken.values
        if possible and type(model).__name__ == self._operation.model and self._is_result(model):
            return f'add {parameter}=["{name}"] to the call that returned this {type(model).__name__}'
        return None

    def _is_result(self, model: Model) -> bool:
        if not self._asked:
            return True  # then nothing else came
        if not isinstance(self._results, frozenset):
            self._results = frozenset(self._results)
        own = model.__dict__
        if str(own.get("id")) in self._results:
            return True
        # `results` may name an object by something else than its `id`.
        return any(objects.get(each) is own for objects in self._received.values() for each in self._results)

    def find(self, key: str, identifier: Any) -> Model | None:
        """The object of that type and id, the same one each time, or `None`."""
        made = self._made.get(key)
        if made is not None and type(identifier) is str:
            known = made.get(identifier)
            if known is not None and (model := known()) is not None:
                return model
        found = self.find_all(key, (identifier,))
        return found[0] if found else None

    def find_all(self, key: str, identifiers: Iterable[Any]) -> list[Model]:
        """The objects of that type and these ids, as far as they are there."""
        found: list[Model] = []
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = {}
        received: dict[str, Any] = self._received.get(key, _NOTHING)
        made_as: Any = None
        for identifier in identifiers:
            if type(identifier) is not str:
                identifier = str(identifier)
            known = made.get(identifier)
            model: Any = None if known is None else known()
            if model is None:
                own = received.get(identifier)
                if type(own) is not dict:
                    continue
                if made_as is None:
                    made_as = class_under(key, self._operation.keys)
                # `around`, without a call for each object.
                model = made_as.__new__(made_as)
                model.__dict__ = own
                model.__envelope__ = self
                made[identifier] = ref(model)
            found.append(model)
        return found

    def find_of_type(self, name: Any, identifier: Any) -> Model | None:
        """The object that a polymorphic reference points to; its type is an envelope key or a type's name."""
        if not isinstance(name, str) or identifier is None:
            return None
        return self.find(name if name in self._received else models.TYPES.get(name, name), identifier)

    def adopt(self, model: Model) -> None:
        """Know an object that was made again from what was received, so that it stays the one of its type and id."""
        identifier = str(model.__dict__.get("id"))
        for key, objects in self._received.items():
            if objects.get(identifier) is model.__dict__:
                self._made.setdefault(key, {})[identifier] = ref(model)

    def results(
        self, cls: type[Model], references: list[Any]
    ) -> tuple[list[Any], list[Any], list[Any] | None]:
        """The objects that `results` names, in its order, and the references whose objects are not there.

        The loop does what `find` does, without a call for each object: every object of every page comes through here.

        Returns:
            The objects; the references without one; the ids of the objects, if each is of the operation's own type and
            comes once.
        """
        objects: list[Any] = []
        absent: list[Any] = []
        own_key: Any = self._operation.key
        # Nothing came along that an association could lead to: no weak reference is needed for each object, which would
        # make the garbage collector run half again as often.
        alone = (
            not self._asked
            and len(self._received) <= 1
            and len(references) == len(self._received.get(own_key, _NOTHING))
        )
        key: Any = None
        received: dict[str, Any] = _NOTHING
        made: dict[str, Any] = {}
        make: Any = None
        made_as: type[Model] = cls
        for reference in references:
            if reference["key"] != key:
                key = reference["key"]
                received = self._received.get(key, _NOTHING)
                made = self._made.setdefault(key, {})
                made_as = cls if key == own_key else class_under(key, self._operation.keys)
                make = made_as.__new__
            identifier = reference["id"]
            if type(identifier) is int:  # the keys of a map are text; its references may be numbers one day
                identifier = str(identifier)
            own = received.get(identifier)
            if type(own) is not dict:
                absent.append(reference)
            elif identifier in made:  # named twice
                objects.append(next(each for each in objects if each.__dict__ is own))
            else:
                model = make(made_as)
                model.__dict__ = own
                model.__envelope__ = self
                made[identifier] = None if alone else ref(model)
                objects.append(model)
        ids = list(made)
        if alone:
            self._received = _NOTHING
            self._made = {}
        else:
            self._results = (
                ids if len(self._made) == 1 else [each for those in self._made.values() for each in those]
            )
        return objects, absent, ids if key == own_key and len(ids) == len(objects) else None


def class_under(key: str, keys: Mapping[str, str]) -> type[Model]:
    """The class of the objects under an envelope key; `Model` itself for types that the contract does not know."""
    name = keys.get(key) or models.KEYS.get(key)
    if name is None:
        return Model
    cls = _classes.get(name)
    if cls is None:
        cls = _classes[name] = getattr(models, name)
    return cls


_classes: dict[str, type[Model]] = {}


class Decoded(Generic[M]):
    """The objects of one response."""

    __slots__ = ("absent", "count", "identities", "items", "size")

    def __init__(
        self,
        items: list[M],
        identities: list[Any] | None,
        absent: list[Any],
        count: int | None,
        size: int | None,
    ) -> None:
        self.items = items
        self.identities = identities
        """What tells each item from all others: its id, or (key, id) if it is of another type; `None` in a bare array."""
        self.absent = absent
        """The same of entries of `results` whose object is not there."""
        self.count = count
        """Objects of the whole query, when the service tells."""
        self.size = size
        """Objects of a full page, when the service tells."""

    @property
    def entries(self) -> int:
        """Entries of `results`, those included whose object is not there."""
        return len(self.items) + len(self.absent)

    def extend(self, other: Decoded[M]) -> None:
        """Add what the next page has."""
        self.items += other.items
        self.absent += other.absent
        self.identities = [*(self.identities or ()), *(other.identities or ())]

    @property
    def all_identities(self) -> list[Any]:
        """Of all entries."""
        return [*(self.identities or ()), *self.absent]


def decode(content: bytes, operation: Operation, request_id: str | None) -> Any:
    """The JSON of a response.

    Raises:
        MalformedResponseError: It is none.
    """
    try:
        return orjson.loads(content)
    except ValueError as error:
        what = "is empty" if not content.strip() else f"is not JSON ({error})"
        malformed(f"the response {what}", operation, request_id, NotJSONError)


def decode_envelope(
    content: bytes,
    cls: type[M],
    operation: Operation,
    asked: frozenset[str],
    request_id: str | None,
    drift: Drift,
) -> Decoded[M]:
    """The results of an envelope as objects.

    Raises:
        MalformedResponseError: The response is not an envelope.
    """
    decoded: Any = decode(content, operation, request_id)
    if type(decoded) is not dict:
        malformed(f"an envelope was expected, not {_kind(decoded)}", operation, request_id)
    received = cast("dict[str, Any]", decoded)
    results: Any = received.pop("results", None)
    if type(results) is not list:
        malformed(f"`results` should be a list of references, not {_kind(results)}", operation, request_id)
    references = cast("list[Any]", results)
    meta: Any = received.pop("meta", None)
    told = cast("dict[str, Any]", meta) if type(meta) is dict else _NOTHING
    count = _whole(received.pop("count", None))
    odd = {key: value for key, value in received.items() if type(value) is not dict}
    received.update(dict.fromkeys(odd, _NOTHING))
    envelope = Envelope(operation, asked, received)
    try:
        if odd and any(reference["key"] in odd for reference in references):
            raise TypeError(odd)
        items, missing, ids = envelope.results(cls, references)
    except (KeyError, TypeError, AttributeError):
        malformed(
            "an entry of `results` is not {key, id}, or its objects are not a map by id",
            operation,
            request_id,
        )
    drift.check(
        received,
        lambda key: class_under(key, operation.keys),
        operation,
        request_id,
        items=items,
        asked=_fields_asked_for(cls, asked),
        missing=missing,
        odd=odd,
    )
    lost: list[Any] = []
    found = references
    if missing:
        lost = _identities(missing, operation)
        found = [each for each in references if each not in missing]
    count = _whole(told.get("count")) if count is None else count
    identities = _identities(found, operation) if ids is None else ids
    return Decoded(items, identities, lost, count, _whole(told.get("page_size")))


def _fields_asked_for(cls: type[Model], asked: frozenset[str]) -> list[str]:
    """The fields of the results that a request asked for: those that refer to associations, and optional ones."""
    fields: list[str] = []
    for name in asked:
        association = cls.ASSOCIATIONS.get(name)
        if association is not None:
            fields.append(association.ids)
        elif name in cls.FIELDS:
            fields.append(name)
    return fields


def _identities(references: list[Any], operation: Operation) -> list[Any]:
    """What tells each entry of `results` from all others of the list."""
    key = operation.key
    return [each["id"] if each["key"] == key else (each["key"], str(each["id"])) for each in references]


def _whole(value: object) -> int | None:
    """A number of things, also as text."""
    if type(value) is int:
        return value if value >= 0 else None
    return (
        int(value)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20
        else None
    )


def decode_object(
    content: bytes, cls: type[M], operation: Operation, request_id: str | None, drift: Drift
) -> M:
    """A plain object; or, when the operation's result is `keyed`, the single object of a map."""
    received: Any = decode(content, operation, request_id)
    if operation.result == "keyed" and type(received) is dict:
        objects = list(cast("dict[str, Any]", received).values())
        if len(objects) != 1:
            malformed(f"one object by its id was expected, not {len(objects)}", operation, request_id)
        received = objects[0]
    if type(received) is not dict:
        malformed(f"an object was expected, not {_kind(received)}", operation, request_id)
    drift.check_plain([received], cls, operation, request_id)
    return around(cls, cast("dict[str, Any]", received), None)


def decode_array(
    content: bytes, cls: type[M], operation: Operation, request_id: str | None, drift: Drift
) -> Decoded[M]:
    """A bare array of objects."""
    received: Any = decode(content, operation, request_id)
    if type(received) is not list:
        malformed(f"an array was expected, not {_kind(received)}", operation, request_id)
    objects = cast("list[Any]", received)
    for each in objects:
        if type(each) is not dict:
            malformed(f"an array of objects was expected, but it holds {_kind(each)}", operation, request_id)
    drift.check_plain(objects, cls, operation, request_id)
    return Decoded([around(cls, each, None) for each in objects], None, [], len(objects), None)


def malformed(
    what: str,
    operation: Operation,
    request_id: str | None,
    kind: type[MalformedResponseError] = MalformedResponseError,
) -> NoReturn:
    """Raise that a response is not what the operation returns."""
    done = ""
    if operation.method != "GET":
        done = " The service answered with success, so the write was probably carried out: look before you send it again."
    msg = f"{operation.id}: {what}.{done} If it happens again, tell Kantata's support the request id {request_id}."
    raise kind(msg, method=operation.method, path=operation.path, request_id=request_id) from None


def _kind(value: object) -> str:
    names = {"dict": "an object", "list": "an array", "str": "text", "NoneType": "nothing"}
    return names.get(type(value).__name__, f"a {type(value).__name__}")
