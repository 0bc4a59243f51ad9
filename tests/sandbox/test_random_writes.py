"""Properties that hold for any writes: what was written is read, and no id dangles whatever is deleted.

KANTATA_TEST_BODIES is the number of random bodies for each operation, and the number of random deletions in hundreds.
"""

from __future__ import annotations

import os
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from emulation.arguments import widest
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox, registry, schema

from .random_bodies import Bodies, creations

if TYPE_CHECKING:
    from emulation.server import Server
    from kantata_client.sandbox import Store

NUMBER = int(os.environ.get("KANTATA_TEST_BODIES", "2"))

RENDERED = {("exports", "export_definition"), ("participations", "access_level")}
"""(envelope key, property) of values that the service shows in another form."""
FOREIGN = {("google_documents", "resource_id")}
"""(envelope key, field) of the ids of other services."""


@cache
def bodies() -> Bodies:
    return Bodies(Random())


def read(server: Server, path: str, identity: str) -> dict[str, Any] | None:
    """A record as the API shows it, with all that includes add; None if there is none."""
    getting, listing = OPERATIONS.get(f"GET {path}/{{id}}"), OPERATIONS.get(f"GET {path}")
    operation = getting or listing
    assert operation is not None, path
    unknown = registry.resource(operation.key or "").unknown_includes
    query: dict[str, Any] = widest(listing or operation)
    for name in (listing or operation).query:
        if name.startswith(("show_archived", "show_from_archived", "from_archived", "in_unarchived")):
            query[name] = not name.startswith("in_")
    query = {name: value for name, value in query.items() if name not in {"per_page", "show_deleted"}}
    if "include" in operation.query:
        query["include"] = [name for name in operation.query["include"].values if name not in unknown]
    stored = server.sandbox.store.get(str(operation.key), identity) or {}
    query |= {name: stored.get(name) or value for name, value in query.items() if name.endswith("_id")}
    if getting is None:
        answer = server.send("GET", path, {**query, "only": identity})
    else:
        answer = server.send("GET", f"{path}/{identity}", query)
    assert answer.ok or answer.status == 404, answer
    return answer.records[0] if answer.records else None


def differences(key: str, item: dict[str, Any], record: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The properties of a body with another value in the record that it made."""
    model, spellings = schema.model(key), registry.resource(key).spellings
    found: dict[str, tuple[Any, Any]] = {}
    for name, value in item.items():
        if name not in model.kinds or name in model.optional or (key, name) in RENDERED:
            continue
        spelt = spellings.get(name, {}).get(value, value) if isinstance(value, str) else value
        expected, shown = schema.typed(model.kinds[name], spelt), record.get(name, "absent")
        if isinstance(expected, list) and isinstance(shown, list) and name.endswith("_ids"):
            expected, shown = sorted(map(str, expected)), sorted(map(str, shown))
        if expected != shown:
            found[name] = expected, shown
    return found


@pytest.mark.parametrize("name", creations())
def test_what_was_written_is_read(name: str) -> None:
    operation, made = OPERATIONS[name], bodies()
    key, path, server = str(operation.key), operation.path, made.server
    update, delete = (OPERATIONS.get(f"{method} {path}/{{id}}") for method in ("PUT", "DELETE"))
    readable = any(found in OPERATIONS for found in (f"GET {path}/{{id}}", f"GET {path}"))
    for number in range(NUMBER):
        made.random.seed(f"{name} {number}")
        server.reset()
        item, answer = made.send(operation, path)
        assert answer.ok, (item, answer.message)
        identity = str(answer.records[0]["id"])
        shown = read(server, path, identity) if readable else answer.records[0]
        assert shown is not None, item
        assert differences(key, item, shown) == {}
        if update is not None and update.body is not None and not update.body.multipart:
            item, answer = made.send(update, f"{path}/{identity}")
            assert answer.ok, (item, answer.message)
            shown = read(server, path, identity) if readable else answer.records[0]
            assert shown is None or differences(key, item, shown) == {}
        if delete is not None and server.send("DELETE", f"{path}/{identity}").ok:
            left = server.sandbox.store.get(key, identity) or {}
            kept = registry.resource(key).deleted_as
            assert {name: left.get(name) for name in kept} == kept
            if not kept:
                assert server.send("DELETE", f"{path}/{identity}").status == 404
                assert not readable or read(server, path, identity) is None


def dangling(store: Store, gone: dict[str, str]) -> set[tuple[str, str, str]]:
    """(envelope key, field, envelope key of a deleted record) of all ids that refer to a deleted record."""
    found: set[tuple[str, str, str]] = set()
    for key in {*store.counts(), *store.aside_keys()}:
        for record in (*store.all(key), *store.aside(key)):
            for field, value in record.items():
                if field.endswith(("_id", "_ids", "_ref")) and (key, field) not in FOREIGN:
                    for each in value if isinstance(value, list) else (value,):
                        identity = str(each["id"] if isinstance(each, dict) else each)
                        if identity in gone:
                            found.add((key, field, gone[identity]))
    return found


def ids(store: Store) -> dict[str, str]:
    """Id → envelope key of all records; no two records of the demo account have the same id."""
    return {
        identity: key
        for key in {*store.counts(), *store.aside_keys()}
        for identity in (*store.ids(key), *(row["id"] for row in store.aside(key)))
    }


@pytest.mark.parametrize("seed", range(2))
def test_no_id_dangles_whatever_is_deleted(seed: int) -> None:
    made = bodies()
    server, store, random = made.server, made.server.sandbox.store, made.random
    random.seed(seed)
    server.reset()
    created = [made.send(OPERATIONS[name], OPERATIONS[name].path)[1].ok for name in creations()]
    assert all(created)
    deletions = [
        operation
        for operation in OPERATIONS.values()
        if operation.method == "DELETE" and operation.path.endswith("/{id}")
    ]
    known = ids(store)
    for number in range(100 * NUMBER):
        operation = random.choice(deletions)
        existing = store.ids(operation.key or operation.path.split("/")[-2])
        if not existing:
            continue
        answer = server.send("DELETE", operation.path.replace("{id}", random.choice(existing)))
        assert answer.status in {200, 204, 404, 422}, answer
        if number % 50 == 49:
            left = ids(store)
            gone = {identity: key for identity, key in known.items() if identity not in left}
            assert dangling(store, gone) == set()
    assert len(ids(store)) < len(known) - 100
    Sandbox(records=made.server.sandbox.dump())  # what is left is complete, and can be loaded
