"""CSV files: accounting records out of Kantata and into it, exchange rates into it."""

from __future__ import annotations

import csv
import io
import os
import re
from typing import TYPE_CHECKING

from kantata_client._files.local import checked_source, checked_target, in_thread
from kantata_client._resources.base import Resource
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed import StrPath

    from kantata_client._files.downloads import Place
    from kantata_client._progress import Progress
    from kantata_client.models.exchange_rate import ExchangeRate
    from kantata_client.models.project_accounting_record import ProjectAccountingRecord
    from kantata_client.operations.project_accounting_records import Include

_ENDINGS = (".csv", ".txt")
_LARGEST = 64 * 1024 * 1024
"""Bytes; a file of a few thousand records is far below."""
_MOST = 5_000
"""Most records in one import of accounting records."""
_RATES = {
    "source currency": "source_currency",
    "target currency": "target_currency",
    "exchange rate": "exchange_rate",
    "effective date": "effective_date",
}


class AccountingFiles(Resource):
    """What `kantata.project_accounting_records` has besides the contract's operations."""

    __slots__ = ()

    async def download_csv(
        self,
        *,
        to: StrPath,
        include: Include | Iterable[Include] | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Export all project accounting records into a CSV file, which is never held in memory.

        Args:
            to: The file, replaced if there is one, and only when the download is complete.
            include: Associations, as the operation takes them.
            progress: Called with the bytes received and their total, `None` if it is not known.

        Returns:
            The file.

        Raises:
            UsageError: An argument is wrong; nothing was sent.
            APIError: The service refused; see `kantata_client.errors`.

        Source: GET /project_accounting_records/export_to_csv
        """
        from urllib.parse import urlencode

        from kantata_client._calls.arguments import query_of
        from kantata_client._files.downloads import Place, download
        from kantata_client.operations.project_accounting_records import EXPORT_TO_CSV

        target = checked_target(to, "project_accounting_records.download_csv")
        query = query_of(EXPORT_TO_CSV, {"include": include})
        url = self._session.base_url + EXPORT_TO_CSV.path
        if query:
            url += f"?{urlencode(query, safe=',')}"

        async def place() -> Place:
            return Place(url, ours=True)

        return await download(self._session, EXPORT_TO_CSV.id, place, target, progress=progress)

    async def upload_csv(
        self,
        csv: StrPath | bytes,
        *,
        include: Include | Iterable[Include] | None = None,
    ) -> list[ProjectAccountingRecord]:
        """Import accounting records from a CSV file, counted before it is sent.

        Args:
            csv: A `.csv` or `.txt` file, or the content of one: a header (see `import_csv`) and 1 to 5,000 records.
            include: Associations to load along; without, reading them raises `NotIncludedError`.

        Returns:
            The `ProjectAccountingRecord` objects that the service answers with.

        Raises:
            UsageError: It is no such file; nothing was sent.
            APIError: The service refused; see `kantata_client.errors`.
            UnknownOutcomeError: No answer came; look what was imported before sending it again.

        Source: POST /project_accounting_records/import_csv
        """
        from kantata_client._http.exchange import File
        from kantata_client.models.project_accounting_record import ProjectAccountingRecord
        from kantata_client.operations.project_accounting_records import IMPORT_CSV

        where = "project_accounting_records.upload_csv"
        content = await _content(csv, where)
        await in_thread(_parsed, content, where, _MOST)
        file = File("csv_file", "records.csv", content, "text/csv")
        return await self._session.many(
            IMPORT_CSV, ProjectAccountingRecord, (), {"include": include}, {"csv_file": file}
        )


class RateUploads(Resource):
    """What `kantata.exchange_tables` has besides the contract's operations."""

    __slots__ = ()

    async def upload_rates(
        self,
        id: int | str,
        csv: StrPath | bytes,
    ) -> list[ExchangeRate]:
        """Add or change exchange rates from a CSV file, each line of which is checked before anything is sent.

        The rates go out as JSON: the service takes CSV in the address only, which has no room for many.

        Args:
            id: Id of the exchange table.
            csv: A `.csv` or `.txt` file, or the content of one, with the columns `Source Currency`, `Target Currency`,
                `Exchange Rate` and `Effective Date` (YYYY-MM-DD).

        Returns:
            The `ExchangeRate` objects that the service answers with.

        Raises:
            UsageError: It is no such file, or a line is wrong, which is named; nothing was sent.
            APIError: The service refused; see `kantata_client.errors`.

        Source: POST /foreign_exchange/exchange_tables/{id}/rates
        """
        from kantata_client.models.exchange_rate import ExchangeRate
        from kantata_client.operations.exchange_tables import IMPORT_RATES

        where = "exchange_tables.upload_rates"
        header, rows = await in_thread(_parsed, await _content(csv, where), where)
        names = [_RATES.get(name.casefold()) for name in header]
        if missing := sorted(set(_RATES.values()) - set(names)):
            columns = ", ".join(name.replace("_", " ").title() for name in missing)
            raise UsageError(f"{where}: the header lacks {columns}. Nothing was sent.")
        rates = [_rate(names, row, line, where) for line, row in rows]
        return await self._session.many(IMPORT_RATES, ExchangeRate, (id,), {}, {"exchange_rates": rates})


def _rate(names: list[str | None], row: list[str], line: int, where: str) -> dict[str, str]:
    from datetime import date
    from decimal import Decimal, InvalidOperation

    rate = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name}
    problem = None
    for name in ("source_currency", "target_currency"):
        if not re.fullmatch(r"[A-Za-z]{3}", rate.get(name, "")):
            problem = f"{name.replace('_', ' ')} {rate.get(name, '')!r} is no ISO code of three letters"
    try:
        number = Decimal(rate.get("exchange_rate", ""))
        if not (number.is_finite() and number > 0):
            problem = f"exchange rate {rate['exchange_rate']!r} is not above 0"
    except InvalidOperation:
        problem = f"exchange rate {rate.get('exchange_rate', '')!r} is no number"
    try:
        date.fromisoformat(rate.get("effective_date", ""))
    except ValueError:
        problem = f"effective date {rate.get('effective_date', '')!r} is not YYYY-MM-DD"
    if problem is not None:
        raise UsageError(f"{where}: line {line}: {problem}. Nothing was sent.")
    return rate


async def _content(given: StrPath | bytes, where: str) -> bytes:
    """The content of a CSV file, which may be given as such.

    Raises:
        UsageError: It is no such file. Nothing was sent.
    """
    if isinstance(given, bytes):
        return given
    if not isinstance(given, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(given).__name__
        raise UsageError(
            f"{where}: a path or bytes are needed, not a value of type {kind}. Nothing was sent."
        )
    path, size = checked_source(given, where)
    if path.suffix.lower() not in _ENDINGS:
        raise UsageError(f"{where}: {path}: {' or '.join(_ENDINGS)} is needed. Nothing was sent.")
    if size > _LARGEST:
        raise UsageError(
            f"{where}: {path} has {size:,} bytes: split it into smaller files. Nothing was sent."
        )
    return await in_thread(path.read_bytes)


def _parsed(
    content: bytes, where: str, most: int | None = None
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the records, `most` at most, each with its line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{where}: byte {error.start} is not UTF-8: save the file as UTF-8. Nothing was sent."
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UsageError(f"{where}: line {reader.line_num}: {error}. Nothing was sent.") from None
    if not rows:
        raise UsageError(f"{where}: the file is empty. Nothing was sent.")
    (_, header), *records = rows
    if not records:
        raise UsageError(f"{where}: the file has a header, but no record. Nothing was sent.")
    if most is not None and len(records) > most:
        raise UsageError(
            f"{where}: the file has {len(records):,} records, the service takes {most:,} at most: the first one too "
            f"many is in line {records[most][0]}. Nothing was sent."
        )
    return [name.strip() for name in header], records
