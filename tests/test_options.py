"""Options of copies and of single calls: `with_options`, `with_response`, `request`, `stream`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from kantata_client import (
    APIResponse,
    File,
    Kantata,
    KantataTimeoutError,
    NotFoundError,
    RetryPolicy,
    ServerError,
    StreamedResponse,
    Timeouts,
    UsageError,
)
from kantata_client.models import Story
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from pytest_httpx import HTTPXMock

ENVELOPE = {
    "count": 1,
    "meta": {"count": 1, "page_count": 1, "page_number": 1, "page_size": 20},
    "results": [{"key": "stories", "id": "7"}],
    "stories": {"7": {"id": "7", "title": "Kick-off"}},
}


class Service:
    """Records every request, gives each the same answer, and counts how many are in progress."""

    def __init__(self, httpx_mock: HTTPXMock) -> None:
        self.seen: list[httpx.Request] = []
        self.status = 200
        self.answer: Any = ENVELOPE
        self.in_progress = self.most_in_progress = 0
        httpx_mock.add_callback(self._respond, is_reusable=True, is_optional=True)

    async def _respond(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        headers = {"x-request-id": f"r-{len(self.seen)}"}
        self.in_progress += 1
        self.most_in_progress = max(self.most_in_progress, self.in_progress)
        try:
            await anyio.sleep(0.01)
        finally:
            self.in_progress -= 1
        if isinstance(self.answer, bytes):
            return httpx.Response(self.status, content=self.answer, headers=headers)
        return httpx.Response(self.status, json=self.answer, headers=headers)

    @property
    def bodies(self) -> list[bytes]:
        return [request.content for request in self.seen]

    def client(self, **options: Any) -> Kantata:
        transport = httpx.AsyncHTTPTransport(verify=False)  # never connects, so it needs no certificates
        return Kantata("secret", transport=transport, throttle=1e6, **options)


@pytest.fixture
def service(httpx_mock: HTTPXMock) -> Service:
    return Service(httpx_mock)


# --- retries ---


@pytest.mark.anyio
@pytest.mark.parametrize(("retries", "sent"), [(0, 1), (2, 3), (RetryPolicy(retries=1, initial=0), 2)])
async def test_retries_count_repetitions(service: Service, retries: Any, sent: int) -> None:
    service.status, service.answer = 503, b""
    kantata = service.client(retries=retries)
    with pytest.raises(ServerError):
        await kantata.with_options().users.me()
    assert len(service.seen) == sent


@pytest.mark.parametrize("retries", [-1, True, 2.5, "3"])
def test_invalid_retries_are_rejected(service: Service, retries: Any) -> None:
    with pytest.raises(UsageError, match=r"retries is .*: pass how often to repeat a request"):
        service.client(retries=retries)
    with pytest.raises(UsageError, match=r"retries is .*: pass how often to repeat a request"):
        service.client().with_options(retries=retries)


# --- with_options ---


@pytest.mark.anyio
async def test_retries_of_a_copy_leave_the_original_unchanged(service: Service) -> None:
    service.status, service.answer = 503, b""
    kantata = service.client(retries=RetryPolicy(retries=2, initial=0))
    with pytest.raises(ServerError):
        await kantata.with_options(retries=0).stories.get(7)
    assert len(service.seen) == 1
    with pytest.raises(ServerError):
        await kantata.stories.get(7)
    assert len(service.seen) == 4


@pytest.mark.anyio
async def test_headers_are_merged_and_sent_with_every_kind_of_call(service: Service) -> None:
    kantata = service.client().with_options(headers={"X-Trace": "1"}).with_options(headers={"x-job": "sync"})
    await kantata.stories.get(7)
    await kantata.stories.update(7, title="Kick-off")
    await kantata.stories.list().collect()
    await kantata.request("GET", "/new_route", headers={"x-trace": "2"})
    await kantata.with_token("other").stories.get(7)
    assert [request.headers["x-trace"] for request in service.seen] == ["1", "1", "1", "2", "1"]
    assert {request.headers["x-job"] for request in service.seen} == {"sync"}
    assert service.seen[-1].headers["authorization"] == "Bearer other"


@pytest.mark.anyio
async def test_timeout_of_a_copy(service: Service) -> None:
    kantata = service.client(timeout=100)
    await kantata.with_options(timeout=7).stories.get(7)
    await kantata.with_options(timeout=Timeouts(read=None)).stories.get(7)
    await kantata.stories.get(7)
    first, second, third = [request.extensions["timeout"] for request in service.seen]
    assert (first["read"], second["read"], third["read"]) == (7, None, 100)


@pytest.mark.asyncio
async def test_timeout_of_a_copy_on_a_socket() -> None:
    sandbox = Sandbox(seed="empty")
    sandbox.faults.latency(100)
    async with sandbox.serve() as server, Kantata(server.token, base_url=server.url) as kantata:
        with anyio.fail_after(60), pytest.raises(KantataTimeoutError):
            await kantata.with_options(timeout=0.2, retries=0).users.me()


@pytest.mark.anyio
async def test_copies_of_a_copy_share_its_max_concurrency(service: Service) -> None:
    kantata = service.client(max_concurrency=10)
    slow = kantata.with_options(max_concurrency=2)
    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon((slow if number % 2 else slow.with_token("other")).stories.get, number)
    assert service.most_in_progress == 2
    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(kantata.stories.get, number)
    assert service.most_in_progress > 2


@pytest.mark.anyio
async def test_copy_shares_connections_and_does_not_close_them(service: Service) -> None:
    async with service.client() as kantata:
        async with kantata.with_options(timeout=5) as copy:
            await copy.stories.get(7)
        await kantata.stories.get(7)
        assert copy.drift is kantata.drift
    with pytest.raises(UsageError, match="closed"):
        await copy.stories.get(7)


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"Authorization": "Bearer x"}, "the client sets the header Authorization itself: use with_token"),
        ({"host": "x"}, "the client sets the header host itself"),
        ({"content-type": "text/plain"}, "the client sets the header content-type itself"),
        ({"x y": "1"}, "'x y' is not a valid header name"),
        ({1: "1"}, "1 is not a valid header name"),
        ({"x": "a\r\nb: c"}, "the value of the header x must be printable ASCII text"),
        ({"y": 1}, "the value of the header y must be printable ASCII text"),
        (["x"], "headers is of type list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_invalid_headers_are_rejected(service: Service, headers: Any, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        service.client().with_options(headers=headers)
    assert problem in str(caught.value)


# --- with_response ---


@pytest.mark.anyio
async def test_with_response_returns_value_and_response(service: Service) -> None:
    kantata = service.client()
    response = await kantata.stories.with_response.get(7, include=["workspace"])
    assert isinstance(response, APIResponse)
    assert isinstance(response.value, Story)
    assert (response.value.title, response.status, response.request_id) == ("Kick-off", 200, "r-1")
    assert response.headers["X-Request-Id"] == "r-1"
    assert json.loads(response.content) == ENVELOPE
    assert "Kick-off" not in repr(response.headers)


@pytest.mark.anyio
async def test_concurrent_calls_get_their_own_responses(service: Service) -> None:
    kantata = service.client()
    found: dict[int, str | None] = {}

    async def one(number: int) -> None:
        response = await kantata.stories.with_response.get(number)
        found[number] = response.request_id

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(one, number)
    assert len(set(found.values())) == 8


@pytest.mark.anyio
async def test_response_of_a_deletion_has_no_value(service: Service) -> None:
    service.status, service.answer = 204, b""
    response = await service.client().stories.with_response.delete(7)
    assert (response.value, response.status) == (None, 204)


@pytest.mark.anyio
async def test_with_response_has_hand_written_methods(service: Service) -> None:
    service.answer = {"count": 1, "results": [{"key": "users", "id": "1"}], "users": {"1": {"id": "1"}}}
    response = await service.client().users.with_response.me()
    assert response.value.id == "1"


@pytest.mark.parametrize("name", ["list", "create_many", "delete_many"])
def test_with_response_lacks_methods_that_send_several_requests(service: Service, name: str) -> None:
    with pytest.raises(AttributeError, match=f"StoriesWithResponse has no '{name}'.*no single response"):
        getattr(service.client().stories.with_response, name)


# --- files ---


@pytest.mark.anyio
async def test_streaming_response_of_a_file(service: Service) -> None:
    service.answer = b"a,b\n1,2\n"
    records = service.client().with_options(headers={"x-trace": "1"}).project_accounting_records
    async with records.with_streaming_response.export_to_csv(
        include="workspace", extra_query={"beta": True}
    ) as response:
        assert isinstance(response, StreamedResponse)
        content = b"".join([chunk async for chunk in response])
    assert content == service.answer == await records.export_to_csv()
    assert (response.status, response.request_id) == (200, "r-1")
    first = service.seen[0]
    assert dict(first.url.params) == {"include": "workspace", "beta": "true"}
    assert (first.headers["accept-encoding"], first.headers["x-trace"]) == ("identity", "1")


@pytest.mark.anyio
async def test_streaming_response_of_an_error(service: Service) -> None:
    service.status, service.answer = 404, {"errors": [{"type": "system", "message": "Gone"}]}
    records = service.client().project_accounting_records
    with pytest.raises(NotFoundError, match="Gone"):
        async with records.with_streaming_response.export_to_csv():
            pass


def test_every_method_that_returns_a_file_has_a_streaming_variant() -> None:
    kantata = Kantata("secret")
    for operation in OPERATIONS.values():
        if operation.result == "file":
            assert hasattr(getattr(kantata, operation.resource).with_streaming_response, operation.name)


@pytest.mark.anyio
async def test_with_response_of_an_upload() -> None:
    async with Sandbox(seed="empty").client() as kantata:
        response = await kantata.attachments.with_response.upload(b"%PDF", type="receipt", filename="a.pdf")
        assert response.value.filename == "a.pdf"
        assert response.status == 200
        assert response.request_id


# --- request and stream ---


@pytest.mark.anyio
async def test_request_with_a_response(service: Service) -> None:
    service.answer = {"x": 1}
    response = await service.client().with_response.request("get", "/new_route", params={"a": [1, 2]})
    assert (response.value, response.status, response.request_id) == ({"x": 1}, 200, "r-1")
    assert str(service.seen[0].url).endswith("/new_route?a=1,2")


@pytest.mark.anyio
async def test_request_sends_content_unchanged(service: Service) -> None:
    kantata = service.client()
    await kantata.request("POST", "/x", content="a,b\n", headers={"content-type": "text/csv"})
    await kantata.request("POST", "/x", content=b"{}")
    assert service.bodies == [b"a,b\n", b"{}"]
    assert [request.headers["content-type"] for request in service.seen] == ["text/csv", "application/json"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "files",
    [
        {"attachment[data]": ("bill.pdf", b"PDF")},
        {"attachment[data]": File("attachment[data]", "bill.pdf", b"PDF")},
        [File("attachment[data]", "bill.pdf", b"PDF")],
    ],
    ids=["pair", "mapping of files", "files"],
)
async def test_request_sends_files(service: Service, files: Any) -> None:
    data = {"attachment[type]": "receipt"}
    await service.client().request("POST", "/attachments", data=data, files=files)
    (body,) = service.bodies
    assert service.seen[0].headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="attachment[type]"\r\n\r\nreceipt\r\n' in body
    assert b'name="attachment[data]"; filename="bill.pdf"' in body
    assert b"PDF" in body


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"json": {}, "content": b"x"}, "pass only one of json and content"),
        ({"json": {}, "files": {"a": b"x"}}, "pass only one of json and data or files"),
        ({"content": 1}, "content is of type int"),
        ({"files": {"a": "text"}}, "files['a'] must be bytes"),
        ({"files": "text"}, "files is of type str"),
        ({"files": [b"x"]}, "files contains a bytes"),
        ({"headers": {"content-type": "text/csv"}}, "the client sets the header content-type itself"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_contradictory_requests_are_rejected(
    service: Service, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        await service.client().request("POST", "/x", **arguments)
    assert problem in str(caught.value)
    assert not service.seen


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path"), [("", "/x"), ("GET /", "/x"), (None, "/x"), ("GET", None), ("GET", "x")]
)
async def test_request_without_method_or_path_is_rejected(service: Service, method: Any, path: Any) -> None:
    with pytest.raises(UsageError, match="is "):
        await service.client().request(method, path)
    assert not service.seen


@pytest.mark.anyio
async def test_stream_reads_other_content_than_json(service: Service) -> None:
    service.answer = b"a,b\n1,2\n"
    kantata = service.client().with_options(headers={"x-trace": "1"}, max_concurrency=1)
    async with kantata.stream("GET", "/csv", params={"a": 1}, headers={"accept": "text/csv"}) as response:
        content = b"".join([chunk async for chunk in response])
    assert content == service.answer
    assert (response.status, response.request_id) == (200, "r-1")
    assert service.seen[0].headers["x-trace"] == "1"
    assert service.seen[0].headers["accept"] == "text/csv"
