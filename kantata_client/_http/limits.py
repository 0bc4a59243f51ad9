"""The model of one rate limit, which finds the limit from its 429s. It is pure arithmetic on times; nothing here waits.

The service publishes no limits, so requests are sent freely until a 429, and from then on at a pace. 429s come in runs: one
ends with the first success of a request that was sent after the run began. What was accepted between the ends of two runs
is what the limit allowed, whether it is a token bucket or a fixed window. From run to run the pace approaches the limit,
stays slightly below it for most of the time (the calm), and then increases, like TCP's congestion control CUBIC.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

_BELOW = 0.04
"""How far below the limit the pace begins after a run of 429s, as a share."""
_QUIET = 75
"""The calm has at least this many requests, and"""
_CALM = 8.0
"""lasts at least this many seconds."""
_LONGEST_CALM = 14.0
"""Longest calm in seconds, unless windows or a low limit need a longer one. A raised limit has to be found within 20 s."""
_REFUSALS = 0.012
"""The share of requests that may get a 429: the more 429s a run has, the longer the calm lasts."""
_LONG_WINDOW = 30.0
"""Seconds from which on the number of 429s no longer lengthens the calm."""
_DOUBLING = 2.0
"""Seconds in which the pace doubles while nothing but the accepted requests is known about the limit."""
_GROWTH = 3.5
"""Seconds after the calm in which the pace doubles."""
_COARSE = 0.12
"""The time until the next probe, as a share of the run's duration. A window's end is missed by no more than that share."""
LATE = 0.25
"""Seconds by which a waiting request may be late without losing its turn. Timers and busy event loops are late, which would
lower the rate; but after a longer standstill, the requests must not all be sent at once."""
_CATCH_UP = 0.97
"""The shortest time between two requests after a late one, as a share of the usual time."""
_EVERY_SECOND = 0.45
"""The accepted share of a pace above which the limit may be anywhere between the accepted requests and the pace."""
_FULL_WINDOW = 3
"""Refused probes from which on a run seems to last until a window ends: a bucket accepts an earlier one."""
_IDLE = 10.0
"""Seconds without a request after which earlier accepted requests no longer count."""


class Pace:
    """A fixed rate; `burst` requests may be sent at once."""

    __slots__ = ("asked", "burst", "next", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self.next = 0.0
        """When the next request may be sent."""
        self.asked = -math.inf
        """The end of the pause that the service asked for."""

    @property
    def free(self) -> bool:
        """Whether requests may be sent without waiting for a turn."""
        return False

    def left(self, now: float, late: float) -> float:
        """Seconds until a request may be sent; if it may be now, this uses the turn.

        Args:
            now: The time in seconds.
            late: Seconds by which a request may be late without losing its turn.
        """
        interval = 1 / self.rate
        start = max(self.next, now - (self.burst - 1) * interval - late)
        if start <= now:
            self.next = start + interval
        return start - now

    def leaves(self, now: float, *, waited: bool) -> None:
        """Record that a request is sent."""

    def hold(self, until: float) -> None:
        """Send nothing before `until`, including requests that already wait."""
        self.next = max(self.next, until)

    def obey(self, until: float) -> None:
        """Pause until `until`, because the service asks for it."""
        self.asked = max(self.asked, until)
        self.hold(until)


class Limit(Pace):
    """A limit that is found from its 429s."""

    def __init__(self, slowest: float) -> None:
        super().__init__(math.inf, 1)
        self.slowest = slowest
        self.known = False
        """Whether there was a 429, so that requests are sent at a pace."""
        self._trip = 0.1  # seconds until a response
        self._last = -math.inf  # when the last request was sent
        # Counting accepted requests.
        self._accepted = 0
        self._since = 0.0  # when counting began
        self._counted = 0  # how many were accepted before
        self._departed = 0
        self._began = False
        # The approach to the limit.
        self._ceiling = math.inf  # the present estimate of the limit
        self._floor = math.inf  # the pace at the beginning of the approach
        self._grown = 0.0  # seconds of the approach in which requests waited
        self._cost = 0.0  # average number of 429s per cycle
        self._spent = 0  # 429s of the present cycle in earlier runs
        self._run = 0  # 429s of the present run
        self._searching = False  # nothing is known about the limit except what was accepted so far
        self._raised = False  # the last run raised the ceiling above what was accepted
        self._low = False  # more was accepted in the last cycle than the ceiling allows
        self._steady = False  # the last run began after the calm
        self._proven = 0.0  # the ceiling before it was raised
        self._trust = 0.25  # how far the ceiling follows a pace that ended in a 429, as an exponent
        # The run of 429s.
        self._refused: float | None = None  # when it began
        self._denied = 0.0  # when its last refused request was sent
        self._first_denied = 0.0  # when its first refused request was sent
        self._resume = 0.0  # when the next probe may be sent
        self._probed: float | None = None  # when the pending probe was sent
        self._probes = 0
        self._recovered = -math.inf  # when the last run ended
        # The service's window, if it seems to have one: bounds of its length and of its last beginning.
        self._window: tuple[float, float] | None = None
        self._turned = (0.0, 0.0)
        self._next_turn = math.inf
        self._in_window = 0  # how many were accepted before the present window

    @property
    def free(self) -> bool:
        return not self.known

    @classmethod
    def starting_at(cls, rate: float, slowest: float, now: float) -> Limit:
        """Make a limit whose pace is known from the start, and doubles until the first 429."""
        limit = cls(slowest)
        limit.known = limit._began = limit._searching = True
        limit.rate = limit._ceiling = limit._floor = rate
        limit.next = limit._since = limit._last = now
        return limit

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Limit:
        """Make a limit from the result of `state()`."""
        limit = cls(state["slowest"])
        for name, value in state.items():
            setattr(limit, name, tuple(cast("list[float]", value)) if isinstance(value, list) else value)
        return limit

    def state(self) -> dict[str, Any]:
        """Return everything that is known, as JSON values (with infinite numbers)."""
        return {**{name: getattr(self, name) for name in Pace.__slots__}, **vars(self)}

    @property
    def searching(self) -> bool:
        """Whether the pace doubles until the next 429."""
        return self._searching

    @property
    def last_sent(self) -> float:
        """When the last request was sent."""
        return self._last

    @property
    def refusing(self) -> bool:
        """Whether a run of 429s lasts, so that only probes may be sent."""
        return self._refused is not None

    @property
    def refused_last(self) -> float:
        """When the last run of 429s began, if it lasts, or ended."""
        return self._recovered if self._refused is None else self._refused

    def pause(self, now: float) -> float:
        """Seconds until the next probe may be sent."""
        return max(0.0, self._resume - now, self.asked - now)

    def left(self, now: float, late: float) -> float:
        if not self.known:
            return 0.0
        if self._refused is None:
            self.rate = self._paced()
            seconds = super().left(now, late)
            if seconds <= 0:
                # Delays are caught up slowly, because a bucket without a burst refuses two requests at once.
                self.next = max(self.next, now + _CATCH_UP / self.rate)
            return seconds
        if self.asked > now:
            return self.asked - now
        if self._probed is not None:
            lost = self._probed + max(1.0, 4 * self._trip)  # a cancelled request gets no response
            if now < lost:
                return min(lost - now, max(self._trip / 4, 0.005))
        if now < self._resume:
            return self._resume - now
        self._probed = now
        return 0.0

    def leaves(self, now: float, *, waited: bool) -> None:
        if not self._began or (not self.known and now - self._last > _IDLE):
            self._began = True
            self._since, self._counted, self._departed = now, self._accepted, 0
        elif waited and self._refused is None:
            # Only a request that waited shows that more requests could be sent.
            self._grown += min(now - self._last, 3 / self.rate)
        self._departed += 1
        self._last = now

    def succeeded(self, now: float, left: float | None) -> bool:
        """Record that a request sent at `left` (None if unknown) was accepted; returns whether that ends a run of 429s."""
        if self._window:
            while now >= self._next_turn:
                self._next_turn += sum(self._window) / 2
                self._in_window = self._accepted
        ends = self._refused is not None and (left is None or left > self._first_denied)
        if ends:
            self._recover(now if left is None else left, now)
        self._accepted += 1
        return ends

    def limited(self, now: float, left: float) -> bool:
        """Record that a request sent at `left` got a 429; returns whether that begins a run."""
        if self._refused is not None:
            self._run += 1
            self._denied = max(self._denied, left)
            if self._probed is not None and left >= self._probed - 1e-6:
                self._probed = None
                self._probes += 1
                self._resume = now + self._patience(now)
            return False
        if left <= self._recovered + 1e-6:
            self._spent += 1
            return False  # it was sent before the last run ended
        self._trip += 0.3 * (now - left - self._trip)
        if not self.known:
            self.known = True
            self.rate = max(self._observed(now), self.slowest)
            self._ceiling = self._floor = self.rate
            self._searching = True
        self._refused, self._first_denied, self._denied = now, left, left
        self._last = min(self._last, now)  # turns that were reserved for later are void
        self._run = 1
        self._probes, self._probed = 0, None
        # A bucket without a burst would refuse a probe that closely follows a request in flight.
        spaced = self._last + 1 / min(self.rate, _CATCH_UP * self._ceiling)
        self._resume = max(now + self._patience(now), min(spaced, now + 1))
        return True

    def forget(self) -> None:
        """Forget the limit, so that requests are sent freely again."""
        self.known = self._began = False
        self._refused = self._probed = self._window = None
        self._next_turn = math.inf

    def _patience(self, now: float) -> float:
        """Seconds until the next probe."""
        gone = now - self._first_denied
        step = max(1 / self.rate, 0.01)
        if self._window and self._probes:
            shortest, longest = self._window
            passed = max(1, math.ceil((self._first_denied - self._turned[1]) / longest))
            turn = self._turned[0] + passed * shortest
            if now < turn:
                # Half-way, in case the window is shorter than it seemed.
                return max(step, (turn - now) / 2 if self._probes == 1 else turn - now)
            spread = passed * (longest - shortest) + 0.02 * longest
            return max(step, spread / 4, _COARSE * (now - max(turn, self._first_denied)))
        return max(step, _COARSE * gone)

    def _observed(self, now: float) -> float:
        """Requests a second that were sent before the first 429."""
        return self._departed / max(now - self._since, 0.05)

    def _calm(self) -> float:
        """Seconds for which the pace stays below the limit before it increases."""
        calm = max(_CALM, _QUIET / self._ceiling)
        affordable = self._cost / (
            _REFUSALS * self._ceiling
        )  # seconds in which few enough requests get a 429
        if not self._window:
            return calm if self._low else max(calm, min(affordable, _LONGEST_CALM))
        window = self._window[1]
        # A raised limit has to be found within two windows. Of a long window a few 429s are a small share anyway.
        longest = 8 * window if window < _LONG_WINDOW else 0.0
        return max(calm, 0.8 * window, min(affordable, longest))

    def _paced(self) -> float:
        window = self._window[1] if self._window else 0.0
        if self._searching:
            return self._ceiling * 2 ** min(self._grown / max(_DOUBLING, window / 8), 60.0)
        calm, grown = self._calm(), self._grown
        if grown <= calm:
            return self._ceiling - (self._ceiling - self._floor) * (1 - grown / calm) ** 3
        return self._ceiling * 2 ** min(((grown - calm) / max(_GROWTH, 0.8 * window)) ** 2.5, 60.0)

    def _recover(self, left: float, now: float) -> None:
        """End a run of 429s, because a request sent at `left` was accepted."""
        paced, ceiling = self.rate, self._ceiling
        counted = self._accepted - self._counted
        allowed = max(max(counted, 1) / max(left - self._since, 1e-3), self.slowest)
        calm = self._grown < self._calm()
        few = counted < 8 or left - self._since < 0.5
        fall = self._raised and self._grown < self._calm() / 2
        low = self._low = not calm and allowed > 1.01 * ceiling
        cycle = self._grown >= self._calm() / 2  # and not another run soon after the last one
        self._spent += self._run
        if self._searching or math.isinf(self._recovered):
            self._spent = 0
        elif cycle:
            self._cost = self._spent if not self._cost else self._cost + 0.5 * (self._spent - self._cost)
            self._spent = 0
        if self._raised:
            self._trust = 0.4 * self._trust if fall else min(1.5 * self._trust, 0.6)
        self._raised = brief = False
        if left - self._first_denied > max(4 / allowed, 4 * self._trip, 1.5):
            ceiling = self._turn(left, allowed)
            if fall:
                ceiling = max(ceiling, self._proven)
            elif calm and self._window and not self._searching:
                # The limit was exceeded by no more than the requests that were certainly refused.
                certain = min(1.0, 1.5 * (self._denied - self._first_denied) / self._window[1])
                ceiling = max(ceiling, min(paced, self._ceiling) * (1 - certain))
        elif self._searching:
            ceiling = max(allowed, min(0.85 * paced, 3 * allowed)) if counted >= 3 else allowed
            brief = counted < 5
        elif fall:
            ceiling = self._proven
        elif calm:
            if math.isfinite(self._recovered) and self._probes >= _FULL_WINDOW and not few:
                ceiling = allowed  # the count began with a window and ended with one
            elif self._grown >= 2:
                ceiling = max(allowed, 0.97 * paced)
            elif few:
                ceiling, brief = max(allowed, 0.93 * paced), True
            else:  # even the slowest pace since the count began was too fast
                ceiling = min(paced, (counted + 1) / (left - self._since))
                if ceiling > _EVERY_SECOND * paced:
                    # A bucket without a burst refuses every second request of any pace up to twice its limit.
                    ceiling, brief = max(ceiling, 0.93 * paced), True
        elif counted - ceiling * (left - self._since) > 2 * ceiling:
            ceiling = 0.9 * paced  # more was accepted than a bucket can have held
        else:
            self._raised, self._proven = self._trust > 0.15, max(ceiling, 0.99 * allowed)
            # One 429 is a small share of many requests, so a high limit is approached in larger steps.
            step = 1 + (0.03 if low else min(0.03, 6e-5 * self._calm() * ceiling))
            further = (paced / ceiling) ** self._trust if self._raised else step if self._steady else 1.0
            ceiling = max(0.99 * allowed, ceiling * further)
        self._steady = not calm
        # After a leap the pace keeps doubling until the next 429.
        leap = math.isinf(self._recovered) or ceiling > 1.5 * self._ceiling
        self._searching = leap and (self._window is not None) != math.isinf(self._recovered)
        self._ceiling = max(ceiling, self.slowest)
        self._floor = max(self._ceiling * (1 - _BELOW), self.slowest)
        self._grown = 0.0
        self._refused = self._probed = None
        self._recovered = now
        if not brief:
            self._since, self._counted = left, self._accepted
        self.rate = self._paced()
        self.next = max(now, self._last + 1 / self.rate)

    def _turn(self, left: float, allowed: float) -> float:
        """Note that a window ended before a request sent at `left` was accepted; returns the estimated limit."""
        turned = (self._denied, left)
        if self._window is None:
            self._cost = max(self._cost, 4.0)  # until it is measured
            shortest, longest = self._denied - self._since, left - self._since
            ceiling = (self._accepted - self._counted) / shortest
        else:
            shortest, longest = self._window
            passed = max(1, round((left - self._turned[1]) / ((shortest + longest) / 2)))
            least, most = (turned[0] - self._turned[1]) / passed, (turned[1] - self._turned[0]) / passed
            if least <= longest and most >= shortest and left - self._first_denied < longest:
                shortest, longest = max(shortest, least), min(longest, most)
            else:
                shortest, longest = max(least * passed, 0.01), most * passed
            used = self._accepted - self._in_window
            ceiling = max(allowed, min(used / ((shortest + longest) / 2), self.rate))
        self._window, self._turned = (shortest, longest), turned
        self._next_turn = (turned[0] + turned[1] + shortest + longest) / 2
        self._in_window = self._accepted
        return ceiling
