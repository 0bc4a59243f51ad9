"""The compiler from end to end: deterministic, up to date, within size and time, and loud about errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from codegen.compile import GENERATED, OVERRIDES, PACKAGE, differences, understand
from codegen.errors import CodegenError
from kantata_client.operations import OPERATIONS
from tests.codegen.vendored import vendored

ROOT = Path(__file__).parents[2]
SECONDS = 90
"""Seconds. Generation takes three on a good machine; the goal is fifteen."""
WRITE = "import sys, pathlib; from codegen.compile import write; write(pathlib.Path(sys.argv[1]))"


def generate(folder: Path, seed: str) -> float:
    """Seconds that another interpreter takes to write the generated code."""
    folder.mkdir()
    environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C", "TZ": "Pacific/Kiritimati"}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", WRITE, str(folder)], cwd=ROOT, env=environment, check=True, timeout=300
    )
    return time.perf_counter() - began


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """Two folders of two runs with other hash seeds, and the seconds of the slower one."""
    folder = tmp_path_factory.mktemp("generated")
    seconds = [generate(folder / seed, seed) for seed in ("1", "2")]
    return folder / "1", folder / "2", max(seconds)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in GENERATED
        for path in (folder / name).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_two_runs_write_the_same_bytes(fresh: tuple[Path, Path, float]) -> None:
    one, other, _ = fresh
    assert contents(one) == contents(other)


def test_committed_code_is_up_to_date(fresh: tuple[Path, Path, float]) -> None:
    assert differences(fresh[0]) == []
    assert contents(fresh[0]) == contents(PACKAGE)


def test_generated_code_stays_within_its_size(fresh: tuple[Path, Path, float]) -> None:
    files = contents(fresh[0])
    assert len(files) <= 700
    assert sum(each.count(b"\n") for each in files.values()) <= 64_000


def test_generation_stays_within_its_time(fresh: tuple[Path, Path, float]) -> None:
    assert fresh[2] < SECONDS


def test_generated_code_names_no_path_and_no_date(fresh: tuple[Path, Path, float]) -> None:
    for name, content in contents(fresh[0]).items():
        assert str(ROOT).encode() not in content, name
        assert b"codegen-" not in content, name


def test_differences_name_files(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        for name in GENERATED:
            (folder / name).mkdir(parents=True)
        (folder / "api" / "same.py").write_text("x = 1\n")
    (new / "api" / "stories.py").write_text("x = 1\n")
    (old / "models" / "story.py").write_text("x = 1\n")
    (old / "api" / "users.py").write_text("x = 1\n")
    (new / "api" / "users.py").write_text("x = 2\n")
    assert differences(new, old) == [
        "missing api/stories.py",
        "changed api/users.py",
        "left over models/story.py",
    ]


@cache
def operations_of_the_contract() -> dict[str, dict[str, Any]]:
    return vendored()["paths"]


def test_every_operation_has_a_method(fresh: tuple[Path, Path, float]) -> None:
    methods = {
        name
        for path in (fresh[0] / "api").glob("*.py")
        for name in re.findall(r"^ +Source: ([A-Z]+ /\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    declared = {
        f"{method.upper()} {path}"
        for path, item in operations_of_the_contract().items()
        for method in item
        if method != "parameters"
    }
    assert methods == declared
    assert len(declared) == len(OPERATIONS)


def test_generation_stops_and_names_what_changed(tmp_path: Path) -> None:
    """An operation that comes without a success response, say: the message names it, and nothing is left out."""
    contract = vendored()
    contract["paths"]["/stories/{id}"]["get"]["responses"].pop("200", None)
    contract["paths"]["/stories/{id}"]["get"]["responses"].pop(200, None)
    changed = tmp_path / "specification.yaml"
    changed.write_text(json.dumps(contract), encoding="utf-8")  # JSON is YAML, and quick
    with pytest.raises(CodegenError, match=r"GET /stories/\{id\}: 0 success responses"):
        understand(changed, OVERRIDES)


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["check", "generate"]])
def test_usage(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "codegen", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "usage: python -m codegen" in done.stderr
