"""Formats of downloads: whether what arrives is the file that was asked for, and whether it is complete."""

from __future__ import annotations

import codecs
import csv
import re
import zlib
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["csv", "gzip"]

GZIP = 31
"""zlib's code for a gzip header and the largest window."""

_MAGIC = b"\x1f\x8b"
_MARKUP = re.compile(rb"<[!?a-z]", re.IGNORECASE)
_JSON = re.compile(rb"""[{\[]\s*["{}\]]""")
_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_BINARY = {_MAGIC: "a gzip file", b"PK\x03\x04": "a zip file", b"%PDF-": "a PDF file"}
_PAGES = ("text/html", "application/xhtml+xml")
_LONGEST_LINE = 1 << 20
"""Bytes of a line of CSV that are kept to count its fields."""


class Inspector:
    """Looks at a download as it arrives, piece by piece."""

    def __init__(self, expected: Format) -> None:
        self._expected = expected
        self.beginning = b""
        """The first bytes, enough to recognize the format and to show the title of a page."""
        self._quotes = 0
        self._header: bytes | None = None
        self._line = bytearray()
        self._member = zlib.decompressobj(wbits=GZIP)

    def take(self, data: bytes, *, thorough: bool) -> None:
        """Look at more of the content; `thorough` if `incomplete` will be asked."""
        if len(self.beginning) < 4_096:
            self.beginning += data[: 4_096 - len(self.beginning)]
        if thorough and data:
            (self._unpack if self._expected == "gzip" else self._count)(data)

    def foreign(self, content_type: str, *, compressed: bool) -> str | None:
        """What the content is instead of the file; `None` if it can be the file.

        Args:
            content_type: The header of the response.
            compressed: The file arrives as gzip.
        """
        kind = content_type.partition(";")[0].strip().lower()
        wide = _WIDE.get(self.beginning[:2])
        start = self.beginning if wide is None else self.beginning.decode(wide, "replace").encode()
        start = start.lstrip(b"\xef\xbb\xbf \t\r\n")
        if kind in _PAGES or _MARKUP.match(start):
            return "a web page"
        if kind == "application/json" or kind.endswith("+json") or _JSON.match(start):
            return "JSON"
        if compressed or self._expected == "gzip":
            return None
        return next((name for magic, name in _BINARY.items() if start.startswith(magic)), None)

    def incomplete(self) -> str | None:
        """Why the content is only the beginning of a file; `None` if nothing shows that."""
        if self._expected == "gzip":
            begins = self.beginning.startswith(_MAGIC)
            return "the gzip file is incomplete" if begins and not self._member.eof else None
        if self._quotes % 2:
            return "the CSV file ends within quotes"
        if self._line and self._header is not None:
            wanted, there = _fields(self._header), _fields(bytes(self._line))
            if there < wanted:
                return f"the last line of the CSV file has {there} of {wanted} fields"
        return None

    def _unpack(self, data: bytes) -> None:
        try:
            while data:
                if self._member.eof:
                    data = data.lstrip(b"\0")  # some writers pad the last block
                    if not data:
                        return
                    self._member = zlib.decompressobj(wbits=GZIP)
                self._member.decompress(data, 1 << 20)
                data = self._member.unconsumed_tail or self._member.unused_data
        except zlib.error:
            self._member = zlib.decompressobj(wbits=GZIP)  # damaged, and so never at its end

    def _count(self, data: bytes) -> None:
        for line in data.splitlines(keepends=True):
            self._quotes += line.count(b'"')
            if len(self._line) < _LONGEST_LINE:
                self._line += line
            if line.endswith((b"\n", b"\r")) and self._quotes % 2 == 0:
                self._header = self._header or bytes(self._line)
                self._line.clear()


def _fields(line: bytes) -> int:
    rows = list(csv.reader([line.decode("utf-8", "replace")]))
    return len(rows[0]) if rows else 0
