"""`kantata sandbox` as a process: what it prints points a client at it, and Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

from kantata_client import Kantata

# A shell's background jobs, and what they start, ignore Ctrl-C.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from kantata_client.cli import main; main()"
)


async def workspaces(base_url: str, token: str) -> int:
    async with Kantata(token, base_url=base_url) as kantata:
        return await kantata.workspaces.list().count()


def test_a_program_can_be_pointed_at_it() -> None:
    command = [sys.executable, "-c", PROGRAM, "sandbox", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            printed = [process.stdout.readline().strip() for _ in range(2)]
            settings = dict(line.removeprefix("export ").split("=", 1) for line in printed)
            found = asyncio.run(workspaces(settings["KANTATA_BASE_URL"], settings["KANTATA_ACCESS_TOKEN"]))
            assert found == 40
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def test_the_fixture_for_users_is_a_sandbox(kantata_sandbox) -> None:
    assert kantata_sandbox.store.count("users") > 50
