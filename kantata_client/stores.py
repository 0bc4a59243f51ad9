"""Stores that keep tokens, and `StoredToken`, which passes a stored token to a client."""

from kantata_client.oauth.stored import StoredToken
from kantata_client.oauth.stores import FileStore, KeyringStore, LockingStore, MemoryStore, TokenStore

__all__ = ["FileStore", "KeyringStore", "LockingStore", "MemoryStore", "StoredToken", "TokenStore"]
