"""Tokens of users without a browser, for tests of services that act on behalf of users."""

from __future__ import annotations

import pytest

from kantata_client import Kantata, UsageError
from kantata_client.oauth import Endpoints, OAuthApp
from kantata_client.sandbox import RegisteredApp, Sandbox
from kantata_client.stores import MemoryStore, StoredToken

pytestmark = pytest.mark.anyio


async def test_a_client_acts_for_any_user() -> None:
    sandbox = Sandbox("demo")
    users = [row["id"] for row in sandbox.store.all("users")][:3]
    for user in users:
        async with sandbox.client(sandbox.oauth.token_for(user)) as kantata:
            assert (await kantata.users.me()).id == user
        async with sandbox.client(sandbox.oauth.token_for(int(user)), retries=0) as kantata:
            assert (await kantata.users.me()).id == user
    async with sandbox.client() as kantata:
        owner = await kantata.users.me()
        assert (await kantata.with_token(sandbox.oauth.token_for()).users.me()).id == owner.id


async def test_a_token_from_sign_in_is_refreshed_like_one_from_a_browser() -> None:
    sandbox = Sandbox("demo")
    user = [row["id"] for row in sandbox.store.all("users")][1]
    sandbox.oauth.register(RegisteredApp("my-app", "my-secret"))
    sandbox.oauth.token_seconds = 60
    store = MemoryStore()
    async with sandbox.serve() as server:
        token = sandbox.oauth.sign_in(user, client_id="my-app")
        assert token.refreshable
        assert not token.expired()
        await store.save("user", token)
        sandbox.oauth._access.clear()
        sandbox.oauth._tokens.pop(token.access_token)
        endpoints = Endpoints.at(server.url.removesuffix("/api/v1"))
        async with (
            OAuthApp("my-app", "my-secret", endpoints=endpoints) as app,
            Kantata(StoredToken(store, "user", app=app), base_url=server.url) as kantata,
        ):
            assert (await kantata.users.me()).id == user
            kept = await store.load("user")
            assert kept is not None
            assert kept != token
            assert (await app.introspect(kept)).scopes == ("api_only", "offline_access")


def test_unknown_users_and_applications_are_refused() -> None:
    sandbox = Sandbox("empty")
    with pytest.raises(UsageError, match="no user '404'"):
        sandbox.oauth.token_for(404)
    with pytest.raises(UsageError, match="No application 'mine' is registered"):
        sandbox.oauth.sign_in(client_id="mine")


def test_unknown_client_options_are_refused() -> None:
    with pytest.raises(TypeError):
        Sandbox("empty").client(retrys=3)  # pyright: ignore[reportCallIssue]
