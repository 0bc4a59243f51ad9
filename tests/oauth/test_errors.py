"""What goes wrong is a clear `OAuthError`, and nothing is stored."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kantata_client import KantataConnectionError, OAuthError
from kantata_client.oauth.app import AuthorizationRequest, Endpoints, OAuthApp, Token
from kantata_client.oauth.stores import MemoryStore

if TYPE_CHECKING:
    from tests.loopback import Shared

REDIRECT = "https://example.org/callback"


async def stored_after(app: OAuthApp, callback: str, request: AuthorizationRequest) -> OAuthError:
    """The error of a sign-in; what a program would have stored by then is checked to be nothing."""
    store = MemoryStore()
    with pytest.raises(OAuthError) as caught:
        await store.save("alice", await app.exchange(callback, request))
    assert await store.load("alice") is None
    assert len(str(caught.value)) > 40
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def offline() -> OAuthApp:
    """An application whose server must not be asked."""
    return OAuthApp("app-1", "planted", REDIRECT, endpoints=Endpoints.at("http://127.0.0.1:1"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("code=c&state=other", "does not belong to this sign-in"),
        ("code=c", "does not belong to this sign-in"),
        ("code=c&state=", "does not belong to this sign-in"),
        ("error=access_denied&state=other", "does not belong to this sign-in"),
        ("state={state}", "has no code"),
        ("code=&state={state}", "has no code"),
        ("code=a&code=b&state={state}", "repeats a parameter"),
        ("state={state}&state={state}&code=c", "repeats a parameter"),
        ("error=access_denied&error_description=No+thanks&state={state}", "No thanks"),
        ("", "does not belong to this sign-in"),
    ],
)
async def test_invalid_callbacks_are_rejected(query: str, expected: str) -> None:
    app = offline()
    request = app.authorization_url()
    error = await stored_after(app, f"{REDIRECT}?{query.format(state=request.state)}", request)
    assert expected in str(error)
    assert request.state not in str(error)
    assert error.error == ("access_denied" if "No thanks" in expected else None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "issuer", ["https://evil.example", "http://127.0.0.1:2", "https://127.0.0.1:1", "nobody"]
)
async def test_a_callback_from_another_issuer_is_rejected(issuer: str) -> None:
    app = offline()
    request = app.authorization_url()
    error = await stored_after(app, f"{REDIRECT}?code=c&state={request.state}&iss={issuer}", request)
    assert "another issuer" in str(error)


@pytest.mark.anyio
async def test_a_state_argument_that_differs_from_the_callback_is_rejected() -> None:
    app = offline()
    request = app.authorization_url()
    callback = f"{REDIRECT}?code=c&state={request.state}"
    with pytest.raises(OAuthError, match="does not belong to this sign-in"):
        await app.exchange(callback, request, state="other")


@pytest.mark.anyio
async def test_a_callback_without_a_query_and_an_empty_code_are_rejected() -> None:
    app = offline()
    request = app.authorization_url()
    assert "does not belong" in str(await stored_after(app, REDIRECT, request))
    assert "empty" in str(await stored_after(app, "  ", request))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "kind", "body", "expected"),
    [
        (200, "text/html", "<title>Please log in</title>", "text/html instead of a JSON object"),
        (200, "application/json", '["access_token"]', "instead of a JSON object"),
        (200, "application/json", '{"token_type": "bearer"}', "no access_token, only token_type"),
        (200, "application/json", '{"access_token": null, "x": 1}', "no access_token"),
        (200, "application/json", '{"access_token": ""}', "no access_token"),
        (200, "application/json", '{"access_token": "t", "token_type": "mac"}', "not bearer"),
        (200, "application/json", '{"error": "invalid_grant"}', "invalid_grant"),
        (302, "text/html", "", "Redirects are not followed"),
        (400, "text/html", "<title>Bad</title>", "Bad"),
        (400, "application/json", '{"error": "invalid_grant", "error_description": "too old"}', "too old"),
        (401, "application/json", '{"error": "invalid_client"}', "id and secret"),
        (403, "text/html", "<html><body><h1>Blocked</h1></body></html>", "Blocked"),
        (404, "text/html", "<title>Not here</title>", "Not here"),
        (500, "text/html", "<title>We are sorry</title>", "We are sorry"),
        (503, "text/plain", "", "no explanation"),
    ],
)
async def test_invalid_responses_of_the_token_endpoint_are_rejected(
    shared: Shared, status: int, kind: str, body: str, expected: str
) -> None:
    seen: list[bytes] = []

    async def token(request) -> Response:
        seen.append(await request.body())
        return Response(body, status, {"content-type": kind, "location": "https://elsewhere.example/x"})

    shared.app = Starlette(routes=[Route("/oauth/token", token, methods=["POST"])])
    async with OAuthApp("app-1", "planted", REDIRECT, endpoints=Endpoints.at(shared.url)) as app:
        request = app.authorization_url()
        error = await stored_after(app, f"{REDIRECT}?code=c&state={request.state}", request)
    assert expected in str(error)
    assert len(seen) == 1  # a code is good for one attempt


@pytest.mark.anyio
async def test_secrets_that_a_server_repeats_are_redacted(shared: Shared) -> None:
    secret = "planted/secret+1"

    async def token(request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        echoed = f"{secret} {form['code']} {form['code_verifier']} {request.headers.get('authorization')}"
        return Response(json.dumps({"error": "invalid_grant", "error_description": echoed}), 400)

    shared.app = Starlette(routes=[Route("/oauth/token", token, methods=["POST"])])
    async with OAuthApp("app-1", secret, REDIRECT, endpoints=Endpoints.at(shared.url)) as app:
        request = app.authorization_url()
        error = await stored_after(app, f"{REDIRECT}?code=planted-code&state={request.state}", request)
    assert "planted" not in str(error)
    assert request.verifier not in str(error)
    assert str(error).count("[secret]") == 4


@pytest.mark.anyio
async def test_an_expired_code_is_reported(independent) -> None:
    import httpx

    from tests.oauth.independent import CLIENT, REDIRECT, SECRET

    async with OAuthApp(CLIENT, SECRET, REDIRECT, endpoints=Endpoints.at(independent.url)) as app:
        request = app.authorization_url()
        async with httpx.AsyncClient() as browser:
            callback = (await browser.get(request.url)).headers["location"]
        for code in independent.validator.codes.values():
            code["expires"] = time.time() - 1
        assert (await stored_after(app, callback, request)).error == "invalid_grant"


@pytest.mark.anyio
async def test_an_unreachable_server_is_a_connection_error() -> None:
    app = offline()
    request = app.authorization_url()
    with pytest.raises(KantataConnectionError, match="Nothing was carried out"):
        await app.exchange(f"{REDIRECT}?code=c&state={request.state}", request)
    await app.aclose()


@pytest.mark.parametrize("place", [*attrs.fields_dict(Endpoints), "redirect_uri"])
@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/x",
        "http://10.0.0.1/x",
        "ftp://example.org",
        "example.org/x",
        "https://",
        "https://u:p@h/x",
    ],
)
def test_plain_http_and_invalid_urls_are_rejected(address: str, place: str) -> None:
    redirect = {"redirect_uri": address} if place == "redirect_uri" else {}
    endpoints = Endpoints() if redirect else Endpoints(**{place: address})
    with pytest.raises(OAuthError, match=r"https://"):
        OAuthApp("app-1", "planted", endpoints=endpoints, **redirect)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost/x"])
def test_plain_http_to_loopback_is_accepted(address: str) -> None:
    assert (
        OAuthApp("app-1", redirect_uri=address, endpoints=Endpoints(*[address] * 4)).redirect_uri == address
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    "document",
    [
        "<html></html>",
        "{}",
        '{"authorization_endpoint": "https://a.example/a"}',
        '{"authorization_endpoint": "https://a.example/a", "token_endpoint": "https://a.example/t"}',
        '{"authorization_endpoint": "{here}/a", "token_endpoint": "https://a.example/t"}',
        '{"authorization_endpoint": "https://a.example/a", "token_endpoint": "{here}/t"}',
        '{"authorization_endpoint": "{here}/a", "token_endpoint": "{here}/t", "issuer": "https://a.example"}',
        '{"authorization_endpoint": "{here}/a", "token_endpoint": "{here}/t", "issuer": 7}',
        '{"authorization_endpoint": "{here}/a", "token_endpoint": "http://127.0.0.1:9/t", "issuer": "{here}"}',
        '{"authorization_endpoint": "{here}/a", "token_endpoint": "{here}/t", "introspection_endpoint": "https://a.example/"}',
        '{"authorization_endpoint": "https://a.example/a", "token_endpoint": "http://a.example/t"}',
        '{"authorization_endpoint": "https://a.example/", "token_endpoint": "https://a.example/", "revocation_endpoint": "http://a"}',
    ],
)
async def test_invalid_or_unsafe_discovery_documents_are_rejected(shared: Shared, document: str) -> None:
    async def discovery(request) -> Response:
        return Response(document.replace("{here}", shared.url), media_type="application/json")

    shared.app = Starlette(routes=[Route("/well-known", discovery)])
    async with OAuthApp("app-1") as app:
        with pytest.raises(OAuthError):
            await app.discover(f"{shared.url}/well-known")
        assert app.endpoints == Endpoints()
        with pytest.raises(OAuthError):
            await app.discover("http://example.org/well-known")


def test_invalid_arguments_are_rejected() -> None:
    with pytest.raises(OAuthError, match="redirect URI"):
        OAuthApp("app-1").authorization_url()
    with pytest.raises(OAuthError, match="client_id"):
        OAuthApp("", "planted")
    for values in (
        {},
        {"access_token": ""},
        {"access_token": "t", "expires_at": "x"},
        {"access_token": "t", "scopes": 1},
    ):
        with pytest.raises(OAuthError, match="sign in again"):
            Token.from_dict(values)
    with pytest.raises(OAuthError, match="start the sign-in again"):
        AuthorizationRequest.from_dict({"url": "u"})


@pytest.mark.anyio
async def test_a_missing_secret_or_refresh_token_is_reported() -> None:
    app = OAuthApp("app-1", redirect_uri=REDIRECT)
    with pytest.raises(OAuthError, match="secret"):
        await app.client_credentials()
    with pytest.raises(OAuthError, match="offline_access"):
        await app.refresh(Token("t"))


def test_the_authorization_url_has_all_parameters() -> None:
    app = OAuthApp("app-1", redirect_uri=REDIRECT, scopes=["api_only"])
    first, second = app.authorization_url(), app.authorization_url(scopes="openid email")
    query = dict(parse_qsl(urlsplit(first.url).query))
    assert first.url.startswith("https://app.mavenlink.com/oauth/authorize?")
    assert query["code_challenge_method"] == "S256"
    assert query["state"] == first.state
    assert query["scope"] == "api_only"
    assert first.verifier not in first.url
    assert 43 <= len(first.verifier) <= 128
    assert second.scopes == ("openid", "email")
    assert (first.state, first.verifier) != (second.state, second.verifier)


@pytest.mark.anyio
async def test_control_characters_of_a_server_are_escaped(shared: Shared) -> None:
    """They could rewrite what a terminal shows, or forge lines of a log."""

    async def refuse(request) -> Response:
        text = "\x1b[2J\x1b[32mYou are signed in\x1b[0m\r\n\x07\u202egnp.exe\x9b0m"
        return JSONResponse({"error": f"invalid_grant\x1b[1m{text}", "error_description": text}, 400)

    shared.app = Starlette(routes=[Route("/oauth/token", refuse, methods=["POST"])])
    async with OAuthApp("app-1", "planted", REDIRECT, endpoints=Endpoints.at(shared.url)) as app:
        request = app.authorization_url()
        refused = await stored_after(app, f"{REDIRECT}?code=c&state={request.state}", request)
        back = await stored_after(
            app,
            f"{REDIRECT}?error=access_denied%1b%5b2J&error_description=%1b%5b31mNo%0d%0aSigned+in&state={request.state}",
            request,
        )
    assert str(refused).isprintable()
    assert r"\x1b[2J" in str(refused)
    assert str(back).isprintable()
    assert r"\x1b[31mNo" in str(back)
