"""Files on this machine: read and written in threads, piece by piece; a file that is written appears whole or not at all."""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias, TypeVar, TypeVarTuple, cast

from kantata_client._concurrency import to_the_end
from kantata_client._files.atomic import Unfinished
from kantata_client.errors import KantataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Self

    from kantata_client.hooks import Progress

StrPath: TypeAlias = str | os.PathLike[str]
"""The path of a file."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PIECE = 1 << 18
"""Bytes that are read at once, and that are collected before they are written."""


class DamagedError(Exception):
    """What came is no complete gzip file."""


def checked_source(path: StrPath, what: str) -> tuple[Path, int]:
    """A file to be sent and its size in bytes.

    Raises:
        UsageError: There is no such file, or it is none, or it can't be read. Nothing was sent.
    """
    source = _path(path, what)
    try:
        if source.is_dir():
            problem = "it is a directory"
        elif not source.is_file():
            problem = "it is no ordinary file" if source.exists() else "there is no such file"
        elif not os.access(source, os.R_OK):
            problem = "it can't be read by this user"
        else:
            return source, source.stat().st_size
    except (OSError, ValueError) as error:
        problem = str(error)
    raise UsageError(f"{what}: {source}: {problem}.")


def checked_target(path: StrPath, what: str) -> Path:
    """A file to be written.

    Raises:
        UsageError: It can't be one. Nothing was sent.
    """
    target = _path(path, f"{what}: to")
    try:
        if target.is_dir():
            problem = "it is a directory: name the file in it"
        elif not target.name:
            problem = "it is no name for a file"
        elif not target.parent.is_dir():
            problem = f"there is no directory {target.parent}"
        elif not os.access(target.parent, os.W_OK):
            problem = f"the directory {target.parent} can't be written to by this user"
        else:
            return target
    except (OSError, ValueError) as error:
        problem = str(error)
    raise UsageError(f"{what}: to={str(target)!r}: {problem}.")


def _path(path: StrPath, what: str) -> Path:
    if not isinstance(path, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{what}: a path is needed, not a value of type {type(path).__name__}.")
    return Path(path)


class Source(AsyncIterable[bytes]):
    """The content of an upload, which can be sent again, from its beginning; to be closed."""

    def __init__(self, path: Path | None, content: bytes | IO[bytes], progress: Progress | None) -> None:
        """The file at `path`, or else `content`: bytes, or an open file that is closed with this."""
        self._path = path
        self._content = content
        self._file: IO[bytes] | None = None if isinstance(content, bytes) else content
        self._progress = progress
        self.size = 0
        """Bytes; known after `open`."""

    async def open(self) -> Self:
        """Open the file and find its size."""
        await in_thread(self._open)
        return self

    def _open(self) -> None:
        if self._path is not None:
            self._file = self._path.open("rb")
        if self._file is None:
            assert isinstance(self._content, bytes)  # noqa: S101 - it is no file
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
        """A piece of the content, from byte `start`."""
        if self._file is None:
            assert isinstance(self._content, bytes)  # noqa: S101 - it is no file
            return self._content[start : start + PIECE]
        self._file.seek(start)
        return self._file.read(PIECE)

    def tell(self, sent: int) -> None:
        """Report progress."""
        if self._progress is not None:
            self._progress(sent, self.size)


class _Reader:
    """One pass through a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sent = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._sent:
            self._source.tell(self._sent)
        piece = await in_thread(self._source.read, self._sent)
        if not piece:
            raise StopAsyncIteration
        self._sent += len(piece)
        return piece


class Stream:
    """The content of an upload that can be read only once: an iterator of the caller's, with progress."""

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
        """Nothing of ours is open."""


async def spooled(content: AsyncIterable[bytes], progress: Progress | None) -> Source:
    """What an iterator gives, by way of a nameless temporary file: for who has to know its length beforehand."""
    import tempfile

    file = await in_thread(tempfile.TemporaryFile)
    try:
        pending = bytearray()
        async for piece in content:
            pending += as_bytes(piece)
            if len(pending) >= PIECE:
                await in_thread(file.write, bytes(pending))
                pending.clear()
        await in_thread(file.write, bytes(pending))
        await in_thread(file.flush)
        return await Source(None, file, progress).open()
    except BaseException:
        file.close()
        raise


def as_bytes(piece: object) -> bytes:
    """A piece of a caller's stream.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes", piece))
    raise UsageError(
        f"The stream to be sent gave {type(piece).__name__} instead of bytes.",
        consequence="The upload was aborted.",
    )


class Target:
    """A file that is written piece by piece, and gets its name when it is complete.

    Its methods raise `KantataError` when the file can't be written, and `DamagedError`.
    """

    def __init__(self, path: Path, *, gunzip: bool = False) -> None:
        """Write to `path` when all is there; with `gunzip` what comes is decompressed on the way."""
        self.path = path
        self.gunzip = gunzip
        self.received = 0
        """Bytes that came, as they came."""
        self._file: Unfinished | None = None
        self._pending = bytearray()
        self._unpacker: _Unpacker | None = None

    async def start(self) -> None:
        """Begin, or begin anew when what was there is of no use."""
        self._pending.clear()
        self.received = 0
        await in_thread(self._start)

    def _start(self) -> None:
        self.discard()
        with self._translated():
            self._file = Unfinished(self.path)
        self._unpacker = _Unpacker(self._file) if self.gunzip else None

    async def write(self, piece: bytes) -> None:
        """Take more of the body."""
        self.received += len(piece)
        self._pending += piece
        if len(self._pending) >= PIECE:
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
        """Give the file its name, in the place of what was there."""
        await self._flush()
        await in_thread(self._commit)

    def _commit(self) -> None:
        assert self._file is not None  # noqa: S101 - started
        with self._translated():
            if self._unpacker is not None:
                self._unpacker.end()
            self._file.commit()

    def discard(self) -> None:
        """Delete what is not complete; nothing after `commit`. It does not wait, so that cancellation can't stop it."""
        if self._file is not None:
            self._file.discard()

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise KantataError(
                f"{self.path} can't be written: {reason}. Nothing is left of the download."
            ) from error


_GZIP = 31
"""What zlib calls a gzip header and the largest window."""


class _Unpacker:
    """A gzip file, of one or several members, on its way to a file."""

    def __init__(self, file: Unfinished) -> None:
        self._file = file
        self._member = zlib.decompressobj(wbits=_GZIP)
        self._began = False

    def write(self, data: bytes) -> None:
        try:
            while data:
                if self._member.eof:
                    data = data.lstrip(b"\0")  # some writers fill up the last block
                    if not data:
                        break
                    self._member = zlib.decompressobj(wbits=_GZIP)
                self._began = True
                # Bounded, since a kilobyte can unpack to a megabyte.
                self._file.write(self._member.decompress(data, PIECE * 4))
                data = self._member.unconsumed_tail or self._member.unused_data
        except zlib.error:
            raise DamagedError("it is no gzip file") from None

    def end(self) -> None:
        self._file.write(self._member.flush())
        if not (self._began and self._member.eof):
            raise DamagedError("the gzip file ends too early")


async def in_thread(call: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Call in a thread, and wait for its end in any case: what it opens is to be closed."""
    from anyio.to_thread import run_sync

    return await to_the_end(lambda: run_sync(call, *arguments))
