"""Wrong calls that the type checker has to refuse: a comment that hides nothing is an error itself. Never run."""

# pyright: strict

from __future__ import annotations

from typing import TYPE_CHECKING

import kantata_client
from kantata_client import Kantata, models
from kantata_client.models import Story, User, Workspace

if TYPE_CHECKING:
    from kantata_client.models.inputs import CreateStory


async def wrong_keywords(kantata: Kantata) -> None:
    kantata.stories.list(workspce_id=10)  # pyright: ignore[reportCallIssue]
    await kantata.stories.create(workspace_id=10, titel="x", title="x", story_type="task")  # pyright: ignore[reportCallIssue]
    await kantata.stories.update(7, "New title")  # pyright: ignore[reportCallIssue]
    await kantata.stories.get()  # pyright: ignore[reportCallIssue]
    await kantata.stories.create(title="x")  # pyright: ignore[reportCallIssue]
    kantata.custom_field_values.list()  # pyright: ignore[reportCallIssue]


async def wrong_values(kantata: Kantata) -> None:
    kantata.stories.list(include=["assignee"])  # pyright: ignore[reportArgumentType]
    kantata.stories.list(include="workspaces")  # pyright: ignore[reportArgumentType]
    kantata.stories.list(order="updated_at")  # pyright: ignore[reportArgumentType]
    kantata.stories.list(optional_fields=["can_edt"])  # pyright: ignore[reportArgumentType]
    kantata.stories.list(archived="yes")  # pyright: ignore[reportArgumentType]
    kantata.stories.list(all_on_account="true")  # pyright: ignore[reportArgumentType]
    kantata.stories.list(page="first")  # pyright: ignore[reportArgumentType]
    kantata.stories.list(only=[None])  # pyright: ignore[reportArgumentType]
    await kantata.stories.get(None)  # pyright: ignore[reportArgumentType]
    await kantata.stories.get(7.5)  # pyright: ignore[reportArgumentType]
    await kantata.stories.create(workspace_id=None, title="x", story_type="task")  # pyright: ignore[reportArgumentType]
    await kantata.stories.create(workspace_id=1, title="x", story_type="tusk")  # pyright: ignore[reportArgumentType]
    await kantata.stories.update(7, external_reference={"service_nam": "crm"})  # pyright: ignore[reportArgumentType]
    await kantata.attachments.create(type="photo", data=b"")  # pyright: ignore[reportArgumentType]
    Kantata(7)  # pyright: ignore[reportArgumentType]


async def wrong_uses(kantata: Kantata, story: Story) -> None:
    await kantata.stories.list()  # pyright: ignore[reportGeneralTypeIssues]
    kantata.storys  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018
    kantata.stories.lst()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    story.titel = "x"  # pyright: ignore[reportAttributeAccessIssue]
    story.workspace = Workspace(id="1")  # pyright: ignore[reportAttributeAccessIssue]


async def wrong_readings(kantata: Kantata, story: Story) -> None:
    story.title.upper()  # pyright: ignore[reportOptionalMemberAccess]
    story.workspace.title  # pyright: ignore[reportOptionalMemberAccess]  # noqa: B018
    Story(titel="x")  # pyright: ignore[reportCallIssue]
    Story("7")  # pyright: ignore[reportCallIssue]
    users: list[User] = story.sub_stories  # pyright: ignore[reportAssignmentType]
    del users


def wrong_names() -> None:
    kantata_client.Kantanta  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018
    models.Storry  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018


async def wrong_rows(kantata: Kantata) -> None:
    missing: CreateStory = {"title": "x"}  # pyright: ignore[reportAssignmentType]
    unknown: CreateStory = {"workspace_id": 1, "title": "x", "story_type": "task", "titel": "x"}  # pyright: ignore[reportAssignmentType]
    del missing, unknown
    kantata.stories.create_many(7)  # pyright: ignore[reportArgumentType]
    kantata.time_entries.delete_many([None])  # pyright: ignore[reportArgumentType]
