# ruff: noqa: INP001, S101, S603, T201
"""Uses an installed kantata-client with its dependencies alone: client, tables, sandbox, stores and commands."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_type_hints

from kantata_client import Kantata, RedisThrottle
from kantata_client.models import MODULES, inputs
from kantata_client.oauth import OAuthApp
from kantata_client.sandbox import Sandbox
from kantata_client.stores import FileStore, KeyringStore


async def read() -> None:
    """Lists, tables and writes, in process and over each transport."""
    sandbox = Sandbox(seed="demo")
    async with sandbox.client() as kantata:
        assert await kantata.time_entries.list().count() == 20_000
    async with sandbox.serve() as server:
        for transport in (None, "aiohttp"):
            async with Kantata(server.token, base_url=server.url, transport=transport) as kantata:
                stories = kantata.stories.list(include=["workspace"])
                assert (await stories.to_arrow(associations=["workspace.title"], limit=300)).num_rows == 300
                workspace = (await stories.collect(limit=1))[0].workspace
                assert workspace is not None
                made = await kantata.stories.create(workspace_id=workspace.id, title="x", story_type="task")
                await kantata.stories.delete(made.id)


def command(*arguments: str) -> None:
    """Run the command `kantata`."""
    subprocess.run(
        [sys.executable, "-m", "kantata_client", *arguments], check=True, stdout=subprocess.DEVNULL
    )


for name in MODULES:
    get_type_hints(getattr(inputs, f"Create{name}", Kantata.request))
asyncio.run(read())
with TemporaryDirectory() as directory:
    FileStore(Path(directory))
KeyringStore()
OAuthApp("client")
RedisThrottle("redis://127.0.0.1:1")
command("--version")
command("sandbox", "--help")
print("The client, its sandbox and its commands work with their dependencies alone.")
