"""Fixtures of all tests, and a rule for their names."""

from __future__ import annotations

import gc
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests import loopback
from tests.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_httpx import HTTPXMock


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names that differ from process to process: pytest-xdist and `--last-failed` compare them."""
    unsteady = [item.nodeid for item in items if re.search(r" at 0x[0-9a-f]{6}|set\(\{", item.nodeid)]
    if unsteady:
        raise pytest.UsageError(f"These tests need ids without a memory address or a set: {unsteady}")


def pytest_collection_finish() -> None:
    """Exempt what collection made from garbage collection.

    Thousands of tests and parsed contracts stay until the end, and each full collection would look through all of them.
    """
    import hypothesis  # noqa: F401 - while it loads, it looks for who else refers to trio's generator of random numbers

    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run `@pytest.mark.anyio` tests on both event loops, or, with `@pytest.mark.one_loop`, on asyncio alone.

    With `@pytest.mark.lanes(…)`, also run tests that use `lane` on each of these lanes ("own",
    "httpx", "httpx2", "aiohttp"), in the combinations that exist.
    """
    if "anyio_backend" not in metafunc.fixturenames:
        return
    one = metafunc.definition.get_closest_marker("one_loop") is not None
    backends = ["asyncio"] if one else ["asyncio", "trio"]
    lanes = metafunc.definition.get_closest_marker("lanes")
    if lanes is None or "lane" not in metafunc.fixturenames:
        metafunc.parametrize("anyio_backend", backends, indirect=True)
        return
    absent = (
        () if find_spec("httpx2") else ("httpx2",)
    )  # it needs newer libraries than the lowest that we take
    pairs = [(backend, lane) for backend in backends for lane in lanes.args if lane not in absent]
    existing = [pair for pair in pairs if pair != ("trio", "aiohttp")]
    metafunc.parametrize(("anyio_backend", "lane"), existing, indirect=["anyio_backend"])


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of an `anyio` test and of its fixtures."""
    return request.param


@pytest.fixture
def serving():
    """Makes a `FaultyServer` for a block; its acts are the arguments."""
    return loopback.serving


@pytest.fixture
def answer():
    """Makes the bytes of a response: `answer(status, body, header="…")`."""
    return loopback.answer


@pytest.fixture(scope="session")
def shared() -> Iterator[loopback.Shared]:
    """The server of a whole run, for ASGI applications."""
    server = loopback.Shared()
    with loopback.served(server) as server.url:
        yield server


@pytest.fixture
def recorder(httpx_mock: HTTPXMock) -> Recorder:
    """A service that records the requests of `recorder.client()`."""
    return Recorder(httpx_mock)
