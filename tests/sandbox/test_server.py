"""The sandbox with this package's client, in process and on a socket, on asyncio and trio."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from kantata_client import Kantata
from kantata_client.sandbox.serving import _reached_at

if TYPE_CHECKING:
    from kantata_client.sandbox import Sandbox

pytestmark = pytest.mark.anyio


async def test_the_client_works_in_process(sandbox: Sandbox) -> None:
    async with sandbox.client() as kantata:
        assert (await kantata.users.me()).full_name == "Ada Thornvale"
        entries = kantata.time_entries.list(include=["user", "story", "workspace"], workspace_id=10002)
        seen = [(entry.user.full_name, entry.story.title, entry.workspace.title) async for entry in entries]
        assert len(seen) == len(sandbox.store.find("time_entries", "workspace_id", "10002"))
        story = await kantata.stories.create(workspace_id=10002, title="Kick-off")
        assert sandbox.store.get("stories", story.id) is not None


async def test_the_client_works_on_a_socket(sandbox: Sandbox) -> None:
    threads = set(threading.enumerate())
    async with sandbox.serve() as server:
        assert server.url.startswith("http://127.0.0.1:")
        async with Kantata(server.token, base_url=server.url) as kantata:
            pages = kantata.stories.list(workspace_id=10003, per_page=10).pages(concurrency=4)
            assert [len(page.items) async for page in pages] == [10] * 5
    assert not [thread for thread in set(threading.enumerate()) - threads if thread.name == "kantata-sandbox"]
    with pytest.raises(RuntimeError, match="not listening"):
        _ = server.url


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        *(("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1")),
        *(("192.0.2.7", "192.0.2.7"), ("localhost", "localhost")),
    ],
)
async def test_unspecified_addresses_are_reached_at_loopback(host: str, reached: str) -> None:
    assert _reached_at(host) == reached


async def test_the_port_is_free_after_many_connections(sandbox: Sandbox) -> None:
    async with sandbox.serve() as server:
        port = int(server.url.split(":")[2].partition("/")[0])
        headers = {"authorization": f"Bearer {server.token}"}
        async with httpx.AsyncClient(headers=headers) as client, anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(client.get, f"{server.url}/users/me")
        assert len(sandbox.requests) == 20
        assert server.token not in repr(server)
    socket.create_server(("127.0.0.1", port)).close()
    async with sandbox.serve(port=port) as server:
        assert f":{port}/" in server.url


async def test_cancellation_stops_the_server(sandbox: Sandbox) -> None:
    with anyio.move_on_after(0.3) as scope:
        async with sandbox.serve():
            await anyio.sleep(10)
    assert scope.cancelled_caught
    assert not [thread for thread in threading.enumerate() if thread.name == "kantata-sandbox"]


async def test_a_port_in_use_is_an_error(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match=r"(?i)in use"):
        async with sandbox.serve(port=taken.getsockname()[1]):
            pass


async def test_every_connection_has_tcp_nodelay(sandbox: Sandbox) -> None:
    """With Nagle's algorithm, each request on a kept connection would wait some 40 ms for an acknowledgement."""
    delays: list[int] = []
    inner = sandbox.app

    async def observed(scope, receive, send) -> None:
        connection = send.__self__.transport.get_extra_info("socket")
        delays.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await inner(scope, receive, send)

    sandbox.app = observed
    headers = {"authorization": f"Bearer {sandbox.token}"}
    async with sandbox.serve() as server, httpx.AsyncClient(headers=headers) as client:
        for _ in range(100):
            assert (await client.get(f"{server.url}/users/me")).status_code == 200
    assert len(delays) == 100
    assert all(delays)
