"""Every grant and endpoint, against oauthlib's server and the sandbox's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from kantata_client import AuthenticationError, Kantata, OAuthError
from kantata_client.oauth.app import AuthorizationRequest, Endpoints, OAuthApp, Token
from kantata_client.oauth.stores import MemoryStore, StoredToken
from kantata_client.sandbox import Sandbox
from tests.oauth.independent import CLIENT, REDIRECT, SECRET, Independent

if TYPE_CHECKING:
    from tests.loopback import Shared

pytestmark = pytest.mark.anyio
SCOPES = ("api_only", "offline_access")


@dataclasses.dataclass
class Place:
    """An authorization server, and how its user says yes."""

    url: str
    client: str
    secret: str
    redirect: str
    agree: dict[str, str] | None = None

    def app(self, **options) -> OAuthApp:
        options = {"scopes": SCOPES, "endpoints": Endpoints.at(self.url)} | options
        return OAuthApp(self.client, self.secret, self.redirect, **options)

    async def back(self, request: AuthorizationRequest, **more: str) -> str:
        """Where the browser is sent once the user agrees."""
        async with httpx.AsyncClient() as browser:
            if self.agree is None:
                answer = await browser.get(request.url)
            else:
                form = dict(parse_qsl(urlsplit(request.url).query)) | self.agree | more
                answer = await browser.post(request.url.partition("?")[0], data=form)
        assert answer.status_code in (302, 303), answer.text
        return answer.headers["location"]


@pytest.fixture(params=["independent", "sandbox"])
def place(request: pytest.FixtureRequest, shared: Shared) -> Place:
    if request.param == "independent":
        shared.app = Independent().app
        return Place(shared.url, CLIENT, SECRET, REDIRECT)
    shared.app = Sandbox(seed="empty").app
    return Place(shared.url, "sandbox-app", "sandbox-secret", REDIRECT, {"user": "1001", "decision": "allow"})


@pytest.mark.parametrize("authentication", ["basic", "body"])
async def test_sign_in_use_refresh_introspect_and_revoke(place: Place, authentication: str) -> None:
    async with place.app(client_authentication=authentication) as app:
        request = app.authorization_url()
        token = await app.exchange(await place.back(request), request)
        assert token.refreshable
        assert token.scopes == SCOPES

        async with Kantata(token.access_token, base_url=f"{place.url}/api/v1") as kantata:
            assert (await kantata.users.me()).full_name
        introspection = await app.introspect(token)
        assert introspection.active
        assert introspection.client_id == place.client
        assert introspection.scopes == SCOPES

        fresh = await app.refresh(token)
        assert fresh.access_token != token.access_token
        assert fresh.refreshable

        await app.revoke(fresh)
        assert not (await app.introspect(fresh)).active
        with pytest.raises(OAuthError) as caught:
            await app.refresh(fresh)
        assert caught.value.error == "invalid_grant"
        async with Kantata(fresh.access_token, base_url=f"{place.url}/api/v1") as kantata:
            with pytest.raises(AuthenticationError):
                await kantata.users.me()
        await app.revoke(fresh)  # once more is no error


async def test_client_credentials_yield_a_token(place: Place) -> None:
    async with place.app() as app:
        token = await app.client_credentials(scopes=["api_only"])
        assert (await app.introspect(token)).active
        assert not token.refreshable


async def test_discovery_replaces_the_endpoints(place: Place) -> None:
    async with place.app(endpoints=Endpoints(token=f"{place.url}/oauth/token")) as app:
        found = await app.discover(f"{place.url}/.well-known/openid-configuration")
        assert found == Endpoints.at(place.url) == app.endpoints
        request = app.authorization_url()
        assert (await app.exchange(await place.back(request), request)).access_token


async def test_a_code_copied_by_hand_is_exchanged(place: Place) -> None:
    async with place.app() as app:
        request = app.authorization_url()
        code = dict(parse_qsl(urlsplit(await place.back(request)).query))["code"]
        with pytest.raises(OAuthError, match="not a callback URL"):
            await app.exchange(f" {code}\n", request)
        with pytest.raises(OAuthError, match="does not belong to this sign-in"):
            await app.exchange(code, request, state="another state")
        assert (await app.exchange(f" {code}\n", request, state=request.state)).access_token


async def test_a_request_survives_a_session(place: Place) -> None:
    async with place.app() as app:
        request = app.authorization_url()
        again = AuthorizationRequest.from_dict(request.to_dict())
        assert (await app.exchange(await place.back(request), again)).access_token


async def test_a_replayed_code_is_refused(place: Place) -> None:
    async with place.app() as app:
        request = app.authorization_url()
        callback = await place.back(request)
        await app.exchange(callback, request)
        with pytest.raises(OAuthError, match="sign in again") as caught:
            await app.exchange(callback, request)
        assert caught.value.error == "invalid_grant"


async def test_the_code_of_another_sign_in_fails_by_pkce(place: Place) -> None:
    async with place.app() as app:
        mine, other = app.authorization_url(), app.authorization_url()
        code = dict(parse_qsl(urlsplit(await place.back(other)).query))["code"]
        with pytest.raises(OAuthError) as caught:
            await app.exchange(code, mine, state=mine.state)
        assert caught.value.error == "invalid_grant"


async def test_a_wrong_secret_is_refused(place: Place) -> None:
    place.secret = "planted wrong secret"
    async with place.app() as app:
        request = app.authorization_url()
        with pytest.raises(OAuthError, match="id and secret") as caught:
            await app.exchange(await place.back(request), request)
        assert caught.value.error == "invalid_client"
        assert "planted" not in str(caught.value)


async def test_an_unknown_scope_is_reported(place: Place) -> None:
    async with place.app() as app:
        request = app.authorization_url(scopes=["everything"])
        with pytest.raises(OAuthError) as caught:
            await app.exchange(await place.back(request), request)
        assert caught.value.error == "invalid_scope"


async def test_a_stored_token_signs_requests_and_is_renewed(place: Place) -> None:
    store = MemoryStore()
    async with place.app() as app:
        request = app.authorization_url()
        first = await app.exchange(await place.back(request), request)
        await store.save("alice", Token("spoiled", first.refresh_token, scopes=first.scopes))
        async with Kantata(StoredToken(store, "alice", app=app), base_url=f"{place.url}/api/v1") as kantata:
            assert (await kantata.users.me()).full_name
            renewed = await store.load("alice")
            assert renewed is not None
            assert renewed.access_token not in ("spoiled", first.access_token)

            await app.revoke(renewed)
            with pytest.raises(AuthenticationError, match="revoked"):
                await kantata.users.me()


async def test_a_revoked_grant_is_distinguished_from_a_token_of_another_server(place: Place) -> None:
    store = MemoryStore()
    async with place.app(scopes=["api_only"]) as app:
        request = app.authorization_url()
        token = await app.exchange(await place.back(request), request)
        await store.save("alice", Token(token.access_token))
        await app.revoke(token)
        async with Kantata(StoredToken(store, "alice", app=app), base_url=f"{place.url}/api/v1") as kantata:
            await store.save("carol", Token(token.access_token))
            without = kantata.with_token(StoredToken(store, "carol"))
            with pytest.raises(AuthenticationError, match="base_url"):
                await without.users.me()
            with pytest.raises(AuthenticationError, match="was revoked"):
                await kantata.users.me()
            with pytest.raises(OAuthError, match="sign in first"):
                await kantata.with_token(StoredToken(store, "bob")).users.me()
