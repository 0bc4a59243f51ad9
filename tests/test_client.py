"""The client: what it costs to import, its resources, its copies for other users, the way out, and its end."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import httpx
import pytest

import kantata_client
from kantata_client import Kantata, KantataError, MalformedResponseError, NotFoundError, UsageError
from kantata_client.operations import OPERATIONS


class Service(httpx.AsyncBaseTransport):
    """A transport that keeps the requests, gives one answer, and knows whether it was closed."""

    def __init__(self, status: int = 200, content: bytes = b'{"count": 0, "results": []}') -> None:
        self.requests: list[httpx.Request] = []
        self.closed = 0
        self._status = status
        self._content = content

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        return httpx.Response(self._status, content=self._content, headers={"x-request-id": "abc-1"})

    async def aclose(self) -> None:
        self.closed += 1

    @property
    def tokens(self) -> list[str]:
        return [each.headers["authorization"] for each in self.requests]


# --- what it costs -----------------------------------------------------------------------------


def test_another_user_is_not_the_environment_s(monkeypatch):
    monkeypatch.setenv("KANTATA_ACCESS_TOKEN", "of-somebody")
    kantata = kantata_client.Kantata()
    with pytest.raises(kantata_client.UsageError, match="pass the other user's token"):
        kantata.with_token(None)


def modules_after(program: str) -> set[str]:
    """Names of the modules that a fresh interpreter has after it ran a program."""
    program += "\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_a_first_client_imports_none_of_the_libraries() -> None:
    loaded = modules_after("import kantata_client; kantata_client.Kantata(token='x')")
    assert "kantata_client.client" in loaded
    assert not loaded & {
        "httpx",
        "attrs",
        "attr",
        "anyio",
        "msgspec",
        "orjson",
        "asyncio",
        "trio",
        "json",
        "ssl",
        "codegen",
    }
    generated = {
        name for name in loaded if name.startswith(("kantata_client.api.", "kantata_client.models."))
    }
    assert generated == set()


def test_the_operations_can_be_listed_without_importing_them() -> None:
    loaded = modules_after(
        "from kantata_client.operations import OPERATIONS; assert len(list(OPERATIONS)) > 400"
    )
    assert not {name for name in loaded if name.startswith("kantata_client.api.")}


def test_one_resource_imports_only_its_own_module() -> None:
    loaded = modules_after("from kantata_client import Kantata; Kantata(token='x').skills")
    assert {name for name in loaded if name.startswith("kantata_client.api.")} == {
        "kantata_client.api.skills"
    }
    assert "httpx" not in loaded


def test_reading_objects_does_not_import_attrs() -> None:
    loaded = modules_after("from kantata_client.models import Story; repr(Story(id='7') == Story(id='8'))")
    assert not loaded & {"attr", "attrs", "httpx"}


def test_every_public_name_is_there() -> None:
    for name in kantata_client.__all__:
        assert getattr(kantata_client, name) is not None
    assert set(kantata_client.__all__) <= set(dir(kantata_client))


def test_a_misspelt_name_of_the_package() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Kantanta'; did you mean 'Kantata'\?"):
        kantata_client.Kantanta  # type: ignore[attr-defined]  # noqa: B018


# --- resources ---------------------------------------------------------------------------------


def test_a_resource_is_made_once() -> None:
    kantata = Kantata("secret")
    assert kantata.stories is kantata.stories
    assert type(kantata.stories).__name__ == "Stories"
    assert "stories" in dir(kantata)
    assert "with_token" in dir(kantata)


def test_every_resource_is_listed() -> None:
    assert {each.resource for each in OPERATIONS.values()} <= set(dir(Kantata("secret")))


def test_a_misspelt_resource() -> None:
    with pytest.raises(
        AttributeError, match=r"'Kantata' object has no attribute 'storys'; did you mean 'stories'\?"
    ):
        Kantata("secret").storys  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(Kantata("secret"), "nothing_like_it_at_all")


def test_a_misspelt_method() -> None:
    with pytest.raises(AttributeError, match="lst"):
        Kantata("secret").stories.lst()  # type: ignore[attr-defined]


def test_no_token_in_any_repr() -> None:
    kantata = Kantata("tok-e1f9")
    for each in (kantata, kantata.stories, kantata.stories.list(), kantata._session, kantata._session.tokens):
        assert "tok-e1f9" not in repr(each)
    assert repr(kantata) == "<Kantata at https://api.mavenlink.com/api/v1>"


def test_operations_are_a_mapping() -> None:
    assert OPERATIONS["GET /stories"] is OPERATIONS["GET /stories"]
    assert "GET /stories" in OPERATIONS
    assert "GET /nothing" not in OPERATIONS
    assert OPERATIONS.get("GET /nothing") is None
    with pytest.raises(KeyError):
        OPERATIONS["GET /nothing"]
    assert repr(OPERATIONS) == f"<{len(OPERATIONS)} operations>"


# --- other users -------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_with_token_shares_the_transport_and_nothing_else() -> None:
    service = Service()
    async with Kantata("one", transport=service) as one:
        two = one.with_token("two")
        assert type(two) is Kantata
        assert two._transport is one._transport
        assert two.stories is not one.stories
        await one.stories.list().collect()
        await two.stories.list().collect()
        await one.stories.list().collect()
    assert service.tokens == ["Bearer one", "Bearer two", "Bearer one"]
    assert service.closed == 1


@pytest.mark.anyio
async def test_with_token_takes_functions_and_refuses_what_is_none() -> None:
    service = Service()

    async def token() -> str:
        return "fetched"

    async with Kantata("one", transport=service) as one:
        await one.with_token(token).users.list().collect()
        await one.with_token(lambda: "computed").users.list().collect()
        with pytest.raises(UsageError):
            one.with_token("")
    assert service.tokens == ["Bearer fetched", "Bearer computed"]


@pytest.mark.anyio
async def test_a_copy_closes_nothing() -> None:
    service = Service()
    async with Kantata("one", transport=service) as one:
        async with one.with_token("two") as two, two.with_token("three") as three:
            await two.users.list().collect()
            await three.users.list().collect()
        await two.aclose()
        assert service.closed == 0
        for client in (one, two, three):
            await client.users.list().collect()
    assert service.closed == 1
    with pytest.raises(KantataError, match="closed"):
        await two.users.list().collect()


@pytest.mark.anyio
async def test_a_subclass_stays_one() -> None:
    class Ours(Kantata):
        pass

    assert type(Ours("one", transport=Service()).with_token("two")) is Ours


# --- the way out -------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_request_that_the_contract_does_not_know() -> None:
    service = Service(content=b'{"anything": [1, null]}')
    async with Kantata("secret", transport=service) as kantata:
        found = await kantata.request(
            "post", "/new_route", params={"x": 1, "flag": True, "ids": [1, 2], "none": None}, json={"a": None}
        )
    assert found == {"anything": [1, None]}
    (request,) = service.requests
    assert request.method == "POST"
    assert request.url.path == "/api/v1/new_route"
    assert dict(request.url.params.multi_items()) == {"x": "1", "flag": "true", "ids": "1,2"}
    assert json.loads(request.content) == {"a": None}
    assert request.headers["authorization"] == "Bearer secret"


@pytest.mark.anyio
async def test_a_request_without_a_body_in_the_answer() -> None:
    service = Service(204, b"")
    async with Kantata("secret", transport=service) as kantata:
        assert await kantata.request("DELETE", "/new_route/7") is None
    assert service.requests[0].content == b""


@pytest.mark.anyio
async def test_errors_of_the_way_out() -> None:
    errors = b'{"errors": [{"type": "system", "message": "No such route"}]}'
    async with Kantata("secret", transport=Service(404, errors)) as kantata:
        with pytest.raises(NotFoundError, match="GET /new_route failed with 404: No such route"):
            await kantata.request("GET", "/new_route")
    async with Kantata("secret", transport=Service(content=b"<html>")) as kantata:
        with pytest.raises(MalformedResponseError, match="GET /new_route"):
            await kantata.request("GET", "/new_route")


@pytest.mark.anyio
async def test_a_body_of_the_way_out() -> None:
    class Colour(Enum):
        RED = "red"

    service = Service()
    at = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    async with Kantata("secret", transport=service) as kantata:
        body = {"day": date(2026, 3, 4), "at": at, 7: (Decimal("1.5"), Colour.RED), "many": 2**70}
        await kantata.request("PUT", "/a..b/...", json=body)
        await kantata.request("PUT", "/x", json=[])
    assert [json.loads(each.content) for each in service.requests] == [
        {"day": "2026-03-04", "at": "2026-03-04T05:06:00+00:00", "7": [1.5, "red"], "many": 2**70},
        [],
    ]
    assert service.requests[0].url.path == "/api/v1/a..b/..."


# --- answers that are not what the API sends ---------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"results": null}',
        b'{"results": {}}',
        b'{"results": [7], "count": 1, "stories": {}}',
        b'{"results": [{"key": "stories"}], "count": 1, "stories": {"7": {}}}',
        b'{"results": [{"key": "stories", "id": "7"}], "count": 1, "stories": []}',
        b'{"results": [{"key": "stories", "id": "7"}], "count": 1, "stories": null}',
        b'{"results": [',
        b"\xff\xfe",
    ],
)
async def test_a_malformed_answer_is_told_as_one(content: bytes) -> None:
    async with Kantata("secret", transport=Service(content=content)) as kantata:
        with pytest.raises(MalformedResponseError) as caught:
            await kantata.stories.list().collect()
    assert "GET /stories" in str(caught.value)
    assert "abc-1" in str(caught.value)
    assert caught.value.request_id == "abc-1"


@pytest.mark.anyio
async def test_one_object_where_there_is_none() -> None:
    async with Kantata("secret", transport=Service()) as kantata:
        with pytest.raises(MalformedResponseError, match="one result was expected"):
            await kantata.stories.get(7)


# --- its end -----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_closing_twice() -> None:
    service = Service()
    kantata = Kantata("secret", transport=service)
    await kantata.stories.list().collect()
    await kantata.aclose()
    await kantata.aclose()
    assert service.closed >= 1


@pytest.mark.anyio
async def test_closing_what_was_never_used() -> None:
    await Kantata("secret").aclose()
    async with Kantata("secret") as kantata:
        assert isinstance(kantata, Kantata)


@pytest.mark.anyio
async def test_a_closed_client_says_so() -> None:
    service = Service()
    kantata = Kantata("secret", transport=service)
    other = kantata.with_token("two")
    async with kantata:
        pass
    for client in (kantata, other):
        with pytest.raises(KantataError, match="closed"):
            await client.stories.list().collect()
    assert service.requests == []


@pytest.mark.anyio
async def test_an_error_inside_the_block_closes_too() -> None:
    service = Service()

    async def fail() -> None:
        async with Kantata("secret", transport=service) as kantata:
            await kantata.stories.list().collect()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert service.closed == 1


def test_one_client_on_several_event_loops() -> None:
    """A script that calls `asyncio.run` more than once, with a transport that does not mind."""
    import anyio

    service = Service()
    kantata = Kantata("secret", transport=service)

    async def walk() -> list[Any]:
        return [story async for story in kantata.stories.list()]

    assert anyio.run(walk) == []
    assert anyio.run(walk, backend="trio") == []
    assert len(service.requests) == 2
