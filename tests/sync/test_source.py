"""The dlt source into DuckDB: after each run the warehouse equals the account, including deletions."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import dlt
import duckdb
import pytest

from kantata_client import Hooks, Kantata, PermissionDeniedError, UsageError
from kantata_client.sandbox import Sandbox
from kantata_client.sync import Progress, kantata_source, reader
from kantata_client.sync.catalog import lists
from kantata_client.sync.job import Plan, pipeline_of, run
from tests.sync.account import Target, change_entries, differences, differences_in, shorten, table_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENTRY = ("notes", "time_in_minutes", "billable", "date_performed", "workspace_id", "story_id", "updated_at")
STORY = ("title", "state", "workspace_id", "story_type", "updated_at")
ENTRIES = 1_800
"""Time entries of the account: enough pages for the list to be split."""
NOW: dict[str, Any] = {"compare_every": timedelta(0)}
"""Options that compare ids in each run."""


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)


@pytest.fixture
def sandbox() -> Sandbox:
    """The demo account with fewer time entries."""
    sandbox = Sandbox(seed="demo")
    shorten(sandbox, ENTRIES)
    return sandbox


def test_second_run_loads_only_changes(target: Target, sandbox: Sandbox) -> None:
    first = target.sync(sandbox, "time_entries", "stories", **NOW)
    assert first.for_list("time_entries").rows == ENTRIES
    assert not differences(target, sandbox, "time_entries", ENTRY)
    assert not differences(target, sandbox, "stories", STORY)

    change_entries(sandbox)
    second = target.sync(sandbox, "time_entries", "stories", **NOW)
    assert second.for_list("time_entries").deleted == 7
    assert second.for_list("time_entries").rows <= 30
    assert not differences(target, sandbox, "time_entries", ENTRY)

    third = target.sync(sandbox, "time_entries", "stories", **NOW)
    assert third.for_list("time_entries").rows <= 30
    assert third.for_list("time_entries").deleted == 0


def test_column_types_are_those_of_the_contract(target: Target, sandbox: Sandbox) -> None:
    target.sync(sandbox, "time_entries", "workspaces", "posts")
    names = {
        "text": "VARCHAR",
        "bigint": "BIGINT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "date": "DATE",
        "timestamp": "TIMESTAMP WITH TIME ZONE",
        "json": "JSON",
    }
    for name in ("time_entries", "workspaces", "posts"):
        types = target.types(name)
        assert {
            column: names[kind] for column, kind in lists()[name].columns.items()
        }.items() <= types.items()
        assert types.keys() - lists()[name].columns.keys() == {"_extra", "_deleted"}


def test_child_tables_follow_updates_and_deletions(target: Target, sandbox: Sandbox) -> None:
    store = sandbox.store
    story, other = [each for each in store.all("stories") if each.get("follower_ids")][:2]
    store.change("stories", story["id"], follower_ids=["1001", "1002", "1003"])
    select = "SELECT story_id, _position, follower_id FROM stories__follower_ids"

    def expected() -> set[tuple[str, int, str]]:
        """Return what the service lists: only followers that the user may see."""

        async def read() -> set[tuple[str, int, str]]:
            async with sandbox.client() as kantata:
                shown = kantata.stories.list(
                    include=["followers"],
                    show_archived=True,
                    show_from_archived_workspaces=True,
                    show_todos=True,
                )
                return {
                    (each.id, position, follower)
                    async for each in shown
                    for position, follower in enumerate(each.follower_ids or ())
                }

        return anyio.run(read)

    target.sync(sandbox, "stories", **NOW)
    assert set(target.rows(select)) == expected()
    store.change("stories", story["id"], follower_ids=story["follower_ids"][:1])
    store.change("stories", other["id"], follower_ids=[])
    target.sync(sandbox, "stories", **NOW)
    assert set(target.rows(select)) == expected()
    store.remove("stories", story["id"])
    target.sync(sandbox, "stories", **NOW)
    assert set(target.rows(select)) == expected()


def test_soft_delete_keeps_rows_with_a_time(target: Target, sandbox: Sandbox) -> None:
    target.sync(sandbox, "users", "workspaces", soft_delete=True, **NOW)
    store = sandbox.store
    gone = store.all("workspaces")[3]
    store.remove("workspaces", gone["id"])
    before = datetime.now(UTC)
    for _ in range(2):
        progress = target.sync(sandbox, "workspaces", soft_delete=True, **NOW)
    table = target.table("workspaces")
    assert progress.for_list("workspaces").deleted == 0  # deleted in the first of the two runs
    assert {key for key, row in table.items() if row["_deleted_at"]} == {gone["id"]}
    assert table[gone["id"]]["title"] == gone["title"]
    assert table[gone["id"]]["_deleted_at"].astimezone(UTC) >= before.replace(microsecond=0)
    store.put("workspaces", {**gone, "updated_at": store.now()})
    target.sync(sandbox, "workspaces", soft_delete=True, **NOW)
    assert target.table("workspaces")[gone["id"]]["_deleted_at"] is None


def test_ids_are_compared_only_when_due(target: Target, sandbox: Sandbox) -> None:
    target.sync(sandbox, "time_entries", deletions="off")
    change_entries(sandbox)
    assert target.sync(sandbox, "time_entries", deletions="off").for_list("time_entries").deleted == 0
    ids: dict[str, Any] = {"deletions": "ids"}
    assert (
        target.sync(sandbox, "time_entries", **ids).for_list("time_entries").deleted == 7
    )  # the first comparison
    change_entries(sandbox)
    assert target.sync(sandbox, "time_entries", **ids).for_list("time_entries").deleted == 0
    assert target.sync(sandbox, "time_entries", **ids, **NOW).for_list("time_entries").deleted == 7


def test_ids_are_compared_page_by_page(
    target: Target, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kantata_client.sync.warehouse._LISTED_ROWS", 300)
    target.sync(sandbox, "time_entries")
    for identity in sandbox.store.ids("time_entries")[::50]:
        sandbox.store.remove("time_entries", identity)
    target.sync(sandbox, "time_entries", deletions="ids", **NOW)
    assert not differences(target, sandbox, "time_entries", ENTRY)


def test_change_feed_deletes_without_a_comparison(target: Target, sandbox: Sandbox) -> None:
    sandbox.feed.disturb(doubled=0.3, seed=3)
    target.sync(sandbox, "time_entries", "stories")
    target.sync(sandbox, "time_entries", "stories")
    change_entries(sandbox)
    sandbox.store.remove("stories", sandbox.store.ids("stories")[-1])
    asked = len(sandbox.requests)
    progress = target.sync(sandbox, "time_entries", "stories")
    assert progress.for_list("time_entries").deleted == 7
    assert progress.for_list("stories").deleted == 1
    lookups = [
        dict(each.query)["only"] for each in list(sandbox.requests)[asked:] if "only" in dict(each.query)
    ]
    assert sum(each.count(",") + 1 for each in lookups) == 8
    assert not differences(target, sandbox, "time_entries", ENTRY)
    assert not differences(target, sandbox, "stories", STORY)


def test_skipped_list_catches_up_in_a_later_run(target: Target, sandbox: Sandbox) -> None:
    target.sync(sandbox, "time_entries", "users", **NOW)
    change_entries(sandbox)
    fault = sandbox.faults.status(503, path="/time_entries", times=None)
    client = lambda: sandbox.client(retries=1)  # noqa: E731
    progress = target.sync(sandbox, "time_entries", "users", client=client, on_error="skip", **NOW)
    assert progress.for_list("time_entries").status == "failed"
    assert "503" in (progress.for_list("time_entries").error or "")
    assert progress.for_list("users").status == "done"
    sandbox.faults.clear()
    assert fault.hits
    target.sync(sandbox, "time_entries", "users", **NOW)
    assert not differences(target, sandbox, "time_entries", ENTRY)


def test_failure_ends_the_run_by_default(target: Target, sandbox: Sandbox) -> None:
    sandbox.faults.status(403, path="/users", times=None)
    with pytest.raises(Exception, match="403") as caught:
        target.sync(sandbox, "users", "workspaces")
    causes: list[BaseException | None] = [caught.value]
    while causes[-1] is not None:
        causes.append(causes[-1].__cause__)
    assert any(isinstance(cause, PermissionDeniedError) for cause in causes)


def test_slices_continue_each_other(target: Target, sandbox: Sandbox) -> None:
    runs = 0
    while True:
        progress = target.sync(sandbox, "time_entries", progress=Progress(rows=600), **NOW)
        runs += 1
        if progress.for_list("time_entries").status == "done":
            break
        assert progress.for_list("time_entries").status == "partial"
        change_entries(sandbox)
        assert runs < 12
    assert runs >= 3
    target.sync(sandbox, "time_entries", **NOW)
    assert not differences(target, sandbox, "time_entries", ENTRY)


def hooked(sandbox: Sandbox, act: Callable[[int], None]) -> Callable[[], Kantata]:
    """Make clients that call `act` with the number of each response."""
    answers = 0

    def answered(_: Any) -> None:
        nonlocal answers
        answers += 1
        act(answers)

    return lambda: sandbox.client(hooks=Hooks(on_response=answered))


def test_changes_during_a_run_are_not_lost(target: Target, sandbox: Sandbox) -> None:
    def act(answers: int) -> None:
        if answers % 3 == 0:
            change_entries(sandbox, deleted=3, changed=4, created=3)

    target.sync(sandbox, "time_entries", "stories", client=hooked(sandbox, act), **NOW)
    target.sync(sandbox, "time_entries", "stories", **NOW)
    assert not differences(target, sandbox, "time_entries", ENTRY)


def test_stopped_run_keeps_rows_and_the_next_run_continues(target: Target, sandbox: Sandbox) -> None:
    progress = Progress()

    def act(answers: int) -> None:
        if answers == 14:
            progress.stop()

    client = hooked(sandbox, act)
    target.sync(sandbox, "time_entries", "stories", client=client, progress=progress, **NOW)
    saved = progress.for_list("time_entries").rows
    assert 0 < saved < ENTRIES
    assert target.rows("SELECT count(*) FROM time_entries") == [(saved,)]
    second = target.sync(sandbox, "time_entries", "stories", **NOW)
    assert second.for_list("time_entries").rows <= ENTRIES - saved + 8 * 400
    assert not differences(target, sandbox, "time_entries", ENTRY)
    assert not differences(target, sandbox, "stories", STORY)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each page to dlt, so that few records fill a slice."""
    monkeypatch.setattr(reader, "_BATCH_ROWS", 1)


@pytest.mark.usefixtures("small_batches")
def test_slices_of_a_sync_read_each_record_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """A walk goes on from slice to slice: what an earlier slice has read is neither read nor looked up again."""
    plan = Plan(str(tmp_path / "account.duckdb"), ("time_entries", "story_state_changes"), **NOW)
    slices: list[int] = []

    class Counted(Progress):
        def next_slice(self, seconds: float) -> None:
            super().next_slice(seconds)
            slices.append(self.stored)

    summary = run(plan, Counted(rows=500), sandbox.client)
    assert summary.status == "done"
    assert len(slices) >= 4
    assert slices[1:] == sorted(set(slices[1:]))
    rows = {each.name: each.rows for each in summary.lists}
    assert rows == {
        "time_entries": ENTRIES,
        "story_state_changes": len(sandbox.store.ids("story_state_changes")),
    }
    assert not [each for each in sandbox.requests if "only" in dict(each.query)]
    for name, fields in (("time_entries", ENTRY), ("story_state_changes", ("story_id", "state"))):
        assert not differences_in(tmp_path / "account.duckdb", "main", sandbox, name, fields)


def test_source_that_runs_again_finds_deletions(sandbox: Sandbox, tmp_path: Path) -> None:
    """Its first run finds an empty database."""
    target = Target(tmp_path)
    source = kantata_source(resources=["skills", "users"], deletions="ids", client=sandbox.client, **NOW)
    target.pipeline().run(source)
    [removed, *_] = sandbox.store.ids("skills")
    sandbox.store.remove("skills", removed)
    target.pipeline().run(source)
    assert set(target.table("skills")) == set(sandbox.store.ids("skills"))


def test_sync_asks_parts_of_a_list_without_updates_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """One request returns the latest update of a part, and the number of its records."""
    plan = Plan(str(tmp_path / "account.duckdb"), ("custom_field_values",), deletions="off")
    run(plan, Progress(), sandbox.client)
    sandbox.requests.clear()
    summary = run(plan, Progress(), sandbox.client)
    sizes = [dict(each.query)["per_page"] for each in sandbox.requests]
    assert summary.requests == len(sizes)
    parts = lists()["custom_field_values"].fan_out
    assert parts is not None
    assert sorted(sizes) == ["1"] * len(parts.values) + ["200"]  # the latest record itself is in the overlap


@pytest.mark.usefixtures("small_batches")
def test_slices_during_changes_lose_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    plan = Plan(str(tmp_path / "account.duckdb"), ("time_entries", "stories"), **NOW)

    def act(answers: int) -> None:
        if answers % 3 == 0:
            change_entries(sandbox, deleted=3, changed=4, created=3)

    run(plan, Progress(rows=300), hooked(sandbox, act))
    assert run(plan, Progress(rows=300), sandbox.client).status == "done"
    assert not differences_in(tmp_path / "account.duckdb", "main", sandbox, "time_entries", ENTRY)
    assert not differences_in(tmp_path / "account.duckdb", "main", sandbox, "stories", STORY)


def test_stopped_sync_stores_what_waited_in_the_queues(sandbox: Sandbox, tmp_path: Path) -> None:
    """Once the first slice is stored, nothing is lost of what was read while it was stored."""
    plan = Plan(str(tmp_path / "account.duckdb"), ("time_entries",), **NOW)

    class Stopping(Progress):
        def next_slice(self, seconds: float) -> None:
            super().next_slice(seconds)
            if self.stored:
                while not _all_pages_read(sandbox):
                    time.sleep(0.01)
                self.stop()

    progress = Stopping(rows=400)
    summary = run(plan, progress, sandbox.client)
    [entries] = summary.lists
    assert entries.rows > 600  # more than a slice
    assert len(table_in(tmp_path / "account.duckdb", "main", "time_entries")) == entries.rows
    assert run(plan, Progress(), sandbox.client).status == "done"
    assert not differences_in(tmp_path / "account.duckdb", "main", sandbox, "time_entries", ENTRY)


def _all_pages_read(sandbox: Sandbox) -> bool:
    """Whether the sandbox has returned as many pages as the time entries have."""
    pages = [each for each in sandbox.requests if dict(each.query).get("per_page") == "200"]
    return len(pages) >= ENTRIES / 200


class Pauses(Progress):
    """Counters whose pauses take no time."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.mark.parametrize("fault", ["reset", "cut", "status"])
def test_sync_goes_on_after_a_fault_of_the_network_or_the_service(
    sandbox: Sandbox, tmp_path: Path, fault: str
) -> None:
    arguments = (503,) if fault == "status" else ()
    getattr(sandbox.faults, fault)(*arguments, path="/time_entries", after=14, times=20)
    plan = Plan(str(tmp_path / "account.duckdb"), ("time_entries", "users"), **NOW)
    progress = Pauses()
    summary = run(plan, progress, lambda: sandbox.client(retries=0))
    assert summary.status == "done"
    assert progress.pauses[:2] == [5, 10]
    [entries] = [each for each in summary.lists if each.name == "time_entries"]
    assert ENTRIES <= entries.rows < ENTRIES + 200  # times are read again where a part goes on
    assert not differences_in(tmp_path / "account.duckdb", "main", sandbox, "time_entries", ENTRY)


def test_list_that_fails_at_the_same_record_each_time_is_given_up(sandbox: Sandbox, tmp_path: Path) -> None:
    """Lists that are read for each parent begin again, so more and more rows are no sign of progress."""
    sandbox.faults.status(500, path="/workspace_status_changes", after=20, times=None)
    plan = Plan(str(tmp_path / "account.duckdb"), ("workspace_status_changes",))
    progress = Pauses()
    assert run(plan, progress, lambda: sandbox.client(retries=0)).status == "all failed"
    assert progress.pauses == [5, 10, 20, 40, 80, 120, 120, 120]


def test_full_sync_that_goes_on_after_a_fault_is_full(sandbox: Sandbox, tmp_path: Path) -> None:
    plan = Plan(str(tmp_path / "account.duckdb"), ("time_entries", "users"), **NOW)
    run(plan, Pauses(), sandbox.client)
    sandbox.faults.status(503, path="/time_entries", after=1, times=3)
    again = run(attrs.evolve(plan, full=True), Pauses(), lambda: sandbox.client(retries=0))
    assert again.status == "done"
    assert {each.name: each.rows >= ENTRIES for each in again.lists}["time_entries"]


@pytest.mark.parametrize(
    ("status", "after", "minutes"),
    [(403, 14, 10), (503, 0, 10), (503, 14, 0)],
    ids=["denied", "from the start", "no patience"],
)
def test_sync_does_not_wait_in_vain(
    sandbox: Sandbox, tmp_path: Path, status: int, after: int, minutes: int
) -> None:
    sandbox.faults.status(status, after=after, times=None)
    limit = timedelta(minutes=minutes)
    plan = Plan(str(tmp_path / "account.duckdb"), ("time_entries",), retry_for=limit)
    progress = Pauses()
    assert run(plan, progress, lambda: sandbox.client(retries=0)).status == "all failed"
    assert progress.pauses == []


def test_sync_that_continues_another_has_the_changes_in_between(sandbox: Sandbox, tmp_path: Path) -> None:
    """Records that the first sync read, and that changed before the second one began."""
    plan = Plan(str(tmp_path / "account.duckdb"), resources=("time_entries",))
    first = Progress(rows=600)
    pipeline_of(plan).run(
        kantata_source(resources=["time_entries"], client=sandbox.client, progress=first, **NOW)
    )
    assert first.for_list("time_entries").status == "partial"
    read = table_in(tmp_path / "account.duckdb", "main", "time_entries")
    for identity in list(read)[::7]:
        sandbox.store.change("time_entries", identity, notes=f"changed {identity}")
    assert run(plan, Progress(), sandbox.client).status == "done"
    assert not differences_in(tmp_path / "account.duckdb", "main", sandbox, "time_entries", ENTRY)


def test_lists_read_by_parent_and_by_type(target: Target, sandbox: Sandbox) -> None:
    target.sync(sandbox, "participations", "custom_field_values", "external_references", "workspaces", **NOW)
    assert not differences(target, sandbox, "participations", ("workspace_id", "user_id"))
    store = sandbox.store
    gone = store.ids("participations")[5]
    store.remove("participations", gone)
    target.sync(sandbox, "participations", **NOW)
    assert not differences(target, sandbox, "participations", ("workspace_id", "user_id"))


def test_lost_state_is_restored_from_the_warehouse(target: Target, sandbox: Sandbox) -> None:
    import shutil

    target.sync(sandbox, "time_entries", **NOW)
    shutil.rmtree(target.folder / "state")
    change_entries(sandbox)
    progress = target.sync(sandbox, "time_entries", **NOW)
    assert progress.for_list("time_entries").rows <= 30
    assert not differences(target, sandbox, "time_entries", ENTRY)


def test_since_limits_the_first_run(target: Target, sandbox: Sandbox) -> None:
    newest = max(each["updated_at"] for each in sandbox.store.all("time_entries"))
    since = datetime.fromisoformat(newest) - timedelta(days=10)
    target.sync(sandbox, "time_entries", since=since)
    expected = sum(
        datetime.fromisoformat(each["updated_at"]) >= since for each in sandbox.store.all("time_entries")
    )
    assert target.rows("SELECT count(*) FROM time_entries") == [(expected,)]
    with pytest.raises(UsageError, match="no time zone"):
        kantata_source("token", since=since.replace(tzinfo=None))


def test_source_has_a_resource_for_each_list() -> None:
    source = kantata_source("token")
    assert list(source.resources) == list(lists())
    schema = source.resources["time_entries"].compute_table_schema()
    assert schema["write_disposition"] == "merge"
    assert [name for name, column in schema["columns"].items() if column.get("primary_key")] == ["id"]


def test_destination_without_sql_gets_files(target: Target, sandbox: Sandbox, tmp_path: Path) -> None:
    pipeline = dlt.pipeline(
        "files",
        destination=dlt.destinations.filesystem((tmp_path / "lake").as_uri()),
        dataset_name="kantata",
        pipelines_dir=str(tmp_path / "state"),
    )
    pipeline.run(kantata_source(resources=["users"], client=sandbox.client), loader_file_format="parquet")
    files = list((tmp_path / "lake" / "kantata" / "users").glob("*.parquet"))
    assert files


def test_destination_that_cannot_be_queried_is_synced_again(
    target: Target, sandbox: Sandbox, tmp_path: Path
) -> None:
    received: list[str] = []

    def receive(file: str, table: Any) -> None:
        if table["name"] == "users":
            received.extend(
                identity for (identity,) in duckdb.sql(f"SELECT id FROM read_parquet('{file}')").fetchall()
            )

    pipeline = dlt.pipeline(
        "sink",
        destination=dlt.destination(
            receive, name="sink", loader_file_format="parquet", batch_size=0, skip_dlt_columns_and_tables=True
        ),
        pipelines_dir=str(tmp_path / "state"),
    )
    for run_number in (1, 2):
        pipeline.run(kantata_source(resources=["users"], client=sandbox.client, **NOW))
        assert Counter(received) == dict.fromkeys(set(received), run_number)
    assert len(received) > 100


def test_nested_tables_follow_updates_and_deletions(target: Target, sandbox: Sandbox) -> None:
    store = sandbox.store
    changed, deleted, *_ = store.all("workspaces")
    nested = {"nested": ["workspaces.task_statuses", "workspaces.permissions"], **NOW}
    select = "SELECT value FROM workspaces__task_statuses WHERE workspace_id = '{}' ORDER BY _position"
    store.change("workspaces", changed["id"], task_statuses=["started", "done"])
    target.sync(sandbox, "workspaces", **nested)
    assert target.rows(select.format(changed["id"])) == [("started",), ("done",)]
    owners = target.rows("SELECT workspace_id FROM workspaces__permissions ORDER BY 1")
    assert owners == target.rows("SELECT id FROM workspaces WHERE permissions IS NOT NULL ORDER BY 1")
    assert owners

    store.change("workspaces", changed["id"], task_statuses=["done"])
    store.remove("workspaces", deleted["id"])
    target.sync(sandbox, "workspaces", **nested)
    assert target.rows(select.format(changed["id"])) == [("done",)]
    for table in ("workspaces", "workspaces__permissions", "workspaces__task_statuses"):
        column = "id" if table == "workspaces" else "workspace_id"
        assert target.rows(f"SELECT 1 FROM {table} WHERE {column} = '{deleted['id']}'") == []
