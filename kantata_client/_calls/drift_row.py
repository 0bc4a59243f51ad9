"""`DriftRow`: one difference between the service and its contract."""

from __future__ import annotations

import attrs

_EXAMPLES = 3
_LONGEST_EXAMPLE = 80


@attrs.define
class DriftRow:
    """One way in which the service differs from the contract."""

    model: str
    """Class in `kantata_client.models`; `envelope` for what is not in an object."""
    field: str
    """Name of the field. An id in a name that the contract does not have is shown as `{id}`: one row for all such names."""
    expected: str
    """What the contract says: an annotation, or that there is no such field."""
    received: str
    """The kind of the first such value. Text appears as a pattern (`a` for letters, `9` for digits), never as it is."""
    operation: str
    """The operation in which it came first."""
    request_id: str | None
    times: int = 1
    """How many checked objects had it. Not all objects are checked, unless `on_drift="raise"`."""
    examples: tuple[str, ...] = ()
    """Up to three of the names that a pattern in `field` stands for."""

    def see(self, name: str) -> None:
        """Note a name that the pattern stands for."""
        shown = name[:_LONGEST_EXAMPLE]
        if len(self.examples) < _EXAMPLES and shown not in self.examples:
            self.examples = (*self.examples, shown)
