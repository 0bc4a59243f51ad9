"""How the vendor's public server library treats requests that the contract does not describe.

The service is built on the library `mavenlink/brainstem`: it ignores unknown parameters, caps page sizes and replaces an
unknown order with the default. A lenient sandbox normalizes each request here first, and the rest of the sandbox stays
strict. What is dropped is noted in the gaps of the sandbox.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import attrs

from kantata_client.sandbox.query import LARGEST_PAGE, PAGE_SIZE, accepted_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kantata_client._contract import Operation
    from kantata_client.sandbox.gaps import Gaps
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

_PAGING = ("page", "per_page", "limit", "offset")
_DEFAULT_FILTERS = "apply_default_filters"
_FURTHEST, _DIGITS = 10**12, 100
"""A page or an offset beyond which no list reaches, and the number of digits that are read at most."""
_OTHER_NAMES = {"maven": "consultant", "buyer": "client", "consultant": "maven", "client": "buyer"}
"""Old and new names of the two sides of a project; the service uses both."""


@attrs.frozen
class Tolerated:
    """A request in the form that the rest of the sandbox expects."""

    pairs: list[tuple[str, str]]
    """The query."""
    body: Any
    default_filters: bool = True
    """Whether the default filters apply."""


def tolerate(operation: Operation, query: Iterable[tuple[str, str]], body: Any, gaps: Gaps) -> Tolerated:
    """Make a request conform to the contract as the library would.

    Args:
        operation: The requested operation.
        query: Its query.
        body: Its body, decoded.
        gaps: Receives a line for everything that is dropped.
    """
    values = _merged(operation, _from_body(operation, body)) | _merged(operation, query)
    values = {name: value for name, value in values.items() if value.strip()}
    default_filters = values.pop(_DEFAULT_FILTERS, "true").lower() not in {"false", "0"}
    declared = accepted_parameters(operation)
    kept: dict[str, str] = {}
    for name, value in values.items():
        if name in _PAGING:
            kept[name] = value
        elif name in declared:
            kept[name] = value.lower() if declared[name].kind == "boolean" else value
        elif name != "_":  # browsers add it to bypass caches
            gaps.note(f"{operation.id}: the query parameter `{name}` is unknown and was ignored.")
    _page(kept)
    if operation.result != "page":
        for name in _PAGING:
            kept.pop(name, None)
    for name in ("include", "optional_fields"):
        if name in kept:
            allowed = declared[name].values
            words = [word.strip() for word in kept.pop(name).split(",")]
            for word in words:
                if word and word not in allowed:
                    gaps.note(f"{operation.id}: `{name}` does not have {word!r}; it was ignored.")
            if chosen := [word for word in words if word in allowed]:
                kept[name] = ",".join(chosen)
    if "only" in kept:
        ids = [word.strip() for word in kept["only"].split(",")]
        kept["only"] = ",".join(word for word in ids if word.isdigit() or ":" in word) or "0"
    _order(operation, kept, gaps)
    return Tolerated(list(kept.items()), _bare(operation, body), default_filters)


def _merged(operation: Operation, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name; the last of a repeated one wins, unless it is a list."""
    listed = _listed(operation)
    values: dict[str, str] = {}
    for name, value in pairs:
        name = name.removesuffix("[]")
        values[name] = f"{values[name]},{value}" if name in values and name in listed else value
    return values


def _listed(operation: Operation) -> frozenset[str]:
    many = {name for name, parameter in operation.query.items() if parameter.many}
    return frozenset({"include", "optional_fields", "only", *many})


def _from_body(operation: Operation, body: Any) -> list[tuple[str, str]]:
    """The parameters in a body, beside the wrapped object: the library does not distinguish them."""
    described = operation.body
    if not isinstance(body, dict) or (described is not None and described.wrapper is None):
        return []
    names = {described.wrapper, described.plural} if described else set[str | None]()
    given = {name: value for name, value in cast("dict[str, Any]", body).items() if name not in names}
    declared = {*accepted_parameters(operation), *_PAGING, _DEFAULT_FILTERS}
    return [
        (name, ",".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else _text(value))
        for name, value in given.items()
        if name in declared and value is not None
    ]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bare(operation: Operation, body: Any) -> Any:
    """The body with only the wrapped object."""
    described = operation.body
    if not isinstance(body, dict) or described is None or described.wrapper is None:
        return cast("Any", body)
    given = cast("dict[str, Any]", body)
    return {name: value for name, value in given.items() if name in {described.wrapper, described.plural}}


def _number(text: str) -> int:
    """The leading number of a string, as parsed by Ruby's `to_i`; 0 without one."""
    text = text.strip()
    sign, digits = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    length = next((i for i, char in enumerate(digits) if char not in "0123456789"), len(digits))
    return (
        sign * min(int(digits[:length]), _FURTHEST)
        if 0 < length < _DIGITS
        else sign * _FURTHEST * bool(length)
    )


def _page(values: dict[str, str]) -> None:
    if "limit" in values and "offset" in values:
        values["limit"] = str(min(max(_number(values["limit"]), 1), LARGEST_PAGE))
        values["offset"] = str(max(_number(values["offset"]), 0))
        return
    values.pop("limit", None)
    values.pop("offset", None)
    if "per_page" in values:
        size = min(_number(values["per_page"]), LARGEST_PAGE)
        values["per_page"] = str(size if size >= 1 else PAGE_SIZE)
    if "page" in values:
        values["page"] = str(max(_number(values["page"]), 1))


def _order(operation: Operation, values: dict[str, str], gaps: Gaps) -> None:
    """Complete an order: without a direction it is ascending, an unknown one is dropped."""
    order = values.get("order")
    declared = operation.query.get("order")
    if order is None or declared is None:
        return
    head, _, tail = order.partition(":")
    if head == "custom_field":
        identity, _, tail = tail.partition(":")
        head = f"custom_field:{identity}"
    direction = "desc" if tail.partition(":")[0].lower() == "desc" else "asc"
    allowed = {value.lower(): value for value in declared.values}
    made = f"{head}:{direction}"
    names = {value.partition(":")[0].lower() for value in declared.values}
    if made.lower() in allowed:
        values["order"] = allowed[made.lower()]
    elif head.lower() in allowed:
        values["order"] = allowed[head.lower()]
    elif head.startswith("custom_field:") and "custom_field" in names:
        values["order"] = made
    elif not declared.values:
        values["order"] = order
    else:
        gaps.note(f"{operation.id}: the order {order!r} is unknown; the default order was used.")
        del values["order"]


def tolerate_properties(
    scope: Scope, operation: Operation, item: dict[str, Any], record: Record | None
) -> dict[str, Any]:
    """The properties of a body that the contract declares; the others are ignored.

    In an update, a property with the value of the record is dropped as well: clients read a record, change a field, and
    write all of it back, in the types in which they read it.

    Args:
        scope: The context of the request.
        operation: The operation that takes the body.
        item: The properties sent.
        record: The record to update; None for a creation.
    """
    described = operation.body.fields if operation.body else operation.query
    kept: dict[str, Any] = {}
    for name, value in item.items():
        if name not in described:
            scope.gaps.note(f"{operation.id}: the property `{name}` is unknown and was ignored.")
        elif record is None or name not in record or not _same(record[name], value):
            kept[name] = _inner(_renamed(value, described[name].values), described[name].fields)
    return kept


def _renamed(value: Any, allowed: tuple[str, ...]) -> Any:
    """The current name of a value that also has an old one."""
    other = _OTHER_NAMES.get(value) if isinstance(value, str) else None
    return other if other in allowed and value not in allowed else value


def _inner(value: Any, fields: Mapping[str, Any] | None) -> Any:
    """An object, or each object of an array, with only the declared properties."""
    if not fields:
        return value
    if isinstance(value, list):
        return [_inner(item, fields) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: inner for name, inner in cast("dict[str, Any]", value).items() if name in fields}
    return value


def _same(stored: Any, sent: Any) -> bool:
    """Whether a value equals the stored one.

    A number equals its string, and a time equals itself in another zone and its milliseconds, as in brainstem-js.
    """
    if isinstance(stored, list) and isinstance(sent, list):
        ours, theirs = cast("list[Any]", stored), cast("list[Any]", sent)
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(stored, (str, int, float)) and isinstance(sent, (str, int, float)):
        if stored == sent or (not isinstance(stored, bool) and str(stored) == str(sent)):
            return True
        if not isinstance(stored, str) or (moment := _milliseconds(stored)) is None:
            return False
        return moment == (_milliseconds(sent) if isinstance(sent, str) else sent)
    return bool(stored == sent)


def _milliseconds(time: str) -> float | None:
    """A time as JavaScript counts it, since 1970; None if the text is not a time."""
    try:
        return datetime.fromisoformat(time).timestamp() * 1000 if "T" in time else None
    except (ValueError, OverflowError):
        return None
