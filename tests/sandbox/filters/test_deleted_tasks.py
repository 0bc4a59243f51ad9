"""Deleted tasks: hidden everywhere but in lists that request them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Account

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


async def test_a_deleted_task_is_shown_only_on_request(related: Account) -> None:
    api = related.api
    related.store.put("time_entries", {"id": 1, "workspace_id": "11", "story_id": "203", "user_id": "21"})
    await api.delete("/stories/203")
    await api.get("/stories/203", status=404)
    await api.delete("/stories/203", status=404)
    await api.put("/stories/203", {"story": {"title": "x"}}, status=404)
    assert await related.ids("stories") == {201, 202}
    assert await related.ids("stories", only="203") == set()
    assert await related.ids("stories", show_deleted=True) == {201, 202, 203}
    assert await related.ids("stories", only_deleted=True) == {203}
    shown = await api.get("/stories/203", show_deleted=True)
    assert shown["stories"]["203"]["deleted_at"]


async def test_the_records_of_a_deleted_task_are_shown_only_on_request(related: Account) -> None:
    related.store.put("time_entries", {"id": 1, "workspace_id": "11", "story_id": "203", "user_id": "21"})
    await related.api.delete("/stories/203")
    assert await related.ids("story_tasks") == {1}
    assert await related.ids("story_tasks", show_deleted=True) == {1, 2}
    assert await related.ids("story_dependencies") == {1}
    assert await related.ids("story_dependencies", show_deleted=True) == {1, 2}
    answer = await related.api.get("/time_entries/1", include="story")
    assert answer["time_entries"]["1"]["story_id"] is None
    assert answer["stories"] == {}


async def test_deleting_a_workspace_removes_its_deleted_tasks(related: Account) -> None:
    await related.api.delete("/stories/203")
    await related.api.delete("/workspaces/11")
    assert await related.ids("stories", show_deleted=True) == set()


async def test_a_refused_request_keeps_deleted_tasks(related: Account) -> None:
    await related.api.delete("/stories/203")
    refused = {"story": {"workspace_id": 11, "title": "x", "parent_id": 203}}
    await related.api.post("/stories", refused, status=422)
    assert await related.ids("stories", only_deleted=True) == {203}
