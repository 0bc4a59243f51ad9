"""What the type checker makes of bulk writes; nothing here is run."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, assert_type

from kantata_client import BulkResult, BulkRun, ExternalReferenceKey, Outcome
from kantata_client.models import CostRate, Resolution, Story, TimeEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from kantata_client import Kantata
    from kantata_client.models.inputs import CreateTimeEntry, UpdateStory, UpdateStoryById


async def creations(
    kantata: Kantata,
    typed: list[CreateTimeEntry],
    models: Iterable[TimeEntry],
    mappings: AsyncIterator[Mapping[str, object]],
    rows: list[dict[str, Any]],
) -> None:
    assert_type(kantata.time_entries.create_many(typed), BulkRun[TimeEntry])
    result = await kantata.time_entries.create_many(models, concurrency=8, progress=print)
    assert_type(result, BulkResult[TimeEntry])
    assert_type(result.created, list[TimeEntry])
    assert_type(result.found, list[TimeEntry])
    assert_type(result.results, list[TimeEntry])
    assert_type(result.failed, list[Outcome[TimeEntry]])
    async for outcome in kantata.time_entries.create_many(mappings):
        assert_type(outcome, Outcome[TimeEntry])
        assert_type(outcome.result, TimeEntry | None)
        assert_type(outcome.error, Exception | None)
        assert_type(outcome.found, bool)
    day = date(2026, 1, 5)
    kantata.time_entries.create_many([{"workspace_id": 7, "date_performed": day, "time_in_minutes": 30}])
    kantata.time_entries.create_many(
        [{"workspace_id": 7, "date_performed": day, "time_in_minutes": minutes} for minutes in range(9)],
        include=["workspace"],
        optional_fields="user_can_edit",
        atomic=True,
        extra_query={"beta": True},
        extra_body=lambda row: {"assignees": row["workspace_id"]},
    )
    key = ExternalReferenceKey("erp", "line", "erp_id")
    await kantata.time_entries.create_many(rows, key=key)
    other = ExternalReferenceKey("erp", "line", lambda row: row["id"], patience=180)
    await kantata.time_entries.create_many(rows, key=other)
    await kantata.cost_rates.create_many(rows, key=key)  # pyright: ignore[reportCallIssue]
    await kantata.time_entries.create_many(7)  # pyright: ignore[reportArgumentType]
    await kantata.time_entries.create_many([7])  # pyright: ignore[reportArgumentType]
    await kantata.time_entries.create_many(rows, key="erp_id")  # pyright: ignore[reportArgumentType, reportCallIssue]
    await kantata.time_entries.create_many(typed, progress=7)  # pyright: ignore[reportArgumentType]
    anything: list[Any] = rows
    await kantata.time_entries.create_many(anything)
    await kantata.time_entries.create_many(rows)  # pyright: ignore[reportArgumentType]
    await kantata.time_entries.create_many([{"workspace_id": 7, "time_in_minutes": 30}])  # pyright: ignore[reportArgumentType]
    await kantata.stories.create_many([{"workspace_id": 7, "titel": "x", "title": "x", "story_type": "task"}])  # pyright: ignore[reportArgumentType]
    await kantata.stories.create_many([{"workspace_id": 7, "title": "x", "story_type": "tusk"}])  # pyright: ignore[reportArgumentType]
    await kantata.stories.create_many([], include=["assignee"])  # pyright: ignore[reportArgumentType]
    await kantata.stories.create_many([], extra_body=["x"])  # pyright: ignore[reportArgumentType]
    kantata.users.create_many(rows)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def updates(kantata: Kantata, stories: list[Story], changes: UpdateStory) -> None:
    assert_type(kantata.stories.update_many(stories), BulkRun[Story])
    assert_type(await kantata.stories.update_many([(7, changes), ("8", {"title": "x"})]), BulkResult[Story])
    assert_type(
        await kantata.cost_rates.update_many([{"id": 7, "amount_in_subunits": 1}]), BulkResult[CostRate]
    )
    await kantata.cost_rates.update_many(
        [{"account_membership_id": 7, "amount_in_subunits": 1, "currency": "USD"}],
        include="account_membership",
    )
    whole: UpdateStoryById = {"id": "7", "title": "x"}
    await kantata.stories.update_many([whole, {"id": 8, "archived": True}, (9, {"title": "y"}), stories[0]])
    await kantata.stories.update_many([(7, {"titel": "x"})])  # pyright: ignore[reportArgumentType]
    await kantata.stories.update_many([{"id": 7, "titel": "x"}])  # pyright: ignore[reportArgumentType]
    await kantata.stories.update_many([{"title": "x"}])  # pyright: ignore[reportArgumentType]
    await kantata.stories.update_many([(7.5, changes)])  # pyright: ignore[reportArgumentType]
    await kantata.stories.update_many([7])  # pyright: ignore[reportArgumentType]


async def deletions_and_decisions(kantata: Kantata, ids: AsyncIterator[int]) -> None:
    assert_type(kantata.time_entries.delete_many([1, "2"]), BulkRun[None])
    assert_type((await kantata.stories.delete_many(ids, concurrency=2)).done, list[Outcome[None]])
    assert_type(kantata.stories.delete_many(kantata.stories.list()), BulkRun[None])
    await kantata.stories.delete_many([None])  # pyright: ignore[reportArgumentType]
    kantata.users.delete_many([1])  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert_type(
        await kantata.timesheet_submissions.approve_many([1], description="fine"), BulkResult[Resolution]
    )
    await kantata.timesheet_submissions.reject_many([1], note="x")  # pyright: ignore[reportCallIssue]
