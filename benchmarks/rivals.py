"""The same definitions decoded in other ways: by pydantic models, and by the code of the stock generator."""

from __future__ import annotations

import builtins
import importlib
import json
import subprocess
import sys
import tempfile
import warnings
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from codegen.compile import CONTRACT
from codegen.dialect import to_openapi_3
from codegen.load import load
from kantata_client import models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kantata_client import Model


def pydantic_envelope(*classes: type[Model]) -> Callable[[bytes], Any]:
    """A function that decodes an envelope of these classes by pydantic: every field nullable, dates as dates."""
    from pydantic import create_model

    class Names(dict[str, Any]):
        """The names in a model's annotations, as pydantic needs them."""

        def __missing__(self, name: str) -> Any:
            if name not in models.MODULES:
                return vars(builtins)[name]
            cls = getattr(models, name)
            fields: dict[str, Any] = {
                field: (eval(vars(cls)["__annotations__"][field], {}, self) | None, None)
                for field in cls.FIELDS
            }
            self[name] = create_model(name, **fields)
            return self[name]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about fields named as methods of pydantic's base class
        names = Names(date=date, datetime=datetime, Any=Any)
        objects: dict[str, Any] = {str(cls.KEY): _required(dict, str, names[cls.__name__]) for cls in classes}
        reference = create_model("Reference", key=(str, ...), id=(str, ...))
        envelope = create_model("Envelope", count=(int, ...), results=_required(list, reference), **objects)
    return envelope.model_validate_json


def _required(container: Any, *inner: Any) -> Any:
    """A required pydantic field."""
    return container[inner], ...


@attrs.frozen
class StockPackage:
    """The code that the stock generator makes of the contract."""

    folder: Path
    """The folder of the package."""
    module: str
    """The module that lists stories."""


@contextmanager
def stock_package() -> Iterator[StockPackage]:
    """The stock generator's code in a temporary folder, which is deleted after the block.

    Titles are removed from the contract first: when definitions share a title, the generator loses the responses of stories
    and of 42 other operations.
    """
    document = to_openapi_3(load(CONTRACT))
    _drop_titles(document)
    with tempfile.TemporaryDirectory(prefix="stock-") as folder:
        contract, config = Path(folder, "contract.json"), Path(folder, "config.json")
        contract.write_text(json.dumps(document))
        config.write_text(json.dumps({"post_hooks": []}))  # formatting does not change the speed
        subprocess.run(
            [
                *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"),
                *("--path", str(contract), "--config", str(config)),
                *("--output-path", str(Path(folder, "stock_output"))),
            ],
            check=True,
            capture_output=True,
        )
        parts = ('"method": "get"', '"url": "/stories"')
        modules = Path(folder, "stock_output").glob("api/*/*.py")
        (path,) = [path for path in modules if all(part in path.read_text() for part in parts)]
        yield StockPackage(Path(folder), ".".join(path.relative_to(folder).with_suffix("").parts))


@contextmanager
def stock_stories() -> Iterator[Callable[[bytes], Any]]:
    """A function that decodes an envelope of stories by the stock generator's code."""
    with stock_package() as package:
        sys.path.insert(0, str(package.folder))
        try:
            yield _stock_decoder(package.module)
        finally:
            sys.path.remove(str(package.folder))


def _stock_decoder(module: str) -> Callable[[bytes], Any]:
    endpoint = importlib.import_module(module)
    (name,) = [name for name in vars(endpoint) if name.endswith("Response200")]
    from_dict = getattr(endpoint, name).from_dict

    def decode(content: bytes) -> Any:
        return from_dict(json.loads(content))

    return decode


def _drop_titles(node: Any) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("title"), str) and "type" in node:
            del node["title"]
        for value in node.values():
            _drop_titles(value)
    elif isinstance(node, list):
        for value in node:
            _drop_titles(value)
