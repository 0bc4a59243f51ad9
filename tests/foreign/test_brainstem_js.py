"""The vendor's JavaScript client, brainstem-js, loads, includes and saves the records of a lenient sandbox.

`.ci/peers` installs it with Node and names the folder in KANTATA_TEST_BRAINSTEM.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import schema
from kantata_client.sandbox.relations import singular
from kantata_client.sandbox.routes.exports import column_key, dataset_key
from tests.foreign.running import Running, running

pytestmark = pytest.mark.foreign

TITLES = ("title", "name", "notes", "description", "message")
SERVICE_CHANGES = {"updated_at", "last_viewed_at", "rate_card_set_title"}
"""Fields that a write of another field, or of another record, changes as well."""
FIXED = {"billing_milestones"}
"""Envelope keys whose records can't be renamed: the milestones of the demo account are all on invoices."""
EXPORT = {dataset_key("users"): {"columns": [column_key("users", "id"), column_key("users", "full_name")]}}


def ids_field(name: str, *, many: bool) -> str:
    """The field in which brainstem-js looks for the ids of an association."""
    return f"{singular(name)}_ids" if many else f"{name}_id"


def described(key: str, path: str | None) -> dict[str, Any]:
    """A resource as brainstem-js has to be told of it."""
    update = OPERATIONS.get(f"PUT /{key}/{{id}}")
    fields = update.body.fields if update and update.body and path else {}
    return {
        "key": key,
        "path": path,
        "wrapper": update.body.wrapper if update and update.body else singular(key),
        "associations": {
            name: [reference.key] if reference.many else reference.key
            for name, reference in schema.model(key).references.items()
            if reference.key and reference.ids == ids_field(name, many=reference.many)
        },
        "saved": bool(fields)
        and {name for name, p in fields.items() if p.required} <= schema.model(key).kinds.keys(),
        "title": None if key in FIXED else next((name for name in TITLES if name in fields), None),
    }


def resources() -> list[dict[str, Any]]:
    """Every collection with a list that needs no filter, and the envelope keys that only includes show."""
    lists = {
        operation.key: operation.path
        for operation in OPERATIONS.values()
        if operation.key
        and operation.result == "page"
        and operation.path == f"/{operation.key}"
        and not any(parameter.required for parameter in operation.query.values())
    }
    targets = {
        reference.key
        for key in {operation.key for operation in OPERATIONS.values() if operation.key}
        for reference in schema.model(key).references.values()
        if reference.key
    }
    keys = {*lists, *targets}
    return [described(key, lists.get(key)) for key in sorted(keys)]


@pytest.fixture(scope="module")
def sandbox():
    with running("--lenient", "--clock", "2026-07-01T09:30:00") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def before(sandbox: Running) -> dict[str, dict[str, dict[str, Any]]]:
    with sandbox.client as client:
        client.post(
            "/exports", json={"export": {"export_definition": EXPORT}}
        ).raise_for_status()  # the demo account has none
    return {each["key"]: sandbox.records(each["key"]) for each in resources() if each["saved"]}


@pytest.fixture(scope="module")
def done(sandbox: Running, before: object, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script did with every resource."""
    described = tmp_path_factory.mktemp("brainstem") / "resources.json"
    described.write_text(json.dumps(resources()), encoding="utf-8")
    script = Path(__file__).with_name("brainstem.cjs")
    modules = os.environ["KANTATA_TEST_BRAINSTEM"]
    command = ["node", str(script), modules, sandbox.url, sandbox.token, str(described)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_nothing_fails(done: dict[str, Any]) -> None:
    assert done["errors"] == []


def test_every_collection_is_loaded(done: dict[str, Any], sandbox: Running) -> None:
    roots = {each["key"] for each in resources() if each["path"]}
    assert set(done["loaded"]) == roots
    assert len(roots) > 60
    pages = done["pages"]
    assert len({*pages["first"], *pages["second"]}) == 60
    assert pages["more"]


def test_includes_are_found_by_their_ids(done: dict[str, Any]) -> None:
    assert len(done["included"]) > 250
    assert sum(count > 0 for count in done["included"].values()) > 200
    assert len(done["nested"]) > 1000
    assert sum(count > 0 for count in done["nested"].values()) > 500


def test_records_are_saved_as_they_were_read(
    done: dict[str, Any], sandbox: Running, before: dict[str, dict[str, dict[str, Any]]]
) -> None:
    assert set(done["saved"]) == set(before)
    updates = {
        each["key"] for each in resources() if each["path"] and f"PUT {each['path']}/{{id}}" in OPERATIONS
    }
    # A decision about a request needs more than the record shows.
    assert updates - set(before) == {"resource_requests"}
    for key, identity in done["saved"].items():
        changed = done["renamed"].get(key, (None, None))[1]
        now = sandbox.records(key)[identity]
        expected = dict(before[key][identity])
        if changed:
            assert now[changed] == "Written by brainstem-js", key
            expected[changed] = now[changed]
        differences = {
            field: (value, now.get(field))
            for field, value in expected.items()
            if now.get(field) != value and field not in SERVICE_CHANGES
        }
        assert not differences, (key, differences)
