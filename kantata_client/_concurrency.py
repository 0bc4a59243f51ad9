"""Several calls at once with their results in order, one call to its end, and calls that go on in the background."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence

    from anyio import Event

T = TypeVar("T")


async def in_order(calls: Sequence[Callable[[], Awaitable[T]]]) -> tuple[list[T], Exception | None]:
    """Run all calls at once.

    Returns:
        The results in the order of the calls, up to the first call (in that order) that failed, and what it raised. The
        calls behind a failure are cancelled, and have ended by then.
    """
    if len(calls) == 1:
        try:
            return [await calls[0]()], None
        except Exception as error:  # noqa: BLE001 - the caller raises it, when its turn has come
            return [], error
    import anyio

    results: dict[int, T] = {}
    failures: dict[int, Exception] = {}
    scopes = [anyio.CancelScope() for _ in calls]

    async def run(index: int, call: Callable[[], Awaitable[T]]) -> None:
        with scopes[index]:
            try:
                results[index] = await call()
            except Exception as error:  # noqa: BLE001 - as above
                failures[index] = error
                for scope in scopes[index + 1 :]:
                    scope.cancel()

    with plainly():
        async with anyio.create_task_group() as group:
            for index, call in enumerate(calls):
                group.start_soon(run, index, call)
    first = min(failures, default=len(calls))
    return [results[index] for index in range(first)], failures.get(first)


@contextmanager
def plainly() -> Generator[None]:
    """Raise what ends the program (Ctrl-C) as it is, and not in the group that a task group makes of it."""
    try:
        yield
    except BaseExceptionGroup as group:
        ending = group.subgroup((KeyboardInterrupt, SystemExit))
        while isinstance(ending, BaseExceptionGroup):
            ending = ending.exceptions[0]
        if ending is None:
            raise
        raise ending from None


async def to_the_end(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do what must not be broken off in the middle: a cancellation comes through when it has ended."""
    import asyncio

    import anyio

    if anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
        results: list[T] = []
        with anyio.CancelScope(shield=True):
            results.append(await call())
        return results[0]
    # A shield of anyio's keeps its own cancellations away, but not those of asyncio (`asyncio.timeout`, `Task.cancel`).
    task = asyncio.create_task(call())
    cancellation: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancellation = error
    if cancellation is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # outdone by the cancellation
    raise cancellation


# --- tasks that go on while the caller does something else ---------------------------------------------------------


class Job(Generic[T]):
    """A call in a task of its own, which ends when the call does.

    It holds neither the walk that started it nor what was delivered.
    """

    __slots__ = ("_cancel", "_ended", "_group", "error", "home", "result")

    def __init__(self, group: Ahead, call: Callable[[], Awaitable[T]]) -> None:
        import anyio

        self.result: T | None = None
        self.error: Exception | None = None
        self._group = group
        self._ended: Event = anyio.Event()
        self.home, self._cancel = _start(self._run, call)

    async def _run(self, call: Callable[[], Awaitable[T]]) -> None:
        try:
            self.result = await call()
        except Exception as error:  # noqa: BLE001 - the walk raises it, when its turn has come
            self.error = error
        finally:
            self._group.jobs.discard(self)
            self._ended.set()

    async def ended(self) -> None:
        """Wait until the task has ended; a cancellation of the waiting leaves the task alone."""
        await self._ended.wait()

    def cancel(self) -> None:
        """Cancel the task, from any thread and at any time; it ends a moment later."""
        self._cancel()


class Ahead:
    """Tasks of a client or of a walk, which are cancelled and waited for when it is closed."""

    __slots__ = ("is_open", "jobs")

    def __init__(self) -> None:
        self.is_open = False
        """Whether somebody will close it, so that tasks may be started."""
        self.jobs: set[Job[Any]] = set()

    def start(self, call: Callable[[], Awaitable[T]]) -> Job[T]:
        """Call a function in a task."""
        job = Job(self, call)
        self.jobs.add(job)
        return job

    async def aclose(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        self.is_open = False
        jobs = list(self.jobs)
        for job in jobs:
            job.cancel()
        if jobs:
            home = _event_loop()
            for job in jobs:
                if job.home is home:  # those of another event loop can't be waited for in this one
                    await job.ended()


def _event_loop() -> object:
    """What is the same throughout one run of an event loop."""
    import asyncio

    import anyio

    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        return asyncio.get_running_loop()
    import trio

    return trio.lowlevel.current_trio_token()


def _start(
    run: Callable[[Callable[[], Awaitable[T]]], Coroutine[Any, Any, None]], call: Callable[[], Awaitable[T]]
) -> tuple[object, Callable[[], None]]:
    """Start a task that only its own end or a cancellation ends.

    Returns:
        Its event loop, and a function that cancels it from any thread.
    """
    import asyncio

    home = _event_loop()
    if isinstance(home, asyncio.AbstractEventLoop):
        task = home.create_task(run(call))

        def cancel() -> None:
            if not task.done() and not home.is_closed():
                home.call_soon_threadsafe(task.cancel)

        return home, cancel
    import contextvars

    import trio

    scope, token = trio.CancelScope(), trio.lowlevel.current_trio_token()

    async def scoped() -> None:
        with scope:
            await run(call)

    # A nursery would have to be left in the task that opened it, which async fixtures and some frameworks do not do.
    trio.lowlevel.spawn_system_task(scoped, context=contextvars.copy_context())

    def cancel_in_trio() -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(scope.cancel)

    return home, cancel_in_trio
