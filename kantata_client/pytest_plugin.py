"""A fixture for the tests of programs that use this package: `kantata_sandbox`.

pytest finds it once `kantata-client[sandbox]` is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kantata_client.sandbox import Sandbox


@pytest.fixture
def kantata_sandbox() -> Sandbox:
    """A fresh sandbox with the demo account.

    `kantata_sandbox.client()` is a client of it in process, `async with kantata_sandbox.serve() as server` puts it on a
    loopback socket, and `kantata_sandbox.store` and `.requests` hold what was written and sent.
    """
    from kantata_client.sandbox import Sandbox

    return Sandbox(seed="demo")
