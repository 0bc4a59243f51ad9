"""Doing several things at once and getting their results in order; nothing outlives the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

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

    async with anyio.create_task_group() as group:
        for index, call in enumerate(calls):
            group.start_soon(run, index, call)
    first = min(failures, default=len(calls))
    return [results[index] for index in range(first)], failures.get(first)
