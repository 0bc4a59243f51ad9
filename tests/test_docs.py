"""Every Python example in the README and the docs runs against the sandbox, as it stands there."""

from __future__ import annotations

import asyncio
import inspect
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kantata_client.oauth import Endpoints, OAuthApp
from kantata_client.oauth.profiles import Profile
from kantata_client.oauth.tokens import Token
from kantata_client.sandbox import Sandbox
from kantata_client.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            line = text[: block.start()].count("\n") + 1
            name = f"{page.relative_to(ROOT)}:{line}"
            yield pytest.param("\n" * line + block[1], name, id=name)


@pytest.mark.parametrize(("code", "name"), list(examples()))
def test_the_example_runs(
    code: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A block runs as a program; if it runs nothing itself, what it defines is called with what it names.

    Those are its coroutine functions, and those of its classes, whose objects get what their annotations name.
    """
    sandbox = Sandbox(seed="demo")
    origin = ""
    mocked = request.getfixturevalue("httpx_mock") if "httpx_mock" in code else None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")

    async def call(defined: list[Any]) -> None:
        async with sandbox.client() as kantata, AsyncExitStack() as stack:
            known: dict[str, Any] = {"kantata": kantata, "kantata_sandbox": sandbox}
            if mocked is not None:
                known["httpx_mock"] = mocked
            functions = [each for each in defined if inspect.iscoroutinefunction(each)]
            for cls in (each for each in defined if inspect.isclass(each)):
                known |= await signed_in(stack, origin)
                made = cls()
                for attribute in cls.__annotations__:
                    setattr(made, attribute, known[attribute])
                functions += [each for _, each in inspect.getmembers(made, inspect.iscoroutinefunction)]
            assert functions or not defined
            for function in functions:
                await function(**{name: known[name] for name in inspect.signature(function).parameters})

    async def serve() -> None:
        nonlocal origin
        async with sandbox.serve(port=0) as server:
            origin = server.url.removesuffix("/api/v1")
            monkeypatch.setenv("KANTATA_BASE_URL", server.url)
            monkeypatch.setenv("KANTATA_ACCESS_TOKEN", server.token)
            for variable in ("HOME", "XDG_CONFIG_HOME"):
                monkeypatch.setenv(variable, str(tmp_path))
            profile = Profile("default", "sandbox-app", origin)
            await profile.store.save(profile.key, Token(server.token))
            profile.save()
            await asyncio.to_thread(run)

    def run() -> None:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(code, name, "exec"), namespace)
        if ".run(" not in code:
            own = [each for each in namespace.values() if getattr(each, "__module__", "") == "__main__"]
            asyncio.run(
                call([each for each in own if inspect.iscoroutinefunction(each) or inspect.isclass(each)])
            )

    asyncio.run(serve())


async def signed_in(stack: AsyncExitStack, origin: str) -> dict[str, Any]:
    """An application, and the callback of a user who has allowed it to act for them."""
    scopes = ["api_only", "offline_access"]
    app = OAuthApp(
        *("sandbox-app", "sandbox-secret", f"{origin}/callback"),
        scopes=scopes,
        endpoints=Endpoints.at(origin),
    )
    stack.push_async_callback(app.aclose)
    request = app.authorization_url()
    address = httpx.URL(request.url)
    async with httpx.AsyncClient() as browser:
        form = {**address.params, "decision": "allow", "user": "1005"}
        answer = await browser.post(address.copy_with(query=None), data=form)
    return {
        "app": app,
        "store": MemoryStore(),
        "user": "1005",
        "request": request,
        "url": answer.headers["location"],
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_there_are_examples() -> None:
    """Every fence that opens one is found."""
    fences = sum(page.read_text(encoding="utf-8").count("```python") for page in PAGES)
    assert len(list(examples())) == fences > 20
