"""Run calls concurrently with ordered results, to completion despite cancellation, or in the background."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence

    from anyio import Event

T = TypeVar("T")


async def in_order(calls: Sequence[Callable[[], Awaitable[T]]]) -> tuple[list[T], Exception | None]:
    """Run calls concurrently.

    Returns:
        The results in the order of the calls, up to the first one (in that order) that failed; and its exception, or None.
        The calls after a failed one are cancelled, and have ended when this returns.
    """
    if len(calls) == 1:
        try:
            return [await calls[0]()], None
        except Exception as error:  # noqa: BLE001 - the caller raises it in its turn
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
    """Raise `KeyboardInterrupt` and `SystemExit` themselves, and not the exception group that a task group wraps them in."""
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
    """Complete a call that must not be interrupted. A cancellation is delivered after it."""
    import asyncio

    import anyio

    if anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
        results: list[T] = []
        with anyio.CancelScope(shield=True):
            results.append(await call())
        return results[0]
    # A shield of anyio blocks its own cancellations, but not those of asyncio (`asyncio.timeout`, `Task.cancel`).
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
        task.exception()  # retrieved, because the cancellation is raised instead
    raise cancellation


# --- background tasks ------------------------------------------------------------------------------------------------


class Job(Generic[T]):
    """A call in a background task.

    It references neither the walk that started it nor the results that were delivered.
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
        except Exception as error:  # noqa: BLE001 - the walk raises it in its turn
            self.error = error
        finally:
            self._group.jobs.discard(self)
            self._ended.set()

    async def ended(self) -> None:
        """Wait until the task has ended. Cancelling the wait does not cancel the task."""
        await self._ended.wait()

    def cancel(self) -> None:
        """Cancel the task, which ends shortly after. This can be called from any thread, at any time."""
        self._cancel()


class Ahead:
    """The background tasks of a client or of a walk. Closing it cancels them and waits for their end."""

    __slots__ = ("is_open", "jobs")

    def __init__(self) -> None:
        self.is_open = False
        """Whether tasks may be started, because the owner will call `aclose`."""
        self.jobs: set[Job[Any]] = set()

    def start(self, call: Callable[[], Awaitable[T]]) -> Job[T]:
        """Call a function in a background task."""
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
                if job.home is home:  # a job of another event loop can't be awaited in this one
                    await job.ended()


def _event_loop() -> object:
    """An object that identifies the running event loop."""
    import asyncio

    import anyio

    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        return asyncio.get_running_loop()
    import trio

    return trio.lowlevel.current_trio_token()


def _start(
    run: Callable[[Callable[[], Awaitable[T]]], Coroutine[Any, Any, None]], call: Callable[[], Awaitable[T]]
) -> tuple[object, Callable[[], None]]:
    """Start a task that runs until it ends or is cancelled.

    Returns:
        An object that identifies its event loop, and a function that cancels the task from any thread.
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

    # A nursery must be closed by the task that opened it, and async fixtures and some frameworks use another task.
    trio.lowlevel.spawn_system_task(scoped, context=contextvars.copy_context())

    def cancel_in_trio() -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(scope.cancel)

    return home, cancel_in_trio
