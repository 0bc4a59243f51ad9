"""Rate limits: a general one, and those of single operations, without headers that say how long to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import RetryPolicy, UsageError
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import RateLimits
from kantata_client.sandbox.rate_limits import limited_operations

if TYPE_CHECKING:
    from kantata_client.sandbox import Sandbox

    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

GET_USERS, POST_WORKSPACES = OPERATIONS["GET /users"], OPERATIONS["POST /workspaces"]


class Time:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def admitted(limits: RateLimits, count: int) -> int:
    return sum(limits.admit(GET_USERS) for _ in range(count))


async def test_a_bucket_refills_steadily() -> None:
    time = Time()
    limits = RateLimits(time)
    limits.general(10, seconds=5)
    assert admitted(limits, 15) == 10
    time.now += 1
    assert admitted(limits, 5) == 2
    time.now += 1_000
    assert admitted(limits, 15) == 10
    assert limits.refused == 13


async def test_a_window_refills_at_its_end() -> None:
    time = Time()
    limits = RateLimits(time)
    limits.general(10, seconds=60, kind="window")
    time.now += 59
    assert admitted(limits, 15) == 10
    time.now += 1
    assert admitted(limits, 15) == 10
    time.now += 59
    assert admitted(limits, 1) == 0


async def test_the_eight_operations_of_the_service_have_their_own_limits() -> None:
    assert len(limited_operations()) == 8
    limits = RateLimits(Time())
    limits.general(3)
    limits.own(1)
    assert limits.admit(POST_WORKSPACES)
    assert not limits.admit(POST_WORKSPACES)
    assert admitted(limits, 5) == 2  # the refused request did not count against the general limit
    limits.clear()
    assert admitted(limits, 50) == 50


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((0,), {}), ((1, 0), {}), ((1,), {"kind": "leaky"}), ((1,), {"operation": "x"})],
)
async def test_invalid_limits_are_refused(arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RateLimits().own(*arguments, **options)


async def test_a_request_above_the_limit_is_429_without_headers(api: API) -> None:
    api.sandbox.limits.general(2, seconds=3_600)
    await api.get("/users/me")
    await api.get("/users/me")
    response = await api.client.get("users/me")
    assert response.status_code == 429
    assert response.json()["errors"][0]["type"] == "system"
    assert not [name for name in response.headers if "limit" in name or "retry" in name]
    assert api.sandbox.requests[-1].status == 429


async def test_a_client_waits_until_the_limit_allows_its_request(sandbox: Sandbox) -> None:
    sandbox.limits.own(1, seconds=0.2, operation="POST /workspaces")
    policy = RetryPolicy(retries=20, initial=0.05, maximum=0.1)
    async with sandbox.client(retries=policy) as kantata:
        for number in range(3):
            await kantata.workspaces.create(title=f"Project {number}")
    assert sandbox.store.count("workspaces") == 47


async def test_limits_are_set_and_cleared_over_http(api: API) -> None:
    async def control(method: str, body: Any = None) -> Any:
        response = await api.client.request(method, "http://127.0.0.1/__sandbox__/limits", json=body)
        return response.status_code, response.json() if response.content else None

    assert await control("POST", {"general": {"requests": 1, "seconds": 3_600}}) == (200, {"refused": 0})
    await api.get("/users/me")
    await api.get("/users/me", status=429)
    assert await control("GET") == (200, {"refused": 1})
    assert await control("DELETE") == (204, None)
    await api.get("/users/me")
    for body in ({}, {"all": {}}, {"own": {"requests": 0}}, {"general": {"speed": 1}}):
        assert (await control("POST", body))[0] == 400
