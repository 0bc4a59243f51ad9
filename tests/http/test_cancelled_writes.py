"""A write that is cancelled leaves nothing behind, over this client's connections and over a transport of httpx."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from kantata_client import FixedRate, Kantata
from kantata_client._http import library

if TYPE_CHECKING:
    from anyio.abc import SocketStream


async def deaf(stream: SocketStream) -> None:
    """A server that accepts a connection and never reads from it."""
    async with stream:
        await anyio.sleep_forever()


@pytest.mark.parametrize("transport", [None, httpx.AsyncHTTPTransport], ids=["ours", "httpx"])
@pytest.mark.anyio
async def test_a_cancelled_json_write_leaves_no_generator(transport: Any) -> None:
    given = transport() if transport is not None else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as group,
        ):
            group.start_soon(listener.serve, deaf)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            url = f"http://127.0.0.1:{port}/api/v1"
            async with Kantata("t", base_url=url, transport=given, throttle=FixedRate(1e6)) as kantata:
                with anyio.move_on_after(0.3) as scope:
                    await kantata.request("POST", "/stories", json={"story": {"title": "x" * 30_000_000}})
                assert scope.cancelled_caught
                gc.collect()
            group.cancel_scope.cancel()
        gc.collect()
    assert [str(each.message) for each in caught] == []


def test_all_hosts_share_one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making one reads all certificates of this machine, which takes 20 ms and half a megabyte."""
    made: list[Any] = []
    create = httpx.create_ssl_context

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(create(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(library.httpx, "create_ssl_context", counted)

    async def main() -> None:
        import socket

        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
            port = closed.getsockname()[1]
            base = f"https://localhost:{port}/api/v1"
            async with Kantata("t", base_url=base, retries=0, throttle=FixedRate(1e6)) as kantata:
                from kantata_client._http.messages import Request

                for host in ("localhost", "127.0.0.1", "127.0.0.2", "127.0.0.3"):
                    url = f"https://{host}:{port}/x"
                    with pytest.raises(Exception, match="no connection"):
                        await kantata._session.transport.send(Request("GET", url))

    anyio.run(main)
    assert len(made) == 1
