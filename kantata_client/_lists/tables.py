"""Tables of objects: Arrow columns with the contract's types, for pandas, polars and warehouses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from kantata_client._lazy import resolvable
from kantata_client._objects.model import Model, annotation_of
from kantata_client._suggestions import similar
from kantata_client.errors import KantataError, NotIncludedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

ArrowTable: TypeAlias = Any
"""A `pyarrow.Table`. The library has no type information, and is optional."""
PandasFrame: TypeAlias = Any
"""A `pandas.DataFrame`. The library is optional."""
PolarsFrame: TypeAlias = Any
"""A `polars.DataFrame`. The library is optional."""

EXTRA = "extra"
"""Name of the column for unknown fields, and for values whose type differs from the contract's, as JSON."""

_SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "date": (date,),
    "datetime": (datetime,),
}


@resolvable
def table(
    objects: Iterable[Model], *, fields: Sequence[str] | None = None, associations: Sequence[str] = ()
) -> ArrowTable:
    """Make a table of objects of one class, with one row each.

    Args:
        objects: Objects of one class, such as a page's `items`.
        fields: Names of fields. Default: all that the request asked for.
        associations: Fields of associated objects, such as `"workspace.title"`. The column of an association with many
            objects holds lists.

    Returns:
        A `pyarrow.Table`. Dates, times (in UTC), integers (such as cents), numbers and booleans have the matching Arrow
        type, lists of text are lists, and nested objects are JSON. The last column, `extra`, holds unknown fields and values
        of an unexpected type as JSON.

    Raises:
        UsageError: pyarrow is not installed, a field does not exist, or the objects are of several classes.
        NotIncludedError: The request did not ask for a field or an association.
    """
    given: Any = objects
    if isinstance(given, (Model, Mapping, str)) or not isinstance(given, Iterable):
        raise UsageError(f"table: expected a collection of objects, got {type(cast('Any', given)).__name__}")
    rows: list[Any] = list(cast("Any", given))
    if other := next((each for each in rows if not isinstance(each, Model)), None):
        raise UsageError(
            f"table: expected objects of a model such as Story, got {type(other).__name__}: for dictionaries, use "
            "pyarrow.Table.from_pylist"
        )
    builder = TableBuilder(None, fields, associations)
    builder.add(rows)
    return builder.table()


class TableBuilder:
    """Builds a table page by page, so that only one page of objects is in memory."""

    def __init__(
        self, cls: type[Model] | None, fields: Sequence[str] | None, associations: Sequence[str]
    ) -> None:
        """`cls` is the class of the objects; `None` to use the class of the first one."""
        for name, given in (("fields", fields), ("associations", associations)):
            if isinstance(given, str):
                raise UsageError(f"{name} must be a list of names, not the string {given!r}")
        self._arrow = _library("pyarrow", "to make tables")
        self._cls = cls
        self._fields = fields
        self._associations = associations
        self._columns: list[_Column] | None = None
        self._batches: list[Any] = []
        if cls is not None and (fields is not None or associations):
            self._make_columns(cls, None)  # rejects a wrong name before anything is sent

    def add(self, objects: Sequence[Model]) -> None:
        """Add a row for each object."""
        if not objects:
            return
        cls = self._cls = self._cls or type(objects[0])
        if other := next((each for each in objects if type(each) is not cls), None):
            raise UsageError(
                f"a table can hold objects of one class only: {cls.__name__}, but not {type(other).__name__} as well"
            )
        if self._columns is None:
            self._columns = self._make_columns(cls, objects[0])
        extras = [dict(each.extra) for each in objects]
        arrays = [column.array(objects, extras) for column in self._columns]
        arrays.append(
            self._arrow.array([_json(each) if each else None for each in extras], self._arrow.string())
        )
        self._batches.append(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema()))

    def table(self) -> ArrowTable:
        """The table of all rows."""
        if self._columns is None:
            if self._cls is None:
                return self._arrow.table({})
            self._columns = self._make_columns(self._cls, None)
        return self._arrow.Table.from_batches(self._batches, schema=self._schema())

    def _schema(self) -> Any:
        columns = self._columns or []
        return self._arrow.schema(
            [*((column.name, column.type) for column in columns), (EXTRA, self._arrow.string())]
        )

    def _make_columns(self, cls: type[Model], first: Model | None) -> list[_Column]:
        if self._fields is None:
            names = [name for name in cls.FIELDS if first is None or _was_requested(first, name)]
        else:
            names = list(self._fields)
        return [_Column(self._arrow, cls, name) for name in dict.fromkeys([*names, *self._associations])]


class _Column:
    """A column: a field, or a field of an association."""

    def __init__(self, arrow: Any, cls: type[Model], name: str) -> None:
        self.name = name
        association, _, field = name.rpartition(".")
        self._association, self._field = association, field
        self._many = False
        if association:
            found = cls.ASSOCIATIONS.get(association)
            if found is None:
                hint = similar(association, cls.ASSOCIATIONS)
                raise UsageError(f"{cls.__name__} has no association {association!r}{hint}")
            self._many = found.many
            target = _target(cls, association)
            if target is None:
                raise UsageError(
                    f"{cls.__name__}.{association} refers to objects of several classes, so its fields can't be columns"
                )
            cls = target
        if field not in cls.FIELDS:
            raise UsageError(f"{cls.__name__} has no field {field!r}{similar(field, cls.FIELDS)}")
        self._kind = annotation_of(cls, field).removesuffix(" | None")
        self.type = _type(arrow, self._kind)
        if self._many:
            self.type = arrow.list_(self.type)
        self._arrow = arrow

    def array(self, objects: Sequence[Model], extras: list[dict[str, Any]]) -> Any:
        """The column's values for a page. A value of an unexpected type goes into `extras` instead."""
        values: list[Any] = []
        for row, each in enumerate(objects):
            value = self._read(each)
            fitting = [self._converted(one) for one in value] if self._many else self._converted(value)
            if _UNFIT in (fitting if isinstance(fitting, list) and self._many else [fitting]):
                extras[row][self.name] = value
                fitting = None
            values.append(fitting)
        return self._arrow.array(values, self.type)

    def _read(self, each: Model) -> Any:
        if not self._association:
            return getattr(each, self._field)
        found = getattr(each, self._association)
        if self._many:
            return [getattr(one, self._field) for one in found]
        return None if found is None else getattr(found, self._field)

    def _converted(self, value: Any) -> Any:
        """The value in a form that Arrow accepts, or `_UNFIT`."""
        if value is None:
            return None
        kinds = _SCALARS.get(self._kind)
        if kinds is None:
            if self._kind == "list[str]":
                texts = cast("list[Any]", value)
                return texts if type(texts) is list and all(type(each) is str for each in texts) else _UNFIT
            return _json(_plain(value))
        if type(value) not in kinds or (type(value) is int and not -(2**63) <= value < 2**63):
            return _UNFIT
        return value.astimezone(UTC) if isinstance(value, datetime) else value


_UNFIT: Any = object()


def _was_requested(first: Model, name: str) -> bool:
    try:
        getattr(first, name)
    except NotIncludedError:
        return False
    return True


def _target(cls: type[Model], association: str) -> type[Model] | None:
    """The class of the objects that an association refers to; `None` if there are several."""
    from kantata_client import models

    name = re.search(r"(?:One|Many)\[(\w+)\]", annotation_of(cls, association))
    return cast("type[Model]", getattr(models, name[1])) if name else None


def _type(arrow: Any, kind: str) -> Any:
    types = {
        "int": arrow.int64(),
        "float": arrow.float64(),
        "bool": arrow.bool_(),
        "date": arrow.date32(),
        "datetime": arrow.timestamp("us", "UTC"),
        "list[str]": arrow.list_(arrow.string()),
    }
    return types.get(kind, arrow.string())


def _plain(value: Any) -> Any:
    """The value with nested objects as they were received."""
    if isinstance(value, Model):
        return value.to_dict()
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in cast("dict[str, Any]", value).items()}
    return value


def _json(value: Any) -> str:
    from msgspec.json import encode

    return encode(_plain(value)).decode()


def _library(name: str, purpose: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        extra = "'kantata-client[data]'" if name == "pyarrow" else f"'kantata-client[data]' {name}"
        raise UsageError(f"{name} is needed {purpose}: pip install {extra}") from None


def as_polars(table: ArrowTable) -> PolarsFrame:
    """A `polars.DataFrame` of a table."""
    return _library("polars", "for to_polars()").from_arrow(table)


def as_pandas(table: ArrowTable) -> PandasFrame:
    """A `pandas.DataFrame` of a table. Columns of integers, booleans and text keep their type even if values are missing."""
    arrow, pandas = _library("pyarrow", "to make tables"), _library("pandas", "for to_pandas()")
    kinds = {
        arrow.int64(): pandas.Int64Dtype(),
        arrow.bool_(): pandas.BooleanDtype(),
        arrow.string(): pandas.StringDtype(),
    }
    try:
        return table.to_pandas(types_mapper=kinds.get)
    except arrow.ArrowInvalid as error:
        raise KantataError(f"pandas can't hold the table: {error}. Use to_arrow() or to_polars()") from None
