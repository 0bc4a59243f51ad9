"""Bounds of the drift table."""

from __future__ import annotations

import logging
import string
from itertools import product
from typing import Any

import httpx
import pytest

import kantata_client
from kantata_client import Kantata, UsageError, models


def client(story: dict[str, Any]) -> Kantata:
    def answer(_: httpx.Request) -> httpx.Response:
        body = {
            "count": 1,
            "results": [{"key": "stories", "id": "7"}],
            "stories": {"7": {"id": "7", **story}},
        }
        return httpx.Response(200, json=body)

    return Kantata("secret", transport=httpx.MockTransport(answer), throttle=1e6)


@pytest.mark.anyio
async def test_names_with_ids_share_a_row_and_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    kantata = client({f"custom_field_{number}": number for number in range(5_000)})
    with caplog.at_level(logging.WARNING, "kantata_client"):
        await kantata.stories.get(7)
    (row,) = kantata.drift
    assert (row.field, row.times, len(row.examples)) == ("custom_field_{id}", 5_000, 3)
    assert all(name.startswith("custom_field_") for name in row.examples)
    assert len(caplog.records) == 1
    assert "Story.custom_field_{id} stands for names that contain an id, such as custom_field_" in str(
        kantata.drift
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x_3fa85f64-5717-4562-b3fc-2c963f66afa6", "x_{id}"),
        ("by_507f1f77bcf86cd799439011", "by_{id}"),
        ("phone_2", "phone_{id}"),
        ("x" * 300, "x" * 80 + "…"),
        ("plain", "plain"),
    ],
)
@pytest.mark.anyio
async def test_pattern_of_a_name(name: str, shown: str) -> None:
    kantata = client({name: 1})
    await kantata.stories.get(7)
    assert [row.field for row in kantata.drift] == [shown]


@pytest.mark.anyio
async def test_declared_fields_are_not_folded() -> None:
    kantata = client({"title": 7})
    await kantata.stories.get(7)
    assert [(row.field, row.examples) for row in kantata.drift] == [("title", ())]


@pytest.mark.anyio
async def test_table_has_at_most_a_thousand_rows(caplog: pytest.LogCaptureFixture) -> None:
    names = ["x" + "".join(letters) for letters in product(string.ascii_lowercase, repeat=3)][:3_000]
    kantata = client(dict.fromkeys(names, 1))
    with caplog.at_level(logging.WARNING, "kantata_client"):
        await kantata.stories.get(7)
    assert len(kantata.drift) == 1_000
    assert kantata.drift.unlisted == 2_000
    assert len(caplog.records) == 1_001
    assert "2000 more differences came after 1,000 rows" in str(kantata.drift)


def test_dir_shows_only_public_names() -> None:
    shown = {name for name in dir(kantata_client) if not name.startswith("__")}
    assert shown == set(kantata_client.__all__)
    assert all(name[0].isupper() for name in dir(models) if not name.startswith("__"))


def test_synchronous_forms_explain_the_asynchronous_ones() -> None:
    kantata = Kantata("secret")
    with pytest.raises(UsageError, match="async with Kantata"):  # noqa: SIM117
        with kantata:  # pyright: ignore[reportGeneralTypeIssues, reportAttributeAccessIssue]
            pass
    with pytest.raises(TypeError, match=r"async for item in stories\.list\(\)"):
        for _ in kantata.stories.list():  # pyright: ignore[reportGeneralTypeIssues]
            pass
