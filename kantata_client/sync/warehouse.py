"""Queries to the destination about the records it has."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.common.pipeline import PipelineContext
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from kantata_client.sync.catalog import DELETED_AT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from kantata_client.sync.catalog import ListSpec

_LOOKUP_ROWS = 500
"""Ids in one query."""
_LISTED_ROWS = 200_000
"""Ids that are taken from the result of one query."""


class Database:
    """The destination of the running pipeline.

    It is connected for one query at a time, so that other programs can open a DuckDB file in between. If a run begins before
    dlt has stored anything in it, the queries of that run find nothing.
    """

    def __init__(self) -> None:
        self._pipeline: Any = None
        self._client: Any = None
        self._users = 0
        self._is_new: bool | None = None
        """Whether dlt has stored nothing in it, as far as the present run knows."""

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Mark a list of a run; the run ends with the last one."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._is_new = None

    @contextmanager
    def open(self, table: str) -> Generator[Any]:
        """Connect; `None` if the destination has no such table, or is not a SQL database."""
        schema = dlt.current.source_schema()
        if self._is_new is None:
            # Connecting takes as long as some requests, and the first sync asks for each list.
            with self._open(schema.loads_table_name) as client:
                self._is_new = client is None
        if self._is_new or table not in schema.tables:
            yield None
            return
        with self._open(table) as client:
            yield client

    @contextmanager
    def _open(self, table: str) -> Generator[Any]:
        with ExitStack() as stack:
            try:
                client = stack.enter_context(self._sql_client())
                name = client.make_qualified_table_name(table)
                with client.execute_query(f"SELECT 1 FROM {name} WHERE 1 = 0"):  # noqa: S608 - the name is escaped
                    pass
            except (DatabaseUndefinedRelation, DestinationUndefinedEntity, SqlClientNotAvailable):
                client = None
            yield client

    def _sql_client(self) -> Any:
        # Made once: dlt.current.pipeline() resolves the configuration each time, and sql_client() loads the schema.
        pipeline: Any = Container()[PipelineContext].pipeline()
        if pipeline is not self._pipeline:
            self._client, self._pipeline = pipeline.sql_client(), pipeline
        return self._client


class Warehouse:
    """The table of a list in a database; empty if the database can't be queried."""

    def __init__(self, database: Database, spec: ListSpec, *, soft_delete: bool) -> None:
        self._database = database
        self._spec = spec
        self._soft_delete = soft_delete

    def ids(self, part: str | None) -> Iterator[str]:
        """Yield the ids in the table, sorted; `part` limits them to one value of the list's parameter."""
        last: str | None = None
        while listed := self._listed(part, last):
            yield from listed
            last = listed[-1]

    def _listed(self, part: str | None, last: str | None) -> list[str]:
        """Return the next ids after one of them."""
        spec = self._spec
        with self._database.open(spec.name) as client:
            if client is None:
                return []
            table, key = client.make_qualified_table_name(spec.name), client.escape_column_name(spec.key)
            conditions: list[str] = []
            parameters: list[str] = []
            if last is not None:
                conditions.append(f"{key} > %s")
                parameters.append(last)
            if part is not None and spec.fan_out is not None:
                conditions.append(f"{client.escape_column_name(spec.fan_out.parameter)} = %s")
                parameters.append(part)
            if self._soft_delete:
                conditions.append(f"{client.escape_column_name(DELETED_AT)} IS NULL")
            where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
            # Not all databases have LIMIT.
            sql = f"SELECT {key} FROM {table}{where} ORDER BY {key}"  # noqa: S608 - names are escaped
            with client.execute_query(sql, *parameters) as cursor:
                return [str(row[0]) for row in cursor.fetchmany(_LISTED_ROWS)]

    def existing_ids(self, ids: list[str]) -> set[str]:
        """Return those of the ids that the table has; all of them if the destination can't be queried."""
        with self._database.open(self._spec.name) as client:
            if client is None:
                return set(ids)
            return {
                str(row[0]) for _, row in self._find(client, client.escape_column_name(self._spec.key), ids)
            }

    def rows(self, ids: list[str]) -> list[dict[str, Any]]:
        """Return the rows with these ids, as dictionaries by column."""
        with self._database.open(self._spec.name) as client:
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
