"""Typical uses pass, and typical mistakes fail on their line, in mypy --strict and in basedpyright."""

from __future__ import annotations

import ast
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
    # --- arguments that do not exist, or are missing
    "kantata.stories.list(workspce_id=1)",
    'await kantata.stories.create(title="x")',
    'await kantata.stories.create(workspace_id=1, title="x", titel="x")',
    'await kantata.stories.update(7, "New title")',
    "await kantata.stories.get()",
    "kantata.custom_field_values.list()",
    "await kantata.stories.with_response.get()",
    'await kantata.users.with_response.me(includes="x")',
    "kantata.with_options(retrys=0)",
    "kantata.with_token()",
    'await kantata.request("GET")',
    "Timeouts(reed=3)",
    "Sandbox().client(retrys=0)",
    'await kantata.attachments.upload("a.pdf")',
    'await kantata.exports.run({"users": ["id"]})',
    # --- values of the wrong type, or not among the possible ones
    'kantata.stories.list(include=["assignee"])',
    "kantata.stories.list(include=names)",
    'kantata.stories.list(order="updated_at")',
    'kantata.stories.list(optional_fields=["can_edt"])',
    'kantata.stories.list(archived="yes")',
    'kantata.stories.list(all_on_account="true")',
    'kantata.stories.list(page="first")',
    "kantata.stories.list(only=[None])",
    "kantata.stories.list(due_between=(1, 2))",
    "kantata.time_entries.list(date_performed_between=5)",
    "kantata.time_entries.list(created_after=7)",
    "await kantata.stories.get(None)",
    "await kantata.stories.get(7.5)",
    "await kantata.stories.get(story)",
    'await kantata.stories.create(workspace_id=None, title="x")',
    'await kantata.stories.create(workspace_id=1, title="x", story_type="tusk")',
    'await kantata.stories.create(workspace_id=1, title="x", extra_body=[1])',
    'await kantata.stories.update(7, external_reference={"service_nam": "crm"})',
    'await kantata.attachments.create(type="photo", data=b"")',
    "Kantata(7)",
    'kantata.with_options(headers=["x"])',
    'kantata.with_options(timeout="30")',
    "Hooks(on_request=hook)",
    # --- bulk writes
    "kantata.stories.create_many(7)",
    'kantata.stories.create_many([{"workspace_id": 7, "title": "x", "titel": "x"}])',
    'kantata.stories.create_many([{"title": "x"}])',
    'kantata.stories.update_many([(7, {"titel": "x"})])',
    'kantata.stories.update_many([{"title": "x"}])',
    "kantata.time_entries.delete_many([None])",
    "kantata.users.create_many([])",
    # --- names, fields and forms that do not exist
    "kantata.storys",
    "kantata.stories.lst()",
    "await kantata.stories.with_response.list()",
    "await kantata.stories.list()",
    "with kantata: pass",
    "for _ in kantata.stories.list(): pass",
    "story.title.upper()",
    "story.workspace.title",
    'story.titel = "x"',
    "story.workspace = None",
    'story.replace(titel="x")',
    'Story(titel="x")',
    'Story("7")',
    "users: list[User] = story.sub_stories",
    'row: CreateStory = {"title": "x"}',
]
HEAD = """from __future__ import annotations

from kantata_client import Hooks, Kantata, Timeouts
from kantata_client.hooks import RequestEvent
from kantata_client.models import Story, User
from kantata_client.models.inputs import CreateStory
from kantata_client.sandbox import Sandbox


async def hook(event: RequestEvent) -> None: ...


async def wrong(kantata: Kantata, story: Story, names: list[str]) -> None:
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


def test_there_are_sixty_uses_and_more_than_forty_mistakes() -> None:
    functions = [
        node for node in ast.parse((HERE / "uses.py").read_text()).body if "Function" in type(node).__name__
    ]
    statements = [
        each
        for function in functions
        for each in ast.walk(function)
        if isinstance(each, (ast.Expr, ast.Assign, ast.AnnAssign, ast.AsyncFor, ast.AsyncWith))
    ]
    assert len(statements) >= 60
    assert len(set(MISTAKES)) >= 42
