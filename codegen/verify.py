"""Verify: import the new code in place of the committed one, and look up every operation in it.

`python -m codegen.verify FOLDER` does it in an interpreter of its own, where nothing generated is imported yet.
"""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from codegen.errors import ROOT, CodegenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType


def verify(folder: Path, operations: Iterable[str]) -> None:
    """Check the generated code by using it.

    Args:
        folder: Where `api/` and `models/` are.
        operations: The operations that need a method, as `"METHOD /path"`.

    Raises:
        CodegenError: A module can't be imported, a model's fields can't be checked, or an operation has no method.
    """
    ran = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-B", "-m", "codegen.verify", str(folder)],
        input=json.dumps(list(operations)),
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        problem = ran.stderr.strip().rpartition("\n")[2]
        raise CodegenError(f"the generated code is wrong and was discarded: {problem}")


def problems(folder: Path, operations: Iterable[str]) -> Iterator[str]:
    """What is wrong with the generated code, in the order of its modules."""
    package = import_module("kantata_client")
    package.__path__.insert(0, str(folder))
    for name in ("operations", "models", "api"):
        for path in sorted((folder / name).glob("*.py")):
            try:
                module = import_module(f"kantata_client.{name}.{path.stem}".removesuffix(".__init__"))
                assert Path(str(module.__file__)) == path, "it was imported from elsewhere"  # noqa: S101
                _check_models(module)
            except Exception as error:  # noqa: BLE001 - whatever importing raises is the answer
                yield f"{name}/{path.name}: {type(error).__name__}: {error}"
                return
    yield from _missing(operations)


def _check_models(module: ModuleType) -> None:
    from kantata_client._calls.drift import _types_of  # pyright: ignore[reportPrivateUsage] - as reading will do

    values: list[object] = list(vars(module).values())
    for value in values:
        if inspect.isclass(value) and value.__module__ == module.__name__ and hasattr(value, "FIELDS"):
            _types_of(cast("Any", value))


def _missing(operations: Iterable[str]) -> Iterator[str]:
    from kantata_client import Kantata
    from kantata_client.operations import OPERATIONS

    kantata = Kantata("none")
    for name in operations:
        if name not in OPERATIONS:
            yield f"{name} is not among the operations"
            continue
        operation = OPERATIONS[name]
        resource: object = getattr(kantata, operation.resource)
        if type(resource).__module__ != f"kantata_client.api.{operation.resource}":
            yield (
                f"{name}: `kantata.{operation.resource}` is something else already: give it another resource under `names` "
                "in overrides/semantics.yaml, as `resource.method`"
            )
            continue
        method = getattr(resource, operation.name, None)
        sources = re.findall(r"^Source: (\S+ \S+?)(?:, .*)?$", inspect.getdoc(method) or "", re.MULTILINE)
        if operation.id != name or sources != [name]:
            yield (
                f"{name}: `{operation.resource}.{operation.name}` is not its method, but does "
                f"{', '.join(sources) or 'something else'}: name it in overrides/semantics.yaml"
            )


if __name__ == "__main__":
    found = next(problems(Path(sys.argv[1]), json.load(sys.stdin)), None)
    sys.exit(None if found is None else found)
