"""Signed URLs: a remote API can't send a client to this machine or into a private network."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from kantata_client import UsageError
from kantata_client._http.addresses import inward
from kantata_client._http.messages import Request
from kantata_client._http.storage_guard import StorageGuard
from kantata_client._http.transport import Transport

API = "https://api.mavenlink.com/api/v1"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost.",
        "storage.localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "169.254.169.254",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "\uff11\uff12\uff17.0.0.1",
        "127.0.0.%31",
    ],
)
def test_local_hosts_are_rejected_in_any_notation(host: str) -> None:
    for scheme in ("https", "http"):
        problem = inward(f"{scheme}://{host}:8443/bucket/x?signature=secret", API)
        assert problem is not None
        assert "secret" not in problem
        assert "api.mavenlink.com" in problem


@pytest.mark.parametrize(
    "host", ["bucket.s3.amazonaws.com", "8.8.8.8", "[2600:9000::1]", "localhost.example.com"]
)
def test_remote_hosts_are_accepted(host: str) -> None:
    assert inward(f"https://{host}/x", API) is None


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8000/api/v1", "http://localhost/api/v1", "http://[::1]:1/api/v1"]
)
def test_a_local_api_may_use_local_storage(base: str) -> None:
    for url in ("http://127.0.0.1:9000/x", "http://localhost/x", "https://bucket.s3.amazonaws.com/x"):
        assert inward(url, base) is None


class Names:
    """A resolver of its own: names to addresses."""

    def __init__(self, **addresses: str) -> None:
        self.addresses = {name.replace("_", "."): address for name, address in addresses.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        address = self.addresses.get(host)
        if address is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        if ":" in address:
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "fe80::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
    ],
)
async def test_a_name_that_resolves_to_a_local_address_is_rejected_unsent(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    names = Names(bucket_example_com=address, api_mavenlink_com="93.184.215.14")
    monkeypatch.setattr(anyio, "getaddrinfo", names)
    transport = Transport(retries=0)
    try:
        with pytest.raises(UsageError, match=r"bucket\.example\.com: it resolves to") as caught:
            await transport.send(
                Request("PUT", "https://bucket.example.com/x?signature=secret", content=b"x")
            )
        assert "secret" not in str(caught.value)
        assert address in str(caught.value)
    finally:
        await transport.aclose()


@pytest.mark.anyio
async def test_a_name_is_checked_for_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = StorageGuard.for_api(API)
    assert guard is not None
    monkeypatch.setattr(anyio, "getaddrinfo", Names(api_mavenlink_com="93.184.215.14"))
    await guard.check("bucket.example.com", ["93.184.215.14", "2600:9000::1", "64:ff9b::5db8:d70e"])
    with pytest.raises(UsageError, match=r"resolves to 127\.0\.0\.1"):
        await guard.check("bucket.example.com", ["93.184.215.14", "127.0.0.1"])


@pytest.mark.anyio
async def test_an_api_in_a_private_network_may_have_storage_there(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = StorageGuard.for_api("https://kantata.corp.example/api/v1")
    assert guard is not None
    monkeypatch.setattr(anyio, "getaddrinfo", Names(kantata_corp_example="10.0.0.5"))
    await guard.check("storage.corp.example", ["10.0.0.6"])
    with pytest.raises(UsageError, match="this machine"):
        await guard.check("storage.corp.example", ["127.0.0.1"])


def test_the_host_of_the_api_is_not_checked() -> None:
    guard = StorageGuard.for_api("https://API.example/api/v1")
    assert guard is not None
    anyio.run(guard.check, "api.example", ["127.0.0.1"])
    assert StorageGuard.for_api("http://127.0.0.1:8000/api/v1") is None
