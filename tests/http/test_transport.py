"""The transport against a server on a real socket that resets, cuts, stalls and refuses."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import socket
import traceback
import weakref

import anyio
import httpx
import pytest

from kantata_client._http.messages import File, Form, Request, Timeouts
from kantata_client._http.retry import RetryPolicy
from kantata_client._http.throttle import AdaptiveThrottle, FixedRate
from kantata_client._http.tokens import as_provider
from kantata_client._http.transport import Transport
from kantata_client.errors import (
    APIError,
    AuthenticationError,
    KantataConnectionError,
    KantataTimeoutError,
    NotFoundError,
    OAuthError,
    RateLimitedError,
    ServerError,
    UnknownOutcomeError,
    UsageError,
    ValidationError,
)
from kantata_client.hooks import Hooks, RequestEvent, ResponseEvent, RetryEvent, ThrottleEvent
from tests.naming import steady

pytestmark = pytest.mark.anyio
TOKEN = "planted-4711"
STORY = b'{"story":{"title":"Kick-off"}}'


class Naps(list):
    """A `sleep` that takes no time, and writes down for how long it was asked."""

    async def __call__(self, seconds):
        self.append(seconds)
        await anyio.lowlevel.checkpoint()


@pytest.fixture
async def connect():
    """Make a transport that does not really wait between attempts; it is closed in the end."""
    made = []

    def make(server, **options):
        transport = Transport(
            base_url=server if isinstance(server, str) else server.url, sleep=Naps(), **options
        )
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.aclose()


def request(transport, method="GET", path="/stories", **options):
    return Request(method, transport.base_url + path, operation=f"{method} {path}", **options)


def post(transport):
    return request(transport, "POST", content=STORY)


async def test_a_request_is_sent_unchanged(serving, answer, connect):
    async with serving(answer(200, b'{"count":1}')) as server:
        transport = connect(server)
        query = [("include", "assignees,workspace"), ("search", "a b&c=d"), ("order", "updated_at:desc")]
        response = await transport.send(request(transport, query=query), as_provider(TOKEN))
    assert (response.status, response.content, response.request_id) == (200, b'{"count":1}', "r-1")
    seen = server.seen[0]
    assert (seen.method, seen.body) == ("GET", b"")
    target = "/api/v1/stories?include=assignees,workspace&search=a+b%26c%3Dd&order=updated_at:desc"
    assert seen.target == target
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["user-agent"].startswith("kantata-client")
    assert "cookie" not in seen.headers


async def test_connections_are_reused_and_bodies_decompressed(serving, answer, connect):
    packed = answer(200, gzip.compress(b'{"a":1}'), content_encoding="gzip", set_cookie="session=1")
    async with serving(packed) as server:
        transport = connect(server)
        for _ in range(3):
            assert (await transport.send(request(transport))).content == b'{"a":1}'
        assert server.connections == 1
    assert "cookie" not in server.seen[2].headers


async def test_json_is_sent_with_its_content_type(serving, answer, connect):
    async with serving(answer(201)) as server:
        transport = connect(server)
        await transport.send(post(transport))
    assert server.seen[0].headers["content-type"] == "application/json"
    assert server.seen[0].body == STORY


# What is repeated


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "fault", ["unread", "reset", "close", "cut", 429, 502, 503, 504, b"gibberish\r\n\r\n"], ids=str
)
async def test_get_put_and_delete_are_repeated(serving, answer, connect, method, fault):
    fault = answer(fault) if isinstance(fault, int) else fault
    async with serving(fault, fault, answer(200, b"done")) as server:
        transport = connect(server, throttle=FixedRate(1e6))
        response = await transport.send(
            request(transport, method, content=STORY if method == "PUT" else None)
        )
    assert response.content == b"done"


@pytest.mark.parametrize(
    "fault", ["unread", "half", "reset", "close", "cut", 500, 502, 503, 504, b"gibberish\r\n\r\n"], ids=str
)
async def test_a_post_is_never_repeated_after_its_body_may_have_arrived(serving, answer, connect, fault):
    fault = answer(fault) if isinstance(fault, int) else fault
    async with serving(fault, answer(201)) as server:
        transport = connect(server, retries=RetryPolicy(retries=49))
        with pytest.raises(UnknownOutcomeError) as caught:
            await transport.send(post(transport), as_provider(TOKEN))
        assert server.connections == 1
        assert len(server.seen) == (0 if fault == "unread" else 1)
    error = caught.value
    assert (error.method, error.path, error.sent) == ("POST", "/stories", json.loads(STORY))
    assert "may or may not" in str(error)
    assert TOKEN not in shown(error)


async def test_a_post_on_a_kept_connection_that_breaks_is_not_repeated(serving, answer, connect):
    async with serving(answer(201), "reset", answer(201)) as server:
        transport = connect(server)
        await transport.send(post(transport))
        with pytest.raises(UnknownOutcomeError):
            await transport.send(post(transport))
        assert (server.connections, len(server.seen)) == (1, 2)


async def test_a_timeout_of_a_post_means_an_unknown_outcome(serving, connect):
    async with serving("silence") as server:
        transport = connect(server, timeout=Timeouts(read=0.2))
        with pytest.raises(UnknownOutcomeError, match="no answer in time"):
            await transport.send(post(transport))
    assert len(server.seen) == 1


async def test_a_post_whose_response_is_cut_off_has_an_unknown_outcome(serving, connect):
    async with serving("cut") as server:
        transport = connect(server)
        with pytest.raises(UnknownOutcomeError, match="cut off") as caught:
            await transport.send(post(transport))
    assert (caught.value.status, caught.value.request_id) == (200, "r-1")


async def test_an_error_response_that_is_cut_off_is_still_an_api_error(serving, answer, connect):
    async with serving(answer(422, b"x" * 100)[:-50]) as server:
        transport = connect(server)
        with pytest.raises(ValidationError):
            await transport.send(post(transport))
    assert len(server.seen) == 1


async def test_a_post_is_repeated_after_429(serving, answer, connect):
    async with serving(answer(429), answer(429), answer(201, b"made")) as server:
        transport = connect(server, throttle=FixedRate(1e6))
        assert (await transport.send(post(transport))).content == b"made"
    assert [seen.body for seen in server.seen] == [STORY] * 3


async def test_a_post_is_repeated_when_no_connection_was_made(answer, connect):
    """The port refuses until the second wait, in which a server comes up."""
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    waits, up = [], anyio.Event()

    async def nap(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            reserved.listen()
            up.set()

    def serve():
        peer, _ = reserved.accept()
        with peer:
            data = peer.recv(65536)
            while not data.endswith(STORY):
                data += peer.recv(65536)
            peer.sendall(answer(201, b"made"))
        return data

    transport = Transport(base_url=f"http://127.0.0.1:{reserved.getsockname()[1]}", sleep=nap)
    with reserved, anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:

            async def accept():
                await up.wait()
                await anyio.to_thread.run_sync(serve)

            tasks.start_soon(accept)
            response = await transport.send(post(transport))
        await transport.aclose()
    assert (response.content, len(waits)) == (b"made", 2)


async def test_no_connection_raises_a_connection_error(connect):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        transport = connect(f"http://127.0.0.1:{reserved.getsockname()[1]}")
        with pytest.raises(KantataConnectionError, match=r"5 attempts.*Nothing was carried out") as caught:
            await transport.send(post(transport), as_provider(TOKEN))
    assert TOKEN not in shown(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert caught.value.unsent


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_earlier_lost_attempt_may_have_been_carried_out(connect, httpx_mock, method):
    transport = connect(
        "https://api.example", transport=httpx.AsyncHTTPTransport(), retries=RetryPolicy(retries=1)
    )
    httpx_mock.add_exception(httpx.ReadTimeout(""))
    httpx_mock.add_exception(httpx.ConnectError("refused"), is_reusable=True)
    with pytest.raises(KantataConnectionError) as caught:
        await transport.send(request(transport, method))
    assert (caught.value.unsent, caught.value.answer_was_lost) == (False, True)
    assert "Nothing was carried out" not in str(caught.value)
    with pytest.raises(KantataConnectionError, match="Nothing was carried out") as caught:
        await transport.send(request(transport, method))
    assert (caught.value.unsent, caught.value.answer_was_lost) == (True, False)


async def test_a_timeout_of_a_get_raises_a_timeout_error(serving, connect):
    async with serving("silence") as server:
        transport = connect(server, timeout=Timeouts(read=0.2), retries=RetryPolicy(retries=1))
        with pytest.raises(KantataTimeoutError, match="no answer in time"):
            await transport.send(request(transport))
    assert len(server.seen) == 2


async def test_attempts_and_waits_are_bounded(serving, answer, connect):
    async with serving(answer(503)) as server:
        transport = connect(server, retries=RetryPolicy(retries=3, initial=1))
        with pytest.raises(ServerError) as caught:
            await transport.send(request(transport))
        assert len(server.seen) == 4
    assert all(0 <= nap <= longest for nap, longest in zip(transport._sleep, (1, 2, 4), strict=True))
    assert "4 attempts" in "".join(caught.value.__notes__)


async def test_retry_after_is_respected_up_to_the_deadline(serving, answer, connect):
    async with serving(answer(429, retry_after="100"), answer(429, retry_after="201")) as server:
        transport = connect(server, throttle=FixedRate(1e6), retries=RetryPolicy(deadline=200))
        transport.throttle.limited = lambda *_: None  # or it would really wait
        with pytest.raises(RateLimitedError) as caught:
            await transport.send(request(transport))
        assert len(server.seen) == 2
    assert transport._sleep == [100.0]
    assert caught.value.retry_after == 201


@pytest.mark.parametrize("throttle", [None, 100])
async def test_a_pause_beyond_the_deadline_fails_all_requests(serving, answer, connect, throttle):
    async with serving(answer(429, retry_after="3600"), answer(200)) as server:
        transport = connect(server, throttle=throttle, retries=RetryPolicy(deadline=20))
        with pytest.raises(RateLimitedError):
            await transport.send(request(transport))
        with pytest.raises(RateLimitedError, match=r"GET /users was not sent.*(3600|3599) s.*20 s") as caught:
            await transport.send(request(transport, path="/users"))
        assert caught.value.retry_after == pytest.approx(3600, abs=5)
        assert (caught.value.status, caught.value.path) == (429, "/users")
        assert len(server.seen) == 1


async def test_a_pause_of_an_operation_beyond_the_deadline_fails_only_that_operation(
    serving, answer, connect
):
    async with serving(answer(429, retry_after="3600"), answer(200)) as server:
        transport = connect(server)
        for _ in range(2):
            with pytest.raises(RateLimitedError):
                await transport.send(request(transport, own_limit=True))
        await transport.send(request(transport, path="/users"))
        assert len(server.seen) == 2


async def test_a_404_after_a_lost_delete_says_that_a_response_was_lost(serving, answer, connect):
    async with serving("reset", answer(404)) as server:
        transport = connect(server)
        with pytest.raises(NotFoundError) as caught:
            await transport.send(request(transport, "DELETE", "/stories/7"))
        assert caught.value.answer_was_lost
        with pytest.raises(NotFoundError) as caught:
            await transport.send(request(transport, "DELETE", "/stories/7"))
        assert not caught.value.answer_was_lost


@pytest.mark.parametrize("status", [500, 503, 505])
async def test_statuses_added_to_a_policy_also_count_as_lost(serving, answer, connect, status):
    async with serving(answer(status), answer(404)) as server:
        transport = connect(server, retries=RetryPolicy(statuses=frozenset({500, 503, 505})))
        with pytest.raises(NotFoundError) as caught:
            await transport.send(request(transport, "DELETE", "/stories/7"))
        assert caught.value.answer_was_lost
        assert any("may have been carried out" in note for note in caught.value.__notes__)


class Failing:
    """Has one token, and then an error."""

    def __init__(self, *, at):
        self.at, self.asked = at, 0

    async def token(self):
        self.asked += 1
        if self.at == "token" and self.asked > 1:
            raise OAuthError("the refresh failed")
        return TOKEN

    async def refused(self, token):
        raise OAuthError("sign in again")


@pytest.mark.parametrize("at", ["token", "refused", "close"])
async def test_every_error_after_a_lost_response_says_so(serving, answer, connect, at):
    async with serving("reset", answer(401)) as server:
        transport = connect(server)
        if at == "close":

            async def close(_):
                await transport.aclose()

            transport._sleep = close
        kind = UsageError if at == "close" else OAuthError
        with pytest.raises(kind) as caught:
            await transport.send(request(transport, "PUT", content=STORY), Failing(at=at))
        assert caught.value.answer_was_lost
        assert any("may have been carried out" in note for note in caught.value.__notes__)
    async with serving(answer(401)) as server:
        transport = connect(server)
        with pytest.raises(OAuthError) as caught:
            await transport.send(request(transport, "PUT", content=STORY), Failing(at="refused"))
        assert not caught.value.answer_was_lost


async def test_waiting_for_the_first_attempt_does_not_count_towards_the_deadline(serving, answer, connect):
    now = 0.0

    class Busy(FixedRate):
        async def acquire(self, operation, own_limit, patience=0.0):
            nonlocal now
            now += 400

    async with serving(answer(503), answer(200), answer(503)) as server:
        transport = connect(server, throttle=Busy(1), clock=lambda: now)
        await transport.send(request(transport))
        with pytest.raises(ServerError):
            await transport.send(request(transport))
        assert len(server.seen) == 4  # but between two attempts it does


# Tokens


class Refreshing:
    def __init__(self):
        self.asked, self.refusals = 0, []

    async def token(self):
        self.asked += 1
        return f"{TOKEN}-{len(self.refusals)}"

    async def refused(self, token):
        self.refusals.append(token)
        return True


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refused_token_is_replaced_once(serving, answer, connect, method):
    provider = Refreshing()
    async with serving(answer(401), answer(200)) as server:
        transport = connect(server)
        await transport.send(request(transport, method), provider)
    tokens = [seen.headers["authorization"] for seen in server.seen]
    assert tokens == [f"Bearer {TOKEN}-0", f"Bearer {TOKEN}-1"]
    assert transport._sleep == []


async def test_a_token_refused_twice_raises_an_error(serving, answer, connect):
    provider = Refreshing()
    leaky = answer(401, f'{{"errors":[{{"message":"unknown token {TOKEN}-1"}}]}}'.encode())
    async with serving(leaky) as server:
        transport = connect(server)
        with pytest.raises(AuthenticationError, match="revoked") as caught:
            await transport.send(request(transport), provider)
        with pytest.raises(AuthenticationError):
            await transport.send(request(transport), as_provider(TOKEN))
    assert (len(server.seen), provider.refusals) == (3, [f"{TOKEN}-0"])
    assert TOKEN not in shown(caught.value)


async def test_a_malformed_response_that_repeats_the_token_is_redacted(serving, connect):
    async with serving(b"HTTP/nonsense " + TOKEN.encode() + b"\r\n\r\n") as server:
        transport = connect(server, retries=0)
        with pytest.raises(KantataConnectionError) as caught:
            await transport.send(request(transport), as_provider(TOKEN))
        assert TOKEN not in str(caught.value)
        assert "[secret]" in str(caught.value)


async def test_a_transport_with_whole_bodies_can_stream(connect, httpx_mock):
    httpx_mock.add_response(content=b"abc")
    transport = connect("http://127.0.0.1:9", transport=httpx.AsyncHTTPTransport())
    async with transport.stream(request(transport)) as response:
        assert b"".join([chunk async for chunk in response]) == b"abc"


class Wire(httpx.AsyncBaseTransport):
    """Is cancelled with the headers at hand, as httpcore is while it writes them."""

    async def handle_async_request(self, request):
        header = request.headers["authorization"]
        await anyio.sleep(30)
        return httpx.Response(200, text=header)


async def test_a_cancellation_does_not_expose_the_token(connect):
    shown = []

    async def send(transport):
        try:
            await transport.send(request(transport), as_provider(TOKEN))
        except BaseException as error:
            told = traceback.TracebackException.from_exception(error, capture_locals=True)
            shown.append("".join(told.format()))
            raise

    with anyio.move_on_after(0.1):
        await send(connect("http://127.0.0.1:9", transport=Wire()))
    assert "Cancelled" in shown[0]
    assert TOKEN not in shown[0]


async def test_redirects_are_not_followed(serving, answer, connect):
    async with serving(answer(302, location="http://127.0.0.1:9/elsewhere")) as server:
        transport = connect(server)
        with pytest.raises(APIError, match="Redirects are not followed"):
            await transport.send(request(transport), as_provider(TOKEN))
    assert len(server.seen) == 1


async def test_the_token_is_not_sent_to_another_host(serving, answer, connect):
    async with serving(answer()) as server, serving(answer(200, b"file")) as other:
        transport = connect(server)
        for url in (
            f"{other.url}/x",
            f"{server.url}2/x",
            server.url.replace("127.0.0.1", "127.0.0.1@localhost"),
        ):
            with pytest.raises(UsageError, match="must not be sent anywhere else"):
                await transport.send(Request("GET", url), as_provider(TOKEN))
        assert (await transport.send(Request("GET", f"{other.url}/x?signature=a%2Fb"))).content == b"file"
    assert server.seen == []
    assert other.seen[0].target.endswith("/x?signature=a%2Fb")
    assert "authorization" not in other.seen[0].headers


@pytest.mark.parametrize(
    "path",
    [
        "/../../oauth/revoke",
        "/stories/../users",
        "/stories/..",
        "/./stories",
        "/%2e%2E/oauth",
        "/stories/.%2e",
        "/stories/..?x=1",
    ],
)
async def test_the_token_is_not_sent_outside_the_base_path(serving, answer, connect, path):
    async with serving(answer()) as server:
        transport = connect(server)
        for auth in (as_provider(TOKEN), None):
            with pytest.raises(UsageError, match="path segment"):
                await transport.send(request(transport, path=path), auth)
        assert server.seen == []
        for good in ("/stories/..7", "/a.b/...", "/x%2F..%2Fy", "/x y", "", "/"):
            await transport.send(request(transport, path=good), as_provider(TOKEN))
        assert len(server.seen) == 6


@pytest.mark.parametrize("base", ["", "/a%20b/ü", "/A/./B/../C"])
async def test_the_encoded_path_is_compared_with_the_base_url(serving, answer, connect, monkeypatch, base):
    async with serving(answer()) as server:
        transport = connect(server.url.removesuffix("/api/v1").upper().replace("HTTP", "http") + base)
        await transport.send(request(transport), as_provider(TOKEN))
        if base:
            monkeypatch.setattr("kantata_client._http.sender.admit", lambda *_: None)
            with pytest.raises(UsageError, match="is not below"):
                await transport.send(request(transport, path="/../x"), as_provider(TOKEN))
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "url", ["https://api.example", "http://127.0.0.1:80/x/", "http://localhost", "http://[::1]:9"]
)
def test_valid_base_urls_are_accepted(url):
    assert Transport(base_url=url).base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "api.example/v1",
        "https://",
        "https://user:planted-4711@api.example",
        "https://api.example?planted-4711",
        "https://api.example/#x",
        "https://api.example:port",
        "https://[::1",
        "https://api.example\\@evil.example",
        "https://api example",
    ],
)
def test_invalid_base_urls_are_rejected(url):
    with pytest.raises(UsageError) as caught:
        Transport(base_url=url)
    assert TOKEN not in str(caught.value)


async def test_secrets_are_not_logged_or_shown(serving, answer, connect, caplog):
    caplog.set_level(logging.DEBUG)
    async with serving("reset", answer(429), answer(200), answer(500)) as server:
        transport = connect(server)
        await transport.send(request(transport), as_provider(TOKEN))
        with pytest.raises(UnknownOutcomeError) as caught:
            await transport.send(post(transport), as_provider(TOKEN))
    ours = [record for record in caplog.records if record.name == "kantata_client"]
    assert {record.levelname for record in ours} == {"DEBUG", "INFO", "WARNING"}
    assert TOKEN not in caplog.text
    assert "Kick-off" not in caplog.text
    assert TOKEN not in shown(caught.value)


def shown(error: BaseException) -> str:
    """All that a traceback with local variables would show of the package, and of what the error leads to."""
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__) if ours(frame)]
    return repr([str(error), vars(error), error.__context__, error.__cause__, frames])


def ours(frame) -> bool:
    return "kantata_client" in frame.f_code.co_filename


# Forms and downloads


class Pieces:
    """A stream that can be read again and again."""

    def __init__(self, *pieces):
        self.pieces, self.read = pieces, 0

    async def __aiter__(self):
        self.read += 1
        for piece in self.pieces:
            yield piece


def form(content, size=None):
    file = File("attachment[data]", 'a"b.txt', content, "text/plain", size)
    return Form([("attachment[type]", "receipt")], [file])


@pytest.mark.parametrize("size", [None, 6])
async def test_a_form_is_streamed(serving, answer, connect, size):
    async with serving(answer(201)) as server:
        transport = connect(server)
        upload = form(Pieces(b"abc", b"def"), size)
        await transport.send(request(transport, "POST", "/attachments", form=upload))
    seen = server.seen[0]
    boundary = seen.headers["content-type"].removeprefix("multipart/form-data; boundary=")
    assert ("content-length" in seen.headers) is (size is not None)
    if size is not None:
        assert seen.body.decode() == (
            f'--{boundary}\r\ncontent-disposition: form-data; name="attachment[type]"\r\n\r\nreceipt\r\n'
            f'--{boundary}\r\ncontent-disposition: form-data; name="attachment[data]"; '
            'filename="a%22b.txt"\r\n'
            f"content-type: text/plain\r\n\r\nabcdef\r\n--{boundary}--\r\n"
        )


async def test_a_form_with_a_rewindable_stream_is_repeated(serving, answer, connect):
    pieces = Pieces(b"abc")
    async with serving(answer(429), answer(201)) as server:
        transport = connect(server)
        await transport.send(request(transport, "POST", form=form(pieces, 3)))
        assert pieces.read == 2
        assert server.seen[0].body == server.seen[1].body


async def test_a_form_with_a_partly_read_stream_is_not_repeated(serving, answer, connect):
    async with serving(answer(429), answer(201)) as server:
        transport = connect(server)
        with pytest.raises(RateLimitedError):
            await transport.send(request(transport, "PUT", form=form(aiter(Pieces(b"abc")), 3)))
        assert len(server.seen) == 1


@pytest.mark.parametrize(("size", "words"), [(2, "more"), (4, "only 3")])
async def test_a_stream_of_the_wrong_size_raises_a_usage_error(serving, answer, connect, size, words):
    async with serving(answer(201)) as server:
        transport = connect(server)
        with pytest.raises(UsageError, match=words):
            await transport.send(request(transport, "POST", form=form(Pieces(b"abc"), size)))
        assert len(server.seen) <= 1


async def test_an_exception_of_the_stream_is_raised_unchanged(serving, answer, connect):
    async def broken():
        yield b"abc"
        raise FileNotFoundError("the disk is gone")

    async with serving(answer(201)) as server:
        transport = connect(server)
        with pytest.raises(FileNotFoundError, match="disk"):
            await transport.send(request(transport, "POST", form=form(broken())))
        assert len(server.seen) <= 1


async def test_an_unknown_outcome_error_holds_the_body(serving, connect):
    async with serving("reset") as server:
        transport = connect(server)
        with pytest.raises(UnknownOutcomeError) as caught:
            await transport.send(request(transport, "POST", form=form(b"abc")))
        assert caught.value.sent == {"attachment[type]": "receipt", "attachment[data]": 'a"b.txt'}
        with pytest.raises(UnknownOutcomeError) as caught:
            await transport.send(request(transport, "POST", content=b"hush", confidential=True))
        assert caught.value.sent is None
        assert "hush" not in shown(caught.value)


async def test_a_download_is_streamed(serving, answer, connect):
    data = bytes(range(256)) * 4000
    async with serving(answer(503), answer(200, data)) as server:
        transport = connect(server)
        async with transport.stream(request(transport)) as response:
            assert (response.status, response.headers["Content-Length"]) == (200, str(len(data)))
            chunks = [chunk async for chunk in response]
        assert b"".join(chunks) == data
        assert len(chunks) > 1
        async with transport.stream(request(transport)) as response:
            assert response.status == 200  # leaving it unread is fine
        async with transport.stream(request(transport)) as response:
            assert await anext(response)  # and so is reading a part
        await transport.send(request(transport))


async def test_a_broken_download_raises_a_connection_error(serving, connect):
    async with serving("cut") as server:
        transport = connect(server)
        async with transport.stream(request(transport)) as response:
            assert await anext(response) == b"x" * 50
            with pytest.raises(KantataConnectionError, match=r"cut off.*request id r-1") as caught:
                await anext(response)
        assert caught.value.request_id == response.request_id == "r-1"
        assert not caught.value.unsent
        assert len(server.seen) == 1


async def test_a_rejected_download_raises_an_api_error(serving, answer, connect):
    async with serving(answer(404, b'{"errors":[{"message":"expired"}]}')) as server:
        transport = connect(server)
        with pytest.raises(NotFoundError, match="expired"):
            async with transport.stream(request(transport)):
                pass


# Throttle, concurrency, hooks, life


async def test_concurrency_is_bounded(connect, httpx_mock):
    in_progress, most = 0, 0

    async def respond(_):
        nonlocal in_progress, most
        in_progress += 1
        most = max(most, in_progress)
        await anyio.sleep(0.001)
        in_progress -= 1
        return httpx.Response(200)

    httpx_mock.add_callback(respond, is_reusable=True)
    transport = connect("https://api.example", transport=httpx.AsyncHTTPTransport(), max_concurrency=3)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(transport.send, request(transport, own_limit=number % 2 == 0))
    assert most == 3


@pytest.mark.parametrize("most", [1, 4])
async def test_requests_waiting_for_an_own_limit_leave_slots_for_others(connect, httpx_mock, most):
    class Stuck(FixedRate):
        async def acquire(self, operation, own_limit, patience=0.0):
            if own_limit:
                await anyio.sleep_forever()

    httpx_mock.add_response(is_reusable=True)
    transport = connect(
        "https://api.example",
        transport=httpx.AsyncHTTPTransport(),
        max_concurrency=most,
        throttle=Stuck(1),
    )
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(transport.send, request(transport, path=f"/{number % 3}", own_limit=True))
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                await transport.send(request(transport))
            tasks.cancel_scope.cancel()


async def test_an_operation_with_an_own_limit_also_respects_the_general_limit(connect, httpx_mock):
    naps = Naps()
    httpx_mock.add_response(is_reusable=True)
    throttle = AdaptiveThrottle(clock=lambda: sum(naps), sleep=naps)
    transport = connect("https://api.example", transport=httpx.AsyncHTTPTransport(), throttle=throttle)
    await transport.send(request(transport))
    throttle.limited("GET /users", False, None, 0.0)
    general = throttle._general[1].pause(0.0)
    assert 0.05 <= general < 0.055
    await transport.send(request(transport, own_limit=True))
    assert naps == [general]
    throttle.limited("GET /stories", True, None, 0.0)
    own = throttle._own["GET /stories"][1].pause(sum(naps))
    assert 0.05 <= own < 0.055
    await transport.send(request(transport, own_limit=True))
    assert naps == pytest.approx([general, own])
    await transport.send(request(transport))
    assert naps[2:] == pytest.approx([1 / throttle._general[1].rate])


async def test_hooks_receive_every_event_and_may_fail(serving, answer, connect, caplog):
    told = []

    def bad(event):
        told.append(event)
        raise RuntimeError("a bug in a hook")

    class Slow(FixedRate):
        async def acquire(self, operation, own_limit, patience=0.0):
            await anyio.sleep(0.01)

    async with serving(answer(503), answer(200)) as server:
        hooks = Hooks(on_request=told.append, on_response=bad, on_retry=told.append, on_throttle=told.append)
        transport = connect(server, hooks=hooks, throttle=Slow(1))
        await transport.send(request(transport, path="/stories/7"), as_provider(TOKEN))
    assert [type(event) for event in told if not isinstance(event, ThrottleEvent)] == [
        RequestEvent,
        ResponseEvent,
        RetryEvent,
        RequestEvent,
        ResponseEvent,
    ]
    assert any(isinstance(event, ThrottleEvent) and event.delay > 0 for event in told)
    retry = next(event for event in told if isinstance(event, RetryEvent))
    assert (retry.operation, retry.path, retry.attempt, retry.status) == (
        "GET /stories/7",
        "/stories/7",
        1,
        503,
    )
    assert (retry.reason, retry.request_id) == ("status 503", "r-1")
    assert "a bug in a hook" in caplog.text
    assert TOKEN not in repr(told)


async def test_cancellation_releases_the_slot_and_the_connection(serving, answer, connect):
    async with serving("silence", answer(200)) as server:
        transport = connect(server, max_concurrency=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.send, request(transport))
            await server.reached.wait()
            tasks.cancel_scope.cancel()
        await server.gone.wait()
        await transport.send(request(transport))


async def test_a_closed_client_raises_a_usage_error(serving, answer, connect):
    async with serving(answer()) as server:
        transport = connect(server)
        await transport.send(request(transport))
        await transport.aclose()
        await transport.aclose()
        await server.gone.wait()
        with pytest.raises(UsageError, match="closed"):
            await transport.send(request(transport))
        assert "closed" in repr(transport)


def test_one_client_works_in_several_event_loops(serving, answer):
    """Its throttle is kept, its connections are those of each loop."""
    transport = None

    async def run(close):
        nonlocal transport
        async with serving(answer()) as server:
            transport = transport or Transport(base_url="http://127.0.0.1:1/api/v1")
            transport.base_url, transport._shared = server.url, None
            for _ in range(2):
                await transport.send(request(transport))
            assert server.connections == 1
            await (transport.aclose() if close else transport._sender().aclose())

    asyncio.run(run(close=False))
    anyio.run(run, False, backend="trio")
    asyncio.run(run(close=True))


async def test_an_unclosed_client_is_garbage_collected(httpx_mock):
    httpx_mock.add_response()
    transport = Transport(base_url="https://api.example", transport=httpx.AsyncHTTPTransport())
    await transport.send(request(transport))
    connections = weakref.ref(transport._sender().connections)
    del transport
    for _ in range(5):  # on asyncio they are closed in a task
        gc.collect()
        await anyio.lowlevel.checkpoint()
    assert connections() is None


@pytest.mark.parametrize(
    "option",
    [
        {"timeout": 0},
        {"timeout": Timeouts(read=-1)},
        {"timeout": True},
        {"timeout": "30"},
        {"max_concurrency": 0},
        {"max_concurrency": True},
        {"max_concurrency": "8"},
        {"retries": RetryPolicy(retries=-1)},
        {"retries": RetryPolicy("3")},
        {"retries": RetryPolicy(deadline="60")},
        {"retries": -1},
        {"retries": True},
        {"retries": "3"},
        {"retries": 2.5},
        {"throttle": 0},
        {"throttle": True},
        {"throttle": "5"},
        {"throttle": FixedRate},
        {"transport": httpx.HTTPTransport()},
        {"transport": httpx.AsyncClient},
        {"transport": httpx.MockTransport},
        {"transport": lambda request: httpx.Response(200)},
        {"hooks": {"on_request": print}},
        {"hooks": Hooks},
    ],
    ids=steady,
)
def test_invalid_options_are_rejected(option):
    with pytest.raises(UsageError, match=rf"{next(iter(option))}|RetryPolicy|FixedRate|Timeouts|Hooks"):
        Transport(**option)


async def test_a_client_is_rejected_as_a_transport():
    async with httpx.AsyncClient() as client:
        with pytest.raises(UsageError, match="A client or a synchronous"):
            Transport(transport=client)


async def test_retries_and_throttle_accept_numbers(serving, answer, connect):
    async with serving(answer(503)) as server:
        transport = connect(server, retries=2, throttle=1000)
        with pytest.raises(ServerError):
            await transport.send(request(transport))
        assert len(server.seen) == 3
    assert transport.retries == RetryPolicy(retries=2)
    assert isinstance(transport.throttle, FixedRate)
