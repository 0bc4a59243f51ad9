"""Columns: the fields of a large collection as bitmaps, so that a search reads no records.

Each record has a position, and a set of records is an integer with one bit per position: `&` and `|` combine filters, and
counting the bits counts the records. A field is stored in one of two ways. `Values` has a set per value, for equality.
`Numbers` has a set per binary digit, which answers ranges by comparing digits, and finds any page of an order by counting
digits from the highest. A write changes single bits.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from datetime import date, datetime
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from kantata_client.sandbox.packed import column
from kantata_client.sandbox.records import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

    from kantata_client.sandbox.records import Record

Bits: TypeAlias = int
"""A set of positions: the bit 2**n is set if the position n belongs to it."""

_NARROW = 256
"""Number of positions that are looked at one by one."""
_FEW = 1_000
"""Number of records that are sorted instead of being split further."""
_SPARSE = 256
"""A value that fewer than 1/256 of the records have is stored as a list of positions."""
_MOST_UNIONS = 16
_SECONDS_PER_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_LARGEST_INTEGER = 2**40


class UnfitError(Exception):
    """A field can't be stored as a column, because of one of its values."""


def packed(positions: Iterable[int], size: int) -> Bits:
    """The set of some positions, all below `size`."""
    data = bytearray(size // 8 + 1)
    for position in positions:
        data[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(data, "little")


def unpacked(bits: Bits) -> list[int]:
    """The positions in a set, ascending."""
    data = bits.to_bytes(bits.bit_length() // 8 + 1, "little")
    filled = data.translate(_FILLED)
    found: list[int] = []
    index = filled.find(1)
    while index >= 0:
        byte, start = data[index], index << 3
        found += [start + digit for digit in range(8) if byte >> digit & 1]
        index = filled.find(1, index + 1)
    return found


_FILLED = bytes([0, *repeat(1, 255)])
_DIGITS = [bytes(48 + (byte >> digit & 1) for byte in range(256)) for digit in range(8)]


def numbered(bits: Bits, start: int, stop: int, offset: int = 0) -> list[int]:
    """The positions in a set from the `start`th to before the `stop`th, ascending."""
    width = bits.bit_length()
    if width <= _NARROW:
        found = [offset + position for position in range(width) if bits >> position & 1]
        return found[start:stop]
    half = width // 2
    lower = bits & ((1 << half) - 1)
    count = lower.bit_count()
    found = numbered(lower, start, min(stop, count), offset) if start < count else []
    if stop > count:
        found += numbered(bits >> half, max(start - count, 0), stop - count, offset + half)
    return found


# A field as numbers


def _second(value: Any) -> int:
    """The number of a time in the format of the records: 0 for null."""
    if value is None:
        return 0
    if len(value) != len("2026-01-31T12:00:00Z") or value[-1] != "Z":
        raise UnfitError
    return second(datetime.fromisoformat(value))


def second(moment: datetime) -> int:
    """The number of an aware time; higher numbers are later."""
    return (moment.toordinal() - _EPOCH) * _SECONDS_PER_DAY + _of_day(moment) + 1


def seconds_of(first: int | None, last: int | None) -> tuple[int | None, int | None]:
    """The numbers of the first and the last second of a range of days, in the numbers of dates."""
    return (
        None if first is None else max(first - _EPOCH, 0) * _SECONDS_PER_DAY + 1,
        None if last is None else (last + 1 - _EPOCH) * _SECONDS_PER_DAY,
    )


def _of_day(moment: datetime) -> int:
    return (moment.hour * 60 + moment.minute) * 60 + moment.second


def _day(value: Any) -> int:
    """The number of a date in the format of the records: 0 for null."""
    if value is None:
        return 0
    if len(value) != len("2026-01-31"):
        raise UnfitError
    return date.fromisoformat(value).toordinal()


def _integer(value: Any) -> int:
    return _shifted(value, 1)


def _signed_integer(value: Any) -> int:
    return _shifted(value, _LARGEST_INTEGER)


def _shifted(value: Any, offset: int) -> int:
    if value is None:
        return 0
    if type(value) is not int or abs(value) >= _LARGEST_INTEGER:
        raise UnfitError
    return value + offset


def _boolean(value: Any) -> int:
    if value is not None and not isinstance(value, bool):
        raise UnfitError
    return 0 if value is None else 1 + value


_ENCODERS: Mapping[str, Callable[[Any], int]] = {
    "datetime": _second,
    "date": _day,
    "int": _integer,
    "bool": _boolean,
}


class Numbers:
    """A field whose values are numbers: a set of positions per binary digit. Null is 0, and lower than all values."""

    __slots__ = ("_encode", "digits", "kind", "values")

    def __init__(self, kind: str, values: Sequence[Any]) -> None:
        """Store the values of a field by position.

        Args:
            kind: `datetime`, `date`, `int` or `bool`.
            values: The values, None where there is no record.

        Raises:
            UnfitError: A value is not of that kind.
        """
        self.kind = kind
        self._encode = _ENCODERS[kind]
        try:
            different = set(values)
            if kind == "int" and any(isinstance(value, int) and value < 0 for value in different):
                self._encode = _signed_integer
            encoded = {value: self.encoded(value) for value in different}
        except TypeError as error:
            raise UnfitError from error
        self.values = array("q", map(encoded.__getitem__, values))
        self.digits: list[Bits] = []
        raw, width = self.values.tobytes(), self.values.itemsize
        for place in range(-(-max(encoded.values(), default=0).bit_length() // 8)):
            byte = raw[(place if sys.byteorder == "little" else width - 1 - place) :: width][::-1]
            self.digits += [int(byte.translate(digit) or b"0", 2) for digit in _DIGITS]

    def encoded(self, value: Any) -> int:
        """The number of a value.

        Raises:
            UnfitError: The value is not of the kind of the field.
        """
        try:
            number = self._encode(value)
        except (TypeError, ValueError) as error:
            raise UnfitError from error
        if number <= 0 and value is not None:
            raise UnfitError
        return number

    def change(self, changes: Mapping[int, Any]) -> None:
        """Replace the values at some positions.

        Raises:
            UnfitError: A value is not of the kind of the field.
        """
        flipped: dict[int, list[int]] = {}
        numbers = {position: self.encoded(value) for position, value in changes.items()}
        for position, number in numbers.items():
            if position >= len(self.values):
                self.values.extend(repeat(0, position + 1 - len(self.values)))
            difference = self.values[position] ^ number
            self.values[position] = number
            while difference:
                digit = (difference & -difference).bit_length() - 1
                flipped.setdefault(digit, []).append(position)
                difference &= difference - 1
        for digit, positions in flipped.items():
            self.digits.extend(repeat(0, digit + 1 - len(self.digits)))
            self.digits[digit] ^= _set_of(positions, len(self.values))

    def total(self, bits: Bits) -> int:
        """The sum of the integers at some positions; null counts as 0."""
        offset = self.encoded(0)
        if offset > 1:  # negative values occur
            numbers = [self.values[position] for position in unpacked(bits)]
            return sum(number - offset for number in numbers if number)
        total, filled = 0, 0
        for place, digit in enumerate(self.digits):
            ones = bits & digit
            total += ones.bit_count() << place
            filled |= ones
        return total - filled.bit_count()

    def between(self, bits: Bits, first: int | None, last: int | None) -> Bits:
        """The positions of a set whose number is in a range, both ends included."""
        if last is not None:
            bits = self._below(bits, last + 1)
        if first is not None:
            bits ^= self._below(bits, first)
        return bits

    def _below(self, bits: Bits, limit: int) -> Bits:
        if limit <= 0:
            return 0
        if limit.bit_length() > len(self.digits):
            return bits
        below = 0
        for digit in range(len(self.digits) - 1, -1, -1):
            ones = bits & self.digits[digit]
            if limit >> digit & 1:
                below |= bits ^ ones
                bits = ones
            else:
                bits ^= ones
            if not bits:
                break
        return below

    def window(self, bits: Bits, count: int, start: int, stop: int, *, descending: bool) -> list[int]:
        """A part of a set, sorted by number and then by position.

        Args:
            bits: The set.
            count: How many positions it has.
            start: Index of the first position of the part.
            stop: Index after its last position.
            descending: Whether the highest number comes first; positions ascend in any case.
        """
        return self._window(bits, count, len(self.digits) - 1, start, min(stop, count), descending)

    def _window(
        self, bits: Bits, count: int, digit: int, start: int, stop: int, descending: bool
    ) -> list[int]:
        if start >= stop:
            return []
        if count <= _FEW:
            values = self.values
            found = unpacked(bits)
            found.sort(key=(lambda position: -values[position]) if descending else values.__getitem__)
            return found[start:stop]
        if digit < 0:
            return numbered(bits, start, stop)
        leading = bits & self.digits[digit]
        following = bits ^ leading
        if not descending:
            leading, following = following, leading
        size = leading.bit_count()
        part = self._window(leading, size, digit - 1, start, min(stop, size), descending)
        return part + self._window(
            following, count - size, digit - 1, max(start - size, 0), stop - size, descending
        )


def _set_of(positions: Sequence[int], size: int) -> Bits:
    if len(positions) <= 8:
        bits = 0
        for position in positions:
            bits |= 1 << position
        return bits
    return packed(positions, size)


# A field as values


class Values:
    """A field with a set of positions per value: an integer, or a sorted array of positions if they are few.

    An empty list counts as null. The values of a list are stored one by one.
    """

    __slots__ = ("_spelled", "_types", "_unions", "many", "sets", "size")

    def __init__(self, values: Sequence[Any], alive: Bits) -> None:
        """Store the values of a field by position.

        Args:
            values: The values.
            alive: The positions that have a record.

        Raises:
            UnfitError: A value is an object, or the field mixes types that compare as equal.
        """
        self.size = len(values)
        self.sets: dict[Any, Bits | array[int]] = {}
        self.many = False
        """Whether a value is a list."""
        self._types: set[type] = set()
        self._spelled: dict[str, list[Any]] = {}
        self._unions: dict[tuple[Any, ...], Bits] = {}
        groups: dict[Any, array[int]] = {}
        types: set[type] = set(map(type, values))
        try:
            if list in types:
                self.many = True
                for position, value in enumerate(values):
                    for item in dict.fromkeys(listed(value)) or (None,):
                        groups.setdefault(item, array("I")).append(position)
                types = {type(item) for value in values for item in listed(value)}
            else:
                for value in set(values):
                    groups[value] = array("I")
                append = {value: positions.append for value, positions in groups.items()}
                for position, value in enumerate(values):
                    append[value](position)
        except TypeError as error:
            raise UnfitError from error
        self._check(types)
        for value, positions in groups.items():
            self._spell(value)
            dense = len(positions) > self.size // _SPARSE
            self.sets[value] = packed(positions, self.size) if dense else positions
        if None in self.sets and alive != (1 << self.size) - 1:
            self.sets[None] = self.bits((None,)) & alive

    def _check(self, types: set[type]) -> None:
        self._types |= types
        if len(self._types & {bool, int, float}) > 1:  # 1, 1.0 and True are the same key
            raise UnfitError

    def _spell(self, value: Any) -> None:
        self._spelled.setdefault(str(value), []).append(value)

    def bits(self, values: Iterable[Any]) -> Bits:
        """The positions that have one of the values."""
        dense = 0
        sparse: list[Any] = []
        for value in values:
            found = self.sets.get(value, 0)
            if isinstance(found, int):
                dense |= found
            else:
                sparse.append(value)
        return dense | self._union(tuple(sparse)) if sparse else dense

    def _union(self, values: tuple[Any, ...]) -> Bits:
        """The positions of values with few of them; the latest unions are kept, since pages repeat them."""
        found = self._unions.get(values)
        if found is None:
            if len(self._unions) >= _MOST_UNIONS:
                self._unions.clear()
            found = packed((position for value in values for position in self._array(value)), self.size)
            self._unions[values] = found
        return found

    def _array(self, value: Any) -> array[int]:
        return cast("array[int]", self.sets[value])

    def find(self, word: str) -> Sequence[int]:
        """The positions that have a value which is written like a word, ascending."""
        found = self._written_like(word)
        return unpacked(found) if isinstance(found, int) else found

    def number(self, word: str) -> int:
        """The number of positions that `find` returns."""
        found = self._written_like(word)
        return found.bit_count() if isinstance(found, int) else len(found)

    def _written_like(self, word: str) -> Bits | array[int]:
        values = [value for value in self._spelled.get(word, ()) if value is not None]
        return self.sets[values[0]] if len(values) == 1 else self.bits(values)

    def spelled(self, words: Iterable[str]) -> Bits:
        """The positions that have a value which is written like one of the words."""
        return self.bits(
            value for word in words for value in self._spelled.get(word, ()) if value is not None
        )

    def change(self, changes: Mapping[int, tuple[Any, Any]]) -> None:
        """Replace the values at some positions.

        Args:
            changes: Position → the old and the new value; `MISSING` without a record.

        Raises:
            UnfitError: See `__init__`.
        """
        self.size = max(self.size, max(changes, default=0) + 1)
        flips: dict[Any, list[int]] = {}
        try:
            for position, (old, new) in changes.items():
                before, after = (_items(value) for value in (old, new))
                self.many = self.many or isinstance(new, list)
                self._check({type(item) for item in after})
                for item in before ^ after:
                    flips.setdefault(item, []).append(position)
        except TypeError as error:
            raise UnfitError from error
        if flips:
            self._unions.clear()
        for value, positions in flips.items():
            if value not in self.sets:
                self._spell(value)
                self.sets[value] = array("I")
            self._flip(value, positions)

    def _flip(self, value: Any, positions: list[int]) -> None:
        found = self.sets[value]
        if isinstance(found, int):
            self.sets[value] = found ^ _set_of(positions, self.size)
            return
        for position in positions:
            index = bisect_left(found, position)
            if index < len(found) and found[index] == position:
                del found[index]
            else:
                found.insert(index, position)
        if len(found) > self.size // _SPARSE + _FEW:
            self.sets[value] = packed(found, self.size)


MISSING: Any = object()
"""The value of a field where there is no record."""


def _items(value: Any) -> set[Any]:
    return set[Any]() if value is MISSING else set(listed(value)) or {None}


# A collection


class Columns:
    """The columns of a collection, made when they are first used. Positions ascend with the ids."""

    __slots__ = ("_alive", "_ids", "_kinds", "_numbers", "_pending", "_records", "_sorted", "_values", "lost")

    def __init__(self, records: MutableMapping[str, Record], kinds: Mapping[str, str]) -> None:
        """Number the records of a collection.

        Args:
            records: The records by id; later changes are announced by `note`.
            kinds: Field → its kind in the contract.

        Raises:
            UnfitError: An id is not a number.
        """
        self._records = records
        self._kinds = kinds
        identities = list(records)
        try:
            self._ids = array("q", sorted(map(int, identities)))
        except (ValueError, OverflowError) as error:
            raise UnfitError from error
        spelled = list(map(str, self._ids))
        self._sorted = spelled == identities
        """Whether the records are in the order of their positions."""
        if not self._sorted and sorted(identities) != sorted(spelled):
            raise UnfitError
        self._alive: Bits = (1 << len(identities)) - 1
        self._pending: dict[int, Record | None] = {}
        self._numbers: dict[str, Numbers | None] = {}
        self._values: dict[str, Values | None] = {}
        self.lost = False
        """Whether a write made the positions useless."""

    @property
    def alive(self) -> Bits:
        """The positions of all records."""
        self._settle()
        return self._alive

    def __len__(self) -> int:
        return len(self._ids)

    def position(self, identity: str) -> int | None:
        """The position of an id; None if no such record ever existed."""
        try:
            number = int(identity)
        except ValueError:
            return None
        index = bisect_left(self._ids, number)
        found = index < len(self._ids) and self._ids[index] == number
        return index if found and str(number) == identity else None

    def positions(self, identities: Iterable[str]) -> Bits:
        """The positions of those of some ids that exist or once existed."""
        found = [position for position in map(self.position, identities) if position is not None]
        return _set_of(found, len(self._ids))

    def identities(self, positions: Iterable[int]) -> list[str]:
        """The ids at some positions."""
        return [str(self._ids[position]) for position in positions]

    def note(self, identity: str, old: Record | None) -> None:
        """Take note that a record was written or removed.

        Args:
            identity: Its id.
            old: The record before.
        """
        position = self.position(identity)
        if position is None:
            if not identity.isdecimal() or str(int(identity)) != identity or len(identity) >= 19:
                self.lost = True
                return
            if self._ids and int(identity) < self._ids[-1]:
                self.lost = True
                return
            position = len(self._ids)
            self._ids.append(int(identity))
        elif old is None and position != len(self._ids) - 1:
            self._sorted = False
        self._pending.setdefault(position, old)

    def _settle(self) -> None:
        """Apply the writes since the last search."""
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        now = {position: self._records.get(str(self._ids[position])) for position in pending}
        flipped = [p for p, old in pending.items() if (old is None) != (now[p] is None)]
        self._alive ^= _set_of(flipped, len(self._ids))
        unfit: list[str] = []
        for field, numbers in self._numbers.items():
            if numbers is not None:
                try:
                    numbers.change({p: None if new is None else new.get(field) for p, new in now.items()})
                except UnfitError:
                    unfit.append(field)
        for field in unfit:  # made again when it is used, if possible
            del self._numbers[field]
        for field, values in self._values.items():
            if values is not None:
                try:
                    values.change(
                        {
                            p: tuple(
                                MISSING if row is None else row.get(field) for row in (pending[p], now[p])
                            )
                            for p in pending
                        }  # pyright: ignore[reportArgumentType]
                    )
                except UnfitError:
                    self._values[field] = None

    def numbers(self, field: str) -> Numbers | None:
        """A field as numbers; None if its values are not numbers, dates or times."""
        self._settle()
        if field not in self._numbers:
            kind = self._kinds.get(field, "")
            try:
                self._numbers[field] = Numbers(kind, self._column(field)) if kind in _ENCODERS else None
            except UnfitError:
                self._numbers[field] = None
        return self._numbers[field]

    def values(self, field: str) -> Values | None:
        """A field as values; None if its values are objects."""
        self._settle()
        if field not in self._values:
            try:
                self._values[field] = Values(self._column(field), self._alive)
            except UnfitError:
                self._values[field] = None
        return self._values[field]

    def _column(self, field: str) -> list[Any]:
        """The values of a field by position; None where there is no record."""
        found = column(self._records, field)
        if self._sorted and len(found) == len(self._ids):
            return found
        values: list[Any] = [None] * len(self._ids)
        for identity, value in zip(self._records, found, strict=True):
            position = self.position(identity)
            assert position is not None  # noqa: S101 - every record was noted
            values[position] = value
        return values
