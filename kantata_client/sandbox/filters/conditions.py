"""Conditions that filters put on stored fields, which an index or the columns of a large collection answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from kantata_client.sandbox.columns import seconds_of
from kantata_client.sandbox.records import Record, listed

if TYPE_CHECKING:
    from kantata_client.sandbox.columns import Bits, Columns
    from kantata_client.sandbox.store import Store

_MOST_VALUES, _MOST_PARTS = 5_000, 64
"""How many values a field may have so that a test is run for each, and how many combinations with other fields."""


class Condition(Protocol):
    """A condition on a record."""

    def holds(self, record: Record) -> bool:
        """Whether a record satisfies it."""
        ...

    def ids(self, store: Store, key: str) -> frozenset[str] | None:
        """The ids of the records under an envelope key that satisfy it, if an index has them."""
        ...

    def bits(self, columns: Columns, among: Bits) -> Bits | None:
        """The positions (among some) of the records that satisfy it; None if the columns can't answer it."""
        ...


@attrs.frozen
class OneOf:
    """The value of a field, or an item of its list, is written like one of some words."""

    field: str
    words: frozenset[str]
    indexed: bool = False
    """Whether an index of the field is worth its memory."""

    def holds(self, record: Record) -> bool:
        """See `Condition.holds`."""
        return any(str(item) in self.words for item in listed(record.get(self.field)))

    def ids(self, store: Store, key: str) -> frozenset[str] | None:
        """See `Condition.ids`."""
        if not self.indexed:
            return None
        return frozenset(identity for word in self.words for identity in store.index(key, self.field, word))

    def bits(self, columns: Columns, among: Bits) -> Bits | None:
        """See `Condition.bits`."""
        values = columns.values(self.field)
        return None if values is None else among & values.spelled(self.words)


@attrs.frozen
class Without:
    """The id of the record is not among some."""

    unwanted: frozenset[str]

    def holds(self, record: Record) -> bool:
        """See `Condition.holds`."""
        return record["id"] not in self.unwanted

    def ids(self, store: Store, key: str) -> frozenset[str] | None:
        """See `Condition.ids`."""
        return None

    def bits(self, columns: Columns, among: Bits) -> Bits | None:
        """See `Condition.bits`."""
        return among ^ (among & columns.positions(self.unwanted))


@attrs.frozen
class InRange:
    """A date or a time lies in a range, both ends included."""

    field: str
    unit: Literal["day", "second"]
    first: int | None
    """The first day or second, as columns number them; None for an open start, which includes null."""
    last: int | None
    """The last one; None for an open end."""
    test: Callable[[Record], bool]
    """The same condition for a record."""

    def holds(self, record: Record) -> bool:
        """See `Condition.holds`."""
        return self.test(record)

    def ids(self, store: Store, key: str) -> frozenset[str] | None:
        """See `Condition.ids`."""
        return None

    def bits(self, columns: Columns, among: Bits) -> Bits | None:
        """See `Condition.bits`."""
        numbers = columns.numbers(self.field)
        first, last = self.first, self.last
        if numbers is None or numbers.kind not in {"date", "datetime"}:
            return None
        if numbers.kind == "datetime" and self.unit == "day":
            first, last = seconds_of(first, last)
        elif numbers.kind == "date" and self.unit == "second":
            return None
        return numbers.between(among, first, last)


@attrs.frozen
class AnyOf:
    """At least one of several tests passes."""

    tests: tuple[Callable[[Record], bool], ...]

    def holds(self, record: Record) -> bool:
        """See `Condition.holds`."""
        return any(test(record) for test in self.tests)

    def ids(self, store: Store, key: str) -> frozenset[str] | None:
        """See `Condition.ids`."""
        return None

    def bits(self, columns: Columns, among: Bits) -> Bits | None:
        """See `Condition.bits`."""
        left = among
        for test in self.tests:
            passing = decided(columns, test, left)
            if passing is None:
                return None
            left ^= passing
        return among ^ left


class _UnknownFieldError(Exception):
    """A test read a field whose value is not fixed yet."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class _UndecidableError(Exception):
    """A test reads what columns don't have."""


class _Sample(Mapping[str, Any]):
    """A record of which some fields are known."""

    __slots__ = ("_known",)

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known

    def get(self, field: str, default: Any = None) -> Any:
        """See `dict.get`."""
        value = self[field]
        if value is None and default is not None:  # null and a missing field look the same
            raise _UndecidableError
        return value

    def __getitem__(self, field: str) -> Any:
        if field not in self._known:
            raise _UnknownFieldError(field)
        return self._known[field]

    def __contains__(self, field: object) -> bool:
        raise _UndecidableError

    def __iter__(self) -> Iterator[str]:
        raise _UndecidableError

    def __len__(self) -> int:
        raise _UndecidableError


def decided(columns: Columns, test: Callable[[Record], bool], among: Bits) -> Bits | None:
    """The positions (among some) of the records that pass a test, run once per value of the fields that it reads.

    Returns:
        None if they have too many values, or the test reads more than the values of fields.
    """
    parts = iter(range(_MOST_PARTS))
    try:
        return _decided(columns, test, {}, among, parts)
    except _UndecidableError:
        return None


def _decided(
    columns: Columns,
    test: Callable[[Record], bool],
    known: dict[str, Any],
    part: Bits,
    parts: Iterator[int],
) -> Bits:
    try:
        return part if test(_Sample(known)) else 0
    except _UnknownFieldError as unknown:
        field = unknown.field
    values = columns.values(field) if field != "id" else None
    if values is None or values.many or len(values.sets) > _MOST_VALUES or next(parts, None) is None:
        raise _UndecidableError
    passing: list[Any] = []
    further = 0
    for value in values.sets:
        sample = known | {field: value}
        try:
            if test(_Sample(sample)):
                passing.append(value)
        except _UnknownFieldError:
            rest = part & values.bits((value,))
            if rest:
                further |= _decided(columns, test, sample, rest, parts)
    return (part & values.bits(passing)) | further
