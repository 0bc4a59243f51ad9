"""The envelope of a response: results in order, their objects, and the included objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from kantata_client.sandbox import registry, schema
from kantata_client.sandbox.relations import referred

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kantata_client.sandbox.query import Query
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def page(scope: Scope, key: str, ids: Sequence[str], query: Query) -> dict[str, Any]:
    """The requested page of the selected ids; `only` returns all of them in one page."""
    if query.only is not None:
        return envelope(scope, key, ids, query)
    part = ids[query.offset : query.offset + query.limit]
    return envelope(scope, key, part, query, count=len(ids))


def envelope(
    scope: Scope, key: str, ids: Sequence[str], query: Query, *, count: int | None = None
) -> dict[str, Any]:
    """The envelope of some records; `count` is the total of the query."""
    model = schema.model(key)
    resource = registry.resource(key)
    if count is None:
        count = len(ids)
        query = attrs.evolve(query, limit=max(query.limit, count), number=1)
    size = query.limit
    maps: dict[str, dict[str, Any]] = {key: {}}
    for name in query.include:
        if name in resource.unknown_includes:
            scope.lacks(f"the include `{name}` of {key}")
            continue
        reference = model.references.get(name)
        if reference is not None and reference.key is not None:
            maps.setdefault(reference.key, {})
    references = [
        model.references[name]
        for name in query.include
        if name in model.references and name not in resource.unknown_includes
    ]
    sideloads: dict[tuple[str, str], None] = {}
    found_ids: list[str] = []
    own = maps[key]
    stored = _stored(key, references)
    others = [reference for reference in references if reference.ids not in stored]
    also = tuple(stored)
    for identity in ids:
        record = scope.store.get(key, identity)
        kept = record is not None
        if record is None:
            record = scope.store.deleted(key, identity)
        if record is None:
            continue
        found_ids.append(identity)
        complete = kept and _add_targets(scope, record, stored, sideloads)
        shown: dict[str, Any] = {field: _optional(scope, key, record, field) for field in query.optional}
        for reference in others if complete else references:
            pairs = referred(scope, key, record, reference)
            sideloads.update(dict.fromkeys(pairs))
            _refer(shown, key, record, reference, pairs)
            if scope.store.references == "documented" and reference.ids not in shown:
                shown[reference.ids] = record.get(reference.ids)
        own[identity] = (
            scope.store.encoded(key, identity, also if complete else (), shown)
            if kept
            else scope.store.shown(key, record) | shown
        )
    for target, identity in sideloads:
        found = maps.setdefault(target, {})
        if identity not in found:
            found[identity] = scope.store.encoded(target, identity)
    return {
        "count": count,
        "meta": {
            "count": count,
            "page_count": -(-count // size),
            "page_number": query.number if count else 0,
            "page_size": size,
        },
        "results": [{"key": key, "id": identity} for identity in found_ids],
        **maps,
    }


def _stored(key: str, references: Sequence[schema.Reference]) -> dict[str, str]:
    """Field → envelope key of those references that a record stores as one id."""
    derived = registry.resource(key).derived
    return {
        reference.ids: reference.key
        for reference in references
        if reference.key is not None
        and not reference.many
        and not reference.ids.endswith("_ids")
        and reference.ids not in derived
    }


def _add_targets(
    scope: Scope, record: Record, fields: dict[str, str], sideloads: dict[tuple[str, str], None]
) -> bool:
    """Add the (envelope key, id) that a record refers to; false, and none, if one of them does not exist."""
    targets: list[tuple[str, str]] = []
    for field, key in fields.items():
        if field not in record:
            return False
        value = record[field]
        if value is not None:
            target = key, str(value)
            if target not in sideloads and scope.store.get(*target) is None:
                return False
            targets.append(target)
    for target in targets:
        sideloads[target] = None
    return True


def _optional(scope: Scope, key: str, record: Record, field: str) -> Any:
    """A requested optional field; one that only the service computes is refused."""
    compute = registry.resource(key).computed.get(field)
    if compute is not None:
        return compute(scope, record)
    if field not in record and field not in schema.writable(key):
        scope.lacks(f"the optional field `{field}` of {key}")
    return record.get(field)


def _refer(
    shown: dict[str, Any],
    key: str,
    record: Record,
    reference: schema.Reference,
    pairs: list[tuple[str, str]],
) -> None:
    """Add a reference to the object, unless the object has it and its target exists."""
    field = reference.ids
    if reference.key is None:
        shown[field] = (
            [{"key": target, "id": identity} for target, identity in pairs]
            if reference.many
            else ({"key": pairs[0][0], "id": pairs[0][1]} if pairs else None)
        )
    elif reference.many or field.endswith("_ids"):
        shown[field] = [identity for _, identity in pairs]
    elif field in registry.resource(key).derived or not pairs or field not in record:
        shown[field] = _like(key, field, pairs[0][1]) if pairs else None


def _like(key: str, field: str, identity: str) -> str | int:
    """An id in the type of its field: usually a string, sometimes a number."""
    return int(identity) if schema.model(key).kinds.get(field) == "int" and identity.isdigit() else identity
