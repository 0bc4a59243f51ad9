"""When objects show references: only if included, as documented, or always, as the server library does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import NotIncludedError
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox, schema

from .conftest import NOW, connected, only

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


@pytest.fixture
async def always() -> AsyncIterator[API]:
    async with connected(Sandbox("demo", clock=lambda: NOW, references="always")) as api:
        yield api


LISTS = [
    name
    for name, operation in OPERATIONS.items()
    if operation.method == "GET"
    and operation.result == "page"
    and "{" not in operation.path
    and operation.key
]
REQUIRED: dict[str, Any] = {"subject_type": "Workspace", "workspace_id": 10002, "story_id": 20060}


@pytest.mark.parametrize("name", LISTS)
async def test_fields_bound_to_an_include_are_omitted_by_default(api: API, name: str) -> None:
    operation = OPERATIONS[name]
    key = str(operation.key)
    model = schema.model(key)
    required = {field: REQUIRED.get(field, 1) for field, p in operation.query.items() if p.required}
    response = await api.client.get(operation.path.lstrip("/"), params=required)
    assert response.status_code == 200, response.text
    omitted = {*model.bound, *model.optional}
    for shown in response.json()[key].values():
        assert not omitted & shown.keys()
    for field, association in model.bound.items():
        if "include" not in operation.query or association not in operation.query["include"].values:
            continue
        answer = (
            await api.client.get(operation.path.lstrip("/"), params={**required, "include": association})
        ).json()
        for result in answer["results"]:
            assert field in answer[key][result["id"]]


async def test_an_included_reference_to_nothing_is_null(api: API) -> None:
    answer = await api.get("/stories", include="parent", per_page=200)
    values = [answer["stories"][result["id"]]["parent_id"] for result in answer["results"]]
    assert any(value is not None for value in values)
    top = next(row for row in api.sandbox.store.all("stories") if row["parent_id"] is None)
    assert only(await api.get(f"/stories/{top['id']}", include="parent"))["parent_id"] is None


async def test_references_always_sends_single_references(always: API) -> None:
    entry = only(await always.get("/time_entries", per_page=1))
    assert {"workspace_id", "user_id", "story_id"} <= entry.keys()
    assert "external_reference_ids" not in entry
    made = only(await always.post("/stories", {"story": {"workspace_id": 10002, "title": "T"}}))
    assert made["workspace_id"] == "10002"


def test_a_lenient_sandbox_always_sends_single_references() -> None:
    assert Sandbox("empty").store.references == "documented"
    assert Sandbox("empty", strict=False).store.references == "always"
    assert Sandbox("empty", strict=False, references="documented").store.references == "documented"


async def test_reading_an_omitted_reference_names_the_include(sandbox: Sandbox) -> None:
    async with sandbox.client() as kantata:
        entry = await kantata.time_entries.list().first()
        assert entry is not None
        with pytest.raises(NotIncludedError, match="workspace"):
            _ = entry.workspace_id
        entry = await kantata.time_entries.list(include=["workspace"]).first()
        assert entry is not None
        assert entry.workspace_id == entry.workspace.id
