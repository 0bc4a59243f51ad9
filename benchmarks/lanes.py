"""Ways to read a list, each run in a process of its own that prints its costs as JSON.

`python -m benchmarks.lanes LANE URL [OPTIONS]`. Each lane makes a row of each story: its id, its title, the title of its
workspace, and the names of its assignees. All but `kantata` are written as a user would write them, without this package.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import io
import json
import sys
import time
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

INCLUDE: tuple[Literal["assignees"], Literal["workspace"]] = ("assignees", "workspace")
_HEADERS = {"authorization": "Bearer secret"}
_WARM_UP = 3
"""How many pages are read before the costs are counted: imports, connections, caches."""


class Costs:
    """CPU seconds, seconds, and the peak memory in the course of a walk."""

    def __init__(self, records_per_point: int = 0) -> None:
        self.records = 0
        self._points: list[tuple[int, float]] = []
        self._every = records_per_point
        self._start, self._cpu = time.perf_counter(), time.process_time()

    def count(self, records: int) -> None:
        """Count records that were read."""
        self.records += records
        if self._every and self.records % self._every == 0:
            self._points.append((self.records, peak_memory()))

    def as_dict(self) -> dict[str, Any]:
        """The costs up to now."""
        return {
            "records": self.records,
            "cpu": time.process_time() - self._cpu,
            "seconds": time.perf_counter() - self._start,
            "peak": peak_memory(),
            "memory": self._points,
        }


def peak_memory() -> float:
    """The largest resident memory of this process so far, in MB."""
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage also counts what the parent had when it forked
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_maxrss / 2**20


# --- this package ----------------------------------------------------------------------------------------------


async def kantata(options: argparse.Namespace, costs: Callable[[], Costs]) -> dict[str, Any]:
    """Pages of typed objects."""
    from kantata_client import Kantata

    async with Kantata("secret", base_url=options.url) as client:
        stories = client.stories.list(include=INCLUDE if options.include else None)

        async def walk(limit: int | None, counted: Costs) -> Costs:
            async for page in stories.pages(concurrency=options.concurrency, limit=limit):
                if options.include:
                    rows = [
                        (
                            story.id,
                            story.title,
                            workspace.title if (workspace := story.workspace) else None,
                            [user.full_name for user in story.assignees],
                        )
                        for story in page.items
                    ]
                else:
                    rows = [(story.id, story.title) for story in page.items]
                counted.count(len(rows))
                if options.work:
                    await asyncio.sleep(options.work)
            return counted

        await walk(_WARM_UP * 200, Costs())
        return (await walk(None, costs())).as_dict()


async def kantata_dicts(options: argparse.Namespace, costs: Callable[[], Costs]) -> dict[str, Any]:
    """Plain dictionaries, without associations."""
    from kantata_client import Kantata

    async with Kantata("secret", base_url=options.url) as client:
        stories = client.stories.list()

        async def walk(limit: int | None, counted: Costs) -> Costs:
            async for story in stories.dicts(concurrency=options.concurrency, limit=limit):
                row = (story["id"], story["title"])
                counted.count(len(row) // 2)
            return counted

        await walk(_WARM_UP * 200, Costs())
        return (await walk(None, costs())).as_dict()


# --- by hand ---------------------------------------------------------------------------------------------------


def rows_by_hand(body: Any, *, include: bool) -> list[tuple[Any, ...]]:
    """Rows from a decoded envelope, with look-ups by hand."""
    stories = body["stories"]
    if not include:
        return [(story["id"], story["title"]) for story in (stories[each["id"]] for each in body["results"])]
    users, workspaces = body["users"], body["workspaces"]
    rows: list[tuple[Any, ...]] = []
    for each in body["results"]:
        story = stories[each["id"]]
        workspace = workspaces.get(story["workspace_id"])
        rows.append(
            (
                story["id"],
                story["title"],
                workspace["title"] if workspace else None,
                [users[identifier]["full_name"] for identifier in story["assignee_ids"]],
            )
        )
    return rows


async def pipeline(
    fetch: Callable[[int], Awaitable[Any]],
    count_of: Callable[[Any], int],
    concurrency: int,
    pages: int | None,
) -> AsyncGenerator[Any]:
    """Responses in order; while the caller works on one, the next ones are under way or wait."""
    first = await fetch(1)
    last = -(-count_of(first) // 200) if pages is None else pages
    numbers: Iterator[int] = iter(range(2, last + 1))
    ahead: deque[asyncio.Task[Any]] = deque()

    def fill() -> None:
        while len(ahead) < concurrency and (number := next(numbers, None)) is not None:
            ahead.append(asyncio.ensure_future(fetch(number)))

    if concurrency > 1:
        fill()
    yield first
    if concurrency == 1:
        for number in numbers:
            yield await fetch(number)
        return
    while ahead:
        response = await ahead.popleft()
        fill()
        yield response


async def _by_httpx(
    options: argparse.Namespace,
    costs: Callable[[], Costs],
    decode: Callable[[Any], Any],
    rows_of: Callable[..., list[Any]],
    count_of: Callable[[Any], int],
) -> dict[str, Any]:
    import httpx

    limits = httpx.Limits(max_connections=options.concurrency, max_keepalive_connections=options.concurrency)
    async with httpx.AsyncClient(headers=_HEADERS, limits=limits, timeout=60) as client:

        async def fetch(number: int) -> httpx.Response:
            query: dict[str, Any] = {"page": number, "per_page": 200}
            if options.include:
                query["include"] = ",".join(INCLUDE)
            response = await client.get(f"{options.url}/stories", params=query)
            response.raise_for_status()
            return response

        async def walk(pages: int | None, counted: Costs) -> Costs:
            read = pipeline(fetch, lambda response: count_of(decode(response)), options.concurrency, pages)
            async with aclosing(read) as responses:
                async for response in responses:
                    counted.count(len(rows_of(decode(response), include=options.include)))
                    if options.work:
                        await asyncio.sleep(options.work)
            return counted

        await walk(_WARM_UP, Costs())
        return (await walk(None, costs())).as_dict()


def _count(body: Any) -> int:
    return body["count"]


async def by_httpx(options: argparse.Namespace, costs: Callable[[], Costs]) -> dict[str, Any]:
    """`httpx.AsyncClient`, `response.json()` and look-ups by hand."""
    return await _by_httpx(options, costs, lambda response: response.json(), rows_by_hand, _count)


async def ideal(options: argparse.Namespace, costs: Callable[[], Costs]) -> dict[str, Any]:
    """A pipeline that decodes with orjson: as fast as it gets by hand."""
    import orjson

    return await _by_httpx(
        options, costs, lambda response: orjson.loads(response.content), rows_by_hand, _count
    )


async def by_pydantic(options: argparse.Namespace, costs: Callable[[], Costs]) -> dict[str, Any]:
    """`httpx.AsyncClient` and pydantic models."""
    from benchmarks.rivals import pydantic_envelope
    from kantata_client.models import Story, User, Workspace

    validate = pydantic_envelope(Story, User, Workspace)

    def rows(body: Any, *, include: bool) -> list[Any]:
        found: list[Any] = []
        for each in body.results:
            story = body.stories[each.id]
            workspace = body.workspaces.get(story.workspace_id)
            names = [body.users[identifier].full_name for identifier in story.assignee_ids or ()]
            found.append((story.id, story.title, workspace.title if workspace else None, names))
        return found

    return await _by_httpx(
        options, costs, lambda response: validate(response.content), rows, lambda body: body.count
    )


async def by_stock_generator(options: argparse.Namespace, costs: Callable[[], Costs]) -> dict[str, Any]:
    """The code that the stock generator makes of the contract, with its own client."""
    sys.path.insert(0, options.code)
    stock = importlib.import_module(options.module)
    client_class = importlib.import_module(
        f"{options.module.split('.', maxsplit=1)[0]}.client"
    ).AuthenticatedClient
    async with client_class(base_url=options.url, token="secret") as client:

        async def fetch(number: int) -> Any:
            return await stock.asyncio(client=client, page=number, per_page=200, include=",".join(INCLUDE))

        async def walk(pages: int | None, counted: Costs) -> Costs:
            read = pipeline(fetch, lambda body: body.count, options.concurrency, pages)
            async with aclosing(read) as bodies:
                async for body in bodies:
                    users, workspaces = body.users, body.workspaces
                    rows: list[Any] = []
                    for each in body.results:
                        story = body.stories[each.id]
                        workspace = workspaces[story.workspace_id]
                        names = [users[identifier].full_name for identifier in story.assignee_ids]
                        rows.append((each.id, story.title, workspace.title, names))
                    counted.count(len(rows))
            return counted

        await walk(_WARM_UP, Costs())
        return (await walk(None, costs())).as_dict()


def by_tap(options: argparse.Namespace, costs: Callable[[], Costs]) -> dict[str, Any]:
    """One page after the other in a synchronous client, and a line of JSON for each record, as a Singer tap writes it."""
    import httpx

    with httpx.Client(headers=_HEADERS, timeout=60) as client:

        def walk(pages: int | None, counted: Costs) -> Costs:
            number = 0
            while pages is None or number < pages:
                number += 1
                query = {"page": number, "per_page": 200, "include": ",".join(INCLUDE)}
                response = client.get(f"{options.url}/stories", params=query)
                response.raise_for_status()
                body = response.json()
                out = io.StringIO()
                for each in body["results"]:
                    record = body["stories"][each["id"]]
                    record["workspace"] = body["workspaces"].get(record["workspace_id"])
                    record["assignees"] = [body["users"][each] for each in record["assignee_ids"]]
                    out.write(json.dumps({"type": "RECORD", "stream": "stories", "record": record}) + "\n")
                counted.count(len(body["results"]))
                if number * 200 >= body["count"]:
                    break
            return counted

        walk(_WARM_UP, Costs())
        return walk(None, costs()).as_dict()


LANES: dict[str, Callable[..., Any]] = {
    "kantata": kantata,
    "kantata-dicts": kantata_dicts,
    "httpx": by_httpx,
    "ideal": ideal,
    "pydantic": by_pydantic,
    "stock": by_stock_generator,
    "tap": by_tap,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lanes", description=__doc__)
    parser.add_argument("lane", choices=LANES)
    parser.add_argument("url")
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--include", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--work", type=float, default=0.0, help="seconds that the caller is busy with each page"
    )
    parser.add_argument("--points", type=int, default=0, help="records between two readings of the memory")
    parser.add_argument("--code", default="", help="folder with the stock generator's package")
    parser.add_argument("--module", default="", help="the stock generator's module for the list of stories")
    options = parser.parse_args()
    found = LANES[options.lane](options, lambda: Costs(options.points))
    print(json.dumps(found if isinstance(found, dict) else asyncio.run(found)))


if __name__ == "__main__":
    main()
