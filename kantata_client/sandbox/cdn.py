"""A stand-in for the CDN: it accepts signed upload forms and serves signed URLs, as S3 does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import attrs
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from kantata_client.sandbox.forms import FormParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CDN_PATH = "/cdn"
KEPT_BYTES = 16 * 1024 * 1024
"""Largest upload, in bytes, whose content is kept; of a larger one only size and checksum are."""
_PIECE = 1 << 18


@attrs.frozen
class Blob:
    """A file on the CDN."""

    size: int
    """In bytes."""
    etag: str
    pieces: Callable[[int], Iterable[bytes]] | None
    """Returns the content from a byte offset; None if it was too large to keep."""
    media_type: str = "application/octet-stream"

    @classmethod
    def of(cls, content: bytes, media_type: str = "application/octet-stream") -> Blob:
        """The file with this content."""

        def pieces(start: int) -> Iterable[bytes]:
            for offset in range(start, len(content), _PIECE):
                yield content[offset : offset + _PIECE]

        return cls(len(content), f'"{_md5(content).hexdigest()}"', pieces, media_type)

    def read(self) -> bytes:
        """The whole content."""
        if self.pieces is None:
            raise ValueError(f"The sandbox keeps no more than {KEPT_BYTES} bytes of an upload.")
        return b"".join(self.pieces(0))


@attrs.frozen
class Received:
    """A request to the CDN, for tests to inspect."""

    method: str
    path: str
    headers: dict[str, str]
    fields: tuple[str, ...]
    """Names of the form fields, in order."""
    status: int


@attrs.frozen
class _Ticket:
    expires: datetime
    fields: dict[str, str]


class Files:
    """The files on the CDN, the uploads it expects, and the pace of exports."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.blobs: dict[str, Blob] = {}
        """Key → file."""
        self.reports: dict[str, Blob] = {}
        """Id of a scheduled Insights export → its report (`.gz`); a missing one is generated on request."""
        self.received: deque[Received] = deque(maxlen=10_000)
        """The last requests to the CDN."""
        self.form_seconds = 5.0
        """Seconds for which the fields of an upload are valid."""
        self.link_seconds = 60.0
        """Seconds for which a URL is valid."""
        self.polls = 2
        """How many times an export or report is polled before it is ready."""
        self.looks: dict[str, int] = {}
        """Export or report → how many times it was polled."""
        self.origin = "http://127.0.0.1"
        """Scheme, host and port of the last request to the API; the CDN is at the same address."""
        self._clock = clock
        self._secret = os.urandom(16)
        self._tickets: dict[str, _Ticket] = {}

    def clear(self) -> None:
        """Delete all files, and reset the pace of exports."""
        for kept in (self.blobs, self.reports, self.looks, self._tickets):
            kept.clear()
        self.received.clear()

    def look(self, what: str) -> bool:
        """Count a poll of an export or report; returns whether there were enough of them."""
        self.looks[what] = self.looks.get(what, 0) + 1
        return self.looks[what] > self.polls

    def ticket(self, key: str) -> tuple[str, dict[str, str]]:
        """The URL to upload a file to, and the form fields to send before it."""
        expires = self._clock() + timedelta(seconds=self.form_seconds)
        conditions = {"expiration": expires.astimezone(UTC).isoformat(), "conditions": [{"key": key}]}
        policy = base64.b64encode(json.dumps(conditions).encode()).decode()
        fields = {
            "utf8": "✓",
            "key": key,
            "Content-Disposition": "attachment",
            "success_action_status": "201",
            "AWSAccessKeyId": "SANDBOX",
            "acl": "private",
            "policy": policy,
            "signature": self._sign(policy),
        }
        self._tickets[key] = _Ticket(expires, fields)
        return f"{self.origin}{CDN_PATH}", fields

    def link(self, key: str, seconds: float | None = None) -> str:
        """A temporary URL of a file."""
        until = self._clock().timestamp() + (self.link_seconds if seconds is None else seconds)
        expires = f"{until:.3f}"
        query = urlencode({"Expires": expires, "Signature": self._sign(f"{key}\n{expires}")})
        return f"{self.origin}{CDN_PATH}/{quote(key)}?{query}"

    def refusal(self, fields: dict[str, str]) -> tuple[int, str] | None:
        """Status and error code with which S3 would reject a form with these fields; None if it would not."""
        ticket = self._tickets.get(fields.get("key", ""))
        if ticket is None or any(fields.get(name) != value for name, value in ticket.fields.items()):
            return 403, "SignatureDoesNotMatch"
        if self._clock() > ticket.expires:
            return 403, "AccessDenied"
        if fields.get("x-amz-server-side-encryption") != "AES256":
            return 403, "AccessDenied"
        if fields.keys() - ticket.fields.keys() - {"x-amz-server-side-encryption"}:
            return 403, "AccessDenied"
        return None

    def serves(self, key: str, expires: str, signature: str) -> bool:
        """Whether a signed URL is genuine and has not expired."""
        if not hmac.compare_digest(signature, self._sign(f"{key}\n{expires}")):
            return False
        return self._clock().timestamp() <= float(expires)

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()

    def routes(self) -> list[Route]:
        """The CDN's routes."""
        return [
            Route(CDN_PATH, self._take, methods=["POST"]),
            Route(f"{CDN_PATH}/{{key:path}}", self._give, methods=["GET"]),
        ]

    async def _take(self, request: Request) -> Response:
        upload = _Upload(request.headers.get("content-type", ""), self)
        status, code = 0, ""
        if "authorization" in request.headers:
            status, code = 400, "InvalidArgument"
        elif "content-length" not in request.headers:
            status, code = 411, "MissingContentLength"
        try:
            async for piece in request.stream():
                if not status:  # a rejected body is still read to its end, so that the response gets through
                    status, code = upload.take(piece)
        except ClientDisconnect:
            return Response(status_code=400)
        if not status:
            status, code = upload.end()
        if not status:
            status = int(upload.fields["success_action_status"])
            self.blobs[upload.fields["key"]] = upload.blob()
        self._note(request, status, tuple(upload.names))
        return (
            _xml(status, code, repeated=upload.fields.get("signature", ""))
            if code
            else Response(None, status)
        )

    async def _give(self, request: Request) -> Response:
        key = request.path_params["key"]
        query = request.query_params
        response = self._found(request, key, query.get("Expires", ""), query.get("Signature", ""))
        self._note(request, response.status_code, ())
        return response

    def _found(self, request: Request, key: str, expires: str, signature: str) -> Response:
        if "authorization" in request.headers:
            return _xml(400, "InvalidArgument")
        if not self.serves(key, expires, signature):
            return _xml(403, "AccessDenied", repeated=signature)
        blob = self.blobs.get(key)
        if blob is None:
            return _xml(404, "NoSuchKey")
        if blob.pieces is None:
            return _xml(501, "NotImplemented")
        start, headers = 0, {"etag": blob.etag, "accept-ranges": "bytes"}
        resumed = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if resumed and request.headers.get("if-range", blob.etag) == blob.etag:
            start = int(resumed[1])
            if start >= blob.size:
                return _xml(416, "InvalidRange")
            headers["content-range"] = f"bytes {start}-{blob.size - 1}/{blob.size}"
        headers["content-length"] = str(blob.size - start)
        return StreamingResponse(
            _sent(blob.pieces(start)), 206 if resumed and start else 200, headers, blob.media_type
        )

    def _note(self, request: Request, status: int, fields: tuple[str, ...]) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.method, request.url.path, headers, fields, status))


async def _sent(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _md5(content: bytes = b""):
    return hashlib.md5(content, usedforsecurity=False)


def _xml(status: int, code: str, *, repeated: str = "") -> Response:
    """An error response; S3 repeats the signature it received, for debugging."""
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><SignatureProvided>{repeated}</SignatureProvided></Error>"
    return Response(text, status, media_type="application/xml")


class _Upload(FormParser):
    """An upload form in transit: fields first, the file last."""

    def __init__(self, content_type: str, files: Files) -> None:
        super().__init__(content_type)
        self.fields: dict[str, str] = {}
        self.names: list[str] = []
        self._files = files
        self._refused: tuple[int, str] | None = None
        self._name = ""
        self._value = bytearray()
        self._size = 0
        self._md5 = _md5()
        self._content: bytearray | None = bytearray()

    def take(self, piece: bytes) -> tuple[int, str]:
        """Process a piece of the body; returns the status and code of an error, or (0, "")."""
        try:
            self.feed(piece)
        except ValueError:
            return 400, "MalformedPOSTRequest"
        return self._refused or (0, "")

    def end(self) -> tuple[int, str]:
        """Finish the form; returns the status and code of an error, or (0, "")."""
        if not self.complete or "file" not in self.names:
            return 400, "IncompleteBody"
        return 0, ""

    def begin(self, name: str, filename: str | None, media_type: str) -> None:
        if self.names and self._name != "file":
            # Not before the part is whole: a piece can end within a character.
            self.fields[self._name] = self._value.decode()
            self._value.clear()
        if "file" in self.names:
            self._refused = self._refused or (400, "InvalidArgument")
        self.names.append(name)
        self._name = name
        if name == "file":
            self._refused = self._refused or self._files.refusal(self.fields)

    def data(self, piece: bytes) -> None:
        if self._name != "file":
            self._value += piece
            return
        self._size += len(piece)
        self._md5.update(piece)
        if self._content is not None:
            self._content += piece
            if len(self._content) > KEPT_BYTES:
                self._content = None

    def blob(self) -> Blob:
        if self._content is not None:
            return Blob.of(bytes(self._content))
        return Blob(self._size, f'"{self._md5.hexdigest()}"', None)
