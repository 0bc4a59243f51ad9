"""The commands, as processes, with a browser of a kind, against oauthlib's server."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

import kantata_client
from kantata_client import Kantata, OAuthError, UsageError
from tests.oauth.independent import CLIENT, SECRET

if TYPE_CHECKING:
    from tests.oauth.independent import Independent


@dataclass
class Terminal:
    """A user's terminal: environment, configuration directory, server."""

    home: Path
    server: Independent
    port: int

    def run(
        self, *arguments: str, secret: str | None = SECRET, **more: str
    ) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, secret=secret, **more) as process:
            try:
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(self, *arguments: str, secret: str | None = SECRET, **more: str) -> subprocess.Popen[str]:
        browser = f"{sys.executable} {Path(__file__).with_name('browser.py')} %s"
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "SEEN": str(self.home / "seen.json"),
            "BROWSER": browser,
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "KANTATA_CLIENT_ID": CLIENT,
            "KANTATA_SERVER": self.server.url,
            "KANTATA_LOGIN_PORT": str(self.port),
        } | more
        if secret is not None:
            environment["KANTATA_CLIENT_SECRET"] = secret
        return subprocess.Popen(
            [sys.executable, "-X", "utf8", "-m", "kantata_client.cli", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def seen(self) -> dict[str, Any]:
        path, until = self.home / "seen.json", time.monotonic() + 10
        while not (path.exists() and path.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        return json.loads(path.read_text())

    def files(self) -> str:
        """The contents of all files, save the one with the token."""
        found = [path for path in self.home.rglob("*") if path.is_file() and path.parent.name != "tokens"]
        return "\n".join(path.read_text() for path in found)


@pytest.fixture
def terminal(tmp_path: Path, independent: Independent) -> Terminal:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home = tmp_path / "home"
    home.mkdir()
    return Terminal(home, independent, port)


def test_login_whoami_token_logout(terminal: Terminal) -> None:
    done = terminal.run("login", "--scope", "api_only", "--scope", "offline_access")
    assert (done.returncode, done.stdout) == (0, "Signed in as alice.\n"), done.stderr
    seen = terminal.seen()
    assert seen["bar"] == f"http://127.0.0.1:{terminal.port}/done"
    assert "You are signed in" in seen["page"]
    assert "alice" in seen["page"]

    who = f"alice at {terminal.server.url}/api/v1 (token from "
    assert terminal.run("whoami").stdout == f"{who}profile default)\n"
    token = terminal.run("token").stdout.strip()
    assert token in terminal.server.validator.access
    modes = {
        path.stat().st_mode & 0o777 for path in terminal.home.rglob("*.json") if path.name != "seen.json"
    }
    assert modes == {0o600}

    printed = dict(parse_qsl(urlsplit(re.findall(r"http://\S+/oauth/authorize\S+", done.stderr)[0]).query))
    refresh = next(iter(terminal.server.validator.refresh))
    for secret in (token, refresh, SECRET, printed["state"]):
        assert secret not in json.dumps(seen)
        assert secret not in done.stdout
        assert secret not in terminal.files()
    for secret in (token, refresh, SECRET):
        assert secret not in done.stderr

    assert terminal.run("logout").stdout == "Signed out.\n"
    assert terminal.server.validator.access == {}
    assert terminal.server.validator.refresh == {}
    assert list((terminal.home / "kantata-client" / "tokens").glob("*.json")) == []
    failed = terminal.run("whoami")
    assert failed.returncode == 1
    assert failed.stderr == "Nobody is signed in as profile 'default': run kantata login.\n"


def test_profiles_are_separate(terminal: Terminal) -> None:
    assert terminal.run("login", "--profile", "one").returncode == 0
    assert terminal.run("whoami", "--profile", "one").returncode == 0
    assert terminal.run("whoami").returncode == 1
    assert terminal.run("login", "--profile", "../two").returncode == 1


def test_declining_ends_the_login(terminal: Terminal) -> None:
    terminal.server.declines = True
    done = terminal.run("login")
    assert done.returncode == 1
    assert "No thanks" in done.stderr
    assert "Traceback" not in done.stderr
    seen = terminal.seen()
    assert "The sign-in failed" in seen["page"]
    assert "No thanks" in seen["page"]
    assert not (terminal.home / "kantata-client").exists()


def test_a_wrong_secret_is_reported(terminal: Terminal) -> None:
    done = terminal.run("login", secret="planted wrong secret")
    assert done.returncode == 1
    assert "id and secret" in done.stderr
    assert "planted" not in done.stderr + terminal.seen()["page"]
    assert not (terminal.home / "kantata-client").exists()


def test_login_times_out_if_the_browser_never_returns(terminal: Terminal) -> None:
    done = terminal.run("login", "--no-browser", "--timeout", "1")
    assert done.returncode == 1
    assert "Nobody signed in within 1 seconds" in done.stderr


def test_forged_callbacks_are_ignored_and_the_real_one_signs_in(terminal: Terminal) -> None:
    with terminal.start("login", "--no-browser") as process:
        forged: list[httpx.Response] = []
        pages: list[httpx.Response] = []

        def browse() -> None:
            assert process.stderr
            assert "Open this address" in process.stderr.readline()
            address = process.stderr.readline().strip()
            url = f"http://127.0.0.1:{terminal.port}"
            state = dict(parse_qsl(urlsplit(address).query))["state"]
            assert httpx.get(f"{url}/favicon.ico").status_code == 404
            queries = ("code=<b>x&state=forged", "code=x", "error=no", f"code=x&state={state}&state=y")
            forged.extend(
                httpx.get(f"{url}/callback?{query}", follow_redirects=True, timeout=30) for query in queries
            )
            # A page whose own name leads to this machine, and which was told the state somehow.
            rebound = {"host": f"evil.example:{terminal.port}"}
            forged.append(httpx.get(f"{url}/callback?code=x&state={state}", headers=rebound, timeout=30))
            pages.append(httpx.get(address, follow_redirects=True, timeout=30))

        thread = threading.Thread(target=browse)
        thread.start()
        thread.join()
        out, err = process.communicate(timeout=30)
    assert [answer.status_code for answer in forged] == [400, 400, 400, 400, 421]
    assert all("<b>" not in answer.text for answer in forged)
    assert (process.returncode, out) == (0, "Signed in as alice.\n"), err
    assert "You are signed in" in pages[0].text
    assert pages[0].headers["cache-control"] == "no-store"


def test_an_occupied_port_is_reported(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", terminal.port)):
        done = terminal.run("login")
    assert done.returncode == 1
    assert "--port" in done.stderr


def test_plain_http_to_another_machine_is_rejected(terminal: Terminal) -> None:
    done = terminal.run("login", KANTATA_SERVER="http://example.org")
    assert done.returncode == 1
    assert "https://" in done.stderr


def test_logout_without_the_secret_says_what_remains(terminal: Terminal) -> None:
    assert terminal.run("login").returncode == 0
    done = terminal.run("logout", secret=None)
    assert done.returncode == 1
    assert "could not be revoked" in done.stderr
    assert "KANTATA_CLIENT_SECRET" in done.stderr
    assert terminal.run("token").returncode == 1


def test_a_token_is_renewed_and_a_revoked_one_reported(terminal: Terminal) -> None:
    assert terminal.run("login").returncode == 0
    before = terminal.run("token").stdout
    terminal.server.validator.access.clear()
    assert terminal.run("whoami").returncode == 0
    assert terminal.run("token").stdout != before
    terminal.server.validator.access.clear()
    terminal.server.validator.refresh.clear()
    done = terminal.run("whoami")
    assert done.returncode == 1
    assert "have to sign in again" in done.stderr


def test_environment_variables_take_precedence_and_whoami_says_so(terminal: Terminal) -> None:
    assert terminal.run("login").returncode == 0
    api = f"{terminal.server.url}/api/v1"
    token = terminal.run("token").stdout.strip()
    variables = {"KANTATA_ACCESS_TOKEN": token, "KANTATA_BASE_URL": api}
    by_variables = terminal.run("whoami", **variables)
    assert by_variables.stdout == f"alice at {api} (token from the variable KANTATA_ACCESS_TOKEN)\n"
    by_profile = terminal.run("whoami", "--profile", "default", **variables)
    assert by_profile.stdout == f"alice at {api} (token from profile default)\n"
    refused = terminal.run("whoami", **{**variables, "KANTATA_ACCESS_TOKEN": "revoked-token"})
    assert refused.returncode == 1
    assert "revoked-token" not in refused.stderr


def test_env_prints_both_variables_for_a_shell(terminal: Terminal) -> None:
    assert terminal.run("login").returncode == 0
    printed = terminal.run("env").stdout
    read = subprocess.run(
        ["sh", "-c", f'{printed}\nprintf "%s %s" "$KANTATA_ACCESS_TOKEN" "$KANTATA_BASE_URL"'],
        capture_output=True,
        text=True,
        check=True,
    )
    token, base_url = read.stdout.split(" ")
    assert token in terminal.server.validator.access
    assert base_url == f"{terminal.server.url}/api/v1"
    assert terminal.run("env", "--profile", "nobody").returncode == 1


HOSTILE = "a'b\"c$d`e\\f \u2018g\u2019; exit"


def test_env_prints_the_syntax_of_other_shells(terminal: Terminal) -> None:
    from kantata_client.cli._commands import _ASSIGNMENTS

    assert terminal.run("login").returncode == 0
    token = terminal.run("token").stdout.strip()
    api = f"{terminal.server.url}/api/v1"
    fish = terminal.run("env", "--shell", "fish").stdout
    assert fish == f"set -gx KANTATA_ACCESS_TOKEN '{token}'\nset -gx KANTATA_BASE_URL '{api}'\n"
    powershell = terminal.run("env", "--shell", "powershell").stdout
    assert powershell == f"$env:KANTATA_ACCESS_TOKEN = '{token}'\n$env:KANTATA_BASE_URL = '{api}'\n"
    assert "'sh', 'fish', 'powershell'" in terminal.run("env", "--shell", "tcl").stderr

    assert _ASSIGNMENTS["fish"]("X", HOSTILE) == "set -gx X 'a\\'b\"c$d`e\\\\f \u2018g\u2019; exit'"
    assert _ASSIGNMENTS["powershell"]("X", HOSTILE) == (
        "$env:X = 'a''b\"c$d`e\\f \u2018\u2018g\u2019\u2019; exit'"
    )
    assigned = subprocess.run(
        ["sh", "-c", f'{_ASSIGNMENTS["sh"]("X", HOSTILE)}\nprintf %s "$X"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert assigned.stdout == HOSTILE


def test_token_says_which_server_it_is_for(terminal: Terminal) -> None:
    assert terminal.run("login").returncode == 0
    done = terminal.run("token")
    assert done.stdout.strip() in terminal.server.validator.access
    assert f"This token is for {terminal.server.url}/api/v1, not for Kantata" in done.stderr


def test_a_keyring_that_stores_nothing_is_reported_before_the_sign_in(terminal: Terminal) -> None:
    for backend, problem in (
        ("keyring.backends.null.Keyring", "The keyring stores nothing"),
        ("keyring.backends.fail.Keyring", "The keyring failed (NoKeyringError)"),
    ):
        done = terminal.run("login", "--keyring", PYTHON_KEYRING_BACKEND=backend)
        assert done.returncode == 1
        assert problem in done.stderr
        assert "/oauth/authorize" not in done.stderr
    assert not terminal.server.validator.access


def test_the_version_and_running_the_package_as_a_module(terminal: Terminal) -> None:
    shown = [
        subprocess.run(
            [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True
        ).stdout
        for module in ("kantata_client", "kantata_client.cli")
    ]
    assert shown == [f"kantata-client {kantata_client.__version__}\n"] * 2


# --- the library uses the login of the command -------------------------------------------------


@pytest.fixture
def signed_in(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """This process looks for profiles where the command has put one."""
    assert terminal.run("login", "--scope", "api_only", "--scope", "offline_access").returncode == 0
    monkeypatch.setenv("HOME", str(terminal.home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(terminal.home))
    monkeypatch.setenv("KANTATA_CLIENT_SECRET", SECRET)
    for name in ("KANTATA_ACCESS_TOKEN", "KANTATA_BASE_URL", "KANTATA_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return terminal


@pytest.mark.anyio
async def test_a_client_of_a_profile_renews_the_stored_token(signed_in: Terminal) -> None:
    server = signed_in.server
    before = set(server.validator.access)
    async with Kantata.from_profile() as kantata:
        assert kantata.base_url == f"{server.url}/api/v1"
        assert (await kantata.users.me()).full_name == "alice"
        server.validator.access.clear()
        assert (await kantata.users.me()).full_name == "alice"
        assert (await kantata.with_options(retries=0).users.me()).full_name == "alice"
    assert server.refreshes == 1
    assert before.isdisjoint(server.validator.access)
    async with Kantata.from_profile("default") as kantata:
        await kantata.users.me()
    assert server.refreshes == 1
    with pytest.raises(UsageError, match="closed"):
        await kantata.users.me()


@pytest.mark.anyio
async def test_a_token_of_a_profile_is_sent_only_to_its_own_server(
    signed_in: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KANTATA_BASE_URL", "http://127.0.0.1:1/api/v1")
    monkeypatch.setenv("KANTATA_ACCESS_TOKEN", "another-token")
    async with Kantata.from_profile() as kantata:
        assert kantata.base_url == f"{signed_in.server.url}/api/v1"
        assert (await kantata.users.me()).full_name == "alice"
    with pytest.raises(TypeError):
        Kantata.from_profile(base_url="https://elsewhere.example")  # pyright: ignore[reportCallIssue]


@pytest.mark.anyio
async def test_a_running_program_never_sends_the_token_of_a_later_login_to_its_own_server(
    signed_in: Terminal,
) -> None:
    """The profile is signed in at another server, under the same name, while a program uses it."""
    from kantata_client.oauth.profiles import Profile
    from kantata_client.oauth.tokens import Token

    server, before = signed_in.server, Profile.signed_in()
    async with Kantata.from_profile() as kantata:
        assert (await kantata.users.me()).full_name == "alice"
        elsewhere = Profile("default", CLIENT, "http://127.0.0.1:1")
        await elsewhere.replace(before, Token("token-of-another-server"))
        server.validator.access.clear()
        with pytest.raises(OAuthError, match="No token is stored under 'default at http://127"):
            await kantata.users.me()
    assert Profile.signed_in() == elsewhere
    stored = await elsewhere.store.load(elsewhere.key)
    assert stored is not None
    assert stored.access_token == "token-of-another-server"
    assert len(list((signed_in.home / "kantata-client" / "tokens").glob("*.json"))) == 1


@pytest.mark.usefixtures("signed_in")
def test_a_stored_login_is_never_used_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"Kantata\.from_profile\(\).* kantata env"):
        Kantata()
    with pytest.raises(OAuthError, match="as profile 'other': run kantata login --profile other"):
        Kantata.from_profile("other")
    monkeypatch.setenv("KANTATA_PROFILE", "third")
    with pytest.raises(OAuthError, match="as profile 'third'"):
        Kantata.from_profile()
    for name in (
        "../x",
        "",
        " ",
    ):  # an empty name is not the default profile: it may stand for a missing setting
        with pytest.raises(OAuthError, match=f"only letters, digits, - and _, got {re.escape(repr(name))}"):
            Kantata.from_profile(name)


@pytest.mark.usefixtures("signed_in")
def test_a_profile_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    kantata = Kantata.from_profile(client_secret="planted-4711")
    assert "planted" not in repr(kantata) + repr(vars(kantata._app)) + repr(kantata._app)
