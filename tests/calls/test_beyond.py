"""`extra_query` and `extra_body`: what the contract lacks, on every typed call."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from kantata_client import Kantata, UsageError
from kantata_client.operations import OPERATIONS

ENVELOPE = {
    "count": 0,
    "meta": {"count": 0, "page_count": 0, "page_number": 1, "page_size": 200},
    "results": [],
}
STORY = {"count": 1, "results": [{"key": "stories", "id": "7"}], "stories": {"7": {"id": "7"}}}


class Sent:
    """The requests of a client whose service answers all of them."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Any = STORY

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json=self.answer)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.requests[-1].url.query.decode()))

    @property
    def body(self) -> Any:
        return json.loads(self.requests[-1].content)

    def client(self) -> Kantata:
        return Kantata("secret", transport=httpx.MockTransport(self), throttle=1e6, on_drift="ignore")


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.mark.anyio
async def test_a_new_property_is_sent_beside_the_typed_ones(sent: Sent) -> None:
    await sent.client().stories.create(
        workspace_id=1,
        title="Kick-off",
        story_type="task",
        extra_body={"assignees": [{"id": 5}], "starts": datetime(2026, 1, 2, tzinfo=UTC)},
    )
    assert sent.body == {
        "story": {
            "workspace_id": 1,
            "title": "Kick-off",
            "story_type": "task",
            "assignees": [{"id": 5}],
            "starts": "2026-01-02T00:00:00+00:00",
        }
    }


@pytest.mark.anyio
async def test_a_value_that_the_contract_does_not_list_can_be_sent_on_purpose(sent: Sent) -> None:
    kantata = sent.client()
    await kantata.stories.create(workspace_id=1, title="x", extra_body={"story_type": "epic"})
    assert sent.body["story"]["story_type"] == "epic"
    await kantata.stories.get(7, extra_query={"include": ["galaxies", "workspace"]})
    assert sent.query["include"] == "galaxies,workspace"
    await kantata.stories.list(extra_query={"order": "rank:asc"}).first()
    assert sent.query["order"] == "rank:asc"


@pytest.mark.anyio
async def test_an_association_in_extra_query_counts_as_included(sent: Sent) -> None:
    story = await sent.client().stories.get(7, extra_query={"include": ["workspace"]})
    assert story.workspace is None


@pytest.mark.anyio
async def test_every_page_has_the_extra_parameters(sent: Sent) -> None:
    pages = [{**ENVELOPE, "count": 250, "meta": {"page_size": 200}}]
    sent.answer = pages[0]
    kantata = sent.client()
    async for _ in kantata.stories.list(extra_query={"brand_new": True}).pages():
        pass
    await kantata.stories.list(extra_query={"brand_new": True}).count()
    sent.answer = {**ENVELOPE, "count": 0}
    await kantata.stories.list(extra_query={"brand_new": True}).stable().collect()
    assert len(sent.requests) > 2
    assert all("brand_new=true" in str(request.url) for request in sent.requests)


@pytest.mark.anyio
async def test_deletions_and_operations_without_a_body_take_extras(sent: Sent) -> None:
    kantata = sent.client()
    await kantata.stories.delete(7, extra_query={"force": True})
    assert sent.query == {"force": "true"}
    bodiless = OPERATIONS["PUT /account_invitations/{id}/resend"]
    assert bodiless.body is None
    sent.answer = {"count": 1, "results": [{"key": "x", "id": "1"}], "x": {"1": {"id": "1"}}}
    await kantata.account_invitations.with_response.resend(1, extra_body={"quietly": True})
    assert sent.body == {"quietly": True}


@pytest.mark.anyio
async def test_forms_take_extra_fields(sent: Sent) -> None:
    sent.answer = {"id": "1"}
    await sent.client().attachments.create(
        type="receipt", extra_body={"attachment[shared_with]": [1, 2]}, direct=True
    )
    assert b'name="attachment[shared_with][]"\r\n\r\n2' in sent.requests[-1].content


@pytest.mark.anyio
async def test_a_required_argument_may_come_as_an_extra(sent: Sent) -> None:
    await sent.client().story_state_changes.list(story_id=1, extra_query={"x": None}).first()
    assert "x" not in sent.query


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"title": "x"}, "stories.create: extra_body: 'title' is also passed as title=…: pass it once"),
        ([("a", 1)], "stories.create: extra_body: must be a mapping, got list"),
        ({1: 2}, "stories.create: extra_body: 1 is not a name"),
        ({"x": float("nan")}, "stories.create: x"),
        ({"x": object()}, "stories.create: x: JSON has no form for"),
    ],
    ids=["twice", "list", "number", "nan", "object"],
)
@pytest.mark.anyio
async def test_extras_that_cannot_be_sent_are_rejected(sent: Sent, extra: Any, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        await sent.client().stories.create(workspace_id=1, title="x", extra_body=extra)
    assert problem in str(caught.value)
    assert not sent.requests


@pytest.mark.parametrize("name", ["page", "per_page", "only", "limit", "offset"])
def test_extras_do_not_move_the_pages_of_a_list(sent: Sent, name: str) -> None:
    with pytest.raises(UsageError, match=rf"stories\.list: extra_query: '{name}' "):
        sent.client().stories.list(extra_query={name: 5})


def test_an_extra_that_is_given_twice_is_rejected(sent: Sent) -> None:
    with pytest.raises(UsageError, match="'order' is also passed as order="):
        sent.client().stories.list(order="created_at:asc", extra_query={"order": "rank:asc"})


def test_every_generated_method_takes_them() -> None:
    import inspect

    kantata = Kantata("secret")
    for operation in OPERATIONS.values():
        if operation.name == "delete_many":
            continue  # a bulk method
        method = getattr(getattr(kantata, operation.resource), operation.name)
        parameters = inspect.signature(method).parameters
        assert "extra_query" in parameters, operation.id
        writes = operation.body is not None or operation.method in ("POST", "PUT")
        assert ("extra_body" in parameters) == writes, operation.id
