"""The command `kantata sync`: an account into a warehouse."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from kantata_client import KantataError, UsageError
from kantata_client.cli._events import parse_moment

if TYPE_CHECKING:
    from collections.abc import Generator

    from kantata_client.sync.job import Summary
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
    report: Annotated[bool, typer.Option(help="Write an HTML report beside the DuckDB file.")] = True,
    rows_a_slice: Annotated[
        int,
        typer.Option("--slice", min=200, help="Records of a list that are read before they are stored."),
    ] = 50_000,
    nested: Annotated[
        str | None,
        typer.Option(
            help="Nested fields that get a child table, such as workspaces.task_statuses, separated by commas; or all."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as a line of JSON.")] = False,
) -> None:
    """Copy an account into a warehouse: all lists, with updates and deletions.

    Needs an access token in KANTATA_ACCESS_TOKEN. The first sync reads everything, later ones read changes. Ctrl-C stops
    at the next page. Records that were read are kept, and the next sync continues there, also after a kill or a loss of
    the network.

    Exit codes: 0 all lists were synced, 1 the sync could not start or store, 2 wrong options, 3 some lists failed, 4 all
    lists failed, 130 stopped by Ctrl-C.
    """
    out = Console(stderr=as_json, highlight=False)
    try:
        from kantata_client.sync.job import Plan

        begin = parse_moment(since)
        plan = Plan(
            to,
            _names(resources) or None,
            datetime.now(UTC) - begin if isinstance(begin, timedelta) else begin,
            full,
            deletions.value,
            _parse_duration("--compare", compare),
            soft_delete,
            rate,
            rows_a_slice,
            _names(nested),
        )
        pause = None if every is None else _parse_duration("--every", every)
        code = _sync_repeatedly(plan, pause, out, report=report, as_json=as_json)
    except KantataError as error:
        out.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except ModuleNotFoundError as error:
        missing = f"kantata sync needs {error.name}, which is not installed"
        out.print(f"{missing}: pip install 'kantata-client[sync]'", markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        out.print("Interrupted. The next sync continues with what was kept.")
        raise typer.Exit(STOPPED) from None
    raise typer.Exit(code)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _sync_repeatedly(plan: Any, pause: timedelta | None, out: Console, *, report: bool, as_json: bool) -> int:
    from dlt.pipeline.exceptions import PipelineStepFailed

    from kantata_client.sync import job
    from kantata_client.sync.progress import Progress
    from kantata_client.sync.report import write

    while True:
        progress = Progress(rows=plan.rows_a_slice)
        with job.stop_on_signals(progress):
            try:
                with _live_table(progress, out):
                    summary = job.run(plan, progress)
            except PipelineStepFailed as error:
                out.print(f"{plan.to} could not be written: {error.__cause__}", markup=False, soft_wrap=True)
                out.print("The records that were read are kept; the next sync stores them.")
                return 1
            if plan.file is not None:
                job.record_run(summary, plan.file)
                if report:
                    write(summary, plan.file)
            if as_json:
                sys.stdout.write(json.dumps(summary.to_dict()) + "\n")
                sys.stdout.flush()
            _print_summary(summary, out, report=report)
            code = {"done": 0, "stopped": STOPPED, "some failed": SOME_FAILED, "all failed": ALL_FAILED}[
                summary.status
            ]
            if pause is None or summary.status == "stopped":
                return code
            out.print(f"Next sync in {_format_duration(pause.total_seconds())}; press Ctrl-C to end.")
            until = time.monotonic() + pause.total_seconds()
            while time.monotonic() < until:
                if progress.stopping:
                    return code
                time.sleep(0.2)


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


def _print_summary(summary: Summary, out: Console, *, report: bool) -> None:
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
    for each in summary.lists:
        if each.status == "failed":
            out.print(f"  {each.name} failed: {each.error}", markup=False, soft_wrap=True, style="red")
    if summary.drift:
        out.print("The service differs from the contract; unknown fields are in the column _extra:")
        out.print(summary.drift, markup=False, soft_wrap=True)
    if summary.status == "stopped":
        unfinished = [each.name for each in summary.lists if each.status in ("partial", "waiting")]
        names = ", ".join(unfinished[:6])
        if len(unfinished) > 6:
            names += f" and {len(unfinished) - 6} more"
        out.print(f"Stopped. {rows} are kept; the same command continues with {names}.", markup=False)
    file = summary.plan.file
    if report and file is not None:
        from kantata_client.sync.report import report_path

        out.print(f"Report: {report_path(file)}", markup=False, soft_wrap=True)


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
