"""Reuse of connections, and limits on the time and size of a response."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from types import SimpleNamespace

import anyio
import attrs
import httpx
import pytest

from kantata_client._http.http11_adapter import HTTP11Adapter
from kantata_client._http.messages import Request, Timeouts
from kantata_client._http.pool import Pool
from kantata_client._http.prepared import Preparer
from kantata_client._http.retry import RetryPolicy
from kantata_client._http.tokens import as_provider
from kantata_client._http.transport import Transport
from kantata_client.errors import (
    KantataConnectionError,
    KantataTimeoutError,
    UnknownOutcomeError,
    UsageError,
    ValidationError,
)
from tests.loopback import answer, listening, serving

pytestmark = [
    pytest.mark.anyio,
    # httpx leaves generators unfinished when a response is abandoned; only trio reports it.
    pytest.mark.filterwarnings("ignore:Async generator 'http(x|core):ResourceWarning"),
]
ONCE = RetryPolicy(retries=0)


def get(transport: Transport, path: str = "/stories") -> Request:
    return Request("GET", transport.base_url + path)


def post(transport: Transport) -> Request:
    return Request("POST", transport.base_url + "/stories", content=b'{"story":{"title":"Kick-off"}}')


class Peer:
    """Answers the requests of each connection with the byte strings of a script, and counts connections and requests."""

    def __init__(self, *script: list[bytes]):
        self.script = list(script)
        self.connections = 0
        self.requests = 0

    async def __call__(self, stream):
        self.connections += 1
        parts = self.script.pop(0) if self.script else []
        async with stream:
            try:
                for part in parts:
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += await stream.receive()
                    self.requests += 1
                    await stream.send(part)
                await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass


@pytest.mark.parametrize("late", [False, True], ids=["with the response", "while idle"])
async def test_connection_with_leftover_bytes_is_not_reused(late):
    """A second response to one request would otherwise answer the next user's request."""
    other = answer(200, b'{"of":"another user"}')
    together = answer(200, b'{"n":1}') + (b"" if late else other)
    peer = Peer([together], [answer(200, b'{"n":2}')])

    async def handle(stream):
        if late and not peer.connections:
            peer.connections += 1
            async with stream:
                await stream.receive()
                await stream.send(answer(200, b'{"n":1}'))
                await anyio.sleep(0.05)
                await stream.send(other)
                await anyio.sleep(5)
        else:
            if late:
                peer.script = [[answer(200, b'{"n":2}')]]
            await peer(stream)

    async with listening(handle) as port:
        transport = Transport(base_url=f"http://127.0.0.1:{port}")
        assert (await transport.send(get(transport))).content == b'{"n":1}'
        await anyio.sleep(0.1)
        assert (await transport.send(get(transport))).content == b'{"n":2}'
        await transport.aclose()
    assert peer.connections == 2


async def test_connection_closed_by_the_server_is_replaced_before_a_post_is_sent():
    peer = Peer([answer(201)], [answer(201)])

    async def handle(stream):
        peer.connections += 1
        async with stream:
            await stream.receive()
            await stream.send(answer(201))

    async with listening(handle) as port:
        transport = Transport(base_url=f"http://127.0.0.1:{port}")
        for _ in range(3):
            await transport.send(post(transport))
            await anyio.sleep(0.02)
        await transport.aclose()
    assert peer.connections == 3


@pytest.mark.parametrize(
    "head",
    ["connection: close\r\ncontent-length: 2", "content-length: 2\r\nconnection: keep-alive, close"],
)
async def test_connection_close_header_is_honoured(head):
    peer = Peer(*[[f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n{{}}".encode()]] * 2)
    async with listening(peer) as port:
        transport = Transport(base_url=f"http://127.0.0.1:{port}")
        for _ in range(2):
            await transport.send(get(transport))
        await transport.aclose()
    assert peer.connections == 2


async def test_connection_is_not_reused_after_an_error_or_a_cancellation():
    broken = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}"
    peer = Peer([broken], [answer()])

    async with listening(peer) as port:
        transport = Transport(base_url=f"http://127.0.0.1:{port}", timeout=0.2, retries=ONCE)
        with pytest.raises(KantataTimeoutError, match="cut off"):
            await transport.send(get(transport))
        peer.script.insert(0, [b""])  # the next connection gets no response
        with anyio.move_on_after(0.05):
            await transport.send(get(transport))
        await transport.send(get(transport))
        await transport.aclose()
    assert peer.connections == 3


async def test_last_idle_connection_is_reused_first_and_expired_ones_are_closed(monkeypatch):
    now = 100.0
    clock = SimpleNamespace(
        monotonic=lambda: now
    )  # `time.monotonic` is also that of event loops in other threads
    monkeypatch.setattr("kantata_client._http.http11.time", clock)
    monkeypatch.setattr("kantata_client._http.pool.time", clock)
    started, release = 0, anyio.Event()

    async def handle(stream):
        nonlocal started
        async with stream:
            try:
                while True:
                    await stream.receive()
                    started += 1
                    if started == 3:
                        release.set()
                    await release.wait()
                    await stream.send(answer())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass

    async with listening(handle) as port:
        pool = Pool(2, tls=lambda: None)
        adapter = HTTP11Adapter(pool)
        url = f"http://127.0.0.1:{port}"
        preparer = Preparer(url, Timeouts(), {})

        async def fetch():
            response = await adapter.send(preparer.prepare(Request("GET", url + "/stories")), None)
            assert b"".join([piece async for piece in response]) == b"{}"

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(fetch)
        (stack,) = pool._idle.values()
        assert len(stack) == 2  # the third is more than may be kept
        oldest, last = stack
        await fetch()
        assert list(stack) == [oldest, last]
        now += 4
        await fetch()
        now += 4
        await fetch()  # in which the oldest one, idle for 8 seconds, is closed
        assert list(stack) == [last]
        now += 6
        await fetch()
        assert list(stack) != [last]
        await adapter.aclose()
        assert not pool._idle


async def test_cancelled_requests_leave_no_connection_behind():
    async with serving(answer()) as server:
        transport = Transport(base_url=server.url, max_concurrency=50)
        for number in range(200):
            with anyio.move_on_after(0.0005 * (number % 7)):
                await transport.send(get(transport))
        sender = transport._sender()
        assert sender._slots._free == 50
        assert not sender.connections.pool._busy
        await transport.send(get(transport))
        await transport.aclose()


# Limits of a response


async def trickle(stream, head: bytes, drop: bytes, seconds: float):
    async with stream:
        await stream.receive()
        try:
            await stream.send(head)
            for _ in range(int(seconds / 0.05)):
                await stream.send(drop)
                await anyio.sleep(0.05)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass


TRICKLES = {
    "a byte at a time": (b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "endless 100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless headers": (b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n"),
}


@pytest.mark.lanes("own", "httpx", "aiohttp")
@pytest.mark.parametrize("bound", ["total", "deadline", "deadline of the call"])
@pytest.mark.parametrize("kind", TRICKLES)
async def test_total_timeout_ends_a_response_that_trickles_in(lane, bound, kind):
    head, drop = TRICKLES[kind]
    options = {"timeout": Timeouts(total=0.3), "retries": ONCE}
    if bound == "deadline":
        options = {"retries": RetryPolicy(retries=0, deadline=0.3)}
    call = {} if bound != "deadline of the call" else {"retries": RetryPolicy(retries=0, deadline=0.3)}
    if call:
        options = {"retries": 3}
    async with listening(lambda stream: trickle(stream, head, drop, 10)) as port:
        network = {"own": None, "httpx": lambda: httpx.AsyncHTTPTransport(), "aiohttp": "aiohttp"}[lane]  # noqa: PLW0108
        transport = Transport(base_url=f"http://127.0.0.1:{port}", transport=network, **options)
        with anyio.fail_after(60):
            with pytest.raises(KantataTimeoutError, match=r"no complete answer within 0\.3 s"):
                await transport.send(attrs.evolve(get(transport), **call))
            with pytest.raises(UnknownOutcomeError, match=r"no complete answer within 0\.3 s"):
                await transport.send(attrs.evolve(post(transport), **call))
        await transport.aclose()


async def test_a_deadline_of_a_call_replaces_that_of_the_client():
    head, drop = TRICKLES["a byte at a time"]
    async with listening(lambda stream: trickle(stream, head, drop, 1)) as port:
        transport = Transport(
            base_url=f"http://127.0.0.1:{port}", retries=RetryPolicy(retries=0, deadline=0.2)
        )
        patient = attrs.evolve(get(transport), retries=RetryPolicy(retries=0))
        with pytest.raises(
            KantataConnectionError, match="cut off"
        ):  # when the server ends it, after a second
            await transport.send(patient)
        await transport.aclose()


async def test_total_timeout_does_not_include_the_upload():
    async def pieces():
        for _ in range(8):
            await anyio.sleep(0.05)
            yield b"x" * 10

    from kantata_client._http.messages import File, Form

    form = Form((), [File("file", "a.bin", pieces(), size=80)])
    async with serving(answer(201)) as server:
        for network in (None, httpx.AsyncHTTPTransport()):
            transport = Transport(base_url=server.url, timeout=Timeouts(total=0.25), transport=network)
            form = Form((), [File("file", "a.bin", pieces(), size=80)])
            await transport.send(Request("POST", server.url + "/attachments", form=form))
            await transport.aclose()


def test_total_timeout_is_at_least_the_read_timeout():
    assert Timeouts().total == 300
    assert Timeouts(read=600).total == 600
    assert Timeouts(read=None).total is None
    assert Timeouts(read=600, total=20).total == 20


@pytest.mark.lanes("own", "httpx")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip", "identity"])
async def test_response_size_is_limited(lane, encoding):
    size = 50_000_000
    body = b"x" * size
    if encoding == "deflate":
        body = zlib.compress(body)
    for _ in range(encoding.count("gzip")):
        body = gzip.compress(body)
    async with serving(answer(200, body, content_encoding=encoding)) as server:
        network = None if lane == "own" else httpx.AsyncHTTPTransport()
        transport = Transport(base_url=server.url, transport=network, max_response_bytes=1_000_000)
        del body
        tracemalloc.start()
        try:
            with pytest.raises(
                KantataConnectionError, match=r"than max_response_bytes, 1,000,000 bytes.*Ask for less"
            ):
                await transport.send(get(transport))
            with pytest.raises(
                UnknownOutcomeError, match="than max_response_bytes, 1,000,000 bytes"
            ) as caught:
                await transport.send(post(transport))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert caught.value.status == 200
        if encoding != "identity":
            assert peak < 20_000_000
        assert len(server.seen) == 2  # once each: another response would be as large
        await transport.aclose()


@pytest.mark.parametrize(
    "encoding", ["gzip", "x-gzip", "deflate", "raw deflate", "gzip, deflate", "identity, gzip"]
)
async def test_compressed_responses_are_decompressed(encoding):
    body = plain = bytes(range(256)) * 20_000
    for each in encoding.split(", "):
        if each == "raw deflate":
            packer = zlib.compressobj(wbits=-15)
            body = packer.compress(body) + packer.flush()
        elif each != "identity":
            body = gzip.compress(body) if "gzip" in each else zlib.compress(body)
    packed = answer(200, body, content_encoding=encoding.removeprefix("raw "))
    async with serving(packed) as server:
        transport = Transport(base_url=server.url)
        assert (await transport.send(get(transport))).content == plain
        await transport.aclose()


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        ("br", b"\x1b\x00\x00", "'br', which the request did not accept"),
        ("zstd", b"\x28\xb5\x2f\xfd", "'zstd'"),
        ("gzip", b"{}", "damaged"),
        ("gzip", gzip.compress(b"x" * 1000, mtime=0)[:-12], "too early"),
        ("deflate", b"\xff\xff\xff", "damaged"),
    ],
)
async def test_body_that_cannot_be_decompressed_is_an_error(encoding, body, words):
    async with serving(answer(200, body, content_encoding=encoding)) as server:
        transport = Transport(base_url=server.url)
        with pytest.raises(KantataConnectionError, match=words):
            await transport.send(get(transport))
        with pytest.raises(UnknownOutcomeError, match=words):
            await transport.send(post(transport))
        assert len(server.seen) == 2
        server.acts = [answer(422, body, content_encoding=encoding)]
        with pytest.raises(ValidationError):
            await transport.send(post(transport))
        await transport.aclose()


# Exceptions of a transport


class Failing(httpx.AsyncBaseTransport):
    """Raises an exception instead of the response, or within its body."""

    def __init__(self, error: BaseException, *, within: bool):
        self.error, self.within, self.asked = error, within, 0

    async def handle_async_request(self, request):
        self.asked += 1
        if not self.within:
            raise self.error
        return httpx.Response(200, stream=Breaking(self.error))


class Breaking(httpx.AsyncByteStream):
    def __init__(self, error):
        self.error = error

    async def __aiter__(self):
        yield b"{"
        raise self.error


@pytest.mark.parametrize("within", [False, True], ids=["before the response", "within it"])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Event loop is closed"),
        ValueError("planted-4711"),
        AttributeError("x"),
        KeyError(1),
        AssertionError(),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "no"),
        ExceptionGroup("two", [ValueError(), OSError()]),
        MemoryError(),
        httpx.StreamConsumed(),
        httpx.InvalidURL("x"),
        httpx.CookieConflict("x"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_any_exception_of_a_transport_leaves_the_outcome_unknown(error, within):
    network = Failing(error, within=within)
    transport = Transport(base_url="https://api.example", transport=network, sleep=anyio.sleep)
    with pytest.raises(UnknownOutcomeError) as caught:
        await transport.send(post(transport), as_provider("planted-4711"))
    assert "planted-4711" not in str(caught.value)
    assert network.asked == 1
    transport = Transport(base_url="https://api.example", transport=network, retries=ONCE)
    with pytest.raises(KantataConnectionError) as caught:
        await transport.send(get(transport))
    assert not caught.value.unsent


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"x-a": "line\r\nbreak: 1"}),
        ("GET", {"x-a": "a\0b"}),
        ("GET", {"a header": "1"}),
        ("GET", {"x-a": "é"}),
        ("GET", {"x-a": "\ud800"}),
        ("G ET", {}),
        ("GET", {"content-length": "x"}),
        ("GET", {"transfer-encoding": "gzip"}),
        ("GET", {"x-a": 1}),
    ],
    ids=ascii,
)
async def test_request_that_is_not_valid_http_is_refused_before_it_is_sent(method, headers):
    async with serving(answer()) as server:
        transport = Transport(base_url=server.url)
        with pytest.raises(UsageError, match="Nothing was sent"):
            await transport.send(Request(method, server.url + "/stories", headers=headers))
        assert server.seen == []
        await transport.aclose()
