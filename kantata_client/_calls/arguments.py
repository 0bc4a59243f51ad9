"""From arguments to the parts of a request: each value checked against the contract and put as the service wants it.

Pure functions; whatever they refuse, nothing was sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, cast

from kantata_client._calls.beyond import Beyond
from kantata_client._calls.scalars import MissingError, native
from kantata_client._calls.unset import UNSET
from kantata_client._suggestions import similar
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from kantata_client._contract import Body, Operation, Parameter
    from kantata_client._http.messages import Form

FIRST_PAGE = 1
NO_ZONE = "has no time zone: give one, e.g. datetime.now(UTC) or value.astimezone()"
"""What is wrong with a naive datetime: which moment it is depends on where it was written."""
_WHOLE = re.compile(r"-?[0-9]{1,40}")
_ID = re.compile(r"[0-9]+|[0-9A-Za-z_-]+(?::[0-9A-Za-z_-]+)+")
"""An id, also a composite one. Other characters could lead to another record: proxies decode `%2F`, for one."""


def path_of(operation: Operation, values: tuple[int | str, ...]) -> str:
    """The path below the base URL, its placeholders filled.

    Raises:
        UsageError: A value is empty, or not an id.
    """
    path = operation.path
    for name, given in zip(operation.path_parameters, values, strict=True):
        value = _native(operation, name, given)
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise _wrong(operation, name, f"an id is a number or a text, not {shown(value)}{_id_of(value)}")
        text = _plain(value).strip()
        if not text:
            raise _wrong(operation, name, "the id is empty; an object that was not created yet has none")
        if not _ID.fullmatch(text):
            raise _wrong(operation, name, f"must be an id such as 7 or '7:12', got {shown(value)}")
        path = path.replace(f"{{{name}}}", text)
    return path


def query_of(operation: Operation, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The query parameters that were given, as text; `None` means not given.

    Raises:
        UsageError: A value is none that the parameter takes, or a required one is missing.
    """
    query: list[tuple[str, str]] = []
    for name, parameter in operation.query.items():
        value = given.get(name)
        if type(value) is Beyond:
            continue
        if value is None or value is UNSET:
            if parameter.required:
                raise _wrong(operation, name, "is required")
            continue
        if parameter.many:
            items = items_of(operation, name, parameter, value)
            if items:
                query.append((name, ",".join(items)))
        else:
            query.append((name, _in_query(_checked(operation, name, parameter, value))))
    beyond = {name: value.value for name, value in given.items() if type(value) is Beyond}
    return query + untyped_query(operation, beyond) if beyond else query


def items_of(operation: Operation, name: str, parameter: Parameter, value: Any) -> list[str]:
    """The items of a comma-separated parameter, given as one value, as text with commas, or as several values."""
    if isinstance(value, str):
        given: list[Any] = [each.strip() for each in value.split(",") if each.strip()]
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)):
        given = list(cast("Iterable[Any]", value))
    else:
        given = [value]
    if not given and name not in ("include", "optional_fields"):
        raise _wrong(operation, name, "is empty; leave it out, or do not send the request at all")
    if parameter.maximum is not None and len(given) > parameter.maximum:
        raise _wrong(
            operation, name, f"has {len(given)} items, the service takes {parameter.maximum} at most"
        )
    items = [_in_query(_checked(operation, name, parameter, each)) for each in given]
    if comma := next((item for item in items if "," in item), None):
        raise _wrong(
            operation, name, f"{comma!r} has a comma in it, which the service takes for the end of an item"
        )
    return items


def body_of(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of the body that were given, as JSON has them; `None` is null, `UNSET` is left out.

    Raises:
        UsageError: A property is unknown, is missing, or has a value that it does not take.
    """
    return _object(operation, "", _body(operation).fields, given)


def wrapped(operation: Operation, properties: dict[str, Any]) -> dict[str, Any]:
    """The body around one object."""
    wrapper = _body(operation).wrapper
    return {wrapper: properties} if wrapper else properties


def item_of(operation: Operation, item: object, where: str) -> dict[str, Any]:
    """One object of a bulk body: from a mapping, or from a model, of which the properties that the body takes are used.

    Args:
        operation: The creation or update.
        item: A mapping, a typed dictionary or a model.
        where: Place in the input, such as `items[7]`, for the error.
    """
    from kantata_client._objects.model import Model

    fields = _body(operation).fields
    if isinstance(item, Model):
        given: Mapping[str, Any] = {name: value for name, value in item.to_dict().items() if name in fields}
    elif isinstance(item, Mapping):
        given = cast("Mapping[str, Any]", item)
    else:
        raise _wrong(operation, where, f"a mapping or a model is needed, not {shown(item)}")
    return _object(operation, where, fields, given)


def bare_body_of(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an operation for which the contract has none: whatever `extra_body` holds."""
    return _object(operation, "", {}, given)


def form_of(operation: Operation, given: Mapping[str, Any]) -> Form:
    """The body as a multipart form: files are bytes, or a `File` with its name."""
    import attrs

    from kantata_client._http.messages import File, Form

    body = _body(operation)
    fields: list[tuple[str, str]] = []
    files: list[File] = []
    for name, value in _object(operation, "", body.fields, given).items():
        field = f"{body.wrapper}[{name}]" if body.wrapper else name
        if isinstance(value, File):
            files.append(attrs.evolve(value, name=field))
        elif isinstance(value, bytes):
            files.append(File(field, name, value))
        elif isinstance(value, list):
            fields += [(f"{field}[]", _in_query(each)) for each in cast("list[Any]", value)]
        else:
            fields.append((field, _in_query(value)))
    return Form(fields, files)


def _body(operation: Operation) -> Body:
    assert operation.body is not None, operation.id  # noqa: S101 - generated code gives a body only where there is one
    return operation.body


def _object(
    operation: Operation, where: str, fields: Mapping[str, Parameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    prefix = f"{where}." if where else ""
    properties: dict[str, Any] = {}
    for name, value in given.items():
        if value is UNSET:
            continue
        if type(value) is Beyond:
            properties[name] = _json(operation, f"{prefix}{name}", value.value)
            continue
        if name not in fields:
            hint = similar(str(name), tuple(fields))
            raise _wrong(operation, f"{prefix}{name}", f"is not a property of it{hint}")
        parameter = fields[name]
        if value is None:
            if parameter.required:
                raise _wrong(operation, f"{prefix}{name}", "is required and can't be None")
            properties[name] = None
        elif parameter.many:
            if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
                raise _wrong(
                    operation, f"{prefix}{name}", f"a list is needed, not {shown(cast('object', value))}"
                )
            properties[name] = [
                _checked(operation, f"{prefix}{name}[{index}]", parameter, each)
                for index, each in enumerate(cast("Iterable[Any]", value))
            ]
        else:
            properties[name] = _checked(operation, f"{prefix}{name}", parameter, value)
    for name, parameter in fields.items():
        if parameter.required and name not in properties:
            raise _wrong(operation, f"{prefix}{name}", "is required")
    return properties


def _checked(operation: Operation, name: str, parameter: Parameter, value: Any) -> Any:
    """A single value as JSON has it."""
    kind = parameter.kind
    value = _native(operation, name, value)
    if isinstance(value, Enum):
        value = value.value
    if parameter.values and not (isinstance(value, (str, int)) and value in parameter.values):
        text = str(value)
        listed = ", ".join(parameter.values)
        hint = similar(text, parameter.values) or f"; it takes {listed}"
        raise _wrong(operation, name, f"{text!r} is not one of its values{hint}")
    if isinstance(value, bool) and kind not in ("boolean", "any"):
        raise _wrong(operation, name, f"{_expected(kind)} is needed, not {shown(value)}")
    match kind:
        case "string":
            if parameter.range and isinstance(value, (tuple, list)):
                return _range(operation, name, parameter.range, cast("tuple[Any, ...]", value))
            if isinstance(value, str):
                return _encodable(operation, name, value)
            if isinstance(value, int):
                return str(value)
        case "integer":
            if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
                value = int(value)
            if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
                value = int(value)
            if isinstance(value, int):
                if parameter.maximum is not None and value > parameter.maximum:
                    raise _wrong(
                        operation, name, f"is {value}, the service gives {parameter.maximum} at most"
                    )
                if name in ("page", "per_page") and value < FIRST_PAGE:
                    raise _wrong(operation, name, f"is {value}, it begins at {FIRST_PAGE}")
                return value
        case "number":
            if isinstance(value, Decimal):
                value = float(value)
            if isinstance(value, (int, float)) and math.isfinite(value):
                return value
        case "boolean":
            if isinstance(value, bool):
                return value
        case "date":
            if isinstance(value, datetime):
                return value.date().isoformat()
            if isinstance(value, date):
                return value.isoformat()
            if isinstance(value, str) and _parses(value, date.fromisoformat):
                return value
        case "datetime":
            if isinstance(value, datetime):
                return _zoned(operation, name, value).isoformat()
            if isinstance(value, str) and _parses(value, date.fromisoformat):
                return value
            if isinstance(value, date):
                return datetime(value.year, value.month, value.day, tzinfo=UTC).isoformat()
            if isinstance(value, str) and _parses(value, datetime.fromisoformat):
                _zoned(operation, name, datetime.fromisoformat(value))
                return value
        case "object":
            if isinstance(value, Mapping):
                mapping = cast("Mapping[str, Any]", value)
                if parameter.fields:
                    return _object(operation, name, parameter.fields, mapping)
                return _json(operation, name, mapping)
        case "file":
            from kantata_client._http.messages import File

            if isinstance(value, (bytes, File)):
                return value
        case "any":
            return _json(operation, name, value)
    hint = (
        "; leave out what is empty, or give None" if isinstance(value, str) and not value else _id_of(value)
    )
    raise _wrong(operation, name, f"{_expected(kind)} is needed, not {shown(value)}{hint}")


def _range(operation: Operation, name: str, kind: Literal["date", "datetime"], pair: Sequence[Any]) -> str:
    """`START:END`, either side possibly empty. Times have no colons in them."""
    from kantata_client._contract import Parameter  # attrs: not at start-up

    if len(pair) != 2 or all(each is None for each in pair):
        raise _wrong(
            operation, name, f"a range is a pair (start, end), of which one may be None, not {shown(pair)}"
        )
    bounds = ["" if each is None else _checked(operation, name, Parameter(kind), each) for each in pair]
    start, end = bounds
    if start and end and _moment(start) > _moment(end):
        raise _wrong(operation, name, f"the range ends at {end}, before it starts at {start}")
    if kind == "datetime":
        bounds = [each and f"{_moment(each):%Y%m%dT%H%M%SZ}" for each in bounds]
    return ":".join(bounds)


def _moment(text: str) -> datetime:
    """A checked date or time, in UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _native(operation: Operation, name: str, value: Any) -> Any:
    """A scalar of numpy or pandas as Python has it."""
    try:
        return native(value)
    except MissingError as missing:
        problem = f"is {missing}, which is not a value: pass None, or leave it out"
        raise _wrong(operation, name, problem) from None


def _parses(text: str, parse: Any) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _json(operation: Operation, name: str, value: Any) -> Any:
    """A value of no declared type, its dates as text."""
    value = _native(operation, name, value)
    match value:
        case None | bool() | int():
            return value
        case str():
            return _encodable(operation, name, value)
        case float() | Decimal() if math.isfinite(value):
            return float(value)
        case datetime():
            return _zoned(operation, name, value).isoformat()
        case date():
            return value.isoformat()
        case Enum():
            return _json(operation, name, value.value)
        case Mapping():
            named = _named(operation, name, cast("Mapping[Any, Any]", value))
            return {key: _json(operation, f"{name}.{key}", each) for key, each in named}
        case Iterable() if not isinstance(value, bytes):
            several = cast("Iterable[Any]", value)
            return [_json(operation, f"{name}[{index}]", each) for index, each in enumerate(several)]
        case _:
            raise _wrong(operation, name, f"JSON has no form for {shown(value)}")


def _named(operation: Operation, name: str, mapping: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The items of a mapping, their names as text."""
    for key, value in mapping.items():
        if isinstance(key, bool) or not isinstance(key, (str, int, Enum)):
            raise _wrong(operation, name, f"a name in it is {shown(cast('object', key))}, but has to be text")
        yield _encodable(operation, name, _plain(cast("int | str", key))), value


def _zoned(operation: Operation, name: str, value: datetime) -> datetime:
    """The time, if it says in which zone."""
    if value.utcoffset() is None:
        raise _wrong(operation, name, NO_ZONE)
    return value


def _encodable(operation: Operation, name: str, text: str) -> str:
    """The text, if it can be sent: half of a surrogate pair can't."""
    plain = _plain(text)
    try:
        plain.encode()
    except UnicodeEncodeError:
        raise _wrong(operation, name, f"{plain!a} is not valid Unicode") from None
    return plain


def _plain(value: int | str) -> str:
    """The text of a number or a text, also of an enum's."""
    if isinstance(value, Enum):
        value = value.value
    return str.__str__(value) if isinstance(value, str) else str(value)


def _in_query(value: Any) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    return "" if value is None else _plain(value)


def untyped_query(operation: Operation, params: object) -> list[tuple[str, str]]:
    """Query parameters of no declared type as text; several values of one are joined by commas.

    Raises:
        UsageError: They are no mapping, or a value has no text.
    """
    if not isinstance(params, Mapping):
        raise _wrong(operation, "params", f"a mapping is needed, not {shown(params)}")
    query: list[tuple[str, str]] = []
    for name, value in _named(operation, "params", cast("Mapping[Any, Any]", params)):
        if value is None:
            continue
        plain = _json(operation, name, value)
        several = cast("list[Any]", plain if isinstance(plain, list) else [plain])
        if any(isinstance(each, (dict, list)) for each in several):
            raise _wrong(operation, name, f"a query has no form for {shown(value)}")
        query.append((name, ",".join(_in_query(each) for each in several)))
    return query


def untyped_body(operation: Operation, value: object) -> Any:
    """A body of no declared type as JSON has it, its dates as text.

    Raises:
        UsageError: JSON has no form for a value.
    """
    return _json(operation, "json", value)


def _expected(kind: str) -> str:
    return {
        "string": "text",
        "integer": "a whole number",
        "number": "a finite number",
        "boolean": "True or False",
        "date": "a date (or YYYY-MM-DD)",
        "datetime": "a datetime (or ISO 8601 text, or a date for its midnight in UTC)",
        "object": "a mapping",
        "file": "bytes or a File",
    }[kind]


def _id_of(value: object) -> str:
    """`; give its id, story.id` for a model that stands where an id belongs."""
    from kantata_client._objects.model import Model

    if not isinstance(value, Model):
        return ""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(value).__name__).lower()
    return f"; give its id, {name}.id"


def shown(value: object) -> str:
    """A value in an error: its beginning and its type."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:59] + '…'} ({type(value).__name__})"


def _wrong(operation: Operation, name: str, problem: str) -> UsageError:
    space = " " if problem.startswith(("is ", "has ", "must ")) else ": "
    where = f"{operation.resource}.{operation.name}" if operation.resource else operation.id
    return UsageError(f"{where}: {name}{space}{problem}")
