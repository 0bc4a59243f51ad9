"""What all uploads share: the content, its name and its type, checked before anything is sent."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, AsyncIterable
from typing import TYPE_CHECKING, TypeAlias, cast

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from kantata_client._files.local import Upload, UploadStream
    from kantata_client.hooks import Progress

Content: TypeAlias = str | os.PathLike[str] | bytes | AsyncIterable[bytes]
"""What can be uploaded: a path, the content itself, or a stream of it."""

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?: *; *{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*"))*')

SERVER_LIMIT = 10_000_000
"""Bytes; only a smaller file can be sent through the API's own server."""


def safe_name(name: str) -> str:
    """A file name as the CDN accepts it: ASCII letters, digits, `_` and `-`, and the dot of the extension.

    Accents are dropped, and any other run of characters becomes one `_`. Empty if nothing is left.
    """
    import unicodedata

    def cleaned(text: str) -> str:
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        return re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_")

    stem, _, extension = name.rpartition(".")
    if stem.strip(".") and extension.isascii() and extension.isalnum():
        stem = cleaned(stem)
        return f"{stem}.{extension}" if stem else ""
    return cleaned(name)


def checked_name(content: Content, filename: str | None, where: str) -> str:
    """The name under which it is sent.

    Raises:
        UsageError: `filename` is not a name that Kantata takes, or it is missing and can't be derived from a path.
    """
    from pathlib import Path

    if filename is not None:
        if not isinstance(filename, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{where}: filename must be a string, not {kind_of(filename)}")
        fits = safe_name(filename)
        if not filename or fits != filename:
            odd = "".join(sorted(set(re.findall(r"[^A-Za-z0-9_.-]", filename))))
            problem = "is empty" if not filename else f"contains {odd!r}" if odd else "is invalid"
            raise UsageError(
                f"{where}: filename={filename!r} {problem}. Use letters, digits, `_`, `-` and one dot before the "
                f"extension{f', such as {fits!r}' if fits else ''}"
            )
        return filename
    if not isinstance(content, (str, os.PathLike)):
        raise UsageError(f"{where}: pass filename=, since {kind_of(content)} has no name")
    given = Path(content).name
    name = safe_name(given)
    if not name:
        raise UsageError(
            f"{where}: {given!r} has no character that is allowed in a Kantata file name. Pass another name with filename="
        )
    return name


async def opened(
    content: Content, size: int | None, progress: Progress | None, where: str
) -> Upload | UploadStream:
    from kantata_client._files.local import Upload, UploadStream, checked_source, spooled
    from kantata_client.hooks import logged

    progress = logged(progress, where)
    if isinstance(content, (str, os.PathLike)):
        path, _ = checked_source(content, where)
        source = await Upload(path, b"", progress).open()
    elif isinstance(content, (bytes, bytearray, memoryview)):
        source = await Upload(None, bytes(content), progress).open()
    elif size is None:
        return await spooled(content, progress)
    elif isinstance(size, bool) or not isinstance(size, int) or size < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{where}: size must be a number of bytes, not {size!r}")
    else:
        return UploadStream(content, size, progress)
    if size is not None and size != source.size:
        source.close()
        raise UsageError(f"{where}: size={size}, but the content has {source.size} bytes. Leave size out")
    return source


async def ended(content: Content) -> None:
    """Close an async generator that may not be exhausted; trio warns about those left open."""
    if isinstance(content, AsyncGenerator):
        await cast("AsyncGenerator[bytes, None]", content).aclose()


def checked_type(content_type: str | None, name: str, where: str) -> str:
    """The media type of an upload: the one that was given, or one guessed from its name.

    Raises:
        UsageError: It is not a media type; a line break in it would add headers to the form.
    """
    if content_type is None:
        return guessed_type(name)
    if not isinstance(content_type, str) or not _MEDIA_TYPE.fullmatch(content_type):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"{where}: content_type must be a media type such as 'application/pdf', not {content_type!r}"
        )
    return content_type


def guessed_type(name: str) -> str:
    from mimetypes import guess_type

    return guess_type(name)[0] or "application/octet-stream"


def kind_of(value: object) -> str:
    return f"a value of type {type(value).__name__}"
