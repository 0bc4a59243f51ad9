"""Doing several things at once and getting their results in order; nothing outlives the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")


async def in_order(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run all calls at once; their results in the order of the calls.

    Raises:
        Exception: What the first call (in that order) to fail raised, as it is and not in a group. The others are
            cancelled, and have ended by then.
    """
    if len(calls) == 1:
        return [await calls[0]()]
    import anyio

    results: dict[int, T] = {}
    failures: dict[int, Exception] = {}
    async with anyio.create_task_group() as group:

        async def run(index: int, call: Callable[[], Awaitable[T]]) -> None:
            try:
                results[index] = await call()
            except Exception as error:  # noqa: BLE001 - raised below, without the group around it
                failures[index] = error
                group.cancel_scope.cancel()

        for index, call in enumerate(calls):
            group.start_soon(run, index, call)
    if failures:
        raise failures[min(failures)]
    return [results[index] for index in range(len(calls))]
