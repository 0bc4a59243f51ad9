"""Converts received records to Arrow tables with the contract's types."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from importlib import import_module
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import orjson

from kantata_client.sync.catalog import DELETED, DELETED_AT, EXTRA, KEY, POSITION, VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from kantata_client.sync.catalog import Child, Kind, ListSpec, NestedTable

pa: Any = import_module("pyarrow")  # it has no types

_TYPES: Mapping[Kind, Any] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "json": pa.string(),
}

_LARGEST = 2**63

_Extras: TypeAlias = dict[int, dict[str, Any]]
"""By the number of a row, what does not fit its columns."""


def tables(spec: ListSpec, requested: Collection[str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Convert records to the tables of a list, by name: its own, and those for ids and for the requested nested fields."""
    if not rows:
        return {}
    found = {spec.name: records(spec, rows)}
    found |= {child.table: children(child, spec.key, rows) for child in spec.children}
    found |= {each.table: nested(each, spec.key, rows) for each in spec.nested if each.name in requested}
    return {name: table for name, table in found.items() if table is not None}


def records(spec: ListSpec, rows: list[dict[str, Any]]) -> Any:
    """Convert records to a table.

    Unknown fields, and values whose type is not the contract's, go to the column `_extra`.
    """
    extras: _Extras = {}
    columns: dict[str, Any] = {}
    values = _values(spec, rows)
    for name, kind in spec.columns.items():
        columns[name] = _column(name, kind, values[name], extras)
    children = {child.field for child in spec.children}
    unknown = set[str]().union(*rows) - {*spec.columns, *spec.references, *children}
    if unknown:
        for number, row in enumerate(rows):
            for name in row:
                if name in unknown:
                    extras.setdefault(number, {})[name] = row[name]
    for reference in spec.references:
        for number, row in enumerate(rows):
            if not isinstance(row.get(reference), (dict, type(None))):
                extras.setdefault(number, {})[reference] = row[reference]
    columns[EXTRA] = _extra_column(extras, len(rows))
    return _table(spec.key, columns)


def _values(spec: ListSpec, rows: list[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Return the values of all records by column."""
    found: dict[str, Sequence[Any]] = {}
    names = [spec.key]  # twice, so that there are always two
    for name in spec.columns:
        owner, _, part = name.rpartition("__")
        if owner in spec.references:
            found[name] = [_part(row.get(owner), part) for row in rows]
        elif rows and name not in rows[0]:
            found[name] = [row.get(name) for row in rows]
        else:
            names.append(name)
    try:
        # Going through the records once is several times faster than once for each column.
        found |= zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True)
    except KeyError:  # a record lacks a field that the first one has
        found |= {name: [row.get(name) for row in rows] for name in names}
    return found


def children(child: Child, key: str, rows: list[dict[str, Any]]) -> Any:
    """Convert the ids in one field of all records to rows of a child table.

    A record whose list is empty gets one row, marked as deleted, which removes the rows of an earlier sync.

    Returns:
        The table, or `None` if no record has the field.
    """
    owners: list[str] = []
    positions: list[int] = []
    ids: list[str | None] = []
    deleted: list[bool | None] = []
    for row in rows:
        if child.field not in row:
            continue
        items = row[child.field]
        listed = cast("list[Any]", items) if isinstance(items, list) else []
        items_of_owner = [str(item) for item in listed if item is not None]
        owner = str(row[key])
        for position, item in enumerate(items_of_owner):
            owners.append(owner)
            positions.append(position)
            ids.append(item)
            deleted.append(None)
        if not items_of_owner:
            owners.append(owner)
            positions.append(0)
            ids.append(None)
            deleted.append(True)
    if not owners:
        return None
    columns = {
        child.owner: pa.array(owners, pa.string()),
        POSITION: pa.array(positions, pa.int64()),
        child.item: pa.array(ids, pa.string()),
        DELETED: pa.array(deleted, pa.bool_()),
    }
    return _table(child.owner, columns)


def nested(table: NestedTable, key: str, rows: list[dict[str, Any]]) -> Any:
    """Convert the objects or values nested in one field of all records to rows of a child table.

    A record with nothing in the field gets one row, marked as deleted, which removes the rows of an earlier sync.

    Returns:
        The table, or `None` if no record has the field.
    """
    owners: list[str] = []
    positions: list[int] = []
    keys: list[str | None] = []
    items: list[dict[str, Any]] = []
    deleted: list[bool | None] = []
    for row in rows:
        if table.field not in row:
            continue
        owner = str(row[key])
        found = _items(table, row[table.field])
        for position, (name, item) in enumerate(found):
            owners.append(owner)
            positions.append(position)
            keys.append(name)
            items.append(item)
            deleted.append(None)
        if not found:
            owners.append(owner)
            positions.append(0)
            keys.append(None)
            items.append({})
            deleted.append(True)
    if not owners:
        return None
    extras: _Extras = {}
    for number, item in enumerate(items):
        for name in item:
            if name not in table.columns:
                extras.setdefault(number, {})[name] = item[name]
    columns = {
        table.owner: pa.array(owners, pa.string()),
        POSITION: pa.array(positions, pa.int64()),
        KEY: pa.array(keys, pa.string()),
    }
    for name, kind in table.columns.items():
        columns[_free(name, table)] = _column(name, kind, [item.get(name) for item in items], extras)
    columns[EXTRA] = _extra_column(extras, len(items))
    columns[DELETED] = pa.array(deleted, pa.bool_())
    return _table(table.owner, columns)


def nested_columns(table: NestedTable) -> dict[str, Kind]:
    """Return the columns of a nested table besides the owner's id."""
    own: dict[str, Kind] = {_free(name, table): kind for name, kind in table.columns.items()}
    return {POSITION: "bigint", KEY: "text", **own, EXTRA: "json"}


def _free(name: str, table: NestedTable) -> str:
    """Return a column name that is not that of the owner's id."""
    return f"{name}_" if name == table.owner else name


def _items(table: NestedTable, value: Any) -> list[tuple[str | None, dict[str, Any]]]:
    """Return the nested items with their keys. A value that does not have the contract's shape is one item."""
    if value is None:
        return []
    pairs: list[tuple[str | None, Any]] = [(None, value)]
    if table.shape == "list" and isinstance(value, list):
        pairs = [(None, each) for each in cast("list[Any]", value)]
    elif table.shape == "map" and isinstance(value, dict):
        pairs = list(cast("dict[str | None, Any]", value).items())
    return [
        (key, cast("dict[str, Any]", item) if table.of_objects and isinstance(item, dict) else {VALUE: item})
        for key, item in pairs
    ]


def joined(tables: list[Any]) -> Any:
    """Return tables with the same columns as one."""
    return pa.concat_tables(tables)


def deletions(spec: ListSpec, ids: Collection[str], requested: Collection[str] = ()) -> list[tuple[str, Any]]:
    """Make the rows that delete records and their rows in child tables; pairs of table name and table."""
    ordered = sorted(ids)
    flags = pa.array([True] * len(ordered), pa.bool_())
    tables = [(spec.name, _table(spec.key, {spec.key: pa.array(ordered, pa.string()), DELETED: flags}))]
    owners = [(child.table, child.owner) for child in spec.children]
    owners += [(each.table, each.owner) for each in spec.nested if each.name in requested]
    for table, owner in owners:
        columns = {
            owner: pa.array(ordered, pa.string()),
            POSITION: pa.array([0] * len(ordered), pa.int64()),
            DELETED: flags,
        }
        tables.append((table, _table(owner, columns)))
    return tables


def soft_deletions(spec: ListSpec, stored: list[dict[str, Any]], at: datetime) -> Any:
    """Copy rows of the warehouse, and set the time at which their records were found to be deleted."""
    columns: dict[str, Any] = {}
    kinds: dict[str, Kind] = {**spec.columns, EXTRA: "json"}
    for name, kind in kinds.items():
        values = [row.get(name) for row in stored]
        if kind == "json":
            values = [each if isinstance(each, (str, type(None))) else _json(each) for each in values]
        columns[name] = pa.array(values, _TYPES[kind])
    columns[DELETED_AT] = pa.array([at] * len(stored), _TYPES["timestamp"])
    return _table(spec.key, columns)


def _table(key: str, columns: dict[str, Any]) -> Any:
    fields = [pa.field(name, column.type, nullable=name != key) for name, column in columns.items()]
    return pa.table(list(columns.values()), schema=pa.schema(fields))


def _part(reference: Any, part: str) -> Any:
    return cast("dict[str, Any]", reference).get(part) if isinstance(reference, dict) else None


def _extra_column(extras: _Extras, number: int) -> Any:
    if not extras:
        return pa.nulls(number, pa.string())
    return pa.array([_json(extras[row]) if row in extras else None for row in range(number)], pa.string())


def _column(name: str, kind: Kind, values: Sequence[Any], extras: _Extras) -> Any:
    """Convert the values of a field: all at once if their types allow it, else one by one."""
    types = set(map(type, values)) - {type(None)}
    expected, convert = _CONVERSIONS[kind]
    try:
        if types <= expected:
            return convert(values)
    except (pa.ArrowInvalid, OverflowError):
        pass
    converted: list[Any] = []
    for number, value in enumerate(values):
        try:
            converted.append(None if value is None else _SINGLE_CONVERSIONS[kind](value))
        except (ValueError, TypeError, OverflowError):
            converted.append(None)
            extras.setdefault(number, {})[name] = value
    return pa.array(converted, _TYPES[kind])


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(value, separators=(",", ":"))


def _text(value: Any) -> str:
    if isinstance(value, (bool, list, dict, float)):
        raise TypeError("not text")
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, (str, float)) and float(value).is_integer():
        value = int(value)
    if type(value) is not int or not -_LARGEST <= value < _LARGEST:
        raise TypeError(value)
    return value


def _number(value: Any) -> float:
    if isinstance(value, (bool, list, dict)):
        raise TypeError("not a number")
    return float(value)


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(value)
    return value


def _date(value: Any) -> date:
    return datetime.fromisoformat(value).date()


def _timestamp(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _timestamps(values: Iterable[Any]) -> Any:
    # Arrow parses times with a zone or an offset, as the service sends them, and raises for times without one.
    return pa.array(values, pa.string()).cast(_TYPES["timestamp"])


_CONVERSIONS: Mapping[Kind, tuple[set[type], Callable[[Sequence[Any]], Any]]] = {
    "text": ({str}, lambda values: pa.array(values, pa.string())),
    "bigint": ({int}, lambda values: pa.array(values, pa.int64())),
    "double": ({int, float}, lambda values: pa.array(values, pa.float64())),
    "bool": ({bool}, lambda values: pa.array(values, pa.bool_())),
    "date": ({str}, lambda values: pa.array(values, pa.string()).cast(pa.date32())),
    "timestamp": ({str}, _timestamps),
    "json": (
        {dict, list, str, int, float, bool},
        lambda values: pa.array([None if v is None else _json(v) for v in values], pa.string()),
    ),
}
"""Kind → types of values that can be converted all at once, and the conversion."""

_SINGLE_CONVERSIONS: Mapping[Kind, Callable[[Any], Any]] = {
    "text": _text,
    "bigint": _integer,
    "double": _number,
    "bool": _boolean,
    "date": _date,
    "timestamp": _timestamp,
    "json": _json,
}
