"""Lists as tables, and numpy and pandas values as arguments."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kantata_client import Kantata, NotIncludedError, UsageError, table
from kantata_client._calls.arguments import body_of, path_of, query_of
from kantata_client.models import Story, TimeEntry
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox


@pytest.mark.asyncio
async def test_table_has_the_types_of_the_contract() -> None:
    async with Sandbox(seed="demo").client() as kantata:
        entries = kantata.time_entries.list(include=["user", "workspace"], per_page=100)
        arrow = await entries.to_arrow(limit=250, associations=["user.full_name", "workspace.title"])
        first = (await entries.collect(limit=1))[0]
    assert arrow.num_rows == 250
    types = {field.name: field.type for field in arrow.schema}
    assert types["id"] == pa.string()
    assert types["date_performed"] == pa.date32()
    assert types["created_at"] == pa.timestamp("us", "UTC")
    assert types["time_in_minutes"] == types["rate_in_cents"] == pa.int64()
    assert types["billable"] == pa.bool_()
    row = arrow.slice(0, 1).to_pylist()[0]
    assert first.user is not None
    assert row["user.full_name"] == first.user.full_name
    assert row["date_performed"] == first.date_performed
    assert row["created_at"] == first.created_at
    assert row["extra"] is None


@pytest.mark.asyncio
async def test_pandas_and_polars_keep_integers_with_missing_values() -> None:
    async with Sandbox(seed="demo").client() as kantata:
        entries = kantata.time_entries.list()
        frame = await entries.to_pandas(
            fields=["id", "rate_in_cents", "billable", "date_performed"], limit=20
        )
        other = await entries.to_polars(fields=["id", "rate_in_cents"], limit=20)
    assert (len(frame), str(frame["rate_in_cents"].dtype), str(frame["billable"].dtype)) == (
        20,
        "Int64",
        "boolean",
    )
    assert other.schema == {"id": pl.String, "rate_in_cents": pl.Int64, "extra": pl.String}


def envelope(*stories: dict[str, Any]) -> Kantata:
    objects = {str(number): {"id": str(number), **story} for number, story in enumerate(stories, 1)}
    body = {
        "count": len(objects),
        "results": [{"key": "stories", "id": each} for each in objects],
        "stories": objects,
    }
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    return Kantata("secret", transport=transport, on_drift="ignore")


@pytest.mark.anyio
async def test_values_of_unexpected_types_are_kept_in_extra() -> None:
    kantata = envelope({"title": 7, "weight": "heavy", "brand_new": [1]}, {"title": "x", "weight": 2**70})
    rows = (await kantata.stories.list().to_arrow(fields=["title", "weight"])).to_pylist()
    assert [(row["title"], row["weight"]) for row in rows] == [(None, None), ("x", None)]
    assert json.loads(rows[0]["extra"]) == {"brand_new": [1], "title": 7, "weight": "heavy"}
    assert "weight" in json.loads(rows[1]["extra"])


@pytest.mark.anyio
async def test_fields_not_requested_are_left_out_or_raise_if_named() -> None:
    kantata = envelope({"title": "x"})
    whole = await kantata.stories.list().to_arrow()
    assert "title" in whole.column_names
    assert "workspace_id" not in whole.column_names
    with pytest.raises(NotIncludedError):
        await kantata.stories.list().to_arrow(fields=["workspace_id"])


@pytest.mark.anyio
async def test_empty_list_is_an_empty_table() -> None:
    empty = await envelope().stories.list().to_arrow(fields=["title", "due_date"])
    assert empty.num_rows == 0
    assert empty.column_names == ["title", "due_date", "extra"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"fields": ["titel"]}, "Story has no field 'titel'; did you mean 'title'"),
        ({"fields": "title"}, "fields must be a list of names, not the string 'title'"),
        ({"associations": ["usr.full_name"]}, "Story has no association 'usr'"),
        ({"associations": ["workspace.titel"]}, "Workspace has no field 'titel'; did you mean 'title'"),
    ],
    ids=["field", "text", "association", "field of an association"],
)
@pytest.mark.anyio
async def test_wrong_names_are_rejected_before_anything_is_sent(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        await Kantata("secret").stories.list().to_arrow(**options)
    assert problem in str(caught.value)


def test_table_of_given_objects() -> None:
    made = table(
        [Story(id="1", title="a", due_date=date(2026, 1, 2)), Story(id="2")], fields=["id", "due_date"]
    )
    assert made.to_pydict()["due_date"] == [date(2026, 1, 2), None]
    with pytest.raises(UsageError, match="objects of one class only: Story, but not TimeEntry"):
        table([Story(id="1"), TimeEntry(id="2")])
    for given, message in {
        "one object": (Story(id="1"), "expected a collection of objects, got Story"),
        "dictionaries": ([{"id": "1"}], "expected objects of a model such as Story, got dict: .*from_pylist"),
        "nothing": (None, "expected a collection of objects, got NoneType"),
    }.values():
        with pytest.raises(UsageError, match=message):
            table(given)  # type: ignore[arg-type]


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        UsageError, match=r"pyarrow is needed to make tables: pip install 'kantata-client\[data\]'"
    ):
        table([Story(id="1")])


# --- values ---

CREATE = OPERATIONS["POST /time_entries"]
LIST = OPERATIONS["GET /time_entries"]


def test_numpy_and_pandas_values_are_sent_like_native_ones() -> None:
    given = {
        "workspace_id": np.int64(7),
        "time_in_minutes": np.int32(90),
        "billable": np.bool_(True),
        "date_performed": pd.Timestamp("2026-01-02"),
        "rate_in_cents": Decimal(12000),
    }
    sent = body_of(CREATE, given)
    assert sent["workspace_id"] in (7, "7")
    assert (sent["time_in_minutes"], sent["billable"], sent["date_performed"]) == (90, True, "2026-01-02")
    assert sent["rate_in_cents"] == 12000
    assert type(sent["billable"]) is bool
    moment = pd.Timestamp("2026-01-02T03:04:05", tz="UTC")
    assert query_of(LIST, {"created_after": moment}) == [("created_after", "2026-01-02T03:04:05+00:00")]
    assert query_of(LIST, {"only": np.array([1, 2])}) == [("only", "1,2")]
    assert path_of(OPERATIONS["GET /time_entries/{id}"], (np.int64(7),)) == "/time_entries/7"


@pytest.mark.parametrize(
    "value",
    [
        pd.NaT,
        pd.NA,
        np.datetime64("NaT"),
        float("nan"),
        np.float64("nan"),
        np.datetime64("2026-01-02T03:04:05"),
    ],
    ids=["NaT", "NA", "numpy NaT", "nan", "numpy nan", "naive time"],
)
def test_missing_values_of_numpy_and_pandas_are_rejected(value: Any) -> None:
    with pytest.raises(UsageError):
        query_of(LIST, {"created_after": value})
    with pytest.raises(UsageError):
        body_of(CREATE, {"workspace_id": 1, "time_in_minutes": value, "date_performed": date(2026, 1, 2)})
    with pytest.raises(UsageError):
        body_of(CREATE, {"workspace_id": 1, "date_performed": value if value is not None else pd.NaT})
