"""`kantata sync` as its users run it: a process, a DuckDB file, Ctrl-C and kill."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from anyio.from_thread import start_blocking_portal

from kantata_client.sandbox import Sandbox
from tests.sync.account import differences_in

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = int(os.environ.get("KANTATA_KILLS", "8"))
"""50 by hand, with KANTATA_ENTRIES=200000."""
ENTRIES = int(os.environ.get("KANTATA_ENTRIES", "20000"))

# A shell's background jobs, and what they start, ignore Ctrl-C.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from kantata_client.cli import main; main()"
)
ENTRY = ("notes", "time_in_minutes", "date_performed", "workspace_id", "updated_at")


class Account:
    """A sandbox behind a socket, and the command pointed at it."""

    def __init__(self, sandbox: Sandbox, url: str, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.file = folder / "kantata.duckdb"  # named like the schema of a dataset could be
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
            out, err = process.communicate(timeout=120)
        assert process.returncode == code, out + err
        return out, err

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file)) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    sandbox = Sandbox(seed="demo")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(sandbox.serve(port=0)) as server,
    ):
        yield Account(sandbox, server.url, tmp_path)


def test_all_lists_of_the_demo_account_are_synced(account: Account) -> None:
    out, _ = account.run("--json", "--deletions", "ids")
    summary = json.loads(out)
    assert summary["status"] == "done"
    assert [each["name"] for each in summary["lists"] if each["status"] != "done"] == []
    assert len(summary["lists"]) == 91
    assert [each["name"] for each in summary["lists"] if each["notes"]] == []
    assert account.rows("SELECT count(*) FROM time_entries") == [(20_000,)]
    assert summary["rows"] >= 27_000
    page = (account.folder / "kantata.report.html").read_text("utf-8")
    assert "All lists were synced." in page
    assert not re.search(r"(src|href|url)\s*[=(]", page)  # nothing comes from elsewhere
    assert "time_entries" in page


def test_a_list_that_fails_is_named_and_the_others_are_synced(account: Account) -> None:
    account.sandbox.faults.status(403, path="/users", times=None)
    out, _ = account.run("--resources", "users,workspaces", code=3)
    assert "users failed: GET /users failed with 403" in out
    assert "1 of 2 lists" in out
    assert account.rows("SELECT count(*) > 0 FROM workspaces") == [(True,)]
    out, _ = account.run("--resources", "users", code=4)
    account.sandbox.faults.clear()
    account.run("--resources", "users")
    users = account.sandbox.store.all("account_memberships")
    visible = {each["user_id"] for each in users if not each.get("disabled_at")}
    assert account.rows("SELECT count(*) FROM users")[0][0] == len(visible)


def test_ctrl_c_keeps_what_was_read_and_the_next_sync_continues(account: Account) -> None:
    account.sandbox.faults.latency(0.1, path="/time_entries")
    with account.start("--resources", "time_entries") as process:
        seen = len(account.sandbox.requests)
        deadline = time.monotonic() + 60
        while len(account.sandbox.requests) < seen + 30 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    kept = account.rows("SELECT count(*) FROM time_entries")[0][0]
    assert 0 < kept < 20_000
    assert f"Stopped. {kept:,} records are kept; the same command continues with time_entries." in out
    account.sandbox.faults.clear()
    out, _ = account.run("--resources", "time_entries", "--json")
    assert json.loads(out)["rows"] < 20_000 - kept + 8 * 400
    assert account.rows("SELECT count(*) FROM time_entries") == [(20_000,)]


def test_wrong_arguments_and_an_unreachable_service(account: Account) -> None:
    assert "no list 'tasks'" in account.run("--resources", "tasks", code=1)[0]
    assert "--every 2026-01-01: give a span" in account.run("--every", "2026-01-01", code=1)[0]
    assert "neither a time such as" in account.run("--since", "often", code=1)[0]
    account.environment["KANTATA_BASE_URL"] = "http://127.0.0.1:9/api/v1"
    assert "currencies failed" in account.run("--resources", "currencies", code=4)[0]


def change(sandbox: Sandbox, draw: random.Random) -> None:
    """Create, change and delete some time entries."""
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


# It changes the store from another thread than the one that serves it, which the store does not guard against yet.
@pytest.mark.measured
def test_kills_at_any_moment_lose_nothing(account: Account) -> None:
    draw = random.Random(int(os.environ.get("KANTATA_SEED", "5")))
    store = account.sandbox.store
    template = store.all("time_entries")[0]
    for number in range(ENTRIES - 20_000):
        day = (
            f"2026-0{number % 9 + 1}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:{number % 59:02}Z"
        )
        store.put(
            "time_entries",
            {**template, "id": None, "notes": str(number), "created_at": day, "updated_at": day},
        )
    arguments = ("--resources", "time_entries,users", "--compare", "0s", "--slice", "4000", "--no-report")
    for _ in range(KILLS):
        with account.start(*arguments) as process:
            end = time.monotonic() + draw.uniform(1.0, 5.0)
            while time.monotonic() < end and process.poll() is None:
                change(account.sandbox, draw)
                time.sleep(0.2)
            process.kill()
            process.communicate()
    change(account.sandbox, draw)
    account.run(*arguments)  # what a killed sync left is stored first, and then the rest is read
    assert differences_in(account.file, "main", account.sandbox, "time_entries", ENTRY) == []
    account.run(*arguments)
    assert differences_in(account.file, "main", account.sandbox, "time_entries", ENTRY) == []


def test_the_queries_of_the_docs_run(account: Account) -> None:
    text = (Path(__file__).parents[2] / "docs" / "sync.md").read_text("utf-8")
    queries = re.search(r"```sql\n(.*?)```", text, re.DOTALL)
    assert queries is not None
    account.run("--resources", "time_entries,workspaces,users")
    for query in queries[1].split(";"):
        if query.strip():
            assert account.rows(query), query
