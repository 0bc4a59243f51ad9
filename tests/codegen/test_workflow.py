"""The scheduled workflow that keeps one pull request with the published contract up to date."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

WORKFLOW = Path(__file__).parents[2] / ".github/workflows/contract.yml"
BRANCH = "contract-update"
BOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")
GH = """#!/bin/sh
echo "$*" >> "$GH_CALLS"
case "$1 $2" in
"pr list") cat "$GH_NUMBER" ;;
"pr view") echo "semver: patch" ;;
esac
"""

pytestmark = pytest.mark.skipif(
    not (shutil.which("git") and shutil.which("bash")), reason="the step runs git in bash"
)


@attrs.define
class _Hosting:
    """A repository with a main branch, and a `gh` that writes down how it is called."""

    folder: Path
    environment: dict[str, str]

    def git(
        self, *arguments: str, inside: str = "person", author: tuple[str, str] = ("Ada", "a@b.example")
    ) -> str:
        name, email = author
        who = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in (("NAME", name), ("EMAIL", email))
        }
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder / inside,
            env=self.environment | who,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout.strip()

    def commit(self, name: str, author: tuple[str, str] = ("Ada", "a@b.example")) -> str:
        """Write a file and commit it in the person's clone."""
        path = self.folder / "person" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-m", f"Write {name}", author=author)
        return self.git("rev-parse", "HEAD")

    def published(self, branch: str = BRANCH) -> str:
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}", inside="origin.git")

    def calls(self) -> str:
        path = Path(self.environment["GH_CALLS"])
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def run(self, contract: str, depth: int | None) -> subprocess.CompletedProcess[str]:
        """Run the workflow's step in a new checkout of main, after an update of the contract."""
        runner = self.folder / "runner"
        shutil.rmtree(runner, ignore_errors=True)
        shallow = [f"--depth={depth}"] if depth else []
        self.git(
            "clone", "-q", *shallow, "-b", "main", (self.folder / "origin.git").as_uri(), "runner", inside="."
        )
        (runner / "openapi").mkdir(exist_ok=True)
        (runner / "openapi/contract.yaml").write_text(contract, encoding="utf-8")
        (runner / "openapi/changes.md").write_text("**Added.**\n\nBump: minor\n", encoding="utf-8")
        return subprocess.run(
            ["bash", "-e", "-c", _step()],
            cwd=runner,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )


def _step() -> str:
    workflow: Any = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    return workflow["jobs"]["update"]["steps"][-1]["run"]


@pytest.fixture
def hosting(tmp_path: Path) -> _Hosting:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "gh").write_text(GH, encoding="utf-8")
    (programs / "gh").chmod(0o755)
    number = tmp_path / "number"
    number.write_text("", encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    found = _Hosting(
        tmp_path,
        kept
        | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "RUNNER_TEMP": str(tmp_path),
            "GH_CALLS": str(tmp_path / "calls"),
            "GH_NUMBER": str(number),
        },
    )
    found.git("init", "-q", "--bare", "-b", "main", "origin.git", inside=".")
    found.git("clone", "-q", (tmp_path / "origin.git").as_uri(), "person", inside=".")
    found.git("switch", "-q", "-c", "main")
    for name in ("README.md", "CHANGELOG.md"):
        found.commit(name)
    found.git("push", "-q", "origin", "main")
    return found


def _propose(hosting: _Hosting) -> None:
    """Publish the branch of an earlier run, which left main before main went on."""
    hosting.git("switch", "-q", "-c", BRANCH)
    hosting.commit("openapi/contract.yaml", BOT)
    hosting.git("push", "-q", "origin", BRANCH)
    hosting.git("switch", "-q", "main")
    hosting.commit("LICENSE")
    hosting.git("push", "-q", "origin", "main")
    Path(hosting.environment["GH_NUMBER"]).write_text("7\n", encoding="utf-8")


@pytest.mark.parametrize("depth", [1, None])
def test_the_workflow_opens_a_pull_request(hosting: _Hosting, depth: int | None) -> None:
    hosting.run("new", depth)
    assert hosting.git("show", f"{BRANCH}:openapi/contract.yaml", inside="origin.git") == "new"
    assert "pr create --head contract-update" in hosting.calls()


@pytest.mark.parametrize("depth", [1, None])
def test_the_workflow_replaces_its_own_commits(hosting: _Hosting, depth: int | None) -> None:
    _propose(hosting)
    hosting.run("newer", depth)
    assert hosting.git("show", f"{BRANCH}:openapi/contract.yaml", inside="origin.git") == "newer"
    assert hosting.git("rev-parse", f"{BRANCH}~1", inside="origin.git") == hosting.published("main")
    assert "pr edit 7 --body-file" in hosting.calls()
    assert "pr create" not in hosting.calls()


@pytest.mark.parametrize("depth", [1, None])
@pytest.mark.parametrize("kind", ["added", "amended", "below"])
def test_a_persons_commits_survive_the_workflow(hosting: _Hosting, depth: int | None, kind: str) -> None:
    _propose(hosting)
    hosting.git("switch", "-q", BRANCH)
    if kind == "amended":
        bot = f"{BOT[0]} <{BOT[1]}>"
        hosting.git("commit", "-q", "--amend", "--author", bot, "-m", "Decide")
    else:
        hosting.commit("overrides/semantics.yaml")
    if kind == "below":
        hosting.commit("openapi/changes.md", BOT)
    hosting.git("push", "-q", "--force", "origin", BRANCH)
    before = hosting.published()
    done = hosting.run("newer", depth)
    assert hosting.published() == before
    assert f"::warning::The branch {BRANCH} has commits of people" in done.stdout
    assert hosting.calls() == ""


def test_the_workflow_does_nothing_without_a_change(hosting: _Hosting) -> None:
    for name in ("openapi/contract.yaml", "openapi/changes.md"):
        hosting.commit(name)
    (hosting.folder / "person/openapi/contract.yaml").write_text("same", encoding="utf-8")
    (hosting.folder / "person/openapi/changes.md").write_text("**Added.**\n\nBump: minor\n", encoding="utf-8")
    hosting.commit("LICENSE")
    hosting.git("push", "-q", "origin", "main")
    done = hosting.run("same", 1)
    assert done.stdout == "nothing new\n"
    assert hosting.published() == ""


@pytest.mark.parametrize("proposed", [True, False])
def test_a_commit_that_comes_while_the_workflow_runs_survives(hosting: _Hosting, proposed: bool) -> None:
    if proposed:
        _propose(hosting)
        hosting.git("switch", "-q", BRANCH)
    else:
        hosting.git("switch", "-q", "-c", BRANCH)
    decided = hosting.commit("overrides/semantics.yaml")
    git, person = shutil.which("git"), hosting.folder / "person"
    shim = hosting.folder / "bin/git"
    shim.write_text(
        f"#!/bin/sh\nif [ \"$1\" = push ]; then '{git}' -C '{person}' push -q origin {BRANCH}; fi\nexec '{git}' \"$@\"\n",
        encoding="utf-8",
    )
    shim.chmod(0o755)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        hosting.run("newer", 1)
    assert "stale info" in caught.value.stderr
    assert hosting.published() == decided
    assert hosting.calls() == ""
