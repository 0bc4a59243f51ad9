"""Update from a file: four additions become code that passes the checks, in a copy of the repository."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from codegen.compile import ROOT
from codegen.load import apart
from tests.codegen.vendored import vendored

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
SECONDS = 900
"""After which the test gives up; on a machine that does nothing else the update takes less than 60."""


def copied(folder: Path) -> Path:
    """The files of the repository, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def with_four_additions(contract: Json) -> Json:
    """A field, a filter, an include and an endpoint more."""
    new = apart(contract)
    new["definitions"]["Skill"]["properties"]["rarity"] = {"type": "string", "description": "How rare it is."}
    parameters = new["paths"]["/skills"]["get"]["parameters"]
    parameters.append({"in": "query", "name": "rare", "type": "boolean", "description": "Only rare ones."})
    include = next(each for each in parameters if each["name"] == "include")
    include["description"] += "\n- `inventor` (User)"
    new["paths"]["/skills/{id}/rarest"] = {"get": apart(new["paths"]["/skills/{id}"]["get"])}
    return new


def state(tree: Path) -> dict[str, bytes]:
    names = ("kantata_client", "openapi", "overrides", "CHANGELOG.md", ".codegen-update")
    files = [each for name in names for each in (tree / name, *(tree / name).rglob("*")) if each.is_file()]
    return {
        each.relative_to(tree).as_posix(): each.read_bytes()
        for each in files
        if "__pycache__" not in each.parts
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
def test_an_update_that_is_interrupted_leaves_the_tree_as_it_was(
    tmp_path: Path, number: signal.Signals
) -> None:
    tree = copied(tmp_path / "tree")
    source = tmp_path / "new.json"
    source.write_text(json.dumps(with_four_additions(vendored())))
    before = state(tree)
    command = [sys.executable, "-m", "codegen", "update", str(source)]
    with subprocess.Popen(
        command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        deadline = time.monotonic() + SECONDS
        while (tree / "openapi" / "specification.yaml").read_bytes() == before["openapi/specification.yaml"]:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        process.communicate(timeout=SECONDS)
        assert process.returncode != 0
    if number is signal.SIGKILL:
        for argument, said in (
            (str(source), "was killed"),
            ("--restore", "as it was before"),
            ("--restore", "nothing"),
        ):
            ran = subprocess.run(
                [*command[:-1], argument],
                cwd=tree,
                check=False,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
            assert said in ran.stdout + ran.stderr
    assert state(tree) == before


def test_four_additions_need_no_edit_by_hand(tmp_path: Path, record_property: Any) -> None:
    tree = copied(tmp_path / "tree")
    source = tmp_path / "new.yaml"
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    source.write_text(yaml.dump(with_four_additions(vendored()), Dumper=dumper, sort_keys=False))
    began = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "codegen", "update", str(source)],
        cwd=tree,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    seconds = round(time.perf_counter() - began)
    sys.stdout.write(f"the update took {seconds} s\n")
    record_property("seconds", seconds)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "4 additive: a minor version." in ran.stdout
    diff = subprocess.run(
        [sys.executable, "-m", "codegen", "diff", str(ROOT / "openapi" / "facts.json"), "--json"],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    )
    changes = json.loads(diff.stdout)["changes"]
    assert [each["key"] for each in changes] == [
        "association added: Skill.inventor",
        "field added: Skill.rarity",
        "operation added: GET /skills/{id}/rarest",
        "parameter added: GET /skills rare",
    ]
    assert changes[0]["detail"] == "User, by kantata.skills.list()"
    assert "association added: `Skill.inventor`" in (tree / "CHANGELOG.md").read_text()
    assert "Bump: minor" in (tree / "openapi" / "changes.md").read_text()
    again = subprocess.run(
        [sys.executable, "-m", "codegen", "check"], cwd=tree, check=False, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
