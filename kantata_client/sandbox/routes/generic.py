"""The operations that every resource has: list, get, create, update, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox import mutations, schema, validation
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid, not_found

if TYPE_CHECKING:
    from kantata_client.sandbox.call import Call


def list_all(call: Call) -> dict[str, Any]:
    """List a page of the records that pass the filters."""
    return call.page(call.key, call.select(call.operation, call.query.only))


def get(call: Call) -> dict[str, Any]:
    """Get one record, unless a default filter hides it."""
    listing = schema.list_of(call.key) or call.operation
    ids = call.select(listing, (call.identity,))
    if not ids:
        raise not_found(f"There is no record {call.identity} in {call.key}, or a default filter hides it.")
    return call.envelope(list(ids))


def create(call: Call) -> dict[str, Any]:
    """Create one record, or many in the array form."""
    items, bulk = (
        ([call.item()], False) if call.body is None else validation.items_of(call.operation, call.body)
    )
    ids = mutations.create(call.scope, call.operation, call.key, items, bulk=bulk)
    return call.envelope(list(dict.fromkeys(ids)))


def update(call: Call) -> dict[str, Any]:
    """Update one record."""
    call.existing()
    mutations.update(call.scope, call.operation, call.key, call.identity, call.item())
    return call.envelope([call.identity])


def delete(call: Call) -> dict[str, Any] | None:
    """Delete one record."""
    call.existing()
    mutations.delete(call.scope, call.key, [call.identity])
    return None if call.operation.result == "none" else {"success": f"{call.key} {call.identity} deleted"}


def delete_many(call: Call) -> dict[str, Any] | None:
    """Delete the records that `ids` names, in the query or in the body."""
    given: Any = call.parameter("ids")
    if given is None and isinstance(call.body, dict):
        given = cast("dict[str, Any]", call.body).get("ids")
    if given is None:
        raise bad_request("`ids` is missing, in the query or in the body: the records to delete.")
    words = (
        str(given).split(",") if isinstance(given, (str, int)) else [str(i) for i in cast("list[Any]", given)]
    )
    ids = [word.strip() for word in words if word.strip()]
    limit = call.operation.bulk_limit
    if limit is not None and len(ids) > limit:
        raise Refusal(422, invalid("ids", f"has {len(ids)} ids; one request takes at most {limit}."))
    mutations.delete(call.scope, call.key, ids)
    return None if call.operation.result == "none" else {"deleted": schema.typed("int", ids)}
