"""Files that are there as a whole or not at all: written beside their place, and named when all of it is on the disk."""

from __future__ import annotations

import glob
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_STALE = 3_600.0
"""Seconds after which nobody writes to an unfinished file any more."""


class Unfinished:
    """A file that has its name, in the place of what was there, only after `commit`; before or after, call `discard`.

    Every method blocks, and raises what the operating system does.
    """

    def __init__(self, path: Path, mode: int = 0o666) -> None:
        """Begin to write what will be at `path`, readable by whom `mode` and the umask allow."""
        _sweep(path)
        self._path = path
        self._beside = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
        handle = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        self._file = os.fdopen(handle, "wb", buffering=0)

    def write(self, data: bytes | memoryview) -> None:
        """Add to the file."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def commit(self) -> None:
        """Give the file its name."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._beside.replace(self._path)
        # The new name has to outlast a loss of power, too; but the file is there, and not every system can do that.
        with suppress(OSError):
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        """Delete what has no name yet."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._beside.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Delete what killed processes left of this file; what is still written to is young."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()
