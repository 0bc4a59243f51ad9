"""The hand-written methods of `kantata.exchange_tables`: exchange rates from CSV files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kantata_client._files.csv import csv_content, parsed
from kantata_client._files.local import in_thread
from kantata_client._resources.base import Resource
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client._files.local import StrPath
    from kantata_client.models.exchange_rate import ExchangeRate

_RATES = {
    "source currency": "source_currency",
    "target currency": "target_currency",
    "exchange rate": "exchange_rate",
    "effective date": "effective_date",
}


class ExchangeTablesMethods(Resource):
    """Hand-written methods of `kantata.exchange_tables`."""

    __slots__ = ()

    async def upload_rates(
        self,
        id: int | str,
        csv: StrPath | bytes,
        *,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> list[ExchangeRate]:
        """Add or change exchange rates from a CSV file; every line is checked before anything is sent.

        The rates are sent as JSON: the service accepts CSV only in the URL, which has no room for many.

        Args:
            id: Id of the exchange table.
            csv: A `.csv` or `.txt` file, or its content, with the columns `Source Currency`, `Target Currency`,
                `Exchange Rate` and `Effective Date` (YYYY-MM-DD).
            extra_query: Query parameters that the contract lacks, sent unchecked.
            extra_body: Properties that the contract lacks, sent unchecked.

        Returns:
            The `ExchangeRate` objects of the response.

        Raises:
            UsageError: The file or one of its lines is invalid; the message names the line, and nothing was sent.
            APIError: The service refused the rates; see `kantata_client.errors`.

        Source: POST /foreign_exchange/exchange_tables/{id}/rates
        """
        from kantata_client.models.exchange_rate import ExchangeRate
        from kantata_client.operations.exchange_tables import IMPORT_RATES

        where = "exchange_tables.upload_rates"
        header, rows = await in_thread(parsed, await csv_content(csv, where), where)
        names = [_RATES.get(name.casefold()) for name in header]
        if missing := sorted(set(_RATES.values()) - set(names)):
            columns = ", ".join(name.replace("_", " ").title() for name in missing)
            raise UsageError(f"{where}: the header lacks {columns}.")
        rates = [_rate(names, row, line, where) for line, row in rows]
        body = {"exchange_rates": rates}
        return await self._many(
            IMPORT_RATES, ExchangeRate, path=(id,), body=body, extra_query=extra_query, extra_body=extra_body
        )


def _rate(names: list[str | None], row: list[str], line: int, where: str) -> dict[str, str]:
    from datetime import date
    from decimal import Decimal, InvalidOperation

    rate = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name}
    problem = None
    for name in ("source_currency", "target_currency"):
        if not re.fullmatch(r"[A-Za-z]{3}", rate.get(name, "")):
            problem = f"{name.replace('_', ' ')} {rate.get(name, '')!r} must be a three-letter ISO code"
    try:
        number = Decimal(rate.get("exchange_rate", ""))
        if not (number.is_finite() and number > 0):
            problem = f"exchange rate {rate['exchange_rate']!r} must be more than 0"
    except InvalidOperation:
        problem = f"exchange rate {rate.get('exchange_rate', '')!r} must be a number"
    try:
        date.fromisoformat(rate.get("effective_date", ""))
    except ValueError:
        problem = f"effective date {rate.get('effective_date', '')!r} must be written YYYY-MM-DD"
    if problem is not None:
        raise UsageError(f"{where}: line {line}: {problem}.")
    return rate
