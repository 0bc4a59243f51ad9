"""Decide whether a failed attempt is repeated.

Retry libraries such as stamina and tenacity look only at the exception. This decision depends on the method, the status and
how much of the request was sent, and it has a third result besides "retry" and "fail": "unknown".
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from kantata_client._lazy import resolvable
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

Outcome: TypeAlias = int | Literal["unsent", "lost"]
"""How an attempt ended: with a status, `unsent` (no byte was sent), or `lost` (bytes were sent, but no response came)."""

Decision: TypeAlias = Literal["retry", "fail", "unknown"]

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Idempotent methods."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

_ELSEWHERE = frozenset({307, 308})
"""Redirects that keep the method and the body."""


_DEADLINE = 300.0


@resolvable
@attrs.frozen
class RetryPolicy:
    """When a request is repeated, how often, and for how long.

    `RetryPolicy(retries=0)` never repeats. A POST is repeated only if it certainly was not carried out, with any policy.
    """

    retries: int = 4
    """How often a request is repeated at most. Repetitions after a 429 do not count: the deadline limits them."""
    initial: float = 0.5
    """Longest wait in seconds after the first failed attempt. It doubles after each further one."""
    maximum: float = 30.0
    """Longest wait in seconds, unless the service asks for a longer one (`Retry-After`)."""
    deadline: float = _DEADLINE
    """Seconds after the first attempt in which it is repeated. If the service asks for a pause that ends later, the request
    fails at once. Waiting before the first attempt does not count."""
    statuses: frozenset[int] = frozenset({429, 502, 503, 504})
    """Statuses after which a request is repeated."""
    read_statuses: frozenset[int] = frozenset({408, 425, 500, 520, 521, 522, 523, 524, 530})
    """More statuses after which a GET is repeated: timeouts, and failures of the service or of a CDN in front of it."""
    longest_pause: float = 3600.0
    """Longest `Retry-After` in seconds that is respected, within the deadline."""

    def check(self) -> None:
        """Check the values.

        Raises:
            UsageError: A value has the wrong type or is out of range.
        """
        values: list[object] = [self.retries, self.initial, self.maximum, self.deadline, self.longest_pause]
        retries, *times = values
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise UsageError(
                f"{self!r}: retries must be an integer of at least 0 (0 sends each request once)."
            )
        if not all(isinstance(time, (int, float)) and time >= 0 for time in times):
            raise UsageError(
                f"{self!r}: initial, maximum, deadline and longest_pause must be seconds, at least 0."
            )

    def delay(
        self,
        attempt: int,
        retry_after: float | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> float:
        """Seconds to wait after a failed attempt: exponential backoff with full jitter.

        Full jitter keeps clients that failed together from returning together.

        Args:
            attempt: The number of the attempt, 1 for the first.
            retry_after: The pause in seconds that the service asked for; the wait is at least as long.
            uniform: Draws a random number between two others; for tests.
        """
        # The exponent is bounded because a float overflows at 2**1024.
        longest = min(self.maximum, self.initial * 2.0 ** min(attempt - 1, 60))
        return max(uniform(0.0, longest), self.pause(retry_after))

    def pause(self, retry_after: float | None) -> float:
        """The part of a `Retry-After` that is respected, in seconds."""
        return min(retry_after or 0.0, self.longest_pause)


def response_deadline(policy: RetryPolicy) -> float | None:
    """Seconds after the first attempt until which a response may arrive: the deadline, unless it is the default."""
    return None if policy.deadline in (0, _DEADLINE) else policy.deadline


def may_be_done(outcome: Outcome) -> bool:
    """Whether a failed attempt may have been carried out."""
    # A rejection (4xx, 501) proves that nothing was done, and so does a redirect that keeps method and body. Servers send
    # other redirects after they have processed a form. Any other 5xx proves nothing, because the server may have failed
    # after the write. Nor does a connection reset, because the server may have read the body before.
    if isinstance(outcome, str):
        return outcome == "lost"
    return outcome != 501 and outcome not in _ELSEWHERE and not 400 <= outcome < 500


def decide(
    policy: RetryPolicy,
    method: str,
    outcome: Outcome,
    attempt: int,
    *,
    replayable: bool = True,
    action: bool = False,
) -> Decision:
    """Decide what follows a failed attempt.

    Args:
        policy: The retry policy.
        method: The request's method.
        outcome: How the attempt ended.
        attempt: The number of the attempt, 1 for the first, not counting attempts answered by 429.
        replayable: False if the body is a stream that has been read in part and can't be rewound.
        action: The request is not idempotent, whatever its method.
    """
    if may_be_done(outcome) and (action or method not in _REPEATABLE):
        return "unknown"
    reads = method in _READING and outcome in policy.read_statuses
    transient = isinstance(outcome, str) or outcome in policy.statuses or reads
    # Only the deadline limits repetitions after 429, because other programs may have used up the quota of a whole minute.
    retries_left = policy.retries > 0 if outcome == 429 else attempt <= policy.retries
    return "retry" if transient and replayable and retries_left else "fail"
