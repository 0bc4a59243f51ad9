"""What sends one request: the client's own connections, aiohttp, or a transport of httpx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from kantata_client._http.prepared import PreparedRequest


class UnconnectedError(Exception):
    """No connection was made, so nothing was sent."""


class Answer(Protocol):
    """A response whose body is unread: iterate over it for the body, as sent, and close it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content(self) -> bytes | None:
        """The whole body, already decompressed, if the adapter returns it at once."""
        ...

    @property
    def arrived(self) -> bytes | None:
        """The whole body as sent, if it has arrived with the headers; the response then needs no closing."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """Keep the connection if the body was read to its end; otherwise close it."""
        ...


class Adapter(Protocol):
    """Sends one request at a time over each of its connections."""

    def limits_total(self, request: PreparedRequest) -> bool:
        """Whether it enforces the total timeout itself, if the task that sends a request also reads its response."""
        ...

    async def send(self, request: PreparedRequest, total: float | None) -> Answer:
        """Send a request.

        Args:
            request: The request; its timeouts apply.
            total: Seconds from the end of the request to the end of the response, if the adapter enforces it.

        Raises:
            UnconnectedError: There is no connection; nothing was sent.
            TimeoutError: A timeout was exceeded.
            UsageError: The request is not valid HTTP, or TLS cannot be set up; nothing was sent.
            Exception: Anything else means that the exchange failed.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
