"""Data exports: opaque keys, custom fields as columns, several data sets in one export."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client.sandbox import Sandbox
from kantata_client.sandbox.faults import FaultyTransport

from .conftest import only

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


async def keys(api: API) -> dict[str, tuple[str, dict[str, str]]]:
    """Data set by name → its key, and its columns' keys by name."""
    found = (await api.get("/exports/available_datasets"))["datasets"]
    assert all(key == each["key"] for key, each in found.items())
    return {
        each["display_name"]: (key, {column["display_name"]: column["key"] for column in each["columns"]})
        for key, each in found.items()
    }


async def exported(api: API, definition: dict[str, Any]) -> bytes:
    made = only(await api.post("/exports", {"export": {"export_definition": definition}}))
    while made["status"] != "Complete":
        made = only(await api.get(f"/exports/{made['id']}"))
    url = (await api.get(f"/exports/{made['id']}/download_url"))["download_url"]
    async with httpx.AsyncClient(transport=FaultyTransport(api.sandbox.app)) as client:
        response = await client.get(url)
    response.raise_for_status()
    return response.content


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


async def test_keys_say_nothing_and_are_the_same_in_every_sandbox(api: API) -> None:
    known = await keys(api)
    columns = [key for _, each in known.values() for key in each.values()]
    every = [key for key, _ in known.values()] + columns
    assert all(re.fullmatch("[0-9a-f]{16}", key) for key in every)
    assert len(set(every)) == len(every)
    async with Sandbox(seed="empty").client() as kantata:
        other = (await kantata.exports.available_datasets()).datasets or {}
    assert {name: key for name, (key, _) in known.items()} == {
        each.display_name: each.key for each in other.values()
    }
    for definition in ({"users": {"columns": ["id"]}}, {known["User"][0]: {"columns": ["id"]}}):
        refused = await api.post("/exports", {"export": {"export_definition": definition}}, status=422)
        assert "/exports/available_datasets" in refused["errors"][0]["message"]


async def test_several_data_sets_are_an_archive_with_a_file_for_each(api: API) -> None:
    known = await keys(api)
    (project, of_project), (role, of_role) = known["Project"], known["Role"]
    definition = {project: {"columns": [of_project["Title"]]}, role: {"columns": [of_role["Name"]]}}
    with zipfile.ZipFile(io.BytesIO(await exported(api, definition))) as archive:
        assert archive.namelist() == ["Project.csv", "Role.csv"]
        roles = [row["Name"] for row in rows(archive.read("Role.csv"))]
    assert roles == [row["name"] for row in api.sandbox.store.all("roles")]


async def test_custom_fields_are_columns(api: API) -> None:
    key, columns = (await keys(api))["Project"]
    content = await exported(api, {key: {"columns": [columns["Id"], columns["Region"]]}})
    found = {row["Id"]: row["Region"] for row in rows(content)}
    values = api.sandbox.store.where("custom_field_values", "custom_field_id", "3801")
    stored = {
        row["subject_ref"]["id"]: row["value"] for row in values if row["subject_ref"]["key"] == "workspaces"
    }
    assert stored
    assert stored == {identity: region for identity, region in found.items() if region}
    assert "Sprint" not in columns


async def test_insights_reports_are_found_by_similar_titles(api: API) -> None:
    titles = [report["title"] for report in await api.get("/insights_reports")]
    assert titles == ["Project Margin by Month", "Time Entry Detail", "Utilization by Role"]
    found = await api.get("/insights_reports", title="role utilization")
    assert [report["title"] for report in found] == ["Utilization by Role"]
    async with api.sandbox.client(on_drift="raise") as kantata:
        reports = await kantata.insights_reports.list(title="time").collect()
    assert [report.title for report in reports] == ["Time Entry Detail"]
