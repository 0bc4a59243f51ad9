"""Where tokens are kept."""

from kantata_client.oauth.stored import StoredToken
from kantata_client.oauth.stores import FileStore, KeyringStore, LockingStore, MemoryStore, TokenStore

__all__ = ["FileStore", "KeyringStore", "LockingStore", "MemoryStore", "StoredToken", "TokenStore"]
