"""The ASGI application: from token, route and query to a JSON response."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount

import kantata_client.sandbox.resources  # noqa: F401 - declares them  # pyright: ignore[reportUnusedImport]
from kantata_client.sandbox import forms, schema
from kantata_client.sandbox import query as queries
from kantata_client.sandbox.call import Document
from kantata_client.sandbox.refusals import Refusal, bad_request, not_found, too_many_requests, unauthorized
from kantata_client.sandbox.routes.dispatch import perform
from kantata_client.sandbox.scope import Scope
from kantata_client.sandbox.time_zones import writer
from kantata_client.sandbox.tolerance import tolerate

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable
    from datetime import tzinfo

    from starlette.routing import Route
    from starlette.types import Receive, Send
    from starlette.types import Scope as ASGIScope

    from kantata_client._contract import Operation
    from kantata_client.sandbox.authorization import OAuthServer
    from kantata_client.sandbox.gaps import Gaps
    from kantata_client.sandbox.rate_limits import RateLimits
    from kantata_client.sandbox.store import Store


@attrs.frozen
class RecordedRequest:
    """A request to the sandbox, without its headers, which carry the token."""

    method: str
    path: str
    """Below the base path, such as `/stories/7`."""
    query: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    """Status of the response, even if a fault withheld it; 0 without a response."""
    request_id: str

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class API:
    """The routes of the contract, below the base path."""

    def __init__(
        self,
        store: Store,
        oauth: OAuthServer,
        log: deque[RecordedRequest],
        gaps: Gaps,
        limits: RateLimits,
        *,
        strict: bool,
        zone: tzinfo | None = None,
    ) -> None:
        """Serve a store.

        Args:
            store: The records.
            oauth: Maps tokens to users.
            log: Receives every answered request.
            gaps: Records what a lenient sandbox ignores.
            limits: The rate limits.
            strict: Whether to refuse what the contract does not describe.
            zone: The zone of the times in responses; None for UTC.
        """
        self._written = None if zone is None else writer(zone)
        self._gaps = gaps
        self._limits = limits
        self._strict = strict
        self._store = store
        self._oauth = oauth
        self._log = log

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        path = "/" + scope["path"].removeprefix(scope.get("root_path", "")).strip("/")
        with self._store.lock:
            response = self._answer(request, path, body)
        request_id = str(uuid.uuid4())
        response.headers["x-request-id"] = request_id
        query = tuple(request.query_params.multi_items())
        self._log.append(RecordedRequest(request.method, path, query, body, response.status_code, request_id))
        await response(scope, receive, send)

    def _answer(self, request: Request, path: str, body: bytes) -> Response:
        try:
            viewer = self._viewer(request)
            route = schema.find_route(request.method, path)
            if route is None:
                methods = ", ".join(schema.methods_of(path))
                hint = f"The path takes {methods}." if methods else "The contract has no such path."
                raise not_found(f"No route {request.method} {path}. {hint}")
            if not self._limits.admit(route.operation):
                raise too_many_requests()
            pairs: list[tuple[str, str]] = request.query_params.multi_items()
            sent, default_filters = _decoded(request, body, route.operation), True
            if not self._strict:
                tolerated = tolerate(route.operation, pairs, sent, self._gaps)
                pairs, sent, default_filters = tolerated.pairs, tolerated.body, tolerated.default_filters
            query = queries.parse(route.operation, pairs, strict=self._strict)
            query = attrs.evolve(query, default_filters=default_filters)
            self._store.files.origin = f"{request.url.scheme}://{request.url.netloc}"
            self._store.author = viewer
            with self._store.all_or_nothing():
                answer = perform(
                    Scope(self._store, viewer, self._strict, self._gaps),
                    route.operation,
                    route.parameters,
                    query,
                    sent,
                )
        except Refusal as refusal:
            return _json(refusal.status, {"errors": refusal.errors})
        finally:
            self._store.author = None
        if isinstance(answer, Document):
            return Response(answer.content, 200, media_type=answer.media_type)
        if answer is None:
            return Response(status_code=204)
        content = msgspec.json.encode(answer)
        return _response(200, content if self._written is None else self._written(content))

    def _viewer(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        viewer = self._oauth.viewer(token.strip()) if scheme.lower() == "bearer" else None
        if viewer is None:
            raise unauthorized()
        return viewer


def make_app(
    store: Store,
    oauth: OAuthServer,
    log: deque[RecordedRequest],
    gaps: Gaps,
    limits: RateLimits,
    *,
    strict: bool,
    zone: tzinfo | None = None,
    control: Iterable[Route] = (),
) -> Starlette:
    """The whole application: the API under its base path, the authorization server, and the CDN."""
    return Starlette(
        routes=[
            Mount(schema.BASE_PATH, app=API(store, oauth, log, gaps, limits, strict=strict, zone=zone)),
            *oauth.routes(),
            *store.files.routes(),
            *control,
        ],
        exception_handlers={404: _no_page},
    )


async def _no_page(request: Request, exception: Exception) -> Response:
    message = f"Nothing is served at {request.url.path}; the API is below {schema.BASE_PATH}."
    return _json(404, {"errors": not_found(message).errors})


def _decoded(request: Request, body: bytes, operation: Operation) -> Any:
    if not body:
        return None
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    readers = {
        "multipart/form-data": lambda: forms.multipart(request.headers["content-type"], body),
        "application/x-www-form-urlencoded": lambda: forms.urlencoded(body),
    }
    if kind in readers:
        try:
            return forms.typed(forms.nested(readers[kind]()), operation.body)
        except ValueError as error:
            raise bad_request(f"The body can't be read as {kind}: {error}.") from error
    if kind != "application/json":
        return body
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {error}.") from error


def _json(status: int, content: Any) -> Response:
    return _response(status, msgspec.json.encode(content))


def _response(status: int, content: bytes) -> Response:
    return Response(content, status, media_type="application/json")
