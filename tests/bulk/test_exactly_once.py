"""With a key, each item exists once: found, created, or found after its answer was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from attrs import evolve

from kantata_client import ExternalReferenceKey, UnknownOutcomeError, UsageError, ValidationError
from kantata_client.models import TimeEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from conftest import Place

pytestmark = pytest.mark.anyio

KEY = ExternalReferenceKey("erp", "line", "erp_id", patience=0.3)


def keyed(place: Place, count: int) -> list[dict[str, Any]]:
    return [{**row, "erp_id": 7_000 + index} for index, row in enumerate(place.rows(count))]


def references(place: Place) -> list[str]:
    return [row["service_model_ref"] for row in place.store.all("external_references")]


async def each_of(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def test_existing_objects_are_found(place: Place) -> None:
    rows = keyed(place, 250)
    first = await place.kantata.time_entries.create_many(rows[50:150], key=KEY)
    assert len(first.created) == 100
    assert not first.found
    second = await place.kantata.time_entries.create_many(rows, key=KEY)
    assert [outcome.found for outcome in second.outcomes] == [50 <= index < 150 for index in range(250)]
    assert [entry.notes for entry in second.results] == [str(index) for index in range(250)]
    assert {entry.id for entry in second.found} == {entry.id for entry in first.created}
    assert repr(second) == "<BulkResult: 250 done, 100 of them found, 0 failed, 0 unknown>"
    third = await place.kantata.time_entries.create_many(each_of(rows), key=KEY)
    assert len(third.found) == 250
    assert not third.created
    assert len(place.notes()) == 250
    assert len(references(place)) == 250


async def test_each_search_has_at_most_200_references(place: Place) -> None:
    key = evolve(KEY, ref=lambda item: item["title"])
    rows = [
        {"workspace_id": place.workspace, "title": f"T{index}", "story_type": "task"} for index in range(600)
    ]
    await place.kantata.stories.create_many(rows, key=key)
    looks = place.sent("GET", "/stories")
    sizes = [len(dict(each.query)["external_reference_service_model_refs"].split(",")) for each in looks]
    assert sorted(sizes) == [100, 100, 200, 200]
    assert len(place.sent(path="/stories")) == 2


async def test_long_references_are_split_over_searches(place: Place) -> None:
    key = evolve(KEY, ref=lambda item: f"{item['notes']}-" + "ü" * 60)
    result = await place.kantata.time_entries.create_many(place.rows(100), key=key)
    assert len(result.created) == 100
    assert len(place.sent("GET")) > 5
    assert len((await place.kantata.time_entries.create_many(place.rows(100), key=key)).found) == 100


async def test_references_of_other_services_do_not_match(place: Place) -> None:
    rows = keyed(place, 1)
    for service, model in [("erp", "line"), ("erp", "item"), ("crm", "line")]:
        result = await place.kantata.time_entries.create_many(
            rows, key=evolve(KEY, service_name=service, service_model=model)
        )
        assert len(result.created) == 1
    assert len(place.notes()) == 3


async def test_archived_projects_are_searched(place: Place) -> None:
    rows = keyed(place, 3)
    await place.kantata.time_entries.create_many(rows, key=KEY)
    place.store.change("workspaces", str(place.workspace), archived=True)
    result = await place.kantata.time_entries.create_many(rows, key=KEY)
    assert len(result.found) == 3


@pytest.mark.parametrize("fault", ["reset", "timeout", "status", "cut"])
@pytest.mark.parametrize("committed", [False, True])
async def test_lost_answers_are_resolved_by_a_search(place: Place, fault: str, committed: bool) -> None:
    options = {} if fault == "cut" else {"committed": committed}
    code = (504,) if fault == "status" else ()
    getattr(place.faults, fault)(*code, method="POST", **options)
    result = await place.kantata.time_entries.create_many(keyed(place, 150), key=KEY, concurrency=1)
    assert len(result.created) == 150
    assert place.notes() == [str(index) for index in range(150)]
    assert len(place.sent()) == (2 if committed or fault == "cut" else 3)


async def test_late_objects_are_waited_for(place: Place) -> None:
    place.faults.reset(committed=True, method="POST")
    hidden = place.store.where

    def late(key: str, field: str, value: object) -> Any:
        looks = len(place.sent("GET"))
        return [] if field == "service_model_ref" and looks < 3 else hidden(key, field, value)

    place.store.where = late
    place.store.remembered = lambda query, select: select()
    result = await place.kantata.time_entries.create_many(keyed(place, 10), key=KEY)
    assert len(result.created) == 10
    assert len(place.sent()) == 1
    assert len(place.sent("GET")) >= 4


async def test_object_that_never_appears_is_unknown(place: Place) -> None:
    place.faults.reset(method="POST", times=None)
    key = evolve(KEY, patience=0.0, attempts=3)
    result = await place.kantata.time_entries.create_many(keyed(place, 10), key=key)
    assert len(result.unknown) == 10
    assert isinstance(result.unknown[0].error, UnknownOutcomeError)
    assert len(place.sent()) == 3


async def test_failed_search_prevents_repeated_creation(place: Place) -> None:
    place.faults.reset(method="POST")
    place.faults.status(500, method="GET", after=1, times=None)
    result = await place.kantata.time_entries.create_many(keyed(place, 10), key=evolve(KEY, patience=0.0))
    assert len(result.unknown) == 10
    assert len(place.sent()) == 1


async def test_failed_first_search_prevents_creation(place: Place) -> None:
    place.faults.status(500, method="GET", times=None)
    result = await place.kantata.time_entries.create_many(keyed(place, 10), key=KEY)
    assert len(result.failed) == 10
    assert not place.sent()


async def test_invalid_items_fail_and_valid_ones_are_created_once(place: Place) -> None:
    rows = keyed(place, 100)
    rows[30]["story_id"] = rows[31]["story_id"] = 1
    result = await place.kantata.time_entries.create_many(rows, key=KEY)
    assert [outcome.index for outcome in result.failed] == [30, 31]
    assert isinstance(result.failed[0].error, ValidationError)
    assert len(place.notes()) == 98
    del rows[30]["story_id"]
    result = await place.kantata.time_entries.create_many(rows, key=KEY)
    assert len(result.found) == 98
    assert [entry.notes for entry in result.created] == ["30"]


async def test_existing_items_of_a_refused_chunk_are_not_sent_again(place: Place) -> None:
    """The service does not promise to create all or nothing."""
    rows = keyed(place, 10)
    other = place.sandbox.client()

    def bad(item: dict[str, Any]) -> bool:
        return item["notes"] == "9"

    place.faults.refuse(bad, with_index=False)
    run = place.kantata.time_entries.create_many(rows, key=KEY)
    real = place.kantata._session.transport.send

    async def halfway(request: Any, auth: Any = None) -> Any:
        try:
            return await real(request, auth)
        except ValidationError:
            place.kantata._session.transport.send = real
            await other.time_entries.create_many(rows[:5], key=KEY)
            raise

    place.kantata._session.transport.send = halfway
    result = await run
    assert [outcome.index for outcome in result.failed] == [9]
    assert place.notes() == [str(index) for index in range(9)]


async def test_items_may_be_models(place: Place) -> None:
    await place.kantata.time_entries.create_many(place.rows(3))
    entries = await place.kantata.time_entries.list(include=["workspace"]).collect(limit=10)
    key = evolve(KEY, ref=lambda entry: entry.id)
    for _ in range(2):
        await place.kantata.time_entries.create_many(entries, key=key)
    await place.kantata.time_entries.create_many(entries, key=evolve(KEY, ref="id"))
    assert len(place.notes()) == 6
    assert references(place) == [entry.id for entry in entries]
    assert all(isinstance(entry, TimeEntry) for entry in entries)


async def test_external_reference_of_an_item_is_kept(place: Place) -> None:
    [row] = keyed(place, 1)
    own = {"external_link": "https://erp.example/7000", "service_name": "erp"}
    await place.kantata.time_entries.create_many([{**row, "external_reference": own}], key=KEY)
    [reference] = place.store.all("external_references")
    assert reference["external_link"] == "https://erp.example/7000"
    assert reference["service_model_ref"] == "7000"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda rows: rows[3].pop("erp_id"), r"items\[3\] has no 'erp_id'"),
        (lambda rows: rows[3].update(erp_id=None), r"items\[3\] has the external reference None"),
        (lambda rows: rows[3].update(erp_id=""), r"items\[3\] has the external reference ''"),
        (lambda rows: rows[3].update(erp_id="a,b"), r"items\[3\] has the external reference 'a,b'"),
        (lambda rows: rows[3].update(erp_id=" a"), r"items\[3\] has the external reference ' a'"),
        (lambda rows: rows[3].update(erp_id=1.5), r"items\[3\] has the external reference 1\.5"),
        (lambda rows: rows[3].update(erp_id="7001"), r"items\[1\] and items\[3\] have the same .*'7001'"),
        (
            lambda rows: rows[3].update(external_reference={"service_name": "crm"}),
            r"items\[3\] has an external_reference whose service_name is 'crm', not 'erp'",
        ),
        (lambda rows: rows.__setitem__(3, 7), r"items\[3\] must be a mapping or a model"),
    ],
    ids=range(9),
)
async def test_invalid_references_are_rejected_before_anything_is_sent(
    place: Place, change: Callable[[Any], object], problem: str
) -> None:
    rows = keyed(place, 5)
    change(rows)
    for source in (rows, iter(rows)):
        with pytest.raises(UsageError, match=problem):
            await place.kantata.time_entries.create_many(source, key=KEY)
    assert not place.sent()
    assert not place.sent("GET")


async def test_duplicate_references_in_an_async_input_fail(place: Place) -> None:
    rows = keyed(place, 250)
    rows[40]["erp_id"] = rows[10]["erp_id"]
    rows[240]["erp_id"] = rows[20]["erp_id"]
    result = await place.kantata.time_entries.create_many(each_of(rows), key=KEY, concurrency=1)
    assert [outcome.index for outcome in result.failed] == [40, 240]
    assert "items[20] and items[240]" in str(result.failed[1].error)
    assert len(place.notes()) == 248


@pytest.mark.parametrize(
    "key",
    [
        evolve(KEY, service_name=""),
        evolve(KEY, service_model=" "),
        evolve(KEY, service_name=" erp"),
        evolve(KEY, service_model="line\n"),
        evolve(KEY, service_name=7),
        evolve(KEY, ref=""),
        evolve(KEY, patience=-1),
        evolve(KEY, attempts=0),
    ],
    ids=range(8),
)
async def test_invalid_key_is_rejected(place: Place, key: ExternalReferenceKey) -> None:
    with pytest.raises(UsageError, match="Nothing was sent"):
        place.kantata.time_entries.create_many([{}], key=key)


async def test_key_is_rejected_for_resources_without_references(place: Place) -> None:
    create: Any = place.kantata.cost_rates._create_many
    from kantata_client.models import CostRate
    from kantata_client.operations import OPERATIONS

    with pytest.raises(UsageError, match="can't be found by an external reference"):
        create(OPERATIONS["POST /cost_rates"], CostRate, [{}], concurrency=1, progress=None, key=KEY)


@pytest.mark.parametrize("fault", ["reset", "cut", "status"])
async def test_single_creations_if_there_is_no_bulk_creation(place: Place, fault: str) -> None:
    rows = [{"name": f"V{index}", "erp_id": index} for index in range(50)]
    getattr(place.faults, fault)(*([503] if fault == "status" else []), method="POST", after=7)
    result = await place.kantata.roles.create_many(rows, key=KEY)
    assert [role.name for role in result.created] == [f"V{index}" for index in range(50)]
    looks = len(place.sent("GET", "/roles"))
    result = await place.kantata.roles.create_many(rows, key=KEY)
    assert [role.name for role in result.found] == [f"V{index}" for index in range(50)]
    assert place.store.count("roles") == 50
    assert len(place.sent(path="/roles")) == 50 + (fault != "cut")
    assert len(place.sent("GET", "/roles")) == looks + 3
    result = await place.kantata.roles.create_many([{"name": "unkeyed"}])
    assert [role.name for role in result.created] == ["unkeyed"]


async def test_rerun_after_a_cancellation_creates_the_rest(place: Place) -> None:
    rows = keyed(place, 2_000)
    place.faults.latency(0.005)
    for seconds in (0.02, 0.04, 0.06, 0.08):
        with anyio.move_on_after(seconds):
            await place.kantata.time_entries.create_many(rows, key=KEY, concurrency=3)
    place.faults.clear()
    result = await place.kantata.time_entries.create_many(rows, key=KEY)
    assert len(result.results) == len(place.notes()) == len(set(place.notes())) == 2_000
