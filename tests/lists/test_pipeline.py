"""Fetching ahead: what overlaps with the caller's work, what waits as bytes, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import warnings
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from kantata_client import Kantata, KantataError, Model, RetryPolicy, UnstableListError
from kantata_client._lists.seen import Seen
from tests.lists.service import ListService, envelope

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


class Slow(httpx.AsyncBaseTransport):
    """Returns any page of a list after some steps of the event loop, or when it is released."""

    def __init__(self, pages: int, size: int = 10, *, steps: int = 3) -> None:
        self.pages, self.size, self.steps = pages, size, steps
        self.asked: list[int] = []
        self.under_way = 0
        self.cancelled = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "1"))
        self.asked.append(number)
        self.under_way += 1
        try:
            for _ in range(self.steps):
                await anyio.lowlevel.checkpoint()
        except BaseException:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        ids = range(self.size * (number - 1), self.size * number) if number <= self.pages else ()
        objects = [{"id": str(each)} for each in ids]
        return httpx.Response(200, content=envelope("stories", objects, self.pages * self.size))

    def client(self, **options: Any) -> Kantata:
        return Kantata("secret", transport=self, retries=RetryPolicy(retries=0), **options)


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


async def test_pages_are_fetched_while_the_caller_works() -> None:
    service = Slow(10)
    async with service.client() as kantata:
        pages = kantata.stories.list(per_page=10).pages(concurrency=4)
        await anext(pages)
        await settled()
        assert sorted(service.asked) == [1, 2, 3, 4, 5], (
            "behind the first page, whose count says how many there are"
        )
        await anext(pages)
        await settled()
        assert sorted(service.asked) == [1, 2, 3, 4, 5, 6], "one more for each that is delivered"
        assert service.under_way == 0


async def test_nothing_runs_between_pages_if_the_client_was_not_entered() -> None:
    service = Slow(10)
    kantata = service.client()
    pages = kantata.stories.list(per_page=10).pages(concurrency=4)
    await anext(pages)
    assert sorted(service.asked) == [1]
    await anext(pages)
    assert (sorted(service.asked), service.under_way) == ([1, 2, 3, 4, 5], 0)
    await settled()
    assert len(service.asked) == 5
    await kantata.aclose()


async def test_walk_can_be_entered_instead_of_the_client() -> None:
    service = Slow(10)
    kantata = service.client()
    async with kantata.stories.list(per_page=10).pages(concurrency=3) as pages:
        await anext(pages)
        await settled()
        assert sorted(service.asked) == [1, 2, 3, 4]
        await settled()
        service.steps = 1_000_000
        await anext(pages)
        await anyio.lowlevel.checkpoint()
    assert service.under_way == 0, "the tasks have ended when the block has"
    service.steps = 3
    async with kantata.stories.list(per_page=10).items(limit=5) as items:
        assert [each.id async for each in items] == ["0", "1", "2", "3", "4"]
    async with kantata.stories.list(per_page=10).dicts(limit=2) as dicts:
        assert [each async for each in dicts] == [{"id": "0"}, {"id": "1"}]
    await kantata.aclose()


async def test_slow_page_delays_only_later_pages() -> None:
    release, order = anyio.Event(), []

    class Held(Slow):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.params.get("page") == "3":
                await release.wait()
            return await super().handle_async_request(request)

    service = Held(8)
    async with service.client() as kantata:
        pages = kantata.stories.list(per_page=10).pages(concurrency=4)
        order += [(await anext(pages)).number, (await anext(pages)).number]
        await settled()
        assert sorted(service.asked) == [1, 2, 4, 5, 6]
        release.set()
        order += [page.number async for page in pages]
    assert order == list(range(1, 9))


async def test_pages_fetched_ahead_wait_as_bytes() -> None:
    service = Slow(10)
    async with service.client() as kantata:
        pages = kantata.stories.list(per_page=10).pages(concurrency=8)
        page = await anext(pages)
        await settled()
        gc.collect()
        assert len(service.asked) == 9
        assert sum(isinstance(each, Model) for each in gc.get_objects()) == len(page.items) == 10


@pytest.mark.parametrize("limit", [1, 10, 11, 25, 100, 1000])
@pytest.mark.parametrize("concurrency", [1, 3, 8])
async def test_limit_fetches_no_page_beyond_it(limit: int, concurrency: int) -> None:
    service = Slow(10)
    async with service.client() as kantata:
        found = [
            each
            async for each in kantata.stories.list(per_page=10).items(limit=limit, concurrency=concurrency)
        ]
    assert len(found) == min(limit, 100)
    assert len(service.asked) <= -(-min(limit, 100) // 10)


async def test_closing_the_client_waits_for_cancelled_requests() -> None:
    service = Slow(10)
    async with service.client() as kantata:
        pages = kantata.stories.list(per_page=10).pages(concurrency=6)
        await anext(pages)
        await settled()
        service.steps = 1_000_000
        await anext(pages)
        await anyio.lowlevel.checkpoint()
    assert service.under_way == 0
    with pytest.raises(KantataError, match="closed"):
        async for _ in pages:
            pass


async def abandon(service: Slow, kantata: Kantata) -> None:
    pages = kantata.stories.list(per_page=10).pages(concurrency=6)
    await anext(pages)
    await settled()
    service.steps = 1_000_000
    await anext(pages)
    await anyio.lowlevel.checkpoint()


async def break_out(service: Slow, kantata: Kantata) -> None:
    async for item in kantata.stories.list(per_page=10).items(concurrency=6):
        service.steps = 3 if int(item.id) < 10 else 1_000_000
        if item.id == "13":
            break


async def raise_inside(service: Slow, kantata: Kantata) -> None:
    async def walk() -> None:
        async for item in kantata.stories.list(per_page=10).items(concurrency=6):
            service.steps = 3 if int(item.id) < 10 else 1_000_000
            if item.id == "13":
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await walk()


async def close_it(service: Slow, kantata: Kantata) -> None:
    items = kantata.stories.list(per_page=10).items(concurrency=6)
    await anext(items)
    service.steps = 1_000_000
    await items.aclose()
    assert [each async for each in items] == []


@pytest.mark.parametrize("leave", [abandon, break_out, raise_inside, close_it])
async def test_leaving_a_walk_cancels_its_requests(leave: Callable[..., Any]) -> None:
    service = Slow(10)
    async with service.client() as kantata:
        await leave(service, kantata)
        gc.collect()
        await settled()
        assert service.under_way == 0
        service.steps = 3
        assert await kantata.stories.list(per_page=10).count() == 100, "the client works on"


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_cancellation_at_any_step_leaves_nothing_behind(concurrency: int) -> None:
    """The walk can be continued: nothing is lost or delivered twice."""
    for patience in range(40):
        service = Slow(4, 2)
        async with service.client() as kantata:
            pages = kantata.stories.list(per_page=2).pages(concurrency=concurrency)
            found: list[str] = []
            steps = 0

            async def tick(scope: anyio.CancelScope, patience: int = patience) -> None:
                for _ in range(patience):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as scope:
                    tasks.start_soon(tick, scope)
                    async for page in pages:
                        found += [each.id for each in page.items]
                tasks.cancel_scope.cancel()
            async for page in pages:
                found += [each.id for each in page.items]
                steps += 1
            assert found == [str(each) for each in range(8)], patience
        assert service.under_way == 0


def test_consecutive_event_loops_and_debug_mode(caplog: pytest.LogCaptureFixture) -> None:
    service = Slow(6)
    kantata = service.client()

    async def main() -> int:
        async with kantata.stories.list(per_page=10).pages(concurrency=4) as pages:
            return sum([len(page.items) async for page in pages])

    async def leave() -> None:
        kantata._transport.ahead.is_open = True  # as an entered client whose loop ended before it was left
        async for _ in kantata.stories.list(per_page=10):
            break

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asyncio.run(main(), debug=True) == 60
        asyncio.run(leave(), debug=True)
        assert anyio.run(main, backend="trio") == 60
        anyio.run(leave, backend="trio")
        assert asyncio.run(main(), debug=True) == 60
        gc.collect()
    logged = [each.message for each in caplog.records if each.name == "asyncio" and each.levelno > 20]
    assert [each for each in logged if "Executing" not in each] == [], (
        "a busy machine is slow, which is no leak"
    )


async def test_tasks_can_share_a_walk_that_fetches_ahead() -> None:
    service, found = Slow(40, steps=5), []

    async def work(items: Any) -> None:
        async for item in items:
            found.append(int(item.id))
            await anyio.lowlevel.checkpoint()

    async with service.client() as kantata:
        items = kantata.stories.list(per_page=10).items(concurrency=5)
        async with anyio.create_task_group() as tasks:
            for _ in range(7):
                tasks.start_soon(work, items)
    assert sorted(found) == list(range(400))


async def test_error_is_raised_in_order_and_the_walk_can_continue() -> None:
    broken = [4, 4]

    class Failing(ListService):
        def answer(self, query: dict[str, str]) -> bytes:
            number = int(query.get("page", "1"))
            if number in broken:
                broken.remove(number)
                raise httpx.ReadError("reset")
            return super().answer(query)

    failing = Failing(steady=True, chance=Random(1))
    failing.fill(95, 1.0)
    found: list[int] = []
    errors: list[str] = []
    async with Kantata("secret", transport=failing, retries=RetryPolicy(retries=0)) as kantata:
        pages = kantata.stories.list(per_page=10).pages(concurrency=6)
        for _ in range(40):
            try:
                found += [int(each.id) for each in (await anext(pages)).items]
            except StopAsyncIteration:
                break
            except KantataError as error:
                errors.append(str(error))
                assert found[-1] % 10 == 0
    assert found == list(range(1, 96))
    assert [each.rpartition("page=")[2] for each in errors] == ["4.", "4."]


# --- walks that would not end, or would lose objects -------------------------------------------


def ignoring(count: int | None, size: int = 10, **meta: Any) -> httpx.MockTransport:
    """A service, or a cache, that returns the first page for every request."""
    objects = [{"id": str(each)} for each in range(size)]
    body = json.loads(envelope("stories", objects, count)) | ({"meta": meta} if meta else {})
    return httpx.MockTransport(lambda _: httpx.Response(200, json=body))


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("count", [20, 30, 20_000, None, 0])
async def test_service_that_ignores_page_raises(count: Any, concurrency: int) -> None:
    for entered in (True, False):
        kantata = Kantata("secret", transport=ignoring(count))
        if entered:
            await kantata.__aenter__()
        pages = kantata.stories.list(per_page=10).pages(concurrency=concurrency)
        found = [each.id for each in (await anext(pages)).items]
        with pytest.raises(UnstableListError, match="ignores `page`"):
            await anext(pages)
        assert found == [str(each) for each in range(10)]
        assert [each async for each in pages] == [], "the walk is over"
        await kantata.aclose()


async def test_chunk_of_ids_whose_pages_repeat_raises() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        ids = request.url.params["only"].split(",")[:7]
        objects = [{"id": each} for each in ids]
        count = len(request.url.params["only"].split(","))
        return httpx.Response(200, content=envelope("stories", objects, count))

    async with Kantata("secret", transport=httpx.MockTransport(answer)) as kantata:
        with pytest.raises(UnstableListError, match="objects are missing: pass fewer ids"):
            await kantata.stories.list(only=range(1, 500)).collect()


async def test_page_that_came_twice_is_fetched_again() -> None:
    service = Slow(6)
    real = service.handle_async_request
    repeated = [3]

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("page") == "4" and repeated:
            repeated.pop()
            request = httpx.Request("GET", request.url.copy_set_param("page", "3"))
        return await real(request)

    service.handle_async_request = handle  # type: ignore[method-assign]
    async with service.client() as kantata:
        found = [int(each.id) async for each in kantata.stories.list(per_page=10)]
    assert found == list(range(60))


@pytest.mark.parametrize("most", [3, 10])
@pytest.mark.parametrize("counted", [True, False])
async def test_smaller_pages_are_noticed_wherever_the_walk_starts(most: int, counted: bool) -> None:
    """The response does not state the page size, nor perhaps the count."""

    def answer(request: httpx.Request) -> httpx.Response:
        number, total = int(request.url.params.get("page", "1")), 35
        size = min(most, int(request.url.params["per_page"]))
        objects = [{"id": str(each)} for each in range(total)][size * (number - 1) : size * number]
        return httpx.Response(200, content=envelope("stories", objects, total if counted else None))

    async with Kantata("secret", transport=httpx.MockTransport(answer)) as kantata:
        stories = kantata.stories.list(per_page=20)
        assert [int(each.id) async for each in stories] == list(range(35))
        for later in (stories.skip(25), kantata.stories.list(per_page=20, page=2)):
            with pytest.raises(KantataError, match=f"per_page={most}"):
                await later.collect()


# --- what was seen -----------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [1, 3, 1_000, 2**32, 2**40])
def test_a_million_ids_take_little_memory(gap: int) -> None:
    seen = Seen()
    page: list[Any] = [None] * 1_000
    for start in range(0, 1_000_000, 1_000):
        ids = [str(1 + gap * each) for each in range(start, start + 1_000)]
        assert len(seen.new(page, ids)) == 1_000
    blocks = seen._blocks or {}
    taken = sum(map(sys.getsizeof, (seen._table, blocks, *blocks, *blocks.values())))
    assert taken < (3_000_000 if gap <= 3 else 20_000_000)
    assert seen.new(page, [str(1 + gap * each) for each in range(0, 1_000_000, 1_000)]) == []
    assert len(seen.new(page[:2], [str(gap * 2_000_000 + 2), "007"])) == 2


def test_seen_distinguishes_numbers_and_other_ids() -> None:
    chance = Random(1)
    for bits in (12, 40, 63):
        seen, known = Seen(), set()
        for _ in range(200):
            ids = [chance.randrange(1, 2**bits) for _ in range(100)]
            fresh = list(dict.fromkeys(each for each in ids if each not in known))
            found: list[Any] = seen.new(ids, [str(each) for each in ids])  # type: ignore[arg-type]
            assert found == fresh
            known.update(ids)
