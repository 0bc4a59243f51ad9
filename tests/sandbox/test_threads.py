"""Tests may write to the store from any thread while a server answers in its own."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

QUERIES = (
    {"order": "updated_at:asc"},
    {"workspace_id": "10002"},
    {"with_user_ids": "1005,1006", "order": "created_at:desc"},
    {"include": "user,story,workspace"},
)


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Let threads interrupt each other as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def write(sandbox: Sandbox) -> None:
    store = sandbox.store
    template = store.all("time_entries")[0]
    for number in range(300):
        made = store.put("time_entries", {**template, "id": None, "notes": str(number)})
        store.change("time_entries", store.ids("time_entries")[number], notes="changed")
        store.change("users", "1005", full_name=f"Name {number}")
        if number % 2:
            store.remove("time_entries", made["id"])
        sandbox.feed.all()


@pytest.mark.usefixtures("frequent_switches")
async def test_writes_from_another_thread_do_not_disturb_requests() -> None:
    sandbox = Sandbox("demo")
    headers = {"authorization": f"Bearer {sandbox.token}"}
    with ThreadPoolExecutor() as threads:
        async with sandbox.serve() as server, httpx.AsyncClient(headers=headers, timeout=60) as client:
            writers = [threads.submit(write, sandbox) for _ in range(2)]
            while not all(writer.done() for writer in writers):
                for query in QUERIES:
                    response = await client.get(f"{server.url}/time_entries", params=query)
                    assert response.status_code == 200, response.text
            for writer in writers:
                writer.result()
            page = {"per_page": 200}
            for query in QUERIES:
                response = await client.get(f"{server.url}/time_entries", params=query | page)
                maintained = response.json()["results"]
                sandbox.store._listings.clear()
                response = await client.get(f"{server.url}/time_entries", params=query | page)
                assert response.json()["results"] == maintained
    assert sandbox.store.count("time_entries") == 20_300


async def test_a_request_is_not_interleaved_with_other_writes() -> None:
    """A refused bulk creation rolls back its own writes only."""
    sandbox = Sandbox("demo")
    entry = {"workspace_id": 10002, "date_performed": "2026-06-30", "time_in_minutes": 45}
    refused = {"time_entries": [*([entry] * 60), {**entry, "story_id": 20001}]}

    def write_vendors() -> list[str]:
        return [sandbox.store.put("vendors", {"name": "Northern Rail"})["id"] for _ in range(200)]

    headers = {"authorization": f"Bearer {sandbox.token}"}
    with ThreadPoolExecutor() as threads:
        async with sandbox.serve() as server, httpx.AsyncClient(headers=headers, timeout=60) as client:
            writer = threads.submit(write_vendors)
            for _ in range(5):
                response = await client.post(f"{server.url}/time_entries", json=refused)
                assert response.status_code == 422, response.text
    assert set(writer.result()) <= set(sandbox.store.ids("vendors"))
    assert sandbox.store.count("time_entries") == 20_000
