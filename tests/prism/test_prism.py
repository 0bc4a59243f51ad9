"""An independent server, Prism, checks each request against the contract, and answers with objects of its own making.

The rest of the suite and the sandbox share this project's reading of the contract; Prism has its own. It needs Node, so
`make test` leaves it out: `.ci/run` installs Prism, names it in KANTATA_TEST_PRISM, and asks for the marker `prism`.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client import APIError, Kantata, MalformedResponseError, RetryPolicy, UnknownOutcomeError
from kantata_client.operations import OPERATIONS
from tests.contract.contract import Declared, argument, contract, operations, query_argument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.prism

STARTUP = 90
"""Seconds that Prism may take to read the contract."""
ON_COLLECTIONS = {
    each.id
    for each in operations().values()
    if each.method == "DELETE" and not each.placeholders and each.query
}


@pytest.fixture(scope="module")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a Prism that serves the corrected contract."""
    folder: Path = tmp_path_factory.mktemp("prism")
    document = folder / "contract.json"
    document.write_text(json.dumps(contract()), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        os.environ["KANTATA_TEST_PRISM"],
        "mock",
        "--errors",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        str(document),
    ]
    with (folder / "log.txt").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(process, f"http://127.0.0.1:{port}/users/me")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + STARTUP
    while time.monotonic() < until:
        assert process.poll() is None, "Prism ended while it started"
        try:
            httpx.get(url, timeout=2)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"Prism did not answer within {STARTUP} s")


async def call(kantata: Kantata, declared: Declared, arguments: str) -> Any:
    """Call an operation's public method with every argument that it takes, or with those that it needs."""
    operation = OPERATIONS[declared.id]
    method = getattr(getattr(kantata, operation.resource), operation.name)
    if declared.id in ON_COLLECTIONS:
        result = await method([7, 8])
        result.raise_for_failures()
        return result
    path = range(7, 7 + len(declared.placeholders))
    asked = {n for n in (*declared.query, *declared.body, *declared.form) if arguments == "full"}
    asked |= declared.required
    query = {name: query_argument(name, each)[0] for name, each in declared.query.items() if name in asked}
    body = {
        name: argument(name, each)[0]
        for name, each in (declared.body | declared.form).items()
        if name in asked
    }
    called = method(*path, **{declared.keywords[name]: value for name, value in (query | body).items()})
    return await (anext(called.pages()) if hasattr(called, "pages") else called)


@pytest.mark.asyncio
@pytest.mark.parametrize("arguments", ["full", "minimal"])
async def test_every_request_fits_the_contract(prism: str, arguments: str) -> None:
    refused: list[str] = []
    decoded = 0
    async with Kantata("token", base_url=prism, retries=RetryPolicy(retries=0), on_drift="ignore") as kantata:
        for declared in operations().values():
            try:
                await call(kantata, declared, arguments)
                decoded += 1
            except MalformedResponseError as error:
                # Prism fills `results` with ids that its objects do not have, and a map with any number of objects.
                if not re.search(
                    "one result was expected, but the response has none|a map with one object was expected",
                    str(error),
                ):
                    refused.append(f"{declared.id}: {error}")
            except (APIError, UnknownOutcomeError) as error:
                refused.append(f"{declared.id}: {error}")
    assert not refused, "\n".join(refused)
    assert len(operations()) == 419
    assert decoded > 150
