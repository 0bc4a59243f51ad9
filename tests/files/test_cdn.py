"""The sandbox's CDN rejects what S3 rejects, over plain HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client.sandbox.cdn import Blob
from kantata_client.sandbox.forms import multipart
from kantata_client.sandbox.routes.exports import column_key, dataset_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .conftest import World

pytestmark = pytest.mark.anyio

USERS = {dataset_key("users"): {"columns": [column_key("users", "id")]}}
SSE = {"x-amz-server-side-encryption": "AES256"}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


async def ticket(world: World, filename: str = "a.txt") -> Any:
    return await world.kantata.attachments.create(type="receipt", filename=filename, direct=True)


async def post(http: httpx.AsyncClient, url: str, fields: Any, **options: Any) -> tuple[int, str]:
    response = await http.post(url, data=fields, files={"file": ("a.txt", b"x")}, **options)
    return response.status_code, response.text.partition("<Code>")[2].partition("<")[0]


async def test_upload_form_is_validated(world: World, http: httpx.AsyncClient) -> None:
    found = await ticket(world)
    fields = {**found.fields, **SSE}
    assert await post(http, found.action, found.fields) == (403, "AccessDenied")
    assert await post(http, found.action, {**fields, "acl": "public-read"}) == (403, "SignatureDoesNotMatch")
    assert await post(http, found.action, {**fields, "more": "x"}) == (403, "AccessDenied")
    assert await post(http, found.action, {**fields, "key": "attachments/8"}) == (
        403,
        "SignatureDoesNotMatch",
    )
    without = {name: value for name, value in fields.items() if name != "policy"}
    assert await post(http, found.action, without) == (403, "SignatureDoesNotMatch")
    token = {"authorization": f"Bearer {world.sandbox.token}"}
    assert await post(http, found.action, fields, headers=token) == (400, "InvalidArgument")
    assert not world.files.blobs
    with pytest.raises(Exception, match="not on the CDN"):
        await world.kantata.attachments.sync(found.id)
    assert await post(http, found.action, fields) == (201, "")
    assert (await world.kantata.attachments.sync(found.id)).filesize == 1
    world.clock.advance(5.01)
    assert await post(http, found.action, fields) == (403, "AccessDenied")


async def test_file_must_come_last_and_with_a_length(world: World, http: httpx.AsyncClient) -> None:
    found = await ticket(world)
    parts = [*({**found.fields, **SSE}).items()]

    def body(*order: tuple[str, str]) -> bytes:
        lines = [
            f'--b\r\ncontent-disposition: form-data; name="{name}"'
            f"{'; filename=x' if name == 'file' else ''}\r\n\r\n{value}\r\n"
            for name, value in order
        ]
        return "".join([*lines, "--b--\r\n"]).encode()

    kind = {"content-type": "multipart/form-data; boundary=b"}

    async def pieces(content: bytes) -> AsyncIterator[bytes]:
        yield content

    early = await http.post(found.action, content=body(("file", "x"), *parts), headers=kind)
    assert early.status_code == 403
    late = await http.post(found.action, content=body(*parts, ("file", "x"), ("z", "x")), headers=kind)
    assert late.status_code == 400
    chunked = await http.post(found.action, content=pieces(body(*parts, ("file", "x"))), headers=kind)
    assert chunked.status_code == 411
    none = await http.post(found.action, content=body(*parts), headers=kind)
    assert none.status_code == 400
    cut = await http.post(found.action, content=body(*parts, ("file", "x"))[:-9], headers=kind)
    assert cut.status_code == 400
    odd = await http.post(found.action, content=b"{}", headers={"content-type": "application/json"})
    assert odd.status_code == 400
    assert not world.files.blobs
    good = await http.post(found.action, content=body(*parts, ("file", "x")), headers=kind)
    assert good.status_code == 201


async def test_signed_address_is_validated(world: World, http: httpx.AsyncClient) -> None:
    await world.kantata.users.me()  # which tells the CDN where it is
    world.files.blobs["a"] = Blob.of(b"0123456789")
    url = world.files.link("a")
    whole = await http.get(url)
    assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, b"0123456789", "bytes")
    part = await http.get(url, headers={"range": "bytes=7-", "if-range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, b"789")
    assert part.headers["content-range"] == "bytes 7-9/10"
    other = await http.get(url, headers={"range": "bytes=7-", "if-range": '"other"'})
    assert (other.status_code, other.content) == (200, b"0123456789")
    assert (await http.get(url, headers={"range": "bytes=10-"})).status_code == 416
    assert (await http.get(url, headers={"authorization": "Bearer x"})).status_code == 400
    assert (await http.get(url + "0")).status_code == 403
    assert (await http.get(url.replace("/a?", "/b?"))).status_code == 403
    assert (await http.get(url.partition("?")[0])).status_code == 403
    world.clock.advance(60.5)
    assert (await http.get(url)).status_code == 403


async def test_operations_reject_invalid_input(world: World) -> None:
    kantata: Any = world.kantata
    for call, told in (
        (lambda: kantata.attachments.create(type="receipt", filename="a b.txt", direct=True), "letters"),
        (lambda: kantata.attachments.create(type="receipt", filename="", direct=True), "letters"),
        (lambda: kantata.attachments.create(type="receipt"), "is missing"),
        (lambda: kantata.attachments.create(type="receipt", data=bytes(10_000_000)), "too large"),
        (lambda: kantata.attachments.sync(7), "7"),
        (lambda: kantata.exports.create(export_definition={}), "blank"),
        (
            lambda: kantata.exports.create(export_definition={dataset_key("users"): {"columns": []}}),
            "column keys",
        ),
        (lambda: kantata.exports.create(export_definition={"x": {"columns": ["id"]}}), "no data set x"),
        (
            lambda: kantata.exports.create(export_definition={"users": {"columns": ["id"]}}),
            "no data set users",
        ),
        (lambda: kantata.exports.download_url(7), "7"),
        (lambda: kantata.request("POST", "/attachments", json={"attachment": {"type": "receipt"}}), "form"),
    ):
        with pytest.raises(Exception, match=told):
            await call()


async def test_pending_export_can_be_canceled(world: World) -> None:
    kantata: Any = world.kantata
    export = await kantata.exports.create(export_definition=USERS)
    assert (await kantata.exports.update(export.id, canceled=True)).status == "Canceled"
    assert (await kantata.exports.get(export.id)).status == "Canceled"
    export = await kantata.exports.create(export_definition=USERS)
    await kantata.exports.get(export.id)
    with pytest.raises(Exception, match="too late"):
        await kantata.exports.update(export.id, canceled=True)


def test_body_that_is_not_a_form_is_rejected() -> None:
    for kind, body in (("text/plain", b"x"), ("multipart/form-data; boundary=b", b"--b\r\n")):
        with pytest.raises(ValueError, match="form"):
            multipart(kind, body)
