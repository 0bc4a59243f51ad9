"""Requests to an authorization server: forms out, JSON in, refusals as `OAuthError`.

Neither Authlib nor oauthlib is used. Authlib's client sends through an `httpx.AsyncClient`, whose exceptions hold requests
with their secrets; oauthlib allows plain HTTP to loopback only through an environment variable that allows it everywhere.
Without those parts, either would only join parameters to a URL.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

from kantata_client._http.addresses import unsafe
from kantata_client._http.messages import Failure, Request
from kantata_client._http.retry import RetryPolicy
from kantata_client._http.tokens import Secret
from kantata_client._http.transport import Transport
from kantata_client.errors import KantataError, OAuthError
from kantata_client.errors.responses import error_from_response, visible
from kantata_client.oauth.tokens import Secrets

if TYPE_CHECKING:
    from kantata_client._http.messages import AsyncTransport, Response

_ADVICE = {
    "access_denied": "The user or an administrator declined: ask again only if they want to sign in.",
    "invalid_client": "Check the application's id and secret, and that both are registered with this server.",
    "invalid_grant": "The code or refresh token was already used, was revoked, has expired, or belongs to another "
    "application or redirect URI: sign in again.",
    "invalid_scope": "Request only scopes that the application is registered for.",
    "redirect_uri_mismatch": "The redirect URI must equal the registered one, character for character.",
    "unauthorized_client": "The application is not registered for this kind of grant.",
    "unsupported_grant_type": "The server does not support this kind of grant.",
    "server_error": "The server failed: try again later.",
    "temporarily_unavailable": "The server is busy: try again later.",
}
_CONFIDENTIAL = frozenset({"client_secret", "code", "code_verifier", "refresh_token", "token"})
"""Fields of a form that no error message may repeat."""


class Wire(Transport):
    """Sends to an authorization server, and raises its refusals as `OAuthError`."""

    def __init__(self, base_url: str, timeout: float, transport: AsyncTransport | None) -> None:
        """`base_url` is the token endpoint's origin, `timeout` is in seconds."""
        retries = RetryPolicy(retries=2, deadline=timeout)
        super().__init__(base_url=base_url, timeout=timeout, retries=retries, transport=transport)

    async def post(self, url: str, form: Secrets, basic: Secret | None) -> Response:
        """Post a form, with HTTP basic authentication if `basic` (already encoded) is given."""
        headers = Secrets({"content-type": "application/x-www-form-urlencoded"})
        if basic:
            headers |= {"authorization": f"Basic {basic.reveal()}"}
        request = Request(
            "POST",
            url,
            content=form.encoded(),
            headers=headers.reveal(),
            operation="OAuth",
            confidential=True,
        )
        return await self.send(request)

    def _problem(
        self,
        request: Request,
        outcome: Response | Failure,
        secret: Secret | None,
        attempts: int,
        *,
        unknown: bool,
        lost: bool,
    ) -> KantataError:
        if isinstance(outcome, Failure):
            error = super()._problem(request, outcome, secret, attempts, unknown=unknown, lost=lost)
            return (
                OAuthError(f"{error} If that does not help, start the sign-in again.") if unknown else error
            )
        content = _redacted(outcome.content, request)
        path = request.path_below(self.base_url)
        refused = error_from_response(outcome.status, outcome.headers, content, request.method, path)
        code = _code(content)
        if code is None and outcome.status not in (400, 401, 403):
            return OAuthError(str(refused))
        what = "; ".join(str(detail) for detail in refused.errors) or "no explanation was given"
        named = f", {visible(code[:80])}" if code else ""
        message = f"{request.method} {path} was refused ({outcome.status}{named}): "
        advice = _ADVICE.get(code or "", "Check the application's id, secret and redirect URI.")
        return OAuthError(f"{message}{what.rstrip('.')}. {advice}", error=code)


def decoded(response: Response, what: str) -> Secrets:
    """The JSON object in an answer; `what` names the answer in an error."""
    kind = response.headers.get("content-type", "no type").partition(";")[0]
    try:
        body: Any = json.loads(response.content)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return Secrets(cast("dict[str, Any]", body))
    del body
    raise OAuthError(
        f"{what} answered with {visible(kind[:80])} instead of a JSON object: check the address; "
        "a login page or a proxy may have answered instead."
    )


def refusal(code: str, description: str | None) -> OAuthError:
    """The error for a refusal that the callback reports, such as `access_denied`."""
    advice = _ADVICE.get(code, "Start the sign-in again, or check how the application is registered.")
    explanation = f": {visible(description[:300]).rstrip('.')}" if description else ""
    return OAuthError(
        f"The authorization server refused ({visible(code[:80])}){explanation}. {advice}", error=code
    )


def secured(url: str, what: str) -> str:
    """The URL, if secrets may be sent there: HTTPS, or plain HTTP on this machine."""
    problem = unsafe(url)
    if problem:
        raise OAuthError(f"Secrets must not be sent to the {what}: {problem}.")
    return url


def origin(url: str) -> str:
    """Scheme and host of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _code(content: bytes) -> str | None:
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        return None
    code: Any = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else None
    return code if isinstance(code, str) and code else None


def _redacted(content: bytes, request: Request) -> bytes:
    """An answer without the secrets of the request, which some servers repeat when they refuse it."""
    secrets = [value for name, value in parse_qsl((request.content or b"").decode()) if name in _CONFIDENTIAL]
    basic = (request.headers or {}).get("authorization", "").removeprefix("Basic ")
    if basic:
        from base64 import b64decode
        from urllib.parse import unquote_plus

        secrets += [basic, unquote_plus(b64decode(basic).decode().partition(":")[2])]
    for value in secrets:
        content = Secret(value).redact(content)
    return content
