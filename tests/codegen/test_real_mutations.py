"""Random mutations of the vendored contract: valid code with matching changes, or an error that names the place."""

from __future__ import annotations

import json
import os
import random
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from codegen.compile import OVERRIDES, understand
from codegen.diff import diff
from codegen.errors import CodegenError
from codegen.load import apart
from codegen.render import check, render
from codegen.snapshot import snapshot
from tests.codegen.real_mutations import EVERY
from tests.codegen.vendored import vendored

if TYPE_CHECKING:
    from pathlib import Path

    from codegen.facts import Facts

MUTATIONS = int(os.environ.get("KANTATA_TEST_REAL_MUTATIONS", "40"))
VENDORED = vendored()
check_once = cache(check)
"""Most modules are those of the contract without a mutation."""


@pytest.fixture(scope="module")
def before() -> dict[str, object]:
    return snapshot(understand())


@pytest.mark.parametrize("seed", range(MUTATIONS))
def test_mutations_become_valid_code_or_located_errors(
    tmp_path: Path, before: dict[str, object], seed: int
) -> None:
    chance = random.Random(seed)
    contract = apart(VENDORED)
    mutation = EVERY[seed % len(EVERY)](contract, chance)
    path = tmp_path / "specification.json"
    path.write_text(json.dumps(contract, indent=1), encoding="utf-8")
    stale: list[str] = []
    try:
        facts: Facts = understand(path, OVERRIDES, stale=stale)
    except CodegenError as error:
        _check_refusal(str(error), mutation.subject, path)
        return
    assert not mutation.refused, "it must be refused"
    for line in stale:
        assert re.match(r"\S+\.(?:json|yaml):[1-9]\d*: ", line), line
    changes = diff(before, snapshot(facts))
    assert changes or mutation.quiet, "no change, although users would notice one"
    if not mutation.quiet:
        assert mutation.rules & {each.rule for each in changes}, changes
    render(facts, OVERRIDES / "templates", tmp_path)
    for module in tmp_path.rglob("*.py"):
        check_once(module.read_text(encoding="utf-8"))


def _check_refusal(message: str, subject: str, path: Path) -> None:
    """Each line names its file and line, and one of them is in the contract and about what was changed."""
    located = [line for line in message.splitlines() if not line.startswith("  ")]
    for line in located:
        assert re.match(r"\S+\.(?:json|yaml):[1-9]\d*: ", line), message
        assert "Traceback" not in line
    assert any(subject in line for line in located), (subject, message)
    first = next(re.match(r"(\S+):(\d+): ", line) for line in located if subject in line)
    assert first is not None
    assert first[1] == path.as_posix() or "overrides/" in first[1], message
