"""Fuzzed answers, headers and environments: whatever they are, a call returns or raises a `KantataError`."""

from __future__ import annotations

import os
import random
import ssl

import anyio
import httpx
import pytest

from kantata_client import Kantata, KantataError, RetryPolicy
from kantata_client._http import pool
from kantata_client._http.environment import Trust
from kantata_client._http.throttle import FixedRate

NUMBER = int(os.environ.get("KANTATA_FUZZ", "1000"))
"""How many of each kind; `.ci/run` may ask for 20,000."""

ME = b'{"count":1,"results":[{"key":"users","id":"1"}],"users":{"1":{"id":"1","full_name":"Ada"}}}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ME), ME)
HEADERS = [
    b"content-length: 5",
    b"content-length: -1",
    b"content-length: 99999999999999999999",
    b"content-length: 2, 2",
    b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked",
    b"content-encoding: gzip",
    b"content-encoding: deflate, br",
    b"content-encoding: ,",
    b"retry-after: 1e400",
    b"retry-after: 0.5",
    b"retry-after: Fri, 31 Dec 9999 23:59:59 GMT",
    b"retry-after: " + b"9" * 400,
    b"retry-after: nan",
    b"x-request-id: \xff\xfe",
    b"location: http://[",
    b"location: \x00",
    b"connection: close",
    b"connection: upgrade",
    b"x: " + b"y" * 70_000,
    b": nameless",
    b"no colon",
    b"x-request-id:",
    b"content-type: \xe4",
    b"date: 0",
]
STATUSES = [
    b"200 OK",
    b"204 No",
    b"304 Not",
    b"301 Moved",
    b"400 B",
    b"401 U",
    b"404 N",
    b"408 T",
    b"422 U",
    b"429 T",
    b"500 S",
    b"503 S",
    b"520 X",
    b"599 X",
    b"100 Continue",
    b"101 Switch",
    b"099 Low",
    b"1000 High",
    b"abc X",
    b"200",
]
BODIES = [
    ME,
    b"",
    b"{}",
    b"[]",
    b"null",
    b"5",
    b'"x"',
    b"{",
    b"\xff\xfe",
    b"<html><title>x</title>",
    b"[" * 50_000,
    b"[" * 50_000 + b"]" * 50_000,
    b'{"errors":' * 50_000,
    b'{"results":5}',
    b'{"results":[{"key":"users","id":"1"}]}',
    b'{"results":[5],"users":[]}',
    b'{"errors":5}',
    b'{"errors":[{"message":{"a":1}}]}',
    b'{"errors":{"a":[1,null]}}',
    b'{"users":{"1":null},"results":[{"key":"users","id":"1"}]}',
    b'{"results":[{"key":null,"id":{}}]}',
    b'{"count":"x","results":{}}',
    b'{"a":1e999}',
    b'{"a":"\\ud800"}',
]


CALLS = [
    lambda kantata: kantata.users.me(),
    lambda kantata: kantata.stories.get(7),
    lambda kantata: kantata.stories.list().first(),
    lambda kantata: kantata.stories.create(workspace_id=1, title="x", story_type="task"),
    lambda kantata: kantata.stories.update(7, title="x"),
    lambda kantata: kantata.stories.delete(7),
    lambda kantata: kantata.time_entries.delete_many([1, 2]),
    lambda kantata: kantata.request("GET", "/anything"),
]


def fuzzed(chance: random.Random) -> bytes:
    """The bytes of an answer: made of odd parts, or a good one that was damaged."""
    if chance.random() < 0.4:
        data = bytearray(WHOLE)
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    del data[place : place + chance.randrange(1, 9)]
                case _:
                    data[place:place] = chance.randbytes(chance.randrange(1, 9))
        return bytes(data)
    headers = chance.choices(HEADERS, k=chance.randrange(4))
    body = chance.choice(BODIES)
    if chance.random() < 0.7:
        headers.append(b"content-length: %d" % len(body))
    return b"\r\n".join([b"HTTP/1.1 " + chance.choice(STATUSES), *headers, b"", body])


class Canned:
    """A stream that answers with given bytes, in pieces, and then ends, breaks or stays silent."""

    def __init__(self, data: bytes, chance: random.Random):
        cut = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(4)))
        self.pieces = [data[a:b] for a, b in zip([0, *cut], [*cut, len(data)], strict=True) if a < b]
        self.end = chance.choice([b"", b"", ConnectionResetError("reset"), TimeoutError()])

    async def read(self, timeout):
        await anyio.lowlevel.checkpoint()
        if self.pieces:
            return self.pieces.pop(0)
        if isinstance(self.end, bytes):
            return self.end
        raise self.end

    async def write(self, data, timeout):
        await anyio.lowlevel.checkpoint()

    def stale(self):
        return True

    def abort(self):
        pass


async def nap(_):
    await anyio.lowlevel.checkpoint()


@pytest.mark.asyncio
async def test_any_response_is_returned_or_raises_a_kantata_error(monkeypatch):
    chance = random.Random(4711)

    async def connect(host, port, tls, timeout):
        return Canned(fuzzed(chance), chance)

    monkeypatch.setattr(pool, "connect", connect)
    policy = RetryPolicy(retries=1, initial=0, maximum=0, deadline=5)
    told: list[str] = []
    outcomes = {"returned": 0, "raised": 0}
    kantata = None
    for index in range(NUMBER):
        if index % 100 == 0:  # a 401 or 429 must not speak for all that follow
            if kantata is not None:
                await kantata.aclose()
            kantata = Kantata(
                "secret", base_url="http://127.0.0.1:9", retries=policy, throttle=FixedRate(1e9)
            )
            kantata._transport._sleep = nap
            monkeypatch.setattr(
                kantata._transport.throttle, "limited", lambda *_: None
            )  # or it would really wait
        call = chance.choice(CALLS)
        try:
            result = await call(kantata)
        except KantataError as error:
            outcomes["raised"] += 1
            told.append(str(error))
            continue
        outcomes["returned"] += 1
        repr(result)
    await kantata.aclose()
    assert "secret" not in "".join(told)
    assert min(outcomes.values()) > NUMBER / 100


@pytest.mark.asyncio
async def test_any_environment_works_or_raises_a_kantata_error(monkeypatch):
    chance = random.Random(42)
    trust = Trust()
    context = trust.context(ssl.create_default_context)

    async def connect(host, port, tls, timeout):
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(pool, "connect", connect)
    monkeypatch.setattr("httpx.create_ssl_context", lambda *_, **__: context)

    async def refused(*_):
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", refused)
    parts = [
        "http",
        "https",
        "socks5",
        "ftp",
        "",
        "://",
        ":",
        "//",
        "@",
        "user",
        "pass",
        "#",
        "?",
        "/",
        "[",
        "]",
        "::1",
        "127.0.0.1",
        "proxy",
        "3128",
        "99999",
        "%",
        "%23",
        " ",
        "\n",
        "é",
        "\udcff",
        "*",
        ".",
        ",",
        "/8",
        "x" * 300,
    ]
    for _ in range(NUMBER // 4):
        for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            if chance.random() < 0.5:
                monkeypatch.setenv(name, "".join(chance.choices(parts, k=chance.randrange(1, 8))))
        async with Kantata("secret", retries=0) as kantata:
            with pytest.raises(KantataError):
                await kantata.users.me()
