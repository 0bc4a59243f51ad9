"""Several processes that share a limit they don't know, simulated without waiting."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import attrs
import pytest

from kantata_client._http.shared_throttle import Entry, SharedThrottle
from tests.http.shared_simulation import EPOCH, FakeStore, simulate_processes
from tests.http.simulation import Bucket, Limiter, Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WARM_UP = 20.0


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    logger = logging.getLogger("kantata_client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize(
    "limit",
    [lambda: Bucket(60, 15), lambda: Bucket(60, 60), lambda: Bucket(10, 5), lambda: Bucket(200, 50)],
    ids=["60", "60, burst 60", "10", "200"],
)
def test_8_processes_use_a_bucket(limit: Callable[[], Bucket]) -> None:
    bucket = limit()
    shared = simulate_processes(bucket, seconds=80)
    assert shared.seen.share(WARM_UP, 80, bucket.rate) >= 0.93
    assert shared.seen.refusals(0, 80) <= 0.03
    assert min(shared.counts) > 0.8 * max(shared.counts)
    assert shared.store.exchanges < 4 * sum(shared.counts)


@pytest.mark.parametrize(
    ("rate", "window"), [(60, 1), (60, 2), (20, 10)], ids=["60 in 1 s", "120 in 2 s", "200 in 10 s"]
)
def test_8_processes_use_a_count_in_windows(rate: float, window: float) -> None:
    shared = simulate_processes(Windows(rate, window, 0.4), seconds=160)
    assert shared.seen.share(2 * WARM_UP, 160, rate) >= 0.9
    assert shared.seen.refusals(0, 160) <= 0.03
    assert min(shared.counts) > 0.8 * max(shared.counts)


@pytest.mark.parametrize("phase", [0.1, 0.4, 0.8])
def test_windows_of_two_seconds_are_found_within_a_few(phase: float) -> None:
    """The refused requests of the first windows, in which the limit is found, are included."""
    shared = simulate_processes(Windows(60, 2, phase), seconds=40)
    assert shared.seen.refusals(0, 40) <= 0.03
    assert shared.seen.share(0, 40, 60) >= 0.9
    assert shared.seen.refusals(10, 40) <= 0.015


@pytest.mark.parametrize("processes", [1, 3, 20])
def test_the_number_of_processes_does_not_matter(processes: int) -> None:
    shared = simulate_processes(Bucket(60, 15), seconds=60, processes=processes, tasks=6)
    assert shared.seen.share(WARM_UP, 60, 60) >= 0.93
    assert shared.seen.refusals(0, 60) <= 0.03


def test_slow_store_costs_little() -> None:
    shared = simulate_processes(Bucket(60, 15), seconds=60, store_latency=0.02)
    assert shared.seen.share(WARM_UP, 60, 60) >= 0.9
    assert shared.seen.refusals(0, 60) <= 0.03


def test_falling_and_rising_limit_is_followed() -> None:
    def change(factor: float) -> Callable[[Limiter, FakeStore], object]:
        return lambda limiter, store: limiter.change(factor)

    shared = simulate_processes(Bucket(60, 15), seconds=140, changes={40: change(0.25), 80: change(4)})
    assert shared.seen.share(50, 80, 15) >= 0.9
    assert shared.seen.share(110, 140, 60) >= 0.9
    assert shared.seen.refusals(0, 140) <= 0.04


def switch(*, down: bool, empty: bool = False) -> Callable[[Limiter, FakeStore], object]:
    def act(limiter: Limiter, store: FakeStore) -> None:
        store.down = down
        if empty:
            store.state.clear()

    return act


@pytest.mark.parametrize("empty", [False, True], ids=["restored", "empty"])
def test_processes_use_their_share_while_the_store_is_down(empty: bool) -> None:
    shared = simulate_processes(
        Bucket(60, 15), seconds=90, changes={30: switch(down=True), 60: switch(down=False, empty=empty)}
    )
    assert shared.seen.share(30, 60, 60) >= 0.75
    assert shared.seen.share(65, 90, 60) >= 0.9
    assert shared.seen.refusals(0, 90) <= 0.03


def test_store_that_never_responds_does_not_stop_requests() -> None:
    shared = simulate_processes(Bucket(60, 15), seconds=30, processes=2, changes={0: switch(down=True)})
    assert sum(shared.counts) > 30 * 30
    assert shared.store.exchanges == 0


def test_store_whose_clock_is_set_back_does_not_stop_requests() -> None:
    def set_back(limiter: Limiter, store: FakeStore) -> None:
        clock = store.clock
        store.clock = lambda: clock() - 3_600

    shared = simulate_processes(Bucket(60, 15), seconds=90, changes={30: set_back})
    assert shared.seen.share(60, 90, 60) >= 0.9


def test_fastest_is_never_exceeded() -> None:
    shared = simulate_processes(Bucket(60, 15), seconds=30, fastest=30.0)
    assert not shared.seen.refused
    assert 0.95 <= shared.seen.share(5, 30, 30) <= 1.0


def test_state_of_an_unknown_version_is_replaced_only_by_its_reader() -> None:
    store = FakeStore(lambda: 5.0)
    first = store.exchange("general", "a", "", "a:1", "{}")
    assert (first.now, first.written, first.members) == (EPOCH + 5.0, True, 1)
    late = store.exchange("general", "b", "", "b:1", "[]")
    assert (late.written, late.version, late.state, late.members) == (False, "a:1", "{}", 2)


@attrs.define
class ContendedStore(FakeStore):
    """A store in which another process is faster `lost` times."""

    lost: int = 0

    def exchange(self, key: str, member: str, expected: str | None, version: str, state: str) -> Entry:
        if self.lost and expected is not None:
            self.lost -= 1
            expected = "another version"
        return super().exchange(key, member, expected, version, state)


def test_event_is_kept_once_when_every_update_is_lost() -> None:
    throttle = SharedThrottle(
        ContendedStore(lambda: 5.0, lost=1_000),
        "test",
        first=20.0,
        slowest=0.05,
        fastest=1e9,
        memory=600.0,
        clock=lambda: 5.0,
        sleep=asyncio.sleep,
        in_thread=asyncio.to_thread,
        submit=lambda function: function(),
    )
    throttle.limited("GET /stories", False, None, 0.1)
    budget = throttle._budget("GET /stories", False)  # pyright: ignore[reportPrivateUsage]
    assert [event.accepted for event in budget.events] == [False]
