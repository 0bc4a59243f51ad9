"""The log of what a lenient sandbox ignored or does not emulate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client._lazy import resolvable

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_LINES = 10_000


@resolvable
class Gaps:
    """Distinct lines about what was ignored, oldest first."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Gaps: {len(self._counts)} lines>"

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._counts))

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, line: object) -> bool:
        return line in self._counts

    def count(self, line: str) -> int:
        """How often a line was noted."""
        return self._counts.get(line, 0)

    def note(self, line: str) -> None:
        """Add a line, or count it again."""
        if line in self._counts or len(self._counts) < MOST_LINES:
            self._counts[line] = self._counts.get(line, 0) + 1

    def clear(self) -> None:
        """Remove all lines."""
        self._counts.clear()
