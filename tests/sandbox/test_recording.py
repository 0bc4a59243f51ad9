"""Recording, replaying and comparing a service, for which a second sandbox with planted differences stands."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from kantata_client import Kantata, UsageError
from kantata_client.sandbox import Sandbox
from kantata_client.sandbox.recording import Recorder, Replay, load

from .conftest import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

SECRET = "real-token-of-somebody"


class Service:
    """A sandbox in the place of the service, with differences."""

    def __init__(self, change: Callable[[dict[str, Any]], None]) -> None:
        self.sandbox = Sandbox("demo", clock=lambda: NOW, token=SECRET)
        self._change = change

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].replace(b"with_start_or_due_date=true", b"")
        chunks: list[Any] = []

        async def take(message: Any) -> None:
            chunks.append(message)

        await self.sandbox.app({**scope, "query_string": query}, receive, take)
        body = msgspec.json.decode(chunks[1]["body"] or b"null")
        if isinstance(body, dict):
            self._change(body)
        changed = msgspec.json.encode(body) if body is not None else b""
        headers = [pair for pair in chunks[0]["headers"] if pair[0] != b"content-length"]
        await send({**chunks[0], "headers": [*headers, (b"content-length", str(len(changed)).encode())]})
        await send({**chunks[1], "body": changed})


def unchanged(answer: dict[str, Any]) -> None:
    pass


def planted(answer: dict[str, Any]) -> None:
    """What the service is supposed to do differently."""
    if "stories" in answer:
        answer["mood"] = {}
        answer["meta"]["cursor"] = "x"
        answer["results"].reverse()
        for story in answer["stories"].values():
            story["colour"] = "red"
            story["position"] = str(story["position"])
            story.pop("priority", None)


def recorder(service: Service, cassette: Path) -> Recorder:
    transport = httpx.ASGITransport(app=service)
    compare = Sandbox("empty", clock=lambda: NOW)
    return Recorder("http://127.0.0.1/api/v1", cassette, compare=compare, transport=transport)


def client(app: Any, token: str) -> Kantata:
    return Kantata(
        token, base_url="http://127.0.0.1/api/v1", transport=httpx.ASGITransport(app=app), retries=0
    )


@pytest.mark.parametrize("results", [[7, {"id": "1"}, None], {"stories": []}, None, "none"])
async def test_a_malformed_envelope_is_forwarded_and_recorded(tmp_path: Path, results: Any) -> None:
    def malformed(answer: dict[str, Any]) -> None:
        answer["results"] = results

    cassette = tmp_path / "service.jsonl"
    record = recorder(Service(malformed), cassette)
    headers = {"authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=record), headers=headers) as http:
        response = await http.get("http://127.0.0.1/api/v1/stories", params={"per_page": 2})
    assert response.json()["results"] == results
    assert [exchange.answer["results"] for exchange in load(cassette)] == [results]


async def test_a_recording_is_redacted_and_replays(tmp_path: Path) -> None:
    service, cassette = Service(unchanged), tmp_path / "service.jsonl"
    record = recorder(service, cassette)
    async with client(record, SECRET) as kantata:
        me = await kantata.users.me()
        entries = await kantata.time_entries.list(workspace_id=10002, include=["user"]).collect(limit=300)
        made = await kantata.workspaces.create(title="Write to ada@client.example")
        await kantata.time_entries.delete(entries[0].id)
    assert me.full_name == "Ada Thornvale"
    text = cassette.read_text()
    for private in (SECRET, "Thornvale", "@northlight", "ada@client.example"):
        assert private not in text
    assert cassette.stat().st_mode & 0o077 == 0
    async with client(Replay(load(cassette)), "any-token") as kantata:
        assert (await kantata.users.me()).id == me.id
        replayed = await kantata.time_entries.list(workspace_id=10002, include=["user"]).collect(limit=300)
        assert [each.id for each in replayed] == [each.id for each in entries]
        assert {str(each.user and each.user.full_name).split()[0] for each in replayed} == {"full_name"}
    assert made.id in text


async def test_an_equal_service_has_no_differences(tmp_path: Path) -> None:
    record = recorder(Service(unchanged), tmp_path / "service.jsonl")
    async with client(record, SECRET) as kantata:
        await kantata.users.me()
        await kantata.stories.list(include=["assignees", "workspace"], show_archived=True).collect(limit=200)
        await kantata.time_entries.list(include=["user", "story"]).collect(limit=200)
        await kantata.workspaces.get(10002, include=["participants"])
    assert list(record.differences) == []


async def test_planted_differences_are_reported(tmp_path: Path) -> None:
    record = recorder(Service(planted), tmp_path / "service.jsonl")
    headers = {"authorization": f"Bearer {SECRET}"}
    transport = httpx.ASGITransport(app=record)
    async with httpx.AsyncClient(transport=transport, headers=headers) as http:
        for query in ({"per_page": 20}, {"with_start_or_due_date": "true"}):
            response = await http.get("http://127.0.0.1/api/v1/stories", params=query)
            assert response.status_code == 200
    lines = list(record.differences)
    for expected in (
        "GET /stories: the envelope has `mood` only from the service.",
        "GET /stories: `meta` has `cursor` only from the service.",
        "GET /stories: the results are in a different order.",
        "GET /stories: an object in `stories` has `colour` only from the service.",
        "GET /stories: an object in `stories` has `priority` only from the sandbox.",
    ):
        assert expected in lines
    assert any(line.startswith("GET /stories: the service answers 200, the sandbox 501") for line in lines)


async def test_a_missing_request_is_501_in_a_replay() -> None:
    transport = httpx.ASGITransport(app=Replay([]))
    async with httpx.AsyncClient(transport=transport) as http:
        response = await http.get("http://127.0.0.1/api/v1/users")
    assert response.status_code == 501
    assert "the recording has no such request" in response.text


@pytest.mark.parametrize("target", ["http://api.example/api/v1", "ftp://127.0.0.1", "api.example"])
async def test_a_token_is_only_forwarded_over_tls_or_loopback(tmp_path: Path, target: str) -> None:
    with pytest.raises(UsageError, match="https://"):
        Recorder(target, tmp_path / "x")


async def test_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be written"):
        Recorder("https://api.example", tmp_path / "missing" / "x")
    (tmp_path / "text").write_text("no cassette")
    with pytest.raises(UsageError, match="can't be read"):
        load(tmp_path / "text")


# What else a service may send, and a client


async def through(app: Any, method: str, path: str, **options: Any) -> httpx.Response:
    """One request to a recorder or a replay."""
    headers = {"authorization": f"Bearer {SECRET}", **options.pop("headers", {})}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), headers=headers) as http:
        return await http.request(method, f"http://127.0.0.1/api/v1{path}", **options)


def answering(cassette: Path, answer: Callable[[httpx.Request], httpx.Response]) -> Recorder:
    compare = Sandbox("empty", clock=lambda: NOW)
    return Recorder(
        "http://127.0.0.1/api/v1", cassette, compare=compare, transport=httpx.MockTransport(answer)
    )


SECRETS: dict[str, dict[str, Any]] = {
    "in the query": {"params": {"access_token": "hunter2"}},
    "in a list": {"json": {"tokens": ["hunter2", {"x": "hunter2"}]}},
    "in an object": {"json": {"credentials": {"user": "hunter2", "pin": 1, "deep": [{"k": "hunter2"}]}}},
    "as a number": {"json": {"otp": 48213379, "note": 48}},
    "in a form": {"data": {"user[password]": "hunter2", "client_secret": "hunter2", "code": "hunter2"}},
    "in text": {"json": {"note": f"call with Bearer {SECRET}", "list": [SECRET]}},
    "in a cookie": {"headers": {"cookie": "session=hunter2", "x-api-key": "hunter2"}},
    "in a signed address": {"json": {"link": "https://cdn.example/a?Signature=hunter2"}},
    "in binary content": {"content": b"\x00hunter2"},
}


@pytest.mark.parametrize("place", SECRETS)
async def test_a_secret_is_recorded_nowhere(tmp_path: Path, place: str) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        seen = {**dict(request.url.params), "cookie": request.headers.get("cookie", "")}
        body = request.read()
        seen["received"] = json.loads(body) if body.startswith(b"{") else None
        return httpx.Response(200, json=seen, headers={"set-cookie": "session=hunter2"})

    cassette = tmp_path / "service.jsonl"
    response = await through(answering(cassette, echo), "POST", "/posts", **SECRETS[place])
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    text = cassette.read_text()
    for secret in ("hunter2", SECRET, "48213379"):
        assert secret not in text
    again = await through(Replay(load(cassette)), "POST", "/posts", **SECRETS[place])
    assert again.status_code == (501 if place == "in text" else 200)  # only the text itself has the token


async def pieces() -> AsyncIterator[bytes]:
    for piece in (b'{"a"', b": 1}"):
        yield piece


PACKED: dict[str, Any] = {"content": gzip.compress(b'{"a": 1}'), "headers": {"content-encoding": "gzip"}}


@pytest.mark.parametrize(
    ("status", "answer", "content", "omitted"),
    [
        (200, lambda: PACKED, b'{"a": 1}', False),
        (200, lambda: {"content": pieces()}, b'{"a": 1}', False),
        (204, dict, b"", False),
        (302, lambda: {"headers": {"location": "https://other.example/x?Signature=s"}}, b"", False),
        (200, lambda: {"content": b"id,name\r\n1,Ada\r\n"}, b"id,name\r\n1,Ada\r\n", True),
        (200, lambda: {"content": bytes(range(256))}, bytes(range(256)), True),
        (502, lambda: {"text": "<h1>Bad Gateway</h1>"}, b"<h1>Bad Gateway</h1>", True),
        (422, lambda: {"content": b'{"errors": []}'}, b'{"errors": []}', False),
        (200, lambda: {"content": b"[" * 5_000}, b"[" * 5_000, True),
    ],
    ids=["gzip", "chunks", "no content", "redirect", "csv", "binary", "html", "error", "deep"],
)
async def test_any_answer_is_forwarded_and_only_json_replays(
    tmp_path: Path, status: int, answer: Any, content: bytes, omitted: bool
) -> None:
    cassette = tmp_path / "service.jsonl"
    record = answering(cassette, lambda request: httpx.Response(status, **answer()))
    response = await through(record, "GET", "/stories")
    assert (response.status_code, response.content) == (status, content)
    assert ("location" in response.headers) == (status == 302)
    assert "Ada" not in cassette.read_text()
    replayed = await through(Replay(load(cassette)), "GET", "/stories")
    if omitted:
        assert (replayed.status_code, "not JSON" in replayed.text) == (501, True)
    else:
        assert replayed.status_code == status
        assert (replayed.json() if replayed.content else None) == (json.loads(content) if content else None)


async def test_a_head_request_is_forwarded(tmp_path: Path) -> None:
    record = answering(
        tmp_path / "x", lambda request: httpx.Response(200, headers={"x-request-id": request.method})
    )
    response = await through(record, "HEAD", "/stories")
    assert (response.status_code, response.content, response.headers["x-request-id"]) == (200, b"", "HEAD")


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("no answer"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("died in the middle"),
        httpx.DecodingError("not gzip"),
        httpx.InvalidURL("odd"),
    ],
)
async def test_a_service_that_fails_is_a_502_and_not_recorded(tmp_path: Path, error: Exception) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    cassette = tmp_path / "service.jsonl"
    response = await through(answering(cassette, fail), "GET", "/stories")
    assert (response.status_code, type(error).__name__ in response.text) == (502, True)
    assert load(cassette) == []


@pytest.mark.parametrize("path", ["/oauth/token", "/", "/api/v1", "/api/v10/stories"])
async def test_only_the_api_is_forwarded(tmp_path: Path, path: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise AssertionError

    record = answering(tmp_path / "x", fail)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=record)) as http:
        response = await http.post(f"http://127.0.0.1{path}", data={"client_secret": "hunter2"})
    assert response.status_code == 404
    assert load(tmp_path / "x") == []


async def test_a_path_is_forwarded_as_it_is(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def look(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(404, json={})

    await through(answering(tmp_path / "x", look), "GET", "/stories/a%3Fb%23c%20d", params={"q": "a&b=c"})
    assert seen == [b"/api/v1/stories/a%3Fb%23c%20d?q=a%26b%3Dc"]


async def test_forms_and_personal_data_replay(tmp_path: Path) -> None:
    """The requests of a replay are compared as they were recorded: redacted."""
    numbers = iter(range(1, 9))
    record = answering(tmp_path / "x", lambda request: httpx.Response(200, json={"n": next(numbers)}))
    requests: list[dict[str, Any]] = [
        {"data": {"user[email_address]": "ada@client.example", "user[age]": "7"}},
        {"data": {"user[email_address]": "ada@client.example", "user[age]": "8"}},
        {"json": {"user": {"email_address": "bo@client.example", "note": "cc ada@client.example"}}},
        {"params": {"search": "bo@client.example"}},
    ]
    for each in requests:
        await through(record, "POST", "/users", **each)
    assert "client.example" not in (tmp_path / "x").read_text()
    replay = Replay(load(tmp_path / "x"))
    for number, each in reversed([*enumerate(requests, 1)]):
        assert (await through(replay, "POST", "/users", **each)).json() == {"n": number}


async def test_equal_requests_replay_in_order_and_runs_are_appended(tmp_path: Path) -> None:
    numbers = iter(range(1, 9))
    for _ in range(2):
        record = answering(tmp_path / "x", lambda request: httpx.Response(200, json={"n": next(numbers)}))
        for _ in range(2):
            await through(record, "GET", "/users/me")
    replay = Replay(load(tmp_path / "x"))
    found = [(await through(replay, "GET", "/users/me")).json()["n"] for _ in range(6)]
    assert found == [1, 2, 3, 4, 4, 4]


async def test_an_unfinished_line_of_a_killed_recorder_is_dropped(tmp_path: Path) -> None:
    cassette = tmp_path / "service.jsonl"
    await through(answering(cassette, lambda request: httpx.Response(200, json={"n": 1})), "GET", "/users/me")
    whole = cassette.read_bytes()
    cassette.write_bytes(whole + whole[: len(whole) // 2])
    cassette.chmod(0o644)
    assert len(load(cassette)) == 1
    await through(answering(cassette, lambda request: httpx.Response(200, json={"n": 2})), "GET", "/users/me")
    assert [exchange.answer for exchange in load(cassette)] == [{"n": 1}, {"n": 2}]
    assert cassette.stat().st_mode & 0o077 == 0


async def test_an_answer_that_cannot_be_compared_reaches_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise KeyError("x")

    record = answering(
        tmp_path / "x", lambda request: httpx.Response(200, json={"stories": {"7": {"id": "7"}}})
    )
    monkeypatch.setattr("kantata_client.sandbox.recording._learn", fail)
    assert (await through(record, "GET", "/stories")).status_code == 200
    assert list(record.differences) == ["GET /stories: can't be compared (KeyError)."]
