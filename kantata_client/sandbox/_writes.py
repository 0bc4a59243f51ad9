"""Creating, changing and deleting records: bodies are checked against the contract, then written."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, cast

import attrs

from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import _contract
from kantata_client.sandbox._effects import BODY_FIELDS, CREATED, PREPARE, UNDELETABLE, WRITTEN
from kantata_client.sandbox._errors import Refusal, bad_request, invalid, not_emulated, not_found
from kantata_client.sandbox._relations import Scope, fresh, singular

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kantata_client._contract import Operation, Parameter
    from kantata_client.sandbox._store import Record

REFERENCES: Mapping[str, str] = {
    "workspace_id": "workspaces",
    "story_id": "stories",
    "user_id": "users",
    "role_id": "roles",
    "assignment_id": "assignments",
}
"""Body fields that name a record of another type in every resource."""


def items_of(operation: Operation, body: Any) -> tuple[list[dict[str, Any]], bool]:
    """The objects of a body, and whether it is the array form of a bulk request."""
    described = operation.body
    if described is None:
        return [], False
    if not isinstance(body, dict):
        raise bad_request(f"{operation.id} takes a JSON object as its body.")
    body = cast("dict[str, Any]", body)
    if described.plural is not None and described.plural in body and described.plural != described.wrapper:
        rows = body[described.plural]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in cast("list[Any]", rows)):
            raise bad_request(f"`{described.plural}` takes an array of objects.")
        rows = cast("list[dict[str, Any]]", rows)
        limit = operation.bulk_limit
        if limit is not None and len(rows) > limit:
            message = f"has {len(rows)} objects; one request takes at most {limit}."
            raise Refusal(422, invalid(described.plural, message))
        if not rows:
            raise Refusal(422, invalid(described.plural, "is empty."))
        return rows, True
    if described.wrapper is None:
        return [body], False
    item = body.get(described.wrapper)
    if not isinstance(item, dict):
        keys = " or ".join(f"`{key}`" for key in (described.wrapper, described.plural) if key)
        raise bad_request(f"The body of {operation.id} is wrapped in {keys}.")
    return [cast("dict[str, Any]", item)], False


def create(
    scope: Scope, operation: Operation, key: str, items: list[dict[str, Any]], *, bulk: bool
) -> list[str]:
    """Create records, all or none, and give their ids."""
    checked = _checked(scope, operation, key, items, partial=False, bulk=bulk)
    ids: list[str] = []
    for index, (fields, aside) in enumerate(checked):
        try:
            ids.append(_create(scope, key, fields, aside))
        except Refusal as refusal:
            if bulk:
                for error in refusal.errors:
                    error["message"] = f"Item {index}: {error['message']}"
            raise
    return ids


def _create(scope: Scope, key: str, fields: dict[str, Any], aside: dict[str, Any]) -> str:
    store = scope.store
    model = _contract.model(key)
    if key in UPSERTS:
        known = _same(scope, key, UPSERTS[key], fields)
        if known is not None:
            _change(scope, key, known, fields, aside)
            return known
    record = fresh(scope, key)
    for field in ("user_id", "creator_id"):
        if field in model.kinds:
            record[field] = scope.viewer
    record |= {field: value for field, value in fields.items() if value is not None}
    for prepare in PREPARE.get(key, ()):
        prepare(scope, record, fields)
    identity = store.put(key, record)["id"]
    for follow in CREATED.get(key, ()):
        follow(scope, record, fields | aside)
    if key in WRITTEN:
        WRITTEN[key](scope, None, record)
    _aside(scope, key, identity, aside)
    return identity


def update(scope: Scope, operation: Operation, key: str, identity: str, item: dict[str, Any]) -> None:
    """Change a record; what the body does not name stays."""
    [(fields, aside)] = _checked(scope, operation, key, [item], partial=True, bulk=False)
    _change(scope, key, identity, fields, aside)


UPSERTS: Mapping[str, tuple[str, ...]] = {
    "cost_rates": ("account_membership_id", "currency"),
    "custom_field_values": ("custom_field_id", "subject_type", "subject_id"),
}
"""Envelope key → the fields by which a creation finds the record that is there already, and changes it."""


def _same(scope: Scope, key: str, fields: tuple[str, ...], given: Mapping[str, Any]) -> str | None:
    for record in scope.store.where(key, fields[0], given.get(fields[0])):
        if all(record.get(field) == given.get(field) for field in fields):
            return record["id"]
    return None


def _change(scope: Scope, key: str, identity: str, fields: dict[str, Any], aside: dict[str, Any]) -> None:
    store = scope.store
    old = store.get(key, identity) or {}
    record = {**old, **fields}
    for prepare in PREPARE.get(key, ()):
        prepare(scope, record, fields)
    record["updated_at"] = store.now()
    store.put(key, record)
    if key in WRITTEN:
        WRITTEN[key](scope, old, record)
    _aside(scope, key, identity, aside)


def delete(scope: Scope, key: str, ids: Iterable[str]) -> None:
    """Delete records and what belongs to them; all or none: unknown ids are named in a 422."""
    forbids = UNDELETABLE.get(key)
    errors: list[dict[str, Any]] = []
    records: list[Record] = []
    for identity in dict.fromkeys(ids):
        record = scope.store.get(key, identity)
        reason = "there is no such record" if record is None else forbids(record) if forbids else None
        if reason is not None:
            errors.append(invalid("ids", f"can't be deleted, {reason}: {identity}."))
        elif record is not None:
            records.append(record)
    if errors:
        raise Refusal(422, *errors)
    for record in records:
        _delete(scope, key, record)


OWNED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "workspaces": tuple(
        (target, "workspace_id")
        for target in (
            *("time_entries", "stories", "expenses", "participations", "workspace_resources", "posts"),
            *("timesheet_submissions", "status_reports", "billing_milestones", "expense_budgets"),
        )
    ),
    "stories": (
        ("stories", "parent_id"),
        *((target, "story_id") for target in ("assignments", "story_tasks", "story_state_changes")),
    ),
    "assignments": (("story_allocation_days", "assignment_id"),),
    "custom_fields": (
        ("custom_field_values", "custom_field_id"),
        ("custom_field_choices", "custom_field_id"),
    ),
}
"""Envelope key → (envelope key, field) of the records that go with a deleted one."""

LOOSENED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "stories": tuple((target, "story_id") for target in ("time_entries", "expenses", "posts")),
    "invoices": (("time_entries", "invoice_id"), ("expenses", "invoice_id")),
}
"""Envelope key → (envelope key, field) of the references to a deleted one that become null."""


def _delete(scope: Scope, key: str, record: Record) -> None:
    store = scope.store
    identity: str = record["id"]
    owned = [
        *OWNED.get(key, ()),
        ("external_references", "subject_ref"),
        ("custom_field_values", "subject_ref"),
    ]
    for target, field in owned:
        value = {"key": key, "id": identity} if field == "subject_ref" else identity
        for belonging in store.where(target, field, value):
            if store.get(target, belonging["id"]) is not None:
                _delete(scope, target, belonging)
    for target, field in LOOSENED.get(key, ()):
        for other in store.find(target, field, identity):
            store.change(target, other, **{field: None})
    store.remove(key, identity)
    if key in WRITTEN:
        WRITTEN[key](scope, record, None)


def _aside(scope: Scope, key: str, identity: str, aside: Mapping[str, Any]) -> None:
    """Do what the properties ask for that are no fields of the record."""
    for name, value in aside.items():
        act = BODY_FIELDS.get((key, name)) or BODY_FIELDS.get(("*", name))
        if act is not None and value is not None:
            act(scope, key, identity, value)


def _checked(
    scope: Scope, operation: Operation, key: str, items: list[dict[str, Any]], *, partial: bool, bulk: bool
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Per item, the record's fields and the other properties, or a 422 that names all errors."""
    errors: list[dict[str, Any]] = []
    checked: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for index, item in enumerate(items):
        checked.append(
            _check_item(scope, operation, key, item, errors, partial=partial, index=index if bulk else None)
        )
    if errors:
        raise Refusal(422, *errors)
    return checked


def _check_item(
    scope: Scope,
    operation: Operation,
    key: str,
    item: dict[str, Any],
    errors: list[dict[str, Any]],
    *,
    partial: bool,
    index: int | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    described: Mapping[str, Parameter] = operation.body.fields if operation.body else operation.query
    model = _contract.model(key)
    fields: dict[str, Any] = {}
    aside: dict[str, Any] = {}
    for name, parameter in described.items():
        if not partial and parameter.required and item.get(name) in (None, ""):
            errors.append(invalid(name, "can't be blank.", index))
    for name, value in item.items():
        parameter = described.get(name)
        if parameter is None:
            errors.append(invalid(name, f"is not a property of {singular(key)}.", index))
            continue
        problem = wrong(name, value, parameter) or _dangling(scope, model, name, value)
        if problem is not None:
            errors.append(invalid(name, problem, index))
        elif (key, name) in BODY_FIELDS or ("*", name) in BODY_FIELDS:
            aside[name] = value
        elif name in model.kinds or name in _contract.UNSHOWN.get(key, ()):
            fields[name] = _contract.typed(model.kinds.get(name, "Any"), value)
        elif name not in QUIET and value is not None:
            raise not_emulated(f"the property `{name}` in the body of {operation.id}")
    return fields, aside


QUIET = frozenset(
    {
        *("suppress_emails", "change_role_option", "change_orders", "auto_update_label", "default_read_only"),
        *(
            "enforce_workweek_minimum_on_timesheet_submission",
            "enforce_workweek_maximum_on_timesheet_submission",
        ),
        *("client_account_id", "can_edit_todos", "permissions"),
        *(f"{day}day_minutes" for day in ("sun", "mon", "tues", "wednes", "thurs", "fri", "satur")),
    }
)
"""Properties whose effect no answer of the API would show."""


def wrong(name: str, value: Any, parameter: Parameter) -> str | None:
    """What is wrong with a value, as the end of a sentence; None when it fits. Null fits."""
    if value is None:
        return None
    if not parameter.many:
        return _wrong_one(value, parameter)
    if not isinstance(value, list):
        return "has to be an array."
    rows = cast("list[Any]", value)
    if parameter.maximum is not None and len(rows) > parameter.maximum:
        return f"takes at most {parameter.maximum} items."
    problems = (_wrong_one(row, attrs.evolve(parameter, maximum=None)) for row in rows)
    return next((problem for problem in problems if problem is not None), None)


def _wrong_one(value: Any, parameter: Parameter) -> str | None:
    if not _is_a(value, parameter.kind):
        return f"has to be of type {parameter.kind}."
    if parameter.values and str(value).lower() not in {choice.lower() for choice in parameter.values}:
        return f"is {value!r}; it takes {', '.join(parameter.values)}."
    if parameter.maximum is not None and isinstance(value, (int, float)) and value > parameter.maximum:
        return f"is more than {parameter.maximum}."
    if parameter.kind == "object" and parameter.fields:
        given = cast("dict[str, Any]", value)
        for name, inner in parameter.fields.items():
            if inner.required and given.get(name) in (None, ""):
                return f"lacks `{name}`."
            problem = wrong(name, given.get(name), inner)
            if problem is not None:
                return f"is wrong: {name} {problem}"
    return None


def _is_a(value: Any, kind: str) -> bool:
    """Whether a JSON value is of a kind; numbers may come as strings of digits, as ids do."""
    try:
        match kind:
            case "integer":
                return not isinstance(value, bool) and float(value) == int(value)
            case "number":
                return not isinstance(value, bool) and isinstance(float(value), float)
            case "boolean":
                return isinstance(value, bool)
            case "string":
                return isinstance(value, (str, int, float)) and not isinstance(value, bool)
            case "date":
                return isinstance(value, str) and bool(date.fromisoformat(value[:10]))
            case "datetime":
                return isinstance(value, str) and bool(datetime.fromisoformat(value))
            case "object":
                return isinstance(value, dict)
            case _:
                return True
    except (TypeError, ValueError):
        return False


def _dangling(scope: Scope, model: _contract.Model, name: str, value: Any) -> str | None:
    """Refuse ids that name no record."""
    reference = model.reference_of(name)
    target = REFERENCES.get(name) if reference is None else reference.key
    if target is None or value is None:
        return None
    if not scope.store.count(target) and f"POST /{target}" not in OPERATIONS:
        return None  # such records can't be made through the API
    ids = cast("list[Any]", value) if isinstance(value, list) else [value]
    missing = [str(identity) for identity in ids if scope.store.get(target, identity) is None]
    return f"names no record of {target}: {', '.join(missing)}." if missing else None


def existing(scope: Scope, key: str, identity: str) -> Record:
    """A record, or 404."""
    record = scope.store.get(key, identity)
    if record is None:
        raise not_found(f"There is no record {identity} in {key}, or it is hidden from you.")
    return record
