"""URLs are sent as httpx would send them, parsed or not; headers of responses."""

from __future__ import annotations

import random

import httpx
import pytest

from kantata_client._http.headers import Headers
from kantata_client._http.messages import Request, Timeouts
from kantata_client._http.prepared import Preparer
from kantata_client._http.urls import Base, InvalidURLError, parsed

BASES = [
    "https://api.example",
    "https://api.example/api/v1",
    "http://127.0.0.1:8000/a%20b/ü",
    "https://api.example/A/./B/../C",
    "http://[::1]:9/x",
]
CHARACTERS = "aZ09-_~:/.%2eF @?#&=+,;!*'()[]{}|\\^`\"<>é€\t"


@pytest.mark.parametrize("base", BASES)
def test_path_below_the_base_url_is_the_one_that_httpx_sends(base):
    chance, found = random.Random(base), Base(base)
    skipped = 0
    for _ in range(3000):
        plain = chance.random() < 0.5
        path = "/" + "".join(chance.choices(CHARACTERS[:9] if plain else CHARACTERS, k=chance.randrange(12)))
        query = chance.choice(["", "include=a,b&order=updated_at:desc&search=a+b%26c%C3%A9~"])
        url = base + path
        sent = found.below(url, query)
        if sent is None:
            skipped += 1
            continue
        expected = httpx.URL(f"{url}?{query}" if query else url)
        assert sent == expected.raw_path
        assert (expected.scheme, expected.host) == found.target.origin[:2]
    assert 500 < skipped < 2900


@pytest.mark.parametrize(
    "path", ["", "/", "/stories/", "/a/../b", "/a//b", "/a%2Fb", "/a b", "2/x", "?x=1", "/a?x=1"]
)
def test_other_paths_are_parsed(path):
    assert Base("https://api.example/api/v1").below(f"https://api.example/api/v1{path}", "") is None


def test_parsed_url_has_its_default_port_and_host_header():
    target = parsed("https://api.example/x?signature=a%2Fb")
    assert (target.origin, target.host, target.path) == (
        ("https", "api.example", 443),
        b"api.example",
        b"/x?signature=a%2Fb",
    )
    assert parsed("http://[::1]:9").host == b"[::1]:9"
    with pytest.raises(InvalidURLError):
        parsed("https://api.example:port")


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("DELETE", None), ("POST", "0"), ("PUT", "0")])
def test_empty_body_is_announced_where_a_body_is_usual(method, length):
    prepared = Preparer("https://api.example", Timeouts(), {}).prepare(
        Request(method, "https://api.example/x")
    )
    assert dict(prepared.headers).get(b"content-length") == (None if length is None else length.encode())


def test_headers_are_found_in_any_case_and_joined():
    headers = Headers([(b"X-One", b"1"), (b"x-one", b"2"), (b"X-Odd", b"\xe4"), (b"X-UTF", "é".encode())])
    assert headers["x-ONE"] == headers.get("X-One") == "1, 2"
    assert (headers["x-odd"], headers["x-utf"], headers.get("x-none"), headers.get("x-none", "?")) == (
        "ä",
        "é",
        None,
        "?",
    )
    assert "X-ODD" in headers
    assert 5 not in headers
    assert list(headers) == ["x-one", "x-odd", "x-utf"]
    assert len(headers) == 3
    with pytest.raises(KeyError):
        headers["x-none"]
