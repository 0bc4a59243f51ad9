"""The declarations of the resources: what the sandbox knows of one envelope key beyond its contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from kantata_client.sandbox.filters.match import DefaultFilter, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

Prepare: TypeAlias = "Callable[[Scope, dict[str, Any], Mapping[str, Any]], None]"
"""Completes a record (second argument, modified in place) before it is written; the third has the fields of the body."""

Derive: TypeAlias = "Callable[[Scope, Record], list[Any]]"
"""The ids of the records that a record refers to."""

Compute: TypeAlias = "Callable[[Scope, Record], Any]"
"""Computes a value from a record and others."""

Created: TypeAlias = "Callable[[Scope, Record, Mapping[str, Any]], None]"
"""Runs after a creation; the third argument has the properties of the body."""

Written: TypeAlias = "Callable[[Scope, Record | None, Record | None], None]"
"""Runs after a write, with the record before and after it."""

Act: TypeAlias = "Callable[[Scope, str, str, Any], None]"
"""Applies a property that is not a field (scope, envelope key, id, value)."""

ActOnBody: TypeAlias = "Callable[[Scope, str, Mapping[str, Any]], None]"
"""Applies a property that depends on others (scope, id, the properties of the body)."""

Deleting: TypeAlias = "Callable[[Scope, Record], None]"
"""Runs before a record is deleted."""

Forbid: TypeAlias = "Callable[[Scope, Record], str | None]"
"""Why a record can't be deleted, or None."""

Handler: TypeAlias = "Callable[[Any], Any]"
"""Handles a custom operation: takes a `Call` and returns the result."""


@attrs.frozen(kw_only=True)
class Resource:
    """Declares how the records under one envelope key are filtered, completed, linked and deleted."""

    key: str
    """The envelope key."""
    filters: Mapping[str, Rule] = {}
    """Query parameter → its rule, unless the name alone implies it (see `filters.named`)."""
    default_filters: tuple[DefaultFilter, ...] = ()
    """Filters that apply unless a parameter lifts them, also to a get by id."""
    derived: Mapping[str, Derive] = {}
    """Field → its ids, if they are not stored but follow from other records."""
    computed: Mapping[str, Compute] = {}
    """Optional field → its value, if it follows from other records."""
    orders: Mapping[str, Compute] = {}
    """Order (without direction) → the value to sort by."""
    prepare: tuple[Prepare, ...] = ()
    """Run before a record is written, on creation and on update."""
    created: tuple[Created, ...] = ()
    """Run after a record was created, with the properties of the body."""
    written: tuple[Written, ...] = ()
    """Run after a record was created (no old record), updated, or deleted (no new record)."""
    properties: Mapping[str, Act] = {}
    """Property of a body that is not a field → its effect on the record (scope, key, id, value)."""
    composed: Mapping[str, ActOnBody] = {}
    """Property of a body → its effect, if that depends on other properties (which are in `properties`)."""
    spellings: Mapping[str, Mapping[str, str]] = {}
    """Property of a body → its values that records show in another spelling."""
    without_effect: frozenset[str] = frozenset()
    """Properties of a body whose effect is not visible through the API."""
    identified_by: tuple[str, ...] = ()
    """Fields by which a creation finds an existing record, and updates it instead."""
    replaced: bool = False
    """With `identified_by`: whether the creation replaces that record with a new one instead of updating it."""
    undeletable: Forbid | None = None
    """Why a record can't be deleted, or None."""
    soft_delete: Literal["marked", "aside"] | None = None
    """How a deleted record is kept for lists of deleted records.

    `marked`: it gets a `deleted_at`, and references to it remain. `aside`: references to it are removed, and only such
    lists contain it.
    """
    removed_if_unused: bool = False
    """With `marked`: whether a record without references to it is removed instead."""
    deleted_as: Mapping[str, Any] = {}
    """The changes that a deletion through the API makes instead of removing the record."""
    deleted_keeps: tuple[str, ...] = ()
    """Envelope keys of dependants that are kept as deleted records as well."""
    deleting: tuple[Deleting, ...] = ()
    """Run before a record is deleted."""
    owned: tuple[tuple[str, str], ...] = ()
    """(envelope key, field) of the dependants that are deleted with a record.

    Other records that refer to it are deleted if the contract requires the reference; otherwise the reference becomes null.
    """
    unknown_includes: frozenset[str] = frozenset()
    """Associations whose rule only the service knows; including one is refused with 501."""
    routes: Mapping[str, Handler] = {}
    """Custom operation → its handler."""
    not_emulated: Mapping[str, str] = {}
    """Operation that responds with 501 → what it would need."""


_DECLARED: dict[str, Resource] = {}


def declare(resource: Resource) -> None:
    """Add a declaration; each envelope key has at most one."""
    if resource.key in _DECLARED:
        msg = f"{resource.key} is declared twice"
        raise ValueError(msg)
    _DECLARED[resource.key] = resource


def resource(key: str) -> Resource:
    """The declaration of an envelope key; an empty one if the contract is sufficient."""
    found = _DECLARED.get(key)
    return Resource(key=key) if found is None else found


def declared() -> tuple[Resource, ...]:
    """All declarations."""
    return tuple(_DECLARED.values())


def handlers() -> dict[str, Handler]:
    """Custom operation → its handler, of all resources."""
    return {name: handler for found in _DECLARED.values() for name, handler in found.routes.items()}


def not_emulated() -> dict[str, str]:
    """Operation that responds with 501 → the reason, of all resources."""
    return {name: reason for found in _DECLARED.values() for name, reason in found.not_emulated.items()}
