"""The published style in any dialect gives the same code as the vendored contract."""

from __future__ import annotations

import ast
import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import yaml

from codegen.compile import GENERATED, PACKAGE, understand, write
from tests.codegen.converted import openapi_3_0, openapi_3_1
from tests.codegen.published import published
from tests.codegen.vendored import vendored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codegen.facts import Facts

Json = dict[str, Any]
VENDORED = vendored()
SEEDS = range(1, 1 + int(os.environ.get("KANTATA_TEST_RENDERINGS", "2")))
"""Renderings besides the first, each with wordings by chance."""


@pytest.fixture(scope="module")
def expected() -> Any:
    return bare(understand())


def bare(facts: Facts) -> Any:
    """All facts but the wording."""
    resources, models, inputs = facts.resources, facts.models, facts.inputs
    kept = attrs.asdict(
        attrs.evolve(facts, data=None, config=None, resources=resources, models=models, inputs=inputs),  # type: ignore[arg-type]
        recurse=True,
    )
    return _without_words(kept)


def _without_words(node: Any) -> Any:
    if isinstance(node, dict):
        words = ("description", "note", "summary")
        return {key: _without_words(value) for key, value in node.items() if key not in words}
    return [_without_words(each) for each in node] if isinstance(node, (list, tuple)) else node


@pytest.mark.parametrize(
    "render",
    [
        openapi_3_0,
        openapi_3_1,
        lambda contract: openapi_3_1(published(contract)),
        *(partial(published, seed=seed) for seed in SEEDS),
    ],
    ids=["3.0", "3.1", "published as 3.1", *(f"published with other words {seed}" for seed in SEEDS)],
)
def test_every_dialect_gives_the_same_facts(
    tmp_path: Path, expected: Any, render: Callable[[Json], Json]
) -> None:
    path = tmp_path / "specification.json"
    path.write_text(json.dumps(render(VENDORED)), encoding="utf-8")
    assert bare(understand(path)) == expected


def test_the_published_wording_gives_the_same_code_but_for_docstrings(tmp_path: Path) -> None:
    path = tmp_path / "published.yaml"
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    path.write_text(yaml.dump(published(VENDORED), Dumper=dumper, sort_keys=False), encoding="utf-8")
    output = tmp_path / "generated"
    output.mkdir()
    write(output, path)
    for name in GENERATED:
        files = sorted((output / name).glob("*.py"))
        assert [each.name for each in files] == sorted(each.name for each in (PACKAGE / name).glob("*.py"))
        for each in files:
            assert code(each) == code(PACKAGE / name / each.name), each.name


def code(path: Path) -> str:
    """A module without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_text(each)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
