"""Fixtures of the tests of single calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.recorder import Recorder

if TYPE_CHECKING:
    from pytest_httpx import HTTPXMock


@pytest.fixture
def recorder(httpx_mock: HTTPXMock) -> Recorder:
    """A service that records the requests of `recorder.client()`."""
    return Recorder(httpx_mock)
