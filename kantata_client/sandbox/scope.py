"""The context of a request."""

from __future__ import annotations

import attrs

from kantata_client.sandbox.gaps import Gaps
from kantata_client.sandbox.refusals import not_emulated
from kantata_client.sandbox.store import Store


@attrs.frozen
class Scope:
    """The context of a request: the store, and the user whose token it carries."""

    store: Store
    viewer: str
    strict: bool = True
    """Whether to refuse what the sandbox does not emulate or the contract does not describe."""
    gaps: Gaps = attrs.Factory(Gaps)
    """Records it if not."""
    being_deleted: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]], eq=False)
    """(envelope key, id) of the records that the request is about to delete."""

    def lacks(self, what: str) -> None:
        """Refuse the request with 501 because something is not emulated; note it if lenient."""
        if self.strict:
            raise not_emulated(what)
        self.gaps.note(f"The sandbox does not emulate {what}; it was ignored.")
