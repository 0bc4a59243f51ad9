"""Encode multipart forms while they are sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Self

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from kantata_client._http.messages import File, Form


class MultipartBody:
    """The body of a multipart form, as an async iterable of bytes."""

    def __init__(self, form: Form) -> None:
        import os

        boundary = os.urandom(16).hex()
        self._parts: list[bytes | File] = []
        for name, value in form.fields:
            self._parts.append(f"--{boundary}\r\n{_disposition(name)}\r\n\r\n{value}\r\n".encode())
        for file in form.files:
            if not file.content_type.isprintable():
                raise UsageError(
                    f"{file.filename}: content_type must not contain control characters, got {file.content_type!r}"
                )
            kind = f"content-type: {file.content_type}"
            head = f"--{boundary}\r\n{_disposition(file.name, file.filename)}\r\n{kind}\r\n\r\n"
            self._parts += [head.encode(), file, b"\r\n"]
        self._parts.append(f"--{boundary}--\r\n".encode())
        self.headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        sizes = [_size(part) for part in self._parts]
        if None in sizes:
            self.headers["transfer-encoding"] = "chunked"
        else:
            self.headers["content-length"] = str(sum(size for size in sizes if size is not None))
        self.rewindable = not any(isinstance(file.content, AsyncIterator) for file in form.files)
        """Whether it can be sent more than once."""
        self.began = False
        """Whether iteration has begun."""
        self.error: BaseException | None = None
        """The exception that a file's iterable raised."""

    def __aiter__(self) -> _Pieces:
        self.began = True
        return _Pieces(self, self._parts)


class _Pieces:
    """One iteration over a form.

    This is not a generator, because a failed upload would leave it unfinished for the garbage collector, and trio reports
    that as a leak.
    """

    def __init__(self, body: MultipartBody, parts: Sequence[bytes | File]) -> None:
        self._body = body
        self._parts = iter(parts)
        self._stream: AsyncIterator[bytes] | None = None
        self._size: int | None = None
        self._sent = 0
        self._filename = ""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._stream is not None:
                piece = await self._next_of(self._stream)
                if piece is not None:
                    return piece
                self._stream = None
            part = next(self._parts, None)
            if part is None:
                raise StopAsyncIteration
            if isinstance(part, bytes):
                return part
            if isinstance(part.content, bytes):
                return part.content
            self._stream, self._size, self._sent = aiter(part.content), part.size, 0
            self._filename = part.filename

    async def _next_of(self, stream: AsyncIterator[bytes]) -> bytes | None:
        """The next piece of a file; None at the end."""
        try:
            piece = await anext(stream, None)
            self._sent += len(piece or b"")
            # Bytes beyond the announced size are counted for the error message, but not sent.
            while piece is not None and self._size is not None and self._sent > self._size:
                piece = await anext(stream, None)
                self._sent += len(piece or b"")
            if piece is None and self._size is not None and self._sent != self._size:
                raise UsageError(
                    f"{self._filename}: {self._size} bytes were announced, but the stream has "
                    f"{'more' if self._sent > self._size else f'only {self._sent}'}: pass its exact size.",
                    consequence="The upload was aborted.",
                )
        except Exception as error:
            self._body.error = error
            raise
        return piece


def _size(part: bytes | File) -> int | None:
    if isinstance(part, bytes):
        return len(part)
    return len(part.content) if isinstance(part.content, bytes) else part.size


def _disposition(name: str, filename: str | None = None) -> str:
    text = f'content-disposition: form-data; name="{_quoted(name)}"'
    return text if filename is None else f'{text}; filename="{_quoted(filename)}"'


def _quoted(text: str) -> str:
    """Escape a name as browsers do."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
