"""Planted secrets, looked for wherever they could show."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
from rich.pretty import pretty_repr
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kantata_client import APIError, AuthenticationError, Kantata, OAuthError
from kantata_client.oauth.app import AuthorizationRequest, Endpoints, Introspection, OAuthApp, Token
from kantata_client.oauth.stores import FileStore, MemoryStore, StoredToken
from tests.loopback import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

    from tests.loopback import Shared

SECRET = "planted-s/e+c=r e&t"
CODE, STATE, VERIFIER = "planted-code", "planted-state", "planted-verifier-" + "v" * 40
ACCESS, REFRESH = "planted-access", "planted-refresh"
REDIRECT = "https://example.org/callback"


def forms(text: str) -> set[str]:
    from base64 import b64encode

    pair = b64encode(f"{quote_plus('app-1')}:{quote_plus(text)}".encode()).decode()
    return {text, quote(text, safe=""), quote_plus(text), pair, json.dumps(text)[1:-1]}


PLANTED = {form for text in (SECRET, CODE, STATE, VERIFIER, ACCESS, REFRESH) for form in forms(text)} | {
    "planted"
}


def clean(text: str) -> None:
    for form in PLANTED:
        assert form not in text, f"{form!r} shows in {text[:2000]}"


def rendered(error: BaseException) -> str:
    """The error as Python writes it, and the local variables as a traceback would show them.

    The frames of this file hold what was planted, and are left out.
    """
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [f"{frame.name} {frame.locals}" for frame in shown.stack if frame.filename != __file__]
    return "\n".join([repr(error), str(error), *map(str, getattr(error, "__notes__", ())), *frames])


def rich_locals(error: BaseException) -> str:
    """What rich shows of the frames outside of this file."""
    found, trace = [], error.__traceback__
    while trace:
        frame = trace.tb_frame
        if frame.f_code.co_filename != __file__:
            found += [
                f"{frame.f_code.co_qualname}.{name} = {pretty_repr(value, max_string=None)}"
                for name, value in frame.f_locals.items()
            ]
        trace = trace.tb_next
    assert found
    return "\n".join(found)


def chain(error: BaseException | None) -> list[BaseException]:
    errors: list[BaseException] = []
    while error is not None:
        errors.append(error)
        error = error.__cause__ or error.__context__
    return errors


class Odd:
    """A server that answers with whatever was set, and repeats what it was sent."""

    def __init__(self) -> None:
        self.status, self.body = 200, "{}"
        self.location = self.url = ""
        self.headers: list[dict[str, str]] = []
        routes = [Route("/{path:path}", self.any, methods=["GET", "POST"])]
        self.app = Starlette(routes=routes)

    async def any(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        sent = (await request.body()).decode()
        body = self.body.replace("{sent}", json.dumps(sent)[1:-1])
        headers = {"location": self.location} if self.location else {}
        return Response(body, self.status, headers, media_type="application/json")


@pytest.fixture
def odd(shared: Shared) -> Odd:
    server = Odd()
    shared.app, server.url = server.app, shared.url
    return server


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """All logs of all libraries, with tracebacks; not those of the independent server, which logs tokens."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(lambda record: not record.name.startswith("oauthlib"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield out
    root.removeHandler(handler)
    root.setLevel(before)


def request() -> AuthorizationRequest:
    return AuthorizationRequest(f"https://a.example/?state={STATE}&redirect_uri=x", STATE, VERIFIER)


def test_reprs_show_no_secrets(tmp_path: Path) -> None:
    token = Token(ACCESS, REFRESH, expires_at=0, scopes=("api_only",))
    app = OAuthApp("app-1", SECRET, REDIRECT)
    store = MemoryStore()
    provider = StoredToken(store, "alice", app=app)
    for thing in (
        token,
        request(),
        app,
        store,
        provider,
        FileStore(tmp_path),
        app.endpoints,
        Introspection(True),
    ):
        for text in (repr(thing), str(thing), f"{thing}", pretty_repr(thing), pretty_repr([thing])):
            clean(text)
    assert repr(token) == "<Token: refreshable, expires at 1970-01-01 00:00:00Z, scopes api_only>"


def callbacks() -> list[str]:
    return [
        f"{REDIRECT}?code={CODE}&state=wrong",
        f"{REDIRECT}?code={CODE}&code={CODE}&state={STATE}",
        f"{REDIRECT}?state={STATE}",
        f"{REDIRECT}?error=access_denied&state={STATE}",
        f"{REDIRECT}?code={CODE}&state={STATE}",
        CODE,
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("authentication", ["basic", "body"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>{sent}</html>"),
        (200, '{"token_type": "bearer", "x": "{sent}"}'),
        (200, f'{{"access_token": "{ACCESS}", "token_type": "mac"}}'),
        (200, f'{{"access_token": ["{ACCESS}"]}}'),
        (302, "{sent}"),
        (400, '{"error": "invalid_grant", "error_description": "{sent}"}'),
        (401, "<html>{sent}</html>"),
        (404, "{sent}"),
        (503, "{sent}"),
    ],
)
async def test_exceptions_and_logs_show_no_secrets(
    odd: Odd, logs: io.StringIO, status: int, body: str, authentication: Any
) -> None:
    odd.status, odd.body = status, body
    app = OAuthApp(
        "app-1", SECRET, REDIRECT, endpoints=Endpoints.at(odd.url), client_authentication=authentication
    )
    token = Token(ACCESS, REFRESH, expires_at=0)
    store = MemoryStore()
    await store.save("alice", token)
    provider = StoredToken(store, "alice", app=app)
    calls = [lambda back=back: app.exchange(back, request()) for back in callbacks()]
    calls += [lambda: app.refresh(token), app.client_credentials, lambda: app.introspect(ACCESS)]
    calls += [provider.token, lambda: provider.refused(ACCESS)]
    if status != 200:
        calls.append(lambda: app.revoke(ACCESS))
    async with app:
        for call in calls:
            try:
                await call()
            except (OAuthError, AuthenticationError) as error:
                logging.getLogger("test").exception("It failed")
                for part in chain(error):
                    clean(rendered(part))
                    clean(rich_locals(part))
            else:
                raise AssertionError(f"{call} did not fail")
    assert "POST /oauth/token" in logs.getvalue()
    clean(logs.getvalue())


@pytest.mark.anyio
async def test_successful_calls_log_no_secrets(independent, logs: io.StringIO, tmp_path: Path) -> None:
    import httpx

    from tests.oauth import independent as there

    async with OAuthApp(
        there.CLIENT,
        there.SECRET,
        there.REDIRECT,
        scopes=["offline_access"],
        endpoints=Endpoints.at(independent.url),
    ) as app:
        asked = app.authorization_url()
        transport = httpx.AsyncHTTPTransport()
        async with transport:
            answer = await transport.handle_async_request(httpx.Request("GET", asked.url))
        logs.seek(0)
        logs.truncate()  # what the browser, which is not ours, had logged
        callback = answer.headers["location"]
        token = await app.exchange(callback, asked)
        store = FileStore(tmp_path)
        await store.save("alice", token)
        async with Kantata(
            StoredToken(store, "alice", app=app), base_url=f"{independent.url}/api/v1"
        ) as kantata:
            await kantata.users.me()
            await app.introspect(token)
            await app.revoke(await app.refresh(token))
            independent.validator.access.clear()
            with pytest.raises(AuthenticationError):
                await kantata.users.me()
    said = logs.getvalue()
    assert "kantata_client" in str([*logging.Logger.manager.loggerDict])
    assert "/oauth/token" in said
    for secret in (
        asked.state,
        asked.verifier,
        token.access_token,
        token.refresh_token,
        there.SECRET,
        callback,
    ):
        for form in forms(str(secret)):
            assert form not in said


@pytest.mark.anyio
async def test_an_invalid_configuration_shows_no_secret(tmp_path: Path) -> None:
    failing = [
        lambda: OAuthApp("", SECRET),
        lambda: OAuthApp("app-1", SECRET, "http://example.org/"),
        lambda: OAuthApp("app-1", SECRET, endpoints=Endpoints(token="https://[::1")),
        lambda: OAuthApp("app-1", SECRET, endpoints=Endpoints(authorize="https://[::1")),
        lambda: Token.from_dict({"refresh_token": REFRESH}),
        lambda: AuthorizationRequest.from_dict({"verifier": VERIFIER}),
    ]
    for call in failing:
        with pytest.raises(OAuthError) as caught:
            call()
        for part in chain(caught.value):
            clean(rendered(part))
            clean(rich_locals(part))
    store = FileStore(tmp_path / "file")
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(OAuthError) as caught:
        await store.save("alice", Token(ACCESS, REFRESH))
    for part in chain(caught.value):
        clean(rendered(part))
        clean(rich_locals(part))
    store = FileStore(tmp_path / "tokens")
    await store.save("alice", Token(ACCESS, REFRESH))
    store.path("alice").write_text(f'{{"refresh_token": "{REFRESH}"}}')
    with pytest.raises(OAuthError) as caught:
        await store.load("alice")
    for part in chain(caught.value):
        clean(rich_locals(part))


@pytest.mark.anyio
async def test_redirects_send_nothing_to_another_host(odd: Odd) -> None:
    """Neither the token endpoint's nor the API's redirect is followed, so that no header reaches the target."""
    reached: list[dict[str, str]] = []

    async def elsewhere(request: Request) -> Response:
        reached.append(dict(request.headers))
        return JSONResponse({})

    with served(Starlette(routes=[Route("/{path:path}", elsewhere, methods=["GET", "POST"])])) as other:
        for status in (301, 302, 303, 307, 308):
            odd.status, odd.location = status, other.replace("127.0.0.1", "localhost") + "/x"
            store = MemoryStore()
            await store.save("alice", Token(ACCESS, REFRESH, expires_at=0))
            async with OAuthApp("app-1", SECRET, REDIRECT, endpoints=Endpoints.at(odd.url)) as app:
                for call in (
                    app.client_credentials(),
                    app.refresh(Token(ACCESS, REFRESH)),
                    app.introspect(ACCESS),
                ):
                    with pytest.raises(OAuthError, match="not followed"):
                        await call
            async with Kantata(StoredToken(store, "alice"), base_url=f"{odd.url}/api/v1") as kantata:
                with pytest.raises(Exception, match="not followed"):
                    await kantata.users.me()
    assert reached == []
    assert any(headers.get("authorization") == f"Bearer {ACCESS}" for headers in odd.headers)


@pytest.mark.anyio
async def test_rejected_requests_show_no_token(odd: Odd, logs: io.StringIO) -> None:
    """The API's own errors, with a token from a store: the server repeats it, and the traceback passes it."""
    for status in (401, 403, 404, 422):
        odd.status = status
        odd.body = f'{{"errors": [{{"type": "oauth", "message": "{ACCESS} is wrong"}}]}}'
        store = MemoryStore()
        await store.save("alice", Token(ACCESS))
        for app in (None, OAuthApp("app-1", SECRET, endpoints=Endpoints.at(odd.url))):
            async with Kantata(StoredToken(store, "alice", app=app), base_url=f"{odd.url}/api/v1") as kantata:
                with pytest.raises(APIError) as caught:
                    await kantata.users.me()
            if app:
                await app.aclose()
            for part in chain(caught.value):
                clean(rendered(part))
                clean(rich_locals(part))
    clean(logs.getvalue())


def test_oauth_modules_are_imported_only_when_used() -> None:
    code = (
        "import sys, kantata_client; kantata_client.Kantata(token='x'); "
        "late = [name for name in sys.modules if 'oauth' in name or name in ('typer', 'rich', 'keyring', "
        "'secrets')]; "
        "import kantata_client.oauth, kantata_client.stores; "
        "late += [name for name in ('httpx', 'keyring', 'platformdirs', 'http.server') if name in "
        "sys.modules]; "
        "print(late)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
