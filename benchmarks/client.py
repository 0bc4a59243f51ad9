"""Start a client in a process of its own, and print how many seconds that took: `python -m benchmarks.client WAY [URL]`."""

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


if __name__ == "__main__":
    import json

    what, *arguments = sys.argv[1:]
    match what:
        case "bare_import":
            seconds = bare_import()
        case "first_client":
            seconds = first_client()
        case "first_page_by_httpx":
            seconds = first_page_by_httpx(arguments[0])
        case _:
            seconds = first_page(arguments[0])
    print(json.dumps(seconds))
