"""Which ids a walk has delivered: a bit each while they are dense, eight bytes and some more when they are not."""

from __future__ import annotations

from array import array
from typing import Any, TypeVar

from kantata_client._objects.model import Model

M = TypeVar("M", bound=Model)

_LONGEST_NUMBER = 20
"""Digits of the ids that are kept as numbers: fewer than this fit in 64 bits."""
_ENOUGH_BLOCKS = 4_096
"""Blocks of 256 bits, after which it shows whether ids are dense."""
_SPARSE = 8
"""Ids in a block on average, below which a table takes less memory than blocks."""
_SPREAD = 0x9E3779B97F4A7C15
"""An odd number whose products spread ids over a table."""
_64_BITS = (1 << 64) - 1


class Seen:
    """The ids that were delivered: records move between pages while a list is walked."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] | None = {}
        """Number divided by 256 → a bit for each remainder; `None` once there is a table."""
        self._numbers = 0
        self._table = array("Q")
        """Numbers where their hash leads, or behind; 0 is a free place. At most two thirds are taken."""
        self._shift = 64
        """Bits of a hash beyond those that number the places of the table."""
        self._others: set[object] = set()

    def new(self, items: list[M], identities: list[Any]) -> list[M]:
        """The items that were not seen before, which are seen from now on.

        Args:
            items: The objects of a page.
            identities: What tells each of them from all others.
        """
        fresh: list[M] = []
        for item, identity in zip(items, identities, strict=True):
            text = str(identity) if type(identity) is int else identity
            # Other spellings of a number (007) are other ids.
            if (
                type(text) is str
                and text.isascii()
                and text.isdecimal()
                and text[0] != "0"
                and len(text) < _LONGEST_NUMBER
            ):
                number = int(text)
                blocks = self._blocks
                if blocks is None:
                    if not self._put(number):
                        continue
                else:
                    place, bit = number >> 8, 1 << (number & 255)
                    bits = blocks.get(place, 0)
                    if bits & bit:
                        continue
                    blocks[place] = bits | bit
                    self._numbers += 1
            else:
                other = text if type(text) in (str, tuple) else repr(text)
                if other in self._others:
                    continue
                self._others.add(other)
            fresh.append(item)
        if self._blocks is not None and _ENOUGH_BLOCKS < len(self._blocks) > self._numbers // _SPARSE:
            self._tabulate(self._blocks)
        return fresh

    def _put(self, number: int) -> bool:
        """Put a number into the table; whether it was not there."""
        table, last = self._table, len(self._table) - 1
        # The upper bits of a product depend on all bits of its factors, and ids may be multiples of anything.
        place = ((number ^ number >> 32) * _SPREAD & _64_BITS) >> self._shift
        while known := table[place]:
            if known == number:
                return False
            place = (place + 1) & last
        table[place] = number
        self._numbers += 1
        if 3 * self._numbers > 2 * len(table):
            self._resize(2 * len(table))
        return True

    def _make(self, size: int) -> None:
        self._table, self._numbers = array("Q", bytes(8)) * size, 0
        self._shift = 65 - size.bit_length()

    def _resize(self, size: int) -> None:
        old = self._table
        self._make(size)
        for number in old:
            if number:
                self._put(number)

    def _tabulate(self, blocks: dict[int, int]) -> None:
        """Move the numbers from the blocks to a table."""
        size = 1 << (3 * self._numbers).bit_length()
        self._make(size)
        self._blocks = None
        while blocks:
            place, bits = blocks.popitem()
            while bits:
                bit = bits & -bits
                self._put(place << 8 | bit.bit_length() - 1)
                bits ^= bit
