"""A rate limit that several processes share: its state is in a store, and each process updates it in turn.

The arithmetic is that of `limits.Limit`, as in `AdaptiveThrottle`. A process reads the state, applies what happened to its
requests, reserves a turn, and writes the state back if no other process has changed it in the meantime. So a 429 for one
process slows down all of them.

A turn is reserved ahead, since asking again and again would take many requests to the store. If it is more than a moment
ahead, the process looks at the state once more before it sends: a 429 voids all reservations.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
import threading
from collections import deque
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from kantata_client._http.limits import LATE, Limit
from kantata_client._http.throttle import LONGEST_PAUSE, FixedRate
from kantata_client._http.turns import Line, Turn
from kantata_client._lazy import resolvable
from kantata_client._loops import PerLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

logger = logging.getLogger("kantata_client")

_GENERAL = "general"
_RETRY = 1.0
"""Seconds until the store is tried again after it did not respond."""
_AHEAD = 2.0
"""Seconds by which a turn is reserved ahead."""
_MOMENT = 0.02
"""Seconds of waiting after which the state is checked again, and within which several turns are reserved together."""
_ATTEMPTS = 30
"""How often an update is tried while other processes change the state."""
_POLL = (0.01, 1.0)
"""The shortest and the longest time, in seconds, between two attempts to reserve a turn."""
_BACKWARDS = 5.0
"""Seconds by which the store's clock may have been set back without making the state useless."""

_sent: ContextVar[float] = ContextVar("kantata_client: shared turn", default=-math.inf)
"""The turn of the running task's last request, by the store's clock."""
_served: ContextVar[float] = ContextVar("kantata_client: shared turn, accepted", default=-math.inf)


class StoreUnavailableError(Exception):
    """The store did not respond."""


@attrs.frozen
class Entry:
    """What the store has of a limit."""

    now: float
    """The store's clock, in seconds."""
    written: bool
    version: str
    """Changes with each write; empty at first."""
    state: str
    members: int
    """Processes that used the budget lately."""


class Store(Protocol):
    """Keeps the state of limits. Its methods block, and are called in threads."""

    def exchange(self, key: str, member: str, expected: str | None, version: str, state: str) -> Entry:
        """Replace the state if its version is the expected one, and return what the store has then.

        Args:
            key: The limit.
            member: The process.
            expected: The version that may be replaced; None only reads.
            version: The new version, a text that was never used before.
            state: The new state.

        Raises:
            StoreUnavailableError: The store did not respond. The state may or may not have been replaced.
        """
        ...

    def close(self) -> None:
        """Close connections. A later call of `exchange` reopens them."""
        ...


@attrs.frozen
class _Event:
    """What became of a request."""

    accepted: bool
    at: float
    sent: float
    pause: float = 0.0
    """Seconds of a pause that the service asked for."""


@attrs.frozen
class _Turns:
    """Reserved turns, or how long to wait before asking again."""

    at: tuple[float, ...]
    wait: float
    asked: float
    """Seconds that are left of a pause that the service asked for."""
    last_refusal: float


class _Budget:
    """A limit as this process knows it."""

    __slots__ = (
        "__weakref__", "away_until", "entry", "events", "key", "lock", "offset", "refusing", "share", "trip", "turns",
        "waiting",
    )  # fmt: skip

    def __init__(self, key: str) -> None:
        self.key = key
        self.lock = threading.Lock()
        self.entry: Entry | None = None
        self.events: deque[_Event] = deque()
        """What the store does not know yet."""
        self.turns: deque[tuple[float, float]] = deque()
        """Reserved turns, and the last refusal that was known when they were reserved."""
        self.refusing = False
        self.share: float | None = None
        """This process's share of the rate, in requests a second."""
        self.waiting = 0
        self.offset = 0.0
        """The store's clock minus this process's."""
        self.trip = math.inf
        """Seconds that the exchange took by which the offset was measured."""


def take(limit: Limit, now: float, most: int, fastest: float, *, waited: bool) -> _Turns:
    """Reserve up to `most` turns of a limit: one at any time soon, and more only within a moment."""
    at: list[float] = []
    wait = 0.0
    epoch = limit.refused_last
    while len(at) < most and not (at and limit.refusing):
        moment = at[-1] if at else now
        wait = limit.left(moment, 0.0 if at else LATE)
        if wait > 0:
            ahead = moment + wait - now
            if limit.refusing or ahead > (_MOMENT if at else _AHEAD):
                break
            moment += wait + 1e-9  # rounding must not leave a rest
            if limit.left(moment, 0.0) > 0:
                break
        limit.leaves(moment, waited=waited or wait > 0)
        limit.next = max(limit.next, moment + 1 / fastest)
        at.append(moment)
    return _Turns(tuple(at), wait, max(0.0, limit.asked - now), epoch)


@resolvable
class SharedThrottle:
    """A throttle whose limits are in a store."""

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        first: float,
        slowest: float,
        fastest: float,
        memory: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        submit: Callable[[Callable[[], object]], object],
    ) -> None:
        """Share limits.

        Args:
            store: Where the limits are.
            name: The name of the budget, for messages.
            first: The initial rate of all processes together, in requests a second.
            slowest: The lowest rate in requests a second.
            fastest: The highest rate in requests a second.
            memory: Seconds after which a limit without a 429 is searched for from the present rate.
            clock: Returns the time in seconds.
            sleep: Waits for a number of seconds.
            in_thread: Calls a function that blocks.
            submit: Calls a function that blocks, without waiting for it.
        """
        self._store = store
        self._name = name
        self._first, self._slowest, self._fastest = first, slowest, fastest
        self._memory = memory
        self._clock = clock
        self._sleep = sleep
        self._in_thread = in_thread
        self._submit = submit
        self._member = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._written = 0
        self._budgets: dict[str, _Budget] = {}
        self._unavailable = False
        self._retry_at = -math.inf
        self._alone: dict[str, tuple[float, FixedRate, float]] = {}

    async def acquire(self, operation: str, own_limit: bool, patience: float = math.inf) -> float | None:
        """Wait for a turn among all processes."""
        budget = self._budget(operation, own_limit)
        line = self._line(budget)
        turn = Turn(_served.get())
        line.join(turn, self._clock())
        budget.waiting += 1
        try:
            waited = line.first is not turn
            if waited:
                await turn.woken.wait()
            return await self._turn(budget, operation, patience, waited=waited)
        finally:
            budget.waiting -= 1
            line.leave(turn, self._clock())

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Count an accepted request."""
        _served.set(_sent.get())
        if self._unavailable:
            return
        for budget in {self._budget(operation, False), self._budget(operation, own_limit)}:
            self._note(budget, accepted=True)

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> bool:
        """Slow down all processes."""
        budget = self._budget(operation, own_limit)
        if self._unavailable:
            self._slow_down_alone(budget, seconds)
            return False
        if not budget.refusing:
            logger.warning("429 for %s: all processes of the budget %r slow down", operation, self._name)
        self._note(budget, accepted=False, pause=min(retry_after or 0.0, LONGEST_PAUSE))
        return True

    # --- turns ---

    async def _turn(self, budget: _Budget, operation: str, patience: float, *, waited: bool) -> float | None:
        while True:
            now = self._clock()
            if self._unavailable:
                if now >= self._retry_at:
                    self._retry_at = now + _RETRY
                    self._submit(lambda: self._update(budget, lambda limit, at: None))
                return await self._acquire_alone(budget, operation, patience)
            if not budget.turns:
                turns = await self._in_thread(partial(self._reserve, budget, waited=waited))
                if turns is None:
                    continue  # the store is unavailable
                if turns.asked > patience:
                    return turns.asked
                budget.turns.extend((at, turns.last_refusal) for at in turns.at)
                if not turns.at:
                    waited = True
                    shortest, longest = _POLL
                    wait = min(max(turns.wait, shortest), longest)
                    await self._sleep(wait * random.uniform(1.0, 1.2))
                    continue
            at, last_refusal = budget.turns.popleft()
            ahead = at - self._clock() - budget.offset
            if ahead < -LATE:
                continue
            if ahead > 0:
                await self._sleep(ahead)
            if ahead > _MOMENT and await self._in_thread(partial(self._is_void, budget, last_refusal)):
                budget.turns.clear()
                waited = True
                continue
            previous = _sent.get()
            _sent.set(at if previous > at + _BACKWARDS else max(at, previous))
            return None

    def _reserve(self, budget: _Budget, *, waited: bool) -> _Turns | None:
        return self._update(
            budget, lambda limit, now: take(limit, now, budget.waiting, self._fastest, waited=waited)
        )

    def _is_void(self, budget: _Budget, last_refusal: float) -> bool:
        """Whether a request was refused since a turn was reserved."""
        with budget.lock:
            try:
                entry = self._exchange(budget, None, "")
            except StoreUnavailableError:
                return False
            limit = self._limit(entry, entry.now)
        return limit.refusing or limit.refused_last != last_refusal

    # --- the shared state ---

    def _note(self, budget: _Budget, *, accepted: bool, pause: float = 0.0) -> None:
        """Keep what became of a request for the next update, which is at once if all processes wait for it."""
        sent = _sent.get()
        at = self._clock() + budget.offset
        if not math.isinf(sent):
            at = max(at, sent)
        budget.events.append(_Event(accepted, at, sent, pause))
        if not accepted or budget.refusing:
            self._submit(lambda: self._update(budget, lambda limit, now: None))

    def _update(self, budget: _Budget, change: Callable[[Limit, float], T]) -> T | None:
        """Apply the events of this process and a change to the shared state; None if that did not work."""
        with budget.lock:
            events: list[_Event] = []
            while budget.events:
                events.append(budget.events.popleft())
            try:
                return self._apply(budget, events, change)
            except StoreUnavailableError as error:
                budget.events.extendleft(reversed(events[-1000:]))
                self._became_unavailable(error)
                return None

    def _apply(self, budget: _Budget, events: list[_Event], change: Callable[[Limit, float], T]) -> T | None:
        entry, fresh = budget.entry, False
        for _ in range(_ATTEMPTS):
            if entry is None:
                entry, fresh = self._exchange(budget, None, ""), True
            now = entry.now if fresh else max(entry.now, self._clock() + budget.offset)
            limit = self._limit(entry, now)
            for event in events:
                self._replay(limit, event, now)
            result = change(limit, now)
            state = json.dumps(limit.state())
            entry, fresh = self._exchange(budget, entry.version, state), True
            if entry.written:
                budget.refusing = limit.refusing
                budget.share = limit.rate / max(entry.members, 1)
                return result
        budget.entry = None
        raise StoreUnavailableError("too many processes change the budget at once")

    def _replay(self, limit: Limit, event: _Event, now: float) -> None:
        if event.at > now + _BACKWARDS:  # the store's clock was set back
            event = attrs.evolve(event, at=now, sent=now)
        if event.accepted:
            since = limit.refused_last
            if limit.succeeded(event.at, None if math.isinf(event.sent) else event.sent):
                logger.info(
                    "Accepted again after %.2g s: the budget %r has %.3g requests a second",
                    event.at - since, self._name, limit.rate,
                )  # fmt: skip
            return
        limit.limited(event.at, event.at if math.isinf(event.sent) else event.sent)
        if event.pause:
            limit.obey(event.at + event.pause)

    def _limit(self, entry: Entry, now: float) -> Limit:
        """Return the limit of an entry; a new one if it is empty, or so old or so far ahead that it says nothing."""
        if not entry.state:
            return Limit.starting_at(self._first, self._slowest, now)
        limit = Limit.restore(json.loads(entry.state))
        last = max(limit.refused_last, limit.asked)
        if limit.last_sent > now + _BACKWARDS:  # the store's clock was set back
            return Limit.starting_at(self._first, self._slowest, now)
        if not math.isinf(last) and now - last > self._memory and not limit.searching:
            return Limit.starting_at(max(limit.rate, self._first), self._slowest, now)
        return limit

    def _exchange(self, budget: _Budget, expected: str | None, state: str) -> Entry:
        self._written += 1
        version = f"{self._member}:{self._written}"
        sent = self._clock()
        entry = self._store.exchange(budget.key, self._member, expected, version, state)
        received = self._clock()
        trip = received - sent
        budget.trip *= 1.02  # clocks drift, so an old measurement is given up after a while
        offset = entry.now - (sent + received) / 2
        if (
            trip <= budget.trip or abs(offset - budget.offset) > 1 + trip
        ):  # measured better, or a clock was set
            budget.trip, budget.offset = trip, offset
        if not entry.state and not entry.written and budget.entry is not None:
            # The store lost the state: this process still has it.
            entry = attrs.evolve(entry, state=budget.entry.state)
        budget.entry = attrs.evolve(entry, state=state) if entry.written else entry
        if self._unavailable:
            self._unavailable = False
            self._alone.clear()
            logger.warning("The budget %r is shared again", self._name)
        return budget.entry

    # --- without the store ---

    def _became_unavailable(self, error: Exception) -> None:
        self._retry_at = self._clock() + _RETRY
        if not self._unavailable:
            self._unavailable = True
            logger.warning(
                "The budget %r can't be shared (%s): requests are sent at this process's share of the rate",
                self._name, error,
            )  # fmt: skip

    async def _acquire_alone(self, budget: _Budget, operation: str, patience: float) -> float | None:
        if budget.key not in self._alone:
            share = min(budget.share or self._first, self._fastest)
            self._alone[budget.key] = (share, self._fixed(share), -math.inf)
        return await self._alone[budget.key][1].acquire(operation, False, patience)

    def _slow_down_alone(self, budget: _Budget, seconds: float) -> None:
        share, _, slowed = self._alone.get(budget.key, (budget.share or self._first, None, -math.inf))
        now = self._clock()
        if now - seconds >= slowed:  # it was sent after the rate was last lowered
            share = max(share * 0.85, self._slowest)
            self._alone[budget.key] = (share, self._fixed(share), now)

    def _fixed(self, rate: float) -> FixedRate:
        return FixedRate(rate, clock=self._clock, sleep=self._sleep)

    # --- budgets ---

    def _budget(self, operation: str, own_limit: bool) -> _Budget:
        key = operation if own_limit else _GENERAL
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets.setdefault(key, _Budget(key))
        return budget

    def _line(self, budget: _Budget) -> Line:
        """Return the waiting requests of the running event loop."""
        lines = _lines.running()
        line = lines.get(budget)
        if line is None:
            line = lines[budget] = Line()
        return line


_lines: PerLoop[_Budget, Line] = PerLoop()
