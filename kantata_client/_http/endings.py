"""Closing connections when their event loop ends, whether or not the client was closed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import ref

import anyio

from kantata_client._loops import on_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from weakref import ReferenceType

    from kantata_client._http.connection import Connections


def at_the_end(connections: Connections) -> object:
    """Close connections when the running event loop ends, or, on asyncio, when what this returns is dropped."""
    if not on_asyncio():
        import trio

        trio.lowlevel.spawn_system_task(_wait, ref(connections), name="kantata_client: connections")
        return None
    # asyncio closes the asynchronous generators that are left when it ends (`shutdown_asyncgens`), in the loop.
    generator = _closing(connections)
    with suppress(StopIteration):
        anext(generator).send(None)
    return generator


async def _closing(connections: Connections) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await _close(connections)


async def _wait(connections: ReferenceType[Connections]) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        left = connections()
        if left is not None:
            with anyio.CancelScope(shield=True):
                await _close(left)


async def _close(connections: Connections) -> None:
    # What a transport of the user's raises here would end the event loop with an error, and nobody can act on it.
    with suppress(Exception), anyio.move_on_after(5):
        await connections.aclose(for_good=False)
    # asyncio closes a socket one step after its transport.
    await anyio.lowlevel.checkpoint()
