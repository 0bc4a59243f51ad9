"""What an authorization server hands out, and what has to be remembered until it does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlencode

from kantata_client._http.tokens import Secret
from kantata_client.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

LEEWAY = 30.0
"""A token counts as expired this many seconds early, so that it does not expire on its way."""


class Token:
    """An access token, with what is needed to renew it. Neither `repr` nor `str` shows it.

    Kantata's access tokens do not expire; others may. A refresh token comes only with the scope
    `offline_access`.
    """

    __slots__ = ("_access", "_refresh", "expires_at", "scopes")

    def __init__(
        self,
        access_token: str,
        refresh_token: str | None = None,
        *,
        expires_at: float | None = None,
        scopes: tuple[str, ...] = (),
    ) -> None:
        """Make a token.

        Args:
            access_token: What requests carry.
            refresh_token: What the application renews it with, if it can be renewed.
            expires_at: Seconds since 1970; None for a token that lasts until it is revoked.
            scopes: What was granted, as far as the server tells.
        """
        self._access = Secret(access_token)
        self._refresh = Secret(refresh_token) if refresh_token else None
        self.expires_at = expires_at
        self.scopes = scopes

    @property
    def access_token(self) -> str:
        """The access token itself: `Kantata(token=token.access_token)`."""
        return self._access.reveal()

    @property
    def refresh_token(self) -> str | None:
        """The refresh token itself."""
        return self._refresh.reveal() if self._refresh else None

    @property
    def refreshable(self) -> bool:
        """Whether there is a refresh token."""
        return self._refresh is not None

    def expired(self, now: float | None = None) -> bool:
        """Whether it has expired, or will within half a minute; `now` is in seconds since 1970."""
        if self.expires_at is None:
            return False
        return (time.time() if now is None else now) >= self.expires_at - LEEWAY

    def to_dict(self) -> dict[str, Any]:
        """For a store: JSON types, with the secrets in plain text."""
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "expires_at": self.expires_at,
            "scopes": list(self.scopes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave.

        Raises:
            OAuthError: It is something else.
        """
        stored = Secrets(values)
        del values  # an error below must not show them
        access, refresh = stored.secret("access_token"), stored.secret("refresh_token")
        expires_at: object = stored.get("expires_at")
        scopes: object = stored.get("scopes") or []
        if (
            access is None
            or not isinstance(expires_at, (int, float, type(None)))
            or not isinstance(scopes, list)
        ):
            raise OAuthError("What is stored is not a token of kantata-client: sign in again to replace it.")
        return cls(
            access.reveal(),
            refresh.reveal() if refresh else None,
            expires_at=expires_at,
            scopes=tuple(str(scope) for scope in cast("list[object]", scopes)),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self.to_dict() == other.to_dict()

    __hash__ = None  # pyright: ignore[reportAssignmentType] - equal tokens may live in stores that change

    def __repr__(self) -> str:
        parts = ["refreshable"] if self.refreshable else []
        if self.expires_at is not None:
            parts.append(f"expires at {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(self.expires_at))}")
        if self.scopes:
            parts.append(f"scopes {' '.join(self.scopes)}")
        return f"<Token{': ' if parts else ''}{', '.join(parts)}>"


class Introspection(NamedTuple):
    """What the server says about a token."""

    active: bool
    """Whether it can be used. False for a revoked, an expired and an unknown one alike."""
    scopes: tuple[str, ...] = ()
    client_id: str | None = None
    expires_at: float | None = None
    """Seconds since 1970; None if it lasts until it is revoked, or the server does not tell."""
    user: str | None = None
    """Whose it is: `username`, or else `sub`."""


class AuthorizationRequest:
    """A sign-in that has begun: send the user's browser to `url`, keep the rest until it comes back.

    In a web application, keep `to_dict()` on the server, found by the user's own session: who finds it by the
    `state` of the callback alone would accept a callback that was begun in another browser.
    """

    __slots__ = ("_state", "_url", "_verifier", "scopes")

    def __init__(self, url: str, state: str, verifier: str, scopes: tuple[str, ...] = ()) -> None:
        """Remember a sign-in; `OAuthApp.authorization_url` makes one."""
        self._url = Secret(url)  # it has the state in it
        self._state = Secret(state)
        self._verifier = Secret(verifier)
        self.scopes = scopes

    @property
    def url(self) -> str:
        """Where the user's browser has to go."""
        return self._url.reveal()

    @property
    def state(self) -> str:
        """What the callback has to repeat."""
        return self._state.reveal()

    @property
    def verifier(self) -> str:
        """The PKCE verifier, which proves that who exchanges the code also asked for it."""
        return self._verifier.reveal()

    def to_dict(self) -> dict[str, Any]:
        """For a session on the server: JSON types, with the secrets in plain text."""
        return {"url": self.url, "state": self.state, "verifier": self.verifier, "scopes": list(self.scopes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave.

        Raises:
            OAuthError: It is something else.
        """
        stored = Secrets(values)
        del values
        url, state, verifier = (stored.secret(name) for name in ("url", "state", "verifier"))
        if url is None or state is None or verifier is None:
            raise OAuthError("What was kept of this sign-in is not complete: start it again.")
        scopes = tuple(str(scope) for scope in stored.get("scopes") or ())
        return cls(url.reveal(), state.reveal(), verifier.reveal(), scopes)

    def __repr__(self) -> str:
        return f"<AuthorizationRequest {' '.join(self.scopes)}>" if self.scopes else "<AuthorizationRequest>"


class Secrets:
    """A mapping with secrets in it, which does not show itself in a traceback."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, name: str) -> Any:
        """A value that is no secret."""
        return self._values.get(name)

    def secret(self, name: str) -> Secret | None:
        """A string that is one; None if it is missing, empty or no string."""
        value = self._values.get(name)
        return Secret(value) if isinstance(value, str) and value else None

    def names(self) -> list[str]:
        """Which names there are."""
        return sorted(self._values)

    def reveal(self) -> Mapping[str, Any]:
        """The mapping itself; do not keep it in a variable."""
        return self._values

    def encoded(self) -> bytes:
        """As the body of a form."""
        return urlencode({name: value for name, value in self._values.items() if value}).encode()

    def __or__(self, other: Mapping[str, Any]) -> Secrets:
        return Secrets({**self._values, **other})

    def __repr__(self) -> str:
        return "<secrets>"
