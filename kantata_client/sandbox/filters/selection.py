"""Selects the records that pass the filters of a request."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import registry
from kantata_client.sandbox.filters.common import EXTERNAL, external
from kantata_client.sandbox.filters.makers import BOOLEANS, EVERYTHING, among
from kantata_client.sandbox.filters.named import rule_of
from kantata_client.sandbox.refusals import Refusal, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kantata_client._contract import Operation
    from kantata_client.sandbox.filters.match import Match
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope
    from kantata_client.sandbox.store import Store


def matches(
    scope: Scope,
    operation: Operation,
    key: str,
    values: Mapping[str, str],
    only: Iterable[str] | None,
    *,
    default_filters: bool = True,
) -> list[Match]:
    """Evaluate the filters of a request.

    A filter that the sandbox does not emulate is refused with 501.
    """
    if "search" in values and only is not None:
        raise bad_request("`search` can't be combined with `only`.")
    found = [external(scope, key, values)]
    for name, value in values.items():
        if not name.startswith(EXTERNAL):
            found.append(_match(scope, operation, key, name, value))
    declared = registry.resource(key).default_filters if default_filters else ()
    defaults = (made(scope, values) for made in declared)
    found += [match for match in defaults if match is not None]
    return [*found, among(frozenset(only))] if only is not None else found


def select(
    store: Store, key: str, matches: Sequence[Match], rank: Callable[[Record], Any], *, deleted: bool
) -> Iterator[tuple[Any, str]]:
    """The ranks and ids of the records that pass all matches, in any order.

    Args:
        store: The records.
        key: Their envelope key.
        matches: The results of the filters.
        rank: Returns the rank of a record.
        deleted: Whether to include deleted records that were kept.
    """
    allowed = [match.ids for match in matches if match.ids is not None]
    tests = [match.keep for match in matches if match.keep is not None]

    def passes(record: Record) -> bool:
        return all(test(record) for test in tests)

    ids: Iterable[str] | None = None
    aside = [record for record in store.aside(key) if passes(record)] if deleted else []
    if allowed:
        smallest = min(allowed, key=len)
        others = [each for each in allowed if each is not smallest]
        ids = (each for each in smallest if all(each in other for other in others))
        aside = [record for record in aside if all(record["id"] in each for each in allowed)]
    found = chain(
        store.evaluate(key, rank, passes if tests else None, ids),
        ((record["id"], rank(record)) for record in aside),
    )
    return ((value, identity) for identity, value in found)


def includes_deleted(values: Mapping[str, str]) -> bool:
    """Whether the parameters of a request include deleted records."""
    return any(BOOLEANS.get(values.get(name, "")) for name in ("show_deleted", "only_deleted"))


def _match(scope: Scope, operation: Operation, key: str, name: str, value: str) -> Match:
    rule = rule_of(key, name)
    if rule is not None:
        try:
            return rule(scope, value)
        except Refusal as refusal:
            for error in refusal.errors:
                error["message"] = f"`{name}`: {error['message']}"
            raise
    parameter = operation.query.get(name)
    if (
        parameter is not None
        and parameter.default is not None
        and str(parameter.default).lower() == value.lower()
    ):
        return EVERYTHING
    scope.lacks(f"the parameter `{name}` of {operation.id}")
    return EVERYTHING
