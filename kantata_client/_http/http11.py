"""One HTTP/1.1 connection with one exchange at a time: the protocol of h11 with I/O and timeouts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import h11

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from kantata_client._http.streams import Stream

_MAX_HEAD = 100_000
"""Largest status line and headers of a response, in bytes."""

RawHeaders = list[tuple[bytes, bytes]]


class UnsentError(Exception):
    """The request is not valid HTTP; no byte of it was sent."""


class BrokenError(Exception):
    """The exchange failed after some of the request may have been sent."""


class Connection:
    """An HTTP/1.1 connection over a stream.

    Call `send`, then `head`, then iterate over the connection for the body, then `reusable`. After an exception, `abort`.
    """

    __slots__ = ("_deadline", "_h11", "_read", "_stream", "_total", "_write", "idle_since")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self._read: float | None = None
        self._write: float | None = None
        self._total: float | None = None
        self._deadline: float | None = None
        self.idle_since = 0.0
        """When its last exchange ended, in seconds of `time.monotonic`."""

    async def send(
        self,
        method: bytes,
        target: bytes,
        headers: RawHeaders,
        body: bytes | AsyncIterable[bytes],
        *,
        read: float | None,
        write: float | None,
        total: float | None,
    ) -> None:
        """Send a request.

        Args:
            method: HTTP method.
            target: Path and query.
            headers: All headers, including `host`.
            body: The body, or an async iterable of its pieces.
            read: Seconds to wait for each piece of the response.
            write: Seconds for each piece of the request to be accepted.
            total: Seconds from the end of the request to the end of the response.

        Raises:
            UnsentError: The request is not valid HTTP.
            BrokenError: The connection broke.
            TimeoutError: A piece was not accepted in time.
        """
        self._read, self._write, self._total, self._deadline = read, write, total, None
        protocol = self._h11
        try:
            data = protocol.send(h11.Request(method=method, target=target, headers=headers)) or b""
            if isinstance(body, bytes):
                if body:
                    data += protocol.send(h11.Data(data=body)) or b""
                data += protocol.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as error:
            raise UnsentError(str(error)) from None
        await self._stream.write(data, write)
        if not isinstance(body, bytes):
            async for piece in body:
                if piece:
                    await self._stream.write(self._framed(h11.Data(data=piece)), write)
            await self._stream.write(self._framed(h11.EndOfMessage()), write)
        if total is not None:
            self._deadline = time.monotonic() + total

    async def head(self) -> tuple[int, RawHeaders]:
        """Read status and headers of the response.

        Raises:
            BrokenError: The connection ended, or the response is not HTTP.
            TimeoutError: The response did not arrive in time.
        """
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event.status_code, event.headers.raw_items()
            if not isinstance(event, h11.InformationalResponse):
                raise BrokenError("the server closed the connection without an answer")

    def __aiter__(self) -> Self:
        """Iterate over the pieces of the body."""
        return self

    async def __anext__(self) -> bytes:
        event = await self._event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        raise StopAsyncIteration

    def reusable(self) -> bool:
        """Whether another request can be sent. Call it after the body was read to its end."""
        protocol = self._h11
        if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
            return False
        rest, closed = protocol.trailing_data
        if rest or closed:
            # Bytes after the response, such as a second one, must not become the answer to the next request.
            return False
        protocol.start_next_cycle()
        self.idle_since = time.monotonic()
        return True

    def stale(self) -> bool:
        """Whether the idle connection must not be reused."""
        return self._stream.stale()

    def abort(self) -> None:
        """Close the connection at once."""
        self._stream.abort()

    def _framed(self, event: h11.Data | h11.EndOfMessage) -> bytes:
        try:
            return self._h11.send(event) or b""
        except h11.LocalProtocolError as error:
            raise BrokenError(str(error)) from None

    async def _event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        protocol = self._h11
        while True:
            try:
                event = protocol.next_event()
            except h11.RemoteProtocolError as error:
                raise BrokenError(str(error)) from None
            if event is not h11.NEED_DATA:
                return event
            timeout = self._read
            if self._deadline is not None:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    raise self._late()
                if timeout is None or left < timeout:
                    data = await self._before_the_deadline(left)
                else:
                    data = await self._stream.read(timeout)
            else:
                data = await self._stream.read(timeout)
            if not data and protocol.their_state is h11.SEND_RESPONSE:
                raise BrokenError("the server closed the connection without an answer")
            protocol.receive_data(data)

    async def _before_the_deadline(self, left: float) -> bytes:
        try:
            return await self._stream.read(left)
        except TimeoutError:
            raise self._late() from None

    def _late(self) -> TimeoutError:
        return TimeoutError(f"no complete answer within {self._total:.3g} s")
