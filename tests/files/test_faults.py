"""Uploads and downloads stay complete while the service and the CDN reset, cut and refuse at random."""

from __future__ import annotations

import gzip
import logging
import random
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from kantata_client import (
    APIError,
    Kantata,
    KantataConnectionError,
    RetryPolicy,
    Timeouts,
    UnknownOutcomeError,
    UploadError,
)
from kantata_client.sandbox import Sandbox
from kantata_client.sandbox.cdn import Blob

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.anyio,
    # trio finds the generators of httpx and httpcore unfinished when an answer is broken off
    pytest.mark.filterwarnings("ignore:Async generator 'http(x|core):ResourceWarning"),
]

RETRIES = RetryPolicy(initial=0.01, retries=5)


UPLOADS = 100
"""About 30 of them succeed; the order of the requests, and with it the number, differs from run to run."""


async def test_uploads_through_faults() -> None:
    logging.getLogger("uvicorn.error").disabled = True
    sandbox = Sandbox("empty")
    sandbox.faults.random.seed(7)
    often: Any = {"times": None, "chance": 0.15}
    for path in ("/cdn", "/attachments"):
        sandbox.faults.reset(path=path, **often)
        sandbox.faults.reset(path=path, committed=True, **often)
        sandbox.faults.cut(path=path, **often)
        sandbox.faults.status(503, path=path, **often)
        sandbox.faults.status(503, path=path, committed=True, **often)
    done: dict[str, bytes] = {}
    empty: set[str] = set()
    unknown = 0

    async def one(kantata: Kantata, number: int) -> None:
        nonlocal unknown
        content = random.Random(number).randbytes(50_000)
        try:
            sent = await kantata.attachments.upload(
                content, type="receipt", filename=f"{number}.bin", direct=number % 4 != 0
            )
        except UploadError as error:
            empty.add(str(error.attachment_id))
        except UnknownOutcomeError as error:
            unknown += (error.method, error.path) == ("POST", "/attachments")
        else:
            assert sent.filesize == len(content)
            done[sent.id] = content

    async with (
        sandbox.serve() as server,
        Kantata(server.token, base_url=server.url, retries=RETRIES, timeout=Timeouts(read=5)) as kantata,
    ):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(UPLOADS):
                    tasks.start_soon(one, kantata, number)
    assert len(done) + len(empty) + unknown == UPLOADS
    assert len(done) >= 10
    assert unknown >= 5
    assert sum(sandbox.faults.hits.values()) >= 20
    for identity, content in done.items():
        assert sandbox.store.files.blobs[f"attachments/{identity}"].read() == content
    created = set(sandbox.store.ids("attachments"))
    assert done.keys() | empty <= created
    # The rest are of creations whose answer was lost, one each at most.
    assert len(created - done.keys() - empty) <= unknown
    assert all("authorization" not in received.headers for received in sandbox.store.files.received)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_downloads_through_faults(tmp_path: Path) -> None:
    logging.getLogger("uvicorn.error").disabled = True
    sandbox = Sandbox("empty")
    sandbox.faults.random.seed(7)
    sandbox.store.files.polls = 0
    content = random.Random(1).randbytes(400_000)
    sandbox.store.put("insights_report_exports", {"id": "7", "title": "x"})
    sandbox.store.files.reports["7"] = Blob.of(gzip.compress(content))
    often: Any = {"times": None, "chance": 0.15}
    for path in ("/cdn", "/scheduled_jobs"):
        sandbox.faults.reset(path=path, **often)
        sandbox.faults.cut(path=path, **often)
        sandbox.faults.status(503, path=path, **often)
    sandbox.faults.status(403, path="/cdn", **often)
    failed = 0
    async with (
        sandbox.serve() as server,
        Kantata(server.token, base_url=server.url, retries=RETRIES, timeout=Timeouts(read=5)) as kantata,
    ):
        for number in range(25):
            path = tmp_path / f"{number}.csv"
            with anyio.fail_after(30):
                try:
                    await kantata.insights_report_exports.download_latest(
                        7, to=path, gunzip=True, interval=0.01
                    )
                except (KantataConnectionError, APIError):
                    failed += 1
                    assert not path.exists()
                else:
                    assert path.read_bytes() == content
    assert failed <= 5
    assert len(names(tmp_path)) == 25 - failed
    assert sum(sandbox.faults.hits.values()) >= 20
