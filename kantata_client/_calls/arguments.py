"""The parts of a request made from a call's arguments: path, query, body, form.

These are pure functions: when one of them raises `UsageError`, nothing has been sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from kantata_client._calls.extras import Extra
from kantata_client._calls.unset import UNSET
from kantata_client._calls.values import (
    checked,
    from_libraries,
    id_hint,
    invalid,
    json_value,
    plain_text,
    properties,
    query_text,
    shown,
    text_keys,
    whole_decimal,
)

if TYPE_CHECKING:
    from kantata_client._contract import Body, Operation, Parameter
    from kantata_client._http.messages import Form

_ID = re.compile(r"[0-9]+|[0-9A-Za-z_-]+(?::[0-9A-Za-z_-]+)+")
"""A simple or a composite id. Other characters could lead to another record: some proxies decode `%2F`."""


def is_id(text: str) -> bool:
    """Whether a text is an id. A service could take any other for the number at its beginning."""
    return _ID.fullmatch(text) is not None


def path_of(operation: Operation, values: tuple[int | str, ...]) -> str:
    """The path below the base URL, with its placeholders filled in.

    Raises:
        UsageError: A value is not an id.
    """
    path = operation.path
    for name, argument in zip(operation.path_parameters, values, strict=True):
        value = whole_decimal(from_libraries(operation, name, argument))
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            problem = f"must be a whole number or text, got {shown(value)}{id_hint(value)}"
            raise invalid(operation, name, problem)
        text = plain_text(value).strip(" ")
        if not text:
            raise invalid(operation, name, "is empty; a record has no id until it is created")
        if not is_id(text):
            raise invalid(operation, name, f"must be an id such as 7 or '7:12', got {shown(value)}")
        path = path.replace(f"{{{name}}}", text)
    return path


def query_of(operation: Operation, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The query parameters as text; those that are `None` are left out.

    Raises:
        UsageError: A value is invalid, or a required parameter is missing.
    """
    query: list[tuple[str, str]] = []
    for name, parameter in operation.query.items():
        value = given.get(name)
        if type(value) is Extra:
            continue
        if value is None or value is UNSET:
            if parameter.required:
                raise invalid(operation, name, "is required")
            continue
        if parameter.many:
            items = items_of(operation, name, parameter, value)
            if items:
                query.append((name, ",".join(items)))
        else:
            query.append((name, query_text(checked(operation, name, parameter, value))))
    extras = {name: value.value for name, value in given.items() if type(value) is Extra}
    return query + untyped_query(operation, extras) if extras else query


def items_of(operation: Operation, name: str, parameter: Parameter, value: Any) -> list[str]:
    """The items of a comma-separated parameter as text.

    Args:
        operation: The operation, for errors.
        name: The parameter's name.
        parameter: The type of each item, and how many are accepted.
        value: One item, text with commas, or an iterable of items.

    Raises:
        UsageError: There are no items or too many, or one is invalid.
    """
    if isinstance(value, str):
        given: list[Any] = [item.strip() for item in value.split(",") if item.strip()]
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)):
        given = list(cast("Iterable[Any]", value))
    else:
        given = [value]
    if not given and name not in ("include", "optional_fields"):
        raise invalid(operation, name, "is empty; leave it out, or skip the request")
    if parameter.maximum is not None and len(given) > parameter.maximum:
        problem = f"has {len(given)} items; the service accepts at most {parameter.maximum}"
        raise invalid(operation, name, problem)
    items = [query_text(checked(operation, name, parameter, item)) for item in given]
    if separated := next((item for item in items if "," in item), None):
        problem = f"cannot contain {separated!r}: the service would read the comma as the end of an item"
        raise invalid(operation, name, problem)
    return items


def body_of(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of the body as JSON represents them; `None` becomes null, `UNSET` is left out.

    Raises:
        UsageError: A property is unknown, is missing, or has a value that it does not accept.
    """
    return properties(operation, "", _body(operation).fields, given)


def wrapped(operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
    """The properties of one object below the name that the service expects, such as `{"story": …}`."""
    wrapper = _body(operation).wrapper
    return {wrapper: body} if wrapper else body


def item_of(operation: Operation, item: object, path: str) -> dict[str, Any]:
    """One object of a bulk body.

    Args:
        operation: The creation or update.
        item: A mapping, or a model, whose fields that the body does not have are left out.
        path: Position in the input, such as `items[7]`, for errors.

    Raises:
        UsageError: It is neither, or a property is invalid.
    """
    from kantata_client._objects.model import Model

    fields = _body(operation).fields
    if isinstance(item, Model):
        given: Mapping[str, Any] = {name: value for name, value in item.to_dict().items() if name in fields}
    elif isinstance(item, Mapping):
        given = cast("Mapping[str, Any]", item)
    else:
        raise invalid(operation, path, f"must be a mapping or a model, got {shown(item)}")
    return properties(operation, path, fields, given)


def bare_body_of(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an operation that has none in the contract: the values of `extra_body`."""
    return properties(operation, "", {}, given)


def form_of(operation: Operation, given: Mapping[str, Any]) -> Form:
    """The body as a multipart form; a file is bytes, or a `File` with a name.

    Raises:
        UsageError: As for `body_of`.
    """
    import attrs

    from kantata_client._http.messages import File, Form

    body = _body(operation)
    fields: list[tuple[str, str]] = []
    files: list[File] = []
    for name, value in properties(operation, "", body.fields, given).items():
        field = f"{body.wrapper}[{name}]" if body.wrapper else name
        if isinstance(value, File):
            files.append(attrs.evolve(value, name=field))
        elif isinstance(value, bytes):
            files.append(File(field, name, value))
        elif isinstance(value, list):
            fields += [(f"{field}[]", query_text(item)) for item in cast("list[Any]", value)]
        else:
            fields.append((field, query_text(value)))
    return Form(fields, files)


def _body(operation: Operation) -> Body:
    assert operation.body is not None, operation.id  # noqa: S101 - generated code passes a body only if there is one
    return operation.body


def untyped_query(operation: Operation, params: object) -> list[tuple[str, str]]:
    """Query parameters without declared types as text; lists are joined with commas, `None` is left out.

    Raises:
        UsageError: `params` is not a mapping, or a value cannot be sent in a query.
    """
    if not isinstance(params, Mapping):
        raise invalid(operation, "params", f"must be a mapping, got {shown(params)}")
    query: list[tuple[str, str]] = []
    for name, value in text_keys(operation, "params", cast("Mapping[Any, Any]", params)):
        if value is None:
            continue
        plain = json_value(operation, name, value)
        items = cast("list[Any]", plain if isinstance(plain, list) else [plain])
        if any(isinstance(item, (dict, list)) for item in items):
            raise invalid(operation, name, f"cannot be sent in a query: {shown(value)}")
        query.append((name, ",".join(query_text(item) for item in items)))
    return query


def untyped_body(operation: Operation, value: object) -> Any:
    """A body without a declared type as JSON represents it; dates become text.

    Raises:
        UsageError: JSON cannot represent a value.
    """
    return json_value(operation, "json", value)
