"""A sandbox on a socket, with a clock that tests move and a CDN that fails on demand."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import Kantata, RetryPolicy
from kantata_client.sandbox import Sandbox, Server
from kantata_client.sandbox.cdn import CDN_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Meddler:
    """The sandbox's application, with one planned fault for each of the next requests to the CDN.

    A number cuts the answer after so many bytes; `unanswered` lets the file in and cuts the answer; `unread` cuts
    before the file is read; a function is called before the request goes on.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.acts: list[int | str | Callable[[], None] | None] = []
        self.ranges: list[str | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(CDN_PATH):
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        self.ranges.append(headers[b"range"].decode() if b"range" in headers else None)
        act = self.acts.pop(0) if self.acts else None
        if act == "unread":
            await self.cut(send)
        elif act == "unanswered":
            await self.app(scope, receive, _ignore)
            await self.cut(send)
        elif isinstance(act, int):
            await self.app(scope, receive, _Cut(send, act))
        else:
            if callable(act):
                act()
            await self.app(scope, receive, send)

    async def cut(self, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"<", "more_body": True})
        raise ConnectionAbortedError("as the test wants it")


async def _ignore(message: Any) -> None:
    pass


class _Cut:
    def __init__(self, send: Any, left: int) -> None:
        self.send = send
        self.left = left

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            body = message["body"][: self.left]
            self.left -= len(body)
            await self.send({"type": "http.response.body", "body": body, "more_body": True})
            if not self.left:
                raise ConnectionAbortedError("as the test wants it")
        else:
            await self.send(message)


class World:
    """A sandbox that is served, and a client of it."""

    def __init__(self, sandbox: Sandbox, clock: Clock, meddler: Meddler, kantata: Kantata) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.meddler = meddler
        self.kantata = kantata

    @property
    def files(self) -> Any:
        return self.sandbox.store.files

    @property
    def paths(self) -> list[str]:
        """`METHOD /path` of each request to the API, in order."""
        return [f"{each.method} {each.path}" for each in self.sandbox.requests]


@asynccontextmanager
async def worlds(seed: Any = "empty", **options: Any) -> AsyncIterator[World]:
    clock = Clock()
    sandbox = Sandbox(seed, clock=clock)
    meddler = Meddler(sandbox.app)
    server: Any = Server(meddler, sandbox.token, "127.0.0.1", 0)  # pyright: ignore[reportArgumentType]
    options = {"retries": RetryPolicy(initial=0.01), **options}
    async with server, Kantata(sandbox.token, base_url=server.url, **options) as kantata:
        yield World(sandbox, clock, meddler, kantata)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    logging.getLogger("uvicorn.error").disabled = True  # the cuts are errors to it
    async with worlds() as world:
        yield world


@pytest.fixture(name="worlds")
def worlds_fixture() -> Any:
    """`async with worlds(seed, option=…) as world`."""
    logging.getLogger("uvicorn.error").disabled = True
    return worlds
