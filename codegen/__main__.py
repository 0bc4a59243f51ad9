"""The commands: `python -m codegen generate | check | diff | vendor | update | drift`.

generate [--allow LOSS …]     write the generated code; refuses to lose facts, unless each loss is allowed
check                         say whether the committed code is up to date
diff [OLD [NEW]]              what changed for users: files or git revisions; default: committed against vendored
[--markdown | --json]
vendor FILE [--output PATH]   a published contract in our own words, as openapi/specification.yaml holds it
update [FILE | URL]           fetch, vendor, generate, diff, changelog and checks; a failure restores the tree
[--allow LOSS …]              --restore puts back what a killed update wrote
drift REPORT.json             turn the drift report of a running client into overlay actions
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from codegen.compile import CONTRACT, GENERATED, OVERRIDES, PACKAGE, differences, generated, understand
from codegen.diff import as_json, as_markdown, as_table, diff, load_severities
from codegen.errors import CodegenError, collecting, of_file, reading, shown
from codegen.load import load, load_data
from codegen.lower import lower
from codegen.names import class_name
from codegen.overlay import apply
from codegen.ratchet import check_losses
from codegen.snapshot import SNAPSHOT, committed, dumped, snapshot

if TYPE_CHECKING:
    from codegen.facts import Facts

SHOWN = 20
"""How many files are listed; the rest is counted."""


def main(arguments: list[str]) -> int:
    """Run a command; returns 0 for success, 1 for an error or stale code, 2 for a wrong command line."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stopped:
        return 2 if stopped.code else 0
    try:
        return options.run(options)
    except CodegenError as error:
        print(f"codegen: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("codegen: interrupted", file=sys.stderr)
        return 130
    except OSError as error:  # a full disk, a folder that is missing or read-only
        where = f"{error.filename}: " if error.filename else ""
        print(f"codegen: {where}can't be written: {error.strerror or error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m codegen", description="The compiler of the contract.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    allow = argparse.ArgumentParser(add_help=False)
    allow.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="LOSS",
        help="intended losses, separated by `;`",
    )
    one = commands.add_parser("generate", parents=[allow], help="write the generated code")
    one.set_defaults(run=_generate)
    one = commands.add_parser("check", help="say whether the committed code is up to date")
    one.set_defaults(run=_checked)
    one = commands.add_parser("diff", help="what changed for users")
    one.add_argument("old", nargs="?", help="a contract, or a git revision; default: the committed facts")
    one.add_argument("new", nargs="?", help="a contract, or a git revision; default: the vendored contract")
    form = one.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_const", const=as_markdown, dest="form", default=as_table)
    form.add_argument("--json", action="store_const", const=as_json, dest="form")
    one.set_defaults(run=_diff)
    one = commands.add_parser("vendor", help="a published contract in our own words")
    one.add_argument("file", type=Path)
    one.add_argument("--output", type=Path, default=CONTRACT)
    one.set_defaults(run=_vendor)
    one = commands.add_parser("update", parents=[allow], help="take over a published contract")
    one.add_argument(
        "source", nargs="?", help="a file or an address; default: where the service publishes it"
    )
    one.add_argument("--restore", action="store_true", help="put back what a killed update wrote")
    one.set_defaults(run=_update)
    one = commands.add_parser("drift", help="what a running client saw, as actions of the overlay")
    one.add_argument("report", type=Path)
    one.set_defaults(run=_drift)
    return parser


def _generate(options: argparse.Namespace) -> int:
    return generate(options.allow)


def _checked(_: argparse.Namespace) -> int:
    return check()


def _vendor(options: argparse.Namespace) -> int:
    from codegen.vendor import dumped as as_yaml
    from codegen.vendor import vendor

    with collecting():
        published = load(options.file)
        with of_file(options.file), reading("the contract"):
            text = as_yaml(vendor(published, load(CONTRACT)))
    options.output.write_text(text, encoding="utf-8")
    print(f"written: {shown(options.output)}")
    return 0


def _update(options: argparse.Namespace) -> int:
    from codegen.update import restore, update

    if options.restore:
        return restore()
    return update(options.source, options.allow, generate)


def _drift(options: argparse.Namespace) -> int:
    from codegen.drift import read

    contract = apply(lower(load(CONTRACT)), load_data(OVERRIDES / "overlay.yaml"))
    classes = {class_name(each): each for each in contract["definitions"]}
    text, notes = read(options.report, classes, contract)
    print(text or "no fields to declare", end="" if text else "\n")
    for each in notes:
        print(f"to look at: {each}", file=sys.stderr)
    return 0


def generate(allowed: list[str]) -> int:
    """Write the generated code, unless it would lose facts."""
    began = time.perf_counter()
    stale: list[str] = []
    with generated(stale) as (fresh, facts):
        _check(facts, allowed, stale)
        found = differences(fresh)
        for name in GENERATED if found else ():
            _replace(PACKAGE / name, fresh / name)
    text = dumped(snapshot(facts))
    if not SNAPSHOT.is_file() or SNAPSHOT.read_text(encoding="utf-8") != text:
        SNAPSHOT.write_text(text, encoding="utf-8")
        found.append("changed openapi/facts.json")
    seconds = f"{time.perf_counter() - began:.1f} s"
    if not found:
        print(f"up to date: {_size(facts)} ({seconds})")
        return 0
    _show(found)
    print(f"written: {_size(facts)}; {len(found)} files changed ({seconds})")
    return 0


def check() -> int:
    """Say which generated files are not what `generate` would write."""
    began = time.perf_counter()
    with generated() as (fresh, facts):
        found = differences(fresh)
    if committed() != snapshot(facts):
        found.append("changed openapi/facts.json")
    if not found:
        print(f"up to date: {_size(facts)} ({time.perf_counter() - began:.1f} s)")
        return 0
    _show(found)
    print(f"{len(found)} files are stale: run `make generate` and commit the result", file=sys.stderr)
    return 1


def _check(facts: Facts, allowed: list[str], stale: list[str]) -> None:
    """Refuse losses and overrides that are no longer needed, all at once."""
    before, problems = committed(), list(stale)
    try:
        check_losses(diff(before, snapshot(facts)) if before else (), allowed)
    except CodegenError as error:
        problems.insert(0, str(error))
    if problems:
        raise CodegenError("\n".join(problems), located=True)


def _diff(options: argparse.Namespace) -> int:
    from codegen.revisions import facts_of

    stale: list[str] = []
    old = facts_of(options.old) if options.old else committed()
    if old is None:
        msg = f"{SNAPSHOT.name} is missing: run `make generate` first, or name the old contract"
        raise CodegenError(msg)
    new = facts_of(options.new, stale) if options.new else snapshot(understand(stale=stale))
    changes = diff(old, new, load_severities(OVERRIDES / "severities.yaml"))
    print(options.form(changes, stale).rstrip("\n"))
    return 0


def _size(facts: Facts) -> str:
    operations = sum(len(resource.operations) for resource in facts.resources)
    return f"{operations} operations of {len(facts.resources)} resources, {len(facts.models)} models"


def _show(found: list[str]) -> None:
    for line in found[:SHOWN]:
        print(line)
    if len(found) > SHOWN:
        print(f"… and {len(found) - SHOWN} more")


def _replace(committed: Path, fresh: Path) -> None:
    """Replace a folder atomically."""
    new, old = committed.with_name(f"{committed.name}.new"), committed.with_name(f"{committed.name}.old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(fresh, new, ignore=shutil.ignore_patterns("__pycache__"))
    try:
        if committed.exists():
            committed.rename(old)
        new.rename(committed)
    except BaseException:
        if not committed.exists() and old.exists():
            old.rename(committed)
        raise
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
