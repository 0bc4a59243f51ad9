"""A sandbox for each test, and a plain HTTP client in the same process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)


class API:
    """Requests below the base path, with checks that hold for every response."""

    def __init__(self, sandbox: Sandbox, client: httpx.AsyncClient) -> None:
        self.sandbox = sandbox
        self.client = client

    async def send(self, method: str, path: str, *, status: int = 200, body: Any = None, **query: Any) -> Any:
        """Send a request that must have the given status; returns the decoded body, None if it is empty."""
        query = {
            name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()
        }
        response = await self.client.request(method, path.lstrip("/"), params=query, json=body)
        assert response.status_code == status, response.text
        assert response.headers["x-request-id"]
        if status == 204:
            assert not response.content
            return None
        answer = response.json()
        if status >= 400:
            assert all(error["type"] and error["message"] for error in answer["errors"])
        elif isinstance(answer, dict) and "results" in answer:
            check_envelope(answer)
        return answer

    async def get(self, path: str, **options: Any) -> Any:
        return await self.send("GET", path, **options)

    async def ids(self, path: str, **options: Any) -> list[str]:
        """The ids of a page's results."""
        return [result["id"] for result in (await self.get(path, **options))["results"]]

    async def post(self, path: str, body: Any, **options: Any) -> Any:
        return await self.send("POST", path, body=body, **options)

    async def put(self, path: str, body: Any = None, **options: Any) -> Any:
        return await self.send("PUT", path, body=body, **options)

    async def delete(self, path: str, **options: Any) -> Any:
        return await self.send("DELETE", path, **{"status": 204, **options})


def check_envelope(answer: dict[str, Any]) -> None:
    """Check the invariants of an envelope: results are in their map, once; counts agree; each id is its key."""
    meta = answer["meta"]
    assert meta["count"] == answer["count"] >= len(answer["results"]) or meta["page_number"] > 1
    assert meta["page_count"] == -(-answer["count"] // meta["page_size"])
    places = [(result["key"], result["id"]) for result in answer["results"]]
    assert len(set(places)) == len(places)
    for key, identity in places:
        assert str(answer[key][identity]["id"]) == identity
    for key, objects in answer.items():
        if key not in {"count", "meta", "results"}:
            assert all(identity == str(found["id"]) for identity, found in objects.items()), key


def only(answer: dict[str, Any]) -> dict[str, Any]:
    """The only object in the results of an envelope."""
    [result] = answer["results"]
    return answer[result["key"]][result["id"]]


async def refusal(api: API, method: str, path: str, body: Any = None, **query: Any) -> str:
    """Send a request that must be refused with 422; returns the fields and messages of its errors."""
    answer = await api.send(method, path, body=body, status=422, **query)
    return " ".join(f"{error['field']} {error['message']}" for error in answer["errors"])


@asynccontextmanager
async def connected(sandbox: Sandbox) -> AsyncIterator[API]:
    """Requests to a sandbox in process, with the token of its owner."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sandbox.app),
        base_url="http://127.0.0.1/api/v1/",
        headers={"authorization": f"Bearer {sandbox.token}"},
    ) as client:
        yield API(sandbox, client)


@pytest.fixture
def sandbox() -> Sandbox:
    """The demo account, on July 1, 2026."""
    return Sandbox("demo", clock=lambda: NOW)


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[API]:
    """Requests to the demo account."""
    async with connected(sandbox) as api:
        yield api


@pytest.fixture
async def lenient() -> AsyncIterator[API]:
    """Requests to a lenient sandbox with the demo account."""
    async with connected(Sandbox("demo", clock=lambda: NOW, strict=False)) as api:
        yield api


@pytest.fixture
async def empty() -> AsyncIterator[API]:
    """Requests to an account with only its owner."""
    async with connected(Sandbox("empty", clock=lambda: NOW)) as api:
        yield api
