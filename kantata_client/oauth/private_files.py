"""Files that only their owner can read, written as a whole or not at all."""

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
    """The user's own directory for this package's configuration; it need not exist.

    Raises:
        UsageError: platformdirs, which knows it, is not installed.
    """
    try:
        from platformdirs import user_config_path
    except ImportError:
        raise UsageError(
            "The user's configuration directory is found by platformdirs: "
            "pip install 'kantata-client[oauth]', or name a directory: FileStore(directory).",
            consequence="",
        ) from None
    return user_config_path("kantata-client", appauthor=False)


def read_private(path: Path) -> Secret | None:
    """The file's text; None if there is no file.

    Raises:
        OAuthError: Others can read or change it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OAuthError(
            f"{path} can't be read: {error.strerror}. It has to be a file of your own."
        ) from error
    with os.fdopen(handle, encoding="utf-8") as file:
        mode = os.fstat(handle).st_mode
        if os.name == "posix" and mode & _OTHERS:
            raise OAuthError(
                f"{path} holds a token, and other users of this machine can read or change it (mode "
                f"{mode & 0o777:04o}): sign in again to replace it and revoke the token, or, if nobody else was "
                "here, chmod 600 it."
            )
        try:
            return Secret(file.read())
        except UnicodeDecodeError:
            pass
    raise OAuthError(f"{path} is damaged: delete it and sign in again.")


def write_private(path: Path, text: Secret) -> None:
    """Put `text` into the file, in the place of what is there; a crash leaves the old or the new.

    Raises:
        OAuthError: It can't be written, or others could replace it.
    """
    make_directory(path.parent)
    try:
        file = Unfinished(path, mode=0o600)
        try:
            # A view, since an error's traceback may be shown with the local variables on its way.
            file.write(memoryview(text.reveal().encode()))
            file.commit()
        finally:
            file.discard()
    except OSError as error:
        raise OAuthError(f"{path} can't be written: {error.strerror}. Nothing was stored.") from error


def make_directory(directory: Path) -> None:
    """Make a directory for private files.

    Raises:
        OAuthError: It can't be made, or others could put files there.
    """
    try:
        for missing in reversed([part for part in (directory, *directory.parents) if not part.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        mode = directory.stat().st_mode
    except OSError as error:
        raise OAuthError(f"{directory} can't be made: {error.strerror}.") from error
    if not stat.S_ISDIR(mode):
        raise OAuthError(f"{directory} can't be made: there is a file of that name.")
    if os.name == "posix" and mode & _OTHERS_WRITE:
        raise OAuthError(
            f"{directory} is for tokens, and other users of this machine can write to it "
            f"(mode {mode & 0o777:04o}): chmod 700 it, or name another directory."
        )


def locked(handle: int) -> bool:
    """Lock an open file against other processes; false if one of them has it. Closing the file unlocks it."""
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
