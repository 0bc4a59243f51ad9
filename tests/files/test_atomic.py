"""Files are complete or do not exist, even if a directory can't be synced or the disk is full."""

from __future__ import annotations

import errno
import io
import os
import stat
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client import OAuthError
from kantata_client._files.atomic import Unfinished
from kantata_client._http.tokens import Secret
from kantata_client.oauth.private_files import read_private, write_private

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    for done in (False, True):
        file = Unfinished(path)
        file.write(b"new")
        assert path.read_bytes() == b"old"
        if done:
            file.commit()
        file.discard()
        assert path.read_bytes() == (b"new" if done else b"old")
        assert names(tmp_path) == ["a.txt"]


def test_leftovers_of_killed_processes_are_deleted(tmp_path: Path) -> None:
    for name in (".a[1].txt.00.part", ".a1.txt.00.part", ".a[1].txt.11.part"):
        (tmp_path / name).touch()
        if "11" not in name:
            os.utime(tmp_path / name, (0, 0))
    Unfinished(tmp_path / "a[1].txt").discard()
    assert names(tmp_path) == [".a1.txt.00.part", ".a[1].txt.11.part"]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    others = [".a.csv.0a.part", ".a.backup.part", ".a.x.00.part", ".a.00.part.txt", ".a..part"]
    for name in others:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".a.00.part").mkdir()
    os.utime(tmp_path / ".a.00.part", (0, 0))
    (tmp_path / ".a.11.part").symlink_to(tmp_path / ".a.backup.part")
    os.utime(tmp_path / ".a.11.part", (0, 0), follow_symlinks=False)
    Unfinished(tmp_path / "a").discard()
    assert names(tmp_path) == sorted([*others, ".a.00.part", ".a.11.part"])


def test_slowly_written_file_is_not_deleted(tmp_path: Path) -> None:
    slow = Unfinished(tmp_path / "a")
    slow.write(b"begun")
    [name] = names(tmp_path)
    os.utime(tmp_path / name, (0, 0))
    Unfinished(tmp_path / "a").discard()
    assert names(tmp_path) == [name]
    slow.commit()
    assert (tmp_path / "a").read_bytes() == b"begun"


def test_directory_that_can_not_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some network file systems; the file is written nevertheless."""
    sync = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    monkeypatch.setattr("kantata_client._files.atomic.os.fsync", fsync)
    file = Unfinished(tmp_path / "a.txt")
    file.write(b"x")
    file.commit()
    file.discard()
    assert (tmp_path / "a.txt").read_bytes() == b"x"


class Full(io.BytesIO):
    """A file on a full disk."""

    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_error_shows_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even in tracebacks that show local variables."""
    path = tmp_path / "token"
    write_private(path, Secret("old"))

    def full(handle: int, *args: Any, **options: Any) -> Full:
        os.close(handle)
        return Full()

    monkeypatch.setattr("kantata_client._files.atomic.os.fdopen", full)
    token = "x" * 40  # nothing that a line of this test would show
    with pytest.raises(OAuthError, match=r"can't be written: No space left on device\. Nothing") as caught:
        write_private(path, Secret(token))
    monkeypatch.undo()
    assert caught.value.__cause__ is not None
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value.__cause__, capture_locals=True).format()
    )
    assert "_atomic.py" in shown
    assert token not in shown
    found = read_private(path)
    assert found is not None
    assert found.reveal() == "old"
    assert names(tmp_path) == ["token"]
