"""The ASGI application: a request's way from token, route and query to an answer in JSON."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount

from kantata_client.sandbox import _contract, _operations, _query
from kantata_client.sandbox._errors import Refusal, bad_request, not_found, unauthorized
from kantata_client.sandbox._exports import Document
from kantata_client.sandbox._files import form_of
from kantata_client.sandbox._relations import Scope

if TYPE_CHECKING:
    from collections import deque

    from starlette.types import Receive, Send
    from starlette.types import Scope as ASGIScope

    from kantata_client.sandbox._oauth import OAuthServer
    from kantata_client.sandbox._store import Store


class RecordedRequest(NamedTuple):
    """A request that has reached the sandbox, without its headers: they carry the token."""

    method: str
    path: str
    """Below the base path, such as `/stories/7`."""
    query: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    """Of the answer, which a fault may have kept back; 0 when there is none."""
    request_id: str

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class API:
    """The routes of the contract, below the base path."""

    def __init__(self, store: Store, oauth: OAuthServer, log: deque[RecordedRequest]) -> None:
        """Serve `store`; `oauth` knows whose each token is, `log` takes what was answered."""
        self._store = store
        self._oauth = oauth
        self._log = log
        self._lock = threading.Lock()  # the server's thread and in-process clients may share one store

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        path = "/" + scope["path"].removeprefix(scope.get("root_path", "")).strip("/")
        with self._lock:
            response = self._answer(request, path, body)
        request_id = str(uuid.uuid4())
        response.headers["x-request-id"] = request_id
        query = tuple(request.query_params.multi_items())
        self._log.append(RecordedRequest(request.method, path, query, body, response.status_code, request_id))
        await response(scope, receive, send)

    def _answer(self, request: Request, path: str, body: bytes) -> Response:
        try:
            viewer = self._viewer(request)
            route = _contract.find_route(request.method, path)
            if route is None:
                methods = ", ".join(_contract.methods_of(path))
                hint = f"The path takes {methods}." if methods else "The contract has no such path."
                raise not_found(f"No route {request.method} {path}. {hint}")
            query = _query.parse(route.operation, request.query_params.multi_items())
            self._store.files.origin = f"{request.url.scheme}://{request.url.netloc}"
            with self._store.all_or_nothing():
                answer = _operations.perform(
                    Scope(self._store, viewer),
                    route.operation,
                    route.parameters,
                    query,
                    _decoded(request, body),
                )
        except Refusal as refusal:
            return _json(refusal.status, {"errors": refusal.errors})
        if isinstance(answer, Document):
            return Response(answer.content, 200, media_type=answer.media_type)
        return Response(status_code=204) if answer is None else _json(200, answer)

    def _viewer(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        viewer = self._oauth.viewer(token.strip()) if scheme.lower() == "bearer" else None
        if viewer is None:
            raise unauthorized()
        return viewer


def make_app(store: Store, oauth: OAuthServer, log: deque[RecordedRequest]) -> Starlette:
    """The whole application: the API under its base path, the authorization server, and the CDN."""
    return Starlette(
        routes=[
            Mount(_contract.BASE_PATH, app=API(store, oauth, log)),
            *oauth.routes(),
            *store.files.routes(),
        ],
        exception_handlers={404: _no_page},
    )


async def _no_page(request: Request, exception: Exception) -> Response:
    message = f"Nothing is served at {request.url.path}; the API is below {_contract.BASE_PATH}."
    return _json(404, {"errors": not_found(message).errors})


def _decoded(request: Request, body: bytes) -> Any:
    if not body:
        return None
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind == "multipart/form-data":
        try:
            return form_of(request.headers["content-type"], body)
        except ValueError as error:
            raise bad_request(f"The body is no multipart form: {error}.") from error
    if kind != "application/json":
        return body
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise bad_request(f"The body is not JSON: {error}.") from error


def _json(status: int, content: Any) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
