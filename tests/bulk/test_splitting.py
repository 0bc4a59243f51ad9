"""Splitting chunks that an atomic service refused: only invalid items fail, and no valid one is written twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kantata_client import (
    NotFoundError,
    OAuthError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnknownOutcomeError,
    UsageError,
    ValidationError,
)
from kantata_client._bulk.outcomes import Item
from kantata_client._bulk.splitting import Splitter, certainty, pointed_at
from kantata_client.errors import APIError, ErrorDetail, KantataConnectionError, MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import Place


def items(count: int) -> list[Item]:
    return [Item(index, f"given {index}", str(1000 + index)) for index in range(count)]


def refused(*details: ErrorDetail, kind: type[APIError] = ValidationError, status: int = 422) -> APIError:
    return kind("no", status=status, method="POST", path="/x", errors=details)


class Service:
    """Accepts a chunk, or refuses all of it if it contains an invalid item."""

    def __init__(self, bad: set[int], told: str, lost: frozenset[int] = frozenset()) -> None:
        self.bad = bad
        self.told = told
        self.lost = lost
        self.written: list[int] = []
        self.requests = 0

    async def write(self, part: Sequence[Item]) -> list[str]:
        self.requests += 1
        places = [place for place, item in enumerate(part) if item.index in self.bad]
        if places:
            raise refused(*(ErrorDetail("validation", *told) for told in self.explain(places, part)))
        self.written += [item.index for item in part]
        if any(item.index in self.lost for item in part):
            raise UnknownOutcomeError("lost", method="POST", path="/x")
        return [f"made {item.index}" for item in part]

    def explain(self, places: list[int], part: Sequence[Item]) -> list[tuple[str, str]]:
        match self.told:
            case "nothing":
                return [("is wrong", "title")]
            case "index":
                return [(f"Item {place}: is wrong", "title") for place in places]
            case "first":
                return [("is wrong", f"rows[{places[0]}].title")]
            case "wrongly":
                return [("is wrong", f"rows.{place + 1}.title") for place in places]
            case "id":
                return [("can't be deleted: " + ", ".join(str(part[place].ready) for place in places), "ids")]
            case _:
                return [("there are 3 problems in row 0, 1 and 2 of 5000000", "base")]


@given(
    count=st.integers(1, 60),
    bad=st.sets(st.integers(0, 59)),
    told=st.sampled_from(["nothing", "index", "first", "wrongly", "id", "noise"]),
)
@settings(max_examples=400, deadline=None)
def test_only_invalid_items_fail(count: int, bad: set[int], told: str) -> None:
    bad = {index for index in bad if index < count}
    service = Service(bad, told)
    outcomes = anyio.run(Splitter(service.write, by_id=told == "id", atomic=True).settle, items(count))
    assert [outcome.index for outcome in outcomes] == list(range(count))
    assert {outcome.index for outcome in outcomes if outcome.status == "failed"} == bad
    assert sorted(service.written) == [index for index in range(count) if index not in bad]
    assert all(outcome.result == f"made {outcome.index}" for outcome in outcomes if outcome.status == "done")
    assert all(outcome.item == f"given {outcome.index}" for outcome in outcomes)
    assert service.requests <= 2 * count + 1


@given(count=st.integers(1, 60), bad=st.sets(st.integers(0, 59)), lost=st.frozensets(st.integers(0, 59)))
@settings(max_examples=200, deadline=None)
def test_items_that_may_be_written_are_never_sent_again(
    count: int, bad: set[int], lost: frozenset[int]
) -> None:
    service = Service(bad, "nothing", lost)
    outcomes = anyio.run(Splitter(service.write, atomic=True).settle, items(count))
    assert len(set(service.written)) == len(service.written)
    status = {outcome.index: outcome.status for outcome in outcomes}
    for index in range(count):
        assert (index in service.written) == (status[index] in ("done", "unknown"))
        assert index not in lost - bad or status[index] == "unknown"


@pytest.mark.parametrize(("told", "most"), [("index", 6), ("id", 6), ("first", 10), ("nothing", 70)])
def test_few_invalid_items_take_few_requests(told: str, most: int) -> None:
    service = Service({7, 100, 200, 299}, told)
    anyio.run(Splitter(service.write, by_id=told == "id", atomic=True).settle, items(300))
    assert service.requests <= most


@pytest.mark.parametrize(
    "error",
    [
        refused(kind=RateLimitedError, status=429),
        UnknownOutcomeError("lost", method="POST", path="/x"),
        MalformedResponseError("odd", method="POST", path="/x"),
        KantataConnectionError("no connection", method="POST", path="/x"),
    ],
)
def test_error_about_no_item_is_not_split(error: Exception) -> None:
    calls = 0

    async def write(part: Sequence[Item]) -> list[str]:
        nonlocal calls
        calls += 1
        raise error

    outcomes = anyio.run(Splitter(write, atomic=True).settle, items(50))
    assert calls == 1
    assert {outcome.error for outcome in outcomes} == {error}


@pytest.mark.parametrize(("kind", "status"), [(PermissionDeniedError, 403), (NotFoundError, 404)])
def test_error_about_the_whole_run_is_tried_once(kind: type[APIError], status: int) -> None:
    calls = 0

    async def write(part: Sequence[Item]) -> list[str]:
        nonlocal calls
        calls += 1
        raise refused(kind=kind, status=status)

    splitter = Splitter(write, atomic=True)

    async def twice() -> list[Any]:
        first = await splitter.settle(items(8))
        assert calls == 15
        return [*first, *await splitter.settle(items(8))]

    outcomes = anyio.run(twice)
    assert calls == 15 + 3, "the whole, and its two ends"
    assert [outcome.index for outcome in outcomes] == [*range(8)] * 2
    assert {outcome.status for outcome in outcomes} == {"failed"}


@pytest.mark.parametrize("bad", [range(8), range(12), [*range(8), *range(13, 16)]], ids=str)
def test_valid_group_after_an_invalid_one_is_written(bad: Sequence[int]) -> None:
    async def write(part: Sequence[Item]) -> list[str]:
        if any(item.index in bad for item in part):
            raise refused(kind=PermissionDeniedError, status=403)
        return ["x"] * len(part)

    splitter, all_items = Splitter(write, atomic=True), items(16)

    async def both() -> list[Any]:
        return [*await splitter.settle(all_items[:8]), *await splitter.settle(all_items[8:])]

    outcomes = anyio.run(both)
    assert [outcome.index for outcome in outcomes] == [*range(16)]
    failed = {outcome.index for outcome in outcomes if outcome.status == "failed"}
    assert failed == set(bad)


@pytest.mark.parametrize(
    ("field", "message", "places"),
    [
        ("title", "Item 3: can't be blank.", [3]),
        ("stories[2].title", "can't be blank", [2]),
        ("stories.4.title", "can't be blank", [4]),
        ("/stories/0/title", "can't be blank", [0]),
        (None, "row #1 is a duplicate; index: 3 too", [1, 3]),
        (None, "Item 99: no such item", []),
        ("title", "is too long (maximum is 255 characters)", []),
    ],
)
def test_positions_named_by_errors(field: str | None, message: str, places: list[int]) -> None:
    error = refused(ErrorDetail("validation", message, field))
    assert pointed_at(error, items(5), by_id=False) == places


def test_ids_named_by_errors() -> None:
    error = refused(ErrorDetail("validation", "can't be deleted: 1002, 1004 and 7", "ids"))
    assert pointed_at(error, items(5), by_id=True) == [2, 4]


def test_positions_named_for_certain() -> None:
    lost = refused(kind=NotFoundError, status=404)
    lost.answer_was_lost = True
    broken = KantataConnectionError("x", method="PUT", path="/x")
    down = refused(kind=ServerError, status=503)
    assert certainty(refused(), repeatable=False) == certainty(refused(), repeatable=True) == "failed"
    assert certainty(broken, repeatable=False) == "failed"
    for error in (lost, broken, down):
        assert certainty(error, repeatable=True) == "unknown"
    assert certainty(refused(kind=ServerError, status=501), repeatable=True) == "failed"
    unsent = KantataConnectionError("x", method="PUT", path="/x", unsent=True)
    assert certainty(unsent, repeatable=True) == certainty(OAuthError("x"), repeatable=True) == "failed"
    for error in (
        KantataConnectionError("x", method="PUT", path="/x"),
        OAuthError("x"),
        UsageError("closed"),
    ):
        error.answer_was_lost = True
        assert certainty(error, repeatable=True) == "unknown"
    assert certainty(UnknownOutcomeError("x", method="POST", path="/x"), repeatable=False) == "unknown"


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.anyio
async def test_splitting_over_a_socket(place: Place, with_index: bool) -> None:
    bad = {"3", "150", "151", "299"}
    place.faults.refuse(lambda item: item.get("notes") in bad, with_index=with_index)
    result = await place.kantata.time_entries.create_many(place.rows(300), atomic=True)
    assert {outcome.item["notes"] for outcome in result.failed} == bad
    assert len(place.notes()) == len(set(place.notes())) == 296
    assert len(result.created) == 296
    assert [entry.notes for entry in result.created] == [str(i) for i in range(300) if str(i) not in bad]


@pytest.mark.anyio
async def test_part_that_lost_its_answer_is_unknown(place: Place) -> None:
    place.faults.refuse(lambda item: item.get("notes") == "99", with_index=False)
    place.faults.reset(committed=True, method="POST", after=0)
    result = await place.kantata.time_entries.create_many(place.rows(100), atomic=True)
    assert len(result.unknown) == 50
    assert [outcome.index for outcome in result.failed] == [99]
    assert len(place.notes()) == len(set(place.notes())) == 99
