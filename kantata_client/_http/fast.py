"""The lane over aiohttp (`Kantata(transport="aiohttp")`), and what its exceptions say of how far a request got."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client._loops import on_asyncio
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from ssl import SSLContext

    from kantata_client._http.messages import AsyncTransport

_UNSENT = frozenset({"ClientConnectorError", "ConnectionTimeoutError"})
"""What aiohttp raises while it connects. httpx-aiohttp calls a connection that breaks later a failed one, too."""


def over_aiohttp(tls: SSLContext | None) -> AsyncTransport:
    """A transport over aiohttp for the running event loop.

    Raises:
        UsageError: The extra is not installed, or the loop is not asyncio's.
    """
    if not on_asyncio():
        raise UsageError("transport='aiohttp' needs asyncio: leave it out under trio")
    try:
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector
        from httpx_aiohttp import AiohttpTransport
    except ImportError:
        missing = "transport='aiohttp' needs an extra: pip install 'kantata-client[aiohttp]'"
    else:

        def session() -> ClientSession:
            connector = TCPConnector(limit=0, ssl=tls or True, keepalive_timeout=5.0)
            # One user's cookies must not go out with the next user's requests.
            made = ClientSession(connector=connector, cookie_jar=DummyCookieJar())
            # aiohttp would repeat a PUT by itself. What may be repeated is decided elsewhere, and per operation.
            made._retry_connection = False  # pyright: ignore[reportPrivateUsage]
            return made

        # Given a context, it makes none; it would not use it either, since the session has one.
        return AiohttpTransport(client=session, verify=tls or False)
    raise UsageError(missing)


def reached(error: BaseException) -> tuple[str, bool, bool] | None:
    """What an exception of aiohttp says: the reason, whether nothing was sent, and whether time ran out.

    `None` for an exception of another origin.
    """
    for each in (error, error.__cause__):
        if each is not None and type(each).__module__.partition(".")[0] == "aiohttp":
            names = {kind.__name__ for kind in type(each).__mro__}
            timeout = isinstance(each, TimeoutError)
            return str(each) or type(each).__name__, not names.isdisjoint(_UNSENT), timeout
    return None
