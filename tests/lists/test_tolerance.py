"""Walks tolerate deviations without losing records: other page sizes, wrong counts, sideloads that are not maps."""

from __future__ import annotations

import json
import time
from enum import Enum
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import httpx
import pytest

from kantata_client import Kantata, MalformedResponseError, UsageError
from kantata_client.models import Story

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.recorder import Recorder

pytestmark = pytest.mark.anyio


class Listing:
    """A paged list of stories whose deviations a test chooses."""

    def __init__(
        self,
        total: int,
        *,
        most: int = 200,
        count: Callable[[int], Any] = lambda total: total,
        states_size: bool = True,
    ) -> None:
        self.total = total
        self.most = most
        self.count = count
        self.states_size = states_size
        self.queries: list[dict[str, str]] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        self.queries.append(query)
        await anyio.lowlevel.checkpoint()
        size = min(int(query.get("per_page", 20)), self.most)
        start = (int(query.get("page", 1)) - 1) * size
        found = [str(number) for number in range(1, self.total + 1)]
        if "only" in query:
            found = [each for each in query["only"].split(",") if int(each) <= self.total]
        ids = found[start : start + size]
        body: dict[str, Any] = {
            "count": self.count(len(found)),
            "results": [{"key": "stories", "id": each} for each in ids],
            "stories": {each: {"id": each} for each in ids},
        }
        if self.states_size:
            body["meta"] = {"page_size": size}
        return httpx.Response(200, content=json.dumps(body).encode())

    def client(self, **options: Any) -> Kantata:
        return Kantata("secret", transport=httpx.MockTransport(self), on_drift="ignore", **options)


async def numbers(walk: Any) -> list[int]:
    return [int(item.id) async for item in walk]


async def test_tasks_can_share_a_walk() -> None:
    found: list[int] = []

    async def work(walk: Any) -> None:
        async for item in walk:
            found.append(int(item.id))
            await anyio.lowlevel.checkpoint()

    async with Listing(2_000).client() as kantata:
        walk = kantata.stories.list(per_page=50).items()
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(work, walk)
    assert sorted(found) == list(range(1, 2_001))


async def test_smaller_page_than_requested_is_noticed() -> None:
    async with Listing(500, most=100).client() as kantata:
        assert await numbers(kantata.stories.list()) == list(range(1, 501))
        with pytest.raises(UsageError, match="per_page=100"):
            await numbers(kantata.stories.list(page=2))


async def test_smaller_pages_lose_none_of_many_ids() -> None:
    listing = Listing(440, most=100)
    async with listing.client() as kantata:
        walk = kantata.stories.list(only=range(1, 451))
        assert sorted(await numbers(walk)) == list(range(1, 441))
        assert await numbers(walk.items(limit=150)) == list(range(1, 151))
        assert await numbers(walk.skip(400)) == list(range(401, 441))
    assert len(listing.queries) == 5 + 2 + 5


@pytest.mark.parametrize("most", [1, 7, 100])
async def test_smaller_pages_without_a_page_size_are_all_read(most: int) -> None:
    async with Listing(150, most=most, states_size=False).client() as kantata:
        assert await numbers(kantata.stories.list()) == list(range(1, 151))


@pytest.mark.parametrize("count", [lambda _: 0, lambda _: None, str], ids=["zero", "none", "text"])
async def test_impossible_count_does_not_end_a_walk(count: Callable[[int], Any]) -> None:
    async with Listing(2_000, count=count).client() as kantata:
        assert await numbers(kantata.stories.list()) == list(range(1, 2_001))


async def test_count_that_is_too_large_ends_at_an_empty_page() -> None:
    listing = Listing(300, count=lambda _: 1_000_000)
    async with listing.client() as kantata:
        assert await numbers(kantata.stories.list()) == list(range(1, 301))
    assert len(listing.queries) < 10


async def test_skip_counts_ids_by_their_position() -> None:
    async with Listing(1_000).client() as kantata:
        walk = kantata.stories.list(only=range(1, 1_001))
        assert await numbers(walk.skip(450)) == list(range(451, 1_001))
        for refused in ({"order": "created_at:desc"}, {"page": 3}):
            with pytest.raises(UsageError, match="split into 5"):
                kantata.stories.list(only=range(1, 1_001), **refused)


async def test_first_requests_a_single_object() -> None:
    listing = Listing(2_000)
    async with listing.client() as kantata:
        first = await kantata.stories.list().first()
    assert first is not None
    assert (first.id, listing.queries) == ("1", [{"per_page": "1"}])


async def test_progress_reaches_its_total_after_a_skip() -> None:
    reported: list[tuple[int, int | None]] = []
    async with Listing(1_000).client() as kantata:
        async for _ in kantata.stories.list().skip(450).items(progress=lambda *now: reported.append(now)):
            pass
    assert reported[-1] == (550, 550)


async def test_a_progress_hook_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with Listing(400).client() as kantata:
        assert await numbers(kantata.stories.list().items(progress=fail)) == list(range(1, 401))
        with pytest.raises(UsageError, match="pass a function that is not async"):
            kantata.stories.list().items(progress=anyio.lowlevel.checkpoint)  # type: ignore[arg-type]
    assert [record.getMessage() for record in caplog.records] == [
        "The progress hook of stories.list failed"
    ] * 2


async def test_sideload_that_is_not_a_map_is_drift(recorder: Recorder) -> None:
    body = {
        "count": 1,
        "results": [{"key": "stories", "id": "1"}],
        "stories": {"1": {"id": "1", "assignee_ids": ["2"]}},
    }
    for users in (None, [], 7):
        recorder.answer = {**body, "users": users}
        async with recorder.client() as kantata:
            (story,) = await kantata.stories.list(include=["assignees"]).collect()
            assert story.assignees == []
            assert [row.field for row in kantata.drift] == ["users"]


async def test_on_drift_raise_raises_for_every_response(recorder: Recorder) -> None:
    stories = {"1": {"id": "1", "title": 7}}
    recorder.answer = {"count": 1, "results": [{"key": "stories", "id": "1"}], "stories": stories}
    async with recorder.client(on_drift="raise") as kantata:
        for client in (kantata, kantata, kantata.with_token("other")):
            with pytest.raises(MalformedResponseError, match=r"Story\.title"):
                await client.stories.list().collect()


async def test_enum_is_sent_as_its_value() -> None:
    class Order(str, Enum):  # noqa: UP042 - the one that Python's own str() spells another way
        NEWEST = "created_at:desc"

    listing = Listing(1)
    async with listing.client() as kantata:
        await kantata.stories.list(order=Order.NEWEST).collect()  # type: ignore[arg-type]
    assert listing.queries[0]["order"] == "created_at:desc"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), b"bytes", object(), "\ud800", {"a": float("nan")}]
)
async def test_values_without_a_json_form_are_rejected(value: Any) -> None:
    listing = Listing(1)
    async with listing.client() as kantata:
        with pytest.raises(UsageError, match="value"):
            await kantata.custom_field_values.update(1, value=value)
        with pytest.raises(UsageError, match="comma"):
            kantata.stories.list(by_any_tag=["Berlin, R&D", "x"])
    assert listing.queries == []


async def test_replace_keeps_extra_fields_and_associations(recorder: Recorder) -> None:
    recorder.answer = {
        "count": 1,
        "results": [{"key": "stories", "id": "1"}],
        "stories": {"1": {"id": "1", "workspace_id": "2", "new": 1, "due_date": "2026-01-05"}},
        "workspaces": {"2": {"id": "2", "title": "W"}},
    }
    async with recorder.client(on_drift="ignore") as kantata:
        story = await kantata.stories.get(1, include=["workspace"])
    changed = story.replace(title="Kick-off", due_date=None)
    assert changed.to_dict() == {
        "id": "1",
        "workspace_id": "2",
        "new": 1,
        "due_date": None,
        "title": "Kick-off",
    }
    assert changed.workspace is story.workspace
    assert story.title is None
    assert Story(id="1", due_date=None).to_dict() == {"id": "1", "due_date": None}
    with pytest.raises(TypeError, match="did you mean 'title'"):
        story.replace(titel="x")


async def test_invalid_counts_are_ignored(recorder: Recorder) -> None:
    recorder.answer = {
        "count": -2_147_483_648,
        "meta": {"page_size": -2_147_483_648},
        "results": [{"key": "stories", "id": "1"}],
        "stories": {"1": {"id": "1"}},
    }
    async with recorder.client(on_drift="ignore") as kantata:
        assert await numbers(kantata.stories.list(page=2)) == [1]


async def test_missing_objects_are_handled_in_linear_time() -> None:
    """Twice as many take about twice as long: a ratio within one run, with a margin for a busy machine."""

    async def seconds(count: int) -> float:
        references = [{"key": "stories", "id": str(each)} for each in range(count)]
        content = json.dumps({"count": count, "results": references, "stories": {}}).encode()
        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
        async with Kantata("secret", transport=transport, on_drift="ignore") as kantata:
            best = float("inf")
            for _ in range(3):
                start = time.process_time()
                assert await anext(kantata.stories.list().pages(concurrency=1)) is not None
                best = min(best, time.process_time() - start)
        return best

    assert await seconds(20_000) < 40 * await seconds(2_000)
