"""The callback server: it redirects to the authorization URL, which contains the state, only once."""

from __future__ import annotations

import http.client
import socket

from kantata_client.cli._callback import CallbackServer
from kantata_client.oauth import OAuthApp


def start_page_twice(starts: bool) -> tuple[str, list[tuple[int, str | None, str]]]:
    """The authorization URL, and status, location and page of two requests for the start URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    redirect_uri = f"http://127.0.0.1:{port}/callback"
    request = OAuthApp("app", "secret", redirect_uri, scopes=["api_only"]).authorization_url()
    answers: list[tuple[int, str | None, str]] = []
    with CallbackServer(request, redirect_uri, starts=starts) as callback:
        assert callback.start_url == f"http://127.0.0.1:{port}/"
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/")
            answer = connection.getresponse()
            answers.append((answer.status, answer.getheader("Location"), answer.read().decode()))
            connection.close()
    return request.url, answers


def test_start_url_redirects_once() -> None:
    url, [first, second] = start_page_twice(starts=True)
    assert first == (303, url, "")
    assert second[:2] == (404, None)
    assert "before" in second[2]


def test_without_a_browser_the_start_url_does_not_redirect() -> None:
    _, answers = start_page_twice(starts=False)
    assert [answer[:2] for answer in answers] == [(404, None)] * 2
    assert not any("before" in page for _, _, page in answers)
