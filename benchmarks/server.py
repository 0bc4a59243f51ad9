"""A service that sends prepared pages of stories, so that only the cost of the client is measured.

`python -m benchmarks.server [OPTIONS]` prints its port, and serves until its input ends. With `include=`, a page has users
and workspaces as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.data import STORIES, page
from benchmarks.measure import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DIGITS = b"70707070"
"""Placeholder for the first digits of ids, which differ on each page."""
_PAGE = re.compile(rb"[?&]page=(\d+)")
_INCLUDE = re.compile(rb"[?&]include=")


def prepared(pages: int, *, included: bool, nulls: bool = True) -> bytes:
    """The page that all pages are made from: 200 stories, and with `included` their users and workspaces."""
    received = json.loads(page(nulls=nulls))
    stories = {f"{_DIGITS.decode()}{n:03}": story for n, story in enumerate(received["stories"].values())}
    for identifier, story in stories.items():
        story["id"] = identifier
        left_out = ["creator_id", "parent_id", "sub_story_ids"]
        if not included:
            left_out += ["workspace_id", "assignee_ids"]
        for name in left_out:
            story.pop(name, None)
    results = [{"key": "stories", "id": identifier} for identifier in stories]
    count = pages * STORIES
    envelope = {"count": count, "results": results, "stories": stories, "meta": {"count": count}}
    if included:
        envelope |= {key: received[key] for key in ("users", "workspaces")}
    return _encoded(envelope)


def tiny(pages: int, gap: int) -> Callable[[int], bytes]:
    """Pages of 200 records with nothing but an id, which are `gap` apart."""
    count = pages * STORIES

    def made(number: int) -> bytes:
        ids = [str(n * gap) for n in range((number - 1) * STORIES + 1, number * STORIES + 1)]
        results = [{"key": "stories", "id": each} for each in ids]
        stories = {each: {"id": each} for each in ids}
        return _encoded({"count": count, "results": results, "stories": stories, "meta": {"count": count}})

    return made


def _encoded(envelope: object) -> bytes:
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, body_of: Callable[[int, bool], bytes], latency_of: Callable[[int], float]) -> None:
        self._body_of = body_of
        self._latency_of = latency_of
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            line = head.split(b"\r\n", 1)[0]
            found = _PAGE.search(line)
            number = int(found[1]) if found else 1
            body = self._body_of(number, _INCLUDE.search(line) is not None)
            response = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: b-1\r\n"
                b"content-length: %d\r\n\r\n" % len(body)
            ) + body
            if latency := self._latency_of(number):
                asyncio.get_running_loop().call_later(latency, self._transport.write, response)
            else:
                self._transport.write(response)


async def _serve(options: argparse.Namespace) -> None:
    if options.gap:
        make = tiny(options.pages, options.gap)

        def body_of(number: int, included: bool) -> bytes:
            return make(number)
    else:
        bodies = {
            included: prepared(options.pages, included=included, nulls=options.nulls)
            for included in (True, False)
        }

        def body_of(number: int, included: bool) -> bytes:
            return bodies[included].replace(_DIGITS, b"%08d" % (10_000_000 + number))

    def latency_of(number: int) -> float:
        if not options.latency:
            return 0.0
        # The same for each client that asks for the page.
        return random.Random(number).lognormvariate(math.log(options.latency), options.sigma)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(body_of, latency_of), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def serving(
    pages: int, *, latency: float = 0.0, sigma: float = 0.0, nulls: bool = True, gap: int = 0
) -> Iterator[str]:
    """The base URL of a server in a process of its own, which ends with the block.

    Args:
        pages: How many pages there are.
        latency: Median seconds until a response.
        sigma: Of the lognormal distribution of latencies; 0 for the same latency of each response.
        nulls: Whether a fifth of the values is null.
        gap: Send tiny records whose ids are so far apart, instead of stories.
    """
    command = [
        *(sys.executable, "-m", "benchmarks.server", "--pages", str(pages), "--latency", str(latency)),
        *("--sigma", str(sigma), "--gap", str(gap), "--nulls" if nulls else "--no-nulls"),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/api/v1"
        server.communicate(timeout=10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--pages", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--sigma", type=float, default=0.0)
    parser.add_argument("--nulls", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--gap", type=int, default=0)
    asyncio.run(_serve(parser.parse_args()))
