"""The sandbox on a socket: uvicorn in a thread of its own, so that any event loop can talk to it."""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import uvicorn

from kantata_client._lazy import resolvable
from kantata_client.sandbox.schema import BASE_PATH

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from starlette.types import ASGIApp

    from kantata_client.sandbox.certificates import Certificates

START_SECONDS = 10.0


@resolvable
class Server:
    """A sandbox that listens on a socket inside `async with`."""

    def __init__(
        self, app: ASGIApp, token: str, host: str, port: int, certificates: Certificates | None = None
    ) -> None:
        """Prepare to serve `app`; nothing listens yet."""
        self.token = token
        """The token that the API accepts."""
        self.authority = None if certificates is None else certificates.authority
        """The certificate authority that clients have to trust; None without TLS."""
        self._certificates = certificates
        self._app = app
        self._host = host
        self._port = port
        self._running: tuple[_Uvicorn, threading.Thread, socket.socket] | None = None

    def __repr__(self) -> str:
        return f"<Server {self.url if self._running else 'not listening'}>"

    @property
    def url(self) -> str:
        """The base URL for clients, such as `http://127.0.0.1:49152/api/v1`."""
        if self._running is None:
            raise RuntimeError(
                "The sandbox is not listening: enter `async with sandbox.serve() as server` first."
            )
        host = _reached_at(self._host)
        host = f"[{host}]" if ":" in host else host
        scheme = "http" if self._certificates is None else "https"
        return f"{scheme}://{host}:{self._port}{BASE_PATH}"

    async def __aenter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        created = socket.create_server((self._host, self._port), family=family, backlog=1024)
        # asyncio switches Nagle's algorithm off only where the socket names its protocol. With it on, each answer of
        # two segments waits some 40 ms for the acknowledgement of the first.
        listener = socket.socket(created.family, created.type, socket.IPPROTO_TCP, fileno=created.detach())
        self._port = listener.getsockname()[1]
        server = _Uvicorn(
            uvicorn.Config(
                self._app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
                ssl_certfile=None if self._certificates is None else self._certificates.chain,
            )
        )
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="kantata-sandbox", daemon=True
        )
        self._running = server, thread, listener
        thread.start()
        if not await anyio.to_thread.run_sync(server.ready.wait, START_SECONDS):
            await self.__aexit__(None, None, None)
            raise RuntimeError(f"The sandbox did not start within {START_SECONDS:g} seconds.")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._running is None:
            return
        server, thread, listener = self._running
        server.should_exit = True
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(thread.join)
        listener.close()
        self._running = None
        if self._certificates is not None:
            self._certificates.directory.cleanup()


def _reached_at(host: str) -> str:
    """The address for clients on this machine: no client can connect to "all addresses"."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


class _Uvicorn(uvicorn.Server):
    """A server that signals when it listens, so that nobody has to poll it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
