"""`kantata login` at the sandbox's consent page, in a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kantata_client.sandbox import Sandbox
from tests.browser.driver import Browser
from tests.oauth.conftest import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser


@pytest.fixture
def server() -> Iterator[str]:
    with served(Sandbox(seed="demo").app) as url:
        yield url


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_login(server: str, tmp_path: Path, decision: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "KANTATA_CLIENT_ID": "sandbox-app",
        "KANTATA_CLIENT_SECRET": "sandbox-secret",
        "KANTATA_SERVER": server,
        "KANTATA_LOGIN_PORT": str(port),
    }
    command = [sys.executable, "-m", "kantata_client.cli"]
    login = subprocess.Popen(
        [*command, "login", "--no-browser"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with Browser(tmp_path) as browser, login:
        assert login.stderr
        assert "Go to this address" in login.stderr.readline()
        url = login.stderr.readline().strip()
        assert "/oauth/authorize?" in url
        browser.open(f"http://127.0.0.1:{port}/")  # what a browser is started with
        assert browser.bar == url
        browser.click(f"button[value={decision}]")
        assert browser.bar == f"http://127.0.0.1:{port}/done"
        page = browser.text
        out, err = login.communicate(timeout=30)
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
    assert who.stdout == f"Ada Thornvale at {server}/api/v1\n"
    subprocess.run([*command, "logout"], env=environment, check=True)
