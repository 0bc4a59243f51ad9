"""The dlt source into a real PostgreSQL server, with its own cluster in a temporary folder, on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import dlt
import pytest

from kantata_client.sandbox import Sandbox
from kantata_client.sync import Progress, kantata_source
from kantata_client.sync.catalog import lists
from tests.sync.account import change_entries, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/nonexistent"))
"""Debian keeps the server's programs away from PATH."""

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not (BIN / "initdb").exists(), reason="postgresql is not installed"),
]

ENTRY = ("notes", "time_in_minutes", "billable", "date_performed", "workspace_id", "updated_at")


@attrs.frozen
class Server:
    """A running server."""

    url: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        import psycopg2

        connection: Any = psycopg2.connect(self.url, options="-c timezone=UTC -c search_path=kantata")
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pytest.importorskip("psycopg2")
    # The server refuses to run as root; Debian's package has made a user for it.
    root = os.getuid() == 0
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}
    folder = Path(tempfile.mkdtemp(prefix="kantata-postgres-"))
    data = folder / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if root:
        shutil.chown(folder, "postgres", "postgres")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
    try:
        initdb = [BIN / "initdb", "-D", data, "-U", "kantata", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **user)
        start = [BIN / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"]
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
        try:
            yield Server(f"postgresql://kantata:unused@127.0.0.1:{port}/postgres")
        finally:
            stop = [BIN / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
    finally:
        shutil.rmtree(folder)


class Target:
    """The server and the pipeline that fills it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def sync(self, sandbox: Sandbox, *resources: str, **options: Any) -> Progress:
        progress = Progress()
        pipeline = dlt.pipeline(
            "kantata",
            destination=dlt.destinations.postgres(self.server.url),
            dataset_name="kantata",
            pipelines_dir=str(self.folder),
        )
        source = kantata_source(
            resources=resources,
            client=sandbox.client,
            progress=progress,
            compare_every=timedelta(),
            **options,
        )
        pipeline.run(source)
        return progress

    def differences(self, sandbox: Sandbox, name: str, fields: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """Return the rows that only the table, or only the sandbox, has."""
        loaded = {
            tuple(_text(value) for value in row)
            for row in self.server.rows(f"SELECT id, {', '.join(fields)} FROM {name}")
        }
        stored = {
            tuple(_text(record.get(field)) for field in ("id", *fields))
            for record in sandbox.store.all(lists()[name].operation.key or name)
        }
        return sorted(loaded ^ stored)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else str(value)


@pytest.fixture
def target(server: Server, tmp_path: Path) -> Target:
    server.rows("DROP SCHEMA IF EXISTS kantata CASCADE; COMMIT; SELECT 1")
    return Target(server, tmp_path)


@pytest.fixture
def sandbox() -> Sandbox:
    sandbox = Sandbox(seed="demo")
    shorten(sandbox, 1_800)
    return sandbox


def test_updates_and_deletions_reach_postgres(target: Target, sandbox: Sandbox) -> None:
    target.sync(sandbox, "time_entries")
    assert target.differences(sandbox, "time_entries", ENTRY) == []
    change_entries(sandbox)
    progress = target.sync(sandbox, "time_entries")
    assert progress.for_list("time_entries").deleted == 7
    assert progress.for_list("time_entries").rows <= 30
    assert target.differences(sandbox, "time_entries", ENTRY) == []


def test_types_in_postgres_are_those_of_the_contract(target: Target, sandbox: Sandbox) -> None:
    target.sync(sandbox, "workspaces", "posts")
    names = {
        "text": "character varying",
        "bigint": "bigint",
        "double": "double precision",
        "bool": "boolean",
        "date": "date",
        "timestamp": "timestamp with time zone",
        "json": "jsonb",
    }
    for name in ("workspaces", "posts"):
        types = dict(
            target.server.rows(
                f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{name}'"
            )
        )
        expected = {column: names[kind] for column, kind in lists()[name].columns.items()}
        assert expected.items() <= types.items()
    assert target.server.rows("SELECT count(*) > 0 FROM workspaces WHERE task_statuses IS NOT NULL") == [
        (True,)
    ]


def test_child_tables_follow_in_postgres(target: Target, sandbox: Sandbox) -> None:
    store = sandbox.store
    story, other = [each for each in store.all("stories") if each.get("follower_ids")][:2]

    def followers(identity: str) -> list[str]:
        select = (
            f"SELECT follower_id FROM stories__follower_ids WHERE story_id = '{identity}' ORDER BY _position"
        )
        return [row[0] for row in target.server.rows(select)]

    target.sync(sandbox, "stories")
    assert followers(story["id"])
    store.change("stories", story["id"], follower_ids=[])
    store.remove("stories", other["id"])
    target.sync(sandbox, "stories")
    assert followers(story["id"]) == []
    assert followers(other["id"]) == []


def test_soft_delete_keeps_rows_in_postgres(target: Target, sandbox: Sandbox) -> None:
    target.sync(sandbox, "workspaces", soft_delete=True)
    deleted = sandbox.store.all("workspaces")[3]
    sandbox.store.remove("workspaces", deleted["id"])
    target.sync(sandbox, "workspaces", soft_delete=True)
    rows = target.server.rows("SELECT id, title FROM workspaces WHERE _deleted_at IS NOT NULL")
    assert rows == [(deleted["id"], deleted["title"])]


def test_lost_local_state_is_restored_from_postgres(target: Target, sandbox: Sandbox) -> None:
    target.sync(sandbox, "time_entries")
    shutil.rmtree(target.folder)
    change_entries(sandbox)
    assert target.sync(sandbox, "time_entries").for_list("time_entries").rows <= 30
    assert target.differences(sandbox, "time_entries", ENTRY) == []
