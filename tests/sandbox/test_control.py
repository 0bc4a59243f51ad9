"""Control over HTTP, initial records, persistence and the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client import UsageError
from kantata_client.sandbox import Clock, Sandbox

from .conftest import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


@pytest.fixture
async def outside(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client without the token, like a test in another language."""
    transport = httpx.ASGITransport(app=sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


def api(sandbox: Sandbox) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sandbox.app),
        base_url="http://127.0.0.1/api/v1/",
        headers={"authorization": f"Bearer {sandbox.token}"},
    )


async def test_health_state_and_reset(sandbox: Sandbox, outside: httpx.AsyncClient) -> None:
    assert (await outside.get("/__sandbox__/health")).json()["status"] == "ok"
    async with api(sandbox) as client:
        await client.post("workspaces", json={"workspace": {"title": "Made"}})
        await client.delete("stories/20055")
    counts = (await outside.get("/__sandbox__/state")).json()["counts"]
    assert (counts["workspaces"], counts["stories"]) == (45, 2078)
    records = (await outside.get("/__sandbox__/state", params={"key": "workspaces"})).json()["records"]
    assert records[-1]["title"] == "Made"
    assert (await outside.post("/__sandbox__/reset")).json()["counts"]["workspaces"] == 44
    async with api(sandbox) as client:
        assert (await client.get("stories/20055")).status_code == 200
        made = (await client.post("workspaces", json={"workspace": {"title": "Again"}})).json()
        assert made["results"][0]["id"] == "9000001"
    counts = (await outside.post("/__sandbox__/reset", json={"seed": "empty"})).json()["counts"]
    assert counts == {"users": 1, "account_memberships": 1}
    assert (await outside.post("/__sandbox__/reset", json={"seed": "full"})).status_code == 400


async def test_requests_are_listed_and_cleared_over_http(
    sandbox: Sandbox, outside: httpx.AsyncClient
) -> None:
    async with api(sandbox) as client:
        await client.get("users", params={"per_page": 1})
        await client.post("posts", json={"post": {"message": "m"}})
    rows = (await outside.get("/__sandbox__/requests")).json()
    assert [(row["method"], row["path"], row["status"]) for row in rows] == [
        ("POST", "/posts", 422),
        ("GET", "/users", 200),
    ]
    assert rows[0]["body"] == '{"post":{"message":"m"}}'
    assert rows[1]["query"] == [["per_page", "1"]]
    assert (
        len((await outside.get("/__sandbox__/requests", params={"method": "GET", "path": "/us"})).json()) == 1
    )
    assert (await outside.delete("/__sandbox__/requests")).status_code == 204
    assert (await outside.get("/__sandbox__/requests")).json() == []


async def test_faults_are_added_and_cleared_over_http(sandbox: Sandbox, outside: httpx.AsyncClient) -> None:
    fault = {"kind": "status", "code": 503, "times": 2, "path": "/users", "method": "get"}
    assert (await outside.post("/__sandbox__/faults", json=fault)).json() == {"added": "status"}
    async with api(sandbox) as client:
        assert [(await client.get("users/me")).status_code for _ in range(3)] == [503, 503, 200]
    assert (await outside.get("/__sandbox__/faults")).json() == {"hits": {"status": 2}}
    await outside.post("/__sandbox__/faults", json={"kind": "status", "code": 500, "times": None})
    await outside.delete("/__sandbox__/faults")
    async with api(sandbox) as client:
        assert (await client.get("users/me")).status_code == 200
    for wrong in (
        {"kind": "fire"},
        {"kind": "cut", "code": 1},
        {"kind": "status", "code": 500, "path": "users"},
        [],
    ):
        response = await outside.post("/__sandbox__/faults", json=wrong)
        assert response.status_code == 400
        assert response.json()["error"]


async def test_the_clock_is_read_set_and_advanced_over_http(
    sandbox: Sandbox, outside: httpx.AsyncClient
) -> None:
    assert (await outside.get("/__sandbox__/clock")).json() == {"now": "2026-07-01T09:30:00+00:00"}
    await outside.post("/__sandbox__/clock", json={"now": "2027-01-01T12:00:00"})
    await outside.post("/__sandbox__/clock", json={"advance": 90})
    async with api(sandbox) as client:
        made = (await client.post("workspaces", json={"workspace": {"title": "Later"}})).json()
    assert next(iter(made["workspaces"].values()))["created_at"] == "2027-01-01T12:01:30Z"
    assert (
        (await outside.post("/__sandbox__/clock", json={"run": True})).json()["now"].startswith("2026-07-01")
    )
    for wrong in ({}, {"now": "soon"}, {"advance": "x"}):
        assert (await outside.post("/__sandbox__/clock", json=wrong)).status_code == 400


async def test_a_clock_can_be_set_advanced_and_released() -> None:
    clock = Clock(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(60)
    assert clock() == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    clock.set(datetime(2026, 5, 1))  # noqa: DTZ001 - without a zone it is UTC
    assert clock() == datetime(2026, 5, 1, tzinfo=UTC)
    clock.run()
    assert clock() == datetime(2026, 1, 1, tzinfo=UTC)


async def test_records_are_seeded_over_http(sandbox: Sandbox, outside: httpx.AsyncClient) -> None:
    response = await outside.post(
        "/__sandbox__/seed", json={"vendors": [{"name": "Northern Rail"}, {"id": 7}]}
    )
    first, second = response.json()["ids"]["vendors"]
    assert (second, sandbox.store.get("vendors", first)["name"]) == ("7", "Northern Rail")
    assert (await outside.post("/__sandbox__/seed", json=[1])).status_code == 400


async def test_gaps_are_listed_and_cleared_over_http() -> None:
    sandbox = Sandbox("empty", strict=False)
    async with api(sandbox) as client:
        await client.get("users", params={"colour": "red"})
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sandbox.app), base_url="http://localhost"
    ) as outside:
        assert len((await outside.get("/__sandbox__/gaps")).json()) == 1
        await outside.delete("/__sandbox__/gaps")
    assert len(sandbox.gaps) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    ],
)
async def test_requests_from_other_sites_are_forbidden(
    outside: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for path in ("/", "/__sandbox__/state"):
        assert (await outside.get(path, headers=headers)).status_code == 403
    assert (await outside.post("/__sandbox__/reset", headers=headers)).status_code == 403


async def test_the_overview_page_escapes_records_and_hides_the_token(
    sandbox: Sandbox, outside: httpx.AsyncClient
) -> None:
    sandbox.store.put("vendors", {"name": "<script>alert(1)</script>"})
    async with api(sandbox) as client:
        await client.get("users/999", params={"include": "<b>"})
    page = (await outside.get("/", params={"key": "vendors"})).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page
    assert "/users/999" in page
    assert sandbox.token not in page
    assert (await outside.get("/", params={"key": "nothing"})).status_code == 200


@pytest.mark.parametrize(
    ("host", "control", "status"),
    [("127.0.0.1", None, 200), ("127.0.0.1", False, 404), ("0.0.0.0", None, 404), ("0.0.0.0", True, 200)],
)
async def test_control_is_off_by_default_beyond_loopback(
    sandbox: Sandbox, host: str, control: bool | None, status: int
) -> None:
    async with sandbox.serve(host=host, control=control) as server, httpx.AsyncClient() as client:
        base = server.url.removesuffix("/api/v1")
        for path in ("/", "/__sandbox__/health"):
            assert (await client.get(f"{base}{path}")).status_code == status


RECORDS: dict[str, Any] = {
    "users": [{"id": 5, "full_name": "Ada"}, {"full_name": "Bo", "manager_id": 5}],
    "workspaces": [{"id": "9", "title": "P", "archived": "false", "creator_id": 5}],
}


async def test_a_sandbox_starts_with_the_given_records() -> None:
    sandbox = Sandbox(records=RECORDS)
    async with sandbox.client() as kantata:
        assert (await kantata.users.me()).full_name == "Ada"
        assert [user.full_name for user in await kantata.users.list(on_my_account=True).collect()] == [
            "Ada",
            "Bo",
        ]
        workspace = await kantata.workspaces.get(9, include=["creator"])
        assert (workspace.creator.full_name, workspace.archived, workspace.description) == (
            "Ada",
            False,
            None,
        )
    assert Sandbox(records=sandbox.dump()).dump() == sandbox.dump()
    sandbox.store.put("users", {"full_name": "Cy"})
    sandbox.reset()
    assert sandbox.store.count("users") == 2


@pytest.mark.parametrize(
    ("key", "record", "message"),
    [
        ("vendor", {"name": "Rail"}, "did you mean `vendors`"),
        ("vendors", {"nme": "Rail"}, "no field `nme`; did you mean `name`"),
    ],
)
def test_put_refuses_unknown_keys_and_fields(
    sandbox: Sandbox, key: str, record: dict[str, Any], message: str
) -> None:
    counts = sandbox.store.counts()
    with pytest.raises(UsageError, match=message):
        sandbox.store.put(key, record)
    with pytest.raises(UsageError, match="no field `full_nam`"):
        sandbox.store.change("users", "1001", full_nam="Ada")
    assert sandbox.store.counts() == counts


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"user": [{}]}, "did you mean `users`"),
        ({"users": [{"fullname": "x"}]}, "did you mean `full_name`"),
        ({"users": [{"id": 1}, {"id": "1"}]}, "the id 1 occurs twice"),
        ({"users": [{"manager_id": 7}]}, "`manager_id` names no record of users: 7"),
        ({"stories": [{"position": "third"}]}, "`position` must be of type int, got 'third'"),
        ({"stories": [{"position": 2**64}]}, "`position` must be of type int"),
        ({"stories": [{"title": "\ud800"}]}, "`title` must be of type str"),
        ({"stories": [{"start_date": "2026-13-01"}]}, "`start_date` must be of type date, got '2026-13-01'"),
        ({"stories": [{"created_at": "soon"}]}, "`created_at` must be of type datetime, got 'soon'"),
        ({"stories": [{"created_at": "0001-01-01T00:00:00+02:00"}]}, "`created_at` must be of type datetime"),
        ({"stories": [{"id": True}]}, "`id` must be a number, or a text without spaces"),
        ({"stories": [{"id": "a/b"}]}, "`id` must be a number, or a text without spaces"),
        (
            {"stories": [{"id": 1, "parent_id": 1}]},
            "stories 1: `parent_id` is the record itself, or below it",
        ),
        (
            {"organizations": [{"id": 1, "parent_id": 2}, {"id": 2, "parent_id": 1}]},
            "organizations 2: `parent_id` is the record itself, or below it",
        ),
    ],
)
async def test_records_that_violate_the_contract_are_refused(records: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        Sandbox(records=records)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"time_entries": [{"date_performed": "2026-13-45"}]}, "`date_performed` must be of type date"),
        ({"stories": [{"position": "third"}]}, "`position` must be of type int"),
        ({"stories": [{"title": "x", "workspace_id": 7}]}, "stories[0]: `workspace_id` names no record"),
        ({"vendors": [{"id": "a/b"}]}, "`id` must be a number, or a text without spaces"),
        ({"organizations": [{"id": 5, "parent_id": 5}]}, "`parent_id` is the record itself, or below it"),
        (
            {"organizations": [{"id": 5, "parent_id": 6}, {"id": 6, "parent_id": 5}]},
            "organizations[1]: `parent_id` is the record itself, or below it",
        ),
    ],
)
async def test_added_records_are_checked_like_initial_ones(
    sandbox: Sandbox, outside: httpx.AsyncClient, records: dict[str, Any], message: str
) -> None:
    counts = sandbox.store.counts()
    response = await outside.post("/__sandbox__/seed", json={"vendors": [{"name": "N"}], **records})
    assert response.status_code == 400
    assert message in response.json()["error"]
    assert sandbox.store.counts() == counts


async def test_added_records_may_refer_to_each_other_and_to_those_there(
    sandbox: Sandbox, outside: httpx.AsyncClient
) -> None:
    rows = {
        "stories": [{"id": 9, "title": "x", "workspace_id": 8}, {"title": "y", "workspace_id": 10002}],
        "workspaces": [{"id": 8, "title": "P", "creator_id": "1001"}],
    }
    assert (await outside.post("/__sandbox__/seed", json=rows)).status_code == 200
    assert (sandbox.store.get("stories", "9") or {})["workspace_id"] == "8"
    both = {"seed": "demo", "records": {}}
    assert "not both" in (await outside.post("/__sandbox__/reset", json=both)).json()["error"]


async def test_a_dump_contains_what_the_sandbox_keeps_for_itself_and_can_be_loaded() -> None:
    sandbox = Sandbox(clock=lambda: NOW)
    status_set = sandbox.store.ids("task_status_sets")[1]
    version = sandbox.store.where("rate_card_set_versions", "rate_card_set_id", "86001")[0]["id"]
    async with api(sandbox) as client:
        for method, path, body in (
            ("POST", "project_snapshots", {"project_snapshot": {"workspace_id": 10002}}),
            ("PUT", f"task_status_sets/{status_set}/update_account_default", None),
            ("POST", f"account_rate_cards_activations?rate_card_set_version_id={version}", None),
        ):
            response = await client.request(method, path, json=body)
            assert response.is_success, response.text
    dumped = sandbox.dump()
    assert "settings" in dumped
    assert Sandbox(records=dumped, clock=lambda: NOW).dump() == dumped


async def test_records_persist_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "account.db"
    first = Sandbox("empty", persist=path)
    async with api(first) as client:
        workspace = {"workspace": {"title": "Kept"}}
        made = (await client.post("workspaces", json=workspace)).json()["results"][0]["id"]
        story = {"story": {"workspace_id": int(made), "title": "Gone"}}
        gone = (await client.post("stories", json=story)).json()["results"][0]["id"]
        await client.delete(f"stories/{gone}")
        refused = {"stories": [{"workspace_id": int(made), "title": "x"}, {"title": "y"}]}
        assert (await client.post("stories", json=refused)).status_code == 422
    first.store.put("vendors", {"name": "Rail"})
    again = Sandbox("demo", persist=path)
    assert again.dump() == first.dump()
    assert [row["title"] for row in again.store.aside("stories")] == ["Gone"]
    async with api(again) as client:
        following = (await client.post("workspaces", json=workspace)).json()["results"][0]["id"]
        assert int(following) > int(gone)
    again.reset(seed="empty")
    assert Sandbox(persist=path).store.count("workspaces") == 0
    (tmp_path / "text").write_text("no database, but long enough to look like one " * 20)
    with pytest.raises(UsageError, match="can't be kept"):
        Sandbox(persist=tmp_path / "text")


NASTY: tuple[str, ...] = (
    *(
        "{",
        "[]",
        "null",
        '"x"',
        "5",
        "[" * 5_000,
        '{"seed": 5}',
        '{"records": 5}',
        '{"records": {"users": 5}}',
    ),
    *('{"records": {"users": [5]}}', '{"records": {"users": [{"id": {}}]}}', '{"vendors": [5]}'),
    *('{"vendors": {"name": "x"}}', '{"vendors": [{"name": "x"}, {"nofield": 1}]}', '{"kind": 5}'),
    *('{"kind": "status"}', '{"kind": "status", "code": "x"}', '{"kind": "status", "code": 99999}'),
    *(
        '{"kind": "latency", "seconds": -1}',
        '{"kind": "latency", "seconds": "x"}',
        '{"kind": "cut", "path": 5}',
    ),
    *('{"kind": "reset", "chance": 9}', '{"kind": "reset", "times": -1}', '{"kind": "reset", "method": 5}'),
    *('{"kind": "reset", "committed": 1}', '{"kind": "reset", "after": "x"}', '{"now": 5}', '{"now": "x"}'),
    *('{"now": "9999-12-31T23:59:59-12:00"}', '{"advance": "x"}', '{"advance": 1e300}', '{"advance": -1e10}'),
    *('{"general": 5}', '{"general": {"requests": 0, "seconds": 1}}', '{"own": {"requests": "x"}}'),
    *('{"general": {"requests": true}}', '{"general": {"requests": 1.5}}', '{"general": {}}'),
    *('{"general": {"requests": 1, "foo": 1}}', '{"own": {"requests": 1, "operation": "GET /zzz"}}'),
    *(
        '{"general": {"requests": 1}, "own": {"requests": "x"}}',
        '{"general": {"requests": 1, "seconds": 1e999}}',
    ),
    *('{"now": "2026-05-01T09:00:00Z", "advance": "x"}', '{"run": true, "now": "x"}', '{"run": false}'),
    *('{"run": true, "foo": 1}', '{"advance": true}', '{"now": null}'),
)


@pytest.mark.parametrize("path", ["reset", "seed", "faults", "limits", "clock"])
async def test_nasty_control_requests_are_refused_and_change_nothing(
    sandbox: Sandbox, outside: httpx.AsyncClient, path: str
) -> None:
    before = sandbox.dump()
    for content in NASTY:
        if path == "reset" and content == "null":
            continue  # a reset without settings is valid
        response = await outside.post(f"/__sandbox__/{path}", content=content)
        assert response.status_code == 400, (content, response.text)
        assert response.json()["error"]
        for internal in ("argument", "instances", "isoformat", "could not convert", "RateLimits"):
            assert internal not in response.json()["error"], response.text
    assert sandbox.dump() == before
    async with api(sandbox) as client:
        for _ in range(3):  # no limit was set
            assert (await client.get("users/me")).status_code == 200
    assert (await outside.get("/__sandbox__/clock")).json()["now"].startswith("2026-07-01T09:30")
    assert (await outside.post("/__sandbox__/reset")).json()["counts"] == sandbox.store.counts()
    assert sandbox.dump() == before


async def test_an_unknown_envelope_key_has_no_state(outside: httpx.AsyncClient) -> None:
    response = await outside.get("/__sandbox__/state", params={"key": "story"})
    assert (response.status_code, "'story'" in response.json()["error"]) == (400, True)
    assert (await outside.get("/__sandbox__/state", params={"key": "vendors"})).json()["records"]


async def test_a_deeply_nested_body_is_refused(sandbox: Sandbox) -> None:
    async with api(sandbox) as client:
        response = await client.post("stories", content="[" * 5_000)
    assert response.status_code == 400
