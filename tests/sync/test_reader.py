"""Room in the queues between the thread that reads lists and dlt."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

from kantata_client.sandbox import Sandbox
from kantata_client.sync import Progress, reader
from kantata_client.sync.catalog import lists
from kantata_client.sync.reader import End, Reader, Reading, Room, Rows
from tests.sync.account import Target, shorten

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_waiters_for_room_are_served_in_order() -> None:
    async def main() -> list[int]:
        room, served = Room(10), list[int]()

        async def take(size: int) -> None:
            await room.take(size)
            served.append(size)

        await take(8)
        waiting = [asyncio.create_task(take(size)) for size in (7, 1, 5)]
        await asyncio.sleep(0)
        room.give(4)  # 6 are free: not enough for the 7, and the 1 may not overtake it
        await asyncio.sleep(0)
        assert served == [8]
        room.give(4)
        await asyncio.gather(*waiting[:2])
        room.give(8)
        await waiting[2]
        return served

    assert asyncio.run(main()) == [8, 7, 1, 5]


def test_nobody_takes_room_before_a_waiter_that_was_served() -> None:
    """The one that was served runs later in the event loop; the other asks in the meantime."""

    async def main() -> list[str]:
        room, order = Room(2), list[str]()

        async def take(name: str) -> None:
            await room.take(1)
            order.append(name)

        await room.take(2)
        first = asyncio.create_task(take("first"))
        await asyncio.sleep(0)
        second = asyncio.create_task(take("second"))  # begins when the first resumes at the earliest
        room.give(2)
        await asyncio.gather(first, second)
        await asyncio.wait_for(room.take(0), 60)
        return order

    assert asyncio.run(main()) == ["first", "second"]


def test_a_cancelled_waiter_takes_no_room() -> None:
    async def main() -> None:
        room = Room(10)
        await room.take(10)
        for freed_first in (True, False):
            first, second = (asyncio.create_task(room.take(10)) for _ in range(2))
            await asyncio.sleep(0)
            if freed_first:
                room.give(10)
            first.cancel()
            if not freed_first:
                room.give(10)
            await asyncio.wait_for(second, 60)
            assert first.cancelled() or first.done()

    asyncio.run(main())


def test_records_do_not_keep_the_room_that_others_wait_for() -> None:
    """Each of five pages is the only one of its task, and there is room for two."""

    async def main() -> int:
        sandbox = Sandbox()
        reader = Reader(sandbox.client, Progress())
        reader.room = Room(40)
        reading = Reading(reader, lists()["currencies"], frozenset())
        tasks = [asyncio.create_task(reading.add([{"id": str(page)}], None)) for page in range(5)]
        rows = 0
        async with asyncio.timeout(60):
            while rows < 4:
                await asyncio.sleep(0)
                message = reading.poll()
                if isinstance(message, Rows):
                    rows += message.count
                    reader.room.give(message.room)  # the thread that would do it does not run
            await asyncio.gather(*tasks)
        reading.end(End(complete=True))
        last, end = reading.poll(), reading.poll()
        assert isinstance(end, End)
        return rows + (last.count if isinstance(last, Rows) else 0)

    assert asyncio.run(main()) == 5


def test_records_that_cannot_be_converted_fail_their_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that waits for more is converted only at the end of the list."""

    def fail(*_: object) -> None:
        raise MemoryError("no room for a table")

    monkeypatch.setattr(reader.arrow, "tables", fail)
    with Reader(Sandbox(seed="demo").client, Progress()) as thread:
        queue = thread.read(lists()["users"], None, None)
        deadline = time.monotonic() + 60
        while (message := queue.poll()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert isinstance(message, MemoryError)


def test_a_run_that_leaves_a_list_to_the_next_one_does_not_block_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes the pages of the list that was left; the others need room until their end."""
    monkeypatch.setattr(reader, "_QUEUED_ROWS", 400)
    sandbox, target, progress = Sandbox(seed="demo"), Target(tmp_path), Progress(rows=300)
    shorten(sandbox, 3_000)

    def sync() -> None:
        target.sync(sandbox, "time_entries", "participations", "story_state_changes", progress=progress)

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    thread.join(120)
    assert not thread.is_alive()
    statuses = {each.name: each.status for each in progress.lists.values()}
    assert statuses == {"time_entries": "partial", "participations": "done", "story_state_changes": "done"}
