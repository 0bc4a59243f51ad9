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
"""Completes a record (second argument, changed in place) before it is written; the third holds the body's fields."""

Derive: TypeAlias = "Callable[[Scope, Record], list[Any]]"
"""The ids of the records that a record refers to."""

Compute: TypeAlias = "Callable[[Scope, Record], Any]"
"""A value that follows from a record and others."""

Created: TypeAlias = "Callable[[Scope, Record, Mapping[str, Any]], None]"
"""Does what follows from a creation; the third argument holds the body's properties."""

Written: TypeAlias = "Callable[[Scope, Record | None, Record | None], None]"
"""Does what follows from a write, given the record before and after it."""

Act: TypeAlias = "Callable[[Scope, str, str, Any], None]"
"""Does what a property asks for that is not a field (scope, envelope key, id, value)."""

ActOnBody: TypeAlias = "Callable[[Scope, str, Mapping[str, Any]], None]"
"""Does what a property asks for together with others (scope, id, the body's properties)."""

Deleting: TypeAlias = "Callable[[Scope, Record], None]"
"""Does what has to be done before a record is deleted."""

Forbid: TypeAlias = "Callable[[Scope, Record], str | None]"
"""Why a record can't be deleted, or None."""

Handler: TypeAlias = "Callable[[Any], Any]"
"""Carries out a custom operation: takes a `Call`, returns what it answers."""


@attrs.frozen(kw_only=True)
class Resource:
    """The records under one envelope key: how they are filtered, completed, linked and deleted."""

    key: str
    """The envelope key."""
    filters: Mapping[str, Rule] = {}
    """Query parameter → its meaning, where the name alone does not say it (see `filters.named`)."""
    default_filters: tuple[DefaultFilter, ...] = ()
    """Filters that apply unless a parameter lifts them, on the by-id route too."""
    derived: Mapping[str, Derive] = {}
    """Field → the ids in it, where they are not stored with the record but follow from others."""
    computed: Mapping[str, Compute] = {}
    """Optional field → its value, where it follows from the records."""
    orders: Mapping[str, Compute] = {}
    """Order (without direction) → what to sort by."""
    prepare: tuple[Prepare, ...] = ()
    """Run before a record is written, after a creation and a change alike."""
    created: tuple[Created, ...] = ()
    """Run after a record was created, with the body's properties."""
    written: tuple[Written, ...] = ()
    """Run after a record was created (no old one), changed, or deleted (no new one)."""
    properties: Mapping[str, Act] = {}
    """Property of a body that is not a field → what it does to the record (scope, key, id, value)."""
    composed: Mapping[str, ActOnBody] = {}
    """Property of a body → what it does, where that depends on other properties (which are in `properties`)."""
    without_effect: frozenset[str] = frozenset()
    """Properties of a body whose effect no answer of the API shows."""
    identified_by: tuple[str, ...] = ()
    """Fields by which a creation finds a record that exists already, and changes it instead."""
    replaced: bool = False
    """With `identified_by`: whether the creation replaces that record by a new one instead of changing it."""
    undeletable: Forbid | None = None
    """Why a record can't be deleted, or None."""
    soft_delete: Literal["marked", "aside"] | None = None
    """What becomes of a deleted record, for lists that ask for deleted ones.

    `marked`: it gets a `deleted_at`, and other records go on referring to it; `aside`: it leaves the other records, and only
    such lists find it.
    """
    removed_if_unused: bool = False
    """With `marked`: whether a record that nothing refers to is removed instead."""
    deleted_as: Mapping[str, Any] = {}
    """The changes that a deletion through the API makes instead of deleting the record."""
    deleted_keeps: tuple[str, ...] = ()
    """Envelope keys of dependants that are put aside along with the record."""
    deleting: tuple[Deleting, ...] = ()
    """Run before a record is deleted."""
    owned: tuple[tuple[str, str], ...] = ()
    """(envelope key, field) of the records that are deleted along with one.

    Others that refer to it are deleted as well where the contract requires the reference; elsewhere it becomes null.
    """
    unknown_includes: frozenset[str] = frozenset()
    """Associations whose rule is known to the service only; asked for, they are refused with 501."""
    routes: Mapping[str, Handler] = {}
    """Custom operation → what carries it out."""
    not_emulated: Mapping[str, str] = {}
    """Operation → what it would need; it answers 501."""


_DECLARED: dict[str, Resource] = {}


def declare(resource: Resource) -> None:
    """Add a declaration; there is one for each envelope key at most."""
    if resource.key in _DECLARED:
        msg = f"{resource.key} is declared twice"
        raise ValueError(msg)
    _DECLARED[resource.key] = resource


def resource(key: str) -> Resource:
    """The declaration for an envelope key; an empty one where the contract says everything."""
    found = _DECLARED.get(key)
    return Resource(key=key) if found is None else found


def declared() -> tuple[Resource, ...]:
    """All declarations."""
    return tuple(_DECLARED.values())


def handlers() -> dict[str, Handler]:
    """Custom operation → what carries it out, of all resources."""
    return {name: handler for found in _DECLARED.values() for name, handler in found.routes.items()}


def not_emulated() -> dict[str, str]:
    """Operation → why it answers 501, of all resources."""
    return {name: reason for found in _DECLARED.values() for name, reason in found.not_emulated.items()}
