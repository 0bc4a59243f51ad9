"""When a failed attempt is repeated: a policy, and one pure decision.

Written by hand, since retry libraries (stamina, tenacity) decide by exception alone, while here method,
status and how far the request got decide together, and the outcome can be a third one: unknown.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

Outcome: TypeAlias = int | Literal["unsent", "lost"]
"""How an attempt ended: with a status; `unsent`: no byte left; `lost`: some did, and no answer came."""

Decision: TypeAlias = Literal["retry", "fail", "unknown"]

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that do no more when they are carried out twice."""


_ELSEWHERE = frozenset({307, 308})
"""Redirects that ask for the same method and body at another address."""


class RetryPolicy(NamedTuple):
    """How often, how long and on what a request is repeated.

    `RetryPolicy(attempts=1)` never repeats. A POST is repeated only when it certainly was not carried out,
    whatever the policy says.
    """

    attempts: int = 5
    """Most attempts, the first one included."""
    initial: float = 0.5
    """Longest wait after the first failed attempt, in seconds; doubled after each further one."""
    maximum: float = 30.0
    """Longest wait, in seconds, unless the service asks for a longer one (`Retry-After`)."""
    deadline: float = 300.0
    """No further attempt once this many seconds have passed since the first one left, and no longer wait for the service
    (`Retry-After`) either. Standing in line before the first attempt does not count."""
    statuses: frozenset[int] = frozenset({429, 502, 503, 504})
    """Answers after which a request is repeated."""

    def check(self) -> None:
        """Raise `UsageError` if the numbers make no sense."""
        given: list[object] = [self.attempts, self.initial, self.maximum, self.deadline]
        attempts, *times = given
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise UsageError(f"{self!r}: attempts is a whole number; 1 sends each request once.")
        if not all(isinstance(time, (int, float)) and time >= 0 for time in times):
            raise UsageError(f"{self!r}: initial, maximum and deadline are seconds, and not negative.")

    def delay(
        self,
        attempt: int,
        retry_after: float | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> float:
        """Seconds to wait after failed attempt number `attempt`.

        Anything up to the doubled time, so that clients which failed together do not come back together; but
        no less than the service asked for.
        """
        # The exponent is bounded because a float overflows at 2**1024.
        longest = min(self.maximum, self.initial * 2.0 ** min(attempt - 1, 60))
        return max(uniform(0.0, longest), retry_after or 0.0)


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

    `replayable` is false once the body was a stream that began and cannot be rewound. An `action` does something each time
    it is carried out, whatever its method.
    """
    if may_be_done(outcome) and (action or method not in _REPEATABLE):
        return "unknown"
    worthwhile = isinstance(outcome, str) or outcome in policy.statuses
    return "retry" if worthwhile and replayable and attempt < policy.attempts else "fail"
