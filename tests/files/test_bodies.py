"""Unexpected bodies: a file is complete or not saved, and errors say what was received instead."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client import (
    FixedRate,
    Kantata,
    KantataConnectionError,
    KantataError,
    MalformedResponseError,
    RetryPolicy,
    UploadError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

CSV = b"id,title\n" + b"".join(b'%d,"Task, number %d"\n' % (n, n) for n in range(2_000))
GZ = gzip.compress(CSV)
PAGE = b"<!DOCTYPE html><html><head><title>Sign in to the proxy</title></head><body>" + b"x" * 9_000
HTML = {"content-type": "text/html; charset=utf-8"}
CHUNKED = {"transfer-encoding": "chunked"}


class _Body(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), 999):
            yield self.content[start : start + 999]


class Storage(httpx.AsyncBaseTransport):
    """An API whose files a test chooses."""

    def __init__(self, content: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.content = content
        self.headers = headers
        self.status = status
        self.url = "https://storage.example/report.csv.gz?signature=SECRET"
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if request.url.path.endswith("/results/latest"):
            latest = {"url": self.url, "created_at": "2026-01-01T00:00:00Z"}
            return httpx.Response(200, json={"latest_success": latest})
        if request.method == "POST":
            return httpx.Response(200, json={"id": "7", "action": self.url, "fields": {"key": "k"}})
        self.requests += 1
        return httpx.Response(self.status, headers=self.headers, stream=_Body(self.content))


def client(storage: Storage, **options: Any) -> Kantata:
    retries = RetryPolicy(retries=1, initial=0, maximum=0)
    return Kantata("t", transport=storage, retries=retries, throttle=FixedRate(1e6), **options)


async def fetched(storage: Storage, what: str, to: Path) -> bytes:
    """The file that a download writes: `csv`, `gz`, or `gunzipped`."""
    async with client(storage) as kantata:
        if what == "csv":
            await kantata.project_accounting_records.download_csv(to=to)
        else:
            await kantata.insights_report_exports.download_latest(7, to=to, gunzip=what == "gunzipped")
    return to.read_bytes()  # noqa: ASYNC240 - nothing else runs


@pytest.mark.parametrize(
    ("what", "content", "headers", "expected"),
    [
        ("csv", CSV, {}, CSV),
        ("csv", CSV, {"content-encoding": "identity", "content-type": "text/csv"}, CSV),
        ("csv", GZ, {"content-encoding": "gzip"}, CSV),
        ("csv", CSV[:-1], {}, CSV[:-1]),  # no line break at the end
        ("csv", b"id\n", {}, b"id\n"),
        ("csv", b"[x],{y}\n1,2\n", {}, b"[x],{y}\n1,2\n"),
        ("csv", "\ufeffid\n1\n".encode("utf-16-le"), {}, "\ufeffid\n1\n".encode("utf-16-le")),
        ("csv", b"", {}, b""),
        ("csv", CSV[:5_005], CHUNKED, CSV[:5_005]),  # its end was sent
        ("csv", b'id,html\n1,"<html>"\n', {"content-type": "application/octet-stream"}, b'id,html\n1,"<html>"\n'),
        ("gz", GZ, {}, GZ),
        ("gz", GZ + GZ, {"content-encoding": "gzip"}, GZ + GZ),
        ("gunzipped", GZ, {}, CSV),
    ],
)  # fmt: skip
@pytest.mark.anyio
async def test_complete_files_are_saved(
    what: str, content: bytes, headers: dict[str, str], expected: bytes, tmp_path: Path
) -> None:
    assert await fetched(Storage(content, headers), what, tmp_path / "file") == expected


@pytest.mark.parametrize(
    ("what", "content", "headers", "said"),
    [
        ("csv", PAGE, HTML, "a web page .*text/html.*Sign in to the proxy"),
        ("csv", PAGE, {}, "a web page .*Sign in to the proxy"),
        ("csv", b"\xef\xbb\xbf\n <HTML><body>Down</body>", {"content-type": "text/csv"}, "a web page"),
        ("csv", b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", {}, "a web page"),
        ("csv", b"", HTML, "a web page"),
        ("csv", b"<!-- down --><title>Down</title>", {"content-type": "text/csv"}, "a web page"),
        ("csv", "\ufeff<html>".encode("utf-16-le"), {}, "a web page"),
        (
            "csv",
            b'{"errors": [{"message": "The export is gone"}]}',
            {"content-type": "text/csv"},
            "JSON .*The export is gone",
        ),
        ("csv", b"[ {}]", {}, "JSON"),
        ("csv", b"queued", {"content-type": "application/problem+json"}, "JSON"),
        ("csv", GZ, {}, "a gzip file"),
        ("csv", b"PK\x03\x04\x14\x00", {}, "a zip file"),
        ("csv", b"%PDF-1.7", {"content-type": "application/pdf"}, "a PDF file"),
        ("csv", CSV, {"content-encoding": "gzip"}, "damaged"),
        ("gz", b'{"errors": []}', {}, "JSON"),
        ("gz", PAGE, HTML, "a web page"),
        ("gunzipped", PAGE, HTML, "a web page"),
        ("csv", CSV, {"content-encoding": "br"}, "compressed as 'br'"),
        ("csv", CSV, {"content-encoding": "zstd"}, "compressed as 'zstd'"),
        ("csv", zlib.compress(CSV), {"content-encoding": "deflate"}, "compressed as 'deflate'"),
        ("csv", GZ, {"content-encoding": "gzip, br"}, "compressed as 'gzip, br'"),
        ("gz", GZ, {"content-encoding": "br"}, "compressed as 'br'"),
    ],
)
@pytest.mark.anyio
async def test_other_content_is_not_saved(
    what: str, content: bytes, headers: dict[str, str], said: str, tmp_path: Path
) -> None:
    storage = Storage(content, headers)
    with pytest.raises(MalformedResponseError, match=said) as caught:
        await fetched(storage, what, tmp_path / "file")
    assert "SECRET" not in str(caught.value)
    assert storage.requests == 1
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


@pytest.mark.parametrize(
    ("what", "content", "said"),
    [
        ("csv", CSV[:33], "within quotes"),
        ("csv", CSV[: CSV.index(b"number 150")], "within quotes"),
        ("csv", b"id,title,state\n1,a,b\n2,c", "the last line of the CSV file has 2 of 3 fields"),
        ("gz", GZ[:-9], "the gzip file is incomplete"),
        ("gz", GZ + GZ[:-1], "the gzip file is incomplete"),
    ],
)
@pytest.mark.anyio
async def test_truncated_file_without_a_length_is_not_saved(
    what: str, content: bytes, said: str, tmp_path: Path
) -> None:
    storage = Storage(content, {})
    with pytest.raises(KantataConnectionError, match=said):
        await fetched(storage, what, tmp_path / "file")
    assert storage.requests == 2, "it is tried as often as other broken downloads"
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:9000", "169.254.169.254", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0x7f.1"),
        *("2130706433", "0177.0.0.1", "127\u30020\u30020\u30021", "127\uff610\uff610\uff611"),
    ],
    ids=ascii,
)
@pytest.mark.anyio
async def test_remote_api_can_not_refer_to_loopback_files(host: str, tmp_path: Path) -> None:
    storage = Storage(GZ, {})
    for scheme in ("https", "http"):
        storage.url = f"{scheme}://{host}/x?signature=SECRET"
        with pytest.raises(UsageError) as refused:
            await fetched(storage, "gz", tmp_path / "file")
        async with client(storage) as kantata:
            with pytest.raises(UploadError) as not_sent:
                await kantata.attachments.upload(b"x", type="receipt", filename="a.txt", direct=True)
        assert not_sent.value.attachment_id == "7"
        assert "SECRET" not in f"{refused.value} {not_sent.value}"
    assert storage.requests == 0
    async with client(storage, base_url="http://127.0.0.1:8000/api/v1") as kantata:
        storage.url = "http://127.0.0.1:9000/x"
        await kantata.insights_report_exports.download_latest(7, to=tmp_path / "file")


BINARY = bytes(range(128, 256)) * 20


@pytest.mark.parametrize(
    ("content", "headers", "said"),
    [
        (PAGE, HTML, ["status 200", "'text/html'", "Sign in to the proxy"]),
        (b"Service Unavailable", {"content-type": "text/plain"}, ["'text/plain'", "'Service Unavailable'"]),
        (b"", {}, ["is empty", "no content type"]),
        (b'{"results": [', {"content-type": "application/json"}, ["is not JSON", "'application/json'"]),
        (BINARY, {"x": "y"}, ["2,560 bytes of binary data"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "call",
    [
        lambda k: k.stories.list().first(),
        lambda k: k.stories.get(7),
        lambda k: k.workspaces.permissions(7),
        lambda k: k.insights_reports.list().first(),
        lambda k: k.request("GET", "/stories/7"),
    ],
    ids=["list", "one", "object", "array", "untyped"],
)
@pytest.mark.anyio
async def test_body_that_is_not_json_is_described(
    call: Callable[[Kantata], Any], content: bytes, headers: dict[str, str], said: list[str]
) -> None:
    async with client(Storage(content, headers)) as kantata:
        if not content:
            assert await kantata.request("GET", "/stories/7") is None
        try:
            await call(kantata)
        except MalformedResponseError as error:
            text = str(error)
            assert all(each in text for each in said), text
            assert text.count("content type") == 1
            assert len(text) < 1_000
            assert text.isprintable()
        else:
            assert not content


@pytest.mark.parametrize("status", [404, 422, 502])
@pytest.mark.parametrize("encoding", ["br", "zstd", "x\r\ny", ""])
@pytest.mark.anyio
async def test_errors_show_no_binary_data(status: int, encoding: str) -> None:
    headers = {"content-encoding": encoding} if encoding.isprintable() and encoding else {}
    async with client(Storage(BINARY, headers, status)) as kantata:
        with pytest.raises(KantataError) as caught:
            await kantata.stories.get(7)
    text = str(caught.value)
    assert "2,560 bytes of binary data" in text
    assert (f"'{encoding}'" in text) == bool(headers)
    assert "\ufffd" not in text
    assert json.dumps(text).isascii()
