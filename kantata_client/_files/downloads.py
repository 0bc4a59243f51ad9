"""Downloads to a file: with a new address when the old one has expired, and resumed where they broke off."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from kantata_client._files.formats import Inspector
from kantata_client._files.local import DamagedError, Target
from kantata_client._http.messages import Request
from kantata_client.errors import (
    APIError,
    KantataConnectionError,
    KantataError,
    MalformedResponseError,
)
from kantata_client.errors.responses import readable_text
from kantata_client.hooks import logged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from kantata_client._calls.session import Session
    from kantata_client._files.formats import Format
    from kantata_client._http.transport import StreamedResponse
    from kantata_client.hooks import Progress

_REFRESHED = frozenset({400, 401, 403, 404, 410, 416})
"""What storage hosts answer when a signed address has expired; 416: when a range is invalid."""
_GZIP = ("gzip", "x-gzip")
_ADDRESSES = 3
"""How many addresses are tried without receiving a byte."""


@attrs.frozen
class Address:
    """Where a file is."""

    url: str
    ours: bool = False
    """Whether it is an operation of the API; only then does the request carry the token."""


async def download(
    session: Session,
    operation: str,
    locate: Callable[[], Awaitable[Address]],
    to: Path,
    *,
    gunzip: bool = False,
    decode: bool = True,
    expected: Format = "csv",
    progress: Progress | None = None,
) -> Path:
    """Download to a file, which gets its name only when it is complete.

    Args:
        session: Provides the connections and, for an operation of the API, the token.
        operation: The operation's id, for errors and logs.
        locate: Returns the address; called again when that has expired.
        to: The file, as returned by `checked_target`.
        gunzip: Decompress the file.
        decode: Undo a compression that the response's `content-encoding` names.
        expected: What the file is; anything else is an error.
        progress: Called with the bytes received and their total.

    Returns:
        The file.

    Raises:
        KantataError: The download failed; the file is unchanged.
    """
    transfer = _Transfer(
        session, operation, to, gunzip=gunzip, decode=decode, expected=expected, progress=progress
    )
    try:
        await transfer.run(locate)
    except DamagedError as error:
        raise MalformedResponseError(
            f"{operation}: the content received for {to} is damaged: {error}. Download it again.",
            method="GET",
            path=operation.partition(" ")[2],
        ) from None
    finally:
        transfer.target.discard()
    return to


class _Transfer:
    """A download, over as many connections as needed."""

    def __init__(
        self,
        session: Session,
        operation: str,
        to: Path,
        *,
        gunzip: bool,
        decode: bool,
        expected: Format,
        progress: Progress | None,
    ) -> None:
        self.target = Target(to, gunzip=gunzip)
        self._gunzip = gunzip
        self._session = session
        self._operation = operation
        self._decode = decode
        self._expected: Format = expected
        self._inspector = Inspector(expected)
        self._content_type = ""
        self._thorough = False
        self._progress = logged(progress, operation)
        self._validator: str | None = None
        self._total: int | None = None
        self._answered = False

    async def run(self, locate: Callable[[], Awaitable[Address]]) -> None:
        transport = self._session.transport
        policy = transport.retries
        failures, addresses = 0, 0
        await self.target.start()
        async with transport.storage_slots():
            found = await locate()
            while True:
                before = self.target.received
                try:
                    await self._receive(found)
                except KantataConnectionError:
                    if not self._answered:
                        raise  # the transport has already retried
                    if self.target.received == self._total:
                        break
                    if self.target.received > before:
                        failures = addresses = 0
                    failures += 1
                    if failures > policy.retries:
                        raise
                    await transport.rest(policy.delay(failures))
                except APIError as error:
                    if error.status == 416:
                        self._validator = None  # start over
                    addresses += 1
                    if found.ours or error.status not in _REFRESHED or addresses >= _ADDRESSES:
                        raise
                    found = await locate()
                else:
                    break
        await self.target.commit()

    async def _receive(self, address: Address) -> None:
        """Write one response to the file."""
        target, session = self.target, self._session
        headers = {"accept": "*/*", "accept-encoding": "identity"}
        if target.received:
            if self._validator is None:
                # Nothing could show that the rest belongs to the same file.
                await target.start()
            else:
                headers |= {"range": f"bytes={target.received}-", "if-range": self._validator}
        request = Request("GET", address.url, headers=headers, operation=self._operation, confidential=True)
        if session.options is not None:
            request = session.options.applied_elsewhere(request)
        tokens = session.tokens if address.ours else None
        self._answered = False
        async with session.transport.stream(request, tokens) as response:
            self._answered = True
            if response.status != 206 or not self._continues(response.headers):
                if response.status == 206:
                    raise self._broken(
                        "the server sent a different part of the file than the one requested", response
                    )
                self._begin(response)
                await target.start()
            await self._read(response)

    def _begin(self, response: StreamedResponse) -> None:
        """Remember what is needed to resume, and to tell the file from something else."""
        headers = response.headers
        length = headers.get("content-length", "")
        self._total = int(length) if length.isascii() and length.isdecimal() else None
        tag = headers.get("etag", "")
        # A weak tag stands for the same meaning, not for the same bytes.
        strong = tag if tag.startswith('"') else None
        self._validator = strong or headers.get("last-modified") or None
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity", *_GZIP):
            raise self._unusable(
                f"is compressed as {encoding[:40]!r}, although no compression was requested; it can't be decompressed",
                response,
            )
        self.target.gunzip = self._gunzip or (self._decode and encoding in _GZIP)
        self._inspector = Inspector(self._expected)
        self._content_type = headers.get("content-type", "")
        # Without a length, and without chunks that have an end, a broken connection looks like the end of the file.
        endless = self._total is None and "chunked" not in headers.get("transfer-encoding", "").lower()
        self._thorough = endless and not self.target.gunzip

    def _continues(self, headers: Mapping[str, str]) -> bool:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("content-range", "").strip())
        if found is None or int(found[1]) != self.target.received or not self.target.received:
            return False
        return self._total is None or found[2] in ("*", str(self._total))

    async def _read(self, response: StreamedResponse) -> None:
        target = self.target
        async for piece in response:
            self._inspect(piece, response)
            await target.write(piece)
            if self._progress is not None:
                self._progress(target.received, self._total)
        if self._total is not None and target.received != self._total:
            raise self._broken(f"{target.received} of {self._total} bytes arrived", response)
        self._inspect(b"", response)
        if self._thorough and (problem := self._inspector.incomplete()) is not None:
            raise self._broken(f"its length was not announced, and {problem}", response)

    def _inspect(self, piece: bytes, response: StreamedResponse) -> None:
        inspector = self._inspector
        inspector.take(piece, thorough=self._thorough)
        if (instead := inspector.foreign(self._content_type, compressed=self.target.gunzip)) is not None:
            shown = readable_text(inspector.beginning)
            kind = self._content_type.partition(";")[0].strip()[:80]
            raise self._unusable(
                f"is {instead} (status {response.status}, content type {kind!r}, {shown!r})", response
            )

    def _unusable(self, what: str, response: StreamedResponse) -> MalformedResponseError:
        return MalformedResponseError(
            f"{self._operation}: what the server sent instead of the file {what}. Nothing was written. Try again, and check "
            "proxies on the way.",
            method="GET",
            path=self._operation.partition(" ")[2],
            request_id=response.request_id,
        )

    def _broken(self, what: str, response: StreamedResponse) -> KantataError:
        path = self._operation.partition(" ")[2]
        return KantataConnectionError(
            f"{self._operation}: the download was cut off: {what}. Download it again.",
            method="GET",
            path=path,
            request_id=response.request_id,
        )
