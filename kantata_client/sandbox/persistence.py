"""Persists the records of a sandbox in an SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import msgspec

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from kantata_client.sandbox.records import Record

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS records (key TEXT NOT NULL, id TEXT NOT NULL, aside INTEGER NOT NULL, record BLOB NOT "
    "NULL, PRIMARY KEY (key, id)) WITHOUT ROWID"
)


class Database:
    """The records in a file. Every write is in the file before the request is answered."""

    def __init__(self, path: str | Path) -> None:
        """Open or create the file.

        Raises:
            UsageError: The file can't be opened, or is not a database of a sandbox.
        """
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(_SCHEMA)
            self._connection.execute("SELECT key, id, aside, record FROM records LIMIT 1").fetchall()
        except sqlite3.Error as error:
            raise UsageError(f"The records can't be kept in {path}: {error}.", consequence="") from error

    def load(self) -> tuple[dict[str, list[Record]], dict[str, list[Record]]]:
        """The records in the file, and those that were put aside, by envelope key."""
        present: dict[str, list[Record]] = {}
        aside: dict[str, list[Record]] = {}
        rows = self._connection.execute("SELECT key, aside, record FROM records ORDER BY length(id), id")
        for key, put_aside, text in rows:
            (aside if put_aside else present).setdefault(key, []).append(msgspec.json.decode(text))
        return present, aside

    def save(self, changes: dict[tuple[str, str], tuple[Record | None, bool]]) -> None:
        """Write changes, all or none: (envelope key, id) → the record (None: deleted), and whether it is put aside."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                for (key, identity), (record, aside) in changes.items():
                    if record is None:
                        self._connection.execute(
                            "DELETE FROM records WHERE key = ? AND id = ?", (key, identity)
                        )
                    else:
                        row = key, identity, int(aside), msgspec.json.encode(record)
                        self._connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", row)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def clear(self) -> None:
        """Delete all records."""
        with self._lock:
            self._connection.execute("DELETE FROM records")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
