"""The service's SQLite database: tokens (it is a `TokenStore`), sessions, and sign-ins in progress.

Tokens are stored as plain text, in a file that only the service's own user can read. A real service should encrypt them
with a key that is stored elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
from anyio.to_thread import run_sync

from kantata_client.oauth import AuthorizationRequest, Token

if TYPE_CHECKING:
    from pathlib import Path

TABLES = """
create table if not exists tokens (user_id text primary key, token text not null);
create table if not exists sessions (id text primary key, user_id text, sign_in text, notice text);
"""


class Session(NamedTuple):
    """What the service knows about a browser."""

    user_id: str | None = None
    sign_in: AuthorizationRequest | None = None
    """The sign-in in progress in this browser."""
    notice: str | None = None
    """A message for the start page."""


class Database:
    """All tables, on one connection. Calls run in threads, one at a time."""

    def __init__(self, path: Path) -> None:
        """Open the database, and create it if it does not exist."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.executescript(TABLES)
        self._lock = anyio.Lock()

    async def load(self, key: str) -> Token | None:
        """The token of a user."""
        rows = await self._run("select token from tokens where user_id = ?", key)
        return Token.from_dict(json.loads(rows[0][0])) if rows else None

    async def save(self, key: str, token: Token) -> None:
        """Keep the token of a user."""
        await self._run("insert or replace into tokens values (?, ?)", key, json.dumps(token.to_dict()))

    async def delete(self, key: str) -> None:
        """Forget the token of a user."""
        await self._run("delete from tokens where user_id = ?", key)

    async def session(self, cookie: str | None) -> Session:
        """The session of a browser; an empty one if it has none."""
        rows = await self._run(
            "select user_id, sign_in, notice from sessions where id = ?", _digest(cookie or "")
        )
        if not rows:
            return Session()
        user_id, sign_in, notice = rows[0]
        return Session(
            user_id, AuthorizationRequest.from_dict(json.loads(sign_in)) if sign_in else None, notice
        )

    async def begin(self, session: Session) -> str:
        """Start a session and return its cookie. The database keeps only a digest of it."""
        cookie = secrets.token_urlsafe(32)
        await self._run(
            "insert into sessions values (?, ?, ?, ?)",
            _digest(cookie),
            session.user_id,
            json.dumps(session.sign_in.to_dict()) if session.sign_in else None,
            session.notice,
        )
        return cookie

    async def end(self, cookie: str | None) -> None:
        """Forget a session."""
        await self._run("delete from sessions where id = ?", _digest(cookie or ""))

    async def aclose(self) -> None:
        """Close the database."""
        await run_sync(self._connection.close)

    async def _run(self, statement: str, *values: str | None) -> list[Any]:
        async with self._lock:
            try:
                return await run_sync(self._execute, statement, values)
            except sqlite3.Error as error:
                problem = str(error)
        # A new error without the values: a traceback may show local variables.
        del values
        raise RuntimeError(f"The database failed ({problem}) at: {statement}")

    def _execute(self, statement: str, values: tuple[str | None, ...]) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
