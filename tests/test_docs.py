"""Every Python example in the README and the docs runs against the sandbox, as it stands there."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kantata_client.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            line = text[: block.start()].count("\n") + 1
            name = f"{page.relative_to(ROOT)}:{line}"
            yield pytest.param("\n" * line + block[1], name, id=name)


@pytest.mark.parametrize(("code", "name"), list(examples()))
def test_the_example_runs(code: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A block runs as a program; if it runs nothing itself, its coroutine functions are called with what they name."""
    sandbox = Sandbox(seed="demo")
    monkeypatch.chdir(tmp_path)

    async def call(functions: list[Any]) -> None:
        async with sandbox.client() as kantata:
            known = {"kantata": kantata, "kantata_sandbox": sandbox}
            for function in functions:
                await function(**{name: known[name] for name in inspect.signature(function).parameters})

    async def serve() -> None:
        async with sandbox.serve(port=0) as server:
            monkeypatch.setenv("KANTATA_BASE_URL", server.url)
            monkeypatch.setenv("KANTATA_ACCESS_TOKEN", server.token)
            await asyncio.to_thread(run)

    def run() -> None:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(code, name, "exec"), namespace)
        if ".run(" not in code:
            own = [value for value in namespace.values() if inspect.iscoroutinefunction(value)]
            asyncio.run(call([function for function in own if function.__module__ == "__main__"]))

    asyncio.run(serve())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_there_are_examples() -> None:
    assert len(list(examples())) >= 3
