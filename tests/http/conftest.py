"""A server on loopback that misbehaves on demand and keeps count of what reached it."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """The bytes of an HTTP response; header names are written with `_` for `-`."""
    fields = {"content-length": str(len(body)), "x-request-id": "r-1"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body


@dataclass
class Seen:
    """A request as it reached the server."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class FaultyServer:
    """Does one act for each request; the last one is repeated.

    Acts: bytes are answered as they are; `unread` resets when the first bytes came; `half` resets after a
    part of the body; `reset` after the whole request; `close` closes then; `silence` says nothing; `cut` closes in
    the middle of an answer.
    """

    acts: list[bytes | str]
    seen: list[Seen] = field(default_factory=list[Seen])
    port: int = 0
    connections: int = 0
    reached: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    async def handle(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            try:
                while await self.answer(stream):
                    pass
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                self.gone.set()

    async def answer(self, stream: SocketStream) -> bool:
        data = await stream.receive()
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        if act == "unread":
            return _reset(stream)
        while b"\r\n\r\n" not in data:
            data += await stream.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.seen.append(Seen(method, target, headers, body))
        self.reached.set()
        if act == "half":
            return _reset(stream)
        while not _complete(headers, body):
            body += await stream.receive()
            self.seen[-1].body = body
        if act == "reset":
            return _reset(stream)
        if act == "close":
            return False
        if act == "silence":
            await stream.receive()
            return False
        if act == "cut":
            act = answer(200, b"x" * 100)[:-50]
        assert isinstance(act, bytes)
        await stream.send(act)
        return b"x" * 50 not in act  # the rest of what was cut never comes


def _complete(headers: dict[str, str], body: bytes) -> bool:
    if "transfer-encoding" in headers:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(headers.get("content-length", "0"))


def _reset(stream: SocketStream) -> bool:
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


@asynccontextmanager
async def serving(*acts: bytes | str) -> AsyncIterator[FaultyServer]:
    """Serve for as long as the block lasts."""
    server = FaultyServer(list(acts))
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server.port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.handle)
        with anyio.fail_after(30):
            yield server
        tasks.cancel_scope.cancel()


@pytest.fixture(name="serving")
def serving_fixture():
    """`async with serving(act, …) as server`."""
    return serving


@pytest.fixture(name="answer")
def answer_fixture():
    """`answer(status, body, header="…")`: the bytes of a response."""
    return answer
