"""The documentation's sample responses, decoded into typed objects with associations."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from kantata_client import Kantata, NotIncludedError
from kantata_client.models import Post, Story, TimeEntry, Workspace

FIXTURES = Path(__file__).parents[1] / "fixtures"

pytestmark = pytest.mark.anyio


def lenient(text: str) -> Any:
    """JSON with the abbreviations of the documentation."""
    text = re.sub(r"^\s*\.\.\.\s*$", "", text, flags=re.MULTILINE)
    text = re.sub(r'(^|[\s\[\]{},])- (?=["{}\[\]])', r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"([{,]\s*)(\w+):", r'\1"\2":', text)
    return json.loads(text)


def kantata(sample: str) -> Kantata:
    """A client whose service answers every request with a sample."""
    content = lenient((FIXTURES / sample).read_text(encoding="utf-8"))

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=content, headers={"x-request-id": "sample"})

    return Kantata("secret", transport=httpx.MockTransport(answer))


async def test_workspaces_with_participants() -> None:
    async with kantata("workspaces.txt") as client:
        shop, intranet = await client.workspaces.list(
            include=["participants", "primary_counterpart"]
        ).collect()
    assert type(shop) is Workspace
    assert [shop.title, intranet.title] == ["Shop", "Intranet"]
    assert [user.full_name for user in intranet.participants] == ["Ada", "Ben"]
    assert [user.full_name for user in shop.participants] == ["Cleo", "Ada"]
    assert intranet.primary_counterpart is intranet.participants[1]
    assert shop.participants[1] is intranet.participants[0]
    with pytest.raises(NotIncludedError, match="primary_maven"):
        shop.primary_maven  # noqa: B018


async def test_posts_with_users_and_attachments() -> None:
    async with kantata("posts.txt") as client:
        post = await client.posts.list(include="user,attachments").one()  # type: ignore[arg-type]
    assert type(post) is Post
    assert post.message == "The plan is ready"
    assert post.has_attachments is True
    assert post.user is not None
    assert (post.user.id, post.user.full_name) == ("4", "Ada Example")
    (attachment,) = post.attachments
    assert (attachment.filename, attachment.filesize) == ("plan.pdf", 20480)
    assert attachment.created_at == datetime(2026, 3, 4, 16, 48, 48, tzinfo=timezone(timedelta(hours=-7)))
    with pytest.raises(NotIncludedError, match='include=\\["workspace"\\]'):
        post.workspace  # noqa: B018


async def test_result_without_its_object_is_left_out_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """In the documented sample, `results` names a story that is not in `stories`."""
    with caplog.at_level(logging.WARNING, "kantata_client"):
        async with kantata("stories.txt") as client:
            assert await client.stories.list(optional_fields=["can_edit", "can_post"]).collect() == []
    assert "GET /stories" in caplog.text
    assert "results" in caplog.text
    assert "request id sample" in caplog.text


async def test_optional_fields_are_typed() -> None:
    content = lenient((FIXTURES / "stories.txt").read_text(encoding="utf-8"))
    content["results"][0]["id"] = "701"

    async def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["optional_fields"] == "can_edit,can_post"
        return httpx.Response(200, json=content)

    async with Kantata("secret", transport=httpx.MockTransport(answer)) as client:
        story = await client.stories.list(optional_fields=["can_edit", "can_post"]).one()
    assert type(story) is Story
    assert story.can_edit is True
    assert story.can_post is True
    assert story.time_estimate_in_minutes is None
    with pytest.raises(NotIncludedError, match=r'add optional_fields=\["read_only"\]'):
        story.read_only  # noqa: B018
    assert story.extra == {}


ASSOCIATIONS = (
    "active_submission",
    "external_references",
    "invoice",
    "recent_submission",
    "role",
    "story",
    "user",
    "workspace",
)


async def test_a_full_page_of_time_entries() -> None:
    async with kantata("time_entries_page.txt") as client:
        pages = client.time_entries.list(include=ASSOCIATIONS).pages()
        page = await anext(pages)
    assert (page.number, page.count, len(page)) == (1, 2, 2)
    second, first = page.items
    assert type(first) is TimeEntry
    assert first.date_performed == date(2026, 3, 1)
    assert first.created_at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert (first.time_in_minutes, second.time_in_minutes) == (30, 60)
    assert (first.approved, second.approved) == (True, False)
    assert first.currency == "EUR"

    assert first.story is not None
    assert second.story is not None
    assert first.story.time_estimate_in_minutes == 60
    assert second.story.time_estimate_in_minutes == 30
    assert first.workspace is not None
    assert first.workspace.created_at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert first.user is not None
    assert first.user.full_name == "Ada Example"
    assert first.role is not None
    assert first.role.name == "Consultant"
    assert first.active_submission is first.recent_submission
    assert type(first.active_submission).__name__ == "TimesheetSubmission"
    assert [type(each).__name__ for each in first.external_references] == ["ExternalReference"]
    assert first.invoice is None
    assert second.invoice is not None
    assert second.invoice.invoice_date == date(2026, 3, 2)


UNDECLARED = {Story: {"has_proofing_access", "proof_ids"}}
"""Fields that the documentation shows and the contract lacks."""


async def test_every_documented_field_is_read_or_kept() -> None:
    content = lenient((FIXTURES / "time_entries_page.txt").read_text(encoding="utf-8"))
    async with kantata("time_entries_page.txt") as client:
        for entry in await client.time_entries.list(include=ASSOCIATIONS).collect():
            found = [entry, *(getattr(entry, name) for name in ASSOCIATIONS)]
            found += found.pop(ASSOCIATIONS.index("external_references") + 1)
            for each in found:
                if each is not None:
                    assert set(each.extra) == UNDECLARED.get(type(each), set()), type(each).__name__
                    key = str(type(each).KEY)
                    assert any(each.to_dict() == received for received in content[key].values())
                    for name in each.FIELDS:
                        getattr(each, name, None)


async def test_objects_inside_objects_are_typed() -> None:
    async with kantata("time_entries_page.txt") as client:
        entry = await client.time_entries.list(include=ASSOCIATIONS).first()
    assert entry is not None
    assert entry.workspace is not None
    link = entry.workspace.external_link
    assert link is not None
    assert link.url == "url 2"
    assert link.text == "text 2"
