"""The contract as the sandbox uses it: routes, and the fields and associations of each envelope key."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import attrs

from kantata_client import models
from kantata_client._contract import Operation
from kantata_client._objects.model import annotation_of
from kantata_client.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE_PATH = "/api/v1"
CONTROL_PATH = "/__sandbox__"

TIMES = ("created_at", "updated_at")

UNSHOWN: Mapping[str, tuple[str, ...]] = {
    "client_invoice_defaults": ("client_user_id",),
    "custom_fields": ("subject_type",),
    "project_accounting_records": ("deleted_at",),
    "survey_responses": ("subject_type", "subject_id"),
    "survey_templates": ("subject_type", "subject_id"),
}
"""Fields that the contract has a filter for but does not show."""

INTERNAL: Mapping[str, tuple[str, ...]] = {
    "expenses": ("invoice_id", "approved"),
    "project_snapshot_assignments": ("project_snapshot_id",),
    "project_snapshot_custom_field_values": ("project_snapshot_id",),
    "task_status_sets": ("account_default",),
    "users": ("left_account",),
}
"""Fields that only the sandbox uses."""

SCALARS = frozenset({"str", "int", "float", "bool", "date", "datetime"})

SHOWN_LISTS = frozenset({"ancestor_ids"})
"""Reference lists that are part of the object; others appear only when their association is included."""


@attrs.frozen
class Reference:
    """An association: the field with the ids, and their envelope key (None: polymorphic)."""

    ids: str
    key: str | None
    many: bool


@attrs.frozen
class Model:
    """The type of the objects under one envelope key."""

    key: str
    name: str
    kinds: Mapping[str, str]
    """Field → one of `SCALARS`, `dict` or the name of a class; of a list, that of its items."""
    lists: frozenset[str]
    references: Mapping[str, Reference]
    optional: frozenset[str]
    """Fields that are sent only if `optional_fields` names them."""
    hidden: frozenset[str]
    """Fields that are sent only if `optional_fields` or `include` names them."""
    bound: Mapping[str, str] = {}
    """Field → the association that `include` must name, as the contract documents it."""
    numbered: bool = False
    """Whether `id` is a number in the object; elsewhere ids are strings."""

    def reference_of(self, field: str) -> Reference | None:
        """The association whose ids are in `field`."""
        return next((reference for reference in self.references.values() if reference.ids == field), None)


_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?")
_LARGEST = 2**63
"""The service stores whole numbers in 64 bits."""


def is_integer(value: Any) -> bool:
    """Whether a JSON value is a whole number that fits into 64 bits, or the digits of one."""
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return _INTEGER.fullmatch(value) is not None and is_integer(int(value))
    return isinstance(value, (int, float)) and -_LARGEST <= value < _LARGEST and value == int(value)


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number, or the digits of one."""
    if isinstance(value, str):
        return _DECIMAL.fullmatch(value) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def is_date(value: Any) -> bool:
    """Whether a JSON value is a date such as `2026-07-01`, or a time that starts with one."""
    try:
        return (
            isinstance(value, str) and value[4:5] == value[7:8] == "-" and bool(datetime.fromisoformat(value))
        )
    except ValueError:
        return False


def is_text(value: str) -> bool:
    """Whether a text can be sent: half of a surrogate pair can't."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_time(value: Any) -> bool:
    """Whether a JSON value is a time that can be written in UTC."""
    try:
        return isinstance(value, str) and bool(written(datetime.fromisoformat(value)))
    except (ValueError, OverflowError):
        return False


def typed(kind: str, value: Any) -> Any:
    """Convert a JSON value to the kind of a field: numeric ids to strings, times to UTC.

    A value that can't be converted is returned unchanged.
    """
    if isinstance(value, list):
        return [typed(kind, item) for item in cast("list[Any]", value)]
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return cast("Any", value)
    try:
        match kind:
            case "str":
                return str(value)
            case "int":
                return int(value)
            case "float":
                return float(value)
            case "date":
                return str(value)[:10]
            case "datetime":
                return written(datetime.fromisoformat(str(value)))
            case _:
                return value
    except (ValueError, OverflowError):
        return value


def written(moment: datetime) -> str:
    """A time as the API writes it: in UTC, with seconds. A naive datetime is taken as UTC."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


@attrs.frozen
class Route:
    """The operation of a request, with the values of the path parameters."""

    operation: Operation
    parameters: dict[str, str]


@cache
def model(key: str) -> Model:
    """The model of an envelope key; it has no fields if the contract does not describe it."""
    name = _class_of(key)
    if name is None:
        return Model(key, key, {}, frozenset(), {}, frozenset(), frozenset(), {})
    cls = getattr(models, name)
    kinds: dict[str, str] = {}
    lists: set[str] = set()
    for field in cls.FIELDS:
        kind = annotation_of(cls, field).removesuffix(" | None")
        if kind.startswith("list["):
            lists.add(field)
            kind = kind[5:-1].removesuffix(" | None")
        kinds[field] = kind.partition("[")[0]
    numbered = kinds.pop("id", None) == "int"
    references = {
        name: Reference(association.ids, association.key, association.many)
        for name, association in cls.ASSOCIATIONS.items()
    }
    optional = frozenset(
        value
        for operation in operations_of(key)
        if "optional_fields" in operation.query
        for value in operation.query["optional_fields"].values
    )
    # Some fields only serve to filter and sort, such as the time of a write, which not all types show.
    unshown = {*TIMES, *UNSHOWN.get(key, ())} - set(kinds)
    unshown |= set(INTERNAL.get(key, ())) - set(kinds) - {reference.ids for reference in references.values()}
    unshown |= {reference.ids for reference in references.values() if reference.many} - SHOWN_LISTS
    bound = {
        field: condition.name
        for field, condition in cls.CONDITIONS.items()
        if condition.parameter == "include"
    }
    return Model(
        key, name, kinds, frozenset(lists), references, optional, optional | unshown, bound, numbered
    )


def _class_of(key: str) -> str | None:
    """The class of an envelope key: the one its operations name, or the general one."""
    for operation in operations_of(key):
        if operation.model is not None:
            return operation.model
    return models.KEYS.get(key)


@cache
def operations_of(key: str) -> tuple[Operation, ...]:
    """The operations whose results are under an envelope key."""
    # Looking up an operation imports its module, so try those whose path contains the key first.
    near = [name for name in OPERATIONS if key in name.split("/")]
    found = tuple(operation for operation in map(OPERATIONS.__getitem__, near) if operation.key == key)
    return found or tuple(operation for operation in OPERATIONS.values() if operation.key == key)


def key_of(operation: Operation) -> str:
    """The envelope key of an operation's results, or the collection in its path."""
    words = [word for word in operation.path.strip("/").split("/") if not word.startswith("{")]
    return operation.key or words[-1 if operation.path.endswith("}") else 0]


@cache
def list_of(key: str) -> Operation | None:
    """The list operation of an envelope key; its default filters also apply to a get by id."""
    return next(
        (
            operation
            for operation in operations_of(key)
            if operation.result == "page" and operation.name == "list"
        ),
        None,
    )


@cache
def writable(key: str) -> frozenset[str]:
    """The properties that requests can set on the records of an envelope key."""
    bodies = [operation.body for operation in operations_of(key) if operation.body is not None]
    return frozenset(name for body in bodies for name in body.fields)


def find_route(method: str, path: str) -> Route | None:
    """The operation for a path below the base path, literal words before placeholders; `.json` may follow."""
    words = path.removesuffix(".json").strip("/").split("/")
    for node, values in _walk(_tree(), words, ()):
        if method in node:
            operation = OPERATIONS[node[method]]
            return Route(operation, dict(zip(operation.path_parameters, values, strict=True)))
    return None


def methods_of(path: str) -> list[str]:
    """The methods that a path takes, for the message of a 404."""
    words = path.removesuffix(".json").strip("/").split("/")
    return sorted({method for node, _ in _walk(_tree(), words, ()) for method in node})


@attrs.frozen
class _Node:
    words: dict[str, _Node]
    operations: dict[str, str]
    """Method → name in OPERATIONS."""


@cache
def _tree() -> _Node:
    root = _Node({}, {})
    for name in OPERATIONS:
        method, _, path = name.partition(" ")
        node = root
        for word in path.strip("/").split("/"):
            node = node.words.setdefault("{}" if word.startswith("{") else word, _Node({}, {}))
        node.operations[method] = name
    return root


def _walk(
    node: _Node, words: list[str], values: tuple[str, ...]
) -> Iterator[tuple[dict[str, str], tuple[str, ...]]]:
    if not words:
        yield node.operations, values
        return
    word, rest = words[0], words[1:]
    if word in node.words:
        yield from _walk(node.words[word], rest, values)
    if word and "{}" in node.words:
        yield from _walk(node.words["{}"], rest, (*values, word))
