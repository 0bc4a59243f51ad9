"""A sandbox with one project, and clients of it that do not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import FixedRate, Kantata, RetryPolicy, Timeouts
from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Place:
    """A sandbox, and a client that talks to it."""

    def __init__(self, sandbox: Sandbox, kantata: Kantata) -> None:
        self.sandbox = sandbox
        self.kantata = kantata
        self.faults = sandbox.faults
        self.store = sandbox.store
        self.workspace = 0

    def sent(self, method: str = "POST", path: str = "/time_entries") -> list[Any]:
        """The requests that reached the server."""
        return [each for each in self.sandbox.requests if (each.method, each.path) == (method, path)]

    def rows(self, count: int, **more: Any) -> list[dict[str, Any]]:
        """Time entries, each with its number in `notes`."""
        row = {"workspace_id": self.workspace, "date_performed": "2026-01-05", "time_in_minutes": 30, **more}
        return [{**row, "notes": str(index)} for index in range(count)]

    def notes(self) -> list[str]:
        """The `notes` of all time entries in the store, in the order of creation."""
        return [entry["notes"] for entry in self.store.all("time_entries")]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    sandbox = Sandbox("empty")
    async with sandbox.client(
        retries=RetryPolicy(retries=4, initial=0.001, maximum=0.002),
        timeout=Timeouts(connect=2, read=0.1, write=2),
        throttle=FixedRate(100_000),
    ) as kantata:
        found = Place(sandbox, kantata)
        workspace = await kantata.workspaces.create(title="P")
        found.workspace = int(workspace.id)
        yield found
