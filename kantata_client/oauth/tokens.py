"""Tokens, sign-ins that have begun, and what a server says about a token."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import attrs

from kantata_client._http.tokens import Secret
from kantata_client._lazy import resolvable
from kantata_client.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

LEEWAY = 30.0
"""A token counts as expired this many seconds early, so that it does not expire on its way to the service."""
_SHARE = 0.1
"""A token that lasts for a short time counts as expired when this share of its lifetime is left."""


@resolvable
class Token:
    """An access token and, if the server issued one, its refresh token. Neither shows in `repr` or `str`.

    Kantata's access tokens do not expire; those of other servers may. Kantata issues a refresh token only for the scope
    `offline_access`.
    """

    __slots__ = ("_access", "_refresh", "expires_at", "issued_at", "scopes")

    def __init__(
        self,
        access_token: str,
        refresh_token: str | None = None,
        *,
        expires_at: float | None = None,
        issued_at: float | None = None,
        scopes: tuple[str, ...] = (),
    ) -> None:
        """Make a token.

        Args:
            access_token: The secret that requests carry.
            refresh_token: The secret with which the application renews the token.
            expires_at: Seconds since 1970; None for a token that is valid until it is revoked.
            issued_at: Seconds since 1970; None if unknown. A token that lasts for less than five minutes counts as expired
                only shortly before its end.
            scopes: The granted scopes, or the requested ones if the server does not name them.
        """
        self._access = Secret(access_token)
        self._refresh = Secret(refresh_token) if refresh_token else None
        self.expires_at = expires_at
        self.issued_at = issued_at
        self.scopes = scopes

    @property
    def access_token(self) -> str:
        """The access token in plain text, as in `Kantata(token=token.access_token)`."""
        return self._access.reveal()

    @property
    def refresh_token(self) -> str | None:
        """The refresh token in plain text."""
        return self._refresh.reveal() if self._refresh else None

    @property
    def refreshable(self) -> bool:
        """Whether there is a refresh token."""
        return self._refresh is not None

    def expired(self, now: float | None = None) -> bool:
        """Whether it has expired, or will within half a minute or a tenth of its lifetime.

        Args:
            now: Seconds since 1970. Default: this machine's clock.
        """
        if self.expires_at is None:
            return False
        leeway = LEEWAY
        if self.issued_at is not None:
            leeway = min(leeway, _SHARE * max(0.0, self.expires_at - self.issued_at))
        return (time.time() if now is None else now) >= self.expires_at - leeway

    def to_dict(self) -> dict[str, Any]:
        """The token as JSON types for a store, with the secrets in plain text."""
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "expires_at": self.expires_at,
            "issued_at": self.issued_at,
            "scopes": list(self.scopes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a token from the result of `to_dict`.

        Raises:
            OAuthError: `values` is not such a result.
        """
        stored = Secrets(values)
        del values  # an error below must not show them
        access, refresh = stored.secret("access_token"), stored.secret("refresh_token")
        expires_at: object = stored.get("expires_at")
        issued_at: object = stored.get("issued_at")
        scopes: object = stored.get("scopes") or []
        if (
            access is None
            or not isinstance(expires_at, (int, float, type(None)))
            or not isinstance(issued_at, (int, float, type(None)))
            or not isinstance(scopes, list)
        ):
            raise OAuthError(
                "The stored value is not a token of kantata-client: sign in again to replace it."
            )
        return cls(
            access.reveal(),
            refresh.reveal() if refresh else None,
            expires_at=expires_at,
            issued_at=issued_at,
            scopes=tuple(str(scope) for scope in cast("list[object]", scopes)),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self.to_dict() == other.to_dict()

    __hash__ = None  # pyright: ignore[reportAssignmentType] - tokens are compared by value, and not needed as keys

    def __repr__(self) -> str:
        parts = ["refreshable"] if self.refreshable else []
        if self.expires_at is not None:
            parts.append(f"expires at {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(self.expires_at))}")
        if self.scopes:
            parts.append(f"scopes {' '.join(self.scopes)}")
        return f"<Token{': ' if parts else ''}{', '.join(parts)}>"


@attrs.frozen
class Introspection:
    """What the server says about a token."""

    active: bool
    """Whether the token is valid. False for revoked, expired and unknown tokens alike."""
    scopes: tuple[str, ...] = ()
    client_id: str | None = None
    """The application that the token was issued to."""
    expires_at: float | None = None
    """Seconds since 1970; None if the token is valid until revoked, or the server does not say."""
    user: str | None = None
    """The token's user: `username`, or else `sub`."""


@resolvable
class AuthorizationRequest:
    """A sign-in that has begun: send the user's browser to `url`, and keep this object until the browser returns.

    A web application keeps `to_dict()` on the server, in the session of the user's browser. Looking it up by the `state` of
    the callback alone would accept a sign-in that was begun in another browser.
    """

    __slots__ = ("_state", "_url", "_verifier", "scopes")

    def __init__(self, url: str, state: str, verifier: str, scopes: tuple[str, ...] = ()) -> None:
        """Made by `OAuthApp.authorization_url`."""
        self._url = Secret(url)  # contains the state
        self._state = Secret(state)
        self._verifier = Secret(verifier)
        self.scopes = scopes

    @property
    def url(self) -> str:
        """The address to send the user's browser to."""
        return self._url.reveal()

    @property
    def state(self) -> str:
        """The random text that the callback must repeat."""
        return self._state.reveal()

    @property
    def verifier(self) -> str:
        """The PKCE verifier: proof that the code is exchanged by the program that requested it."""
        return self._verifier.reveal()

    def to_dict(self) -> dict[str, Any]:
        """The request as JSON types for a session on the server, with the secrets in plain text."""
        return {"url": self.url, "state": self.state, "verifier": self.verifier, "scopes": list(self.scopes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a request from the result of `to_dict`.

        Raises:
            OAuthError: `values` is not such a result.
        """
        stored = Secrets(values)
        del values
        url, state, verifier = (stored.secret(name) for name in ("url", "state", "verifier"))
        if url is None or state is None or verifier is None:
            raise OAuthError("The stored sign-in is incomplete: start the sign-in again.")
        scopes = tuple(str(scope) for scope in stored.get("scopes") or ())
        return cls(url.reveal(), state.reveal(), verifier.reveal(), scopes)

    def __repr__(self) -> str:
        return f"<AuthorizationRequest {' '.join(self.scopes)}>" if self.scopes else "<AuthorizationRequest>"


class Secrets:
    """A mapping that holds secrets and hides its values in tracebacks."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, name: str) -> Any:
        """A value that is not secret."""
        return self._values.get(name)

    def secret(self, name: str) -> Secret | None:
        """A secret string; None if it is missing, empty or not a string."""
        value = self._values.get(name)
        return Secret(value) if isinstance(value, str) and value else None

    def names(self) -> list[str]:
        """The sorted names."""
        return sorted(self._values)

    def reveal(self) -> Mapping[str, Any]:
        """The plain mapping; do not keep it in a variable."""
        return self._values

    def encoded(self) -> bytes:
        """The values as a URL-encoded form; empty values are left out."""
        return urlencode({name: value for name, value in self._values.items() if value}).encode()

    def __or__(self, other: Mapping[str, Any]) -> Secrets:
        return Secrets({**self._values, **other})

    def __repr__(self) -> str:
        return "<secrets>"
