"""A sandbox in process, and the plainest client for it: a request in, a status and an answer out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs

from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import MutableMapping

NOW = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)


@attrs.frozen
class Answer:
    """What came back."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """What an error says."""
        errors = self.body.get("errors", ()) if isinstance(self.body, dict) else ()
        return "; ".join(f"{error.get('field', '')} {error['message']}".strip() for error in errors)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The objects of the results, in order."""
        if not isinstance(self.body, dict) or "results" not in self.body:
            return []
        return [self.body[result["key"]][result["id"]] for result in self.body["results"]]


class Server:
    """The demo account behind its ASGI application."""

    def __init__(self, *, strict: bool = True) -> None:
        self.sandbox = Sandbox("demo", clock=lambda: NOW, strict=strict)

    def reset(self) -> None:
        """Begin again with the demo account."""
        self.sandbox.reset()

    def send(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Answer:
        """Send a request; a body that is a tuple is a content type with its bytes."""
        kind, content = (
            body
            if isinstance(body, tuple)
            else ("application/json", b"" if body is None else json.dumps(body).encode())
        )
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": f"/api/v1{path}",
            "raw_path": f"/api/v1{path}".encode(),
            "root_path": "",
            "query_string": urlencode(
                {name: _text(value) for name, value in (query or {}).items() if value not in ((), [])}
            ).encode(),
            "headers": [
                (b"host", b"127.0.0.1"),
                (b"authorization", f"Bearer {self.sandbox.token}".encode()),
                (b"content-type", kind.encode()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[MutableMapping[str, Any]] = []
        pending = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return pending.pop() if pending else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        _finish(self.sandbox.app(scope, receive, send))
        status = next(message["status"] for message in sent if message["type"] == "http.response.start")
        received = b"".join(message.get("body", b"") for message in sent)
        try:
            return Answer(status, json.loads(received) if received else None)
        except ValueError:
            return Answer(status, received)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _finish(coroutine: Any) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    message = "The application waited for something."
    raise AssertionError(message)
