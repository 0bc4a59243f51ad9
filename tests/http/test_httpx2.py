"""`transport=` with transports of httpx2, the successor of httpx; `test_lanes` has their faults."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from kantata_client import FixedRate, Kantata, KantataConnectionError, UnknownOutcomeError, UsageError
from kantata_client._http import library
from kantata_client._http.library import adapted
from kantata_client.sandbox import Sandbox

httpx2 = pytest.importorskip("httpx2")
pytestmark = pytest.mark.anyio

ME = {"count": 1, "results": [{"key": "users", "id": "1"}], "users": {"1": {"id": "1", "full_name": "Ada"}}}


def client(transport: Any, **options: Any) -> Kantata:
    return Kantata("secret", transport=transport, throttle=FixedRate(1e6), **{"retries": 0, **options})


async def test_mock_transport_receives_requests_of_its_library() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=ME, headers={"x-request-id": "r-1"})

    async with client(httpx2.MockTransport(answer), timeout=7) as kantata:
        response = await kantata.users.with_response.me(include=["role"])
    assert response.value.full_name == "Ada"
    assert response.request_id == "r-1"
    assert str(seen[0].url) == "https://api.mavenlink.com/api/v1/users/me?include=role"
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert seen[0].extensions["timeout"]["read"] == 7


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx2.ConnectError("refused"), KantataConnectionError),
        (httpx2.ReadError("reset"), UnknownOutcomeError),
        (httpx2.WriteTimeout("slow"), UnknownOutcomeError),
        (httpx2.RemoteProtocolError("odd"), UnknownOutcomeError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
async def test_exceptions_of_httpx2_are_translated(error: Exception, expected: type[Exception]) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise error

    async with client(httpx2.MockTransport(fail)) as kantata:
        with pytest.raises(expected):
            await kantata.stories.create(workspace_id=1, title="x")


async def test_bodies_pass_in_both_directions() -> None:
    """Files as they are uploaded and downloaded, over the sandbox in process."""

    class Bridge(httpx2.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = adapted(inner)

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            content = await request.aread()
            sent = httpx.Request(
                request.method, str(request.url), headers=request.headers.raw, content=content
            )
            response = await self.inner.handle_async_request(sent)
            return httpx2.Response(
                response.status_code, headers=response.headers.raw, content=await response.aread()
            )

    sandbox = Sandbox(seed="demo")
    async with sandbox.client() as inner:
        bridge = Bridge(inner._transport._transport)
        async with Kantata(sandbox.token, base_url=inner.base_url, transport=bridge) as kantata:
            uploaded = await kantata.attachments.create(type="receipt", data=b"%PDF" * 1_000)
            assert uploaded.id
            assert await kantata.stories.list().count() > 1_000
            async with kantata.stream("GET", "/users/me") as response:
                assert b'"results"' in b"".join([chunk async for chunk in response])


def test_one_that_keeps_connections_belongs_to_its_event_loop() -> None:
    import anyio

    kantata = client(httpx2.AsyncHTTPTransport(), base_url="http://127.0.0.1:9/api/v1")

    async def fail() -> None:
        with pytest.raises(KantataConnectionError):
            await kantata.users.me()

    async def refuse() -> None:
        with pytest.raises(UsageError, match="used in another event loop"):
            await kantata.users.me()

    anyio.run(fail)
    anyio.run(refuse)


def test_transports_of_the_default_library_are_used_directly() -> None:
    transport = library.httpx.MockTransport(lambda request: library.httpx.Response(200))
    assert adapted(transport) is transport
