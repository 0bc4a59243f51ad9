"""10,000 items through a server that breaks in every way it can, by a client that is killed again and again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from kantata_client.sandbox import Server

COUNT = 10_000
KILLS = 3
MOST_RUNS = 15


def unleash(sandbox: Sandbox) -> None:
    """Let about every third creation go wrong, and one look-up in ten."""
    faults = sandbox.faults
    creation = {"method": "POST", "path": "/time_entries", "times": None}
    look = {"method": "GET", "times": None}
    # Each kind once at any rate.
    once = {"method": "POST", "path": "/time_entries"}
    for committed in (False, True):
        faults.reset(committed=committed, after=4, **once)
        faults.timeout(committed=committed, after=8, **once)
        faults.status(500, committed=committed, after=12, **once)
    faults.cut(after=16, **once)
    for committed in (False, True):
        faults.reset(committed=committed, chance=0.05, **creation)
        faults.timeout(committed=committed, chance=0.02, **creation)
        for code in (500, 502, 503, 504):
            faults.status(code, committed=committed, chance=0.015, **creation)
    faults.cut(chance=0.05, **creation)
    faults.status(429, chance=0.06, **creation)
    for code in (429, 500, 503):
        faults.status(code, chance=0.02, **look)
    faults.reset(chance=0.03, **look)
    faults.cut(chance=0.02, **look)
    faults.latency(0.005)


class Runs:
    """Starts the client until nothing is left to do."""

    def __init__(self, sandbox: Sandbox, server: Server, workspace: str, journal: Path, way: str) -> None:
        self.sandbox = sandbox
        self.journal = journal
        self.random = random.Random(4)
        self.command = [sys.executable, str(Path(__file__).with_name("chaos_client.py"))]
        self.command += [server.url, server.token, workspace, str(journal), way]
        self.killed = 0

    def posts(self) -> int:
        return sum(request.method == "POST" for request in list(self.sandbox.requests))

    async def once(self, todo: list[int], *, kill: bool) -> int:
        """Run the client; its exit code. To be killed, it has to have sent something."""
        process = subprocess.Popen(self.command, stdin=subprocess.PIPE)  # noqa: ASYNC220
        try:
            assert process.stdin is not None
            with process.stdin as stdin:
                stdin.write(json.dumps(todo).encode())
            victim = self.posts() + self.random.randint(3, 25)
            while process.poll() is None:
                await anyio.sleep(0.01)
                if kill and self.posts() >= victim:
                    process.kill()
                    self.killed += 1
                    break
            return await anyio.to_thread.run_sync(process.wait)
        finally:
            process.kill()
            process.wait()

    def told(self) -> dict[str, set[int]]:
        """What the journal says: word → items."""
        words: dict[str, set[int]] = {"began": set(), "done": set(), "failed": set(), "unknown": set()}
        for line in self.journal.read_text().split("\n")[:-1]:
            word, _, index = line.partition(" ")
            words[word].add(int(index))
        return words


@pytest.mark.parametrize("way", ["keyed", "unkeyed"])
@pytest.mark.anyio
@pytest.mark.one_loop
async def test_outcomes_are_right_through_random_faults(tmp_path: Path, way: str) -> None:
    sandbox = Sandbox("empty")
    async with sandbox.client() as kantata:
        workspace = await kantata.workspaces.create(title="P")
    sandbox.requests.clear()
    sandbox.faults.random.seed(11)
    unleash(sandbox)
    async with sandbox.serve() as server:
        runs = Runs(sandbox, server, workspace.id, tmp_path / "journal", way)
        if way == "keyed":
            await until_each_is_there(runs)
        else:
            await until_each_is_there_or_unsure(runs)
    assert runs.killed == KILLS
    kinds = set(sandbox.faults.hits)
    assert kinds >= {"reset", "reset+", "timeout", "timeout+", "status", "status+", "cut+"}


async def until_each_is_there(runs: Runs) -> None:
    """With a key, starting all over again after each crash ends with each item once."""
    for attempt in range(MOST_RUNS):
        code = await runs.once(list(range(COUNT)), kill=attempt < KILLS)
        if code == 0:
            break
    else:
        pytest.fail(f"not done after {MOST_RUNS} runs")
    counted = Counter(int(entry["notes"]) for entry in runs.sandbox.store.all("time_entries"))
    assert counted == dict.fromkeys(range(COUNT), 1)
    references = Counter(each["service_model_ref"] for each in runs.sandbox.store.all("external_references"))
    assert references == {f"L-{index}": 1 for index in range(COUNT)}


async def until_each_is_there_or_unsure(runs: Runs) -> None:
    """Without one, what may have been sent is known, is never sent again, and so is nowhere twice."""
    todo = list(range(COUNT))
    done: set[int] = set()
    unsure: set[int] = set()
    for attempt in range(MOST_RUNS):
        runs.journal.write_text("")
        await runs.once(todo, kill=attempt < KILLS)
        told = runs.told()
        done |= told["done"]
        cut_off = told["began"] - told["done"] - told["failed"] - told["unknown"]
        assert not cut_off or attempt < KILLS
        unsure |= told["unknown"] | cut_off
        todo = sorted(set(todo) - told["done"] - told["unknown"] - cut_off)
        if not todo:
            break
    else:
        pytest.fail(f"not done after {MOST_RUNS} runs")
    counted = Counter(int(entry["notes"]) for entry in runs.sandbox.store.all("time_entries"))
    assert set(counted.values()) == {1}
    assert done <= counted.keys()
    assert not done & unsure
    assert done | unsure == set(range(COUNT))
    assert 0 < len(unsure) < COUNT
    # Nor did any item reach the server a second time, unless it had been refused for certain.
    sent: Counter[str] = Counter()
    for request in runs.sandbox.requests:
        if request.method == "POST" and not 400 <= request.status < 500:
            sent.update(row["notes"] for row in request.json()["time_entries"])
    assert set(sent.values()) == {1}
