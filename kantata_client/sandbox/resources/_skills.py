"""Filters by skills that users have or lack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import csv, not_own_id, where
from kantata_client.sandbox.refusals import bad_request

if TYPE_CHECKING:
    from kantata_client.sandbox.filters.match import Match, Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def _levels(value: str) -> tuple[dict[str, set[str]], bool]:
    """Skill → the requested levels (empty: any), and whether all skills are needed."""
    try:
        given: Any = json.loads(value.replace("'", '"'))
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise bad_request(f"{value!r} is not a JSON object of skills and levels.")
    criteria = cast("dict[str, Any]", given)
    if not all(isinstance(each, list) for name, each in criteria.items() if name != "operation"):
        raise bad_request(f'{value!r} needs a list of levels for each skill, such as {{"7": [3, 4]}}.')
    skills = {str(skill): set[str]() for skill in criteria.get("ids") or ()}
    for skill, levels in criteria.items():
        if skill not in {"ids", "operation"}:
            skills[skill] = {str(level) for level in levels}
    return skills, criteria.get("operation") == "and"


def with_skills(user_field: str) -> Rule:
    """The records whose user (id in `user_field`) has skills, given as JSON with levels and an operation."""

    def rule(scope: Scope, value: str) -> Match:
        skills, every = _levels(value)

        def keep(record: Record) -> bool:
            rows = scope.store.where("skill_memberships", "user_id", record.get(user_field))
            held = {str(row["skill_id"]): str(row.get("level")) for row in rows}
            found = [
                skill in held and (not levels or held[skill] in levels) for skill, levels in skills.items()
            ]
            return all(found) if every else any(found)

        return where(keep)

    return rule


def missing_skills(target: str, field: str) -> Rule:
    """The skills that no record of `target` assigns to the given owners (ids in `field`)."""

    def rule(scope: Scope, value: str) -> Match:
        held = {str(row["skill_id"]) for word in csv(value) for row in scope.store.where(target, field, word)}
        return not_own_id(scope, ",".join(held))

    return rule
