"""Options of a single call, or of a copy of the client: `Kantata.with_options`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import attrs

from kantata_client import _loops
from kantata_client._http.messages import Timeouts
from kantata_client._http.options import parse_max_concurrency, parse_retries, parse_timeout
from kantata_client._http.retry import RetryPolicy
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from kantata_client._http.messages import Request

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name, as RFC 9110 defines it."""
_OURS = frozenset(
    {"authorization", "connection", "content-length", "content-type", "host", "proxy-authorization", "te"}
    | {"trailer", "transfer-encoding", "upgrade"}
)
"""Headers that the client sets, or that would break the connection."""


@attrs.frozen(eq=False)
class ConcurrencyLimit:
    """How many requests the copies made by one `with_options(max_concurrency=…)` may have in progress."""

    number: int

    def __call__(self) -> AbstractAsyncContextManager[object]:
        """A context manager to hold while a request is in progress."""
        places = _places.running()
        found = places.get(self)
        if found is None:
            found = places[self] = _loops.Slots(self.number)
        return found


_places: _loops.PerLoop[ConcurrencyLimit, _loops.Slots] = _loops.PerLoop()


@attrs.frozen(eq=False)
class CallOptions:
    """Options that replace those of the client; headers are added."""

    timeouts: Timeouts | None = None
    retries: RetryPolicy | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    concurrency: ConcurrencyLimit | None = None

    def changed(
        self, timeout: object, retries: object, headers: object, max_concurrency: object
    ) -> CallOptions:
        """A copy with other options; `None` changes nothing, and headers are added.

        Raises:
            UsageError: An option is invalid.
        """
        return CallOptions(
            parse_timeout(timeout) or self.timeouts,
            parse_retries(retries) or self.retries,
            {**self.headers, **headers_of(headers, "with_options")},
            self.concurrency
            if max_concurrency is None
            else ConcurrencyLimit(parse_max_concurrency(max_concurrency)),
        )

    def applied(self, request: Request) -> Request:
        """The request with these options."""
        headers = {**self.headers, **(request.headers or {})}
        return attrs.evolve(request, headers=headers, timeouts=self.timeouts, retries=self.retries)

    def applied_elsewhere(self, request: Request) -> Request:
        """A request to another host, such as a download, with these timeouts and retries but without the headers."""
        return attrs.evolve(request, timeouts=self.timeouts, retries=self.retries)

    def limit(self) -> AbstractAsyncContextManager[object]:
        """A context manager to hold while a request is in progress."""
        return self.concurrency() if self.concurrency else nullcontext()


def headers_of(given: object, where: str, *, content_type: bool = False) -> dict[str, str]:
    """`headers=`: additional headers, with lower-case names.

    Args:
        given: A mapping of text to text, or `None`.
        where: The method, for errors.
        content_type: Whether `content-type` may be given.

    Raises:
        UsageError: A name or value cannot be sent, or the header is the client's own.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UsageError(
            f"{where}: headers is of type {type(given).__name__}: pass a mapping of names to values"
        )
    headers: dict[str, str] = {}
    for name, value in cast("Mapping[Any, Any]", given).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"{where}: {name!r} is not a valid header name")
        lower = name.lower()
        if lower in _OURS and not (content_type and lower == "content-type"):
            instead = ": use with_token" if lower == "authorization" else ""
            raise UsageError(f"{where}: the client sets the header {name} itself{instead}")
        # The value is not shown, because it may be a secret.
        if (
            not isinstance(value, str)
            or not value.isascii()
            or not all(" " <= each != "\x7f" for each in value)
        ):
            raise UsageError(f"{where}: the value of the header {name} must be printable ASCII text")
        headers[lower] = value.strip()
    return headers
