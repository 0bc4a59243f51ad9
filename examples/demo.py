"""Read all time entries, sum up hours and value, create and delete a few, and sync to a warehouse.

`make demo` runs it against the sandbox, the emulator of the API in this package, over a real socket.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from datetime import date
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio
import duckdb
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kantata_client import Kantata
from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from kantata_client.models import TimeEntry
    from kantata_client.models.inputs import CreateTimeEntry

SQL = """SELECT u.full_name AS person, round(sum(t.time_in_minutes) / 60) AS hours,
       round(100 * sum(t.time_in_minutes) FILTER (t.billable) / sum(t.time_in_minutes)) AS "billable %"
FROM time_entries t JOIN users u ON u.id = t.user_id
GROUP BY ALL ORDER BY hours DESC LIMIT 5"""

MONTHS, WORKSPACES = 3, 12
"""Size of the printed table."""

console = Console()


class Sums:
    """Hours and value by workspace and month."""

    def __init__(self) -> None:
        self.hours: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.value: defaultdict[tuple[str, str], float] = defaultdict(float)

    def add(self, entry: TimeEntry) -> None:
        """Add a time entry. The request included its workspace."""
        workspace, day = entry.workspace, entry.date_performed
        if workspace is None or day is None:
            return
        cell = (workspace.title or workspace.id, f"{day:%Y-%m}")
        hours = (entry.time_in_minutes or 0) / 60
        self.hours[cell] += hours
        if entry.billable:
            self.value[cell] += hours * (entry.rate_in_cents or 0) / 100

    def table(self) -> Table:
        """The workspaces with the most hours in the latest months."""
        months = sorted({month for _, month in self.hours})[-MONTHS:]
        totals: defaultdict[str, float] = defaultdict(float)
        for (workspace, month), hours in self.hours.items():
            totals[workspace] += hours if month in months else 0
        table = Table(
            title="Hours and value by workspace and month",
            box=SIMPLE,
            padding=(0, 1, 0, 0),
            title_justify="left",
        )
        table.add_column("workspace", no_wrap=True, max_width=22)
        for month in months:
            table.add_column(f"{month}\nhours", justify="right", min_width=7)
            table.add_column("\nvalue", justify="right", min_width=7, style="green")
        for workspace in sorted(totals, key=lambda name: -totals[name])[:WORKSPACES]:
            cells: list[str] = []
            for month in months:
                cells += [f"{self.hours[workspace, month]:,.0f}", f"{self.value[workspace, month]:,.0f}"]
            table.add_row(workspace, *cells)
        if len(totals) > WORKSPACES:
            table.add_row(f"… {len(totals) - WORKSPACES} more", style="dim")
        return table


async def walk(kantata: Kantata) -> Sums:
    """Read every time entry with its user, story and workspace, eight pages at a time."""
    entries = kantata.time_entries.list(include=["user", "story", "workspace"])
    sums, requests, began = Sums(), 0, time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("time entries", total=None)
        async for page in entries.pages(concurrency=8):
            for entry in page.items:
                sums.add(entry)
            requests += 1
            progress.update(bar, total=page.count, advance=len(page.items))
    seconds = time.perf_counter() - began
    console.print(
        f"{requests} pages in {seconds:.1f} s: typed objects, each with its user, story and workspace.\n"
    )
    return sums


async def create_and_delete(kantata: Kantata) -> None:
    """Create time entries in bulk, read one back, delete them in bulk."""
    me = await kantata.users.me()
    story = await kantata.stories.list(include=["workspace"], order="created_at:desc").first()
    if story is None or story.workspace_id is None:
        return
    days = [date(2026, 3, day) for day in range(2, 7)]
    rows: list[CreateTimeEntry] = [
        {
            "workspace_id": story.workspace_id,
            "story_id": story.id,
            "date_performed": day,
            "time_in_minutes": 90,
        }
        for day in days
    ]
    created = await kantata.time_entries.create_many(rows)
    created.raise_for_failures()
    first = await kantata.time_entries.get(created.created[0].id, include=["story", "user"])
    console.print(
        f"Created {len(created.done)} time entries in one request; the first is {first.id}, "
        f"{first.time_in_minutes} minutes of {me.full_name} on “{story.title}”, {first.date_performed}."
    )
    deleted = await kantata.time_entries.delete_many(entry.id for entry in created.created)
    deleted.raise_for_failures()
    console.print(f"Deleted {len(deleted.done)} of them in one request.\n")


async def warehouse(url: str, token: str) -> None:
    """Sync a few lists into a DuckDB file with `kantata sync`, and query it."""
    with TemporaryDirectory() as folder:
        file = f"{folder}/account.duckdb"
        lists = "time_entries,workspaces,users"
        command = [
            sys.executable,
            "-m",
            "kantata_client.cli",
            "sync",
            "--to",
            file,
            "--resources",
            lists,
            "--no-report",
        ]
        console.print(f"kantata sync --to account.duckdb --resources {lists}", style="bold")
        environment = {**os.environ, "KANTATA_BASE_URL": url, "KANTATA_ACCESS_TOKEN": token}
        await anyio.run_process(command, env=environment, stdout=None, stderr=None)
        console.print(SQL, style="dim", highlight=False)
        table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
        with duckdb.connect(file) as connection:
            cursor = connection.execute(SQL)
            for column in cursor.description or ():
                table.add_column(column[0], justify="left" if column[0] == "person" else "right")
            for row in cursor.fetchall():
                table.add_row(*map(str, row))
        console.print(table)


async def main() -> None:
    """Run all parts of the demo."""
    with console.status("starting the sandbox with the demo account"):
        sandbox = Sandbox(seed="demo")
    async with sandbox.serve(port=0) as server, Kantata(server.token, base_url=server.url) as kantata:
        console.print(f"The sandbox serves a consultancy's account at {server.url}\n")
        sums = await walk(kantata)
        console.print(sums.table(), "")
        await create_and_delete(kantata)
        if kantata.drift:
            console.print(str(kantata.drift))
        await warehouse(server.url, server.token)
    console.print(
        "Next: README.md shows how to use your own account (KANTATA_ACCESS_TOKEN=… and Kantata()), "
        "docs/ has the guide, and kantata_client/api/ has every operation."
    )


if __name__ == "__main__":
    anyio.run(main)
