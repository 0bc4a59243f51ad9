"""Describes what a sync reads: one `ListSpec` for each list of the contract, derived from `OPERATIONS`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from kantata_client import models
from kantata_client._contract import Operation
from kantata_client._objects.model import Model, annotation_of
from kantata_client.errors import UsageError
from kantata_client.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind: TypeAlias = Literal["text", "bigint", "double", "bool", "date", "timestamp", "json"]
"""Type of a column, as dlt names it."""

EXTRA = "_extra"
"""Column with fields that are not in the contract, and values whose type is not the contract's."""
DELETED = "_deleted"
"""Column that marks rows to delete while they are loaded. It is always null in the warehouse."""
DELETED_AT = "_deleted_at"
"""Column for soft deletion: when the sync found that the record was deleted."""
POSITION = "_position"
"""Column of a child table: the item's index in its list, from 0."""
KEY = "_key"
"""Column of a child table: the item's key in its map."""
VALUE = "value"
"""Column of a child table of texts or numbers."""

_SCALARS: Mapping[str, Kind] = {
    "str": "text",
    "int": "bigint",
    "float": "double",
    "bool": "bool",
    "date": "date",
    "datetime": "timestamp",
}

# Parameters that switch off filters which hide records by default. `Operation.widest` has those that walks need too.
_WIDEST: Mapping[str, Mapping[str, object]] = {
    "account_colors": {"enabled_only": False},
    "account_invitations": {"only_pending": False},
    "account_locations": {"archived": "include"},
    "expense_categories": {"only_active": False},
    "expense_report_submissions": {"all_on_account": True},
    "posts": {"from_archived_workspaces": True},
    "story_dependencies": {"show_archived": True, "show_from_archived_workspaces": True},
    "story_tasks": {"show_archived": True, "show_from_archived_workspaces": True},
    "users": {"show_disabled": True},
}

_KEYS: Mapping[str, str] = {"currencies": "iso_code", "insights_reports": "identifier"}
"""Key fields of records without an id."""

_HISTORIES = frozenset({"story_state_changes", "workspace_status_changes"})
"""Lists of changes of a parent: only parents that were updated can have new entries."""

_LOGS = frozenset({"subscribed_events"})
"""Lists whose old records the service drops. The warehouse keeps them."""


@attrs.frozen
class Child:
    """A child table: one row for each id in a list field of a record."""

    table: str
    field: str
    owner: str
    """Column with the record's id."""
    item: str
    """Column with the item's id."""


@attrs.frozen
class NestedTable:
    """A child table, made on request: one row for each object or value nested in a field of a record."""

    table: str
    field: str
    owner: str
    """Column with the record's id."""
    shape: Literal["object", "list", "map"]
    """A map is an object whose keys are data; they go to the column `_key`."""
    columns: Mapping[str, Kind] = attrs.field(repr=False)
    """Columns of a nested object; the column `value` of a nested text or number."""
    of_objects: bool = True

    @property
    def name(self) -> str:
        """The name by which the table is requested, such as `"workspaces.permissions"`."""
        return self.table.replace("__", ".", 1)


@attrs.frozen
class FanOut:
    """How to read a list in parts: one part for each record of a parent list, or for each value of a parameter."""

    parameter: str
    in_path: bool = False
    parent: str | None = None
    """Name of the list whose ids are the values of the parameter."""
    values: tuple[str, ...] = ()
    history: bool = False
    """Whether only parents that were updated can have new records."""


@attrs.frozen
class ListSpec:
    """A list of the contract, and the tables it is stored in."""

    name: str
    operation: Operation = attrs.field(repr=False)
    model: type[Model] = attrs.field(repr=False)
    key: str
    """The column that identifies a record."""
    columns: Mapping[str, Kind] = attrs.field(repr=False)
    references: tuple[str, ...]
    """Polymorphic references `{key, id}`; each becomes two columns."""
    children: tuple[Child, ...] = attrs.field(repr=False)
    since: str | None
    """Parameter for incremental reads: `updated_after`, or `created_after` of a log; `None` if the list has none."""
    fan_out: FanOut | None
    query: Mapping[str, object] = attrs.field(repr=False)
    """Parameters of each request: filters that hide nothing, and all associations whose ids come only with `include`."""
    nested: tuple[NestedTable, ...] = attrs.field(default=(), repr=False)
    """Child tables for nested objects, if they are requested."""
    log: bool = False
    """Whether the service drops old records of this list by itself."""

    @property
    def stable_by(self) -> str | None:
        """Field that orders a stable walk, which misses no record; `None` if the list has no such order."""
        return self.operation.stable_by

    @property
    def filters_ids(self) -> bool:
        """Whether records can be looked up by id alone, without their parent."""
        if self.fan_out is not None and (self.fan_out.parent or self.fan_out.parameter not in self.columns):
            return False
        return "only" in self.operation.query

    @property
    def saves_position(self) -> bool:
        """Whether a walk can save its position; a list that is read for each parent has too many parts."""
        return self.fan_out is None or self.fan_out.parent is None

    @property
    def sorted_by(self) -> str | None:
        """Column with the time of the last change."""
        return next((name for name in ("updated_at", "created_at") if name in self.columns), None)


@cache
def lists() -> Mapping[str, ListSpec]:
    """All lists by name, which is the resource's name, or the envelope key for a second list of the same resource."""
    found: dict[str, ListSpec] = {}
    operations = [OPERATIONS[name] for name in OPERATIONS if name.startswith("GET ")]
    operations = [each for each in operations if each.result in ("page", "array")]
    resources_with_list = {each.resource for each in operations if each.name == "list"}
    for operation in operations:
        own = operation.name == "list" or operation.resource not in resources_with_list
        name = operation.resource if own else str(operation.key)
        found[name] = _list(name, operation, operations)
    return dict(sorted(found.items()))


def select(names: Iterable[str] | None, without: Iterable[str] | None = None) -> list[ListSpec]:
    """Return the lists with these names, in alphabetical order; by default all lists.

    Args:
        names: The lists.
        without: Lists that are left out.

    Raises:
        UsageError: A name is unknown, or no list is left.
    """
    wanted = set(lists()) if names is None else _known("resources", names)
    left = wanted - (set[str]() if without is None else _known("without", without))
    if wanted and not left:
        raise UsageError("without: no list is left")
    return [lists()[name] for name in sorted(left)]


def _known(argument: str, names: Iterable[str]) -> set[str]:
    """Check the names of lists that are given as an argument."""
    from kantata_client._suggestions import similar

    names = {names} if isinstance(names, str) else set(names)
    for name in sorted(names - set(lists())):
        msg = f"{argument}: unknown list {name!r}{similar(name, lists())}"
        raise UsageError(msg)
    return names


def _list(name: str, operation: Operation, operations: list[Operation]) -> ListSpec:
    model: type[Model] = getattr(models, str(operation.model))
    kinds: dict[str, Kind | Literal["ids", "reference"]] = {each: _kind(model, each) for each in model.FIELDS}
    key = _KEYS.get(name, "id")
    columns: dict[str, Kind] = {key: "text"}
    references: list[str] = []
    children: list[Child] = []
    singular = model_name(model)
    for field, kind in kinds.items():
        if kind == "ids":
            children.append(Child(f"{name}__{field}", field, f"{singular}_id", field.removesuffix("s")))
        elif kind == "reference":
            references.append(field)
            columns.update({f"{field}__key": "text", f"{field}__id": "text"})
        elif field != key:
            columns[field] = kind
    includes = operation.query.get("include")
    # The ids of these associations come only with `include`. The sideloaded objects themselves are not stored.
    include = [
        value
        for value in (includes.values if includes else ())
        if value in model.ASSOCIATIONS and model.ASSOCIATIONS[value].ids in kinds
    ]
    query: dict[str, object] = {**_WIDEST.get(name, {}), **operation.widest}
    if include:
        query["include"] = include
    log = name in _LOGS
    if log:
        query["optional_fields"] = list(operation.query["optional_fields"].values)
    since = "created_after" if log else "updated_after" if "updated_after" in operation.query else None
    fan_out = _fan_out(name, operation, operations)
    nested = [
        _nested(name, f"{singular}_id", model, field)
        for field in columns
        if columns[field] == "json" and field in kinds
    ]
    return ListSpec(
        name,
        operation,
        model,
        key,
        columns,
        tuple(references),
        tuple(children),
        since,
        fan_out,
        query,
        tuple(each for each in nested if each is not None),
        log,
    )


def model_name(model: type[Model]) -> str:
    """`TimeEntry` → `time_entry`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in model.__name__).strip(
        "_"
    )


def _kind(model: type[Model], field: str) -> Kind | Literal["ids", "reference"]:
    """Return the kind of a field's column. Ids are always text, also where the contract says number, so that they join."""
    text = annotation_of(model, field).removesuffix(" | None")
    if text.startswith("list[") and field.endswith("_ids"):
        return "ids"
    if text == "Reference":
        return "reference"
    if field == "id" or field.endswith("_id"):
        return "text"
    return _SCALARS.get(text, "json")


_SHAPES: Mapping[str, Literal["list", "map"]] = {"list[": "list", "dict[str, ": "map"}


def _nested(name: str, owner: str, model: type[Model], field: str) -> NestedTable | None:
    """Return the child table of a field; `None` if the contract does not say what is in it."""
    text = annotation_of(model, field).removesuffix(" | None")
    shape: Literal["object", "list", "map"] = "object"
    for prefix, found in _SHAPES.items():
        if text.startswith(prefix):
            shape, text = found, text.removeprefix(prefix).removesuffix("]")
    nested: type[Model] | None = getattr(models, text, None)
    table = f"{name}__{field}"
    if nested is None:
        kind = _SCALARS.get(text)
        return (
            None if kind is None else NestedTable(table, field, owner, shape, {VALUE: kind}, of_objects=False)
        )
    kinds: dict[str, Kind] = {}
    for each in nested.FIELDS:
        kind = _kind(nested, each)
        kinds[each] = "json" if kind in ("ids", "reference") else kind
    return NestedTable(table, field, owner, shape, kinds)


def select_nested(names: Iterable[str] | None) -> frozenset[str]:
    """Check the names of nested tables, such as `"workspaces.permissions"`; `"all"` stands for all of them.

    Raises:
        UsageError: A name is unknown.
    """
    every = {nested.name for spec in lists().values() for nested in spec.nested}
    names = [names] if isinstance(names, str) else list(names or ())
    if "all" in names:
        return frozenset(every)
    from kantata_client._suggestions import similar

    for name in names:
        if name not in every:
            msg = f"nested: unknown table {name!r}{similar(name, every)}"
            raise UsageError(msg)
    return frozenset(names)


def _fan_out(name: str, operation: Operation, operations: list[Operation]) -> FanOut | None:
    required = [(each, parameter) for each, parameter in operation.query.items() if parameter.required]
    for each, parameter in required:
        if parameter.values:
            return FanOut(each, values=parameter.values)
        return FanOut(each, parent=_parent(each.removesuffix("_id"), operations), history=name in _HISTORIES)
    for each in operation.path_parameters:
        segments = operation.path.split("/")
        noun = segments[segments.index(f"{{{each}}}") - 1]
        return FanOut(each, in_path=True, parent=_parent(noun.removesuffix("s"), operations))
    return None


def _parent(singular: str, operations: list[Operation]) -> str:
    """Return the list whose records a required parameter refers to."""
    plurals = (f"{singular}s", f"{singular}es", f"{singular.removesuffix('y')}ies")
    for operation in operations:
        if operation.name == "list" and operation.resource in plurals:
            return operation.resource
    msg = f"no list of the contract has records of type {singular!r}: add a rule to kantata_client/sync/catalog.py"
    raise LookupError(msg)
