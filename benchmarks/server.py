"""A service that sends prepared pages of stories, so that only the cost of the client is measured.

`python -m benchmarks.server PAGES SECONDS_OF_LATENCY` prints its port, and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.data import STORIES, page
from benchmarks.measure import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACE = b"70707070"
"""Placeholder for the first digits of ids, which differ on each page."""
_PAGE = re.compile(rb"[?&]page=(\d+)")


def prepared(pages: int) -> bytes:
    """The page that all pages are made from: 200 stories, nothing included."""
    received = json.loads(page())
    stories = {f"{_PLACE.decode()}{n:03}": story for n, story in enumerate(received["stories"].values())}
    for identifier, story in stories.items():
        story["id"] = identifier
        for name in ("creator_id", "parent_id", "workspace_id", "assignee_ids", "sub_story_ids"):
            del story[name]
    results = [{"key": "stories", "id": identifier} for identifier in stories]
    count = pages * STORIES
    envelope = {"count": count, "results": results, "stories": stories, "meta": {"count": count}}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, body: bytes, latency: float) -> None:
        self._body = body
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            found = _PAGE.search(head.split(b"\r\n", 1)[0])
            body = self._body.replace(_PLACE, b"%08d" % (10_000_000 + int(found[1] if found else 1)))
            answer = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: b-1\r\n"
                b"content-length: %d\r\n\r\n" % len(body)
            ) + body
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def _serve(pages: int, latency: float) -> None:
    loop = asyncio.get_running_loop()
    body = prepared(pages)
    server = await loop.create_server(lambda: _Connection(body, latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def serving(pages: int, latency: float = 0.0) -> Iterator[str]:
    """The base URL of a server in a process of its own. The process ends with the block."""
    command = [sys.executable, "-m", "benchmarks.server", str(pages), str(latency)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/api/v1"
        server.communicate(timeout=10)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
