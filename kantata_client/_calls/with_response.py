"""`with_response` and `with_streaming_response`: results together with their HTTP responses."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

import attrs

from kantata_client._calls.arguments import path_of, query_of
from kantata_client._calls.session import Session
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager
    from types import MethodType

    from kantata_client._contract import Operation
    from kantata_client._http.messages import Response
    from kantata_client._http.transport import StreamedResponse

T = TypeVar("T")
P = ParamSpec("P")


@attrs.frozen(eq=False)
class APIResponse(Generic[T]):
    """The result of a method, and the HTTP response that it came in."""

    value: T
    """The result that the method returns without `with_response`."""
    status: int
    """HTTP status, always 2xx: others raise `APIError`."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    """The names are not case-sensitive."""
    content: bytes = attrs.field(repr=False)
    """The body, decompressed."""

    @property
    def request_id(self) -> str | None:
        """The id that Kantata's support asks for."""
        return self.headers.get("x-request-id")


class Recording(Session):
    """A session for one call, which keeps the last response."""

    __slots__ = ("last",)

    def __init__(self, session: Session) -> None:
        super().__init__(session.transport, session.tokens, session.drift, session.options)
        self.last: Response | None = None

    async def send(self, *arguments: Any, **named: Any) -> Response:
        self.last = await super().send(*arguments, **named)
        return self.last


def with_response(call: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, APIResponse[T]]]:
    """A method of a resource or a client that returns an `APIResponse`.

    Args:
        call: A bound coroutine method whose object has `_session` and `_with_session`.
    """
    method = cast("MethodType", call)
    owner: Any = method.__self__

    @wraps(call)
    async def recorded(*arguments: P.args, **named: P.kwargs) -> APIResponse[T]:
        session = Recording(owner._session)
        value: T = await getattr(owner._with_session(session), method.__name__)(*arguments, **named)
        response = session.last
        if response is None:
            raise UsageError(f"{owner!r}.{method.__name__} sent no request", consequence="")
        return APIResponse(value, response.status, response.headers, response.content)

    return recorded


class Streaming(Session):
    """A session for one call, whose file is not read but opened."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session.transport, session.tokens, session.drift, session.options)

    async def file(
        self,
        operation: Operation,
        path: tuple[int | str, ...],
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
    ) -> Any:
        """The context manager of the response, instead of the file's content."""
        return self.stream(operation, path_of(operation, path), query_of(operation, query))


def with_streaming_response(
    call: Callable[P, Awaitable[bytes]],
) -> Callable[P, AbstractAsyncContextManager[StreamedResponse]]:
    """A method of a resource that opens a file, to be read piece by piece, instead of returning its content.

    Args:
        call: A bound coroutine method that returns the content, and sends no body.
    """
    method = cast("MethodType", call)
    owner: Any = method.__self__

    @wraps(call)
    @asynccontextmanager
    async def streamed(*arguments: P.args, **named: P.kwargs) -> AsyncGenerator[StreamedResponse]:
        streaming = owner._with_session(Streaming(owner._session))
        async with await getattr(streaming, method.__name__)(*arguments, **named) as response:
            yield response

    return streamed


class WithResponse:
    """The methods of a resource that return one result, each returning an `APIResponse`."""

    if not TYPE_CHECKING:  # the type checker knows the methods

        def __getattr__(self, name: str) -> Any:
            msg = (
                f"{type(self).__name__} has no {name!r}: it has the methods that return one result. Lists and bulk writes "
                "send several requests, so they have no single response"
            )
            raise AttributeError(msg)
