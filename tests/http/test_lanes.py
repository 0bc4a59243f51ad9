"""The same faults on every transport: the client's own connections, httpx and aiohttp."""

from __future__ import annotations

import errno
import gzip
import logging
import os
import socket
import sys

import anyio
import httpx
import pytest

from kantata_client._http.messages import File, Form, Request, Timeouts
from kantata_client._http.retry import RetryPolicy
from kantata_client._http.throttle import FixedRate
from kantata_client._http.tokens import as_provider
from kantata_client._http.transport import Transport
from kantata_client.errors import (
    KantataConnectionError,
    KantataError,
    UnknownOutcomeError,
    UsageError,
    ValidationError,
)
from tests.loopback import answer, listening, serving

pytestmark = [
    # httpx leaves generators unfinished when a response breaks off; only trio reports it.
    pytest.mark.filterwarnings("ignore:Async generator 'http(x|core)2?:ResourceWarning"),
    pytest.mark.anyio,
    pytest.mark.lanes("own", "httpx", "httpx2", "aiohttp"),
]
TOKEN = "planted-4711"
CANCELLATIONS = int(os.environ.get("KANTATA_CANCELLATIONS", "1000"))
"""How many requests are cancelled on each lane; set 10,000 for a thorough run."""
BODY = b'{"story":{"title":"Kick-off"}}'


@pytest.fixture
async def connect(lane):
    """Make a `Transport` over the lane of the test; it is closed in the end."""
    networks = {
        "own": None,
        "httpx": lambda: httpx.AsyncHTTPTransport(verify=False),  # over TCP, so it needs no certificates
        "httpx2": httpx2_transport,
        "aiohttp": "aiohttp",
    }
    made = []

    def make(url, **options):
        network = networks[lane]
        options = {"throttle": FixedRate(1e6), "transport": network, "sleep": nap} | options
        made.append(Transport(base_url=url, **options))
        return made[-1]

    yield make
    for transport in made:
        await transport.aclose()


def httpx2_transport():
    import httpx2

    return httpx2.AsyncHTTPTransport(verify=False)


async def nap(_):
    await anyio.lowlevel.checkpoint()


def request(transport, method):
    content = BODY if method in ("POST", "PUT", "PATCH") else None
    return Request(method, transport.base_url + "/stories", content=content)


UNANSWERED = {
    "reset before the request was read": "unread",
    "reset within the request": "half",
    "reset after the request": "reset",
    "closed after the request": "close",
    "cut within the body": "cut",
    "cut within the status line": b"HTTP/1.1 20",
    "not HTTP": b"gibberish\r\n\r\n",
    "an impossible status": b"HTTP/1.1 9999 No\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "broken chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "500": 500,
    "502": 502,
    "503": 503,
    "504": 504,
}
PARTIAL = {"cut within the status line"}


def act_of(fault):
    act = UNANSWERED[fault]
    return answer(act) if isinstance(act, int) else act


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("fault", [fault for fault in UNANSWERED if fault not in PARTIAL | {"500"}])
async def test_idempotent_requests_are_retried(connect, fault, method):
    act = act_of(fault)
    async with serving(act, act, answer(200, b"done")) as server:
        transport = connect(server.url)
        assert (await transport.send(request(transport, method))).content == b"done"
        assert len(server.seen) in (1, 3)  # 1 if the server never read the others


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("fault", [fault for fault in UNANSWERED if fault not in PARTIAL])
async def test_other_requests_are_sent_once_and_their_outcome_is_unknown(connect, fault, method):
    async with serving(act_of(fault), answer(201)) as server:
        transport = connect(server.url)
        with pytest.raises(UnknownOutcomeError) as caught:
            await transport.send(request(transport, method), as_provider(TOKEN))
        assert server.connections == 1
        assert len(server.seen) <= 1
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
@pytest.mark.parametrize("fault", ["reset", "close", "unread"])
async def test_broken_idle_connection_does_not_repeat_a_request(connect, fault, method):
    """No transport may repeat a request by itself, so the server counts them."""
    async with serving(answer(200), fault, answer(200)) as server:
        transport = connect(server.url, retries=RetryPolicy(retries=0))
        await transport.send(request(transport, method))
        with pytest.raises(UnknownOutcomeError if method == "POST" else KantataConnectionError) as caught:
            await transport.send(request(transport, method))
        assert not getattr(caught.value, "unsent", False)
        assert len(server.seen) == (1 if fault == "unread" else 2)
        assert server.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_read_timeout(connect, method):
    async with serving("silence") as server:
        transport = connect(server.url, timeout=Timeouts(read=0.2), retries=RetryPolicy(retries=1))
        kind = UnknownOutcomeError if method == "POST" else KantataConnectionError
        with pytest.raises(kind, match="no answer in time"):
            await transport.send(request(transport, method))
        assert len(server.seen) == (1 if method == "POST" else 2)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_refused_connection_leaves_the_request_unsent(connect, method):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        transport = connect(f"http://127.0.0.1:{reserved.getsockname()[1]}")
        with pytest.raises(KantataConnectionError, match=r"5 attempts.*Nothing was carried out") as caught:
            await transport.send(request(transport, method), as_provider(TOKEN))
    assert caught.value.unsent


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_unresolvable_host_leaves_the_request_unsent(connect, monkeypatch, method):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    transport = connect("https://nobody.invalid", retries=RetryPolicy(retries=1))
    with pytest.raises(KantataConnectionError, match="Nothing was carried out") as caught:
        await transport.send(request(transport, method))
    assert caught.value.unsent


@pytest.mark.lanes(
    "own", "aiohttp"
)  # httpx's transport makes its sockets in a way that the test cannot replace
async def test_too_many_open_files_names_ulimit(connect, monkeypatch):
    """A real limit would hit the test's own server first."""

    def full(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    transport = connect("http://127.0.0.1:9", retries=RetryPolicy(retries=1))
    monkeypatch.setattr(socket, "socket", full)
    with pytest.raises(KantataConnectionError, match=r"ulimit -n.*max_concurrency") as caught:
        await transport.send(request(transport, "POST"))
    monkeypatch.undo()
    assert caught.value.unsent


async def test_refusal_with_a_cut_body_is_still_a_refusal(connect):
    async with serving(answer(422, b"x" * 100)[:-50]) as server:
        transport = connect(server.url)
        with pytest.raises(ValidationError):
            await transport.send(request(transport, "POST"))
        assert len(server.seen) == 1


@pytest.mark.lanes("own", "aiohttp")  # httpx does take it: one reason for connections of our own
async def test_second_response_is_not_taken_for_the_next_request(connect):
    connections = 0

    async def handle(stream):
        nonlocal connections
        connections += 1
        async with stream:
            await stream.receive()
            if connections == 1:
                await stream.send(answer(200, b'{"n":1}') + answer(200, b'{"of":"another user"}'))
                await anyio.sleep(5)
            else:
                await stream.send(answer(200, b'{"n":2}'))

    async with listening(handle) as port:
        transport = connect(f"http://127.0.0.1:{port}")
        assert (await transport.send(request(transport, "GET"))).content == b'{"n":1}'
        assert (await transport.send(request(transport, "GET"))).content == b'{"n":2}'


async def test_requests_are_identical_on_all_lanes(connect):
    packed = answer(200, gzip.compress(b'{"a":1}'), content_encoding="gzip", set_cookie="session=1")
    async with serving(packed) as server:
        transport = connect(server.url)
        query = [("include", "a,b"), ("search", "a b&c=d/é?~+%"), ("order", "updated_at:desc")]
        url = server.url + "/custom_field_values/123:percent_complete%2Fx"
        for _ in range(2):
            got = await transport.send(Request("GET", url, query=query), as_provider(TOKEN))
            assert got.content == b'{"a":1}'
        await transport.send(request(transport, "POST"), as_provider(TOKEN))
        assert server.connections == 1
    first, second, third = server.seen
    expected = httpx.URL(f"{url}?include=a,b&search=a+b%26c%3Dd%2F%C3%A9%3F~%2B%25&order=updated_at:desc")
    assert httpx.URL(f"http://x{first.target}").path == expected.path
    assert httpx.URL(f"http://x{first.target}").params == expected.params
    headers = first.headers | {"host": ""}
    assert headers == second.headers | {"host": ""}
    assert set(headers) - {"connection"} == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "authorization",
    }
    assert "cookie" not in second.headers
    assert (third.headers["content-type"], third.body) == ("application/json", BODY)


class Pieces:
    def __init__(self, error=None):
        self.error = error

    async def __aiter__(self):
        yield b"abc"
        await anyio.sleep(0.05)
        if self.error:
            raise self.error
        yield b"def"


@pytest.mark.parametrize("size", [None, 6])
async def test_upload(connect, size):
    async with serving(answer(201)) as server:
        transport = connect(server.url)
        form = Form([("attachment[type]", "receipt")], [File("data", "a.txt", Pieces(), size=size)])
        await transport.send(Request("POST", server.url + "/attachments", form=form))
    assert b"abcdef" in server.seen[0].body.replace(b"\r\n3\r\n", b"") or b"abc" in server.seen[0].body
    assert ("content-length" in server.seen[0].headers) is (size is not None)


@pytest.mark.parametrize(
    "error", [FileNotFoundError("the disk is gone"), TimeoutError("too slow"), KeyError("x")]
)
async def test_exception_of_an_uploaded_stream_is_raised_unchanged(connect, error):
    async with serving(answer(201)) as server:
        transport = connect(server.url)
        form = Form((), [File("data", "a.txt", Pieces(error), size=6)])
        with pytest.raises(type(error), match=str(error)):
            await transport.send(Request("POST", server.url + "/attachments", form=form))


async def test_download_that_is_left_unread_or_breaks(connect):
    data = bytes(range(256)) * 4000
    async with serving(answer(200, data), answer(200, data), "cut", answer(200, b"{}")) as server:
        transport = connect(server.url)
        async with transport.stream(request(transport, "GET")) as response:
            assert b"".join([chunk async for chunk in response]) == data
        async with transport.stream(request(transport, "GET")) as response:
            assert await anext(response)
        async with transport.stream(request(transport, "GET")) as response:
            with pytest.raises(KantataConnectionError, match="cut off"):
                async for _ in response:
                    pass
        assert (await transport.send(request(transport, "GET"))).content == b"{}"


async def test_cancelled_requests_leave_nothing_behind(connect):
    limit = 20
    async with serving(answer()) as server:
        transport = connect(server.url, max_concurrency=limit)

        async def one(index):
            with anyio.move_on_after(0.0002 * (index % 23)):
                await transport.send(request(transport, "GET" if index % 2 else "POST"))

        for start in range(0, CANCELLATIONS, 100):
            async with anyio.create_task_group() as tasks:
                for index in range(start, start + 100):
                    tasks.start_soon(one, index)
        sender = transport._sender()
        assert (sender._slots._free, len(sender._slots._waiting)) == (limit, 0)
        assert not sender.connections.pool._busy
        await transport.send(request(transport, "GET"))


@pytest.mark.one_loop
async def test_aiohttp_without_the_extra_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    transport = Transport(base_url="http://127.0.0.1:9", transport="aiohttp")
    with pytest.raises(UsageError, match=r"kantata-client\[aiohttp\].*Nothing was sent"):
        await transport.send(request(transport, "GET"))


async def test_aiohttp_is_refused_on_trio(anyio_backend, caplog):
    caplog.set_level(logging.ERROR)
    transport = Transport(base_url="http://127.0.0.1:9", transport="aiohttp", retries=RetryPolicy(retries=0))
    with pytest.raises(KantataError) as caught:
        await transport.send(request(transport, "GET"))
    assert isinstance(caught.value, UsageError) is (anyio_backend == "trio")
    await transport.aclose()
