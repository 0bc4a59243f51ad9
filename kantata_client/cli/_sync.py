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
from kantata_client.cli._events import moment

if TYPE_CHECKING:
    from collections.abc import Generator

    from kantata_client.sync.job import Summary
    from kantata_client.sync.progress import ListProgress, Progress

SOME_FAILED, ALL_FAILED, STOPPED = 3, 4, 130
"""Exit codes; 0: all lists were synced, 1: nothing could be started or stored, 2: wrong options."""

_MOST_LISTS = 24
"""Lines of the live table."""


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
            help="Only records updated since, in the first sync: 2026-01-01, or 90d for the last 90 days."
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything again, and compare all ids.")] = False,
    every: Annotated[
        str | None, typer.Option(help="Sync again and again, with this long in between: 15m, 1h.")
    ] = None,
    deletions: Annotated[
        Deletions,
        typer.Option(help="auto: the change feed and ids; ids: only compare ids; off: delete nothing."),
    ] = Deletions.AUTO,
    compare: Annotated[
        str, typer.Option(help="How often ids are compared: 1d. 0s compares them in each sync.")
    ] = "1d",
    soft_delete: Annotated[
        bool, typer.Option("--soft-delete", help="Keep deleted records, with the time in _deleted_at.")
    ] = False,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Requests a second. Found out by default.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Write an HTML report beside the DuckDB file.")] = True,
    rows_a_slice: Annotated[
        int,
        typer.Option("--slice", min=200, help="Records of a list that are read before they are stored."),
    ] = 50_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as a line of JSON.")] = False,
) -> None:
    """Keep a warehouse equal to an account: all lists, with updates and deletions.

    Reads KANTATA_ACCESS_TOKEN. The first sync reads everything, later ones what changed. Ctrl-C stops at the next page: what
    was read is kept, and the next sync continues there; so it does after a kill or a loss of the network.

    Exit codes: 0 all lists were synced, 1 nothing could be started or stored, 2 wrong options, 3 some lists failed, 4 all
    lists failed, 130 stopped by Ctrl-C.
    """
    out = Console(stderr=as_json, highlight=False)
    try:
        from kantata_client.sync.job import Plan

        begin = moment(since)
        plan = Plan(
            to,
            tuple(name.strip() for name in resources.split(",") if name.strip()) if resources else None,
            datetime.now(UTC) - begin if isinstance(begin, timedelta) else begin,
            full,
            deletions.value,
            _span("--compare", compare),
            soft_delete,
            rate,
            rows_a_slice,
        )
        pause = None if every is None else _span("--every", every)
        code = _loop(plan, pause, out, report=report, as_json=as_json)
    except KantataError as error:
        out.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except ModuleNotFoundError as error:
        missing = f"kantata sync needs {error.name}, which is not installed"
        out.print(f"{missing}: pip install 'kantata-client[sync]'", markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        out.print("Ended in the middle. The next sync takes up what was kept.")
        raise typer.Exit(STOPPED) from None
    raise typer.Exit(code)


def _loop(plan: Any, pause: timedelta | None, out: Console, *, report: bool, as_json: bool) -> int:
    from dlt.pipeline.exceptions import PipelineStepFailed

    from kantata_client.sync import job
    from kantata_client.sync.progress import Progress
    from kantata_client.sync.report import write

    while True:
        progress = Progress(rows=plan.rows_a_slice)
        with job.stopping_on_signals(progress):
            try:
                with _shown(progress, out):
                    summary = job.run(plan, progress)
            except PipelineStepFailed as error:
                out.print(f"{plan.to} could not be written: {error.__cause__}", markup=False, soft_wrap=True)
                out.print("What was read is kept, and is stored by the next sync.")
                return 1
            if plan.file is not None:
                job.remember(summary, plan.file)
                if report:
                    write(summary, plan.file)
            if as_json:
                sys.stdout.write(json.dumps(summary.to_dict()) + "\n")
                sys.stdout.flush()
            _tell(summary, out, report=report)
            code = {"done": 0, "stopped": STOPPED, "some failed": SOME_FAILED, "all failed": ALL_FAILED}[
                summary.status
            ]
            if pause is None or summary.status == "stopped":
                return code
            out.print(f"Next sync in {_lasting(pause.total_seconds())}; Ctrl-C ends.")
            until = time.monotonic() + pause.total_seconds()
            while time.monotonic() < until:
                if progress.stopping:
                    return code
                time.sleep(0.2)


@contextmanager
def _shown(progress: Progress, out: Console) -> Generator[None]:
    """The live table, where there is a terminal."""
    quiet = logging.getLogger("kantata_client")
    former = quiet.level
    if not out.is_terminal:
        yield
        return
    quiet.setLevel(logging.ERROR)  # lines of the log would tear the table
    try:
        with Live(get_renderable=lambda: table(progress), console=out, refresh_per_second=4, transient=True):
            yield
    finally:
        quiet.setLevel(former)


def table(progress: Progress) -> Table:
    """How far each list is: those that are being read, then those that have most to show."""
    found = sorted(
        (each for each in progress.lists.values() if each.status != "waiting"),
        key=lambda each: (each.status != "reading", -each.rows),
    )
    title = "stopping at the next page …" if progress.stopping else None
    made = Table(
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
    for column in made.columns[1:7]:
        column.justify = "right"
    for each in found[:_MOST_LISTS]:
        made.add_row(*_cells(each))
    waiting = sum(each.status == "waiting" for each in progress.lists.values())
    more = len(found) - _MOST_LISTS
    if more > 0 or waiting:
        made.add_row(f"… {max(more, 0)} more, {waiting} waiting", style="dim")
    total = sum(each.rows for each in progress.lists.values())
    made.add_row("all", f"{total:,}", style="bold")
    return made


def _cells(each: ListProgress) -> list[str]:
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
        _lasting(eta) if eta is not None else "",
        state.get(each.status, ""),
    ]


def _tell(summary: Summary, out: Console, *, report: bool) -> None:
    """The summary in words."""
    done = [each for each in summary.lists if each.status == "done"]
    rows, deleted = f"{summary.rows:,} records", f"{summary.deleted:,} deleted"
    out.print(
        f"{len(done)} of {len(summary.lists)} lists in {_lasting(summary.seconds)}: {rows} stored, {deleted}; "
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
        out.print("The service differs from the contract (unknown fields are in the column _extra):")
        out.print(summary.drift, markup=False, soft_wrap=True)
    if summary.status == "stopped":
        kept = [each for each in summary.lists if each.status in ("partial", "waiting")]
        names = ", ".join(each.name for each in kept[:6]) + (
            f" and {len(kept) - 6} more" if len(kept) > 6 else ""
        )
        out.print(f"Stopped. {rows} are kept; the same command continues with {names}.", markup=False)
    file = summary.plan.file
    if report and file is not None:
        from kantata_client.sync.report import place

        out.print(f"Report: {place(file)}", markup=False, soft_wrap=True)


def _span(option: str, text: str) -> timedelta:
    found = moment(text)
    if not isinstance(found, timedelta):
        msg = f"{option} {text}: give a span such as 15m, 1h or 1d"
        raise UsageError(msg)
    return found


def _lasting(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {whole % 60:02} s"
