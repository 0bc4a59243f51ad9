"""The type checker, strict, on the files beside this one: what it should accept, it does, and refuses the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ("bulk.py", "files.py", "reads.py", "rejects.py")


@cache
def diagnostics() -> list[dict[str, Any]]:
    """What the type checker has to say about the files, checked once."""
    pytest.importorskip("basedpyright")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    files = [str(HERE / name) for name in FILES]
    done = subprocess.run(
        [*command, *files], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(FILES)
    found: list[dict[str, Any]] = report["generalDiagnostics"]
    return found


@pytest.mark.parametrize("name", FILES)
def test_nothing_unexpected(name: str) -> None:
    reported = [
        f"{name}:{each['range']['start']['line'] + 1}: {each['message']} ({each.get('rule')})"
        for each in diagnostics()
        if Path(each["file"]).name == name and each["severity"] in ("error", "warning")
    ]
    assert not reported, "\n".join(reported)


def test_every_wrong_call_says_what_it_hides() -> None:
    """A bare ignore would hide a call that is refused for another reason than the one that is meant."""
    text = (HERE / "rejects.py").read_text(encoding="utf-8")
    assert text.count("pyright: ignore[") == text.count("ignore[") == text.count("ignore")
