"""Access tokens: providers, and a wrapper that hides them.

A token is a plain `str` only inside a provider and while the header of a request is built. Objects that live longer could
appear in a traceback, so they hold a `Secret`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from kantata_client.errors import OAuthError, UsageError

ENVIRONMENT_VARIABLE = "KANTATA_ACCESS_TOKEN"

_TOKEN = re.compile(r"[!-~]+")
"""The characters that a header can contain: visible ASCII."""

SHORTEST = 8
"""Length of the shortest secret that is redacted. Shorter ones also occur in ordinary words."""


@runtime_checkable
class TokenProvider(Protocol):
    """A source of access tokens, which may load and renew them. Many tasks call it concurrently."""

    async def token(self) -> str:
        """Return the token for a request that is about to be sent."""
        ...

    async def refused(self, token: str) -> bool:
        """Get another token if possible, because the service answered 401 to `token`.

        Returns:
            True to call `token()` again and repeat the request; False to raise `AuthenticationError`.
        """
        ...


class Secret:
    """A string that is hidden in `repr`, `str`, logs and tracebacks, and can't be pickled or copied."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The plain string. Do not keep it in a variable."""
        return self._value

    def redact(self, content: bytes) -> bytes:
        """Replace the secret, plain or encoded, in `content`: for messages that quote a server."""
        if len(self._value) < SHORTEST:
            return content
        import json
        from urllib.parse import quote, quote_plus

        value = self._value
        for form in (value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]):
            content = content.replace(form.encode(), b"[secret]")
        return content

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> str:
        raise TypeError("A secret can't be pickled or copied, because it could end up in a cache or a log.")


class StaticToken:
    """A token that is not renewed."""

    __slots__ = ("secret",)

    def __init__(self, secret: Secret) -> None:
        self.secret = secret

    async def token(self) -> str:
        """Return the token."""
        return self.secret.reveal()

    async def refused(self, token: str) -> bool:
        """Return False, because there is no other token."""
        del token
        return False

    def __repr__(self) -> str:
        return "<StaticToken>"


class CalledToken:
    """A token from a function that is called for each request."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], str | Awaitable[str]]) -> None:
        self._function = function

    async def token(self) -> str:
        """Return the function's result. `current` rejects it if it is not a token."""
        token = self._function()
        return await token if isinstance(token, Awaitable) else token

    async def refused(self, token: str) -> bool:
        """Return whether the function now returns a different token."""
        old = Secret(token)
        del token  # if the function raises, a traceback with local variables must not show it
        return await self.token() != old.reveal()

    def __repr__(self) -> str:
        return f"<CalledToken {getattr(self._function, '__qualname__', type(self._function).__qualname__)}>"


def as_provider(
    token: str | Callable[[], str] | Callable[[], Awaitable[str]] | TokenProvider | None,
) -> TokenProvider:
    """Make a token provider from the `token` of `Kantata(token)`; None reads `KANTATA_ACCESS_TOKEN` from the environment.

    Raises:
        UsageError: There is no token, or it is not a token.
    """
    if token is None:
        token = os.environ.get(ENVIRONMENT_VARIABLE)
        if token is None:
            raise UsageError(
                f"No access token: pass Kantata(token=…) or set the variable {ENVIRONMENT_VARIABLE}. "
                "An administrator of the account can create tokens. After kantata login, use Kantata.from_profile(), or set "
                "the variables that kantata env prints."
            )
    if isinstance(token, TokenProvider):
        if isinstance(token, type):
            raise UsageError(f"The token is the class {token.__name__}: pass an instance of it.")
        return token
    if not isinstance(token, str) and callable(token):
        return CalledToken(token)
    error = None if _valid(token) else _invalid_token(token)
    if error is None:
        return StaticToken(Secret(token))
    del token  # as above
    raise error


async def current(provider: TokenProvider) -> Secret:
    """Get the provider's token and check it: a line break would begin another header."""
    if type(provider) is StaticToken:
        return provider.secret  # `as_provider` has checked it
    try:
        token = await provider.token()
    except BaseException as error:
        _raise_foreign_cancellation(error)
        raise
    if _valid(token):
        return Secret(token)
    error = _invalid_token(token)
    del token
    raise error


async def replaced(provider: TokenProvider, refused: Secret) -> bool:
    """Ask the provider to replace a token that was refused; returns whether it has another one."""
    try:
        return await provider.refused(refused.reveal())
    except BaseException as error:
        _raise_foreign_cancellation(error)
        raise


def _raise_foreign_cancellation(error: BaseException) -> None:
    """Raise `OAuthError` if something that a provider awaits (such as a shared task) is cancelled, but not the request."""
    if isinstance(error, Exception):
        return
    from asyncio import CancelledError, current_task

    if isinstance(error, CancelledError) and (task := current_task()) and not task.cancelling():
        msg = (
            "The token provider was cancelled, although the request was not: check what the provider awaits."
        )
        raise OAuthError(msg) from error


def _valid(token: object) -> bool:
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None


def _invalid_token(token: object) -> UsageError:
    if not isinstance(token, str):
        kind = type(token).__name__
        hint = ""
        if hasattr(token, "access_token"):
            hint = " Pass its access_token, or StoredToken(store, key, app=app) to have it renewed."
        elif token is None:
            hint = " Check what the token function returns."
        return UsageError(f"An access token must be a string, but this is of type {kind}.{hint}")
    if not token:
        return UsageError("The access token is empty: check where it is read from.")
    if token[:7].lower() == "bearer ":
        return UsageError(
            "The access token begins with 'Bearer ', which the client adds itself: pass only the part after it. "
            "The token is not shown here."
        )
    return UsageError(
        "The access token contains a space, a line break or another invalid character: check how it is read (strip the "
        "line break at the end of a file). The token is not shown here."
    )
