"""What objects keep alive, and what is left for the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client import Kantata, Model
from kantata_client._calls.envelope import Envelope
from kantata_client._lists.paginator import Paginator
from kantata_client._lists.walk import Page, Pages
from tests.lists.service import envelope

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = (Model, Envelope, Page, Pages, Paginator)


def client(*, include: bool) -> Kantata:
    """A service with five pages of ten stories each, of two users and with sub-stories, if they are asked for."""

    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "1"))
        first = 10 * (number - 1)
        stories: list[dict[str, Any]] = [{"id": str(first + n)} for n in range(10)]
        if not include:
            return httpx.Response(200, content=envelope("stories", stories, 50))
        for story in stories:
            story["assignee_ids"] = ["1", "2"]
            story["parent_id"] = stories[0]["id"]
            story["sub_story_ids"] = [each["id"] for each in stories]
        body: dict[str, Any] = json.loads(envelope("stories", stories, 50))
        body["users"] = {each: {"id": each, "full_name": f"User {each}"} for each in "12"}
        return httpx.Response(200, json=body)

    return Kantata("secret", transport=httpx.MockTransport(answer), on_drift="ignore")


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ours() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, OURS)]


async def touched(kantata: Kantata, *, include: bool) -> Any:
    """Walk, use every association, and hand out the last story."""
    stories = kantata.stories.list(
        per_page=10, include=["assignees", "parent", "sub_stories"] if include else []
    )
    last = None
    async for story in stories:
        if include:
            assert [user.full_name for user in story.assignees] == ["User 1", "User 2"]
            assert story.parent is not None
            assert len(story.sub_stories) == 10
        last = story
    return last


@pytest.mark.parametrize("include", [False, True])
def test_a_walk_leaves_no_reference_cycle(include: bool) -> None:
    async def main() -> None:
        kantata = client(include=include)
        last = await touched(kantata, include=include)
        del last
        assert [each for each in ours() if isinstance(each, (Model, Envelope, Page))] == []

    asyncio.run(main())
    assert [each for each in ours() if not isinstance(each, Paginator)] == []
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        assert [each for each in gc.garbage if isinstance(each, OURS)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def test_only_the_pages_in_use_are_alive_during_a_walk() -> None:
    most = 0

    async def main() -> None:
        nonlocal most
        async for _ in (
            client(include=True).stories.list(per_page=10, include=["parent"]).items(concurrency=2)
        ):
            most = max(most, sum(isinstance(each, Envelope) for each in ours()))

    asyncio.run(main())
    assert 1 <= most <= 3


def test_an_object_without_include_keeps_nothing_else_alive() -> None:
    async def main() -> None:
        items = await client(include=False).stories.list(per_page=10).collect(limit=10)
        kept, other = items[0], weakref.ref(items[5])
        received = [
            each for each in gc.get_objects() if type(each) is dict and each.keys() == set("0123456789")
        ]
        assert received == [], "the map of all received objects is gone"
        del items
        assert other() is None
        assert kept.id == "0"
        reachable = _reachable(kept)
        assert not any(isinstance(each, Model) and each is not kept for each in reachable)
        assert not any(type(each) is dict and each.get("id") == "5" for each in reachable)

    asyncio.run(main())


def test_an_object_keeps_what_came_along_as_long_as_it_lives() -> None:
    async def main() -> None:
        kantata = client(include=True)
        last = await touched(kantata, include=True)
        assert [user.full_name for user in last.assignees] == ["User 1", "User 2"]
        assert last.assignees[0] is not last
        one, again = last.assignees, last.assignees
        assert one[0] is again[0]
        del last
        assert sum(isinstance(each, Envelope) for each in ours()) == 1, "the users hold it"
        del one, again
        assert sum(isinstance(each, Envelope) for each in ours()) == 0

    asyncio.run(main())


def _reachable(start: object) -> list[Any]:
    """What an object refers to in the end, without classes and modules."""
    found: dict[int, Any] = {}
    left = [start]
    while left:
        each = left.pop()
        if id(each) in found or isinstance(each, type) or type(each).__name__ in ("module", "function"):
            continue
        found[id(each)] = each
        left += gc.get_referents(each)
    return list(found.values())
