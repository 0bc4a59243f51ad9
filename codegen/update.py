"""Update: take over a published contract, up to code that passes the checks; a failure restores the tree."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codegen.compile import CONTRACT, GENERATED, OVERRIDES, PACKAGE
from codegen.diff import as_markdown, as_table, bump, diff, load_severities
from codegen.errors import ROOT, CodegenError, collecting, of_file, reading
from codegen.fetch import fetch
from codegen.load import load
from codegen.lower import lower
from codegen.names import METHODS
from codegen.proposals import write_proposals
from codegen.snapshot import SNAPSHOT, committed
from codegen.vendor import dumped, vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from codegen.diff import Change

Json = dict[str, Any]

CHANGELOG = ROOT / "CHANGELOG.md"
REPORT = ROOT / "openapi" / "changes.md"
SAVED = ROOT / ".codegen-update"
"""What an update writes, as it was before; git ignores it."""
_LEAST = 0.7
"""Share of the known operations and definitions below which a contract counts as incomplete."""
_ROUNDS = 8
"""How often generation is tried: a proposal can uncover the next question."""
_CHECKS = {
    "the type check": ["basedpyright", "--pythonpath", sys.executable, "kantata_client"],
    "the fast tests": [
        *("pytest", "-q", "-x", "-p", "no:cacheprovider"),
        *("tests/contract", "tests/test_client.py", "tests/objects/test_associations.py"),
        "--deselect=tests/contract/test_actions.py::test_refuses_an_undecided_put",  # these generate once more
        "--deselect=tests/contract/test_actions.py::test_refuses_a_decision_that_changes_nothing",
        # Whoever decides about a new PUT also adds it to the docs.
        "--deselect=tests/contract/test_actions.py::test_docs_list_the_actions",
    ],
}
"""Modules that are run on the new code, with their arguments."""


def update(source: str | None, allowed: list[str], generate: Callable[[list[str]], int]) -> int:
    """Take over a contract.

    Args:
        source: A file or an address; without it, the service's own addresses.
        allowed: Losses that are allowed, as `--allow` names them.
        generate: Writes the generated code, or raises.

    Returns:
        0 when the tree holds the new contract, or already did.

    Raises:
        CodegenError: It can't be taken over; the tree is as it was. Or an earlier update was killed.
    """
    if SAVED.exists():
        msg = (
            f"{SAVED.name}:1: an earlier update was killed: `python -m codegen update --restore` puts back what it wrote; "
            "or delete this folder to keep the tree as it is"
        )
        raise CodegenError(msg, located=True)
    before = committed()
    with tempfile.TemporaryDirectory(prefix="codegen-") as folder:
        present = load(CONTRACT)
        path, published = fetch(source, Path(folder))
        with collecting(), of_file(path), reading("the contract"):
            _check_whole(lower(published), lower(present))
            text = dumped(vendor(published, present))
    worded = CONTRACT.read_text(encoding="utf-8")
    with _restoring():
        CONTRACT.write_text(text, encoding="utf-8")
        proposed = _generate(allowed, generate)
        after = committed()
        changes = (
            diff(before, after, load_severities(OVERRIDES / "severities.yaml")) if before and after else []
        )
        if not changes:
            if text != worded:  # a new title, say: worth a commit, which must not show an earlier report
                REPORT.write_text(_report([]), encoding="utf-8")
            print("The contract says nothing new for users.")
            return 0
        _log(changes)
        _run(_CHECKS)
        REPORT.write_text(_report(changes), encoding="utf-8")
    print(as_table(changes))
    for each in proposed:
        print(f"decide: {each}")
    print(f"Read {REPORT.relative_to(ROOT)} and `git diff overrides`, then commit everything together.")
    return 0


def _report(changes: list[Change]) -> str:
    """The text of a pull request; the workflow that opens it reads the last line."""
    return f"{as_markdown(changes)}\nBump: {bump(changes)}\n"


def _generate(allowed: list[str], generate: Callable[[list[str]], int]) -> list[str]:
    """Generate; what the compiler can't decide is written into the overrides as proposed, for a person to look at.

    Returns:
        The proposals that were written.

    Raises:
        CodegenError: Something is wrong that nothing can be proposed for.
    """
    written: list[str] = []
    for _ in range(_ROUNDS):
        try:
            generate(allowed)
        except CodegenError as error:
            fresh = list({each.text: each for each in error.proposals if each.text not in written}.values())
            if not fresh:
                raise
            write_proposals(fresh, OVERRIDES)
            written += [each.text for each in fresh]
        else:
            return written
    generate(allowed)
    return written


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


def _run(checks: dict[str, list[str]]) -> None:
    """Run checks side by side.

    Raises:
        CodegenError: Some failed; the message has the end of what each printed.
    """
    running: dict[str, subprocess.Popen[str]] = {}
    failures: list[str] = []
    try:
        for name, command in checks.items():
            running[name] = subprocess.Popen(  # noqa: S603 - our own
                [sys.executable, "-m", *command],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        for name, process in running.items():
            printed = process.communicate()[0]
            if process.returncode:
                tail = "\n".join(printed.strip().splitlines()[-15:])
                failures.append(f"{name} failed, and the tree is as it was:\n{tail}")
    finally:
        for process in running.values():  # an interrupt leaves none behind, and none that one of them started
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    if failures:
        raise CodegenError("\n".join(failures))


@contextmanager
def _interrupted_once() -> Generator[None]:
    """Turn the first SIGINT or SIGTERM into `KeyboardInterrupt`, and ignore later ones while the tree is put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    before = {each: handler for each, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}

    def interrupt(*_: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for each in before:
            signal.signal(each, interrupt)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _restoring() -> Generator[None]:
    """Put back everything that an update writes, should it fail; after a kill, `restore` does."""
    with _interrupted_once():
        try:
            try:
                _save()
                yield
                _forget()
            except BaseException:
                _put_back()
                raise
        except KeyboardInterrupt:  # it may have come before the line above put everything back
            _put_back()
            raise


def _written() -> list[Path]:
    """The files, besides the generated folders, that an update writes."""
    return [CONTRACT, SNAPSHOT, CHANGELOG, REPORT, OVERRIDES / "semantics.yaml", OVERRIDES / "overlay.yaml"]


def _save() -> None:
    partial = SAVED.with_name(f"{SAVED.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in GENERATED:
        shutil.copytree(PACKAGE / name, partial / name, ignore=shutil.ignore_patterns("__pycache__"))
    for number, path in enumerate(_written()):
        if path.is_file():
            shutil.copyfile(path, partial / str(number))
    partial.rename(SAVED)  # complete from here on


def restore() -> int:
    """Put back what an update wrote that was killed; returns 0.

    Raises:
        CodegenError: There is nothing to put back.
    """
    if not SAVED.exists():
        msg = f"{SAVED.name}:1: no update was killed, so that there is nothing to put back"
        raise CodegenError(msg, located=True)
    with _interrupted_once():
        try:
            _restore()
        except KeyboardInterrupt:
            _put_back()
            raise
    print("The tree is as it was before the update.")
    return 0


def _forget() -> None:
    partial = SAVED.with_name(f"{SAVED.name}.partial")
    SAVED.rename(partial)  # not complete from here on
    shutil.rmtree(partial)


def _put_back() -> None:
    """Restore the tree, unless nothing was written yet, or everything is put back already."""
    if SAVED.exists():
        _restore()


def _restore() -> None:
    for number, path in enumerate(_written()):
        if (SAVED / str(number)).is_file():
            shutil.copyfile(SAVED / str(number), path)
        else:
            path.unlink(missing_ok=True)
    for name in GENERATED:
        for folder in (PACKAGE / name, PACKAGE / f"{name}.new", PACKAGE / f"{name}.old"):
            shutil.rmtree(folder, ignore_errors=True)
        # A check that outlived the update may just have made the folder again, for its bytecode.
        shutil.copytree(SAVED / name, PACKAGE / name, dirs_exist_ok=True)
    _forget()
