"""Creating many: chunks, what bad input says, what becomes of every item, and how little is held in memory."""

from __future__ import annotations

import gc
import weakref
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from kantata_client import (
    AuthenticationError,
    BulkError,
    BulkResult,
    RetryPolicy,
    UnknownOutcomeError,
    UsageError,
    ValidationError,
)
from kantata_client.models import TimeEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from conftest import Place

pytestmark = pytest.mark.anyio


async def each_of(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


@pytest.mark.parametrize("kind", ["list", "generator", "async"])
async def test_items_are_created_in_order(place: Place, kind: str) -> None:
    rows = place.rows(250)
    source = {"list": rows, "generator": (row for row in rows), "async": each_of(rows)}[kind]
    result = await place.kantata.time_entries.create_many(source, concurrency=1)
    assert place.notes() == [str(index) for index in range(250)]
    assert [entry.notes for entry in result.created] == place.notes()
    assert [len(request.json()["time_entries"]) for request in place.sent()] == [100, 100, 50]
    assert [outcome.index for outcome in result.outcomes] == list(range(250))
    assert [outcome.item for outcome in result.outcomes] == rows
    result.raise_for_failures()


@pytest.mark.one_loop
async def test_fifty_thousand_stories_take_167_requests(place: Place) -> None:
    row = {"workspace_id": place.workspace, "title": "T", "story_type": "task"}
    result = await place.kantata.stories.create_many([row] * 50_000, concurrency=8)
    assert len(result.created) == place.store.count("stories") == 50_000
    assert len(place.sent(path="/stories")) == 167


async def test_items_may_be_models_or_mappings(place: Place) -> None:
    [row] = place.rows(1)
    await place.kantata.time_entries.create_many([row])
    entry = await place.kantata.time_entries.list(include=["workspace"]).one()
    assert isinstance(entry, TimeEntry)
    entry.notes = "copied"
    await place.kantata.time_entries.create_many([entry])
    assert place.notes() == ["0", "copied"]


async def test_invalid_item_is_rejected_before_anything_is_sent(place: Place) -> None:
    rows = place.rows(10_000)
    rows[7_312]["time_in_minutes"] = "half an hour"
    for source in (rows, iter(rows)):
        with pytest.raises(
            UsageError, match=r"items\[7312\]\.time_in_minutes must be a whole number"
        ) as caught:
            await place.kantata.time_entries.create_many(source)
        assert "Nothing was sent" in str(caught.value)
    assert not place.sent()


@pytest.mark.parametrize("source", [[], (), iter(()), {}.values()])
async def test_empty_input_is_rejected(place: Place, source: Any) -> None:
    with pytest.raises(UsageError, match=r"time_entries\.create_many: the input is empty\. Nothing was sent"):
        await place.kantata.time_entries.create_many(source)


async def test_empty_async_input_is_rejected(place: Place) -> None:
    with pytest.raises(UsageError, match="the input is empty"):
        await place.kantata.time_entries.create_many(each_of(()))
    with pytest.raises(UsageError, match="the input is empty"):
        async for _ in place.kantata.time_entries.create_many(each_of(())):
            pass


@pytest.mark.parametrize("source", ["rows", b"bytes", {"notes": "x"}, 7, None])
async def test_input_must_be_a_collection(place: Place, source: Any) -> None:
    with pytest.raises(UsageError, match="expected a collection of items, got"):
        await place.kantata.time_entries.create_many(source)


async def test_invalid_item_of_an_async_input_fails_alone(place: Place) -> None:
    rows = place.rows(250)
    rows[120]["time_in_minutes"] = "soon"
    result = await place.kantata.time_entries.create_many(each_of(rows))
    [failed] = result.failed
    assert failed.index == 120
    assert isinstance(failed.error, UsageError)
    assert len(result.created) == 249
    assert [outcome.index for outcome in result.outcomes] == list(range(250))


async def test_failing_source_loses_no_outcome(place: Place) -> None:
    async def source() -> AsyncIterator[Any]:
        for row in place.rows(130):
            yield row
        raise LookupError("the database is gone")

    run = place.kantata.time_entries.create_many(source())
    with pytest.raises(LookupError):
        await run
    assert len(run.result.created) == place.store.count("time_entries") == 130


async def test_failing_token_provider_loses_no_outcome(place: Place) -> None:
    class Tokens:
        calls = 0

        async def __call__(self) -> str:
            self.calls += 1
            if self.calls > 2:
                raise LookupError("the vault is closed")
            return place.sandbox.token

    run = place.kantata.with_token(Tokens()).time_entries.create_many(place.rows(500), concurrency=1)
    with pytest.raises(LookupError):
        await run
    assert len(run.result.created) == place.store.count("time_entries") == 200
    assert {outcome.index // 100 for outcome in run.result.unknown} <= {2}


async def test_rejected_token_ends_the_run(place: Place) -> None:
    result = await place.kantata.with_token("wrong").time_entries.create_many(
        place.rows(2_000), concurrency=1
    )
    assert len(result.failed) == 2_000
    assert isinstance(result.failed[-1].error, AuthenticationError)
    assert len(place.sent()) == 1


async def test_progress(place: Place) -> None:
    told: list[tuple[int, int | None]] = []
    rows = place.rows(250)
    note = lambda done, total: told.append((done, total))  # noqa: E731
    await place.kantata.time_entries.create_many(rows, concurrency=1, progress=note)
    assert told == [(100, 250), (200, 250), (250, 250)]
    told.clear()
    await place.kantata.time_entries.create_many(each_of(rows), concurrency=1, progress=note)
    assert told[-1] == (250, None)

    def broken(done: int, total: int | None) -> None:
        raise LookupError

    result = await place.kantata.time_entries.create_many(rows, progress=broken)
    assert len(result.created) == 250


async def test_creation_without_an_answer_is_unknown_and_not_repeated(place: Place) -> None:
    place.faults.reset(committed=True, method="POST", after=1)
    place.faults.timeout(committed=False, method="POST", after=1)
    place.faults.cut(method="POST", after=1)
    place.faults.status(503, committed=True, method="POST", after=1)
    result = await place.kantata.time_entries.create_many(place.rows(600), concurrency=1)
    assert [outcome.index for outcome in result.done] == [*range(100), *range(500, 600)]
    assert len(result.unknown) == 400
    assert all(isinstance(outcome.error, UnknownOutcomeError) for outcome in result.unknown)
    assert len(place.sent()) == 6
    assert place.store.count("time_entries") == 500
    assert len(set(place.notes())) == 500
    with pytest.raises(BulkError, match="0 of 600 items failed, 400 are unknown; the first is item 100"):
        result.raise_for_failures()
    assert repr(result) == "<BulkResult: 200 done, 0 failed, 400 unknown>"


async def test_burst_of_429_is_waited_out(place: Place) -> None:
    place.faults.status(429, times=4, method="POST")
    result = await place.kantata.time_entries.create_many(place.rows(300), concurrency=2)
    assert len(result.created) == place.store.count("time_entries") == 300


async def test_lasting_429_fails_without_splitting(place: Place) -> None:
    place.faults.status(429, times=None, method="POST")
    brief = RetryPolicy(initial=0.01, maximum=0.02, deadline=0.2)
    result = await place.kantata.with_options(retries=brief).time_entries.create_many(place.rows(100))
    assert len(result.failed) == 100
    sizes = {len(request.json()["time_entries"]) for request in place.sent()}
    assert sizes == {100}, "time goes by until the deadline, and nothing is split"


async def test_stream_is_not_held_in_memory(place: Place) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class Row(dict[str, Any]):
        """A dictionary that can be watched."""

        __slots__ = ("__weakref__",)
        __hash__ = object.__hash__

    async def source() -> AsyncIterator[Row]:
        nonlocal most
        for index in range(10_000):
            row = Row(workspace_id=place.workspace, title=str(index), story_type="task")
            alive.add(row)
            if index % 500 == 0:
                gc.collect()
                most = max(most, len(alive))
            yield row

    told = 0
    async for outcome in place.kantata.stories.create_many(source(), concurrency=2):
        assert outcome.index == told
        told += 1
    assert told == 10_000
    assert most <= 2 * 2 * 300 * 2 + 1


async def test_abandoned_stream_leaves_nothing_under_way(place: Place) -> None:
    async with aclosing(each_of(place.rows(5_000))) as source:
        async for _ in place.kantata.time_entries.create_many(source, concurrency=2):
            break
    sent = len(place.sent())
    await anyio.sleep(0.05)
    assert len(place.sent()) == sent <= 4


async def test_service_errors_are_reported_not_raised(place: Place) -> None:
    place.faults.refuse(lambda item: True, with_index=False)
    run = place.kantata.time_entries.create_many(place.rows(3))
    result = await run
    assert isinstance(result, BulkResult)
    assert all(isinstance(outcome.error, ValidationError) for outcome in result.failed)
