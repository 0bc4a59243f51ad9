"""Values of numpy and pandas as arguments; those that stand for a missing value are rejected."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from kantata_client import ExternalReferenceKey, Kantata, UsageError
from kantata_client.models import Story

if TYPE_CHECKING:
    from tests.recorder import Recorder

pytestmark = pytest.mark.anyio

REQUIRED: dict[str, Any] = {"workspace_id": 7, "title": "T", "story_type": "task"}
NAT, NA = pd.NaT, pd.NA


async def sent(recorder: Recorder, call: Any) -> tuple[str, dict[str, str], Any]:
    """Path, query and body of the request that a call sends."""
    async with recorder.client(on_drift="ignore") as kantata:
        await call(kantata)
    request = recorder.requests[-1]
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
    "datetime64 as date": ({"due_date": np.datetime64("2026-03-01")}, {"due_date": "2026-03-01"}),
    "datetime64 of a column as date": (
        {"due_date": pd.Series([STAMP.tz_localize(None)]).to_numpy()[0]},
        {"due_date": "2026-03-01"},
    ),
    "timestamp as date": ({"due_date": STAMP}, {"due_date": "2026-03-01"}),
    "null": ({"due_date": None}, {"due_date": None}),
    "in an inner object": (
        {"external_reference": {"service_name": "a", "service_model": "b", "service_model_ref": np.int64(7)}},
        {"external_reference": {"service_name": "a", "service_model": "b", "service_model_ref": "7"}},
    ),
    "in extra_body": (
        {"extra_body": {"new": [np.float64(1.5), np.bool_(False), {"at": STAMP}]}},
        {"new": [1.5, False, {"at": "2026-03-01T10:00:00.123456+01:00"}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
async def test_values_in_bodies(recorder: Recorder, name: str) -> None:
    given, expected = BODIES[name]
    _, _, body = await sent(recorder, lambda k: k.stories.create(**{**REQUIRED, **given}))
    assert body == {"story": {**REQUIRED, **expected}}
    rest = {key: value for key, value in given.items() if key != "extra_body"}
    _, _, body = await sent(
        recorder, lambda k: k.stories.create_many([{**REQUIRED, **rest}], extra_body=given.get("extra_body"))
    )
    assert body == {"stories": [{**REQUIRED, **expected}]}


async def test_values_in_paths_and_queries(recorder: Recorder) -> None:
    for seven in (np.int64(7), Decimal(7), Decimal("7.0"), np.str_("7")):
        path, _, _ = await sent(recorder, lambda k, seven=seven: k.stories.get(seven))
        assert path == "/stories/7"
    _, query, _ = await sent(recorder, lambda k: k.stories.list().items(limit=np.int64(3)).__anext__())
    assert query["per_page"] == "3"
    ids = pd.Series([1, 2, 3])
    for given in (ids, ids.to_numpy(), pd.Index(ids)):
        _, query, _ = await sent(recorder, lambda k, given=given: k.stories.list(only=given).first())
        assert query["only"] == "1,2,3"
    _, query, _ = await sent(
        recorder, lambda k: k.stories.list(updated_after=STAMP, workspace_id=np.int16(4)).first()
    )
    assert query["updated_after"] == "2026-03-01T10:00:00.123456+01:00"
    assert query["workspace_id"] == "4"
    _, query, _ = await sent(recorder, lambda k: k.time_entries.delete_many(ids))
    assert query["ids"] == "1,2,3"
    path, _, _ = await sent(recorder, lambda k: k.stories.update_many([(np.int64(9), {"title": "x"})]))
    assert path == "/stories/9"


async def test_rows_of_a_data_frame(recorder: Recorder) -> None:
    frame = pd.DataFrame({"workspace_id": [7, 8], "title": ["A", "B"], "story_type": ["task", "task"]})
    frame["due_date"] = pd.to_datetime(["2026-01-02", "2026-01-03"])
    rows: list[Any] = frame.to_dict("records")
    _, _, body = await sent(recorder, lambda k: k.stories.create_many(rows))
    assert [row["due_date"] for row in body["stories"]] == ["2026-01-02", "2026-01-03"]


INVALID: dict[str, tuple[Any, str]] = {
    "NaT": (
        lambda k: k.stories.create(**REQUIRED, due_date=NAT),
        "due_date is NaT, a missing value",
    ),
    "NA": (lambda k: k.stories.create(**{**REQUIRED, "title": NA}), "title is NA, a missing value"),
    "datetime64 NaT": (
        lambda k: k.stories.create(**REQUIRED, due_date=np.datetime64("NaT")),
        "due_date is NaT, a missing value",
    ),
    "datetime64 of a month": (
        lambda k: k.stories.create(**REQUIRED, due_date=np.datetime64("2026-01")),
        "must be a date",
    ),
    "datetime64 of a week": (
        lambda k: k.stories.create(**REQUIRED, due_date=np.datetime64("2026-01-01", "W")),
        "must be a date",
    ),
    "datetime64 as a number": (
        lambda k: k.stories.create(**{**REQUIRED, "workspace_id": np.datetime64("2026-01-01", "ns")}),
        "must be a whole number",
    ),
    "NaN": (
        lambda k: k.stories.create(**{**REQUIRED, "workspace_id": float("nan")}),
        "must be a whole number, got nan",
    ),
    "numpy NaN": (
        lambda k: k.stories.create(**REQUIRED, time_estimate_in_minutes=np.float64("nan")),
        "must be a whole number, got nan",
    ),
    "fraction of a minute": (
        lambda k: k.stories.create(**REQUIRED, time_estimate_in_minutes=Decimal("1.5")),
        "must be a whole number",
    ),
    "column of integers with a gap": (
        lambda k: k.stories.create(**REQUIRED, time_estimate_in_minutes=pd.Series([90, None])[0]),
        r"must be a whole number, got 90.0 \(float\); pass 90",
    ),
    "missing start": (lambda k: k.stories.list(due_between=(NAT, None)), "due_between is NaT"),
    "missing start in text": (
        lambda k: k.stories.list(due_between=f"{NAT}:2026-01-01"),
        "due_between must be a range START:END",
    ),
    "missing end in text": (
        lambda k: k.stories.list(due_between=f"2026-01-01:{float('nan')}"),
        "due_between must be a range START:END",
    ),
    "naive": (lambda k: k.stories.list(updated_after=pd.Timestamp("2026-01-01T10:00")), "no time zone"),
    "array": (lambda k: k.stories.create(**{**REQUIRED, "title": np.array([1, 2])}), "must be text"),
    "array of choices": (
        lambda k: k.stories.create(**{**REQUIRED, "story_type": np.array(["task", "x"])}),
        "unknown value",
    ),
    "bool as id": (lambda k: k.stories.get(np.bool_(True)), "id must be a whole number or text"),
    "missing id": (lambda k: k.stories.get(NAT), "is NaT, a missing value"),
    "missing id in a bulk": (lambda k: k.time_entries.delete_many([NA]), "must be an id, not NA"),
    "missing value in extra_body": (
        lambda k: k.stories.create(**REQUIRED, extra_body={"new": [NAT]}),
        "is NaT, a missing value",
    ),
    "missing reference": (
        lambda k: k.stories.create_many(
            [{**REQUIRED, "n": NAT}], key=ExternalReferenceKey("a", "b", ref="n", patience=0)
        ),
        "has the external reference NaT",
    ),
}


@pytest.mark.parametrize("name", INVALID)
async def test_missing_and_unsuitable_values_are_rejected(recorder: Recorder, name: str) -> None:
    call, problem = INVALID[name]

    async def finished(kantata: Kantata) -> None:
        made = call(kantata)
        await (made if hasattr(made, "__await__") else made.first())

    with pytest.raises(UsageError, match=problem):
        await sent(recorder, finished)


async def test_dates_are_sent_in_the_form_of_the_contract(recorder: Recorder) -> None:
    for day in ("2026-03-04", "20260304", "2026-W10-3"):
        _, query, body = await sent(recorder, lambda k, day=day: k.stories.create(**REQUIRED, due_date=day))
        assert body["story"]["due_date"] == "2026-03-04"
        _, query, _ = await sent(recorder, lambda k, day=day: k.stories.list(updated_after=day).first())
        assert query["updated_after"] == "2026-03-04"


async def test_values_in_models(recorder: Recorder) -> None:
    story = Story(id="7")
    naive: Any = STAMP.tz_localize(None)
    for given in (naive, np.datetime64("2026-03-01"), datetime(2026, 3, 1, 10, tzinfo=UTC), date(2026, 3, 1)):
        for changed in (story.replace(due_date=given), Story(id="7", due_date=given)):
            assert changed.due_date == date(2026, 3, 1)
            assert type(changed.due_date) is date
            _, _, body = await sent(recorder, lambda k, changed=changed: k.stories.update_many([changed]))
            assert body == {"story": {"due_date": "2026-03-01"}}
    minutes: Any = np.int64(90)
    assert type(story.replace(time_estimate_in_minutes=minutes).time_estimate_in_minutes) is int
    missing: Any
    for missing in (NAT, NA, np.datetime64("NaT")):
        for field in ("due_date", "title", "created_at", "weight"):
            for change in (story.replace, Story, lambda **fields: setattr(story, *fields.popitem())):
                with pytest.raises(UsageError, match=rf"Story.{field} is N\w+, a missing value: set None"):
                    change(**{field: missing})
