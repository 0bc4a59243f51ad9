"""The house as a graph: every import statement counts, also those in functions and those for types alone."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ("kantata_client.api.", "kantata_client.models.", "kantata_client.operations.")
CIRCLES: dict[str, str] = {
    "kantata_client._objects.model": "a model's fields and associations name its type, and it is made of them",
}
"""A module of each circle of hand-written modules, with the reason for it. The fewer, the better."""
SAME_NAMES: dict[str, str] = {
    "events": "the change feed, and the command that follows it",
    "files": "uploads and downloads, and the sandbox's routes for them",
    "resources": "resources of the API, and what the sandbox does for each",
    "sandbox": "the sandbox, and the command that serves it",
    "stores": "kantata_client.stores offers what oauth.stores defines",
    "sync": "the sync, and its command",
    "tokens": "access tokens: what provides them, and what OAuth issues",
}
"""Names that several hand-written modules may share, with what they have in common."""
MOST_PRIVATE = 5


def modules(package: str) -> dict[str, Path]:
    """The files of a package, by the names of their modules."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules among `known` that a module imports anywhere."""
    found: set[str] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            found.update(
                inner if (inner := f"{base}.{alias.name}") in known else base for alias in node.names
            )
    return (found & known.keys()) - {name}


def graph(package: str) -> dict[str, set[str]]:
    known = modules(package)
    return {name: imported(name, path, known) for name, path in known.items()}


def circle(edges: dict[str, set[str]]) -> list[str]:
    """The nodes of one circle, in order; empty if there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room(module: str) -> str:
    """The package directly below the root that a module is in; a module directly below the root is a room itself."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("package", ["kantata_client", "codegen", "benchmarks", "emulation"])
def test_no_packages_import_each_other(package: str) -> None:
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, targets in graph(package).items():
        rooms[room(module)] |= {room(target) for target in targets} - {room(module)}
    assert circle(rooms) == []


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """The largest groups of nodes that can all be reached from each other."""
    reached: dict[str, set[str]] = {}
    for start in edges:
        found, ahead = set[str](), [start]
        while ahead:
            for target in edges[ahead.pop()] - found:
                found.add(target)
                ahead.append(target)
        reached[start] = found
    groups = {
        frozenset(other for other in found if start in reached[other])
        for start, found in reached.items()
        if start in found
    }
    return [set(group) for group in groups]


@pytest.mark.parametrize("package", ["kantata_client", "codegen", "benchmarks", "emulation"])
def test_hand_written_modules_import_each_other_for_a_reason_only(package: str) -> None:
    edges = {
        module: {target for target in targets if not target.startswith(GENERATED)}
        for module, targets in graph(package).items()
        if not module.startswith(GENERATED)
    }
    for group in circles(edges):
        assert group & CIRCLES.keys(), sorted(group)
        assert len({room(module) for module in group}) == 1, sorted(group)


def test_few_private_modules_lie_directly_under_the_root() -> None:
    names = [path.name for path in (ROOT / "kantata_client").glob("_*.py") if path.name[1] != "_"]
    assert len(names) <= MOST_PRIVATE, names


def test_no_module_is_named_like_another_of_a_different_meaning() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for module in modules("kantata_client"):
        # What is written for a resource is named after it in every package.
        if module.startswith((*GENERATED, "kantata_client._resources.", "kantata_client.sandbox.resources.")):
            continue
        name = module.rpartition(".")[2]
        if name != "__main__":
            names[name.strip("_")].add(module)
    shared = {name: sorted(found) for name, found in names.items() if len(found) > 1}
    assert shared.keys() == SAME_NAMES.keys(), shared


def test_the_graph_sees_every_kind_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    package = tmp_path / "house"
    (package / "cellar").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "cellar" / "__init__.py").write_text("from . import wine\n")
    (package / "cellar" / "wine.py").write_text("def f():\n    import house.roof\n")
    (package / "roof.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.cellar.wine import Wine\n"
    )
    edges = graph("house")
    assert edges["house.cellar"] == {"house.cellar.wine"}
    assert set(circle(edges)) == {"house.cellar.wine", "house.roof"}
    assert circles(edges) == [{"house.cellar.wine", "house.roof"}]
