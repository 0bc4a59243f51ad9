"""Settings for all tests of the compiler."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def _rare_collections() -> Iterator[None]:
    """Collect garbage rarely: a contract is a million objects and no garbage, and collections take a third of the time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    yield
    gc.set_threshold(*before)
