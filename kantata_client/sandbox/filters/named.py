"""The filters whose rule follows from their names: `workspace_id`, `with_user_ids`, `due_before`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import registry, schema
from kantata_client.sandbox.filters.common import COMMON
from kantata_client.sandbox.filters.makers import (
    between,
    either,
    indexed,
    linked,
    on_or_after,
    on_or_before,
    one_of,
    same_day,
)

if TYPE_CHECKING:
    from kantata_client.sandbox.filters.match import Rule

_ENDINGS = (
    ("_between", between),
    ("_after", on_or_after),
    ("_before", on_or_before),
    ("_on", same_day),
)


_RULES: dict[tuple[str, str], Rule] = {}


def compile_filters() -> None:
    """Make the table of all filters, from the declarations of the resources and the parameters of the contract."""
    for operation in OPERATIONS.values():
        if operation.method == "GET":
            key = schema.key_of(operation)
            declared = registry.resource(key).filters
            for name in operation.query:
                rule = declared.get(name) or COMMON.get(name) or _by_name(key, name)
                if rule is not None:
                    _RULES[key, name] = rule


def rule_of(key: str, name: str) -> Rule | None:
    """The rule of a filter of a list; None if the sandbox does not emulate it."""
    return _RULES.get((key, name))


def _by_name(key: str, name: str) -> Rule | None:
    kinds = schema.model(key).kinds
    bare = name
    for prefix in ("with_", "by_", "for_"):
        bare = bare.removeprefix(prefix)
    for candidate in dict.fromkeys((name, bare)):
        one = candidate.removesuffix("s") if candidate.endswith("_ids") else candidate
        for field in (candidate, one, f"{one}s", f"{candidate}_id"):
            if field in kinds:
                return _equal(key, field, kinds[field])
        for ending, made in _ENDINGS:
            if candidate.endswith(ending):
                stem = candidate.removesuffix(ending)
                for field in (stem, f"{stem}_date", f"{stem}_at"):
                    if kinds.get(field) in {"date", "datetime"}:
                        return made(field)
    if bare in {"workspace_id", "workspace_ids"} and "story_id" in kinds:
        return linked("story_id", "stories", one_of("workspace_id"))
    return None


def _equal(key: str, field: str, kind: str) -> Rule | None:
    if kind == "bool":
        return either(lambda _, record: bool(record.get(field)))
    if field in registry.resource(key).derived or kind not in schema.SCALARS:
        return None
    if field.endswith(("_id", "_ids")):
        return indexed(field)
    return one_of(field)
