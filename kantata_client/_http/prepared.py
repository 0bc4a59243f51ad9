"""Requests in the form in which they are sent, whatever sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

import attrs

from kantata_client._http.multipart import MultipartBody
from kantata_client._http.urls import Base, InvalidURLError, parsed
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from kantata_client._http.messages import Failure, Request, Timeouts
    from kantata_client._http.tokens import Secret
    from kantata_client._http.urls import Origin

RawHeaders = list[tuple[bytes, bytes]]

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods for which an empty body is announced by `content-length: 0`."""


class Upload:
    """A form that is sent in pieces."""

    def __init__(self, body: MultipartBody) -> None:
        self.body = body
        self.on_piece: Callable[[], object] | None = None
        """Called whenever the next piece is requested."""
        self._pieces: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> Self:
        self._pieces = aiter(self.body)
        return self

    async def __anext__(self) -> bytes:
        if self.on_piece is not None:
            self.on_piece()
        assert self._pieces is not None  # noqa: S101 - made by __aiter__
        return await anext(self._pieces)


class PreparedRequest:
    """A request that can be sent once or more often."""

    __slots__ = (
        "_authorization", "_headers", "_secret", "body", "custom", "host", "method", "origin", "path", "timeouts", "url"
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        url: str,
        origin: Origin,
        path: bytes,
        headers: RawHeaders,
        body: bytes | Upload,
        timeouts: Timeouts,
        *,
        custom: bool,
    ) -> None:
        self.method = method
        self.url = url
        """The whole URL, not yet normalized."""
        self.origin = origin
        self.path = path
        """Path and query as they are sent."""
        self.body = body
        self.timeouts = timeouts
        self.custom = custom
        """Whether it has headers that are not the client's own."""
        self._headers = headers
        self._authorization: bytes | None = None
        self._secret: Secret | None = None

    def authorize(self, secret: Secret) -> None:
        """Set the token, replacing an earlier one."""
        self._secret = secret
        self._authorization = b"Bearer " + secret.reveal().encode("ascii")

    @property
    def headers(self) -> RawHeaders:
        """All headers, names in lower case."""
        if self._authorization is None:
            return self._headers
        headers = self._headers
        if self.custom:
            headers = [header for header in headers if header[0] != b"authorization"]
        return [*headers, (b"authorization", self._authorization)]

    def headers_besides(self, usual: RawHeaders) -> RawHeaders:
        """The headers without those that `usual` has with the same values."""
        if self._headers is usual:  # nearly always; nothing has to be compared then
            return [] if self._authorization is None else [(b"authorization", self._authorization)]
        return [header for header in self.headers if header not in usual]

    def redacted(self, failure: Failure) -> Failure:
        """The failure without the token, which a server may repeat where a status line is expected."""
        if self._secret is None:
            return failure
        return attrs.evolve(failure, reason=self._secret.redact(failure.reason.encode()).decode())

    @property
    def replayable(self) -> bool:
        """Whether it can be sent, or sent again."""
        return isinstance(self.body, bytes) or self.body.body.rewindable or not self.body.body.began

    @property
    def upload_error(self) -> BaseException | None:
        """The exception that the stream to be uploaded raised, as opposed to the network."""
        return None if isinstance(self.body, bytes) else self.body.body.error


class Preparer:
    """Prepares the requests of a client."""

    def __init__(self, base_url: str, timeouts: Timeouts, headers: Mapping[str, str]) -> None:
        """Set up.

        Args:
            base_url: URL of the API.
            timeouts: Those of requests without their own.
            headers: Sent with all requests, names in lower case.

        Raises:
            UsageError: The base URL is invalid.
        """
        try:
            self.base = Base(base_url)
        except ValueError as error:
            problem = f"base_url is invalid: {error}"
        else:
            self._timeouts = timeouts
            self._headers = dict(headers)
            self.headers = self._encoded(self.base.target.host, self._headers)
            """Of a request to the API without a body and without headers of its own."""
            return
        raise UsageError(problem)

    def prepare(self, request: Request) -> PreparedRequest:
        """Prepare a request, which has no token yet.

        Raises:
            UsageError: The request cannot be sent.
        """
        url, content, form = request.url, request.content, request.form
        query = urlencode(request.query, safe=",:") if request.query else ""
        body: bytes | Upload = content or b""
        headers: dict[str, str] | None = None
        if form is not None:
            multipart = MultipartBody(form)
            headers, body = {**self._headers, **multipart.headers}, Upload(multipart)
        elif content is not None:
            headers = {
                **self._headers,
                "content-type": "application/json",
                "content-length": str(len(content)),
            }
        elif request.method in _WITH_BODY:
            headers = {**self._headers, "content-length": "0"}
        try:
            origin, host = self.base.target.origin, self.base.target.host
            path = self.base.below(url, query)
            url = f"{url}?{query}" if query else url
            if path is None:
                target = parsed(url)
                origin, host, path = target.origin, target.host, target.path
            if request.headers:
                custom = {name.lower(): value for name, value in request.headers.items()}
                raw = self._encoded(host, {**(headers or self._headers), **custom})
            elif headers is not None or host is not self.base.target.host:
                raw = self._encoded(host, headers or self._headers)
            else:
                raw = self.headers
        except InvalidURLError as error:
            problem = f"has an invalid address: {error}"
        except (UnicodeError, AttributeError, TypeError, ValueError) as error:
            problem = f"can't be sent: {error}"
        else:
            return PreparedRequest(
                request.method,
                url,
                origin,
                path,
                raw,
                body,
                request.timeouts or self._timeouts,
                custom=bool(request.headers),
            )
        raise UsageError(f"{request!r} {problem}")

    @staticmethod
    def _encoded(host: bytes, headers: Mapping[str, str]) -> RawHeaders:
        own = [] if "host" in headers else [(b"host", host)]
        return own + [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
