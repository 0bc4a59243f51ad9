"""The currencies of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES: Mapping[str, str] = {"EUR": "Euro", "GBP": "Pound Sterling", "USD": "US Dollar"}
SYMBOLS: Mapping[str, str] = {"EUR": "€", "GBP": "£", "USD": "$"}
