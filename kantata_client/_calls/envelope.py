"""The envelope of a response: its results in order, and its sideloads, with one object for each type and id.

While a page is in use, its envelope and its objects refer to each other. When the page is garbage-collected, the envelope
drops its objects: each one that is still referenced gets an envelope of its own, with what its associations reach (`reach`).
The objects of a response without sideloads share an envelope that holds nothing.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat
from sys import getrefcount
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast
from weakref import ref

import attrs

from kantata_client import models
from kantata_client._calls.parsing import parsed
from kantata_client._calls.reach import (
    Cell,
    Reach,
    Reachable,
    Requested,
    class_under,
    neighbours,
    operation_of,
    portable,
)
from kantata_client._objects.model import Model, set_envelope, set_received, wrap
from kantata_client.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kantata_client._calls.drift import Drift
    from kantata_client._calls.reach import Neighbour
    from kantata_client._contract import Operation
    from kantata_client._http.messages import Response

M = TypeVar("M", bound=Model)
T = TypeVar("T")

_NOTHING: dict[str, Any] = {}


class NotJSONError(MalformedResponseError):
    """The body of a response is not JSON."""

    described = False

    def of(self, response: Response) -> NotJSONError:
        """This error, with a description of the response in its message."""
        if self.described:
            return self
        self.described = True
        from kantata_client.errors.responses import readable_text

        kind = str(response.headers.get("content-type", "")).partition(";")[0].strip()
        parts = [f"status {response.status}", f"content type {kind[:80]!r}" if kind else "no content type"]
        if text := readable_text(response.content, response.headers.get("content-encoding")):
            parts.append(f"the text {text!r}")
        self.args = (f"{self} It had {', '.join(parts)}. Check base_url, and any proxy in between.",)
        return self


class Envelope(Requested):
    """The objects of one response by type and id."""

    __slots__ = ("_alive", "_cells", "_in_use", "_keys", "_received", "_results", "models")

    def __init__(
        self, operation: Operation, requested: frozenset[str], received: Mapping[str, Mapping[str, Any]]
    ) -> None:
        super().__init__(operation, requested)
        self._received = received
        self.models: dict[str, dict[str, Model]] = {}
        """Envelope key → id → object, while the page is in use; without the keys of which no object was read yet."""
        self._in_use = True
        self._results: frozenset[str] | Sequence[str] | None = None
        """The ids in `results`; `None` if the response has no sideloads."""
        self._cells: dict[tuple[str, str], Cell] = {}
        self._alive: dict[int, ref[Model]] = {}
        """`id()` of a received object → its model, if that outlived the page."""
        self._keys: dict[int, tuple[str, str]] = {}
        """`id()` of a received object → its envelope key and id; filled when it is first needed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (portable(self._operation), self._requested)

    def make_models(self, key: str, cls: type[Model]) -> dict[str, Model]:
        """Make a model of each object under an envelope key: of the results at once, of sideloads when one is first read."""
        received: dict[str, Any] = {
            identifier: own
            for identifier, own in self._received.get(key, _NOTHING).items()
            if type(own) is dict
        }
        # This is `wrap` in loops that run in C.
        made = list(map(cls.__new__, repeat(cls, len(received))))
        deque(map(set_received, made, received.values()), 0)
        deque(map(set_envelope, made, repeat(self)), 0)
        models_of_key = dict(zip(received, made, strict=True))
        return self.models.setdefault(key, models_of_key)  # another thread may have been first

    def set_results(self, ids: Sequence[str]) -> None:
        """Set the ids in `results`, by which results are told from sideloads."""
        self._results = ids

    def is_result(self, model: Model) -> bool:
        """Whether the object is a result, not a sideload."""
        if self._results is None:
            return True
        if not isinstance(self._results, frozenset):
            self._results = frozenset(self._results)
        own = model.__dict__
        if str(own.get("id")) in self._results:
            return True
        # `results` may refer to an object by something other than its `id`.
        return any(objects.get(each) is own for objects in self._received.values() for each in self._results)

    def find(self, key: str, identifier: Any) -> Model | None:
        """The object with that envelope key and id, always the same one, or `None`."""
        found = self.find_all(key, (identifier,))
        return found[0] if found else None

    def find_all(self, key: str, identifiers: Iterable[Any]) -> list[Model]:
        """The objects with that envelope key and these ids; missing ones are left out."""
        found: list[Model] = []
        models_of_key: Mapping[str, Model] | None = self.models.get(key)
        if models_of_key is None:
            in_use = self._in_use and key in self._received
            models_of_key = (
                self.make_models(key, class_under(key, self._operation.keys)) if in_use else _NOTHING
            )
        for identifier in identifiers:
            identifier = identifier if type(identifier) is str else str(identifier)
            model = models_of_key.get(identifier)
            if model is None and not self._in_use:  # for a nested object whose page was garbage-collected
                own = self._received.get(key, _NOTHING).get(identifier)
                if type(own) is dict:
                    model_class = class_under(key, self._operation.keys)
                    model = wrap(model_class, cast("dict[str, Any]", own), self)
            if model is not None:
                found.append(model)
        return found

    def find_of_type(self, name: Any, identifier: Any) -> Model | None:
        """The object that a polymorphic reference points to. `name` is an envelope key or the name of a type."""
        if not isinstance(name, str) or identifier is None:
            return None
        return self.find(name if name in self._received else models.TYPES.get(name, name), identifier)

    def detached(self, model: Model) -> Envelope | Reach:
        """The envelope for an object, or a copy of it, that may outlive the page: with what its associations reach."""
        return self._detached(model, Reachable(self._neighbours_of))

    def _detached(self, model: Model, reachable: Reachable) -> Envelope | Reach:
        if self._results is None:
            return self
        cells = reachable.of(model)
        is_result = self.is_result(model)
        ids = cast("frozenset[str]", self._results)  # `is_result` has converted it
        results = {each for each in cells.get(str(self._operation.key), ()) if each in ids}
        if is_result:
            results.add(str(model.__dict__.get("id")))
        key = self._key_of(model)
        own = None if key is None else self._cell(*key)
        return Reach(self._operation, self._requested, cells, frozenset(results), own)

    def _neighbours_of(self, cls: type[Model], received: dict[str, Any]) -> list[Neighbour]:
        return neighbours(cls, received, self._received, self._operation.keys, self._cell)

    def adopt(self, model: Model) -> None:
        """Do nothing: without sideloads, nothing refers to the unpickled object."""

    def release(self) -> None:
        """Drop all objects. Those that are still referenced elsewhere keep what their associations reach."""
        if not self._in_use:
            return
        self._in_use = False
        alive = _referenced(self.models, _UNREFERENCED)
        self.models = {}
        self._alive = {id(model.__dict__): ref(model) for model in alive}
        reachable = Reachable(self._neighbours_of)
        for model in alive:
            set_envelope(model, self._detached(model, reachable))

    def _cell(self, key: str, identifier: str) -> Cell | None:
        """The cell of an object, always the same one."""
        cell = self._cells.get((key, identifier))
        if cell is None:
            received: Any = self._received.get(key, _NOTHING).get(identifier)
            if type(received) is not dict:
                return None
            model = self.find(key, identifier) if self._in_use else None
            weak = self._alive.get(id(cast("object", received))) if model is None else ref(model)
            cell = self._cells[key, identifier] = Cell(cast("dict[str, Any]", received), weak)
        return cell

    def _key_of(self, model: Model) -> tuple[str, str] | None:
        """The envelope key and the id of a received object; `None` for a copy."""
        if not self._keys:
            self._keys = {
                id(received): (key, identifier)
                for key, objects in self._received.items()
                for identifier, received in objects.items()
            }
        return self._keys.get(id(model.__dict__))


def _referenced(objects: Mapping[str, Mapping[str, T]], threshold: int) -> list[T]:
    """The objects with more references than `threshold`."""
    return [
        each for mapping in objects.values() for each in mapping.values() if getrefcount(each) > threshold
    ]


def _unreferenced_count() -> int:
    """How many references `_referenced` counts for an object that only its mapping refers to."""
    count = 0
    while _referenced({"": {"": object()}}, count):
        count += 1
    return count


_UNREFERENCED = _unreferenced_count()


def _unpickled(operation: Operation | str, requested: frozenset[str]) -> Envelope:
    return Envelope(operation_of(operation), requested, {})


@attrs.frozen(eq=False)
class Decoded(Generic[M]):
    """The objects of one response.

    It keeps the envelope alive. Once it is garbage-collected, objects that are still referenced keep only what their
    associations reach.
    """

    items: list[M]
    identities: list[Any] | None
    """The identity of each item: its id, or (key, id) if it is of another type; `None` for a bare array."""
    absent: list[Any]
    """The identities of the entries of `results` whose object is not in the response."""
    count: int | None
    """How many objects the whole query has; `None` if the service does not say."""
    size: int | None
    """How many objects a full page has; `None` if the service does not say."""
    _envelopes: list[Envelope] = attrs.field(factory=list)

    def __del__(self) -> None:
        if self._envelopes:
            # Frees the objects that nobody else holds, before the envelopes look for those still held.
            object.__setattr__(self, "items", [])
            for envelope in self._envelopes:
                envelope.release()

    @property
    def entries(self) -> int:
        """The number of entries in `results`, including those whose object is not in the response."""
        return len(self.items) + len(self.absent)

    @property
    def all_identities(self) -> list[Any]:
        """The identities of all entries."""
        return [*(self.identities or ()), *self.absent]

    def extend(self, other: Decoded[M]) -> None:
        """Add the objects of the next response."""
        self.items.extend(other.items)
        self.absent.extend(other.absent)
        if self.identities is not None:
            self.identities.extend(other.identities or ())
        self._envelopes.extend(other._envelopes)
        other._envelopes.clear()


def decode(content: bytes, operation: Operation, request_id: str | None) -> Any:
    """The JSON of a response.

    Raises:
        MalformedResponseError: The response is not JSON.
    """
    try:
        return parsed(content)
    except ValueError as error:
        what = "is empty" if not content.strip() else f"is not JSON ({error})"
        malformed(f"the response {what}", operation, request_id, NotJSONError)


def decode_envelope(
    content: bytes,
    cls: type[M],
    operation: Operation,
    requested: frozenset[str],
    request_id: str | None,
    drift: Drift,
) -> Decoded[M]:
    """The results of an envelope as objects.

    Args:
        content: The body of the response.
        cls: The class of the results.
        operation: The operation that was sent.
        requested: The associations and optional fields that it asked for.
        request_id: The id of the request, for errors and drift.
        drift: Counts differences from the contract.

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
    sizes = cast("dict[str, Any]", meta) if type(meta) is dict else _NOTHING
    count = _natural(received.pop("count", None))
    if count is None:
        count = _natural(sizes.get("count"))
    unmapped = {key: value for key, value in received.items() if type(value) is not dict}
    if unmapped:
        received.update(dict.fromkeys(unmapped, _NOTHING))
    try:
        if unmapped and any(reference["key"] in unmapped for reference in references):
            raise TypeError(unmapped)
        items, identities, missing, envelope = _results(cls, references, received, operation, requested)
    except (KeyError, TypeError, AttributeError):
        malformed(
            "an entry of `results` is not {key, id}, or its objects are not a map by id",
            operation,
            request_id,
        )
    absent = [_identity(reference, operation) for reference in missing]
    decoded_page = Decoded(
        items,
        identities,
        absent,
        count,
        _natural(sizes.get("page_size")),
        [] if envelope is None else [envelope],
    )
    drift.check(
        received,
        lambda key: class_under(key, operation.keys),
        operation,
        request_id,
        items=items,
        requested=_requested_fields(cls, requested) if requested else (),
        missing=missing,
        unmapped=unmapped,
    )
    return decoded_page


def _results(
    cls: type[M],
    references: list[Any],
    received: dict[str, Any],
    operation: Operation,
    requested: frozenset[str],
) -> tuple[list[Any], list[Any], list[Any], Envelope | None]:
    """The objects that `results` names, in its order.

    Returns:
        The objects; their identities; the references without an object; and the envelope, if there are sideloads.
    """
    own_key: Any = operation.key
    own: Any = received.get(own_key, _NOTHING)
    keys = {reference["key"] for reference in references}
    # The keys of a map are strings; references are accepted as numbers as well.
    ids = [
        identifier if type(identifier := reference["id"]) is str else _text(identifier)
        for reference in references
    ]
    if len(received) <= 1 and len(references) == len(own) and requested.isdisjoint(cls.ASSOCIATIONS):
        # There are no sideloads, so the objects share an envelope that holds nothing.
        envelope = Envelope(operation, requested, _NOTHING)
        if keys <= {own_key} and len(set(ids)) == len(ids):
            try:
                return [wrap(cls, _object(own[each]), envelope) for each in ids], ids, [], None
            except KeyError:
                pass
    envelope = Envelope(operation, requested, received)
    models_of_key = envelope.make_models(own_key, cls)
    envelope.set_results(ids)
    if keys == {own_key}:
        try:
            return [models_of_key[each] for each in ids], ids, [], envelope
        except KeyError:
            pass
    items: list[Any] = []
    identities: list[Any] = []
    missing: list[Any] = []
    for reference, identifier in zip(references, ids, strict=True):
        model = envelope.find(reference["key"], identifier)
        if model is None:
            missing.append(reference)
        else:
            items.append(model)
            identities.append(_identity(reference, operation))
    return items, identities, missing, envelope


def _text(identifier: object) -> str:
    if type(identifier) is int:
        return str(identifier)
    raise TypeError(identifier)


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise KeyError
    return cast("dict[str, Any]", value)


def _requested_fields(cls: type[Model], requested: frozenset[str]) -> list[str]:
    """The fields that a request asked for: references of associations, and optional fields."""
    fields: list[str] = []
    for name in requested:
        association = cls.ASSOCIATIONS.get(name)
        if association is not None:
            fields.append(association.ids)
        elif name in cls.FIELDS:
            fields.append(name)
    return fields


def _identity(reference: Any, operation: Operation) -> Any:
    """The identity of an entry of `results`, unique in the list."""
    return reference["id"] if reference["key"] == operation.key else (reference["key"], str(reference["id"]))


def _natural(value: object) -> int | None:
    """A number of objects, sent as a number or as text; `None` for anything else."""
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
    """A plain object; or the single object of a map by id, if the operation's result is `keyed`."""
    received: Any = decode(content, operation, request_id)
    if operation.result == "keyed" and type(received) is dict:
        objects = list(cast("dict[str, Any]", received).values())
        if len(objects) != 1:
            malformed(f"a map with one object was expected, not with {len(objects)}", operation, request_id)
        received = objects[0]
    if type(received) is not dict:
        malformed(f"an object was expected, not {_kind(received)}", operation, request_id)
    drift.check_plain([received], cls, operation, request_id)
    return wrap(cls, cast("dict[str, Any]", received), None)


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
            malformed(
                f"an array of objects was expected, but it contains {_kind(each)}", operation, request_id
            )
    drift.check_plain(objects, cls, operation, request_id)
    return Decoded([wrap(cls, each, None) for each in objects], None, [], len(objects), None)


def malformed(
    what: str,
    operation: Operation,
    request_id: str | None,
    kind: type[MalformedResponseError] = MalformedResponseError,
) -> NoReturn:
    """Raise the error for a response that is not what the operation returns; `what` describes the problem."""
    written = ""
    if operation.method != "GET":
        written = " The service reported success, so the write was probably carried out: check before you send it again."
    msg = f"{operation.id}: {what}.{written} If this happens again, give Kantata's support the request id {request_id}."
    raise kind(msg, method=operation.method, path=operation.path, request_id=request_id) from None


def _kind(value: object) -> str:
    names = {"dict": "an object", "list": "an array", "str": "text", "NoneType": "nothing"}
    return names.get(type(value).__name__, f"a {type(value).__name__}")
