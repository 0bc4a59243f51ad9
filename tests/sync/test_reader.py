"""Room in the queues between the thread that reads lists and dlt."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from kantata_client.sandbox import Sandbox
from kantata_client.sync import Progress, reader
from kantata_client.sync.reader import Room
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
