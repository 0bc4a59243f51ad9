"""CSV files to send: read and checked before anything is sent."""

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
"""Bytes; a file with a few thousand records is far smaller."""


async def csv_content(given: StrPath | bytes, where: str) -> bytes:
    """The content of a CSV file, or the content itself if it was given.

    Raises:
        UsageError: The path is not a readable `.csv` or `.txt` file of a reasonable size.
    """
    if isinstance(given, bytes):
        return given
    if not isinstance(given, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(given).__name__
        raise UsageError(f"{where}: expected a path or bytes, got {kind}")
    path, size = checked_source(given, where)
    if path.suffix.lower() not in _ENDINGS:
        raise UsageError(f"{where}: {path} must be a {' or '.join(_ENDINGS)} file")
    if size > _LARGEST:
        raise UsageError(
            f"{where}: {path} has {size:,} bytes, more than {_LARGEST:,}. Split it into smaller files"
        )
    return await in_thread(path.read_bytes)


def parsed(
    content: bytes, where: str, most: int | None = None
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the records with their line numbers.

    Raises:
        UsageError: It is not UTF-8 or not CSV, has no record, or has more than `most`.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: byte {error.start} is not UTF-8. Save the file as UTF-8") from None
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
        raise UsageError(f"{where}: the file has a header but no records")
    if most is not None and len(records) > most:
        raise UsageError(
            f"{where}: the file has {len(records):,} records, but the service accepts at most {most:,}. Split it before "
            f"line {records[most][0]}"
        )
    return [name.strip() for name in header], records
