"""Signed addresses: an API that is elsewhere can't send a client to this machine."""

from __future__ import annotations

import pytest

from kantata_client._http.addresses import inward

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
