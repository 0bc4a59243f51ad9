"""Syncing an account into a warehouse: a dlt source over all lists of the contract. Needs the extra `sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client._lazy import lazy_attributes

if TYPE_CHECKING:
    from kantata_client.sync.progress import Progress
    from kantata_client.sync.source import kantata_source

__all__ = ["Progress", "kantata_source"]

_MODULES = {"Progress": "progress", "kantata_source": "source"}

if not TYPE_CHECKING:  # a type checker knows the names from the imports above, and should reject all others
    __getattr__, __dir__ = lazy_attributes(__name__, _MODULES)
