"""Single values: checked against the contract, and converted to what JSON or a query holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, cast

from kantata_client._calls.extras import Extra
from kantata_client._calls.unset import UNSET
from kantata_client._objects.scalars import MissingError, native
from kantata_client._suggestions import similar
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from kantata_client._contract import Operation, Parameter

FIRST_PAGE = 1
NO_ZONE = "has no time zone: add one, e.g. datetime.now(UTC) or value.astimezone()"
_INTEGER = re.compile(r"-?[0-9]{1,40}")
_ORDER = re.compile(r"([+-]?)(\w+)(?:[\s:.]+(asc|desc)\w*)?")
"""A field and a direction, as other APIs write them."""
_EXPECTED = {
    "string": "text",
    "integer": "a whole number",
    "number": "a finite number",
    "boolean": "True or False",
    "date": "a date or 'YYYY-MM-DD'",
    "datetime": "a datetime, ISO 8601 text, or a date for its midnight in UTC",
    "object": "a mapping",
    "file": "bytes or a File",
}
_MISSING = frozenset({"nat", "nan", "none", "<na>", "null"})
"""What a missing value looks like when it has become part of a text."""
_VERBS = ("is ", "has ", "must ", "cannot ")


# --- values of a declared type -----------------------------------------------------------------


def checked(operation: Operation, name: str, parameter: Parameter, value: Any) -> Any:
    """A single value as JSON represents it.

    Args:
        operation: The operation, for errors.
        name: The name of the parameter or property, for errors.
        parameter: Its type, and the values and the range that it accepts.
        value: The argument.

    Raises:
        UsageError: The value does not have the parameter's type, or is not one of its values.
    """
    value = from_libraries(operation, name, value)
    if isinstance(value, Enum):
        value = value.value
    if parameter.values and not (isinstance(value, (str, int)) and value in parameter.values):
        text = str(value)
        hint = (
            similar(_as_order(text, parameter.values), parameter.values)
            or f"; known values: {', '.join(parameter.values)}"
        )
        raise invalid(operation, name, f"unknown value {text!r}{hint}")
    kind = parameter.kind
    if kind == "any":
        return json_value(operation, name, value)
    if isinstance(value, bool) and kind != "boolean":
        raise _type_error(operation, name, kind, value)
    return _CONVERTERS[kind](operation, name, parameter, value)


def _as_order(text: str, values: Sequence[str]) -> str:
    """`-due_date`, `due_date desc` and the like as `due_date:desc`, if the values are orders; otherwise the text itself.

    Without it, the most similar value might have the opposite direction.
    """
    found = _ORDER.fullmatch(text.strip().lower())
    if found is None or not any(value.endswith(":desc") for value in values):
        return text
    sign, field, direction = found.groups()
    return f"{field}:{direction or ('desc' if sign == '-' else 'asc')}"


def properties(
    operation: Operation, path: str, fields: Mapping[str, Parameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The properties of a body, or of an object in it, as JSON represents them; `UNSET` is left out.

    Args:
        operation: The operation, for errors.
        path: Where the object is, such as `items[7]`, for errors; empty for the body itself.
        fields: The properties that the contract has.
        given: Name → value.

    Raises:
        UsageError: A property is unknown, is missing, or has a value that it does not accept.
    """
    prefix = f"{path}." if path else ""
    converted: dict[str, Any] = {}
    for name, value in given.items():
        if value is UNSET:
            continue
        full_name = f"{prefix}{name}"
        if type(value) is Extra:
            converted[name] = json_value(operation, full_name, value.value)
        elif name in fields:
            converted[name] = _property(operation, full_name, fields[name], value)
        else:
            hint = similar(str(name), tuple(fields))
            raise invalid(operation, full_name, f"is not a known property{hint}")
    for name, parameter in fields.items():
        if parameter.required and name not in converted:
            raise invalid(operation, f"{prefix}{name}", "is required")
    return converted


def _property(operation: Operation, name: str, parameter: Parameter, value: Any) -> Any:
    if value is None:
        if parameter.required:
            raise invalid(operation, name, "is required and cannot be None")
        return None
    if not parameter.many:
        return checked(operation, name, parameter, value)
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise invalid(operation, name, f"must be a list, got {shown(cast('object', value))}")
    items = cast("Iterable[Any]", value)
    return [checked(operation, f"{name}[{index}]", parameter, item) for index, item in enumerate(items)]


def _string(operation: Operation, name: str, parameter: Parameter, value: Any) -> str:
    if parameter.range and isinstance(value, (tuple, list)):
        return _range(operation, name, parameter.range, cast("tuple[Any, ...]", value))
    if isinstance(value, str):
        if parameter.range and not _MISSING.isdisjoint(value.lower().split(":")):
            raise invalid(
                operation, name, f"must be a range START:END, or a pair (start, end), got {shown(value)}"
            )
        return unicode_text(operation, name, value)
    if isinstance(value, int):
        return str(value)
    raise _type_error(operation, name, "string", value)


def _integer(operation: Operation, name: str, parameter: Parameter, value: Any) -> int:
    value = whole_decimal(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int):
        raise _type_error(operation, name, "integer", value)
    if parameter.maximum is not None and value > parameter.maximum:
        raise invalid(operation, name, f"must be at most {parameter.maximum}, got {value}")
    if name in ("page", "per_page") and value < FIRST_PAGE:
        raise invalid(operation, name, f"must be at least {FIRST_PAGE}, got {value}")
    return value


def whole_decimal(value: Any) -> Any:
    """A `Decimal` without a fraction as an integer; other values unchanged."""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return value


def _number(operation: Operation, name: str, parameter: Parameter, value: Any) -> float:
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, (int, float)) and math.isfinite(value):
        return value
    raise _type_error(operation, name, "number", value)


def _boolean(operation: Operation, name: str, parameter: Parameter, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _type_error(operation, name, "boolean", value)


def _date(operation: Operation, name: str, parameter: Parameter, value: Any) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and _parses(value, date.fromisoformat):
        return date.fromisoformat(value).isoformat()  # Python also reads 20260304 and 2026-W10-3
    raise _type_error(operation, name, "date", value)


def _datetime(operation: Operation, name: str, parameter: Parameter, value: Any) -> str:
    if isinstance(value, datetime):
        return _with_zone(operation, name, value).isoformat()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).isoformat()
    if isinstance(value, str):
        if _parses(value, date.fromisoformat):
            return date.fromisoformat(value).isoformat()
        if _parses(value, datetime.fromisoformat):
            _with_zone(operation, name, datetime.fromisoformat(value))
            return value
    raise _type_error(operation, name, "datetime", value)


def _object(operation: Operation, name: str, parameter: Parameter, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise _type_error(operation, name, "object", value)
    mapping = cast("Mapping[str, Any]", value)
    if parameter.fields:
        return properties(operation, name, parameter.fields, mapping)
    return json_value(operation, name, mapping)


def _file(operation: Operation, name: str, parameter: Parameter, value: Any) -> Any:
    from kantata_client._http.messages import File  # attrs: not at start-up

    if isinstance(value, (bytes, File)):
        return value
    raise _type_error(operation, name, "file", value)


_CONVERTERS: dict[str, Callable[[Operation, str, Parameter, Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "object": _object,
    "file": _file,
}


def _range(operation: Operation, name: str, kind: Literal["date", "datetime"], pair: Sequence[Any]) -> str:
    """`START:END`, where either may be empty. Times are written without colons."""
    from kantata_client._contract import Parameter  # attrs: not at start-up

    if len(pair) != 2 or all(bound is None for bound in pair):
        problem = f"must be a pair (start, end), one of which may be None, got {shown(pair)}"
        raise invalid(operation, name, problem)
    start, end = ["" if bound is None else checked(operation, name, Parameter(kind), bound) for bound in pair]
    try:
        moments = [_moment(bound) if bound else None for bound in (start, end)]
    except OverflowError:
        raise invalid(
            operation, name, f"is not within the years 1 to 9999 in UTC, got {shown(pair)}"
        ) from None
    first, last = moments
    if first and last and first > last:
        raise invalid(operation, name, f"must not end before it starts, got {start} to {end}")
    if kind == "datetime":
        start, end = ["" if moment is None else _compact(moment) for moment in moments]
    return f"{start}:{end}"


def _compact(moment: datetime) -> str:
    """A time without colons and fractions. `strftime` would write years before 1000 with three digits."""
    return f"{moment.year:04}{moment:%m%dT%H%M%SZ}"


def _moment(text: str) -> datetime:
    """A checked date or time, in UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parses(text: str, parse: Callable[[str], object]) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


# --- values of any type ------------------------------------------------------------------------


def json_value(operation: Operation, name: str, value: Any) -> Any:
    """A value without a declared type as JSON represents it; dates become text.

    Raises:
        UsageError: JSON cannot represent it, or a time has no time zone.
    """
    value = from_libraries(operation, name, value)
    match value:
        case None | bool() | int():
            return value
        case str():
            return unicode_text(operation, name, value)
        case float() | Decimal() if math.isfinite(value):
            return float(value)
        case datetime():
            return _with_zone(operation, name, value).isoformat()
        case date():
            return value.isoformat()
        case Enum():
            return json_value(operation, name, value.value)
        case Mapping():
            pairs = text_keys(operation, name, cast("Mapping[Any, Any]", value))
            return {key: json_value(operation, f"{name}.{key}", item) for key, item in pairs}
        case Iterable() if not isinstance(value, bytes):
            items = cast("Iterable[Any]", value)
            return [json_value(operation, f"{name}[{index}]", item) for index, item in enumerate(items)]
        case _:
            raise invalid(operation, name, f"cannot be converted to JSON: {shown(value)}")


def text_keys(operation: Operation, name: str, mapping: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The items of a mapping, with their keys as text.

    Raises:
        UsageError: A key is neither text nor a number.
    """
    for key, value in mapping.items():
        if isinstance(key, bool) or not isinstance(key, (str, int, Enum)):
            raise invalid(operation, name, f"keys must be text, got {shown(cast('object', key))}")
        yield unicode_text(operation, name, plain_text(cast("int | str", key))), value


def from_libraries(operation: Operation, name: str, value: Any) -> Any:
    """A scalar of numpy or pandas as a Python value; other values unchanged.

    Raises:
        UsageError: It stands for a missing value.
    """
    try:
        return native(value)
    except MissingError as missing:
        problem = f"is {missing}, a missing value: pass None, or leave it out"
        raise invalid(operation, name, problem) from None


def _with_zone(operation: Operation, name: str, value: datetime) -> datetime:
    # Without a zone, it depends on the machine which moment is meant.
    if value.utcoffset() is None:
        raise invalid(operation, name, NO_ZONE)
    return value


def unicode_text(operation: Operation, name: str, text: str) -> str:
    """The text, if UTF-8 can encode it.

    Raises:
        UsageError: It contains half of a surrogate pair.
    """
    plain = plain_text(text)
    try:
        plain.encode()
    except UnicodeEncodeError:
        raise invalid(operation, name, f"must be valid Unicode, got {plain!a}") from None
    return plain


def plain_text(value: int | str) -> str:
    """A number or text as an ordinary `str`; of an enum, its value."""
    if isinstance(value, Enum):
        value = value.value
    return str.__str__(value) if isinstance(value, str) else str(value)


def query_text(value: Any) -> str:
    """A converted value as a query or a form represents it."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return "" if value is None else plain_text(value)


# --- errors ------------------------------------------------------------------------------------


def invalid(operation: Operation, name: str, problem: str) -> UsageError:
    """The error for an argument, such as `stories.list: per_page must be at most 200, got 201`."""
    separator = " " if problem.startswith(_VERBS) else ": "
    method = f"{operation.resource}.{operation.name}" if operation.resource else operation.id
    return UsageError(f"{method}: {name}{separator}{problem}")


def _type_error(operation: Operation, name: str, kind: str, value: object) -> UsageError:
    hint = "; leave it out, or pass None" if isinstance(value, str) and not value else id_hint(value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        hint = f"; pass {int(value)}. (A column of integers with gaps is one of floats in pandas, unless its type is Int64)"
    return invalid(operation, name, f"must be {_EXPECTED[kind]}, got {shown(value)}{hint}")


def id_hint(value: object) -> str:
    """`; pass its id, story.id` for a model where an id belongs, otherwise nothing."""
    from kantata_client._objects.model import Model

    if not isinstance(value, Model):
        return ""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(value).__name__).lower()
    return f"; pass its id, {name}.id"


def shown(value: object) -> str:
    """The beginning of a value, and its type, for an error message."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:59] + '…'} ({type(value).__name__})"
