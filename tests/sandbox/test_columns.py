"""Columns agree with the values that they are made of, whatever is written later."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kantata_client.sandbox import Sandbox, store
from kantata_client.sandbox.columns import (
    MISSING,
    Columns,
    Numbers,
    UnfitError,
    Values,
    numbered,
    packed,
    unpacked,
)

from .conftest import NOW, connected

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

START = datetime(2026, 1, 1, tzinfo=UTC)


def _value(chosen: random.Random, kind: str) -> Any:
    if chosen.random() < 0.1:
        return None
    match kind:
        case "datetime":
            return (START + timedelta(seconds=chosen.randrange(4_000))).strftime("%Y-%m-%dT%H:%M:%SZ")
        case "date":
            return (START + timedelta(days=chosen.randrange(30))).date().isoformat()
        case "int":
            return chosen.randrange(40)
        case _:
            return chosen.random() < 0.5


@pytest.mark.parametrize("kind", ["datetime", "date", "int", "bool"])
@pytest.mark.parametrize("descending", [False, True])
def test_numbers_sort_and_compare(kind: str, descending: bool) -> None:
    chosen = random.Random(kind)
    values = [_value(chosen, kind) for _ in range(5_000)]
    numbers = Numbers(kind, values)
    for step in range(4):
        changes = {chosen.randrange(len(values) + 1): _value(chosen, kind) for _ in range(40 if step else 0)}
        for position, value in sorted(changes.items()):
            values[position : position + 1] = [value]
        numbers.change({p: value for p, value in changes.items() if p < len(values)})
        part = [p for p in range(len(values)) if chosen.random() < 0.8]
        bits = packed(part, len(values))
        ranks = {p: (values[p] is not None, values[p] or 0) for p in part}  # the records' own order
        if kind in ("date", "datetime"):
            ranks = {p: (values[p] is not None, values[p] or "") for p in part}
        highest_first = sorted(set(ranks.values()), reverse=True)
        places = {rank: place for place, rank in enumerate(highest_first)}
        expected = sorted(part, key=lambda p: places[ranks[p]] if descending else -places[ranks[p]])
        for start in (0, 17, len(part) // 2, len(part) - 30):
            found = numbers.window(bits, len(part), start, start + 50, descending=descending)
            assert found == expected[start : start + 50]
        one, other = sorted(numbers.encoded(_value(chosen, kind)) for _ in range(2))
        assert unpacked(numbers.between(bits, one, other)) == [
            p for p in part if one <= numbers.encoded(values[p]) <= other
        ]
        if kind == "int":
            assert numbers.total(bits) == sum(values[p] or 0 for p in part)


def test_encoded_numbers_keep_the_order_of_the_values() -> None:
    times = [None, "1970-01-01T00:00:00Z", "2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z"]
    days = [None, "0001-01-01", "2026-01-31", "2026-02-01"]
    for kind, values in (("datetime", times), ("date", days), ("bool", [None, False, True])):
        encoded = list(map(Numbers(kind, values).encoded, values))
        assert encoded == sorted(set(encoded))
    signed = Numbers("int", [None, -5, 3])
    assert [signed.encoded(value) for value in (None, -5, 3)] == sorted(map(signed.encoded, (None, -5, 3)))
    assert signed.total(0b111) == -2


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("datetime", "2026-01-31"), ("datetime", "1969-12-31T00:00:00Z"), ("datetime", 5)),
        *(("date", "tomorrow"), ("date", []), ("int", "7"), ("int", 2**50), ("bool", 1)),
    ],
)
def test_other_values_are_unfit(kind: str, value: Any) -> None:
    with pytest.raises(UnfitError):
        Numbers(kind, [value])


def test_values_find_what_has_them() -> None:
    chosen = random.Random(1)

    def value() -> Any:
        kinds = (None, "a", "b", str(chosen.randrange(2_000)), [], ["a", "c"], chosen.randrange(3))
        return chosen.choice(kinds)

    rows = [value() for _ in range(3_000)]
    values = Values(rows, (1 << len(rows)) - 1)
    for step in range(5):
        changed = {p: value() for p in chosen.sample(range(len(rows)), 40 if step else 0)}
        gone = {p for p in changed if chosen.random() < 0.3}
        values.change({p: (rows[p], MISSING if p in gone else new) for p, new in changed.items()})
        for p, new in changed.items():
            rows[p] = MISSING if p in gone else new
        for word in ("a", "b", "c", "1", "77", "None"):
            having = [
                p
                for p, row in enumerate(rows)
                if row is not MISSING and word in map(str, row if isinstance(row, list) else [row])
            ]
            if word != "None":
                assert list(values.find(word)) == unpacked(values.spelled([word])) == having
                assert values.number(word) == len(having)
        empty = [p for p, row in enumerate(rows) if row is None or row == []]
        assert unpacked(values.bits([None])) == empty
        for p in gone:
            values.change({p: (MISSING, "b")})
            rows[p] = "b"


def test_values_of_objects_and_of_equal_types_are_unfit() -> None:
    for rows in ([{"key": "a"}], [1, True], [1, 1.0]):
        with pytest.raises(UnfitError):
            Values(rows, 0b11)
    with pytest.raises(UnfitError):
        Values([1, 2], 0b11).change({0: (1, True)})


def test_a_part_of_a_set() -> None:
    positions = sorted(random.Random(2).sample(range(3_000), 700))
    bits = packed(positions, 3_000)
    assert unpacked(bits) == numbered(bits, 0, 700) == positions
    assert numbered(bits, 690, 900) == positions[690:]
    assert numbered(bits, 100, 105) == positions[100:105]
    assert unpacked(0) == numbered(0, 0, 5) == []


def test_columns_are_tried_again_only_after_a_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGE", 2)
    made: list[int] = []

    def make(records: dict[str, Any], kinds: dict[str, str]) -> Columns:
        made.append(len(records))
        return Columns(records, kinds)

    monkeypatch.setattr(store, "Columns", make)
    held = store.Store({"stories": [{"id": each, "title": each} for each in ("1", "2", "abc")]})
    assert held.columns("stories") is None
    assert held.columns("stories") is None
    held.put("stories", {"id": "3", "title": "3"})
    assert held.find("stories", "title", "3") == ["3"]
    assert made == [3]
    held.remove("stories", "abc")
    assert held.columns("stories") is not None
    assert held.find("stories", "title", "3") == ["3"]
    assert made == [3, 3]


async def test_writes_that_columns_cannot_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids below existing ones, ids that are not numbers, and values that are not of their kind."""
    monkeypatch.setattr(store, "LARGE", 1)
    sandbox = Sandbox("demo", clock=lambda: NOW)
    query: dict[str, Any] = {"order": "date_performed:asc", "per_page": 5}
    writes: list[dict[str, Any]] = [
        {"id": "50", "date_performed": "2001-01-01"},
        {"id": "abc", "date_performed": "2001-01-02"},
        {"id": "9999999", "date_performed": "2001-01-03"},
        {"id": "60", "date_performed": "2000-01-01", "workspace_id": "10002"},
    ]
    template = sandbox.store.all("time_entries")[0]
    async with connected(sandbox) as api:
        for number, write in enumerate(writes, 1):
            await api.get("/time_entries", **query)
            sandbox.store.put("time_entries", {**template, **write})
            found = await api.ids("/time_entries", **query)
            expected = sorted(writes[:number], key=lambda row: str(row["date_performed"]))
            assert found[:number] == [row["id"] for row in expected]
        sandbox.store.remove("time_entries", "abc")
        assert (await api.ids("/time_entries", **query))[:3] == ["60", "50", "9999999"]
        sandbox.store.put("time_entries", {**template, "id": "9999999", "date_performed": "long ago"})
        assert (await api.ids("/time_entries", **query))[:2] == ["60", "50"]
        assert (await api.ids("/time_entries", order="date_performed:desc"))[0] == "9999999"
