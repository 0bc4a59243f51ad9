"""Performing operations: arguments in, objects out. What a client and its `with_token` copies do not share is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from kantata_client._arguments import body_of, form_of, path_of, query_of, wrapped
from kantata_client._envelope import decode_array, decode_envelope, decode_object, malformed
from kantata_client._http import Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kantata_client._auth import TokenProvider
    from kantata_client._drift import Drift
    from kantata_client._envelope import Decoded
    from kantata_client._http import Form, Response
    from kantata_client._model import Model
    from kantata_client._operation import Operation
    from kantata_client._transport import Transport

M = TypeVar("M", bound="Model")


class Session:
    """One user's way to the service."""

    __slots__ = ("drift", "tokens", "transport")

    def __init__(self, transport: Transport, tokens: TokenProvider, drift: Drift) -> None:
        self.transport = transport
        self.tokens = tokens
        self.drift = drift

    @property
    def base_url(self) -> str:
        return self.transport.base_url

    async def perform(
        self,
        operation: Operation,
        path: tuple[int | str, ...] = (),
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Response:
        """Check the arguments, send the operation, return the answer.

        Raises:
            UsageError: An argument is wrong; nothing was sent.
            KantataError: What `Transport.send` raises.
        """
        below = path_of(operation, path)
        pairs = query_of(operation, query or {})
        if body is None or operation.body is None:
            return await self.send(operation, below, pairs)
        if operation.body.multipart:
            return await self.send(operation, below, pairs, form=form_of(operation, body))
        return await self.send(operation, below, pairs, wrapped(operation, body_of(operation, body)))

    async def send(
        self,
        operation: Operation,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        form: Form | None = None,
    ) -> Response:
        """Send an operation whose parts are ready."""
        from msgspec.json import encode

        request = Request(
            operation.method,
            self.base_url + path,
            query=query,
            content=None if body is None else encode(body),
            form=form,
            operation=operation.id,
            own_limit=operation.own_rate_limit,
        )
        return await self.transport.send(request, self.tokens)

    async def one(
        self,
        operation: Operation,
        cls: type[M],
        path: tuple[int | str, ...],
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
    ) -> M:
        """The single object that an operation answers with."""
        response = await self.perform(operation, path, query, body)
        if operation.alternative and body and body.get(operation.alternative[0]):
            from kantata_client import models

            cls = getattr(models, operation.alternative[1])
            return decode_object(response.content, cls, operation, response.request_id, self.drift)
        if operation.result in ("object", "keyed"):
            return decode_object(response.content, cls, operation, response.request_id, self.drift)
        found = self.read(response, operation, cls, query).items
        if not found:
            malformed("one result was expected, but there is none", operation, response.request_id)
        return found[0]

    async def many(
        self,
        operation: Operation,
        cls: type[M],
        path: tuple[int | str, ...],
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
    ) -> list[M]:
        """All objects that an operation answers with."""
        response = await self.perform(operation, path, query, body)
        return self.read(response, operation, cls, query).items

    def read(
        self, response: Response, operation: Operation, cls: type[M], query: Mapping[str, Any]
    ) -> Decoded[M]:
        """The objects in an answer."""
        if operation.result == "array":
            return decode_array(response.content, cls, operation, response.request_id, self.drift)
        return decode_envelope(
            response.content, cls, operation, asked_for(query), response.request_id, self.drift
        )


def asked_for(query: Mapping[str, Any]) -> frozenset[str]:
    """The associations that a call's `include` asks for."""
    include = query.get("include")
    if not include:
        return frozenset()
    return (
        frozenset(part.strip() for part in include.split(","))
        if isinstance(include, str)
        else frozenset(include)
    )
