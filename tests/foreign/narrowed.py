"""Narrows the contract to what the sandbox accepts, so that requests get beyond its checks.

The contract says in prose, or not at all, which values parameters take, how bodies are wrapped and what ids refer to. Random
values are refused for that long before they reach a record. Schemathesis also sends what violates the narrowed contract.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox
from kantata_client.sandbox.pointers import plain, pointers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client._contract import Operation, Parameter
    from kantata_client.sandbox.store import Store

NOW = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
IDS = 12
"""How many ids of a type are offered."""
BOUNDS = {"page": (1, 3), "per_page": (1, 200), "limit": (1, 200), "offset": (0, 400)}
PERIODS = {
    "date": ["2026-01-01:2026-06-30", "2026-05-01:2026-05-01"],
    "datetime": ["2026-01-01T00:00:00Z:2026-06-30T00:00:00Z", "2026-05-01T09:00:00Z:2026-05-01T09:00:01Z"],
}


def narrow(where: str, declared: dict[str, Any], store: Store) -> None:
    """Narrow the parameters and the body of an operation, in place."""
    operation = OPERATIONS[where]
    for parameter in declared.get("parameters", ()):
        name, place = parameter["name"], parameter["in"]
        if place == "path":
            key = _key(operation, store) if name == "id" else plain("*", name)
            _offer(parameter, _ids(store, key), text=parameter.get("type") == "string")
        elif place == "query" and name in operation.query:
            _query(operation, parameter, operation.query[name], store)
        elif place == "body" and operation.body is not None:
            _wrapped(operation, parameter["schema"], store)


def _query(operation: Operation, parameter: dict[str, Any], known: Parameter, store: Store) -> None:
    name = parameter["name"]
    if name in BOUNDS:
        parameter["minimum"], parameter["maximum"] = BOUNDS[name]
    elif known.range is not None:
        parameter["enum"] = PERIODS[known.range]
    elif known.values and parameter.get("type") == "string":
        pairs = pairwise(known.values)
        parameter["enum"] = [*known.values, *(",".join(pair) for pair in pairs if known.many)]
    else:
        field = name.removesuffix("s") if name.endswith("_ids") else name
        key = _key(operation, store) if name in ("only", "ids") else plain(operation.key or "*", field)
        _offer(parameter, _ids(store, key), text=parameter.get("type") == "string", many=known.many)


def _wrapped(operation: Operation, schema: dict[str, Any], store: Store) -> None:
    body, properties = operation.body, schema.get("properties", {})
    if body is None or body.wrapper not in properties:
        return
    schema["additionalProperties"] = False
    schema |= {"minProperties": 1, "maxProperties": 1} if len(properties) > 1 else {"required": [*properties]}
    targets = {pointer.field: pointer.key for pointer in pointers(operation.key)} if operation.key else {}
    for inner in properties.values():
        _object(inner.get("items", inner), body.fields, targets, store)


def _object(
    schema: dict[str, Any],
    fields: Mapping[str, Parameter],
    targets: Mapping[str, str | None],
    store: Store,
) -> None:
    properties = schema.get("properties")
    if not properties:
        return
    schema["additionalProperties"] = False
    for name, inner in properties.items():
        known = fields.get(name)
        single = name.removesuffix("s") if name.endswith("_ids") else name
        ids = _ids(store, targets.get(name) or plain("*", single))
        value = inner.get("items", inner)
        if known is not None and known.values and value.get("type") == "string":
            value["enum"] = list(known.values)
        elif value.get("type") in ("integer", "string"):
            _offer(value, ids, text=value["type"] == "string")
        _object(value, (known.fields if known else None) or {}, {}, store)


def _key(operation: Operation, store: Store) -> str | None:
    """The envelope key of the records at the path of an operation."""
    collection = operation.path.strip("/").partition("/")[0]
    return collection if collection in store.filled() else operation.key


def _ids(store: Store, key: str | None) -> list[str]:
    if key is None or key not in store.filled():
        return []
    ids = [row["id"] for row in store.all(key)]
    return ids[: IDS // 2] + ids[IDS // 2 :][-IDS // 2 :]


def _offer(schema: dict[str, Any], ids: list[str], *, text: bool, many: bool = False) -> None:
    """Let a value be one of some ids, or with `many` a list of them."""
    numbers = all(identity.isdecimal() for identity in ids)
    if ids and (text or numbers):
        pairs = [",".join(pair) for pair in pairwise(ids)] if many else []
        schema["enum"] = [*ids, *pairs] if text else [int(identity) for identity in ids]


def demo() -> Store:
    """The records whose ids are offered."""
    return Sandbox(seed="demo", clock=lambda: NOW).store
