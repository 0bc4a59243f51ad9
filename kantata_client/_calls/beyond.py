"""Arguments beyond the contract: `extra_query` and `extra_body`, sent as they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from kantata_client._calls.unset import UNSET
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from kantata_client._contract import Operation

_PAGED = frozenset({"page", "per_page", "only"})
_PLACES = frozenset({"limit", "offset"})


class Beyond:
    """A value that is not checked against the contract."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def extended(
    operation: Operation,
    query: Mapping[str, Any],
    body: Mapping[str, Any] | None,
    extra_query: object,
    extra_body: object,
) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """The query and the body of a call, with what `extra_query` and `extra_body` add.

    Raises:
        UsageError: An extra is not a mapping with names, is given twice, or would move the pages of a list.
    """
    if extra_query is not None:
        query = _beyond(operation, "extra_query", query, extra_query)
        if operation.result == "page":
            _check_pages(operation, query)
    if extra_body is not None:
        body = _beyond(operation, "extra_body", body or {}, extra_body)
    return query, body


def _check_pages(operation: Operation, query: Mapping[str, Any]) -> None:
    for name in [name for name, value in query.items() if type(value) is Beyond]:
        if name in _PAGED and name in operation.query:
            raise _wrong(operation, "extra_query", f"{name!r} belongs to the method itself: pass {name}=…")
        if name in _PLACES and "page" in operation.query:
            raise _wrong(
                operation,
                "extra_query",
                f"{name!r} would move the pages of the list: use page, skip or limit",
            )


def _beyond(operation: Operation, where: str, given: Mapping[str, Any], extra: object) -> Mapping[str, Any]:
    if not isinstance(extra, Mapping):
        raise _wrong(operation, where, f"must be a mapping, got {type(extra).__name__}")
    merged = dict(given)
    for name, value in cast("Mapping[Any, Any]", extra).items():
        if not isinstance(name, str) or not name:
            raise _wrong(operation, where, f"{name!r} is not a name")
        if given.get(name, UNSET) is not UNSET and given[name] is not None:
            raise _wrong(operation, where, f"{name!r} is also passed as {name}=…: pass it once")
        merged[name] = Beyond(value)
    return merged


def _wrong(operation: Operation, where: str, problem: str) -> UsageError:
    return UsageError(f"{operation.resource}.{operation.name}: {where}: {problem}")
