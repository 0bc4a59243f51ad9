"""Revisions: the facts of a contract in a file, or in a revision of this repository."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from codegen.compile import OVERRIDES, understand
from codegen.errors import ROOT, CodegenError
from codegen.snapshot import SNAPSHOT, snapshot

Json = dict[str, Any]


def facts_of(source: str, stale: list[str] | None = None) -> Json:
    """The snapshot of a contract.

    Args:
        source: A contract file, a snapshot file (`facts.json`), or a git revision, whose committed snapshot is taken.
        stale: Takes what is said of overrides that the contract makes unnecessary.

    Raises:
        CodegenError: There is no such file or revision, or its contract can't be understood.
    """
    path = Path(source)
    if path.name == SNAPSHOT.name and path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    if path.is_file():
        return snapshot(understand(path, OVERRIDES, stale=[] if stale is None else stale))
    known = _at(source, SNAPSHOT.relative_to(ROOT).as_posix())
    if known is not None:
        return json.loads(known)
    contract = _at(source, "openapi/specification.yaml")
    if contract is None:
        msg = f"{source}: there is no such file, and no git revision of that name with a contract"
        raise CodegenError(msg)
    with tempfile.TemporaryDirectory(prefix="codegen-") as folder:
        old = Path(folder, "specification.yaml")
        old.write_text(contract, encoding="utf-8")
        return snapshot(understand(old, OVERRIDES, stale=[]))


def _at(revision: str, path: str) -> str | None:
    ran = subprocess.run(  # noqa: S603 - git, on this repository
        ["git", "-C", str(ROOT), "show", f"{revision}:{path}"],  # noqa: S607 - found on the path
        check=False,
        capture_output=True,
        text=True,
    )
    return ran.stdout if ran.returncode == 0 else None
