"""The sandbox over TLS, with a certificate of its own authority."""

from __future__ import annotations

import ssl
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from kantata_client import Kantata, KantataConnectionError, UsageError
from kantata_client.sandbox import Sandbox, certificates

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]


async def test_a_client_that_trusts_the_authority_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = tmp_path / "ca.pem"
    async with Sandbox("empty").serve(tls=True, authority=authority, names=["kantata-sandbox"]) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert server.authority == authority
        assert "PRIVATE KEY" not in authority.read_text()
        async with Kantata(server.token, base_url=server.url, retries=0) as kantata:
            with pytest.raises(KantataConnectionError, match=r"(?i)certificate"):
                await kantata.users.me()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        async with Kantata(server.token, base_url=server.url) as kantata:
            assert (await kantata.users.me()).full_name == "Ada Thornvale"
        context = ssl.create_default_context(cafile=str(authority))
        port = httpx.URL(server.url).port
        async with httpx.AsyncClient(verify=context) as client:
            url = f"https://localhost:{port}/__sandbox__/health"
            assert (await client.get(url)).json()["status"] == "ok"


async def test_the_private_key_is_only_on_disk_while_the_sandbox_is_served(tmp_path: Path) -> None:
    server = Sandbox("empty").serve(tls=True, authority=tmp_path / "ca.pem")
    async with server:
        assert server._certificates is not None
        chain = server._certificates.chain
        assert chain.stat().st_mode & 0o077 == 0
    assert not chain.exists()


async def test_an_authority_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be written"):
        certificates.issue([], tmp_path / "missing" / "ca.pem")


async def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(UsageError, match=r"kantata-client\[tls\]"):
        Sandbox("empty").serve(tls=True)
