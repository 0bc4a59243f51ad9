"""Values of numpy and pandas: taken where their meaning is clear, refused where they stand for a missing value."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from kantata_client import ExternalReferenceKey, FixedRate, Kantata, KantataError, UsageError

pytestmark = pytest.mark.anyio

NEEDED: dict[str, Any] = {"workspace_id": 7, "title": "T", "story_type": "task"}
NAT, NA = pd.NaT, pd.NA


class Recorder(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        return httpx.Response(200, json={"count": 0, "results": []})


async def sent(call: Any) -> tuple[str, dict[str, str], Any]:
    """Path, query and body of what a call sends."""
    recorder = Recorder()
    async with Kantata("t", transport=recorder, throttle=FixedRate(1e6)) as kantata:
        try:
            await call(kantata)
        except UsageError:
            raise
        except KantataError:
            pass  # the answer is empty
    [request] = recorder.requests
    content = json.loads(request.content) if request.content else None
    return request.url.path.removeprefix("/api/v1"), dict(request.url.params), content


STAMP = pd.Timestamp("2026-03-01T10:00:00.123456789", tz="Europe/Berlin")
BODIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "int64": ({"workspace_id": np.int64(8)}, {"workspace_id": 8}),
    "uint8": ({"workspace_id": np.uint8(8)}, {"workspace_id": 8}),
    "str_": ({"title": np.str_("x")}, {"title": "x"}),
    "number as text": ({"title": np.int32(5)}, {"title": "5"}),
    "bool_": ({"archived": np.bool_(True)}, {"archived": True}),
    "decimal": ({"time_estimate_in_minutes": Decimal("90.0")}, {"time_estimate_in_minutes": 90}),
    "timestamp as date": ({"due_date": STAMP}, {"due_date": "2026-03-01"}),
    "null": ({"due_date": None}, {"due_date": None}),
    "deep": (
        {"external_reference": {"service_name": "a", "service_model": "b", "service_model_ref": np.int64(7)}},
        {"external_reference": {"service_name": "a", "service_model": "b", "service_model_ref": "7"}},
    ),
    "beyond the contract": (
        {"extra_body": {"new": [np.float64(1.5), np.bool_(False), {"at": STAMP}]}},
        {"new": [1.5, False, {"at": "2026-03-01T10:00:00.123456+01:00"}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
async def test_what_is_taken_in_bodies(name: str) -> None:
    given, expected = BODIES[name]
    _, _, body = await sent(lambda k: k.stories.create(**{**NEEDED, **given}))
    assert body == {"story": {**NEEDED, **expected}}
    rest = {key: value for key, value in given.items() if key != "extra_body"}
    _, _, body = await sent(
        lambda k: k.stories.create_many([{**NEEDED, **rest}], extra_body=given.get("extra_body"))
    )
    assert body == {"stories": [{**NEEDED, **expected}]}


async def test_what_is_taken_in_paths_and_queries() -> None:
    path, _, _ = await sent(lambda k: k.stories.get(np.int64(7)))
    assert path == "/stories/7"
    ids = pd.Series([1, 2, 3])
    for given in (ids, ids.to_numpy(), pd.Index(ids)):
        _, query, _ = await sent(lambda k, given=given: k.stories.list(only=given).first())
        assert query["only"] == "1,2,3"
    _, query, _ = await sent(lambda k: k.stories.list(updated_after=STAMP, workspace_id=np.int16(4)).first())
    assert query["updated_after"] == "2026-03-01T10:00:00.123456+01:00"
    assert query["workspace_id"] == "4"
    _, query, _ = await sent(lambda k: k.time_entries.delete_many(ids))
    assert query["ids"] == "1,2,3"
    path, _, _ = await sent(lambda k: k.stories.update_many([(np.int64(9), {"title": "x"})]))
    assert path == "/stories/9"


async def test_rows_of_a_frame() -> None:
    frame = pd.DataFrame({"workspace_id": [7, 8], "title": ["A", "B"], "story_type": ["task", "task"]})
    frame["due_date"] = pd.to_datetime(["2026-01-02", "2026-01-03"])
    rows: list[Any] = frame.to_dict("records")
    _, _, body = await sent(lambda k: k.stories.create_many(rows))
    assert [row["due_date"] for row in body["stories"]] == ["2026-01-02", "2026-01-03"]


WRONG: dict[str, tuple[Any, str]] = {
    "NaT": (
        lambda k: k.stories.create(**NEEDED, due_date=NAT),
        "due_date is NaT, which is not a value",
    ),
    "NA": (lambda k: k.stories.create(**{**NEEDED, "title": NA}), "title is NA, which is not a value"),
    "datetime64 NaT": (
        lambda k: k.stories.create(**NEEDED, due_date=np.datetime64("NaT")),
        "due_date is NaT, which is not a value",
    ),
    "datetime64": (
        lambda k: k.stories.create(**NEEDED, due_date=np.datetime64("2026-01-01")),
        "a date .*is needed",
    ),
    "datetime64 as a number": (
        lambda k: k.stories.create(**{**NEEDED, "workspace_id": np.datetime64("2026-01-01", "ns")}),
        "a whole number is needed",
    ),
    "NaN": (
        lambda k: k.stories.create(**{**NEEDED, "workspace_id": float("nan")}),
        "whole number is needed, not nan",
    ),
    "numpy NaN": (
        lambda k: k.stories.create(**NEEDED, time_estimate_in_minutes=np.float64("nan")),
        "whole number is needed, not nan",
    ),
    "part of a minute": (
        lambda k: k.stories.create(**NEEDED, time_estimate_in_minutes=Decimal("1.5")),
        "whole number is needed",
    ),
    "naive": (lambda k: k.stories.list(updated_after=pd.Timestamp("2026-01-01T10:00")), "no time zone"),
    "array": (lambda k: k.stories.create(**{**NEEDED, "title": np.array([1, 2])}), "text is needed"),
    "array of choices": (
        lambda k: k.stories.create(**{**NEEDED, "story_type": np.array(["task", "x"])}),
        "is not one of its values",
    ),
    "bool as id": (lambda k: k.stories.get(np.bool_(True)), "an id is a number or a text"),
    "missing id": (lambda k: k.stories.get(NAT), "is NaT, which is not a value"),
    "missing id in a bulk": (lambda k: k.time_entries.delete_many([NA]), "must be an id, not NA"),
    "missing value beyond the contract": (
        lambda k: k.stories.create(**NEEDED, extra_body={"new": [NAT]}),
        "is NaT, which is not a value",
    ),
    "missing reference": (
        lambda k: k.stories.create_many(
            [{**NEEDED, "n": NAT}], key=ExternalReferenceKey("a", "b", ref="n", patience=0)
        ),
        "has the external reference NaT",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_refused(name: str) -> None:
    call, problem = WRONG[name]

    async def finished(kantata: Kantata) -> None:
        made = call(kantata)
        await (made if hasattr(made, "__await__") else made.first())

    with pytest.raises(UsageError, match=problem):
        await sent(finished)
