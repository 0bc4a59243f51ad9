"""`Kantata`: imports, resources, copies for other users, `request`, and closing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import httpx
import pytest

import kantata_client
from kantata_client import Kantata, KantataError, MalformedResponseError, NotFoundError, UsageError, errors
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox


class Service(httpx.AsyncBaseTransport):
    """A transport that records the requests, gives the same answer to each, and counts how often it was closed."""

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


# --- imports -----------------------------------------------------------------------------


def modules_after(program: str) -> set[str]:
    """Names of the modules that a program imports in a fresh interpreter."""
    program += "\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_creating_a_client_imports_no_library() -> None:
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


def test_listing_the_operations_does_not_import_their_modules() -> None:
    loaded = modules_after(
        "from kantata_client.operations import OPERATIONS; assert len(list(OPERATIONS)) > 400"
    )
    assert not {name for name in loaded if name.startswith("kantata_client.api.")}


def test_using_a_resource_imports_only_its_module() -> None:
    loaded = modules_after("from kantata_client import Kantata; Kantata(token='x').skills")
    assert {name for name in loaded if name.startswith("kantata_client.api.")} == {
        "kantata_client.api.skills"
    }
    assert "httpx" not in loaded


def test_models_do_not_import_attrs() -> None:
    loaded = modules_after("from kantata_client.models import Story; repr(Story(id='7') == Story(id='8'))")
    assert not loaded & {"attr", "attrs", "httpx"}


def test_every_public_name_can_be_imported() -> None:
    for name in kantata_client.__all__:
        assert getattr(kantata_client, name) is not None
    assert set(kantata_client.__all__) <= set(dir(kantata_client))
    shown = [name for name in dir(errors) if not name.startswith("_")]
    classes = [value.__name__ for value in vars(errors).values() if isinstance(value, type)]
    assert set(shown) == {name for name in classes if name.endswith("Error")} | {"ErrorDetail"}
    assert set(shown) < set(kantata_client.__all__)


def test_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Kantanta'; did you mean 'Kantata'\?"):
        kantata_client.Kantanta  # type: ignore[attr-defined]  # noqa: B018


# --- resources ---------------------------------------------------------------------------------


def test_resource_is_created_once() -> None:
    kantata = Kantata("secret")
    assert kantata.stories is kantata.stories
    assert type(kantata.stories).__name__ == "Stories"
    assert "stories" in dir(kantata)
    assert "with_token" in dir(kantata)


def test_dir_lists_every_resource() -> None:
    assert {each.resource for each in OPERATIONS.values()} <= set(dir(Kantata("secret")))


def test_misspelt_resource_gets_a_suggestion() -> None:
    with pytest.raises(
        AttributeError, match=r"'Kantata' object has no attribute 'storys'; did you mean 'stories'\?"
    ):
        Kantata("secret").storys  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(Kantata("secret"), "nothing_like_it_at_all")


def test_misspelt_method_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="lst"):
        Kantata("secret").stories.lst()  # type: ignore[attr-defined]


def test_repr_does_not_show_the_token() -> None:
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


# --- copies for other users -------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_with_token_shares_only_the_transport() -> None:
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


def test_with_token_none_does_not_use_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANTATA_ACCESS_TOKEN", "environment-token")
    kantata = Kantata()
    with pytest.raises(UsageError, match="pass the other user's token"):
        kantata.with_token(None)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_with_token_accepts_functions_and_rejects_an_empty_token() -> None:
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
async def test_closing_a_copy_leaves_the_original_open() -> None:
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
async def test_copy_of_a_subclass_has_its_class() -> None:
    class Ours(Kantata):
        pass

    assert type(Ours("one", transport=Service()).with_token("two")) is Ours


# --- request -------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_request_that_the_contract_lacks() -> None:
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
async def test_request_returns_none_for_an_empty_response() -> None:
    service = Service(204, b"")
    async with Kantata("secret", transport=service) as kantata:
        assert await kantata.request("DELETE", "/new_route/7") is None
    assert service.requests[0].content == b""


@pytest.mark.anyio
async def test_request_raises_the_errors_of_typed_calls() -> None:
    errors = b'{"errors": [{"type": "system", "message": "No such route"}]}'
    async with Kantata("secret", transport=Service(404, errors)) as kantata:
        with pytest.raises(NotFoundError, match="GET /new_route failed with 404: No such route"):
            await kantata.request("GET", "/new_route")
    async with Kantata("secret", transport=Service(content=b"<html>")) as kantata:
        with pytest.raises(MalformedResponseError, match="GET /new_route"):
            await kantata.request("GET", "/new_route")


@pytest.mark.anyio
async def test_request_converts_its_body_to_json() -> None:
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


# --- malformed responses ---------------------------------------------------


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
async def test_malformed_response_raises_with_request_id(content: bytes) -> None:
    async with Kantata("secret", transport=Service(content=content)) as kantata:
        with pytest.raises(MalformedResponseError) as caught:
            await kantata.stories.list().collect()
    assert "GET /stories" in str(caught.value)
    assert "abc-1" in str(caught.value)
    assert caught.value.request_id == "abc-1"


@pytest.mark.anyio
async def test_empty_result_of_get_is_malformed() -> None:
    async with Kantata("secret", transport=Service()) as kantata:
        with pytest.raises(MalformedResponseError, match="one result was expected"):
            await kantata.stories.get(7)


# --- closing -----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_client_can_be_closed_twice() -> None:
    service = Service()
    kantata = Kantata("secret", transport=service)
    await kantata.stories.list().collect()
    await kantata.aclose()
    await kantata.aclose()
    assert service.closed >= 1


@pytest.mark.anyio
async def test_unused_client_can_be_closed() -> None:
    await Kantata("secret").aclose()
    async with Kantata("secret") as kantata:
        assert isinstance(kantata, Kantata)


@pytest.mark.anyio
async def test_closed_client_rejects_requests() -> None:
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
async def test_error_inside_the_block_closes_the_client() -> None:
    service = Service()

    async def fail() -> None:
        async with Kantata("secret", transport=service) as kantata:
            await kantata.stories.list().collect()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert service.closed == 1


def test_client_is_usable_on_several_event_loops() -> None:
    """As in a script that calls `asyncio.run` more than once."""
    import anyio

    service = Service()
    kantata = Kantata("secret", transport=service)

    async def walk() -> list[Any]:
        return [story async for story in kantata.stories.list()]

    assert anyio.run(walk) == []
    assert anyio.run(walk, backend="trio") == []
    assert len(service.requests) == 2


def run_in_dev_mode(program: str, url: str, token: str) -> str:
    """What a program writes to stderr if Python shows every warning."""
    environment = {**os.environ, "KANTATA_BASE_URL": url, "KANTATA_ACCESS_TOKEN": token}
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", PRELUDE + program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stderr


PRELUDE = """
import asyncio, gc, warnings
from kantata_client import Kantata

async def read(kantata):
    await kantata.users.me()
"""
UNCLOSED = {
    "forgotten": "async def main():\n    await read(Kantata())\nasyncio.run(main())",
    "copies outlive the original": (
        "async def main():\n    kantata = Kantata().with_options(timeout=5)\n    gc.collect()\n"
        "    await read(kantata)\n    await read(kantata.with_token('sandbox-token'))\nasyncio.run(main())"
    ),
    "trio": "import trio\nasync def main():\n    await read(Kantata())\ntrio.run(main)",
}
FINE = {
    "closed by async with": "async def main():\n    async with Kantata() as k: await read(k)\nasyncio.run(main())",
    "closed by aclose": (
        "async def main():\n    k = Kantata()\n    await read(k)\n    await k.aclose()\nasyncio.run(main())"
    ),
    "never used": "async def main():\n    Kantata()\n    gc.collect()\nasyncio.run(main())",
    "several event loops": "k = Kantata()\nasyncio.run(read(k))\nasyncio.run(read(k))\ndel k\ngc.collect()",
    "kept until the program ends": "k = Kantata()\nasyncio.run(read(k))",
    "a connection that failed": (
        "async def main():\n    k = Kantata(base_url='http://127.0.0.1:9', retries=0)\n"
        "    try: await read(k)\n    except Exception: pass\nasyncio.run(main())"
    ),
    "an own transport": (
        "import httpx\nrefuse = httpx.MockTransport(lambda request: httpx.Response(404))\n"
        "async def main():\n    k = Kantata(transport=refuse)\n    try: await read(k)\n"
        "    except Exception: pass\nasyncio.run(main())"
    ),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", UNCLOSED)
async def test_unclosed_client_warns_once(name: str) -> None:
    async with Sandbox(seed="empty").serve() as server:
        written = await asyncio.to_thread(run_in_dev_mode, UNCLOSED[name], server.url, server.token)
    assert written.count("was not closed") == 1, written
    assert "unclosed" not in written  # asyncio would warn of each socket
    assert "ResourceWarning: A client of http://127.0.0.1" in written
    assert "async with Kantata() as kantata" in written


@pytest.mark.asyncio
@pytest.mark.parametrize("name", FINE)
async def test_no_warning_without_open_connections(name: str) -> None:
    async with Sandbox(seed="empty").serve() as server:
        assert await asyncio.to_thread(run_in_dev_mode, FINE[name], server.url, server.token) == ""
