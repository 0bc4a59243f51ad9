"""The CPU time of a small request at different numbers of requests in flight.

`python -m benchmarks.concurrency LANE URL REQUESTS IN_FLIGHT` prints the costs of one run as JSON;
`python -m benchmarks.concurrency serve LATENCY JITTER` prints its port, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.measure import ROOT, Line, by_turns, in_new_process
from benchmarks.plot import plot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from benchmarks.measure import Report

_ME = json.dumps(
    {
        "count": 1,
        "results": [{"key": "users", "id": "7"}],
        "users": {
            "7": {"id": "7", "full_name": "Ada", "email_address": "ada@example.com", "headline": "Engineer"}
        },
        "meta": {"count": 1, "page_count": 1, "page_number": 1, "page_size": 20},
    }
).encode()
_ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: b\r\ncontent-length: %d\r\n\r\n%s"
    % (
        len(_ME),
        _ME,
    )
)

LATENCY, JITTER = 0.05, 0.02
"""Seconds until the server answers, plus or minus the jitter."""

LANES = ("kantata", "kantata over aiohttp", "httpx.AsyncClient", "aiohttp")
NUMBERS = (8, 32, 200, 1_000, 5_000)


class _Connection(asyncio.Protocol):
    def __init__(self, latency: float, jitter: float) -> None:
        self._latency, self._jitter = latency, jitter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        wait = self._latency + random.uniform(-self._jitter, self._jitter)
        asyncio.get_running_loop().call_later(wait, self._transport.write, _ANSWER)


async def _serve(latency: float, jitter: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(latency, jitter), "127.0.0.1", 0, backlog=8_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def serving(latency: float = LATENCY, jitter: float = JITTER) -> Iterator[str]:
    """The base URL of a server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.concurrency", "serve", str(latency), str(jitter)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/api/v1"
        server.communicate(timeout=10)


def more_files() -> None:
    """Allow as many open files as this machine lets a process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _of_kantata(url: str, most: int, transport: Any, measure: Callable[..., Awaitable[Any]]) -> Any:
    from kantata_client import Kantata

    async with Kantata("secret", base_url=url, max_concurrency=most, transport=transport) as kantata:

        async def one() -> None:
            assert (await kantata.users.me()).full_name == "Ada"

        return await measure(one)


async def _of_httpx(url: str, most: int, measure: Callable[..., Awaitable[Any]]) -> Any:
    import httpx

    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
    headers = {"authorization": "Bearer secret"}
    async with httpx.AsyncClient(limits=limits, timeout=60, headers=headers) as client:

        async def one() -> None:
            response = await client.get(f"{url}/users/me")
            assert response.json()["users"]["7"]["full_name"] == "Ada"

        return await measure(one)


async def _of_aiohttp(url: str, most: int, measure: Callable[..., Awaitable[Any]]) -> Any:
    import aiohttp

    headers = {"authorization": "Bearer secret"}
    connector = aiohttp.TCPConnector(limit=most)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def one() -> None:
            async with session.get(f"{url}/users/me") as response:
                assert json.loads(await response.read())["users"]["7"]["full_name"] == "Ada"

        return await measure(one)


async def _run(lane: str, url: str, requests: int, in_flight: int) -> dict[str, float]:
    async def measure(one: Callable[[], Awaitable[None]]) -> dict[str, float]:
        await asyncio.gather(*(one() for _ in range(in_flight)))  # opens the connections
        gc.collect()
        left = requests

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await one()

        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"cpu": cpu / requests * 1e6, "wall": wall}

    if lane == "httpx.AsyncClient":
        return await _of_httpx(url, in_flight, measure)
    if lane == "aiohttp":
        return await _of_aiohttp(url, in_flight, measure)
    return await _of_kantata(url, in_flight, "aiohttp" if "aiohttp" in lane else None, measure)


def microseconds(lane: str, url: str, in_flight: int) -> float:
    """CPU time of a request, in a new process."""
    requests = max(1_000, 2 * in_flight) if in_flight <= 200 or lane != "httpx.AsyncClient" else in_flight
    return in_new_process("concurrency", lane, url, str(requests), str(in_flight))["cpu"]


def lines(rounds: int, drawn: Path, report: Report | None = None) -> list[Line]:
    """Measure a request on each lane and at each number in flight, in alternation."""
    points: dict[str, list[tuple[float, float]]] = {lane: [] for lane in LANES}
    with serving() as url:
        things = {
            f"{lane} at {number}": lambda lane=lane, number=number: microseconds(lane, url, number)
            for lane in LANES
            for number in NUMBERS
            if lane != "httpx.AsyncClient" or number <= 200  # it takes minutes beyond
        }
        measured = by_turns(rounds, things, report)
    for lane in LANES:
        points[lane] = [
            (number, measured.value(f"{lane} at {number}"))
            for number in NUMBERS
            if f"{lane} at {number}" in things
        ]
    plot(drawn, "CPU of a small request (µs) over requests in flight", points, across="requests in flight")

    def line(what: str, reference: str, target: float | None) -> Line:
        ratio = measured.ratio(what, reference)
        return Line(f"users.me: {what}", measured.value(what), "µs CPU", reference, ratio, target)

    return [
        line("kantata at 1000", "kantata at 8", 1.2),
        line("kantata at 5000", "kantata at 8", 1.4),
        line("kantata at 8", "httpx.AsyncClient at 8", 0.85),
        line("kantata at 32", "httpx.AsyncClient at 32", 0.85),
        line("kantata at 200", "httpx.AsyncClient at 200", None),
        line("kantata over aiohttp at 32", "aiohttp at 32", 1.5),
        line("kantata over aiohttp at 1000", "aiohttp at 1000", 1.5),
    ]


if __name__ == "__main__":
    more_files()
    if sys.argv[1] == "serve":
        asyncio.run(_serve(float(sys.argv[2]), float(sys.argv[3])))
    else:
        print(json.dumps(asyncio.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
