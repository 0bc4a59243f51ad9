"""What belongs to one event loop of several, and waiting in it; on asyncio without a detour through anyio."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future, current_task, get_running_loop
from collections import OrderedDict
from contextvars import ContextVar
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from anyio import Event

K = TypeVar("K")
V = TypeVar("V")


user: ContextVar[object] = ContextVar("kantata_client: user", default=None)
"""Whose request the running task sends: anything that can be hashed."""


class PerLoop(Generic[K, V]):
    """A value for each object in each event loop; it goes away with either of the two."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[object, WeakKeyDictionary[K, V]] = WeakKeyDictionary()

    def running(self) -> WeakKeyDictionary[K, V]:
        """The values of the running event loop."""
        loop = running_loop()
        held = self._loops.get(loop)
        if held is None:
            self._forget_closed_loops()
            held = self._loops[loop] = WeakKeyDictionary()
        return held

    def _forget_closed_loops(self) -> None:
        # A value may hold its loop, which would keep both alive.
        for loop in list(self._loops):
            if isinstance(loop, AbstractEventLoop) and loop.is_closed():
                del self._loops[loop]


def running_loop() -> object:
    """What identifies the running event loop: the loop of asyncio, the token of trio."""
    if on_asyncio():
        return get_running_loop()
    from anyio.lowlevel import current_token

    token: object = current_token()
    return getattr(token, "native_token", token)  # older versions of anyio give the native token itself


def on_asyncio() -> bool:
    """Whether the calling task belongs to asyncio; asking anyio costs ten times as much."""
    try:
        return current_task() is not None
    except RuntimeError:  # trio
        return False


class Places:
    """A bounded number of places, taken with `async with`; users take turns, and their requests go in order of arrival.

    Many requests of one user do not hold up those of the others. Unlike anyio's semaphore it takes constant time to stop
    waiting, too: 100,000 calls may wait, and be cancelled together.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: OrderedDict[object, OrderedDict[Future[None] | Event, None]] = OrderedDict()

    async def __aenter__(self) -> None:
        if self._free:
            self._free -= 1
        elif on_asyncio():
            turn, whose = get_running_loop().create_future(), user.get()
            self._waiting.setdefault(whose, OrderedDict())[turn] = None
            try:
                await turn
            except BaseException:
                self._leave(whose, turn, given=turn.done() and not turn.cancelled())
                raise
        else:
            from anyio import Event

            event, whose = Event(), user.get()
            self._waiting.setdefault(whose, OrderedDict())[event] = None
            try:
                await event.wait()
            except BaseException:
                self._leave(whose, event, given=event.is_set())
                raise

    async def __aexit__(self, *error: object) -> None:
        self._pass_on()

    def _leave(self, whose: object, turn: Future[None] | Event, *, given: bool) -> None:
        if given:
            self._pass_on()
        elif line := self._waiting.get(whose):
            line.pop(turn, None)
            if not line:
                del self._waiting[whose]

    def _pass_on(self) -> None:
        while self._waiting:
            whose, line = self._waiting.popitem(last=False)
            turn, _ = line.popitem(last=False)
            if line:
                self._waiting[whose] = line
            if not isinstance(turn, Future):
                turn.set()
                return
            if not turn.done():  # it is when its task was cancelled and has not run since
                turn.set_result(None)
                return
        self._free += 1
