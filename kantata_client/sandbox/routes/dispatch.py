"""Finds the function that handles an operation."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import registry
from kantata_client.sandbox.call import Call
from kantata_client.sandbox.refusals import bad_request, not_emulated
from kantata_client.sandbox.routes import generic

if TYPE_CHECKING:
    from kantata_client._contract import Operation
    from kantata_client.sandbox.call import Answer
    from kantata_client.sandbox.query import Query
    from kantata_client.sandbox.scope import Scope

handlers = cache(registry.handlers)
missing = cache(registry.not_emulated)


def perform(
    scope: Scope, operation: Operation, parameters: dict[str, str], query: Query, body: Any
) -> Answer:
    """Handle a request; None is a response without content."""
    call = Call(scope, operation, parameters, query, body)
    if operation.id in missing():
        raise not_emulated(f"{operation.id}: it lacks {missing()[operation.id]}")
    if body not in (None, {}) and operation.body is None and operation.method != "DELETE":
        if scope.strict:
            raise bad_request(f"{operation.id} takes no body.")
        scope.gaps.note(f"{operation.id}: takes no body; the one sent was ignored.")
        call.body = body = None
    custom = handlers().get(operation.id)
    answer = custom(call) if custom is not None else _by_shape(call, body)
    call.refuse_unread()
    return answer


def _by_shape(call: Call, body: Any) -> Answer:
    operation = call.operation
    if body is not None and not isinstance(body, (dict, list)):
        raise bad_request(f"{operation.id} takes a JSON body.")
    by_id = operation.path.rsplit("/", 1)[-1].startswith("{")
    collection = "/" not in operation.path.strip("/")
    match operation.method:
        case "GET" if by_id:
            return generic.get(call)
        case "GET" if collection and operation.result == "page":
            return generic.list_all(call)
        case "POST" if collection:
            return generic.create(call)
        case "PUT" if by_id:
            return generic.update(call)
        case "DELETE" if by_id:
            return generic.delete(call)
        case "DELETE" if collection and "ids" in operation.query:
            return generic.delete_many(call)
        case _:
            raise not_emulated(operation.id)
