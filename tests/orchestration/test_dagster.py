"""The Dagster example syncs each partition once, and only changes the second time, within a budget in a real Redis.

`.ci/peers` installs redis-server, and Dagster in its own environment; it names the interpreter in KANTATA_TEST_DAGSTER.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.dagster


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A server of its own, that listens on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path))
    with (
        subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL) as server,
        Redis(port=port, retry=Retry(ConstantBackoff(0.1), 600)) as connection,
    ):
        try:
            connection.ping()
            yield connection
        finally:
            server.terminate()
            server.wait(timeout=60)


def test_partitions_of_all_accounts_sync(tmp_path: Path, redis: Redis) -> None:
    program = Path(__file__).with_name("run_partitions.py")
    environment = {
        **os.environ,
        "KANTATA_WAREHOUSE": str(tmp_path / "warehouse"),
        "KANTATA_REDIS_URL": f"redis://127.0.0.1:{redis.get_connection_kwargs()['port']}",
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    finished = subprocess.run(
        [os.environ["KANTATA_TEST_DAGSTER"], str(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found["counts"]["north time_entries"] == found["counts"]["south time_entries"] == 20_000
    for name, (first, second) in found["rows"].items():
        assert first == found["counts"][name], name
        assert second <= first
    assert found["rows"]["north time_entries"][1] < 100  # only the overlap
    assert len(found["schedules"]) == 2
    evaluated = redis.info("commandstats")
    assert evaluated["cmdstat_evalsha"]["calls"] > 100  # each request took from the budget
    assert evaluated["cmdstat_evalsha"]["failed_calls"] <= 1  # the script is loaded once
