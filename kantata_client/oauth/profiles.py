"""Profiles: who signed in with `kantata login`, by which application, and at which server."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from kantata_client._http.tokens import Secret
from kantata_client._http.transport import BASE_URL
from kantata_client.errors import KantataError, OAuthError
from kantata_client.oauth.app import Endpoints, OAuthApp
from kantata_client.oauth.private_files import config_directory, read_private, write_private
from kantata_client.oauth.stores import FileStore, KeyringStore, StoredToken
from kantata_client.oauth.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    from kantata_client.oauth.stores import TokenStore

SECRET = "KANTATA_CLIENT_SECRET"  # noqa: S105 - the name of a variable
PROFILE = "KANTATA_PROFILE"


@attrs.frozen
class Profile:
    """A user who signed in with `kantata login`. The application's secret is not stored."""

    name: str
    client_id: str
    server: str | None = None
    """Origin of the server, such as a sandbox's; None for Kantata."""
    keyring: bool = False

    @property
    def base_url(self) -> str:
        """The base URL of the API that the token is for."""
        return f"{self.server}/api/v1" if self.server else BASE_URL

    @property
    def key(self) -> str:
        """The key of the token in the store.

        It contains the server: a program that still runs with the profile of another server, under the same name, must not
        find this token and send it there.
        """
        return f"{self.name} at {self.server}" if self.server else self.name

    @property
    def store(self) -> TokenStore:
        """The store that has the token."""
        return KeyringStore() if self.keyring else FileStore()

    def app(
        self, secret: str | None, redirect_uri: str | None = None, scopes: Iterable[str] = ()
    ) -> OAuthApp:
        """The application that the token was issued to."""
        endpoints = Endpoints.at(self.server) if self.server else None
        return OAuthApp(self.client_id, secret, redirect_uri, scopes=scopes, endpoints=endpoints)

    def token(self, app: OAuthApp) -> StoredToken:
        """The stored token, which `app` renews."""
        return StoredToken(self.store, self.key, app=app)

    async def check_keyring(self) -> None:
        """If the token is to be kept in the keyring, store one for trial, before somebody signs in for nothing.

        Raises:
            OAuthError: The keyring does not work.
            UsageError: The package keyring is not installed.
        """
        if not self.keyring:
            return
        key = f"{self.key} (trial)"
        await self.store.save(key, Token("trial"))
        kept = await self.store.load(key)
        await self.store.delete(key)
        if kept is None:
            raise OAuthError(
                "The keyring stores nothing: install a backend for it, or sign in without --keyring to use a file."
            )

    async def replace(self, previous: Profile | None, token: Token) -> None:
        """Store the token and the profile, and delete the token of the profile that had the name before.

        Raises:
            OAuthError: They can't be stored.
        """
        await self.store.save(self.key, token)
        self.save()
        if previous is not None and (previous.key, previous.keyring) != (self.key, self.keyring):
            with suppress(KantataError):  # such as a keyring that is locked
                await previous.store.delete(previous.key)

    def save(self) -> None:
        """Write the profile's file.

        Raises:
            OAuthError: The file can't be written.
        """
        write_private(_path(self.name), Secret(json.dumps(attrs.asdict(self))))

    def delete(self) -> None:
        """Delete the profile's file."""
        _path(self.name).unlink(missing_ok=True)

    @classmethod
    def load(cls, name: str) -> Self | None:
        """The profile of that name; None if nobody is signed in.

        Raises:
            OAuthError: Other users can change the file.
        """
        text = read_private(_path(name))
        try:
            return None if text is None else cls(**json.loads(text.reveal()))
        except (ValueError, TypeError, RecursionError):
            return None  # damaged: treated as signed out

    @classmethod
    def signed_in(cls, name: str | None = None) -> Self:
        """The profile of a user who is signed in.

        Args:
            name: The profile's name. Default: the environment variable `KANTATA_PROFILE`, or else `default`.

        Raises:
            OAuthError: Nobody is signed in under that name, no profile can have it, or other users can change the profile's
                file.
        """
        if name is None:
            name = os.environ.get(PROFILE) or "default"
        if not valid(name):
            raise OAuthError(f"A profile's name may contain only letters, digits, - and _, got {name!r}.")
        profile = cls.load(name)
        if profile is None:
            option = "" if name == "default" else f" --profile {name}"
            raise OAuthError(f"Nobody is signed in as profile {name!r}: run kantata login{option}.")
        return profile


def valid(name: str) -> bool:
    """Whether a profile can have that name."""
    return name.replace("-", "").replace("_", "").isalnum() and name.isascii()


def secret() -> str | None:
    """The application's secret, from the environment variable `KANTATA_CLIENT_SECRET`."""
    return os.environ.get(SECRET) or None


def _path(name: str) -> Path:
    return config_directory() / "profiles" / f"{name}.json"
