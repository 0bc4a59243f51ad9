"""Pages, order, filters, sideloads and optional fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import only, refusal

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


async def test_pages_contain_every_record_once(api: API) -> None:
    seen: list[str] = []
    for page in range(1, 12):
        answer = await api.get("/stories", per_page=200, page=page)
        assert answer["meta"] == {"count": 2000, "page_count": 10, "page_number": page, "page_size": 200}
        seen += [result["id"] for result in answer["results"]]
    assert len(seen) == len(set(seen)) == 2000


async def test_a_page_has_20_records_by_default(api: API) -> None:
    assert len(await api.ids("/users")) == 20
    assert len(await api.ids("/users.json", per_page=7)) == 7


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
async def test_times_outside_the_calendar_are_refused(api: API, time: str) -> None:
    refused = await api.send("GET", "/stories", status=400, created_after=time)
    assert "datetime" in refused["errors"][0]["message"]
    post = {"workspace_id": 10002, "message": "x", "backdated_to": time}
    assert "backdated_to" in await refusal(api, "POST", "/posts", {"post": post})


async def test_times_before_the_year_1000(api: API) -> None:
    row = {
        "approver_id": 1005,
        "backup_approver_id": 1006,
        "start_date": "0588-12-07",
        "end_date": "0829-02-12",
    }
    made = only(await api.post("/backup_approver_associations", {"backup_approver_association": row}))
    assert (made["start_date"], made["end_date"]) == ("0588-12-07T00:00:00Z", "0829-02-12T00:00:00Z")
    for fraction in ("", ".5"):
        assert not await api.ids("/stories", created_before=f"0829-01-01T00:00:00{fraction}Z")


async def test_limit_and_offset_win_over_page_and_per_page(api: API) -> None:
    everyone = await api.ids("/users", per_page=200)
    assert await api.ids("/users", limit=5, offset=13, page=2, per_page=3) == everyone[13:18]


@pytest.mark.parametrize(
    "query",
    [
        *({"per_page": 201}, {"per_page": 0}, {"page": 0}, {"page": "x"}),
        *({"limit": 5, "offset": -1}, {"limit": 0, "offset": 0}, {"limit": 201, "offset": 0}),
    ],
)
async def test_invalid_page_parameters_are_refused(api: API, query: dict[str, str]) -> None:
    await api.get("/users", **query, status=400)


async def test_order_sorts_in_both_directions_with_ties_by_id(api: API) -> None:
    for order in ("due_date:asc", "due_date:desc"):
        answer = await api.get("/stories", order=order, per_page=200)
        shown = [(answer["stories"][r["id"]]["due_date"], int(r["id"])) for r in answer["results"]]
        dates = [date for date, _ in shown]
        assert dates == sorted(dates, reverse=order.endswith("desc"))
        for date in set(dates):
            same = [identity for other, identity in shown if other == date]
            assert same == sorted(same)
    await api.get("/stories", order="colour:asc", status=400)


async def test_lists_use_the_declared_default_order(api: API) -> None:
    answer = await api.get("/time_entries", per_page=200)
    dates = [answer["time_entries"][r["id"]]["date_performed"] for r in answer["results"]]
    assert dates == sorted(dates, reverse=True)
    listed = await api.get("/users", per_page=200)
    shown = [listed["users"][r["id"]]["full_name"] for r in listed["results"]]
    assert shown == sorted(shown, key=str.casefold)


async def test_lists_can_be_filtered_by_id_reference_and_boolean(api: API) -> None:
    assert await api.ids("/stories", only="20003,20001,999") != []
    assert sorted(await api.ids("/stories", only="20003,20001,999")) == ["20001", "20003"]
    entries = await api.get(
        "/time_entries", workspace_id=10002, billable=True, per_page=200, include="workspace"
    )
    assert entries["count"] > 10
    for entry in entries["time_entries"].values():
        assert (entry["workspace_id"], entry["billable"]) == ("10002", True)
    two = await api.get("/time_entries", workspace_ids="10002,10003", with_user_ids="1001,1002,1003")
    store = api.sandbox.store
    expected = [
        row
        for row in store.all("time_entries")
        if row["workspace_id"] in {"10002", "10003"} and row["user_id"] in {"1001", "1002", "1003"}
    ]
    assert two["count"] == len(expected)


async def test_lists_can_be_filtered_by_dates_and_times(api: API) -> None:
    january = await api.get("/time_entries", date_performed_between="2026-01-01:2026-01-31", per_page=1)
    rows = api.sandbox.store.all("time_entries")
    assert (
        january["count"] == sum("2026-01-01" <= row["date_performed"] <= "2026-01-31" for row in rows) > 1000
    )
    moment = rows[500]["created_at"]
    later = await api.get("/time_entries", created_after=moment, per_page=1)
    sooner = await api.get("/time_entries", created_before=moment, per_page=1)
    same = sum(row["created_at"] == moment for row in rows)
    assert later["count"] + sooner["count"] + same == len(rows)
    offset = await api.get("/time_entries", created_after=moment.replace("Z", "+00:00"), per_page=1)
    assert offset["count"] == later["count"]


async def test_default_filters_apply_to_list_and_get(api: API) -> None:
    archived = [row["id"] for row in api.sandbox.store.all("workspaces") if row["archived"]]
    assert archived
    shown = await api.ids("/workspaces", per_page=200)
    assert not set(archived) & set(shown)
    await api.get(f"/workspaces/{archived[0]}", status=404)
    assert await api.ids("/workspaces", only=",".join(archived)) == []
    assert await api.ids(f"/workspaces/{archived[0]}", include_archived=True) == [archived[0]]
    assert set(archived) <= set(await api.ids("/workspaces", include_archived=True, per_page=200))
    assert set(await api.ids("/workspaces", archived="only")) == set(archived)
    hidden = await api.get("/stories", workspace_id=archived[0])
    assert hidden["count"] == 0
    assert (await api.get("/stories", workspace_id=archived[0], show_from_archived_workspaces=True))[
        "count"
    ] == 20
    await api.get("/users/1061", status=404)
    await api.get("/users/1061", show_disabled=True, on_my_account=True)


async def test_records_are_found_by_external_reference(api: API) -> None:
    query = {
        "external_reference_service_name": "deskbook",
        "external_reference_service_model_refs": "ENG-1000,ENG-1001",
    }
    assert await api.ids("/workspaces", **query, order="created_at:asc") != []
    assert sorted(await api.ids("/workspaces", **query)) == ["10002", "10003"]
    assert await api.ids("/workspaces", **{**query, "external_reference_service_name": "other"}) == []
    assert await api.ids("/stories", **query) == []
    assert (await api.get("/workspaces", has_external_references=False))["count"] == 1
    assert (await api.get("/workspaces", without_external_reference_service_name="deskbook"))["count"] == 1
    many = ",".join(map(str, range(201)))
    await api.get("/workspaces", external_reference_service_model_refs=many, status=400)


async def test_sideloads_are_complete_and_deduplicated(api: API) -> None:
    answer = await api.get("/time_entries", include="user,story,workspace", per_page=200)
    for key, field in (("users", "user_id"), ("stories", "story_id"), ("workspaces", "workspace_id")):
        assert set(answer[key]) == {answer["time_entries"][r["id"]][field] for r in answer["results"]}


async def test_sideloads_of_the_same_type_share_a_map(api: API) -> None:
    answer = await api.get("/stories", only="20001", include="sub_stories,descendants,assignees,root,parent")
    [top] = [answer["stories"][result["id"]] for result in answer["results"]]
    assert len(answer["results"]) == 1
    assert set(top["descendant_ids"]) | {"20001"} == set(answer["stories"])
    assert set(top["sub_story_ids"]) < set(top["descendant_ids"])
    assert top["assignee_ids"] == []
    assert answer["users"] == {}
    # Included objects have no reference lists.
    assert "sub_story_ids" not in answer["stories"][top["sub_story_ids"][0]]


async def test_reference_lists_appear_only_when_included(api: API) -> None:
    plain = (await api.get("/stories", only="20003"))["stories"]["20003"]
    assert not {"assignee_ids", "sub_story_ids", "follower_ids", "external_reference_ids"} & plain.keys()
    full = (await api.get("/stories", only="20003", include="assignees,followers"))["stories"]["20003"]
    assert len(full["assignee_ids"]) == 2
    assert full["follower_ids"]


async def test_polymorphic_references_resolve(api: API) -> None:
    answer = await api.get("/external_references", subject_type="Workspace", include="subject", per_page=5)
    for result in answer["results"]:
        reference = answer["external_references"][result["id"]]["subject_ref"]
        assert reference["id"] in answer[reference["key"]]
    posts = await api.get("/posts", include="subject,replies,attachments", per_page=200)
    replies = [post for post in posts["posts"].values() if post.get("subject_ref")]
    assert len(replies) == 40
    assert len(posts["attachments"]) == 40


async def test_a_reference_to_a_deleted_record_is_null(api: API) -> None:
    entry = api.sandbox.store.all("time_entries")[0]
    api.sandbox.store.remove("users", entry["user_id"])
    answer = await api.get(f"/time_entries/{entry['id']}", include="user")
    assert answer["time_entries"][entry["id"]]["user_id"] is None
    assert answer["users"] == {}


async def test_optional_fields_are_sent_on_request(api: API) -> None:
    assert "city" not in (await api.get("/users/1001"))["users"]["1001"]
    answer = await api.get("/users/1001", optional_fields="city,bio")
    assert answer["users"]["1001"]["city"] == "Larkport"
    assert answer["users"]["1001"]["bio"] is None
    await api.get("/users", optional_fields="shoe_size", status=400)


async def test_optional_fields_that_are_not_computed_are_refused(api: API) -> None:
    refused = await api.get("/users", optional_fields="abbreviated_timezone", status=501)
    assert "abbreviated_timezone" in refused["errors"][0]["message"]
    # A field that requests can set is null until then; one that a test stores is shown.
    assert (await api.get("/workspaces/10002", optional_fields="stage"))["workspaces"]["10002"][
        "stage"
    ] is None
    store = api.sandbox.store
    store.change("users", "1002", abbreviated_timezone="CET")
    answer = await api.get("/users/1002", optional_fields="abbreviated_timezone")
    assert answer["users"]["1002"]["abbreviated_timezone"] == "CET"


@pytest.mark.parametrize(
    "query",
    [
        {"include": "owner"},
        {"colour": "red"},
        {"workspace_id": "x"},
        {"billable": "maybe"},
        {"created_after": "soon"},
        {"date_performed_between": "foo:bar"},
        {"date_performed_between": "2026-01-01"},
    ],
)
async def test_invalid_queries_are_refused(api: API, query: dict[str, str]) -> None:
    answer = await api.get("/time_entries", **query, status=400)
    assert any(word in answer["errors"][0]["message"] for word in query)


async def test_parameters_that_are_not_emulated_are_501(api: API) -> None:
    answer = await api.get("/stories", with_start_or_due_date="x", status=501)
    assert "with_start_or_due_date" in answer["errors"][0]["message"]
    await api.get("/stories", search="review", only="20001", status=400)


async def test_search_ignores_case(api: API) -> None:
    answer = await api.get("/stories", search="wireFRAMES", per_page=200)
    assert answer["count"] > 40
    assert all("wireframes" in story["title"].lower() for story in answer["stories"].values())
    assert (await api.get("/users", by_full_name="thornvale"))["count"] >= 1


async def test_filters_follow_references(api: API) -> None:
    store = api.sandbox.store
    user = "1005"
    mine = await api.get("/stories", with_assignees=user, per_page=200, show_from_archived_workspaces=True)
    assert mine["count"] == len(store.find("assignments", "assignee_id", user))
    part = await api.get("/workspaces", has_participant=user, include_archived=True, per_page=200)
    assert part["count"] == len(store.find("participations", "user_id", user))
    tops = await api.get("/stories", parents_only=True, workspace_id=10002)
    assert tops["count"] == 5
    below = await api.get("/stories", with_parent_id=tops["results"][0]["id"])
    assert below["count"] == 5
    assert (await api.get("/stories", with_root_id=tops["results"][0]["id"]))["count"] == 9


async def test_the_count_reflects_writes_between_pages(api: API) -> None:
    before = (await api.get("/workspaces", per_page=1))["count"]
    await api.post("/workspaces", {"workspace": {"title": "New"}})
    assert (await api.get("/workspaces", per_page=1))["count"] == before + 1
