"""Queries to the destination about the records it has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dlt.common.configuration.container import Container
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.pipeline import PipelineContext
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from kantata_client.sync.catalog import DELETED_AT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from kantata_client.sync.catalog import ListSpec

_LOOKUP_ROWS = 500
"""Ids in one query."""


class Warehouse:
    """The table of a list in the running pipeline's destination; empty if the destination is not a SQL database."""

    def __init__(self, spec: ListSpec, *, soft_delete: bool) -> None:
        self._spec = spec
        self._soft_delete = soft_delete

    def ids(self, size: int, part: str | None) -> Iterator[list[str]]:
        """Yield the ids in the table in sorted chunks; `part` limits them to one value of the list's parameter."""
        spec = self._spec
        with self._client() as client:
            if client is None:
                return
            table, key = client.make_qualified_table_name(spec.name), client.escape_column_name(spec.key)
            conditions: list[str] = []
            parameters: list[str] = []
            if part is not None and spec.fan_out is not None:
                conditions.append(f"{client.escape_column_name(spec.fan_out.parameter)} = %s")
                parameters.append(part)
            if self._soft_delete:
                conditions.append(f"{client.escape_column_name(DELETED_AT)} IS NULL")
            where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
            sql = f"SELECT {key} FROM {table}{where} ORDER BY {key}"  # noqa: S608 - names are escaped
            with client.execute_query(sql, *parameters) as cursor:
                while rows := cursor.fetchmany(size):
                    yield [str(row[0]) for row in rows]

    def existing_ids(self, ids: list[str]) -> set[str]:
        """Return those of the ids that the table has; all of them if the destination can't be queried."""
        with self._client() as client:
            if client is None:
                return set(ids)
            return {
                str(row[0]) for _, row in self._find(client, client.escape_column_name(self._spec.key), ids)
            }

    def rows(self, ids: list[str]) -> list[dict[str, Any]]:
        """Return the rows with these ids, as dictionaries by column."""
        with self._client() as client:
            if client is None:
                return []
            found = self._find(client, "*", ids)
            return [dict(zip(names, row, strict=True)) for names, row in found]

    def _find(self, client: Any, columns: str, ids: list[str]) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
        """Yield column names and a row for each of the ids that the table has and that is not marked as deleted."""
        spec = self._spec
        table, key = client.make_qualified_table_name(spec.name), client.escape_column_name(spec.key)
        for start in range(0, len(ids), _LOOKUP_ROWS):
            chunk = ids[start : start + _LOOKUP_ROWS]
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
        """Connect to the destination; `None` if it has no such table."""
        pipeline: Any = Container()[
            PipelineContext
        ].pipeline()  # dlt.current resolves the configuration each time
        name = self._spec.name
        if not pipeline.default_schema_name or name not in pipeline.default_schema.tables:
            yield None
            return
        try:
            with pipeline.sql_client() as client:
                table = client.make_qualified_table_name(name)
                key = client.escape_column_name(self._spec.key)
                with client.execute_query(f"SELECT {key} FROM {table} WHERE 1 = 0"):  # noqa: S608 - names are escaped
                    pass
                yield client
        except (DatabaseUndefinedRelation, DestinationUndefinedEntity):
            yield None
