"""The envelope: its results in their order, and the objects that came along, one for each type and id.

While a page is in use, its envelope holds all of its objects, and they hold it. When the page goes, the envelope lets go
of them: each object that somebody keeps gets an envelope of its own, with what its associations reach (`reach`). Objects
of a response in which nothing came along share an envelope that holds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast
from weakref import ref

from kantata_client import models
from kantata_client._calls.parsing import parsed
from kantata_client._calls.reach import Cell, Reach, Requested, class_under, operation_of, portable, reached
from kantata_client._objects.model import Model, around
from kantata_client.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kantata_client._calls.drift import Drift
    from kantata_client._contract import Operation
    from kantata_client._http.messages import Response

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


class Envelope(Requested):
    """The objects of one response by type and id."""

    __slots__ = ("_alive", "_cells", "_known_places", "_received", "_results", "made")

    def __init__(
        self, operation: Operation, asked: frozenset[str], received: Mapping[str, Mapping[str, Any]]
    ) -> None:
        super().__init__(operation, asked)
        self._received = received
        self.made: dict[str, dict[str, Model]] = {}
        """Envelope key → id → object, while the page is in use."""
        self._results: frozenset[str] | Sequence[str] | None = None
        """What `results` names; `None` when nothing else came."""
        self._cells: dict[tuple[str, str], Cell] = {}
        self._alive: dict[int, ref[Model]] = {}
        """Identity of what was received → the model around it that outlived the page."""
        self._known_places: dict[int, tuple[str, str]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (portable(self._operation), self._requested)

    def make_all(self, cls: type[Model]) -> None:
        """Make the objects of the response, those of the operation's own key of class `cls`."""
        operation = self._operation
        for key, received in self._received.items():
            made_as = cls if key == operation.key else class_under(key, operation.keys)
            make = made_as.__new__
            made = self.made[key] = {}
            # `around`, without a call for each object.
            for identifier, own in received.items():
                if type(own) is dict:
                    model = make(made_as)
                    model.__dict__ = own
                    model.__envelope__ = self
                    made[identifier] = model

    def name_results(self, named: Sequence[str]) -> None:
        """Tell results from objects that came along.

        Args:
            named: The ids in `results`.
        """
        self._results = named

    def is_result(self, model: Model) -> bool:
        """Whether the object is one of the results, and not one that came along with them."""
        if self._results is None:
            return True
        if not isinstance(self._results, frozenset):
            self._results = frozenset(self._results)
        own = model.__dict__
        if str(own.get("id")) in self._results:
            return True
        # `results` may name an object by something else than its `id`.
        return any(objects.get(each) is own for objects in self._received.values() for each in self._results)

    def find(self, key: str, identifier: Any) -> Model | None:
        """The object of that type and id, the same one each time, or `None`."""
        found = self.find_all(key, (identifier,))
        return found[0] if found else None

    def find_all(self, key: str, identifiers: Iterable[Any]) -> list[Model]:
        """The objects of that type and these ids, without those that are not there."""
        found: list[Model] = []
        made: Mapping[str, Model] = self.made.get(key, _NOTHING)
        for identifier in identifiers:
            identifier = identifier if type(identifier) is str else str(identifier)
            model = made.get(identifier)
            if model is None and not self.made:  # the page is gone, and an object inside an object asks
                own = self._received.get(key, _NOTHING).get(identifier)
                if type(own) is dict:
                    made_as = class_under(key, self._operation.keys)
                    model = around(made_as, cast("dict[str, Any]", own), self)
            if model is not None:
                found.append(model)
        return found

    def find_of_type(self, name: Any, identifier: Any) -> Model | None:
        """The object that a polymorphic reference points to; its type is an envelope key or a type's name."""
        if not isinstance(name, str) or identifier is None:
            return None
        return self.find(name if name in self._received else models.TYPES.get(name, name), identifier)

    def kept(self, model: Model) -> Envelope | Reach:
        """The envelope for an object or a copy of one that may outlive the page: with what its associations reach."""
        if self._results is None:
            return self
        cells = reached(model, self._received, self._operation.keys, self._cell)
        is_result = self.is_result(model)
        named = cast("frozenset[str]", self._results)  # `is_result` made it one
        results = {each for each in cells.get(str(self._operation.key), ()) if each in named}
        if is_result:
            results.add(str(model.__dict__.get("id")))
        place = self._places().get(id(model.__dict__))
        own = None if place is None else self._cell(*place)
        return Reach(self._operation, self._requested, cells, frozenset(results), own)

    def adopt(self, model: Model) -> None:
        """Nothing came along, so nothing leads to an object that was unpickled."""

    def release(self) -> None:
        """Let go of all objects; those that somebody keeps go on with what they reach."""
        if not self.made:
            return
        weak = [ref(model) for made in self.made.values() for model in made.values()]
        self.made = {}
        alive = [(model, each) for each in weak if (model := each()) is not None]
        self._alive = {id(model.__dict__): each for model, each in alive}
        for model, _ in alive:
            model.__envelope__ = self.kept(model)

    def _cell(self, key: str, identifier: str) -> Cell | None:
        """The cell of an object, the same one each time."""
        cell = self._cells.get((key, identifier))
        if cell is None:
            received: Any = self._received.get(key, _NOTHING).get(identifier)
            if type(received) is not dict:
                return None
            model = self.made.get(key, _NOTHING).get(identifier)
            made = self._alive.get(id(cast("object", received))) if model is None else ref(model)
            cell = self._cells[key, identifier] = Cell(cast("dict[str, Any]", received), made)
        return cell

    def _places(self) -> dict[int, tuple[str, str]]:
        """Envelope key and id of each object, by the identity of what was received."""
        if not self._known_places:
            self._known_places = {
                id(received): (key, identifier)
                for key, objects in self._received.items()
                for identifier, received in objects.items()
            }
        return self._known_places


def _unpickled(operation: Operation | str, asked: frozenset[str]) -> Envelope:
    return Envelope(operation_of(operation), asked, {})


class Decoded(Generic[M]):
    """The objects of one response.

    It keeps the envelope together: when it goes, the objects that somebody keeps are left with what they reach.
    """

    __slots__ = ("_envelopes", "absent", "count", "identities", "items", "size")

    def __init__(
        self,
        items: list[M],
        identities: list[Any] | None,
        absent: list[Any],
        count: int | None,
        size: int | None,
        envelope: Envelope | None = None,
    ) -> None:
        self.items = items
        self.identities = identities
        """What tells each item from all others: its id, or (key, id) if it is of another type; `None` in a bare array."""
        self.absent = absent
        """The same of entries of `results` whose object is not in the response."""
        self.count = count
        """Objects of the whole query, when the service says so."""
        self.size = size
        """Objects of a full page, when the service says so."""
        self._envelopes = [] if envelope is None else [envelope]

    def __del__(self) -> None:
        if self._envelopes:
            self.items = []  # what nobody else holds is gone before the envelopes look at what is left
            for envelope in self._envelopes:
                envelope.release()

    @property
    def entries(self) -> int:
        """Entries of `results`, including those whose object is not in the response."""
        return len(self.items) + len(self.absent)

    @property
    def all_identities(self) -> list[Any]:
        """The identities of all entries."""
        return [*(self.identities or ()), *self.absent]

    def extend(self, other: Decoded[M]) -> None:
        """Add the objects of the next response."""
        self.items += other.items
        self.absent += other.absent
        self.identities = [*(self.identities or ()), *(other.identities or ())]
        self._envelopes += other._envelopes
        other._envelopes = []


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
    asked: frozenset[str],
    request_id: str | None,
    drift: Drift,
) -> Decoded[M]:
    """The results of an envelope as objects.

    Args:
        content: The body of the response.
        cls: The class of the results.
        operation: The operation that was sent.
        asked: The associations and optional fields that it asked for.
        request_id: The response's id, for errors and drift.
        drift: Where differences from the contract are counted.

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
    if count is None:
        count = _whole(told.get("count"))
    odd = {key: value for key, value in received.items() if type(value) is not dict}
    received.update(dict.fromkeys(odd, _NOTHING))
    try:
        if odd and any(reference["key"] in odd for reference in references):
            raise TypeError(odd)
        made = _results(cls, references, received, operation, asked)
    except (KeyError, TypeError, AttributeError):
        malformed(
            "an entry of `results` is not {key, id}, or its objects are not a map by id",
            operation,
            request_id,
        )
    items, identities, missing, envelope = made
    lost = [_identity(reference, operation) for reference in missing]
    whole = Decoded(items, identities, lost, count, _whole(told.get("page_size")), envelope)
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
    return whole


def _results(
    cls: type[M],
    references: list[Any],
    received: dict[str, Any],
    operation: Operation,
    asked: frozenset[str],
) -> tuple[list[Any], list[Any], list[Any], Envelope | None]:
    """The objects that `results` names, in its order.

    Returns:
        The objects; what tells each of them from all others; the references without an object; and the envelope, if other
        objects came along.
    """
    envelope = Envelope(operation, asked, received)
    own_key: Any = operation.key
    own: Any = received.get(own_key, _NOTHING)
    keys = {reference["key"] for reference in references}
    # The keys of a map are text, and references are too; they may be numbers one day.
    ids = [
        identifier if type(identifier := reference["id"]) is str else _text(identifier)
        for reference in references
    ]
    if len(received) <= 1 and len(references) == len(own) and asked.isdisjoint(cls.ASSOCIATIONS):
        # Nothing came along that an association could lead to: the objects share an envelope that holds nothing.
        envelope = Envelope(operation, asked, _NOTHING)
        if keys <= {own_key} and len(set(ids)) == len(ids):
            try:
                return [around(cls, _object(own[each]), envelope) for each in ids], ids, [], None
            except KeyError:
                pass
        envelope = Envelope(operation, asked, received)
    envelope.make_all(cls)
    envelope.name_results(ids)
    if keys == {own_key}:
        made = envelope.made.get(own_key, _NOTHING)
        try:
            return [made[each] for each in ids], ids, [], envelope
        except KeyError:
            pass
    items: list[Any] = []
    identities: list[Any] = []
    missing: list[Any] = []
    for reference, identifier in zip(references, ids, strict=True):
        model = envelope.made.get(reference["key"], _NOTHING).get(identifier)
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


def _identity(reference: Any, operation: Operation) -> Any:
    """What tells an entry of `results` from all others of the list."""
    return reference["id"] if reference["key"] == operation.key else (reference["key"], str(reference["id"]))


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
