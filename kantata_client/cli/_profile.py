"""Profiles: the application and server that a stored token belongs to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from kantata_client._http.tokens import Secret
from kantata_client._http.transport import BASE_URL
from kantata_client.oauth import Endpoints, OAuthApp
from kantata_client.oauth.private_files import config_directory, read_private, write_private
from kantata_client.stores import FileStore, KeyringStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    from kantata_client.stores import TokenStore


@attrs.frozen
class Profile:
    """A signed-in user of the command line. The application's secret is not stored."""

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
    def store(self) -> TokenStore:
        """The store that has the token."""
        return KeyringStore() if self.keyring else FileStore()

    def app(
        self, secret: str | None, redirect_uri: str | None = None, scopes: Iterable[str] = ()
    ) -> OAuthApp:
        """The application that the token was issued to."""
        endpoints = Endpoints.at(self.server) if self.server else None
        return OAuthApp(self.client_id, secret, redirect_uri, scopes=scopes, endpoints=endpoints)

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
        except (ValueError, TypeError):
            return None  # damaged: treated as signed out


def _path(name: str) -> Path:
    return config_directory() / "profiles" / f"{name}.json"
