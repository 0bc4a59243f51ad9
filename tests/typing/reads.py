"""What the type checker makes of right calls; read by it alone, never run."""

# pyright: strict

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, assert_type

import attrs

from kantata_client import (
    BulkResult,
    BulkRun,
    File,
    Kantata,
    Model,
    Operation,
    Outcome,
    Page,
    Paginator,
    UsageError,
    ValidationError,
)
from kantata_client.models import (
    Attachment,
    Currency,
    CustomFieldValue,
    DirectUpload,
    ExchangeTable,
    ExternalReference,
    Post,
    PostAttachment,
    Story,
    TimeEntry,
    TimesheetSubmission,
    User,
    Workspace,
    WorkspaceExternalLink,
)
from kantata_client.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kantata_client.models.inputs import CreateStory, CreateTimeEntry


def associations(story: Story, entry: TimeEntry, value: CustomFieldValue) -> None:
    assert_type(story.assignees, list[User])
    assert_type(story.workspace, Workspace | None)
    assert_type(story.parent, Story | None)
    assert_type(story.sub_stories, list[Story])
    assert_type(story.replies, list[Post])
    assert_type(story.attachments, list[PostAttachment])
    assert_type(story.external_references, list[ExternalReference])
    assert_type(entry.recent_submission, TimesheetSubmission | None)
    assert_type(value.subject, Model | None)
    if story.workspace is not None:
        assert_type(story.workspace.participants, list[User])
    assert_type([user.full_name for user in story.assignees], list[str | None])


def fields(story: Story, workspace: Workspace) -> None:
    assert_type(story.id, str)
    assert_type(story.title, str | None)
    assert_type(story.archived, bool | None)
    assert_type(story.weight, int | None)
    assert_type(story.due_date, date | None)
    assert_type(story.created_at, datetime | None)
    assert_type(story.assignee_ids, list[str] | None)
    assert_type(workspace.external_link, WorkspaceExternalLink | None)
    assert_type(story.extra, dict[str, Any])
    assert_type(story.to_dict(), dict[str, Any])
    story.due_date = date(2026, 3, 4)
    story.title = None


def making(story: Story) -> None:
    assert_type(Story(id="7", title="Kick-off", due_date=date(2026, 3, 4)), Story)
    assert_type(attrs.evolve(story, title="x"), Story)
    assert_type({story}, set[Story])  # hashable
    assert_type(story.replace(title="x"), Story)
    assert_type(Story.FIELDS, tuple[str, ...])
    assert_type(Story.KEY, str | None)


async def lists(kantata: Kantata, ids: Iterable[int | str]) -> None:
    stories = kantata.stories.list(
        workspace_id=10,
        include=["assignees", "workspace"],
        order="updated_at:desc",
        optional_fields="can_edit",
        only=ids,
        due_on=date(2026, 3, 4),
        updated_after=datetime(2026, 3, 4, tzinfo=UTC),
        archived="include",
        per_page=200,
    )
    assert_type(stories, Paginator[Story])
    async for story in stories:
        assert_type(story, Story)
    async for page in stories.pages(concurrency=8):
        assert_type(page, Page[Story])
        assert_type(page.items, list[Story])
        assert_type(page.count, int | None)
        assert_type(page.number, int)
    assert_type(await stories.first(), Story | None)
    assert_type(await stories.one(), Story)
    assert_type(await stories.count(), int)
    assert_type(await stories.collect(limit=500), list[Story])
    assert_type(kantata.currencies.list(), Paginator[Currency])


async def single(kantata: Kantata) -> None:
    assert_type(await kantata.users.me(), User)
    assert_type(await kantata.stories.get(7, include="sub_stories"), Story)
    assert_type(await kantata.stories.get("7", include=("sub_stories", "root")), Story)
    assert_type(
        await kantata.stories.create(
            workspace_id=10,
            title="Kick-off",
            story_type="task",
            external_reference={"service_name": "crm", "service_model": "Deal", "service_model_ref": "1"},
        ),
        Story,
    )
    assert_type(await kantata.stories.update(7, title="Kick-off!", due_date=None), Story)
    assert_type(await kantata.stories.delete(7), None)
    assert_type(await kantata.timesheet_submissions.approve(5), TimesheetSubmission)
    assert_type(await kantata.exchange_tables.get(7), ExchangeTable)
    assert_type(await kantata.project_accounting_records.export_to_csv(), bytes)
    assert_type(
        await kantata.attachments.create(type="receipt", data=b"%PDF"),
        Attachment | DirectUpload,
    )
    await kantata.attachments.create(type="receipt", data=File("data", "bill.pdf", b"%PDF"))
    assert_type(await kantata.request("GET", "/new_route", params={"x": 1}), Any)


async def bulk(kantata: Kantata, rows: list[CreateTimeEntry], entries: list[TimeEntry]) -> None:
    run = kantata.time_entries.create_many(rows, concurrency=4)
    assert_type(run, BulkRun[TimeEntry])
    result = await run
    assert_type(result, BulkResult[TimeEntry])
    assert_type(result.created, list[TimeEntry])
    assert_type(result.failed, list[Outcome[TimeEntry]])
    assert_type(result.unknown, list[Outcome[TimeEntry]])
    async for outcome in kantata.time_entries.create_many(entries):
        assert_type(outcome, Outcome[TimeEntry])
        assert_type(outcome.result, TimeEntry | None)
    assert_type(await kantata.time_entries.delete_many([1, "2"]), BulkResult[None])
    story: CreateStory = {"workspace_id": 10, "title": "x", "story_type": "task"}
    await kantata.stories.create_many([story])


def clients(kantata: Kantata) -> None:
    async def token() -> str:
        return "fetched"

    assert_type(kantata.with_token("other"), Kantata)
    assert_type(kantata.with_token(token), Kantata)
    assert_type(OPERATIONS["GET /stories"], Operation)
    assert_type(OPERATIONS["GET /stories"].path_parameters, tuple[str, ...])


async def errors(kantata: Kantata) -> None:
    try:
        await kantata.users.me()
    except ValidationError as error:
        assert_type(error.fields, dict[str, list[str]])
        assert_type(error.request_id, str | None)
    except UsageError as error:
        assert_type(str(error), str)
