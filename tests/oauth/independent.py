"""An authorization server that this project did not write: oauthlib's, with a small protected API."""

from __future__ import annotations

import base64
import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from oauthlib.oauth2 import OAuth2Error, RequestValidator, Server

if TYPE_CHECKING:
    from starlette.requests import Request

CLIENT = "app-1"
SECRET = "planted secret/of+the=app&"  # needs every kind of quoting
REDIRECT = "http://127.0.0.1:8484/callback"
SCOPES = ["api_only", "openid", "offline_access"]


@dataclass
class Client:
    client_id: str


@dataclass
class Validator(RequestValidator):
    """oauthlib's questions, answered from dictionaries. Times are seconds since 1970."""

    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    access: dict[str, dict[str, Any]] = field(default_factory=dict)
    refresh: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def client_authentication_required(self, request, *args, **kwargs):
        return True

    def authenticate_client(self, request, *args, **kwargs):
        kind, _, pair = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            client, _, secret = base64.b64decode(pair).decode().partition(":")
            client, secret = unquote_plus(client), unquote_plus(secret)
            self.log.append("basic")
        else:
            client, secret = request.client_id, request.client_secret
            self.log.append("body")
        request.client = Client(client)
        return client == CLIENT and secret == SECRET

    def authenticate_client_id(self, client_id, request, *args, **kwargs):
        return False

    def validate_client_id(self, client_id, request, *args, **kwargs):
        return client_id == CLIENT

    def validate_redirect_uri(self, client_id, redirect_uri, request, *args, **kwargs):
        return redirect_uri.startswith("http://127.0.0.1:") and redirect_uri.endswith("/callback")

    def get_default_redirect_uri(self, client_id, request, *args, **kwargs):
        return REDIRECT

    def confirm_redirect_uri(self, client_id, code, redirect_uri, client, request, *args, **kwargs):
        return self.codes[code]["redirect_uri"] == redirect_uri

    def get_default_scopes(self, client_id, request, *args, **kwargs):
        return ["api_only"]

    def validate_scopes(self, client_id, scopes, client, request, *args, **kwargs):
        return set(scopes) <= set(SCOPES)

    def get_original_scopes(self, refresh_token, request, *args, **kwargs):
        return self.refresh[refresh_token]["scopes"]

    def validate_response_type(self, client_id, response_type, client, request, *args, **kwargs):
        return response_type == "code"

    def validate_grant_type(self, client_id, grant_type, client, request, *args, **kwargs):
        return grant_type in ("authorization_code", "refresh_token", "client_credentials")

    def is_pkce_required(self, client_id, request):
        return True

    def get_code_challenge(self, code, request):
        return self.codes[code]["challenge"]

    def get_code_challenge_method(self, code, request):
        return self.codes[code]["method"]

    def save_authorization_code(self, client_id, code, request, *args, **kwargs):
        self.codes[code["code"]] = {
            "challenge": request.code_challenge,
            "method": request.code_challenge_method,
            "redirect_uri": request.redirect_uri,
            "scopes": request.scopes,
            "expires": time.time() + 300,
        }

    def validate_code(self, client_id, code, client, request, *args, **kwargs):
        known = self.codes.get(code)
        if known is None or known["expires"] < time.time():
            return False
        request.scopes, request.user = known["scopes"], "alice"
        return True

    def invalidate_authorization_code(self, client_id, code, request, *args, **kwargs):
        del self.codes[code]

    def save_bearer_token(self, token, request, *args, **kwargs):
        entry = {"scopes": request.scopes, "user": request.user, "expires": time.time() + token["expires_in"]}
        self.access[token["access_token"]] = entry
        if "refresh_token" in token:
            self.refresh[token["refresh_token"]] = entry

    def validate_refresh_token(self, refresh_token, client, request, *args, **kwargs):
        request.user = self.refresh.get(refresh_token, {}).get("user")
        return refresh_token in self.refresh

    def rotate_refresh_token(self, request):
        del self.refresh[request.refresh_token]
        return True

    def revoke_token(self, token, token_type_hint, request, *args, **kwargs):
        self.access.pop(token, None)
        self.refresh.pop(token, None)

    def introspect_token(self, token, token_type_hint, request, *args, **kwargs):
        known = self.access.get(token)
        if known is None:
            return None
        return {
            "username": known["user"],
            "scope": " ".join(known["scopes"]),
            "client_id": CLIENT,
            "exp": int(known["expires"]),
        }


class Independent:
    """The server's application, and what came in."""

    def __init__(self) -> None:
        self.url = ""
        self.validator = Validator()
        self.lasts = 3600
        """Seconds that access tokens last."""
        self.server = Server(self.validator, token_expires_in=lambda _: self.lasts)
        self.declines = False
        self.refreshes = 0
        self.api_requests = 0
        self.seconds = 0.0
        """That the token endpoint thinks."""
        routes = [
            Route("/oauth/authorize", self.authorize),
            Route("/oauth/token", self.token, methods=["POST"]),
            Route("/oauth/revoke", self.revoke, methods=["POST"]),
            Route("/oauth/introspect", self.introspect, methods=["POST"]),
            Route("/.well-known/openid-configuration", self.discovery),
            Route("/api/v1/users/me", self.me),
        ]
        self.app = Starlette(routes=routes)

    async def _asked(self, request: Request) -> tuple[str, str, str, dict[str, str]]:
        body = (await request.body()).decode()
        return str(request.url), request.method, body, dict(request.headers)

    async def authorize(self, request: Request) -> Response:
        """The user agrees at once, unless told to decline."""
        if self.declines:
            query = f"error=access_denied&error_description=No+thanks&state={request.query_params['state']}"
            return Response("", 302, {"location": f"{request.query_params['redirect_uri']}?{query}"})
        uri, method, body, headers = await self._asked(request)
        try:
            scopes, _ = self.server.validate_authorization_request(uri, method, body, headers)
            headers, body, status = self.server.create_authorization_response(
                uri, method, body, headers, scopes
            )
        except OAuth2Error as error:
            location = error.in_uri(error.redirect_uri or REDIRECT)
            return Response("", 302, {"location": location})
        return Response(body or "", status, headers)

    async def token(self, request: Request) -> Response:
        asked = await self._asked(request)
        if "grant_type=refresh_token" in asked[2]:
            self.refreshes += 1
        if self.seconds:
            await run_in_threadpool(time.sleep, self.seconds)
        headers, body, status = self.server.create_token_response(*asked)
        return Response(body, status, headers)

    async def revoke(self, request: Request) -> Response:
        headers, body, status = self.server.create_revocation_response(*await self._asked(request))
        return Response(body or "", status, headers)

    async def introspect(self, request: Request) -> Response:
        headers, body, status = self.server.create_introspect_response(*await self._asked(request))
        return Response(body, status, headers)

    async def discovery(self, request: Request) -> Response:
        base = f"http://{request.url.netloc}"
        return JSONResponse(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/oauth/authorize",
                "token_endpoint": f"{base}/oauth/token",
                "revocation_endpoint": f"{base}/oauth/revoke",
                "introspection_endpoint": f"{base}/oauth/introspect",
            }
        )

    async def me(self, request: Request) -> Response:
        self.api_requests += 1
        known = self.validator.access.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if known is None or known["expires"] < time.time():
            return JSONResponse({"errors": [{"type": "oauth", "message": "Invalid OAuth 2 Request"}]}, 401)
        user = {"id": "1", "full_name": known["user"]}
        return JSONResponse({"count": 1, "results": [{"key": "users", "id": "1"}], "users": {"1": user}})
