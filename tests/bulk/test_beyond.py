"""What bulk writes send beyond the contract: `extra_query` with each request, `extra_body` with each item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client import ExternalReferenceKey, FixedRate, Kantata, UsageError
from kantata_client.models import Story

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


class Recorder(httpx.AsyncBaseTransport):
    """Answers every write with what was sent, and every list with nothing."""

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []
        self.bodies: list[Any] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        import json

        content = await request.aread()
        if request.method == "GET":
            return httpx.Response(200, json={"count": 0, "results": []})
        self.queries.append(dict(request.url.params))
        if request.method == "DELETE":
            return httpx.Response(204)
        self.bodies.append(json.loads(content))
        [(_, sent)] = self.bodies[-1].items()
        key = request.url.path.split("/")[3]
        rows = sent if isinstance(sent, list) else [sent]
        objects = {str(place): {**row, "id": str(place)} for place, row in enumerate(rows)}
        results = [{"key": key, "id": identifier} for identifier in objects]
        return httpx.Response(200, json={"count": len(rows), "results": results, key: objects})


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def kantata(recorder: Recorder) -> AsyncIterator[Kantata]:
    async with Kantata("t", transport=recorder, throttle=FixedRate(1e6)) as kantata:
        yield kantata


ROWS: list[Any] = [{"workspace_id": 7, "title": f"T{n}", "story_type": "task"} for n in range(3)]


async def test_extra_body_mapping_is_sent_with_every_item(kantata: Kantata, recorder: Recorder) -> None:
    extra = {"assignees": [1, 2], "new": {"deep": None}}
    result = await kantata.stories.create_many(ROWS, extra_body=extra, extra_query={"beta": True})
    assert recorder.bodies == [{"stories": [{**row, **extra} for row in ROWS]}]
    assert recorder.queries == [{"beta": "true"}]
    assert len(result.created) == 3


async def test_extra_body_function_is_called_for_every_item(kantata: Kantata, recorder: Recorder) -> None:
    key = ExternalReferenceKey("erp", "task", ref="number", patience=0)
    rows = [{**row, "number": n} for n, row in enumerate(ROWS)]

    def extra(item: Any) -> dict[str, object] | None:
        return {"assignees": [item["number"]]} if item["number"] else None

    await kantata.stories.create_many(rows, key=key, extra_body=extra)
    [body] = recorder.bodies
    assert [row.get("assignees") for row in body["stories"]] == [None, [1], [2]]
    assert all("number" not in row for row in body["stories"])


async def test_extra_body_of_updates(kantata: Kantata, recorder: Recorder) -> None:
    received = Story(id="7", title="old")
    await kantata.stories.update_many(
        [(7, {"title": "x"}), {"id": 8, "title": "y"}, received.replace(title="z")],
        extra_body={"mood": "good"},
        extra_query={"beta": 1},
        concurrency=1,
    )
    assert recorder.bodies == [{"story": {"title": title, "mood": "good"}} for title in "xyz"]
    assert [query.get("beta") for query in recorder.queries] == ["1"] * 3


async def test_extra_body_of_single_creations(kantata: Kantata, recorder: Recorder) -> None:
    key = ExternalReferenceKey("erp", "role", ref="number", patience=0)
    rows: list[Any] = [{"name": "R", "number": 1}]
    result = await kantata.roles.create_many(rows, key=key, extra_body={"mood": "good"})
    assert recorder.bodies[0]["role"]["mood"] == "good"
    assert len(result.created) == 1


async def test_values_outside_the_contract_are_sent(kantata: Kantata, recorder: Recorder) -> None:
    rows: list[Any] = [{"workspace_id": 7, "title": "T"}]
    await kantata.stories.create_many(rows, extra_body={"story_type": "epic"})
    assert recorder.bodies[0]["stories"][0]["story_type"] == "epic"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"extra_body": 7}, "extra_body must be a mapping or a function of an item, not 7"),
        ({"extra_body": {"title": "x"}}, "'title' is also passed"),
        ({"extra_body": {1: "x"}}, "keys must be text"),
        ({"extra_body": lambda item: [item]}, "must be a mapping, got list"),
        ({"extra_query": [1]}, "must be a mapping, got list"),
    ],
    ids=range(5),
)
async def test_invalid_extra_body_is_rejected(
    kantata: Kantata, recorder: Recorder, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        await kantata.stories.create_many(ROWS, **options)
    assert not recorder.bodies
