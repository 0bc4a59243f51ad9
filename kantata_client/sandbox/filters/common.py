"""The filters that many lists share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client.sandbox.filters.conditions import Without
from kantata_client.sandbox.filters.makers import flag, moment, no_filter, not_own_id, own_id, text
from kantata_client.sandbox.filters.match import Match
from kantata_client.sandbox.filters.search import MATCHED, search, starting_with
from kantata_client.sandbox.refusals import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.filters.match import Rule
    from kantata_client.sandbox.scope import Scope

EXTERNAL = ("external_reference_", "has_external_references", "without_external_reference_")
"""Prefixes of the filters by external reference."""

LARGEST_REFERENCE_LIST = 200

COMMON: Mapping[str, Rule] = {
    "created_after": moment("created_at", after=True),
    "created_before": moment("created_at", after=False),
    "updated_after": moment("updated_at", after=True),
    "updated_before": moment("updated_at", after=False),
    "matching": starting_with(*MATCHED),
    "search": search,
    "by_full_name": text("full_name"),
    "by_title": text("title"),
    "on_my_account": no_filter,
    "all_on_account": no_filter,
    "except": not_own_id,
    "ids": own_id,
}
"""Parameter → its rule, unless the resource declares another one."""


def external(scope: Scope, key: str, values: Mapping[str, str]) -> list[Match]:
    """The filters by external reference; a single reference must satisfy all of them."""
    store = scope.store
    conditions = {
        name.removeprefix("external_reference_"): value
        for name, value in values.items()
        if name.startswith(EXTERNAL[0])
    }
    ids: frozenset[str] | None = None
    if conditions:
        several = conditions.pop("service_model_refs", None)
        single = conditions.pop("service_model_ref", None)
        words = [word.strip() for word in (several or single or "").split(",")]
        if len(words) > LARGEST_REFERENCE_LIST:
            raise bad_request(
                f"`external_reference_service_model_refs` takes at most {LARGEST_REFERENCE_LIST} ids."
            )
        if several is None and single is None:
            references = store.all("external_references")
        else:
            references = [
                row for word in words for row in store.where("external_references", "service_model_ref", word)
            ]
        ids = frozenset(
            reference["subject_ref"]["id"]
            for reference in references
            if reference["subject_ref"]["key"] == key
            and all(str(reference.get(field)) == value for field, value in conditions.items())
        )
    found = Match(ids)
    provider = values.get("without_external_reference_service_name")
    has = values.get("has_external_references")
    if provider is None and has is None:
        return [found]
    referring = [row for row in store.all("external_references") if row["subject_ref"]["key"] == key]
    matches = [found]
    if has is not None:
        referred = frozenset(row["subject_ref"]["id"] for row in referring)
        matches.append(Match(referred) if flag(has) else Match(condition=Without(referred)))
    if provider is not None:
        referred = frozenset(row["subject_ref"]["id"] for row in referring if row["service_name"] == provider)
        matches.append(Match(condition=Without(referred)))
    return matches
