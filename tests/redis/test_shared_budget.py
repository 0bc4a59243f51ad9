"""Several processes share one rate budget through a real Redis."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest
from anyio.abc import SocketAttribute
from redis import Redis

from kantata_client import Kantata, RedisThrottle, UsageError
from tests.loopback import answer, listening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anyio.abc import SocketStream

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]

SECONDS = float(os.environ.get("KANTATA_SECONDS", "25"))

WORKER = """
import asyncio, json, sys, time
from kantata_client import Hooks, Kantata, RedisThrottle
counts = {}
def answered(event):
    counts[str(event.status)] = counts.get(str(event.status), 0) + 1
async def main(url, redis, seconds, tasks):
    end = time.monotonic() + seconds
    errors = []
    throttle, hooks = RedisThrottle(redis, "test"), Hooks(on_response=answered)
    async with Kantata("t", base_url=url, throttle=throttle, hooks=hooks) as kantata:
        async def work():
            while time.monotonic() < end:
                try:
                    await kantata.request("GET", "/x")
                except Exception as error:
                    errors.append(repr(error))
        await asyncio.gather(*(work() for _ in range(tasks)))
    print(json.dumps({"counts": counts, "errors": errors}))
asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
"""


@attrs.define
class Limited:
    """A service with a rate limit: a token bucket, or a count in windows of `window` seconds."""

    rate: float
    window: float | None = None
    accepted: int = 0
    refused: int = 0
    tokens: float = 0.0
    last: float = 0.0
    accepted_at: list[float] = attrs.field(factory=list)
    refused_at: list[float] = attrs.field(factory=list)

    def allows(self) -> bool:
        now = time.monotonic()
        if self.window is None:
            self.tokens = min(self.rate / 4, self.tokens + (now - self.last) * self.rate)
            self.last = now
            allowed = self.tokens >= 1
            self.tokens -= allowed
        else:
            if now // self.window != self.last:
                self.last, self.tokens = now // self.window, self.rate * self.window
            allowed = self.tokens >= 1
            self.tokens -= allowed
        self.accepted += allowed
        self.refused += not allowed
        (self.accepted_at if allowed else self.refused_at).append(now)
        return allowed

    async def handle(self, stream: SocketStream) -> None:
        buffer = b""
        async with stream:
            try:
                while True:
                    while b"\r\n\r\n" not in buffer:
                        buffer += await stream.receive()
                    buffer = buffer.partition(b"\r\n\r\n")[2]
                    await stream.send(answer(200 if self.allows() else 429))
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass


class Server:
    """A redis-server on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {"--port": str(self.port), "--bind": "127.0.0.1", "--save": "", "--dir": str(self.folder)}
        command = ["redis-server", *(each for pair in options.items() for each in pair)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise TimeoutError("redis-server does not listen")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


async def together(
    limited: Limited, redis: Server, processes: int, seconds: float, meanwhile: Any = None
) -> list[Any]:
    """Run client processes, and return what each counted."""
    found: list[Any] = []
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    with anyio.fail_after(seconds + 60):
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/api/v1"

        async def work() -> None:
            command = [sys.executable, "-c", WORKER, url, redis.url, str(seconds), "6"]
            ended = await anyio.run_process(command, stderr=None)
            found.append(json.loads(ended.stdout.splitlines()[-1]))

        async with listener, anyio.create_task_group() as serving:
            serving.start_soon(listener.serve, limited.handle)
            async with anyio.create_task_group() as group:
                for _ in range(processes):
                    group.start_soon(work)
                if meanwhile is not None:
                    await meanwhile()
            serving.cancel_scope.cancel()
    return found


@pytest.mark.measured
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("window", "least", "most"), [(None, 0.9, 0.03), (2.0, 0.9, 0.03)], ids=["bucket", "window"]
)
async def test_8_processes_find_and_use_an_unknown_limit(
    redis: Server, window: float | None, least: float, most: float
) -> None:
    limited = Limited(rate=60.0, window=window)
    found = await together(limited, redis, 8, SECONDS)
    assert [each["errors"] for each in found] == [[]] * 8
    # The first seconds, in which the limit is found, don't count.
    end = limited.accepted_at[-1] - 1
    begin = end + 1 - SECONDS * 0.6
    accepted = [at for at in limited.accepted_at if begin < at <= end]
    used = len(accepted) / (end - begin) / limited.rate
    refusals = sum(begin < at <= end for at in limited.refused_at)
    refused = refusals / (len(accepted) + refusals)
    assert used >= least, (used, refused)
    assert limited.refused <= 2 * most * limited.accepted  # with those before the limit was found
    assert refused <= most, (used, refused)
    shares = [each["counts"].get("200", 0) for each in found]
    assert min(shares) > 0.5 * max(shares)


@pytest.mark.asyncio
async def test_requests_continue_while_redis_is_down(redis: Server) -> None:
    limited = Limited(rate=60.0)
    counts: list[int] = []

    async def meanwhile() -> None:
        for act in (redis.kill, redis.start, lambda: None):
            await anyio.sleep(4)
            counts.append(limited.accepted)
            act()

    found = await together(limited, redis, 4, 14, meanwhile)
    assert [each["errors"] for each in found] == [[]] * 4
    phases = [later - earlier for earlier, later in pairwise([0, *counts])]
    assert min(phases) > 4  # with Redis, without it, and with it again
    connection = Redis.from_url(redis.url)
    assert connection.zcard("kantata:test:members") == 4
    connection.close()


def test_no_update_is_lost_when_many_threads_write_at_once(redis: Server) -> None:
    throttles = [RedisThrottle(redis.url, "busy") for _ in range(4)]

    def count(throttle: RedisThrottle) -> None:
        for _ in range(100):
            throttle.succeeded("GET /x", False)
            budget = throttle._budget("GET /x", False)
            while budget.events:
                throttle._update(budget, lambda limit, now: None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, throttles))
    connection = Redis.from_url(redis.url, decode_responses=True)
    state = json.loads(str(connection.hget("kantata:busy:general", "state")))
    connection.close()
    for throttle in throttles:
        throttle.close()
    assert state["_accepted"] == 400


@pytest.mark.anyio
async def test_429_for_one_client_holds_the_others(redis: Server) -> None:
    one, other = RedisThrottle(redis.url, "held"), RedisThrottle(redis.url, "held")
    assert await one.acquire("GET /x", False) is None
    one.limited("GET /x", False, None, 0.01)
    probe = None
    with anyio.move_on_after(60):
        while probe is None:  # Redis is updated in another thread
            probe = one._budget("GET /x", False).refusing or None
            await anyio.sleep(0.01)
    assert await other.acquire("GET /y", False) is None  # sent as the only probe
    with anyio.move_on_after(0.3) as scope:
        await one.acquire("GET /x", False)  # waits for the answer to the probe, a second at most
    assert scope.cancelled_caught
    other.succeeded("GET /y", False)
    with anyio.fail_after(60):
        assert await one.acquire("GET /x", False) is None
    one.close()
    other.close()


@pytest.mark.anyio
async def test_unreachable_redis_warns_once_and_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    throttle = RedisThrottle("redis://127.0.0.1:9/0", first=500)
    limited = Limited(rate=10_000)
    limited.tokens = 1_000
    caplog.set_level(logging.WARNING, "kantata_client")
    async with (
        listening(limited.handle) as port,
        Kantata("t", base_url=f"http://127.0.0.1:{port}/api/v1", throttle=throttle) as kantata,
    ):
        for _ in range(20):
            await kantata.request("GET", "/x")
    assert limited.accepted == 20
    assert len([each for each in caplog.records if "Redis does not respond" in each.message]) == 1
    throttle.close()


@pytest.mark.anyio
async def test_retry_after_pauses_all_clients(redis: Server) -> None:
    one, other = RedisThrottle(redis.url, "pause"), RedisThrottle(redis.url, "pause")
    assert await one.acquire("GET /x", False) is None
    one.limited("GET /x", False, 30.0, 0.01)
    left = None
    for _ in range(500):  # Redis is updated in another thread
        left = await other.acquire("GET /y", False, 5.0)
        if left is not None:
            break
    assert left is not None
    assert 25 < left <= 30
    assert await other.acquire("GET /workspaces", True, 5.0) is None  # this operation has its own limit
    one.close()
    other.close()


def test_invalid_arguments_raise_without_showing_the_url() -> None:
    with pytest.raises(UsageError, match="slowest <= first"):
        RedisThrottle("redis://localhost", first=0)
    with pytest.raises(UsageError, match="must begin with redis://") as caught:
        RedisThrottle("http://user:secret@localhost")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(RedisThrottle("redis://user:secret@localhost"))
