"""`extra_query` and `extra_body`: arguments that the contract lacks, on every typed call."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import ExportError, Kantata, UploadError, UsageError
from kantata_client.operations import OPERATIONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.recorder import Recorder

ENVELOPE = {
    "count": 0,
    "meta": {"count": 0, "page_count": 0, "page_number": 1, "page_size": 200},
    "results": [],
}


@pytest.mark.anyio
async def test_extra_properties_are_sent_with_the_typed_ones(recorder: Recorder) -> None:
    await recorder.client().stories.create(
        workspace_id=1,
        title="Kick-off",
        story_type="task",
        extra_body={"assignees": [{"id": 5}], "starts": datetime(2026, 1, 2, tzinfo=UTC)},
    )
    assert recorder.body == {
        "story": {
            "workspace_id": 1,
            "title": "Kick-off",
            "story_type": "task",
            "assignees": [{"id": 5}],
            "starts": "2026-01-02T00:00:00+00:00",
        }
    }


@pytest.mark.anyio
async def test_extras_may_have_values_that_the_contract_does_not_list(recorder: Recorder) -> None:
    kantata = recorder.client()
    await kantata.stories.create(workspace_id=1, title="x", extra_body={"story_type": "epic"})
    assert recorder.body["story"]["story_type"] == "epic"
    await kantata.stories.get(7, extra_query={"include": ["galaxies", "workspace"]})
    assert recorder.query["include"] == "galaxies,workspace"
    await kantata.stories.list(extra_query={"order": "rank:asc"}).first()
    assert recorder.query["order"] == "rank:asc"


@pytest.mark.anyio
async def test_association_in_extra_query_counts_as_included(recorder: Recorder) -> None:
    story = await recorder.client().stories.get(7, extra_query={"include": ["workspace"]})
    assert story.workspace is None


@pytest.mark.anyio
async def test_extra_parameters_are_sent_with_every_page(recorder: Recorder) -> None:
    recorder.answer = {**ENVELOPE, "count": 250, "meta": {"page_size": 200}}
    kantata = recorder.client()
    async for _ in kantata.stories.list(extra_query={"brand_new": True}).pages():
        pass
    await kantata.stories.list(extra_query={"brand_new": True}).count()
    recorder.answer = {**ENVELOPE, "count": 0}
    await kantata.stories.list(extra_query={"brand_new": True}).stable().collect()
    assert len(recorder.requests) > 2
    assert all("brand_new=true" in str(request.url) for request in recorder.requests)


@pytest.mark.anyio
async def test_extras_of_deletions_and_of_operations_without_a_body(recorder: Recorder) -> None:
    kantata = recorder.client()
    await kantata.stories.delete(7, extra_query={"force": True})
    assert recorder.query == {"force": "true"}
    bodiless = OPERATIONS["PUT /account_invitations/{id}/resend"]
    assert bodiless.body is None
    recorder.answer = {"count": 1, "results": [{"key": "x", "id": "1"}], "x": {"1": {"id": "1"}}}
    await kantata.account_invitations.with_response.resend(1, extra_body={"quietly": True})
    assert recorder.body == {"quietly": True}


@pytest.mark.anyio
async def test_extra_fields_of_forms(recorder: Recorder) -> None:
    recorder.answer = {"id": "1"}
    await recorder.client().attachments.create(
        type="receipt", extra_body={"attachment[shared_with]": [1, 2]}, direct=True
    )
    assert b'name="attachment[shared_with][]"\r\n\r\n2' in recorder.requests[-1].content


@pytest.mark.anyio
async def test_extra_parameter_of_none_is_left_out(recorder: Recorder) -> None:
    await recorder.client().story_state_changes.list(story_id=1, extra_query={"x": None}).first()
    assert "x" not in recorder.query


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"title": "x"}, "stories.create: extra_body: 'title' is also passed as title=…: pass it once"),
        ([("a", 1)], "stories.create: extra_body: must be a mapping, got list"),
        ({1: 2}, "stories.create: extra_body: keys must be text that is not empty, got 1"),
        ({"x": float("nan")}, "stories.create: x"),
        ({"x": object()}, "stories.create: x cannot be converted to JSON"),
    ],
    ids=["twice", "list", "number", "nan", "object"],
)
@pytest.mark.anyio
async def test_invalid_extras_are_rejected(recorder: Recorder, extra: Any, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        await recorder.client().stories.create(workspace_id=1, title="x", extra_body=extra)
    assert problem in str(caught.value)
    assert not recorder.requests


@pytest.mark.parametrize("name", ["page", "per_page", "only", "limit", "offset"])
def test_extras_cannot_change_the_pages_of_a_list(recorder: Recorder, name: str) -> None:
    with pytest.raises(UsageError, match=rf"stories\.list: extra_query: '{name}' "):
        recorder.client().stories.list(extra_query={name: 5})


def test_extra_that_repeats_an_argument_is_rejected(recorder: Recorder) -> None:
    with pytest.raises(UsageError, match="'order' is also passed as order="):
        recorder.client().stories.list(order="created_at:asc", extra_query={"order": "rank:asc"})


WITHOUT_EXTRAS = {
    "download",  # of an export that exists
    "download_latest",  # of a scheduled report
    "follow",  # polls; `subscribed_events.list` takes extras
}


def test_every_method_accepts_extras() -> None:
    import inspect

    kantata = Kantata("secret")
    operations = {(each.resource, each.name): each for each in OPERATIONS.values()}
    for resource in kantata.CLASSES:
        for name, method in inspect.getmembers(getattr(kantata, resource), inspect.ismethod):
            if name.startswith("_") or name in WITHOUT_EXTRAS:
                continue
            parameters = inspect.signature(method).parameters
            assert "extra_query" in parameters, f"{resource}.{name}"
            operation = operations.get((resource, name))
            if operation is not None and name != "delete_many":
                writes = operation.body is not None or operation.method in ("POST", "PUT")
                assert ("extra_body" in parameters) == writes, operation.id


@pytest.mark.anyio
async def test_extra_parameters_of_bulk_deletions_are_sent_with_every_request(recorder: Recorder) -> None:
    kantata = recorder.client()
    recorder.answer = {}
    result = await kantata.time_entries.delete_many(range(1, 151), extra_query={"quietly": True})
    assert len(result.done) == 150
    assert [request.url.params["quietly"] for request in recorder.requests] == ["true"] * 2
    await kantata.stories.delete_many([7], extra_query={"force": 1})
    assert recorder.query == {"force": "1"}
    with pytest.raises(UsageError, match="'ids' is also passed as ids="):
        kantata.time_entries.delete_many([1], extra_query={"ids": [2]})


@pytest.mark.anyio
async def test_extras_of_decisions(recorder: Recorder) -> None:
    kantata = recorder.client()
    recorder.answer = {"resolutions": [{"id": "1", "target_id": "7"}]}
    result = await kantata.timesheet_submissions.approve_many(
        [7], description="Thanks", extra_query={"quietly": True}, extra_body={"notify": False}
    )
    assert len(result.done) == 1
    assert recorder.query == {"quietly": "true"}
    (sent,) = recorder.body.values()
    assert sent == {"submission_ids": [7], "description": "Thanks", "notify": False}
    with pytest.raises(UsageError, match="'submission_ids' is also passed"):
        kantata.timesheet_submissions.reject_many([7], extra_body={"submission_ids": [8]})


@pytest.mark.anyio
async def test_extras_of_files(recorder: Recorder, tmp_path: Path) -> None:
    kantata = recorder.client()
    extras: Any = {"extra_query": {"quietly": True}, "extra_body": {"attachment[shared]": True}}
    await kantata.attachments.upload(b"x", type="receipt", filename="a.txt", **extras)
    assert recorder.query == {"quietly": "true"}
    assert b'name="attachment[shared]"\r\n\r\ntrue' in recorder.requests[-1].content
    recorder.answer = {"id": "1"}
    with pytest.raises(UploadError):  # the answer does not say where to send the file
        await kantata.attachments.upload(b"x", type="receipt", filename="a.txt", direct=True, **extras)
    assert recorder.query == {"quietly": "true"}
    assert b"shared" in recorder.requests[-1].content
    for name in ("attachment[type]", "attachment[data]", "attachment[filename]", "direct"):
        with pytest.raises(UsageError, match=f"'{re.escape(name)}' is also passed"):
            await kantata.attachments.upload(
                b"x", type="receipt", filename="a.txt", extra_body={name: "post_attachment"}
            )

    recorder.answer = None
    await kantata.users.upload_profile_photo(7, b"x", filename="a.png", extra_body={"user[crop]": 1})
    assert b'name="user[crop]"\r\n\r\n1' in recorder.requests[-1].content
    rates = b"Source Currency,Target Currency,Exchange Rate,Effective Date\nUSD,EUR,0.9,2026-03-04\n"
    await kantata.exchange_tables.upload_rates(7, rates, extra_body={"source": "bank"})
    assert recorder.body["source"] == "bank"
    await kantata.project_accounting_records.upload_csv(b"id\n1\n", extra_query={"dry_run": True})
    assert recorder.query == {"dry_run": "true"}
    recorder.answer = {
        "exports": {"7": {"id": "7", "status": "failed"}},
        "results": [{"key": "exports", "id": "7"}],
    }
    with pytest.raises(ExportError):
        await kantata.exports.run(
            {"8ebff9db413b3115": ["x"]}, to=tmp_path / "x.csv", extra_body={"notify": False}
        )
    assert recorder.body["export"].keys() == {"export_definition", "notify"}
