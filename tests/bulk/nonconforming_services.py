"""Services that promise less than the sandbox: transports that change its requests and responses."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import httpx

from kantata_client.sandbox.faults import FaultyTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client.sandbox import Sandbox


class NonconformingService(httpx.AsyncBaseTransport):
    """A sandbox behind something that changes requests and answers."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.inner = FaultyTransport(sandbox.app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        return await self.answer(request, json.loads(body) if body else None)

    async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
        return await self.forward(request, body)

    async def forward(self, request: httpx.Request, body: Any, **params: Any) -> httpx.Response:
        """What the sandbox answers to a request with another body, or other query parameters."""
        content = None if body is None else json.dumps(body).encode()
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        url = request.url.copy_merge_params(params) if params else request.url
        sent = httpx.Request(
            request.method, url, headers=headers, content=content, extensions=request.extensions
        )
        answer = await self.inner.handle_async_request(sent)
        await answer.aread()
        return answer


def changed(answer: httpx.Response, change: Callable[[dict[str, Any]], object]) -> httpx.Response:
    """An answer with a changed body."""
    body = answer.json()
    change(body)
    return httpx.Response(answer.status_code, json=body)


class NotAtomic(NonconformingService):
    """Writes the good items of a request, and then refuses it because of the bad ones."""

    def __init__(
        self,
        sandbox: Sandbox,
        bad: Callable[[dict[str, Any]], bool],
        *,
        status: int = 422,
        with_index: bool = True,
    ) -> None:
        super().__init__(sandbox)
        self.bad = bad
        self.status = status
        self.with_index = with_index
        self.sent: list[int] = []
        """How many items each request had."""

    async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
        if request.method != "POST" or not isinstance(body, dict):
            return await self.forward(request, body)
        [(key, value)] = body.items()
        rows: list[dict[str, Any]] = value if isinstance(value, list) else [value]
        self.sent.append(len(rows))
        places = [place for place, row in enumerate(rows) if self.bad(row)]
        if not places:
            return await self.forward(request, body)
        if good := [row for row in rows if not self.bad(row)]:
            answer = await self.forward(request, {key: good})
            if answer.status_code >= 300:
                return answer  # a fault was asked for
        said = [f"Item {place}: is wrong." for place in places] if self.with_index else ["is wrong."]
        errors = [{"type": "validation", "message": each, "field": "base"} for each in said]
        return httpx.Response(self.status, json={"errors": errors})


class Reordering(NonconformingService):
    """Answers to creations in an order of its own."""

    random = random.Random(3)

    async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
        answer = await self.forward(request, body)
        if request.method == "POST" and answer.status_code < 300:
            return changed(answer, lambda found: self.random.shuffle(found["results"]))
        return answer


class AlteredSearch(NonconformingService):
    """Answers to searches in a way of its own."""

    def __init__(
        self, sandbox: Sandbox, change: Callable[[dict[str, Any]], object] | None = None, **params: Any
    ) -> None:
        super().__init__(sandbox)
        self.change = change
        self.params = params

    async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
        if request.method != "GET" or "external_reference_service_name" not in request.url.params:
            return await self.forward(request, body)
        answer = await self.forward(request, body, **self.params)
        return answer if self.change is None else changed(answer, self.change)
