"""From one contract to the next: diff, ratchet, vendoring, update and drift."""

from __future__ import annotations

import copy
import json
import os
import re
import select
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from codegen import update
from codegen.__main__ import main
from codegen.compile import CONTRACT, OVERRIDES, understand
from codegen.diff import RULES, as_json, as_markdown, as_table, bump, diff, load_severities
from codegen.drift import actions_of, read
from codegen.errors import CodegenError
from codegen.load import load_data
from codegen.lower import lower
from codegen.overlay import apply
from codegen.ratchet import LOSSES, check_losses
from codegen.revisions import facts_of
from codegen.snapshot import SNAPSHOT, committed, dumped, snapshot
from codegen.vendor import dumped as as_yaml
from codegen.vendor import vendor
from kantata_client._calls.drift import Drift
from kantata_client._objects.model import Model
from kantata_client.models import Story
from kantata_client.operations import OPERATIONS
from tests.codegen.converted import openapi_3_1
from tests.codegen.published import published
from tests.codegen.small import openapi
from tests.codegen.vendored import vendored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Json = dict[str, Any]
FACTS: Json = committed() or {}


def changes(change: Callable[[Json], None]) -> list[tuple[str, str]]:
    new = copy.deepcopy(FACTS)
    change(new)
    return [(each.rule, each.subject) for each in diff(FACTS, new)]


def query(facts: Json, operation: str = "GET /stories") -> Json:
    return facts["operations"][operation]["query"]


# --- diff --------------------------------------------------------------------------------------


def test_equal_snapshots_have_no_changes() -> None:
    assert diff(FACTS, copy.deepcopy(FACTS)) == []
    assert bump([]) == "none"
    assert as_table([]) == "No change for users."


CHANGES: dict[str, tuple[Callable[[Json], Any], str, str]] = {
    "operation": (lambda f: f["operations"].pop("GET /skills"), "operation removed", "major"),
    "new operation": (
        lambda f: f["operations"].update({"GET /new": {"python": "new.list", "result": "page"}}),
        "operation added",
        "minor",
    ),
    "renamed operation": (
        lambda f: f["operations"].update({"GET /skillz": f["operations"].pop("GET /skills")}),
        "operation renamed",
        "major",
    ),
    "method": (
        lambda f: f["operations"]["GET /skills"].update(python="skills.all"),
        "method renamed",
        "major",
    ),
    "parameter": (lambda f: query(f).pop("archived"), "parameter removed", "major"),
    "renamed parameter": (
        lambda f: query(f).update(starting_betweens=query(f).pop("starting_between")),
        "parameter renamed",
        "major",
    ),
    "new parameter": (lambda f: query(f).update(zz={"kind": "boolean"}), "parameter added", "minor"),
    "new required parameter": (
        lambda f: query(f).update(zz={"kind": "boolean", "required": True}),
        "required parameter added",
        "major",
    ),
    "required": (lambda f: query(f)["archived"].update(required=True), "parameter became required", "major"),
    "single": (lambda f: query(f)["include"].pop("many"), "parameter became single", "major"),
    "value": (lambda f: query(f)["include"]["values"].pop(), "value removed", "major"),
    "new value": (lambda f: query(f)["include"]["values"].append("x"), "value added", "minor"),
    "any value": (lambda f: query(f)["include"].pop("values"), "values free", "minor"),
    "default": (lambda f: query(f)["order"].update(default="x"), "default changed", "minor"),
    "maximum": (lambda f: query(f)["per_page"].update(maximum=100), "maximum lowered", "major"),
    "no maximum": (lambda f: query(f)["per_page"].pop("maximum"), "maximum removed", "minor"),
    "bulk": (lambda f: f["operations"]["POST /stories"].update(bulk_limit=50), "bulk limit lowered", "patch"),
    "no bulk": (lambda f: f["operations"]["POST /stories"].pop("bulk_limit"), "bulk removed", "major"),
    "field": (lambda f: f["models"]["Story"]["fields"].pop("title"), "field removed", "major"),
    "new field": (lambda f: f["models"]["Story"]["fields"].update(zz="str"), "field added", "minor"),
    "field type": (
        lambda f: f["models"]["Story"]["fields"].update(title="int"),
        "field type changed",
        "major",
    ),
    "on request": (
        lambda f: f["models"]["Story"]["fields"].update(title="str, on request by include"),
        "field now on request",
        "major",
    ),
    "association": (
        lambda f: f["models"]["Story"]["associations"].pop("workspace"),
        "association removed",
        "major",
    ),
    "condition": (
        lambda f: f["models"]["Story"]["conditions"].update(assignee_ids="creator"),
        "field needs another association",
        "major",
    ),
    "field with ids": (
        lambda f: f["models"]["Story"]["references"].update(workspace="project_id in workspaces"),
        "association moved",
        "minor",
    ),
    "envelope key": (
        lambda f: f["models"]["Story"]["references"].update(workspace="workspace_id in users"),
        "association moved",
        "minor",
    ),
    "no longer deprecated": (
        lambda f: query(f, "GET /workspaces")["created_at"].pop("deprecated"),
        "parameter restored",
        "patch",
    ),
    "model": (lambda f: f["models"].pop("Story"), "model removed", "major"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_has_its_rule_and_severity(name: str) -> None:
    change, rule, part = CHANGES[name]
    new = copy.deepcopy(FACTS)
    change(new)
    found = diff(FACTS, new)
    assert [each.rule for each in found] == [rule]
    assert bump(found) == part


def test_changes_print_as_table_markdown_and_json() -> None:
    new = copy.deepcopy(FACTS)
    query(new).pop("archived")
    query(new)["zz"] = {"kind": "boolean"}
    found = diff(FACTS, new)
    assert "breaking  parameter removed: kantata.stories.list(archived=)" in as_table(found)
    assert "1 breaking, 1 additive: a major version." in as_table(found)
    assert "### Breaking (1)" in as_markdown(found, ["overrides/overlay.yaml:1: delete this action"])
    assert "no longer needed" in as_markdown(found, ["x"])
    data = json.loads(as_json(found))
    assert data["bump"] == "major"
    assert next(each["key"] for each in data["changes"]) == "parameter removed: GET /stories archived"


def test_severities_can_be_overruled_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "severities.yaml"
    path.write_text(
        '"parameter removed: GET /stories archived": { severity: cosmetic, reason: It never worked. }\n'
    )
    new = copy.deepcopy(FACTS)
    query(new).pop("archived")
    (change,) = diff(FACTS, new, load_severities(path))
    assert (change.severity, change.reason) == ("cosmetic", "It never worked.")
    path.write_text("parameter removed: { severity: cosmetic }\n")
    with pytest.raises(CodegenError, match=r"severities\.yaml:1: .*`reason`"):
        load_severities(path)


def test_diff_takes_revisions_and_files(tmp_path: Path) -> None:
    path = tmp_path / SNAPSHOT.name
    path.write_text(dumped(FACTS))
    assert facts_of(str(path)) == FACTS
    with pytest.raises(CodegenError, match="no-such-revision: there is no such file"):
        facts_of("no-such-revision")


# --- ratchet -----------------------------------------------------------------------------------


def test_ratchet_refuses_losses_and_names_each() -> None:
    new = copy.deepcopy(FACTS)
    gone = list(new["operations"])[-4:]
    for name in gone:
        del new["operations"][name]
    del query(new)["include"]["many"]
    found = diff(FACTS, new)
    with pytest.raises(CodegenError) as caught:
        check_losses(found, [])
    assert f"4 operations gone: {', '.join(sorted(gone))}" in str(caught.value)
    assert "1 lists that became single values: GET /stories include" in str(caught.value)
    with pytest.raises(CodegenError, match="--allow"):
        check_losses(found, gone)
    check_losses(found, [*gone, "GET /stories include"])
    check_losses(found, ["operation removed: *", "parameter became single: *"])
    check_losses(found, ["operation removed: *; parameter became single: *"])


def test_additions_are_not_losses() -> None:
    new = copy.deepcopy(FACTS)
    query(new)["include"]["values"].append("x")
    new["models"]["Story"]["fields"]["zz"] = "str"
    check_losses(diff(FACTS, new), [])
    assert LOSSES.keys() <= RULES.keys()


# --- vendor ------------------------------------------------------------------------------------


def test_vendoring_the_vendored_file_changes_nothing() -> None:
    present = vendored()
    assert as_yaml(vendor(present, present)) == CONTRACT.read_text(encoding="utf-8")


def test_vendor_replaces_the_publishers_words() -> None:
    present = vendored()
    foreign = vendor(openapi_3_1(published(present)), present)
    text = as_yaml(foreign)
    assert "<b>" not in text
    for sentence in ("You can add any", "sideloaded.", "as the account sees them", "indexed by id"):
        assert sentence not in text
    ours = {line.strip() for line in CONTRACT.read_text(encoding="utf-8").splitlines()}
    foreign_lines = [line.strip() for line in text.splitlines() if line.strip() not in ours]
    assert len(foreign_lines) < 20, foreign_lines[:40]


def test_vendor_keeps_every_fact_without_a_present_file_too(tmp_path: Path) -> None:
    present = vendored()
    path = tmp_path / "specification.json"
    path.write_text(
        json.dumps(vendor(published(present, seed=3), {"swagger": "2.0", "paths": {}, "definitions": {}})),
        encoding="utf-8",
    )
    assert facts_of(str(path)) == FACTS


def test_vendor_drops_what_says_nothing() -> None:
    present = vendored()
    noisy = copy.deepcopy(present)
    noisy["consumes"] = ["application/json", "application/x-www-form-urlencoded"]
    noisy["x-groups"] = []
    for item in noisy["paths"].values():
        for operation in item.values():
            operation |= {"security": [], "x-samples": [], "externalDocs": {"url": "https://x.example"}}
            for parameter in operation.get("parameters", ()):
                parameter |= {"x-example": "1"} | {"required": parameter.get("required", False)}
    for definition in noisy["definitions"].values():
        definition["x-model"] = True
    assert vendor(noisy, present) == present


def test_vendor_names_every_association_that_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = vendored()
    for path in ("/stories", "/skills"):
        (include,) = (
            each for each in contract["paths"][path]["get"]["parameters"] if each["name"] == "include"
        )
        include["description"] += "\n- `author` whoever wrote it"
    source, output = tmp_path / "published.json", tmp_path / "vendored.yaml"
    source.write_text(json.dumps(contract, indent=1), encoding="utf-8")
    assert main(["vendor", str(source), "--output", str(output)]) == 1
    lines = source.read_text(encoding="utf-8").splitlines()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    for path in ("/stories", "/skills"):
        pattern = rf"published\.json:(\d+): GET {path}: association '- `author` whoever wrote it'"
        (found,) = (match for each in said if (match := re.search(pattern, each)))
        assert lines[int(found[1]) - 1].strip() == "{", "the parameter itself"
        assert '"include"' in "".join(lines[int(found[1]) : int(found[1]) + 3])
    assert not output.exists()


@pytest.mark.parametrize("output", ["/dev/full", "/dev/null/vendored.yaml"])
def test_what_cannot_be_written_is_said_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    source = tmp_path / "published.json"
    source.write_text(json.dumps(openapi()), encoding="utf-8")
    assert main(["vendor", str(source), "--output", output]) == 1
    assert re.fullmatch(r"codegen: (?:\S+: )?can't be written: .+\n", capsys.readouterr().err)


# --- drift -------------------------------------------------------------------------------------


def test_drift_report_becomes_overlay_actions(tmp_path: Path) -> None:
    rows = [
        {
            "model": "Story",
            "field": "mood",
            "expected": "no field",
            "received": "text like 'aaa'",
            "operation": "GET /x",
        },
        {
            "model": "Story",
            "field": "size",
            "expected": "no field",
            "received": "a whole number",
            "operation": "GET /x",
        },
        {
            "model": "Story",
            "field": "title",
            "expected": "str",
            "received": "a boolean",
            "operation": "GET /x",
        },
    ]
    actions, notes = actions_of({"drift": rows}, {"Story": "Story"})
    assert [each["target"] for each in actions] == ["$.definitions['Story'].properties"]
    assert {name: each["type"] for name, each in actions[0]["update"].items()} == {
        "mood": "string",
        "size": "integer",
    }
    assert notes == ["Story.title: a boolean instead of str, in GET /x"]
    path = tmp_path / "drift.json"
    path.write_text("[]")
    with pytest.raises(CodegenError, match=r"drift\.json:1: .*kantata\.drift\.save"):
        read(path, {})


def _drift_rows(expected: str, *received: str) -> dict[str, list[dict[str, str]]]:
    return {
        "drift": [
            {"model": "Story", "field": "size", "expected": expected, "received": each, "operation": "GET /x"}
            for each in received
        ]
    }


OBSERVATIONS = [
    (("text like 'aaa'", "a number"), None),
    (("a number", "text like 'aaa'"), None),
    (("a number", "text like 'aaa'", "a number"), None),
    (("an object", "an array"), None),
    (("a number", "a whole number"), "number"),
    (("a whole number", "a number", "a whole number"), "number"),
    (("a number", "a number"), "number"),
]
"""(what was received, one after the other; the type that takes an integer and all of them)."""


@pytest.mark.parametrize(("received", "expected"), OBSERVATIONS)
def test_a_declared_field_takes_every_type_it_was_received_with(
    received: tuple[str, ...], expected: str | None
) -> None:
    contract = {
        "definitions": {"Story": {"properties": {"size": {"type": "integer", "description": "Size."}}}}
    }
    (action,), notes = actions_of(_drift_rows("int", *received), {"Story": "Story"}, contract)
    assert action["target"] == "$.definitions['Story'].properties['size']"
    assert action["x-replace"] == {"description": "Size."} | ({"type": expected} if expected else {})
    assert action["description"] == " ".join(f"Also {each}, in GET /x." for each in dict.fromkeys(received))
    assert action["x-was"] == {"type": "integer"}
    assert notes == []


@pytest.mark.parametrize(("received", "expected"), OBSERVATIONS)
def test_an_unknown_field_takes_every_type_it_was_received_with(
    received: tuple[str, ...], expected: str | None
) -> None:
    (action,), _ = actions_of(_drift_rows("no field", *received), {"Story": "Story"})
    assert action["update"]["size"].get("type") == expected
    assert action["update"]["size"]["description"].startswith("First seen in GET /x.")


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (("text like '9999-99-99'", "text like '9999-99-99'"), {"type": "string", "format": "date"}),
        (("text like '9999-99-99'", "empty text"), {"type": "string"}),
        (("text like '9999-99-99'", "text like '9999-99-99a99:99:99a'"), {"type": "string"}),
        (("an array", "an array"), {"type": "array", "items": {}}),
        (("a boolean", "text like 'aaa'"), {}),
    ],
)
def test_texts_of_several_formats_are_texts(received: tuple[str, ...], expected: dict[str, object]) -> None:
    (action,), _ = actions_of(_drift_rows("no field", *received), {"Story": "Story"})
    found = action["update"]["size"]
    assert {key: value for key, value in found.items() if key != "description"} == expected


def test_drift_command_reads_what_a_client_saves(tmp_path: Path) -> None:
    drift = Drift("warn")
    drift.check(
        {"stories": {"7": {"id": "7", "mood": "2026-01-02"}}},
        lambda _: Story,
        OPERATIONS["GET /stories"],
        "r",
    )
    path = tmp_path / "drift.json"
    drift.save(path)
    text, notes = read(path, {"Story": "Story"})
    (action,) = yaml.safe_load(text)
    assert action["update"]["mood"]["format"] == "date"
    assert notes == []
    contract = apply(
        lower(vendored()),
        {"overlay": "1.0.0", "info": {"title": "x", "version": "1"}, "actions": [action]},
    )
    assert "mood" in contract["definitions"]["Story"]["properties"]


def test_every_kind_of_drift_becomes_actions_that_generate(tmp_path: Path) -> None:
    drift = Drift("warn")
    story = {
        "id": "7",
        "mood": "calm",
        "badges": [1],
        "title": True,
        "start_date": "soon",
        "percentage_complete": 1.5,
        "2fast": 1,
        "class": "x",
        "thing_7123_count": 2,
    }
    drift.check(
        {"stories": {"7": story}, "martian_beings": {"1": {"id": "1"}}},
        lambda key: Story if key == "stories" else Model,
        OPERATIONS["GET /stories"],
        "r",
        missing=["stories"],
        unmapped={"users": []},
    )
    report = tmp_path / "drift.json"
    drift.save(report)
    corrections = load_data(OVERRIDES / "overlay.yaml")
    contract = apply(lower(vendored()), corrections)
    text, notes = read(report, {"Story": "Story"}, contract)
    assert (
        len(notes) == 5
    )  # three names that can't be attributes, the missing object, and the list under `users`
    overrides = tmp_path / "overrides"
    shutil.copytree(OVERRIDES, overrides)
    overlay = overrides / "overlay.yaml"
    overlay.write_text(overlay.read_text(encoding="utf-8").rstrip("\n") + "\n" + text, encoding="utf-8")
    changed = diff(FACTS, snapshot(understand(overrides=overrides)))
    found = {each.key for each in changed}
    for field in ("mood", "badges"):
        assert any(key.startswith("field added") and key.endswith(f"Story.{field}") for key in found), found
    for field in ("title", "start_date", "percentage_complete"):
        assert any(key.startswith("field type") and f"Story.{field}" in key for key in found), found
    assert any("MartianBeing" in key for key in found), found


@pytest.mark.parametrize(
    "report",
    [
        "",
        "null",
        "[" * 100_000,
        '{"drift": {}}',
        '{"drift": [7]}',
        '{"drift": [{"model": "Story", "field": "x"}]}',
        '{"drift": [{"model": 7, "field": "x", "expected": "no field", "received": "text", "operation": "GET /x"}]}',
        '{"drift": [{"model": "Story", "field": "x", "expected": "no field", "received": null, "operation": "GET /x"}]}',
        "\ufeff{}",
    ],
)
def test_malformed_drift_reports_are_refused(tmp_path: Path, report: str) -> None:
    path = tmp_path / "drift.json"
    path.write_text(report, encoding="utf-8")
    with pytest.raises(CodegenError, match=r"drift\.json:1: it can't be read"):
        read(path, {"Story": "Story"}, {})


# --- update ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<html>Sign in</html>", "looks like a sign-in page"),
        ("swagger: '2.0'\nhost: api.mavenlink.com\nbasePath: /api/v1\npaths: {}\n", "incomplete"),
        ("swagger: '2.0'\nhost: petstore.example\npaths: {}\n", ":2: the contract is for petstore"),
        ("nonsense", "not a mapping"),
    ],
)
def test_update_refuses_files_that_are_not_this_contract(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(content)
    with pytest.raises(CodegenError, match=message) as caught:
        update.update(str(path), [], lambda _: pytest.fail("generated"))
    assert str(caught.value).startswith(path.as_posix())


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what an update writes, in the place of the repository's own."""
    for name in ("CONTRACT", "SNAPSHOT", "CHANGELOG"):
        copied = tmp_path / getattr(update, name).name
        shutil.copy(getattr(update, name), copied)
        monkeypatch.setattr(update, name, copied)
    for name in ("OVERRIDES", "PACKAGE"):
        folder = getattr(update, name)
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__", "_*"))
        monkeypatch.setattr(update, name, tmp_path / folder.name)
    monkeypatch.setattr(update, "REPORT", tmp_path / "changes.md")
    monkeypatch.setattr(update, "SAVED", tmp_path / update.SAVED.name)
    return tmp_path


def test_an_update_without_a_change_for_users_does_not_keep_an_earlier_report(tree: Path) -> None:
    update.REPORT.write_text("An earlier one.\n\nBump: major\n", encoding="utf-8")
    source = tree / "new.json"
    contract = vendored()
    source.write_text(json.dumps(contract), encoding="utf-8")
    assert update.update(str(source), [], lambda _: 0) == 0
    assert update.REPORT.read_text(encoding="utf-8").startswith("An earlier one.")  # nothing is new at all
    contract["definitions"]["Skill"]["properties"]["name"]["maxLength"] = 250
    source.write_text(json.dumps(contract), encoding="utf-8")
    assert update.update(str(source), [], lambda _: 0) == 0
    assert "maxLength: 250" in update.CONTRACT.read_text(encoding="utf-8")
    assert update.REPORT.read_text(encoding="utf-8") == "**No change for users.**\n\nBump: none\n"


def test_failed_update_restores_the_tree(tree: Path) -> None:
    tmp_path = tree
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    contract = vendored()
    contract["definitions"]["Skill"]["properties"]["zz"] = {"type": "string"}
    source = tmp_path / "new.json"
    source.write_text(json.dumps(contract))

    def fails(_: list[str]) -> int:
        assert update.CONTRACT.read_bytes() != before[update.CONTRACT]
        (update.PACKAGE / "api" / "skills.py").write_text("broken")
        raise CodegenError("it can't be")

    with pytest.raises(CodegenError, match="it can't be"):
        update.update(str(source), [], fails)
    source.unlink()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt`; a shell starts processes in the background with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("again", ["while it restores", "before it restores"])
def test_an_update_that_is_interrupted_twice_restores_the_tree(
    tree: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    before = _files(tree)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    restore, tried = update._restore, []

    def interrupted() -> None:
        tried.append(again)
        if again == "while it restores":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        elif len(tried) == 1:
            signal.raise_signal(signal.SIGINT)
        restore()

    def updated() -> None:
        with update._restoring():
            (update.PACKAGE / "api" / "skills.py").write_text("broken")
            (update.PACKAGE / "api" / "new.py").write_text("new")
            update.CONTRACT.unlink()
            update.REPORT.write_text("half")
            if again == "while it restores":
                signal.raise_signal(signal.SIGTERM)
            raise CodegenError("it can't be")  # and then the first signal comes

    monkeypatch.setattr(update, "_restore", interrupted)
    with pytest.raises(KeyboardInterrupt):
        updated()
    assert len(tried) == (1 if again == "while it restores" else 2)
    assert _files(tree) == before
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_restore_overwrites_a_folder_that_a_check_made_again(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, remove = _files(tree), shutil.rmtree

    def removed(folder: Path, **options: Any) -> None:
        remove(folder, **options)
        if folder == update.PACKAGE / "api":
            (folder / "__pycache__").mkdir(parents=True)

    def fails() -> None:
        with update._restoring():
            raise CodegenError("it can't be")

    monkeypatch.setattr(shutil, "rmtree", removed)
    with pytest.raises(CodegenError, match="it can't be"):
        fails()
    assert _files(tree) == before


def test_what_a_check_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that a check started, as basedpyright starts Node, doesn't outlive an interrupt."""
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    inner = f"import time; file = open({str(alive)!r}, 'w'); time.sleep(600)"
    (tmp_path / "starts.py").write_text(
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {inner!r}])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    opened: list[int] = []

    def interrupted(_: object) -> None:
        opened.append(os.open(alive, os.O_RDONLY))  # returns when the inner program runs
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        update._run({"a check": ["starts"]})
    (reading,) = opened
    assert select.select([reading], [], [], 60)[0], "it still runs"
    assert os.read(reading, 1) == b""
    os.close(reading)
