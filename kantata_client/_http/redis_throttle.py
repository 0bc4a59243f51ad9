"""A rate limit that several processes or hosts share through Redis.

The state of a limit is a hash in Redis, which a single script reads and updates by the clock of Redis. In each process one
request at a time reserves its turn, so each process reserves at most one turn ahead, and a 429 in any process pauses all of
them at once.

The rate begins low and doubles each second until the first 429. Each 429 lowers it a little, and more if the last one was
recent. After two seconds without a 429 the rate increases again, and after eight seconds faster, because the limit may have
been raised. This suits a token bucket. It uses less of a fixed window, because the end of the window has to be found.
"""

from __future__ import annotations

import logging
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from kantata_client._http.throttle import FixedRate
from kantata_client._loops import PerLoop
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import anyio

logger = logging.getLogger("kantata_client")

_SCRIPT = """
local key, members = KEYS[1], KEYS[2]
local act, member = ARGV[1], ARGV[2]
local accepted, ago, asked = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local first, slowest, fastest = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local values = redis.call('HMGET', key, 'rate', 'next', 'hold', 'asked', 'changed', 'run')
local state = {}
for place, name in ipairs({'rate', 'next', 'hold', 'asked', 'changed', 'run'}) do
  state[name] = tonumber(values[place]) or 0
end
if state.rate == 0 then
  state.rate, state.next = first, now
end

-- Each request that was accepted since the process last asked raises the rate a little, so an unused rate does not grow.
if accepted > 0 then
  -- Requests that were accepted before a 429 may be reported after it.
  if state.run > 0 and now > state.hold + 0.02 then
    state.run, state.next = 0, math.min(state.next, now)
  end
  local age = now - state.changed
  if state.changed == 0 then
    state.rate = state.rate + accepted * 0.7
  elseif age > 8 then
    state.rate = state.rate + accepted * 0.1
  elseif age > 2 then
    state.rate = state.rate + accepted * 0.02
  end
  state.rate = math.min(state.rate, fastest)
end

if act == 'limited' then
  -- A 429 for a request that was sent before the rate was lowered is no news.
  if now - ago > state.changed then
    if state.run == 0 then
      local soon = state.changed == 0 or now - state.changed < 1.5
      state.rate = math.max(state.rate * (soon and 0.92 or 0.965), slowest)
    end
    -- Several 429s in a row mean that a fixed window is used up, and a lower rate would not help.
    state.hold = math.max(state.hold, now + math.max(math.min(0.05 * 1.4 ^ state.run, 30), 1 / state.rate))
    state.run = state.run + 1
    state.changed = now
  end
  if asked > 0 then
    state.asked = math.max(state.asked, now + asked)
    state.hold = math.max(state.hold, state.asked)
  end
  state.next = math.max(state.next, state.hold)
end

local wait = 0
if act == 'acquire' then
  local start = math.max(state.next, now - 0.05)
  wait = math.max(start - now, 0)
  -- No turn is reserved far ahead, because a 429 could change the rate until then.
  if wait <= 0.5 then
    -- After a 429, one request at a time finds out whether the service accepts requests again.
    local probe = state.run > 0 and math.min(0.05 * 1.4 ^ state.run, 30) or 0
    state.next = start + math.max(1 / state.rate, probe)
  else
    wait = -1
  end
  redis.call('ZADD', members, now, member)
  redis.call('ZREMRANGEBYSCORE', members, '-inf', now - 30)
  redis.call('EXPIRE', members, 3600)
end
redis.call('HSET', key, 'rate', state.rate, 'next', state.next, 'hold', state.hold, 'asked', state.asked,
  'changed', state.changed, 'run', state.run)
redis.call('EXPIRE', key, 3600)
return {tostring(wait), tostring(math.max(state.asked - now, 0)), tostring(state.rate), redis.call('ZCARD', members)}
"""

_GENERAL = "general"
_RETRY = 1.0
"""Seconds until Redis is tried again after it did not respond."""


class _Budget:
    """The state of one limit in this process."""

    __slots__ = ("__weakref__", "accepted", "key", "share")

    def __init__(self, key: str) -> None:
        self.key = key
        self.accepted = 0
        """Accepted requests that were not reported to Redis yet."""
        self.share: float | None = None
        """This process's share of the rate, in requests a second."""


class RedisThrottle:
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
            timeout: Seconds after which Redis counts as unavailable.
            clock: Returns the time in seconds; for tests.

        Raises:
            UsageError: The package redis is not installed, the URL is invalid, or a number is out of range.
        """
        if not 0 < slowest <= first <= fastest or timeout <= 0:
            msg = (
                f"RedisThrottle(first={first!r}, slowest={slowest!r}, fastest={fastest!r}, timeout={timeout!r}): pass "
                "numbers above 0, with slowest <= first <= fastest"
            )
            raise UsageError(msg)
        try:
            from redis import Redis, RedisError
        except ImportError:
            raise UsageError("RedisThrottle needs redis: pip install 'kantata-client[redis]'") from None
        try:
            # A synchronous client in a thread works on asyncio and on trio alike.
            made: Any = Redis
            self._redis: Any = made.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        except ValueError:
            msg = "RedisThrottle: the URL of Redis must begin with redis://, rediss:// or unix://"
            raise UsageError(msg) from None
        self._error: type[Exception] = RedisError
        self._script: Any = self._redis.register_script(_SCRIPT)
        self._name = name
        self._numbers = (first, slowest, min(fastest, 1e9))
        self._clock = clock
        self._member = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._budgets: dict[str, _Budget] = {}
        self._away_until = -math.inf
        self._away = False
        self._alone: dict[str, tuple[float, FixedRate]] = {}
        self._reports = ThreadPoolExecutor(1, "kantata-redis-throttle")

    def __repr__(self) -> str:
        return f"<RedisThrottle {self._name!r}>"  # the URL may contain a password

    async def acquire(self, operation: str, own_limit: bool, patience: float = math.inf) -> float | None:
        """Wait for a turn among all processes."""
        import anyio
        from anyio.to_thread import run_sync

        budget = self._budget(operation, own_limit)
        async with self._line(budget):
            while True:
                now = self._clock()
                if now < self._away_until:
                    return await self._acquire_alone(budget, operation, patience)
                accepted, budget.accepted = budget.accepted, 0
                answer = await run_sync(partial(self._ask, budget, "acquire", accepted))
                if answer is None:
                    budget.accepted += accepted
                    return await self._acquire_alone(budget, operation, patience)
                wait, asked = answer
                if asked > patience:
                    return asked
                if wait >= 0:
                    if wait:
                        await anyio.sleep(wait)
                    return None
                await anyio.sleep(min(max(asked, 0.2), 1.0))

    def succeeded(self, operation: str, own_limit: bool) -> None:
        """Count an accepted request. The next request reports it to Redis."""
        self._budget(operation, False).accepted += 1
        if own_limit:
            self._budget(operation, True).accepted += 1

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> bool:
        """Slow down all processes."""
        budget = self._budget(operation, own_limit)
        if self._clock() < self._away_until:
            rate, _ = self._alone.get(budget.key, (budget.share or self._numbers[0], None))
            self._alone[budget.key] = (slower := max(rate * 0.7, self._numbers[1]), FixedRate(slower))
            return False
        accepted, budget.accepted = budget.accepted, 0
        logger.warning("429 for %s: all processes of the budget %r slow down", operation, self._name)
        self._reports.submit(self._ask, budget, "limited", accepted, seconds, retry_after or 0.0)
        return False

    def close(self) -> None:
        """Close the connections to Redis. A later request reopens them."""
        self._redis.close()

    def _ask(
        self, budget: _Budget, act: str, accepted: int, ago: float = 0.0, asked: float = 0.0
    ) -> tuple[float, float] | None:
        """Run the script.

        Returns:
            Seconds until the request's turn (-1 if it has to ask again later), and the seconds that are left of a pause that
            the service asked for; None if Redis is unavailable.
        """
        prefix = f"kantata:{self._name}"
        try:
            found: list[Any] = self._script(
                keys=[f"{prefix}:{budget.key}", f"{prefix}:members"],
                args=[act, self._member, accepted, ago, asked, *self._numbers],
            )
        except self._error as error:
            self._away_until = self._clock() + _RETRY
            if not self._away:
                self._away = True
                logger.warning(
                    "Redis does not respond (%s): requests are sent at this process's share of the rate",
                    error,
                )
            return None
        if self._away:
            self._away = False
            self._alone.clear()
            logger.warning("Redis responds again: the budget %r is shared again", self._name)
        wait, pause, rate, members = (float(each) for each in found)
        budget.share = rate / max(members, 1.0)
        return wait, pause

    async def _acquire_alone(self, budget: _Budget, operation: str, patience: float) -> float | None:
        found = self._alone.get(budget.key)
        if found is None:
            share = budget.share or self._numbers[0]
            found = self._alone[budget.key] = (share, FixedRate(share))
        return await found[1].acquire(operation, False, patience)

    def _budget(self, operation: str, own_limit: bool) -> _Budget:
        key = operation if own_limit else _GENERAL
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets[key] = _Budget(key)
        return budget

    def _line(self, budget: _Budget) -> anyio.Lock:
        """The lock that lets one task of the event loop at a time reserve a turn."""
        import anyio

        running = _lines.running()
        lock = running.get(budget)
        if lock is None:
            lock = running[budget] = anyio.Lock()
        return lock


_lines: PerLoop[_Budget, anyio.Lock] = PerLoop()
