"""PUTs that must not be repeated: decided in the semantics, known to the runtime, and listed in the docs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from codegen.compile import CONTRACT, OVERRIDES, understand
from codegen.errors import CodegenError
from codegen.load import load_data
from kantata_client import FixedRate, Kantata, KantataError, RetryPolicy, UnknownOutcomeError
from kantata_client.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
ACTIONS = sorted(name for name, operation in OPERATIONS.items() if operation.action)
LIKELY = r"resend|split|apply|toggle|approve$|reject|cancel|publish|enable|disable|standardize|delete$"


def test_actions_are_puts_on_custom_routes() -> None:
    decided = load_data(OVERRIDES / "semantics.yaml")["repeatable"]
    assert sorted(name for name, repeatable in decided.items() if repeatable is False) == ACTIONS
    assert len(ACTIONS) >= 18
    for name in ACTIONS:
        assert name.startswith("PUT ")
        assert not name.endswith("}")
    for name, operation in OPERATIONS.items():
        if operation.method == "PUT" and re.search(LIKELY, name):
            assert operation.action, name


def test_docs_list_the_actions() -> None:
    text = (ROOT / "docs" / "outcomes.md").read_text(encoding="utf-8")
    for name in ACTIONS:
        operation = OPERATIONS[name]
        assert f"`{operation.resource}.{operation.name}`" in text, name


@pytest.mark.parametrize("line", ["PUT /workspaces/{id}/apply_template", "PUT /attachments/{id}/sync"])
def test_refuses_an_undecided_put(line: str, tmp_path: Path) -> None:
    for each in ("overlay.yaml", "wording.yaml"):
        (tmp_path / each).write_text((OVERRIDES / each).read_text())
    facts = (OVERRIDES / "semantics.yaml").read_text()
    (tmp_path / "semantics.yaml").write_text(re.sub(rf"(?m)^  {re.escape(line)}: .*\n", "", facts))
    assert line not in load_data(tmp_path / "semantics.yaml")["repeatable"]
    with pytest.raises(CodegenError, match=rf"specification\.yaml:\d+: {re.escape(line)}: it is not decided"):
        understand(CONTRACT, tmp_path)


def test_refuses_a_decision_that_changes_nothing(tmp_path: Path) -> None:
    for each in ("overlay.yaml", "wording.yaml"):
        (tmp_path / each).write_text((OVERRIDES / each).read_text())
    facts = (OVERRIDES / "semantics.yaml").read_text()
    added = facts.replace("\nrepeatable:\n", "\nrepeatable:\n  PUT /stories/{id}: true\n")
    (tmp_path / "semantics.yaml").write_text(added)
    with pytest.raises(
        CodegenError, match=r"semantics\.yaml:\d+: repeatable: PUT /stories/\{id\}.*delete it"
    ):
        understand(CONTRACT, tmp_path)


CALLS: dict[str, tuple[Any, int]] = {
    "workspaces.apply_template(7, project_tracker_template_id=1)": (
        lambda k: k.workspaces.apply_template(7, project_tracker_template_id=1),
        1,
    ),
    "timesheet_submissions.approve(7)": (lambda k: k.timesheet_submissions.approve(7), 1),
    'request("PUT", "/workspaces/7/apply_template", json={})': (
        lambda k: k.request("PUT", "/workspaces/7/apply_template", json={}),
        1,
    ),
    'request("put", "/timesheet_submissions/7/approve.json")': (
        lambda k: k.request("put", "/timesheet_submissions/7/approve.json"),
        1,
    ),
    'request("PUT", "/stories/7/do_it_again", json={})': (
        lambda k: k.request("PUT", "/stories/7/do_it_again", json={}),
        1,
    ),
    'request("PUT", "/new_things/sort", json={})': (
        lambda k: k.request("PUT", "/new_things/sort", json={}),
        1,
    ),
    'stories.update(7, title="x")': (lambda k: k.stories.update(7, title="x"), 3),
    "attachments.sync(7)": (lambda k: k.attachments.sync(7), 3),
    'request("PUT", "/stories/7", json={})': (lambda k: k.request("PUT", "/stories/7", json={}), 3),
    'request("PUT", "/stories/7.json/", json={})': (
        lambda k: k.request("PUT", "/stories/7.json/", json={}),
        3,
    ),
    'request("PUT", "/attachments/7/sync")': (lambda k: k.request("PUT", "/attachments/7/sync"), 3),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("ending", ["lost", 302, 303, 503])
@pytest.mark.anyio
async def test_a_lost_answer_is_repeated_or_unknown_by_operation(name: str, ending: str | int) -> None:
    call, sent = CALLS[name]
    requests: list[httpx.Request] = []

    class Losing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            requests.append(request)
            await request.aread()
            if ending == "lost":
                raise httpx.ReadError("reset")
            return httpx.Response(int(ending), headers={"location": "https://login.example/"}, content=b"")

    retries = RetryPolicy(retries=2, initial=0, maximum=0)
    async with Kantata("t", transport=Losing(), retries=retries, throttle=FixedRate(1e6)) as kantata:
        with pytest.raises(KantataError) as caught:
            await call(kantata)
    if sent == 1:
        assert isinstance(caught.value, UnknownOutcomeError)
        assert len(requests) == 1
    else:
        assert not isinstance(caught.value, UnknownOutcomeError)
        assert len(requests) == (1 if ending in (302, 303) else 3)
