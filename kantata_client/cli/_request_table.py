"""The live table of requests of `kantata sandbox --live`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from kantata_client.sandbox import Sandbox

_SECONDS = 0.25
_SHOWN = 15


def console() -> Console:
    """The console on standard error, where the table is shown."""
    return Console(stderr=True)


async def watch(sandbox: Sandbox) -> None:
    """Show the latest requests until cancelled."""
    with Live(table(sandbox), console=console(), auto_refresh=False) as live:
        while True:
            live.update(table(sandbox), refresh=True)
            await anyio.sleep(_SECONDS)


def table(sandbox: Sandbox) -> Table:
    """The latest requests, the newest at the bottom, below the totals."""
    rows = list(sandbox.requests)
    failed = sum(row.status >= 400 or row.status == 0 for row in rows)
    title = f"{len(rows):,} requests, {failed:,} failed · {sandbox.store.now()}"
    made = Table("Method", "Path", "Query", "Status", title=title, expand=True)
    for row in rows[-_SHOWN:]:
        query = "&".join(f"{name}={value}" for name, value in row.query)
        style = "red" if row.status >= 400 or row.status == 0 else ""
        made.add_row(row.method, row.path, query, str(row.status or "-"), style=style)
    return made
