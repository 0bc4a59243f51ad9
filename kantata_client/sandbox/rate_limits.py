"""Rate limits like those of the service: one for all requests, and one each for a few operations."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from kantata_client._lazy import resolvable
from kantata_client.errors import UsageError
from kantata_client.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client._contract import Operation

Kind: TypeAlias = Literal["bucket", "window"]


class _Bucket:
    """A token bucket, full at first."""

    def __init__(self, requests: int, seconds: float, now: float) -> None:
        self._size, self._rate = float(requests), requests / seconds
        self._tokens, self._filled = self._size, now

    def admits(self, now: float) -> bool:
        self._tokens = min(self._size, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return self._tokens >= 1

    def take(self) -> None:
        self._tokens -= 1


class _Window:
    """A number of requests in each of consecutive windows."""

    def __init__(self, requests: int, seconds: float, now: float) -> None:
        self._requests, self._seconds = requests, seconds
        self._started, self._taken = now, 0

    def admits(self, now: float) -> bool:
        if now - self._started >= self._seconds:
            self._started += (now - self._started) // self._seconds * self._seconds
            self._taken = 0
        return self._taken < self._requests

    def take(self) -> None:
        self._taken += 1


@resolvable
class RateLimits:
    """The rate limits of a sandbox, which has none at first.

    A request above a limit is answered with 429, without any header that says how long to wait, as by the service.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Measure time with `now`, in seconds: the real time by default, even if the sandbox's clock is stopped."""
        self.refused = 0
        """Number of requests that were refused."""
        self._now = now
        self._lock = threading.Lock()
        self._general: _Bucket | _Window | None = None
        self._own: dict[str, _Bucket | _Window] = {}

    def __repr__(self) -> str:
        return f"<RateLimits: {bool(self._general) + len(self._own)} limits, {self.refused} requests refused>"

    def general(self, requests: int, seconds: float = 1.0, *, kind: Kind = "bucket") -> None:
        """Limit all requests together.

        Args:
            requests: How many requests are accepted at once, or in a window.
            seconds: The time in which the bucket refills, or the length of a window.
            kind: `bucket`, which refills steadily, or `window`, whose count restarts with each window.

        Raises:
            UsageError: A number is not positive, or the kind is unknown.
        """
        self._general = self._limit(requests, seconds, kind)

    def own(
        self, requests: int, seconds: float = 1.0, *, kind: Kind = "bucket", operation: str | None = None
    ) -> None:
        """Limit the operations that have a limit of their own, besides the general one.

        Args:
            requests: See `general`.
            seconds: See `general`.
            kind: See `general`.
            operation: The operation to limit, such as `POST /workspaces`. Default: each of the eight of the service.

        Raises:
            UsageError: As for `general`, or the contract has no such operation.
        """
        if operation is not None and operation not in OPERATIONS:
            raise UsageError(
                f"The contract has no operation {operation!r}; write it as 'POST /workspaces'.",
                consequence="",
            )
        for name in limited_operations() if operation is None else (operation,):
            self._own[name] = self._limit(requests, seconds, kind)

    def clear(self) -> None:
        """Remove all limits."""
        with self._lock:
            self._general = None
            self._own.clear()

    def admit(self, operation: Operation) -> bool:
        """Count a request against its limits; false if one of them is exhausted."""
        with self._lock:
            limits = [each for each in (self._general, self._own.get(operation.id)) if each is not None]
            if not limits:
                return True
            now = self._now()
            if all(limit.admits(now) for limit in limits):
                for limit in limits:
                    limit.take()
                return True
            self.refused += 1
            return False

    def _limit(self, requests: Any, seconds: Any, kind: str) -> _Bucket | _Window:
        numbers = all(
            isinstance(each, kinds) and not isinstance(each, bool)
            for each, kinds in ((requests, int), (seconds, (int, float)))
        )
        if not numbers or not (requests >= 1 and 0 < seconds < math.inf) or kind not in ("bucket", "window"):
            raise UsageError(
                f"A limit of {requests!r} requests in {seconds!r} seconds ({kind!r}) is invalid: both must be positive "
                "numbers, the first a whole one, and the kind 'bucket' or 'window'.",
                consequence="",
            )
        return (_Bucket if kind == "bucket" else _Window)(requests, seconds, self._now())


def limited_operations() -> list[str]:
    """The operations that have a rate limit of their own."""
    return [name for name, operation in OPERATIONS.items() if operation.own_rate_limit]
