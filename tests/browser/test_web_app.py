"""The example service in a real browser, started as its users start it: sign-in, consent, denial, list."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.driver import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
SCREENSHOTS = os.environ.get("SCREENSHOTS")
"""A directory to put pictures of the pages into, for the documentation."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KANTATA_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.web_app", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    said = [process.stdout.readline()]
    rest = threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True)
    rest.start()
    found = re.search(r"http://\S+/", said[0])
    try:
        assert found, said
        yield found[0]
    finally:
        process.terminate()
        process.wait()
        rest.join()
        process.stdout.close()
    assert "code=" not in "".join(said)
    assert "Traceback" not in "".join(said)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def test_sign_in_consent_list_and_sign_out(service: str, browser: Browser) -> None:
    browser.open(service)
    assert "Sign in with Kantata" in browser.text
    browser.click("a.button")
    assert "/oauth/authorize?" in browser.bar
    assert "asks for access" in browser.text
    assert "Stay signed in" in browser.text
    picture(browser, "oauth-consent.png")
    browser.choose("#user option:nth-child(2)")
    name = browser.script("return document.querySelector('#user').selectedOptions[0].textContent")
    browser.click("button[value=allow]")

    assert browser.bar == f"{service}projects"
    assert f"Projects of {name}" in browser.text
    assert browser.script("return document.querySelectorAll('tr').length") > 1
    assert browser.script("return document.cookie") == ""  # no script can read the session
    history = browser.script(
        "return performance.getEntriesByType('navigation').map(entry => entry.name).join()"
    )
    assert "code=" not in history
    picture(browser, "oauth-projects.png")

    browser.open(f"{service}projects")
    assert f"Projects of {name}" in browser.text
    browser.click("form[action='/sign-out'] button")
    assert browser.bar == service
    assert "You are signed out" in browser.text
    browser.open(f"{service}projects")
    assert browser.bar == service


def test_declining_consent_shows_an_error(service: str, browser: Browser) -> None:
    browser.open(service)
    browser.click("a.button")
    browser.click("button[value=deny]")
    assert browser.bar == service  # no error, code or state in it
    assert "declined" in browser.text
    browser.open(f"{service}projects")
    assert browser.bar == service


def test_revoking_access_signs_out(service: str, browser: Browser) -> None:
    browser.open(f"{service}sign-in")
    browser.click("button[value=allow]")
    assert browser.bar == f"{service}projects"
    browser.click("form[action='/disconnect'] button")
    assert "permission is revoked" in browser.text


def test_a_callback_started_by_another_browser_is_refused(
    service: str, browser: Browser, tmp_path: Path
) -> None:
    with Browser(tmp_path) as other:
        other.open(f"{service}sign-in")
        begun = other.bar
    browser.open(f"{service}sign-in")
    browser.open(begun)  # the other one's consent page: its callback must not sign this one in
    browser.click("button[value=allow]")
    assert browser.bar == service
    assert "does not belong to this sign-in" in browser.text


def picture(browser: Browser, name: str) -> None:
    if SCREENSHOTS:
        browser.screenshot(Path(SCREENSHOTS) / name)
