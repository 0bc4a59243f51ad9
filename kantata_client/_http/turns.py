"""Choose which waiting request is sent next: users take turns, and so do the tasks of each user, in random order."""

from __future__ import annotations

import math
import random
from collections import OrderedDict

import anyio

from kantata_client._loops import user


class Turn:
    """A waiting request."""

    __slots__ = ("gone", "served", "woken")

    def __init__(self, served: float) -> None:
        self.woken = anyio.Event()
        self.served = served
        """When the same task last had a turn."""
        self.gone = False


class _Queue:
    """The waiting requests of one user, served in rounds: each task gets one turn in a round.

    The order within a round is random. In order of arrival, if more requests come than may be sent and each gives up after a
    while, all of them would be sent just before they give up, and no caller would get a response. A round ends after as many
    turns as it began with, so that new tasks can't keep out those that had their turn.
    """

    __slots__ = ("began", "later", "now", "turns")

    def __init__(self, began: float) -> None:
        self.began = began
        self.now: list[Turn] = []
        self.later: list[Turn] = []
        self.turns = 1

    def add(self, turn: Turn) -> None:
        if turn.served >= self.began:
            self.later.append(turn)
            return
        self.now.append(turn)
        if turn.served > -math.inf:
            self.turns += 1  # its request was in flight when the round began, so the round includes it

    def draw(self, time: float) -> Turn | None:
        while True:
            if not self.now or self.turns <= 0:
                self.now += self.later
                self.later = []
                self.began, self.turns = time, len(self.now)
                if not self.now:
                    return None
            drawn = random.randrange(len(self.now))
            self.now[drawn], self.now[-1] = self.now[-1], self.now[drawn]
            turn = self.now.pop()
            if not turn.gone:
                self.turns -= 1
                return turn


class Line:
    """The waiting requests of one event loop. Only the first of them watches the clock."""

    __slots__ = ("__weakref__", "_gone", "_queues", "_waiting", "first")

    def __init__(self) -> None:
        self.first: Turn | None = None
        self._queues: OrderedDict[object, _Queue] = OrderedDict()
        self._waiting = 0
        self._gone = 0

    def join(self, turn: Turn, time: float) -> None:
        """Add a request, which becomes the first if no other waits."""
        if self.first is None:
            self.first = turn
            turn.woken.set()
            return
        owner = user.get()
        queue = self._queues.get(owner)
        if queue is None:
            queue = self._queues[owner] = _Queue(time)
        queue.add(turn)
        self._waiting += 1

    def leave(self, turn: Turn, time: float) -> None:
        """Remove a request, whether it is sent or gave up."""
        if self.first is not turn:
            turn.gone = True
            self._gone += 1
            if self._gone > 64 and self._gone > self._waiting // 2:
                self._sweep()
            return
        self.first = self._draw(time)
        if self.first is not None:
            self.first.woken.set()

    def _draw(self, time: float) -> Turn | None:
        while self._queues:
            owner, queue = self._queues.popitem(last=False)
            turn = queue.draw(time)
            if turn is not None:
                if queue.now or queue.later:
                    self._queues[owner] = queue
                self._waiting -= 1
                return turn
        self._waiting = self._gone = 0
        return None

    def _sweep(self) -> None:
        """Remove the requests that gave up."""
        for queue in self._queues.values():
            queue.now = [turn for turn in queue.now if not turn.gone]
            queue.later = [turn for turn in queue.later if not turn.gone]
        self._waiting = sum(len(queue.now) + len(queue.later) for queue in self._queues.values())
        self._gone = 0
