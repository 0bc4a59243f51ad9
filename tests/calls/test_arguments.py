"""Wrong use fails before anything is sent, with a sentence; right use is put as the service wants it."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client import File, Kantata, KantataError, UsageError, models

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

TOKEN = "tok-e1f9"
NEEDED = {"workspace_id": 10, "title": "Kick-off", "story_type": "task"}


class Recorder:
    """A service that keeps the requests and answers each with one story."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        key = request.url.path.split("/")[3]
        results = [{"key": key, "id": "7"}]
        return httpx.Response(200, json={"count": 1, "results": results, key: {"7": {"id": "7"}}})

    @property
    def query(self) -> dict[str, str]:
        (request,) = self.requests
        return dict(request.url.params.multi_items())

    @property
    def body(self) -> Any:
        (request,) = self.requests
        return json.loads(request.content)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def kantata(recorder: Recorder) -> Kantata:
    return Kantata(TOKEN, transport=httpx.MockTransport(recorder))


class NoOffset(tzinfo):
    """A time zone that does not know its offset."""

    def utcoffset(self, dt: datetime | None) -> None:
        return None


async def finished(called: Any) -> Any:
    """What a call of any kind leads to."""
    if hasattr(called, "collect"):
        return await called.collect()
    return await called


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    # --- lists
    "unknown include": (
        lambda k: k.stories.list(include=["assignee"]),
        "stories.list: include: 'assignee' is not one of its values; did you mean 'assignees'?",
    ),
    "unknown include in text": (
        lambda k: k.stories.list(include="workspace,nothing_like_it_at_all"),
        "stories.list: include: 'nothing_like_it_at_all' is not one of its values; it takes ",
    ),
    "unknown include of one object": (
        lambda k: k.stories.get(7, include=["asignees"]),
        "did you mean 'assignees'?",
    ),
    "unknown order": (
        lambda k: k.stories.list(order="updated_at:descending"),
        "stories.list: order: 'updated_at:descending' is not one of its values; did you mean 'updated_at:desc'?",
    ),
    "order without direction": (
        lambda k: k.stories.list(order="updated_at"),
        "'updated_at' is not one of its values",
    ),
    "unknown optional field": (
        lambda k: k.stories.list(optional_fields=["can_edt"]),
        "did you mean 'can_edit'?",
    ),
    "per_page over 200": (
        lambda k: k.stories.list(per_page=201),
        "stories.list: per_page is 201, the service gives 200 at most.",
    ),
    "per_page 0": (lambda k: k.stories.list(per_page=0), "per_page is 0, it begins at 1"),
    "page 0": (lambda k: k.stories.list(page=0), "stories.list: page is 0, it begins at 1."),
    "page -1": (lambda k: k.stories.list(page=-1), "page is -1, it begins at 1"),
    "bool for a number": (
        lambda k: k.stories.list(per_page=True),
        "a whole number is needed, not True (bool)",
    ),
    "text for a number": (
        lambda k: k.stories.list(per_page="many"),
        "a whole number is needed, not 'many' (str)",
    ),
    "fraction for a number": (
        lambda k: k.stories.list(page=1.5),
        "a whole number is needed, not 1.5 (float)",
    ),
    "number for a bool": (lambda k: k.stories.list(all_on_account=1), "True or False is needed, not 1 (int)"),
    "text for a bool": (
        lambda k: k.stories.list(all_on_account="true"),
        "True or False is needed, not 'true' (str)",
    ),
    "no date": (
        lambda k: k.stories.list(due_on="tomorrow"),
        "a date (or YYYY-MM-DD) is needed, not 'tomorrow' (str)",
    ),
    "no such day": (lambda k: k.stories.list(due_on="2026-02-30"), "not '2026-02-30' (str)"),
    "no datetime": (
        lambda k: k.stories.list(updated_after="yesterday"),
        "a datetime (or ISO 8601 text, or a date for its midnight in UTC) is needed, not 'yesterday' (str)",
    ),
    "number for a datetime": (
        lambda k: k.stories.list(updated_after=1_700_000_000),
        "for its midnight in UTC) is needed",
    ),
    "naive datetime": (
        lambda k: k.stories.list(updated_after=NAIVE),
        "stories.list: updated_after has no time zone: give one, e.g. datetime.now(UTC) or value.astimezone().",
    ),
    "naive datetime of a zone that knows no offset": (
        lambda k: k.stories.list(updated_after=NAIVE.replace(tzinfo=NoOffset())),
        "updated_after has no time zone",
    ),
    "naive datetime in a body": (
        lambda k: k.posts.create(workspace_id=1, message="x", backdated_to=NAIVE),
        "posts.create: backdated_to has no time zone: give one",
    ),
    "naive datetime in a value of any type": (
        lambda k: k.custom_field_values.create(
            subject_type="Workspace", subject_id=10, custom_field_id=3, value=[NAIVE]
        ),
        "custom_field_values.create: value[0] has no time zone: give one",
    ),
    "empty only": (
        lambda k: k.stories.list(only=[]),
        "stories.list: only is empty; leave it out, or do not send the request at all.",
    ),
    "empty only as text": (lambda k: k.stories.list(only=" , "), "only is empty"),
    "too many external ids": (
        lambda k: k.stories.list(external_reference_service_model_refs=[str(n) for n in range(201)]),
        "has 201 items, the service takes 200 at most",
    ),
    "empty filter": (lambda k: k.stories.list(with_assignees=[]), "with_assignees is empty"),
    "value of an enum": (lambda k: k.stories.list(archived="yes"), "'yes' is not one of its values"),
    "mapping for a list": (lambda k: k.stories.list(only={"a": 1}), "only"),
    "required parameter is None": (
        lambda k: k.story_state_changes.list(story_id=None),
        "story_id is required",
    ),
    # --- ids
    "empty id": (
        lambda k: k.stories.get(""),
        "stories.get: id: the id is empty; an object that was not created yet has none.",
    ),
    "blank id": (lambda k: k.stories.delete("  "), "the id is empty"),
    "None for an id": (lambda k: k.stories.get(None), "an id is a number or a text, not None (NoneType)"),
    "bool for an id": (
        lambda k: k.stories.update(True, title="x"),
        "an id is a number or a text, not True (bool)",
    ),
    "object for an id": (
        lambda k: k.stories.get(models.Story(id="7")),
        "stories.get: id: an id is a number or a text, not Story(id='7') (Story); give its id, story.id.",
    ),
    "object for the id of an update": (
        lambda k: k.time_entries.update(models.TimeEntry(id="7"), notes="x"),
        "; give its id, time_entry.id. Nothing was sent.",
    ),
    "object for the id of a deletion": (
        lambda k: k.stories.delete(models.Story(id="7")),
        "; give its id, story.id.",
    ),
    "object for an id in a query": (
        lambda k: k.stories.list(workspace_id=models.Workspace(id="7")),
        "workspace_id: a whole number is needed, not Workspace(id='7') (Workspace); give its id, workspace.id.",
    ),
    "object for an id in a body": (
        lambda k: k.stories.create(**{**NEEDED, "workspace_id": models.Workspace(id="7")}),
        "; give its id, workspace.id.",
    ),
    "id that climbs": (
        lambda k: k.stories.get(".."),
        "stories.get: id must be an id such as 7 or '7:12', got '..'",
    ),
    "empty id in a bulk": (
        lambda k: k.time_entries.delete_many([1, ""]),
        "time_entries.delete_many: ids[1] must be an id, not ''",
    ),
    "None in a bulk": (lambda k: k.time_entries.delete_many([None]), "ids[0] must be an id, not None"),
    "text as a bulk": (
        lambda k: k.time_entries.delete_many("123"),
        "expected a collection of items, got str",
    ),
    # --- bodies
    "required property is None": (
        lambda k: k.stories.create(**{**NEEDED, "title": None}),
        "stories.create: title is required and can't be None.",
    ),
    "bool for an id in a body": (
        lambda k: k.stories.create(**{**NEEDED, "workspace_id": True}),
        "workspace_id: a whole number is needed, not True (bool)",
    ),
    "bool for a text": (
        lambda k: k.stories.create(**{**NEEDED, "title": True}),
        "title: text is needed, not True",
    ),
    "list for a text": (
        lambda k: k.stories.create(**{**NEEDED, "title": ["x"]}),
        "title: text is needed, not ['x']",
    ),
    "value of an enum in a body": (
        lambda k: k.stories.create(**{**NEEDED, "story_type": "tusk"}),
        "stories.create: story_type: 'tusk' is not one of its values; did you mean 'task'?",
    ),
    "no number": (
        lambda k: k.skill_memberships.create(skill_id="x", user_id=1, level=1),
        "skill_id: a whole number is needed",
    ),
    "infinite number": (
        lambda k: k.time_off_entries.create(user_id=1, hours=float("inf"), requested_date="2026-03-04"),
        "a finite number is needed, not inf (float)",
    ),
    "unknown property inside": (
        lambda k: k.stories.create(**NEEDED, external_reference={"service_nam": "crm"}),
        "stories.create: external_reference.service_nam is not a property of it; did you mean 'service_name'?",
    ),
    "wrong type inside": (
        lambda k: k.stories.create(**NEEDED, external_reference={**REFERENCE, "locked": "yes"}),
        "external_reference.locked: True or False is needed, not 'yes' (str)",
    ),
    "text for an object": (
        lambda k: k.stories.create(**NEEDED, external_reference="crm"),
        "external_reference: a mapping is needed, not 'crm' (str)",
    ),
    "text for a list": (
        lambda k: k.posts.create(workspace_id=1, message="x", recipient_ids="1,2"),
        "a list is needed",
    ),
    "wrong type in a list": (
        lambda k: k.posts.create(workspace_id=1, message="x", recipient_ids=[1, None]),
        "recipient_ids[1]: a whole number is needed, not None (NoneType)",
    ),
    "unknown property in a bulk": (
        lambda k: k.stories.create_many([NEEDED, {**NEEDED, "titel": "x"}]),
        "items[1].titel is not a property of it; did you mean 'title'?",
    ),
    "missing property in a bulk": (
        lambda k: k.stories.create_many([{"title": "x", "story_type": "task"}]),
        "stories.create: items[0].workspace_id is required.",
    ),
    "no mapping in a bulk": (
        lambda k: k.stories.create_many([7]),
        "items[0]: a mapping or a model is needed, not 7",
    ),
    "text for a file": (
        lambda k: k.users.update_profile_photo(7, profile_photo_attachment_file="x"),
        "bytes or a File",
    ),
    "no concurrency": (
        lambda k: k.stories.create_many([NEEDED], concurrency=0),
        "concurrency must be a number of simultaneous requests, at least 1, not 0",
    ),
    "no concurrency of pages": (
        lambda k: k.stories.list().pages(concurrency=0),
        "concurrency is 0, it begins at 1",
    ),
    # --- the way out
    "path without a slash": (
        lambda k: k.request("GET", "stories"),
        "path is 'stories': give it below the base URL",
    ),
    "another host": (lambda k: k.request("GET", "//evil.example/x"), "path is '//evil.example/x'"),
    "query in the path": (lambda k: k.request("GET", "/stories?page=1"), "the query in `params`"),
    "path that climbs": (
        lambda k: k.request("GET", "/../../oauth/revoke"),
        "path is '/../../oauth/revoke': it must have no segment '.' or '..'",
    ),
    "path that climbs at its end": (lambda k: k.request("GET", "/stories/.."), "no segment"),
    "path that stays": (lambda k: k.request("GET", "/stories/./7"), "no segment"),
    "path that climbs in disguise": (lambda k: k.request("GET", "/stories/%2E%2e/x"), "no segment"),
    "path that climbs by backslashes": (lambda k: k.request("GET", "/stories\\..\\x"), "no segment"),
    "line break in the path": (lambda k: k.request("GET", "/stories\n"), "no control character"),
    "half a surrogate in the path": (lambda k: k.request("GET", "/stories/\ud800"), "no control character"),
    "params that are no mapping": (
        lambda k: k.request("GET", "/stories", params=[("page", 1)]),
        "GET /stories: params: a mapping is needed, not [('page', 1)] (list).",
    ),
    "name of a param that is no text": (lambda k: k.request("GET", "/x", params={None: 1}), "has to be text"),
    "mapping in a param": (
        lambda k: k.request("GET", "/x", params={"filter": {"a": 1}}),
        "GET /x: filter: a query has no form for {'a': 1} (dict).",
    ),
    "NaN in a param": (lambda k: k.request("GET", "/x", params={"rate": float("nan")}), "JSON has no form"),
    "naive datetime in a param": (lambda k: k.request("GET", "/x", params={"since": NAIVE}), "no time zone"),
    "NaN in JSON": (
        lambda k: k.request("POST", "/x", json={"rate": [float("nan")]}),
        "POST /x: json.rate[0]: JSON has no form for nan (float).",
    ),
    "infinity in JSON": (lambda k: k.request("POST", "/x", json={"rate": float("inf")}), "no form for inf"),
    "object in JSON": (lambda k: k.request("POST", "/x", json={"a": object()}), "json.a: JSON has no form"),
    "bytes in JSON": (lambda k: k.request("POST", "/x", json=b"{}"), "json: JSON has no form for b'{}'"),
    "model in JSON": (
        lambda k: k.request("POST", "/x", json={"story": models.Story(id="7")}),
        "json.story: JSON has no form for Story(id='7') (Story).",
    ),
    "name in JSON that is no text": (
        lambda k: k.request("POST", "/x", json={("a", 1): 2}),
        "json: a name in it is ('a', 1) (tuple), but has to be text.",
    ),
    "half a surrogate in a name": (
        lambda k: k.request("POST", "/x", json={"\ud800": 2}),
        "not valid Unicode",
    ),
    "naive datetime in JSON": (
        lambda k: k.request("POST", "/x", json={"at": NAIVE}),
        "POST /x: json.at has no time zone: give one",
    ),
}
NAIVE = datetime(2026, 3, 4, 5, 6, 7)  # noqa: DTZ001 - refused
REFERENCE = {"service_name": "crm", "service_model": "Deal", "service_model_ref": "1"}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_use_is_told_before_anything_is_sent(
    name: str, kantata: Kantata, recorder: Recorder
) -> None:
    call, sentence = WRONG[name]
    with pytest.raises(UsageError) as caught:
        await finished(call(kantata))
    assert sentence in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert recorder.requests == []
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, KantataError)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda k: k.stories.list(workspce_id=10), "unexpected keyword argument 'workspce_id'"),
        (lambda k: k.stories.create(**NEEDED, titel="x"), "unexpected keyword argument 'titel'"),
        (lambda k: k.stories.create(title="x"), "missing 1 required keyword-only argument: 'workspace_id'"),
        (lambda k: k.stories.get(), "missing 1 required positional argument: 'id'"),
        (lambda k: k.stories.update(7, "New title"), "takes 2 positional arguments but 3 were given"),
        (lambda k: k.custom_field_values.list(), "missing 1 required keyword-only argument: 'subject_type'"),
    ],
)
async def test_python_itself_tells_of_wrong_keywords(
    call: Any, sentence: str, kantata: Kantata, recorder: Recorder
) -> None:
    with pytest.raises(TypeError, match=re.escape(sentence)):
        await finished(call(kantata))
    assert recorder.requests == []


@pytest.mark.parametrize("name", ["unknown include", "per_page over 200", "page 0", "empty only"])
async def test_a_list_is_checked_when_it_is_made(name: str, kantata: Kantata) -> None:
    """Not at the first page, far from the line that is wrong."""
    with pytest.raises(UsageError):
        WRONG[name][0](kantata)


async def test_a_walk_is_not_awaited(kantata: Kantata) -> None:
    with pytest.raises(
        TypeError, match=r"stories\.list\(\) is a walk .* first\(\), one\(\), count\(\) or collect\(\)"
    ):
        await kantata.stories.list()  # type: ignore[misc]


def test_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KANTATA_ACCESS_TOKEN", raising=False)
    with pytest.raises(
        UsageError, match=r"No access token: pass Kantata\(token=…\), or set the variable KANTATA_ACCESS"
    ):
        Kantata()


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ünicode", 7])
def test_no_usable_token(token: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Kantata(token)
    assert "ccess token" in str(caught.value)
    assert not token or str(token) not in str(caught.value)


# --- right use ---------------------------------------------------------------------------------


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
async def test_moments(given: Any, sent: str, kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.list(updated_after=given).first()
    assert recorder.query["updated_after"] == sent


@pytest.mark.parametrize("given", [date(2026, 3, 4), datetime(2026, 3, 4, 23, 59, tzinfo=UTC), "2026-03-04"])
async def test_days(given: Any, kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.list(due_on=given).first()
    assert recorder.query["due_on"] == "2026-03-04"


async def test_days_in_a_body(kantata: Kantata, recorder: Recorder) -> None:
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
async def test_an_include_in_any_form(given: Any, kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.get(7, include=given)
    assert recorder.query == {"include": "workspace,assignees"}


async def test_an_include_from_an_iterator_serves_the_whole_walk(
    kantata: Kantata, recorder: Recorder
) -> None:
    """The query keeps it, and the associations read as asked for."""
    story = await kantata.stories.list(include=iter(["workspace"])).first()  # type: ignore[arg-type]
    assert recorder.query["include"] == "workspace"
    assert story is not None
    assert story.workspace is None


async def test_an_include_from_an_iterator_serves_a_single_object(kantata: Kantata) -> None:
    story = await kantata.stories.get(7, include=iter(["workspace"]))  # type: ignore[arg-type]
    assert story.workspace is None


@pytest.mark.parametrize("given", [[], (), "", None])
async def test_no_include(given: Any, kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.get(7, include=given)
    assert recorder.query == {}


@pytest.mark.parametrize(
    ("given", "sent"), [(7, "7"), ("8", "8"), ([7, "8"], "7,8"), ({7: 1}.keys(), "7"), ("7, 8", "7,8")]
)
async def test_only_in_any_form(given: Any, sent: str, kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.list(only=given).first()
    assert recorder.query["only"] == sent


async def test_none_is_null_in_a_body_and_nothing_in_a_query(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.update(7, due_date=None, include=None)
    assert recorder.body == {"story": {"due_date": None}}
    assert recorder.query == {}


async def test_what_is_not_given_is_not_sent(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.stories.update(7, title="x")
    assert recorder.body == {"story": {"title": "x"}}


async def test_ids_as_text_are_sent_as_the_numbers_that_the_contract_wants(
    kantata: Kantata, recorder: Recorder
) -> None:
    await kantata.stories.create(**{**NEEDED, "workspace_id": "10"})
    assert recorder.body["story"]["workspace_id"] == 10


async def test_decimals(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.time_off_entries.create(user_id=1, hours=Decimal("7.5"), requested_date="2026-03-04")
    assert recorder.body["time_off_entry"]["hours"] == 7.5


async def test_values_of_any_type(kantata: Kantata, recorder: Recorder) -> None:
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
async def test_ids_in_a_path(given: Any, sent: str, kantata: Kantata, recorder: Recorder) -> None:
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
        ),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("method", ["get", "delete", "update"])
async def test_nothing_but_an_id_stands_in_a_path(
    method: str, given: str, kantata: Kantata, recorder: Recorder
) -> None:
    values = {"title": "T"} if method == "update" else {}
    with pytest.raises(UsageError, match=f"stories.{method}: id must be an id such as 7"):
        await getattr(kantata.stories, method)(given, **values)
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
async def test_a_path_of_one_s_own_leads_where_it_seems_to(
    path: str, kantata: Kantata, recorder: Recorder
) -> None:
    with pytest.raises(UsageError, match="path is"):
        await kantata.request("DELETE", path)
    assert recorder.requests == []


async def test_a_path_of_one_s_own_may_have_other_quoted_characters(
    kantata: Kantata, recorder: Recorder
) -> None:
    for path in ("/tags/b%C3%BCro", "/tags/50%25", "/tags/a%20b", "/set:7/a..b/...", "/tags/büro"):
        await kantata.request("GET", path)
    assert len(recorder.requests) == 5


async def test_a_model_is_created_again_from_what_the_body_takes(
    kantata: Kantata, recorder: Recorder
) -> None:
    story = models.Story(
        id="7", title="Kick-off", workspace_id="10", story_type="task", created_at=datetime.now(UTC)
    )
    await kantata.stories.create_many([story])
    assert recorder.body == {"stories": [{"title": "Kick-off", "workspace_id": 10, "story_type": "task"}]}


async def test_files_and_fields_of_a_form(kantata: Kantata, recorder: Recorder) -> None:
    await kantata.attachments.create(
        type="receipt", data=File("data", "bill.pdf", b"%PDF", "application/pdf")
    )
    sent = recorder.requests[0].content
    assert b'name="attachment[type]"\r\n\r\nreceipt' in sent
    assert b'name="attachment[data]"; filename="bill.pdf"' in sent
    assert b"application/pdf" in sent
    assert b"%PDF" in sent


async def test_the_sentence_shortens_what_was_given(kantata: Kantata) -> None:
    with pytest.raises(UsageError) as caught:
        await kantata.stories.update(7, title=["x" * 10_000])  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200
