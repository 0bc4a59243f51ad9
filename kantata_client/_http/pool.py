"""Connections that are kept for further requests: a stack of idle ones for each origin.

How many requests are in flight is bounded above, so nothing here waits or searches: a request takes the connection that was
idle last, or makes one.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from kantata_client._http.http11 import Connection
from kantata_client._http.streams import connected

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

Origin: TypeAlias = tuple[bytes, str, int]
"""Scheme, host and port."""

_EXPIRY = 5.0
"""Seconds after which an idle connection is not used again: its server may be closing it."""


class Pool:
    """The idle connections of one client in one event loop."""

    def __init__(self, keep: int, tls: Callable[[], ssl.SSLContext]) -> None:
        """Make an empty pool.

        Args:
            keep: Most idle connections of an origin.
            tls: Gives the TLS context; called for origins over HTTPS only.
        """
        self._keep = keep
        self._tls = tls
        self._idle: dict[Origin, deque[Connection]] = {}
        self._busy: set[Connection] = set()

    async def take(self, origin: Origin, timeout: float | None) -> Connection:
        """An idle connection, or a new one.

        Raises:
            UsageError: TLS can't be set up.
            TimeoutError: There was no connection within `timeout` seconds.
            OSError: There is no connection.
        """
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if time.monotonic() - connection.idle_since < _EXPIRY and not connection.stale():
                self._busy.add(connection)
                return connection
            connection.abort()
        scheme, host, port = origin
        tls = self._tls() if scheme == b"https" else None
        connection = Connection(await connected(host, port, tls, timeout))
        self._busy.add(connection)
        return connection

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose response was read to its end, if it can be used again."""
        if connection not in self._busy:
            return  # the pool was closed meanwhile
        if not connection.reusable():
            self.discard(connection)
            return
        self._busy.discard(connection)
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = deque()
        idle.append(connection)
        while len(idle) > self._keep or connection.idle_since - idle[0].idle_since > _EXPIRY:
            idle.popleft().abort()

    def discard(self, connection: Connection) -> None:
        """Close a connection after a failure."""
        self._busy.discard(connection)
        connection.abort()

    def close(self) -> None:
        """Close all connections, those in use as well."""
        idle, self._idle = self._idle, {}
        busy, self._busy = self._busy, set()
        for connection in [*(each for stack in idle.values() for each in stack), *busy]:
            connection.abort()
