"""Cost rates, rate cards, their sets and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import csv, day, linked, one_of, when_true, where
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.routes import rates

if TYPE_CHECKING:
    from kantata_client.sandbox.filters.match import Match
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def _published(scope: Scope, card_set: object) -> bool:
    """Whether a rate card set has a published version."""
    return any(
        row.get("active")
        for row in scope.store.where("rate_card_set_versions", "rate_card_set_id", str(card_set))
    )


def _has_card(scope: Scope, card_set: Record, currencies: frozenset[str]) -> bool:
    rows = scope.store.where("rate_cards", "rate_card_set_id", card_set["id"])
    return any(row.get("currency") in currencies for row in rows)


def _titled(scope: Scope, value: str) -> Match:
    text = value.casefold()

    def keep(row: Record) -> bool:
        card_set = scope.store.get("rate_card_sets", row.get("rate_card_set_id")) or {}
        title = card_set.get("title") or row.get("rate_card_set_title")
        return text in f"{title} {row.get('currency')}".casefold()

    return where(keep)


def _effective(scope: Scope, identity: object, value: str) -> bool:
    """Whether a version of a set is the one in effect on a date: the last that began by then."""
    version = scope.store.get("rate_card_set_versions", identity)
    if version is None:
        return False
    rows = scope.store.where("rate_card_set_versions", "rate_card_set_id", version.get("rate_card_set_id"))
    begun = [row for row in rows if (row.get("effective_date") or "") <= day(value)]
    latest = max(begun, key=lambda row: row.get("effective_date") or "", default=None)
    return latest is not None and latest["id"] == version["id"]


def _version(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Give a rate card its version in a version of the set."""
    row = fresh(scope, "rate_card_versions", rate_card_id=identity, rate_card_set_version_id=str(value))
    scope.store.put("rate_card_versions", row)
    scope.store.change(key, identity, effective_rate_card_version_id=row["id"])


declare(Resource(key="cost_rates", identified_by=("account_membership_id", "currency")))
declare(
    Resource(
        key="rate_cards",
        filters={
            "active": when_true(lambda scope, row: _published(scope, row.get("rate_card_set_id"))),
            "currencies": one_of("currency"),
            "matching_title_or_currency": _titled,
        },
        properties={"rate_card_set_version_id": _version},
        owned=(("rate_card_versions", "rate_card_id"),),
    )
)
declare(
    Resource(
        key="rate_card_sets",
        filters={
            "active": when_true(lambda scope, row: _published(scope, row["id"])),
            "has_currency": lambda scope, value: where(lambda row: _has_card(scope, row, csv(value))),
            "has_active_currency": lambda scope, value: where(
                lambda row: _published(scope, row["id"]) and _has_card(scope, row, csv(value))
            ),
            "workspace_groups": one_of("workspace_group_ids"),
        },
        owned=(("rate_cards", "rate_card_set_id"), ("rate_card_set_versions", "rate_card_set_id")),
    )
)
declare(
    Resource(
        key="rate_card_versions",
        filters={
            "effective_on_date": lambda scope, value: where(
                lambda row: _effective(scope, row.get("rate_card_set_version_id"), value)
            ),
            "rate_card_set_id": linked("rate_card_id", "rate_cards", one_of("rate_card_set_id")),
        },
        owned=(("rate_card_roles", "rate_card_version_id"),),
    )
)
declare(
    Resource(
        key="rate_card_set_versions",
        filters={
            "effective_on_date": lambda scope, value: where(lambda row: _effective(scope, row["id"], value))
        },
        owned=(
            ("rate_card_versions", "rate_card_set_version_id"),
            ("rate_card_table_rows", "rate_card_set_version_id"),
        ),
        routes={
            "GET /account_rate_cards_activations": rates.activation,
            "POST /account_rate_cards_activations": rates.activation,
            "PUT /rate_card_set_versions/{id}/publish": rates.publish,
            "GET /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows": rates.table_rows,
            "PUT /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows/{role_id}": (
                rates.table_row
            ),
        },
    )
)
