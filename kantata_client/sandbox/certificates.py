"""TLS for a served sandbox: a certificate authority of its own, made for each start."""

from __future__ import annotations

import socket
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1", "host.docker.internal")


@attrs.frozen
class Certificates:
    """The files of a certificate for a sandbox."""

    directory: tempfile.TemporaryDirectory[str]
    """Contains the private key, readable by this user only; removed with `directory.cleanup()`."""
    chain: Path
    """Private key and certificate, for the server."""
    authority: Path
    """The certificate of the authority, which clients have to trust. It is no secret."""


def issue(names: Iterable[str], authority: str | Path | None = None) -> Certificates:
    """Issue a certificate.

    Args:
        names: Host names and addresses at which the sandbox is reached, besides those of this machine.
        authority: Where to write the authority's certificate. Default: a temporary file.

    Raises:
        UsageError: trustme is not installed, or the file can't be written.
    """
    try:
        trustme: Any = import_module("trustme")
    except ModuleNotFoundError as error:
        raise UsageError(
            "TLS needs trustme: install the extra, as in `pip install 'kantata-client[tls]'`.", consequence=""
        ) from error
    directory = tempfile.TemporaryDirectory(prefix="kantata-sandbox-")
    chain = Path(directory.name) / "server.pem"
    written = Path(directory.name) / "ca.pem" if authority is None else Path(authority).absolute()
    maker = trustme.CA(organization_name="Kantata sandbox")
    certificate = maker.issue_cert(*dict.fromkeys((*LOCAL_NAMES, socket.gethostname(), *names)))
    chain.touch(0o600)
    try:
        certificate.private_key_and_cert_chain_pem.write_to_path(str(chain))
        maker.cert_pem.write_to_path(str(written))
    except OSError as error:
        directory.cleanup()
        raise UsageError(
            f"The certificate authority can't be written to {written}: {error.strerror}.", consequence=""
        ) from error
    return Certificates(directory, chain, written)
