"""Update: take over a published contract, up to code that passes the checks; a failure restores the tree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from codegen.compile import CONTRACT, GENERATED, OVERRIDES, PACKAGE
from codegen.diff import as_markdown, as_table, bump, diff, load_severities
from codegen.errors import ROOT, CodegenError, of_file
from codegen.load import load
from codegen.lower import check_address, lower
from codegen.names import METHODS
from codegen.snapshot import SNAPSHOT, committed
from codegen.vendor import dumped, vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from codegen.diff import Change

Json = dict[str, Any]

ADDRESSES = (
    "https://app.mavenlink.com/oas/specification",
    "https://developer.kantata.com/_bundle/Kantata/specification.yaml",
)
"""Where the service publishes its contract; the first that answers is taken."""
CHANGELOG = ROOT / "CHANGELOG.md"
REPORT = ROOT / "openapi" / "changes.md"
_LARGEST = 50_000_000
_LEAST = 0.7
"""Share of the known operations and definitions below which a contract counts as incomplete."""
_FAST_TESTS = ("tests/contract", "tests/test_client.py", "tests/objects/test_associations.py")


def update(source: str | None, allowed: list[str], generate: Callable[[list[str]], int]) -> int:
    """Take over a contract.

    Args:
        source: A file or an address; without it, the service's own addresses.
        allowed: Losses that are allowed, as `--allow` names them.
        generate: Writes the generated code, or raises.

    Returns:
        0 when the tree holds the new contract, or already did.

    Raises:
        CodegenError: It can't be taken over; the tree is as it was.
    """
    before = committed()
    with tempfile.TemporaryDirectory(prefix="codegen-") as folder:
        path = _fetched(source, Path(folder))
        published, present = load(path), load(CONTRACT)
        with of_file(path):
            check_address(published)
            _check_whole(lower(published), lower(present))
            text = dumped(vendor(published, present))
    with _restoring():
        CONTRACT.write_text(text, encoding="utf-8")
        _propose(published)
        generate(allowed)
        after = committed()
        changes = (
            diff(before, after, load_severities(OVERRIDES / "severities.yaml")) if before and after else []
        )
        if not changes:
            print("The contract says nothing new for users.")
            return 0
        _log(changes)
        _run(
            "check", [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "kantata_client"]
        )
        _run("tests", [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *_FAST_TESTS])
        REPORT.write_text(f"{as_markdown(changes)}\nBump: {bump(changes)}\n", encoding="utf-8")
    print(as_table(changes))
    print(f"Read {REPORT.relative_to(ROOT)} and `git diff overrides`, then commit everything together.")
    return 0


def _fetched(source: str | None, folder: Path) -> Path:
    if source is not None and not source.startswith(("http://", "https://")):
        path = Path(source)
        if not path.is_file():
            msg = f"{source}:1: there is no such file"
            raise CodegenError(msg, located=True)
        return path
    problems: list[str] = []
    for address in [source] if source else ADDRESSES:
        try:
            request = Request(address, headers={"Accept": "application/yaml, application/json, */*"})  # noqa: S310 - http(s)
            with urlopen(request, timeout=60) as response:  # noqa: S310 - one of our addresses, or what the command names
                content = response.read(_LARGEST + 1)
        except (OSError, ValueError) as error:
            problems.append(f"{address}: {error}")
            continue
        if len(content) > _LARGEST:
            problems.append(f"{address}: larger than {_LARGEST} bytes")
            continue
        path = folder / "specification.yaml"
        path.write_bytes(content)
        return path
    msg = "no contract could be fetched: " + "; ".join(problems) + ". Download it, and name the file"
    raise CodegenError(msg)


def _check_whole(new: Json, old: Json) -> None:
    """Refuse an incomplete contract, or one of another API.

    Raises:
        CodegenError: It has far fewer operations or definitions than the vendored one.
    """

    def counts(contract: Json) -> dict[str, int]:
        operations = [method for item in contract["paths"].values() for method in item if method in METHODS]
        return {"operations": len(operations), "definitions": len(contract["definitions"])}

    known = counts(old)
    for what, number in counts(new).items():
        if number < known[what] * _LEAST:
            msg = (
                f"it has {number} {what}, and the vendored contract {known[what]}: it is incomplete, or of another API; "
                "download it again"
            )
            raise CodegenError(msg, ("paths",) if what == "operations" else ("definitions",))


def _propose(published: Json) -> None:
    """Add to the semantics what a new contract needs decided, in the careful way; a person may decide otherwise."""
    from codegen import names

    path = OVERRIDES / "semantics.yaml"
    text = path.read_text(encoding="utf-8")
    known = set(
        re.findall(r"^  (PUT \S+):", text.partition("\nrepeatable:")[2].split("\n\n")[0], re.MULTILINE)
    )
    lines: list[str] = []
    for where, item in lower(published)["paths"].items():
        last = names.segments(where)[-1]
        if "put" in item and not names.is_placeholder(last) and f"PUT {where}" not in known:
            lines.append(f"  PUT {where}: false # new: repeated only when it was certainly not carried out\n")
    if lines:
        text = text.replace("\nrepeatable:\n", "\nrepeatable:\n" + "".join(lines), 1)
        path.write_text(text, encoding="utf-8")


def _log(changes: list[Change]) -> None:
    """Add the changes to the changelog, one line for each kind."""
    text = CHANGELOG.read_text(encoding="utf-8")
    counts: dict[str, list[str]] = {}
    for each in changes:
        counts.setdefault(each.rule, []).append(f"`{each.python}`")
    lines = [
        f"  {rule}: {', '.join(sorted(set(names))[:8])}{' …' if len(set(names)) > 8 else ''};"
        for rule, names in counts.items()
    ]
    entry = "- The contract of the API was updated:\n" + "\n".join(lines).rstrip(";") + ".\n"
    heading = "### Changed"
    start = text.index("## [Unreleased]")
    end = text.find("\n## ", start + 1)
    end = len(text) if end < 0 else end
    section = text[start:end]
    if heading in section:
        section = section.replace(f"{heading}\n\n", f"{heading}\n\n{entry}", 1)
    else:
        section = section.rstrip("\n") + f"\n\n{heading}\n\n{entry}"
    CHANGELOG.write_text(text[:start] + section + text[end:], encoding="utf-8")


def _run(what: str, command: list[str]) -> None:
    ran = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603 - our own
    if ran.returncode:
        tail = "\n".join((ran.stdout + ran.stderr).strip().splitlines()[-15:])
        msg = f"{what} failed, and the tree is as it was:\n{tail}"
        raise CodegenError(msg)


@contextmanager
def _restoring() -> Generator[None]:
    """Put back everything that an update writes, should it fail."""
    files = [CONTRACT, SNAPSHOT, CHANGELOG, REPORT, OVERRIDES / "semantics.yaml"]
    with tempfile.TemporaryDirectory(prefix="codegen-") as folder:
        saved = Path(folder)
        for name in GENERATED:
            shutil.copytree(PACKAGE / name, saved / name, ignore=shutil.ignore_patterns("__pycache__"))
        contents = {path: path.read_bytes() if path.is_file() else None for path in files}
        try:
            yield
        except BaseException:
            for path, content in contents.items():
                if content is None:
                    path.unlink(missing_ok=True)
                else:
                    path.write_bytes(content)
            for name in GENERATED:
                shutil.rmtree(PACKAGE / name)
                shutil.copytree(saved / name, PACKAGE / name)
            raise
