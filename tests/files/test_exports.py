"""Exports and reports: waiting for them, and downloading them completely or not at all, over addresses that expire."""

from __future__ import annotations

import asyncio
import csv
import errno
import gzip
import logging
import os
import time
import traceback
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from kantata_client import (
    ExportError,
    Kantata,
    KantataConnectionError,
    KantataError,
    MalformedResponseError,
    NotFoundError,
    PermissionDeniedError,
    RetryPolicy,
    UsageError,
    ValidationError,
)
from kantata_client._files.atomic import Unfinished
from kantata_client.sandbox.cdn import Blob
from kantata_client.sandbox.routes.exports import column_key, dataset_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from .conftest import World

pytestmark = [
    pytest.mark.anyio,
    # trio finds the generators of httpx and httpcore unfinished when a download is broken off
    pytest.mark.filterwarnings("ignore:Async generator 'http(x|core):ResourceWarning"),
]

FAST: dict[str, Any] = {"interval": 0.01}
USERS, USER_ID = dataset_key("users"), column_key("users", "id")


def report(world: World, content: bytes, *, packed: bool = True) -> int:
    """A scheduled export whose report has this content."""
    world.sandbox.store.put("insights_report_exports", {"id": "7", "title": "x"})
    world.files.reports["7"] = Blob.of(gzip.compress(content) if packed else content, "application/gzip")
    world.files.polls = 0
    return 7


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_export_is_downloaded(worlds: Any, tmp_path: Path) -> None:
    path = tmp_path / "entries.csv"
    async with worlds("demo") as world:
        statuses: list[str | None] = []
        told: list[tuple[int, int | None]] = []
        entries = world.sandbox.store.all("time_entries")
        found = await world.kantata.exports.run(
            {
                dataset_key("time_entries"): [
                    column_key("time_entries", name) for name in ("id", "time_in_minutes")
                ]
            },
            to=str(path),
            on_status=lambda export: statuses.append(export.status),
            progress=lambda *args: told.append(args),
            **FAST,
        )
        assert found == path
        assert statuses == ["Queued", "Generating", "Generating", "Complete"]
        assert told[-1] == (path.stat().st_size, path.stat().st_size)
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert len(rows) == len(entries)
        assert rows[0] == {"Id": entries[0]["id"], "Time In Minutes": str(entries[0]["time_in_minutes"])}
        assert names(tmp_path) == ["entries.csv"]
        assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
        [received] = world.files.received
        assert "authorization" not in received.headers
        assert received.headers["accept-encoding"] == "identity"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def test_all_columns_and_filters(worlds: Any, tmp_path: Path) -> None:
    async with worlds("demo") as world:
        path = await world.kantata.exports.run({USERS: None}, to=tmp_path / "a.csv", **FAST)
        known = (await world.kantata.exports.available_datasets()).datasets
        assert path.read_text().splitlines()[0].split(",") == [
            each.display_name for each in known[USERS].columns
        ]
        definition: Any = {USERS: {"columns": [USER_ID], "filters": {"start_date": "2100-01-01"}}}
        path = await world.kantata.exports.run(definition, to=path, **FAST)
        assert path.read_bytes() == b"Id\r\n"
        with pytest.raises(UsageError, match=f"key 'users'.*{USERS} .User."):
            await world.kantata.exports.run({"users": None}, to=path)
        with pytest.raises(ValidationError):
            await world.kantata.exports.run({USERS: ["id"]}, to=path)
        assert path.read_bytes() == b"Id\r\n"


async def test_wrong_input_is_refused_before_anything_is_sent(world: World, tmp_path: Path) -> None:
    run: Any = world.kantata.exports.run
    latest: Any = world.kantata.insights_report_exports.download_latest
    records: Any = world.kantata.project_accounting_records
    rates: Any = world.kantata.exchange_tables.upload_rates
    good = {"users": ["id"]}
    many = b"Project ID\n" + b"1\n" * 5_001
    wrong = tmp_path / "a.xlsx"
    wrong.write_bytes(b"x")
    head = b"Source Currency,Target Currency,Exchange Rate,Effective Date\nUSD,EUR,1.1,2026-01-01\n"
    refused: list[tuple[Any, str]] = [
        (lambda: run(good, to=tmp_path), "this is a directory"),
        (lambda: run(good, to=b"a.csv"), "to: expected a path, got bytes"),
        (lambda: run(good, to=tmp_path / "none" / "a.csv"), "none does not exist"),
        (lambda: run({}, to=tmp_path / "a"), "expected a mapping of data set keys"),
        (lambda: run(["users"], to=tmp_path / "a"), "expected a mapping of data set keys"),
        (lambda: run({"users": "id"}, to=tmp_path / "a"), "not the string 'id'"),
        (lambda: run({"users": []}, to=tmp_path / "a"), "the list of columns is empty"),
        (lambda: run(good, to=tmp_path / "a", interval=0), "interval must be above 0 seconds"),
        (lambda: latest(7, to=tmp_path / "a", newer_than=datetime(2026, 1, 1)), "no time zone"),  # noqa: DTZ001
        (lambda: records.upload_csv(many), r"5,001 records.* line 5002"),
        (lambda: records.upload_csv(b""), "the file is empty"),
        (lambda: records.upload_csv(b"Project ID\n\n"), "no record"),
        (lambda: records.upload_csv(b"\xff"), "byte 0 is not UTF-8"),
        (lambda: records.upload_csv(b'a,b\n"x\n'), "line 2"),
        (lambda: records.upload_csv(tmp_path / "a.csv"), "no such file"),
        (lambda: records.upload_csv(["a.csv"]), "expected a path or bytes, got list"),
        (lambda: records.upload_csv(wrong), ".csv or .txt"),
        (lambda: rates(1, b"Source Currency\nUSD\n"), "lacks Effective Date, Exchange Rate, Target Currency"),
        (lambda: rates(1, head + b"US,EUR,1,2026-01-01\n"), "line 3: source currency 'US'"),
        (lambda: rates(1, head + b"USD,EUR,x,2026-01-01\n"), "line 3: exchange rate 'x' must be a number"),
        (
            lambda: rates(1, head + b"USD,EUR,-1,2026-01-01\n"),
            "line 3: exchange rate '-1' must be more than 0",
        ),
        (lambda: rates(1, head + b"USD,EUR,1,1.1.26\n"), "line 3: effective date '1.1.26'"),
    ]
    for call, told in refused:
        with pytest.raises(UsageError, match=told):
            await call()
    assert world.paths == []


async def test_failed_export_raises(world: World, tmp_path: Path) -> None:
    def cancel(export: Any) -> None:
        world.sandbox.store.change("exports", export.id, status="Failed")

    with pytest.raises(ExportError, match=r"'Failed'\. Create a new one") as caught:
        await world.kantata.exports.run({USERS: [USER_ID]}, to=tmp_path / "a", on_status=cancel, **FAST)
    assert caught.value.status == "Failed"
    assert names(tmp_path) == []


async def test_export_that_takes_too_long_can_be_resumed(world: World, tmp_path: Path) -> None:
    world.files.polls = 10**6
    with pytest.raises(ExportError, match=r"exports\.download\(\d+, to=…\)") as caught:
        await world.kantata.exports.run({USERS: [USER_ID]}, to=tmp_path / "a", timeout=0.1, **FAST)
    assert names(tmp_path) == []
    world.files.polls = 3
    path = await world.kantata.exports.download(caught.value.export_id, to=tmp_path / "a", **FAST)
    assert path.read_bytes().startswith(b"Id\r\n")


async def test_unknown_export_status(world: World, tmp_path: Path) -> None:
    """Whether there is an address decides if the export is ready."""
    looks = 0

    def odd(export: Any) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            world.sandbox.store.change("exports", export.id, status="Complete")
        export.to_dict()["status"] = "Being made"

    path = await world.kantata.exports.run({USERS: [USER_ID]}, to=tmp_path / "a", on_status=odd, **FAST)
    assert path.exists()
    assert looks == 3


async def test_expired_address_is_renewed(world: World, tmp_path: Path) -> None:
    identity = report(world, os.urandom(300_000))
    world.meddler.acts = [lambda: world.clock.advance(61), lambda: world.clock.advance(61)]
    path = await world.kantata.insights_report_exports.download_latest(identity, to=tmp_path / "r.gz", **FAST)
    assert path.read_bytes() == world.files.reports["7"].read()
    assert [received.status for received in world.files.received] == [403, 403, 200]
    assert all("authorization" not in received.headers for received in world.files.received)


async def test_address_that_never_works_raises(world: World, tmp_path: Path) -> None:
    identity = report(world, b"x")
    world.files.link_seconds = -1
    with pytest.raises(PermissionDeniedError, match="AccessDenied"):
        await world.kantata.insights_report_exports.download_latest(identity, to=tmp_path / "r.gz", **FAST)
    assert len(world.files.received) == 3
    assert names(tmp_path) == []


@pytest.mark.parametrize("gunzip", [False, True])
async def test_broken_download_is_resumed(world: World, tmp_path: Path, gunzip: bool) -> None:
    content = os.urandom(1_000_000) + b"a" * 5_000_000
    identity = report(world, content)
    # The second address has expired when the download goes on.
    world.meddler.acts = [300_000, lambda: world.clock.advance(61), 400_000]
    told: list[int] = []
    path = await world.kantata.insights_report_exports.download_latest(
        identity, to=tmp_path / "r", gunzip=gunzip, progress=lambda sent, _: told.append(sent), **FAST
    )
    found = path.read_bytes()
    assert (found if gunzip else gzip.decompress(found)) == content
    first, second, third, fourth = world.meddler.ranges
    assert first is None
    assert second == third is not None
    assert fourth not in (None, second)
    assert [received.status for received in world.files.received] == [200, 403, 206, 206]
    assert told == sorted(told)
    assert names(tmp_path) == ["r"]


async def test_changed_file_is_downloaded_from_its_start(world: World, tmp_path: Path) -> None:
    identity = report(world, os.urandom(500_000))
    other = Blob.of(gzip.compress(b"new" * 100_000), "application/gzip")

    def change() -> None:
        world.files.blobs["reports/7.csv.gz"] = other

    world.meddler.acts = [200_000, change]
    path = await world.kantata.insights_report_exports.download_latest(
        identity, to=tmp_path / "r", gunzip=True, **FAST
    )
    assert path.read_bytes() == b"new" * 100_000


async def test_download_that_keeps_breaking_leaves_no_file(world: World, tmp_path: Path) -> None:
    identity = report(world, os.urandom(500_000))
    path = tmp_path / "r"
    path.write_text("old")
    world.meddler.acts = [100_000] + ["unread"] * 99
    with pytest.raises(KantataConnectionError):
        await world.kantata.insights_report_exports.download_latest(identity, to=path, **FAST)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["r"]
    world.meddler.acts = []
    await world.kantata.insights_report_exports.download_latest(identity, to=path, **FAST)
    assert path.read_bytes() == world.files.reports["7"].read()


async def test_canceled_download_leaves_no_file(world: World, tmp_path: Path) -> None:
    identity = report(world, os.urandom(2_000_000))
    with anyio.CancelScope() as scope:
        await world.kantata.insights_report_exports.download_latest(
            identity, to=tmp_path / "r", progress=lambda sent, _: scope.cancel(), **FAST
        )
    assert scope.cancelled_caught
    assert names(tmp_path) == []


@pytest.mark.one_loop
async def test_asyncio_timeout_while_the_file_is_created_leaves_no_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = Unfinished.__init__, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(*args: Any) -> None:
        loop.call_soon_threadsafe(made.set)
        time.sleep(0.1)
        make(*args)

    monkeypatch.setattr(Unfinished, "__init__", slowly)
    identity = report(world, b"x" * 1000)
    download = world.kantata.insights_report_exports.download_latest(identity, to=tmp_path / "r", **FAST)
    task = asyncio.ensure_future(download)
    await made.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(tmp_path) == []


async def test_a_progress_hook_that_fails_is_logged(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(sent: int, total: int | None) -> None:
        raise FileNotFoundError("mine")

    identity = report(world, b"x")
    path = await world.kantata.insights_report_exports.download_latest(
        identity, to=tmp_path / "r", gunzip=True, progress=fail, **FAST
    )
    assert path.read_bytes() == b"x"
    [record] = [record for record in caplog.records if record.name == "kantata_client"]
    assert "The progress hook of GET /scheduled_jobs/" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], FileNotFoundError)


@pytest.mark.parametrize("kind", [ConnectionRefusedError, EOFError])
async def test_error_of_a_token_provider_is_raised_unchanged(
    world: World, tmp_path: Path, kind: type[Exception]
) -> None:
    """Only errors of the file itself are reported as such."""
    export = await world.kantata.exports.create(export_definition={USERS: {"columns": [USER_ID]}})
    world.sandbox.store.change("exports", export.id, status="Complete")
    calls = 0

    async def token() -> str:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise kind("no vault")
        return world.sandbox.token

    with pytest.raises(kind, match="no vault"):
        await world.kantata.with_token(token).exports.download(export.id, to=tmp_path / "a", **FAST)
    assert names(tmp_path) == []


@pytest.mark.parametrize("call", ["open", "write", "fsync"])
async def test_unwritable_file_raises(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*args: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    identity = report(world, b"x")
    if call == "write":
        monkeypatch.setattr(Unfinished, "write", full)
    else:
        monkeypatch.setattr(f"kantata_client._files.atomic.os.{call}", full)
    with pytest.raises(KantataError, match="r can't be written: No space left on device"):
        await world.kantata.insights_report_exports.download_latest(identity, to=tmp_path / "r", **FAST)
    assert names(tmp_path) == []


@asynccontextmanager
async def with_cdn(answer: Callable[[], httpx.Response]) -> AsyncIterator[Kantata]:
    """A client with three attempts, whose export 1 is on a host with these responses."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host == "cdn.example":
            return answer()
        if request.url.path.endswith("download_url"):
            return httpx.Response(200, json={"download_url": "https://cdn.example/x"})
        export = {"id": "1", "status": "Complete"}
        body = {"count": 1, "results": [{"key": "exports", "id": "1"}], "exports": {"1": export}}
        return httpx.Response(200, json=body)

    transport, retries = httpx.MockTransport(handle), RetryPolicy(retries=2, initial=0)
    async with Kantata("token-x", transport=transport, retries=retries) as kantata:
        yield kantata


async def test_unreachable_host_is_tried_as_often_as_retries_allow(tmp_path: Path) -> None:
    tried = 0

    def refuse() -> httpx.Response:
        nonlocal tried
        tried += 1
        raise httpx.ConnectError("refused")

    async with with_cdn(refuse) as kantata:
        with pytest.raises(KantataConnectionError, match="3 attempts"):
            await kantata.exports.download(1, to=tmp_path / "a", **FAST)
    assert tried == 3
    assert names(tmp_path) == []


async def test_file_shorter_than_announced_is_not_saved(tmp_path: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"abc"

    def short() -> httpx.Response:
        return httpx.Response(200, content=body(), headers={"content-length": "9", "x-request-id": "r-7"})

    async with with_cdn(short) as kantata:
        with pytest.raises(KantataConnectionError, match="3 of 9 bytes arrived") as caught:
            await kantata.exports.download(1, to=tmp_path / "a", **FAST)
    assert caught.value.request_id == "r-7"
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"no gzip at all", "not a gzip file"), (gzip.compress(b"x" * 999)[:-5], "incomplete")],
    ids=["foreign", "cut off"],
)
async def test_file_that_is_not_gzip_is_not_saved(
    world: World, tmp_path: Path, content: bytes, told: str
) -> None:
    identity = report(world, content, packed=False)
    with pytest.raises(MalformedResponseError, match=told):
        await world.kantata.insights_report_exports.download_latest(
            identity, to=tmp_path / "r", gunzip=True, **FAST
        )
    assert names(tmp_path) == []


async def test_gzip_file_with_several_members(world: World, tmp_path: Path) -> None:
    content = gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two" * 999_999) + bytes(512)
    identity = report(world, content, packed=False)
    path = await world.kantata.insights_report_exports.download_latest(
        identity, to=tmp_path / "r", gunzip=True, **FAST
    )
    assert path.read_bytes() == b"one" + b"two" * 999_999


async def test_report_is_waited_for(world: World, tmp_path: Path) -> None:
    identity = report(world, b"x")
    world.files.polls = 3
    waits: list[Any] = []
    download = world.kantata.insights_report_exports.download_latest
    await download(identity, to=tmp_path / "r", on_wait=waits.append, **FAST)
    assert waits == [None, None, None]

    newer = world.clock.now + timedelta(hours=1)
    with pytest.raises(ExportError, match=r"no report newer than 2026-07-01 10:30"):
        await download(identity, to=tmp_path / "s", newer_than=newer, timeout=0.1, **FAST)
    world.clock.advance(3_601)
    await download(identity, to=tmp_path / "s", newer_than=newer.astimezone(UTC), **FAST)

    started = anyio.current_time()
    with pytest.raises(NotFoundError):
        await download(99, to=tmp_path / "t")
    assert anyio.current_time() - started < 2
    assert names(tmp_path) == ["r", "s"]


async def test_signed_addresses_are_never_shown(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signatures: list[str] = []
    link = world.files.link

    def remembered(*args: Any) -> str:
        url = link(*args)
        signatures.append(url.rpartition("=")[2])
        return url

    world.files.link = remembered
    identity = report(world, os.urandom(100_000))
    shown = ""
    for acts, seconds in (([50_000] + ["unread"] * 9, 60.0), ([], -1.0)):
        world.meddler.acts, world.files.link_seconds = list(acts), seconds
        try:
            await world.kantata.insights_report_exports.download_latest(identity, to=tmp_path / "r", **FAST)
        except Exception as error:  # noqa: BLE001 - whatever it is
            shown += "".join(traceback.format_exception(error)) + repr(vars(error))
    assert "PermissionDeniedError" in shown
    assert "KantataConnectionError" in shown
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name != "uvicorn.access")
    for signature in signatures:
        assert signature not in shown
        assert signature not in logged


async def test_accounting_records_as_csv(worlds: Any, tmp_path: Path) -> None:
    head = "Project ID,Period Start Date,Period End Date,Currency,Amount,Description\n"
    path = tmp_path / "in.csv"
    lines = [f'10002,2026-01-01,2026-01-31,USD,{n}.5,"a, ä {n}"\n' for n in range(200)]
    path.write_text("\ufeff" + head + "".join(lines))
    async with worlds("demo") as world:
        before = world.sandbox.store.count("project_accounting_records")
        made = await world.kantata.project_accounting_records.upload_csv(path)
        assert [record.amount for record in made] == [n + 0.5 for n in range(200)]
        assert made[7].description == "a, ä 7"
        out = await world.kantata.project_accounting_records.download_csv(to=tmp_path / "out.csv")
        rows = list(csv.DictReader(out.read_text().splitlines()))
        assert len(rows) == before + 200
        assert rows[-1]["Description"] == "a, ä 199"
        assert not world.files.received
        with pytest.raises(ValidationError):
            await world.kantata.project_accounting_records.upload_csv(head.encode() + b"x,y,z,USD,1,\n")
        assert world.sandbox.store.count("project_accounting_records") == before + 200
        world.sandbox.token = "other"
    assert names(tmp_path) == ["in.csv", "out.csv"]


async def test_exchange_rates_from_csv(world: World) -> None:
    table = await world.kantata.exchange_tables.create(name="x")
    head = b"effective date, Exchange Rate,Source Currency,Target Currency,Note\n"
    rows = head + b"2026-01-01,0.9,USD,EUR,x\n2026-01-01,1.2,GBP,EUR,\n"
    made = await world.kantata.exchange_tables.upload_rates(table.id, rows)
    assert [(rate.source_currency, rate.rate) for rate in made] == [("USD", "0.9"), ("GBP", "1.2")]
    await world.kantata.exchange_tables.upload_rates(table.id, rows.replace(b"0.9", b"0.8"))
    assert world.sandbox.store.count("exchange_rates") == 2
