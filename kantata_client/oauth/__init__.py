"""OAuth 2.0: sign users in, store their tokens and renew them."""

from kantata_client.oauth.app import DISCOVERY_URL, Endpoints, OAuthApp
from kantata_client.oauth.tokens import AuthorizationRequest, Introspection, Token

__all__ = ["DISCOVERY_URL", "AuthorizationRequest", "Endpoints", "Introspection", "OAuthApp", "Token"]
