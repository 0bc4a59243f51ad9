"""The examples of the README and the docs as cells of a notebook, page by page."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.test_docs import BLOCK, PAGES, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Jupyter's own packages, in this process

SETUP = """
import os
from kantata_client import Kantata
from kantata_client.oauth.profiles import Profile
from kantata_client.oauth.tokens import Token
from kantata_client.sandbox import Sandbox

os.chdir({folder!r})
os.environ.update({environment!r})
kantata_sandbox = Sandbox(seed="demo")
_serving = kantata_sandbox.serve(port=0)
_server = await _serving.__aenter__()
os.environ.update(KANTATA_BASE_URL=_server.url, KANTATA_ACCESS_TOKEN=_server.token)
_profile = Profile("default", "sandbox-app", _server.url.removesuffix("/api/v1"))
await _profile.store.save(_profile.key, Token(_server.token))
_profile.save()
_arguments = {{"kantata": Kantata(), "kantata_sandbox": kantata_sandbox}}
"""
TEARDOWN = """
await _arguments["kantata"].aclose()
await _serving.__aexit__(None, None, None)
"""
ARGUMENTS = {"kantata", "kantata_sandbox"}


def cells(page: Path) -> Iterator[str]:
    """The blocks of a page, with `await` instead of `asyncio.run`, and calls of the functions that they define.

    A block whose functions call `asyncio.run` themselves runs in a thread, where no event loop is running.
    """
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        code = re.sub(r"^asyncio\.run\((\w+\([^()]*\))\)", r"await \1", block[1], flags=re.MULTILINE)
        if "asyncio.run(" in code:
            yield f"import asyncio\nawait asyncio.to_thread(exec, {code!r}, {{}})"
            continue
        yield code
        if "await main(" not in code and ".run(" not in code:
            for node in ast.parse(code).body:
                if isinstance(node, ast.AsyncFunctionDef):
                    names = [argument.arg for argument in node.args.args]
                    if ARGUMENTS.issuperset(names):
                        given = ", ".join(f"{name}=_arguments[{name!r}]" for name in names)
                        yield f"await {node.name}({given})"


WITH_EXAMPLES = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_run_as_cells(page: Path, tmp_path: Path) -> None:
    environment = {
        **dict.fromkeys(("HOME", "XDG_CONFIG_HOME"), str(tmp_path)),
        "DLT_DATA_DIR": str(tmp_path / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }
    setup = SETUP.format(folder=str(tmp_path), environment=environment)
    sources = [setup, *cells(page), TEARDOWN]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    )
    try:
        client.execute()
    except CellExecutionError as error:
        pytest.fail(f"{page.name}: {str(error)[-2_000:]}")


def test_asyncio_run_is_replaced() -> None:
    """As the README says of Jupyter, whose event loop is running already."""
    source = "".join(cells(ROOT / "README.md"))
    assert "await main()" in source
    assert "asyncio.run(" not in source
