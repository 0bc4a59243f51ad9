"""The public Singer tap `tap-mavenlink` reads all its streams from a strict sandbox, and gets what is in the store.

`.ci/peers` installs it in an environment of its own and names its interpreter in KANTATA_TEST_TAP.
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.foreign.running import Running, running
from tests.foreign.streams import KEYS, STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.foreign

HIDDEN = {"account_memberships": {"2061"}, "users": {"1061"}}
"""Stream → the records that the documentation hides: the member who has left."""
INCLUDED = {
    "workspaces": {"custom_field_value_ids", "participant_ids", "participation_ids", "workspace_group_ids"}
}
"""Stream → the fields that follow from other records."""


def tap(sandbox: Running, folder: Path, *arguments: str) -> str:
    """The output of the tap."""
    settings = folder / "settings.json"
    settings.write_text(json.dumps({"token": sandbox.token}), encoding="utf-8")
    script = Path(__file__).with_name("tap.py")
    command = [
        os.environ["KANTATA_TEST_TAP"],
        str(script),
        sandbox.url,
        "--config",
        str(settings),
        *arguments,
    ]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    return finished.stdout


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--clock", "2026-07-01T09:30:00") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def deleted(sandbox: Running) -> str:
    """A task that was deleted before the tap reads: it asks for deleted ones."""
    with sandbox.client as client:
        story = next(
            row["id"]
            for row in sandbox.records("stories").values()
            if row["story_type"] == "task" and not row["sub_story_count"]
        )
        assert client.delete(f"/stories/{story}").status_code == 204
    return story


@pytest.fixture(scope="module")
def streams(
    sandbox: Running, deleted: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """The records by stream, all streams being selected."""
    folder = tmp_path_factory.mktemp("tap")
    catalog = json.loads(tap(sandbox, folder, "--discover"))
    for stream in catalog["streams"]:
        [root] = [each for each in stream["metadata"] if not each["breadcrumb"]]
        root["metadata"]["selected"] = True
    selected = folder / "catalog.json"
    selected.write_text(json.dumps(catalog), encoding="utf-8")
    found: dict[str, list[dict[str, Any]]] = {stream["stream"]: [] for stream in catalog["streams"]}
    for line in tap(sandbox, folder, "--catalog", str(selected)).splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD":
            found[message["stream"]].append(message["record"])
    return found


def same(sent: Any, stored: Any) -> bool:
    """Whether the tap made `sent` of `stored`: its schemas know no null booleans, and take all dates for times."""
    if isinstance(sent, bool):
        return sent == bool(stored)
    if isinstance(sent, str) and isinstance(stored, str) and sent.endswith("Z"):
        return datetime.fromisoformat(sent).replace(tzinfo=None) == datetime.fromisoformat(stored).replace(
            tzinfo=None
        )
    if isinstance(sent, dict) and isinstance(stored, dict):
        return sent.keys() <= stored.keys() and all(same(value, stored[name]) for name, value in sent.items())
    return sent == stored or str(sent) == str(stored)


def test_all_streams_are_complete(
    sandbox: Running, deleted: str, streams: dict[str, list[dict[str, Any]]]
) -> None:
    assert set(streams) == STREAMS
    for stream, records in streams.items():
        ids = [str(record["id"]) for record in records]
        expected = sandbox.records(KEYS.get(stream, stream)).keys() - HIDDEN.get(stream, set())
        if stream == "stories":
            expected |= {deleted}
        if stream == "workspace_custom_field_values":
            rows = sandbox.records("custom_field_values").values()
            expected = {row["id"] for row in rows if row["subject_ref"]["key"] == "workspaces"}
        assert len(ids) == len(set(ids)), stream
        assert set(ids) == expected, stream
        assert ids, stream


def test_the_records_are_those_of_the_store(
    sandbox: Running, streams: dict[str, list[dict[str, Any]]]
) -> None:
    compared = 0
    for stream, records in streams.items():
        stored = sandbox.records(KEYS.get(stream, stream))
        for record in records:
            row = stored.get(str(record["id"]))
            if row is None:
                continue  # the deleted task
            fields = record.keys() - INCLUDED.get(stream, set())
            differences = {
                name: (record[name], row.get(name))
                for name in fields
                if not same(record[name], row.get(name))
            }
            assert not differences, (stream, record["id"])
            compared += len(fields)
    assert compared > 100_000


def test_included_ids_are_those_of_the_records_that_point_back(
    sandbox: Running, streams: dict[str, list[dict[str, Any]]]
) -> None:
    participations = sandbox.records("participations").values()
    for workspace in streams["workspaces"]:
        rows = [row for row in participations if str(row["workspace_id"]) == workspace["id"]]
        assert workspace["participation_ids"] == [row["id"] for row in rows]
        assert workspace["participant_ids"] == [str(row["user_id"]) for row in rows]
