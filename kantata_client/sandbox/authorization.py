"""The sandbox's authorization server: consent page, codes with PKCE, tokens, revocation, introspection, discovery."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import attrs
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from kantata_client._lazy import resolvable
from kantata_client.errors import UsageError
from kantata_client.oauth.tokens import Token
from kantata_client.sandbox.consent import consent_page, problem_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from starlette.requests import Request

    from kantata_client.sandbox.store import Store

SCOPES = ("api_only", "openid", "email", "profile", "mcp", "offline_access")
CODE_SECONDS = 300
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@attrs.frozen
class RegisteredApp:
    """An application that may send users to the sandbox's consent page."""

    client_id: str
    client_secret: str | None
    """None for an application without a secret, which therefore needs PKCE."""
    redirect_uris: tuple[str, ...] | None = None
    """None allows every loopback address."""
    name: str = "A sandbox application"


@attrs.frozen
class _Grant:
    """A permission of an application, represented by a code, an access token or a refresh token."""

    id: str
    client_id: str
    user: str
    scopes: tuple[str, ...]
    made: float
    expires: float | None = None
    redirect_uri: str = ""
    challenge: str = ""
    method: str = ""


class _Refusal(Exception):  # noqa: N818 - a response of the protocol
    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error, description)
        self.error, self.description, self.status = error, description, status


@resolvable
class OAuthServer:
    """Issues tokens for the API of the sandbox.

    As with the service, access tokens last until they are revoked, unless `token_seconds` is set; a refresh
    token is issued only with the scope `offline_access`, and can be used once.
    """

    token_seconds: float | None = None
    """Lifetime of new access tokens in seconds; None: until revoked."""

    def __init__(
        self,
        store: Store,
        token: str,
        owner: str,
        clock: Callable[[], datetime],
        apps: Iterable[RegisteredApp] = (RegisteredApp("sandbox-app", "sandbox-secret", name="The example"),),
    ) -> None:
        """Serve the endpoints.

        Args:
            store: Has the users.
            token: A token of the owner that always works.
            owner: Id of the account's owner, who is also the user of client credentials.
            clock: Returns the time, as an aware datetime.
            apps: The registered applications.
        """
        self._store = store
        self._tokens = {token: owner}
        self._owner = owner
        self._clock = clock
        self._apps = {app.client_id: app for app in apps}
        self._codes: dict[str, _Grant] = {}
        self._used: dict[str, str] = {}
        self._access: dict[str, _Grant] = {}
        self._refresh: dict[str, _Grant] = {}

    def register(self, app: RegisteredApp) -> None:
        """Register an application, or replace one."""
        self._apps[app.client_id] = app

    def sign_in(
        self,
        user: int | str | None = None,
        *,
        scopes: Iterable[str] = ("api_only", "offline_access"),
        client_id: str = "sandbox-app",
    ) -> Token:
        """Sign a user in without browser and consent page, and return the token.

        Args:
            user: The user's id. Default: the account's owner.
            scopes: The granted scopes; `offline_access` adds a refresh token.
            client_id: The registered application that the token is for.

        Raises:
            UsageError: The user or application does not exist.
        """
        app, user_id = self._apps.get(client_id), str(user or self._owner)
        if app is None:
            raise UsageError(
                f"No application {client_id!r} is registered: sandbox.oauth.register(RegisteredApp(…)).",
                consequence="",
            )
        if self._store.get("users", user_id) is None:
            raise UsageError(
                f"The sandbox has no user {user_id!r}: pass the id of one of its users.", consequence=""
            )
        granted = self._grant(app, user_id, tuple(scopes), secrets.token_hex(8))
        lasts, now = granted.get("expires_in"), self._now()
        return Token(
            granted["access_token"],
            granted.get("refresh_token"),
            expires_at=None if lasts is None else now + lasts,
            issued_at=now,
            scopes=tuple(scopes),
        )

    def token_for(self, user: int | str | None = None) -> str:
        """An access token of a user, for `sandbox.client(token)` or a request's header.

        Args:
            user: The user's id. Default: the account's owner.

        Raises:
            UsageError: The user does not exist.
        """
        return self.sign_in(user, scopes=("api_only",)).access_token

    def viewer(self, token: str) -> str | None:
        """The id of the token's user; None if the token is unknown, revoked or expired."""
        grant = self._access.get(token)
        if grant is not None and grant.expires is not None and grant.expires <= self._now():
            return None
        return self._tokens.get(token)

    def routes(self) -> list[Route]:
        """The endpoints, at the paths of the service."""
        return [
            Route("/oauth/authorize", self._show, methods=["GET"]),
            Route("/oauth/authorize", self._decide, methods=["POST"]),
            Route("/oauth/token", self._form(self._token), methods=["POST"]),
            Route("/oauth/revoke", self._form(self._revoke), methods=["POST"]),
            Route("/oauth/introspect", self._form(self._introspect), methods=["POST"]),
            Route("/openid/userinfo", self._userinfo, methods=["GET"]),
            Route("/.well-known/openid-configuration", self._discovery, methods=["GET"]),
        ]

    def __repr__(self) -> str:
        return f"<OAuthServer of {len(self._apps)} applications, {len(self._access)} tokens>"

    async def _show(self, request: Request) -> Response:
        parameters = dict(parse_qsl(request.url.query))
        app, problem = self._application(parameters)
        if app is None:
            return _page(problem_page(problem), 400)
        try:
            scopes = _admitted(app, parameters)
        except _Refusal as refusal:
            return _back(parameters, error=refusal.error, error_description=refusal.description)
        users = [(row["id"], str(row["full_name"])) for row in self._store.all("users")]
        return _page(consent_page(app.name, scopes, users, parameters))

    async def _decide(self, request: Request) -> Response:
        parameters = _strings(await request.form())
        app, problem = self._application(parameters)
        if app is None:
            return _page(problem_page(problem), 400)
        try:
            scopes = _admitted(app, parameters)
        except _Refusal as refusal:
            return _back(parameters, error=refusal.error, error_description=refusal.description)
        if parameters.get("decision") != "allow":
            description = "The resource owner or authorization server denied the request."
            return _back(parameters, error="access_denied", error_description=description)
        user = parameters.get("user") or self._owner
        if self._store.get("users", user) is None:
            return _page(
                problem_page("This user does not exist in the sandbox: go back and choose another."), 400
            )
        code, now = secrets.token_urlsafe(32), self._now()
        self._codes[code] = _Grant(
            secrets.token_hex(8),
            app.client_id,
            user,
            scopes,
            now,
            now + CODE_SECONDS,
            parameters["redirect_uri"],
            parameters.get("code_challenge", ""),
            parameters.get("code_challenge_method", "plain"),
        )
        return _back(parameters, code=code)

    def _application(self, parameters: dict[str, str]) -> tuple[RegisteredApp | None, str]:
        """The application, or None and the reason why it or its redirect URI is not trusted."""
        app = self._apps.get(parameters.get("client_id", ""))
        if app is None:
            return (
                None,
                "No application is registered with this client_id. The sandbox has the application sandbox-app.",
            )
        target = parameters.get("redirect_uri", "")
        parts = urlsplit(target)
        if app.redirect_uris is None:
            known = parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK
        else:
            known = target in app.redirect_uris
        return (app, "") if known else (None, "The redirect_uri is not registered with this application.")

    def _token(self, app: RegisteredApp, form: dict[str, str]) -> Response:
        grant = form.get("grant_type")
        if grant == "authorization_code":
            return self._by_code(app, form)
        if grant == "refresh_token":
            old = self._refresh.get(form.get("refresh_token", ""))
            if old is None or old.client_id != app.client_id:
                raise _Refusal(
                    "invalid_grant", "The refresh token is unknown, used, revoked or another application's."
                )
            scopes = tuple(form.get("scope", "").split()) or old.scopes
            if not set(scopes) <= set(old.scopes):
                raise _Refusal("invalid_scope", "A refresh can't widen the scopes.")
            self._forget(old.id)
            return self._granted(app, old.user, scopes, old.id)
        if grant == "client_credentials":
            if app.client_secret is None:
                raise _Refusal("unauthorized_client", "An application without a secret has no credentials.")
            return self._granted(app, self._owner, _scopes(form.get("scope", "")), None)
        raise _Refusal(
            "unsupported_grant_type",
            "The grant types are authorization_code, refresh_token, client_credentials.",
        )

    def _by_code(self, app: RegisteredApp, form: dict[str, str]) -> Response:
        code = form.get("code", "")
        if code in self._used:
            # Somebody other than the application has the code, so the tokens it brought are not safe either.
            self._forget(self._used[code])
        grant = self._codes.pop(code, None)
        if grant is not None:
            self._used[code] = grant.id
        if grant is None or grant.client_id != app.client_id or (grant.expires or 0) <= self._now():
            raise _Refusal("invalid_grant", "The code is unknown, used, expired or another application's.")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise _Refusal("invalid_grant", "The redirect_uri is another one than the code was made for.")
        if not _proven(grant, form.get("code_verifier", "")):
            raise _Refusal("invalid_grant", "The code_verifier does not match the code_challenge.")
        return self._granted(app, grant.user, grant.scopes, grant.id)

    def _granted(
        self, app: RegisteredApp, user: str, scopes: tuple[str, ...], identity: str | None
    ) -> Response:
        return _json(200, self._grant(app, user, scopes, identity))

    def _grant(
        self, app: RegisteredApp, user: str, scopes: tuple[str, ...], identity: str | None
    ) -> dict[str, Any]:
        now = self._now()
        expires = None if self.token_seconds is None else now + self.token_seconds
        grant = _Grant(identity or secrets.token_hex(8), app.client_id, user, scopes, now, expires)
        access = secrets.token_urlsafe(32)
        self._access[access], self._tokens[access] = grant, user
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "bearer",
            "scope": " ".join(scopes),
            "created_at": int(now),
        }
        if self.token_seconds is not None:
            answer["expires_in"] = int(self.token_seconds)
        if "offline_access" in scopes and identity:
            refresh = secrets.token_urlsafe(32)
            self._refresh[refresh] = grant
            answer["refresh_token"] = refresh
        return answer

    def _revoke(self, app: RegisteredApp, form: dict[str, str]) -> Response:
        token = form.get("token", "")
        grant = self._access.get(token) or self._refresh.get(token)
        if grant is not None and grant.client_id == app.client_id:
            self._forget(grant.id)
        return _json(200, {})

    def _introspect(self, app: RegisteredApp, form: dict[str, str]) -> Response:
        token = form.get("token", "")
        grant = self._access.get(token)
        user = self.viewer(token)
        if user is None or (grant is not None and grant.client_id != app.client_id):
            return _json(200, {"active": False})
        row = self._store.get("users", user) or {}
        answer: dict[str, Any] = {
            "active": True,
            "token_type": "bearer",
            "sub": user,
            "username": row.get("email_address"),
        }
        if grant is not None:
            answer |= {"scope": " ".join(grant.scopes), "client_id": grant.client_id, "iat": int(grant.made)}
            if grant.expires is not None:
                answer["exp"] = int(grant.expires)
        return _json(200, answer)

    async def _userinfo(self, request: Request) -> Response:
        user = self.viewer(request.headers.get("authorization", "").partition(" ")[2].strip())
        row = self._store.get("users", user) if user else None
        if row is None:
            return _json(
                401, {"error": "invalid_token", "error_description": "The access token is not valid."}
            )
        return _json(200, {"sub": row["id"], "name": row.get("full_name"), "email": row.get("email_address")})

    async def _discovery(self, request: Request) -> Response:
        base = f"{request.url.scheme}://{request.url.netloc}"
        return _json(
            200,
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/oauth/authorize",
                "token_endpoint": f"{base}/oauth/token",
                "revocation_endpoint": f"{base}/oauth/revoke",
                "introspection_endpoint": f"{base}/oauth/introspect",
                "userinfo_endpoint": f"{base}/openid/userinfo",
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["plain", "S256"],
            },
        )

    def _form(self, perform: Callable[[RegisteredApp, dict[str, str]], Response]) -> Callable[[Request], Any]:
        """An endpoint for applications that authenticates one and turns refusals into responses."""

        async def endpoint(request: Request) -> Response:
            form = _strings(await request.form())
            try:
                return perform(self._authenticated(request, form), form)
            except _Refusal as refusal:
                content = {"error": refusal.error, "error_description": refusal.description}
                headers = {"www-authenticate": 'Basic realm="sandbox"'} if refusal.status == 401 else {}
                return _json(refusal.status, content, headers)

        return endpoint

    def _authenticated(self, request: Request, form: dict[str, str]) -> RegisteredApp:
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        if scheme.lower() == "basic":
            try:
                name, _, word = base64.b64decode(pair, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                name, word = "", ""
            client_id, secret = unquote_plus(name), unquote_plus(word)
        app = self._apps.get(client_id)
        known = app is not None and secrets.compare_digest(
            (secret or "").encode(), (app.client_secret or "").encode()
        )
        if app is None or not known:
            raise _Refusal("invalid_client", "The client is unknown, or its secret is wrong.", 401)
        return app

    def _forget(self, grant: str) -> None:
        """Invalidate every token of a grant."""
        for token in [token for token, known in self._access.items() if known.id == grant]:
            del self._access[token]
            self._tokens.pop(token, None)
        for token in [token for token, known in self._refresh.items() if known.id == grant]:
            del self._refresh[token]

    def _now(self) -> float:
        return self._clock().timestamp()


def _admitted(app: RegisteredApp, parameters: dict[str, str]) -> tuple[str, ...]:
    """The requested scopes, if the request is well-formed."""
    if parameters.get("response_type") != "code":
        raise _Refusal("unsupported_response_type", "The response_type is code.")
    method = parameters.get("code_challenge_method", "plain")
    if "code_challenge" in parameters and method not in ("plain", "S256"):
        raise _Refusal("invalid_request", "The code_challenge_method is S256 or plain.")
    if "code_challenge" not in parameters and app.client_secret is None:
        raise _Refusal("invalid_request", "An application without a secret needs a code_challenge.")
    return _scopes(parameters.get("scope", ""))


def _scopes(text: str) -> tuple[str, ...]:
    scopes = tuple(text.split()) or ("api_only",)
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise _Refusal(
            "invalid_scope", f"The requested scope is invalid, unknown, or malformed: {' '.join(unknown)}."
        )
    return scopes


def _proven(grant: _Grant, verifier: str) -> bool:
    if not grant.challenge:
        return True
    made = verifier
    if grant.method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        made = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return secrets.compare_digest(made.encode(), grant.challenge.encode())


def _back(parameters: dict[str, str], **query: str) -> Response:
    """Redirect the browser to the application."""
    if "state" in parameters:
        query["state"] = parameters["state"]
    joint = "&" if "?" in parameters["redirect_uri"] else "?"
    return RedirectResponse(f"{parameters['redirect_uri']}{joint}{urlencode(query)}", 303)


def _page(html: str, status: int = 200) -> Response:
    return HTMLResponse(html, status, {"cache-control": "no-store", "x-frame-options": "DENY"})


def _strings(form: Any) -> dict[str, str]:
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def _json(status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(content, status, {"cache-control": "no-store", **(headers or {})})
