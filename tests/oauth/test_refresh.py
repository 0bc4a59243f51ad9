"""Many tasks, one renewal; a failing one fails all of them, once."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import weakref
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
import httpx
import pytest

from kantata_client import AuthenticationError, Kantata, KantataError, OAuthError, UsageError
from kantata_client._http.messages import Response
from kantata_client.oauth.app import OAuthApp, Token, _token
from kantata_client.oauth.stored import _Flight
from kantata_client.oauth.stores import MemoryStore, StoredToken

if TYPE_CHECKING:
    from tests.oauth.independent import Independent

pytestmark = pytest.mark.anyio


class SlowStore(MemoryStore):
    """A store that lets other tasks run in between."""

    async def load(self, key: str) -> Token | None:
        await anyio.lowlevel.checkpoint()
        return await super().load(key)


def grant(server: Independent, *, lasts: float = 3600.0) -> Token:
    """A token of alice that the server does not know, with a refresh token that it takes."""
    server.validator.refresh["refresh-1"] = {"scopes": ["api_only", "offline_access"], "user": "alice"}
    return Token("stale", "refresh-1", expires_at=time.time() + lasts)


def client(server: Independent, token: Any) -> Kantata:
    """A client in process: thousands of requests through a socket would only take longer."""
    transport = httpx.ASGITransport(app=server.app)
    return Kantata(token, base_url=f"{server.url}/api/v1", transport=transport)


async def many(kantata: Kantata, count: int) -> list[KantataError]:
    """The errors of that many tasks at once."""
    errors: list[KantataError] = []

    async def call() -> None:
        try:
            await kantata.users.me()
        except KantataError as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(call)
    return errors


@pytest.mark.parametrize("lasts", [3600.0, -1.0], ids=["refused", "expired"])
async def test_a_thousand_tasks_renew_a_token_once(
    independent: Independent, app: OAuthApp, lasts: float
) -> None:
    store = SlowStore()
    independent.seconds = 0.1  # all tasks come in the meantime
    await store.save("alice", grant(independent, lasts=lasts))
    async with (
        app,
        client(independent, StoredToken(store, "alice", app=app)) as kantata,
    ):
        assert await many(kantata, 1000) == []
    assert independent.refreshes == 1
    renewed = await store.load("alice")
    assert renewed is not None
    assert renewed.access_token in independent.validator.access


async def test_providers_of_one_user_renew_a_token_once(independent: Independent, app: OAuthApp) -> None:
    store = SlowStore()
    await store.save("alice", grant(independent, lasts=-1))
    async with app, client(independent, "none") as kantata:
        copies = [kantata.with_token(StoredToken(store, "alice", app=app)) for _ in range(50)]
        async with anyio.create_task_group() as group:
            for copied in copies:
                group.start_soon(copied.users.me)
    assert independent.refreshes == 1


@pytest.mark.parametrize("lasts", [3600.0, -1.0], ids=["refused", "expired"])
async def test_a_revoked_grant_fails_all_tasks_after_one_request(
    independent: Independent, app: OAuthApp, lasts: float
) -> None:
    store = SlowStore()
    old = grant(independent, lasts=lasts)
    await store.save("alice", old)
    independent.validator.refresh.clear()
    independent.seconds = 0.1
    async with (
        app,
        client(independent, StoredToken(store, "alice", app=app)) as kantata,
    ):
        errors = await many(kantata, 1000)
        assert len(errors) == len({id(error) for error in errors}) == 1000
        assert {type(error) for error in errors} == {AuthenticationError}
        assert "They have to sign in again" in str(errors[0])
        await many(kantata, 10)
        assert independent.refreshes == 1
        assert await store.load("alice") == old

        await store.save("alice", grant(independent, lasts=-1))  # signed in again
        independent.validator.refresh["refresh-2"] = independent.validator.refresh["refresh-1"]
        await store.save("alice", Token("stale-2", "refresh-2", expires_at=0))
        assert await many(kantata, 10) == []
    assert independent.refreshes == 2


async def test_an_unavailable_server_gets_one_request(independent: Independent, app: OAuthApp) -> None:
    store = SlowStore()
    await store.save("alice", grant(independent, lasts=-1))
    app.endpoints = attrs.evolve(app.endpoints, token=f"{independent.url}/nothing/here")
    async with (
        app,
        client(independent, StoredToken(store, "alice", app=app)) as kantata,
    ):
        errors = await many(kantata, 1000)
        assert {type(error) for error in errors} == {OAuthError}
        assert len(errors) == 1000
        app.endpoints = attrs.evolve(app.endpoints, token=f"{independent.url}/oauth/token")
        assert len(await many(kantata, 3)) == 3  # within the pause
    assert independent.refreshes == 0


async def test_a_revoked_token_is_introspected_once(independent: Independent, app: OAuthApp) -> None:
    store = SlowStore()
    await store.save("alice", Token("revoked"))
    asked = 0
    introspect = app.introspect

    async def counted(token):
        nonlocal asked
        asked += 1
        return await introspect(token)

    app.introspect = counted  # type: ignore[method-assign]
    async with (
        app,
        client(independent, StoredToken(store, "alice", app=app)) as kantata,
    ):
        errors = await many(kantata, 200)
    assert {type(error) for error in errors} == {AuthenticationError}
    assert len(errors) == 200
    assert asked == 1


async def test_a_cancelled_task_does_not_lose_the_new_token(independent: Independent, app: OAuthApp) -> None:
    store = MemoryStore()
    await store.save("alice", grant(independent, lasts=-1))
    independent.seconds = 0.3
    provider = StoredToken(store, "alice", app=app)
    async with app:
        with anyio.move_on_after(0.1) as scope:
            await provider.token()
        assert scope.cancel_called
        renewed = await store.load("alice")
        assert renewed is not None
        assert await provider.token() == renewed.access_token
    assert renewed.access_token in independent.validator.access
    assert independent.refreshes == 1


@pytest.mark.one_loop
async def test_an_asyncio_timeout_does_not_lose_the_new_token(
    independent: Independent, app: OAuthApp
) -> None:
    store = MemoryStore()
    await store.save("alice", grant(independent, lasts=-1))
    independent.seconds = 0.3
    provider = StoredToken(store, "alice", app=app)
    async with app:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await provider.token()
        renewed = await store.load("alice")
        assert renewed is not None
        assert await provider.token() == renewed.access_token
    assert independent.refreshes == 1


async def test_many_users_share_one_client(independent: Independent, app: OAuthApp) -> None:
    store = MemoryStore()
    for number in range(20):
        token = f"token-{number}"
        independent.validator.access[token] = {
            "scopes": [],
            "user": f"user {number}",
            "expires": time.time() + 9,
        }
        await store.save(str(number), Token(token))
    names: dict[int, str | None] = {}
    async with client(independent, "none") as kantata:

        async def ask(number: int) -> None:
            names[number] = (await kantata.with_token(StoredToken(store, str(number))).users.me()).full_name

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, number)
    assert names == {number: f"user {number}" for number in range(20)}


def test_a_provider_works_in_two_event_loops() -> None:
    store = MemoryStore()
    anyio.run(store.save, "alice", Token("t"))
    provider = StoredToken(store, "alice")
    assert anyio.run(provider.token, backend="asyncio") == "t"
    provider = StoredToken(store, "alice")
    assert anyio.run(provider.token, backend="trio") == "t"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_provider_keeps_no_event_loop_alive(backend: str) -> None:
    store = MemoryStore()
    anyio.run(store.save, "alice", Token("t"))
    provider = StoredToken(store, "alice")
    locks: list[weakref.ref[anyio.Lock]] = []

    async def ask() -> None:
        assert await provider.refused("another one")
        locks.append(weakref.ref(provider._flight.alone()))
        assert locks[-1]() is provider._flight.alone()

    for _ in range(5):
        anyio.run(ask, backend=backend)
    gc.collect()
    assert [lock() for lock in locks] == [None] * 5


@pytest.mark.parametrize("lock", [anyio.Lock(), True], ids=["lock", "flag"])
def test_a_store_with_an_invalid_lock_is_rejected(lock: object) -> None:
    store = MemoryStore()
    store.lock = lock  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"MemoryStore\.lock is of type .* give the attribute another name"):
        StoredToken(store, "alice")
    store.lock = None  # type: ignore[attr-defined]
    StoredToken(store, "alice")


async def test_a_new_sign_in_under_the_same_key_is_noticed() -> None:
    store = MemoryStore()
    await store.save("session", Token("alice's"))
    kept = StoredToken(store, "session")
    assert await kept.token() == "alice's"
    await store.save("session", Token("bob's"))
    assert await StoredToken(store, "session").token() == "bob's"


async def test_a_provider_per_request_leaks_nothing() -> None:
    store = MemoryStore()
    await store.save("alice", Token("t"))
    for _ in range(100):
        assert await StoredToken(store, "alice").token() == "t"
    gc.collect()
    assert not [flight for flight in _Flight._all.values() if flight.store is store]


@pytest.mark.parametrize("seconds", [1, 5, 30, 60])
async def test_short_lived_tokens_are_not_renewed_for_each_request(
    independent: Independent, app: OAuthApp, seconds: int
) -> None:
    independent.lasts = seconds
    store = MemoryStore()
    await store.save("alice", grant(independent, lasts=-1))
    provider = StoredToken(store, "alice", app=app)
    async with app, client(independent, provider) as kantata:
        for _ in range(10):
            await kantata.users.me()
        kept = await store.load("alice")
        assert kept is not None
        assert kept.issued_at is not None
        assert not kept.expired(kept.issued_at + 0.8 * seconds)
        assert kept.expired(kept.issued_at + seconds)
        # Another process reads it from the store, and knows as much.
        other = Token.from_dict(kept.to_dict())
        assert other.expired(kept.issued_at + 0.8 * seconds) is False
    assert independent.refreshes == 1


@pytest.mark.parametrize("nonsense", [0, -5, "soon", float("nan"), float("inf"), 10**400, [], True])
async def test_an_invalid_lifetime_is_ignored(nonsense: Any) -> None:
    answer = Response(200, {}, json.dumps({"access_token": "t", "expires_in": nonsense}).encode())
    token = _token(answer, ())
    assert not token.expired() or nonsense is True
    assert token.expires_at is None or nonsense is True


class ReadOnlyStore(MemoryStore):
    """A store on a full disk."""

    broken = False

    async def save(self, key: str, token: Token) -> None:
        if self.broken:
            raise PermissionError(f"no space for {token.access_token}")
        await super().save(key, token)


async def test_a_store_that_cannot_save_uses_up_no_refresh_token(
    independent: Independent, app: OAuthApp
) -> None:
    store = ReadOnlyStore()
    await store.save("alice", grant(independent, lasts=-1))
    store.broken = True
    async with app, client(independent, StoredToken(store, "alice", app=app)) as kantata:
        errors = await many(kantata, 20)
        assert len(errors) == 20
        for error in errors:
            assert type(error) is OAuthError
            assert "can't save the token under 'alice' (PermissionError)" in str(error)
            assert error.__cause__ is None
            assert "stale" not in repr(error)
        assert independent.refreshes == 0
        store.broken = False
    async with app, client(independent, StoredToken(MemoryCopy(store), "alice", app=app)) as kantata:
        await kantata.users.me()
    assert independent.refreshes == 1


class MemoryCopy(MemoryStore):
    """The same tokens in another process, which knows of no failure before."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self._tokens = store._tokens
