"""Injected faults: connections are reset, responses truncated, and writes committed or not as requested."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx
import pytest

from kantata_client import (
    FixedRate,
    Kantata,
    KantataConnectionError,
    NotFoundError,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
    Timeouts,
    UnknownOutcomeError,
    UsageError,
    ValidationError,
)
from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAST = RetryPolicy(retries=3, initial=0.001, maximum=0.002)
SHORT = Timeouts(connect=2, read=0.2, write=2)


@asynccontextmanager
async def connected(sandbox: Sandbox, way: str, **options: Any) -> AsyncIterator[Kantata]:
    """A client on a socket, or in process."""
    options = {"retries": FAST, "timeout": SHORT, "throttle": FixedRate(10_000), **options}
    if way == "in process":
        async with sandbox.client(**options) as kantata:
            yield kantata
    else:
        async with (
            sandbox.serve() as server,
            Kantata(server.token, base_url=server.url, **options) as kantata,
        ):
            yield kantata


both_ways = pytest.mark.parametrize("way", ["on a socket", "in process"])


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox("empty")


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)


@both_ways
@pytest.mark.parametrize("kind", ["reset", "timeout", "status"])
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.anyio
async def test_a_committed_fault_keeps_the_write_and_no_write_is_resent(
    sandbox: Sandbox, way: str, kind: str, committed: bool
) -> None:
    code = (503,) if kind == "status" else ()
    fault = getattr(sandbox.faults, kind)(*code, committed=committed, method="POST")
    async with connected(sandbox, way) as kantata:
        with pytest.raises(UnknownOutcomeError) as caught:
            await kantata.roles.create(name="Pilot")
    assert sandbox.store.count("roles") == committed
    assert fault.hits == 1
    assert posts(sandbox) == 1
    assert caught.value.sent == {"role": {"name": "Pilot"}}


@both_ways
@pytest.mark.anyio
async def test_a_truncated_response_makes_the_outcome_unknown(sandbox: Sandbox, way: str) -> None:
    sandbox.faults.cut(method="POST")
    async with connected(sandbox, way) as kantata:
        with pytest.raises(UnknownOutcomeError) as caught:
            await kantata.roles.create(name="Pilot")
    assert caught.value.status == 200
    assert sandbox.store.count("roles") == 1
    assert posts(sandbox) == 1


@both_ways
@pytest.mark.anyio
async def test_reads_are_retried_through_a_burst_of_faults(sandbox: Sandbox, way: str) -> None:
    sandbox.faults.status(429, times=2)
    sandbox.faults.reset(times=1)
    async with connected(sandbox, way) as kantata:
        assert (await kantata.users.me()).id == "1001"
    assert [request.status for request in sandbox.requests] == [429, 429, 0, 200]


@both_ways
@pytest.mark.anyio
async def test_a_write_survives_a_burst_of_429_exactly_once(sandbox: Sandbox, way: str) -> None:
    sandbox.faults.status(429, times=3, method="POST")
    async with connected(sandbox, way) as kantata:
        await kantata.roles.create(name="Pilot")
    assert sandbox.store.count("roles") == 1


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
@pytest.mark.anyio
async def test_error_responses_have_the_format_of_the_service(sandbox: Sandbox, code: int) -> None:
    sandbox.faults.status(code)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sandbox.app), base_url="http://127.0.0.1/api/v1/"
    ) as client:
        answer = await client.get("users/me")
    assert answer.status_code == code
    if code in (502, 504):
        assert answer.headers["content-type"] == "text/html"
    else:
        assert answer.json()["errors"][0]["type"] == "system"
        assert answer.headers["x-request-id"]


@pytest.mark.anyio
async def test_a_reset_is_a_tcp_reset(sandbox: Sandbox) -> None:
    sandbox.faults.reset()
    async with sandbox.serve() as server:
        parts = httpx.URL(server.url)

        def talk() -> None:
            with socket.create_connection((parts.host, parts.port), timeout=60) as plain:
                plain.sendall(b"GET /api/v1/users/me HTTP/1.1\r\nhost: x\r\n\r\n")
                plain.recv(1000)

        with pytest.raises(ConnectionResetError):
            await anyio.to_thread.run_sync(talk)


@pytest.mark.anyio
async def test_faults_match_by_method_path_after_and_times(sandbox: Sandbox) -> None:
    sandbox.faults.status(500, method="GET", path="/roles", after=1, times=2)
    async with connected(sandbox, "in process", retries=RetryPolicy(retries=0)) as kantata:
        await kantata.users.me()
        await kantata.roles.list().collect()
        for _ in range(2):
            with pytest.raises(ServerError):
                await kantata.roles.list().collect()
        await kantata.roles.list().collect()
        sandbox.faults.status(500, times=None)
        with pytest.raises(ServerError):
            await kantata.users.me()
        sandbox.faults.clear()
        await kantata.users.me()
    assert sandbox.faults.hits == {"status": 3}


@pytest.mark.anyio
async def test_chance_is_seeded() -> None:
    async def fates(seed: int) -> list[int]:
        sandbox = Sandbox("empty")
        sandbox.faults.random.seed(seed)
        sandbox.faults.status(403, chance=0.5, times=None)
        async with sandbox.client() as kantata:
            for _ in range(20):
                with suppress(PermissionDeniedError):
                    await kantata.users.me()
        return [request.status for request in sandbox.requests]

    assert await fates(7) == await fates(7) != await fates(8)


@pytest.mark.anyio
async def test_latency_combines_with_other_faults(sandbox: Sandbox) -> None:
    sandbox.faults.latency(0.15)
    sandbox.faults.status(500)
    async with connected(sandbox, "in process") as kantata:
        start = anyio.current_time()
        with pytest.raises(ServerError):
            await kantata.with_options(retries=0).users.me()
        assert anyio.current_time() - start >= 0.15


@pytest.mark.anyio
async def test_refuse_rejects_bodies_with_matching_items(sandbox: Sandbox) -> None:
    sandbox.faults.refuse(lambda item: item.get("name") == "Bad", message="has a bad name.")
    async with connected(sandbox, "in process") as kantata:
        with pytest.raises(ValidationError, match="has a bad name"):
            await kantata.roles.create(name="Bad")
        await kantata.roles.create(name="Good")
    assert sandbox.store.count("roles") == 1


@pytest.mark.anyio
async def test_a_closed_port_is_a_connection_error(sandbox: Sandbox) -> None:
    async with sandbox.serve() as server:
        url = server.url
    async with Kantata("x", base_url=url, retries=RetryPolicy(retries=0)) as kantata:
        with pytest.raises(KantataConnectionError, match="Nothing was carried out"):
            await kantata.roles.create(name="Pilot")


@pytest.mark.parametrize("path", ["users", "/api/v1/users"])
def test_the_path_of_a_fault_must_be_below_the_base_path(path: str) -> None:
    with pytest.raises(UsageError, match="such as '/time_entries'"):
        Sandbox("empty").faults.status(503, path=path)


@pytest.mark.anyio
async def test_the_method_of_a_fault_ignores_case() -> None:
    sandbox = Sandbox("empty")
    sandbox.faults.status(404, path="/users", method="get")
    async with sandbox.client() as kantata:
        with pytest.raises(NotFoundError):
            await kantata.users.get(1)
    assert sandbox.faults.hits.total() == 1


def test_an_unknown_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="'demo' or 'empty'"):
        Sandbox("demos")  # type: ignore[arg-type]
