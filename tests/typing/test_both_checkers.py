"""Typical uses pass, and typical mistakes fail on their line, in mypy --strict and in basedpyright."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

MISTAKES = [
    "kantata.stories.list(workspce_id=1)",
    'kantata.stories.list(include=["assignee"])',
    "kantata.time_entries.list(date_performed_between=5)",
    'story.replace(titel="x")',
    "await kantata.stories.with_response.get()",
    "await kantata.stories.with_response.list()",
    "kantata.with_options(retrys=0)",
    "Hooks(on_request=hook)",
    'await kantata.stories.create(workspace_id=1, title="x", extra_body=[1])',
    "await kantata.stories.get(None)",
    'kantata.stories.list(order="updated_at")',
    'await kantata.stories.create(title="x")',
    "Kantata(7)",
    'kantata.with_options(headers=["x"])',
    'await kantata.users.with_response.me(includes="x")',
    "kantata.time_entries.list(created_after=7)",
    'story.titel = "x"',
    "await kantata.stories.list()",
    "kantata.storys",
    "with kantata: pass",
    "for _ in kantata.stories.list(): pass",
]
HEAD = """from __future__ import annotations

from kantata_client import Hooks, Kantata
from kantata_client.hooks import RequestEvent
from kantata_client.models import Story


async def hook(event: RequestEvent) -> None: ...


async def wrong(kantata: Kantata, story: Story) -> None:
"""
FIRST = HEAD.count("\n") + 1


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("typing") / "mistakes.py"
    path.write_text(HEAD + "".join(f"    {mistake}\n" for mistake in MISTAKES), encoding="utf-8")
    return path


@cache
def mypy(path: Path) -> set[int]:
    """The lines at which mypy finds errors."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--follow-imports=silent"]
    options = ["--cache-dir", str(path.parent / ".mypy"), "--no-incremental"] if path.parent != HERE else []
    done = subprocess.run(
        [*command, *(options or ["--cache-dir=/dev/null"]), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(line) for line in re.findall(r"\.py:(\d+): error:", done.stdout)}


@cache
def basedpyright(path: Path) -> set[int]:
    """The lines at which basedpyright finds errors."""
    command = [
        sys.executable,
        "-m",
        "basedpyright",
        "--outputjson",
        "--pythonpath",
        sys.executable,
        str(path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}


def test_typical_uses_pass_in_mypy() -> None:
    assert mypy(HERE / "uses.py") == set()


def test_typical_uses_pass_in_basedpyright() -> None:
    assert basedpyright(HERE / "uses.py") == set()


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=MISTAKES)
def test_a_mistake_fails_on_its_line(number: int, mistakes: Path) -> None:
    assert FIRST + number in mypy(mistakes), "mypy"
    assert FIRST + number in basedpyright(mistakes), "basedpyright"
