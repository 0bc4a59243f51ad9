"""Searches so careful that an object that is not found does not exist.

What such a search finds decides what is written next. So an answer that contradicts itself is an error, never "not there".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from kantata_client._calls.parsing import parsed
from kantata_client._objects.model import Model
from kantata_client.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client._calls.session import Session
    from kantata_client._contract import Operation

M = TypeVar("M", bound=Model)

_PAGE = 200


class ContradictionError(MalformedResponseError):
    """The answer to a search contradicts itself or what was asked, so nothing can be concluded from it."""


async def search(
    session: Session, operation: Operation, cls: type[M], query: Mapping[str, Any], *, what: str, so: str
) -> list[M]:
    """All objects that a list has for a query, from as many pages as it takes.

    Args:
        session: Sends the requests.
        operation: The list.
        cls: The class of its objects.
        query: The query, without a page. It must not include objects of the same type.
        what: What is searched, for errors, such as `the answer to the search by id`.
        so: The consequence of a contradiction, for errors.

    Raises:
        ContradictionError: An answer can't be trusted.
        KantataError: The search failed.
    """
    objects: dict[Any, M] = {}
    page = 1
    while True:
        asked = {**operation.widest, **query, "per_page": _PAGE}
        if page > 1:
            asked["page"] = page
        response, requested = await session.perform(operation, (), asked)
        found = session.read(response, operation, cls, requested)
        before = len(objects)
        objects.update(zip(found.identities or (), found.items, strict=True))
        body = parsed(response.content)
        problem = _defect(response.status, body, str(operation.key))
        if problem is None and found.absent:
            problem = f"names {len(found.absent)} objects that it does not contain"
        if problem is None:
            end = found.count is not None and len(objects) >= found.count
            if not end and len(objects) > before:
                page += 1
                continue
            problem = _inconclusive(body, len(objects), page, repeated=not end and bool(found.items))
        if problem is None:
            return list(objects.values())
        raise contradiction(operation, f"{what} {problem}", so)


def contradiction(operation: Operation, problem: str, so: str) -> ContradictionError:
    """The error for an answer that can't be trusted."""
    stop = "" if problem.endswith((".", "?")) else "."
    return ContradictionError(
        f"{operation.resource}: {problem}{stop} {so}", method="GET", path=operation.path
    )


def _defect(status: int, body: Any, key: str) -> str | None:
    """What is wrong with one page."""
    if status != 200:
        return f"has the status {status} instead of 200"
    if body.get("errors"):
        return "reports errors"
    counts = _counts(body)
    if any(type(count) is not int or count < 0 for count in counts):
        return "counts its objects with something other than a number"
    if len(set(counts)) > 1:
        return f"counts both {counts[0]} and {counts[1]} objects"
    objects: Any = body.get(key) or cast("dict[str, Any]", {})
    if type(objects) is not dict:
        return f"has {key} that are not a map by id"
    named = {str(each["id"]) for each in body["results"] if each["key"] == key}
    unnamed = len(cast("dict[str, Any]", objects).keys() - named)
    return f"contains {unnamed} objects that its results do not name" if unnamed else None


def _inconclusive(body: Any, found: int, page: int, *, repeated: bool) -> str | None:
    """Why the pages up to the last one do not add up."""
    counts = _counts(body)
    if counts and counts[0] != found:
        return f"counts {counts[0]} objects but contains {found}"
    if repeated:
        return "has the same objects on every page"
    pages = _meta(body).get("page_count")
    if type(pages) is int and pages > page:
        return f"has {pages} pages, of which number {page} is already empty or the last"
    return None


def _counts(body: Any) -> list[Any]:
    """The numbers of objects that an answer gives, in both of their places."""
    given = [each for each in (body.get("count"), _meta(body).get("count")) if each is not None]
    return [
        int(each)
        if isinstance(each, str) and each.isascii() and each.isdecimal() and len(each) < 20
        else each
        for each in given
    ]


def _meta(body: Any) -> dict[str, Any]:
    meta = body.get("meta")
    return cast("dict[str, Any]", meta) if type(meta) is dict else {}
