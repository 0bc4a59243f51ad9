"""Schemathesis sends what the contract allows, and what it does not, and looks for answers outside the contract.

`.ci/peers` installs it and names its program in KANTATA_TEST_SCHEMATHESIS; it runs for a minute. `make fuzz` sends as many
cases as KANTATA_FUZZ_EXAMPLES says for each operation, however long that takes. `fuzzed.document` makes the exceptions, and
gives their reasons.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.foreign.fuzzed import document
from tests.foreign.running import running

pytestmark = pytest.mark.foreign

SECONDS = 60
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def test_answers_stay_within_the_contract(tmp_path: Path) -> None:
    described = tmp_path / "contract.json"
    described.write_text(json.dumps(document()), encoding="utf-8")
    examples = os.environ.get("KANTATA_FUZZ_EXAMPLES")
    with running("--clock", "2026-07-01T09:30:00") as sandbox:
        command = [
            *(os.environ["KANTATA_TEST_SCHEMATHESIS"], "--no-color", "--config-file"),
            *(str(Path(__file__).with_name("schemathesis.toml")), "run", str(described)),
            *("--url", sandbox.url, "--header", f"Authorization: Bearer {sandbox.token}"),
            *("--checks", ",".join(CHECKS), "--phases", "fuzzing,stateful", "--continue-on-failure"),
            *("--no-shrink", "--seed", "1", "--generation-database", "none"),
            *(("--max-examples", examples) if examples else ("--max-time", str(SECONDS))),
        ]
        finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    failures = finished.stdout.find("= FAILURES =")  # -1 without: then the end of the report
    report = finished.stdout[failures:] if failures > 0 else finished.stdout[-20_000:]
    assert finished.returncode == 0, report[:20_000] + finished.stderr[-2_000:]
    assert "Selected: 419/419" in finished.stdout
    cases = re.search(r"([\d,]+) generated", finished.stdout)
    assert cases is not None, finished.stdout[-2_000:]
    number = int(cases[1].replace(",", ""))
    assert number >= (419 * int(examples) * 0.8 if examples else 200)
