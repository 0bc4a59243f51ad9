"""An application, and the independent authorization server that it is registered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kantata_client.oauth.app import Endpoints, OAuthApp
from tests.oauth.independent import CLIENT, REDIRECT, SECRET, Independent

if TYPE_CHECKING:
    from tests.loopback import Shared


@pytest.fixture
def independent(shared: Shared) -> Independent:
    server = Independent()
    shared.app, server.url = server.app, shared.url
    return server


@pytest.fixture
def app(independent: Independent) -> OAuthApp:
    return OAuthApp(
        CLIENT,
        SECRET,
        REDIRECT,
        scopes=["api_only", "offline_access"],
        endpoints=Endpoints.at(independent.url),
    )
