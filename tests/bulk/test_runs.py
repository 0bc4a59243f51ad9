"""Bulk runs: what is sent when, what a cancellation leaves, what is closed, and which options are rejected."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from kantata_client import AuthenticationError, BulkError, ExternalReferenceKey, UsageError, ValidationError
from tests.naming import steady

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from conftest import Place

pytestmark = pytest.mark.anyio

SOON = 5
"""Seconds after which a test that waits in vain fails."""


class Given:
    """An async generator of items that records how far it was read, and whether it was closed."""

    def __init__(self) -> None:
        self.count = 0
        self.closed = False

    async def __call__(self, items: Iterable[Any]) -> AsyncGenerator[Any, None]:
        try:
            for item in items:
                self.count += 1
                yield item
        finally:
            self.closed = True


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110
        await anyio.sleep(0.001)


@asynccontextmanager
async def cancelled_when(true: Callable[[], bool]) -> AsyncGenerator[anyio.CancelScope]:
    """Cancel the block as soon as something is true."""
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            await until(true)
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        yield tasks.cancel_scope


# --- cancelling ---


async def test_cancelled_run_reports_known_outcomes(place: Place) -> None:
    place.faults.latency(30, method="POST", after=6)
    told: list[int] = []
    run = place.kantata.time_entries.create_many(
        place.rows(1_000), concurrency=1, progress=lambda done, total: told.append(done)
    )
    async with cancelled_when(lambda: place.faults.hits["latency"] == 1) as scope:
        await run
    assert scope.cancelled_caught
    result = run.result
    assert told == [100, 200, 300, 400, 500, 600]
    assert [outcome.index for outcome in result.done] == list(range(600))
    assert [outcome.index for outcome in result.unknown] == list(range(600, 700))
    assert "the run ended while this item was being sent" in str(result.unknown[0].error)
    assert len(result.outcomes) == 700


@pytest.mark.one_loop
async def test_cancelled_task_reports_known_outcomes(place: Place) -> None:
    place.faults.latency(30, method="POST", after=6)
    run = place.kantata.time_entries.create_many(place.rows(1_000), concurrency=1)
    task = asyncio.ensure_future(run)
    await until(lambda: len(run.result.outcomes) == 600 and place.faults.hits["latency"] == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(run.result.done) == 600
    assert len(run.result.unknown) == 100


@pytest.mark.parametrize("kind", ["list", "async"])
async def test_cancelled_stream_delivers_known_outcomes(place: Place, kind: str) -> None:
    place.faults.latency(30, method="POST", after=2)
    given = Given()
    rows = place.rows(1_000)
    outcomes = aiter(
        place.kantata.time_entries.create_many(rows if kind == "list" else given(rows), concurrency=2)
    )
    statuses: list[str] = []
    async with cancelled_when(lambda: len(place.sent()) == place.faults.hits["latency"] == 2):
        async for outcome in outcomes:
            statuses.append(outcome.status)  # noqa: PERF401 - it does not come to its end
    statuses += [outcome.status async for outcome in outcomes]
    assert statuses == ["done"] * 200 + ["unknown"] * 200
    assert given.closed == (kind == "async")
    assert place.store.count("time_entries") == 200


# --- a run runs once ---


async def test_run_can_start_only_once(place: Place) -> None:
    create = place.kantata.time_entries.create_many
    run = create(place.rows(1))
    assert [outcome.status async for outcome in run] == ["done"]
    for _ in range(2):
        with pytest.raises(UsageError, match="this run has already started"):
            await run
    run = create(place.rows(1))
    assert run.result.outcomes == []
    result = await run
    assert run.result.outcomes == result.outcomes
    with pytest.raises(UsageError, match="call the method again for another input"):
        aiter(run)
    assert place.store.count("time_entries") == 2


@pytest.mark.parametrize("way", [list, Given().__call__], ids=["list", "generator"])
async def test_tasks_can_share_a_run(place: Place, way: Callable[[Any], Any]) -> None:
    outcomes = aiter(place.kantata.time_entries.create_many(way(place.rows(1_000)), concurrency=2))
    indexes: list[int] = []

    async def work() -> None:
        async for outcome in outcomes:
            assert outcome.status == "done"
            indexes.append(outcome.index)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(work)
    assert sorted(indexes) == list(range(1_000))


async def test_iterated_run_keeps_no_result(place: Place) -> None:
    run = place.kantata.time_entries.create_many(place.rows(1))
    async for _ in run:
        with pytest.raises(UsageError, match="an iterated run does not keep its outcomes"):
            _ = run.result


# --- reading and sending at once ---


@pytest.mark.parametrize("way", ["await", "iterate"])
async def test_chunk_is_sent_when_it_is_full(place: Place, way: str) -> None:
    async def source() -> AsyncGenerator[Any, None]:
        for index, row in enumerate(place.rows(350)):
            await until(lambda: len(place.sent()) >= index // 100)  # noqa: B023
            yield row

    run = place.kantata.time_entries.create_many(source(), concurrency=4)
    with anyio.fail_after(SOON):
        if way == "await":
            assert len((await run).done) == 350
        else:
            assert [outcome.index async for outcome in run] == list(range(350))
    assert sorted(len(each.json()["time_entries"]) for each in place.sent()) == [50, 100, 100, 100]


async def test_outcomes_do_not_wait_for_a_slow_source(place: Place) -> None:
    told: list[int] = []

    async def source() -> AsyncGenerator[Any, None]:
        rows = place.rows(251)
        rows[210]["time_in_minutes"] = "soon"
        for index, row in enumerate(rows):
            if index in (101, 201):
                await anyio.sleep(0.1)  # so that all that was sent is answered
            elif index in (102, 202):
                await until(lambda: len(told) >= index - 2)  # noqa: B023
            yield row

    with anyio.fail_after(SOON):
        async for outcome in place.kantata.time_entries.create_many(source(), concurrency=3):
            told.append(outcome.index)
            assert (outcome.status == "failed") == (outcome.index == 210)
            if outcome.index == 210:
                assert str(outcome.error).endswith(" This item was not sent.")
    assert told == list(range(251))


async def test_outcomes_of_invalid_items_are_delivered_early(place: Place) -> None:
    given = Given()
    rows = [*place.rows(1), *place.rows(5_000, time_in_minutes="soon"), *place.rows(1)]
    told = most = 0
    async for outcome in place.kantata.time_entries.create_many(given(rows), concurrency=2):
        assert outcome.index == told
        told += 1
        most = max(most, given.count - told)
    assert told == 5_002
    assert most <= 2 * 2 * 100


# --- closing ---


async def test_source_is_closed_when_the_loop_is_left(place: Place) -> None:
    given = Given()
    run = place.kantata.time_entries.create_many(given(place.rows(5_000)), concurrency=1)
    async with aclosing(aiter(run)) as outcomes:
        async for _ in outcomes:
            break
    assert given.closed
    assert [outcome async for outcome in outcomes] == []
    assert place.store.count("time_entries") <= 200


async def test_source_is_closed_when_the_run_fails(place: Place) -> None:
    async def token() -> str:
        if place.sent():
            raise LookupError("the vault is closed")
        return place.sandbox.token

    given = Given()
    run = place.kantata.with_token(token).time_entries.create_many(given(place.rows(5_000)), concurrency=1)
    with pytest.raises(LookupError):
        await run
    assert given.closed
    assert given.count < 5_000
    assert len(run.result.done) == 100


async def test_error_from_closing_the_source_is_raised(place: Place) -> None:
    async def token() -> str:
        if place.sent():
            raise AuthenticationError("gone", status=401, method="POST", path="/x")
        return place.sandbox.token

    async def source() -> AsyncGenerator[Any, None]:
        try:
            for row in place.rows(150):
                yield row
        finally:
            raise LookupError("the cursor is gone")

    run = place.kantata.with_token(token).time_entries.create_many(source(), concurrency=1)
    with pytest.raises(LookupError, match="the cursor"):
        await run
    assert len(run.result.done) == 100
    assert len(run.result.failed) == 50


async def test_list_is_copied_before_it_changes(place: Place) -> None:
    entries = place.kantata.time_entries
    await entries.create_many(place.rows(450))
    assert len((await entries.create_many(entries.list(include=["workspace"]))).created) == 450
    told: list[tuple[int, int | None]] = []
    result = await entries.delete_many(entries.list(), progress=lambda *numbers: told.append(numbers))
    assert len(result.done) == told[-1][1] == 900
    assert not place.notes()


# --- what is wrong ---


async def test_several_invalid_items_are_reported_together(place: Place) -> None:
    rows = place.rows(300)
    for index in range(7, 14):
        rows[index]["time_in_minutes"] = "soon"
    with pytest.raises(UsageError) as caught:
        await place.kantata.time_entries.create_many(rows)
    first, *wrong, more = str(caught.value).split("\n")
    assert first == "time_entries.create_many: 7 of 300 items are invalid. Nothing was sent."
    assert [line.split(":")[1].split()[0] for line in wrong] == [
        f"items[{index}].time_in_minutes" for index in range(7, 12)
    ]
    assert more == "  and 2 more."
    assert not place.sent()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"concurrency": 0}, "concurrency must be .*, not 0"),
        ({"concurrency": "4"}, "concurrency must be .*, not '4'"),
        ({"concurrency": True}, "concurrency must be .*, not True"),
        ({"concurrency": 2.0}, r"concurrency must be .*, not 2\.0"),
        ({"concurrency": None}, "concurrency must be .*, not None"),
        ({"progress": 7}, "progress is 7"),
        ({"progress": anyio.sleep}, "pass a function that is not async"),
        ({"key": "ref"}, r"key must be an ExternalReferenceKey\(.*, not 'ref'"),
        ({"key": ("erp", "line", "ref")}, "ExternalReferenceKey"),
        (
            {"key": ExternalReferenceKey("erp", "line", "ref", patience="30")},
            "patience must be a number of seconds, not '30'",
        ),  # pyright: ignore[reportArgumentType]
        (
            {"key": ExternalReferenceKey("erp", "line", "ref", patience=float("nan"))},
            "patience must be a number of seconds, not nan",
        ),
        (
            {"key": ExternalReferenceKey("erp", "line", "ref", attempts=1.5)},
            r"attempts must be a number from 1, not 1\.5",
        ),  # pyright: ignore[reportArgumentType]
    ],
    ids=steady,
)
async def test_invalid_options_are_rejected(place: Place, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        place.kantata.time_entries.create_many(place.rows(1), **options)
    assert "Nothing was sent" in str(caught.value)


async def test_refusal_names_the_item_of_the_input(place: Place) -> None:
    rows = place.rows(150)
    place.faults.refuse(lambda item: item["notes"] in ("37", "120"))
    result = await place.kantata.time_entries.create_many(rows, concurrency=1, atomic=True)
    assert [outcome.index for outcome in result.failed] == [37, 120]
    for outcome in result.failed:
        assert isinstance(outcome.error, ValidationError)
        start = f"Item {outcome.index} of the input, alone in its request: POST /time_entries failed with 422"
        assert str(outcome.error).startswith(start)
    with pytest.raises(
        BulkError, match="the first is item 37: alone in its request: POST /time_entries failed"
    ):
        result.raise_for_failures()
