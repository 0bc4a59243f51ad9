"""Hand-written methods of resources: `kantata_client/_resources/X.py` holds those of `kantata.X`.

The file's name says which resource they belong to, and its class `<ResourceClass>Methods` becomes the base of the
generated class. The files are parsed, not imported, so that they may need code that is yet to be generated.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import attrs

from codegen.errors import ROOT, CodegenError, shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from codegen.facts import ResourceFacts

HANDWRITTEN = ROOT / "kantata_client" / "_resources"
_OTHERS = frozenset({"__init__", "base"})
"""Modules of the folder that belong to no single resource."""
_BULK = frozenset({"create_many", "update_many", "delete_many"})


def extend(resources: Iterable[ResourceFacts], folder: Path = HANDWRITTEN) -> tuple[ResourceFacts, ...]:
    """The resources, each with the class of its hand-written methods, if it has some.

    Args:
        resources: What `codegen.describe` found.
        folder: The modules with hand-written methods.

    Raises:
        CodegenError: A module belongs to no resource, does not have exactly the class that its name asks for, or has
            a method that a generated one would hide; the message begins with its file and line.
    """
    known = {resource.name: resource for resource in resources}
    for path in sorted(folder.glob("*.py")):
        if path.stem in _OTHERS:
            continue
        resource = known.get(path.stem)
        if resource is None:
            msg = (
                f"{shown(path)}: the contract has no resource {path.stem!r}. Rename the file to the resource that its "
                "methods belong to, or move what is shared by several resources to another package"
            )
            raise CodegenError(msg)
        name = f"{resource.class_name}Methods"
        found = _class_of(path, name)
        methods = {
            each.name for each in found.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        generated = {operation.name for operation in resource.operations} | resource.decisions.keys() | _BULK
        if hidden := sorted(generated & methods):
            msg = (
                f"{shown(path)}:{found.lineno}: {', '.join(hidden)}: the generated class has a method of that name, which "
                f"would hide the one of {name}. Rename one of them; `names` in overrides/semantics.yaml renames "
                "the generated one"
            )
            raise CodegenError(msg)
        known[path.stem] = attrs.evolve(
            resource, handwritten=(f"_resources.{path.stem}", name), handwritten_calls=_calls_of(found)
        )
    return tuple(known.values())


def _calls_of(found: ast.ClassDef) -> tuple[str, ...]:
    """The public coroutine methods of a class, without async generators."""
    return tuple(
        sorted(
            each.name
            for each in found.body
            if isinstance(each, ast.AsyncFunctionDef)
            and not each.name.startswith("_")
            and not any(isinstance(part, ast.Yield) for part in ast.walk(each))
        )
    )


def _class_of(path: Path, name: str) -> ast.ClassDef:
    """The one public class of a module, which must be called `name` and derive from `Resource`."""
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise CodegenError(f"{shown(path)}:{error.lineno}: {error.msg}") from error
    public = [
        statement
        for statement in module.body
        if isinstance(statement, ast.ClassDef) and not statement.name.startswith("_")
    ]
    derived = [each for each in public if "Resource" in {ast.unparse(base) for base in each.bases}]
    if [each.name for each in public] != [name] or not derived:
        there = ", ".join(each.name for each in public) or "none"
        msg = (
            f"{shown(path)}: expected one public class, `class {name}(Resource)`, with the hand-written methods of "
            f"`kantata.{path.stem}`; found {there}"
        )
        raise CodegenError(msg)
    return derived[0]
