"""Which lists support a stable walk: according to the contract and the guide, and the error for all others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kantata_client import Kantata, Operation, Paginator, UsageError
from kantata_client.operations import OPERATIONS
from tests.lists.service import ListService

GUIDE = Path(__file__).parents[2] / "docs" / "walks.md"
LISTS = [operation for operation in OPERATIONS.values() if operation.result == "page"]
STABLE = [operation for operation in LISTS if operation.stable_by]


def paginator(operation: Operation, **query: Any) -> Paginator[Any]:
    kantata = Kantata("secret", transport=ListService(key=str(operation.key)))
    path = tuple(range(1, len(operation.path_parameters) + 1))
    resource = getattr(kantata, operation.resource)
    for name, parameter in operation.query.items():
        if parameter.required:
            value = parameter.values[0] if parameter.values else 1
            query.setdefault(name, [value] if parameter.many else value)
    return getattr(resource, operation.name)(*path, **query)


def test_guide_lists_every_stable_list() -> None:
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| `(\w+)` \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == sorted((each.resource, each.name, each.stable_by) for each in STABLE)


@pytest.mark.parametrize("operation", STABLE, ids=lambda each: each.id)
def test_stable_list_can_be_sorted_and_filtered_by_time(operation: Operation) -> None:
    by = str(operation.stable_by)
    assert f"{by}:asc" in operation.query["order"].values
    kind = by.removesuffix("_at")
    assert {f"{kind}_after", "per_page", "page"} <= operation.query.keys()


@pytest.mark.parametrize("operation", STABLE, ids=lambda each: each.id)
@pytest.mark.anyio
async def test_stable_walk_over_every_stable_list(operation: Operation) -> None:
    walk = paginator(operation, per_page=3)
    service: Any = walk._session.transport._transport
    service.fill(10, 2.0)
    found = [int(each.id) async for each in walk.stable()]
    assert found == list(range(1, 11))
    assert {query["order"] for query in service.requests} == {f"{operation.stable_by}:asc"}


@pytest.mark.parametrize(
    "operation", [each for each in LISTS if not each.stable_by], ids=lambda each: each.id
)
def test_other_lists_refuse_a_stable_walk(operation: Operation) -> None:
    with pytest.raises(
        UsageError, match=rf"{operation.resource}\.{operation.name}: .*a stable walk is not possible"
    ):
        paginator(operation).stable()


def test_stable_walk_refuses_conflicting_arguments() -> None:
    kantata = Kantata("secret")
    for taken in ({"order": "due_date:asc"}, {"search": "x"}, {"only": [1]}, {"page": 2}):
        (name,) = taken
        with pytest.raises(UsageError, match=rf"a stable walk is sorted by created_at\. Leave out {name}"):
            kantata.stories.list(**taken).stable()  # type: ignore[arg-type]
    kantata.stories.list(order="created_at:asc").stable()
    with pytest.raises(UsageError, match="a stable walk can't skip 3 objects"):
        kantata.stories.list().skip(3).stable()
