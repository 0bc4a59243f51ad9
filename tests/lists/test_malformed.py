"""Malformed responses: an error with method, path and request id, or tolerated as documented."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx
import pytest

from kantata_client import Kantata, MalformedResponseError, RetryPolicy

pytestmark = pytest.mark.anyio

ENVELOPE = {
    "count": 2,
    "results": [{"key": "stories", "id": "7"}, {"key": "stories", "id": "8"}],
    "stories": {"7": {"id": "7", "title": "Kick-off"}, "8": {"id": "8", "title": "Hand-over"}},
}
TEXT = json.dumps(ENVELOPE).encode()


def client(content: bytes, content_type: str = "application/json") -> Kantata:
    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, content=content, headers={"x-request-id": "r-42", "content-type": content_type}
        )

    return Kantata("secret", transport=httpx.MockTransport(answer), retries=RetryPolicy(retries=0))


def with_title(value: bytes) -> bytes:
    return TEXT.replace(b'"Kick-off"', value)


BAD: dict[str, tuple[bytes, str]] = {
    "truncated": (TEXT[:-20], "is not JSON"),
    "truncated in a string": (TEXT[: TEXT.index(b"Kick") + 2], "is not JSON"),
    "HTML": (b"<html><title>Please log in</title><body>secret stuff</body></html>", "is not JSON"),
    "empty": (b"", "is empty"),
    "white space": (b" \r\n", "is empty"),
    "invalid UTF-8": (with_title(b'"caf\xe9"'), "is not JSON"),
    "invalid UTF-8 in a key": (TEXT.replace(b'"title"', b'"t\xff"'), "is not JSON"),
    "a million digits": (with_title(b"9" * 1_000_000), "is not JSON"),
    "two values": (TEXT + TEXT, "is not JSON"),
    "deep nesting": (with_title(b"[" * 100_000 + b"]" * 100_000), "is not JSON"),
    "an array": (b"[]", "an envelope was expected, not an array"),
    "text": (b'"done"', "an envelope was expected, not text"),
    "null": (b"null", "an envelope was expected, not nothing"),
    "no results": (b"{}", "`results` should be a list of references, not nothing"),
    "results in an object": (b'{"results": {}}', "not an object"),
    "results of numbers": (b'{"results": [7]}', "not {key, id}"),
    "results of null": (b'{"results": [null]}', "not {key, id}"),
    "results of text": (b'{"results": ["7"]}', "not {key, id}"),
    "results without ids": (b'{"results": [{"key": "stories"}], "stories": {}}', "not {key, id}"),
    "objects in an array": (
        b'{"results": [{"key": "stories", "id": "7"}], "stories": []}',
        "not a map by id",
    ),
    "objects that are null": (
        b'{"results": [{"key": "stories", "id": "7"}], "stories": null}',
        "not a map by id",
    ),
}


@pytest.mark.parametrize(("content", "what"), BAD.values(), ids=BAD)
async def test_body_that_is_not_an_envelope_raises(content: bytes, what: str) -> None:
    async with client(content) as kantata:
        for call in (
            lambda: kantata.stories.list().collect(),
            lambda: kantata.stories.list(include=["workspace"]).first(),
            lambda: kantata.stories.get(7),
        ):
            with pytest.raises(MalformedResponseError) as caught:
                await call()
            error = caught.value
            assert what in str(error)
            assert "r-42" in str(error)
            assert error.request_id == "r-42"
            assert (error.method, error.path) in (("GET", "/stories"), ("GET", "/stories/7"))
            assert len(str(error)) < 700  # the text of the body in it is cut
            assert "secret stuff" not in str(error)
            assert error.__cause__ is None


@pytest.mark.parametrize("content", [TEXT[:-20], b"", b"<html>", b"\xff", b'{"a": [}'])
async def test_raw_request_with_a_malformed_body_raises(content: bytes) -> None:
    async with client(content) as kantata:
        if content:
            with pytest.raises(MalformedResponseError) as caught:
                await kantata.request("GET", "/new_route")
            assert (caught.value.method, caught.value.path) == ("GET", "/new_route")
            assert caught.value.request_id == "r-42"
        else:
            assert await kantata.request("GET", "/new_route") is None


async def test_results_without_an_object_are_left_out() -> None:
    body: dict[str, Any] = json.loads(TEXT)
    del body["stories"]["7"]
    async with client(json.dumps(body).encode()) as kantata:
        (found,) = await kantata.stories.list().collect()
        assert found.id == "8"
        (row,) = kantata.drift
        assert (row.model, row.field, row.request_id) == ("envelope", "results", "r-42")
    async with client(json.dumps(body | {"stories": {}}).encode()) as kantata:
        with pytest.raises(
            MalformedResponseError, match="one result was expected, but the response has none"
        ):
            await kantata.stories.get(7)


async def test_keyed_response_must_contain_one_object() -> None:
    for tables, count in ((b"{}", 0), (b'{"7": {"id": "7"}, "8": {"id": "8"}}', 2)):
        async with client(tables) as kantata:
            with pytest.raises(
                MalformedResponseError, match=f"a map with one object was expected, not with {count}"
            ):
                await kantata.exchange_tables.get(7)
    async with client(b'{"7": {"id": "7"}}') as kantata:
        assert (await kantata.exchange_tables.get(7)).id == "7"


async def test_references_may_be_numbers() -> None:
    async with client(TEXT.replace(b'"id": "7"}', b'"id": 7}', 1)) as kantata:
        assert [each.id for each in await kantata.stories.list().collect()] == ["7", "8"]


async def test_numbers_keep_their_value() -> None:
    for exact in (2**64 - 1, -(2**63), 0.1, 1e300):
        async with client(with_title(str(exact).encode())) as kantata:
            story: Any = await kantata.stories.list().first()
            assert story.title == exact
            assert type(story.title) is type(exact)
    async with client(with_title(b"1e999")) as kantata:
        with pytest.raises(MalformedResponseError, match="is not JSON"):
            await kantata.stories.list().first()


async def test_integers_beyond_64_bits_read_as_floats_and_count_as_drift() -> None:
    big = 10**40
    async with client(TEXT.replace(b'"id": "7", ', b'"id": "7", "position": %d, ' % big, 1)) as kantata:
        story: Any = await kantata.stories.list().first()
        assert story.position == float(big)
        (row,) = kantata.drift
        assert (row.model, row.field, row.received) == ("Story", "position", "a number")


async def test_content_type_is_ignored() -> None:
    async with client(TEXT, "text/html; charset=latin-1") as kantata:
        assert len(await kantata.stories.list().collect()) == 2


LENIENT: dict[str, tuple[bytes, Any]] = {
    "a byte order mark": (b"\xef\xbb\xbf" + TEXT, "Kick-off"),
    "UTF-16 with a byte order mark": (TEXT.decode().encode("utf-16"), "Kick-off"),
    "half of an escaped surrogate pair": (with_title(rb'"a\ud83d"'), "a\ud83d"),
    "half of an encoded surrogate pair": (with_title(b'"a\xed\xa0\xbd"'), "a\ud83d"),
    "infinity": (with_title(b"-Infinity"), float("-inf")),
    "a long whole number beside NaN": (with_title(b"[NaN, %d]" % 10**40), [math.nan, 10**40]),
}


@pytest.mark.parametrize("what", LENIENT)
async def test_json_that_orjson_rejects_is_decoded_by_the_standard_library(what: str) -> None:
    content, title = LENIENT[what]
    async with client(content) as kantata:
        first, second = await kantata.stories.list().collect()
    assert repr(first.title) == repr(title)
    assert second.title == "Hand-over"
    repr(first)


async def test_nan_is_read() -> None:
    async with client(with_title(b"NaN")) as kantata:
        story: Any = await kantata.stories.list().first()
        assert math.isnan(story.title)
        assert await kantata.request("GET", "/anything") is not None
