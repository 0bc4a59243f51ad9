"""Control over HTTP: `/__sandbox__/…`, for tests in any language, and an overview page."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from kantata_client._http.addresses import loopback
from kantata_client.errors import UsageError
from kantata_client.sandbox import seeds
from kantata_client.sandbox.pages import overview
from kantata_client.sandbox.rate_limits import RateLimits
from kantata_client.sandbox.schema import CONTROL_PATH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from kantata_client.sandbox.controlled import Controlled

_SHOWN_REQUESTS = 500
_FAULTS = {
    "reset": ("committed",),
    "timeout": ("committed",),
    "cut": (),
    "status": ("code", "committed"),
    "latency": ("seconds",),
}
"""Kind of fault → its settings, besides those that select requests."""
_LIMITS = {
    "general": ("requests", "seconds", "kind"),
    "own": ("requests", "seconds", "kind", "operation"),
}
"""Limit → its settings."""
_CLOCK = ("now", "advance", "run")
_WHEN = ("method", "path", "times", "after", "chance")


def routes(sandbox: Controlled) -> list[Route]:
    """The control routes of a sandbox."""
    return _Control(sandbox).routes()


class _Wrong(Exception):  # noqa: N818 - a response of the sandbox
    """An invalid request: 400 with this message."""


class _Control:
    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        endpoints: dict[str, dict[str, Callable[[Request, Any], Any]]] = {
            "/health": {"GET": self.health},
            "/state": {"GET": self.state},
            "/reset": {"POST": self.reset},
            "/seed": {"POST": self.seed},
            "/requests": {"GET": self.requests, "DELETE": self.forget_requests},
            "/faults": {"GET": self.faults, "POST": self.add_fault, "DELETE": self.clear_faults},
            "/limits": {"GET": self.limits, "POST": self.set_limits, "DELETE": self.clear_limits},
            "/clock": {"GET": self.clock, "POST": self.set_clock},
            "/gaps": {"GET": self.gaps, "DELETE": self.clear_gaps},
        }
        made = [Route("/", _guarded(self.page), methods=["GET"])]
        for path, verbs in endpoints.items():
            for verb, perform in verbs.items():
                made.append(Route(f"{CONTROL_PATH}{path}", _answering(perform), methods=[verb]))
        return made

    async def page(self, request: Request) -> Response:
        """The overview page."""
        key = request.query_params.get("key")
        return HTMLResponse(overview(self._sandbox, key), headers={"cache-control": "no-store"})

    def health(self, request: Request, body: Any) -> dict[str, Any]:
        """Report that the sandbox is running."""
        return {"status": "ok", "now": self._sandbox.store.now(), "requests": len(self._sandbox.requests)}

    def state(self, request: Request, body: Any) -> dict[str, Any]:
        """The number of records by envelope key, or the records under one `key`."""
        key = request.query_params.get("key")
        store, known = self._sandbox.store, seeds.keys()
        if key and key not in store.counts() and key not in known:
            raise _Wrong(f"The contract has no envelope key {key!r}.")
        return {"records": store.all(key)} if key else {"counts": store.counts()}

    def reset(self, request: Request, body: Any) -> dict[str, Any]:
        """Restore the initial records, or load those in the body; clear faults, requests and gaps."""
        if not isinstance(body, dict | None):
            raise _Wrong("The body takes `seed` or `records`.")
        given = cast("dict[str, Any]", body or {})
        if given.keys() - {"seed", "records"}:
            raise _Wrong(f"The body takes `seed` or `records`, got {', '.join(map(str, given))}.")
        if len(given) > 1:
            raise _Wrong("The body takes `seed` or `records`, not both.")
        self._sandbox.reset(seed=given.get("seed"), records=given.get("records"))
        return {"counts": self._sandbox.store.counts()}

    def seed(self, request: Request, body: Any) -> dict[str, Any]:
        """Add records: `{envelope key: [record, …]}`."""
        if not isinstance(body, dict):
            raise _Wrong('The body must be records by envelope key, such as {"users": [{"full_name": "…"}]}.')
        store, rows = self._sandbox.store, cast("dict[str, Any]", body)
        seeds.check_all(rows, store.get)
        with store.all_or_nothing():
            made = {key: [store.put(key, row)["id"] for row in given] for key, given in rows.items()}
        return {"ids": made}

    def requests(self, request: Request, body: Any) -> list[dict[str, Any]]:
        """The latest requests to the API, newest first, filtered by `method` and `path` (a prefix)."""
        method, path = request.query_params.get("method"), request.query_params.get("path", "")
        method = method and method.upper()
        rows = [
            row
            for row in reversed(tuple(self._sandbox.requests))
            if row.path.startswith(path) and method in (None, row.method)
        ]
        return [
            {
                "method": row.method,
                "path": row.path,
                "query": row.query,
                "body": row.body.decode(errors="replace"),
                "status": row.status,
                "request_id": row.request_id,
            }
            for row in rows[:_SHOWN_REQUESTS]
        ]

    def forget_requests(self, request: Request, body: Any) -> None:
        """Clear the requests."""
        self._sandbox.requests.clear()

    def faults(self, request: Request, body: Any) -> dict[str, Any]:
        """The number of hits by kind of fault."""
        return {"hits": dict(self._sandbox.faults.hits)}

    def add_fault(self, request: Request, body: Any) -> dict[str, Any]:
        """Add a fault: `{"kind": "status", "code": 503, "times": 2}`."""
        given = dict(cast("dict[str, Any]", body)) if isinstance(body, dict) else {}
        kind = given.pop("kind", None)
        if kind not in _FAULTS:
            raise _Wrong(f"`kind` must be one of {', '.join(_FAULTS)}, got {kind!r}.")
        unknown = given.keys() - {*_FAULTS[kind], *_WHEN}
        if unknown:
            settings = ", ".join((*_FAULTS[kind], *_WHEN))
            raise _Wrong(f"A fault `{kind}` has no {', '.join(sorted(unknown))}; it takes {settings}.")
        for name in ("code", "seconds"):
            if name in _FAULTS[kind] and name not in given:
                raise _Wrong(f"A fault `{kind}` needs `{name}`.")
        first = [given.pop(name) for name in ("code", "seconds") if name in given]
        getattr(self._sandbox.faults, kind)(*first, **given)
        return {"added": kind}

    def clear_faults(self, request: Request, body: Any) -> None:
        """Remove all faults."""
        self._sandbox.faults.clear()

    def limits(self, request: Request, body: Any) -> dict[str, Any]:
        """The number of requests that a rate limit refused."""
        return {"refused": self._sandbox.limits.refused}

    def set_limits(self, request: Request, body: Any) -> dict[str, Any]:
        """Set rate limits: `{"general": {"requests": 100, "seconds": 60, "kind": "window"}, "own": {…}}`."""
        given = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        if not given or given.keys() - _LIMITS.keys():
            raise _Wrong("The body takes `general` and `own`, each with `requests`, `seconds` and `kind`.")
        for name, limit in given.items():
            takes = ", ".join(f"`{setting}`" for setting in _LIMITS[name])
            if not isinstance(limit, dict) or "requests" not in limit:
                raise _Wrong(f"`{name}` must be an object with `requests`; it takes {takes}.")
            unknown = cast("dict[str, Any]", limit).keys() - set(_LIMITS[name])
            if unknown:
                raise _Wrong(f"`{name}` has no {', '.join(sorted(unknown))}; it takes {takes}.")
        for limits in (RateLimits(), self._sandbox.limits):  # refuse all before changing any
            for name, limit in given.items():
                getattr(limits, name)(**limit)
        return self.limits(request, None)

    def clear_limits(self, request: Request, body: Any) -> None:
        """Remove the rate limits."""
        self._sandbox.limits.clear()

    def clock(self, request: Request, body: Any) -> dict[str, Any]:
        """The time of the sandbox."""
        return {"now": self._sandbox.clock().isoformat()}

    def set_clock(self, request: Request, body: Any) -> dict[str, Any]:
        """Stop the clock (`now`), advance it (`advance`, in seconds), or restart it (`run`)."""
        given = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        if len(given) != 1 or not given.keys() <= set(_CLOCK):
            raise _Wrong("The body takes one of `now` (ISO 8601), `advance` (seconds) and `run` (true).")
        [(name, value)] = given.items()
        clock = self._sandbox.clock
        if name == "run":
            if value is not True:
                raise _Wrong(f"`run` must be true, got {value!r}.")
            clock.run()
        elif name == "now":
            clock.set(_moment(value))
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _Wrong(f"`advance` must be a number of seconds, got {value!r}.")
        else:
            clock.advance(value)
        return self.clock(request, None)

    def gaps(self, request: Request, body: Any) -> list[str]:
        """What a lenient sandbox ignored."""
        return list(self._sandbox.gaps)

    def clear_gaps(self, request: Request, body: Any) -> None:
        """Clear the gaps."""
        self._sandbox.gaps.clear()


def _moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _Wrong(f"`now` must be a time such as '2026-05-01T09:00:00Z', got {value!r}.") from None


def _guarded(page: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Refuse requests that a page of another site makes in a browser."""

    async def guarded(request: Request) -> Response:
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "same-origin")
        host = request.url.hostname or ""
        foreign = origin is not None and origin != f"{request.url.scheme}://{request.url.netloc}"
        if foreign or site == "cross-site" or not (loopback(host) or request.app.state.control_from_anywhere):
            return _json(
                403,
                {"error": f"{CONTROL_PATH} accepts requests from this machine only, not from other sites."},
            )
        return await page(request)

    return guarded


def _answering(perform: Callable[[Request, Any], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        try:
            answer = perform(request, msgspec.json.decode(body) if body else None)
        except (
            *(_Wrong, UsageError, msgspec.DecodeError, RecursionError),
            *(ValueError, TypeError, OverflowError),
        ) as error:
            return _json(400, {"error": str(error)})
        return Response(status_code=204) if answer is None else _json(200, answer)

    return _guarded(endpoint)


def _json(status: int, content: Any) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
