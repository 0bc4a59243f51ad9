"""An emulator of the Kantata OX API for tests and first steps: stateful, in process or on a loopback socket.

Needs the extra `sandbox` (starlette, uvicorn, python-multipart). What it does not emulate it answers with 501 and a reason.
"""

from __future__ import annotations

try:
    import python_multipart
    import starlette
    import uvicorn
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"The sandbox needs {error.name}: install the extra, as in `pip install kantata-client[sandbox]`.",
        name=error.name,
    ) from error
else:
    del python_multipart, starlette, uvicorn

from kantata_client.sandbox.asgi import RecordedRequest
from kantata_client.sandbox.authorization import OAuthServer, RegisteredApp
from kantata_client.sandbox.clock import Clock
from kantata_client.sandbox.facade import Sandbox
from kantata_client.sandbox.faults import Fault, Faults
from kantata_client.sandbox.gaps import Gaps
from kantata_client.sandbox.rate_limits import RateLimits
from kantata_client.sandbox.serving import Server
from kantata_client.sandbox.store import Store

__all__ = [
    "Clock",
    "Fault",
    "Faults",
    "Gaps",
    "OAuthServer",
    "RateLimits",
    "RecordedRequest",
    "RegisteredApp",
    "Sandbox",
    "Server",
    "Store",
]
