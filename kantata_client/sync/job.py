"""One sync from beginning to end, as `kantata sync` runs it: in slices, so that a stop or a kill loses little."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from kantata_client.errors import UsageError
from kantata_client.sync.lists import chosen
from kantata_client.sync.progress import ListProgress, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from kantata_client.client import Kantata

ROWS_A_SLICE = 50_000
"""Records of a list that are read before they are stored and their place is kept."""
DATASET = "main"
"""Schema of the tables in a DuckDB file: the one that queries use by default."""

_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "RUNTIME__INTERCEPT_SIGNALS": "false",  # a first Ctrl-C stops reading, and what was read is stored
}
"""Settings of dlt, unless the environment has others."""


@attrs.frozen
class Plan:
    """What to sync, and where to."""

    to: str
    """A DuckDB file, or the name of a dlt destination, which finds its credentials in dlt's configuration."""
    resources: tuple[str, ...] | None = None
    since: datetime | None = None
    full: bool = False
    deletions: Literal["auto", "ids", "off"] = "auto"
    compare_every: timedelta = timedelta(days=1)
    soft_delete: bool = False
    rate: float | None = None
    """Requests a second; adaptive by default."""
    rows_a_slice: int = ROWS_A_SLICE

    @property
    def file(self) -> Path | None:
        """The DuckDB file."""
        named = self.to.endswith((".duckdb", ".ddb", ".db")) or "/" in self.to or os.sep in self.to
        return Path(self.to).absolute() if named else None


@attrs.frozen
class Summary:
    """How a sync went."""

    plan: Plan
    status: Literal["done", "some failed", "all failed", "stopped"]
    started: datetime
    seconds: float
    lists: tuple[ListProgress, ...]
    drift: str
    """Where the service differs from the contract, as a table; empty where it does not."""

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
        """Requests that were answered with a page, or counted something."""
        return sum(each.requests for each in self.lists)

    @property
    def limited(self) -> int:
        """Answers 429."""
        return sum(each.limited for each in self.lists)

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
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
        progress: Counters to watch; `stop()` ends the sync at the next page.
        client: Makes the client; from the environment by default.

    Raises:
        UsageError: A list or the destination does not exist, or another sync uses the file.
        dlt.pipeline.exceptions.PipelineStepFailed: The destination can't be written. What was read is stored by the next
            sync.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from kantata_client.sync.source import kantata_source

    started, began = datetime.now(UTC), time.monotonic()
    left: set[str] = {each.name for each in chosen(plan.resources)}
    for name in sorted(left):
        progress.of(name)
    with _alone(plan):
        pipeline = pipeline_of(plan)
        if pipeline.has_pending_data:  # a former sync was stopped between reading and storing
            pipeline.run()
        first = True
        while left and not progress.stopping:
            progress.next_slice()
            source = kantata_source(
                resources=sorted(left),
                since=plan.since,
                full=plan.full and first,
                deletions=plan.deletions,
                compare_every=timedelta() if plan.full else plan.compare_every,
                soft_delete=plan.soft_delete,
                on_error="skip",
                throttle=plan.rate,
                client=client,
                progress=progress,
            )
            pipeline.run(source)
            first = False
            left = {name for name in left if progress.of(name).status == "partial"}
    lists = tuple(each for _, each in sorted(progress.lists.items()))
    failed = [each for each in lists if each.status == "failed"]
    status = (
        ("all failed" if len(failed) == len(lists) else "some failed")
        if failed
        else "stopped"
        if any(each.status != "done" for each in lists)
        else "done"
    )
    return Summary(plan, status, started, time.monotonic() - began, lists, progress.drift)


def pipeline_of(plan: Plan) -> Any:
    """The dlt pipeline of a plan.

    Raises:
        UsageError: There is no such destination.
    """
    import dlt
    from dlt.common.destination.exceptions import UnknownDestinationModule

    file = plan.file
    if file is not None:
        folder = folder_of(file)
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


def folder_of(file: Path) -> Path:
    """The folder beside a DuckDB file that has the state of its syncs."""
    return file.with_name(f"{file.name}.sync")


def remembered(file: Path) -> list[dict[str, Any]]:
    """The summaries of the last syncs into a file, oldest first."""
    path = folder_of(file) / "runs.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[-100:]]


def remember(summary: Summary, file: Path) -> None:
    """Add a summary to those of the file."""
    with (folder_of(file) / "runs.jsonl").open("a", encoding="utf-8") as runs:
        runs.write(json.dumps(summary.to_dict()) + "\n")


@contextmanager
def stopping_on_signals(progress: Progress) -> Generator[None]:
    """Let the first Ctrl-C or SIGTERM stop the sync at the next page, and the second one end the program."""

    def stop(number: int, frame: object) -> None:
        if progress.stopping:
            raise KeyboardInterrupt
        progress.stop()

    former = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


@contextmanager
def _alone(plan: Plan) -> Generator[None]:
    """Keep other syncs away from the file."""
    file = plan.file
    if file is None:
        yield
        return
    from kantata_client.oauth.private_files import locked

    folder = folder_of(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        msg = f"{file} can't be written ({error.strerror}): name another file"
        raise UsageError(msg) from None
    try:
        if not locked(handle):
            msg = f"another sync writes to {file}: wait for its end"
            raise UsageError(msg)
        yield
    finally:
        os.close(handle)
