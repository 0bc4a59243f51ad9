"""The way out: a request that the contract does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client._calls.arguments import untyped_body, untyped_query
from kantata_client._calls.envelope import decode
from kantata_client._contract import Operation
from kantata_client._http.addresses import misleading
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client._calls.session import Session


async def request(
    session: Session, method: str, path: str, params: Mapping[str, Any] | None, json: Any
) -> Any:
    """Send it, and decode what comes back."""
    problem = None
    if not path.startswith("/") or path.startswith("//") or "?" in path or "#" in path:
        problem = "give it below the base URL, such as '/stories', and the query in `params`"
    else:
        problem = misleading(path)
    if problem:
        raise UsageError(f"path is {path!r}: {problem}.")
    operation = Operation(
        method.upper(), path, "", "", summary="", tags=(), result="object", action=_is_action(method, path)
    )
    query = [] if params is None else untyped_query(operation, params)
    body = None if json is None else untyped_body(operation, json)
    response = await session.send(operation, path, query, body)
    return decode(response.content, operation, response.request_id) if response.content.strip() else None


def _is_action(method: str, path: str) -> bool:
    """Whether a PUT must not be repeated: an action of the contract, or one that the contract does not have."""
    if method.upper() != "PUT":
        return False
    from kantata_client.operations import OPERATIONS

    given = path.rstrip("/").removesuffix(".json").split("/")
    for known in OPERATIONS:
        parts = known.removeprefix("PUT ").split("/")
        if len(parts) == len(given) and known.startswith("PUT ") and all(map(_fits, parts, given)):
            return OPERATIONS[known].action
    return not given[-1][:1].isdecimal()


def _fits(part: str, given: str) -> bool:
    return part == given or (part.startswith("{") and given[:1].isdecimal())
