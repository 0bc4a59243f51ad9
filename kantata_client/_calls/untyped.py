"""`Kantata.request` and `Kantata.stream`: requests that the contract lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from kantata_client._calls.arguments import is_id, untyped_body, untyped_query
from kantata_client._calls.call_options import headers_of
from kantata_client._calls.envelope import NotJSONError, decode
from kantata_client._contract import Operation
from kantata_client._http.addresses import misleading
from kantata_client._http.messages import File, Form
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from kantata_client._calls.session import Session
    from kantata_client._http.transport import StreamedResponse


async def request(
    session: Session,
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None,
    json: Any,
    content: bytes | str | None,
    data: Mapping[str, Any] | None,
    files: Any,
    headers: Mapping[str, str] | None,
) -> Any:
    """Send a request and decode its response; the arguments are those of `Kantata.request`."""
    operation = _operation(method, path)
    query = [] if params is None else untyped_query(operation, params)
    sent = headers_of(headers, operation.id, content_type=content is not None)
    given = {"json": json, "content": content, "data or files": data if files is None else files}
    bodies = [name for name, value in given.items() if value is not None]
    if len(bodies) > 1:
        raise UsageError(f"{operation.id}: pass only one of {' and '.join(bodies)}")
    if content is not None and not isinstance(content, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{operation.id}: content is of type {type(content).__name__}: pass text or bytes")
    response = await session.send(
        operation,
        path,
        query,
        None if json is None else untyped_body(operation, json),
        _form(operation, data, files),
        content=content.encode() if isinstance(content, str) else content,
        headers=sent,
    )
    if not response.content.strip():
        return None
    try:
        return decode(response.content, operation, response.request_id)
    except NotJSONError as error:
        raise error.of(response) from None


def stream(
    session: Session,
    method: str,
    path: str,
    params: Mapping[str, Any] | None,
    headers: Mapping[str, str] | None,
) -> AbstractAsyncContextManager[StreamedResponse]:
    """Send a request and read its response piece by piece; the arguments are those of `Kantata.stream`."""
    operation = _operation(method, path)
    query = [] if params is None else untyped_query(operation, params)
    return session.stream(operation, path, query, headers_of(headers, operation.id))


def _operation(method: object, path: object) -> Operation:
    if not isinstance(method, str) or not method.isalpha() or not method.isascii():
        raise UsageError(f"method is {method!r}: pass an HTTP method, such as 'GET'")
    if not isinstance(path, str):
        raise UsageError(f"path is of type {type(path).__name__}: pass text, such as '/stories'")
    if not path.startswith("/") or path.startswith("//") or "?" in path or "#" in path:
        problem = "pass a path below the base URL, such as '/stories', and the query in `params`"
    else:
        problem = misleading(path)
    if problem:
        raise UsageError(f"path is {path!r}: {problem}.")
    return Operation(
        method.upper(), path, "", "", summary="", tags=(), result="object", action=_is_action(method, path)
    )


def _is_action(method: str, path: str) -> bool:
    """Whether a PUT must not be repeated: the contract says so, or it lacks the path and the last segment is not an id."""
    if method.upper() != "PUT":
        return False
    from kantata_client.operations import OPERATIONS

    segments = path.rstrip("/").removesuffix(".json").split("/")
    for known in OPERATIONS:
        parts = known.removeprefix("PUT ").split("/")
        if len(parts) == len(segments) and known.startswith("PUT ") and all(map(_matches, parts, segments)):
            return OPERATIONS[known].action
    return not is_id(segments[-1])


def _matches(part: str, segment: str) -> bool:
    return part == segment or (part.startswith("{") and is_id(segment))


def _form(operation: Operation, data: object, files: object) -> Form | None:
    """The multipart form of `data` and `files`."""
    if data is None and files is None:
        return None
    fields = [] if data is None else untyped_query(operation, cast("Mapping[str, Any]", data))
    return Form(fields, tuple(_files(operation, files)))


def _files(operation: Operation, files: object) -> Iterable[File]:
    if files is None:
        return
    if isinstance(files, Mapping):
        for name, given in cast("Mapping[Any, Any]", files).items():
            yield _file(operation, name, given)
        return
    if isinstance(files, (str, bytes)) or not isinstance(files, Iterable):
        raise UsageError(
            f"{operation.id}: files is of type {type(files).__name__}: pass a mapping, or File objects"
        )
    for file in cast("Iterable[Any]", files):
        if not isinstance(file, File):
            raise UsageError(
                f"{operation.id}: files contains a {type(file).__name__}: pass File objects, or a mapping"
            )
        yield file


def _file(operation: Operation, name: object, given: Any) -> File:
    if isinstance(given, File):
        return given
    filename: Any = name
    content: Any = given
    if type(given) is tuple and len(cast("tuple[Any, ...]", given)) == 2:
        filename, content = cast("tuple[Any, Any]", given)
    if not (isinstance(name, str) and isinstance(filename, str) and isinstance(content, bytes)):
        raise UsageError(
            f"{operation.id}: files[{name!r}] must be bytes, a pair of file name and bytes, or a File for content that is "
            "read in pieces"
        )
    return File(name, filename, content)
