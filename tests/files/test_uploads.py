"""Attachments: how they are sent, what is rejected, and what happens if the CDN is slow or unreachable."""

from __future__ import annotations

import io
import logging
import os
import traceback
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kantata_client import KantataError, UnknownOutcomeError, UploadError, UsageError, ValidationError
from kantata_client._files.uploads import SERVER_LIMIT, safe_name
from tests.loopback import listening, reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import SocketStream

    from .conftest import World

pytestmark = pytest.mark.anyio


async def stream(*pieces: Any) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


def records(world: World) -> list[Any]:
    return world.sandbox.store.all("attachments")


def content(world: World, identity: object) -> bytes:
    return world.files.blobs[f"attachments/{identity}"].read()


async def test_small_file_is_sent_through_the_api(world: World, tmp_path: Path) -> None:
    path = tmp_path / "Café bill (3).pdf"
    path.write_bytes(b"a" * (SERVER_LIMIT - 1))
    seen: list[tuple[int, int | None]] = []
    sent = await world.kantata.attachments.upload(
        path, type="receipt", progress=lambda *told: seen.append(told)
    )
    assert (sent.filename, sent.filesize) == ("Cafe_bill_3.pdf", SERVER_LIMIT - 1)
    assert content(world, sent.id) == path.read_bytes()
    assert world.paths == ["POST /attachments"]
    assert not world.files.received
    assert seen[-1] == (SERVER_LIMIT - 1, SERVER_LIMIT - 1)
    assert seen == sorted(seen)


async def test_large_file_is_sent_to_the_cdn(world: World, tmp_path: Path) -> None:
    path = tmp_path / "scan.tar.gz"
    path.write_bytes(os.urandom(SERVER_LIMIT))
    sent = await world.kantata.attachments.upload(path, type="post_attachment")
    assert (sent.filename, sent.filesize) == ("scan_tar.gz", SERVER_LIMIT)
    assert content(world, sent.id) == path.read_bytes()
    assert world.paths == ["POST /attachments", f"PUT /attachments/{sent.id}/sync"]
    [received] = world.files.received
    assert "authorization" not in received.headers
    assert sandbox_token(world) not in str(received.headers)
    assert received.fields[-2:] == ("x-amz-server-side-encryption", "file")
    assert int(received.headers["content-length"]) > SERVER_LIMIT
    assert "transfer-encoding" not in received.headers


def sandbox_token(world: World) -> str:
    return world.sandbox.token


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("how", ["bytes", "path", "text", "spooled", "sized", "bytearray"])
async def test_every_kind_of_content(world: World, tmp_path: Path, how: str, direct: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one two")
    pieces = stream(b"one", bytearray(b" "), memoryview(b"two"))
    given: dict[str, Any] = {
        "bytes": {"content": b"one two", "filename": "a.txt"},
        "bytearray": {"content": bytearray(b"one two"), "filename": "a.txt"},
        "path": {"content": path},
        "text": {"content": str(path), "filename": "a.txt"},
        "spooled": {"content": pieces, "filename": "a.txt"},
        "sized": {"content": pieces, "filename": "a.txt", "size": 7},
    }[how]
    sent = await world.kantata.attachments.upload(type="receipt", direct=direct, **given)
    assert content(world, sent.id) == b"one two"
    assert (sent.filename, sent.filesize) == ("a.txt", 7)
    await pieces.aclose()


async def test_empty_file_is_uploaded(world: World) -> None:
    for direct in (True, False):
        sent = await world.kantata.attachments.upload(b"", type="receipt", filename="a.txt", direct=direct)
        assert sent.filesize == 0


async def test_wrong_input_is_refused_before_anything_is_sent(world: World, tmp_path: Path) -> None:
    path = tmp_path / "my file.txt"
    path.write_bytes(b"x")
    odd = tmp_path / "???"
    odd.write_bytes(b"x")
    upload: Any = world.kantata.attachments.upload
    photo: Any = world.kantata.users.upload_profile_photo
    refused: list[tuple[Any, str]] = [
        (lambda: upload(path, type="receipt", filename="my file.txt"), r"' '.*such as 'my_file.txt'"),
        (lambda: upload(path, type="receipt", filename="a/b.txt"), r"contains '/'"),
        (lambda: upload(path, type="receipt", filename="a.b.txt"), "one dot"),
        (lambda: upload(path, type="receipt", filename=""), "is empty"),
        (lambda: upload(path, type="receipt", filename=b"a"), "filename must be a string"),
        (lambda: upload(odd, type="receipt"), "no character that is allowed"),
        (lambda: upload(path, type="photo"), "type must be 'receipt' or 'post_attachment', not 'photo'"),
        (lambda: upload(tmp_path / "none.txt", type="receipt"), "no such file"),
        (lambda: upload(tmp_path, type="receipt"), "this is a directory"),
        (lambda: upload("a\0b.txt", type="receipt"), "no such file"),
        (lambda: upload(b"x", type="receipt"), "pass filename="),
        (lambda: upload(7, type="receipt", filename="a.txt"), "got a value of type int"),
        (lambda: upload(io.BytesIO(b"x"), type="receipt"), r"type BytesIO\. Pass the file's path"),
        (lambda: upload([b"x"], type="receipt", filename="a.txt"), "got a value of type list"),
        (
            lambda: upload(stream(), type="receipt", filename="a.txt", size=-1),
            "size must be a number of bytes, not -1",
        ),
        (lambda: upload(b"x", type="receipt", filename="a.txt", size=2), "the content has 1 bytes"),
        (lambda: upload(stream("x"), type="receipt", filename="a.txt"), "yielded str instead of bytes"),
        (
            lambda: upload(stream(), type="receipt", filename="a", size=SERVER_LIMIT, direct=False),
            "Leave out direct=False",
        ),
        *(
            (lambda kind=kind: upload(path, type="receipt", content_type=kind), "must be a media type")
            for kind in ("text/plain\r\nx-evil: 1", "a/b\n", "text", "text/", "", "a/b; c", 7, "text/pläin")
        ),
        (lambda: photo(1001, path), "not that of a picture"),
        (lambda: photo(1001, stream(), filename="a.png"), "expected a path or bytes"),
    ]
    for call, told in refused:
        with pytest.raises(UsageError, match=told):
            await call()
    assert world.paths == []
    assert not world.files.received


async def test_expired_form_is_renewed(world: World, tmp_path: Path) -> None:
    """The CDN rejects a form after 5 seconds: new fields are requested, and the empty attachment is deleted."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 1_000)
    world.meddler.acts = [lambda: world.clock.advance(5.1), lambda: world.clock.advance(6)]
    sent = await world.kantata.attachments.upload(path, type="receipt", direct=True)
    assert [record["id"] for record in records(world)] == [sent.id]
    assert [received.status for received in world.files.received] == [403, 403, 201]
    assert content(world, sent.id) == path.read_bytes()


@pytest.mark.parametrize("deletable", [True, False])
async def test_refused_renewal_names_the_attachment(world: World, deletable: bool) -> None:
    """The empty attachment is deleted before new fields are requested; if that fails, the error names it."""
    faults = world.sandbox.faults

    def late() -> None:
        world.clock.advance(5.1)
        faults.status(422, method="POST", path="/attachments")
        if not deletable:
            faults.status(403, method="DELETE", path="/attachments")

    world.meddler.acts = [late]
    with pytest.raises(ValidationError if deletable else UploadError) as caught:
        await world.kantata.attachments.upload(b"x", type="receipt", filename="a.txt", direct=True)
    if isinstance(caught.value, UploadError):
        [record] = records(world)
        assert str(caught.value.attachment_id) == record["id"]
        assert isinstance(caught.value.__cause__, ValidationError)
    else:
        assert records(world) == []


async def test_token_error_during_an_upload_is_raised_unchanged(world: World) -> None:
    """The error of a token provider is raised unchanged, with a note that names the attachment."""
    calls = 0

    async def token() -> str:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise ConnectionRefusedError("no vault")
        return world.sandbox.token

    with pytest.raises(ConnectionRefusedError, match="no vault") as caught:
        await world.kantata.with_token(token).attachments.upload(
            b"x", type="receipt", filename="a.txt", direct=True
        )
    [record] = records(world)
    assert caught.value.__notes__ == [f"Attachment {record['id']} was created and has no file yet."]


async def test_lost_answer_of_the_cdn_is_resolved(world: World) -> None:
    """The service confirms that it has the file: nothing is sent twice."""
    world.meddler.acts = ["unanswered"]
    sent = await world.kantata.attachments.upload(b"x" * 99, type="receipt", filename="a.txt", direct=True)
    assert sent.filesize == 99
    assert len(world.files.received) == 1
    assert len(records(world)) == 1


async def test_broken_connection_to_the_cdn_is_retried(world: World) -> None:
    """The service does not have the file: it is sent again, to the same location."""
    world.meddler.acts = ["unread", "unread"]
    sent = await world.kantata.attachments.upload(
        b"x" * 3_000_000, type="receipt", filename="a.txt", direct=True
    )
    assert sent.filesize == 3_000_000
    assert [path for path in world.paths if path == "POST /attachments"] == ["POST /attachments"]
    assert len(records(world)) == 1


async def test_unreachable_cdn_raises_with_the_attachment(world: World) -> None:
    """The error says which attachment has no file."""
    world.meddler.acts = ["unread"] * 99
    with pytest.raises(UploadError, match=r"attachments\.delete") as caught:
        await world.kantata.attachments.upload(b"x", type="receipt", filename="a.txt", direct=True)
    [record] = records(world)
    assert str(caught.value.attachment_id) == record["id"]
    assert isinstance(caught.value.__cause__, UnknownOutcomeError)
    assert len(world.meddler.ranges) == 4


async def test_file_not_found_by_the_service_raises(world: World) -> None:
    class Forgetful(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            pass

    world.files.blobs = Forgetful()
    with pytest.raises(
        UploadError, match=r"was uploaded as attachment \d+, .*not on the CDN.*sync"
    ) as caught:
        await world.kantata.attachments.upload(b"x", type="receipt", filename="a.txt", direct=True)
    assert str(caught.value.attachment_id) == records(world)[0]["id"]


async def test_stream_is_sent_once(world: World) -> None:
    world.meddler.acts = ["unread"]
    with pytest.raises(UploadError, match="A stream can be sent only once"):
        await world.kantata.attachments.upload(
            stream(b"xx"), type="receipt", filename="a.txt", size=2, direct=True
        )
    assert len(world.meddler.ranges) == 1
    world.meddler.acts = ["unread"]
    sent = await world.kantata.attachments.upload(
        stream(b"xx"), type="receipt", filename="a.txt", direct=True
    )
    assert sent.filesize == 2  # spooled, it can


@pytest.mark.parametrize("pieces", [(b"x",), (b"x", b"yy")])
async def test_stream_of_a_different_size_raises(world: World, pieces: Any) -> None:
    with pytest.raises(UploadError, match="2 bytes were announced") as caught:
        await world.kantata.attachments.upload(
            stream(*pieces), type="receipt", filename="a.txt", size=2, direct=True
        )
    assert str(caught.value.attachment_id) == records(world)[0]["id"]
    assert records(world)[0]["filesize"] is None


async def test_error_of_the_caller_is_raised_unchanged(world: World) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        await world.kantata.attachments.upload(
            broken(), type="receipt", filename="a.txt", size=2, direct=True
        )
    assert "has no file" in caught.value.__notes__[0]


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("sized", [True, False])
async def test_a_progress_hook_that_fails_is_logged(
    world: World, caplog: pytest.LogCaptureFixture, direct: bool, sized: bool
) -> None:
    def fail(sent: int, total: int | None) -> None:
        raise LookupError("mine")

    sent = await world.kantata.attachments.upload(
        stream(b"xx") if sized else b"xx",
        type="receipt",
        filename="a.txt",
        size=2 if sized else None,
        direct=direct,
        progress=fail,
    )
    assert content(world, sent.id) == b"xx"
    [record] = [record for record in caplog.records if record.name == "kantata_client"]
    assert record.getMessage() == "The progress hook of attachments.upload failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


@pytest.mark.parametrize("act", ["reset", "refusal", "silent close"])
async def test_cdn_that_stops_reading(world: World, act: str) -> None:
    """On a port of its own, it closes the connection within the file, or rejects the file there, as S3 does."""
    seen: list[bytes] = []

    async def handle(peer: SocketStream) -> None:
        async with peer:
            seen.append(await peer.receive())
            if act == "refusal":
                await peer.send(b"HTTP/1.1 403 No\r\ncontent-length: 31\r\nconnection: close\r\n\r\n")
                await peer.send(b"<Error><Code>No</Code></Error> ")
            elif act == "reset":
                reset(peer)

    ticket = world.files.ticket
    async with listening(handle) as port:
        world.files.ticket = lambda key: (f"http://127.0.0.1:{port}/bucket", ticket(key)[1])
        with pytest.raises(UploadError) as caught:
            await world.kantata.attachments.upload(bytes(20_000_000), type="receipt", filename="a.bin")
    assert len(seen) == 4
    assert all(b"authorization" not in data.lower() for data in seen)
    [record] = records(world)
    assert str(caught.value.attachment_id) == record["id"]


async def test_form_is_not_sent_to_an_unsafe_address(world: World) -> None:
    ticket = world.files.ticket
    for address in ("http://upload.example/x", "ftp://127.0.0.1/x", "nowhere"):
        world.files.ticket = lambda key, to=address: (to, ticket(key)[1])
        with pytest.raises(UploadError, match="A file must not be sent to or read from this URL") as caught:
            await world.kantata.attachments.upload(b"x", type="receipt", filename="a.txt", direct=True)
        assert isinstance(caught.value.__cause__, UsageError)


async def test_signatures_are_never_shown(
    world: World, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    tickets: list[dict[str, str]] = []
    ticket = world.files.ticket

    def remembered(key: str) -> Any:
        action, fields = ticket(key)
        tickets.append(fields)
        return action, fields

    world.files.ticket = remembered
    shown = ""
    for acts in (
        ["unread"] * 9,
        ["unanswered"],
        [lambda: world.clock.advance(9)] * 9,
        [],
    ):
        world.meddler.acts = list(acts)
        try:
            await world.kantata.attachments.upload(b"x", type="receipt", filename="a.txt", direct=True)
        except KantataError as error:
            shown += "".join(traceback.format_exception(error)) + repr(vars(error))
            while (cause := error.__cause__) is not None:
                shown += repr(vars(cause))
                error = cause
    assert "UploadError" in shown
    assert len(tickets) >= 6
    for fields in tickets:
        for name in ("signature", "policy"):
            assert fields[name] not in shown
            assert fields[name] not in caplog.text


async def test_many_uploads_at_once(worlds: Any) -> None:
    """They wait for their turn before they request fields, which would expire meanwhile."""
    async with worlds(max_concurrency=4) as world:
        open_forms: list[int] = []
        ticket = world.files.ticket

        def counted(key: str) -> Any:
            open_forms.append(len(open_forms) + 1 - len(world.files.received))
            return ticket(key)

        world.files.ticket = counted

        async def one(number: int) -> None:
            sent = await world.kantata.attachments.upload(
                bytes([number]) * 1_000, type="receipt", filename=f"{number}.txt", direct=True
            )
            assert content(world, sent.id) == bytes([number]) * 1_000

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(one, number)
        assert len(records(world)) == len(open_forms) == 30
        assert max(open_forms) <= 2
        assert all("authorization" not in received.headers for received in world.files.received)


async def test_profile_photo(world: World, tmp_path: Path) -> None:
    path = tmp_path / "me and you.png"
    path.write_bytes(b"\x89PNG")
    me = await world.kantata.users.me()
    user = await world.kantata.users.upload_profile_photo(me.id, path)
    assert user.photo_path is not None
    assert world.files.blobs[f"photos/{me.id}"].media_type == "image/png"
    await world.kantata.users.upload_profile_photo(me.id, b"GIF", filename="a.gif")
    assert world.files.blobs[f"photos/{me.id}"].read() == b"GIF"
    await world.kantata.users.reset_profile_photo(me.id)
    assert (await world.kantata.users.me()).photo_path is None


@given(st.text(max_size=30))
def test_names_are_made_valid(name: str) -> None:
    fits = safe_name(name)
    assert all(character.isascii() and (character.isalnum() or character in "_-.") for character in fits)
    assert fits.count(".") <= 1
    assert safe_name(fits) == fits


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("a b.pdf", "a_b.pdf"),
        ("Ünïcode § name.PDF", "Unicode_name.PDF"),
        (".bashrc", "bashrc"),
        ("a.b.tar.gz", "a_b_tar.gz"),
        ("no ending", "no_ending"),
        ("a.b c", "a_b_c"),
        ("日本.pdf", ""),
        ("..", ""),
        ("", ""),
    ],
)
def test_safe_names(name: str, fits: str) -> None:
    assert safe_name(name) == fits
