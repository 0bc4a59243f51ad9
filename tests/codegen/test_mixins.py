"""Hand-written methods of resources: named in overrides/semantics.yaml, and never hidden by a generated one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from codegen import describe
from codegen.describe import ResourceFacts
from codegen.errors import CodegenError
from kantata_client.api.attachments import Attachments
from kantata_client.api.stories import Stories


def mixed(resource: str, place: str, *operations: str) -> list[ResourceFacts]:
    found: Any = [SimpleNamespace(name=name) for name in operations]
    semantics: Any = SimpleNamespace(mixins={resource: place})
    return describe._mixed([ResourceFacts("attachments", found, {})], semantics)


def test_a_resource_gets_its_base() -> None:
    [resource] = mixed("attachments", "_uploads.AttachmentUploads", "create")
    assert resource.mixin == ("_uploads", "AttachmentUploads")
    assert [base.__name__ for base in Attachments.__bases__] == ["AttachmentUploads"]
    assert [base.__name__ for base in Stories.__bases__] == ["Resource"]


@pytest.mark.parametrize(
    ("resource", "place", "operations", "told"),
    [
        ("attachment", "_uploads.AttachmentUploads", (), "no resource 'attachment'"),
        ("attachments", "_uploads.Nothing", (), "Nothing"),
        ("attachments", "_nothing.AttachmentUploads", (), "_nothing"),
        ("attachments", "_uploads.AttachmentUploads", ("upload",), r"\['upload'\] would hide"),
    ],
)
def test_a_mixin_that_can_not_be(resource: str, place: str, operations: tuple[str, ...], told: str) -> None:
    with pytest.raises(CodegenError, match=told):
        mixed(resource, place, *operations)
