"""`kantata sandbox` as a process: what it prints points a client at it, and Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING

import httpx
import pytest
import typer
from anyio.from_thread import start_blocking_portal
from rich.console import Console

from kantata_client import Kantata, NotFoundError
from kantata_client.cli._request_table import table
from kantata_client.cli._sandbox import _clock, _fault, _progress, warning
from kantata_client.sandbox import Sandbox
from tests.foreign.running import running

if TYPE_CHECKING:
    from pathlib import Path

INTERPRETER = (sys.executable, "-W", os.environ.get("KANTATA_TEST_WARNINGS", "error"), "-c")
"""A warning ends the program, except where dependencies are older or newer than those of constraints.txt (`.ci/lowest`)."""

# A shell's background jobs, and what they start, ignore Ctrl-C.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from kantata_client.cli import main; main()"
)


WITHOUT_THE_EXTRA = f"import sys; sys.modules['python_multipart'] = None; {PROGRAM}"


async def workspaces(base_url: str, token: str) -> int:
    async with Kantata(token, base_url=base_url) as kantata:
        return await kantata.workspaces.list().count()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_printed_variables_point_a_program_at_the_sandbox(host: str) -> None:
    command = [sys.executable, "-c", PROGRAM, "sandbox", "--port", "0", "--host", host]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            printed = [process.stdout.readline().strip() for _ in range(2)]
            settings = dict(line.removeprefix("export ").split("=", 1) for line in printed)
            found = asyncio.run(workspaces(settings["KANTATA_BASE_URL"], settings["KANTATA_ACCESS_TOKEN"]))
            assert found == 40
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


async def status(base_url: str, token: str, path: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=headers) as client:
        return (await client.get(f"{base_url}{path}")).status_code


@pytest.mark.parametrize(("options", "expected"), [((), 400), (("--lenient",), 200)])
def test_lenient(options: tuple[str, ...], expected: int) -> None:
    command = [sys.executable, "-c", PROGRAM, "sandbox", "--port", "0", "--seed", "empty", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            url, token = (process.stdout.readline().strip().partition("=")[2] for _ in range(2))
            assert asyncio.run(status(url, token, "/stories?per_page=5000&colour=red")) == expected
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


SEED = {"users": [{"id": 5, "full_name": "Ada"}], "workspaces": [{"title": "P", "creator_id": 5}]}


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_seed_file_log_and_shutdown(tmp_path: Path, ending: signal.Signals) -> None:
    seed, database = tmp_path / "seed.json", tmp_path / "account.db"
    seed.write_text(json.dumps(SEED))
    options = [
        "--seed",
        str(seed),
        "--persist",
        str(database),
        "--token",
        "t-1",
        "--log",
        "--clock",
        "2026-05-01",
    ]
    command = [*INTERPRETER, PROGRAM, "sandbox", "--port", "0", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            url, token = (process.stdout.readline().strip().partition("=")[2] for _ in range(2))
            assert token == "t-1"
            assert asyncio.run(status(url, token, "/workspaces?include=creator")) == 200
            base = url.removesuffix("/api/v1")
            assert asyncio.run(status(base, token, "/__sandbox__/health")) == 200
            time.sleep(0.5)  # the log is printed a few times a second
            process.send_signal(ending)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "200 GET /workspaces?include=creator\n" in said
    assert said.endswith("Stopped.\n")
    assert "Warning" not in said
    assert database.stat().st_size > 0


def test_invalid_seed_file_is_explained(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    for text, message in (
        ('{"user": []}', "did you mean `users`"),
        ("[]", "must be an object"),
        ("{", "can't be read"),
    ):
        seed.write_text(text)
        command = [sys.executable, "-c", PROGRAM, "sandbox", "--port", "0", "--seed", str(seed)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1
        assert message in ended.stderr
        assert "Traceback" not in ended.stderr


def test_warning_for_addresses_of_the_network() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        assert warning(host) is None
    for host in ("0.0.0.0", "::", "192.0.2.7", "sandbox.example"):
        assert host in (warning(host) or "")


def test_missing_extra_is_named() -> None:
    command = [sys.executable, "-c", WITHOUT_THE_EXTRA, "sandbox", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "The sandbox needs python_multipart: install the extra, as in `pip install kantata-client[sandbox]`.\n"
    )


def test_pytest_fixture_is_a_sandbox(kantata_sandbox) -> None:
    assert kantata_sandbox.store.count("users") > 50


def test_options_for_clock_latency_and_faults() -> None:
    options = [
        "--now",
        "2027-03-04",
        "--latency",
        "0.2",
        "--fault",
        "503:1",
        "--seed",
        "empty",
        "--port",
        "0",
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "sandbox", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().partition("=")[2]
            answer = httpx.get(
                f"{url}/users/me", headers={"authorization": "Bearer sandbox-token"}, timeout=20
            )
            assert answer.status_code == 503
            assert answer.elapsed.total_seconds() >= 0.2
        finally:
            process.kill()


def test_times_have_the_offset_of_the_zone() -> None:
    with running("--seed", "demo", "--time-zone", "-07:00", quiet=True) as sandbox, sandbox.client as client:
        assert client.get("/stories", params={"per_page": 1}, timeout=60).text.count('-07:00"') >= 2
    command = [sys.executable, "-c", PROGRAM, "sandbox", "--port", "0", "--time-zone", "Mars"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (finished.returncode, "`time_zone` must be" in finished.stderr) == (1, True)


def test_a_large_account_shows_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    Sandbox(entries=100_000, progress=_progress(100_000))
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["0%", "20%", "40%", "60%", "80%", "100%"]
    assert all("100,000 time entries" in line for line in lines)
    Sandbox(entries=20_000, progress=_progress(20_000))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("fault", ["flood", "503:2", "503:x", "reset:0", ""])
def test_invalid_fault_is_rejected(fault: str) -> None:
    with pytest.raises(typer.BadParameter, match="pass reset, timeout, cut, 429"):
        _fault(fault)


def test_now_sets_a_running_clock() -> None:
    clock = _clock(datetime(2027, 3, 4, 5, 6))  # noqa: DTZ001 - as typer gives it
    assert timedelta() <= clock() - datetime(2027, 3, 4, 5, 6, tzinfo=UTC) < timedelta(minutes=1)
    assert clock() <= clock()


@pytest.mark.asyncio
async def test_the_table_shows_the_latest_requests(kantata_sandbox) -> None:
    async with kantata_sandbox.client() as kantata:
        await kantata.users.me()
        with suppress(NotFoundError):
            await kantata.stories.get(1)
    output = StringIO()
    Console(file=output, width=120).print(table(kantata_sandbox))
    text = output.getvalue()
    assert "2 requests, 1 failed" in text
    assert re.search(r"GET +│ /stories/1 +│ +│ 404", text)
    assert kantata_sandbox.token not in text


def test_tls_and_rate_are_options_of_the_command(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    options = ["--tls", "--ca-file", str(authority), "--rate", "1", "--seed", "empty", "--live"]
    command = [*INTERPRETER, PROGRAM, "sandbox", "--port", "0", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().strip().partition("=")[2] for _ in range(3)]
            url, token, file = lines
            assert (url[:8], file) == ("https://", str(authority))
            context = ssl.create_default_context(cafile=file)
            headers = {"authorization": f"Bearer {token}"}
            with httpx.Client(verify=context, headers=headers) as client:
                statuses = [client.get(f"{url}/users/me").status_code for _ in range(4)]
            assert statuses[0] == 200
            assert 429 in statuses
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "429 GET /users/me" in errors  # without a terminal, --live prints lines
    assert "Warning" not in errors


def test_a_service_is_recorded_and_replayed(kantata_sandbox, tmp_path: Path) -> None:
    cassette = tmp_path / "cassette.jsonl"
    program = [
        *INTERPRETER,
        PROGRAM,
        "sandbox",
        "--port",
        "0",
        "--cassette",
        str(cassette),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(kantata_sandbox.serve()) as service,
    ):
        for options, token in (["--record", service.url], service.token), (["--replay"], "another-token"):
            command = [*program, *options]
            with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
                try:
                    assert process.stdout is not None
                    url = process.stdout.readline().strip().partition("=")[2]
                    assert asyncio.run(workspaces(url, token)) == 40
                    process.send_signal(signal.SIGTERM)
                    _, errors = process.communicate(timeout=60)
                finally:
                    process.kill()
            assert process.returncode == 0, errors
            assert "Warning" not in errors
        assert service.token not in cassette.read_text()
    assert len(kantata_sandbox.requests) == 1


TERMINATED_WHEN_IT_PRINTS_ITS_ADDRESS = f"""
import os, signal, typer
echo = typer.echo
def terminate(text, **options):
    echo(text, **options)
    if text.startswith("export KANTATA_BASE_URL"):
        os.kill(os.getpid(), signal.SIGTERM)
typer.echo = terminate
{PROGRAM}
"""


@pytest.mark.parametrize("options", [["--seed", "empty"], ["--record", "http://127.0.0.1:9/api/v1"]])
def test_sigterm_stops_the_sandbox_as_soon_as_its_address_is_known(
    options: list[str], tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-c",
        TERMINATED_WHEN_IT_PRINTS_ITS_ADDRESS,
        "sandbox",
        "--port",
        "0",
        *options,
    ]
    cassette = ["--cassette", str(tmp_path / "cassette.jsonl")] if "--record" in options else []
    done = subprocess.run([*command, *cassette], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "Stopped.")
