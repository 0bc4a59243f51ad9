"""Materializes partitions of the Dagster example, and prints what is in the warehouse; run by Dagster's interpreter."""

import json
import sys

import dagster
import duckdb

from examples.orchestration import definitions


def main() -> None:
    rows: dict[str, list[int]] = {}
    with dagster.DagsterInstance.ephemeral() as instance:
        for account, asset in zip(definitions.ACCOUNTS, definitions.assets, strict=True):
            for day in ("2026-03-01", "2026-03-02"):
                for resource in definitions.RESOURCES:
                    key = dagster.MultiPartitionKey({"day": day, "resource": resource})
                    result = dagster.materialize([asset], instance=instance, partition_key=key)
                    assert result.success
                    [event] = result.get_asset_materialization_events()
                    metadata = event.materialization.metadata
                    rows.setdefault(f"{account} {resource}", []).append(metadata["rows"].value)
    counts: dict[str, int] = {}
    for account in definitions.ACCOUNTS:
        for resource in definitions.RESOURCES:
            with duckdb.connect(str(definitions.FOLDER / account / f"{resource}.duckdb")) as connection:
                [[count]] = connection.execute(f"SELECT count(*) FROM main.{resource}").fetchall()
            counts[f"{account} {resource}"] = count
    schedules = [schedule.name for schedule in definitions.daily]
    sys.stdout.write(json.dumps({"rows": rows, "counts": counts, "schedules": schedules}) + "\n")


main()
