"""The page that the benchmarks decode: 200 stories with 60 users and 20 workspaces, some 400 KB, made from the contract."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from kantata_client.models import Story, User, Workspace

if TYPE_CHECKING:
    from kantata_client import Model

STORIES, USERS, WORKSPACES = 200, 60, 20

_START = datetime(2026, 1, 5, 9, tzinfo=UTC)
_WORDS = [
    "review",
    "plan",
    "design",
    "build",
    "test",
    "ship",
    "café",
    "scope",
    "budget",
    "risk",
    "data",
    "naïve report",
]


def page(*, nulls: bool = True) -> bytes:
    """The response to `GET /stories?include=assignees,creator,workspace,parent,sub_stories&per_page=200`.

    Args:
        nulls: Make a fifth of the values null, as the service does. The stock generator's code fails on null.
    """
    chance = random.Random(7)
    users = {str(1000 + n): _object(User, str(1000 + n), chance, nulls=nulls) for n in range(USERS)}
    workspaces = {
        str(50 + n): _object(Workspace, str(50 + n), chance, nulls=nulls) for n in range(WORKSPACES)
    }
    stories: dict[str, Any] = {}
    for n in range(STORIES):
        story = _object(Story, str(7000 + n), chance, nulls=nulls)
        story["workspace_id"] = chance.choice(list(workspaces))
        story["creator_id"] = chance.choice(list(users))
        story["assignee_ids"] = chance.sample(list(users), chance.randrange(4))
        story["parent_id"] = str(7000 + n - n % 10) if n % 10 else None
        story["sub_story_ids"] = [] if n % 10 else [str(7000 + n + k) for k in range(1, 10)]
        stories[str(7000 + n)] = story
    if not nulls:
        for story in stories.values():
            story["parent_id"] = story["parent_id"] or "7001"
        for each in (*stories.values(), *users.values(), *workspaces.values()):
            for name in [name for name, value in each.items() if value is None]:
                del each[name]
    return json.dumps(
        {
            "count": 20_000,
            "results": [{"key": "stories", "id": identifier} for identifier in stories],
            "stories": stories,
            "users": users,
            "workspaces": workspaces,
            "meta": {"count": 20_000, "page_count": 100, "page_number": 1, "page_size": STORIES},
        },
        ensure_ascii=False,  # as the service writes: compact, in UTF-8
        separators=(",", ":"),
    ).encode()


INCLUDE = ("assignees", "creator", "parent", "sub_stories", "workspace")


def _object(cls: type[Model], identifier: str, chance: random.Random, *, nulls: bool) -> dict[str, Any]:
    # References of associations are sent only if the associations are included.
    absent = {association.ids for association in cls.ASSOCIATIONS.values()}
    made: dict[str, Any] = {"id": identifier}
    for field in attrs.fields(cls):
        if field.name == "id" or field.name in absent:
            continue
        made[field.name] = (
            None if nulls and chance.random() < 0.2 else _value(field.name, str(field.type), chance)
        )
    return made


def _value(name: str, annotation: str, chance: random.Random) -> Any:
    kind = annotation.removesuffix(" | None")
    match kind:
        case "str" if name.endswith("_id"):
            return str(chance.randrange(10_000))
        case "str":
            return " ".join(chance.choices(_WORDS, k=20 if "description" in name else 3))
        case "int":
            return chance.randrange(100_000)
        case "float":
            return chance.randrange(10_000) / 100
        case "bool":
            return chance.random() < 0.5
        case "datetime":
            return (_START + timedelta(minutes=chance.randrange(500_000))).isoformat()
        case "date":
            return (_START + timedelta(days=chance.randrange(300))).date().isoformat()
        case "list[str]":
            return [str(chance.randrange(10_000)) for _ in range(chance.randrange(3))]
        case _:
            return {"key": "open", "message": "as planned", "color": "green"} if name == "status" else None
