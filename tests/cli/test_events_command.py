"""`kantata events follow` as a process: each event once, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from anyio.from_thread import start_blocking_portal

from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Processes in the background of a shell ignore Ctrl-C unless they reset the handler.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from kantata_client.cli import main; main()"
)


class Account:
    """A sandbox behind a socket, and the command that follows its feed."""

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self.sandbox = sandbox
        self.environment = {
            **os.environ,
            "KANTATA_BASE_URL": url,
            "KANTATA_ACCESS_TOKEN": sandbox.token,
            "PYTHONUNBUFFERED": "1",
        }

    def change(self, *titles: str) -> None:
        identity = self.sandbox.store.ids("workspaces")[0]
        for title in titles:
            self.sandbox.store.change("workspaces", identity, title=title)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, "events", "follow", "--interval", "0.1", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=self.environment)

    def run(self, *arguments: str, code: int = 0) -> tuple[list[str], str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=300)
        assert process.returncode == code, out + err
        return [title_of(line) for line in out.splitlines()], err


def title_of(line: str) -> str:
    return json.loads(line)["after"]["title"]


@pytest.fixture
def account() -> Iterator[Account]:
    sandbox = Sandbox(seed="demo")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(sandbox.serve(port=0)) as server,
    ):
        yield Account(sandbox, server.url)


@pytest.mark.parametrize("name", ["feed.jsonl", "feed.db"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_event_is_printed_once_across_signals(
    account: Account, tmp_path: Path, name: str, number: signal.Signals
) -> None:
    arguments = ("--since", "1h", "--type", "workspace:updated", "--checkpoint", str(tmp_path / name))
    account.change("first", "second")
    with account.start(*arguments) as process:
        assert process.stdout is not None
        found = [title_of(process.stdout.readline()) for _ in range(2)]
        account.change("third")
        found.append(title_of(process.stdout.readline()))
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
    assert found == ["first", "second", "third"]
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    account.change("fourth")
    assert account.run(*arguments, "--once")[0] == ["fourth"]


def test_reader_that_leaves_ends_the_command_without_a_traceback(account: Account) -> None:
    with account.start("--since", "1h") as process:
        assert process.stdout is not None
        process.stdout.close()
        account.change("first")
        assert process.wait(timeout=300) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_expired_position_names_the_option(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    until = (datetime.now(UTC) - timedelta(days=10)).isoformat()
    path.write_text(json.dumps({"until": until, "floor": until}) + "\n", encoding="utf-8")
    account.change("first")
    arguments = ("--checkpoint", str(path), "--once", "--type", "workspace:updated")
    assert "On the command line that is --skip-expired." in account.run(*arguments, code=1)[1]
    titles, err = account.run(*arguments, "--skip-expired")
    assert titles == ["first"]
    assert "are lost" in err


@pytest.mark.parametrize("name", ["feed.jsonl", "feed.db"])
def test_checkpoint_that_cannot_be_used_is_named(account: Account, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.mkdir()
    err = account.run("--checkpoint", str(path), "--once", code=1)[1]
    assert str(path) in err
    assert "choose another file" in err
    assert "Traceback" not in err
