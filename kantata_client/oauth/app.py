"""OAuth 2.0: send users to Kantata to sign in; get, renew and revoke their tokens.

    app = OAuthApp(client_id, client_secret, "https://example.org/callback")
    request = app.authorization_url(scopes=["api_only", "offline_access"])
    ...                                      # the user's browser goes to request.url, and comes back
    token = await app.exchange(callback_url, request)
    kantata = Kantata(token=token.access_token)

Services keep tokens in a store (`kantata_client.stores`) and pass a `StoredToken` to the client, which renews the token
when needed. Failures raise `OAuthError`.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

import attrs

from kantata_client._http.messages import Request
from kantata_client._http.tokens import Secret
from kantata_client._lazy import resolvable
from kantata_client.errors import OAuthError
from kantata_client.oauth.server import Wire, decoded, origin, refusal, secured
from kantata_client.oauth.tokens import AuthorizationRequest, Introspection, Secrets, Token

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from kantata_client._http.messages import AsyncTransport, Response

__all__ = ["DISCOVERY_URL", "AuthorizationRequest", "Endpoints", "Introspection", "OAuthApp", "Token"]

_OTHER_SIGN_IN = (
    "The callback does not belong to this sign-in (its state differs or is missing). It may come from an earlier attempt, "
    "or be forged: start the sign-in again."
)
DISCOVERY_URL = "https://api.mavenlink.com/.well-known/openid-configuration"


@resolvable
@attrs.frozen
class Endpoints:
    """The addresses of an authorization server. The defaults are Kantata's."""

    authorize: str = "https://app.mavenlink.com/oauth/authorize"
    token: str = "https://app.mavenlink.com/oauth/token"  # noqa: S105 - an address
    revoke: str = "https://api.mavenlink.com/oauth/revoke"
    introspect: str = "https://api.mavenlink.com/oauth/introspect"

    @classmethod
    def at(cls, server: str) -> Self:
        """The same paths on another server, such as a sandbox: `Endpoints.at("http://127.0.0.1:8480")`."""
        server = server.rstrip("/")
        kantata: dict[str, str] = attrs.asdict(cls(), recurse=False)
        return cls(**{name: server + urlsplit(url).path for name, url in kantata.items()})


@resolvable
class OAuthApp:
    """An application registered with Kantata.

    Creating one sends nothing. Many tasks can share it, on asyncio and on trio. Close it with `aclose()` or `async with`.
    """

    endpoints: Endpoints = Endpoints()
    """The authorization server."""
    issuer: str | None = None
    """The server's name for itself, as `discover` found it. A callback that names another issuer is refused."""

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
            client_id: The application's id.
            client_secret: The application's secret; None for a public client, which has no secret.
            redirect_uri: Where the browser returns to, exactly as registered.
            scopes: The scopes to request by default. If empty, the server decides. `offline_access` yields a refresh
                token.
            endpoints: The authorization server. Default: Kantata's.
            client_authentication: Send id and secret as HTTP basic authentication (`"basic"`) or in the form (`"body"`).
            timeout: Seconds to wait for a connection, for each write and for each read.
            transport: An async transport of httpx to use instead of the network.

        Raises:
            OAuthError: `client_id` is empty, or an address is neither HTTPS nor on this machine.
        """
        self._secret = Secret(client_secret) if client_secret else None
        del client_secret  # an error below must not show it
        self.client_id = client_id
        if not client_id:
            raise OAuthError(
                "client_id is empty: copy the id from the application's registration with Kantata."
            )
        if endpoints is not None:
            _check(endpoints)
            self.endpoints = endpoints
        self.redirect_uri = secured(redirect_uri, "redirect URI") if redirect_uri else None
        self.scopes = _scopes(scopes)
        self._in_body = client_authentication == "body"
        self._timeout, self._transport = timeout, transport
        self._wires: dict[str, Wire] = {}

    @property
    def confidential(self) -> bool:
        """Whether the application has a secret."""
        return self._secret is not None

    def authorization_url(
        self, *, scopes: Iterable[str] | None = None, redirect_uri: str | None = None
    ) -> AuthorizationRequest:
        """Begin a sign-in.

        Args:
            scopes: The scopes to request. Default: the application's.
            redirect_uri: Another registered redirect URI. Default: the application's.

        Returns:
            The URL to send the user's browser to, and what to keep until the browser returns.

        Raises:
            OAuthError: There is no redirect URI.
        """
        import secrets

        target = secured(redirect_uri, "redirect URI") if redirect_uri else self.redirect_uri
        if target is None:
            raise OAuthError("A sign-in needs the registered redirect URI: pass OAuthApp(…, redirect_uri=…).")
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

    async def exchange(
        self, callback: str, request: AuthorizationRequest, *, state: str | None = None
    ) -> Token:
        """Finish a sign-in: exchange the code of the callback for a token.

        Args:
            callback: The URL (or its path and query) with which the browser returned; or a bare code with its `state`.
            request: The result of `authorization_url`.
            state: The state that came with a bare code.

        Raises:
            OAuthError: The callback belongs to another request, has no code or reports an error; the server refuses the
                code; or the answer has no token.
            KantataConnectionError: The server could not be reached.
        """
        returned = Secret(callback)
        del callback
        code = _code(returned, request, Secret(state) if state else None, self._issuers())
        del state
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
        """Exchange a token for a new one, and store the new one: the old refresh token may no longer work.

        Raises:
            OAuthError: The token has no refresh token, or the server refuses it (`error` is `invalid_grant` if it was
                revoked).
            KantataConnectionError: The server could not be reached.
        """
        if not token.refreshable:
            raise OAuthError(
                "This token has no refresh token: sign in again with the scope offline_access to get a token "
                "that can be renewed."
            )
        form = Secrets({"grant_type": "refresh_token", "refresh_token": token.refresh_token})
        fresh = _token(await self._post(self.endpoints.token, form), token.scopes)
        if fresh.refreshable:
            return fresh
        return Token(
            fresh.access_token,
            token.refresh_token,
            expires_at=fresh.expires_at,
            issued_at=fresh.issued_at,
            scopes=fresh.scopes,
        )

    async def client_credentials(self, *, scopes: Iterable[str] | None = None) -> Token:
        """Get a token for the application itself, without a user.

        Raises:
            OAuthError: The application has no secret, or the server refuses it.
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
        """Revoke a token, its refresh token first. Revoking a token twice is not an error.

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
        """Ask the server about an access token.

        Raises:
            OAuthError: The server refuses the application, or the answer is not that of an introspection endpoint.
            KantataConnectionError: The server could not be reached.
        """
        form = Secrets({"token": token.access_token if isinstance(token, Token) else token})
        del token
        document = decoded(await self._post(self.endpoints.introspect, form), "The introspection endpoint")
        active = document.get("active")
        if not isinstance(active, bool):
            raise OAuthError(
                "The introspection endpoint's answer does not say whether the token is active: check the endpoint's address."
            )
        user = document.get("username") or document.get("sub")
        client_id, expires = document.get("client_id"), document.get("exp")
        return Introspection(
            active,
            tuple(str(document.get("scope") or "").split()),
            None if client_id is None else str(client_id),
            float(expires) if isinstance(expires, (int, float)) else None,
            None if user is None else str(user),
        )

    async def discover(self, url: str = DISCOVERY_URL) -> Endpoints:
        """Replace the endpoints by those of the server's discovery document.

        Args:
            url: The document's address.

        Raises:
            OAuthError: The answer is not a discovery document, or names an issuer or an endpoint that is unsafe or of
                another host. The endpoints stay as they are.
            KantataConnectionError: The server could not be reached.
        """
        request = Request("GET", secured(url, "discovery document's address"), operation="OAuth")
        document = decoded(await self._wire(url).send(request), "The discovery document")
        names = ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "introspection_endpoint")
        found = [document.get(name) for name in names]
        if not all(isinstance(endpoint, str) for endpoint in found[:2]):
            raise OAuthError(
                "The discovery document lacks the authorization or token endpoint: check its address."
            )
        addresses = (
            address if isinstance(address, str) else known
            for address, known in zip(found, attrs.astuple(self.endpoints), strict=True)
        )
        endpoints, issuer = Endpoints(*addresses), document.get("issuer")
        _check(endpoints)
        _check_origins(url, endpoints, issuer)
        self.endpoints = endpoints
        self.issuer = issuer
        return endpoints

    async def aclose(self) -> None:
        """Close the connections."""
        for wire in self._wires.values():
            await wire.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<OAuthApp {self.client_id} at {origin(self.endpoints.authorize)}>"

    def _wire(self, url: str) -> Wire:
        """What sends to the server of a URL."""
        server = origin(url)
        wire = self._wires.get(server)
        if wire is None:
            wire = self._wires[server] = Wire(server, self._timeout, self._transport)
        return wire

    def _issuers(self) -> frozenset[str]:
        """What a callback may call its issuer."""
        if self.issuer is not None:
            return frozenset({self.issuer})
        addresses: dict[str, str] = attrs.asdict(self.endpoints, recurse=False)
        return frozenset(origin(address) for address in addresses.values())

    async def _post(self, url: str, form: Secrets) -> Response:
        if self._secret is None:
            return await self._wire(url).post(url, form | {"client_id": self.client_id}, None)
        if self._in_body:
            form |= {"client_id": self.client_id, "client_secret": self._secret.reveal()}
            return await self._wire(url).post(url, form, None)
        return await self._wire(url).post(url, form, _basic(self.client_id, self._secret))


def _scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    return tuple(scopes.split()) if isinstance(scopes, str) else tuple(scopes)


def _check(endpoints: Endpoints) -> None:
    for name, url in attrs.asdict(endpoints, recurse=False).items():
        secured(url, f"{name} endpoint")


def _basic(client_id: str, secret: Secret) -> Secret:
    """The credentials of HTTP basic authentication; OAuth requires each part to be percent-encoded first."""
    from base64 import b64encode

    return Secret(b64encode(f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}".encode()).decode())


def _challenge(verifier: Secret) -> str:
    """The PKCE challenge of a verifier, by the method S256."""
    from base64 import urlsafe_b64encode
    from hashlib import sha256

    return urlsafe_b64encode(sha256(verifier.reveal().encode()).digest()).rstrip(b"=").decode()


def _check_origins(url: str, endpoints: Endpoints, issuer: object) -> None:
    """Refuse a discovery document that leads to other servers than the one that was asked."""
    known: dict[str, str] = attrs.asdict(Endpoints(), recurse=False)
    kantata = {origin(address) for address in known.values()}
    asked = origin(url)
    # Kantata itself has two hosts.
    allowed = kantata if asked in kantata else {asked}
    found: dict[str, object] = {**attrs.asdict(endpoints, recurse=False)}
    if issuer is not None:
        found["issuer"] = issuer
    for name, address in found.items():
        # An endpoint that the document does not name keeps its documented address.
        documented = address == known.get(name)
        if not isinstance(address, str) or not (documented or origin(address) in allowed):
            what = name if name == "issuer" else f"{name} endpoint"
            raise OAuthError(
                f"The discovery document of {asked} names another server's {what}: check its address."
            )


def _code(
    returned: Secret, request: AuthorizationRequest, given: Secret | None, issuers: frozenset[str]
) -> Secret:
    """The code in a callback, after its state and issuer were checked."""
    from secrets import compare_digest

    if "?" not in returned.reveal() and "://" not in returned.reveal():
        if not returned.reveal().strip():
            raise OAuthError("The code is empty: copy it from the page, or pass the whole callback URL.")
        if given is None:
            raise OAuthError(
                "This is not a callback URL, so nothing shows that it belongs to this sign-in: pass the whole URL, or a "
                "code with its state: exchange(code, request, state=…)."
            )
        if compare_digest(given.reveal().encode(), request.state.encode()):
            return Secret(returned.reveal().strip())
        raise OAuthError(_OTHER_SIGN_IN)
    pairs = parse_qsl(urlsplit(returned.reveal()).query)
    query = Secrets(dict(pairs))
    repeated = len({name for name, _ in pairs}) != len(pairs)
    del pairs
    state, code, error = query.secret("state"), query.secret("code"), query.get("error")
    if repeated:
        raise OAuthError(
            "The callback repeats a parameter, so it does not come from an authorization server: sign in again."
        )
    given = given or state
    if (
        state is None
        or given is None
        or any(not compare_digest(each.reveal().encode(), request.state.encode()) for each in (state, given))
    ):
        raise OAuthError(_OTHER_SIGN_IN)
    if (issuer := query.get("iss")) is not None and issuer.rstrip("/") not in {
        each.rstrip("/") for each in issuers
    }:
        raise OAuthError(
            "The callback names another issuer (iss) than the authorization server: it may come from another server, to "
            "which the code must not be given away. Start the sign-in again."
        )
    if error:
        raise refusal(str(error), query.get("error_description"))
    if code is None:
        raise OAuthError("The callback has no code: check the redirect URI, and sign in again.")
    return code


def _token(response: Response, asked: tuple[str, ...]) -> Token:
    """The token in an answer of the token endpoint."""
    document = decoded(response, "The token endpoint")
    access, refresh, kind = (
        document.secret("access_token"),
        document.secret("refresh_token"),
        document.get("token_type"),
    )
    if access is None:
        if document.get("error"):
            raise refusal(str(document.get("error")), None)
        names = ", ".join(document.names())[:200] or "nothing"
        raise OAuthError(
            f"The token endpoint's answer has no access_token, only {names}: check the endpoint's address."
        )
    if kind is not None and str(kind).lower() != "bearer":
        raise OAuthError(
            "The token endpoint issued a token whose type is not bearer, which Kantata's API requires: check the "
            "endpoint's address."
        )
    scope, lasts, now = document.get("scope"), document.get("expires_in"), time.time()
    try:
        seconds = 0.0 if lasts is None else float(lasts)
    except (TypeError, ValueError, OverflowError):
        seconds = 0.0
    # No lifetime, or one that makes no sense: the token is used until the service refuses it.
    expires_at = now + seconds if 0 < seconds < math.inf else None
    return Token(
        access.reveal(),
        refresh.reveal() if refresh else None,
        expires_at=expires_at,
        issued_at=now,
        scopes=tuple(scope.split()) if isinstance(scope, str) else asked,
    )
