"""The example service with the sandbox: many users, and sign-ins that must not work."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from examples.web_app.service import Service
from kantata_client.oauth.app import Endpoints, OAuthApp
from kantata_client.sandbox import Sandbox
from tests.loopback import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Place:
    """The service and its sandbox."""

    def __init__(self, url: str, api: str, sandbox: Sandbox, database: Path) -> None:
        self.url, self.api, self.sandbox, self.database = url, api, sandbox, database

    def browser(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30)

    def sign_in(self, browser: httpx.Client, user: str, decision: str = "allow") -> httpx.Response:
        """Go to the consent page, decide, and come back; the answer to the callback."""
        begun = browser.get("/sign-in")
        page = browser.get(begun.headers["location"])
        assert page.status_code == 200
        form = dict(parse_qsl(urlsplit(begun.headers["location"]).query)) | {
            "user": user,
            "decision": decision,
        }
        decided = browser.post(f"{self.api}/oauth/authorize", data=form)
        return browser.get(decided.headers["location"])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    sandbox = Sandbox(seed="demo")
    path = tmp_path / "web_app.sqlite3"
    with served(sandbox.app) as api:
        oauth = OAuthApp(
            "sandbox-app",
            "sandbox-secret",
            "http://127.0.0.1:1/callback",
            scopes=["api_only", "offline_access"],
            endpoints=Endpoints.at(api),
        )
        service = Service(oauth, f"{api}/api/v1", path)
        with served(service.app, lifespan="on") as url:
            oauth.redirect_uri = f"{url}/callback"
            yield Place(url, api, sandbox, path)


def test_users_see_their_own_projects_through_one_client(place: Place) -> None:
    users = place.sandbox.store.ids("users")[:4]
    browsers = [place.browser() for _ in users]
    for browser, user in zip(browsers, users, strict=True):
        answer = place.sign_in(browser, user)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/projects"
        assert "code" not in answer.headers["location"]
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
    for browser, user in zip(browsers, users, strict=True):
        record = place.sandbox.store.get("users", user)
        assert record
        page = browser.get("/projects")
        assert f"Projects of {record['full_name']}" in page.text
        assert page.headers["cache-control"] == "no-store"
        browser.close()
    assert place.database.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(place.database) as database:
        assert database.execute("select count(*) from tokens").fetchone() == (4,)
    database.close()


def test_denial_replay_and_foreign_callbacks_store_nothing(place: Place) -> None:
    with place.browser() as alice, place.browser() as mallory:
        answer = place.sign_in(alice, "1001", "deny")
        assert answer.headers["location"] == "/"
        assert "declined" in alice.get("/").text

        begun = mallory.get("/sign-in").headers["location"]
        form = dict(parse_qsl(urlsplit(begun).query)) | {"user": "1002", "decision": "allow"}
        callback = mallory.post(f"{place.api}/oauth/authorize", data=form).headers["location"]
        alice.get("/sign-in")
        assert alice.get(callback).headers["location"] == "/"  # made by mallory for alice
        assert "does not belong to this sign-in" in alice.get("/").text
        assert alice.get("/projects").headers["location"] == "/"
        with place.browser() as nobody:
            assert nobody.get(callback).headers["location"] == "/"

        assert mallory.get(callback).headers["location"] == "/projects"
        assert mallory.get(callback).headers["location"] == "/"  # once more
    with sqlite3.connect(place.database) as database:
        assert database.execute("select user_id from tokens").fetchall() == [("1002",)]
    database.close()


def test_a_revoked_permission_asks_to_sign_in_again(place: Place) -> None:
    with place.browser() as browser:
        place.sign_in(browser, "1001")
        assert browser.get("/projects").status_code == 200
        assert browser.post("/disconnect").headers["location"] == "/"
        assert "permission is revoked" in browser.get("/").text

        place.sign_in(browser, "1001")
        for token in [token for token in place.sandbox.oauth._tokens if token != place.sandbox.token]:
            place.sandbox.oauth._forget(place.sandbox.oauth._access[token].id)
        assert browser.get("/projects").headers["location"] == "/"
        assert "sign in again" in browser.get("/").text


def test_expired_tokens_are_renewed(place: Place) -> None:
    place.sandbox.oauth.token_seconds = 31
    with place.browser() as browser:
        place.sign_in(browser, "1001")
        place.sandbox.oauth.token_seconds = 3600
        before = set(place.sandbox.oauth._tokens)
        place.sandbox.oauth._tokens.pop(next(token for token in before if token != place.sandbox.token))
        assert browser.get("/projects").status_code == 200
        assert set(place.sandbox.oauth._tokens) != before


def test_a_failing_database_does_not_show_tokens(tmp_path: Path) -> None:
    import traceback

    import anyio

    from examples.web_app.database import Database
    from kantata_client.oauth.app import Token

    database = Database(tmp_path / "x.sqlite3")
    database._connection.execute("drop table tokens")
    with pytest.raises(RuntimeError, match="no such table") as caught:
        anyio.run(database.save, "alice", Token("planted-access", "planted-refresh"))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [f"{frame.name} {frame.locals}" for frame in shown.stack if frame.filename != __file__]
    assert "planted" not in "\n".join([str(caught.value), *frames])
    assert caught.value.__context__ is None
    anyio.run(database.aclose)
