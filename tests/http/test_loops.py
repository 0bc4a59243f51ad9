"""One client in several event loops, and what is left when a loop ends."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import tracemalloc
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import httpx
import pytest

from kantata_client import Kantata, UnknownOutcomeError, UsageError
from kantata_client._loops import Slots

ME = b'{"count":1,"results":[{"key":"users","id":"1"}],"users":{"1":{"id":"1"}}}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(ME), ME)


@contextmanager
def service():
    """A server of its own thread, which outlives event loops; gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    peers: list[socket.socket] = []

    def serve(peer: socket.socket) -> None:
        with peer:
            data = b""
            try:
                while more := peer.recv(65536):
                    data += more
                    if b"\r\n\r\n" in data:
                        peer.sendall(ANSWER)
                        data = b""
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            peers.append(peer)
            threading.Thread(target=serve, args=(peer,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def client_sockets(port: int) -> int:
    """How many sockets of this process are connected to a port of this machine."""
    own = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            own.add(str(entry.readlink()))
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # A set, because the kernel may list a socket twice if others come and go while the table is read.
    connected = {f"socket:[{row[9]}]" for row in rows if int(row[2].partition(":")[2], 16) == port}
    return len(connected & own)


@pytest.mark.parametrize("ending", ["left open", "closed in each loop"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_leaks_no_sockets_or_event_loops(backend, ending):
    loops = []
    with service() as url:
        port = int(url.rpartition(":")[2])
        kantata = Kantata("secret", base_url=url)

        async def fetch() -> None:
            if backend == "asyncio":
                loops.append(weakref.ref(asyncio.get_running_loop()))
            else:
                import trio

                loops.append(weakref.ref(trio.lowlevel.current_trio_token()))
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(kantata.users.me)
            assert client_sockets(port) == 3
            if ending != "left open":
                await kantata._transport._sender().aclose()

        for _ in range(200 if backend == "asyncio" else 20):
            anyio.run(fetch, backend=backend)
            assert client_sockets(port) == 0
        gc.collect()
        assert sum(loop() is not None for loop in loops) <= 1
        anyio.run(kantata.aclose, backend=backend)
        assert client_sockets(port) == 0


def test_a_loop_closed_without_cleanup_is_forgotten():
    """Not by `asyncio.run`, which ends asynchronous generators: by hand."""
    with service() as url:
        kantata = Kantata("secret", base_url=url)
        loops = []
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(kantata.users.me())
            sender = loop.run_until_complete(_sender(kantata))
            for stack in sender.connections.pool._idle.values():
                for connection in stack:
                    connection._stream._transport.abort()  # or Python warns of it, rightly
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            loops.append(weakref.ref(loop))
            del loop, sender, connection, stack
        asyncio.run(kantata.aclose())
        gc.collect()
        assert [loop() for loop in loops[:2]] == [None, None]


async def _sender(kantata):
    return kantata._transport._sender()


class Counting(httpx.AsyncHTTPTransport):
    made = 0
    closed = 0

    def __init__(self):
        super().__init__()
        Counting.made += 1

    async def aclose(self):
        Counting.closed += 1
        await super().aclose()


class Wrapper(httpx.AsyncBaseTransport):
    def __init__(self):
        self.inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request):
        return await self.inner.handle_async_request(request)


@pytest.mark.parametrize("make", [httpx.AsyncHTTPTransport, Wrapper], ids=["of httpx", "around one"])
def test_a_transport_is_rejected_in_another_loop_before_anything_is_sent(make):
    with service() as url:
        kantata = Kantata("secret", base_url=url, transport=make())

        async def first():
            await kantata.users.me()
            await kantata._transport._transport.__class__.aclose(kantata._transport._transport)
            inner = getattr(kantata._transport._transport, "inner", None)
            if inner is not None:
                await inner.aclose()

        asyncio.run(first())
        for call in (
            kantata.users.me,
            lambda: kantata.stories.create(workspace_id=1, title="x", story_type="task"),
        ):
            with pytest.raises(
                UsageError, match=r"another event loop.*transport=lambda.*Nothing was sent"
            ) as caught:
                asyncio.run(call())
            assert not isinstance(caught.value, UnknownOutcomeError)


def test_a_factory_makes_a_transport_for_each_loop():
    Counting.made = Counting.closed = 0
    with service() as url:
        kantata = Kantata("secret", base_url=url, transport=lambda: Counting())  # noqa: PLW0108 - no class is taken
        for number in range(1, 4):
            asyncio.run(kantata.users.me())
            assert (Counting.made, Counting.closed) == (number, number)
        asyncio.run(kantata.aclose())
    assert Counting.made == Counting.closed


@pytest.mark.parametrize(
    "made", [None, 7, httpx.HTTPTransport(), httpx.AsyncHTTPTransport], ids=lambda made: type(made).__name__
)
def test_a_factory_must_return_a_transport(made):
    kantata = Kantata("secret", base_url="http://127.0.0.1:9", transport=lambda: made)
    with pytest.raises(UsageError, match="must return an async transport"):
        asyncio.run(kantata.users.me())


def test_a_session_wide_client_works_with_a_loop_per_test():
    """Warnings are errors here, as in any test of this project."""
    with service() as url:
        kantata = Kantata("secret", base_url=url)
        for _ in range(5):
            with asyncio.Runner() as runner:
                runner.run(kantata.users.me())
                runner.run(kantata.users.me())
        gc.collect()


# Slots


@pytest.mark.anyio
async def test_slots_are_granted_in_order_of_arrival():
    slots, order = Slots(2), []

    async def use(number):
        async with slots:
            order.append(number)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(use, number)
            await anyio.lowlevel.checkpoint()
    assert order == list(range(50))
    assert (slots._free, len(slots._waiting)) == (2, 0)


@pytest.mark.anyio
async def test_cancellations_lose_no_slot():
    slots, held, most = Slots(3), 0, 0

    async def use(number):
        nonlocal held, most
        with anyio.move_on_after(0.0005 * (number % 11)):
            async with slots:
                held += 1
                most = max(most, held)
                try:
                    await anyio.sleep(0.0003 * (number % 5))
                finally:
                    held -= 1

    async with anyio.create_task_group() as tasks:
        for number in range(1000):
            tasks.start_soon(use, number)
    assert (slots._free, len(slots._waiting), held) == (3, 0, 0)
    assert most == 3


@pytest.mark.asyncio
async def test_a_slot_granted_to_a_cancelled_task_is_passed_on():
    slots = Slots(1)
    await slots.__aenter__()
    first, second = (asyncio.ensure_future(slots.__aenter__()) for _ in range(2))
    await asyncio.sleep(0)
    await slots.__aexit__()  # the first one has it now
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 1)
    third = asyncio.ensure_future(slots.__aenter__())
    await asyncio.sleep(0)
    third.cancel()
    await slots.__aexit__()  # while the third is cancelled but still waits
    with pytest.raises(asyncio.CancelledError):
        await third
    assert slots._free == 1


@pytest.mark.asyncio
async def test_waiting_and_cancelling_take_constant_time():
    """A hundred times as many may take thirty times as long for each at most: scans would take a hundred times."""
    import time

    async def seconds(number):
        slots = Slots(1)
        await slots.__aenter__()
        tasks = [asyncio.ensure_future(slots.__aenter__()) for _ in range(number)]
        await asyncio.sleep(0)
        start = time.process_time()
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return (time.process_time() - start) / number

    few = min([await seconds(500) for _ in range(5)])
    many = await seconds(50_000)
    assert many < 30 * few


# Many calls


@pytest.mark.asyncio
async def test_queued_calls_cost_the_same_memory_however_many_wait():
    """And they are answered in their order, and cancelled without a trace."""
    release, order = asyncio.Event(), []

    async def handle(request):
        await release.wait()
        order.append(int(request.url.params["page"]))
        return httpx.Response(200, content=ME)

    async def grown(number):
        gc.collect()
        tracemalloc.start()
        tasks = [
            asyncio.ensure_future(kantata.request("GET", "/x", params={"page": n})) for n in range(number)
        ]
        await asyncio.sleep(0)
        size = tracemalloc.get_traced_memory()[0] / number
        tracemalloc.stop()
        return tasks, size

    async with Kantata("secret", transport=httpx.MockTransport(handle), max_concurrency=1) as kantata:
        few, size_of_few = await grown(500)
        release.set()
        await asyncio.gather(*few)
        assert order == list(range(500))
        release.clear()
        many, size_of_many = await grown(5_000)
        assert size_of_many < 1.5 * size_of_few
        for task in many:
            task.cancel()
        await asyncio.gather(*many, return_exceptions=True)
        slots = kantata._transport._sender()._slots
        assert (slots._free, len(slots._waiting)) == (1, 0)
