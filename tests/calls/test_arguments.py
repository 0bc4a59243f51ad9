"""Arguments of calls: invalid ones are rejected before anything is sent, valid ones are converted for the service."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import File, Kantata, KantataError, UsageError, models

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.recorder import Recorder

pytestmark = pytest.mark.anyio

TOKEN = "tok-e1f9"
REQUIRED = {"workspace_id": 10, "title": "Kick-off", "story_type": "task"}


@pytest.fixture
def kantata(recorder: Recorder) -> Kantata:
    return recorder.client(TOKEN)


class NoOffset(tzinfo):
    """A time zone without an offset."""

    def utcoffset(self, dt: datetime | None) -> None:
        return None


async def finished(called: Any) -> Any:
    """The result of a call, or all objects of a list."""
    if hasattr(called, "collect"):
        return await called.collect()
    return await called


INVALID: dict[str, tuple[Callable[[Any], Any], str]] = {
    # --- lists
    "unknown include": (
        lambda k: k.stories.list(include=["assignee"]),
        "stories.list: include: unknown value 'assignee'; did you mean 'assignees'?",
    ),
    "unknown include in text": (
        lambda k: k.stories.list(include="workspace,nothing_like_it_at_all"),
        "stories.list: include: unknown value 'nothing_like_it_at_all'; known values: ",
    ),
    "unknown include of one object": (
        lambda k: k.stories.get(7, include=["asignees"]),
        "did you mean 'assignees'?",
    ),
    "unknown order": (
        lambda k: k.stories.list(order="updated_at:descending"),
        "stories.list: order: unknown value 'updated_at:descending'; did you mean 'updated_at:desc'?",
    ),
    "order without direction": (
        lambda k: k.stories.list(order="updated_at"),
        "unknown value 'updated_at'",
    ),
    "unknown optional field": (
        lambda k: k.stories.list(optional_fields=["can_edt"]),
        "did you mean 'can_edit'?",
    ),
    "per_page over 200": (
        lambda k: k.stories.list(per_page=201),
        "stories.list: per_page must be at most 200, got 201.",
    ),
    "per_page 0": (lambda k: k.stories.list(per_page=0), "per_page must be at least 1, got 0"),
    "page 0": (lambda k: k.stories.list(page=0), "stories.list: page must be at least 1, got 0."),
    "page -1": (lambda k: k.stories.list(page=-1), "page must be at least 1, got -1"),
    "bool as a number": (
        lambda k: k.stories.list(per_page=True),
        "must be a whole number, got True (bool)",
    ),
    "text as a number": (
        lambda k: k.stories.list(per_page="many"),
        "must be a whole number, got 'many' (str)",
    ),
    "fraction as a number": (
        lambda k: k.stories.list(page=1.5),
        "must be a whole number, got 1.5 (float)",
    ),
    "number as a bool": (lambda k: k.stories.list(all_on_account=1), "must be True or False, got 1 (int)"),
    "text as a bool": (
        lambda k: k.stories.list(all_on_account="true"),
        "must be True or False, got 'true' (str)",
    ),
    "text that is not a date": (
        lambda k: k.stories.list(due_on="tomorrow"),
        "must be a date or 'YYYY-MM-DD', got 'tomorrow' (str)",
    ),
    "date that does not exist": (lambda k: k.stories.list(due_on="2026-02-30"), "got '2026-02-30' (str)"),
    "text that is not a datetime": (
        lambda k: k.stories.list(updated_after="yesterday"),
        "must be a datetime, ISO 8601 text, or a date for its midnight in UTC, got 'yesterday' (str)",
    ),
    "number as a datetime": (
        lambda k: k.stories.list(updated_after=1_700_000_000),
        "for its midnight in UTC, got 1700000000 (int)",
    ),
    "naive datetime": (
        lambda k: k.stories.list(updated_after=NAIVE),
        "stories.list: updated_after has no time zone: add one, e.g. datetime.now(UTC) or value.astimezone().",
    ),
    "datetime whose zone has no offset": (
        lambda k: k.stories.list(updated_after=NAIVE.replace(tzinfo=NoOffset())),
        "updated_after has no time zone",
    ),
    "naive datetime in a body": (
        lambda k: k.posts.create(workspace_id=1, message="x", backdated_to=NAIVE),
        "posts.create: backdated_to has no time zone: add one",
    ),
    "naive datetime in an untyped value": (
        lambda k: k.custom_field_values.create(
            subject_type="Workspace", subject_id=10, custom_field_id=3, value=[NAIVE]
        ),
        "custom_field_values.create: value[0] has no time zone: add one",
    ),
    "empty only": (
        lambda k: k.stories.list(only=[]),
        "stories.list: only is empty; leave it out, or skip the request.",
    ),
    "empty only as text": (lambda k: k.stories.list(only=" , "), "only is empty"),
    "too many external ids": (
        lambda k: k.stories.list(external_reference_service_model_refs=[str(n) for n in range(201)]),
        "has 201 items; the service accepts at most 200",
    ),
    "empty filter": (lambda k: k.stories.list(with_assignees=[]), "with_assignees is empty"),
    "unknown value": (lambda k: k.stories.list(archived="yes"), "unknown value 'yes'"),
    "mapping as a list": (lambda k: k.stories.list(only={"a": 1}), "only"),
    "required parameter is None": (
        lambda k: k.story_state_changes.list(story_id=None),
        "story_id is required",
    ),
    # --- ids
    "empty id": (
        lambda k: k.stories.get(""),
        "stories.get: id is empty; a record has no id until it is created.",
    ),
    "blank id": (lambda k: k.stories.delete("  "), "id is empty"),
    "None as an id": (
        lambda k: k.stories.get(None),
        "id must be a whole number or text, got None (NoneType)",
    ),
    "bool as an id": (
        lambda k: k.stories.update(True, title="x"),
        "id must be a whole number or text, got True (bool)",
    ),
    "model as an id": (
        lambda k: k.stories.get(models.Story(id="7")),
        "stories.get: id must be a whole number or text, got Story(id='7') (Story); pass its id, story.id.",
    ),
    "model as the id of an update": (
        lambda k: k.time_entries.update(models.TimeEntry(id="7"), notes="x"),
        "; pass its id, time_entry.id. Nothing was sent.",
    ),
    "model as the id of a deletion": (
        lambda k: k.stories.delete(models.Story(id="7")),
        "; pass its id, story.id.",
    ),
    "model as an id in a query": (
        lambda k: k.stories.list(workspace_id=models.Workspace(id="7")),
        "workspace_id must be a whole number, got Workspace(id='7') (Workspace); pass its id, workspace.id.",
    ),
    "model as an id in a body": (
        lambda k: k.stories.create(**{**REQUIRED, "workspace_id": models.Workspace(id="7")}),
        "; pass its id, workspace.id.",
    ),
    "id with dot segments": (
        lambda k: k.stories.get(".."),
        "stories.get: id must be an id such as 7 or '7:12', got '..'",
    ),
    "empty id in a bulk deletion": (
        lambda k: k.time_entries.delete_many([1, ""]),
        "time_entries.delete_many: ids[1] must be an id, not ''",
    ),
    "None in a bulk deletion": (
        lambda k: k.time_entries.delete_many([None]),
        "ids[0] must be an id, not None",
    ),
    "text as a collection of ids": (
        lambda k: k.time_entries.delete_many("123"),
        "expected a collection of items, got str",
    ),
    # --- bodies
    "required property is None": (
        lambda k: k.stories.create(**{**REQUIRED, "title": None}),
        "stories.create: title is required and cannot be None.",
    ),
    "bool as an id in a body": (
        lambda k: k.stories.create(**{**REQUIRED, "workspace_id": True}),
        "workspace_id must be a whole number, got True (bool)",
    ),
    "bool as text": (
        lambda k: k.stories.create(**{**REQUIRED, "title": True}),
        "title must be text, got True",
    ),
    "list as text": (
        lambda k: k.stories.create(**{**REQUIRED, "title": ["x"]}),
        "title must be text, got ['x']",
    ),
    "unknown value in a body": (
        lambda k: k.stories.create(**{**REQUIRED, "story_type": "tusk"}),
        "stories.create: story_type: unknown value 'tusk'; did you mean 'task'?",
    ),
    "text that is not a number": (
        lambda k: k.skill_memberships.create(skill_id="x", user_id=1, level=1),
        "skill_id must be a whole number",
    ),
    "infinite number": (
        lambda k: k.time_off_entries.create(user_id=1, hours=float("inf"), requested_date="2026-03-04"),
        "must be a finite number, got inf (float)",
    ),
    "unknown property of an inner object": (
        lambda k: k.stories.create(**REQUIRED, external_reference={"service_nam": "crm"}),
        "stories.create: external_reference.service_nam is not a known property; did you mean 'service_name'?",
    ),
    "wrong type in an inner object": (
        lambda k: k.stories.create(**REQUIRED, external_reference={**REFERENCE, "locked": "yes"}),
        "external_reference.locked must be True or False, got 'yes' (str)",
    ),
    "text as an object": (
        lambda k: k.stories.create(**REQUIRED, external_reference="crm"),
        "external_reference must be a mapping, got 'crm' (str)",
    ),
    "text as a list": (
        lambda k: k.posts.create(workspace_id=1, message="x", recipient_ids="1,2"),
        "must be a list",
    ),
    "wrong type in a list": (
        lambda k: k.posts.create(workspace_id=1, message="x", recipient_ids=[1, None]),
        "recipient_ids[1] must be a whole number, got None (NoneType)",
    ),
    "unknown property in a bulk creation": (
        lambda k: k.stories.create_many([REQUIRED, {**REQUIRED, "titel": "x"}]),
        "items[1].titel is not a known property; did you mean 'title'?",
    ),
    "missing property in a bulk creation": (
        lambda k: k.stories.create_many([{"title": "x", "story_type": "task"}]),
        "stories.create: items[0].workspace_id is required.",
    ),
    "number in a bulk creation": (
        lambda k: k.stories.create_many([7]),
        "items[0] must be a mapping or a model, got 7",
    ),
    "text as a file": (
        lambda k: k.users.update_profile_photo(7, profile_photo_attachment_file="x"),
        "bytes or a File",
    ),
    "concurrency of 0": (
        lambda k: k.stories.create_many([REQUIRED], concurrency=0),
        "stories.create_many: concurrency must be at least 1, not 0",
    ),
    "concurrency of 0 pages": (
        lambda k: k.stories.list().pages(concurrency=0),
        "concurrency must be at least 1, not 0",
    ),
    "concurrency as text": (
        lambda k: k.stories.create_many([REQUIRED], concurrency="4"),
        "stories.create_many: concurrency must be a whole number, not '4'",
    ),
    "concurrency of pages as a boolean": (
        lambda k: k.stories.list().pages(concurrency=True),
        "concurrency must be a whole number, not True",
    ),
    "limit as text": (lambda k: k.stories.list().items(limit="5"), "limit must be a whole number, not '5'"),
    "limit as a fraction": (lambda k: k.stories.list().collect(2.5), "limit must be a whole number, not 2.5"),
    "limit of a table": (
        lambda k: k.stories.list().to_arrow(limit=float("nan")),
        "limit must be a whole number, not nan",
    ),
    "negative limit": (lambda k: k.stories.list().dicts(limit=-1), "limit must be at least 1, not -1"),
    "number to skip as text": (
        lambda k: k.stories.list().skip("5"),
        "skip('5'): the number of objects must be a whole number, not '5'",
    ),
    "negative number to skip": (
        lambda k: k.stories.list().skip(-1),
        "skip(-1): the number of objects must be at least 0, not -1",
    ),
    "interval as a timedelta": (
        lambda k: k.exports.download(1, to="x", interval=timedelta(seconds=2)),
        "exports.download: interval must be a number of seconds, not datetime.timedelta(seconds=2)",
    ),
    "interval of 0": (
        lambda k: k.exports.download(1, to="x", interval=0),
        "exports.download: interval must be above 0 seconds",
    ),
    "timeout as text": (
        lambda k: k.insights_report_exports.download_latest(1, to="x", timeout="60"),
        "timeout must be a number of seconds, at least 0, not '60'",
    ),
    "timeout that is not a number": (
        lambda k: k.insights_report_exports.download_latest(1, to="x", timeout=float("nan")),
        "timeout must be a number of seconds, at least 0, not nan",
    ),
    "descending order with a sign": (
        lambda k: k.stories.list(order="-updated_at"),
        "order: unknown value '-updated_at'; did you mean 'updated_at:desc'?",
    ),
    "descending order as in SQL": (
        lambda k: k.stories.list(order="updatd_at DESC"),
        "order: unknown value 'updatd_at DESC'; did you mean 'updated_at:desc'?",
    ),
    "order without a direction": (
        lambda k: k.stories.list(order="due_date"),
        "order: unknown value 'due_date'; did you mean 'due_date:asc'?",
    ),
    # --- kantata.request
    "path without a slash": (
        lambda k: k.request("GET", "stories"),
        "path is 'stories': pass a path below the base URL",
    ),
    "another host": (lambda k: k.request("GET", "//evil.example/x"), "path is '//evil.example/x'"),
    "query in the path": (lambda k: k.request("GET", "/stories?page=1"), "the query in `params`"),
    "path with dot segments": (
        lambda k: k.request("GET", "/../../oauth/revoke"),
        "path is '/../../oauth/revoke': it must not contain a segment '.' or '..'",
    ),
    "path that ends in a dot segment": (
        lambda k: k.request("GET", "/stories/.."),
        "must not contain a segment",
    ),
    "path with a single dot": (lambda k: k.request("GET", "/stories/./7"), "must not contain a segment"),
    "path with encoded dot segments": (
        lambda k: k.request("GET", "/stories/%2E%2e/x"),
        "must not contain a segment",
    ),
    "path with backslashes": (lambda k: k.request("GET", "/stories\\..\\x"), "must not contain a segment"),
    "line break in the path": (
        lambda k: k.request("GET", "/stories\n"),
        "it must not contain control characters",
    ),
    "half of a surrogate pair in the path": (
        lambda k: k.request("GET", "/stories/\ud800"),
        "it must not contain control characters",
    ),
    "params that are not a mapping": (
        lambda k: k.request("GET", "/stories", params=[("page", 1)]),
        "GET /stories: params must be a mapping, got [('page', 1)] (list).",
    ),
    "key of params that is not text": (
        lambda k: k.request("GET", "/x", params={None: 1}),
        "keys must be text",
    ),
    "mapping in params": (
        lambda k: k.request("GET", "/x", params={"filter": {"a": 1}}),
        "GET /x: filter cannot be sent in a query: {'a': 1} (dict).",
    ),
    "NaN in params": (
        lambda k: k.request("GET", "/x", params={"rate": float("nan")}),
        "cannot be converted to JSON",
    ),
    "naive datetime in params": (lambda k: k.request("GET", "/x", params={"since": NAIVE}), "no time zone"),
    "NaN in JSON": (
        lambda k: k.request("POST", "/x", json={"rate": [float("nan")]}),
        "POST /x: json.rate[0] cannot be converted to JSON: nan (float).",
    ),
    "infinity in JSON": (lambda k: k.request("POST", "/x", json={"rate": float("inf")}), "to JSON: inf"),
    "object in JSON": (
        lambda k: k.request("POST", "/x", json={"a": object()}),
        "json.a cannot be converted to JSON",
    ),
    "bytes in JSON": (
        lambda k: k.request("POST", "/x", json=b"{}"),
        "json cannot be converted to JSON: b'{}'",
    ),
    "model in JSON": (
        lambda k: k.request("POST", "/x", json={"story": models.Story(id="7")}),
        "json.story cannot be converted to JSON: Story(id='7') (Story).",
    ),
    "key in JSON that is not text": (
        lambda k: k.request("POST", "/x", json={("a", 1): 2}),
        "json: keys must be text, got ('a', 1) (tuple).",
    ),
    "half of a surrogate pair in a key": (
        lambda k: k.request("POST", "/x", json={"\ud800": 2}),
        "must be valid Unicode",
    ),
    "naive datetime in JSON": (
        lambda k: k.request("POST", "/x", json={"at": NAIVE}),
        "POST /x: json.at has no time zone: add one",
    ),
}
NAIVE = datetime(2026, 3, 4, 5, 6, 7)  # noqa: DTZ001 - rejected
REFERENCE = {"service_name": "crm", "service_model": "Deal", "service_model_ref": "1"}


@pytest.mark.parametrize("name", INVALID)
async def test_invalid_arguments_are_rejected_before_anything_is_sent(
    name: str, kantata: Kantata, recorder: Recorder
) -> None:
    call, message = INVALID[name]
    with pytest.raises(UsageError) as caught:
        await finished(call(kantata))
    assert message in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert recorder.requests == []
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, KantataError)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: k.stories.list(workspce_id=10), "unexpected keyword argument 'workspce_id'"),
        (lambda k: k.stories.create(**REQUIRED, titel="x"), "unexpected keyword argument 'titel'"),
        (lambda k: k.stories.create(title="x"), "missing 1 required keyword-only argument: 'workspace_id'"),
        (lambda k: k.stories.get(), "missing 1 required positional argument: 'id'"),
        (lambda k: k.stories.update(7, "New title"), "takes 2 positional arguments but 3 were given"),
        (lambda k: k.custom_field_values.list(), "missing 1 required keyword-only argument: 'subject_type'"),
    ],
)
async def test_wrong_keywords_raise_type_error(
    call: Any, message: str, kantata: Kantata, recorder: Recorder
) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        await finished(call(kantata))
    assert recorder.requests == []


@pytest.mark.parametrize("name", ["unknown include", "per_page over 200", "page 0", "empty only"])
async def test_arguments_of_lists_are_checked_when_the_list_is_created(name: str, kantata: Kantata) -> None:
    """The traceback shows the line with the mistake, not the loop that reads the first page."""
    with pytest.raises(UsageError):
        INVALID[name][0](kantata)


async def test_awaiting_a_list_explains_how_to_read_it(kantata: Kantata) -> None:
    with pytest.raises(
        TypeError,
        match=r"stories\.list\(\) can't be awaited itself: .* first\(\), one\(\), count\(\) or collect\(\)",
    ):
        await kantata.stories.list()  # type: ignore[misc]


def test_missing_token_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KANTATA_ACCESS_TOKEN", raising=False)
    with pytest.raises(
        UsageError, match=r"No access token: pass Kantata\(token=…\) or set the variable KANTATA_ACCESS"
    ):
        Kantata()


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ünicode", 7])
def test_invalid_tokens_are_rejected_and_not_shown(token: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Kantata(token)
    assert "ccess token" in str(caught.value)
    assert not token or str(token) not in str(caught.value)


# --- valid arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "2026-03-04T05:06:07+00:00"),
        (datetime(2026, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=-7))), "2026-03-04T05:06:00-07:00"),
        (date(2026, 3, 4), "2026-03-04T00:00:00+00:00"),
        ("2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z"),
        ("2026-03-04", "2026-03-04"),
    ],
)
async def test_datetimes_in_every_accepted_form(
    given: Any, sent: str, kantata: Kantata, recorder: Recorder
) -> None:
    await kantata.stories.list(updated_after=given).first()
    assert recorder.query["updated_after"] == sent


@pytest.mark.parametrize("given", [date(2026, 3, 4), datetime(2026, 3, 4, 23, 59, tzinfo=UTC), "2026-03-04"])
async def test_dates_in_every_accepted_form(given: Any, kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.list(due_on=given).first()
    assert recorder.query["due_on"] == "2026-03-04"


async def test_dates_in_a_body(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.update(7, due_date=date(2026, 3, 4), start_date="2026-03-01")
    assert recorder.body == {"story": {"due_date": "2026-03-04", "start_date": "2026-03-01"}}


@pytest.mark.parametrize(
    "given",
    [
        "workspace,assignees",
        "workspace, assignees",
        ["workspace", "assignees"],
        ("workspace", "assignees"),
    ],
)
async def test_include_in_every_accepted_form(given: Any, kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.get(7, include=given)
    assert recorder.query == {"include": "workspace,assignees"}


async def test_include_from_an_iterator_applies_to_every_page(kantata: Kantata, recorder: Recorder) -> None:
    """The request and the associations both use it, although an iterator can be read only once."""
    story = await kantata.stories.list(include=iter(["workspace"])).first()  # type: ignore[arg-type]
    assert recorder.query["include"] == "workspace"
    assert story is not None
    assert story.workspace is None


async def test_include_from_an_iterator_applies_to_a_single_record(kantata: Kantata) -> None:
    story = await kantata.stories.get(7, include=iter(["workspace"]))  # type: ignore[arg-type]
    assert story.workspace is None


@pytest.mark.parametrize("given", [[], (), "", None])
async def test_empty_include_is_left_out(given: Any, kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.get(7, include=given)
    assert recorder.query == {}


@pytest.mark.parametrize(
    ("given", "sent"), [(7, "7"), ("8", "8"), ([7, "8"], "7,8"), ({7: 1}.keys(), "7"), ("7, 8", "7,8")]
)
async def test_only_in_every_accepted_form(
    given: Any, sent: str, kantata: Kantata, recorder: Recorder
) -> None:
    await kantata.stories.list(only=given).first()
    assert recorder.query["only"] == sent


async def test_none_is_null_in_a_body_and_left_out_of_a_query(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.update(7, due_date=None, include=None)
    assert recorder.body == {"story": {"due_date": None}}
    assert recorder.query == {}


async def test_omitted_properties_are_not_sent(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.update(7, title="x")
    assert recorder.body == {"story": {"title": "x"}}


async def test_ids_as_text_are_sent_as_numbers_in_a_body(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.create(**{**REQUIRED, "workspace_id": "10"})
    assert recorder.body["story"]["workspace_id"] == 10


async def test_decimals_are_sent_as_numbers(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.time_off_entries.create(user_id=1, hours=Decimal("7.5"), requested_date="2026-03-04")
    assert recorder.body["time_off_entry"]["hours"] == 7.5


async def test_untyped_values_are_converted_to_json(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.custom_field_values.create(
        subject_type="Workspace",
        subject_id=10,
        custom_field_id=3,
        value=[date(2026, 3, 4), 7, "EUR"],
    )
    assert recorder.body["custom_field_value"]["value"] == ["2026-03-04", 7, "EUR"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (7, "/7"),
        ("8", "/8"),
        (" 9 ", "/9"),
        ("123:percent_complete", "/123:percent_complete"),
        ("12:34", "/12:34"),
    ],
)
async def test_ids_in_every_accepted_form(
    given: Any, sent: str, kantata: Kantata, recorder: Recorder
) -> None:
    await kantata.stories.get(given)
    assert recorder.requests[0].url.raw_path.decode() == f"/api/v1/stories{sent}"


@pytest.mark.parametrize(
    "given",
    [
        *(
            "../time_entries/119927",
            "7/delete",
            "7\\..\\8",
            "..%2Ftime_entries%2F7",
            "%2e%2e",
            "7%2F8",
            "7%00",
            "7?x=1",
        ),
        *(
            "7#x",
            "7;x=1",
            "7\n8",
            "7\x00",
            "7\x7f",
            "\uff17",
            "7\uff0f8",
            "7 8",
            "abc",
            "-7",
            "7.json",
            ":7",
            "7:",
            "7::8",
            "7,8",
            "7\n",
            "\t7",
            "7\xa0",
            "+7",
            "7e1",
        ),
    ],
    ids=ascii,
)
@pytest.mark.parametrize(
    "method",
    ["get", "delete", "update", "delete_many", "update_many", "time_entries.delete_many", "approve_many"],
)
async def test_texts_that_could_name_another_record_are_rejected_as_ids(
    method: str, given: str, kantata: Kantata, recorder: Recorder
) -> None:
    stories, values = kantata.stories, {"title": "T"}
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "get": lambda: stories.get(given),
        "delete": lambda: stories.delete(given),
        "update": lambda: stories.update(given, **values),
        "delete_many": lambda: stories.delete_many([7, given]),
        "update_many": lambda: stories.update_many([(7, values), (given, values)]),
        # A service may take the number at the beginning of a text: "7.json" or "7e1" for 7.
        "time_entries.delete_many": lambda: kantata.time_entries.delete_many([7, given]),
        "approve_many": lambda: kantata.timesheet_submissions.approve_many([7, given]),
    }
    with pytest.raises(UsageError, match="must be an id"):
        await calls[method]()
    assert recorder.requests == []


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/stories/..%2Ftime_entries%2F7",
            "/stories/..%252Ftime_entries",
            "/stories/%25252e%25252e/x",
            "/stories/7%2F8",
        ),
        *(
            "/stories/7%5C8",
            "/stories/7%3Fx=1",
            "/stories/7%2523x",
            "/stories/7;a=1",
            "/stories/..;/x",
            "/stories/7%3bx",
        ),
        *(
            "/stories/%c0%ae%c0%ae/x",
            "/stories/7%00",
            "/stories/7%250a",
            "/stories/\uff0e\uff0e/x",
            "/stories\uff0f7",
        ),
    ],
    ids=ascii,
)
async def test_ambiguous_paths_are_rejected_by_request(
    path: str, kantata: Kantata, recorder: Recorder
) -> None:
    with pytest.raises(UsageError, match="path is"):
        await kantata.request("DELETE", path)
    assert recorder.requests == []


async def test_other_quoted_characters_are_accepted_by_request(kantata: Kantata, recorder: Recorder) -> None:
    for path in ("/tags/b%C3%BCro", "/tags/50%25", "/tags/a%20b", "/set:7/a..b/...", "/tags/büro"):
        await kantata.request("GET", path)
    assert len(recorder.requests) == 5


async def test_creating_from_a_model_sends_the_properties_of_the_body(
    kantata: Kantata, recorder: Recorder
) -> None:
    story = models.Story(
        id="7", title="Kick-off", workspace_id="10", story_type="task", created_at=datetime.now(UTC)
    )
    await kantata.stories.create_many([story])
    assert recorder.body == {"stories": [{"title": "Kick-off", "workspace_id": 10, "story_type": "task"}]}


async def test_multipart_form_with_file_and_fields(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.attachments.create(
        type="receipt", data=File("data", "bill.pdf", b"%PDF", "application/pdf")
    )
    sent = recorder.requests[0].content
    assert b'name="attachment[type]"\r\n\r\nreceipt' in sent
    assert b'name="attachment[data]"; filename="bill.pdf"' in sent
    assert b"application/pdf" in sent
    assert b"%PDF" in sent


async def test_long_values_are_shortened_in_errors(kantata: Kantata) -> None:
    with pytest.raises(UsageError) as caught:
        await kantata.stories.update(7, title=["x" * 10_000])  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200
