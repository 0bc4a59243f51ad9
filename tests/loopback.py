"""The servers on loopback that tests talk to: one for raw bytes, one that fails on demand, one for ASGI applications."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
import attrs
import uvicorn
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from anyio.abc import SocketStream


@asynccontextmanager
async def listening(handle: Callable[[SocketStream], Awaitable[object]]) -> AsyncIterator[int]:
    """Call `handle` for each connection to the port that this gives; fails if the block takes two minutes."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        with anyio.fail_after(120):
            yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """The bytes of an HTTP response; header names have `_` in place of `-`."""
    fields = {"content-length": str(len(body)), "x-request-id": "r-1"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body


@attrs.define(eq=False)
class Seen:
    """A request as it reached the server."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@attrs.define(eq=False)
class FaultyServer:
    """Performs one act for each request, and repeats the last act.

    Acts: bytes are sent as the answer; `unread` resets the connection when the first bytes arrive, `half` when a part of
    the body has arrived, `reset` when the whole request has; `close` closes it then; `silence` never answers; `cut` closes
    it in the middle of an answer.
    """

    acts: list[bytes | str]
    seen: list[Seen] = attrs.field(factory=list[Seen])
    port: int = 0
    connections: int = 0
    reached: anyio.Event = attrs.field(factory=anyio.Event)
    gone: anyio.Event = attrs.field(factory=anyio.Event)

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
            reset(stream)
            return False
        while b"\r\n\r\n" not in data:
            data += await stream.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.seen.append(Seen(method, target, headers, body))
        self.reached.set()
        if act == "half":
            reset(stream)
            return False
        while not _complete(headers, body):
            body += await stream.receive()
            self.seen[-1].body = body
        if act == "reset":
            reset(stream)
            return False
        if act == "close":
            return False
        if act == "silence":
            await stream.receive()
            return False
        if act == "cut":
            act = answer(200, b"x" * 100)[:-50]
        assert isinstance(act, bytes)
        await stream.send(act)
        return b"x" * 50 not in act  # the rest of a cut answer never comes


def _complete(headers: dict[str, str], body: bytes) -> bool:
    if "transfer-encoding" in headers:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(headers.get("content-length", "0"))


def reset(stream: SocketStream) -> None:
    """Have the stream end in a reset when it is closed, with whatever was sent still under way."""
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def serving(*acts: bytes | str) -> AsyncIterator[FaultyServer]:
    """A `FaultyServer` for as long as the block lasts."""
    server = FaultyServer(list(acts))
    async with listening(server.handle) as server.port:
        yield server


class _Uvicorn(uvicorn.Server):
    def __init__(self, app: Any, lifespan: Literal["on", "off"]) -> None:
        config = uvicorn.Config(
            app, lifespan=lifespan, ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def served(app: Any, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    """Serve an ASGI application from a thread; gives its origin."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = _Uvicorn(app, lifespan)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert server.ready.wait(10)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class Shared:
    """A server for a whole run, whose application each test replaces: starting one for each would take longer."""

    def __init__(self) -> None:
        self.app: Any = None
        self.url = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
