"""The way out: a request that the contract does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client._arguments import untyped
from kantata_client._envelope import decode
from kantata_client._operation import Operation
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client._session import Session


async def request(
    session: Session, method: str, path: str, params: Mapping[str, Any] | None, json: Any
) -> Any:
    """Send it, and decode what comes back."""
    if not path.startswith("/") or path.startswith("//") or "?" in path or "#" in path:
        msg = f"path is {path!r}: give it below the base URL, such as '/stories', and the query in `params`"
        raise UsageError(msg)
    operation = Operation(method.upper(), path, "", "", summary="", tags=(), result="object")
    query = [
        (name, untyped(operation, name, value)) for name, value in (params or {}).items() if value is not None
    ]
    response = await session.send(operation, path, query, json)
    return decode(response.content, operation, response.request_id) if response.content.strip() else None
