"""Performing operations: arguments in, objects out. A client and its copies each have a session of their own."""

from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from kantata_client._calls.arguments import bare_body_of, body_of, form_of, path_of, query_of, wrapped
from kantata_client.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping, Sequence
    from types import ModuleType

    from kantata_client._calls.call_options import CallOptions
    from kantata_client._calls.drift import Drift
    from kantata_client._calls.envelope import Decoded
    from kantata_client._contract import Operation
    from kantata_client._http.messages import Form, Request, Response
    from kantata_client._http.tokens import TokenProvider
    from kantata_client._http.transport import StreamedResponse, Transport
    from kantata_client._objects.model import Model

M = TypeVar("M", bound="Model")

_NOTHING: Mapping[str, Any] = {}
_ANY_CONTENT: Mapping[str, str] = {"accept": "*/*", "accept-encoding": "identity"}


class Session:
    """The token, options and transport of a client, and how it performs operations with them."""

    __slots__ = ("drift", "options", "tokens", "transport")

    def __init__(
        self, transport: Transport, tokens: TokenProvider, drift: Drift, options: CallOptions | None = None
    ) -> None:
        self.transport = transport
        self.tokens = tokens
        self.drift = drift
        self.options = options
        """The options of a copy made by `with_options`."""

    @property
    def base_url(self) -> str:
        return self.transport.base_url

    async def perform(
        self,
        operation: Operation,
        path: tuple[int | str, ...] = (),
        query: Mapping[str, Any] = _NOTHING,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[Response, frozenset[str]]:
        """Check the arguments and send the operation.

        Returns:
            The response, and the associations and optional fields that the request asked for.

        Raises:
            UsageError: An argument is invalid; nothing was sent.
            KantataError: As for `Transport.send`.
        """
        below, sent = path_of(operation, path), query_of(operation, query)
        if body is None:
            response = await self.send(operation, below, sent)
        elif operation.body is None:
            response = await self.send(operation, below, sent, bare_body_of(operation, body))
        elif operation.body.multipart:
            response = await self.send(operation, below, sent, form=form_of(operation, body))
        else:
            response = await self.send(operation, below, sent, wrapped(operation, body_of(operation, body)))
        return response, requested_by(sent)

    def send(
        self,
        operation: Operation,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        form: Form | None = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """Send a request whose parts are ready.

        Args:
            operation: The operation.
            path: Below the base URL.
            query: Names and values as they are sent.
            body: A value to send as JSON.
            form: A multipart form, instead of `body`.
            content: An encoded body, instead of `body`.
            headers: In addition to those of the session's options.
        """
        request = self._request(
            operation,
            path,
            query=query,
            content=content if body is None else _encoded(body),
            form=form,
            headers=headers,
        )
        if self.options is None:
            return self.transport.send(request, self.tokens)
        return self._send_within(self.options, request)

    async def _send_within(self, options: CallOptions, request: Request) -> Response:
        """Send a request within the concurrency that the options allow."""
        async with options.limit():
            return await self.transport.send(request, self.tokens)

    @asynccontextmanager
    async def stream(
        self,
        operation: Operation,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Send a request, and read the response piece by piece, not compressed for the transfer."""
        own = _NOTHING if self.options is None else self.options.headers
        request = self._request(
            operation, path, query=query, headers={**_ANY_CONTENT, **own, **(headers or {})}
        )
        async with (
            nullcontext() if self.options is None else self.options.limit(),
            self.transport.stream(request, self.tokens) as response,
        ):
            yield response

    def _request(
        self,
        operation: Operation,
        path: str,
        *,
        query: Sequence[tuple[str, str]],
        content: bytes | None = None,
        form: Form | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        request = _request_class()(
            operation.method,
            self.base_url + path,
            query=query,
            content=content,
            form=form,
            headers=headers,
            operation=operation.id,
            action=operation.action,
            own_limit=operation.own_rate_limit,
            paged=operation.result == "page",
        )
        return request if self.options is None else self.options.applied(request)

    async def one(
        self,
        operation: Operation,
        cls: type[M],
        path: tuple[int | str, ...],
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
    ) -> M:
        """Perform an operation that returns one object."""
        envelope = _envelope()
        response, requested = await self.perform(operation, path, query, body)
        try:
            if operation.alternative and body and body.get(operation.alternative[0]):
                from kantata_client import models

                cls = getattr(models, operation.alternative[1])
                return envelope.decode_object(
                    response.content, cls, operation, response.request_id, self.drift
                )
            if operation.result in ("object", "keyed"):
                return envelope.decode_object(
                    response.content, cls, operation, response.request_id, self.drift
                )
            found = self.read(response, operation, cls, requested).items
            if not found:
                envelope.malformed(
                    "one result was expected, but the response has none", operation, response.request_id
                )
        except envelope.NotJSONError as error:
            raise _located(error.of(response), operation, path) from None
        except MalformedResponseError as error:
            raise _located(error, operation, path) from None
        return found[0]

    async def file(
        self,
        operation: Operation,
        path: tuple[int | str, ...],
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
    ) -> bytes:
        """Perform an operation that returns a file."""
        response, _ = await self.perform(operation, path, query, body)
        return response.content

    async def many(
        self,
        operation: Operation,
        cls: type[M],
        path: tuple[int | str, ...],
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
    ) -> list[M]:
        """Perform an operation that returns several objects at once."""
        response, requested = await self.perform(operation, path, query, body)
        try:
            return self.read(response, operation, cls, requested).items
        except MalformedResponseError as error:
            raise _located(error, operation, path) from None

    def read(
        self, response: Response, operation: Operation, cls: type[M], requested: frozenset[str]
    ) -> Decoded[M]:
        """Decode the objects of a response."""
        envelope, request_id = _envelope(), response.request_id
        try:
            if operation.result == "array":
                return envelope.decode_array(response.content, cls, operation, request_id, self.drift)
            return envelope.decode_envelope(
                response.content, cls, operation, requested, request_id, self.drift
            )
        except envelope.NotJSONError as error:
            raise error.of(response) from None


# Imported by the first call and not at start-up. An import statement that is executed for each call would cost it more.


@cache
def _request_class() -> type[Request]:
    from kantata_client._http.messages import Request

    return Request


@cache
def _envelope() -> ModuleType:
    from kantata_client._calls import envelope

    return envelope


def _encoded(body: object) -> bytes:
    from msgspec.json import encode  # not at start-up

    return encode(body)


def _located(
    error: MalformedResponseError, operation: Operation, path: tuple[int | str, ...]
) -> MalformedResponseError:
    """The error with ids in its path, instead of the operation's placeholders."""
    below = path_of(operation, path)
    text = str(error).replace(operation.id, f"{operation.method} {below}", 1)
    return MalformedResponseError(text, method=operation.method, path=below, request_id=error.request_id)


def requested_by(query: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The associations and optional fields that a query asks for; no model has both under one name."""
    return frozenset(
        name for key, value in query if key in ("include", "optional_fields") for name in value.split(",")
    )
