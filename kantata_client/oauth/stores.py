"""Stores for tokens. `StoredToken` passes a stored token to a client and renews it.

    store = FileStore()
    await store.save("alice", token)
    app = OAuthApp(client_id, client_secret)
    async with app, Kantata(StoredToken(store, "alice", app=app)) as kantata:
        me = await kantata.users.me()

To keep tokens in a database, write a class with the three methods of `TokenStore`.
"""

from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kantata_client._http.tokens import Secret
from kantata_client._lazy import resolvable
from kantata_client.errors import OAuthError, UsageError
from kantata_client.oauth.private_files import (
    config_directory,
    locked,
    make_directory,
    read_private,
    write_private,
)
from kantata_client.oauth.stored import LockingStore, StoredToken, TokenStore
from kantata_client.oauth.tokens import Secrets, Token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["FileStore", "KeyringStore", "LockingStore", "MemoryStore", "StoredToken", "TokenStore"]


class MemoryStore:
    """Keeps tokens until the process ends."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    async def load(self, key: str) -> Token | None:
        """The token stored under `key`, or None."""
        return self._tokens.get(key)

    async def save(self, key: str, token: Token) -> None:
        """Store `token` under `key`, replacing the token there."""
        self._tokens[key] = token

    async def delete(self, key: str) -> None:
        """Delete the token under `key`, if there is one."""
        self._tokens.pop(key, None)

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._tokens)} tokens>"


@resolvable
class FileStore:
    """Keeps each token in a file that only its owner can read. Several processes can share a directory.

    Files are replaced atomically: a reader gets the old token or the new one, even after a crash.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        """Keep tokens in `directory`. Default: `tokens` in the user's configuration directory.

        Raises:
            UsageError: No directory is given, and platformdirs, which finds the user's, is not installed.
        """
        self.directory = Path(directory) if directory is not None else config_directory() / "tokens"

    async def load(self, key: str) -> Token | None:
        """The token stored under `key`, or None.

        Raises:
            OAuthError: Other users can read the file, or it does not hold a token.
        """
        from anyio.to_thread import run_sync

        text = await run_sync(read_private, self.path(key))
        return None if text is None else _parsed(text)

    async def save(self, key: str, token: Token) -> None:
        """Store `token` under `key`, replacing the token there.

        Raises:
            OAuthError: The file can't be written.
        """
        from anyio.to_thread import run_sync

        await run_sync(write_private, self.path(key), Secret(json.dumps({"key": key, **token.to_dict()})))

    async def delete(self, key: str) -> None:
        """Delete the token under `key`, if there is one."""
        from anyio.to_thread import run_sync

        path = self.path(key)
        await run_sync(lambda: path.unlink(missing_ok=True))

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None]:
        """Keep other processes from renewing the token under `key` until the block ends."""
        import anyio

        make_directory(self.directory)
        handle = os.open(self.path(key).with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not locked(handle):  # noqa: ASYNC110 - a thread that waits for the lock can't be cancelled
                await anyio.sleep(0.02)
            yield
        finally:
            os.close(handle)  # also unlocks

    def path(self, key: str) -> Path:
        """The file for `key`. Its name contains a digest, so that any key works on any file system."""
        from hashlib import sha256

        readable = "".join(character for character in key if character.isascii() and character.isalnum())[:24]
        return self.directory / f"{readable}-{sha256(key.encode()).hexdigest()[:16]}.json"

    def __repr__(self) -> str:
        return f"<FileStore {getattr(self, 'directory', 'without a directory')}>"


@resolvable
class KeyringStore:
    """Keeps tokens in the desktop's keyring, through the package keyring (`pip install 'kantata-client[keyring]'`)."""

    def __init__(self, service: str = "kantata-client") -> None:
        """Keep tokens in the keyring under `service`.

        Raises:
            UsageError: The package keyring is not installed.
        """
        self.service = service
        try:
            import keyring
        except ImportError:
            raise UsageError(
                "KeyringStore needs keyring: pip install 'kantata-client[keyring]'.", consequence=""
            ) from None
        self._keyring = keyring

    async def load(self, key: str) -> Token | None:
        """The token stored under `key`, or None.

        Raises:
            OAuthError: The keyring does not work, or the entry is not a token.
        """
        text = await self._call(lambda: self._keyring.get_password(self.service, key))
        return None if text is None else _parsed(text)

    async def save(self, key: str, token: Token) -> None:
        """Store `token` under `key`, replacing the token there.

        Raises:
            OAuthError: The keyring does not work.
        """
        await self._call(lambda: self._keyring.set_password(self.service, key, json.dumps(token.to_dict())))

    async def delete(self, key: str) -> None:
        """Delete the token under `key`, if there is one.

        Raises:
            OAuthError: The keyring does not work.
        """
        from keyring.errors import PasswordDeleteError

        def delete() -> None:
            try:
                self._keyring.delete_password(self.service, key)
            except PasswordDeleteError:
                if self._keyring.get_password(self.service, key) is not None:
                    raise

        await self._call(delete)

    def __repr__(self) -> str:
        return f"<KeyringStore {self.service}>"

    async def _call(self, function: Callable[[], str | None]) -> Secret | None:
        from anyio.to_thread import run_sync

        def call() -> Secret | Exception | None:
            try:
                text = function()
            except Exception as error:  # noqa: BLE001 - backends raise exceptions of any type
                return error
            return None if text is None else Secret(text)

        result = await run_sync(call)
        if isinstance(result, Exception):
            # Neither raised nor chained: its traceback has the keyring's frames, which hold the token in variables.
            problem, result = type(result).__name__, None
            raise OAuthError(
                f"The keyring failed ({problem}): unlock it, install a backend for it, or use FileStore."
            )
        return result


def _parsed(text: Secret) -> Token:
    try:
        values = json.loads(text.reveal())
    except (ValueError, RecursionError):
        values = None
    kept = Secrets(cast("dict[str, Any]", values) if isinstance(values, dict) else {})
    del values
    return Token.from_dict(kept.reveal())
