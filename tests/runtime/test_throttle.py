"""The throttles, on a clock that stands still until somebody sleeps."""

from __future__ import annotations

import itertools

import anyio
import pytest

from kantata_client._throttle import AdaptiveThrottle, FixedRate
from kantata_client.errors import UsageError

pytestmark = pytest.mark.anyio


class Time:
    """A clock for one task: sleeping moves it."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def throttle(time):
    return AdaptiveThrottle(clock=time.clock, sleep=time.sleep)


async def send(throttle, time, count, gap, operation="GET /stories", own=False):
    """Let `count` requests out, `gap` seconds apart; the gaps that the throttle made of it."""
    times = []
    for _ in range(count):
        await throttle.acquire(operation, own)
        times.append(time.now)
        time.now += gap
    return [later - earlier for earlier, later in itertools.pairwise(times)]


async def test_nothing_waits_before_the_first_429(throttle, time):
    await send(throttle, time, 500, 0.0)
    assert time.slept == []


async def test_a_429_halves_the_observed_rate(throttle, time):
    await send(throttle, time, 50, 0.01)
    throttle.limited("GET /stories", False, None, 0.05)
    gaps = await send(throttle, time, 20, 0.0)
    assert gaps == pytest.approx([0.02] * 19, rel=0.05)


async def test_one_429_slows_all_operations(throttle, time):
    await send(throttle, time, 50, 0.01)
    throttle.limited("GET /stories", False, None, 0.05)
    gaps = await send(throttle, time, 20, 0.0, operation="POST /users")
    assert min(gaps) > 0.019


async def test_requests_under_way_slow_it_only_once(throttle, time):
    await send(throttle, time, 50, 0.01)
    for _ in range(20):
        throttle.limited("GET /stories", False, None, 0.4)
        time.now += 0.001
    assert min(await send(throttle, time, 5, 0.0)) == pytest.approx(0.02, rel=0.05)


async def test_rounds_of_refusals_wait_longer_but_do_not_lower_the_rate(throttle, time):
    await send(throttle, time, 50, 0.01)
    throttle.limited("x", False, None, 0.05)
    waits = []
    for _ in range(8):
        start = time.now
        await throttle.acquire("x", False)
        waits.append(time.now - start)
        time.now += 0.05
        throttle.limited("x", False, None, 0.04)
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])
    await throttle.acquire("x", False)
    throttle.succeeded("x", False)
    assert min(await send(throttle, time, 5, 0.0)) == pytest.approx(0.02, rel=0.05)


async def test_the_rate_grows_steadily_and_is_back_after_the_recovery(throttle, time):
    await send(throttle, time, 50, 0.01)
    throttle.limited("x", False, None, 0.05)
    start, rates = time.now, []
    while time.now - start < 30:
        before = time.now
        await throttle.acquire("x", False)
        throttle.succeeded("x", False)
        rates.append(1 / max(time.now - before, 1e-9))
    assert rates[1:] == sorted(rates[1:])
    assert rates[-1] == pytest.approx(100, rel=0.1)


async def test_a_limit_is_forgotten_after_a_long_time_without_a_429(throttle, time):
    await send(throttle, time, 50, 0.01)
    throttle.limited("x", False, None, 0.05)
    time.now += 301
    time.slept.clear()
    await send(throttle, time, 100, 0.0)
    assert time.slept == []


async def test_retry_after_holds_everybody(throttle, time):
    await send(throttle, time, 50, 0.01)
    throttle.limited("x", False, 7.0, 0.05)
    start = time.now
    await throttle.acquire("y", False)
    assert time.now - start == pytest.approx(7.0)


async def test_an_own_limit_slows_its_operation_only(throttle, time):
    await send(throttle, time, 50, 0.01, "POST /workspaces", own=True)
    throttle.limited("POST /workspaces", True, None, 0.05)
    time.slept.clear()
    await send(throttle, time, 20, 0.0)
    await send(throttle, time, 20, 0.0, "GET /workspaces", own=True)
    assert time.slept == []
    assert min(await send(throttle, time, 10, 0.0, "POST /workspaces", own=True)) > 0.019


async def test_an_operation_with_an_own_limit_heeds_the_general_one_too(throttle, time):
    await send(throttle, time, 50, 0.01)
    throttle.limited("GET /stories", False, None, 0.05)
    assert min(await send(throttle, time, 10, 0.0, "POST /workspaces", own=True)) > 0.019


async def test_a_hold_reaches_those_who_wait_already():
    time, released = Time(), []
    wake = anyio.Event()

    async def sleep(seconds):
        time.slept.append(seconds)
        if len(time.slept) == 1:
            await wake.wait()
        else:
            time.now += seconds

    throttle = FixedRate(1, clock=time.clock, sleep=sleep)

    async def wait():
        await throttle.acquire("x", False)
        released.append(time.now)

    await throttle.acquire("x", False)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            time.now += 1
            throttle.limited("x", False, 60.0, 0.1)
            wake.set()
    assert released == [1061.0]


async def test_a_fixed_rate_with_a_burst(time):
    throttle = FixedRate(10, 3, clock=time.clock, sleep=time.sleep)
    assert await send(throttle, time, 6, 0.0) == pytest.approx([0, 0, 0.1, 0.1, 0.1])
    time.now += 100
    assert await send(throttle, time, 5, 0.0) == pytest.approx([0, 0, 0.1, 0.1])
    throttle.succeeded("x", False)
    throttle.limited("x", False, None, 0.1)
    assert await send(throttle, time, 3, 0.0) == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize("arguments", [(0,), (-1,), (1, 0)])
def test_a_fixed_rate_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(UsageError):
        FixedRate(*arguments)


@pytest.mark.parametrize("argument", [{"decrease": 1}, {"decrease": 0}, {"recovery": 0}, {"slowest": 0}])
def test_an_adaptive_throttle_that_makes_no_sense_is_refused(argument):
    with pytest.raises(UsageError):
        AdaptiveThrottle(**argument)
