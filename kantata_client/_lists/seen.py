"""Remembers which ids a walk has delivered: in a bit each while ids are dense, in 12 to 24 bytes each when they are not."""

from __future__ import annotations

from array import array
from typing import Any, TypeVar

from kantata_client._objects.model import Model

M = TypeVar("M", bound=Model)

_LONGEST_NUMBER = 20
"""Ids with fewer digits than this fit in 64 bits and are kept as numbers."""
_MOST_BLOCKS = 4_096
"""How many blocks of 256 bits there have to be before ids count as sparse."""
_DENSE = 8
"""Average number of ids in a block below which a table takes less memory than blocks."""
_MULTIPLIER = 0x9E3779B97F4A7C15
"""An odd number whose products spread ids over the hash table."""
_64_BITS = (1 << 64) - 1


class Seen:
    """The ids that were delivered. Records move between pages during a walk, so an id can come again."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] | None = {}
        """Id divided by 256 → a bit for each remainder; `None` once ids are in the table."""
        self._numbers = 0
        self._table = array("Q")
        """A hash table with open addressing; 0 is a free slot. At most two thirds of the slots are taken."""
        self._shift = 64
        """How many bits of a hash are not part of the slot number."""
        self._others: set[object] = set()
        """Identities that are not decimal numbers."""

    def new(self, items: list[M], identities: list[Any]) -> list[M]:
        """Add the objects of a page.

        Args:
            items: The objects.
            identities: The identity of each object.

        Returns:
            The objects that had not been added before.
        """
        new: list[M] = []
        for item, identity in zip(items, identities, strict=True):
            text = str(identity) if type(identity) is int else identity
            # Different spellings of a number (7, 007) are different ids.
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
                    block, bit = number >> 8, 1 << (number & 255)
                    bits = blocks.get(block, 0)
                    if bits & bit:
                        continue
                    blocks[block] = bits | bit
                    self._numbers += 1
            else:
                other = text if type(text) in (str, tuple) else repr(text)
                if other in self._others:
                    continue
                self._others.add(other)
            new.append(item)
        if self._blocks is not None and _MOST_BLOCKS < len(self._blocks) > self._numbers // _DENSE:
            self._use_table(self._blocks)
        return new

    def _put(self, number: int) -> bool:
        """Add a number to the table; returns false if it was there already."""
        table, last = self._table, len(self._table) - 1
        # Ids may be multiples of any number, but the upper bits of a product depend on all bits of its factors.
        slot = ((number ^ number >> 32) * _MULTIPLIER & _64_BITS) >> self._shift
        while stored := table[slot]:
            if stored == number:
                return False
            slot = (slot + 1) & last
        table[slot] = number
        self._numbers += 1
        if 3 * self._numbers > 2 * len(table):
            self._resize(2 * len(table))
        return True

    def _clear(self, size: int) -> None:
        self._table, self._numbers = array("Q", bytes(8)) * size, 0
        self._shift = 65 - size.bit_length()

    def _resize(self, size: int) -> None:
        old = self._table
        self._clear(size)
        for number in old:
            if number:
                self._put(number)

    def _use_table(self, blocks: dict[int, int]) -> None:
        """Move the numbers from the blocks to the table."""
        self._clear(1 << (3 * self._numbers).bit_length())
        self._blocks = None
        while blocks:
            block, bits = blocks.popitem()
            while bits:
                bit = bits & -bits
                self._put(block << 8 | bit.bit_length() - 1)
                bits ^= bit
