"""Servers on loopback for the OAuth tests."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest
import uvicorn

from kantata_client.oauth.app import Endpoints, OAuthApp
from tests.oauth.independent import CLIENT, REDIRECT, SECRET, Independent

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Server(uvicorn.Server):
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
    """An ASGI application in a thread; its origin."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = _Server(app, lifespan)
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


@pytest.fixture(scope="session")
def shared() -> Iterator[Shared]:
    server = Shared()
    with served(server) as server.url:
        yield server


@pytest.fixture
def independent(shared: Shared) -> Independent:
    server = Independent()
    shared.app, server.url = server.app, shared.url
    return server


@pytest.fixture
def app(independent: Independent) -> OAuthApp:
    return OAuthApp(
        CLIENT,
        SECRET,
        REDIRECT,
        scopes=["api_only", "offline_access"],
        endpoints=Endpoints.at(independent.url),
    )
