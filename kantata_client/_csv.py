"""CSV files to be imported: read and counted before anything is sent."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING

from kantata_client._files import checked_source, in_thread
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import StrPath

LARGEST = 64 * 1024 * 1024
"""Bytes; a file of a few thousand records is far below."""


async def read_csv(
    given: StrPath | bytes, where: str, endings: tuple[str, ...], *, most: int | None = None
) -> tuple[bytes, list[str], list[tuple[int, list[str]]]]:
    """The content of a CSV file, its header, and its records, each with its line.

    Args:
        given: The file, or its content.
        where: The method, for errors.
        endings: What the file's name may end with.
        most: Most records.

    Raises:
        UsageError: It is no such file. Nothing was sent.
    """
    if isinstance(given, bytes):
        content = given
    elif not isinstance(given, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(given).__name__
        raise UsageError(
            f"{where}: a path or bytes are needed, not a value of type {kind}. Nothing was sent."
        )
    else:
        path, size = checked_source(given, where)
        if path.suffix.lower() not in endings:
            raise UsageError(f"{where}: {path}: {' or '.join(endings)} is needed. Nothing was sent.")
        if size > LARGEST:
            raise UsageError(
                f"{where}: {path} has {size:,} bytes: split it into smaller files. Nothing was sent."
            )
        content = await in_thread(path.read_bytes)
    return content, *await in_thread(_parsed, content, where, most)


def _parsed(content: bytes, where: str, most: int | None) -> tuple[list[str], list[tuple[int, list[str]]]]:
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
