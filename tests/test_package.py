"""What the package says of itself."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import kantata_client

ROOT = Path(__file__).parents[1]


def test_the_version_is_that_of_the_distribution() -> None:
    assert kantata_client.__version__ == metadata("kantata-client")["Version"]


def test_the_version_costs_no_import() -> None:
    code = "import sys, kantata_client; kantata_client.__version__; sys.exit('importlib.metadata' in sys.modules)"
    subprocess.run([sys.executable, "-I", "-c", code], check=True)


def test_the_picture_of_the_floors_shows_every_layer() -> None:
    """CONTRIBUTING draws what import-linter enforces."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = settings["tool"]["importlinter"]["contracts"]
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    drawing = text[text.index("```mermaid") : text.index("## Where do I")]
    layers = [each.strip() for layer in contract["layers"] for each in layer.split(":")]
    shown = [layer for layer in layers if f"{layer}.py" in drawing or f"{layer}/" in drawing]
    assert shown == layers


def test_contributing_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    parts = [part for part in text.split("`")[1::2] if "/" in part and " " not in part and "NAME" not in part]
    named = [part for part in parts if part.split("/")[0] in {path.name for path in ROOT.iterdir()}]
    assert len(named) > 20
    assert [part for part in named if not (ROOT / part).exists() and part != "benchmarks/out/"] == []


def test_readme_lists_every_extra_and_every_page() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = settings["project"]["optional-dependencies"]
    assert [extra for extra in extras if f"| `{extra}` |" not in text] == []
    pages = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    assert [page for page in pages if f"docs/{page}" not in text] == []
