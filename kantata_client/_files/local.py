"""Local files, read and written in chunks and in threads. A downloaded file appears complete or not at all."""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias, TypeVar, TypeVarTuple, cast

from kantata_client._concurrency import to_the_end
from kantata_client._files.atomic import Unfinished
from kantata_client._files.formats import GZIP
from kantata_client.errors import KantataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Self

    from kantata_client.hooks import Progress

StrPath: TypeAlias = str | os.PathLike[str]
"""The path of a file."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CHUNK = 1 << 18
"""Bytes read at once, and collected before they are written."""


class DamagedError(Exception):
    """What was received is not a complete gzip file."""


def checked_source(path: StrPath, what: str) -> tuple[Path, int]:
    """A file to send, and its size in bytes.

    Args:
        path: The file.
        what: The method that sends it, for errors.

    Raises:
        UsageError: The file does not exist, is not a regular file, or can't be read.
    """
    source = _path(path, what)
    try:
        if source.is_dir():
            problem = "this is a directory"
        elif not source.is_file():
            problem = "not a regular file" if source.exists() else "no such file"
        elif not os.access(source, os.R_OK):
            problem = "the current user can't read it"
        else:
            return source, source.stat().st_size
    except (OSError, ValueError) as error:
        problem = str(error)
    raise UsageError(f"{what}: {source}: {problem}.")


def checked_target(path: StrPath, what: str) -> Path:
    """A file to write.

    Args:
        path: The file; its directory must exist.
        what: The method that writes it, for errors.

    Raises:
        UsageError: No file can be written there.
    """
    target = _path(path, f"{what}: to")
    try:
        if target.is_dir():
            problem = "this is a directory; name a file in it"
        elif not target.name:
            problem = "this does not name a file"
        elif not target.parent.is_dir():
            problem = f"the directory {target.parent} does not exist"
        elif not os.access(target.parent, os.W_OK):
            problem = f"the current user can't write to the directory {target.parent}"
        else:
            return target
    except (OSError, ValueError) as error:
        problem = str(error)
    raise UsageError(f"{what}: to={str(target)!r}: {problem}.")


def _path(path: StrPath, what: str) -> Path:
    if not isinstance(path, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{what}: expected a path, got {type(path).__name__}.")
    return Path(path)


class Upload(AsyncIterable[bytes]):
    """Content to upload that can be sent again from the start. Close it after use."""

    def __init__(self, path: Path | None, content: bytes | IO[bytes], progress: Progress | None) -> None:
        """Read the file at `path`, or else `content`: bytes, or an open file that is closed together with this."""
        self._path = path
        self._content = content
        self._file: IO[bytes] | None = None if isinstance(content, bytes) else content
        self._progress = progress
        self.size = 0
        """In bytes; known after `open`."""

    async def open(self) -> Self:
        """Open the file and determine its size."""
        await in_thread(self._open)
        return self

    def _open(self) -> None:
        if self._path is not None:
            self._file = self._path.open("rb")
        if self._file is None:
            assert isinstance(self._content, bytes)  # noqa: S101 - there is no file
            self.size = len(self._content)
        else:
            self.size = os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __aiter__(self) -> _Reader:
        return _Reader(self)

    def read(self, start: int) -> bytes:
        """A chunk of the content, from byte `start`."""
        if self._file is None:
            assert isinstance(self._content, bytes)  # noqa: S101 - there is no file
            return self._content[start : start + CHUNK]
        self._file.seek(start)
        return self._file.read(CHUNK)

    def report(self, sent: int) -> None:
        """Report progress."""
        if self._progress is not None:
            self._progress(sent, self.size)


class _Reader:
    """One pass over an upload."""

    def __init__(self, source: Upload) -> None:
        self._source = source
        self._sent = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._sent:
            self._source.report(self._sent)
        piece = await in_thread(self._source.read, self._sent)
        if not piece:
            raise StopAsyncIteration
        self._sent += len(piece)
        return piece


class UploadStream:
    """Content to upload that can be read only once: the caller's iterator, with progress."""

    def __init__(self, content: AsyncIterable[bytes], size: int, progress: Progress | None) -> None:
        self._pieces = aiter(content)
        self._progress = progress
        self._sent = 0
        self.size = size

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._sent and self._progress is not None:
            self._progress(self._sent, self.size)
        piece = as_bytes(await anext(self._pieces))
        self._sent += len(piece)
        return piece

    def close(self) -> None:
        """Nothing to close: the iterator belongs to the caller."""


async def spooled(content: AsyncIterable[bytes], progress: Progress | None) -> Upload:
    """Write an iterator to an unnamed temporary file, for a receiver that needs the length in advance."""
    import tempfile

    file = await in_thread(tempfile.TemporaryFile)
    try:
        pending = bytearray()
        async for piece in content:
            pending += as_bytes(piece)
            if len(pending) >= CHUNK:
                await in_thread(file.write, bytes(pending))
                pending.clear()
        await in_thread(file.write, bytes(pending))
        await in_thread(file.flush)
        return await Upload(None, file, progress).open()
    except BaseException:
        file.close()
        raise


def as_bytes(piece: object) -> bytes:
    """A chunk of a caller's stream.

    Raises:
        UsageError: It is not bytes.
    """
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes", piece))
    raise UsageError(
        f"The stream to upload yielded {type(piece).__name__} instead of bytes.",
        consequence="The upload was aborted.",
    )


class Target:
    """A file that is written in chunks, and gets its name when it is complete.

    Its methods raise `KantataError` when the file can't be written, and `DamagedError` when the content is damaged.
    """

    def __init__(self, path: Path, *, gunzip: bool = False) -> None:
        """Write to `path` once everything has arrived; with `gunzip`, decompress on the way."""
        self.path = path
        self.gunzip = gunzip
        self.received = 0
        """Bytes received, before any decompression."""
        self._file: Unfinished | None = None
        self._pending = bytearray()
        self._unpacker: _Unpacker | None = None

    async def start(self) -> None:
        """Start, or start over, discarding what was received."""
        self._pending.clear()
        self.received = 0
        await in_thread(self._start)

    def _start(self) -> None:
        self.discard()
        with self._translated():
            self._file = Unfinished(self.path)
        self._unpacker = _Unpacker(self._file) if self.gunzip else None

    async def write(self, piece: bytes) -> None:
        """Add a chunk of the body."""
        self.received += len(piece)
        self._pending += piece
        if len(self._pending) >= CHUNK:
            await self._flush()

    async def _flush(self) -> None:
        if self._pending:
            data = bytes(self._pending)
            self._pending.clear()
            await in_thread(self._put, data)

    def _put(self, data: bytes) -> None:
        assert self._file is not None  # noqa: S101 - started
        with self._translated():
            (self._unpacker or self._file).write(data)

    async def commit(self) -> None:
        """Give the file its name, replacing an existing file."""
        await self._flush()
        await in_thread(self._commit)

    def _commit(self) -> None:
        assert self._file is not None  # noqa: S101 - started
        with self._translated():
            if self._unpacker is not None:
                self._unpacker.end()
            self._file.commit()

    def discard(self) -> None:
        """Delete an incomplete file; does nothing after `commit`. It never waits, so cancellation can't interrupt it."""
        if self._file is not None:
            self._file.discard()

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise KantataError(
                f"{self.path} can't be written: {reason}. The incomplete download was deleted."
            ) from error


class _Unpacker:
    """Decompresses a gzip file of one or several members into a file."""

    def __init__(self, file: Unfinished) -> None:
        self._file = file
        self._member = zlib.decompressobj(wbits=GZIP)
        self._began = False

    def write(self, data: bytes) -> None:
        try:
            while data:
                if self._member.eof:
                    data = data.lstrip(b"\0")  # some writers pad the last block
                    if not data:
                        break
                    self._member = zlib.decompressobj(wbits=GZIP)
                self._began = True
                # Bounded: a kilobyte can decompress to a megabyte.
                self._file.write(self._member.decompress(data, CHUNK * 4))
                data = self._member.unconsumed_tail or self._member.unused_data
        except zlib.error:
            raise DamagedError("it is not a gzip file") from None

    def end(self) -> None:
        self._file.write(self._member.flush())
        if not (self._began and self._member.eof):
            raise DamagedError("the gzip file is incomplete")


async def in_thread(call: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Call in a thread, and wait for it even when cancelled: what it opens has to be closed."""
    from anyio.to_thread import run_sync

    return await to_the_end(lambda: run_sync(call, *arguments))
