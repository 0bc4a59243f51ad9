"""Close connections when their event loop ends, even if the client was not closed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from weakref import ref

import anyio

from kantata_client._loops import on_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from weakref import ReferenceType

    import trio

    from kantata_client._http.connections import Connections


class Ending(Protocol):
    """A pending clean-up at the end of the event loop."""

    def release(self) -> None:
        """Cancel the clean-up, because the connections are closed."""
        ...


def at_the_end(connections: Connections) -> Ending:
    """Close connections when the running event loop ends or, on asyncio, when the returned object is garbage-collected."""
    return _AsyncioEnding(connections) if on_asyncio() else _TrioEnding(connections)


class _AsyncioEnding:
    """When an asyncio loop ends, it closes all unfinished async generators (`shutdown_asyncgens`), while it still runs."""

    def __init__(self, connections: Connections) -> None:
        self._generator: AsyncGenerator[None] | None = _closing(connections)
        with suppress(StopIteration):
            anext(self._generator).send(None)

    def release(self) -> None:
        """Do nothing: no task is waiting."""


class _TrioEnding:
    """A system task that sleeps until trio cancels it at the end, or until its connections are closed or collected."""

    def __init__(self, connections: Connections) -> None:
        import trio

        self._scope = scope = trio.CancelScope()
        token = trio.lowlevel.current_trio_token()

        def dropped(_: object) -> None:
            # Garbage collection can happen in any thread, and after trio has ended.
            with suppress(Exception):
                token.run_sync_soon(scope.cancel)

        # Only the task holds the reference. Anything that outlives the loop would keep the loop alive.
        left = ref(connections, dropped)
        trio.lowlevel.spawn_system_task(_wait, left, scope, name="kantata_client: connections")

    def release(self) -> None:
        """End the task."""
        self._scope.cancel()


async def _closing(connections: Connections) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await _close(connections)


async def _wait(connections: ReferenceType[Connections], scope: trio.CancelScope) -> None:
    with scope:
        try:
            await anyio.sleep_forever()
        finally:
            left = None if scope.cancel_called else connections()
            if left is not None:
                with anyio.CancelScope(shield=True):
                    await _close(left)


async def _close(connections: Connections) -> None:
    # An exception from the user's transport would end the event loop with an error that nobody can handle.
    with suppress(Exception), anyio.move_on_after(5):
        await connections.aclose(for_good=False)
    # asyncio closes a socket one iteration after its transport.
    await anyio.lowlevel.checkpoint()
