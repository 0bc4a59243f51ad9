"""Typical uses, which both type checkers accept. Each statement is one; none of them is run."""

# ruff: noqa: T201

from __future__ import annotations

import datetime as dt
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from kantata_client import (
    UNSET,
    AdaptiveThrottle,
    APIError,
    APIResponse,
    BulkResult,
    BulkRun,
    ExternalReferenceKey,
    File,
    FixedRate,
    Hooks,
    Kantata,
    Model,
    NotFoundError,
    NotIncludedError,
    Page,
    Paginator,
    RetryPolicy,
    Timeouts,
    ValidationError,
    table,
)
from kantata_client.models import Resolution, Story, TimeEntry, User, Workspace
from kantata_client.operations import OPERATIONS
from kantata_client.operations.stories import Include, Order
from kantata_client.stores import FileStore, MemoryStore, StoredToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from kantata_client.hooks import RequestEvent, ResponseEvent, RetryEvent
    from kantata_client.models.inputs import CreateStory, CreateTimeEntry, UpdateStory
    from kantata_client.oauth import OAuthApp


async def token() -> str:
    return "token"


def clients(hooks: Hooks) -> None:
    Kantata()
    Kantata("token", timeout=30, retries=3, throttle=5, max_concurrency=8)
    Kantata(token, timeout=Timeouts(connect=5, read=60), retries=RetryPolicy(deadline=60))
    Kantata(token=lambda: "token", throttle=AdaptiveThrottle(), hooks=hooks, on_drift="ignore")
    Kantata("token", throttle=FixedRate(5), transport="aiohttp", max_response_bytes=None)
    Kantata.from_profile("work", client_secret="secret")


def copies(kantata: Kantata, app: OAuthApp) -> None:
    patient: Kantata = kantata.with_options(timeout=600, retries=0, headers={"x-trace": "1"})
    other: Kantata = patient.with_token(token)
    stored: Kantata = other.with_token(StoredToken(MemoryStore(), "user-7", app=app))
    limited: Kantata = stored.with_options(max_concurrency=2, timeout=Timeouts(read=None))
    limited.with_token(StoredToken(FileStore(), "7", app=app))


async def lists(kantata: Kantata, ids: Iterable[int], tags: list[str]) -> None:
    includes: list[Include] = ["assignees", "workspace"]
    order: Order = "updated_at:desc"
    stories: Paginator[Story] = kantata.stories.list(include=includes, order=order)
    kantata.stories.list(include="workspace", due_between=(date(2026, 1, 2), None))
    kantata.stories.list(include=("workspace", "assignees"), only=ids, by_tag_name=tags)
    kantata.time_entries.list(created_after=date(2026, 1, 2), updated_before=datetime.now(UTC))
    kantata.time_entries.list(created_after="2026-01-02T00:00:00Z", per_page=50, page=2)
    kantata.time_entries.list(date_performed_between=("2026-01-02", dt.date(2026, 2, 1)))
    kantata.stories.list(by_custom_choice_value="12:34,35", priority=["high", "critical"], archived="include")
    kantata.stories.list(extra_query={"new_filter": [1, 2]})
    kantata.stories.list(include={name for name in get_args(Include) if name.startswith("w")})
    async for story in stories:
        print(story.title, story.workspace and story.workspace.title)
    async for page in stories.pages(concurrency=8):
        print(page.number, page.count, len(page.items))
    async for story in stories.items(limit=5):
        print(story.id)
    async for received in stories.dicts(limit=5):
        print(received["id"])
    stable: list[Story] = await stories.stable().collect()
    first: Story | None = await stories.first()
    one: Story = await stories.one()
    total: int = await stories.count()
    titles: list[str | None] = [story.title async for story in stories.items(limit=total)]
    del stable, first, one, titles


def fields(story: Story, entry: TimeEntry) -> None:
    assignees: list[User] = story.assignees
    workspace: Workspace | None = story.workspace
    due: date | None = story.due_date
    updated: datetime | None = story.updated_at
    received: dict[str, Any] = story.to_dict()
    names: list[str] = [user.full_name or "" for user in assignees]
    hours: float = (entry.time_in_minutes or 0) / 60
    changed: Story = story.replace(title="x", due_date=None)
    story.title = "Kick-off"
    made = Story(id="7", title="Kick-off", due_date=date(2026, 3, 4))
    unknown: object = story.extra.get("brand_new")
    overdue: bool = due is not None and due < date.today() - timedelta(days=1)  # noqa: DTZ011
    anything: Model = made
    del workspace, updated, received, names, hours, changed, unknown, overdue, anything


async def single_records(kantata: Kantata, changes: UpdateStory) -> None:
    me: User = await kantata.users.me()
    story: Story = await kantata.stories.get("7", include=["sub_stories"])
    await kantata.stories.create(workspace_id=10, title="x", story_type="task", due_date=date(2026, 3, 4))
    await kantata.stories.create(workspace_id="10", title="x", extra_body={"assignees": [me.id]})
    await kantata.stories.update(story.id, title="x", due_date=None, description=UNSET)
    await kantata.stories.update(7, **changes)
    await kantata.stories.delete(7)
    await kantata.time_entries.create(workspace_id=10, date_performed="2026-03-04", time_in_minutes=90)
    await kantata.time_off_entries.create(user_id=1, hours=float(Decimal("7.5")), requested_date="2026-03-04")
    await kantata.timesheet_submissions.approve(5)
    response: APIResponse[Story] = await kantata.stories.with_response.get(7)
    request_id: str | None = response.request_id
    anything: Any = await kantata.request("GET", "/new_route", params={"x": [1, 2]}, headers={"x-a": "1"})
    await kantata.with_response.request("POST", "/new_route", json={"at": datetime.now(UTC)})
    del request_id, anything


async def bulk(kantata: Kantata, rows: list[CreateTimeEntry], source: AsyncIterator[CreateStory]) -> None:
    run: BulkRun[TimeEntry] = kantata.time_entries.create_many(rows, concurrency=4)
    result: BulkResult[TimeEntry] = await run
    result.raise_for_failures()
    await kantata.stories.create_many(source, key=ExternalReferenceKey("erp", "line", "erp_id"))
    await kantata.stories.create_many([{"workspace_id": 10, "title": "x", "story_type": "task"}])
    await kantata.stories.update_many([(7, {"title": "x"}), ("8", {"archived": True})])
    await kantata.stories.delete_many(entry.id for entry in result.created)
    decided: BulkResult[Resolution] = await kantata.timesheet_submissions.approve_many([1, 2])
    async for outcome in kantata.time_entries.create_many(result.created):
        print(outcome.error, outcome.result)
    del decided


async def files(kantata: Kantata, content: bytes, columns: Sequence[str]) -> None:
    await kantata.attachments.upload(Path("bill.pdf"), type="receipt", progress=print)
    await kantata.attachments.create(type="receipt", data=File("data", "bill.pdf", content))
    path: Path = await kantata.exports.run({"users": list(columns)}, to="users.csv")
    async with kantata.stream("GET", "/project_accounting_records/export_to_csv") as response:
        print(response.status, [len(chunk) async for chunk in response])
    await kantata.stories.list().to_arrow(fields=["id", "title"], associations=["workspace.title"])
    await kantata.stories.list().to_pandas(limit=100)
    table(await kantata.stories.list().collect(limit=10))
    del path


async def errors(kantata: Kantata) -> None:
    try:
        await kantata.stories.get(7)
    except NotFoundError as error:
        print(error.status, error.method, error.path)
    except ValidationError as error:
        print(error.fields.get("title"))
    except NotIncludedError as error:
        print(error)
    except APIError as error:
        print(error.status, error.request_id, [detail.message for detail in error.errors])


def observing(seen: list[RequestEvent]) -> None:
    def on_response(event: ResponseEvent) -> None:
        print(event.operation, event.status, event.seconds)

    def on_retry(event: RetryEvent) -> None:
        print(event.reason, event.delay)

    Hooks(on_request=seen.append, on_response=on_response, on_retry=on_retry)


async def drift(kantata: Kantata, page: Page[Story]) -> None:
    for row in kantata.drift:
        print(row.model, row.field, row.expected, row.received)
    limits: dict[str, bool] = {name: each.own_rate_limit for name, each in OPERATIONS.items()}
    newest: datetime | None = max(
        (story.updated_at for story in page.items if story.updated_at), default=None
    )
    del limits, newest
