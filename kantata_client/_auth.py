"""Where access tokens come from, and how they stay out of sight.

A token is a plain `str` only inside a provider and for the moment in which a request's header is made;
everything that lives longer, and so could show in a traceback, holds a `Secret`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ENVIRONMENT_VARIABLE = "KANTATA_ACCESS_TOKEN"

_TOKEN = re.compile(r"[!-~]+")
"""What fits into a header: visible ASCII."""


@runtime_checkable
class TokenProvider(Protocol):
    """Gives access tokens; may read them from a store and refresh them. Called by many tasks at once."""

    async def token(self) -> str:
        """The token for a request that is about to leave."""
        ...

    async def refused(self, token: str) -> bool:
        """The service answered 401 to `token`: get another one if possible.

        True: ask `token()` again and send the request once more. False: raise `AuthenticationError`.
        """
        ...


class Secret:
    """A string that does not show itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself; do not keep it in a variable."""
        return self._value

    def redact(self, content: bytes) -> bytes:
        """`content` without the string, for messages that repeat what a server said."""
        return content.replace(self._value.encode(), b"[token]")

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> str:
        raise TypeError("A token is not pickled or copied, so that it reaches no cache or log by accident.")


class StaticToken:
    """One token, for as long as it lasts."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    async def token(self) -> str:
        """The token."""
        return self._secret.reveal()

    async def refused(self, token: str) -> bool:
        """False: there is no other."""
        del token
        return False

    def __repr__(self) -> str:
        return "<StaticToken>"


class CalledToken:
    """A token from a function, asked for each request."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], str | Awaitable[str]]) -> None:
        self._function = function

    async def token(self) -> str:
        """What the function returns."""
        token = self._function()
        return token if isinstance(token, str) else await token

    async def refused(self, token: str) -> bool:
        """True if the function has another token by now."""
        old = Secret(token)
        del token  # the function may raise, and a traceback that shows local variables must not show it
        return await self.token() != old.reveal()

    def __repr__(self) -> str:
        return f"<CalledToken {getattr(self._function, '__qualname__', type(self._function).__qualname__)}>"


def as_provider(
    token: str | Callable[[], str] | Callable[[], Awaitable[str]] | TokenProvider | None,
) -> TokenProvider:
    """What `Kantata(token)` stands for; `None` reads the environment's `KANTATA_ACCESS_TOKEN`."""
    if token is None:
        token = os.environ.get(ENVIRONMENT_VARIABLE)
        if token is None:
            raise UsageError(
                f"No access token: pass Kantata(token=…), or set the variable {ENVIRONMENT_VARIABLE}. "
                "An account's administrator makes tokens, or an OAuth application asks its users for them."
            )
    if isinstance(token, TokenProvider):
        return token
    if not isinstance(token, str) and callable(token):
        return CalledToken(token)
    error = None if _usable(token) else _unusable(token)
    if error is None:
        return StaticToken(Secret(token))
    del token  # as above
    raise error


async def current(provider: TokenProvider) -> Secret:
    """The provider's token, checked: in a header a line break would start another header."""
    token = await provider.token()
    if _usable(token):
        return Secret(token)
    error = _unusable(token)
    del token
    raise error


async def replaced(provider: TokenProvider, refused: Secret) -> bool:
    """Tell the provider that its token was refused; whether it has another one."""
    return await provider.refused(refused.reveal())


def _usable(token: object) -> bool:
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None


def _unusable(token: object) -> UsageError:
    if not isinstance(token, str):
        return UsageError(f"An access token is a string, but this is of type {type(token).__name__}.")
    if not token:
        return UsageError("The access token is an empty string: check where it is read from.")
    return UsageError(
        "The access token has a space, a line break or another character that no token has: "
        "check how it is read (a file's last line break has to be stripped). It is not shown here."
    )
