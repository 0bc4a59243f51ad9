"""What a sync reads: one entry for each list of the contract, worked out from `OPERATIONS`."""

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
"""Column with the fields that the contract does not know, and the values that are not of the contract's type."""
DELETED = "_deleted"
"""Column that marks the rows to delete. It is always empty in the warehouse."""
DELETED_AT = "_deleted_at"
"""With soft deletion: when the sync found that the record is gone."""
POSITION = "_position"
"""Column of a child table: place in the list, from 0."""

_SCALARS: Mapping[str, Kind] = {
    "str": "text",
    "int": "bigint",
    "float": "double",
    "bool": "bool",
    "date": "date",
    "datetime": "timestamp",
}

# Parameters with which a list hides nothing, where `Operation.widest` does not have them since no other part needs them.
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
"""What identifies a record where the service sends no id."""

_HISTORIES = frozenset({"story_state_changes", "workspace_status_changes"})
"""Lists of what happened to their parents: only parents that were updated can have new entries."""

_LOGS = frozenset({"subscribed_events"})
"""Lists that the service empties by itself. What is gone there stays in the warehouse."""


@attrs.frozen
class Child:
    """A table with a row for each item of a list in a record."""

    table: str
    field: str
    owner: str
    """Column with the record's id."""
    item: str
    """Column with the item's id."""


@attrs.frozen
class FanOut:
    """A list that can only be read in parts: one for each record of another list, or for each value of a parameter."""

    parameter: str
    in_path: bool = False
    parent: str | None = None
    """The list whose ids are the values."""
    values: tuple[str, ...] = ()
    history: bool = False
    """Only parents that were updated can have new records."""


@attrs.frozen
class List:
    """A list of the contract, and the tables that it becomes."""

    name: str
    operation: Operation = attrs.field(repr=False)
    model: type[Model] = attrs.field(repr=False)
    key: str
    """The column that identifies a record."""
    columns: Mapping[str, Kind] = attrs.field(repr=False)
    references: tuple[str, ...]
    """Fields `{key, id}`, which become two columns each."""
    children: tuple[Child, ...] = attrs.field(repr=False)
    since: str | None
    """The parameter of an incremental sync: `updated_after`, of a log `created_after`; `None`: read in full each time."""
    fan_out: FanOut | None
    query: Mapping[str, object] = attrs.field(repr=False)
    """Sent with each request: what hides nothing, and all associations whose ids have to be asked for."""
    log: bool = False

    @property
    def stable_by(self) -> str | None:
        """The time by which the list is walked without a loss."""
        return self.operation.stable_by

    @property
    def filters_ids(self) -> bool:
        """Whether records can be looked up by their ids, without knowing where they belong."""
        if self.fan_out is not None and (self.fan_out.parent or self.fan_out.parameter not in self.columns):
            return False
        return "only" in self.operation.query

    @property
    def sorted_by(self) -> str | None:
        """The column that tells the newer of two versions of a record."""
        return next((name for name in ("updated_at", "created_at") if name in self.columns), None)


@cache
def lists() -> Mapping[str, List]:
    """All lists by name: that of the resource, or of the envelope key for a second list of a resource."""
    found: dict[str, List] = {}
    operations = [OPERATIONS[name] for name in OPERATIONS if name.startswith("GET ")]
    operations = [each for each in operations if each.result in ("page", "array")]
    named = {each.resource for each in operations if each.name == "list"}
    for operation in operations:
        own = operation.name == "list" or operation.resource not in named
        name = operation.resource if own else str(operation.key)
        found[name] = _list(name, operation, operations)
    return dict(sorted(found.items()))


def chosen(names: Iterable[str] | None) -> list[List]:
    """The lists with these names, in alphabetical order; all of them by default.

    Raises:
        UsageError: There is no such list.
    """
    known = lists()
    if names is None:
        return list(known.values())
    wanted = [names] if isinstance(names, str) else list(names)
    from kantata_client._suggestions import similar

    for name in wanted:
        if name not in known:
            msg = f"resources: there is no list {name!r}{similar(name, known)}"
            raise UsageError(msg)
    return [known[name] for name in sorted(set(wanted))]


def _list(name: str, operation: Operation, operations: list[Operation]) -> List:
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
    # The sideloaded objects are not stored, but without `include` the service leaves out the ids.
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
    return List(
        name, operation, model, key, columns, tuple(references), tuple(children), since, fan_out, query, log
    )


def model_name(model: type[Model]) -> str:
    """`TimeEntry` → `time_entry`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in model.__name__).strip(
        "_"
    )


def _kind(model: type[Model], field: str) -> Kind | Literal["ids", "reference"]:
    """The type of a field's column. Ids are text, also where the contract has numbers, so that they can be joined."""
    text = annotation_of(model, field).removesuffix(" | None")
    if text.startswith("list[") and field.endswith("_ids"):
        return "ids"
    if text == "Reference":
        return "reference"
    if field == "id" or field.endswith("_id"):
        return "text"
    return _SCALARS.get(text, "json")


def _fan_out(name: str, operation: Operation, operations: list[Operation]) -> FanOut | None:
    required = [(each, parameter) for each, parameter in operation.query.items() if parameter.required]
    for each, parameter in required:
        if parameter.values:
            return FanOut(each, values=parameter.values)
        return FanOut(each, parent=_parent(each.removesuffix("_id"), operations), history=name in _HISTORIES)
    for each in operation.path_parameters:
        place = operation.path.split("/")
        noun = place[place.index(f"{{{each}}}") - 1]
        return FanOut(each, in_path=True, parent=_parent(noun.removesuffix("s"), operations))
    return None


def _parent(singular: str, operations: list[Operation]) -> str:
    """The list of the records that a required parameter names."""
    plurals = (f"{singular}s", f"{singular}es", f"{singular.removesuffix('y')}ies")
    for operation in operations:
        if operation.name == "list" and operation.resource in plurals:
            return operation.resource
    msg = f"no list has the ids of {singular!r}: add a rule to kantata_client/sync/lists.py"
    raise LookupError(msg)
