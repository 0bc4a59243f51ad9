"""When a failed attempt is repeated: a policy, and one pure decision.

Retry libraries (stamina, tenacity) decide by exception alone. Here method, status and how far the request got decide
together, and there is a third outcome: unknown.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

Outcome: TypeAlias = int | Literal["unsent", "lost"]
"""How an attempt ended: with a status; `unsent`: no byte left; `lost`: some bytes left, and no answer came."""

Decision: TypeAlias = Literal["retry", "fail", "unknown"]

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that do no more when they are carried out twice."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

_ELSEWHERE = frozenset({307, 308})
"""Redirects that ask for the same method and body at another address."""


@attrs.frozen
class RetryPolicy:
    """How often, how long and on what a request is repeated.

    `RetryPolicy(attempts=1)` never repeats. A POST is repeated only when it certainly was not carried out, whatever the
    policy says.
    """

    attempts: int = 5
    """Most attempts, the first one included. Those answered by 429 do not count: they take time until the deadline."""
    initial: float = 0.5
    """Longest wait after the first failed attempt, in seconds; doubled after each further one."""
    maximum: float = 30.0
    """Longest wait, in seconds, if the service does not ask for a longer one (`Retry-After`)."""
    deadline: float = 300.0
    """Seconds from the first attempt after which no other follows. A longer pause that the service asks for is not waited
    for either. Time in line before the first attempt does not count."""
    statuses: frozenset[int] = frozenset({429, 502, 503, 504})
    """Answers after which a request is repeated."""
    read_statuses: frozenset[int] = frozenset({408, 425, 500, 520, 521, 522, 523, 524, 530})
    """Answers after which a GET is repeated, too: timeouts, and failures of the service and of networks before it."""
    longest_pause: float = 3600.0
    """Seconds for which a `Retry-After` is obeyed at most, within the deadline."""

    def check(self) -> None:
        """Raise `UsageError` if the numbers make no sense."""
        given: list[object] = [self.attempts, self.initial, self.maximum, self.deadline, self.longest_pause]
        attempts, *times = given
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise UsageError(f"{self!r}: attempts is a whole number; 1 sends each request once.")
        if not all(isinstance(time, (int, float)) and time >= 0 for time in times):
            raise UsageError(
                f"{self!r}: initial, maximum, deadline and longest_pause are seconds, and not negative."
            )

    def delay(
        self,
        attempt: int,
        retry_after: float | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> float:
        """Seconds to wait after failed attempt number `attempt`.

        Anything up to the doubled time, so that clients that failed together do not come back together; but no less than the
        service asked for, up to `longest_pause`.
        """
        # The exponent is bounded because a float overflows at 2**1024.
        longest = min(self.maximum, self.initial * 2.0 ** min(attempt - 1, 60))
        return max(uniform(0.0, longest), self.asked(retry_after))

    def asked(self, retry_after: float | None) -> float:
        """The seconds of a `Retry-After` that are obeyed."""
        return min(retry_after or 0.0, self.longest_pause)


def may_be_done(outcome: Outcome) -> bool:
    """Whether the request may have been carried out, though the attempt was no success."""
    # A refusal (4xx, 501) proves that nothing was done, and so does a redirect that asks for the same request elsewhere.
    # Any other redirect is how servers answer a form that they have processed. Another 5xx proves nothing: the write may
    # be behind it. Nor does a connection that was reset at once: the server may have read the body before.
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
    """What follows attempt number `attempt` (1 for the first), which did not end in a success.

    Args:
        policy: What is repeated.
        method: The request's method.
        outcome: How the attempt ended.
        attempt: Its number, not counting attempts that were answered by 429.
        replayable: False once the body was a stream that has begun and cannot be rewound.
        action: Whether the request does something each time it is carried out, whatever its method.
    """
    if may_be_done(outcome) and (action or method not in _REPEATABLE):
        return "unknown"
    reads = method in _READING and outcome in policy.read_statuses
    worthwhile = isinstance(outcome, str) or outcome in policy.statuses or reads
    # A 429 takes time, and no attempt: other programs may have used up the budget of a whole minute.
    left = policy.attempts > 1 if outcome == 429 else attempt < policy.attempts
    return "retry" if worthwhile and replayable and left else "fail"
