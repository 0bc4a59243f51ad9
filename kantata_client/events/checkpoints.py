"""Stores for the position in the change feed, from which the next run continues.

To use another store, such as a database table or Redis, write a class with the four methods of `Checkpoint`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

import attrs

from kantata_client._files.atomic import Unfinished, ends_within_a_line
from kantata_client._lazy import resolvable
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Generator

_FIRST = '{"until": "'
"""How the first line of a file begins."""
_MAX_OBSOLETE_LINES = 20_000
"""Obsolete lines after which a file is rewritten."""


@attrs.frozen
class Position:
    """A position in the change feed."""

    until: datetime
    """All events written up to this time were delivered."""
    floor: datetime
    """Events written before this time are ignored: their fingerprints were dropped, or the first run began here."""
    delivered: Mapping[str, datetime] = attrs.field(factory=dict[str, datetime], repr=False)
    """Fingerprints of the events delivered since `floor`, with the times at which they were written."""


class Checkpoint(Protocol):
    """Stores the position of one follower."""

    async def load(self) -> Position | None:
        """Return the stored position; `None` in the first run."""
        ...

    async def deliver(self, fingerprint: str, written_at: datetime) -> None:
        """Store that an event was delivered. This is called for each event, so it should be fast."""
        ...

    async def advance(self, until: datetime, floor: datetime) -> None:
        """Store that all events up to `until` were delivered, and drop the fingerprints of events written before `floor`."""
        ...

    async def aclose(self) -> None:
        """Close files and connections. Other methods open them again when they are called."""
        ...


@resolvable
class FileCheckpoint:
    """A position in a file; each event adds a line.

    The file remains readable if the process is killed. Only one follower may use it at a time.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Store the position at `path`. Its folder must exist."""
        self.path = Path(path)
        self._file: TextIO | None = None
        self._until: datetime | None = None
        self._floor: datetime | None = None
        self._delivered: dict[str, datetime] = {}
        self._lines = 0

    async def load(self) -> Position | None:
        """Return the position in the file; `None` if there is no file.

        Raises:
            UsageError: The file is not a checkpoint, or can't be read.
        """
        with _explaining(self.path, "read"):
            self._read()
        if self._until is None or self._floor is None:
            return None
        return Position(self._until, self._floor, dict(self._delivered))

    async def deliver(self, fingerprint: str, written_at: datetime) -> None:
        """Add a line for the event.

        Raises:
            UsageError: The file can't be written. The next run delivers the event again.
        """
        self._delivered[fingerprint] = written_at
        self._append({"delivered": fingerprint, "at": written_at.isoformat()})

    async def advance(self, until: datetime, floor: datetime) -> None:
        """Add a line for the position. The file is rewritten when most of its lines are obsolete.

        Raises:
            UsageError: The file can't be written.
        """
        self._until, self._floor = until, floor
        self._delivered = {key: at for key, at in self._delivered.items() if at >= floor}
        entry = {"until": until.isoformat(), "floor": floor.isoformat()}
        if self._lines > _MAX_OBSOLETE_LINES + 2 * len(self._delivered):
            self._rewrite(entry)
        else:
            self._append(entry)

    async def aclose(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # a full disk was reported by the write, and closing would write again
                file.close()

    def _read(self) -> None:
        self._until, self._floor, self._delivered, self._lines = None, None, {}, 0
        text = ""
        if self.path.exists() and not self.path.is_file():
            msg = f"{self.path} is not a regular file: choose another file for the checkpoint"
            raise UsageError(msg)
        with suppress(FileNotFoundError):
            text = self.path.read_text(encoding="utf-8", errors="replace")
            for line in text.splitlines():
                self._lines += 1
                # A kill may have cut off the last line; its event is delivered again.
                with suppress(ValueError, KeyError, TypeError):
                    entry = cast("dict[str, str]", json.loads(line))
                    if "until" in entry:
                        self._until, self._floor = _time(entry["until"]), _time(entry["floor"])
                    else:
                        self._delivered[entry["delivered"]] = _time(entry["at"])
        is_cut_off = "\n" not in text and text[: len(_FIRST)] == _FIRST[: len(text)]
        if self._until is None and not is_cut_off:
            msg = f"{self.path} is not a checkpoint of the change feed: choose another file, or delete it"
            raise UsageError(msg)
        if self._floor is not None:
            floor = self._floor
            self._delivered = {key: at for key, at in self._delivered.items() if at >= floor}

    def _append(self, entry: dict[str, Any]) -> None:
        with _explaining(self.path, "written"):
            if self._file is None:
                torn = ends_within_a_line(self.path)
                self._file = self.path.open("a", encoding="utf-8", buffering=1)
                if torn:
                    self._file.write("\n")
            self._file.write(json.dumps(entry) + "\n")
        self._lines += 1

    def _rewrite(self, position: dict[str, str]) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        entries = [position]
        entries += [{"delivered": key, "at": at.isoformat()} for key, at in self._delivered.items()]
        with _explaining(self.path, "written"):
            unfinished = Unfinished(self.path)
            try:
                unfinished.write("".join(json.dumps(entry) + "\n" for entry in entries).encode())
                unfinished.commit()
            finally:
                unfinished.discard()
        self._lines = len(entries)

    def __repr__(self) -> str:
        return f"<FileCheckpoint {self.path}>"


@resolvable
class SQLiteCheckpoint:
    """A named position in a SQLite database. Several followers can share a database, each under its own name."""

    def __init__(self, path: str | os.PathLike[str], name: str = "default") -> None:
        """Store the position as `name` in the database at `path`, which is created if it is missing."""
        self.path = Path(path)
        self.name = name
        self._connection: sqlite3.Connection | None = None

    async def load(self) -> Position | None:
        """Return the position in the database; `None` in the first run.

        Raises:
            UsageError: The file is not a SQLite database, or can't be read.
        """
        with _explaining(self.path, "used as a checkpoint"):
            connection = self._connect()
            row = connection.execute(
                "SELECT until, floor FROM kantata_positions WHERE name = ?", (self.name,)
            ).fetchone()
            if row is None:
                return None
            rows = connection.execute(
                "SELECT fingerprint, written_at FROM kantata_delivered WHERE name = ?", (self.name,)
            )
            delivered = {fingerprint: _time(at) for fingerprint, at in rows}
            return Position(_time(row[0]), _time(row[1]), delivered)

    async def deliver(self, fingerprint: str, written_at: datetime) -> None:
        """Insert the event.

        Raises:
            UsageError: The database can't be written. The next run delivers the event again.
        """
        with _explaining(self.path, "written"):
            self._connect().execute(
                "INSERT OR REPLACE INTO kantata_delivered VALUES (?, ?, ?)",
                (self.name, fingerprint, _sort_key(written_at)),
            )

    async def advance(self, until: datetime, floor: datetime) -> None:
        """Update the position, and delete fingerprints that are no longer needed.

        Raises:
            UsageError: The database can't be written.
        """
        with _explaining(self.path, "written"):
            connection = self._connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute(
                    "INSERT OR REPLACE INTO kantata_positions VALUES (?, ?, ?)",
                    (self.name, until.isoformat(), floor.isoformat()),
                )
                connection.execute(
                    "DELETE FROM kantata_delivered WHERE name = ? AND written_at < ?",
                    (self.name, _sort_key(floor)),
                )
                connection.execute("COMMIT")
            except sqlite3.Error:
                with suppress(sqlite3.Error):  # SQLite has rolled back by itself after some errors
                    connection.execute("ROLLBACK")
                raise

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS kantata_positions "
                    "(name TEXT PRIMARY KEY, until TEXT NOT NULL, floor TEXT NOT NULL)"
                )
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS kantata_delivered "
                    "(name TEXT, fingerprint TEXT, written_at TEXT NOT NULL, PRIMARY KEY (name, fingerprint))"
                )
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def __repr__(self) -> str:
        return f"<SQLiteCheckpoint {self.name!r} in {self.path}>"


@contextmanager
def _explaining(path: Path, purpose: str) -> Generator[None]:
    """Turn errors of the file system and of SQLite into `UsageError`."""
    try:
        yield
    except (OSError, sqlite3.Error, ValueError, TypeError) as error:
        if isinstance(error, UsageError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        msg = f"{path} can't be {purpose} ({reason}): correct that, or choose another file for the checkpoint"
        raise UsageError(msg, consequence="") from error


def _time(text: str) -> datetime:
    """Parse a time with a zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        msg = f"{text!r} has no time zone"
        raise ValueError(msg)
    return at


def _sort_key(moment: datetime) -> str:
    """Return the time as text that sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
