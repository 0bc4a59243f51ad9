"""The Dagster example syncs each partition once, and only changes the second time.

`.ci/peers` installs Dagster in its own environment and names its interpreter in KANTATA_TEST_DAGSTER.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.dagster


def test_partitions_of_all_accounts_sync(tmp_path: Path) -> None:
    program = Path(__file__).with_name("run_partitions.py")
    environment = {
        **os.environ,
        "KANTATA_WAREHOUSE": str(tmp_path / "warehouse"),
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
        timeout=300,
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
