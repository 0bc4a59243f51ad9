"""Validates bodies against the contract: their objects, properties and references."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import attrs

from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import registry, schema
from kantata_client.sandbox.currencies import SYMBOLS
from kantata_client.sandbox.pointers import plain
from kantata_client.sandbox.properties import COMMON_PROPERTIES
from kantata_client.sandbox.records import listed
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid
from kantata_client.sandbox.relations import singular
from kantata_client.sandbox.tolerance import tolerate_properties

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client._contract import Operation, Parameter
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

REFERENCES: Mapping[str, str] = {
    "workspace_id": "workspaces",
    "story_id": "stories",
    "user_id": "users",
    "role_id": "roles",
    "assignment_id": "assignments",
}
"""Properties that refer to a record of another type in every resource."""


@attrs.frozen
class Checked:
    """One object of a body, with values in the types of the contract."""

    fields: dict[str, Any]
    """The fields of the record."""
    others: dict[str, Any]
    """The properties that are not fields (see `Resource.properties`)."""


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
    beside = [name for name in body if name not in {described.wrapper, described.plural}]
    if beside:
        names = ", ".join(f"`{name}`" for name in beside)
        raise bad_request(
            f"The body of {operation.id} has {names} beside `{described.wrapper}`: parameters go into the query."
        )
    item = body.get(described.wrapper)
    if not isinstance(item, dict):
        keys = " or ".join(f"`{key}`" for key in (described.wrapper, described.plural) if key)
        raise bad_request(f"The body of {operation.id} is wrapped in {keys}.")
    return [cast("dict[str, Any]", item)], False


_NEVER_BLANK = frozenset({"title", "workspace_id"})
"""Properties that no update can clear, besides those that a creation requires."""
_SPANS = frozenset({"duration_days", "hours", "minutes"})
_OPEN = frozenset({"project_accounting_records"})
"""Envelope keys of records whose times may be negative, as corrections of others."""


def check(
    scope: Scope,
    operation: Operation,
    key: str,
    items: list[dict[str, Any]],
    *,
    bulk: bool,
    record: Record | None = None,
) -> list[Checked]:
    """Check the objects of a body.

    Args:
        scope: Where the request happens.
        operation: The operation that takes the body.
        key: The envelope key of the records.
        items: The objects.
        bulk: Whether an error names the object's index.
        record: The record that is changed, so that required properties may be missing; None for a creation.

    Raises:
        Refusal: 422 with all errors, or 501 for a property that is not emulated.
    """
    errors: list[dict[str, Any]] = []
    if not scope.strict:
        items = [tolerate_properties(scope, operation, item, record) for item in items]
    partial = record is not None
    checked = [
        _check_item(scope, operation, key, item, errors, partial=partial, index=index if bulk else None)
        for index, item in enumerate(items)
    ]
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
) -> Checked:
    described: Mapping[str, Parameter] = operation.body.fields if operation.body else operation.query
    model = schema.model(key)
    resource = registry.resource(key)
    fields: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, parameter in described.items():
        if not partial and parameter.required and blank(item.get(name)):
            errors.append(invalid(name, "can't be blank.", index))
    for name, value in item.items():
        parameter = described.get(name)
        if parameter is None:
            errors.append(invalid(name, f"is not a property of {singular(key)}.", index))
            continue
        if partial and blank(value) and (name in _NEVER_BLANK or name in required_by_creation(f"/{key}")):
            errors.append(invalid(name, "can't be blank.", index))
            continue
        problem = (
            wrong(name, value, parameter)
            or _negative(key, name, value)
            or _foreign_currency(name, value, parameter)
            or _dangling(scope, model, name, value)
            or _dangling_inside(scope, name, value, parameter)
        )
        if problem is not None:
            errors.append(invalid(name, problem, index))
        elif name in resource.properties or name in resource.composed or name in COMMON_PROPERTIES:
            others[name] = value
        elif name in model.kinds or name in schema.UNSHOWN.get(key, ()):
            spelt = resource.spellings.get(name, {}).get(value, value) if isinstance(value, str) else value
            kind = model.kinds.get(name, "Any")
            unfit = _unfit(kind, spelt)
            if unfit is not None:
                errors.append(invalid(name, unfit, index))
            typed = bool(spelt) if kind == "bool" and spelt is not None else schema.typed(kind, spelt)
            fields[name] = _typed_inside(typed, parameter)
        elif name not in resource.without_effect and value is not None:
            scope.lacks(f"the property `{name}` in the body of {operation.id}")
    return Checked(fields, others)


_KINDS = {"string": "str", "integer": "int", "number": "float", "datetime": "datetime"}
"""Kind of a property → that of a field."""


def _typed_inside(value: Any, parameter: Parameter) -> Any:
    """A valid value with the objects in it as records show them: a text that was sent as a number is a text."""
    if isinstance(value, list):
        return [_typed_inside(row, parameter) for row in cast("list[Any]", value)]
    if not isinstance(value, dict) or not parameter.fields:
        return cast("Any", value)
    return {
        name: _typed_inside(schema.typed(_KINDS.get(inner.kind, "Any"), given), inner)
        for name, given in cast("dict[str, Any]", value).items()
        for inner in (parameter.fields[name],)
    }


def blank(value: Any) -> bool:
    """Whether a value is missing: null, text without a visible character, or an empty list."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


@cache
def required_by_creation(path: str) -> frozenset[str]:
    """The properties that a creation at a path requires, and that no update can clear."""
    operation = OPERATIONS.get(f"POST {path}")
    if operation is None or operation.body is None:
        return frozenset()
    return frozenset(name for name, parameter in operation.body.fields.items() if parameter.required)


def _negative(key: str, name: str, value: Any) -> str | None:
    """Why a span of time is invalid: it is negative."""
    span = name in _SPANS or name.endswith(("_minutes", "_hours", "_duration"))
    if span and key not in _OPEN and schema.is_number(value) and float(value) < 0:
        return "is negative."
    return None


def _foreign_currency(name: str, value: Any, parameter: Parameter) -> str | None:
    """Why a currency is invalid, also inside objects: the account does not have it."""
    if name == "currency" or name.endswith("_currency"):
        if isinstance(value, str) and value not in SYMBOLS:
            return f"is not a currency of the sandbox: {value}; it has {', '.join(SYMBOLS)}."
        return None
    fields = parameter.fields or {}
    for row in listed(value) if fields else ():
        for inner, described in fields.items():
            problem = _foreign_currency(inner, cast("dict[str, Any]", row).get(inner), described)
            if problem is not None:
                return f"is wrong: {inner} {problem}"
    return None


def _unfit(kind: str, value: Any) -> str | None:
    """Why a valid value does not fit the field of the record, whose type is narrower in a few types; None if it fits."""
    if kind == "bool" and not isinstance(value, bool) and value not in (0, 1, None):
        return "has to be 0 or 1."
    if kind == "int" and isinstance(value, (int, float, str)) and not schema.is_integer(value):
        return "has to be a whole number."
    return None


def wrong(name: str, value: Any, parameter: Parameter) -> str | None:
    """Why a value is invalid, as the end of a sentence; None if it is valid. Null is valid."""
    if value is None:
        return None
    if not parameter.many:
        return _wrong_one(value, parameter)
    if not isinstance(value, list):
        return "has to be an array."
    rows = cast("list[Any]", value)
    if parameter.maximum is not None and len(rows) > parameter.maximum:
        return f"takes at most {parameter.maximum} items."
    problems = (_wrong_one(row, parameter, in_list=True) for row in rows)
    return next((problem for problem in problems if problem is not None), None)


def _wrong_one(value: Any, parameter: Parameter, *, in_list: bool = False) -> str | None:
    if not _is_a(value, parameter.kind):
        return f"has to be of type {parameter.kind}."
    if parameter.values and str(value).lower() not in {choice.lower() for choice in parameter.values}:
        return f"is {value!r}; it takes {', '.join(parameter.values)}."
    limit = None if in_list else parameter.maximum
    if limit is not None and isinstance(value, (int, float)) and value > limit:
        return f"is more than {limit}."
    if parameter.kind == "object" and parameter.fields:
        given = cast("dict[str, Any]", value)
        unknown = [name for name in given if name not in parameter.fields]
        if unknown:
            return f"has no `{unknown[0]}`; it takes {', '.join(parameter.fields)}."
        for name, inner in parameter.fields.items():
            if inner.required and given.get(name) in (None, ""):
                return f"lacks `{name}`."
            problem = wrong(name, given.get(name), inner)
            if problem is not None:
                return f"is wrong: {name} {problem}"
    return None


def _is_a(value: Any, kind: str) -> bool:
    """Whether a JSON value is of a kind; numbers may be strings of digits, like ids."""
    try:
        match kind:
            case "integer":
                return schema.is_integer(value)
            case "number":
                return schema.is_number(value)
            case "boolean":
                return isinstance(value, bool)
            case "string":
                return isinstance(value, (str, int, float)) and not isinstance(value, bool)
            case "date":
                return schema.is_date(value)
            case "datetime":
                return schema.is_time(value)
            case "object":
                return isinstance(value, dict)
            case _:
                return True
    except (TypeError, ValueError):
        return False


def _dangling(scope: Scope, model: schema.Model, name: str, value: Any) -> str | None:
    """Why a reference is invalid: the record does not exist."""
    reference = model.reference_of(name)
    target = plain(model.key, name) or REFERENCES.get(name) if reference is None else reference.key
    return None if target is None else _missing(scope, target, value)


_INNER: Mapping[tuple[str, str], str] = {
    ("organizations", "department_id"): "organizations",
    ("organizations", "geography_id"): "organizations",
    ("project_template_assignment_mappings", "resource_id"): "project_template_assignments",
}
"""(property, field of its objects) → the envelope key of the record with that id."""


def _dangling_inside(scope: Scope, name: str, value: Any, parameter: Parameter) -> str | None:
    """Why a reference in an object, or in one of an array of objects, is invalid: the record does not exist."""
    for row in listed(value) if parameter.fields else ():
        for inner, identity in cast("dict[str, Any]", row).items():
            target = _INNER.get((name, inner)) or plain(name, inner)
            problem = _missing(scope, target, identity) if target is not None else None
            if problem is not None:
                return f"is wrong: {inner} {problem}"
    return None


def _missing(scope: Scope, target: str, value: Any) -> str | None:
    """Why ids under an envelope key are invalid: the records do not exist."""
    if value is None:
        return None
    if not scope.store.count(target) and f"POST /{target}" not in OPERATIONS:
        return None  # such records can't be made through the API
    ids = cast("list[Any]", value) if isinstance(value, list) else [value]
    missing = [
        str(identity)
        for identity in ids
        if (scope.store.get(target, identity) or {"deleted_at": ""}).get("deleted_at") is not None
    ]
    return f"names no record of {target}: {', '.join(missing)}." if missing else None
