"""Where a follower of the change feed keeps how far it got, so that the next run continues there.

A store of one's own (a database table, Redis) is a class with the four methods of `Checkpoint`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

import attrs

from kantata_client._files.atomic import Unfinished
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    import os

_WASTE = 20_000
"""Lines of a file that say nothing any more before it is rewritten."""


@attrs.frozen
class Position:
    """How far a follower got."""

    until: datetime
    """All events written up to here were delivered."""
    floor: datetime
    """Nothing written before is delivered: fingerprints from before were dropped, or the follower began here."""
    delivered: Mapping[str, datetime] = attrs.field(factory=dict[str, datetime], repr=False)
    """Fingerprint of each event that was delivered lately, and when it was written."""


class Checkpoint(Protocol):
    """Keeps the position of one follower."""

    async def load(self) -> Position | None:
        """The position that was kept, or `None` at first."""
        ...

    async def deliver(self, fingerprint: str, written_at: datetime) -> None:
        """Keep that an event was delivered. Called once for each event, so it should be quick."""
        ...

    async def advance(self, until: datetime, floor: datetime) -> None:
        """Keep that everything up to `until` was delivered, and drop fingerprints of events written before `floor`."""
        ...

    async def aclose(self) -> None:
        """Close files and connections. A later call of another method opens them again."""
        ...


class FileCheckpoint:
    """A position in a file, to which a line is added for each event.

    A process that is killed leaves a file that still can be read. One follower at a time may use it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Keep the position at `path`; its folder has to exist."""
        self.path = Path(path)
        self._file: TextIO | None = None
        self._until: datetime | None = None
        self._floor: datetime | None = None
        self._delivered: dict[str, datetime] = {}
        self._lines = 0

    async def load(self) -> Position | None:
        """The position in the file, or `None` if there is no file.

        Raises:
            UsageError: The file is something else than a checkpoint.
        """
        self._read()
        if self._until is None or self._floor is None:
            return None
        return Position(self._until, self._floor, dict(self._delivered))

    async def deliver(self, fingerprint: str, written_at: datetime) -> None:
        """Add a line for the event."""
        self._delivered[fingerprint] = written_at
        self._append({"delivered": fingerprint, "at": written_at.isoformat()})

    async def advance(self, until: datetime, floor: datetime) -> None:
        """Add a line for the position; rewrite the file when most of its lines are out of date."""
        self._until, self._floor = until, floor
        self._delivered = {key: at for key, at in self._delivered.items() if at >= floor}
        entry = {"until": until.isoformat(), "floor": floor.isoformat()}
        if self._lines > _WASTE + 2 * len(self._delivered):
            self._rewrite(entry)
        else:
            self._append(entry)

    async def aclose(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> None:
        self._until, self._floor, self._delivered, self._lines = None, None, {}, 0
        with suppress(FileNotFoundError):
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._lines += 1
                # The last line may have been cut off by a kill; the event it was about is delivered again.
                with suppress(ValueError, KeyError, TypeError):
                    entry = cast("dict[str, str]", json.loads(line))
                    if "until" in entry:
                        until, floor = map(datetime.fromisoformat, (entry["until"], entry["floor"]))
                        self._until, self._floor = until, floor
                    else:
                        self._delivered[entry["delivered"]] = datetime.fromisoformat(entry["at"])
        if self._until is None and self._lines > 1:
            msg = f"{self.path} is not a checkpoint of the change feed: name another file, or delete it"
            raise UsageError(msg)
        if self._floor is not None:
            floor = self._floor
            self._delivered = {key: at for key, at in self._delivered.items() if at >= floor}

    def _append(self, entry: dict[str, Any]) -> None:
        if self._file is None:
            torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
            self._file = self.path.open("a", encoding="utf-8", buffering=1)
            if torn and self._file.tell():
                self._file.write("\n")
        self._file.write(json.dumps(entry) + "\n")
        self._lines += 1

    def _rewrite(self, position: dict[str, str]) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        entries = [position]
        entries += [{"delivered": key, "at": at.isoformat()} for key, at in self._delivered.items()]
        unfinished = Unfinished(self.path)
        try:
            unfinished.write("".join(json.dumps(entry) + "\n" for entry in entries).encode())
            unfinished.commit()
        finally:
            unfinished.discard()
        self._lines = len(entries)

    def __repr__(self) -> str:
        return f"<FileCheckpoint {self.path}>"


class SQLiteCheckpoint:
    """Positions in a SQLite database, by name: several followers may share one database, each under a name of its own."""

    def __init__(self, path: str | os.PathLike[str], name: str = "default") -> None:
        """Keep the position called `name` in the database at `path`, which is made if it is missing."""
        self.path = Path(path)
        self.name = name
        self._connection: sqlite3.Connection | None = None

    async def load(self) -> Position | None:
        """The position in the database, or `None` at first.

        Raises:
            UsageError: The file is not a SQLite database.
        """
        connection = self._connected()
        row = connection.execute(
            "SELECT until, floor FROM kantata_positions WHERE name = ?", (self.name,)
        ).fetchone()
        if row is None:
            return None
        rows = connection.execute(
            "SELECT fingerprint, written_at FROM kantata_delivered WHERE name = ?", (self.name,)
        )
        delivered = {fingerprint: datetime.fromisoformat(at) for fingerprint, at in rows}
        return Position(datetime.fromisoformat(row[0]), datetime.fromisoformat(row[1]), delivered)

    async def deliver(self, fingerprint: str, written_at: datetime) -> None:
        """Insert the event."""
        self._connected().execute(
            "INSERT OR REPLACE INTO kantata_delivered VALUES (?, ?, ?)",
            (self.name, fingerprint, _sortable(written_at)),
        )

    async def advance(self, until: datetime, floor: datetime) -> None:
        """Update the position and delete what is not needed any more."""
        connection = self._connected()
        connection.execute("BEGIN")
        connection.execute(
            "INSERT OR REPLACE INTO kantata_positions VALUES (?, ?, ?)",
            (self.name, until.isoformat(), floor.isoformat()),
        )
        connection.execute(
            "DELETE FROM kantata_delivered WHERE name = ? AND written_at < ?", (self.name, _sortable(floor))
        )
        connection.execute("COMMIT")

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> sqlite3.Connection:
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
            except sqlite3.DatabaseError as error:
                connection.close()
                msg = f"{self.path} can't be used as a checkpoint ({error}): name a SQLite database or a new file"
                raise UsageError(msg) from None
            self._connection = connection
        return self._connection

    def __repr__(self) -> str:
        return f"<SQLiteCheckpoint {self.name!r} in {self.path}>"


def _sortable(moment: datetime) -> str:
    """As text whose order is that of time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
