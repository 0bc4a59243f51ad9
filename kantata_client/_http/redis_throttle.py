"""One budget for several processes or hosts, kept in Redis.

The state of a limit is a hash in Redis that one script reads and writes; its clock is that of Redis. In each process one
request at a time asks for its place, so no more than one place is reserved ahead for each process, and a 429 anywhere holds
all of them at once.

The rate begins low and doubles each second, until the first 429. A 429 makes it a little lower, and more so while they come
soon after one another. After a while without one it grows again, and faster after eight seconds, since the limit was raised
then. That suits a bucket of tokens. Of a count per window less is used, since the end of the window has to be found.
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

-- What was accepted since the process last asked: each request adds a little, so the rate grows only where it is used.
if accepted > 0 then
  -- What was accepted before a refusal may be reported after it.
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
  -- Requests that left before the rate was lowered tell nothing new.
  if now - ago > state.changed then
    if state.run == 0 then
      local soon = state.changed == 0 or now - state.changed < 1.5
      state.rate = math.max(state.rate * (soon and 0.92 or 0.965), slowest)
    end
    -- Refusals without a success in between: a count per window is used up, and a lower rate would not help.
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
  -- A place is not reserved far ahead: a 429 may change everything by then.
  if wait <= 0.5 then
    -- After a refusal one request at a time tries whether the service accepts again.
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
"""Seconds after which a Redis that did not answer is asked again."""


class _Budget:
    """What this process knows of one limit."""

    __slots__ = ("__weakref__", "accepted", "key", "share")

    def __init__(self, key: str) -> None:
        self.key = key
        self.accepted = 0
        """Requests accepted since Redis was told."""
        self.share: float | None = None
        """This process's part of the rate, in requests a second."""


class RedisThrottle:
    """A throttle that several processes or hosts share through Redis.

        throttle = RedisThrottle("redis://localhost:6379/0", "account-42")
        kantata = Kantata(throttle=throttle)

    All clients with the same name have one budget, also for each operation that has a limit of its own. A 429 for one of
    them slows all. While Redis is away each process goes on with its share of the last known rate.
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
            url: Of Redis, such as `redis://localhost:6379/0`, `rediss://…` or `unix://…`.
            name: Of the budget: those who share a limit of the service, the users of one account for example.
            first: Requests a second to begin with, of all processes together.
            slowest: Requests a second; no 429 makes the rate lower.
            fastest: Requests a second that are never exceeded.
            timeout: Seconds after which Redis counts as away.
            clock: Seconds, for tests.

        Raises:
            UsageError: The package redis is not installed, the address is wrong, or a number is not positive.
        """
        if not 0 < slowest <= first <= fastest or timeout <= 0:
            msg = (
                f"RedisThrottle(first={first!r}, slowest={slowest!r}, fastest={fastest!r}, timeout={timeout!r}): give "
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
            msg = "RedisThrottle: the address is not one of Redis; it begins with redis://, rediss:// or unix://"
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
        return f"<RedisThrottle {self._name!r}>"  # the address may hold a password

    async def acquire(self, operation: str, own_limit: bool, patience: float = math.inf) -> float | None:
        """Wait for the next free place of all processes."""
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
        """Count it; Redis is told with the next request."""
        self._budget(operation, False).accepted += 1
        if own_limit:
            self._budget(operation, True).accepted += 1

    def limited(self, operation: str, own_limit: bool, retry_after: float | None, seconds: float) -> bool:
        """Slow all processes down."""
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
        """Close the connections to Redis. A later request opens them again."""
        self._redis.close()

    def _ask(
        self, budget: _Budget, act: str, accepted: int, ago: float = 0.0, asked: float = 0.0
    ) -> tuple[float, float] | None:
        """Run the script: seconds until the place (-1: none yet), and seconds of a pause that the service asked for."""
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
                    "Redis does not answer (%s): requests leave at this process's share of the rate", error
                )
            return None
        if self._away:
            self._away = False
            self._alone.clear()
            logger.warning("Redis answers again: the budget %r is shared again", self._name)
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
        """Lets one task of the event loop at a time ask for a place."""
        import anyio

        running = _lines.running()
        lock = running.get(budget)
        if lock is None:
            lock = running[budget] = anyio.Lock()
        return lock


_lines: PerLoop[_Budget, anyio.Lock] = PerLoop()
