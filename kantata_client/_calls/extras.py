"""`extra_query` and `extra_body`: arguments that the contract lacks, sent without checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from kantata_client._calls.unset import UNSET
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from kantata_client._contract import Operation

_ARGUMENTS_OF_LISTS = frozenset({"page", "per_page", "only"})
_OFFSETS = frozenset({"limit", "offset"})


class Extra:
    """A value that is not checked against the contract."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def with_extras(
    operation: Operation,
    query: Mapping[str, Any],
    body: Mapping[str, Any] | None,
    extra_query: object,
    extra_body: object,
) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """The query and the body of a call, together with its `extra_query` and `extra_body`.

    Raises:
        UsageError: An extra is not a mapping with text as keys, repeats an argument, or would change the pages of a list.
    """
    if extra_query is not None:
        query = _merged(operation, "extra_query", query, extra_query)
        if operation.result == "page":
            _check_pages(operation, query)
    if extra_body is not None:
        body = _merged(operation, "extra_body", body or {}, extra_body)
    return query, body


def _check_pages(operation: Operation, query: Mapping[str, Any]) -> None:
    for name in [name for name, value in query.items() if type(value) is Extra]:
        if name in _ARGUMENTS_OF_LISTS and name in operation.query:
            raise _invalid(operation, "extra_query", f"{name!r} is an argument of the method: pass {name}=…")
        if name in _OFFSETS and "page" in operation.query:
            raise _invalid(
                operation,
                "extra_query",
                f"{name!r} would change the pages of the list: use page, skip or limit",
            )


def _merged(
    operation: Operation, argument: str, given: Mapping[str, Any], extra: object
) -> Mapping[str, Any]:
    if not isinstance(extra, Mapping):
        raise _invalid(operation, argument, f"must be a mapping, got {type(extra).__name__}")
    merged = dict(given)
    for name, value in cast("Mapping[Any, Any]", extra).items():
        if not isinstance(name, str) or not name:
            raise _invalid(operation, argument, f"keys must be text that is not empty, got {name!r}")
        if given.get(name, UNSET) is not UNSET and given[name] is not None:
            raise _invalid(operation, argument, f"{name!r} is also passed as {name}=…: pass it once")
        merged[name] = Extra(value)
    return merged


def _invalid(operation: Operation, argument: str, problem: str) -> UsageError:
    return UsageError(f"{operation.resource}.{operation.name}: {argument}: {problem}")
