"""The throttles, on a clock that stands still until somebody sleeps."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
import re

import anyio
import pytest

from kantata_client._http.throttle import AdaptiveThrottle, FixedRate
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


class Shared:
    """A clock for many tasks: `run` moves it from one sleeper's end to the next."""

    def __init__(self):
        self.now, self.sleepers, self.sleeps = 0.0, [], 0

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.sleeps += 1
        wake = anyio.Event()
        heapq.heappush(self.sleepers, (self.now + seconds, self.sleeps, wake))
        await wake.wait()

    async def run(self, until):
        while True:
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            if not self.sleepers or self.sleepers[0][0] > until:
                break
            end, _, wake = heapq.heappop(self.sleepers)
            self.now = max(self.now, end)
            wake.set()
        self.now = max(self.now, until)


class Crowd:
    """Tasks that wait for a throttle; `left` has the number and the time of each that left."""

    def __init__(self, tasks, throttle, shared):
        self.tasks, self.throttle, self.shared, self.left = tasks, throttle, shared, []

    async def come(self, number):
        """One more, which waits already when this returns. Its scope gives it up."""
        scope = anyio.CancelScope()

        async def one():
            with scope:
                if not await self.throttle.acquire("x", False, 100.0):
                    self.left.append((number, round(self.shared.now, 6)))

        self.tasks.start_soon(one)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        return scope

    @property
    def times(self):
        return [time for _, time in self.left]


@pytest.fixture
def shared():
    return Shared()


@pytest.fixture
async def crowd(shared):
    """`crowd(throttle)`; whoever waits in the end is sent home."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            yield lambda throttle: Crowd(tasks, throttle, shared)
            tasks.cancel_scope.cancel()


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


async def test_no_request_waits_before_the_first_429(throttle, time):
    await send(throttle, time, 500, 0.0)
    assert time.slept == []


async def refuse(throttle, time, operation="x", own=False):
    """One request that leaves and is refused after 50 ms."""
    await throttle.acquire(operation, own)
    time.now += 0.05
    throttle.limited(operation, own, None, 0.05)


async def accept(throttle, time, operation="x", own=False):
    await throttle.acquire(operation, own)
    time.now += 0.05
    throttle.succeeded(operation, own)


async def test_after_a_429_requests_are_sent_one_by_one_until_one_is_accepted(throttle, time):
    await accept(throttle, time)
    await refuse(throttle, time)
    begun = time.now
    for _ in range(30):
        await refuse(throttle, time)
        if time.now - begun > 20:
            break
    # They are spread over the whole time, and come less and less often.
    assert 10 <= len(time.slept) <= 40
    waits = [seconds for seconds in time.slept if seconds > 0.1]
    assert waits[-1] > 4 * waits[0]
    assert waits[-1] < 0.2 * (time.now - begun)


async def test_a_probe_without_a_response_delays_others_only_briefly(throttle, time):
    await accept(throttle, time)
    await refuse(throttle, time)
    await throttle.acquire("x", False)  # and is cancelled, so that nobody hears of it
    begun = time.now
    await throttle.acquire("x", False)
    assert time.now - begun <= 1.0


async def test_a_429_slows_down_all_operations(throttle, time):
    for _ in range(50):
        await accept(throttle, time)
    await refuse(throttle, time)
    await accept(throttle, time)
    time.slept.clear()
    await send(throttle, time, 20, 0.0, operation="POST /users")
    assert len(time.slept) >= 19


async def test_429s_of_requests_in_flight_slow_down_only_once(throttle, time, caplog):
    await send(throttle, time, 50, 0.01)
    for _ in range(20):
        throttle.limited("GET /stories", False, None, 0.4)
        time.now += 0.001
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


async def test_a_limit_without_429s_is_forgotten_after_a_while(throttle, time):
    await accept(throttle, time)
    await refuse(throttle, time)
    await accept(throttle, time)
    time.now += 601
    time.slept.clear()
    await send(throttle, time, 100, 0.0)
    assert time.slept == []


async def test_the_log_shows_the_pause_and_the_rate_in_force(throttle, time, caplog):
    caplog.set_level(logging.INFO)
    for _ in range(100):
        await accept(throttle, time)
    await refuse(throttle, time)
    held = float(re.search(r"are paused for ([\d.e+-]+) s, and then sent one by one", caplog.messages[-1])[1])
    begun = time.now
    await throttle.acquire("x", False)
    assert time.now - begun == pytest.approx(held, rel=0.1)
    time.now += 0.05
    throttle.succeeded("x", False)
    rate = float(re.search(r"all requests are now sent at ([\d.e+]+) a second", caplog.messages[-1])[1])
    gaps = await send(throttle, time, 5, 0.0)
    assert max(gaps[1:]) == pytest.approx(1 / rate, rel=0.1)


async def test_retry_after_pauses_all_requests(throttle, time):
    await send(throttle, time, 50, 0.01)
    throttle.limited("x", False, 7.0, 0.05)
    start = time.now
    await throttle.acquire("y", False)
    assert time.now - start == pytest.approx(7.0)


async def test_a_429_of_an_own_limit_slows_down_only_its_operation(throttle, time):
    await accept(throttle, time, "POST /workspaces", own=True)
    await refuse(throttle, time, "POST /workspaces", own=True)
    time.slept.clear()
    await send(throttle, time, 20, 0.0)
    await send(throttle, time, 20, 0.0, "GET /workspaces", own=True)
    assert time.slept == []
    await accept(throttle, time, "POST /workspaces", own=True)
    assert time.slept != []
    time.slept.clear()
    await send(throttle, time, 5, 0.0, "POST /workspaces", own=True)
    assert len(time.slept) >= 4


async def test_a_retry_after_of_a_year_is_capped_and_probed(throttle, time, caplog):
    for text, asked in (("a pause of 400 nines", 9e399), ("a date in the year 9999", 2.5e11)):
        throttle.limited("x", False, asked, 0.05)
        begun = time.now
        assert await throttle.acquire("x", False, 300.0) == pytest.approx(3600.0), text
        assert await throttle.acquire("x", False) is None
        assert time.now - begun == pytest.approx(3600.0), text
        throttle.limited("x", False, None, 0.05)  # the probe is refused, and another one follows soon
        begun = time.now
        assert await throttle.acquire("x", False, 300.0) is None
        assert time.now - begun < 1000, text
        throttle.succeeded("x", False)
    assert "paused for 3600 s, as the service asked (it asked for ever)" in caplog.text


async def test_the_longest_pause_is_configurable(shared, crowd):
    for kind in (AdaptiveThrottle, lambda **options: FixedRate(1, **options)):
        throttle = kind(longest_pause=60.0, clock=shared.clock, sleep=shared.sleep)
        throttle.limited("x", False, 3600.0, 0.05)
        assert await throttle.acquire("x", False, 10.0) == pytest.approx(60.0)


async def test_all_waiting_requests_are_sent_at_the_rate(shared, crowd):
    throttle = crowd(FixedRate(10, clock=shared.clock, sleep=shared.sleep))
    for number in range(6):
        await throttle.come(number)
    await shared.run(0.35)
    await throttle.come(6)
    await shared.run(9)
    assert throttle.times == pytest.approx([number / 10 for number in range(7)])
    assert sorted(number for number, _ in throttle.left) == [*range(7)]


async def test_a_request_that_gives_up_leaves_no_gap(shared, crowd):
    throttle = crowd(FixedRate(1, clock=shared.clock, sleep=shared.sleep))
    scopes = [await throttle.come(number) for number in range(60)]
    await shared.run(0.5)
    for scope in scopes[1:59]:  # the first of those who wait, too
        scope.cancel()
    await shared.run(9)
    assert throttle.left == [(0, 0.0), (59, 1.0)]
    for _ in range(60):
        (await throttle.come(-1)).cancel()
    await shared.run(20)
    throttle.left.clear()
    await throttle.come(60)
    await shared.run(30)
    assert throttle.left == [(60, 20.0)]


async def test_callers_with_short_timeouts_still_get_turns(shared, crowd):
    """As many as can leave, each second anew, though twice as many come and each waits for half a second only.

    And not all of them at the last moment: an answer takes its time, too.
    """
    random.seed(4711)
    throttle = crowd(FixedRate(10, clock=shared.clock, sleep=shared.sleep))
    scopes, began = [], shared.now
    for tick in range(200):
        scopes.append(await throttle.come(tick))
        if tick >= 10:
            scopes[tick - 10].cancel()
        await shared.run(shared.now + 0.05)
    seconds = [sum(start <= time < start + 1 for time in throttle.times) for start in range(2, 10)]
    assert min(seconds) >= 9
    early = [number for number, time in throttle.left if time - (began + number * 0.05) <= 0.35]
    assert len(early) > len(throttle.left) / 2


async def test_a_pause_delays_requests_only_by_its_own_length(shared, crowd):
    fixed = crowd(FixedRate(1, clock=shared.clock, sleep=shared.sleep))
    for number in range(32):
        await fixed.come(number)
    await shared.run(2.0)
    fixed.throttle.limited("x", False, 1.0, 0.1)
    await shared.run(500)
    assert fixed.times == pytest.approx([0, 1, 2, *range(3, 32)])


async def test_a_long_queue_costs_one_sleep_per_request(shared, crowd):
    throttle = crowd(FixedRate(1000, clock=shared.clock, sleep=shared.sleep))
    for number in range(2000):
        await throttle.come(number)
    await shared.run(3)
    assert len(throttle.left) == 2000
    assert throttle.times[-1] == pytest.approx(1.999)
    assert shared.sleeps <= 2 * 2000


async def test_late_timers_keep_the_rate_but_a_stall_causes_no_burst(shared, crowd):
    throttle = crowd(FixedRate(10, clock=shared.clock, sleep=shared.sleep))
    for number in range(40):
        await throttle.come(number)
    for late in range(1, 11):
        shared.now += 0.13 if late % 2 else 0.07  # nobody woke in between
        await shared.run(shared.now)
    assert len(throttle.left) == 11
    shared.now += 2
    await shared.run(shared.now)
    assert len(throttle.left) <= 11 + 4
    await shared.run(shared.now + 1)
    assert len(throttle.left) <= 11 + 4 + 10


async def test_an_impatient_request_does_not_wait_behind_a_patient_one(shared, crowd):
    throttle = FixedRate(1, clock=shared.clock, sleep=shared.sleep)
    throttle.limited("x", False, 250.0, 0.1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(throttle.acquire, "x", False, 300.0)
        await shared.run(1.0)
        throttle.limited("x", False, 3600.0, 0.1)
        assert await throttle.acquire("x", False, 300.0) == pytest.approx(3600.0)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", [FixedRate, AdaptiveThrottle])
async def test_no_request_waits_for_a_pause_longer_than_its_patience(shared, crowd, caplog, kind):
    throttle = kind(*([1] if kind is FixedRate else []), clock=shared.clock, sleep=shared.sleep)
    asked = []

    async def wait(patience):
        asked.append(await throttle.acquire("x", False, patience))

    assert await throttle.acquire("x", False, 10.0) is None
    throttle.limited("x", False, None, 0.1)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait, 60.0)
        await shared.run(0.04)
        for _ in range(5):
            throttle.limited("x", False, 3600.0, 10.0)
        await shared.run(2.0)
        assert asked == pytest.approx([3600.04 - 1 if kind is FixedRate else 3600.04 - 0.1] * 3, abs=0.1)
        assert await throttle.acquire("x", False, 60.0) == pytest.approx(3598.04)
        tasks.start_soon(wait, 7200.0)
        await shared.run(3600.0)
        assert len(asked) == 3  # also longer than a limit is remembered otherwise
        await shared.run(3601.0)
        assert asked[3] is None
    assert [record.levelno for record in caplog.records if "as the service asked" in record.message] == [
        logging.WARNING
    ]
    assert "3.6e+03" not in caplog.text


def test_event_loops_do_not_block_each_other():
    throttle = FixedRate(50)

    async def begin():
        await throttle.acquire("x", False)
        waiting = [asyncio.ensure_future(throttle.acquire("x", False)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return waiting

    async def other():
        with anyio.fail_after(60):
            for _ in range(3):
                await throttle.acquire("x", False)

    async def end(waiting):
        with anyio.fail_after(60):
            await asyncio.gather(*waiting)

    loop = asyncio.new_event_loop()
    try:
        waiting = loop.run_until_complete(begin())
        anyio.run(other, backend="trio")
        loop.run_until_complete(end(waiting))
    finally:
        loop.close()


async def test_a_pause_applies_to_requests_that_already_wait():
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
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            time.now += 1
            throttle.limited("x", False, 60.0, 0.1)
            wake.set()
    assert released == [1061.0]


async def test_a_fixed_rate_allows_a_burst(time):
    throttle = FixedRate(10, 3, clock=time.clock, sleep=time.sleep)
    assert await send(throttle, time, 6, 0.0) == pytest.approx([0, 0, 0.1, 0.1, 0.1])
    time.now += 100
    assert await send(throttle, time, 5, 0.0) == pytest.approx([0, 0, 0.1, 0.1])
    throttle.succeeded("x", False)
    throttle.limited("x", False, None, 0.1)
    assert await send(throttle, time, 3, 0.0) == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize("arguments", [(0,), (-1,), (1, 0), ("5",), (True,), (float("nan"),), (1, "2")])
def test_invalid_arguments_of_a_fixed_rate_are_rejected(arguments):
    with pytest.raises(UsageError):
        FixedRate(*arguments)


@pytest.mark.parametrize(
    "argument",
    [
        {"slowest": 0},
        {"slowest": "1"},
        {"memory": 0},
        {"memory": True},
        {"longest_pause": -1},
        {"longest_pause": float("nan")},
    ],
)
def test_invalid_arguments_of_an_adaptive_throttle_are_rejected(argument):
    with pytest.raises(UsageError):
        AdaptiveThrottle(**argument)
