"""Names: of resources and methods by the rule of the path, of classes and keywords by Python's rules."""

from __future__ import annotations

import keyword
import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ON_A_COLLECTION = {
    "get": "list",
    "post": "create",
    "put": "update",
    "delete": "delete_many",
    "patch": "update",
}
_ON_AN_OBJECT = {**_ON_A_COLLECTION, "get": "get", "delete": "delete"}
METHODS = tuple(_ON_A_COLLECTION)
"""The HTTP methods, lower-case, whose operations become Python methods."""


def is_placeholder(segment: str) -> bool:
    return segment.startswith("{")


def segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def resource_and_method(method: str, path: str, collections: frozenset[str]) -> tuple[str, str]:
    """The resource that an operation belongs to and the name of its method, by the rule.

    Args:
        method: Lower-case HTTP method.
        path: The contract's path, such as `/workspaces/{id}/invite`.
        collections: Last words of the paths that are collections, such as `stories`.

    Returns:
        For example `("workspaces", "invite")`. The resource is the last collection on the path; the method is one of
        list, get, create, update, delete, delete_many where the path ends in that collection or in one of its
        objects, and otherwise the path's last word.
    """
    parts = segments(path)
    place = max(i for i, part in enumerate(parts) if part in collections)
    resource, rest = parts[place], parts[place + 1 :]
    words = [part for part in rest if not is_placeholder(part)]
    if words:
        return resource, words[-1]
    return resource, (_ON_AN_OBJECT if rest else _ON_A_COLLECTION)[method]


def find_collections(paths: Iterable[str]) -> frozenset[str]:
    """The words that name a collection: with objects below it, or a path of its own, or the start of a custom route."""
    every = [segments(path) for path in paths]
    found = {parts[0] for parts in every if len(parts) == 1}
    for parts in every:
        found.update(
            word for word, after in pairwise(parts) if is_placeholder(after) and not is_placeholder(word)
        )
    found.update(parts[0] for parts in every if found.isdisjoint(parts))
    return frozenset(found)


def class_name(definition: str) -> str:
    """A definition's name as a Python class: `CustomFields::ChoiceValue` → `ChoiceValue`, `::Base` → its namespace."""
    parts = definition.split("::")
    last = parts[-1]
    if last == "Base" and len(parts) > 1:
        last = singular(parts[-2])
    return "".join(word[0].upper() + word[1:] for word in re.split(r"[^0-9A-Za-z]+", last) if word)


def pascal(snake: str) -> str:
    return "".join(word.capitalize() for word in snake.split("_"))


def snake(pascal_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", pascal_name).lower()


def singular(plural: str) -> str:
    """One of a collection: `stories` → `story`, `statuses` → `status`; what is one already stays: `status`."""
    if plural.endswith(("us", "ss", "is")):
        return plural
    if plural.endswith("ies"):
        return plural[:-3] + "y"
    if plural.endswith(("sses", "uses", "xes")):
        return plural[:-2]
    return plural.removesuffix("s")


def plural(one: str) -> str:
    """Several of a thing: `story` → `stories`, `status` → `statuses`."""
    if one.endswith("y") and one[-2:-1] not in ("a", "e", "o"):
        return one[:-1] + "ies"
    return one + ("es" if one.endswith(("s", "x", "ch")) else "s")


def python_name(name: str) -> str:
    """A wire name as a Python keyword argument: as it is, `except` → `except_`, `attachment[type]` → `type`."""
    inner = re.fullmatch(r"\w+\[(\w+)\]", name)
    safe = re.sub(r"\W", "_", inner[1] if inner else name)
    if safe[0].isdigit():
        safe = "_" + safe
    return safe + "_" if keyword.iskeyword(safe) else safe
