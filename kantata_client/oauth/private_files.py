"""Files that only their owner can read, written atomically."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from kantata_client._files.atomic import Unfinished
from kantata_client._http.tokens import Secret
from kantata_client.errors import OAuthError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

_OTHERS = 0o077
_OTHERS_WRITE = 0o022


def config_directory() -> Path:
    """The user's configuration directory for this package, which may not exist yet.

    Raises:
        UsageError: platformdirs, which finds the directory, is not installed.
    """
    try:
        from platformdirs import user_config_path
    except ImportError:
        raise UsageError(
            "Finding the user's configuration directory needs platformdirs: "
            "pip install 'kantata-client[oauth]', or pass a directory: FileStore(directory).",
            consequence="",
        ) from None
    return user_config_path("kantata-client", appauthor=False)


def read_private(path: Path) -> Secret | None:
    """The file's text; None if the file does not exist.

    Raises:
        OAuthError: The file can't be read, is damaged, or other users can read or change it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OAuthError(
            f"{path} can't be read: {error.strerror}. It must be a regular file of your own."
        ) from error
    with os.fdopen(handle, encoding="utf-8") as file:
        mode = os.fstat(handle).st_mode
        if os.name == "posix" and mode & _OTHERS:
            raise OAuthError(
                f"{path} is for tokens and profiles, but other users of this machine can read or change it (mode "
                f"{mode & 0o777:04o}): revoke the token and sign in again, or, if nobody else uses this machine, "
                f"run chmod 600 on the file."
            )
        try:
            return Secret(file.read())
        except UnicodeDecodeError:
            pass
    raise OAuthError(f"{path} is damaged: delete it and sign in again.")


def write_private(path: Path, text: Secret) -> None:
    """Replace the file's text; after a crash the file has the old text or the new one.

    Raises:
        OAuthError: The file can't be written, or other users could replace it.
    """
    make_directory(path.parent)
    try:
        file = Unfinished(path, mode=0o600)
        try:
            # A view, because a traceback may be shown with its local variables.
            file.write(memoryview(text.reveal().encode()))
            file.commit()
        finally:
            file.discard()
    except OSError as error:
        raise OAuthError(f"{path} can't be written: {error.strerror}. Nothing was stored.") from error


def make_directory(directory: Path) -> None:
    """Create a directory for private files, if it does not exist.

    Raises:
        OAuthError: The directory can't be created, or other users can write to it.
    """
    try:
        for missing in reversed([part for part in (directory, *directory.parents) if not part.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        mode = directory.stat().st_mode
    except OSError as error:
        raise OAuthError(f"{directory} can't be created: {error.strerror}.") from error
    if not stat.S_ISDIR(mode):
        raise OAuthError(f"{directory} can't be created: a file has that name.")
    if os.name == "posix" and mode & _OTHERS_WRITE:
        raise OAuthError(
            f"{directory} is for tokens, but other users of this machine can write to it "
            f"(mode {mode & 0o777:04o}): run chmod 700 on it, or choose another directory."
        )


def locked(handle: int) -> bool:
    """Lock an open file against other processes; False if another process holds it. Closing the file unlocks it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
