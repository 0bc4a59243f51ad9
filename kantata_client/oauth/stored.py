"""A token provider backed by a store. However many tasks find the token expired, it is renewed once."""

from __future__ import annotations

import copy
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from kantata_client._concurrency import to_the_end
from kantata_client._http.tokens import Secret
from kantata_client._lazy import resolvable
from kantata_client._loops import PerLoop
from kantata_client.errors import AuthenticationError, KantataError, OAuthError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    import anyio

    from kantata_client.oauth.app import OAuthApp
    from kantata_client.oauth.tokens import Token

PAUSE = 10.0
"""For this many seconds after a failed renewal, further renewals fail the same way without being tried."""
LONGEST = 120.0
"""Seconds that a renewal may take, even after the task that began it was cancelled."""


@resolvable
class TokenStore(Protocol):
    """Keeps one token per key. A key names a user, by an id or an e-mail address for example."""

    async def load(self, key: str) -> Token | None:
        """The token stored under `key`, or None."""
        ...

    async def save(self, key: str, token: Token) -> None:
        """Store `token` under `key`, replacing the token there. After a crash the old token or the new one is stored."""
        ...

    async def delete(self, key: str) -> None:
        """Delete the token under `key`, if there is one."""
        ...


@resolvable
@runtime_checkable
class LockingStore(Protocol):
    """A store that several processes share.

    Without `lock`, two processes may renew the same token at once, and a server that accepts each refresh token only once
    refuses the slower one. If a store has an attribute `lock`, it must be this method or None.
    """

    def lock(self, key: str) -> AbstractAsyncContextManager[object]:
        """Keep other processes from renewing the token under `key` until the `async with` block ends."""
        ...


@resolvable
class StoredToken:
    """The token under a key of a store, for `Kantata(token=…)` and `kantata.with_token(…)`.

    The token is read when first needed, and again when it has expired or the service refuses it: another process may have
    replaced it. With an `app`, a token that has a refresh token is then renewed and stored. This happens once, however many
    tasks, copies of this object and (with a `LockingStore`) processes need the token.

    Requests raise `OAuthError` if nothing is stored under the key, and `AuthenticationError` if the user must sign in again.
    """

    def __init__(self, store: TokenStore, key: str, *, app: OAuthApp | None = None) -> None:
        """Use the token under `key`; `app` is the application that it was issued to.

        Raises:
            UsageError: The store has an attribute `lock` that is not a method as in `LockingStore`.
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
        """Get another token; returns True.

        Raises:
            AuthenticationError: The user must sign in again; the message says why.
            OAuthError: The token could not be renewed.
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
        # An expired token that can't be renewed is sent all the same: this machine's clock may be wrong.
        return not (self._renewable(token) and token.expired())

    async def _usable(self, refused: Secret | None) -> Token:
        flight = self._flight
        async with flight.alone():
            if self._token is not None and self._good(self._token, refused):
                return self._token  # another task has renewed it
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
                # A cancellation in between would lose the new token, when the old one no longer works.
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
            # The old token first: a store that can't save must not cost the refresh token, which many servers accept once.
            await self._save(token)
            # Kept here first: if storing it fails, this object at least goes on working.
            self._token = fresh = await app.refresh(token)
            await self._save(fresh)
            return fresh
        raise OAuthError(f"The token under {self._key!r} could not be renewed in time: try again.")

    async def _save(self, token: Token) -> None:
        try:
            await self._flight.store.save(self._key, token)
        except KantataError:
            raise
        except Exception as error:  # noqa: BLE001 - stores raise exceptions of any type
            problem = type(error).__name__
        else:
            return
        # Neither raised nor chained: its traceback has the store's frames, which hold the token in variables.
        raise OAuthError(
            f"The store can't save the token under {self._key!r} ({problem}), so it is not renewed: make the store work."
        )

    def _revoked(self) -> AuthenticationError:
        return _authentication_error(
            f"The service no longer renews the token under {self._key!r} (invalid_grant): the user revoked access, or "
            "another program used the refresh token. They have to sign in again."
        )

    async def _hopeless(self, token: Token) -> KantataError:
        """The error for a refused token that can't be renewed; the authorization server is asked for the reason."""
        again = "sign in again, and store the new token under the same key."
        who = f"The token under {self._key!r} was refused (401)"
        if token.expired():
            return _authentication_error(f"{who}: it has expired and can't be renewed; {again}")
        if self._app is None:
            return _authentication_error(
                f"{who}: its user revoked it, or it belongs to another server than base_url; {again} "
                "(With StoredToken(…, app=…) the authorization server is asked which.)"
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
                f"{who}, but the authorization server says that it is valid: check that base_url belongs to the "
                "server where the user signed in."
            )
        return _authentication_error(f"{who}: it was revoked by its user or an administrator; {again}")


class _Flight:
    """What all providers of one token share: the lock for renewing it, and the last failure."""

    _all: ClassVar[WeakValueDictionary[tuple[int, str], _Flight]] = WeakValueDictionary()

    @classmethod
    def of(cls, store: TokenStore, key: str) -> _Flight:
        """The flight of a token. It keeps the store alive, so that no other store gets the same `id()`."""
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
                f"{type(store).__name__}.lock is of type {type(self._lock).__name__}, but a store's `lock` must be a method "
                "that keeps other processes away, as in LockingStore: give the attribute another name."
            )
        self._failure: tuple[Token, KantataError, float] | None = None

    def alone(self) -> anyio.Lock:
        """The lock among the tasks of the running event loop."""
        import anyio

        locks = _locks.running()
        lock = locks.get(self)
        if lock is None:
            lock = locks[self] = anyio.Lock()
        return lock

    @asynccontextmanager
    async def alone_among_processes(self) -> AsyncGenerator[None]:
        """Keep other processes waiting, if the store has a lock."""
        if self._lock is None:
            yield
        else:
            async with self._lock(self._key):
                yield

    def failed(self, token: Token, failure: KantataError) -> None:
        """Record that a token could not be renewed."""
        lasting = isinstance(failure, AuthenticationError)
        # A copy has no traceback, which would keep the task's frames alive.
        self._failure = token, copy.copy(failure), float("inf") if lasting else time.monotonic() + PAUSE

    def fail_again(self, token: Token) -> None:
        """Raise the recorded failure of this token, instead of asking the server again for each task."""
        if self._failure and self._failure[0] == token and time.monotonic() < self._failure[2]:
            raise copy.copy(self._failure[1])


_locks: PerLoop[_Flight, anyio.Lock] = PerLoop()


def _authentication_error(message: str) -> AuthenticationError:
    return AuthenticationError(message, status=401, method="POST", path="/oauth/token")
