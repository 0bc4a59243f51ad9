"""Tokens, routes and the record of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic sandbox-token", "sandbox-token"]
)
async def test_a_missing_or_wrong_token_is_401(api: API, header: str | None) -> None:
    del api.client.headers["authorization"]
    if header is not None:
        api.client.headers["authorization"] = header
    answer = await api.get("/users/me", status=401)
    assert answer == {"errors": [{"type": "oauth", "message": "Invalid OAuth 2 Request"}]}


async def test_me_is_the_user_of_the_token(api: API) -> None:
    assert await api.ids("/users/me") == ["1001"]


async def test_an_unknown_route_is_404_and_names_the_allowed_methods(api: API) -> None:
    await api.get("/storys", status=404)
    await api.get("/stories/1/2", status=404)
    answer = await api.send("PATCH", "/stories/20001", status=404)
    assert "DELETE, GET, PUT" in answer["errors"][0]["message"]
    response = await api.client.get("http://127.0.0.1/somewhere")
    assert response.status_code == 404
    assert "/api/v1" in response.json()["errors"][0]["message"]


async def test_literal_path_segments_win_over_ids_and_a_json_suffix_is_accepted(api: API) -> None:
    assert await api.ids("/users/me.json") == ["1001"]
    assert await api.ids("/users/1002.json") == ["1002"]
    await api.get("/invoices/next_invoice_number")


async def test_requests_are_recorded_without_headers(api: API) -> None:
    await api.get("/stories", per_page=3, only="20001")
    await api.post("/stories", {"story": {}}, status=422)
    first, second = api.sandbox.requests
    assert (first.method, first.path, first.status) == ("GET", "/stories", 200)
    assert dict(first.query) == {"per_page": "3", "only": "20001"}
    assert second.json() == {"story": {}}
    assert first.request_id != second.request_id
    assert api.sandbox.token not in repr(list(api.sandbox.requests))


async def test_malformed_json_is_400(api: API) -> None:
    response = await api.client.post("stories", content=b"{", headers={"content-type": "application/json"})
    assert response.status_code == 400


async def test_sandboxes_do_not_share_records(api: API) -> None:
    await api.delete("/stories/20001")
    assert Sandbox().store.get("stories", 20001) is not None
    assert repr(api.sandbox).startswith("<Sandbox <Store ")
    assert api.sandbox.token not in repr(api.sandbox)
