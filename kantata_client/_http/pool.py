"""Connections kept for further requests: a stack of idle connections for each origin.

The sender limits how many requests are in flight, so the pool neither waits nor searches: a request takes the connection
that became idle last, or a new one.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from kantata_client._http.http11 import Connection
from kantata_client._http.streams import connect

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from kantata_client._http.storage_guard import StorageGuard
    from kantata_client._http.urls import Origin

_KEEPALIVE_EXPIRY = 5.0
"""Seconds after which an idle connection is not reused, because its server may be closing it."""


class Pool:
    """The idle connections of one client in one event loop."""

    def __init__(
        self, keep: int, tls: Callable[[], ssl.SSLContext], guard: StorageGuard | None = None
    ) -> None:
        """Make an empty pool.

        Args:
            keep: Most idle connections of an origin.
            tls: Returns the TLS context; called only for origins over HTTPS.
            guard: Checks the addresses of new connections.
        """
        self._keep = keep
        self._tls = tls
        self._guard = guard
        self._idle: dict[Origin, deque[Connection]] = {}
        self._busy: set[Connection] = set()

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._busy) + sum(map(len, self._idle.values()))

    async def take(self, origin: Origin, timeout: float | None) -> Connection:
        """Return an idle connection, or a new one.

        Raises:
            UsageError: TLS can't be set up, or the guard refuses an address of the host.
            TimeoutError: Connecting took longer than `timeout` seconds.
            OSError: Connecting failed.
        """
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if time.monotonic() - connection.idle_since < _KEEPALIVE_EXPIRY and not connection.stale():
                self._busy.add(connection)
                return connection
            connection.abort()
        scheme, host, port = origin
        tls = self._tls() if scheme == "https" else None
        connection = Connection(await connect(host, port, tls, timeout, self._guard))
        self._busy.add(connection)
        return connection

    def release(self, origin: Origin, connection: Connection) -> None:
        """Return a connection whose response was read to its end; it is kept if it can be reused."""
        if connection not in self._busy:
            return  # the pool was closed in the meantime
        if not connection.reusable():
            self.discard(connection)
            return
        self._busy.discard(connection)
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = deque()
        idle.append(connection)
        while len(idle) > self._keep or connection.idle_since - idle[0].idle_since > _KEEPALIVE_EXPIRY:
            idle.popleft().abort()

    def discard(self, connection: Connection) -> None:
        """Close a connection after a failure."""
        self._busy.discard(connection)
        connection.abort()

    def close(self) -> None:
        """Close all connections, including those in use."""
        idle, self._idle = self._idle, {}
        busy, self._busy = self._busy, set()
        for connection in [*(each for stack in idle.values() for each in stack), *busy]:
            connection.abort()
