"""The compiler from end to end: load → correct → resolve → normalise → describe → render → format → verify."""

from __future__ import annotations

import filecmp
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from codegen.describe import describe
from codegen.errors import CodegenError, collecting, of_file, reading
from codegen.handwritten import extend
from codegen.load import load, load_data
from codegen.lower import check_address, lower
from codegen.normalise import normalise
from codegen.operations import check_repeatable
from codegen.overlay import apply
from codegen.render import render
from codegen.resolve import resolve
from codegen.semantics import load_semantics
from codegen.verify import verify
from codegen.wording import load_wording, word

if TYPE_CHECKING:
    from collections.abc import Generator

    from codegen.facts import Facts

ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / "openapi" / "specification.yaml"
OVERRIDES = ROOT / "overrides"
PACKAGE = ROOT / "kantata_client"
GENERATED = ("api", "models", "operations")


def understand(
    contract: Path = CONTRACT, overrides: Path = OVERRIDES, *, stale: list[str] | None = None
) -> Facts:
    """Understand the contract and the overrides.

    Args:
        contract: The contract, in any dialect.
        overrides: The folder with the overlay, the semantics and the wording.
        stale: Takes a message for each override that is no longer needed; without it, these are errors.

    Raises:
        CodegenError: Every error that was found, one a line, each with its file and line.
    """
    found: list[Facts] = []
    with collecting(stale):
        found.append(_understand(contract, overrides))
    return found[0]


def _understand(contract: Path, overrides: Path) -> Facts:
    overlay, facts = overrides / "overlay.yaml", overrides / "semantics.yaml"
    published, corrections = load(contract), load_data(overlay)
    with of_file(contract), reading("the contract"):
        check_address(published)
        published = lower(published)
    with of_file(overlay), reading("the overlay"):
        corrected = apply(published, corrections)
    with of_file(contract), reading("the contract"):
        document = resolve(corrected)
    semantics = load_semantics(facts, document)
    with of_file(contract, facts), reading("the contract"):
        found = describe(normalise(document, semantics), semantics, PACKAGE)
        operations = [operation for resource in found.resources for operation in resource.operations]
        check_repeatable(operations, semantics)
    found = attrs.evolve(found, resources=extend(found.resources))
    return word(found, load_wording(overrides / "wording.yaml", found))


def write(
    output: Path,
    contract: Path = CONTRACT,
    overrides: Path = OVERRIDES,
    *,
    stale: list[str] | None = None,
) -> Facts:
    """Generate `operations/`, `api/` and `models/` into an existing folder; the arguments are those of `understand`."""
    facts = understand(contract, overrides, stale=stale)
    render(facts, overrides / "templates", output)
    folders = [str(output / name) for name in GENERATED]
    _ruff("check", "--fix-only", "--select=I,F401,UP037", *folders)
    _ruff("format", *folders)
    verify(output, [operation.id for resource in facts.resources for operation in resource.operations])
    return facts


def _ruff(command: str, *arguments: str) -> None:
    ran = subprocess.run(  # noqa: S603 - our own arguments
        [
            sys.executable,
            "-m",
            "ruff",
            command,
            "--no-cache",
            "--config",
            str(ROOT / "pyproject.toml"),
            *arguments,
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        first = next(
            (line for line in ran.stderr.splitlines() if line.startswith("error")), ran.stderr.strip()
        )
        raise CodegenError(f"the generated code can't be formatted (ruff {command}): {first}")


@contextmanager
def generated(stale: list[str] | None = None) -> Generator[tuple[Path, Facts]]:
    """Generate into a temporary folder, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="codegen-") as folder:
        yield Path(folder), write(Path(folder), stale=stale)


def differences(fresh: Path, committed: Path = PACKAGE) -> list[str]:
    """What differs between generated folders: `changed api/stories.py`, `missing …`, `left over …`."""
    found: list[str] = []
    for name in GENERATED:
        new = {path.name for path in (fresh / name).glob("*.py")}
        old = {path.name for path in (committed / name).glob("*.py")}
        found += [f"missing {name}/{each}" for each in sorted(new - old)]
        found += [f"left over {name}/{each}" for each in sorted(old - new)]
        _, changed, unreadable = filecmp.cmpfiles(
            fresh / name, committed / name, sorted(new & old), shallow=False
        )
        found += [f"changed {name}/{each}" for each in (*changed, *unreadable)]
    return found
