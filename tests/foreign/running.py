"""`kantata sandbox` as a process, for clients that are not written in Python or need an environment of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "from kantata_client.cli import main; main()"


@attrs.frozen
class Running:
    """A sandbox that serves on loopback."""

    url: str
    """The base URL of the API."""
    token: str

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {self.token}"})

    def records(self, key: str) -> dict[str, dict[str, Any]]:
        """The stored records under an envelope key, by id."""
        control = self.url.replace("/api/v1", "/__sandbox__/state")
        rows = httpx.get(control, params={"key": key}, timeout=60).raise_for_status().json()["records"]
        return {row["id"]: row for row in rows}


@contextmanager
def running(*options: str, quiet: bool = False) -> Iterator[Running]:
    """Start `kantata sandbox` with options on a free port; it ends with the block. `quiet` drops what it says on stderr."""
    command = [sys.executable, "-c", PROGRAM, "sandbox", "--port", "0", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    errors = subprocess.DEVNULL if quiet else None
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            url, token = (process.stdout.readline().strip().partition("=")[2] for _ in range(2))
            yield Running(url, token)
        finally:
            process.terminate()
            process.wait(timeout=60)
