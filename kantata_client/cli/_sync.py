"""The command `kantata sync`: an account into a warehouse."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from kantata_client import KantataError, UsageError
from kantata_client.cli._events import parse_moment

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from kantata_client.sync.job import Plan, Summary
    from kantata_client.sync.progress import ListProgress, Progress

SOME_FAILED, ALL_FAILED, STOPPED = 3, 4, 130
"""Exit codes besides 0: all lists were synced, 1: the sync could not start or store, 2: wrong options."""

_SHOWN_LISTS = 24
"""Lists in the live table."""


class Deletions(StrEnum):
    """Values of --deletions."""

    AUTO = "auto"
    IDS = "ids"
    OFF = "off"


def sync(
    to: Annotated[
        str,
        typer.Option(help="A DuckDB file such as account.duckdb, or a destination of dlt such as postgres."),
    ],
    resources: Annotated[
        str | None, typer.Option(help="Names of lists, separated by commas. All of them by default.")
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(help="Lists that are left out, for example because the account lacks an add-on."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="In the first sync, only records updated since: 2026-01-01, or 90d for the last 90 days."
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read all records again, and compare all ids.")
    ] = False,
    every: Annotated[
        str | None, typer.Option(help="Repeat the sync, with this pause in between: 15m, 1h.")
    ] = None,
    deletions: Annotated[
        Deletions,
        typer.Option(
            help="auto: read the change feed and compare ids; ids: only compare ids; off: delete nothing."
        ),
    ] = Deletions.AUTO,
    compare: Annotated[
        str, typer.Option(help="Time between two comparisons of ids: 1d. 0s compares them in each sync.")
    ] = "1d",
    soft_delete: Annotated[
        bool, typer.Option("--soft-delete", help="Keep the rows of deleted records, and set _deleted_at.")
    ] = False,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Requests a second. Found automatically by default.")
    ] = None,
    retry_for: Annotated[
        str,
        typer.Option(
            help="How long to wait in all, to read lists again when the network or the service failed: 10m. 0s does not."
        ),
    ] = "10m",
    report: Annotated[bool, typer.Option(help="Write an HTML report beside the DuckDB file.")] = True,
    rows_a_slice: Annotated[
        int,
        typer.Option("--slice", min=200, help="Records that are read before they are stored."),
    ] = 100_000,
    nested: Annotated[
        str | None,
        typer.Option(
            help="Nested fields that get a child table, such as workspaces.task_statuses, separated by commas; or all."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary, or why there is none, as a line of JSON.")
    ] = False,
) -> None:
    """Copy an account into a warehouse: all lists, with updates and deletions.

    Needs an access token in KANTATA_ACCESS_TOKEN. The first sync reads everything, later ones read changes. Ctrl-C stops
    at the next page. Records that were read are kept, and the next sync continues there, also after a kill or a loss of
    the network.

    Exit codes: 0 all lists were synced, 1 the sync could not start or store, 2 wrong options, 3 some lists failed, 4 all
    lists failed, 130 stopped by Ctrl-C or SIGTERM.
    """
    out = Console(stderr=as_json, highlight=False)
    output = _Output(to, out, report=report, as_json=as_json)
    stop = threading.Event()
    try:
        with _set_on_signals(stop):
            from kantata_client.sync.job import Plan

            plan = Plan(
                to,
                resources=_parse_names("--resources", resources) or None,
                without=_parse_names("--without", without),
                since=_parse_since(since),
                full=full,
                deletions=deletions.value,
                compare_every=_parse_duration("--compare", compare),
                soft_delete=soft_delete,
                nested=_parse_names("--nested", nested),
                rate=rate,
                rows_a_slice=rows_a_slice,
                retry_for=_parse_duration("--retry-for", retry_for),
            )
            pause = None if every is None else _parse_duration("--every", every)
            if pause is not None and pause < timedelta(seconds=1):
                msg = f"--every {every}: give at least 1s"
                raise UsageError(msg)
            code = _sync_repeatedly(plan, pause, output, stop)
    except KantataError as error:
        output.fail("error", str(error))
        raise typer.Exit(1) from None
    except ModuleNotFoundError as error:
        missing = f"kantata sync needs {error.name}, which is not installed"
        output.fail("error", f"{missing}: pip install 'kantata-client[sync]'")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        output.fail("interrupted", "Interrupted. The next sync continues with what was kept.")
        raise typer.Exit(STOPPED) from None
    raise typer.Exit(code)


class _Output:
    """Where messages, summaries and the lines of --json go."""

    def __init__(self, to: str, out: Console, *, report: bool, as_json: bool) -> None:
        self.to = to
        self.out = out
        self.report = report
        self._as_json = as_json

    def fail(self, status: Literal["error", "interrupted"], message: str) -> None:
        """Print why there is no summary."""
        self.out.print(message, markup=False, soft_wrap=True)
        self._print_json({"to": self.to, "status": status, "error": message})

    def finish(self, summary: Summary) -> None:
        """Print the summary, and write the report."""
        self._print_json(summary.to_dict())
        _print_summary(summary, self.out)
        file = summary.plan.file
        if file is not None:
            self._write_report(summary, file)

    def _write_report(self, summary: Summary, file: Path) -> None:
        from duckdb import Error

        from kantata_client.sync.job import record_run
        from kantata_client.sync.report import write

        try:
            record_run(summary, file)
            if self.report:
                self.out.print(f"Report: {write(summary, file)}", markup=False, soft_wrap=True)
        except (OSError, Error) as error:
            self.out.print(f"The report could not be written: {error}", markup=False, soft_wrap=True)

    def _print_json(self, values: dict[str, Any]) -> None:
        if self._as_json:
            sys.stdout.write(json.dumps(values) + "\n")
            sys.stdout.flush()


@contextmanager
def _set_on_signals(stop: threading.Event) -> Generator[None]:
    """Set the event on the first Ctrl-C or SIGTERM; end the program on the second. Only the main thread receives signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    former = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


def _sync_repeatedly(plan: Plan, pause: timedelta | None, output: _Output, stop: threading.Event) -> int:
    """Sync once, or until `stop` is set; with a pause, a sync that can't store is repeated like any other.

    Returns:
        The exit code of the last sync.
    """
    from dlt.common.exceptions import DltException

    from kantata_client.sync import job
    from kantata_client.sync.process import ease_garbage_collection
    from kantata_client.sync.progress import Progress

    import_module("kantata_client.sync.source")  # with dlt, whose modules are many
    ease_garbage_collection()
    is_first = True
    while True:
        progress = Progress(rows=plan.rows_a_slice, stop=stop)
        try:
            with _live_table(progress, output.out):
                summary = job.run(plan, progress)
        except (KeyboardInterrupt, KantataError, DltException, OSError) as error:
            cause = job.root_cause(error)
            if isinstance(cause, KeyboardInterrupt):
                output.fail("interrupted", f"Interrupted. {_describe_kept(plan, progress)}")
                return STOPPED
            if isinstance(cause, KantataError):
                if is_first or pause is None:
                    raise cause from None
                output.fail("error", str(cause))
            else:
                reason = " ".join(str(cause).split()) or type(cause).__name__
                kept = _describe_kept(plan, progress)
                output.fail("error", f"{plan.to} could not be written: {reason}\n{kept}")
            code = 1
        else:
            output.finish(summary)
            codes = {"done": 0, "stopped": STOPPED, "some failed": SOME_FAILED, "all failed": ALL_FAILED}
            code = codes[summary.status]
        is_first = False
        if pause is None or stop.is_set():
            return code
        output.out.print(f"Next sync in {_format_duration(pause.total_seconds())}; press Ctrl-C to end.")
        if _wait(stop, pause.total_seconds()):
            return code


def _describe_kept(plan: Plan, progress: Progress) -> str:
    """Say which records are kept of a sync that ended early."""
    from kantata_client.sync import job

    text = f"{progress.stored:,} records of this sync are stored"
    read = sum(each.rows for each in progress.lists.values())
    if read > progress.stored and job.has_pending_rows(plan):
        text += f", and the next sync stores {read - progress.stored:,} more that were read"
    return f"{text}; the same command continues there."


def _wait(stop: threading.Event, seconds: float) -> bool:
    """Wait until the time is over, or a signal sets the event; return whether it is set."""
    until = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < until:
        time.sleep(min(0.2, seconds))
    return stop.is_set()


@contextmanager
def _live_table(progress: Progress, out: Console) -> Generator[None]:
    """Show the live table if the output is a terminal."""
    library_logger = logging.getLogger("kantata_client")
    previous_level = library_logger.level
    if not out.is_terminal:
        yield
        return
    library_logger.setLevel(logging.ERROR)  # log lines would break the table
    try:
        with Live(
            get_renderable=lambda: progress_table(progress), console=out, refresh_per_second=4, transient=True
        ):
            yield
    finally:
        library_logger.setLevel(previous_level)


def progress_table(progress: Progress) -> Table:
    """Return a table of all lists: first those being read, then those with most rows."""
    started = sorted(
        (each for each in progress.lists.values() if each.status != "waiting"),
        key=lambda each: (each.status != "reading", -each.rows),
    )
    title = "stopping at the next page …" if progress.stopping else None
    if title is None and progress.resumes is not None:
        seconds = max(0.0, progress.resumes - time.monotonic())
        title = f"lists that failed are read again in {_format_duration(seconds)} …"
    rows = Table(
        "list",
        "rows",
        "deleted",
        "requests",
        "429",
        "rows/s",
        "left",
        "",
        title=title,
        box=None,
        pad_edge=False,
    )
    for column in rows.columns[1:7]:
        column.justify = "right"
    for each in started[:_SHOWN_LISTS]:
        rows.add_row(*_progress_cells(each))
    waiting = sum(each.status == "waiting" for each in progress.lists.values())
    more = len(started) - _SHOWN_LISTS
    if more > 0 or waiting:
        rows.add_row(f"… {max(more, 0)} more, {waiting} waiting", style="dim")
    total = sum(each.rows for each in progress.lists.values())
    rows.add_row("all", f"{total:,}", style="bold")
    return rows


def _progress_cells(each: ListProgress) -> list[str]:
    rows = f"{each.rows:,}"
    if each.expected and each.status == "reading" and each.expected > each.rows:
        rows += f" of {each.expected:,}"
    eta = each.eta
    state = {"reading": "", "done": "[green]done[/]", "partial": "more to come", "failed": "[red]failed[/]"}
    return [
        each.name,
        rows,
        f"{each.deleted:,}" if each.deleted else "",
        f"{each.requests:,}",
        f"[yellow]{each.limited:,}[/]" if each.limited else "",
        f"{each.rate:,.0f}" if each.rows else "",
        _format_duration(eta) if eta is not None else "",
        state.get(each.status, ""),
    ]


def _print_summary(summary: Summary, out: Console) -> None:
    """Print the summary as text."""
    done = [each for each in summary.lists if each.status == "done"]
    rows, deleted = f"{summary.rows:,} records", f"{summary.deleted:,} deleted"
    out.print(
        f"{len(done)} of {len(summary.lists)} lists in {_format_duration(summary.seconds)}: {rows} stored, {deleted}; "
        f"{summary.requests:,} requests, {summary.limited:,} of them answered 429."
    )
    for each in sorted(summary.lists, key=lambda each: -each.rows)[:8]:
        if each.rows or each.deleted:
            out.print(f"  {each.name}: {each.rows:,} stored, {each.deleted:,} deleted", markup=False)
    for each in summary.lists:
        for note in each.notes:
            out.print(f"  {each.name}: {note}", markup=False, soft_wrap=True)
    failed = [each for each in summary.lists if each.status == "failed"]
    for each in failed:
        out.print(f"  {each.name} failed: {each.error}", markup=False, soft_wrap=True, style="red")
    denied = ",".join(each.name for each in failed if each.reason == "denied")
    if summary.status == "some failed" and denied:
        out.print(f"To leave out lists that the account may not read: --without {denied}", soft_wrap=True)
    if summary.drift:
        out.print("The service differs from the contract; unknown fields are in the column _extra:")
        out.print(summary.drift, markup=False, soft_wrap=True)
    if summary.status == "stopped":
        unfinished = [each.name for each in summary.lists if each.status in ("partial", "waiting")]
        names = ", ".join(unfinished[:6])
        if len(unfinished) > 6:
            names += f" and {len(unfinished) - 6} more"
        out.print(f"Stopped. {rows} are kept; the same command continues with {names}.", markup=False)


def _parse_names(option: str, text: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and not names:
        msg = (
            f"{option} {text!r}: expected names, separated by commas; without the option the default applies"
        )
        raise UsageError(msg)
    return names


def _parse_since(text: str | None) -> datetime | None:
    now = datetime.now(UTC)
    begin = parse_moment(text)
    if isinstance(begin, timedelta):
        try:
            begin = now - begin
        except OverflowError:
            msg = f"--since {text}: that is before the year 1"
            raise UsageError(msg) from None
    if begin is not None and begin > now:
        msg = f"--since {text} is in the future: no record was updated since then"
        raise UsageError(msg)
    return begin


def _parse_duration(option: str, text: str) -> timedelta:
    duration = parse_moment(text)
    if not isinstance(duration, timedelta):
        msg = f"{option} {text}: expected a duration such as 15m, 1h or 1d"
        raise UsageError(msg)
    return duration


def _format_duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {whole % 60:02} s"
