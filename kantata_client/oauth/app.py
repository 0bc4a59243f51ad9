"""OAuth 2.0: sending users to Kantata to sign in, and getting, renewing and revoking their tokens.

    app = OAuthApp(client_id, client_secret, "https://example.org/callback")
    request = app.authorization_url(scopes=["api_only", "offline_access"])
    ...                                      # the user's browser goes to request.url, and comes back
    token = await app.exchange(callback_url, request)
    kantata = Kantata(token=token.access_token)

Services keep tokens in a store (`kantata_client.stores`) and give `StoredToken` to the client, which renews
them. What goes wrong is an `OAuthError`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

from kantata_client._http.messages import Request
from kantata_client._http.tokens import Secret
from kantata_client.errors import OAuthError
from kantata_client.oauth.server import Wire, decoded, origin, refusal, secured
from kantata_client.oauth.tokens import AuthorizationRequest, Introspection, Secrets, Token

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from kantata_client._http.messages import AsyncTransport, Response

__all__ = ["DISCOVERY_URL", "AuthorizationRequest", "Endpoints", "Introspection", "OAuthApp", "Token"]

DISCOVERY_URL = "https://api.mavenlink.com/.well-known/openid-configuration"


class Endpoints(NamedTuple):
    """The addresses of an authorization server; those of Kantata unless told otherwise."""

    authorize: str = "https://app.mavenlink.com/oauth/authorize"
    token: str = "https://app.mavenlink.com/oauth/token"  # noqa: S105 - an address
    revoke: str = "https://api.mavenlink.com/oauth/revoke"
    introspect: str = "https://api.mavenlink.com/oauth/introspect"

    @classmethod
    def at(cls, server: str) -> Self:
        """The same paths on another server, such as a sandbox: `Endpoints.at("http://127.0.0.1:8480")`."""
        server = server.rstrip("/")
        return cls(*(server + urlsplit(url).path for url in cls()))


class OAuthApp:
    """An application as it is registered with Kantata. Nothing is sent before the first method that waits.

    It can be used by many tasks at once, on asyncio and on trio; close it with `aclose()` or by `async with`.
    """

    endpoints: Endpoints = Endpoints()
    """The authorization server."""

    def __init__(
        self,
        client_id: str,
        client_secret: str | None = None,
        redirect_uri: str | None = None,
        *,
        scopes: Iterable[str] = (),
        endpoints: Endpoints | None = None,
        client_authentication: Literal["basic", "body"] = "basic",
        timeout: float = 30.0,
        transport: AsyncTransport | None = None,
    ) -> None:
        """Describe an application.

        Args:
            client_id: Its id.
            client_secret: Its secret; None for one that cannot keep any.
            redirect_uri: Where browsers come back to, exactly as it was registered.
            scopes: What to ask for unless a call says otherwise; without, the server decides.
                `offline_access` brings a refresh token.
            endpoints: The authorization server; Kantata's unless told otherwise.
            client_authentication: Whether id and secret are sent as HTTP basic authentication or in the form.
            timeout: Seconds for connecting, for each write and each read.
            transport: Any async transport of httpx instead of the network.

        Raises:
            OAuthError: An address is neither HTTPS nor on this machine, or the id is missing.
        """
        self._secret = Secret(client_secret) if client_secret else None
        del client_secret  # an error below must not show it
        self.client_id = client_id
        if not client_id:
            raise OAuthError("An application needs its client_id: its registration with Kantata shows it.")
        if endpoints is not None:
            _check(endpoints)
            self.endpoints = endpoints
        self.redirect_uri = secured(redirect_uri, "redirect URI") if redirect_uri else None
        self.scopes = _scopes(scopes)
        self._in_body = client_authentication == "body"
        self._wire = Wire(origin(self.endpoints.token), timeout, transport)

    @property
    def confidential(self) -> bool:
        """Whether it has a secret."""
        return self._secret is not None

    def authorization_url(
        self, *, scopes: Iterable[str] | None = None, redirect_uri: str | None = None
    ) -> AuthorizationRequest:
        """Begin a sign-in: where to send the user's browser, and what to keep until it comes back.

        Args:
            scopes: What to ask for; the application's unless given.
            redirect_uri: Another registered one than the application's.

        Raises:
            OAuthError: There is no redirect URI.
        """
        import secrets

        target = secured(redirect_uri, "redirect URI") if redirect_uri else self.redirect_uri
        if target is None:
            raise OAuthError(
                "A sign-in needs the redirect URI that is registered: OAuthApp(…, redirect_uri=…)."
            )
        asked = self.scopes if scopes is None else _scopes(scopes)
        state, verifier = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(64))
        query = Secret(
            urlencode(
                {
                    "response_type": "code",
                    "client_id": self.client_id,
                    "redirect_uri": target,
                    "state": state.reveal(),
                    "code_challenge": _challenge(verifier),
                    "code_challenge_method": "S256",
                }
                | ({"scope": " ".join(asked)} if asked else {})
            )
        )
        joint = "&" if "?" in self.endpoints.authorize else "?"
        url = f"{self.endpoints.authorize}{joint}{query.reveal()}"
        return AuthorizationRequest(url, state.reveal(), verifier.reveal(), asked)

    async def exchange(self, callback: str, request: AuthorizationRequest) -> Token:
        """End a sign-in: get the token for what the browser came back with.

        Args:
            callback: The URL (or its path and query) that the browser asked for. A bare code, copied by hand,
                will do, but then nothing shows that it belongs to this request except PKCE.
            request: What `authorization_url` gave.

        Raises:
            OAuthError: The callback does not belong to the request, has no code, or tells an error; the
                server refuses the code; or its answer holds no token.
            KantataConnectionError: The server could not be reached.
        """
        returned = Secret(callback)
        del callback
        code = _code(returned, request)
        form = Secrets(
            {
                "grant_type": "authorization_code",
                "code": code.reveal(),
                "redirect_uri": Secrets(dict(parse_qsl(urlsplit(request.url).query))).get("redirect_uri"),
                "code_verifier": request.verifier,
            }
        )
        return _token(await self._post(self.endpoints.token, form), request.scopes)

    async def refresh(self, token: Token) -> Token:
        """A new token for an old one, whose refresh token may be used up afterwards: store the new one.

        Raises:
            OAuthError: There is no refresh token; or the server refuses it (`error` is `invalid_grant` if it
                was revoked).
            KantataConnectionError: The server could not be reached.
        """
        if not token.refreshable:
            raise OAuthError(
                "This token has no refresh token: sign in again, with the scope offline_access, to get one "
                "that can be renewed."
            )
        form = Secrets({"grant_type": "refresh_token", "refresh_token": token.refresh_token})
        fresh = _token(await self._post(self.endpoints.token, form), token.scopes)
        if fresh.refreshable:
            return fresh
        return Token(
            fresh.access_token, token.refresh_token, expires_at=fresh.expires_at, scopes=fresh.scopes
        )

    async def client_credentials(self, *, scopes: Iterable[str] | None = None) -> Token:
        """A token for the application itself, without a user.

        Raises:
            OAuthError: The server refuses, or the application has no secret.
            KantataConnectionError: The server could not be reached.
        """
        if self._secret is None:
            raise OAuthError(
                "Client credentials need the application's secret: OAuthApp(client_id, client_secret)."
            )
        asked = self.scopes if scopes is None else _scopes(scopes)
        form = Secrets({"grant_type": "client_credentials", "scope": " ".join(asked)})
        return _token(await self._post(self.endpoints.token, form), asked)

    async def revoke(self, token: Token | str) -> None:
        """Make a token useless, its refresh token first. It is no error if it is already.

        Raises:
            OAuthError: The server refuses the application.
            KantataConnectionError: The server could not be reached.
        """
        both = token if isinstance(token, Token) else Token(token)
        del token
        if both.refreshable:
            form = Secrets({"token": both.refresh_token, "token_type_hint": "refresh_token"})
            await self._post(self.endpoints.revoke, form)
        await self._post(
            self.endpoints.revoke, Secrets({"token": both.access_token, "token_type_hint": "access_token"})
        )

    async def introspect(self, token: Token | str) -> Introspection:
        """What the server knows of an access token.

        Raises:
            OAuthError: The server refuses the application, or answers something else.
            KantataConnectionError: The server could not be reached.
        """
        form = Secrets({"token": token.access_token if isinstance(token, Token) else token})
        del token
        told = decoded(await self._post(self.endpoints.introspect, form), "The introspection endpoint")
        active = told.get("active")
        if not isinstance(active, bool):
            raise OAuthError(
                "The introspection endpoint does not tell whether the token is active: check its address."
            )
        user = told.get("username") or told.get("sub")
        client_id, expires = told.get("client_id"), told.get("exp")
        return Introspection(
            active,
            tuple(str(told.get("scope") or "").split()),
            None if client_id is None else str(client_id),
            float(expires) if isinstance(expires, (int, float)) else None,
            None if user is None else str(user),
        )

    async def discover(self, url: str = DISCOVERY_URL) -> Endpoints:
        """Take the endpoints from the server's well-known document instead of the documented ones.

        Args:
            url: The document's address.

        Raises:
            OAuthError: It is no such document, or names an address that is not safe; the endpoints stay as
                they are.
            KantataConnectionError: The server could not be reached.
        """
        request = Request("GET", secured(url, "discovery document's address"), operation="OAuth")
        told = decoded(await self._wire.send(request), "The discovery document")
        names = ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "introspection_endpoint")
        found = [told.get(name) for name in names]
        if not all(isinstance(endpoint, str) for endpoint in found[:2]):
            raise OAuthError(
                "The discovery document names no authorization and token endpoint: check its address."
            )
        addresses = (
            address if isinstance(address, str) else known
            for address, known in zip(found, self.endpoints, strict=True)
        )
        endpoints = Endpoints(*addresses)
        _check(endpoints)
        self.endpoints = endpoints
        return endpoints

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<OAuthApp {self.client_id} at {origin(self.endpoints.authorize)}>"

    async def _post(self, url: str, form: Secrets) -> Response:
        if self._secret is None:
            return await self._wire.post(url, form | {"client_id": self.client_id}, None)
        if self._in_body:
            form |= {"client_id": self.client_id, "client_secret": self._secret.reveal()}
            return await self._wire.post(url, form, None)
        return await self._wire.post(url, form, _basic(self.client_id, self._secret))


def _scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    return tuple(scopes.split()) if isinstance(scopes, str) else tuple(scopes)


def _check(endpoints: Endpoints) -> None:
    for name, url in zip(Endpoints._fields, endpoints, strict=True):
        secured(url, f"{name} endpoint")


def _basic(client_id: str, secret: Secret) -> Secret:
    """The credentials of HTTP basic authentication, the way OAuth wants them: quoted first."""
    from base64 import b64encode

    return Secret(b64encode(f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}".encode()).decode())


def _challenge(verifier: Secret) -> str:
    """PKCE's S256."""
    from base64 import urlsafe_b64encode
    from hashlib import sha256

    return urlsafe_b64encode(sha256(verifier.reveal().encode()).digest()).rstrip(b"=").decode()


def _code(returned: Secret, request: AuthorizationRequest) -> Secret:
    """The code that a browser came back with."""
    from secrets import compare_digest

    if "?" not in returned.reveal() and "://" not in returned.reveal():
        if returned.reveal().strip():
            return Secret(returned.reveal().strip())
        raise OAuthError("The code is empty: copy it from the page, or give the whole callback URL.")
    pairs = parse_qsl(urlsplit(returned.reveal()).query)
    query = Secrets(dict(pairs))
    repeated = len({name for name, _ in pairs}) != len(pairs)
    del pairs
    state, code, error = query.secret("state"), query.secret("code"), query.get("error")
    if repeated:
        raise OAuthError(
            "The callback repeats a parameter, which no authorization server does: sign in again."
        )
    if state is None or not compare_digest(state.reveal().encode(), request.state.encode()):
        raise OAuthError(
            "The callback does not belong to this sign-in (its state is another one or missing). It may "
            "come from an older attempt, or have been forged: sign in again, from the start."
        )
    if error:
        raise refusal(str(error), query.get("error_description"))
    if code is None:
        raise OAuthError("The callback has no code: check that the redirect URI is right, and sign in again.")
    return code


def _token(response: Response, asked: tuple[str, ...]) -> Token:
    """The token in an answer of the token endpoint."""
    told = decoded(response, "The token endpoint")
    access, refresh, kind = told.secret("access_token"), told.secret("refresh_token"), told.get("token_type")
    if access is None:
        if told.get("error"):
            raise refusal(str(told.get("error")), None)
        names = ", ".join(told.names())[:200] or "nothing"
        raise OAuthError(
            f"The token endpoint's answer holds no access_token, only {names}: check its address."
        )
    if kind is not None and str(kind).lower() != "bearer":
        raise OAuthError(
            "The token endpoint handed out a token of another type than bearer: check its address, since "
            "Kantata's API takes no other."
        )
    scope, lasts = told.get("scope"), told.get("expires_in")
    try:
        expires_at = None if lasts is None else time.time() + float(lasts)
    except (TypeError, ValueError):
        expires_at = None
    return Token(
        access.reveal(),
        refresh.reveal() if refresh else None,
        expires_at=expires_at,
        scopes=tuple(scope.split()) if isinstance(scope, str) else asked,
    )
