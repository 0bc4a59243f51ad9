"""Handing one request to httpx and reading its answer: the only module that imports httpx.

httpx is imported with the first request. Its exceptions stay inside: they hold the request with its headers, so a failure
is returned as a value. Its transports are used without `httpx.AsyncClient`, which would send one user's cookies with the
next user's requests, log signed URLs, and double the cost.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
import httpx

from kantata_client._http.messages import Failure, Response
from kantata_client._http.multipart import MultipartBody
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from kantata_client._http.messages import AsyncTransport, Request, Timeouts
    from kantata_client._http.tokens import Secret

BROKEN: tuple[type[Exception], ...] = (
    httpx.TransportError,
    httpx.DecodingError,
    OSError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
"""What transports raise when an exchange fails. The last four slip through httpx's translation (TLS errors in a body)."""


class _Stream(httpx.AsyncByteStream):
    """A form in httpx's terms."""

    def __init__(self, body: MultipartBody) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)


@attrs.frozen(eq=False, repr=False)
class Download(Response):
    """A response whose body is read chunk by chunk; `content` is empty."""

    _raw: httpx.Response = attrs.field(repr=False)
    _pieces: AsyncIterator[bytes] = attrs.field(repr=False)

    async def chunk(self) -> bytes | Failure | None:
        """More of the body as it was sent (compressed, if `content-encoding` says so); `None` at the end."""
        try:
            return await anext(self._pieces, None)
        except BROKEN as error:
            return failure_of(error, self._raw)

    async def aclose(self) -> None:
        """Return the connection to the pool, or close it if some of the body is unread."""
        await self._raw.aclose()


def _download(raw: httpx.Response) -> Download:
    # A transport that gives its whole body at once (in a test) has it read when the response is made.
    pieces = aiter(cast("AsyncIterable[bytes]", raw.stream)) if raw.is_stream_consumed else raw.aiter_raw()
    return Download(raw.status_code, raw.headers, b"", raw, pieces)


class Prepared:
    """A request in httpx's form, to be sent once or more often."""

    __slots__ = ("_body", "_secret", "raw")

    def __init__(self, raw: httpx.Request, body: MultipartBody | None) -> None:
        self.raw = raw
        self._body = body
        self._secret: Secret | None = None

    def authorize(self, secret: Secret) -> None:
        """Put the token in, replacing an earlier one."""
        self._secret = secret
        self.raw.headers["Authorization"] = f"Bearer {secret.reveal()}"

    def redacted(self, failure: Failure) -> Failure:
        """The failure without the token: a server may repeat it where a status line is expected."""
        if self._secret is None:
            return failure
        return attrs.evolve(failure, reason=self._secret.redact(failure.reason.encode()).decode())

    @property
    def path(self) -> bytes:
        """The path as it is sent, without the query."""
        return self.raw.url.raw_path.partition(b"?")[0]

    @property
    def replayable(self) -> bool:
        """Whether it can be sent (again)."""
        return self._body is None or self._body.rewindable or not self._body.began

    def raised(self, error: BaseException) -> bool:
        """Whether the error came from a stream to be uploaded, not from the network."""
        return self._body is not None and self._body.error is error


class Connections:
    """The connections of one client in one event loop."""

    def __init__(
        self, transport: AsyncTransport | None, timeouts: Timeouts, keep: int, *, use_proxies: bool
    ) -> None:
        """`keep` is how many idle connections stay open; `use_proxies` reads HTTPS_PROXY and the like."""
        self._transport = transport
        self._opened: dict[tuple[str, str], AsyncTransport] = {}
        self._limits = httpx.Limits(max_connections=None, max_keepalive_connections=keep)
        self._use_proxies = use_proxies
        self._extensions = {"timeout": attrs.asdict(timeouts)}
        self._headers = {
            "user-agent": _user_agent(),
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
        }

    def prepare(self, request: Request) -> Prepared:
        """The request in httpx's form, without a token."""
        url, headers, body = request.url, self._headers, None
        content = request.content
        if request.query:
            from urllib.parse import urlencode

            url = f"{url}?{urlencode(request.query, safe=',:')}"
        if content is not None:
            headers = {**headers, "content-type": "application/json"}
        elif request.form is not None:
            body = MultipartBody(request.form)
            headers = {**headers, **body.headers}
        if request.headers:
            headers = {**headers, **{name.lower(): value for name, value in request.headers.items()}}
        try:
            address = httpx.URL(url)
            stream = None
            if body is not None:
                # httpx adds no headers when the stream is not its own.
                headers = {"host": address.netloc.decode("ascii"), **headers}
                stream = _Stream(body)
            raw = httpx.Request(
                request.method,
                address,
                headers=headers,
                content=content,
                stream=stream,
                extensions=self._extensions
                if request.timeouts is None
                else {"timeout": attrs.asdict(request.timeouts)},
            )
        except httpx.InvalidURL as error:
            problem = str(error)
        else:
            return Prepared(raw, body)
        raise UsageError(f"{request!r} has an invalid address: {problem}.")

    async def exchange(self, prepared: Prepared, *, stream: bool = False) -> Response | Failure:
        """Send once. With `stream`, a success is a `Download`, which the caller closes."""
        raw: httpx.Response | None = None
        try:
            raw = await self._transport_to(prepared.raw.url).handle_async_request(prepared.raw)
            if stream and raw.is_success:
                return _download(raw)
            content = await raw.aread()
            return Response(raw.status_code, raw.headers, content)
        except BROKEN as error:
            if prepared.raised(error):
                raise
            failure = prepared.redacted(failure_of(error, raw))
            if raw is None:
                return failure
        except BaseException as error:  # noqa: BLE001 - raised again
            if raw is not None:
                await raw.aclose()
            # Mostly a cancellation. The frames below hold the headers, and so the token, in their local variables.
            raise error.with_traceback(None) from None
        await raw.aclose()
        # A refusal counts even if its explanation got lost.
        return failure if raw.is_success else Response(raw.status_code, raw.headers, b"")

    async def aclose(self) -> None:
        """Close all connections."""
        opened, self._opened = self._opened, {}
        for transport in opened.values():
            await transport.aclose()
        if self._transport is not None:
            await self._transport.aclose()

    def _transport_to(self, url: httpx.URL) -> AsyncTransport:
        if self._transport is not None:
            return self._transport
        origin = url.scheme, url.host
        transport = self._opened.get(origin)
        if transport is None:
            proxy = _proxy(*origin) if self._use_proxies else None
            transport = httpx.AsyncHTTPTransport(limits=self._limits, proxy=proxy)
            self._opened[origin] = transport
        return transport


def failure_of(error: Exception, answer: httpx.Response | None) -> Failure:
    """The failure that an exception stands for; `answer` is what had arrived by then."""
    timeout = isinstance(error, (httpx.TimeoutException, TimeoutError))
    reason = str(error) or ("no answer in time" if timeout else type(error).__name__)
    if answer is not None:
        reason = f"the answer was cut off ({reason})"
        status, request_id = answer.status_code, answer.headers.get("x-request-id")
        return Failure(reason, timeout=timeout, status=status, request_id=request_id)
    if isinstance(error, httpx.PoolTimeout):
        return Failure("no connection became free in time", unsent=True, timeout=True)
    if isinstance(error, httpx.ConnectTimeout):
        return Failure("no connection in time", unsent=True, timeout=True)
    if isinstance(error, (httpx.ConnectError, httpx.ProxyError)):
        certificate = "CERTIFICATE_VERIFY_FAILED" in reason
        return Failure(f"no connection ({reason})", unsent=True, hopeless=certificate)
    return Failure(reason, timeout=timeout)


def _proxy(scheme: str, host: str) -> str | None:
    """The proxy that the environment sets for a host."""
    from urllib.request import getproxies, proxy_bypass

    proxies: dict[str, Any] = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"kantata-client/{version('kantata-client')}"
    except PackageNotFoundError:
        return "kantata-client"
