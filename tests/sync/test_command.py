"""`kantata sync` as a process: lists, exit codes, Ctrl-C and kill."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from anyio.from_thread import start_blocking_portal
from typer.testing import CliRunner

from kantata_client.cli._commands import app
from kantata_client.sandbox import Sandbox
from kantata_client.sync.job import Plan, Summary, past_runs, record_run, state_folder
from tests.sync.account import differences_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal

KILLS = int(os.environ.get("KANTATA_KILLS", "8"))
"""The full test sets KANTATA_KILLS=50, KANTATA_ENTRIES=200000 and KANTATA_STEPS=1500."""
ENTRIES = int(os.environ.get("KANTATA_ENTRIES", "20000"))
STEPS = int(os.environ.get("KANTATA_STEPS", "160"))
"""Steps after which a sync is killed at the latest; a step is a request, or a change of a file."""

# Processes in the background of a shell ignore Ctrl-C unless they reset the handler.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from kantata_client.cli import main; main()"
)
ENTRY = ("notes", "time_in_minutes", "date_performed", "workspace_id", "updated_at")


class Account:
    """A sandbox behind a socket, and the command that syncs it."""

    def __init__(self, sandbox: Sandbox, url: str, folder: Path, portal: BlockingPortal) -> None:
        self.sandbox = sandbox
        self.portal = portal  # what changes the store runs here, between two requests
        self.folder = folder
        self.file = (
            folder / "kantata.duckdb"
        )  # the stem is also the name of dlt's schema, which must not confuse DuckDB
        self.environment = {
            **os.environ,
            "KANTATA_BASE_URL": url,
            "KANTATA_ACCESS_TOKEN": sandbox.token,
            "COLUMNS": "200",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, "sync", "--to", str(self.file), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=self.environment)

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=300 + ENTRIES / 100)
        assert process.returncode == code, out + err
        return out, err

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file)) as connection:
            return connection.execute(sql).fetchall()


@contextmanager
def serve(sandbox: Sandbox, folder: Path) -> Iterator[Account]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(sandbox.serve(port=0)) as server,
    ):
        yield Account(sandbox, server.url, folder, portal)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with serve(Sandbox(seed="demo"), tmp_path) as account:
        yield account


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Account, dict[str, Any]]]:
    """An account of which all lists were synced, and the summary."""
    with serve(Sandbox(seed="demo"), tmp_path_factory.mktemp("synced")) as account:
        out, _ = account.run("--json", "--deletions", "ids")
        yield account, json.loads(out)


def test_all_lists_of_the_demo_account_sync(synced: tuple[Account, dict[str, Any]]) -> None:
    account, summary = synced
    assert summary["status"] == "done"
    assert [each["name"] for each in summary["lists"] if each["status"] != "done"] == []
    assert len(summary["lists"]) == 91
    assert [each["name"] for each in summary["lists"] if each["notes"]] == []
    assert account.rows("SELECT count(*) FROM time_entries") == [(20_000,)]
    assert summary["rows"] >= 27_000


def test_report_is_written_and_loads_nothing(synced: tuple[Account, dict[str, Any]]) -> None:
    account, _ = synced
    page = (account.folder / "kantata.report.html").read_text("utf-8")
    assert "All lists were synced." in page
    assert not re.search(r"(src|href|url)\s*[=(]", page)
    assert "time_entries" in page


def test_queries_of_the_docs_return_rows(synced: tuple[Account, dict[str, Any]]) -> None:
    account, _ = synced
    text = (Path(__file__).parents[2] / "docs" / "sync.md").read_text("utf-8")
    queries = re.search(r"```sql\n(.*?)```", text, re.DOTALL)
    assert queries is not None
    for query in queries[1].split(";"):
        if query.strip():
            assert account.rows(query), query


def test_failed_list_is_reported_and_other_lists_sync(account: Account) -> None:
    account.sandbox.faults.status(403, path="/users", times=None)
    out, _ = account.run("--resources", "users,workspaces", code=3)
    assert "users failed: GET /users failed with 403" in out
    assert "1 of 2 lists" in out
    assert "--without users" in out
    assert account.rows("SELECT count(*) > 0 FROM workspaces") == [(True,)]
    account.run("--resources", "users,workspaces", "--without", "users")
    out, _ = account.run("--resources", "users", code=4)
    account.sandbox.faults.clear()
    account.run("--resources", "users")
    users = account.sandbox.store.all("account_memberships")
    visible = {each["user_id"] for each in users if not each.get("disabled_at")}
    assert account.rows("SELECT count(*) FROM users")[0][0] == len(visible)


def test_ctrl_c_keeps_rows_and_the_next_sync_continues(account: Account) -> None:
    account.sandbox.faults.latency(1, path="/time_entries", after=30)
    with account.start("--resources", "time_entries") as process:
        requests = len(account.sandbox.requests)
        deadline = time.monotonic() + 300
        while len(account.sandbox.requests) < requests + 30 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 130, out + err
    stored = account.rows("SELECT count(*) FROM time_entries")[0][0]
    assert 0 < stored < 20_000
    assert f"Stopped. {stored:,} records are kept; the same command continues with time_entries." in out
    account.sandbox.faults.clear()
    out, _ = account.run("--resources", "time_entries", "--json")
    assert json.loads(out)["rows"] < 20_000 - stored + 8 * 400
    assert account.rows("SELECT count(*) FROM time_entries") == [(20_000,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resources", "tasks"], "unknown list 'tasks'"),
        (["--without", "tasks"], "without: unknown list 'tasks'"),
        (["--resources", "users", "--without", "users"], "without: no list is left"),
        (["--every", "2026-01-01"], "--every 2026-01-01: expected a duration"),
        (["--compare", "often"], "neither a time such as"),
        (["--since", "often"], "neither a time such as"),
        (["--since", "9999999999d"], "longer than any duration"),
        (["--since", "900000d"], "before the year 1"),
        (["--since", "2999-01-01"], "is in the future"),
        (["--every", "0s"], "give at least 1s"),
        (["--resources", " , "], "--resources ' , ': expected names"),
        (["--nested", ""], "--nested '': expected names"),
    ],
    ids=[
        "list",
        "other list",
        "all lists",
        "every",
        "compare",
        "since",
        "long",
        "early",
        "future",
        "no pause",
        "no list",
        "no nested",
    ],
)
def test_invalid_argument_exits_with_1(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["sync", "--to", str(tmp_path / "a.duckdb"), *arguments])
    assert result.exit_code == 1
    assert message in result.output
    result = CliRunner().invoke(app, ["sync", "--json", "--to", str(tmp_path / "a.duckdb"), *arguments])
    line = json.loads(result.stdout)
    assert line["status"] == "error"
    assert message in line["error"]


def test_unreachable_service_fails_all_lists(account: Account) -> None:
    account.environment["KANTATA_BASE_URL"] = "http://127.0.0.1:9/api/v1"
    assert "currencies failed" in account.run("--resources", "currencies", code=4)[0]


def test_empty_token_is_named(account: Account) -> None:
    account.environment["KANTATA_ACCESS_TOKEN"] = ""
    out, err = account.run("--resources", "currencies", "--json", code=1)
    assert json.loads(out)["error"] == (
        "The access token is empty: check where it is read from. Nothing was sent."
    )
    assert "Traceback" not in err


def test_second_signal_ends_the_sync_at_once(account: Account) -> None:
    account.sandbox.faults.latency(20, path="/time_entries", after=12)
    with account.start("--resources", "time_entries", "--json") as process:
        while len(account.sandbox.requests) < 12 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # another signal, since two of the same may arrive as one
        out, err = process.communicate(timeout=300)
    assert process.returncode == 130, out + err
    assert json.loads(out)["status"] == "interrupted"
    assert "Interrupted. 0 records of this sync are stored; the same command continues there." in err


def test_repeated_sync_outlives_a_locked_file(account: Account) -> None:
    with (
        duckdb.connect(str(account.file)) as lock,
        account.start("--resources", "currencies", "--every", "1s", "--json") as process,
    ):
        assert process.stdout is not None
        summary = json.loads(process.stdout.readline())
        assert summary["status"] == "error"
        assert "Could not set lock" in summary["error"]
        lock.close()
        while summary["status"] == "error":
            summary = json.loads(process.stdout.readline())
        assert summary["status"] == "done"
        process.terminate()  # while it waits, or in the middle of another sync
        process.communicate(timeout=300)
    assert process.returncode in (0, 130)


def test_history_survives_a_line_that_was_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "a.duckdb"
    state_folder(file).mkdir()
    summary = Summary(Plan(str(file)), "done", datetime(2026, 3, 2, tzinfo=UTC), 1.0, (), "")
    record_run(summary, file)
    path = state_folder(file) / "runs.jsonl"
    path.write_text(path.read_text() + '{"to": "a.du')
    record_run(summary, file)
    assert past_runs(file) == [summary.to_dict()] * 2


def test_report_that_cannot_be_written_fails_no_sync(account: Account) -> None:
    (account.folder / "kantata.report.html").mkdir()
    out, _ = account.run("--resources", "currencies")
    assert "1 of 1 lists" in out
    assert "The report could not be written: " in out


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_killed_sync_leaves_no_process(account: Account) -> None:
    with account.start("--resources", "time_entries", "--rate", "5", "--no-report") as process:
        _wait_until(lambda: len(account.sandbox.requests) > 5)
        children = [path for path in Path("/proc").glob("[0-9]*/stat") if _parent(path) == process.pid]
        assert children
        process.kill()
        process.communicate()
    _wait_until(lambda: not any(path.exists() for path in children))


def _parent(stat: Path) -> int | None:
    """Return the parent of a process; `None` if it has ended."""
    with suppress(OSError):
        return int(stat.read_text().rpartition(")")[2].split()[1])
    return None


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def change(sandbox: Sandbox, draw: random.Random) -> None:
    """Create, update and delete time entries."""
    store = sandbox.store
    ids = store.ids("time_entries")
    for identity in draw.sample(ids, 12):
        store.remove("time_entries", identity)
    for identity in draw.sample(store.ids("time_entries"), 12):
        store.change("time_entries", identity, notes=f"changed {draw.random()}")
    template = store.all("time_entries")[0]
    for _ in range(12):
        now = store.now()
        row = {**template, "id": None, "notes": f"new {draw.random()}", "created_at": now, "updated_at": now}
        store.put("time_entries", row)


def files(folder: Path) -> frozenset[tuple[str, str, int]]:
    """The files in a folder and below, with their sizes; some may be deleted meanwhile."""
    found: set[tuple[str, str, int]] = set()
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                found.add((root, name, Path(root, name).stat().st_size))
    return frozenset(found)


def steps(account: Account, process: subprocess.Popen[str]) -> Iterator[None]:
    """Yield when the process has sent a request, or has changed a file of the warehouse or of its state; end with it."""
    before = None
    while process.poll() is None:
        now = len(account.sandbox.requests), files(account.folder)
        if now != before:
            before = now
            yield
        time.sleep(0.005)


@pytest.fixture
def large_account(tmp_path: Path) -> Iterator[Account]:
    with serve(Sandbox(entries=ENTRIES), tmp_path) as account:
        yield account


def test_kill_at_any_time_loses_nothing(large_account: Account) -> None:
    """A sync is killed after a random number of steps: while it starts, reads, packs, stores or commits."""
    account = large_account
    draw = random.Random(int(os.environ.get("KANTATA_SEED", "5")))
    rows = str(ENTRIES // 5)
    arguments = ("--resources", "time_entries,users", "--compare", "0s", "--slice", rows, "--no-report")
    killed = 0
    for _ in range(5 * KILLS):  # a sync that has ended before its last step does not count
        account.sandbox.requests.clear()  # it remembers a limited number of them
        last = draw.randrange(1, STEPS)
        with account.start(*arguments) as process:
            for step, _ in enumerate(steps(account, process)):
                if step % 4 == 0:
                    account.portal.call(change, account.sandbox, draw)
                if step == last:
                    process.kill()
                    killed += 1
                    break
            process.communicate()
        if killed == KILLS:
            break
    assert killed == KILLS
    account.portal.call(change, account.sandbox, draw)
    account.run(*arguments)  # stores what the killed sync left, then reads the rest
    assert differences_in(account.file, "main", account.sandbox, "time_entries", ENTRY) == []
    account.run(*arguments)
    assert differences_in(account.file, "main", account.sandbox, "time_entries", ENTRY) == []
