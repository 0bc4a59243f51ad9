"""Leaving a walk in any way, resuming it, and its options, over a list in memory and over real sockets."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from kantata_client import Kantata, KantataError, NotOneError, RetryPolicy, UsageError
from tests.lists.service import ListService, envelope
from tests.loopback import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio


def service(count: int = 95, **options: Any) -> ListService:
    made = ListService(steady=True, chance=Random(3), **options)
    made.fill(count, 1.0)
    return made


def client(transport: httpx.AsyncBaseTransport) -> Kantata:
    return Kantata("secret", transport=transport, retries=RetryPolicy(retries=0))


def ids(items: list[Any]) -> list[int]:
    return [int(item.id) for item in items]


# --- a service on loopback that counts its connections -----------------------------------------


class Loopback:
    """Serves a list, each page after a moment. `open` holds the connections of clients."""

    def __init__(self, behind: ListService) -> None:
        self.behind = behind
        self.open = 0
        self.port = 0
        self.slow = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    async def handle(self, stream: SocketStream) -> None:
        self.open += 1
        try:
            async with stream:
                data = b""
                while True:
                    while b"\r\n\r\n" not in data:
                        data += await stream.receive()
                    head, _, data = data.partition(b"\r\n\r\n")
                    url = httpx.URL("http://localhost" + head.split(b" ")[1].decode())
                    query = dict(url.params)
                    await anyio.sleep(self.slow)
                    body = self.behind.answer(query)
                    await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            self.open -= 1


@asynccontextmanager
async def loopback(behind: ListService) -> AsyncIterator[Loopback]:
    made = Loopback(behind)
    async with listening(made.handle) as made.port:
        yield made


class Leaks:
    """What a block leaves behind: tasks, warnings, sockets of clients."""

    def __init__(self, server: Loopback) -> None:
        self._server = server

    async def __aenter__(self) -> None:
        gc.collect()  # or what earlier tests left is counted
        await anyio.wait_all_tasks_blocked()  # until the server has started its tasks, which stay
        self._tasks = {task.id for task in anyio.get_running_tasks()}
        self._caught = warnings.catch_warnings(record=True)
        self._warned = self._caught.__enter__()
        warnings.simplefilter("always")

    async def __aexit__(self, *_: object) -> None:
        gc.collect()
        await anyio.lowlevel.checkpoint()
        gc.collect()
        self._caught.__exit__(None, None, None)
        assert [str(each.message) for each in self._warned] == []
        with anyio.move_on_after(60):  # the server's own tasks take a moment to end
            while self._left():  # noqa: ASYNC110 - nothing tells when a task is gone
                await anyio.sleep(0.005)
        assert [str(each) for each in self._left()] == []

    def _left(self) -> list[anyio.TaskInfo]:
        """Tasks that were started since, except those that serve a connection; all of these are closed."""
        # On trio one task waits for the event loop to end, to close connections that are left then; it does nothing else.
        return [
            task
            for task in anyio.get_running_tasks()
            if task.id not in self._tasks and task.name != "kantata_client: connections"
        ]

    async def closed(self) -> None:
        """Wait for the server to see that all connections are closed."""
        with anyio.fail_after(60):
            while self._server.open:  # noqa: ASYNC110 - nor a connection
                await anyio.sleep(0.005)


async def break_out(kantata: Kantata) -> None:
    async for story in kantata.stories.list(per_page=10):
        if story.id == "13":
            break


async def raise_inside(kantata: Kantata) -> None:
    async def walk() -> None:
        async for _ in kantata.stories.list(per_page=10):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await walk()


async def cancel_while_fetching(kantata: Kantata) -> None:
    with anyio.move_on_after(0.03) as scope:
        async for _ in kantata.stories.list(per_page=5).pages(concurrency=8):
            pass
    assert scope.cancelled_caught


async def leave_pages(kantata: Kantata) -> None:
    async for page in kantata.stories.list(per_page=10).pages(concurrency=8):
        if page.number == 3:
            break


async def fail_in_a_task_group(kantata: Kantata) -> None:
    async def walk() -> None:
        async for story in kantata.stories.list(per_page=10):
            if story.id == "25":
                raise ZeroDivisionError

    async def walks() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(walk)
            tasks.start_soon(walk)

    with pytest.raises(ExceptionGroup):
        await walks()


async def stop_a_stable_walk(kantata: Kantata) -> None:
    async for story in kantata.stories.list(per_page=10).stable():
        if story.id == "40":
            break


async def only_the_first(kantata: Kantata) -> None:
    found = await kantata.stories.list(per_page=10).first()
    assert found is not None


DOORS = [
    break_out,
    raise_inside,
    cancel_while_fetching,
    leave_pages,
    fail_in_a_task_group,
    stop_a_stable_walk,
    only_the_first,
]


@pytest.mark.parametrize("leave", DOORS)
async def test_leaving_a_walk_leaves_nothing_behind(leave: Callable[[Kantata], Any]) -> None:
    async with loopback(service(200)) as server:
        server.slow = 0.01 if leave is cancel_while_fetching else 0.0
        leaks = Leaks(server)
        async with leaks:
            async with Kantata("secret", base_url=server.url) as kantata:
                await leave(kantata)
                # The client works on, by the connections that it has.
                assert await kantata.stories.list(per_page=10).count() == 200
            await leaks.closed()


@pytest.mark.parametrize("leave", DOORS)
def test_asyncio_debug_mode_reports_nothing(
    leave: Callable[[Kantata], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 10
        async with loopback(service(200)) as server, Kantata("secret", base_url=server.url) as kantata:
            server.slow = 0.01 if leave is cancel_while_fetching else 0.0
            await leave(kantata)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main(), debug=True)
        gc.collect()
    assert [
        record.message for record in caplog.records if record.name == "asyncio" and record.levelno > 20
    ] == []


async def test_cancelled_walk_closes_its_sockets() -> None:
    async with loopback(service(200)) as server:
        server.slow = 0.3
        async with Kantata("secret", base_url=server.url) as kantata:
            with anyio.move_on_after(0.05):
                await kantata.stories.list(per_page=5).collect()
            await Leaks(server).closed()


def test_no_socket_outlives_the_client() -> None:
    before = _open_sockets()

    async def main() -> None:
        async with loopback(service(200)) as server, Kantata("secret", base_url=server.url) as kantata:
            await break_out(kantata)

    anyio.run(main)
    assert _open_sockets() == before


def _open_sockets() -> int:
    gc.collect()
    return sum(type(each) is socket.socket and each.fileno() != -1 for each in gc.get_objects())


# --- errors and resuming -----------------------------------------------------------------------


class Failing(ListService):
    """Fails once for each of some pages."""

    def __init__(self, *pages: int) -> None:
        super().__init__(steady=True)
        self.fill(95, 1.0)
        self.pages = list(pages)

    def answer(self, query: dict[str, str]) -> bytes:
        number = int(query.get("page", "1"))
        if number in self.pages:
            self.pages.remove(number)
            raise httpx.ReadError("reset")
        return super().answer(query)


@pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
@pytest.mark.parametrize("broken", [(1,), (4,), (10,), (2, 3, 7), (5, 4)])
async def test_iterating_after_an_error_resumes_at_the_failed_page(
    concurrency: int, broken: tuple[int, ...]
) -> None:
    failing = Failing(*broken)
    async with client(failing) as kantata:
        walk = kantata.stories.list(per_page=10).pages(concurrency=concurrency)
        found: list[int] = []
        errors: list[str] = []
        for _ in range(50):
            try:
                page = await anext(walk)
            except StopAsyncIteration:
                break
            except KantataError as error:
                errors.append(str(error))
            else:
                found += ids(page.items)
    assert found == list(range(1, 96))
    assert 1 <= len(errors) <= len(broken)
    # Where nothing was read yet, there is no place to resume at.
    assert (f"stopped before page {min(broken)};" in errors[0]) == (min(broken) > 1)
    assert failing.under_way == 0


async def test_pages_before_an_error_are_delivered_first() -> None:
    found: list[int] = []

    async def walk(kantata: Kantata) -> None:
        async for page in kantata.stories.list(per_page=10).pages(concurrency=8):
            found.extend(ids(page.items))

    async with client(Failing(4)) as kantata:
        with pytest.raises(KantataError, match="reset"):
            await walk(kantata)
    assert found == list(range(1, 31))


async def test_resuming_by_page_and_by_skip() -> None:
    async with client(service()) as kantata:
        behind = await kantata.stories.list(per_page=10, page=4).collect()
        assert ids(behind) == list(range(31, 96))
        for count in (0, 1, 10, 33, 94, 95, 200):
            rest = await kantata.stories.list(per_page=10).skip(count).collect()
            assert ids(rest) == list(range(count + 1, 96))
        twice = kantata.stories.list(per_page=10).skip(5).skip(8)
        assert ids(await twice.collect()) == list(range(14, 96))
        with pytest.raises(UsageError, match=r"skip\(-1\)"):
            kantata.stories.list().skip(-1)
        with pytest.raises(UsageError, match=r"a stable one can't"):
            kantata.stories.list().stable().skip(3)
        with pytest.raises(UsageError, match=r"skip\(3\): a walk from its first page"):
            kantata.stories.list(page=2).skip(3)


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 95])
async def test_order_is_kept_at_any_concurrency(count: int, concurrency: int) -> None:
    behind = service(count)
    async with client(behind) as kantata:
        pages = [page async for page in kantata.stories.list(per_page=10).pages(concurrency=concurrency)]
    assert [each for page in pages for each in ids(page.items)] == list(range(1, count + 1))
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert {page.count for page in pages} == {count}
    assert behind.most_under_way <= concurrency
    assert len(behind.requests) == max(1, -(-count // 10))


@pytest.mark.parametrize("limit", [1, 9, 10, 11, 50, 95, 1000])
async def test_limit_delivers_and_fetches_no_more(limit: int) -> None:
    behind = service()
    async with client(behind) as kantata:
        walk = kantata.stories.list(per_page=10)
        assert ids(await walk.collect(limit=limit)) == list(range(1, min(limit, 95) + 1))
        assert len(behind.requests) <= -(-min(limit, 95) // 10)
        with pytest.raises(UsageError, match="limit must be at least 1, not 0"):
            walk.pages(limit=0)
        with pytest.raises(UsageError, match="concurrency must be at least 1, not 0"):
            walk.pages(concurrency=0)


async def test_progress_and_total() -> None:
    reported: list[tuple[int, int | None]] = []
    async with client(service()) as kantata:
        pages = kantata.stories.list(per_page=40).pages(progress=lambda *each: reported.append(each))
        assert pages.total is None
        await anext(pages)
        assert (pages.delivered, pages.total) == (40, 95)
        async for _ in pages:
            pass
        assert reported == [(40, 95), (80, 95), (95, 95)]
        limited = kantata.stories.list(per_page=40).pages(limit=50)
        await anext(limited)
        assert limited.total == 50


async def test_dicts_are_the_received_objects() -> None:
    async with client(service(3)) as kantata:
        found = [each async for each in kantata.stories.list().dicts()]
    assert [type(each) for each in found] == [dict] * 3
    assert found[0]["created_at"] == "2026-03-04T05:06:05+00:00"


async def test_first_one_and_count() -> None:
    async with client(service(3)) as kantata:
        stories = kantata.stories.list()
        first = await stories.first()
        assert first is not None
        assert first.id == "1"
        assert await stories.count() == 3
        with pytest.raises(NotOneError, match="the list has several"):
            await stories.one()
        assert (await kantata.stories.list(only=["2"]).one()).id == "2"
    async with client(service(0)) as kantata:
        assert await kantata.stories.list().first() is None
        with pytest.raises(NotOneError, match="the list is empty"):
            await kantata.stories.list().one()


async def test_thousands_of_ids_are_split_into_requests() -> None:
    behind = service(5_000)
    wanted = [7_000_000, *range(5_000, 0, -1), 5, 6]
    async with client(behind) as kantata:
        walk = kantata.stories.list(only=wanted)
        found = ids(await walk.collect())
        assert sorted(found) == list(range(1, 5_001))
        assert await walk.count() == 5_000
    assert all(len(query["only"].split(",")) <= 200 for query in behind.requests)
    assert all(len(query["only"]) <= 4_000 for query in behind.requests)
    assert all("page" not in query for query in behind.requests)
    assert behind.most_under_way <= 4


async def test_walks_over_one_paginator_are_independent() -> None:
    async with client(service(30)) as kantata:
        stories = kantata.stories.list(per_page=10)
        one, other = stories.items(), stories.items()
        assert [(await anext(one)).id, (await anext(one)).id] == ["1", "2"]
        assert (await anext(other)).id == "1"
        assert len([each async for each in stories]) == 30


async def test_list_without_a_count_is_read_to_its_last_page() -> None:
    behind = service(25)

    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "1"))
        records = list(behind.records.values())[10 * (number - 1) : 10 * number]
        objects = [{"id": str(record.id)} for record in records]
        return httpx.Response(200, content=envelope("stories", objects, None))

    async with client(httpx.MockTransport(answer)) as kantata:
        found = await kantata.stories.list(per_page=10).collect()
        assert ids(found) == list(range(1, 26))
        with pytest.raises(KantataError, match="the response has no count"):
            await kantata.stories.list().count()


async def test_ids_of_any_form_are_delivered_once() -> None:
    odd: list[Any] = ["7", "7:a", "8", "set:1", None, None, 9, 9.5, True, ["x"], {"a": 1}]

    def answer(request: httpx.Request) -> httpx.Response:
        things = {str(place): {"id": each} for place, each in enumerate(odd)}
        results = [{"key": "stories", "id": place} for place in things]
        return httpx.Response(200, json={"count": len(odd), "results": results, "stories": things})

    async with client(httpx.MockTransport(answer)) as kantata:
        found = await kantata.stories.list(per_page=len(odd)).collect()
    # What `results` names is what tells objects apart, whatever they say of themselves.
    assert [each.to_dict()["id"] for each in found] == odd


async def test_awaiting_a_paginator_explains_what_to_do() -> None:
    async with client(service(1)) as kantata:
        with pytest.raises(TypeError, match="iterate over it with `async for`"):
            await kantata.stories.list()  # type: ignore[misc]
