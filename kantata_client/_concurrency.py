"""Doing several things at once and getting their results in order, or one thing to its end; nothing outlives the call."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence

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
