"""Sending over the client's own connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from kantata_client._http.adapters import UnconnectedError
from kantata_client._http.headers import Headers
from kantata_client._http.http11 import BrokenError, UnsentError
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from kantata_client._http.http11 import Connection, RawHeaders
    from kantata_client._http.pool import Pool
    from kantata_client._http.prepared import PreparedRequest
    from kantata_client._http.urls import Origin


class HTTP11Adapter:
    """Sends over the connections of a `Pool`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def limits_total(self, request: PreparedRequest) -> bool:
        """Always: each read knows the deadline."""
        return True

    async def send(self, request: PreparedRequest, total: float | None) -> HTTP11Answer:
        """Send a request; see `Adapter`."""
        origin = request.origin
        try:
            connection = await self._pool.take(origin, request.timeouts.connect)
        except TimeoutError as error:
            raise UnconnectedError from error
        except OSError as error:
            raise UnconnectedError(str(error) or type(error).__name__) from None
        except UnicodeError:
            raise UsageError(f"{origin[1][:100]!r} is not the name of a host") from None
        try:
            status, headers = await _exchanged(connection, request, total)
        except UnsentError as error:
            self._pool.discard(connection)
            raise UsageError(f"{request.method} can't be sent: {error}") from None
        except BaseException:
            self._pool.discard(connection)
            raise
        return HTTP11Answer(status, Headers(headers), connection, self._pool, origin)

    async def aclose(self) -> None:
        """Close all connections."""
        self._pool.close()


async def _exchanged(
    connection: Connection, request: PreparedRequest, total: float | None
) -> tuple[int, RawHeaders]:
    """Send a request, and return status and headers of the response."""
    times, refused = request.timeouts, None
    try:
        await connection.send(
            request.method.encode("ascii"),
            request.path,
            request.headers,
            request.body,
            read=times.read,
            write=times.write,
            total=total,
        )
    except OSError as error:
        if request.upload_error is error:
            raise
        if isinstance(error, TimeoutError):
            raise TimeoutError("the request was not accepted in time") from None
        # A server may refuse an upload before its end, and close the connection: its response may have arrived.
        refused = error
    try:
        return await connection.head()
    except BrokenError:
        if refused is not None:
            raise refused from None
        raise


class HTTP11Answer:
    """A response; its connection returns to the pool at the end of the body."""

    __slots__ = ("_connection", "_origin", "_pool", "arrived", "content", "headers", "status")

    def __init__(
        self, status: int, headers: Headers, connection: Connection, pool: Pool, origin: Origin
    ) -> None:
        self.status = status
        self.headers = headers
        self.content: bytes | None = None
        self.arrived: bytes | None = None
        self._connection: Connection | None = connection
        self._pool = pool
        self._origin = origin

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise StopAsyncIteration
        try:
            return await anext(connection)
        except StopAsyncIteration:
            self._connection = None
            self._pool.release(self._origin, connection)
            raise
        except BaseException:
            self._connection = None
            self._pool.discard(connection)
            raise

    async def aclose(self) -> None:
        """Close the connection if the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.discard(connection)
