"""Hand-written methods: found by the name of their file, and never hidden by generated methods."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from codegen.errors import CodegenError
from codegen.facts import ResourceFacts
from codegen.handwritten import HANDWRITTEN, extend
from kantata_client.api import Resources
from kantata_client.api.attachments import Attachments
from kantata_client.api.stories import Stories

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
class BookShopsMethods(Resource):
    async def upload(self) -> None:
        self.sent = 1

    def _checked(self) -> None: ...


class _Helper: ...
"""


def extended(folder: Path, source: str, *operations: str, file: str = "book_shops.py") -> ResourceFacts:
    (folder / "__init__.py").write_text("")
    (folder / "base.py").write_text("class Resource: ...")
    (folder / file).write_text(source)
    found: Any = tuple(SimpleNamespace(name=name) for name in operations)
    resource = ResourceFacts("book_shops", found, {}, {"approve_many": ("POST /approvals", 100)})
    other = ResourceFacts("authors", (), {})
    resource, other = extend([resource, other], folder)
    assert other.handwritten is None
    return resource


def test_methods_belong_to_the_resource_named_like_their_file(tmp_path: Path) -> None:
    resource = extended(tmp_path, WHOLE, "create", "list")
    assert resource.handwritten == ("_resources.book_shops", "BookShopsMethods")


def test_resources_without_a_file_derive_from_the_common_base() -> None:
    assert [base.__name__ for base in Attachments.__bases__] == ["AttachmentsMethods"]
    assert [base.__name__ for base in Stories.__bases__] == ["Resource"]


def test_every_file_belongs_to_a_resource() -> None:
    names = {path.stem for path in HANDWRITTEN.glob("*.py")} - {"__init__", "base"}
    assert names
    assert names <= Resources.CLASSES.keys()


@pytest.mark.parametrize(
    ("source", "operations", "said"),
    [
        ("class Shops(Resource): ...", (), "class BookShopsMethods(Resource)`.*found Shops"),
        ("class BookShopsMethods: ...", (), "class BookShopsMethods(Resource)`"),
        ("class _BookShopsMethods(Resource): ...", (), "found none"),
        (WHOLE + "class Another: ...", (), "found BookShopsMethods, Another"),
        (WHOLE, ("create", "upload"), ":2: upload: the generated class has a method of that name"),
        (WHOLE.replace("upload", "create_many"), (), "create_many: the generated class"),
        (WHOLE.replace("upload", "approve_many"), (), "approve_many: the generated class"),
        ("class BookShopsMethods(Resource:", (), r"book_shops\.py:1: "),
    ],
)
def test_refuses_files_without_the_expected_class(
    source: str, operations: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with pytest.raises(CodegenError, match=said.replace("(Resource)", r"\(Resource\)")) as caught:
        extended(tmp_path, source, *operations)
    assert str(caught.value).startswith((tmp_path / "book_shops.py").as_posix())


def test_refuses_files_of_unknown_resources(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=r"shops\.py: the contract has no resource 'shops'"):
        extended(tmp_path, WHOLE, file="shops.py")
