"""Selects the records that pass the filters of a request."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import registry
from kantata_client.sandbox.columns import unpacked
from kantata_client.sandbox.filters.common import EXTERNAL, external
from kantata_client.sandbox.filters.conditions import decided
from kantata_client.sandbox.filters.makers import BOOLEANS, EVERYTHING, among
from kantata_client.sandbox.filters.named import rule_of
from kantata_client.sandbox.refusals import Refusal, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kantata_client._contract import Operation
    from kantata_client.sandbox.columns import Bits, Columns
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
    found = external(scope, key, values)
    for name, value in values.items():
        if not name.startswith(EXTERNAL):
            found.append(_match(scope, operation, key, name, value))
    declared = registry.resource(key).default_filters if default_filters else ()
    defaults = (made(scope, values) for made in declared)
    found += [match for match in defaults if match is not None]
    return [*found, among(frozenset(only))] if only is not None else found


def select(
    store: Store,
    key: str,
    matches: Sequence[Match],
    rank: Callable[[Record], Any],
    *,
    deleted: bool,
    indexed: bool,
) -> Iterator[tuple[Any, str]]:
    """The ranks and ids of the records that pass all matches, in any order.

    Args:
        store: The records.
        key: Their envelope key.
        matches: The results of the filters.
        rank: Returns the rank of a record.
        deleted: Whether to include deleted records that were kept, which no index has.
        indexed: Whether to use indexes.
    """
    allowed: list[frozenset[str]] = []
    tests: list[Callable[[Record], bool]] = []
    for match in matches:
        if match.ids is not None:
            allowed.append(match.ids)
        if match.keep is not None:
            tests.append(match.keep)
        if match.condition is not None:
            listed = match.condition.ids(store, key) if indexed else None
            if listed is None:
                tests.append(match.condition.holds)
            else:
                allowed.append(listed)

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


def by_columns(
    store: Store, key: str, columns: Columns, matches: Sequence[Match], rank: Callable[[Record], Any]
) -> Iterator[tuple[Any, str]]:
    """`select` with columns."""
    ids = columns.identities(unpacked(positions(store, key, columns, matches)))
    return ((value, identity) for identity, value in store.evaluate(key, rank, None, ids))


def positions(store: Store, key: str, columns: Columns, matches: Sequence[Match]) -> Bits:
    """The positions of the records that pass all matches.

    Args:
        store: The records.
        key: Their envelope key.
        columns: Their columns.
        matches: The results of the filters. What the columns can't answer is tested last, on the remaining records.
    """
    bits = columns.alive
    tests: list[Callable[[Record], bool]] = []
    for match in matches:
        if match.ids is not None:
            bits &= columns.positions(match.ids)
        if match.condition is not None:
            found = match.condition.bits(columns, bits)
            if found is None:
                tests.append(match.condition.holds)
            else:
                bits = found
        if match.keep is not None:
            found = decided(columns, match.keep, bits)
            if found is None:
                tests.append(match.keep)
            else:
                bits = found
    if tests and bits:
        passing = store.evaluate(
            key,
            lambda record: True,
            lambda record: all(test(record) for test in tests),
            columns.identities(unpacked(bits)),
        )
        bits = columns.positions(identity for identity, _ in passing)
    return bits


def total(store: Store, key: str, matches: Sequence[Match], field: str) -> int:
    """The sum of an integer field of the records that pass all matches."""
    columns = store.columns(key)
    numbers = None if columns is None else columns.numbers(field)
    if columns is not None and numbers is not None and numbers.kind == "int":
        return numbers.total(positions(store, key, columns, matches))
    found = select(store, key, matches, lambda record: record.get(field) or 0, deleted=False, indexed=True)
    return sum(value for value, _ in found)


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
