"""`follow` delivers each event of the change feed once, across restarts, duplicates, disorder and delays."""

from __future__ import annotations

import json
import logging
import os
import random
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from kantata_client import EventsExpiredError, Kantata, KantataConnectionError, UsageError
from kantata_client.events import FileCheckpoint, SQLiteCheckpoint
from tests.events.feed import EPOCH, Feed, kind_of, written

if TYPE_CHECKING:
    from kantata_client.events import Checkpoint

HOUR = timedelta(hours=1)
CHANGES = int(os.environ.get("KANTATA_EVENTS", "10000"))
"""The full test sets KANTATA_EVENTS=100000."""


def client(feed: Feed) -> Kantata:
    return Kantata("token", transport=feed.transport, retries=0, on_drift="ignore")


def change_of(event: object) -> int:
    after = getattr(event, "after", None)
    return int(after.to_dict()["notes"])


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["file", "sqlite"])
async def test_each_event_is_delivered_once_across_20_restarts(tmp_path: Path, kind: str) -> None:
    days, restarts = 8.0, 20
    feed = Feed(written(CHANGES, days=days, seed=1))
    draw = random.Random(2)
    delivered: Counter[int] = Counter()
    stops = [*sorted(draw.uniform(0, days) for _ in range(restarts)), days + 1]
    for stop in stops:
        checkpoint: Checkpoint = (
            FileCheckpoint(tmp_path / "feed.jsonl")
            if kind == "file"
            else SQLiteCheckpoint(tmp_path / "feed.db")
        )
        leaves = draw.choice([True, False]) and stop < days
        async with client(feed) as kantata:
            while feed.now < EPOCH + timedelta(days=stop):
                feed.now = min(feed.now + 7 * HOUR, EPOCH + timedelta(days=stop))
                follow = kantata.subscribed_events.follow(
                    since=EPOCH - HOUR, checkpoint=checkpoint, wait=False, now=feed.clock
                )
                async with follow as events:
                    left = draw.randrange(1, 500) if leaves else CHANGES * 2
                    async for event in events:
                        delivered[change_of(event)] += 1
                        left -= 1
                        if not left:
                            break
    assert len(delivered) == CHANGES
    assert set(delivered.values()) == {1}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["file", "sqlite"])
async def test_event_is_delivered_again_after_its_handler_failed(tmp_path: Path, kind: str) -> None:
    feed = Feed(written(450, days=1, seed=3), now=EPOCH + timedelta(days=2))

    def checkpoint() -> Checkpoint:
        return FileCheckpoint(tmp_path / "f") if kind == "file" else SQLiteCheckpoint(tmp_path / "db", "mine")

    handled: Counter[int] = Counter()
    failures = iter([3, 200, 201, 449])
    fails = next(failures)
    async with client(feed) as kantata:
        for _ in range(5):
            try:
                async with kantata.subscribed_events.follow(
                    since=EPOCH - HOUR, checkpoint=checkpoint(), wait=False, now=feed.clock
                ) as events:
                    async for event in events:
                        if len(handled) == fails:
                            fails = next(failures, -1)
                            raise RuntimeError("the handler failed")
                        handled[change_of(event)] += 1
            except RuntimeError:
                continue
    assert set(handled) == set(range(450))
    assert set(handled.values()) == {1}


@pytest.mark.anyio
async def test_truncated_checkpoint_file_is_repaired(tmp_path: Path) -> None:
    feed = Feed(written(100, days=1, seed=3, doubled=0), now=EPOCH + timedelta(days=2))
    path = tmp_path / "feed.jsonl"
    async with client(feed) as kantata:

        async def deliver(most: int) -> list[int]:
            found: list[int] = []
            async with kantata.subscribed_events.follow(
                since=EPOCH - HOUR, checkpoint=FileCheckpoint(path), wait=False, now=feed.clock
            ) as events:
                async for event in events:
                    found.append(change_of(event))
                    if len(found) == most:
                        break
            return found

        first = await deliver(40)
        path.write_bytes(path.read_bytes()[:-9])  # as if killed while writing the last line
        second = await deliver(1_000)
        third = await deliver(1_000)
    assert second[0] == first[-1]
    assert sorted(first[:-1] + second) == list(range(100))
    assert third == []


@pytest.mark.anyio
async def test_first_run_begins_now_by_default(tmp_path: Path) -> None:
    feed = Feed(written(100, days=1, seed=3), now=EPOCH + timedelta(hours=12))
    begun, found = feed.now, set[int]()
    async with client(feed) as kantata:
        for _ in range(3):
            async with kantata.subscribed_events.follow(
                checkpoint=FileCheckpoint(tmp_path / "f"), wait=False, now=feed.clock
            ) as events:
                found |= {change_of(event) async for event in events}
            feed.now += timedelta(days=1)
    assert found == {event.change for event in feed.events if event.written_at >= begun}


@pytest.mark.anyio
async def test_waits_for_events_and_survives_failures(caplog: pytest.LogCaptureFixture) -> None:
    feed = Feed(written(100, days=1, seed=3), now=EPOCH + timedelta(hours=12))
    found: set[int] = set()

    async def handle() -> None:
        async with (
            client(feed) as kantata,
            kantata.subscribed_events.follow(since=13 * HOUR, now=feed.clock, interval=0.001) as events,
        ):
            async for event in events:
                assert change_of(event) not in found
                found.add(change_of(event))
                if len(found) == 100:
                    return

    async def live() -> None:
        while feed.now < EPOCH + timedelta(days=3):
            await anyio.sleep(0.002)
            feed.failures += [httpx.Response(503), httpx.ConnectError("down")] if feed.now.hour == 15 else []
            feed.now += HOUR

    with caplog.at_level(logging.WARNING, "kantata_client"), anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(handle)
            group.start_soon(live)
    assert found == set(range(100))
    assert "the change feed can't be read, trying again" in caplog.text


@pytest.mark.anyio
async def test_failure_ends_a_run_that_does_not_wait() -> None:
    feed = Feed([], failures=[httpx.ConnectError("down")])
    async with client(feed) as kantata:
        with pytest.raises(KantataConnectionError):
            await anext(kantata.subscribed_events.follow(wait=False, now=feed.clock))


@pytest.mark.anyio
async def test_continues_after_cancellation(tmp_path: Path) -> None:
    feed = Feed(written(50, days=1, seed=3, doubled=0), now=EPOCH + timedelta(days=2))
    found: list[int] = []
    async with client(feed) as kantata:

        async def follow() -> None:
            async with kantata.subscribed_events.follow(
                since=EPOCH - HOUR, checkpoint=FileCheckpoint(tmp_path / "f"), now=feed.clock
            ) as events:
                async for event in events:
                    found.append(change_of(event))  # noqa: PERF401 - it does not come to its end

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            while len(found) < 50:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        with anyio.move_on_after(0.3):
            await follow()
    assert sorted(found) == list(range(50))


@pytest.mark.anyio
async def test_expiring_events_warn_and_expired_events_raise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Feed(written(50, days=1, seed=3, doubled=0), now=EPOCH + timedelta(days=1))
    path = tmp_path / "feed"

    async def run(**options: bool) -> int:
        async with (
            client(feed) as kantata,
            kantata.subscribed_events.follow(
                since=EPOCH - HOUR, checkpoint=FileCheckpoint(path), wait=False, now=feed.clock, **options
            ) as events,
        ):
            return len([event async for event in events])

    await run()
    feed.now += timedelta(days=6)
    await run()
    assert not caplog.records
    feed.now += timedelta(days=7, hours=12)
    await run()
    assert "the service drops the events after that in 1 day" in caplog.text
    caplog.clear()
    feed.now += timedelta(days=9, hours=12)
    with pytest.raises(EventsExpiredError, match="Read all records once") as caught:
        await run()
    assert caught.value.until < caught.value.gone
    assert await run(skip_expired=True) == 0
    assert "are lost" in caplog.text


@pytest.mark.anyio
async def test_types_filter_events_and_payloads_are_models() -> None:
    feed = Feed(written(100, days=1, seed=3, doubled=0), now=EPOCH + timedelta(days=2))
    async with (
        client(feed) as kantata,
        kantata.subscribed_events.follow(
            since=EPOCH - HOUR, types="time_entry:deleted", wait=False, now=feed.clock
        ) as events,
    ):
        found = [event async for event in events]
    assert {event.type for event in found} == {"time_entry:deleted"}
    assert len(found) == 10
    event = found[0]
    assert (event.subject, event.action, event.subject_type) == ("time_entry", "deleted", "TimeEntry")
    assert type(event.after).__name__ == "TimeEntry"
    assert event.before is None
    assert event.changes == {}


@pytest.mark.anyio
async def test_ids_identify_events_without_payloads() -> None:
    feed = Feed(written(300, days=1, seed=3, doubled=0), now=EPOCH + timedelta(days=2), payloads=False)
    async with client(feed) as kantata:
        for _ in range(2):
            async with kantata.subscribed_events.follow(
                since=EPOCH - HOUR, payloads=False, wait=False, now=feed.clock
            ) as events:
                assert len({event.id async for event in events}) == 300


def test_invalid_arguments_raise() -> None:
    follow = Kantata("token").subscribed_events.follow
    with pytest.raises(UsageError, match="has no time zone"):
        follow(since=EPOCH.replace(tzinfo=None))
    with pytest.raises(UsageError, match="in the future"):
        follow(since=-HOUR)
    with pytest.raises(UsageError, match="give a datetime"):
        follow(since="yesterday")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="interval must be above 0"):
        follow(interval=0)
    for interval in ("60", float("nan"), timedelta(minutes=1), None):
        with pytest.raises(UsageError, match="interval must be a number of seconds"):
            follow(interval=interval)  # type: ignore[arg-type]
    for overlap in (600, -HOUR, None):
        with pytest.raises(UsageError, match=r"follow\(overlap=.*give a timedelta of at least 0"):
            follow(overlap=overlap)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_file_of_another_kind_raises(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text(json.dumps({"a": 1}) + "\n" + json.dumps({"b": 2}) + "\n")
    with pytest.raises(UsageError, match="not a checkpoint"):
        await FileCheckpoint(text).load()
    with pytest.raises(UsageError, match="can't be used as a checkpoint"):
        await SQLiteCheckpoint(text).load()


@pytest.mark.anyio
async def test_checkpoint_file_is_compacted(tmp_path: Path) -> None:
    checkpoint = FileCheckpoint(tmp_path / "feed")
    await checkpoint.advance(EPOCH, EPOCH)
    for number in range(60_000):
        at = EPOCH + timedelta(seconds=number)
        await checkpoint.deliver(kind_of(number) + str(number), at)
        if number % 200 == 0:
            await checkpoint.advance(at, at - HOUR)
    await checkpoint.aclose()
    assert len((tmp_path / "feed").read_text().splitlines()) < 35_000
    position = await FileCheckpoint(tmp_path / "feed").load()
    assert position is not None
    assert 3_600 <= len(position.delivered) <= 3_900


@pytest.mark.anyio
@pytest.mark.parametrize(
    "text",
    [
        "not a checkpoint",
        '{"a": 1}',
        '{"until": "2026-03-02T00:00:00", "floor": "2026-03-02T00:00:00"}\n',
        "5\n",
    ],
    ids=["text", "json", "no zone", "number"],
)
async def test_one_line_of_another_kind_raises_and_is_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "feed"
    path.write_text(text)
    with pytest.raises(UsageError, match="not a checkpoint"):
        await FileCheckpoint(path).load()
    assert path.read_text() == text


@pytest.mark.anyio
@pytest.mark.parametrize("cut", range(0, 71, 7))
async def test_first_line_cut_off_by_a_kill_is_no_position(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "feed"
    checkpoint = FileCheckpoint(path)
    await checkpoint.advance(EPOCH, EPOCH)
    await checkpoint.aclose()
    path.write_text(path.read_text()[:cut])
    assert await FileCheckpoint(path).load() is None


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [FileCheckpoint, SQLiteCheckpoint])
async def test_path_that_cannot_be_used_raises(tmp_path: Path, kind: type[Checkpoint]) -> None:
    for path in (tmp_path, tmp_path / "missing" / "feed"):
        checkpoint = kind(path)  # type: ignore[call-arg]
        with pytest.raises(UsageError, match="choose another file"):
            await checkpoint.advance(EPOCH, EPOCH)
        with pytest.raises(UsageError, match="choose another file"):
            await checkpoint.deliver("1", EPOCH)
        await checkpoint.aclose()


@pytest.mark.anyio
async def test_database_of_another_program_raises(tmp_path: Path) -> None:
    path = tmp_path / "feed.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE kantata_positions (x)")
        connection.execute("CREATE TABLE kantata_delivered (x)")
        connection.commit()
    checkpoint = SQLiteCheckpoint(path)
    with pytest.raises(UsageError, match="no such column"):
        await checkpoint.load()
    with pytest.raises(UsageError, match="can't be written"):
        await checkpoint.advance(EPOCH, EPOCH)
    await checkpoint.aclose()


@pytest.mark.anyio
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
async def test_full_disk_is_named() -> None:
    checkpoint = FileCheckpoint("/dev/full")
    with pytest.raises(UsageError, match="No space left on device"):
        await checkpoint.deliver("1", EPOCH)
    await checkpoint.aclose()


@pytest.mark.anyio
@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="only Unix has a file without an end")
async def test_checkpoint_that_is_no_file_is_refused_and_not_read(tmp_path: Path) -> None:
    for path in (Path("/dev/zero"), tmp_path):
        with pytest.raises(UsageError, match="is not a regular file"):
            await FileCheckpoint(path).load()
