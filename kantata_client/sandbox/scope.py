"""Where a request happens."""

from __future__ import annotations

import attrs

from kantata_client.sandbox.gaps import Gaps
from kantata_client.sandbox.refusals import not_emulated
from kantata_client.sandbox.store import Store


@attrs.frozen
class Scope:
    """Where a request happens: the store, and the user whose token it carries."""

    store: Store
    viewer: str
    strict: bool = True
    """Whether what is not emulated, or not in the contract, is refused."""
    gaps: Gaps = attrs.Factory(Gaps)
    """Takes note of it otherwise."""

    def lacks(self, what: str) -> None:
        """Refuse a request with 501 because of something that is not emulated, or note it."""
        if self.strict:
            raise not_emulated(what)
        self.gaps.note(f"The sandbox does not emulate {what}; it was ignored.")
