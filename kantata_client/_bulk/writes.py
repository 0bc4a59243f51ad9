"""The bulk writes: what an item has to be, and which request a chunk of them becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from kantata_client._bulk.outcomes import Item, Outcome
from kantata_client._bulk.run import BulkRun
from kantata_client._bulk.splitting import Splitter
from kantata_client._calls.arguments import body_of, item_of, path_of, query_of, shown
from kantata_client._objects.model import Model, changes_of
from kantata_client.errors import (
    APIError,
    KantataError,
    MalformedResponseError,
    NotFoundError,
    UsageError,
)

if TYPE_CHECKING:
    from kantata_client._bulk.exactly_once import ExternalReferenceKey
    from kantata_client._bulk.run import Input
    from kantata_client._bulk.splitting import Write
    from kantata_client._calls.session import Session
    from kantata_client._contract import Operation
    from kantata_client.hooks import Progress

T = TypeVar("T")
M = TypeVar("M", bound=Model)

MOST_UNLESS_STATED = 100

LOOKED_FOR_TOGETHER = 20
"""Items with keys, of those that take a request each, that one task looks for at once and then creates."""


def create_many(
    session: Session,
    operation: Operation,
    cls: type[M],
    items: Input,
    *,
    concurrency: int,
    progress: Progress | None = None,
    key: ExternalReferenceKey | None = None,
) -> BulkRun[M]:
    """Create objects: by the array form of the creation where there is one, otherwise by one request each."""
    return BulkRun(_Creation(session, operation, cls, key), items, concurrency, progress)


def update_many(
    session: Session,
    operation: Operation,
    cls: type[M],
    items: Input,
    *,
    concurrency: int,
    progress: Progress | None = None,
    upsert: Operation | None = None,
) -> BulkRun[M]:
    """Update objects by one request each, or by the array form of a creation that changes what is there."""
    return BulkRun(_Update(session, operation, cls, upsert), items, concurrency, progress)


def delete_many(
    session: Session,
    operation: Operation,
    ids: Input,
    *,
    concurrency: int,
    progress: Progress | None = None,
) -> BulkRun[None]:
    """Delete objects: by chunks of ids where the service has that, otherwise by one request each."""
    return BulkRun(_Deletion(session, operation), ids, concurrency, progress)


def decide_many(
    session: Session,
    operation: Operation,
    ids: Input,
    *,
    name: str,
    description: object,
    concurrency: int,
    progress: Progress | None = None,
) -> BulkRun[Any]:
    """Decide on submissions by chunks of ids; the results are the resolutions that were made."""
    return BulkRun(_Decision(session, operation, name, description), ids, concurrency, progress)


class _Creation(Generic[M]):
    def __init__(
        self, session: Session, operation: Operation, cls: type[M], key: ExternalReferenceKey | None
    ) -> None:
        self.name = f"{operation.resource}.create_many"
        self._session = session
        self._operation = operation
        self._cls = cls
        body = operation.body
        if body is None:
            raise UsageError(f"{operation.id} creates nothing")
        self._plural = body.plural
        self._fields = body.fields
        self._key = key
        unit = 1 if self._plural is None else operation.bulk_limit or MOST_UNLESS_STATED
        self.size = unit
        write = _naming(self._write)
        if key is None:
            self.send = Splitter(write).settle
            return
        from kantata_client._bulk.exactly_once import ExactlyOnce, ExternalReferenceKey

        if not isinstance(key, ExternalReferenceKey):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                f"{self.name}: key is {shown(key)}; "
                "ExternalReferenceKey(service_name, service_model, ref) is needed"
            )
        key.check()
        if not operation.external_reference:
            raise UsageError(
                f"{self.name}: {operation.resource} can't be found by an external reference, so there is no key"
            )
        self.size = max(unit, LOOKED_FOR_TOGETHER)
        self.send = ExactlyOnce(session, operation, cls, key, write, unit).settle

    def prepare(self, index: int, given: Any) -> Item:
        where, ref, item = f"items[{index}]", None, given
        if self._key is not None:
            from kantata_client._bulk.exactly_once import keyed

            ref, item = keyed(self._key, self._fields, given, f"{self.name}: {where}")
        return Item(index, given, item_of(self._operation, item, where), ref)

    async def _write(self, part: list[Item]) -> Sequence[M]:
        if self._plural is None:
            return [await self._session.one(self._operation, self._cls, (), {}, part[0].ready)]
        return await _write_array(
            self._session, self._operation, self._cls, self._plural, [item.ready for item in part]
        )


class _Update(Generic[M]):
    def __init__(
        self, session: Session, operation: Operation, cls: type[M], upsert: Operation | None
    ) -> None:
        self.name = f"{operation.resource}.update_many"
        self.size = 1 if upsert is None else upsert.bulk_limit or MOST_UNLESS_STATED
        self._session = session
        self._operation = operation
        self._cls = cls
        self._upsert = upsert
        body = None if upsert is None else upsert.body
        self._changeable = frozenset(operation.body.fields if operation.body is not None else ())
        self._needed = [] if body is None else [name for name, field in body.fields.items() if field.required]
        self._singly = Splitter(_naming(self._write_one), repeatable=True)
        self._together = Splitter(_naming(self._write_all))

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
                f"{self.name}: {where} is {shown(cast('object', given))}; a mapping with an id, a model, "
                "or a pair of id and changes is needed"
            )
        identifier = known.get("id")
        if self._upsert is not None and all(known.get(name) is not None for name in self._needed):
            # A model that has an id, and whose identity was changed, would be written beside the one that it is.
            moved = isinstance(given, Model) and identifier is not None and changes.keys() - self._changeable
            if not moved:
                return Item(index, given, item_of(self._upsert, whole, where))
        if identifier is None:
            raise UsageError(f"{self.name}: {where} has no id, which tells what to update")
        ready = item_of(self._operation, changes, where)
        if not ready:
            raise UsageError(f"{self.name}: {where} has nothing to change")
        return Item(index, given, (_id(identifier, f"{self.name}: {where}"), ready), alone=True)

    def _changes(self, model: Model, where: str) -> dict[str, Any]:
        changes = changes_of(model)
        if changes is None:
            raise UsageError(
                f"{where} is as it was received, or was changed in place, so that nobody knows what to send: give "
                "model.replace(...) with the changes, or a pair of id and changes"
            )
        changes.pop("id", None)
        if not changes:
            raise UsageError(f"{where} has nothing to change: it differs in no field from what was received")
        return changes

    async def send(self, chunk: list[Item]) -> Sequence[Outcome[M]]:
        return await (self._singly if chunk[0].alone else self._together).settle(chunk)

    async def _write_one(self, part: list[Item]) -> Sequence[M]:
        identifier, changes = part[0].ready
        return [await self._session.one(self._operation, self._cls, (identifier,), {}, changes)]

    async def _write_all(self, part: list[Item]) -> Sequence[M]:
        assert self._upsert is not None  # noqa: S101 - only then is an item not alone
        assert self._upsert.body is not None  # noqa: S101
        plural = self._upsert.body.plural or self._upsert.resource
        return await _write_array(
            self._session, self._upsert, self._cls, plural, [item.ready for item in part]
        )


class _Deletion:
    def __init__(self, session: Session, operation: Operation) -> None:
        self.name = f"{operation.resource}.delete_many"
        self._by_ids = not operation.path_parameters
        self.size = (operation.bulk_limit or MOST_UNLESS_STATED) if self._by_ids else 1
        self._session = session
        self._operation = operation
        self._splitter: Splitter[None] = Splitter(
            _naming(self._write),
            by_id=True,
            repeatable=True,
            recheck=self._after_refusal if self._by_ids else None,
        )

    def prepare(self, index: int, given: Any) -> Item:
        return Item(index, given, _id_of(given, self._operation.path, f"{self.name}: ids[{index}]"))

    async def send(self, chunk: list[Item]) -> Sequence[Outcome[None]]:
        return await self._splitter.settle(chunk)

    async def _write(self, part: list[Item]) -> Sequence[None]:
        ids = [item.ready for item in part]
        if self._by_ids:
            query = query_of(self._operation, {"ids": list(dict.fromkeys(ids))})
            await self._session.send(self._operation, path_of(self._operation, ()), query)
            return [None] * len(part)
        try:
            await self._session.send(self._operation, path_of(self._operation, (ids[0],)))
        except NotFoundError as error:
            # An earlier attempt, whose answer was lost, has deleted it.
            if not error.answer_was_lost:
                raise
        return [None]

    async def _after_refusal(self, part: list[Item], refusal: KantataError) -> list[Outcome[None]]:
        """Which items of a refused part are gone, since an earlier attempt lost its answer after it had deleted them."""
        if not getattr(refusal, "answer_was_lost", False):
            return []
        from kantata_client import models
        from kantata_client._lists.paginator import Paginator
        from kantata_client.operations import OPERATIONS

        listing = OPERATIONS[f"GET /{self._operation.path.strip('/').split('/')[0]}"]
        query = {**listing.widest, "only": [item.ready for item in part]}
        cls: type[Any] = getattr(models, str(listing.model))
        try:
            left = {str(each.id) async for each in Paginator(self._session, listing, cls, (), query)}
        except KantataError:
            return [Outcome(item.index, item.given, "unknown", error=refusal) for item in part]
        return [Outcome(item.index, item.given, "done") for item in part if item.ready not in left]


class _Decision:
    def __init__(self, session: Session, operation: Operation, name: str, description: object) -> None:
        self.name = name
        self.size = operation.bulk_limit or MOST_UNLESS_STATED
        self._session = session
        self._operation = operation
        self._description = description
        self._splitter: Splitter[Any] = Splitter(_naming(self._write), by_id=True)
        body_of(operation, {"submission_ids": [1], "description": description})

    def prepare(self, index: int, given: Any) -> Item:
        where = f"{self.name}: ids[{index}]"
        identifier = _id_of(given, f"/{self.name.partition('.')[0]}", where)
        if not identifier.isdecimal():
            raise UsageError(f"{where} is {given!r}, which is no id")
        return Item(index, given, identifier)

    async def send(self, chunk: list[Item]) -> Sequence[Outcome[Any]]:
        return await self._splitter.settle(chunk)

    async def _write(self, part: list[Item]) -> Sequence[Any]:
        from kantata_client import models

        container: type[Any] = getattr(models, str(self._operation.model))
        body = {"submission_ids": [item.ready for item in part], "description": self._description}
        answer = await self._session.one(self._operation, container, (), {}, body)
        made = {str(each.target_id): each for each in answer.resolutions or ()}
        if any(item.ready not in made for item in part):
            msg = (
                f"{self._operation.id}: a submission has no resolution in the answer, so its state is unsure."
            )
            raise MalformedResponseError(msg, method=self._operation.method, path=self._operation.path)
        return [made[item.ready] for item in part]


async def _write_array(
    session: Session, operation: Operation, cls: type[M], plural: str, rows: list[Any]
) -> Sequence[M]:
    path = path_of(operation, ())
    response = await session.send(operation, path, (), {plural: rows})
    found = session.read(response, operation, cls, frozenset()).items
    if len(found) != len(rows):
        msg = (
            f"{operation.id}: {len(rows)} objects were sent and {len(found)} came back, so it is unsure which were "
            f"written (request id {response.request_id})."
        )
        raise MalformedResponseError(msg, method=operation.method, path=path, request_id=response.request_id)
    return found


def _naming(write: Write[T]) -> Write[T]:
    """Let the refusal of a single item tell which one it is: the service counts within its request."""

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
    """An id, or that of a model, which has to be one of the collection."""
    if not isinstance(given, Model):
        return _id(given, where)
    models = _models_at(path.partition("/{")[0])
    if type(given).__name__ not in models:
        raise UsageError(f"{where} is {given!r}, which is no {' or '.join(models)}")
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
    if (
        isinstance(given, bool)
        or not isinstance(given, (int, str))
        or not str(given).strip()
        or "," in str(given)
    ):
        raise UsageError(f"{where} is {given!r}, which is no id")
    return str(given).strip()
