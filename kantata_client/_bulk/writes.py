"""Kinds of bulk writes: what an item must be, and which request a chunk of items becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from kantata_client._bulk.matching import UnassignedError, grouped, identity, in_order
from kantata_client._bulk.outcomes import Item, Outcome
from kantata_client._bulk.run import BulkRun
from kantata_client._bulk.splitting import Splitter, blamed
from kantata_client._calls.arguments import body_of, is_id, item_of, path_of, query_of
from kantata_client._calls.extras import Extra, with_extras
from kantata_client._calls.session import requested_by
from kantata_client._calls.values import plain_text, shown
from kantata_client._objects.model import Model, changes_of
from kantata_client._objects.scalars import MissingError, native
from kantata_client.errors import (
    APIError,
    KantataError,
    MalformedResponseError,
    NotFoundError,
    UsageError,
)

if TYPE_CHECKING:
    from kantata_client._bulk.exactly_once import ExactlyOnce
    from kantata_client._bulk.reference_key import ExternalReferenceKey
    from kantata_client._bulk.run import Input
    from kantata_client._bulk.splitting import Write
    from kantata_client._calls.session import Session
    from kantata_client._contract import Operation
    from kantata_client.hooks import Progress

T = TypeVar("T")
M = TypeVar("M", bound=Model)

MOST_UNLESS_STATED = 100
"""Items per request if the contract does not state a number."""

LOOKED_FOR_TOGETHER = 20
"""How many items with keys one task looks up at once if each is then created by a request of its own."""

_TARGETS = {
    "/timesheet_approvals": "approved",
    "/timesheet_cancellations": "cancelled",
    "/timesheet_rejections": "rejected",
}
"""Path of a decision → the status of what was decided on."""

_SEARCH = "the answer to the search by id"
_SO = "So what became of the items is unknown: look them up before you send them again."
_NOTHING: Mapping[str, Any] = {}


def create_many(
    session: Session,
    operation: Operation,
    cls: type[M],
    items: Input,
    *,
    concurrency: int,
    progress: Progress | None = None,
    key: ExternalReferenceKey | None = None,
    atomic: bool = False,
    query: Mapping[str, Any] = _NOTHING,
    extra_query: Mapping[str, object] | None = None,
    extra_body: object = None,
) -> BulkRun[M]:
    """Create objects with the array form of the creation, or if it has none with one request each."""
    query, _ = with_extras(operation, query, None, extra_query, None)
    job = _Creation(session, operation, cls, key, atomic, query, extra_body)
    return BulkRun(job, items, concurrency, progress)


def update_many(
    session: Session,
    operation: Operation,
    cls: type[M],
    items: Input,
    *,
    concurrency: int,
    progress: Progress | None = None,
    upsert: Operation | None = None,
    query: Mapping[str, Any] = _NOTHING,
    extra_query: Mapping[str, object] | None = None,
    extra_body: object = None,
) -> BulkRun[M]:
    """Update objects with one request each, or with the array form of a creation that changes existing objects."""
    query, _ = with_extras(operation, query, None, extra_query, None)
    job = _Update(session, operation, cls, upsert, query, extra_body)
    return BulkRun(job, items, concurrency, progress)


def delete_many(
    session: Session,
    operation: Operation,
    ids: Input,
    *,
    concurrency: int,
    progress: Progress | None = None,
    extra_query: Mapping[str, object] | None = None,
) -> BulkRun[None]:
    """Delete objects by chunks of ids, or if the service does not support that with one request each."""
    return BulkRun(_Deletion(session, operation, extra_query), ids, concurrency, progress)


def decide_many(
    session: Session,
    operation: Operation,
    ids: Input,
    *,
    name: str,
    description: object,
    concurrency: int,
    progress: Progress | None = None,
    extra_query: Mapping[str, object] | None = None,
    extra_body: Mapping[str, object] | None = None,
) -> BulkRun[Any]:
    """Decide on submissions by chunks of ids; the results are resolutions."""
    body = {"submission_ids": [1], "description": description}
    query, body = with_extras(operation, _NOTHING, body, extra_query, extra_body)
    return BulkRun(_Decision(session, operation, name, query, body or {}), ids, concurrency, progress)


class _Creation(Generic[M]):
    def __init__(
        self,
        session: Session,
        operation: Operation,
        cls: type[M],
        key: ExternalReferenceKey | None,
        atomic: bool,
        query: Mapping[str, Any],
        extra: object,
    ) -> None:
        self.name = f"{operation.resource}.create_many"
        self._session = session
        self._operation = operation
        self._cls = cls
        body = operation.body
        if body is None:
            raise UsageError(f"{operation.id} creates nothing")
        if not isinstance(atomic, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{self.name}: atomic must be True or False, not {shown(atomic)}")
        self._plural = body.plural
        self._fields = body.fields
        self._key = key
        self._extra = _extra(extra, self.name)
        needed = () if key is None else ("external_references",)
        self._query = _loaded(operation, query, *needed)
        unit = 1 if self._plural is None else operation.bulk_limit or MOST_UNLESS_STATED
        self.size = unit
        self._once: ExactlyOnce[M] | None = None
        write = _naming(self._write)
        if key is None:
            self.send = Splitter(write, atomic=atomic, harmless=operation.upsert).settle
            return
        from kantata_client._bulk.exactly_once import ExactlyOnce
        from kantata_client._bulk.reference_key import ExternalReferenceKey

        if not isinstance(key, ExternalReferenceKey):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                f"{self.name}: key must be an ExternalReferenceKey(service_name, service_model, ref), not {shown(key)}"
            )
        key.check()
        if not operation.external_reference:
            raise UsageError(
                f"{self.name}: {operation.resource} can't be found by an external reference, so a key is not possible"
            )
        self.size = max(unit, LOOKED_FOR_TOGETHER)
        self._once = ExactlyOnce(session, operation, cls, key, write, unit)
        self.send = self._once.settle

    @property
    def stopped(self) -> KantataError | None:
        return self._once and self._once.stopped

    def check(self) -> None:
        self._session.transport.check()

    def prepare(self, index: int, given: Any) -> Item:
        where, ref, item = f"items[{index}]", None, given
        fields = self._operation.identified_by
        if self._key is not None:
            from kantata_client._bulk.reference_key import keyed

            ref, item = keyed(self._key, self._fields, given, f"{self.name}: {where}")
        item = _with_extra(self._operation, item, given, self._extra)
        ready = item_of(self._operation, item, where)
        same = identity(ready, fields) if fields and self._key is not None else None
        return Item(index, given, ready, ref, same)

    async def _write(self, part: list[Item]) -> Sequence[M]:
        if self._plural is None:
            created: Sequence[M] = [
                await self._session.one(self._operation, self._cls, (), self._query, _ready(part[0].ready))
            ]
            check = None
        else:
            created, check = await _write_array(
                self._session,
                self._operation,
                self._cls,
                self._plural,
                [item.ready for item in part],
                self._query,
            )
        assigned = None if self._once is None else self._once.assigned(part, created)
        if assigned is None and check is not None:
            check()
        return assigned or created


class _Update(Generic[M]):
    stopped: KantataError | None = None

    def __init__(
        self,
        session: Session,
        operation: Operation,
        cls: type[M],
        upsert: Operation | None,
        query: Mapping[str, Any],
        extra: object,
    ) -> None:
        self.name = f"{operation.resource}.update_many"
        self.size = 1 if upsert is None else upsert.bulk_limit or MOST_UNLESS_STATED
        self._session = session
        self._operation = operation
        self._cls = cls
        self._upsert = upsert
        self._extra = _extra(extra, self.name)
        self._query = _loaded(operation, query)
        self._upsert_query = _NOTHING if upsert is None else _loaded(upsert, self._query)
        body = None if upsert is None else upsert.body
        self._changeable = frozenset(operation.body.fields if operation.body is not None else ())
        self._needed = [] if body is None else [name for name, field in body.fields.items() if field.required]
        self._singly = Splitter(_naming(self._write_one), repeatable=not operation.action)
        self._together = Splitter(_naming(self._write_all), harmless=True)

    def prepare(self, index: int, given: Any) -> Item:
        where = f"items[{index}]"
        if isinstance(given, Model):
            known: Mapping[str, Any] = given.to_dict()
            whole: object = given
            changes: Any = self._changes(given, f"{self.name}: {where} (id {known.get('id')})")
        elif isinstance(given, Mapping):
            known = cast("Mapping[str, Any]", given)
            whole = changes = {name: value for name, value in known.items() if name != "id"}
        elif isinstance(given, tuple) and len(cast("tuple[Any, ...]", given)) == 2:
            identifier, changes = cast("tuple[Any, Any]", given)
            known = {"id": identifier}
            whole = changes
        else:
            raise UsageError(
                f"{self.name}: {where} must be a mapping with an id, a model, or a pair of an id and a "
                f"mapping, not {shown(cast('object', given))}"
            )
        identifier = known.get("id")
        if self._upsert is not None and all(known.get(name) is not None for name in self._needed):
            # A model whose identifying fields were changed would be written as another object.
            moved = isinstance(given, Model) and identifier is not None and changes.keys() - self._changeable
            if not moved:
                whole = _with_extra(self._upsert, whole, cast("object", given), self._extra)
                return Item(index, given, item_of(self._upsert, whole, where))
        if identifier is None:
            raise UsageError(f"{self.name}: {where} has no id, so it is unclear what to update")
        ready = item_of(
            self._operation, _with_extra(self._operation, changes, cast("object", given), self._extra), where
        )
        if not ready:
            raise UsageError(f"{self.name}: {where} has nothing to change")
        return Item(index, given, (_id(identifier, f"{self.name}: {where}"), ready), alone=True)

    def _changes(self, model: Model, where: str) -> dict[str, Any]:
        changes = changes_of(model)
        if changes is None:
            raise UsageError(
                f"{where} was not changed with replace(), so it is unclear what to send. Pass "
                "model.replace(...) with the changes, or a pair of an id and a mapping"
            )
        changes.pop("id", None)
        if not changes:
            raise UsageError(
                f"{where} has nothing to change: its fields are the same as when it was received"
            )
        return changes

    def check(self) -> None:
        self._session.transport.check()

    async def send(self, chunk: list[Item]) -> Sequence[Outcome[M]]:
        return await (self._singly if chunk[0].alone else self._together).settle(chunk)

    async def _write_one(self, part: list[Item]) -> Sequence[M]:
        identifier, changes = part[0].ready
        return [
            await self._session.one(self._operation, self._cls, (identifier,), self._query, _ready(changes))
        ]

    async def _write_all(self, part: list[Item]) -> Sequence[M]:
        assert self._upsert is not None  # noqa: S101 - only then is an item not alone
        assert self._upsert.body is not None  # noqa: S101
        plural = self._upsert.body.plural or self._upsert.resource
        rows = [item.ready for item in part]
        written, check = await _write_array(
            self._session, self._upsert, self._cls, plural, rows, self._upsert_query
        )
        check()
        return written


class _Deletion:
    stopped: KantataError | None = None

    def __init__(
        self, session: Session, operation: Operation, extra_query: Mapping[str, object] | None
    ) -> None:
        self.name = f"{operation.resource}.delete_many"
        self._by_ids = not operation.path_parameters
        given = {"ids": ()} if self._by_ids else _NOTHING
        self._query, _ = with_extras(operation, given, None, extra_query, None)
        self.size = (operation.bulk_limit or MOST_UNLESS_STATED) if self._by_ids else 1
        self._session = session
        self._operation = operation
        # The API documents it of every deletion, except of the soft one, which is a PUT.
        self._atomic = operation.method == "DELETE"
        self._splitter: Splitter[None] = Splitter(
            _naming(self._write),
            by_id=True,
            repeatable=not operation.action,
            atomic=self._atomic,
            recheck=self._after_refusal if self._by_ids else None,
        )

    def prepare(self, index: int, given: Any) -> Item:
        return Item(index, given, _id_of(given, self._operation.path, f"{self.name}: ids[{index}]"))

    def check(self) -> None:
        self._session.transport.check()

    async def send(self, chunk: list[Item]) -> Sequence[Outcome[None]]:
        return await self._splitter.settle(chunk)

    async def _write(self, part: list[Item]) -> Sequence[None]:
        ids = [item.ready for item in part]
        if self._by_ids:
            query = query_of(self._operation, {**self._query, "ids": list(dict.fromkeys(ids))})
            await self._session.send(self._operation, path_of(self._operation, ()), query)
            return [None] * len(part)
        try:
            query = query_of(self._operation, self._query)
            await self._session.send(self._operation, path_of(self._operation, (ids[0],)), query)
        except NotFoundError as error:
            # An earlier attempt whose answer was lost has deleted it.
            if not error.answer_was_lost:
                raise
        return [None]

    async def _after_refusal(self, part: list[Item], refusal: KantataError) -> list[Outcome[None]]:
        """Which items of a refused part are gone nevertheless.

        An earlier attempt whose answer was lost may have deleted all of them, and a service that is not atomic those that it
        does not name.
        """
        if not refusal.answer_was_lost and (self._atomic or len(part) == 1):
            return []
        named: set[int] = set() if refusal.answer_was_lost else set(blamed(refusal, part, by_id=True))
        try:
            left = await _present(self._session, f"/{self._operation.path.strip('/').split('/')[0]}", part)
        except KantataError as error:
            error.__cause__ = refusal
            return [Outcome(item.index, item.given, "unknown", error=error) for item in part]
        return [
            Outcome(item.index, item.given, "done")
            for place, item in enumerate(part)
            if item.ready not in left and place not in named
        ]


class _Decision:
    stopped: KantataError | None = None

    def __init__(
        self,
        session: Session,
        operation: Operation,
        name: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.size = operation.bulk_limit or MOST_UNLESS_STATED
        self._session = session
        self._operation = operation
        self._query = query
        self._body = body
        self._splitter: Splitter[Any] = Splitter(
            _naming(self._write), by_id=True, recheck=self._after_refusal
        )
        body_of(operation, body)

    def prepare(self, index: int, given: Any) -> Item:
        where = f"{self.name}: ids[{index}]"
        identifier = _id_of(given, f"/{self.name.partition('.')[0]}", where)
        if not identifier.isdecimal():
            raise UsageError(f"{where} must be an id, not {given!r}")
        return Item(index, given, identifier)

    def check(self) -> None:
        self._session.transport.check()

    async def send(self, chunk: list[Item]) -> Sequence[Outcome[Any]]:
        return await self._splitter.settle(chunk)

    async def _after_refusal(self, part: list[Item], refusal: KantataError) -> list[Outcome[Any]]:
        """Which items of a refused part were decided on nevertheless, by their status."""
        if len(part) == 1 and not refusal.answer_was_lost:
            return []
        try:
            present = await _present(self._session, f"/{self.name.partition('.')[0]}", part)
        except KantataError as error:
            error.__cause__ = refusal
            return [Outcome(item.index, item.given, "unknown", error=error) for item in part]
        target = _TARGETS[self._operation.path]
        decided = {key for key, each in present.items() if getattr(each, "status", None) == target}
        return [Outcome(item.index, item.given, "done") for item in part if item.ready in decided]

    async def _write(self, part: list[Item]) -> Sequence[Any]:
        from kantata_client import models

        container: type[Any] = getattr(models, str(self._operation.model))
        body = {**self._body, "submission_ids": [item.ready for item in part]}
        answer = await self._session.one(self._operation, container, (), self._query, body)
        made = {str(each.target_id): each for each in answer.resolutions or ()}
        if any(item.ready not in made for item in part):
            msg = f"{self._operation.id}: the answer has no resolution for a submission, so its state is unknown."
            raise MalformedResponseError(msg, method=self._operation.method, path=self._operation.path)
        return [made[item.ready] for item in part]


async def _present(session: Session, path: str, part: list[Item]) -> dict[str, Model]:
    """The objects of a collection that have the ids of some items, by id.

    Raises:
        ContradictionError: The answer can't be trusted.
        KantataError: The search failed.
    """
    from kantata_client import models
    from kantata_client._bulk.searching import contradiction, search
    from kantata_client.operations import OPERATIONS

    listing = OPERATIONS[f"GET {path}"]
    cls: type[Model] = getattr(models, str(listing.model))
    wanted = {item.ready for item in part}
    found = await search(session, listing, cls, {"only": sorted(wanted)}, what=_SEARCH, so=_SO)
    present = {str(each.to_dict().get("id")): each for each in found}
    if not present.keys() <= wanted:
        raise contradiction(listing, f"{_SEARCH} has objects that were not asked for", _SO)
    return present


async def _write_array(
    session: Session,
    operation: Operation,
    cls: type[M],
    plural: str,
    rows: list[Any],
    query: Mapping[str, Any],
) -> tuple[list[M], Callable[[], None]]:
    """Write several objects; returns that of each row, and a check that their order is that of the rows, which may raise."""
    path, sent = path_of(operation, ()), query_of(operation, query)
    response = await session.send(operation, path, sent, {plural: rows})
    found = session.read(response, operation, cls, requested_by(sent)).items
    places = grouped(rows, operation.identified_by)
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for place, row in zip(places, rows, strict=True):
        groups.setdefault(place, []).append(row)
    distinct = list({str(each.to_dict().get("id")): each for each in found}.values())
    if len(distinct) == len(groups) < len(rows):
        # Each group was written into one object, which the service may name once or once for each row.
        compared: list[Mapping[str, Any]] = [
            first if not more else {name: first.get(name) for name in operation.identified_by}
            for first, *more in groups.values()
        ]
        found = [distinct[place] for place in places]
    else:
        compared, distinct = rows, found
    if len(found) != len(rows):
        msg = (
            f"{operation.id}: {len(rows)} objects were sent and {len(found)} came back, so it is unknown which were written "
            f"(request id {response.request_id})."
        )
        raise MalformedResponseError(msg, method=operation.method, path=path, request_id=response.request_id)

    def check() -> None:
        if not in_order(compared, [each.to_dict() for each in distinct]):
            raise UnassignedError(
                operation.id, distinct, method=operation.method, path=path, request_id=response.request_id
            )

    return found, check


def _loaded(operation: Operation, query: Mapping[str, Any], *more: str) -> Mapping[str, Any]:
    """The query of a write, checked: what to load, and associations that the client itself needs if they are possible."""
    given: dict[str, Any] = {name: value for name, value in query.items() if value is not None}
    include = operation.query.get("include")
    if include is not None and (wanted := [name for name in more if name in include.values]):
        asked: Any = given.get("include", ())
        given["include"] = [*([asked] if isinstance(asked, str) else asked), *wanted]
    for name, value in given.items():
        given[name] = value if isinstance(value, (str, Extra)) else list(value)
    query_of(operation, given)
    return given


def _ready(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A body that was checked before, and is not checked again."""
    return {name: Extra(value) for name, value in body.items()}


def _extra(given: object, where: str) -> object:
    """The `extra_body` of a bulk write, checked: a mapping, or a function of an item."""
    if given is not None and not isinstance(given, Mapping) and not callable(given):
        raise UsageError(
            f"{where}: extra_body must be a mapping or a function of an item, not {shown(given)}"
        )
    return cast("object", given)


def _with_extra(operation: Operation, item: Any, given: object, extra: object) -> Any:
    """An item with the properties that `extra_body` adds to what was given."""
    added = extra(given) if callable(extra) else extra
    if added is None or operation.body is None:
        return item
    if isinstance(item, Model):
        fields = operation.body.fields
        item = {name: value for name, value in item.to_dict().items() if name in fields}
    if not isinstance(item, Mapping):
        return item  # refused later
    _, body = with_extras(operation, _NOTHING, cast("Mapping[str, Any]", item), None, added)
    return body


def _naming(write: Write[T]) -> Write[T]:
    """Let the refusal of a single item name it, since the service only counts within its request."""

    async def named(part: list[Item]) -> Sequence[T]:
        try:
            return await write(part)
        except APIError as error:
            # 401 is about the token, and ends the run.
            if len(part) == 1 and error.status != 401:
                error.args = (f"Item {part[0].index} of the input, alone in its request: {error}",)
            raise

    return named


def _id_of(given: object, path: str, where: str) -> str:
    """An id, or that of a model, which must belong to the collection."""
    if not isinstance(given, Model):
        return _id(given, where)
    models = _models_at(path.partition("/{")[0])
    if type(given).__name__ not in models:
        raise UsageError(f"{where} must be an id or a {' or '.join(models)}, not {given!r}")
    return _id(given.to_dict().get("id"), where)


@cache
def _models_at(collection: str) -> frozenset[str]:
    """The classes of the objects of a collection."""
    from kantata_client.operations import OPERATIONS

    operations = (
        OPERATIONS.get(f"{method} {path}")
        for method in ("GET", "POST", "PUT")
        for path in (collection, f"{collection}/{{id}}")
    )
    return frozenset(str(operation.model) for operation in operations if operation is not None)


def _id(given: object, where: str) -> str:
    try:
        given = native(given)
    except MissingError as missing:
        raise UsageError(f"{where} must be an id, not {missing}") from None
    text = plain_text(given).strip(" ") if isinstance(given, (int, str)) else ""
    if isinstance(given, bool) or not is_id(text):
        raise UsageError(f"{where} must be an id, not {shown(given)}")
    return text
