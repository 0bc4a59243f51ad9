"""Runs one sync, as the command `kantata sync` does: in slices, so that a stop or a kill loses little."""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from kantata_client._files.atomic import ends_within_a_line
from kantata_client.errors import KantataError, UsageError
from kantata_client.sync.catalog import select, select_nested
from kantata_client.sync.progress import ListProgress, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from kantata_client.client import Kantata

logger = logging.getLogger("kantata_client")

ROWS_A_SLICE = 100_000
"""Records that are read before they are stored, together with the positions in the lists."""
_FIRST_SLICE_SECONDS, _SLICE_SECONDS = 3, 300
"""Time after which fewer records are stored: in the first slice, and at most. It doubles from slice to slice, because each
costs time in the destination."""
_FIRST_PAUSE, _LONGEST_PAUSE = 5, 120
"""Seconds before lists that failed are read again: the first time, and at most. They double each time."""
DATASET = "main"
"""Schema of the tables in a DuckDB file; queries use it by default."""

_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "RUNTIME__INTERCEPT_SIGNALS": "false",  # the command handles Ctrl-C
}
"""Settings of dlt that the environment can override."""


@attrs.frozen
class Plan:
    """What to sync, and into which destination."""

    to: str
    """A DuckDB file, or the name of a dlt destination, whose credentials are in dlt's configuration."""
    resources: tuple[str, ...] | None = None
    since: datetime | None = None
    full: bool = False
    deletions: Literal["auto", "ids", "off"] = "auto"
    compare_every: timedelta = timedelta(days=1)
    soft_delete: bool = False
    rate: float | None = None
    """Requests a second; found automatically by default."""
    rows_a_slice: int = ROWS_A_SLICE
    retry_for: timedelta = timedelta(minutes=10)
    """How long to wait, in all pauses together, before lists are read again that failed because of the network or the
    service."""
    without: tuple[str, ...] = ()
    """Lists that are left out."""
    nested: tuple[str, ...] = ()
    """Fields with nested objects that get a child table."""

    @property
    def file(self) -> Path | None:
        """The DuckDB file; `None` for another destination."""
        is_file = self.to.endswith((".duckdb", ".ddb", ".db")) or "/" in self.to or os.sep in self.to
        return Path(self.to).absolute() if is_file else None


@attrs.frozen
class Summary:
    """The result of a sync."""

    plan: Plan
    status: Literal["done", "some failed", "all failed", "stopped"]
    started: datetime
    seconds: float
    lists: tuple[ListProgress, ...]
    drift: str
    """Differences between the service and the contract, as a table in text; empty if there are none."""

    @property
    def rows(self) -> int:
        """Records that were stored."""
        return sum(each.rows for each in self.lists)

    @property
    def deleted(self) -> int:
        """Records that were deleted, or marked as deleted."""
        return sum(each.deleted for each in self.lists)

    @property
    def requests(self) -> int:
        """Requests that were answered with something other than 429."""
        return sum(each.requests for each in self.lists)

    @property
    def limited(self) -> int:
        """Answers 429."""
        return sum(each.limited for each in self.lists)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "to": self.plan.to,
            "status": self.status,
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "rows": self.rows,
            "deleted": self.deleted,
            "requests": self.requests,
            "limited": self.limited,
            "drift": self.drift,
            "lists": [
                {
                    "name": each.name,
                    "status": each.status,
                    "rows": each.rows,
                    "deleted": each.deleted,
                    "requests": each.requests,
                    "limited": each.limited,
                    "seconds": round(each.elapsed, 3),
                    "error": each.error,
                    "notes": each.notes,
                }
                for each in self.lists
            ],
        }


def run(plan: Plan, progress: Progress, client: Callable[[], Kantata] | None = None) -> Summary:
    """Sync once.

    Args:
        plan: What to sync.
        progress: Counters; its `stop()` ends the sync at the next page.
        client: Makes the client, for a thread of this process. By default another process reads, with a client from the
            environment.

    Raises:
        UsageError: A list or the destination is unknown, or another sync is writing to the file.
        OSError: The DuckDB file can't be opened, for example because another program has opened it.
        dlt.pipeline.exceptions.PipelineStepFailed: The destination can't be written. The next sync stores what was read.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from kantata_client.sync.process import ProcessReader
    from kantata_client.sync.reader import Reader
    from kantata_client.sync.source import OVERLAP, ListWalk, Options, source_of

    started, began = datetime.now(UTC), time.monotonic()
    specs = {each.name: each for each in select(plan.resources, plan.without)}
    for name in specs:
        progress.for_list(name)
    options = Options(
        since=plan.since,
        full=plan.full,
        overlap=OVERLAP,
        deletions=plan.deletions,
        compare_every=timedelta() if plan.full else plan.compare_every,
        soft_delete=plan.soft_delete,
        on_error="skip",
        nested=select_nested(plan.nested),
    )
    reader = (
        Reader(client, progress) if client is not None else ProcessReader(list(specs), plan.rate, progress)
    )
    walks: dict[str, ListWalk] = {}
    seconds = _FIRST_SLICE_SECONDS
    patience = _Patience(plan.retry_for)
    unfinished = specs
    with _file_lock(plan), reader:
        pipeline = pipeline_of(plan)
        with _open_database(plan):
            pipeline.run()  # restores the state, and stores what the last sync has read if it was killed before
        if isinstance(reader, ProcessReader):
            reader.wait()
        while unfinished and (walks or not progress.stopping):
            progress.next_slice(seconds)
            pipeline.extract(source_of(unfinished.values(), reader, options, walks))
            pipeline.normalize()
            with _open_database(plan):
                pipeline.load()
            seconds = min(2 * seconds, _SLICE_SECONDS)
            unfinished = {
                name: spec for name, spec in unfinished.items() if progress.for_list(name).status == "partial"
            }
            if not unfinished:
                unfinished = {name: specs[name] for name in patience.wait(progress)}
    lists = tuple(each for _, each in sorted(progress.lists.items()))
    failed = [each for each in lists if each.status == "failed"]
    status: Literal["done", "some failed", "all failed", "stopped"]
    if any(each.status in ("waiting", "partial") for each in lists):
        status = "stopped"
    elif failed:
        status = "all failed" if len(failed) == len(lists) else "some failed"
    else:
        status = "done"
    return Summary(plan, status, started, time.monotonic() - began, lists, progress.drift)


class _Patience:
    """Decides whether to read lists again that failed because of the network or the service."""

    def __init__(self, limit: timedelta) -> None:
        self._left = limit.total_seconds()
        self._pause = _FIRST_PAUSE

    def wait(self, progress: Progress) -> list[str]:
        """Wait before the lists are read again.

        Returns:
            Their names; none if this sync has not read any records, if it has waited long enough, or if it is stopped.
        """
        failed = [each.name for each in progress.failed if each.reason == "temporary"]
        has_read = any(each.rows for each in progress.lists.values())
        if not failed or not has_read or progress.stopping or self._pause > self._left:
            return []
        logger.warning("%s failed and will be read again in %d s", ", ".join(failed), self._pause)
        progress.pause(self._pause)
        self._left -= self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return [] if progress.stopping else failed


def pipeline_of(plan: Plan) -> Any:
    """Return the dlt pipeline of a plan.

    Raises:
        UsageError: The destination is unknown.
    """
    import dlt
    from dlt.common.destination.exceptions import UnknownDestinationModule

    file = plan.file
    if file is not None:
        folder = state_folder(file)
        return dlt.pipeline(
            "kantata",
            destination=dlt.destinations.duckdb(str(file)),
            dataset_name=DATASET,
            pipelines_dir=str(folder),
        )
    try:
        return dlt.pipeline("kantata", destination=plan.to, dataset_name="kantata")
    except UnknownDestinationModule:
        msg = f"{plan.to!r} is neither a DuckDB file (such as account.duckdb) nor a destination of dlt (such as postgres)"
        raise UsageError(msg) from None


def state_folder(file: Path) -> Path:
    """Return the folder, beside a DuckDB file, with the state of its syncs."""
    return file.with_name(f"{file.name}.sync")


def past_runs(file: Path) -> list[dict[str, Any]]:
    """Return the summaries of the last 100 syncs into a file, oldest first."""
    path = state_folder(file) / "runs.jsonl"
    if not path.exists():
        return []
    found: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[-100:]:
        with suppress(ValueError):  # a kill or a full disk may have cut a line off
            found.append(json.loads(line))
    return found


def record_run(summary: Summary, file: Path) -> None:
    """Add the summary of a sync to those of the file."""
    path = state_folder(file) / "runs.jsonl"
    torn = ends_within_a_line(path)
    with path.open("a", encoding="utf-8") as runs:
        runs.write(("\n" if torn else "") + json.dumps(summary.to_dict()) + "\n")


def root_cause(error: BaseException) -> BaseException:
    """Return the error that dlt has wrapped, perhaps several times."""
    while not isinstance(error, KantataError):
        inner = getattr(error, "inner_exc", None) or error.__cause__
        if inner is None:
            break
        error = inner
    return error


def has_pending_rows(plan: Plan) -> bool:
    """Whether an earlier sync has read rows that are not stored; the next sync stores them first."""
    return pipeline_of(plan).has_pending_data


@contextmanager
def _open_database(plan: Plan) -> Generator[None]:
    """Keep the DuckDB file open while dlt stores rows.

    dlt opens and closes it for each of hundreds of jobs, which takes longer than the jobs unless it is open already. It is
    closed while nothing is stored, so that other programs can query it.
    """
    if plan.file is None:
        yield
        return
    import duckdb

    try:
        connection = duckdb.connect(str(plan.file))
    except duckdb.Error as error:
        raise OSError(str(error)) from None
    with connection:
        yield


@contextmanager
def _file_lock(plan: Plan) -> Generator[None]:
    """Lock the file against other syncs.

    Raises:
        UsageError: Another sync has locked it, or its folder can't be written.
    """
    file = plan.file
    if file is None:
        yield
        return
    from kantata_client.oauth.private_files import locked

    folder = state_folder(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        msg = f"{file} can't be written ({error.strerror}): choose another file"
        raise UsageError(msg) from None
    try:
        if not locked(handle):
            msg = f"another sync is writing to {file}: wait until it has finished"
            raise UsageError(msg)
        yield
    finally:
        os.close(handle)
