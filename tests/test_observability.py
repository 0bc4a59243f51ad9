"""Logs, spans and breadcrumbs, made by the examples of `docs/services.md`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kantata_client import Kantata, ServerError, UsageError
from kantata_client.sandbox import Sandbox
from tests.test_docs import BLOCK, ROOT

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "tok-e1f9"


def example(marker: str) -> str:
    """The only block of the page that contains a text."""
    page = (ROOT / "docs" / "services.md").read_text(encoding="utf-8")
    (block,) = [found[1] for found in BLOCK.finditer(page) if marker in found[1]]
    return block


class Traced:
    """The example's hook, with a provider that keeps the spans in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")
        namespace: dict[str, Any] = {}
        exec(example("opentelemetry"), namespace)
        namespace["tracer"] = self.tracer
        self.hooks = namespace["Hooks"](on_response=namespace["record_span"])

    @property
    def spans(self) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]


@pytest.fixture
def traced() -> Traced:
    return Traced()


@pytest.mark.anyio
async def test_span_of_a_call_is_named_by_its_operation(traced: Traced) -> None:
    async with Sandbox(seed="demo", token=TOKEN).client(hooks=traced.hooks) as kantata:
        with traced.tracer.start_as_current_span("caller") as caller:
            await kantata.users.get(1001, include=["role"])
    (span,) = traced.spans
    assert span.name == "GET /users/{id}"
    assert span.parent is not None
    assert span.parent.span_id == caller.get_span_context().span_id
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["url.path"] == "/users/1001"
    assert span.start_time is not None
    assert span.end_time is not None
    assert 0 < span.end_time - span.start_time < 60e9


@pytest.mark.anyio
async def test_spans_of_a_list_have_pages_but_no_query(traced: Traced) -> None:
    async with Sandbox(seed="demo", token=TOKEN).client(hooks=traced.hooks) as kantata:
        with traced.tracer.start_as_current_span("caller"):
            await kantata.stories.list(updated_after="2020-01-01", per_page=50).collect(limit=150)
    attributes = [dict(span.attributes or {}) for span in traced.spans]
    assert {1, 2, 3} <= {each.get("kantata.page") for each in attributes}
    assert {span.name for span in traced.spans} == {"GET /stories"}
    assert len({span.context.trace_id for span in traced.spans if span.context}) == 1
    shown = repr([(span.name, span.attributes, span.events, span.status) for span in traced.spans])
    assert "2020-01-01" not in shown
    assert TOKEN not in shown


@pytest.mark.anyio
async def test_every_attempt_has_a_span(traced: Traced) -> None:
    sandbox = Sandbox(seed="empty")
    sandbox.faults.status(503, times=2)
    async with sandbox.client(hooks=traced.hooks, retries=1) as kantata:
        with pytest.raises(ServerError):
            await kantata.users.me()
    assert [dict(span.attributes or {})["http.request.resend_count"] for span in traced.spans] == [0, 1]
    assert {span.status.status_code for span in traced.spans} == {StatusCode.ERROR}


SENTRY = """
import asyncio, json, os
import sentry_sdk
from sentry_sdk.transport import Transport
from kantata_client.sandbox import Sandbox

class Printing(Transport):
    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event:
            print(json.dumps(event, default=str))

sentry_sdk.init(dsn="http://key@127.0.0.1/1", transport=Printing)

async def main():
    sandbox = Sandbox(seed="demo", token=os.environ["TOKEN"])
    async with sandbox.client(hooks=Hooks(on_response=add_breadcrumb), retries=0) as kantata:
        await kantata.stories.list(search=os.environ["SEARCH"]).first()
        sandbox.faults.status(503)
        try:
            await kantata.users.me()
        except Exception as error:
            sentry_sdk.capture_exception(error)

asyncio.run(main())
sentry_sdk.flush()
"""


def test_sentry_shows_the_requests_before_an_error(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(example("sentry_sdk") + SENTRY, encoding="utf-8")
    command = [sys.executable, "-W", "error::ResourceWarning", str(program)]
    environment = {**os.environ, "TOKEN": TOKEN, "SEARCH": "needle-7"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert '"message": "GET /stories"' in done.stdout
    assert '"message": "GET /users/me"' in done.stdout
    assert '"status_code": 503' in done.stdout
    assert TOKEN not in done.stdout
    assert "needle-7" not in done.stdout


# --- KANTATA_LOG -------------------------------------------------------------------------------

PROGRAM = """
import asyncio
{setup}
from kantata_client.sandbox import Sandbox

async def main():
    async with Sandbox(seed="empty", token="tok-e1f9").client() as kantata:
        await kantata.users.me()

asyncio.run(main())
"""


def written(level: str | None, setup: str = "") -> str:
    environment = {name: value for name, value in os.environ.items() if name != "KANTATA_LOG"}
    if level is not None:
        environment["KANTATA_LOG"] = level
    command = [sys.executable, "-c", PROGRAM.format(setup=setup)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr


def test_kantata_log_writes_requests_to_stderr() -> None:
    log = written("debug")
    assert log.count("DEBUG kantata_client: GET /users/me: 200 in") == 1
    assert TOKEN not in log
    assert written("WARNING") == ""
    assert written(None) == ""


def test_kantata_log_uses_the_handlers_of_the_program() -> None:
    setup = "import logging; logging.basicConfig(format='mine: %(message)s')"
    lines = [line for line in written("debug", setup).splitlines() if "/users/me" in line]
    assert len(lines) == 1
    assert lines[0].startswith("mine: ")


def test_invalid_kantata_log_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANTATA_LOG", "loud")
    with pytest.raises(UsageError, match="KANTATA_LOG is 'loud': set it to debug, info or warning"):
        Kantata("secret")
    assert logging.getLogger("kantata_client").level == logging.NOTSET
