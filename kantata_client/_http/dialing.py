"""TCP connections: several addresses of a host are tried at staggered times (Happy Eyeballs, RFC 8305).

The functions of asyncio and trio that connect to a host leak a socket if they are cancelled at the wrong moment.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import anyio

from kantata_client._loops import on_asyncio

if TYPE_CHECKING:
    from kantata_client._http.storage_guard import StorageGuard

_ATTEMPT_DELAY = 0.25
"""Seconds after which the next address is tried as well, while the earlier ones are still being tried."""

Address = tuple[int, tuple[str | int, ...]]
"""Address family and socket address."""


async def dial(host: str, port: int, guard: StorageGuard | None) -> socket.socket:
    """Connect a non-blocking socket to a host, if `guard` allows its addresses.

    Raises:
        UsageError: The guard refuses an address.
        OSError: The host has no address, or no address can be reached.
    """
    addresses = await _addresses(host, port)
    if guard is not None:
        await guard.check(host, [str(target[0]) for _, target in addresses])
    return await (_connected(addresses[0]) if len(addresses) == 1 else _race(addresses))


async def _addresses(host: str, port: int) -> list[Address]:
    """The addresses of a host, with address families alternating (RFC 8305, section 4)."""
    try:
        address = ip_address(host)
    except ValueError:
        pass
    else:
        return [(socket.AF_INET if address.version == 4 else socket.AF_INET6, (host, port))]
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found:
        raise OSError(f"{host} has no address")
    addresses: list[Address] = [(each[0], each[4]) for each in found]
    preferred = [each for each in addresses if each[0] == addresses[0][0]]
    others = [each for each in addresses if each[0] != addresses[0][0]]
    alternating = chain.from_iterable(zip_longest(preferred, others))
    return [each for each in alternating if each is not None]


async def _connected(address: Address) -> socket.socket:
    family, target = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if on_asyncio():
            await asyncio.get_running_loop().sock_connect(sock, target)
        else:
            import trio

            await trio.socket.from_stdlib_socket(sock).connect(target)
    except BaseException:
        sock.close()
        raise
    return sock


async def _race(addresses: list[Address]) -> socket.socket:
    """Connect to several addresses, and return the socket that is connected first."""
    connected: list[socket.socket] = []
    errors: list[OSError] = []
    failed = [anyio.Event() for _ in addresses]

    async def attempt(index: int) -> None:
        try:
            connected.append(await _connected(addresses[index]))
        except OSError as error:
            errors.append(error)
            failed[index].set()
        else:
            group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for index in range(len(addresses)):
                group.start_soon(attempt, index)
                with anyio.move_on_after(_ATTEMPT_DELAY):
                    await failed[index].wait()
    except BaseException:
        _close(connected)
        raise
    if not connected:
        raise errors[0]
    _close(connected[1:])
    return connected[0]


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()
