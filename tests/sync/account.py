"""A pipeline from a sandbox into a DuckDB file, and comparisons of the two."""

from __future__ import annotations

import logging
import os
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")

import dlt
import duckdb

from kantata_client.sync import Progress, kantata_source
from kantata_client.sync.catalog import lists

if TYPE_CHECKING:
    from pathlib import Path

    from kantata_client.sandbox import Sandbox

logging.getLogger("dlt").setLevel(logging.ERROR)

DATASET = "kantata"


class Target:
    """A DuckDB file, and the pipeline that fills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "warehouse.duckdb"

    def pipeline(self) -> Any:
        return dlt.pipeline(
            "kantata",
            destination=dlt.destinations.duckdb(str(self.file)),
            dataset_name=DATASET,
            pipelines_dir=str(self.folder / "state"),
        )

    def sync(self, sandbox: Sandbox, *resources: str, **options: Any) -> Progress:
        """Run once, and return the counters."""
        progress = options.pop("progress", None) or Progress()
        options.setdefault("client", sandbox.client)
        source = kantata_source(resources=resources or None, progress=progress, **options)
        self.pipeline().run(source)
        return progress

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file)) as connection:
            connection.execute(f"SET TimeZone = 'UTC'; USE {DATASET}")
            return connection.execute(sql).fetchall()

    def table(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the rows by id."""
        return table_in(self.file, DATASET, name)

    def types(self, name: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self.rows(f"DESCRIBE {name}")}


def differences(target: Target, sandbox: Sandbox, name: str, fields: tuple[str, ...]) -> list[str]:
    """List the differences between a table of a target and the sandbox's store."""
    return differences_in(target.file, DATASET, sandbox, name, fields)


def table_in(file: Path, schema: str, name: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by id."""
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        cursor = connection.execute(f"SELECT * FROM {schema}.{name}")
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {row[lists()[name].key]: row for row in rows}


def differences_in(
    file: Path, schema: str, sandbox: Sandbox, name: str, fields: tuple[str, ...]
) -> list[str]:
    """List the differences between a table and the sandbox's store."""
    stored = {record["id"]: record for record in sandbox.store.all(lists()[name].operation.key or name)}
    loaded = table_in(file, schema, name)
    found = [f"{name} {identity} is not in the warehouse" for identity in stored.keys() - loaded.keys()]
    found += [f"{name} {identity} is not in the store" for identity in loaded.keys() - stored.keys()]
    for identity in stored.keys() & loaded.keys():
        for field in fields:
            one, other = stored[identity].get(field), loaded[identity][field]
            if isinstance(other, datetime):
                other = other.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            elif isinstance(other, date):
                other = other.isoformat()
            if one != other:
                found.append(f"{name} {identity}.{field}: {other!r} instead of {one!r}")
    return found


def shorten(sandbox: Sandbox, entries: int) -> None:
    """Drop time entries from the demo account, without events."""
    watch, sandbox.store.watch = sandbox.store.watch, None
    for identity in sandbox.store.ids("time_entries")[entries:]:
        sandbox.store.remove("time_entries", identity)
    sandbox.store.watch = watch


def change_entries(sandbox: Sandbox, *, deleted: int = 7, changed: int = 9, created: int = 5) -> None:
    """Delete, update and create time entries, as other users do between two syncs."""
    store = sandbox.store
    ids = store.ids("time_entries")
    for identity in ids[3 : 3 + deleted]:
        store.remove("time_entries", identity)
    for identity in ids[50 : 50 + changed]:
        store.change("time_entries", identity, notes=f"changed {identity}")
    for number in range(created):
        template = store.get("time_entries", ids[200]) or {}
        moment = store.now()
        row = {k: v for k, v in template.items() if k != "id"}
        store.put(
            "time_entries", {**row, "notes": f"new {number}", "created_at": moment, "updated_at": moment}
        )
