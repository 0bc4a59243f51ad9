"""The part of a sandbox that the control routes use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections import deque

    from kantata_client.sandbox.asgi import RecordedRequest
    from kantata_client.sandbox.clock import Clock
    from kantata_client.sandbox.faults import Faults
    from kantata_client.sandbox.gaps import Gaps
    from kantata_client.sandbox.rate_limits import RateLimits
    from kantata_client.sandbox.store import Store


class Controlled(Protocol):
    """A sandbox as the control routes see it."""

    store: Store
    requests: deque[RecordedRequest]
    faults: Faults
    limits: RateLimits
    clock: Clock
    gaps: Gaps

    def reset(self, seed: Any = None, records: Any = None) -> None:
        """Restore the initial records, or load others."""
        ...
