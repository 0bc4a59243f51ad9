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
import sys
import time
from pathlib import Path

import pytest

from tests.foreign.fuzzed import document
from tests.foreign.running import running

pytestmark = pytest.mark.foreign

SECONDS = 60
SCENARIOS = "scenarios; the first 419 are the operations, the others chains of requests"
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
        returned, output = _run(command, tmp_path, shown=examples is not None)
    failures = output.find("= FAILURES =")  # -1 without: then the end of the report
    report = output[failures:] if failures > 0 else output[-20_000:]
    assert returned == 0, report[:20_000]
    assert "Selected: 419/419" in output
    cases = re.search(r"([\d,]+) generated", output)
    assert cases is not None, output[-2_000:]
    number = int(cases[1].replace(",", ""))
    if examples:
        sys.stderr.write(f"{number:,} cases; {_links(output)}\n")
    assert number >= (419 * int(examples) * 0.8 if examples else 200)


def _run(command: list[str], folder: Path, *, shown: bool) -> tuple[int, str]:
    """Run schemathesis; returns its status and its output. With `shown`, print how far it is every 10 seconds."""
    events, output = folder / "events.ndjson", folder / "output.txt"
    command = [*command, "--report", "ndjson", "--report-ndjson-path", str(events)]
    started = time.monotonic()
    with (
        output.open("wb") as written,
        subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT, cwd=folder) as process,
    ):
        while True:
            try:
                returned = process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                if shown:
                    done = events.read_bytes().count(b'{"ScenarioFinished"') if events.exists() else 0
                    sys.stderr.write(f"{time.monotonic() - started:.0f} s: {done} {SCENARIOS}\n")
            else:
                return returned, output.read_text(encoding="utf-8")


def _links(output: str) -> str:
    found = re.search(r"API Links: +(.*)", output)
    return "no links" if found is None else f"links: {found[1]}"
