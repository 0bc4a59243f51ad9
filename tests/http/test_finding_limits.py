"""The adaptive throttle finds unknown limits, on a simulated clock."""

from __future__ import annotations

import asyncio
import math
import random
from itertools import pairwise
from statistics import mean

import pytest

from kantata_client._http.throttle import AdaptiveThrottle, FixedRate
from kantata_client._loops import user
from tests.http.simulation import Bucket, Limiter, Windows, run, simulate

WARM_UP = 20.0
"""Seconds after which the share counts; or two windows, if these are longer."""

RATES, TASKS, LATENCIES = [5, 20, 100], [1, 8, 64], [0.1, 0.2, 0.3]


def used_and_refused(limiter: Limiter, rate: float, window: float, tasks: int, latency: float):
    """The share of the limit that is used after the warm-up, and the share of 429s among the responses."""
    begin = max(WARM_UP, 2 * window)
    end = begin + max(120, 2 * window)
    seen = simulate(limiter, tasks=tasks, seconds=end, latency=latency)
    return seen.share(begin, end, min(rate, tasks / latency)), seen.refusals(begin, end)


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("burst", [False, True], ids=["no burst", "burst"])
@pytest.mark.parametrize("rate", RATES)
def test_token_buckets_are_used_but_rarely_exceeded(
    rate: int, burst: bool, tasks: int, latency: float
) -> None:
    used, refused = used_and_refused(Bucket(rate, rate if burst else 1), rate, 0, tasks, latency)
    assert used >= 0.92
    assert refused <= 0.02


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("seconds", [1, 10, 60])
@pytest.mark.parametrize("rate", RATES)
def test_fixed_windows_are_used_but_rarely_exceeded(
    rate: int, seconds: int, tasks: int, latency: float
) -> None:
    used, refused = used_and_refused(Windows(rate, seconds), rate, seconds, tasks, latency)
    assert used >= 0.92
    assert refused <= 0.02


@pytest.mark.parametrize("phase", [0.1, 0.4, 0.7])
@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("seconds", [1, 10, 60])
@pytest.mark.parametrize("rate", RATES)
def test_windows_that_begin_before_the_client_are_used_but_rarely_exceeded(
    rate: int, seconds: int, tasks: int, phase: float
) -> None:
    used, refused = used_and_refused(Windows(rate, seconds, phase), rate, seconds, tasks, 0.1)
    assert used >= 0.92
    assert refused <= 0.02


@pytest.mark.parametrize("latency", [0.2, 0.3])
@pytest.mark.parametrize("phase", [0.1, 0.4, 0.7])
@pytest.mark.parametrize("tasks", [8, 64])
@pytest.mark.parametrize("seconds", [1, 10])
@pytest.mark.parametrize("rate", [5, 20])
def test_the_bounds_of_unaligned_windows_are_slightly_wider_at_high_latencies(
    rate: int, seconds: int, tasks: int, phase: float, latency: float
) -> None:
    """A window of 50 requests leaves room for one 429, and its end has to be found by sending."""
    used, refused = used_and_refused(Windows(rate, seconds, phase), rate, seconds, tasks, latency)
    assert used >= 0.84
    assert refused <= 0.025


@pytest.mark.parametrize("burst", [False, True], ids=["no burst", "burst"])
@pytest.mark.parametrize("rate", [5, 20, 100])
def test_a_fivefold_increase_of_the_limit_is_found_within_20_seconds(rate: int, burst: bool) -> None:
    seen = simulate(Bucket(rate, rate if burst else 1), tasks=64, seconds=120, changes={60: 5.0})
    assert seen.share(80, 120, 5 * rate) >= 0.9
    assert seen.refusals(60, 120) <= 0.02


@pytest.mark.parametrize("latency", [0.2, 0.3])
@pytest.mark.parametrize("burst", [False, True], ids=["no burst", "burst"])
@pytest.mark.parametrize("rate", [5, 20, 100])
def test_a_fivefold_increase_is_found_at_high_latencies(rate: int, burst: bool, latency: float) -> None:
    """A bucket without a burst refuses every second request, so fewer than the limit are accepted while it is exceeded."""
    limiter = Bucket(rate, rate if burst else 1)
    seen = simulate(limiter, tasks=64, seconds=120, latency=latency, changes={60: 5.0})
    assert seen.share(80, 120, min(5 * rate, 64 / latency)) >= 0.92
    assert seen.refusals(80, 120) <= 0.02


@pytest.mark.parametrize("changed", [180, 200, 220])
def test_a_fivefold_increase_of_a_high_limit_of_long_windows_is_found(changed: int) -> None:
    seen = simulate(Windows(100, 60), tasks=64, seconds=480, changes={changed: 5.0})
    begin = math.ceil((changed + 120) / 60) * 60
    assert seen.share(begin, 480, 500) >= 0.92
    assert seen.refusals(begin, 480) <= 0.02


@pytest.mark.parametrize("rise", [0, 4, 8, 12, 16])
@pytest.mark.parametrize(
    ("rate", "seconds"), [(5, 1), (20, 1), (100, 1), (20, 10), (100, 10), (5, 60), (20, 60)]
)
def test_a_fivefold_increase_of_a_window_is_found_within_two_windows(
    rate: int, seconds: int, rise: int
) -> None:
    """Or within 20 seconds, if that is longer; wherever in a cycle of the throttle it happens."""
    changed = max(60, 4 * seconds) + rise * max(1, seconds // 10)
    begin = math.ceil((changed + max(WARM_UP, 2 * seconds)) / seconds) * seconds
    end = begin + max(30, seconds)
    seen = simulate(Windows(rate, seconds), tasks=64, seconds=end, changes={changed: 5.0})
    assert seen.share(begin, end, 5 * rate) >= 0.9


@pytest.mark.parametrize(
    "limiter", [Bucket(20, 1), Bucket(20, 20), Windows(20, 1), Windows(20, 10)], ids=repr
)
def test_a_falling_limit_is_found(limiter: Limiter) -> None:
    seen = simulate(limiter, tasks=64, seconds=180, changes={60: 0.2})
    assert seen.share(90, 180, 4) >= 0.92
    assert seen.refusals(90, 180) <= 0.02


@pytest.mark.parametrize("latency", [0.02, 0.3])
@pytest.mark.parametrize(
    "make_limiter", [lambda: Bucket(20, 20), lambda: Windows(20, 10)], ids=["bucket", "window"]
)
def test_the_limit_is_found_at_varying_latencies(make_limiter, latency: float) -> None:
    seen = simulate(make_limiter(), tasks=64, seconds=140, latency=latency, jitter=0.2)
    assert seen.share(WARM_UP, 140, 20) >= 0.9
    assert seen.refusals(WARM_UP, 140) <= 0.04


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "make_limiter", [lambda: Bucket(5, 1), lambda: Windows(20, 1)], ids=["bucket", "window"]
)
def test_each_of_many_tasks_gets_turns(make_limiter, seed: int) -> None:
    random.seed(seed)  # the order within a round is random
    seen = simulate(make_limiter(), tasks=64, seconds=180)
    turns = [sum(time > WARM_UP for time in times) for times in seen.turns]
    assert min(turns) >= 0.7 * mean(turns)
    assert max(turns) <= 1.3 * mean(turns) + 1
    longest = max(later - before for times in seen.turns for before, later in pairwise(times[1:]))
    assert longest <= 2.5 * 64 / 5


def test_no_request_waits_for_long_in_an_exhausted_window() -> None:
    """32 tasks read 1,500 pages at 300 requests a minute."""
    seen = simulate(Windows(5, 60), tasks=32, seconds=310)
    assert len(seen.accepted) >= 1450
    waits = [later - before for times in seen.turns for before, later in pairwise(times)]
    assert max(waits) < 100


@pytest.mark.parametrize("kind", ["adaptive", "fixed"])
def test_many_requests_of_one_user_do_not_delay_another_user(kind: str) -> None:
    """200 requests of one user wait, and each request of the other one is sent soon."""
    waited: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        clock = {"clock": loop.time, "sleep": asyncio.sleep}
        throttle = FixedRate(10, **clock) if kind == "fixed" else AdaptiveThrottle(**clock)
        limit = Bucket(10, 1)

        async def send() -> None:
            while True:
                await throttle.acquire("x", False)
                sent = loop.time()
                await asyncio.sleep(0.05)
                if limit.accepts(sent):
                    return throttle.succeeded("x", False)
                throttle.limited("x", False, None, 0.05)

        async def busy() -> None:
            user.set("alice")
            while True:
                await send()

        async def rare() -> None:
            user.set("bob")
            for _ in range(20):
                await asyncio.sleep(3.0)
                begun = loop.time()
                await send()
                waited.append(loop.time() - begun)

        tasks = [loop.create_task(busy()) for _ in range(200)]
        await rare()
        for task in tasks:
            task.cancel()

    run(main())
    assert mean(waited) < 0.6
    assert max(waited) < 2.0


def test_no_request_waits_before_the_first_429() -> None:
    seen = simulate(Bucket(1000, 1000), tasks=64, seconds=5, latency=0.1)
    assert len(seen.accepted) == pytest.approx(64 * 50, rel=0.03)
