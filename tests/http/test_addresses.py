"""Addresses that secrets may go to, and that a refusal repeats no password of one."""

from __future__ import annotations

import pytest

from kantata_client import Kantata, OAuthError, UsageError
from kantata_client._http.addresses import loopback, unsafe
from kantata_client.oauth import OAuthApp

GOOD = ["https://api.example", "https://api.example:8443/v1/", "http://127.0.0.1:80/x", "http://[::1]:9"]
BAD = [
    "http://api.example",
    "http://127.0.0.1.example",
    "http://10.0.0.1",
    "ftp://127.0.0.1",
    "api.example/v1",
    "",
    "https://",
    "https://user:planted-4711@api.example",
    "https://user:planted-4711@api.ex\u2100mple",
    "https://user:planted-4711",
    "https://planted@api.example:planted-4711",
    "https://api.example/#x",
    "https://[::1",
    "https://api.example\\@evil.example",
    "https://api example",
    "https://api.example/\n",
    "\x01https://api.example",
    "https://api.example/\x7f",
]


@pytest.mark.parametrize("url", GOOD)
def test_safe_urls_are_accepted(url: str) -> None:
    assert unsafe(url) is None
    assert OAuthApp("app-1", redirect_uri=url).redirect_uri == url


@pytest.mark.parametrize("url", BAD, ids=ascii)
def test_unsafe_urls_are_rejected_without_repeating_a_password(url: str) -> None:
    problem = unsafe(url)
    assert problem
    assert "planted" not in problem
    if url:
        with pytest.raises(OAuthError) as caught:
            OAuthApp("app-1", redirect_uri=url)
        assert "planted" not in str(caught.value)
        with pytest.raises(UsageError, match="base_url is not safe to send a token to") as refused:
            Kantata("secret", base_url=url)
        assert "planted" not in str(refused.value)


def test_loopback_hosts_are_recognized() -> None:
    assert all(loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1"))
    assert not any(loopback(host) for host in ("localhost.example", "10.0.0.1", "0.0.0.0", ""))
