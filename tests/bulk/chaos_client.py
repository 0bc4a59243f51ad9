"""The client of the chaos test, a process that can be killed: creates time entries, and writes down how far it came.

Arguments: base URL, token, project, journal, `keyed` or `unkeyed`. Which items to create it reads from its standard input.
Ends with 0 when every item is created.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from kantata_client import ExternalReferenceKey, FixedRate, Kantata, RetryPolicy, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def main(url: str, token: str, workspace: str, journal: str, way: str) -> int:
    todo: list[int] = json.load(sys.stdin)
    row = {"workspace_id": int(workspace), "date_performed": "2026-01-05", "time_in_minutes": 30}
    rows = [{**row, "notes": str(index)} for index in todo]
    # Lines reach the system one by one, so that they outlive the process.
    with Path(journal).open("a", buffering=1) as file:  # noqa: ASYNC230 - nothing else runs

        async def source() -> AsyncIterator[dict[str, Any]]:
            for each in rows:
                file.write(f"began {each['notes']}\n")
                yield each

        key = ExternalReferenceKey("erp", "line", ref=lambda item: f"L-{item['notes']}", patience=1.5)
        undone = 0
        async with Kantata(
            token,
            base_url=url,
            timeout=Timeouts(connect=2, read=0.5, write=2),
            retries=RetryPolicy(retries=4, initial=0.01, maximum=0.03),
            throttle=FixedRate(2_000),
        ) as kantata:
            entries = kantata.time_entries
            run = (
                entries.create_many(rows, key=key, concurrency=8)
                if way == "keyed"
                else entries.create_many(source())
            )
            async for outcome in run:
                undone += outcome.status != "done"
                file.write(f"{outcome.status} {outcome.item['notes']}\n")
    return 3 if undone else 0


if __name__ == "__main__":
    sys.exit(anyio.run(main, *sys.argv[1:]))
