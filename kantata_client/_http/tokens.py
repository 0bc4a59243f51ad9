"""Where access tokens come from, and how they stay out of sight.

A token is a plain `str` only inside a provider and for the moment in which a request's header is made;
everything that lives longer, and so could show in a traceback, holds a `Secret`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from kantata_client.errors import OAuthError, UsageError

ENVIRONMENT_VARIABLE = "KANTATA_ACCESS_TOKEN"

_TOKEN = re.compile(r"[!-~]+")
"""What fits into a header: visible ASCII."""

SHORTEST = 8
"""Characters of the shortest secret that is blotted out; shorter ones are found in ordinary words."""


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
        """`content` without the string in any form, for messages that repeat what a server said."""
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
        # What is neither is refused by `current`, in a sentence.
        return await token if isinstance(token, Awaitable) else token

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
                "An account's administrator creates tokens. After kantata login, Kantata.from_profile() uses the login, and "
                "kantata env prints the variables to set."
            )
    if isinstance(token, TokenProvider):
        if isinstance(token, type):
            raise UsageError(f"The token is the class {token.__name__}: give an object of it.")
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
    with _of_ones_own():
        token = await provider.token()
    if _usable(token):
        return Secret(token)
    error = _unusable(token)
    del token
    raise error


async def replaced(provider: TokenProvider, refused: Secret) -> bool:
    """Tell the provider that its token was refused; whether it has another one."""
    with _of_ones_own():
        return await provider.refused(refused.reveal())


@contextmanager
def _of_ones_own() -> Generator[None]:
    """Tell a cancellation of what a provider awaits (a task shared by many, say) from one of the request."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        from asyncio import CancelledError, current_task

        if isinstance(error, CancelledError) and (task := current_task()) and not task.cancelling():
            msg = "The token provider was cancelled, though nobody cancelled the request: look at what it awaits."
            raise OAuthError(msg) from error
        raise


def _usable(token: object) -> bool:
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None


def _unusable(token: object) -> UsageError:
    if not isinstance(token, str):
        kind = type(token).__name__
        hint = ""
        if hasattr(token, "access_token"):
            hint = " Give its access_token, or, to have it renewed, StoredToken(store, key, app=app)."
        elif token is None:
            hint = " Check what the function that gives it returns."
        return UsageError(f"An access token is a string, but this is of type {kind}.{hint}")
    if not token:
        return UsageError("The access token is an empty string: check where it is read from.")
    if token[:7].lower() == "bearer ":
        return UsageError(
            "The access token begins with the word Bearer and a space: give what follows, since the word is "
            "added to each request. It is not shown here."
        )
    return UsageError(
        "The access token has a space, a line break or another character that no token has: "
        "check how it is read (a file's last line break has to be stripped). It is not shown here."
    )
