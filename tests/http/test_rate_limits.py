"""What callers see of rate limits: 429s take time and no attempts, and users take turns."""

from __future__ import annotations

import asyncio
from statistics import mean
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from kantata_client import Kantata, RateLimitedError, RetryPolicy
from kantata_client._http.messages import Request
from kantata_client._http.throttle import AdaptiveThrottle, FixedRate
from kantata_client._http.tokens import as_provider
from kantata_client._http.transport import Transport
from tests.http.simulation import Windows, run

if TYPE_CHECKING:
    from kantata_client._http.throttle import Throttle

URL = "https://api.example/users/me"


class Service(httpx.AsyncBaseTransport):
    """Answers after a tenth of a second, by 429 when the limit says so."""

    def __init__(self, limit: Windows) -> None:
        self.limit = limit
        self.statuses: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        status = 200 if self.limit.accepts(asyncio.get_running_loop().time()) else 429
        self.statuses.append(status)
        await asyncio.sleep(0.1)
        return httpx.Response(status)


def connect(service: httpx.AsyncBaseTransport, throttle: Throttle | None = None, **options) -> Transport:
    loop = asyncio.get_running_loop()
    throttle = throttle or AdaptiveThrottle(clock=loop.time, sleep=asyncio.sleep)
    return Transport(
        base_url="https://api.example",
        transport=service,
        throttle=throttle,
        clock=loop.time,
        sleep=asyncio.sleep,
        **options,
    )


@pytest.mark.parametrize("tasks", [1, 8, 64])
def test_a_long_walk_succeeds_despite_a_one_minute_window(tasks: int) -> None:
    service = Service(Windows(5, 60))  # 300 requests a minute

    async def main() -> None:
        transport = connect(service)

        async def walk() -> None:
            for _ in range(900 // tasks):
                await transport.send(Request("GET", URL))

        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(walk)
        assert asyncio.get_running_loop().time() < 240
        await transport.aclose()

    run(main())
    assert service.statuses.count(200) == 900 // tasks * tasks
    assert service.statuses.count(429) < 150


@pytest.mark.parametrize("throttle", ["adaptive", "fixed"])
def test_endless_429s_raise_an_error_at_the_deadline_and_not_before(throttle: str) -> None:
    service = Service(Windows(0, 60))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        fixed = FixedRate(100, clock=loop.time, sleep=asyncio.sleep) if throttle == "fixed" else None
        transport = connect(service, fixed)
        with pytest.raises(RateLimitedError):
            await transport.send(Request("POST", URL))
        assert 250 <= loop.time() <= 450
        await transport.aclose()

    run(main())
    assert 8 <= len(service.statuses) <= 80


def test_a_policy_without_repetitions_sends_once() -> None:
    service = Service(Windows(0, 60))

    async def main() -> None:
        transport = connect(service, retries=RetryPolicy(retries=0))
        with pytest.raises(RateLimitedError):
            await transport.send(Request("GET", URL))
        await transport.aclose()

    run(main())
    assert service.statuses == [429]


def test_a_custom_throttle_leaves_the_backoff_to_the_client() -> None:
    class Free:
        async def acquire(self, operation: str, own_limit: bool, patience: float) -> None:
            pass

        def succeeded(self, operation: str, own_limit: bool) -> None:
            pass

        def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> None:
            pass

    service = Service(Windows(0, 60))

    async def main() -> None:
        transport = connect(service, Free(), retries=RetryPolicy(deadline=60))
        with pytest.raises(RateLimitedError):
            await transport.send(Request("GET", URL))
        await transport.aclose()

    run(main())
    assert 4 <= len(service.statuses) <= 60


def test_slow_calls_of_one_user_do_not_delay_another_user() -> None:
    """200 calls of three seconds each wait for four places; each call of the other user gets the next one."""
    waited: list[float] = []

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(3.0)
            return httpx.Response(200)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport = connect(Slow(), max_concurrency=4)
        many, few = as_provider("one-token"), as_provider("another-token")
        tasks = [loop.create_task(transport.send(Request("GET", URL), many)) for _ in range(200)]
        for _ in range(5):
            await asyncio.sleep(0.5)
            begun = loop.time()
            await transport.send(Request("GET", URL), few)
            waited.append(loop.time() - begun)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await transport.aclose()

    run(main())
    assert max(waited) <= 6.1
    assert mean(waited) <= 6.0


@pytest.mark.anyio
async def test_a_cancelled_call_passes_its_slot_on() -> None:
    release = anyio.Event()

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await release.wait()
            return httpx.Response(200, content=b"{}")

    done: list[int] = []
    async with Kantata("a-secret-token", transport=Slow(), max_concurrency=2) as kantata:

        async def call(number: int) -> None:
            await kantata.request("GET", "/x")
            done.append(number)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as outer:
                async with anyio.create_task_group() as inner:
                    for number in range(10):
                        inner.start_soon(call, number)
                    await anyio.wait_all_tasks_blocked()
                    inner.cancel_scope.cancel()
                for number in range(10, 20):
                    outer.start_soon(call, number)
                await anyio.wait_all_tasks_blocked()
                release.set()
    assert sorted(done) == list(range(10, 20))
