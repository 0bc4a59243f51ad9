"""What a sync asks the destination: which records it has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from kantata_client.sync.lists import DELETED_AT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from kantata_client.sync.lists import List

_LOOKED_UP = 500
"""Rows that are read by their ids at once."""


class Warehouse:
    """The table of a list in the destination of the running pipeline. Where that is not a SQL database, it is empty."""

    def __init__(self, of: List, *, soft_delete: bool) -> None:
        self._of = of
        self._soft_delete = soft_delete

    def ids(self, size: int, part: str | None) -> Iterator[list[str]]:
        """The ids of the table in chunks, in their order; with `part` those of one value of the list's parameter."""
        of = self._of
        with self._client() as client:
            if client is None:
                return
            table, key = client.make_qualified_table_name(of.name), client.escape_column_name(of.key)
            conditions: list[str] = []
            given: list[str] = []
            if part is not None and of.fan_out is not None:
                conditions.append(f"{client.escape_column_name(of.fan_out.parameter)} = %s")
                given.append(part)
            if self._soft_delete:
                conditions.append(f"{client.escape_column_name(DELETED_AT)} IS NULL")
            where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
            sql = f"SELECT {key} FROM {table}{where} ORDER BY {key}"  # noqa: S608 - names are escaped
            with client.execute_query(sql, *given) as cursor:
                while rows := cursor.fetchmany(size):
                    yield [str(row[0]) for row in rows]

    def having(self, ids: list[str]) -> set[str]:
        """Which of these ids the table has; all of them where it can't be asked."""
        with self._client() as client:
            if client is None:
                return set(ids)
            return {
                str(row[0]) for _, row in self._find(client, client.escape_column_name(self._of.key), ids)
            }

    def rows(self, ids: list[str]) -> list[dict[str, Any]]:
        """The rows with these ids, by column."""
        with self._client() as client:
            if client is None:
                return []
            found = self._find(client, "*", ids)
            return [dict(zip(names, row, strict=True)) for names, row in found]

    def _find(self, client: Any, columns: str, ids: list[str]) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
        """Names of the columns, and a row, for each of these ids that the table has and that is not marked as deleted."""
        of = self._of
        table, key = client.make_qualified_table_name(of.name), client.escape_column_name(of.key)
        for start in range(0, len(ids), _LOOKED_UP):
            chunk = ids[start : start + _LOOKED_UP]
            where = f"{key} IN ({', '.join(['%s'] * len(chunk))})"
            if self._soft_delete:
                where += f" AND {client.escape_column_name(DELETED_AT)} IS NULL"
            sql = f"SELECT {columns} FROM {table} WHERE {where}"  # noqa: S608 - names are escaped
            with client.execute_query(sql, *chunk) as cursor:
                names = [column[0] for column in cursor.description]
                for row in cursor.fetchall():
                    yield names, row

    @contextmanager
    def _client(self) -> Generator[Any]:
        """A connection to the destination, or `None` if there is no such table yet."""
        pipeline: Any = dlt.current.pipeline()
        name = self._of.name
        if not pipeline.default_schema_name or name not in pipeline.default_schema.tables:
            yield None
            return
        try:
            with pipeline.sql_client() as client:
                table = client.make_qualified_table_name(name)
                key = client.escape_column_name(self._of.key)
                with client.execute_query(f"SELECT {key} FROM {table} WHERE 1 = 0"):  # noqa: S608 - names are escaped
                    pass
                yield client
        except (DatabaseUndefinedRelation, DestinationUndefinedEntity):
            yield None
