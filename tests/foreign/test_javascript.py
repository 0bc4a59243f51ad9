"""The JavaScript test in the docs, as its reader runs it: with `node --test`, against `kantata sandbox`."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.foreign.running import running

pytestmark = pytest.mark.foreign

DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"


def documented() -> str:
    """The block of the page that is a test."""
    blocks = re.findall(r"```javascript\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    [test] = [block for block in blocks if "node:test" in block]
    return test


@pytest.mark.parametrize(
    ("change", "passes"),
    [(lambda code: code, True), (lambda code: code.replace("45", "46"), False)],
    ids=["as it is", "with a wrong expectation"],
)
def test_the_documented_test_runs(tmp_path: Path, change, passes: bool) -> None:
    program = tmp_path / "sync.test.mjs"
    program.write_text(change(documented()), encoding="utf-8")
    with running() as sandbox:
        environment = {
            **os.environ,
            "KANTATA_BASE_URL": sandbox.url,
            "KANTATA_ACCESS_TOKEN": sandbox.token,
        }
        finished = subprocess.run(
            ["node", "--test", str(program)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )
    assert (finished.returncode == 0) is passes, finished.stdout + finished.stderr
    assert "tests 1" in finished.stdout


def test_it_is_ten_lines_long() -> None:
    test = documented().partition('test("')[2]
    assert len(test.strip().splitlines()) <= 10
