"""`kantata sandbox` as a process: what it prints points a client at it, and Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

from kantata_client import Kantata


async def workspaces(*, KANTATA_ACCESS_TOKEN: str, KANTATA_BASE_URL: str) -> int:  # noqa: N803 - variables
    async with Kantata(KANTATA_ACCESS_TOKEN, base_url=KANTATA_BASE_URL) as kantata:
        return await kantata.workspaces.list().count()


def test_a_program_can_be_pointed_at_it() -> None:
    command = [sys.executable, "-c", "from kantata_client.cli import main; main()", "sandbox", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            printed = [process.stdout.readline().strip() for _ in range(2)]
            settings = dict(line.removeprefix("export ").split("=", 1) for line in printed)
            async with Kantata(
                settings["KANTATA_ACCESS_TOKEN"], base_url=settings["KANTATA_BASE_URL"]
            ) as kantata:
                assert await kantata.workspaces.list().count() == 40
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0


def test_the_fixture_for_users_is_a_sandbox(kantata_sandbox) -> None:
    assert kantata_sandbox.store.count("users") > 50
