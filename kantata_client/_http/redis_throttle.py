"""One rate limit for several processes or hosts, kept in Redis."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kantata_client._http.shared_throttle import Entry, SharedThrottle, StoreUnavailableError
from kantata_client._lazy import resolvable
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_SCRIPT = """
local key, members = KEYS[1], KEYS[2]
local member, expected, version, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local clock = redis.call('TIME')
local now = clock[1] .. '.' .. string.format('%06d', clock[2])
local found = redis.call('HMGET', key, 'version', 'state')
local written = 0
if expected ~= 'read' and expected == (found[1] or '') then
  redis.call('HSET', key, 'version', version, 'state', state)
  redis.call('EXPIRE', key, 3600)
  found, written = {version, ''}, 1
end
redis.call('ZADD', members, clock[1], member)
redis.call('ZREMRANGEBYSCORE', members, '-inf', clock[1] - 30)
redis.call('EXPIRE', members, 3600)
return {now, written, found[1] or '', found[2] or '', redis.call('ZCARD', members)}
"""
"""Replaces the state if its version is the expected one, and says what there is. A process counts for 30 seconds."""


@resolvable
class RedisThrottle(SharedThrottle):
    """A throttle that several processes or hosts share through Redis.

        throttle = RedisThrottle("redis://localhost:6379/0", "account-42")
        kantata = Kantata(throttle=throttle)

    All throttles with the same name share one budget, and one for each operation that has a limit of its own. A 429 for any
    of them slows down all of them. While Redis is unavailable, each process continues at its share of the last rate.
    """

    def __init__(
        self,
        url: str,
        name: str = "default",
        *,
        first: float = 20.0,
        slowest: float = 0.05,
        fastest: float = math.inf,
        memory: float = 600.0,
        timeout: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Share a budget. Nothing is sent to Redis before the first request.

        Args:
            url: The URL of Redis, such as `redis://localhost:6379/0`, `rediss://…` or `unix://…`.
            name: The name of the budget, one for all clients that share a limit of the service (those of one account, say).
            first: The initial rate of all processes together, in requests a second.
            slowest: The lowest rate in requests a second, however many requests get a 429.
            fastest: The highest rate in requests a second.
            memory: Seconds after the last 429 from which the rate is increased without a bound.
            timeout: Seconds after which Redis counts as unavailable.
            clock: Returns the time in seconds; for tests.

        Raises:
            UsageError: The package redis is not installed, the URL is invalid, or a number is out of range.
        """
        if not 0 < slowest <= first <= fastest or timeout <= 0 or memory <= 0:
            msg = (
                f"RedisThrottle(first={first!r}, slowest={slowest!r}, fastest={fastest!r}, memory={memory!r}, "
                f"timeout={timeout!r}): pass numbers above 0, with slowest <= first <= fastest"
            )
            raise UsageError(msg)
        executor = ThreadPoolExecutor(1, "kantata-redis-throttle")
        super().__init__(
            _RedisStore(url, name, timeout),
            name,
            first=first,
            slowest=slowest,
            fastest=fastest,
            memory=memory,
            clock=clock,
            sleep=_sleep,
            in_thread=_in_thread,
            submit=executor.submit,
        )

    def __repr__(self) -> str:
        return f"<RedisThrottle {self._name!r}>"  # the URL may contain a password

    def close(self) -> None:
        """Close the connections to Redis. A later request reopens them."""
        self._store.close()


class _RedisStore:
    """The state of limits in hashes of Redis."""

    def __init__(self, url: str, name: str, timeout: float) -> None:
        try:
            from redis import Redis, RedisError
        except ImportError:
            raise UsageError("RedisThrottle needs redis: pip install 'kantata-client[redis]'") from None
        try:
            # A synchronous client in a thread works on asyncio and on trio alike.
            client: Any = Redis
            self._redis: Any = client.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        except ValueError:
            msg = "RedisThrottle: the URL of Redis must begin with redis://, rediss:// or unix://"
            raise UsageError(msg) from None
        self._error: type[Exception] = RedisError
        self._script: Any = self._redis.register_script(_SCRIPT)
        self._prefix = f"kantata:{name}"

    def exchange(self, key: str, member: str, expected: str | None, version: str, state: str) -> Entry:
        try:
            now, written, version, state, members = self._script(
                keys=[f"{self._prefix}:{key}", f"{self._prefix}:members"],
                args=[member, "read" if expected is None else expected, version, state],
            )
        except self._error as error:
            raise StoreUnavailableError(f"Redis does not respond: {error}") from None
        return Entry(float(now), bool(written), _text(version), _text(state), int(members))

    def close(self) -> None:
        self._redis.close()


async def _sleep(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)


async def _in_thread(function: Callable[[], Any]) -> Any:
    from anyio.to_thread import run_sync

    return await run_sync(function)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
