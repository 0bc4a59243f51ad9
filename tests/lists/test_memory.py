"""What objects keep alive, and what is left to the garbage collector."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
import weakref
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client import Kantata, Model, NotIncludedError
from kantata_client._calls.envelope import Envelope
from kantata_client._calls.reach import Cell, Reach
from kantata_client._lists.paginator import Paginator
from kantata_client._lists.walk import Page, Pages
from tests.lists.service import envelope

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = (Model, Envelope, Reach, Cell, Page, Pages, Paginator)


def client(*, include: bool) -> Kantata:
    """A service with five pages of ten stories each, of two users and with sub-stories, if they are included."""

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
def test_walk_leaves_no_reference_cycles(include: bool) -> None:
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


def test_walk_keeps_only_the_pages_in_use_alive() -> None:
    most = 0

    async def main() -> None:
        nonlocal most
        async for _ in (
            client(include=True).stories.list(per_page=10, include=["parent"]).items(concurrency=2)
        ):
            most = max(most, sum(isinstance(each, Envelope) for each in ours()))

    asyncio.run(main())
    assert 1 <= most <= 3


def test_object_without_include_keeps_nothing_else_alive() -> None:
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


def test_object_keeps_what_its_associations_reach_alive() -> None:
    async def main() -> None:
        kantata = client(include=True)
        last = await touched(kantata, include=True)
        assert [user.full_name for user in last.assignees] == ["User 1", "User 2"]
        assert last.assignees[0] is not last
        one, again = last.assignees, last.assignees
        assert one[0] is again[0]
        assert one[0].full_name == "User 1"
        del last, one, again
        assert [each for each in ours() if isinstance(each, (Model, Envelope, Reach, Cell))] == []

    asyncio.run(main())


# --- a kept object is small --------------------------------------------------------------------

USERS = {str(n): {"id": str(n), "full_name": f"User {n}", "headline": "x" * 300} for n in range(60)}
PROJECTS = {str(n): {"id": str(n), "title": f"Project {n}", "creator_id": "59"} for n in range(20)}
STORIES = {
    str(1000 + n): {
        "id": str(1000 + n),
        "title": f"Story {n}",
        "description": "y" * 500,
        "workspace_id": str(n % 20),
        "assignee_ids": [str(n % 60), str((n + 1) % 60)],
        "parent_id": str(1000 + n - n % 4) if n % 4 else None,
    }
    for n in range(200)
}


async def big_page(**options: Any) -> Page[Any]:
    """One page of 200 stories with their assignees and workspaces."""
    body = {
        "count": len(STORIES),
        "results": [{"key": "stories", "id": each} for each in STORIES],
        "stories": STORIES,
        "users": USERS,
        "workspaces": PROJECTS,
    }
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    async with Kantata("secret", transport=transport, on_drift="ignore") as kantata:
        walk = kantata.stories.list(include=["assignees", "parent", "workspace"], **options)
        return await anext(walk.pages(concurrency=1))


def records(kept: object) -> set[str]:
    """The records that an object keeps alive."""
    found = (each for each in _reachable(kept) if type(each) is dict and type(each.get("id")) is str)
    return {str(each.get("title") or each.get("full_name")) for each in found}


EXPECTED = {"Story 5", "Story 4", "User 4", "User 5", "User 6", "Project 4", "Project 5", "User 59"}
"""Story 5, its parent, and what the associations of these two reach."""


def test_kept_object_keeps_only_what_its_associations_reach() -> None:
    """However it is taken out of its page."""

    async def main() -> None:
        page = await big_page()
        kept = page.items[5]
        assert len(records(kept)) == 280, "the page is in use"
        del page
        assert records(kept) == EXPECTED
        assert kept.workspace.creator.full_name == "User 59"
        assert kept.parent.assignees[1] is kept.assignees[0]
        assert records(kept) == EXPECTED

        items = (await big_page()).items
        one, other = items[5], items[6]
        assert one.parent is items[4]
        assert one.workspace is items[25].workspace
        del items
        assert records(one) == EXPECTED
        assert one.parent is other.parent, "identity within a page stays"
        assert one.assignees[1] is other.assignees[0]

        workspace = (await big_page()).items[5].workspace
        assert records(workspace) == {"Project 5", "User 59"}

    asyncio.run(main())


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, Model.replace])
def test_copy_keeps_only_what_its_associations_reach(again: Any) -> None:
    async def main() -> None:
        copied = again((await big_page()).items[5])
        assert records(copied) == EXPECTED
        assert copied.workspace.title == "Project 5"
        with pytest.raises(NotIncludedError):
            copied.followers  # noqa: B018

    asyncio.run(main())


def test_pickle_contains_only_what_the_associations_reach() -> None:
    async def main() -> None:
        page = await big_page()
        for story in (page.items[5], *page.items[7:9]):
            reach = {
                id(each): each for each in (story, story.parent, story.workspace, *story.assignees) if each
            }
            if story.parent:
                more = (story.parent.workspace, *story.parent.assignees)
                reach |= {id(each): each for each in more}
            creator = story.workspace.creator
            reach[id(creator)] = creator
            own = len(json.dumps(story.to_dict()))
            theirs = sum(len(json.dumps(each.to_dict())) for each in reach.values()) - own
            assert len(pickle.dumps(story)) <= 3 * own + theirs
        kept = page.items[5]
        del page, story, reach, more, creator
        assert len(pickle.dumps(kept)) <= 3 * own + theirs
        again = pickle.loads(pickle.dumps(kept))
        assert again == kept
        assert again.parent.title == "Story 4"
        assert records(again) == EXPECTED

    asyncio.run(main())


def test_objects_pickled_together_keep_their_identity() -> None:
    async def main() -> None:
        page = await big_page()
        one, other, parent = pickle.loads(pickle.dumps([page.items[5], page.items[6], page.items[4]]))
        assert one.parent is other.parent is parent
        assert one.assignees[1] is other.assignees[0]

    asyncio.run(main())


def test_object_without_include_pickles_alone() -> None:
    async def main() -> None:
        items = await client(include=False).stories.list(per_page=10).collect(limit=10)
        assert len(pickle.dumps(items[0])) < 200
        assert pickle.loads(pickle.dumps(items[0])) == items[0]

    asyncio.run(main())


def _reachable(start: object) -> list[Any]:
    """Everything that an object refers to, directly or indirectly, except classes and modules."""
    found: dict[int, Any] = {}
    left = [start]
    while left:
        each = left.pop()
        if id(each) in found or isinstance(each, type) or type(each).__name__ in ("module", "function"):
            continue
        found[id(each)] = each
        left += gc.get_referents(each)
    return list(found.values())
