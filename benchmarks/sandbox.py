"""`kantata sandbox` as a process of its own: the CPU time of its start, its single gets and its full pages.

The reference is a bare application on the same server (uvicorn, Starlette) that answers with as many bytes. The CPU time of
the process (Linux: /proc) is what one core needs, whatever else the machine does meanwhile. Filtered pages of large accounts
are compared with pages without filters.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from benchmarks.measure import ROOT, Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.measure import Report

_COMMAND = ("from kantata_client.cli import main; main()", "sandbox", "--port", "0")
_BARE = """
import socket, sys
import rich, typer, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def answer(request):
    return Response(b"x" * int(request.path_params["size"]), media_type="application/json")

listening = socket.create_server(("127.0.0.1", 0))
listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(f"KANTATA_BASE_URL=http://127.0.0.1:{listening.getsockname()[1]}/api/v1")
print("KANTATA_ACCESS_TOKEN=x", flush=True)
app = Starlette(routes=[Route("/api/v1/{size}", answer)])
uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off")).run([listening])
"""
_GET = "/time_entries/100001"
_PAGE = "/time_entries?per_page=200&page=3&include=workspace,user"
_CONNECTIONS = 4


@attrs.frozen
class _Server:
    process: int
    host: str
    port: int
    token: str

    def seconds(self) -> float:
        """The CPU time that the process has used."""
        fields = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def ask(self, path: str, times: int) -> int:
        """Send the same GET over and over on one connection; returns the size of the last body."""
        head = (
            f"GET /api/v1{path} HTTP/1.1\r\nhost: {self.host}\r\nauthorization: Bearer {self.token}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=2**20)
        size = 0
        for _ in range(times):
            writer.write(head.encode())
            lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            assert b" 200 " in lines[0], lines
            size = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
            await reader.readexactly(size)
        writer.close()
        await writer.wait_closed()
        return size

    def cost_of(self, paths: Sequence[str]) -> float:
        """The CPU time of one of several different requests, in seconds."""

        async def ask() -> None:
            for path in paths:
                await self.ask(path, 1)

        before = self.seconds()
        asyncio.run(ask())
        return max(self.seconds() - before, 0.01) / len(paths)

    def cost(self, path: str, times: int) -> float:
        """The CPU time of one request, in seconds."""

        async def ask() -> None:
            await asyncio.gather(*(self.ask(path, times // _CONNECTIONS) for _ in range(_CONNECTIONS)))

        asyncio.run(self.ask(path, 20))
        before = self.seconds()
        asyncio.run(ask())
        return max(self.seconds() - before, 0.01) / times


@contextmanager
def _running(*program: str) -> Iterator[_Server]:
    """Start a program that prints its URL and a token."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", *program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            url, token = (process.stdout.readline().strip().partition("=")[2] for _ in range(2))
            address = urlsplit(url)
            yield _Server(process.pid, str(address.hostname), address.port or 0, token)
        finally:
            process.terminate()
            process.wait(timeout=60)


def lines(rounds: int, report: Report | None = None) -> list[Line]:
    """Start both in each round, and load them."""
    costs: dict[str, list[tuple[float, float]]] = {"start": [], "get": [], "page": []}
    for number in range(rounds + 1):
        if report is not None:
            report("sandbox", number, rounds + 1)
        with _running(*_COMMAND) as server, _running(_BARE) as bare:
            asyncio.run(server.ask("/users/me", 1))
            asyncio.run(bare.ask("/100", 1))
            costs["start"].append((server.seconds(), bare.seconds()))
            for name, path, times in (("get", _GET, 3_000), ("page", _PAGE, 800)):
                size = asyncio.run(server.ask(path, 1))
                costs[name].append((server.cost(path, times), bare.cost(f"/{size}", times)))

    filtered = _filtered(rounds, report)

    def line(name: str, what: str, unit: str, target: float) -> Line:
        pairs = costs[what][1:]  # the first round compiled modules
        ours = median(pair[0] for pair in pairs)
        value = 1 / ours if unit == "/s" else ours * 1000
        return Line(name, value, unit, "bare application", median(a / b for a, b in pairs), target)

    return [
        line("sandbox: start to first answer", "start", "ms", 7),
        line("sandbox: single gets, per CPU second", "get", "/s", 2.5),
        line("sandbox: pages of 200 with two includes", "page", "/s", 8),
        *filtered,
    ]


def _filtered(rounds: int, report: Report | None) -> list[Line]:
    """Pages with filters that no request had before, compared with pages of the whole list."""
    found: list[Line] = []
    for entries, name, target in (
        (60_000, "sandbox: pages of a stable walk, 60,000 entries", 1.3),
        (1_000_000, "sandbox: filtered pages, 1,000,000 entries", 2),
    ):
        if report is not None:
            report(name, rounds, rounds + 1)
        with _running(*_COMMAND, "--entries", str(entries)) as server:
            whole = server.cost_of([f"{_ANY_PAGE}&page={number}" for number in range(1, _WINDOWS + 1)])
            cost = server.cost_of(list(_windows(projects=entries > 60_000)))
        found.append(Line(name, cost * 1000, "ms", "pages without filters", cost / whole, target))
    return found


_ANY_PAGE = "/time_entries?order=updated_at:asc&per_page=200&include=workspace,user"
_WINDOWS, _PROJECTS = 200, 40


def _windows(*, projects: bool) -> Iterator[str]:
    """The requests of a stable walk over a year of work; or longer spans, each of one project."""
    end = datetime.now(UTC)
    step = timedelta(days=366) / _WINDOWS
    for number in range(_WINDOWS):
        span = step * 20 if projects else step
        after = end - step * (_WINDOWS - number)
        path = f"{_ANY_PAGE}&updated_after={after:%Y-%m-%dT%H:%M:%SZ}&updated_before={after + span:%Y-%m-%dT%H:%M:%SZ}"
        yield f"{path}&workspace_id={10_001 + number % _PROJECTS}" if projects else path
