"""Sync several accounts with Dagster: an asset for each account, partitioned by resource and day.

    pip install 'kantata-client[sync,redis,sandbox]' -r examples/orchestration/requirements.txt
    dagster asset materialize -f examples/orchestration/definitions.py --select kantata_north \
        --partition '2026-03-02|users'

Without KANTATA_ACCESS_TOKEN_NORTH the account is a sandbox in the process. With KANTATA_REDIS_URL all processes that work
for an account share its rate limit.
"""

import os
from pathlib import Path

import dagster  # pyright: ignore[reportMissingImports] - not in the environment of the tests
import dlt

from kantata_client import Kantata, RedisThrottle
from kantata_client.sandbox import Sandbox
from kantata_client.sync import Progress, kantata_source

ACCOUNTS = ("north", "south")
RESOURCES = ("time_entries", "users", "workspaces")
FOLDER = Path(os.environ.get("KANTATA_WAREHOUSE", "warehouse"))

partitions = dagster.MultiPartitionsDefinition(
    {
        "day": dagster.DailyPartitionsDefinition(start_date="2026-01-01", end_offset=1),
        "resource": dagster.StaticPartitionsDefinition(RESOURCES),
    }
)
sandboxes: dict[str, Sandbox] = {}


def client_of(account: str) -> Kantata:
    """Make the client of an account."""
    redis = os.environ.get("KANTATA_REDIS_URL")
    throttle = RedisThrottle(redis, f"kantata-{account}") if redis else None
    token = os.environ.get(f"KANTATA_ACCESS_TOKEN_{account.upper()}")
    if token:
        return Kantata(token, throttle=throttle)
    sandbox = sandboxes.setdefault(account, Sandbox(seed="demo"))
    return sandbox.client(throttle=throttle)


def sync(account: str, resource: str) -> Progress:
    """Bring a table of an account up to date. Each has its own pipeline and file, so partitions can run in parallel."""
    folder = FOLDER / account
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    pipeline = dlt.pipeline(
        f"{account}_{resource}",
        destination=dlt.destinations.duckdb(str(folder / f"{resource}.duckdb")),
        dataset_name="main",
        pipelines_dir=str(folder / "state"),
    )
    pipeline.run(kantata_source(resources=[resource], client=lambda: client_of(account), progress=progress))
    return progress


def account_asset(account: str) -> dagster.AssetsDefinition:
    """Make the asset of an account."""

    @dagster.asset(
        name=f"kantata_{account}",
        partitions_def=partitions,
        retry_policy=dagster.RetryPolicy(max_retries=2, delay=60),
    )
    def tables(context: dagster.AssetExecutionContext) -> dagster.MaterializeResult:
        resource = context.partition_key.keys_by_dimension["resource"]
        [counters] = sync(account, resource).lists.values()
        return dagster.MaterializeResult(
            metadata={
                "rows": counters.rows,
                "deleted": counters.deleted,
                "requests": counters.requests,
                "answers 429": counters.limited,
                "notes": "; ".join(counters.notes),
            }
        )

    return tables


assets = [account_asset(account) for account in ACCOUNTS]
daily = [
    dagster.build_schedule_from_partitioned_job(
        dagster.define_asset_job(f"sync_{account}", selection=[asset], partitions_def=partitions),
        hour_of_day=3,
    )
    for account, asset in zip(ACCOUNTS, assets, strict=True)
]
definitions = dagster.Definitions(assets=assets, schedules=daily)
