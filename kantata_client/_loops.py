"""Values for each event loop, and slots to wait for. On asyncio they avoid the overhead of anyio."""

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
"""The user whose request the running task sends: any hashable value."""


class PerLoop(Generic[K, V]):
    """A value for each object in each event loop. It is dropped when the object or the loop is."""

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

    def peek(self, key: K) -> V | None:
        """The value of an object in the running event loop; `None` if there is none, or outside an event loop."""
        try:
            held = self._loops.get(running_loop())
        except Exception:  # noqa: BLE001 - whatever says that no event loop runs
            return None
        return None if held is None else held.get(key)

    def _forget_closed_loops(self) -> None:
        # A value may reference its loop, which would keep both alive.
        for loop in list(self._loops):
            if isinstance(loop, AbstractEventLoop) and loop.is_closed():
                del self._loops[loop]


def running_loop() -> object:
    """An object that identifies the running event loop: asyncio's loop or trio's token."""
    if on_asyncio():
        return get_running_loop()
    from anyio.lowlevel import current_token

    token: object = current_token()
    return getattr(token, "native_token", token)  # older versions of anyio return the native token itself


def on_asyncio() -> bool:
    """Whether the calling task runs on asyncio. Asking anyio takes ten times as long."""
    try:
        return current_task() is not None
    except RuntimeError:  # trio
        return False


class Slots:
    """A semaphore, used with `async with`, in which users take turns. Each user's requests keep their order of arrival.

    So many requests of one user do not delay those of others. Unlike with anyio's semaphore, cancelling a wait takes
    constant time, even if 100,000 calls wait and are cancelled together.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: OrderedDict[object, OrderedDict[Future[None] | Event, None]] = OrderedDict()

    def take(self) -> bool:
        """Take a slot if one is free, and return whether it was; then `release` it. This costs less than `async with`."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def wait(self) -> None:
        """Wait for a slot, and take it; then `release` it."""
        if on_asyncio():
            turn, owner = get_running_loop().create_future(), user.get()
            self._waiting.setdefault(owner, OrderedDict())[turn] = None
            try:
                await turn
            except BaseException:
                self._leave(owner, turn, granted=turn.done() and not turn.cancelled())
                raise
        else:
            from anyio import Event

            event, owner = Event(), user.get()
            self._waiting.setdefault(owner, OrderedDict())[event] = None
            try:
                await event.wait()
            except BaseException:
                self._leave(owner, event, granted=event.is_set())
                raise

    async def __aenter__(self) -> None:
        if not self.take():
            await self.wait()

    async def __aexit__(self, *error: object) -> None:
        self.release()

    def _leave(self, owner: object, turn: Future[None] | Event, *, granted: bool) -> None:
        if granted:
            self.release()
        elif queue := self._waiting.get(owner):
            queue.pop(turn, None)
            if not queue:
                del self._waiting[owner]

    def release(self) -> None:
        """Pass a slot on to the next request that waits."""
        while self._waiting:
            owner, queue = self._waiting.popitem(last=False)
            turn, _ = queue.popitem(last=False)
            if queue:
                self._waiting[owner] = queue
            if not isinstance(turn, Future):
                turn.set()
                return
            if not turn.done():  # it is done if its task was cancelled and has not run since
                turn.set_result(None)
                return
        self._free += 1
