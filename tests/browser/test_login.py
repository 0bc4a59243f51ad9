"""`kantata login` at the sandbox's consent page, in a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from kantata_client.sandbox import Sandbox
from tests.browser.driver import Browser
from tests.loopback import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser


@pytest.fixture
def server() -> Iterator[str]:
    with served(Sandbox(seed="demo").app) as url:
        yield url


def waited_for(file: Path) -> str:
    """What a program writes into a file within half a minute."""
    for _ in range(300):
        if file.exists():
            return file.read_text()
        time.sleep(0.1)
    pytest.fail(f"{file.name} was not written")


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_login_and_logout_with_the_consent_page(server: str, tmp_path: Path, decision: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home = tmp_path / "home"
    home.mkdir()
    # Stands for the command that opens the user's browser: a test's has to be driven.
    opener, opened = tmp_path / "opener", tmp_path / "opened"
    opener.write_text(f'#!/bin/sh\nprintf %s "$1" >"{opened}.part" && mv "{opened}.part" "{opened}"\n')
    opener.chmod(0o700)
    environment = os.environ | {
        "BROWSER": str(opener),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "KANTATA_CLIENT_ID": "sandbox-app",
        "KANTATA_CLIENT_SECRET": "sandbox-secret",
        "KANTATA_SERVER": server,
        "KANTATA_LOGIN_PORT": str(port),
    }
    command = [sys.executable, "-m", "kantata_client.cli"]
    login = subprocess.Popen(
        [*command, "login"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with Browser(tmp_path) as browser, login:
        try:
            started = waited_for(opened)
            assert started == f"http://127.0.0.1:{port}/"
            browser.open(started)
            assert browser.bar.startswith(f"{server}/oauth/authorize?")
            browser.click(f"button[value={decision}]")
            assert browser.bar == f"http://127.0.0.1:{port}/done"
            page = browser.text
            out, err = login.communicate(timeout=30)
        finally:
            login.kill()
    if decision == "deny":
        assert login.returncode == 1
        assert "The sign-in failed" in page
        assert "declined" in page
        assert "declined" in err
        assert list(home.iterdir()) == []
        return
    assert "You are signed in" in page
    assert "Ada Thornvale" in page
    assert out == "Signed in as Ada Thornvale.\n"
    who = subprocess.run([*command, "whoami"], env=environment, capture_output=True, text=True, check=True)
    assert who.stdout == f"Ada Thornvale at {server}/api/v1 (token from profile default)\n"
    subprocess.run([*command, "logout"], env=environment, check=True)
