"""`ErrorDetail`: one problem among those that an error response lists."""

from __future__ import annotations

import attrs


@attrs.frozen
class ErrorDetail:
    """One entry of an error response's `errors`."""

    type: str
    """`oauth`, `system` or `validation`; empty if the service does not say."""
    message: str
    field: str | None = None
    """The rejected property, if the service names it."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message
