"""Files that appear complete or not at all: written next to their final path, renamed once they are on disk."""

from __future__ import annotations

import glob
import os
import re
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_STALE = 3_600.0
"""Seconds after which an unfinished file is considered abandoned."""


class Unfinished:
    """A file that gets its name only with `commit`, replacing an existing file; always call `discard` in the end.

    Every method blocks, and raises `OSError` as the operating system does.
    """

    def __init__(self, path: Path, mode: int = 0o666) -> None:
        """Start writing the future `path`, with the permissions of `mode` and the umask."""
        _sweep(path)
        self._path = path
        self._beside = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
        handle = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        self._file = os.fdopen(handle, "wb", buffering=0)
        with suppress(OSError):  # not every file system can lock
            _lock(handle)

    def write(self, data: bytes | memoryview) -> None:
        """Append to the file."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def commit(self) -> None:
        """Give the file its name."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._beside.replace(self._path)
        # The rename has to survive a loss of power as well, but not every system can sync a directory.
        with suppress(OSError):
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        """Delete the file unless it was committed."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._beside.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Delete what killed processes left of this file.

    Nothing else is deleted: not the unfinished files of a path that only begins alike, not a file of another user, and not
    one that is young or still being written.
    """
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]+\.part")
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        if ours.fullmatch(left.name):
            with suppress(OSError):
                _delete_abandoned(left)


def ends_within_a_line(path: Path) -> bool:
    """Whether the last line of a file is cut off, as a kill or a full disk may leave it.

    Only the end of a regular file is read: a device such as `/dev/full` may have no end.
    """
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _delete_abandoned(left: Path) -> None:
    found = left.lstat()
    if not stat.S_ISREG(found.st_mode) or time.time() - found.st_mtime <= _STALE:
        return
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        return
    handle = os.open(left, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        _lock(handle)
        left.unlink()
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Lock a file until it is closed, where the system can do that; raises `OSError` if it is locked."""
    try:
        import fcntl
    except ImportError:  # Windows, which does not delete a file that is open
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
