"""Fetch: the published contract from an address, or a file."""

from __future__ import annotations

import os
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from codegen.errors import CodegenError, collecting, of_file
from codegen.load import load
from codegen.lower import check_address

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESSES = (
    "https://app.mavenlink.com/oas/specification",
    "https://developer.kantata.com/_bundle/Kantata/specification.yaml",
)
"""Where the service publishes its contract."""
VARIABLE = "KANTATA_CONTRACT_ADDRESSES"
"""Environment variable with other addresses, separated by spaces."""
LARGEST = 50_000_000
"""Bytes."""


def fetch(
    source: str | None, folder: Path, environment: Mapping[str, str] = os.environ, *, seconds: float = 60
) -> tuple[Path, dict[str, Any]]:
    """Get a published contract of this API.

    Args:
        source: A file or an address. Without it, the addresses of `KANTATA_CONTRACT_ADDRESSES`, or the service's own, are
            tried in order, and the first that answers with a contract of this API is taken.
        folder: Where to keep what is downloaded.
        environment: The environment variables.
        seconds: How long to wait for an address.

    Returns:
        Its file, and the document in it, as `codegen.load.load` reads it.

    Raises:
        CodegenError: There is no such file, or no address answers with a contract of this API; the message says why.
    """
    if source is not None and not source.startswith(("http://", "https://")):
        path = Path(source)
        if not path.is_file():
            msg = f"{source}:1: there is no such file"
            raise CodegenError(msg, located=True)
        return path, _read(path)
    addresses = [source] if source else environment.get(VARIABLE, "").split() or ADDRESSES
    problems: list[str] = []
    for number, address in enumerate(addresses):
        path = folder / f"specification-{number}.yaml"
        try:
            path.write_bytes(_download(address, seconds))
            return path, _read(path)
        except CodegenError as error:
            problems.append(str(error).replace(path.as_posix(), address))
    advice = f"Download the contract, and run the command with the file; {VARIABLE} sets other addresses"
    raise CodegenError("\n".join([*problems, advice]), located=True)


def _read(path: Path) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    with collecting():
        found.append(load(path))
        with of_file(path):
            check_address(found[0])
    return found[0]


def _download(address: str, seconds: float) -> bytes:
    """The body of an address.

    Raises:
        CodegenError: It can't be reached, answers with an error, or the body is incomplete or too large.
    """
    try:
        request = Request(address, headers={"Accept": "application/yaml, application/json, */*"})  # noqa: S310 - http(s)
        with urlopen(request, timeout=seconds) as response:  # noqa: S310 - http(s)
            content: bytes = response.read(LARGEST + 1)
            declared = response.headers.get("Content-Length", "")
            landed: str = response.geturl()
    except HTTPError as error:
        error.close()
        msg = f"{address}:1: the server answered {error.code} ({error.reason})"
        raise CodegenError(msg, located=True) from error
    except HTTPException as error:
        msg = f"{address}:1: the server closed the connection before the end of the file"
        raise CodegenError(msg, located=True) from error
    except (OSError, ValueError) as error:
        msg = f"{address}:1: can't be fetched: {error}"
        raise CodegenError(msg, located=True) from error
    redirected = "" if landed == address else f", redirected to {landed.partition('?')[0]}"
    if len(content) > LARGEST:
        msg = f"{address}:1: larger than {LARGEST} bytes{redirected}"
        raise CodegenError(msg, located=True)
    if declared.isdecimal() and len(content) < int(declared):
        msg = (
            f"{address}:1: incomplete: {len(content)} of {declared} bytes arrived{redirected}; fetch it again"
        )
        raise CodegenError(msg, located=True)
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        msg = f"{address}:1: this is HTML, not a contract{redirected}; it looks like a sign-in page"
        raise CodegenError(msg, located=True)
    return content
