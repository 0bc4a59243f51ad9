"""`python -m codegen generate | check`: write the generated code, or say whether the committed one is up to date."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

from codegen.compile import GENERATED, PACKAGE, differences, generated
from codegen.errors import CodegenError

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = 20
"""Files that are named before the rest is only counted."""


def main(arguments: list[str]) -> int:
    if arguments not in (["generate"], ["check"]):
        print("usage: python -m codegen generate | check", file=sys.stderr)
        return 2
    began = time.perf_counter()
    try:
        with generated() as (fresh, facts):
            found = differences(fresh)
            if arguments == ["generate"] and found:
                for name in GENERATED:
                    _replace(PACKAGE / name, fresh / name)
            operations = sum(len(resource.operations) for resource in facts.resources)
    except CodegenError as error:
        print(f"codegen: {error}", file=sys.stderr)
        return 1
    size = f"{operations} operations of {len(facts.resources)} resources, {len(facts.models)} models"
    seconds = f"{time.perf_counter() - began:.1f} s"
    if not found:
        print(f"up to date: {size} ({seconds})")
        return 0
    for line in found[:SHOWN]:
        print(line)
    if len(found) > SHOWN:
        print(f"… and {len(found) - SHOWN} more")
    if arguments == ["check"]:
        print(f"{len(found)} files are stale: run `make generate` and commit the result", file=sys.stderr)
        return 1
    print(f"written: {size}; {len(found)} files changed ({seconds})")
    return 0


def _replace(committed: Path, fresh: Path) -> None:
    """Put a folder in the place of another one, complete or not at all."""
    new, old = committed.with_name(f"{committed.name}.new"), committed.with_name(f"{committed.name}.old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(fresh, new, ignore=shutil.ignore_patterns("__pycache__"))
    if committed.exists():
        committed.rename(old)
    new.rename(committed)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
