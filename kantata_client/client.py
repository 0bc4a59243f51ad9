"""`Kantata`: the client that a program makes, and copies for each of its users."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kantata_client._calls.drift import Drift
from kantata_client._calls.session import Session
from kantata_client._http.tokens import as_provider
from kantata_client._http.transport import BASE_URL, Transport
from kantata_client._lazy import resolvable
from kantata_client.api import Resources
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self

    from kantata_client._calls.drift import OnDrift
    from kantata_client._http.messages import AsyncTransport, Timeouts
    from kantata_client._http.retry import RetryPolicy
    from kantata_client._http.throttle import Throttle
    from kantata_client._http.tokens import TokenProvider
    from kantata_client.hooks import Hooks


@resolvable
class Kantata(Resources):
    """A client of the Kantata OX API.

        async with Kantata(token="…") as kantata:
            me = await kantata.users.me()

    Making one costs next to nothing; connections are opened by the first request, and closed by `aclose()` or at the end
    of the `async with` block. It works on asyncio and on trio, and may be used by many tasks at once.
    """

    __slots__ = ("_original", "_transport")

    def __init__(
        self,
        token: str | Callable[[], str] | Callable[[], Awaitable[str]] | TokenProvider | None = None,
        *,
        base_url: str | None = None,
        timeout: float | Timeouts | None = None,
        retries: RetryPolicy | int | None = None,
        throttle: Throttle | float | None = None,
        max_concurrency: int = 32,
        transport: AsyncTransport | None = None,
        hooks: Hooks | None = None,
        on_drift: OnDrift = "warn",
    ) -> None:
        """Make a client.

        Args:
            token: An access token, a function or coroutine function that gives one, or a `TokenProvider`; without, the
                environment variable `KANTATA_ACCESS_TOKEN` is read.
            base_url: Where the API is: HTTPS, or plain HTTP to this machine itself. Without, the environment variable
                `KANTATA_BASE_URL` is read, and without that it is the service.
            timeout: Seconds for connecting, for each write and each read; 190 seconds for reading unless told otherwise,
                since the service works on a request for up to three minutes.
            retries: How often and how long to try again; a number is that of attempts, 1 for a single one.
            throttle: How to keep below the rate limit; adaptive unless told otherwise. A number is a fixed rate, in
                requests a second.
            max_concurrency: Most requests under way at once.
            transport: Any async transport of httpx instead of the network.
            hooks: What to tell of requests, responses, retries and throttling.
            on_drift: What to do when the service's objects differ from the contract: `"warn"` checks a sample and logs each
                difference once, `"raise"` checks all objects and raises `MalformedResponseError`, `"ignore"` checks none.

        Raises:
            UsageError: There is no token, or an option is wrong.
        """
        given = [token]
        del token  # as soon as something can fail: a traceback that shows local variables must not show it
        tokens = as_provider(given.pop())
        shared = Transport(
            base_url=base_url or os.environ.get("KANTATA_BASE_URL") or BASE_URL,
            timeout=timeout,
            retries=retries,
            throttle=throttle,
            max_concurrency=max_concurrency,
            transport=transport,
            hooks=hooks,
        )
        self._become(shared, tokens, Drift(on_drift), original=True)

    def _become(self, transport: Transport, tokens: TokenProvider, drift: Drift, *, original: bool) -> None:
        self._original = original
        self._transport = transport
        self._session = Session(transport, tokens, drift)
        self._resources = {}

    @property
    def drift(self) -> Drift:
        """Where the service was seen to differ from the contract; print it for a table. Shared by `with_token` copies."""
        return self._session.drift

    def with_token(
        self, token: str | Callable[[], str] | Callable[[], Awaitable[str]] | TokenProvider
    ) -> Self:
        """The same client for another user: connections and throttle are shared, and closed with the original only.

        Raises:
            UsageError: The token can't be one.
        """
        given: list[Any] = [token]
        del token  # as in `__init__`
        if given[0] is None:
            # `None` stands for the environment's token in `Kantata()` alone: here it would be another user's.
            raise UsageError("with_token(None): give the other user's token, or what provides it.")
        tokens = as_provider(given.pop())
        other = object.__new__(type(self))
        other._become(self._transport, tokens, self.drift, original=False)
        return other

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
    ) -> Any:
        """Send what the contract does not know yet.

        Args:
            method: HTTP method, such as `"GET"`.
            path: Below the base URL, such as `"/stories"`. It must lead where it seems to: segments `.` and `..`, and an
                encoded slash, backslash or delimiter, are refused.
            params: Query parameters; lists are joined by commas, `None` is left out.
            json: The body: mappings, lists, text, numbers, dates, and datetimes with a time zone.

        Returns:
            The decoded JSON of the answer; `None` when it has no body.

        Raises:
            UsageError: The path is none, or JSON has no form for a value; nothing was sent.
            APIError: The service refused.
            MalformedResponseError: The answer is not JSON.
        """
        from kantata_client._calls.untyped import request

        return await request(self._session, method, path, params, json)

    async def aclose(self) -> None:
        """Close all connections; the copies made by `with_token` can't send any more either. A copy closes nothing."""
        if self._original:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        transport = getattr(self, "_transport", None)  # none in a traceback out of the constructor
        return f"<Kantata at {transport.base_url}>" if transport else "<Kantata>"
