"""Records a real service through a proxy, replays the recording, and reports where the service differs from the sandbox."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, quote, urlsplit

import attrs
import httpx
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from kantata_client._http.addresses import loopback
from kantata_client.errors import UsageError
from kantata_client.sandbox import schema, seeds
from kantata_client.sandbox.gaps import Gaps
from kantata_client.sandbox.refusals import not_emulated
from kantata_client.sandbox.relations import blank

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from starlette.types import Receive, Send
    from starlette.types import Scope as ASGIScope

    from kantata_client.sandbox.facade import Sandbox

_FORWARDED = ("authorization", "content-type", "content-encoding", "accept")
_RETURNED = ("content-type", "x-request-id", "location", "retry-after")
_ENVELOPE = frozenset({"count", "meta", "results"})
_TIMEOUT = 185.0
"""Seconds; the service gives up after 3 minutes."""

_SECRET = re.compile(
    r"token|secret|password|signature|authorization|api_?key|credential|policy|cookie|session|access_?key|bearer|jwt"
    r"|(^|\W)(code|assertion|pin|otp)\W*$",
    re.IGNORECASE,
)
_REDACTED = "REDACTED"
_PERSONAL = frozenset(
    {
        "full_name",
        "display_label",
        "email",
        "email_address",
        "phone_number",
        "headline",
        "bio",
        "city",
        "website",
    }
)
_INNERMOST = re.compile(r"^.*\[(\w+)\](?:\[\])?$")
"""The innermost name in the name of a form's field, such as `user[email_address]`."""
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


@attrs.frozen
class Exchange:
    """A recorded request with its response, redacted. Headers are not recorded."""

    method: str
    path: str
    """Below the base path."""
    query: tuple[tuple[str, str], ...]
    body: Any
    status: int
    answer: Any
    """The decoded JSON; None for any other content."""
    omitted: bool = False
    """Whether the response had other content than JSON, which is not kept."""


class Redactor:
    """Replaces secrets and personal data. The same value gets the same replacement."""

    def __init__(self, *, alike: bool = False) -> None:
        """With `alike`, all personal data are replaced by the same, as needed to compare a request with a recorded one."""
        self._known: dict[str, str] = {}
        self._alike = alike

    def value(self, value: Any, field: str = "") -> Any:
        """A JSON value without secrets and personal data.

        Args:
            value: The value.
            field: The name of the property that contains it.
        """
        secret = _SECRET.search(field) is not None
        if isinstance(value, dict):
            return {
                name: self.value(inner, field if secret else name)
                for name, inner in cast("dict[str, Any]", value).items()
            }
        if isinstance(value, list):
            return [self.value(inner, field) for inner in cast("list[Any]", value)]
        if value is None or value == "" or isinstance(value, bool):
            return value
        if secret:
            return _REDACTED
        if not isinstance(value, str):
            return value
        field = _INNERMOST.sub(r"\1", field)
        if field in _PERSONAL:
            return self._replacement(
                value, f"{field} {{}}" if "email" not in field else "person-{}@redacted.example"
            )
        if value.startswith(("http://", "https://")):
            return value.partition("?")[0]  # signed addresses
        return _EMAIL.sub(lambda found: self._replacement(found[0], "person-{}@redacted.example"), value)

    def _replacement(self, value: str, form: str) -> str:
        if self._alike:
            return form.format(0)
        return self._known.setdefault(value, form.format(len(self._known) + 1))


class Recorder:
    """An ASGI application that forwards requests to a service and records the exchanges.

    The token of the client is forwarded to the service, and neither recorded nor kept.
    """

    def __init__(
        self,
        target: str,
        cassette: str | Path,
        *,
        compare: Sandbox | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Record.

        Args:
            target: The base URL of the service, such as `https://api.mavenlink.com/api/v1`.
            cassette: The file that exchanges are added to, one in each line, as JSON.
            compare: A sandbox to compare the service with. It learns the records that the service sends.
            transport: Sends the requests; by default httpx's own.

        Raises:
            UsageError: The target is neither https:// nor on this machine, or the file can't be written.
        """
        parts = urlsplit(target)
        if not parts.hostname or (
            parts.scheme != "https" and not (parts.scheme == "http" and loopback(parts.hostname))
        ):
            raise UsageError(
                f"{target} can't be recorded: it must start with https://, since the token is sent there.",
                consequence="",
            )
        self.differences = Gaps()
        """Where the service differs from the sandbox, each difference once."""
        self._target = target.rstrip("/")
        self._file = Path(cassette)
        self._compare = compare
        self._transport = transport
        self._redactor = Redactor()
        self._lock = threading.Lock()
        try:
            self._file.touch(0o600)
            self._file.chmod(0o600)
            _drop_unfinished(self._file)
        except OSError as error:
            raise UsageError(f"{cassette} can't be written: {error.strerror}.", consequence="") from error

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Forward one request."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        if not scope["path"].startswith(f"{schema.BASE_PATH}/"):
            message = f"Nothing is served at {scope['path']}; the API is below {schema.BASE_PATH}."
            await Response(message, 404)(scope, receive, send)
            return
        path = "/" + scope["path"].removeprefix(schema.BASE_PATH).strip("/")
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=_TIMEOUT) as client:
                answer = await client.request(
                    request.method,
                    f"{self._target}{quote(path)}",
                    params=tuple(request.query_params.multi_items()),
                    content=body,
                    headers=headers,
                )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            await Response(f"The service can't be reached: {type(error).__name__}.", 502)(
                scope, receive, send
            )
            return
        exchange = Exchange(
            request.method,
            path,
            tuple(request.query_params.multi_items()),
            _sent(request.headers.get("content-type"), body),
            answer.status_code,
            _decoded(answer.content),
            omitted=bool(answer.content.strip()) and not _is_json(answer.content),
        )
        self._write(exchange, request.headers.get("authorization", "").partition(" ")[2].strip())
        if self._compare is not None:
            await self._note(exchange, self._compare)
        kept = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
        await Response(answer.content, answer.status_code, kept)(scope, receive, send)

    async def _note(self, exchange: Exchange, sandbox: Sandbox) -> None:
        """Note where the service differs; an answer that can't be compared must not keep it from the client."""
        try:
            lines = await differences(exchange, sandbox)
        except Exception as error:  # noqa: BLE001 - the service may send anything
            lines = [f"{exchange.method} {exchange.path}: can't be compared ({type(error).__name__})."]
        for line in lines:
            self.differences.note(line)

    def _write(self, exchange: Exchange, token: str) -> None:
        clean = self._redactor.value
        redacted = attrs.evolve(
            exchange,
            query=tuple((name, clean(value, name)) for name, value in exchange.query),
            body=clean(exchange.body),
            answer=clean(exchange.answer),
        )
        line = msgspec.json.encode(attrs.asdict(redacted))
        if token:  # wherever it is
            line = line.replace(msgspec.json.encode(token)[1:-1], _REDACTED.encode())
        with self._lock, self._file.open("ab") as file:
            file.write(line + b"\n")


def _drop_unfinished(cassette: Path) -> None:
    """Cut off the unfinished last line of a recorder that was killed."""
    content = cassette.read_bytes()
    finished = content.rfind(b"\n") + 1
    if finished < len(content):
        with cassette.open("r+b") as file:
            file.truncate(finished)


def load(cassette: str | Path) -> list[Exchange]:
    """The exchanges in a cassette, without the unfinished last line of a recorder that was killed.

    Raises:
        UsageError: The file can't be read, or is not a cassette.
    """
    try:
        *lines, unfinished = Path(cassette).read_bytes().split(b"\n")
        if unfinished and not lines:
            lines = [unfinished]
        return [_exchange(msgspec.json.decode(line)) for line in lines]
    except (OSError, ValueError, TypeError, KeyError, msgspec.DecodeError) as error:
        raise UsageError(f"The cassette {cassette} can't be read: {error}.", consequence="") from error


def _exchange(row: dict[str, Any]) -> Exchange:
    query = tuple((str(name), str(value)) for name, value in row["query"])
    omitted = bool(row.get("omitted"))
    return Exchange(row["method"], row["path"], query, row["body"], row["status"], row["answer"], omitted)


class Replay:
    """An ASGI application that answers from a cassette: equal requests in the order of the recording."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        """Answer with these exchanges; the last of equal ones is repeated."""
        self._answers: dict[Any, list[Exchange]] = {}
        self._lock = threading.Lock()
        for exchange in exchanges:
            key = _key(exchange.method, exchange.path, exchange.query, exchange.body)
            self._answers.setdefault(key, []).append(exchange)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        body = _sent(request.headers.get("content-type"), await request.body())
        path = "/" + scope["path"].removeprefix(schema.BASE_PATH).strip("/")
        key = _key(request.method, path, request.query_params.multi_items(), body)
        with self._lock:
            waiting = self._answers.get(key, [])
            found = waiting.pop(0) if len(waiting) > 1 else waiting[0] if waiting else None
        if found is None:
            errors = not_emulated(f"{request.method} {path}: the recording has no such request").errors
            found = Exchange(request.method, path, (), None, 501, {"errors": errors})
        elif found.omitted:
            errors = not_emulated(
                f"{request.method} {path}: the recording has no content that is not JSON"
            ).errors
            found = attrs.evolve(found, status=501, answer={"errors": errors})
        content = b"" if found.answer is None else msgspec.json.encode(found.answer)
        await Response(content, found.status, media_type="application/json")(scope, receive, send)


async def differences(exchange: Exchange, sandbox: Sandbox) -> list[str]:
    """Where a service differs from a sandbox in its response to a GET.

    Compared are the status, the keys of the envelope, the order of common results, and the fields of common objects with
    their types.

    Args:
        exchange: The request and the service's response, not redacted.
        sandbox: Learns the records in the response, and answers the same request.
    """
    route = schema.find_route(exchange.method, exchange.path)
    if exchange.method != "GET" or route is None:
        return []
    name = route.operation.id
    theirs: Any = exchange.answer
    if exchange.status == 200:
        _learn(sandbox, _object(theirs))
    headers = {"authorization": f"Bearer {sandbox.token}"}
    app = cast("Any", sandbox.app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), headers=headers) as client:
        url = f"http://127.0.0.1{schema.BASE_PATH}{exchange.path}"
        response = await client.get(url, params=exchange.query)
    own = _decoded(response.content)
    if response.status_code != exchange.status:
        return [
            f"{name}: the service answers {exchange.status}, the sandbox {response.status_code}{_reason(own)}"
        ]
    types = _type(theirs), _type(own)
    if types[0] != types[1]:
        return [f"{name}: the service answers {types[0]}, the sandbox {types[1]}."]
    if exchange.status != 200:
        return []
    return [f"{name}: {line}" for line in _compared(_object(theirs), _object(own))]


def _reason(answer: Any) -> str:
    errors: Any = cast("dict[str, Any]", answer).get("errors") if isinstance(answer, dict) else None
    return f": {errors[0].get('message')}" if errors else "."


def _learn(sandbox: Sandbox, answer: Mapping[str, Any]) -> None:
    known_keys = seeds.keys()
    for key, objects in answer.items():
        if key in _ENVELOPE or key not in known_keys or not isinstance(objects, dict):
            continue
        for identity, shown in cast("dict[str, Any]", objects).items():
            if isinstance(shown, dict):
                held = sandbox.store.get(key, identity) or {}
                fields = {
                    field: value
                    for field, value in cast("dict[str, Any]", shown).items()
                    if seeds.known(key, field)
                }
                sandbox.store.put(key, {**blank(key), **held, **fields, "id": identity})


def _compared(theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    yield from _keys("the envelope", theirs, ours)
    yield from _keys("`meta`", _object(theirs.get("meta")), _object(ours.get("meta")))
    results = [_references(answer.get("results")) for answer in (theirs, ours)]
    common = set(results[0]) & set(results[1])
    if [row for row in results[0] if row in common] != [row for row in results[1] if row in common]:
        yield "the results are in a different order."
    for key in sorted(theirs.keys() & ours.keys() - _ENVELOPE):
        one, other = _object(theirs[key]), _object(ours[key])
        for identity in one.keys() & other.keys():
            yield from _keys(f"an object in `{key}`", _object(one[identity]), _object(other[identity]))
            yield from _types(key, _object(one[identity]), _object(other[identity]))


def _references(results: Any) -> list[str]:
    """The key and the id of each result; what is not a reference is left out."""
    rows = cast("list[Any]", results) if isinstance(results, list) else []
    return [f"{row['key']} {row['id']}" for row in map(_object, rows) if {"key", "id"} <= row.keys()]


def _object(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one in the place of anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _keys(what: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(theirs.keys() - ours.keys()):
        yield f"{what} has `{name}` only from the service."
    for name in sorted(ours.keys() - theirs.keys()):
        yield f"{what} has `{name}` only from the sandbox."


def _types(key: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(theirs.keys() & ours.keys()):
        one, other = (_type(value) for value in (theirs[name], ours[name]))
        if None not in (one, other) and one != other:
            yield f"`{name}` in `{key}` is {one} from the service, {other} from the sandbox."


def _type(value: Any) -> str | None:
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return next((name for kind, name in names.items() if isinstance(value, kind)), None)


def _key(method: str, path: str, query: Iterable[tuple[str, str]], body: Any) -> Any:
    """What equal requests have in common, whether they are redacted or not."""
    clean = Redactor(alike=True).value
    masked = sorted((name, clean(value, name)) for name, value in query)
    return method, path, tuple(masked), msgspec.json.encode(clean(body), order="sorted")


def _sent(kind: str | None, content: bytes) -> Any:
    """The body of a request: JSON, the fields of a form, or what identifies any other content."""
    media = (kind or "").partition(";")[0].strip().lower()
    if not content or _is_json(content):
        return _decoded(content)
    if media == "application/x-www-form-urlencoded":
        fields: dict[str, list[str]] = {}
        for name, value in parse_qsl(content.decode(errors="replace"), keep_blank_values=True):
            fields.setdefault(name, []).append(value)
        return {"form": fields}
    if media == "multipart/form-data":
        return {"multipart": len(content)}  # the boundary differs each time
    return {"sha256": hashlib.sha256(content).hexdigest()}


def _is_json(content: bytes) -> bool:
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _decoded(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content) if content else None
    except (msgspec.DecodeError, RecursionError):
        return None
