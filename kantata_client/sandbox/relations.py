"""The references of records: those they store, and those that follow from other records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import registry, schema
from kantata_client.sandbox.records import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope
    from kantata_client.sandbox.store import Store


ABOUT: Mapping[str, str] = {
    "external_reference_ids": "external_references",
    "custom_field_value_ids": "custom_field_values",
}
"""Field → the envelope key of the records that say in `subject_ref` what they are about: the field is not stored."""


def referred(scope: Scope, key: str, record: Record, reference: schema.Reference) -> list[tuple[str, str]]:
    """The (envelope key, id) of the existing records that an association of a record refers to."""
    store = scope.store
    if reference.key is None:
        pairs = [(str(item["key"]), str(item["id"])) for item in listed(record.get(reference.ids))]
    else:
        derive = registry.resource(key).derived.get(reference.ids)
        if derive is not None:
            ids = derive(scope, record)
        elif reference.ids in ABOUT:
            ids = _about(store, ABOUT[reference.ids], key, record)
        elif reference.ids in record:
            ids = listed(record[reference.ids])
        else:
            ids = _pointing_back(store, key, record, reference)
        target = reference.key
        pairs = [(target, str(identity)) for identity in ids if identity is not None]
    return [pair for pair in dict.fromkeys(pairs) if store.get(*pair) is not None]


def blank(key: str) -> dict[str, Any]:
    """The fields that every object under an envelope key shows, all empty."""
    described = schema.model(key)
    derived = registry.resource(key).derived
    return {
        field: [] if field in described.lists else None
        for field in described.kinds
        if field not in described.hidden and field not in derived
    }


def fresh(scope: Scope, key: str, **fields: Any) -> dict[str, Any]:
    """A new record, not yet stored, with an id, the time, and those of `fields` that its type has."""
    model = schema.model(key)
    references = {reference.ids for reference in model.references.values()}
    declared = {*model.kinds, *references, *schema.UNSHOWN.get(key, ())}
    times = dict.fromkeys(schema.TIMES, scope.store.now())
    given = {field: value for field, value in fields.items() if field in declared}
    return {"id": scope.store.new_id(), **blank(key), **times, **given}


def subject(key: str, identity: str) -> dict[str, str]:
    """A polymorphic reference."""
    return {"key": key, "id": identity}


def _about(store: Store, target: str, key: str, record: Record) -> list[str]:
    return store.find(target, "subject_ref", subject(key, record["id"]))


def _pointing_back(store: Store, key: str, record: Record, reference: schema.Reference) -> list[str]:
    """The ids of the target records whose `<type>_id` is the record, or whose `<type>_ids` contain it."""
    assert reference.key is not None  # noqa: S101 - the caller handles polymorphic associations
    fields = schema.model(reference.key).kinds
    for field in (f"{singular(key)}_id", f"{singular(key)}_ids"):
        if field in fields:
            ids = store.find(reference.key, field, record["id"])
            return ids if reference.many else ids[-1:]
    return []


def subject_type(key: str, about: str) -> str:
    """The `subject_type` that records about another one (their envelope key is `about`) name its type by."""
    return _SUBJECT_TYPES.get((key, about)) or schema.model(key).name


_SUBJECT_TYPES: Mapping[tuple[str, str], str] = {
    ("expense_report_submissions", "external_references"): "Submission",
    ("timesheet_submissions", "external_references"): "Submission",
    ("workspace_resources", "custom_field_values"): "Resource",
}


def singular(key: str) -> str:
    """The singular of an envelope key: `stories` → `story`."""
    for ending, replacement in (("ies", "y"), ("sses", "ss"), ("statuses", "status"), ("s", "")):
        if key.endswith(ending):
            return key.removesuffix(ending) + replacement
    return key


def key_of_type(name: str) -> str | None:
    """The envelope key of a `subject_type` such as `TimeEntry`; a submission is taken for one of time."""
    from kantata_client import models

    other = {"Resource": "workspace_resources", "Submission": "timesheet_submissions"}
    return other.get(name) or next((key for key, cls in models.KEYS.items() if cls == name), None)
