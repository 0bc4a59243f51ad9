"""Run one way of using the service in a process of its own, and print its costs as JSON.

`python -m benchmarks.client WAY WHAT URL PAGES CONCURRENCY`
"""

import sys
import time

_START = time.perf_counter()


def bare_import() -> float:
    import httpx  # noqa: F401

    return time.perf_counter() - _START


def first_client() -> float:
    from kantata_client import Kantata

    Kantata(token="secret")
    return time.perf_counter() - _START


def first_page_by_httpx(url: str) -> float:
    import asyncio

    import httpx

    async def main() -> None:
        async with httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer secret"}) as client:
            response = await client.get("/stories", params={"per_page": 200})
            response.raise_for_status()
            body = response.json()
            stories = [body["stories"][each["id"]] for each in body["results"]]
            assert stories[0]["title"] is not stories

    asyncio.run(main())
    return time.perf_counter() - _START


def first_page(url: str) -> float:
    import asyncio

    from kantata_client import Kantata

    async def main() -> None:
        async with Kantata(token="secret", base_url=url) as kantata:
            page = await anext(kantata.stories.list().pages(concurrency=1))
            assert page.items[0].title is not page

    asyncio.run(main())
    return time.perf_counter() - _START


def walk_by_httpx(url: str, pages: int) -> dict:
    """The loop that a user would write: one page after the other."""
    import asyncio

    import httpx

    costs = _Costs()

    async def main() -> int:
        seen = 0
        async with httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer secret"}) as client:
            for number in range(1, pages + 1):
                response = await client.get("/stories", params={"per_page": 200, "page": number})
                response.raise_for_status()
                body = response.json()
                stories = body["stories"]
                for each in body["results"]:
                    story = stories[each["id"]]
                    if story["id"]:
                        seen += 1
                costs.note(seen)
        return seen

    return costs.told(asyncio.run(main()))


def walk(url: str, concurrency: int) -> dict:
    import asyncio

    from kantata_client import Kantata

    costs = _Costs()

    async def main() -> int:
        seen = 0
        async with Kantata(token="secret", base_url=url) as kantata:
            async for page in kantata.stories.list().pages(concurrency=concurrency):
                for story in page.items:
                    if story.id:
                        seen += 1
                costs.note(seen)
        return seen

    return costs.told(asyncio.run(main()))


class _Costs:
    """CPU seconds, seconds, and the largest memory so far after each tenth part of a walk."""

    def __init__(self) -> None:
        self._memory: list[tuple[int, float]] = []
        self._cpu = time.process_time()
        self._start: float | None = None

    def note(self, seen: int) -> None:
        if self._start is None:
            # The first page pays for imports and TLS settings, which `starting` measures.
            self._start, self._cpu_then = time.perf_counter(), time.process_time()
        if seen % 10_000 == 0:
            self._memory.append((seen, _peak_memory()))

    def told(self, seen: int) -> dict:
        assert self._start is not None
        return {
            "records": seen,
            "cpu": time.process_time() - self._cpu,
            "seconds": time.perf_counter() - self._start,
            "cpu_after_first": time.process_time() - self._cpu_then,
            "memory": self._memory,
        }


def _peak_memory() -> float:
    """The largest resident memory of this process so far, in MB."""
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage also counts what the parent had when it forked
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    import json

    what, *arguments = sys.argv[1:]
    match what:
        case "bare_import":
            told: object = bare_import()
        case "first_client":
            told = first_client()
        case "first_page_by_httpx":
            told = first_page_by_httpx(arguments[0])
        case "first_page":
            told = first_page(arguments[0])
        case "walk_by_httpx":
            told = walk_by_httpx(arguments[0], int(arguments[1]))
        case _:
            told = walk(arguments[0], int(arguments[1]))
    print(json.dumps(told))
