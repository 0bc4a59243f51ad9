"""Recording, replaying and comparing a service, for which a second sandbox with planted differences stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from kantata_client import Kantata, UsageError
from kantata_client.sandbox import Sandbox
from kantata_client.sandbox.recording import Recorder, Replay, load

from .conftest import NOW

if TYPE_CHECKING:
    from collections.abc import Callable
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
