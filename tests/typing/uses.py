"""Right calls for mypy."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from kantata_client import APIResponse, Hooks, Kantata, Paginator

if TYPE_CHECKING:
    from kantata_client.hooks import RequestEvent
    from kantata_client.models import Story
    from kantata_client.operations.stories import Include


async def uses(kantata: Kantata, story: Story) -> None:
    wanted: list[Include] = ["assignees", "workspace"]
    stories: Paginator[Story] = kantata.stories.list(include=wanted, due_between=(date(2026, 1, 2), None))
    kantata.time_entries.list(created_after=date(2026, 1, 2), updated_before=datetime.now(UTC))
    response: APIResponse[Story] = await kantata.stories.with_response.get(7)
    patient: Kantata = kantata.with_options(timeout=600, retries=0, headers={"x-trace": "1"})
    await patient.stories.create(workspace_id=1, title="x", extra_body={"assignees": [1]})
    changed: Story = story.replace(title="x")
    await kantata.stories.create(workspace_id=1, title="x", time_estimate_in_minutes=60)
    del stories, response, changed


def hooks(seen: list[RequestEvent]) -> Hooks:
    return Hooks(on_request=seen.append)
