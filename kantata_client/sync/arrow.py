"""Received records as Arrow tables with the contract's types."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import orjson

from kantata_client.sync.lists import DELETED, DELETED_AT, EXTRA, POSITION

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from kantata_client.sync.lists import Child, Kind, List

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


def records(of: List, rows: list[dict[str, Any]]) -> Any:
    """The records as a table. What is not of the contract's type goes to the column `_extra`, with the unknown fields."""
    extras: list[dict[str, Any]] = [{} for _ in rows]
    columns: dict[str, Any] = {}
    for name, kind in of.columns.items():
        owner, _, part = name.rpartition("__")
        inner = owner in of.references
        values = [_part(row.get(owner), part) if inner else row.get(name) for row in rows]
        columns[name] = _column(name, kind, values, extras)
    children = {child.field for child in of.children}
    known = {*of.columns, *of.references, *children}
    for row, extra in zip(rows, extras, strict=True):
        if row.keys() - known:
            extra.update((name, value) for name, value in row.items() if name not in known)
        for reference in of.references:
            if not isinstance(row.get(reference), (dict, type(None))):
                extra[reference] = row[reference]
    columns[EXTRA] = pa.array([_json(extra) if extra else None for extra in extras], pa.string())
    return _table(of.key, columns)


def children(child: Child, key: str, rows: list[dict[str, Any]]) -> Any:
    """The items of a list in each record; a record whose list is empty gets a row that deletes what was there.

    Returns:
        The table, or `None` if no record has the list.
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
        found = [str(item) for item in listed if item is not None]
        owner = str(row[key])
        for position, item in enumerate(found):
            owners.append(owner)
            positions.append(position)
            ids.append(item)
            deleted.append(None)
        if not found:
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


def deletions(of: List, ids: Collection[str]) -> list[tuple[str, Any]]:
    """Rows that delete records and the items of their lists, by table."""
    gone = sorted(ids)
    flags = pa.array([True] * len(gone), pa.bool_())
    tables = [(of.name, _table(of.key, {of.key: pa.array(gone, pa.string()), DELETED: flags}))]
    for child in of.children:
        columns = {
            child.owner: pa.array(gone, pa.string()),
            POSITION: pa.array([0] * len(gone), pa.int64()),
            DELETED: flags,
        }
        tables.append((child.table, _table(child.owner, columns)))
    return tables


def marked(of: List, stored: list[dict[str, Any]], at: datetime) -> Any:
    """Rows of the warehouse as they are, with the time at which their records were found to be gone."""
    columns: dict[str, Any] = {}
    columns_of: dict[str, Kind] = {**of.columns, EXTRA: "json"}
    for name, kind in columns_of.items():
        values = [row.get(name) for row in stored]
        if kind == "json":
            values = [each if isinstance(each, (str, type(None))) else _json(each) for each in values]
        columns[name] = pa.array(values, _TYPES[kind])
    columns[DELETED_AT] = pa.array([at] * len(stored), _TYPES["timestamp"])
    return _table(of.key, columns)


def _table(key: str, columns: dict[str, Any]) -> Any:
    fields = [pa.field(name, column.type, nullable=name != key) for name, column in columns.items()]
    return pa.table(list(columns.values()), schema=pa.schema(fields))


def _part(reference: Any, part: str) -> Any:
    return cast("dict[str, Any]", reference).get(part) if isinstance(reference, dict) else None


def _column(name: str, kind: Kind, values: list[Any], extras: list[dict[str, Any]]) -> Any:
    """The values of a field. The usual ones are converted together, odd ones one by one."""
    kinds = set(map(type, values)) - {type(None)}
    usual, convert = _CONVERSIONS[kind]
    try:
        if kinds <= usual:
            return convert(values)
    except (pa.ArrowInvalid, OverflowError):
        pass
    fitting: list[Any] = []
    for value, extra in zip(values, extras, strict=True):
        try:
            fitting.append(None if value is None else _ODD[kind](value))
        except (ValueError, TypeError, OverflowError):
            fitting.append(None)
            extra[name] = value
    return pa.array(fitting, _TYPES[kind])


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(value, separators=(",", ":"))


def _text(value: Any) -> str:
    if isinstance(value, (bool, list, dict, float)):
        raise TypeError("no text")
    return str(value)


def _whole(value: Any) -> int:
    if isinstance(value, (str, float)) and float(value).is_integer():
        value = int(value)
    if type(value) is not int or not -_LARGEST <= value < _LARGEST:
        raise TypeError(value)
    return value


def _number(value: Any) -> float:
    if isinstance(value, (bool, list, dict)):
        raise TypeError("no number")
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(value)
    return value


def _day(value: Any) -> date:
    return datetime.fromisoformat(value).date()


def _moment(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _moments(values: Iterable[Any]) -> Any:
    # Arrow reads what the service sends, `2026-03-02T10:00:00Z` and offsets, but guesses nothing without a zone.
    return pa.array(values, pa.string()).cast(_TYPES["timestamp"])


_CONVERSIONS: Mapping[Kind, tuple[set[type], Callable[[list[Any]], Any]]] = {
    "text": ({str}, lambda values: pa.array(values, pa.string())),
    "bigint": ({int}, lambda values: pa.array(values, pa.int64())),
    "double": ({int, float}, lambda values: pa.array(values, pa.float64())),
    "bool": ({bool}, lambda values: pa.array(values, pa.bool_())),
    "date": ({str}, lambda values: pa.array(values, pa.string()).cast(pa.date32())),
    "timestamp": ({str}, _moments),
    "json": (
        {dict, list, str, int, float, bool},
        lambda values: pa.array([None if v is None else _json(v) for v in values], pa.string()),
    ),
}
"""Kind → types that are converted together, and how."""

_ODD: Mapping[Kind, Callable[[Any], Any]] = {
    "text": _text,
    "bigint": _whole,
    "double": _number,
    "bool": _flag,
    "date": _day,
    "timestamp": _moment,
    "json": _json,
}
