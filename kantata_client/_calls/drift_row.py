"""`DriftRow`: one difference between the service and its contract."""

from __future__ import annotations

import attrs

_EXAMPLES = 3
_LONGEST_EXAMPLE = 80


@attrs.define
class DriftRow:
    """One kind of difference between the service and its contract."""

    model: str
    """Class in `kantata_client.models`; `envelope` for anything outside an object."""
    field: str
    """Name of the field. In a name that is not in the contract, `{id}` stands for any id: all such names share a row."""
    expected: str
    """What the contract says: an annotation, or that there is no such field."""
    received: str
    """The kind of the first such value. Text appears only as a pattern (`a` for letters, `9` for digits)."""
    operation: str
    """The operation that returned it first."""
    request_id: str | None
    times: int = 1
    """How many of the checked objects had it. Unless `on_drift="raise"`, not all objects are checked."""
    examples: tuple[str, ...] = ()
    """Up to three of the names that a pattern in `field` stands for."""

    def see(self, name: str) -> None:
        """Add a name that the pattern stands for to the examples."""
        shown = name[:_LONGEST_EXAMPLE]
        if len(self.examples) < _EXAMPLES and shown not in self.examples:
            self.examples = (*self.examples, shown)
