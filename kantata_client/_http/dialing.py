"""TCP connections: the addresses of a host are tried in turn, a little apart (happy eyeballs, RFC 8305).

The event loops' own ways to connect lose a socket when they are cancelled at the wrong moment.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from itertools import chain, zip_longest

import anyio

from kantata_client._loops import on_asyncio

_APART = 0.25
"""Seconds after which the next address is tried besides."""

Address = tuple[int, tuple[str | int, ...]]
"""Family, and what a socket of it connects to."""


async def dialed(host: str, port: int) -> socket.socket:
    """A non-blocking socket that is connected to a host.

    Raises:
        OSError: The host has no address, or none can be reached.
    """
    addresses = await _addresses(host, port)
    return await (_dial(addresses[0]) if len(addresses) == 1 else _first_of(addresses))


async def _addresses(host: str, port: int) -> list[Address]:
    """The addresses of a host, families in turn."""
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
    turns = chain.from_iterable(zip_longest(preferred, others))
    return [each for each in turns if each is not None]


async def _dial(address: Address) -> socket.socket:
    family, place = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if on_asyncio():
            await asyncio.get_running_loop().sock_connect(sock, place)
        else:
            import trio

            await trio.socket.from_stdlib_socket(sock).connect(place)
    except BaseException:
        sock.close()
        raise
    return sock


async def _first_of(addresses: list[Address]) -> socket.socket:
    """The first connection that is made to one of several addresses."""
    made: list[socket.socket] = []
    errors: list[OSError] = []
    failed = [anyio.Event() for _ in addresses]

    async def dial(index: int) -> None:
        try:
            made.append(await _dial(addresses[index]))
        except OSError as error:
            errors.append(error)
            failed[index].set()
        else:
            group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for index in range(len(addresses)):
                group.start_soon(dial, index)
                with anyio.move_on_after(_APART):
                    await failed[index].wait()
    except BaseException:
        _close(made)
        raise
    if not made:
        raise errors[0]
    _close(made[1:])
    return made[0]


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()
