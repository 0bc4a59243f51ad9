"""Walks over a list that changes: random histories of inserts, deletions, updates, and records that are hidden or shown.

There are 10,000 with `KANTATA_HISTORIES=all` in the environment, as in CI, and a sample otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from datetime import UTC, date, datetime
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from kantata_client import Kantata, Paginator, UnstableListError
from tests.lists.service import ListService, NonconformingService

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = os.environ.get("KANTATA_HISTORIES") == "all"


def histories(full: int, sample: int) -> settings:
    """How many histories a test runs."""
    return settings(
        max_examples=full if FULL else sample,
        deadline=None,
        derandomize=not FULL,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


EDITS = ("insert", "delete", "update", "hide", "show", "replace")


class History(NamedTuple):
    """What happens to a list during a walk."""

    count: int
    spread: float
    size: int
    concurrency: int
    seed: int
    pause: float
    """Seconds by the service's clock between two requests."""
    whole_seconds: bool
    inclusive: bool
    edits: list[list[str]]
    """The edits before each response, starting with the first."""


def edits(most: int) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.lists(st.sampled_from(EDITS), max_size=3), max_size=most)


def any_history(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[History]:
    parts: dict[str, st.SearchStrategy[Any]] = {
        "count": st.integers(0, 40),
        "spread": st.sampled_from([0.0, 0.1, 0.4, 1.0, 7.0]),
        "size": st.integers(1, 10),
        "concurrency": st.integers(1, 6),
        "seed": st.integers(0, 2**16),
        "pause": st.sampled_from([0.0, 0.01, 0.3, 1.0, 5.0]),
        "whole_seconds": st.booleans(),
        "inclusive": st.booleans(),
        "edits": edits(12),
    }
    return st.builds(History, **parts | fixed)


class Life:
    """A service that goes through a history, and what a walk may and must deliver."""

    def __init__(self, history: History, key: str, **odd: Any) -> None:
        self.chance = Random(history.seed)
        self.service = (NonconformingService if odd else ListService)(
            **odd,
            key=key,
            whole_seconds=history.whole_seconds,
            inclusive=history.inclusive,
            chance=self.chance,
            edit=self.live,
        )
        self.service.fill(history.count, history.spread)
        for record in list(self.service.records.values())[::5]:
            record.visible = self.chance.random() < 0.5
        self.history = history
        self.left = history.edits[::-1]
        self.throughout = {record.id for record in self.service.records.values() if record.visible}
        self.ever = set(self.throughout)

    def live(self) -> None:
        self.service.now += self.history.pause
        if self.left:
            for edit in self.left.pop():
                getattr(self, edit)()

    def insert(self) -> None:
        self.ever.add(self.service.add().id)

    def delete(self) -> None:
        if record := self._any():
            del self.service.records[record.id]
            self.throughout.discard(record.id)

    def replace(self) -> None:
        self.delete()
        self.insert()

    def update(self) -> None:
        if record := self._any():
            record.updated = self.service.now

    def hide(self) -> None:
        if record := self._any(visible=True):
            record.visible, record.flipped = False, True
            self.throughout.discard(record.id)

    def show(self) -> None:
        if record := self._any(visible=False):
            record.visible, record.flipped = True, True
            self.ever.add(record.id)

    def _any(self, *, visible: bool | None = None) -> Any:
        found = [
            record
            for record in self.service.records.values()
            if visible is None or (record.visible is visible and not record.flipped)
        ]
        return self.chance.choice(found) if found else None


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for thousands of walks."""
    with asyncio.Runner() as made:
        yield made


def walked(loop: asyncio.Runner, life: Life, *, stable: bool) -> list[int]:
    """The ids that a walk delivers."""
    history = life.history

    async def main() -> list[int]:
        kantata = Kantata("secret", transport=life.service, on_drift="ignore")
        walk: Paginator[Any] = (
            kantata.stories.list(per_page=history.size)
            if life.service.key == "stories"
            else kantata.participations.list(workspace_id=10, per_page=history.size)
        )
        if stable:
            walk = walk.stable()
        return [int(item.id) async for item in walk.items(concurrency=history.concurrency)]

    return loop.run(main())


def check(life: Life, delivered: list[int], *, all_of: set[int]) -> None:
    assert len(delivered) == len(set(delivered)), "delivered twice"
    assert set(delivered) <= life.ever, "never in the list"
    assert set(delivered) >= all_of, f"lost {sorted(all_of - set(delivered))}"
    assert life.service.most_under_way <= life.history.concurrency


@histories(2_000, 100)
@given(history=any_history())
def test_ordinary_walk_never_delivers_an_id_twice(loop: asyncio.Runner, history: History) -> None:
    life = Life(history, "stories")
    check(life, walked(loop, life, stable=False), all_of=set())


@histories(500, 50)
@given(history=any_history(edits=st.just([])))
def test_ordinary_walk_over_an_unchanging_list_delivers_everything_in_order(
    loop: asyncio.Runner, history: History
) -> None:
    life = Life(history, "stories")
    life.service.steady = True
    delivered = walked(loop, life, stable=False)
    check(life, delivered, all_of=life.throughout)
    assert delivered == sorted(delivered)


@histories(3_500, 200)
@given(history=any_history())
def test_stable_walk_by_creation_misses_no_record(loop: asyncio.Runner, history: History) -> None:
    life = Life(history, "stories")
    check(life, walked(loop, life, stable=True), all_of=life.throughout)


@histories(3_500, 200)
@given(history=any_history())
def test_stable_walk_by_update_misses_no_record(loop: asyncio.Runner, history: History) -> None:
    life = Life(history, "participations")
    check(life, walked(loop, life, stable=True), all_of=life.throughout)


@histories(500, 20)
@pytest.mark.parametrize("key", ["stories", "participations"])
@given(
    history=any_history(
        count=st.integers(100, 300),
        spread=st.sampled_from([0.0, 0.001]),
        size=st.just(5),
        edits=edits(15),
        pause=st.sampled_from([0.0, 0.01, 5.0]),
    )
)
def test_stable_walk_over_hundreds_of_records_in_one_second(
    loop: asyncio.Runner, key: str, history: History
) -> None:
    life = Life(history, key)
    check(life, walked(loop, life, stable=True), all_of=life.throughout)


DEVIATIONS: dict[str, dict[str, Any]] = {
    "smaller pages": {"most": 4},
    "order is ignored": {"ignored": frozenset({"order"})},
    "created_after is ignored": {"ignored": frozenset({"after"})},
    "page is ignored": {"ignored": frozenset({"page"})},
    "minutes": {"grain": 60.0},
    "days": {"grain": 86_400.0},
    "no count": {"counted": False},
    "repeated answers": {"repeats": frozenset({2, 4, 5})},
    "smaller pages and minutes": {"most": 3, "grain": 60.0},
    "smaller pages, no order": {"most": 3, "ignored": frozenset({"order"})},
}
"""How a service may deviate from its contract."""


@histories(250, 25)
@pytest.mark.parametrize("key", ["stories", "participations"])
@pytest.mark.parametrize("what", DEVIATIONS)
@given(history=any_history(spread=st.sampled_from([0.0, 0.4, 7.0, 300.0, 20_000.0])))
def test_stable_walk_over_a_nonconforming_service_misses_nothing_or_raises(
    loop: asyncio.Runner, what: str, key: str, history: History
) -> None:
    life = Life(history, key, **DEVIATIONS[what])
    try:
        delivered = walked(loop, life, stable=True)
    except UnstableListError:
        return
    check(life, delivered, all_of=life.throughout)


@pytest.mark.parametrize(
    ("what", "key", "history"),
    [
        (
            "smaller pages, no order",
            "participations",
            History(5, 20_000.0, 4, 4, 4_675, 5.0, False, True, [[], ["hide"]]),
        ),
        (
            "order is ignored",
            "stories",
            History(
                3,
                300.0,
                1,
                2,
                1,
                0.3,
                True,
                False,
                [
                    ["show", "hide", "insert"],
                    [],
                    [],
                    ["insert"],
                    ["hide", "replace"],
                    ["replace", "show", "insert"],
                ],
            ),
        ),
    ],
)
def test_a_change_does_not_make_up_for_a_record_that_was_never_sent(
    loop: asyncio.Runner, what: str, key: str, history: History
) -> None:
    """Pages that are in order by chance; what is deleted or added meanwhile makes the counts right."""
    life = Life(history, key, **DEVIATIONS[what])
    with suppress(UnstableListError):
        check(life, walked(loop, life, stable=True), all_of=life.throughout)


@histories(250, 25)
@pytest.mark.parametrize("coarse", [60.0, 86_400.0])
@given(
    history=any_history(
        spread=st.sampled_from([0.0, 0.4, 7.0, 300.0, 20_000.0]), edits=st.just(list[list[str]]())
    )
)
def test_stable_walk_if_the_service_compares_coarser_times_than_it_sends(
    loop: asyncio.Runner, coarse: float, history: History
) -> None:
    """The counts reveal it, unless records are deleted meanwhile."""
    life = Life(history, "stories", coarse_filter=coarse)
    try:
        delivered = walked(loop, life, stable=True)
    except UnstableListError:
        return
    check(life, delivered, all_of=life.throughout)


@histories(100, 10)
@pytest.mark.parametrize("what", DEVIATIONS)
@example(  # records of the same time come in another order each time
    history=History(38, 0.0, 10, 1, 22343, 0.3, True, True, [["delete", "update", "insert"], []])
)
@given(history=any_history())
def test_ordinary_walk_over_a_nonconforming_service_ends(
    loop: asyncio.Runner, what: str, history: History
) -> None:
    life = Life(history, "stories", **DEVIATIONS[what])
    try:
        delivered = walked(loop, life, stable=False)
    except UnstableListError:
        return
    check(life, delivered, all_of=set())


@pytest.mark.parametrize("what", ["smaller pages", "minutes", "days", "smaller pages and minutes"])
def test_stable_walk_handles_smaller_pages_and_coarse_times(loop: asyncio.Runner, what: str) -> None:
    for spread in (0.5, 20.0, 7_000.0):
        history = History(60, spread, 7, 3, 1, 0.0, True, False, [])
        life = Life(history, "stories", **DEVIATIONS[what])
        check(life, walked(loop, life, stable=True), all_of=life.throughout)


def test_stable_walk_over_an_ever_changing_moment_raises(loop: asyncio.Runner) -> None:
    history = History(500, 0.0, 5, 2, 1, 0.0, True, False, [["replace"]] * 5_000)
    life = Life(history, "stories")
    with pytest.raises(UnstableListError, match=r"GET /stories: more than 5 records share a moment"):
        walked(loop, life, stable=True)
    # Once the list stops changing, the same walk ends.
    life.left.clear()
    check(life, walked(loop, life, stable=True), all_of=life.throughout)


@pytest.mark.parametrize(
    "before", ["2026-03-04T05:06:07Z", datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), date(2026, 3, 5)]
)
def test_window_of_a_shared_moment_respects_created_before(loop: asyncio.Runner, before: Any) -> None:
    service = ListService(chance=Random(1))
    service.fill(60, 10.0)
    for record in service.records.values():
        if record.id <= 30:
            record.created = service.records[1].created

    async def main() -> list[int]:
        kantata = Kantata("secret", transport=service, on_drift="ignore")
        walk = kantata.stories.list(per_page=5, created_before=before).stable()
        return [int(item.id) async for item in walk.items()]

    last = 60 if isinstance(before, date) and not isinstance(before, datetime) else 59
    assert sorted(loop.run(main())) == list(range(1, last + 1))
    crowds = [query for query in service.requests if query["per_page"] not in ("1", "5")]
    assert crowds
    assert all(query["created_before"] < "2026-03-04T05:00:00" for query in crowds)


def test_page_with_a_missing_object_does_not_end_a_stable_walk(loop: asyncio.Runner) -> None:
    class Lossy(ListService):
        def answer(self, query: dict[str, str]) -> bytes:
            body = json.loads(super().answer(query))
            body["stories"].pop("3", None)
            return json.dumps(body).encode()

    service = Lossy(steady=True)
    service.fill(40, 10.0)

    async def main() -> list[int]:
        kantata = Kantata("secret", transport=service, on_drift="ignore")
        return [int(item.id) async for item in kantata.stories.list(per_page=5).stable()]

    assert loop.run(main()) == [each for each in range(1, 41) if each != 3]
