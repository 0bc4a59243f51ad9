"""A token from a store as a client's token provider: renewed once, however many tasks find it expired."""

from __future__ import annotations

import copy
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from kantata_client._concurrency import PerLoop, to_the_end
from kantata_client._http.tokens import Secret
from kantata_client.errors import AuthenticationError, KantataError, OAuthError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    import anyio

    from kantata_client.oauth.app import OAuthApp
    from kantata_client.oauth.tokens import Token

PAUSE = 10.0
"""Seconds after a failed renewal in which the next one is not tried, but fails the same way."""
LONGEST = 120.0
"""Seconds that a renewal goes on after the task that began it was cancelled."""


class TokenStore(Protocol):
    """Keeps one token per key; a key is whatever names a user: an id, an e-mail address."""

    async def load(self, key: str) -> Token | None:
        """The token under `key`, if there is one."""
        ...

    async def save(self, key: str, token: Token) -> None:
        """Keep `token` under `key`, in the place of what is there. All of it is kept, or none."""
        ...

    async def delete(self, key: str) -> None:
        """Forget what is under `key`; it is no error if there is nothing."""
        ...


@runtime_checkable
class LockingStore(Protocol):
    """A store that several processes share.

    Without `lock`, two of them may renew the same token at once, and a server that uses up refresh tokens
    refuses the slower one. The name is taken: a store's `lock` is this method or None.
    """

    def lock(self, key: str) -> AbstractAsyncContextManager[object]:
        """Keep other processes from renewing the token under `key`, within an `async with` block."""
        ...


class StoredToken:
    """The token under a key of a store, for `Kantata(token=…)` and `kantata.with_token(…)`.

    It is read when it is first needed, and again when the service refuses it or it has expired: somebody else
    may have replaced it. With an `app`, a token that has a refresh token is then renewed and stored, once,
    however many tasks, copies of this object and (with a `LockingStore`) processes need it. Making one costs
    nothing.

    Requests raise `OAuthError` if nothing is stored under the key, and `AuthenticationError` if a new sign-in
    is needed.
    """

    def __init__(self, store: TokenStore, key: str, *, app: OAuthApp | None = None) -> None:
        """Use the token under `key`; `app` is the application that it was given to.

        Raises:
            UsageError: The store's attribute `lock` is not what `LockingStore` says.
        """
        self._key = key
        self._app = app
        self._token: Token | None = None
        self._flight = _Flight.of(store, key)

    async def token(self) -> str:
        """The access token."""
        token = self._token
        if token is None or (self._renewable(token) and token.expired()):
            token = await self._usable(None)
        return token.access_token

    async def refused(self, token: str) -> bool:
        """True if there is another token now.

        Raises:
            AuthenticationError: A new sign-in is needed; the message tells why.
            OAuthError: It could not be renewed.
        """
        refused = Secret(token)
        del token
        await self._usable(refused)
        return True

    def __repr__(self) -> str:
        return f"<StoredToken {self._key!r}>"

    def _renewable(self, token: Token) -> bool:
        return self._app is not None and token.refreshable

    def _good(self, token: Token | None, refused: Secret | None) -> bool:
        if token is None or (refused and token.access_token == refused.reveal()):
            return False
        # An expired token that nobody can renew is left to the service: this machine's clock may be wrong.
        return not (self._renewable(token) and token.expired())

    async def _usable(self, refused: Secret | None) -> Token:
        flight = self._flight
        async with flight.alone():
            if self._token is not None and self._good(self._token, refused):
                return self._token  # another task was faster
            token = await self._load()
            if not self._good(token, refused):
                flight.fail_again(token)
                token = await self._renewed(token, refused)
            self._token = token
            return token

    async def _load(self) -> Token:
        token = await self._flight.store.load(self._key)
        if token is None:
            raise OAuthError(f"No token is stored under {self._key!r}: sign in first.")
        return token

    async def _renewed(self, token: Token, refused: Secret | None) -> Token:
        flight, app = self._flight, self._app
        try:
            if app is None or not token.refreshable:
                raise await self._hopeless(token)
            async with flight.alone_among_processes():
                token = await self._load()
                if self._good(token, refused):
                    return token
                # Cancelled in between, the new token would be lost, and the old one is used up.
                return await to_the_end(lambda: self._exchanged(token, app))
        except OAuthError as error:
            failure = self._revoked() if error.error == "invalid_grant" else error
        except KantataError as error:
            failure = error
        flight.failed(token, failure)
        raise copy.copy(failure)

    async def _exchanged(self, token: Token, app: OAuthApp) -> Token:
        import anyio

        with anyio.move_on_after(LONGEST):
            # Kept here first: should storing it fail, this object at least goes on working.
            self._token = fresh = await app.refresh(token)
            await self._flight.store.save(self._key, fresh)
            return fresh
        raise OAuthError(f"The token under {self._key!r} could not be renewed in time: try again.")

    def _revoked(self) -> AuthenticationError:
        return _authentication_error(
            f"The service no longer renews the token under {self._key!r} (invalid_grant): the user revoked "
            "the access, or the refresh token was used up elsewhere. They have to sign in again."
        )

    async def _hopeless(self, token: Token) -> KantataError:
        """Why the service refuses a token that can't be renewed, as far as it tells."""
        again = "sign in again, and store the new token under the same key."
        who = f"The token under {self._key!r} was refused (401)"
        if token.expired():
            return _authentication_error(
                f"{who}: it has expired, and nothing is there to renew it with; {again}"
            )
        if self._app is None:
            return _authentication_error(
                f"{who}: its user revoked it, or it belongs to another server than base_url; {again} "
                "(StoredToken(…, app=…) can ask the server which.)"
            )
        try:
            active = (await self._app.introspect(token)).active
        except KantataError:
            return _authentication_error(
                f"{who}: its user revoked it, or it belongs to another server than base_url; {again} "
                "(The authorization server did not say which.)"
            )
        if active:
            return _authentication_error(
                f"{who}, but the authorization server calls it valid: check that base_url belongs to the "
                "server that the user signed in to."
            )
        return _authentication_error(f"{who}: it was revoked, by its user or an administrator; {again}")


class _Flight:
    """What all providers of one token share: who renews it, and how that failed."""

    _all: ClassVar[WeakValueDictionary[tuple[int, str], _Flight]] = WeakValueDictionary()

    @classmethod
    def of(cls, store: TokenStore, key: str) -> _Flight:
        """The flight of a token; it keeps the store alive, so that the store's id stays its own."""
        found = cls._all.get((id(store), key))
        if found is None:
            found = cls._all[id(store), key] = cls(store, key)
        return found

    def __init__(self, store: TokenStore, key: str) -> None:
        self.store = store
        self._key = key
        self._lock: Any = getattr(store, "lock", None)
        if self._lock is not None and not callable(self._lock):
            raise UsageError(
                f"{type(store).__name__}.lock is of type {type(self._lock).__name__}, but `lock` of a store is a method "
                "that keeps other processes away, as in LockingStore: give the attribute another name."
            )
        self._failure: tuple[Token, KantataError, float] | None = None

    def alone(self) -> anyio.Lock:
        """Keeps this event loop's other tasks waiting."""
        import anyio

        locks = _locks.running()
        lock = locks.get(self)
        if lock is None:
            lock = locks[self] = anyio.Lock()
        return lock

    @asynccontextmanager
    async def alone_among_processes(self) -> AsyncGenerator[None]:
        """Keeps other processes waiting, if the store can."""
        if self._lock is None:
            yield
        else:
            async with self._lock(self._key):
                yield

    def failed(self, token: Token, failure: KantataError) -> None:
        """Remember that a token could not be renewed."""
        lasting = isinstance(failure, AuthenticationError)
        # A copy has no traceback, which would keep the task's frames alive.
        self._failure = token, copy.copy(failure), float("inf") if lasting else time.monotonic() + PAUSE

    def fail_again(self, token: Token) -> None:
        """Raise what became of this very token, instead of asking the server once for every task."""
        if self._failure and self._failure[0] == token and time.monotonic() < self._failure[2]:
            raise copy.copy(self._failure[1])


_locks: PerLoop[_Flight, anyio.Lock] = PerLoop("tokens")


def _authentication_error(message: str) -> AuthenticationError:
    return AuthenticationError(message, status=401, method="POST", path="/oauth/token")
