"""`Kantata`: the client that a program creates, and copies for each of its users."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kantata_client._calls.drift import Drift
from kantata_client._calls.session import Session
from kantata_client._http.tokens import as_provider
from kantata_client._http.transport import BASE_URL, LARGEST, Transport
from kantata_client._lazy import resolvable
from kantata_client._resources.base import explained_as
from kantata_client.api import Resources
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self

    from kantata_client._calls.drift import OnDrift
    from kantata_client._http.messages import File, Timeouts, TransportOption
    from kantata_client._http.retry import RetryPolicy
    from kantata_client._http.throttle import Throttle
    from kantata_client._http.tokens import TokenProvider
    from kantata_client._http.transport import StreamedResponse
    from kantata_client.hooks import Hooks
    from kantata_client.oauth.app import OAuthApp


@resolvable
class Kantata(Resources):
    """A client of the Kantata OX API.

        async with Kantata(token="…") as kantata:
            me = await kantata.users.me()

    Creating one costs next to nothing. The first request opens connections; `aclose()`, or the end of the `async with`
    block, closes them. It works on asyncio and on trio, and many tasks may use it at once. The environment variable
    `KANTATA_LOG` (`debug`, `info` or `warning`) writes its log to stderr.
    """

    __slots__ = ("_app", "_original", "_transport")

    @explained_as("Kantata")
    def __init__(
        self,
        token: str | Callable[[], str] | Callable[[], Awaitable[str]] | TokenProvider | None = None,
        *,
        base_url: str | None = None,
        timeout: float | Timeouts | None = None,
        retries: RetryPolicy | int | None = None,
        throttle: Throttle | float | None = None,
        max_concurrency: int = 32,
        max_response_bytes: int | None = LARGEST,
        transport: TransportOption | None = None,
        hooks: Hooks | None = None,
        on_drift: OnDrift = "warn",
    ) -> None:
        """Create a client.

        Args:
            token: An access token, a function or coroutine function that returns one, or a `TokenProvider`. Default: the
                environment variable `KANTATA_ACCESS_TOKEN`.
            base_url: Address of the API: HTTPS, or plain HTTP to this machine itself. Default: the environment variable
                `KANTATA_BASE_URL`, or the service if it is not set.
            timeout: Seconds for connecting, for each write and for each read. Default for reading: 190 seconds, because
                the service works on a request for up to three minutes.
            retries: How often to repeat a failed request (0: never), or a `RetryPolicy`. Default: 4.
            throttle: How to stay below the rate limit. Default: adaptive. A number is a fixed rate in requests per second.
            max_concurrency: The largest number of requests in progress at once.
            max_response_bytes: The largest response in bytes, decompressed; `None`: no limit. Downloads have none.
            transport: An async transport of httpx or httpx2 to use instead of the default one, a function that creates one
                for each event loop, or `"aiohttp"` (`docs/connections.md`).
            hooks: Functions to call for requests, responses, retries and throttling.
            on_drift: What to do when objects of the service differ from the contract. `"warn"` checks a sample and logs each
                difference once, `"raise"` checks all objects and raises `MalformedResponseError`, `"ignore"` checks none.

        Raises:
            UsageError: There is no token, or an option is invalid.
        """
        given = [token]
        del token  # the code below can fail, and a traceback may show local variables
        tokens = as_provider(given.pop())
        shared = Transport(
            base_url=base_url or os.environ.get("KANTATA_BASE_URL") or BASE_URL,
            timeout=timeout,
            retries=retries,
            throttle=throttle,
            max_concurrency=max_concurrency,
            max_response_bytes=max_response_bytes,
            transport=transport,
            hooks=hooks,
        )
        self._become(Session(shared, tokens, Drift(on_drift)), original=True)
        if level := os.environ.get("KANTATA_LOG"):
            from kantata_client._http.reports import log_to_stderr  # attrs: not at start-up

            log_to_stderr(level)

    def _become(self, session: Session, *, original: bool) -> None:
        self._app: OAuthApp | None = None
        self._original = original
        self._transport = session.transport
        self._session = session
        self._resources = {}

    def _with_session(self, session: Session) -> Self:
        other = object.__new__(type(self))
        other._become(session, original=False)
        return other

    @classmethod
    @explained_as("Kantata.from_profile")
    def from_profile(
        cls,
        name: str | None = None,
        *,
        client_secret: str | None = None,
        timeout: float | Timeouts | None = None,
        retries: RetryPolicy | int | None = None,
        throttle: Throttle | float | None = None,
        max_concurrency: int = 32,
        max_response_bytes: int | None = LARGEST,
        transport: TransportOption | None = None,
        hooks: Hooks | None = None,
        on_drift: OnDrift = "warn",
    ) -> Self:
        """Create a client for a user who signed in with `kantata login`.

            async with Kantata.from_profile() as kantata:
                me = await kantata.users.me()

        The client uses the stored token, only at the server that issued it, and renews it. Environment variables with a
        token or a base URL are ignored.

        Args:
            name: The profile's name. Default: the environment variable `KANTATA_PROFILE`, or else `default`.
            client_secret: The application's secret, for renewing the token. Default: the environment variable
                `KANTATA_CLIENT_SECRET`; without a secret the application is a public client.
            timeout: See `Kantata`.
            retries: See `Kantata`.
            throttle: See `Kantata`.
            max_concurrency: See `Kantata`.
            max_response_bytes: See `Kantata`.
            transport: See `Kantata`. Renewals of the token do not use it.
            hooks: See `Kantata`.
            on_drift: See `Kantata`.

        Raises:
            OAuthError: Nobody is signed in under that name, or other users can read the stored token.
            UsageError: An option is invalid, or platformdirs is not installed (`pip install 'kantata-client[oauth]'`).
        """
        from kantata_client._http.tokens import Secret
        from kantata_client.oauth.profiles import Profile, secret

        given = Secret(client_secret) if client_secret else None
        del client_secret  # as in `__init__`
        profile = Profile.signed_in(name)
        app = profile.app(given.reveal() if given else secret())
        client = cls(
            profile.token(app),
            base_url=profile.base_url,
            timeout=timeout,
            retries=retries,
            throttle=throttle,
            max_concurrency=max_concurrency,
            max_response_bytes=max_response_bytes,
            transport=transport,
            hooks=hooks,
            on_drift=on_drift,
        )
        client._app = app
        return client

    @property
    def base_url(self) -> str:
        """The address of the API, without a trailing slash."""
        return self._transport.base_url

    @property
    def drift(self) -> Drift:
        """Differences between the service and the contract so far. Print it to get a table. Copies share it."""
        return self._session.drift

    def with_token(
        self, token: str | Callable[[], str] | Callable[[], Awaitable[str]] | TokenProvider
    ) -> Self:
        """A copy for another user. It shares connections and throttle; only closing the original closes them.

        Raises:
            UsageError: The token is invalid.
        """
        given: list[Any] = [token]
        del token  # as in `__init__`
        if given[0] is None:
            # Only in `Kantata()` does `None` mean the token of the environment: here that would be another user's.
            raise UsageError("with_token(None): pass the other user's token, or a provider of it.")
        tokens = as_provider(given.pop())
        return self._with_session(Session(self._transport, tokens, self.drift, self._session.options))

    @explained_as("Kantata.with_options")
    def with_options(
        self,
        *,
        timeout: float | Timeouts | None = None,
        retries: RetryPolicy | int | None = None,
        headers: Mapping[str, str] | None = None,
        max_concurrency: int | None = None,
    ) -> Self:
        """A copy with other options. It shares connections, token and throttle; only closing the original closes them.

            patient = kantata.with_options(timeout=600, retries=0)

        Args:
            timeout: Seconds, as for `Kantata`. `None` changes nothing; `Timeouts(read=None)` waits without a limit.
            retries: How often to repeat a request (0: never), or a `RetryPolicy`.
            headers: Headers to send with every request to the API, besides those of the original.
            max_concurrency: The largest number of requests that this copy has in progress at once, within the limit of the
                original.

        Raises:
            UsageError: An option is invalid.
        """
        from kantata_client._calls.call_options import CallOptions

        options = (self._session.options or CallOptions()).changed(timeout, retries, headers, max_concurrency)
        return self._with_session(Session(self._transport, self._session.tokens, self.drift, options))

    @property
    def with_response(self) -> KantataWithResponse:
        """`request` with its response: `(await kantata.with_response.request("GET", "/users/me")).headers`."""
        return KantataWithResponse(self)

    @explained_as("Kantata.request")
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | str | None = None,
        data: Mapping[str, Any] | None = None,
        files: Mapping[str, File | bytes | tuple[str, bytes]] | Iterable[File] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request that the contract lacks.

        Args:
            method: HTTP method, such as `"GET"`.
            path: Path below the base URL, such as `"/stories"`. Segments `.` and `..`, and encoded slashes, backslashes and
                delimiters are rejected, because servers disagree on their meaning.
            params: Query parameters. Lists are joined with commas, and `None` is left out.
            json: The body: mappings, lists, text, numbers, dates, and datetimes with a time zone.
            content: A body that is sent unchanged, instead of `json`; pass its `content-type` in `headers`.
            data: Fields of a multipart form, instead of `json`.
            files: Files of a multipart form: bytes, `(file name, bytes)` or a `File` for each field, or `File` objects.
            headers: Additional headers.

        Returns:
            The decoded JSON of the response, or `None` if it has no body. `with_response.request` also returns status and
            headers; `stream` reads content other than JSON.

        Raises:
            UsageError: The path is invalid, or a value cannot be sent.
            APIError: The service answered with an error.
            MalformedResponseError: The response is not JSON.
        """
        from kantata_client._calls.untyped import request

        return await request(
            self._session,
            method,
            path,
            params=params,
            json=json,
            content=content,
            data=data,
            files=files,
            headers=headers,
        )

    @explained_as("Kantata.stream")
    def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send a request, and read its response piece by piece.

            async with kantata.stream("GET", "/project_accounting_records/export_to_csv") as response:
                async for chunk in response: ...

        Args:
            method: HTTP method, such as `"GET"`.
            path: As for `request`.
            params: As for `request`.
            headers: Additional headers.

        Returns:
            A context manager; the response has `status`, `headers` and `request_id`.

        Raises:
            UsageError: The path is invalid, or a value cannot be sent.
            APIError: The service answered with an error.
        """
        from kantata_client._calls.untyped import stream

        return stream(self._session, method, path, params, headers)

    async def aclose(self) -> None:
        """Close all connections, including those of copies. On a copy, this does nothing."""
        if self._original:
            await self._transport.aclose()
            if self._app is not None:
                await self._app.aclose()

    if not TYPE_CHECKING:  # so that the type checker rejects `with Kantata()` too

        def __enter__(self) -> Self:
            raise UsageError(
                "Kantata is an asynchronous client: write `async with Kantata() as kantata:` inside an `async def`, and run "
                "that with `asyncio.run(main())`. In a notebook, write `async with` directly into a cell"
            )

        def __exit__(self, *_: object) -> None:
            """Needed for the message above."""

    async def __aenter__(self) -> Self:
        if self._original:
            self._transport.ahead.is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        transport = getattr(self, "_transport", None)  # missing in a traceback from the constructor
        return f"<Kantata at {transport.base_url}>" if transport else "<Kantata>"


class KantataWithResponse:
    """`Kantata.with_response`: methods that return an `APIResponse`."""

    def __init__(self, kantata: Kantata) -> None:
        from kantata_client._calls.with_response import with_response  # attrs: not at start-up

        self.request = with_response(kantata.request)

    if not TYPE_CHECKING:  # type checkers should reject other names

        def __getattr__(self, name: str) -> Any:
            hint = f": write kantata.{name}.with_response" if name in Kantata.CLASSES else ""
            msg = f"{type(self).__name__!r} object has no attribute {name!r}{hint}"
            raise AttributeError(msg)
