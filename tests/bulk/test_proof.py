"""What services do that promise less than the sandbox: nothing is created twice, and no outcome is a guess."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from kantata_client import ExternalReferenceKey, FixedRate, Kantata, RetryPolicy, UnknownOutcomeError
from kantata_client._bulk.lookup import ContradictionError
from kantata_client._bulk.matching import UnassignedError, in_order
from tests.bulk.nonconforming_services import (
    AlteredSearch,
    NonconformingService,
    NotAtomic,
    Reordering,
    changed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from conftest import Place

    from kantata_client.sandbox import Sandbox

KEY = ExternalReferenceKey("erp", "line", ref="erp_id", patience=0.0)


def client(place: Place, transport: httpx.AsyncBaseTransport) -> Kantata:
    """A client of the same sandbox through another transport."""
    session: Any = place.kantata._session
    return Kantata(
        session.tokens,
        base_url=session.base_url,
        transport=transport,
        retries=RetryPolicy(retries=2, initial=0.001, maximum=0.002),
        throttle=FixedRate(100_000),
    )


def keyed(place: Place, count: int, prefix: str = "Réf-") -> list[dict[str, Any]]:
    return [{**row, "erp_id": f"{prefix}{index}"} for index, row in enumerate(place.rows(count))]


def once_each(place: Place) -> bool:
    return max(Counter(place.notes()).values(), default=1) == 1


# --- chunks that are refused, but not undone ---


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.anyio
async def test_refused_chunk_without_a_key_is_not_sent_again(
    place: Place, with_index: bool, status: int
) -> None:
    bad = {"3", "150", "151", "299"}
    service = NotAtomic(place.sandbox, lambda row: row["notes"] in bad, status=status, with_index=with_index)
    async with client(place, service) as kantata:
        result = await kantata.time_entries.create_many(place.rows(400), concurrency=1)
    assert service.sent == [100, 100, 100, 100]
    assert once_each(place)
    assert {outcome.item["notes"] for outcome in result.failed} == (bad if with_index else set())
    assert {outcome.item["notes"] for outcome in result.done} == {str(index) for index in range(300, 400)}
    for outcome in result.unknown:
        assert isinstance(outcome.error, UnknownOutcomeError)
        assert "ExternalReferenceKey" in str(outcome.error)
        assert "atomic=True" in str(outcome.error)
    failed = {outcome.item["notes"] for outcome in result.failed}
    assert not failed & set(place.notes())


@pytest.mark.parametrize(
    "message",
    [
        "Item 100: is wrong.",  # counted from 1
        "there are 3 problems in row 0, 1 and 2 of 5000000",
        "title: is too long (maximum is 25 characters)",
        "",
    ],
)
@pytest.mark.anyio
async def test_unspecific_refusal_blames_no_item(place: Place, message: str) -> None:
    import httpx

    class Vague(NotAtomic):
        async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
            answer = await super().answer(request, body)
            errors = [{"type": "validation", "message": message, "field": "base"}]
            return httpx.Response(422, json={"errors": errors}) if answer.status_code == 422 else answer

    async with client(place, Vague(place.sandbox, lambda row: row["notes"] == "7")) as kantata:
        result = await kantata.time_entries.create_many(place.rows(100))
    assert len(result.unknown) == 100
    assert len(place.notes()) == 99


@pytest.mark.anyio
async def test_atomic_allows_refused_chunks_to_be_split(place: Place) -> None:
    place.faults.refuse(lambda item: item["notes"] == "7", with_index=False)
    result = await place.kantata.time_entries.create_many(place.rows(100), atomic=True)
    assert [outcome.index for outcome in result.failed] == [7]
    assert len(result.done) == len(place.notes()) == 99


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.anyio
async def test_existing_items_of_a_refused_chunk_with_a_key_are_found(place: Place, with_index: bool) -> None:
    bad = {"3", "50", "51", "99"}
    service = NotAtomic(place.sandbox, lambda row: row["notes"] in bad, with_index=with_index)
    async with client(place, service) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 100), key=KEY)
    assert {outcome.item["notes"] for outcome in result.failed} == bad
    assert len(result.done) == len(place.notes()) == 96
    assert once_each(place)
    assert all(outcome.result.notes == outcome.item["notes"] for outcome in result.done if outcome.result)


@pytest.mark.anyio
async def test_general_refusal_with_a_key_is_tried_once(place: Place) -> None:
    place.faults.status(403, method="POST", times=None)
    result = await place.kantata.time_entries.create_many(keyed(place, 400), key=KEY, concurrency=1)
    assert len(result.failed) == 400
    assert len(place.sent()) == 199 + 3 * 3, "the first chunk to its items, the others by their two ends"


@pytest.mark.anyio
async def test_items_of_a_refused_chunk_are_unknown_if_the_search_fails(place: Place) -> None:
    service = NotAtomic(place.sandbox, lambda row: row["notes"] == "3")
    place.faults.status(500, method="GET", after=1, times=None)
    async with client(place, service) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 10), key=KEY)
    assert len(result.unknown) == 10
    assert len(place.notes()) == 9


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.anyio
async def test_decisions_of_a_refused_chunk_are_looked_up(place: Place, with_index: bool) -> None:
    import httpx

    for number in range(500, 510):
        row = {
            "id": str(number),
            "status": "pending",
            "user_id": "1001",
            "workspace_id": str(place.workspace),
        }
        place.store.put(
            "timesheet_submissions", {**row, "created_at": "2026-01-01T00:00:00Z", "updated_at": ""}
        )

    class Service(NonconformingService):
        async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
            if request.method != "POST":
                return await self.forward(request, body)
            [approval] = body.values()
            ids = [str(each) for each in approval["submission_ids"]]
            if good := [each for each in ids if each != "507"]:
                answer = await self.forward(
                    request, {**body, next(iter(body)): {**approval, "submission_ids": good}}
                )
                assert answer.status_code < 300
            if "507" not in ids:
                return answer
            text = "507 can't be approved" if with_index else "is wrong"
            return httpx.Response(422, json={"errors": [{"type": "validation", "message": text}]})

    async with client(place, Service(place.sandbox)) as kantata:
        result = await kantata.timesheet_submissions.approve_many(range(500, 510))
    assert [outcome.item for outcome in result.failed] == [507]
    assert len(result.done) == 9
    statuses = {row["id"]: row["status"] for row in place.store.all("timesheet_submissions")}
    assert {number for number, status in statuses.items() if status == "approved"} == {
        str(number) for number in range(500, 510) if number != 507
    }


@pytest.mark.anyio
async def test_soft_deletions_of_a_refused_chunk_are_looked_up(place: Place) -> None:
    import httpx

    for number in range(800, 806):
        place.store.put("project_accounting_records", {"id": str(number), "deleted_at": None})

    class Service(NonconformingService):
        async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
            ids = request.url.params.get("ids", "").split(",")
            if request.method != "PUT" or "805" not in ids:
                return await self.forward(request, body)
            if good := [each for each in ids if each != "805"]:
                answer = await self.forward(request, body, ids=",".join(good))
                assert answer.status_code < 300
            errors = [{"type": "validation", "message": "805 is invoiced", "field": "ids"}]
            return httpx.Response(422, json={"errors": errors})

    async with client(place, Service(place.sandbox)) as kantata:
        result = await kantata.project_accounting_records.delete_many(range(800, 806))
    assert [outcome.item for outcome in result.failed] == [805]
    assert len(result.done) == 5


# --- answers in another order ---


@pytest.mark.anyio
async def test_different_order_without_a_key_raises_with_the_objects(place: Place) -> None:
    async with client(place, Reordering(place.sandbox)) as kantata:
        result = await kantata.time_entries.create_many(place.rows(150))
    assert len(result.unknown) == 150
    assert len(place.notes()) == 150
    error = result.unknown[0].error
    assert isinstance(error, UnassignedError)
    assert "created, but which is which is unknown" in str(error)
    assert {each.to_dict()["notes"] for each in error.objects} == {str(index) for index in range(100)}


@pytest.mark.anyio
async def test_order_of_equal_items_does_not_matter(place: Place) -> None:
    rows = [place.rows(1)[0]] * 20
    async with client(place, Reordering(place.sandbox)) as kantata:
        result = await kantata.time_entries.create_many(rows)
    assert len(result.done) == 20


@pytest.mark.parametrize("references", [True, False])
@pytest.mark.anyio
async def test_references_assign_objects_to_items(place: Place, references: bool) -> None:
    class Service(Reordering):
        async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
            answer = await super().answer(request, body)
            if request.method == "POST" and not references:
                answer = changed(answer, lambda found: found.pop("external_references", None))
            return answer

    async with client(place, Service(place.sandbox)) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 150), key=KEY)
    assert len(result.created) == len(place.notes()) == 150
    for outcome in result.outcomes:
        assert outcome.result is not None
        assert outcome.result.notes == outcome.item["notes"]


SENT = [{"title": "A", "rank": 1}, {"title": "B", "rank": 1}, {"title": "C", "rank": 2}]


@pytest.mark.parametrize(
    ("received", "fits"),
    [
        (SENT, True),
        (SENT[::-1], False),
        ([SENT[1], SENT[0], SENT[2]], False),
        ([{"title": "A"}, {"title": "B"}, {"title": "C"}], True),
        ([{}, {}, {}], True),  # nothing is repeated, so nothing contradicts
        ([{**each, "rank": 9} for each in SENT], True),  # the titles still tell them apart
        ([{**each, "title": each["title"].lower()} for each in SENT], False),  # the ranks do not
        ([{**each, "rank": str(each["rank"])} for each in SENT], True),
        ([{**each, "rank": each["rank"] * 1.0, "id": "7"} for each in SENT], True),
        ([{"title": "A "}, {"title": " B"}, {"title": "C"}], True),
        ([{"title": "A"}, {"title": "A"}, {"title": "C"}], False),
    ],
)
def test_values_that_show_the_order(received: list[dict[str, Any]], fits: bool) -> None:
    assert in_order(SENT, received) is fits


def test_equal_values_in_different_notation_match() -> None:
    sent = [
        {"at": "2026-01-05T10:00:00+02:00", "who": 7, "on": True},
        {"at": "2026-01-06", "who": 8, "on": False},
    ]
    received = [
        {"at": "2026-01-05T08:00:00Z", "who": "7", "on": "true"},
        {"at": "2026-01-06", "who": "8", "on": "false"},
    ]
    assert in_order(sent, received)
    assert not in_order(sent, received[::-1])
    assert in_order([{"name": "007"}, {"name": "7"}], [{"name": "007"}, {"name": "7"}])
    assert not in_order([{"name": "007"}, {"name": "7"}], [{"name": "7"}, {"name": "007"}])


# --- searches that can't be trusted ---


def lowered(body: dict[str, Any]) -> None:
    for reference in body.get("external_references", {}).values():
        reference["service_model_ref"] = reference["service_model_ref"].lower()


def renamed(body: dict[str, Any]) -> None:
    for reference in body.get("external_references", {}).values():
        reference["service_name"] = reference["service_name"].upper()


def decomposed(body: dict[str, Any]) -> None:
    for reference in body.get("external_references", {}).values():
        reference["service_model_ref"] = unicodedata.normalize("NFD", reference["service_model_ref"])


def emptied(body: dict[str, Any]) -> None:
    body["results"] = []


def halved(body: dict[str, Any]) -> None:
    body["results"] = body["results"][::2]


def unmapped(body: dict[str, Any]) -> None:
    body["time_entries"] = {}


def partly_unmapped(body: dict[str, Any]) -> None:
    for identifier in list(body.get("time_entries", {}))[::2]:
        del body["time_entries"][identifier]


def unreferenced(body: dict[str, Any]) -> None:
    body.pop("external_references", None)


def unnamed(body: dict[str, Any]) -> None:
    """The objects are there, but neither named nor counted."""
    body["results"] = []
    body["count"] = body["meta"]["count"] = 0


def undercounted(body: dict[str, Any]) -> None:
    body["count"] = body["meta"]["count"] = 1


def counted_differently(body: dict[str, Any]) -> None:
    emptied(body)
    body["time_entries"] = {}
    body["count"] = 0


def miscounted(body: dict[str, Any]) -> None:
    body["count"] = body["meta"]["count"] = -1


def failing(body: dict[str, Any]) -> None:
    """An empty list, as some services send it if their search is down."""
    body |= {"count": 0, "results": [], "time_entries": {}, "errors": [{"message": "timeout"}]}
    body.pop("meta")


def paged_without_a_count(body: dict[str, Any]) -> None:
    body |= {"results": [], "time_entries": {}, "meta": {"page_count": 3}}
    body.pop("count")


def repeating_a_page_without_a_count(body: dict[str, Any]) -> None:
    """Ten objects, whichever page is asked for."""
    body["results"] = body["results"][:10]
    named = {each["id"] for each in body["results"]}
    body["time_entries"] = {key: each for key, each in body["time_entries"].items() if key in named}
    body.pop("count")
    body.pop("meta")


CONTRADICTIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    each.__name__: each
    for each in (
        lowered,
        renamed,
        decomposed,
        emptied,
        halved,
        unmapped,
        partly_unmapped,
        unreferenced,
        unnamed,
        undercounted,
        counted_differently,
        miscounted,
        failing,
        paged_without_a_count,
        repeating_a_page_without_a_count,
    )
}


SMALL_PAGES = {"repeating_a_page_without_a_count": {"page": "1"}}
"""What the service makes of the query."""


@pytest.mark.parametrize("name", CONTRADICTIONS)
@pytest.mark.anyio
async def test_contradictory_search_creates_nothing(place: Place, name: str) -> None:
    await place.kantata.time_entries.create_many(keyed(place, 30), key=KEY)
    service = AlteredSearch(place.sandbox, CONTRADICTIONS[name], **SMALL_PAGES.get(name, {}))
    async with client(place, service) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 30), key=KEY)
    assert len(result.failed) == 30
    assert len(place.notes()) == 30
    assert isinstance(result.failed[0].error, ContradictionError)
    assert "Nothing more is created" in str(result.failed[0].error)


@pytest.mark.parametrize("status", [203, 206])
@pytest.mark.anyio
async def test_search_with_a_partial_answer_creates_nothing(place: Place, status: int) -> None:
    import httpx

    await place.kantata.time_entries.create_many(keyed(place, 30), key=KEY)

    class Partial(AlteredSearch):
        async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
            answer = await super().answer(request, body)
            return httpx.Response(status, json=answer.json()) if request.method == "GET" else answer

    def emptied_consistently(body: dict[str, Any]) -> None:
        unnamed(body)
        body["time_entries"] = {}

    async with client(place, Partial(place.sandbox, emptied_consistently)) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 30), key=KEY)
    assert len(result.failed) == 30
    assert f"status {status}" in str(result.failed[0].error)
    assert len(place.notes()) == 30


@pytest.mark.anyio
async def test_search_that_ignores_its_filter_creates_nothing(place: Place) -> None:
    await place.kantata.time_entries.create_many(keyed(place, 30), key=KEY)
    async with client(
        place, AlteredSearch(place.sandbox, external_reference_service_model_refs="Réf-0,Réf-1,Réf-2")
    ) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 60)[30:], key=KEY)
    assert len(result.failed) == 30
    assert len(place.notes()) == 30


@pytest.mark.anyio
async def test_contradiction_ends_the_run(place: Place) -> None:
    await place.kantata.time_entries.create_many(keyed(place, 100), key=KEY)
    async with client(place, AlteredSearch(place.sandbox, emptied)) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 1_000), key=KEY, concurrency=1)
    assert len(result.failed) == 1_000
    assert len(place.notes()) == 100


@pytest.mark.parametrize("name", ["lowered", "emptied", "unmapped"])
@pytest.mark.anyio
async def test_lost_creation_is_not_repeated_after_a_contradiction(place: Place, name: str) -> None:
    place.faults.reset(committed=True, method="POST")
    service = AlteredSearch(place.sandbox, CONTRADICTIONS[name])
    async with client(place, service) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 30), key=KEY)
    assert len(result.unknown) == 30
    assert len(place.notes()) == 30


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.anyio
async def test_small_pages_are_read_to_their_end(place: Place, told: bool) -> None:
    await place.kantata.time_entries.create_many(keyed(place, 35), key=KEY)

    def untold(body: dict[str, Any]) -> None:
        if not told:
            body.pop("count", None)
            body.pop("meta", None)

    async with client(place, AlteredSearch(place.sandbox, untold, per_page="10")) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 40), key=KEY)
    assert len(result.found) == 35
    assert len(result.created) == 5
    assert len(place.notes()) == 40


@pytest.mark.anyio
async def test_changed_references_in_the_answer_end_the_run(place: Place) -> None:
    class Lowering(AlteredSearch):
        async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
            answer = await self.forward(request, body)
            return changed(answer, lowered) if request.method == "POST" else answer

    async with client(place, Lowering(place.sandbox)) as kantata:
        result = await kantata.time_entries.create_many(keyed(place, 300), key=evolve(KEY), concurrency=1)
    assert len(result.done) == 100, "the search still finds them"
    assert len(result.failed) == 200
    assert len(place.notes()) == 100


def forgetful(body: dict[str, Any]) -> None:
    """The look-up counts its objects, but has none."""
    body["results"] = []


def unasked(body: dict[str, Any]) -> None:
    """The look-up ignores its filter: it has another object than those asked for."""
    key = body["results"][0]["key"]
    body["results"] = [{"key": key, "id": "4711"}]
    body[key] = {"4711": {"id": "4711", "status": "pending"}}
    body["count"] = body["meta"]["count"] = 1


class Refusing(NonconformingService):
    """Carries a request out, and refuses it nevertheless; its look-ups are changed."""

    def __init__(self, sandbox: Sandbox, change: Callable[[dict[str, Any]], object]) -> None:
        super().__init__(sandbox)
        self.change = change
        self.writes = 0

    async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
        import httpx

        answer = await self.forward(request, body)
        if request.method == "GET":
            return changed(answer, self.change)
        self.writes += 1
        return httpx.Response(422, json={"errors": [{"type": "validation", "message": "is wrong"}]})


@pytest.mark.parametrize("change", [forgetful, unasked])
@pytest.mark.anyio
async def test_decisions_are_unknown_if_the_look_up_contradicts_itself(
    place: Place, change: Callable[[dict[str, Any]], object]
) -> None:
    for number in range(500, 510):
        row = {"status": "pending", "user_id": "1001", "workspace_id": str(place.workspace)}
        row |= {"id": str(number), "created_at": "2026-01-01T00:00:00Z", "updated_at": ""}
        place.store.put("timesheet_submissions", row)
    service = Refusing(place.sandbox, change)
    async with client(place, service) as kantata:
        result = await kantata.timesheet_submissions.approve_many(range(500, 510))
    assert len(result.unknown) == 10
    assert isinstance(result.unknown[0].error, ContradictionError)
    assert service.writes == 1


@pytest.mark.parametrize("change", [forgetful, unasked])
@pytest.mark.anyio
async def test_soft_deletions_are_unknown_if_the_look_up_contradicts_itself(
    place: Place, change: Callable[[dict[str, Any]], object]
) -> None:
    for number in range(800, 806):
        place.store.put("project_accounting_records", {"id": str(number), "deleted_at": None})

    class Idle(Refusing):
        """Deletes nothing."""

        async def forward(self, request: httpx.Request, body: Any, **params: Any) -> httpx.Response:
            if request.method != "GET":
                import httpx

                request = httpx.Request("GET", request.url, headers=request.headers)
            return await super().forward(request, None, **params)

    service = Idle(place.sandbox, change)
    async with client(place, service) as kantata:
        result = await kantata.project_accounting_records.delete_many(range(800, 806))
    assert len(result.unknown) == 6
    assert isinstance(result.unknown[0].error, ContradictionError)
    assert service.writes == 1


# --- include ---


@pytest.mark.anyio
async def test_include_and_optional_fields_of_bulk_writes(place: Place) -> None:
    entries = place.kantata.time_entries
    created = await entries.create_many(place.rows(3), include=["workspace"])
    assert {entry.workspace.title for entry in created.results if entry.workspace} == {"P"}
    changes = [(entry.id, {"notes": "x"}) for entry in created.results]
    updated = await entries.update_many(changes, include="workspace")
    assert {entry.workspace.title for entry in updated.results if entry.workspace} == {"P"}
    found = await entries.create_many(keyed(place, 3), include=iter(["workspace"]), key=KEY)
    assert {entry.workspace.title for entry in found.created if entry.workspace} == {"P"}
    wrong: Any = entries.create_many
    with pytest.raises(ValueError, match="include"):
        wrong(place.rows(1), include=["nothing"])
