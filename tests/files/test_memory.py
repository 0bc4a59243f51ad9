"""Uploading and downloading a gigabyte takes constant memory, measured in a process of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from kantata_client.sandbox import Sandbox
from kantata_client.sandbox.cdn import Blob

if TYPE_CHECKING:
    from collections.abc import Iterator

GIGABYTE = 1 << 30
MOST = 50_000_000


def zeros(size: int, pause: float = 0.0) -> Blob:
    """A file that is generated while it is sent."""
    piece = bytes(1 << 18)

    def pieces(start: int) -> Iterator[bytes]:
        for place in range(start, size, len(piece)):
            if pause:
                time.sleep(pause)
            yield piece[: min(len(piece), size - place)]

    return Blob(size, '"zeros"', pieces)


@pytest.mark.parametrize(("what", "backend"), [("upload", "asyncio"), ("download", "trio")])
@pytest.mark.asyncio
async def test_gigabyte_takes_constant_memory(tmp_path: Path, what: str, backend: str) -> None:
    sandbox = Sandbox("empty")
    for identity in ("1", "2"):
        sandbox.store.put("insights_report_exports", {"id": identity, "title": "x"})
    sandbox.store.files.reports = {"1": zeros(1_000), "2": zeros(GIGABYTE)}
    small, path = tmp_path / "small.bin", tmp_path / "large.bin"
    small.write_bytes(b"x" * 1_000)
    if what == "upload":
        path.touch()
        os.truncate(path, GIGABYTE)  # a hole: it takes no room
    async with sandbox.serve() as server:
        script = Path(__file__).with_name("transfer.py")
        command = [sys.executable, str(script), what, server.url, server.token, str(path), str(small)]
        done = await anyio.run_process([*command, backend])
    found = json.loads(done.stdout)
    path.unlink()
    assert found["size"] == GIGABYTE
    assert found["extra"] < MOST, found


def unfinished(folder: Path) -> list[Path]:
    return list(folder.glob(".large.bin.*.part"))


@pytest.mark.asyncio
async def test_killed_download_leaves_no_file(tmp_path: Path) -> None:
    size = 20_000_000
    sandbox = Sandbox("empty")
    for identity in ("1", "2"):
        sandbox.store.put("insights_report_exports", {"id": identity, "title": "x"})
    sandbox.store.files.reports = {"1": zeros(1_000), "2": zeros(size, pause=0.05)}
    small, path = tmp_path / "small.bin", tmp_path / "large.bin"
    small.write_bytes(b"x")
    async with sandbox.serve() as server:
        script = str(Path(__file__).with_name("transfer.py"))
        command = [sys.executable, script, "download", server.url, server.token, str(path), str(small)]
        async with await anyio.open_process([*command, "asyncio"]) as process:
            with anyio.fail_after(120):
                while not any(part.stat().st_size for part in unfinished(tmp_path)):  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            process.kill()
        [left] = unfinished(tmp_path)
        assert not path.exists()
        os.utime(left, (0, 0))  # as if it were from long ago
        sandbox.store.files.blobs["reports/2.csv.gz"] = zeros(size)
        await anyio.run_process([*command, "asyncio"])
    assert path.stat().st_size == size
    assert not unfinished(tmp_path)
