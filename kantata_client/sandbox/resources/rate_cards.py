"""Cost rates, rate cards, their sets and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import csv, day, linked, one_of, when_true, where
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._shared import fill, nothing_more
from kantata_client.sandbox.routes import rate_cards

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def _prepare_set(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    first = rate_cards.default_set(scope.store) is None
    fill(record, account_default=first, destroyable=not first)


def _rename_cards(scope: Scope, old: Record | None, new: Record | None) -> None:
    if old and new and old.get("title") != new.get("title"):
        for card in scope.store.where("rate_cards", "rate_card_set_id", new["id"]):
            scope.store.change("rate_cards", card["id"], rate_card_set_title=new.get("title"))


def _show_default_currencies(scope: Scope, old: Record | None, new: Record | None) -> None:
    if old is None and new is not None:
        rate_cards.show_currencies(scope, new["id"])


def _prepare_card(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """A set has one card for a currency, and cards only for currencies of the account's default set."""
    store, currency = scope.store, record.get("currency")
    card_set = store.get("rate_card_sets", record.get("rate_card_set_id")) or {}
    fill(record, rate_card_set_title=card_set.get("title"), removable=True, uses=0)
    if store.get("rate_cards", record["id"]) is not None and "currency" not in changes:
        return
    if (store.get("rate_cards", record["id"]) or record).get("currency") != currency and rate_cards.used(
        store, record["id"]
    ):
        raise Refusal(422, invalid("currency", "can't be changed: a project uses the rate card."))
    others = store.where("rate_cards", "rate_card_set_id", card_set.get("id"))
    if any(row.get("currency") == currency and row["id"] != record["id"] for row in others):
        raise Refusal(422, invalid("currency", f"has a rate card in the set already: {currency}."))
    default = rate_cards.default_set(store)
    if default is not None and default["id"] != card_set.get("id"):
        rows = store.where("rate_cards", "rate_card_set_id", default["id"])
        if all(row.get("currency") != currency for row in rows):
            message = f"has to be added to the account's default set first: {currency}."
            raise Refusal(422, invalid("currency", message))


def _versions(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Give a new card its version in the named version of the set, or the latest one, and in all published ones."""
    store = scope.store
    versions = store.where("rate_card_set_versions", "rate_card_set_id", record["rate_card_set_id"])
    named = body.get("rate_card_set_version_id")
    if named is not None and all(row["id"] != str(named) for row in versions):
        raise Refusal(422, invalid("rate_card_set_version_id", f"names a version of another set: {named}."))
    chosen = str(named) if named is not None else versions[-1]["id"] if versions else None
    for version in versions:
        if version["id"] == chosen or version.get("active"):
            rate_cards.add_version(scope, record["id"], version["id"], None)


def _show_currencies(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Update what sets and versions show when a card or a version of a set appears, changes or disappears."""
    sets = {str(record["rate_card_set_id"]) for record in (old, new) if record is not None}
    for card_set in sorted(sets):
        rate_cards.show_currencies(scope, card_set)


def _prepare_set_version(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """A published version can't be changed once it is in effect."""
    fill(record, active=False, effective_date=scope.store.today())
    old = scope.store.get("rate_card_set_versions", record["id"])
    if (
        changes
        and old is not None
        and old.get("active")
        and str(old.get("effective_date")) <= scope.store.today()
    ):
        raise Refusal(422, invalid("base", f"Version {old['id']} is published and in effect."))


def _prepare_card_version(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    if changes and rate_cards.fixed(scope.store, record["id"]):
        raise Refusal(422, invalid("base", f"Rate card version {record['id']} is published and in use."))


def _prepare_role(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    version = record.get("rate_card_version_id")
    if changes and rate_cards.fixed(scope.store, version):
        raise Refusal(422, invalid("base", f"Rate card version {version} is published and in use."))


def _set_in_use(scope: Scope, row: Record) -> str | None:
    if row.get("account_default"):
        return "it is the account's default set"
    cards = scope.store.where("rate_cards", "rate_card_set_id", row["id"])
    return (
        "a project uses one of its rate cards"
        if any(rate_cards.used(scope.store, card["id"]) for card in cards)
        else None
    )


declare(Resource(key="cost_rates", identified_by=("account_membership_id", "currency")))
declare(
    Resource(
        key="rate_cards",
        filters={
            "active": when_true(lambda scope, row: _published(scope, row.get("rate_card_set_id"))),
            "currencies": one_of("currency"),
            "matching_title_or_currency": _titled,
        },
        prepare=(_prepare_card,),
        created=(_versions,),
        written=(_show_currencies,),
        properties={"rate_card_set_version_id": nothing_more},
        undeletable=lambda scope, row: (
            "a project uses it" if rate_cards.used(scope.store, row["id"]) else None
        ),
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
        prepare=(_prepare_set,),
        written=(_rename_cards, _show_default_currencies),
        undeletable=_set_in_use,
        owned=(("rate_cards", "rate_card_set_id"), ("rate_card_set_versions", "rate_card_set_id")),
        routes={"GET /rate_card_sets": rate_cards.list_sets, "POST /rate_card_sets": rate_cards.create_set},
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
        prepare=(_prepare_card_version,),
        owned=(("rate_card_roles", "rate_card_version_id"),),
    )
)
declare(
    Resource(
        key="rate_card_roles",
        prepare=(_prepare_role,),
        undeletable=lambda scope, row: (
            "its rate card version is in use"
            if rate_cards.fixed(scope.store, row.get("rate_card_version_id"))
            else None
        ),
    )
)
declare(
    Resource(
        key="rate_card_set_versions",
        filters={
            "effective_on_date": lambda scope, value: where(lambda row: _effective(scope, row["id"], value))
        },
        prepare=(_prepare_set_version,),
        written=(_show_currencies,),
        owned=(
            ("rate_card_versions", "rate_card_set_version_id"),
            ("rate_card_table_rows", "rate_card_set_version_id"),
        ),
        routes={
            "POST /rate_card_set_versions": rate_cards.create_version,
            "GET /account_rate_cards_activations": rate_cards.activation,
            "POST /account_rate_cards_activations": rate_cards.activation,
            "PUT /rate_card_set_versions/{id}/publish": rate_cards.publish,
            "GET /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows": rate_cards.table_rows,
            "PUT /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows/{role_id}": (
                rate_cards.table_row
            ),
            "DELETE /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows/{role_id}": (
                rate_cards.delete_table_row
            ),
        },
    )
)
