"""Decompressing response bodies, up to a maximum size."""

from __future__ import annotations

import zlib

_PIECE = 1 << 20
"""How many bytes are decompressed at once."""


class TooLargeError(Exception):
    """A body exceeds its maximum size."""


class UndecodableError(Exception):
    """A body can't be decoded as its `content-encoding` says."""


class Body:
    """Collects a body piece by piece."""

    def __init__(self, encoding: str, largest: int | None) -> None:
        """Start with an empty body.

        Args:
            encoding: The header `content-encoding`.
            largest: Maximum size of the decompressed body in bytes.

        Raises:
            UndecodableError: The encoding is not one that requests accept.
        """
        self._pieces: list[bytes] = []
        self._left = largest
        self._largest = largest
        # The encoding that was applied last is undone first.
        names = [name for each in reversed(encoding.split(",")) if (name := each.strip().lower())]
        self._decoders = [_decoder(name) for name in names if name != "identity"]

    def add(self, data: bytes) -> None:
        """Add bytes as they were received.

        Raises:
            TooLargeError: The body now exceeds its maximum size.
            UndecodableError: The bytes can't be decompressed.
        """
        if self._decoders:
            self._through(data, 0)
        else:
            self._keep(data)

    def end(self) -> bytes:
        """The whole body.

        Raises:
            UndecodableError: The compressed data is incomplete.
        """
        if any(decoder.began and not decoder.eof for decoder in self._decoders):
            raise UndecodableError("the compressed response ends too early")
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _through(self, data: bytes, stage: int) -> None:
        if stage == len(self._decoders):
            self._keep(data)
            return
        decoder = self._decoders[stage]
        if decoder.eof:
            return
        while True:
            piece, data = decoder.decode(data)
            if piece:
                self._through(piece, stage + 1)
            # Bytes after the end of the compressed data are padding. A full piece means that more output may be waiting.
            if decoder.eof or (not data and len(piece) < _PIECE):
                break

    def _keep(self, data: bytes) -> None:
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise TooLargeError(
                    f"the response is larger than max_response_bytes, {self._largest:,} bytes"
                )
        self._pieces.append(data)


class _Inflater:
    """Decompresses gzip, or deflate with or without the zlib header."""

    def __init__(self, *, gzip: bool) -> None:
        self.began = False
        self._gzip = gzip
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16 if gzip else zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """At most `_PIECE` decompressed bytes, and the input that is not decoded yet."""
        try:
            piece = self._zlib.decompress(data, _PIECE)
        except zlib.error:
            if self.began or self._gzip:
                raise UndecodableError("the compressed response is damaged") from None
            # Some servers send deflate without the zlib header.
            self._zlib = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            self.began = True
            return self.decode(data)
        self.began = True
        return piece, self._zlib.unconsumed_tail


def _decoder(name: str) -> _Inflater:
    if name in ("gzip", "x-gzip"):
        return _Inflater(gzip=True)
    if name == "deflate":
        return _Inflater(gzip=False)
    raise UndecodableError(f"the response is encoded as {name[:40]!r}, which the request did not accept")
