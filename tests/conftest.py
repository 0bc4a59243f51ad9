"""What every test may use."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """`@pytest.mark.anyio` tests run on both event loops, unless a package narrows it."""
    return request.param
