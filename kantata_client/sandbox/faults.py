"""Fault injection: failures between a client and the service, before or after a write is committed."""

from __future__ import annotations

import random
import socket
import struct
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast

import anyio
import attrs
import httpx
import msgspec

from kantata_client._lazy import resolvable
from kantata_client.errors import UsageError
from kantata_client.sandbox.refusals import RATE_LIMITED
from kantata_client.sandbox.schema import BASE_PATH, CONTROL_PATH

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncIterator, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from kantata_client.sandbox.asgi import RecordedRequest

Kind = Literal["reset", "timeout", "cut", "status", "refuse", "latency"]

_SAID = {
    429: RATE_LIMITED,
    500: "Something went wrong.",
    503: "The service is unavailable.",
}
_GATEWAY = {502: "Bad Gateway", 504: "Gateway Time-out"}
"""Statuses that come from the gateway in front of the service, as an HTML page."""


class When(TypedDict, total=False):
    """Which requests a fault applies to."""

    method: str
    """Such as `POST`. Default: every method."""
    path: str
    """Prefix of the path below the base path, such as `/time_entries`. Default: every path."""
    times: int | None
    """How many requests fail; None for all. Default: 1."""
    after: int
    """How many matching requests succeed first."""
    chance: float
    """Probability that a matching request fails, drawn from the seeded generator."""


_SETTINGS: Mapping[str, tuple[tuple[type, ...], Callable[[Any], bool], str]] = {
    "committed": ((bool,), lambda value: True, "true or false"),
    "code": ((int,), lambda value: value == 0 or 400 <= value <= 599, "a status from 400 to 599"),
    "seconds": ((int, float), lambda value: 0 <= value <= 1e6, "a number of seconds"),
    "method": ((str, type(None)), lambda value: True, "an HTTP method"),
    "path": ((str,), lambda value: True, "a path"),
    "times": ((int, type(None)), lambda value: value is None or value >= 0, "a number of requests, or None"),
    "after": ((int,), lambda value: value >= 0, "a number of requests"),
    "chance": ((int, float), lambda value: 0 <= value <= 1, "from 0 to 1"),
}
"""Setting → its types, whether a value of these types is valid, and how to describe a valid one."""


@attrs.define(eq=False)
class Fault:
    """An injected fault."""

    kind: Kind
    committed: bool = False
    """Whether the request is carried out before it fails."""
    code: int = 0
    seconds: float = 0.0
    bad: Callable[[dict[str, Any]], bool] | None = None
    message: str = ""
    with_index: bool = True
    method: str | None = None
    path: str = "/"
    times: int | None = 1
    after: int = 0
    chance: float = 1.0
    hits: int = 0
    """How many requests it has hit."""

    def __attrs_post_init__(self) -> None:
        for name, (kinds, holds, words) in _SETTINGS.items():
            value = getattr(self, name)
            fits = isinstance(value, kinds) and isinstance(value, bool) == (bool in kinds)
            if not fits or not holds(value):
                raise UsageError(f"`{name}` must be {words}, got {value!r}.", consequence="")
        if self.method is not None:
            self.method = self.method.upper()
        if not self.path.startswith("/") or self.path.startswith(BASE_PATH):
            raise UsageError(
                f"`path` must be below {BASE_PATH} and start with a slash, such as '/time_entries', got {self.path!r}.",
                consequence="",
            )

    def matches(self, method: str, path: str) -> bool:
        """Whether it applies to a request."""
        return self.method in (None, method) and path.startswith(self.path)


@attrs.define
class _Plan:
    """The faults that apply to one request."""

    latency: float = 0.0
    fault: Fault | None = None
    refusal: list[dict[str, Any]] = attrs.Factory(list[dict[str, Any]])


class Broken(Exception):  # noqa: N818 - not an error of the program
    """A broken connection, for a client in the same process, where no connection exists."""

    def __init__(self, kind: Kind, status: int = 0, headers: Any = (), body: bytes = b"") -> None:
        super().__init__(kind)
        self.kind = kind
        self.status = status
        self.headers = headers
        self.body = body


@resolvable
class Faults:
    """The faults of a sandbox, which has none at first.

    The first fault that matches a request hits it; latencies add to it.
    """

    def __init__(self, log: deque[RecordedRequest], seed: int = 0) -> None:
        self.random = random.Random(seed)
        """Draws the `chance` of faults; after `random.seed(7)` the same requests in the same order meet the same faults."""
        self.hits: Counter[str] = Counter()
        """Number of hits by kind of fault; a plus, as in `reset+`, marks faults after the request was carried out."""
        self._log = log
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Faults: {len(self._faults)} active, {sum(self.hits.values())} hits>"

    def reset(self, *, committed: bool = False, **when: Unpack[When]) -> Fault:
        """Reset the connection instead of answering."""
        return self._add(Fault("reset", committed, **when))

    def timeout(self, *, committed: bool = False, **when: Unpack[When]) -> Fault:
        """Never answer."""
        return self._add(Fault("timeout", committed, **when))

    def cut(self, **when: Unpack[When]) -> Fault:
        """Carry the request out, and truncate the response."""
        return self._add(Fault("cut", True, **when))

    def status(self, code: int, *, committed: bool = False, **when: Unpack[When]) -> Fault:
        """Respond with an error: 429, 500 and 503 in the format of the API, 502 and 504 in that of a gateway."""
        return self._add(Fault("status", committed, code, **when))

    def refuse(
        self,
        item: Callable[[dict[str, Any]], bool],
        *,
        message: str = "is not accepted.",
        with_index: bool = True,
        **when: Unpack[When],
    ) -> Fault:
        """Refuse bodies with a 422 if `item` returns true for one of their objects.

        Args:
            item: Called with each object in a body.
            message: The error message.
            with_index: Whether the errors name the index of each refused object.
            when: Which requests it applies to. `times` defaults to None: all that match.
        """
        when.setdefault("times", None)
        return self._add(Fault("refuse", bad=item, message=message, with_index=with_index, **when))

    def latency(self, seconds: float, **when: Unpack[When]) -> Fault:
        """Delay requests by some seconds; `times` defaults to None: all that match."""
        when.setdefault("times", None)
        return self._add(Fault("latency", seconds=seconds, **when))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def plan(self, method: str, path: str, body: bytes) -> _Plan:
        """The faults that apply to a request, which count as hits."""
        plan = _Plan()
        with self._lock:
            for fault in self._faults:
                if plan.fault is not None and fault.kind != "latency":
                    continue
                if not fault.matches(method, path) or (fault.times is not None and fault.hits >= fault.times):
                    continue
                if fault.after:
                    fault.after -= 1
                    continue
                if fault.chance < 1 and self.random.random() >= fault.chance:
                    continue
                if fault.kind == "refuse":
                    plan.refusal = _refusals(fault, body)
                    if not plan.refusal:
                        continue
                if fault.kind == "latency":
                    plan.latency += fault.seconds
                else:
                    plan.fault = fault
                fault.hits += 1
                self.hits[fault.kind + ("+" if fault.committed else "")] += 1
        return plan

    def around(self, app: ASGIApp) -> ASGIApp:
        """Wrap the application with the faults."""

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            controlled = scope["path"] == "/" or scope["path"].startswith(CONTROL_PATH)
            if not self._faults or scope["type"] != "http" or controlled:
                await app(scope, receive, send)
                return
            body = await _body(receive)
            if body is None:
                return
            path = "/" + scope["path"].removeprefix(BASE_PATH).strip("/")
            plan = self.plan(scope["method"], path, body)
            if plan.latency:
                await anyio.sleep(plan.latency)
            if plan.fault is None:
                await app(scope, _replayed(body, receive), send)
            else:
                await self._strike(plan, app, scope, path, body, receive, send)

        return faulty

    async def _strike(
        self, plan: _Plan, app: ASGIApp, scope: Scope, path: str, body: bytes, receive: Receive, send: Send
    ) -> None:
        fault = cast("Fault", plan.fault)
        answer = _Answer()
        if fault.committed:
            await app(scope, _replayed(body, receive), answer.take)
        elif fault.kind == "status":
            answer = _failure(fault.code)
        elif fault.kind == "refuse":
            answer = _json(422, plan.refusal)
        if not fault.committed:
            self._record(scope, path, body, answer)
        elif fault.kind == "status":
            answer = _failure(fault.code)
        if fault.kind in ("status", "refuse"):
            await answer.give(send)
            return
        # uvicorn's `send` knows its connection; in process there is no connection.
        connection: Any = getattr(getattr(send, "__self__", None), "transport", None)
        if connection is None:
            raise Broken(fault.kind, answer.status, answer.headers, answer.body)
        if fault.kind == "reset":
            _reset(connection)
        elif fault.kind == "cut":
            await answer.give(send, half=True)
            connection.close()
        while (await receive())["type"] != "http.disconnect":
            pass

    def _record(self, scope: Scope, path: str, body: bytes, answer: _Answer) -> None:
        from kantata_client.sandbox.asgi import RecordedRequest

        query = tuple(httpx.QueryParams(scope["query_string"].decode()).multi_items())
        request_id = next((value.decode() for name, value in answer.headers if name == b"x-request-id"), "")
        self._log.append(RecordedRequest(scope["method"], path, query, body, answer.status, request_id))


class FaultyTransport(httpx.AsyncBaseTransport):
    """Talks to the sandbox in the same process, where broken connections are httpx's exceptions."""

    def __init__(self, app: ASGIApp) -> None:
        self._inner = httpx.ASGITransport(app=cast("Any", app))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the application."""
        try:
            return await self._inner.handle_async_request(request)
        except Broken as broken:
            end = broken
        if end.kind == "timeout":
            seconds = request.extensions.get("timeout", {}).get("read")
            await (anyio.sleep_forever() if seconds is None else anyio.sleep(seconds))
            raise httpx.ReadTimeout("the sandbox does not answer", request=request)
        if end.kind == "cut":
            return httpx.Response(
                end.status, headers=end.headers, stream=_CutStream(end.body), request=request
            )
        raise httpx.ReadError("the sandbox reset the connection", request=request)


class _CutStream(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.RemoteProtocolError("the sandbox cut the answer off")


class _Answer:
    """An answer that is not sent yet; status 0 stands for no answer."""

    def __init__(
        self, status: int = 0, headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b""
    ) -> None:
        self.status = status
        self.headers = headers or []
        self.body = body

    async def take(self, message: Message) -> None:
        """Receive what an application sends."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    async def give(self, send: Send, *, half: bool = False) -> None:
        """Send it, or its beginning; an empty one is cut within its headers' promise of a body."""
        headers = self.headers
        if half and not self.body:
            headers = [pair for pair in headers if pair[0] != b"content-length"] + [(b"content-length", b"2")]
        status = 200 if half and self.status == 204 else self.status
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = self.body[: len(self.body) // 2] if half else self.body
        await send({"type": "http.response.body", "body": body, "more_body": half})


def _failure(code: int) -> _Answer:
    if code in _GATEWAY:
        page = f"<html><head><title>{code} {_GATEWAY[code]}</title></head><body></body></html>".encode()
        headers = [(b"content-type", b"text/html"), (b"content-length", str(len(page)).encode())]
        return _Answer(code, headers, page)
    return _json(code, [{"type": "system", "message": _SAID.get(code, "This is an injected fault.")}])


def _json(status: int, errors: list[dict[str, Any]]) -> _Answer:
    body = msgspec.json.encode({"errors": errors})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", str(uuid.uuid4()).encode()),
    ]
    return _Answer(status, headers, body)


def _refusals(fault: Fault, body: bytes) -> list[dict[str, Any]]:
    try:
        decoded: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return []
    values: list[Any] = list(cast("dict[str, Any]", decoded).values()) if isinstance(decoded, dict) else []
    errors: list[dict[str, Any]] = []
    for value in values:
        rows = cast("list[Any]", value if isinstance(value, list) else [value])
        for index, row in enumerate(rows):
            if isinstance(row, dict) and fault.bad is not None and fault.bad(cast("dict[str, Any]", row)):
                prefix = f"Item {index}: " if fault.with_index and isinstance(value, list) else ""
                errors.append({"type": "validation", "message": f"{prefix}{fault.message}", "field": "base"})
    return errors if fault.with_index else errors[:1]


async def _body(receive: Receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _reset(connection: Any) -> None:
    """Close with a TCP reset: what is not sent yet is thrown away."""
    plain = connection.get_extra_info("socket")
    if plain is not None and plain.fileno() != -1:  # the client may be gone already
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.abort()
