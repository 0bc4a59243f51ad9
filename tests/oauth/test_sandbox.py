"""The sandbox's authorization server, where it has to say no, or something else than the client's tests need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from kantata_client import Kantata
from kantata_client.oauth.app import Endpoints, OAuthApp
from kantata_client.sandbox import RegisteredApp, Sandbox

pytestmark = pytest.mark.anyio
BACK = "http://127.0.0.1:8484/callback"
BASIC = ("sandbox-app", "sandbox-secret")


class Clock:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    return Sandbox(seed="empty", clock=clock)


@pytest.fixture
def browser(sandbox: Sandbox) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=sandbox.app), base_url="http://127.0.0.1")


def asked(**changes: str) -> dict[str, str]:
    query = {
        "client_id": "sandbox-app",
        "response_type": "code",
        "redirect_uri": BACK,
        "state": "s",
        "scope": "api_only",
    }
    return {name: value for name, value in (query | changes).items() if value}


async def code(browser: httpx.AsyncClient, **changes: str) -> str:
    form = asked(**changes) | {"decision": "allow", "user": "1001"}
    answer = await browser.post("/oauth/authorize", data=form)
    query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert query["state"] == "s"
    return query["code"]


async def token(browser: httpx.AsyncClient, auth: Any = BASIC, **form: str) -> tuple[int, dict[str, Any]]:
    answer = await browser.post("/oauth/token", data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()


async def test_the_consent_page(browser: httpx.AsyncClient) -> None:
    answer = await browser.get(
        "/oauth/authorize", params=asked(scope="api_only offline_access", state='"><b>x')
    )
    assert answer.status_code == 200
    assert "Ada Thornvale" in answer.text
    assert "offline_access" in answer.text
    assert "<b>x" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": ""},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": ""},
        {"redirect_uri": "javascript:alert(1)"},
    ],
)
async def test_unregistered_redirect_uris_are_rejected(
    browser: httpx.AsyncClient, method: str, changes: Any
) -> None:
    values = asked(**changes)
    answer = await browser.request(
        method, "/oauth/authorize", **({"params": values} if method == "GET" else {"data": values})
    )
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"code_challenge": "x", "code_challenge_method": "S1"}, "invalid_request"),
        ({"client_id": "public"}, "invalid_request"),
    ],
)
async def test_other_errors_are_sent_to_the_redirect_uri(
    browser: httpx.AsyncClient, sandbox: Sandbox, changes: dict[str, str], error: str
) -> None:
    sandbox.oauth.register(RegisteredApp("public", None))
    for answer in (
        await browser.get("/oauth/authorize", params=asked(**changes)),
        await browser.post("/oauth/authorize", data=asked(**changes)),
    ):
        query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        assert (query["error"], query["state"]) == (error, "s")


async def test_a_denial_is_sent_to_the_redirect_uri(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/oauth/authorize", data=asked() | {"decision": "deny"})
    assert "error=access_denied" in answer.headers["location"]


async def test_an_unknown_user_is_rejected(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/oauth/authorize", data=asked() | {"decision": "allow", "user": "1"})
    assert answer.status_code == 400


async def test_a_second_use_of_a_code_revokes_its_token(browser: httpx.AsyncClient) -> None:
    form = {"grant_type": "authorization_code", "code": await code(browser), "redirect_uri": BACK}
    status, body = await token(browser, **form)
    assert status == 200
    assert "refresh_token" not in body
    assert "expires_in" not in body
    assert (await token(browser, **form))[1]["error"] == "invalid_grant"
    answer = await browser.get(
        "/api/v1/users/me", headers={"authorization": f"Bearer {body['access_token']}"}
    )
    assert answer.status_code == 401


async def test_codes_expire_and_are_bound_to_their_request(
    browser: httpx.AsyncClient, clock: Clock, sandbox: Sandbox
) -> None:
    sandbox.oauth.register(RegisteredApp("other", "secret"))
    grant = {"grant_type": "authorization_code", "redirect_uri": BACK}
    assert (await token(browser, **grant, code=await code(browser), auth=("other", "secret")))[0] == 400
    wrong = grant | {"redirect_uri": BACK + "x"}
    assert (await token(browser, **wrong, code=await code(browser)))[1]["error"] == "invalid_grant"
    for verifier in ("", "wrong"):
        bound = await code(browser, code_challenge="right", code_challenge_method="plain")
        assert (await token(browser, **grant, code=bound, code_verifier=verifier))[1][
            "error"
        ] == "invalid_grant"
    bound = await code(browser, code_challenge="right")
    assert (await token(browser, **grant, code=bound, code_verifier="right"))[0] == 200
    late = await code(browser)
    clock.now += timedelta(seconds=300)
    assert (await token(browser, **grant, code=late))[1]["error"] == "invalid_grant"


@pytest.mark.parametrize("auth", [None, ("sandbox-app", "wrong"), ("nobody", ""), ("", "")])
@pytest.mark.parametrize("path", ["token", "revoke", "introspect"])
async def test_applications_are_authenticated(browser: httpx.AsyncClient, path: str, auth: Any) -> None:
    answer = await browser.post(
        f"/oauth/{path}", data={"token": "sandbox-token"}, auth=auth or httpx.USE_CLIENT_DEFAULT
    )
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert "Basic" in answer.headers["www-authenticate"]


async def test_refresh_tokens_work_once(browser: httpx.AsyncClient) -> None:
    scope = "api_only offline_access"
    form = {
        "grant_type": "authorization_code",
        "code": await code(browser, scope=scope),
        "redirect_uri": BACK,
    }
    first = (await token(browser, **form))[1]
    again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    assert (await token(browser, **again, scope="api_only openid"))[1]["error"] == "invalid_scope"
    status, second = await token(browser, **again)
    assert status == 200
    assert (await token(browser, **again))[1]["error"] == "invalid_grant"
    for value, wanted in ((first["access_token"], 401), (second["access_token"], 200)):
        answer = await browser.get("/openid/userinfo", headers={"authorization": f"Bearer {value}"})
        assert answer.status_code == wanted


async def test_tokens_can_be_configured_to_expire(
    browser: httpx.AsyncClient, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.oauth.token_seconds = 60
    body = (await token(browser, grant_type="client_credentials"))[1]
    assert body["expires_in"] == 60
    header = {"authorization": f"Bearer {body['access_token']}"}
    assert (await browser.get("/api/v1/users/me", headers=header)).status_code == 200
    clock.now += timedelta(seconds=60)
    assert (await browser.get("/api/v1/users/me", headers=header)).status_code == 401


async def test_unknown_grants_are_rejected(browser: httpx.AsyncClient, sandbox: Sandbox) -> None:
    assert (await token(browser, grant_type="password"))[1]["error"] == "unsupported_grant_type"
    sandbox.oauth.register(RegisteredApp("public", None))
    body = (await token(browser, None, grant_type="client_credentials", client_id="public"))[1]
    assert body["error"] == "unauthorized_client"


async def test_an_application_without_a_secret_signs_in_by_pkce(
    sandbox: Sandbox, browser: httpx.AsyncClient
) -> None:
    sandbox.oauth.register(RegisteredApp("public", None, (BACK,)))
    transport = httpx.ASGITransport(app=sandbox.app)
    async with OAuthApp(
        "public", None, BACK, endpoints=Endpoints.at("http://127.0.0.1"), transport=transport
    ) as app:
        request = app.authorization_url()
        form = dict(parse_qsl(urlsplit(request.url).query)) | {"decision": "allow", "user": "1001"}
        answer = await browser.post("/oauth/authorize", data=form)
        token = await app.exchange(answer.headers["location"], request)
    async with Kantata(
        token.access_token, base_url="http://127.0.0.1/api/v1", transport=transport
    ) as kantata:
        assert (await kantata.users.me()).full_name == "Ada Thornvale"
