"""Fetching the published contract: from a file, from addresses in order, and clear errors for each of them."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest

from codegen import update
from codegen.compile import CONTRACT, GENERATED, OVERRIDES, PACKAGE
from codegen.errors import CodegenError
from codegen.fetch import ADDRESSES, VARIABLE, fetch
from tests.loopback import answer, serving

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = CONTRACT.read_bytes()


async def fetched(source: str | None, folder: Path, **environment: str) -> dict[str, Any]:
    call = functools.partial(fetch, source, folder, environment, seconds=10)
    return (await anyio.to_thread.run_sync(call))[1]


@pytest.mark.asyncio
async def test_an_address_is_read_like_a_file(tmp_path: Path) -> None:
    async with serving(answer(200, CONTENT, content_type="application/yaml", connection="close")) as server:
        document = await fetched(server.url, tmp_path)
    assert document == await fetched(str(CONTRACT), tmp_path)
    assert len(document["paths"]) > 200


@pytest.mark.asyncio
async def test_redirects_are_followed(tmp_path: Path) -> None:
    async with serving(answer(200, CONTENT, connection="close")) as target:
        moved = answer(302, b"", location=target.url, connection="close")
        async with serving(moved) as server:
            assert "/stories" in (await fetched(server.url, tmp_path))["paths"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (answer(404, b"gone", connection="close"), ":1: the server answered 404"),
        (answer(503, b"", connection="close"), ":1: the server answered 503"),
        (
            answer(200, b"<!doctype html><title>Sign in", connection="close"),
            ":1: this is HTML, not a contract",
        ),
        (answer(200, b"openapi: 3.0.1\npaths: [", connection="close"), ":3: can't be read"),
        (answer(200, b"nonsense", connection="close"), ":1: the top of the document is not a mapping"),
        (answer(200, b"", connection="close"), ":1: it is empty"),
        (
            answer(200, CONTENT + b"# " + b"x" * 50 + b"\n" * 9000, connection="close")[:-9000],
            ":1: incomplete: ",
        ),
        (
            answer(200, b"swagger: '2.0'\nhost: petstore.example\npaths: {}\n", connection="close"),
            ":2: the contract is for petstore.example",
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nswagger: '2.0'" + b"x" * 50,
            ":1: the server closed",
        ),
        (answer(302, b"", location="/again", connection="close"), ":1: the server answered 302"),
    ],
    ids=["404", "503", "sign-in", "yaml", "text", "empty", "truncated", "other API", "chunked", "loop"],
)
async def test_errors_name_the_address_and_the_fault(tmp_path: Path, response: bytes, problem: str) -> None:
    async with serving(response) as server:
        with pytest.raises(CodegenError) as caught:
            await fetched(server.url, tmp_path)
    assert f"{server.url}{problem}" in str(caught.value)
    assert "run the command with the file" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.asyncio
async def test_a_redirect_to_a_sign_in_page_is_named(tmp_path: Path) -> None:
    async with serving(answer(200, b"<html>Sign in</html>", connection="close")) as target:
        moved = answer(302, b"", location=f"{target.url}?next=x", connection="close")
        async with serving(moved) as server:
            with pytest.raises(CodegenError, match="sign-in page") as caught:
                await fetched(server.url, tmp_path)
    assert f"redirected to {target.url};" in str(caught.value)


@pytest.mark.asyncio
async def test_addresses_are_tried_in_order(tmp_path: Path) -> None:
    async with serving(answer(200, b"<html>", connection="close")) as first:
        async with serving(answer(200, CONTENT, connection="close")) as second:
            both = f"{first.url} {second.url}"
            assert "/stories" in (await fetched(None, tmp_path, **{VARIABLE: both}))["paths"]
        with pytest.raises(CodegenError) as caught:
            await fetched(None, tmp_path, **{VARIABLE: f"{first.url} http://127.0.0.1:1/x"})
    assert f"{first.url}:1: this is HTML" in str(caught.value)
    assert "http://127.0.0.1:1/x:1: can't be fetched" in str(caught.value)


def test_the_default_addresses_are_those_of_the_service() -> None:
    assert [each.split("/")[2] for each in ADDRESSES] == ["app.mavenlink.com", "developer.kantata.com"]


@pytest.mark.asyncio
async def test_a_failed_fetch_leaves_the_tree_alone(tmp_path: Path) -> None:
    files = [
        CONTRACT,
        *OVERRIDES.glob("*.yaml"),
        *(path for name in GENERATED for path in (PACKAGE / name).glob("*.py")),
    ]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}
    async with serving(
        answer(200, json.dumps({"swagger": "2.0", "paths": {}}).encode(), connection="close")
    ) as server:
        with pytest.raises(CodegenError, match="incomplete"):
            await anyio.to_thread.run_sync(update.update, server.url, [], lambda _: pytest.fail("generated"))
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files} == before
