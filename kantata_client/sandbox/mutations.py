"""Creates, changes and deletes records, with all consequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import registry, schema, validation
from kantata_client.sandbox.pointers import pointers
from kantata_client.sandbox.properties import COMMON_PROPERTIES
from kantata_client.sandbox.records import listed
from kantata_client.sandbox.refusals import Refusal, invalid, not_found
from kantata_client.sandbox.relations import fresh, subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kantata_client._contract import Operation
    from kantata_client.sandbox.pointers import Pointer
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope
    from kantata_client.sandbox.store import Store

_SUBJECT_OWNED = ("external_references", "custom_field_values")
"""Envelope keys of records about another record, which are deleted with it."""


def create(
    scope: Scope, operation: Operation, key: str, items: list[dict[str, Any]], *, bulk: bool
) -> list[str]:
    """Create records from the objects in a body, atomically; returns their ids."""
    checked = validation.check(scope, operation, key, items, bulk=bulk)
    ids: list[str] = []
    for index, item in enumerate(checked):
        try:
            ids.append(_create(scope, key, item.fields, item.others))
        except Refusal as refusal:
            if bulk:
                for error in refusal.errors:
                    error["message"] = f"Item {index}: {error['message']}"
            raise
    # An item may have changed or replaced what an earlier one made.
    return [identity for identity in dict.fromkeys(ids) if scope.store.get(key, identity) is not None]


def _create(scope: Scope, key: str, fields: dict[str, Any], others: dict[str, Any]) -> str:
    store = scope.store
    model = schema.model(key)
    resource = registry.resource(key)
    if resource.identified_by:
        match = _same(scope, key, resource.identified_by, fields)
        if match is not None and resource.replaced:
            delete_one(scope, key, existing(scope, key, match), whole=True)
        elif match is not None:
            _change(scope, key, match, fields, others)
            return match
    record = fresh(scope, key)
    for field in ("user_id", "creator_id"):
        if field in model.kinds:
            record[field] = scope.viewer
    record |= {field: value for field, value in fields.items() if value is not None}
    for prepare in resource.prepare:
        prepare(scope, record, fields)
    _check_order(record, fields)
    identity = store.put(key, record)["id"]
    for follow in resource.created:
        follow(scope, record, fields | others)
    for follow in resource.written:
        follow(scope, None, record)
    _act(scope, key, identity, fields, others)
    return identity


def _check_order(record: Record, fields: Mapping[str, Any]) -> None:
    """Refuse a period that ends before it starts, if the body changes it."""
    for end in ("due_date", "end_date"):
        if (end in fields or "start_date" in fields) and (record.get(end) or "9") < (
            record.get("start_date") or ""
        ):
            raise Refusal(422, invalid(end, "is before the start date."))


def _same(scope: Scope, key: str, fields: Sequence[str], given: Mapping[str, Any]) -> str | None:
    for record in scope.store.where(key, fields[0], given.get(fields[0])):
        if all(record.get(field) == given.get(field) for field in fields):
            return record["id"]
    return None


def update(scope: Scope, operation: Operation, key: str, identity: str, item: dict[str, Any]) -> None:
    """Change the properties of a record that the body contains."""
    [checked] = validation.check(
        scope, operation, key, [item], bulk=False, record=existing(scope, key, identity)
    )
    _change(scope, key, identity, checked.fields, checked.others)


def _change(scope: Scope, key: str, identity: str, fields: dict[str, Any], others: dict[str, Any]) -> None:
    store = scope.store
    resource = registry.resource(key)
    old = store.get(key, identity) or {}
    record = {**old, **fields}
    for prepare in resource.prepare:
        prepare(scope, record, fields)
    _check_order(record, fields)
    record["updated_at"] = store.now()
    store.put(key, record)
    for follow in resource.written:
        follow(scope, old, record)
    _act(scope, key, identity, fields, others)


def _act(scope: Scope, key: str, identity: str, fields: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    """Apply the properties of the body that are not fields of the record."""
    resource = registry.resource(key)
    for name, value in others.items():
        if value is None:
            continue
        if name in resource.composed:
            resource.composed[name](scope, identity, {**fields, **others})
        else:
            (resource.properties.get(name) or COMMON_PROPERTIES[name])(scope, key, identity, value)


def delete(scope: Scope, key: str, ids: Iterable[str]) -> None:
    """Delete records and their dependants, atomically; a 422 names unknown ids."""
    forbids = registry.resource(key).undeletable
    errors: list[dict[str, Any]] = []
    records: list[Record] = []
    for identity in dict.fromkeys(ids):
        record = scope.store.get(key, identity)
        if record is not None and _marked(key, record):
            record = None
        reason = "there is no such record" if record is None else forbids(scope, record) if forbids else None
        if reason is not None:
            errors.append(invalid("ids", f"can't be deleted, {reason}: {identity}."))
        elif record is not None:
            records.append(record)
    if errors:
        raise Refusal(422, *errors)
    changes = registry.resource(key).deleted_as
    for record in records:
        if changes:
            scope.store.change(key, record["id"], **changes)
        else:
            delete_one(scope, key, record)


def delete_one(scope: Scope, key: str, record: Record, *, whole: bool = False) -> None:
    """Delete a record and its dependants, or mark it as deleted if the resource declares that.

    With `whole` the record is removed even so: a dependant of a removed record can't remain.
    """
    place = key, record["id"]
    if place in scope.being_deleted:
        return  # records that refer to each other
    scope.being_deleted.add(place)
    _delete_one(scope, key, record, whole=whole)
    scope.being_deleted.discard(place)


def _delete_one(scope: Scope, key: str, record: Record, *, whole: bool) -> None:
    store = scope.store
    resource = registry.resource(key)
    identity: str = record["id"]
    style = None if whole else resource.soft_delete
    if style == "marked" and resource.removed_if_unused and not _in_use(store, key, identity):
        style = None
    for prepare in resource.deleting:
        prepare(scope, record)
    for target in _SUBJECT_OWNED if style != "marked" else ():
        for belonging in store.where(target, "subject_ref", subject(key, identity)):
            delete_one(scope, target, belonging, whole=True)
    for target, field in resource.owned:
        if style is None:
            _forget(store, target, field, identity)
        for belonging in store.where(target, field, identity):
            if style == "aside" and target in resource.deleted_keeps:
                store.put_aside(target, belonging["id"])
            elif store.get(target, belonging["id"]) is not None:
                delete_one(scope, target, belonging, whole=style is None or target != key)
    if style != "marked":
        _release(scope, key, identity)
    if style is None:
        _release_aside(store, key, identity)
    if style == "aside":
        store.put_aside(key, identity, deleted_at=store.now())
    elif style == "marked":
        store.change(key, identity, deleted_at=store.now())
    else:
        store.remove(key, identity)
    for follow in resource.written:
        follow(scope, record, None)


def _in_use(store: Store, key: str, identity: str) -> bool:
    """Whether another record refers to this one."""
    return any(
        store.number(other, pointer.field, identity)
        for other in store.filled()
        for pointer in pointers(other)
        if pointer.key == key
    )


def _release(scope: Scope, key: str, identity: str) -> None:
    """Remove all references to a record about to be removed, and the records that require them."""
    for other in scope.store.filled():
        for pointer in pointers(other):
            if pointer.key in (key, None):
                for row in _pointing(scope, other, pointer, key, identity):
                    _let_go(scope, other, pointer, row, identity)


def _forget(store: Store, key: str, field: str, identity: str) -> None:
    """Drop the kept deleted records whose field refers to a removed record, and what was kept because of them."""
    for forgotten in store.forget(key, field, identity):
        for target, link in registry.resource(key).owned:
            _forget(store, target, link, forgotten)
        _release_aside(store, key, forgotten)


def _release_aside(store: Store, key: str, identity: str) -> None:
    """Remove all references of kept deleted records to a record about to be removed for good."""
    for other in store.aside_keys():
        for pointer in pointers(other):
            for row in store.aside(other) if pointer.key == key else ():
                held: Any = row.get(pointer.field)
                if identity in map(str, listed(held)):
                    store.change_aside(other, row["id"], **{pointer.field: _without(held, identity)})


def _pointing(scope: Scope, other: str, pointer: Pointer, key: str, identity: str) -> list[Record]:
    """The records under `other` whose field refers to a record."""
    store = scope.store
    value = subject(key, identity) if pointer.key is None and pointer.type_field is None else identity
    rows = (store.get(other, found) for found in store.find(other, pointer.field, value))
    return [
        row
        for row in rows
        if row is not None
        and (other, row["id"]) != (key, identity)
        and (pointer.type_field is None or _is_type(key, row.get(pointer.type_field)))
    ]


def _let_go(scope: Scope, key: str, pointer: Pointer, row: Record, identity: str) -> None:
    """Remove a reference from a record, or the record if it requires the reference."""
    if scope.store.get(key, row["id"]) is None:
        return  # it was a dependant of another one
    required = pointer.field in validation.required_by_creation(f"/{key}")
    if required or (pointer.key is None and pointer.type_field is None):
        delete_one(scope, key, row, whole=True)
        return
    scope.store.change(key, row["id"], **{pointer.field: _without(row.get(pointer.field), identity)})


def _without(held: Any, identity: str) -> Any:
    """The value of a field that refers to a record, without that reference."""
    return [item for item in listed(held) if str(item) != identity] if isinstance(held, list) else None


def _is_type(key: str, name: Any) -> bool:
    """Whether a type such as `Workspace` or `workspace` is that of an envelope key."""
    return str(name).casefold() == schema.model(key).name.casefold()


def _marked(key: str, record: Record) -> bool:
    """Whether a record is marked as deleted."""
    return registry.resource(key).soft_delete == "marked" and record.get("deleted_at") is not None


def existing(scope: Scope, key: str, identity: str) -> Record:
    """A record that is not deleted, or 404."""
    record = scope.store.get(key, identity)
    if record is None or _marked(key, record):
        raise not_found(f"There is no record {identity} in {key}, or it is hidden from you.")
    return record
