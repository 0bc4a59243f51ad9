"""The HTTP library: httpx, or its successor httpx2, which has the same interface but other classes.

The import below is the only one, so this line changes the library: `import httpx2 as httpx`. Transports of either library
are accepted whichever one is imported here.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import httpx as httpx  # noqa: PLC0414 - exported

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import ModuleType

    from kantata_client._http.messages import AsyncTransport

_LIBRARIES = ("httpx", "httpx2")


def adapted(transport: AsyncTransport) -> httpx.AsyncBaseTransport:
    """The transport, in an adapter if it belongs to the other library."""
    modules = [cls.__module__.partition(".")[0] for cls in type(transport).__mro__]
    name = next((module for module in modules if module in _LIBRARIES), httpx.__name__)
    if name == httpx.__name__:
        return cast("httpx.AsyncBaseTransport", transport)
    return _Adapter(transport, import_module(name))


class _Adapter(httpx.AsyncBaseTransport):
    """Converts requests for a transport of the other library, and its responses and exceptions back."""

    def __init__(self, transport: AsyncTransport, library: ModuleType) -> None:
        self._transport = transport
        self._library: Any = library

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        library = self._library
        sent = library.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            stream=_stream_class(library)(request.stream),
            extensions=request.extensions,
        )
        try:
            response = await self._transport.handle_async_request(sent)
        except Exception as error:  # noqa: BLE001 - translated
            raise _translated(error, library) from None
        return httpx.Response(
            response.status_code,
            headers=response.headers.raw,
            stream=_Body(response.stream, library),
            extensions=response.extensions,
            request=request,
        )

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a response of the other library."""

    def __init__(self, stream: Any, library: ModuleType) -> None:
        self._stream = stream
        self._library = library
        self._pieces: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._pieces = aiter(self._stream)
        return self

    async def __anext__(self) -> bytes:
        assert self._pieces is not None  # noqa: S101 - set by __aiter__
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            raise
        except Exception as error:  # noqa: BLE001 - translated
            raise _translated(error, self._library) from None

    async def aclose(self) -> None:
        # A generator that is left behind would be reported by trio.
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()
        await self._stream.aclose()


@cache
def _stream_class(library: Any) -> type[Any]:
    """The class of a request's body in a library, around a body of this one."""

    class Stream(library.AsyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __aiter__(self) -> AsyncIterator[bytes]:
            return aiter(self._stream)

    return Stream


def _translated(error: Exception, library: ModuleType) -> Exception:
    """An exception of the other library as the exception of the same name; others unchanged."""
    for cls in type(error).__mro__:
        if cls.__module__.partition(".")[0] == library.__name__:
            own = getattr(httpx, cls.__name__, None)
            if isinstance(own, type) and issubclass(own, Exception):
                return own(str(error))
    return error
