"""CSV files to be sent: read, and checked for their form, before anything is sent."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING

from kantata_client._files.local import checked_source, in_thread
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from kantata_client._files.local import StrPath

_ENDINGS = (".csv", ".txt")
_LARGEST = 64 * 1024 * 1024
"""Bytes; a file of a few thousand records is far below."""


async def csv_content(given: StrPath | bytes, where: str) -> bytes:
    """The content of a CSV file, which may be given as such.

    Raises:
        UsageError: It is no such file. Nothing was sent.
    """
    if isinstance(given, bytes):
        return given
    if not isinstance(given, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(given).__name__
        raise UsageError(f"{where}: a path or bytes are needed, not a value of type {kind}.")
    path, size = checked_source(given, where)
    if path.suffix.lower() not in _ENDINGS:
        raise UsageError(f"{where}: {path}: {' or '.join(_ENDINGS)} is needed.")
    if size > _LARGEST:
        raise UsageError(f"{where}: {path} has {size:,} bytes: split it into smaller files.")
    return await in_thread(path.read_bytes)


def parsed(
    content: bytes, where: str, most: int | None = None
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the records, `most` at most, each with its line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: byte {error.start} is not UTF-8: save the file as UTF-8.") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UsageError(f"{where}: line {reader.line_num}: {error}.") from None
    if not rows:
        raise UsageError(f"{where}: the file is empty.")
    (_, header), *records = rows
    if not records:
        raise UsageError(f"{where}: the file has a header, but no record.")
    if most is not None and len(records) > most:
        raise UsageError(
            f"{where}: the file has {len(records):,} records, the service takes {most:,} at most: the first one too "
            f"many is in line {records[most][0]}."
        )
    return [name.strip() for name in header], records
