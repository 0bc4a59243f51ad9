"""A service for tests of single exchanges, made with pytest-httpx."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from kantata_client import Kantata

if TYPE_CHECKING:
    from pytest_httpx import HTTPXMock


class Recorder:
    """Records every request, and gives each the same answer: `answer`, or one object of the requested type."""

    def __init__(self, httpx_mock: HTTPXMock) -> None:
        self.answer: Any = None
        self.status = 200
        self._mock = httpx_mock
        httpx_mock.add_callback(self._respond, is_reusable=True, is_optional=True)

    def client(self, token: str = "secret", **options: Any) -> Kantata:
        """A client whose requests are recorded."""
        transport = httpx.AsyncHTTPTransport(verify=False)  # never connects, so it needs no certificates
        return Kantata(token, **{"transport": transport, "throttle": 1e6, **options})

    def _respond(self, request: httpx.Request) -> httpx.Response:
        key = request.url.path.split("/")[3]
        one = {"count": 1, "results": [{"key": key, "id": "7"}], key: {"7": {"id": "7"}}}
        return httpx.Response(self.status, json=one if self.answer is None else self.answer)

    @property
    def requests(self) -> list[httpx.Request]:
        """All requests so far, in order."""
        return self._mock.get_requests()

    @property
    def query(self) -> dict[str, str]:
        """The query of the last request."""
        return dict(self.requests[-1].url.params.multi_items())

    @property
    def body(self) -> Any:
        """The decoded body of the last request."""
        return json.loads(self.requests[-1].content)
