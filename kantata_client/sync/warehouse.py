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

    def rows(self, ids: list[str]) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names of the columns, and the rows with these ids, except those that are marked as deleted."""
        of = self._of
        names: list[str] = []
        found: list[tuple[Any, ...]] = []
        with self._client() as client:
            if client is None:
                return names, found
            table, key = client.make_qualified_table_name(of.name), client.escape_column_name(of.key)
            for start in range(0, len(ids), _LOOKED_UP):
                chunk = ids[start : start + _LOOKED_UP]
                places = ", ".join(["%s"] * len(chunk))
                sql = (
                    f"SELECT * FROM {table} WHERE {key} IN ({places}) "  # noqa: S608 - names are escaped
                    f"AND {client.escape_column_name(DELETED_AT)} IS NULL"
                )
                with client.execute_query(sql, *chunk) as cursor:
                    names = [column[0] for column in cursor.description]
                    found += cursor.fetchall()
        return names, found

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
