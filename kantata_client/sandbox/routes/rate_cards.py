"""Rate cards: sets, the versions of a set with copies of its cards' rates, and what publishes and activates them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import mutations
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.routes import generic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope
    from kantata_client.sandbox.store import Store

SETS, SET_VERSIONS = "rate_card_sets", "rate_card_set_versions"
CARDS, CARD_VERSIONS = "rate_cards", "rate_card_versions"
ROLES, ROWS = "rate_card_roles", "rate_card_table_rows"
KEYS = (SETS, SET_VERSIONS, CARDS, CARD_VERSIONS)
"""The envelope keys of the records that decide which currencies a set shows."""


def default_set(store: Store) -> Record | None:
    """The account's default set."""
    return next((row for row in store.all(SETS) if row.get("account_default")), None)


def make_default_set(scope: Scope) -> None:
    """Create the default set of an account without one, with a version and a card for each currency of its projects."""
    store = scope.store
    if default_set(store) is not None:
        return
    record = fresh(scope, SETS, title="Account Default", account_default=True, destroyable=False)
    card_set = store.put(SETS, record)
    version = fresh(
        scope, SET_VERSIONS, rate_card_set_id=card_set["id"], effective_date=store.today(), active=False
    )
    version = store.put(SET_VERSIONS, version)
    for currency in sorted({str(row["currency"]) for row in store.all("workspaces") if row.get("currency")}):
        _add_card(scope, card_set, currency, version, None)
    show_currencies(scope, card_set["id"])


def list_sets(call: Call) -> dict[str, Any]:
    """List the sets; the first request makes the account's default one."""
    make_default_set(call.scope)
    return generic.list_all(call)


def create_set(call: Call) -> dict[str, Any]:
    """Create a set; with `clone_version_id`, it has copies of the cards and rates of a version of another set."""
    source = _named_version(call, "clone_version_id")
    identity: str = generic.create(call)["results"][0]["id"]
    store = call.scope.store
    card_set = store.get(SETS, identity)
    if source is not None and card_set is not None:
        fields = {"rate_card_set_id": identity, "effective_date": store.today(), "active": False}
        version = store.put(SET_VERSIONS, fresh(call.scope, SET_VERSIONS, **fields))
        for old in store.where(CARD_VERSIONS, "rate_card_set_version_id", source["id"]):
            card = store.get(CARDS, old["rate_card_id"]) or {}
            _add_card(call.scope, card_set, str(card.get("currency")), version, old)
        _copy_rows(call.scope, source, version)
        show_currencies(call.scope, identity)
    return call.envelope([identity])


def create_version(call: Call) -> dict[str, Any]:
    """Create a version with copies of the rates of each card: of the version `clone_id`, or of the latest one."""
    source, store = _named_version(call, "clone_id"), call.scope.store
    body = call.item()
    known = store.where(SET_VERSIONS, "rate_card_set_id", str(body.get("rate_card_set_id")))
    if source is not None and source not in known:
        raise Refusal(422, invalid("clone_id", f"names a version of another set: {source['id']}."))
    if source is None:
        source = max(
            known, key=lambda row: (str(row.get("effective_date") or ""), int(row["id"])), default=None
        )
    identity: str = generic.create(call)["results"][0]["id"]
    version = store.get(SET_VERSIONS, identity) or {}
    for card in store.where(CARDS, "rate_card_set_id", version.get("rate_card_set_id")):
        olds = store.where(CARD_VERSIONS, "rate_card_id", card["id"])
        of_source = (row for row in olds if source and row["rate_card_set_version_id"] == source["id"])
        add_version(call.scope, card["id"], identity, next(of_source, None))
    if source is not None:
        _copy_rows(call.scope, source, version)
    show_currencies(call.scope, str(version.get("rate_card_set_id")))
    return call.envelope([identity])


def _named_version(call: Call, parameter: str) -> Record | None:
    given = call.parameter(parameter)
    version = None if given is None else call.scope.store.get(SET_VERSIONS, given)
    if given is not None and version is None:
        raise Refusal(422, invalid(parameter, f"names no record of {SET_VERSIONS}: {given}."))
    return version


def _add_card(scope: Scope, card_set: Record, currency: str, version: Record, old: Record | None) -> None:
    fields = {
        "rate_card_set_id": card_set["id"],
        "rate_card_set_title": card_set.get("title"),
        "currency": currency,
        "removable": True,
        "uses": 0,
    }
    card = scope.store.put(CARDS, fresh(scope, CARDS, **fields))
    add_version(scope, card["id"], version["id"], old)


def add_version(scope: Scope, card: str, set_version: str, source: Record | None) -> None:
    """Give a card its version in a version of its set, with the rates of another version of a card."""
    store = scope.store
    default_rate = (source or {}).get("default_rate") or 0
    ids = {"rate_card_id": card, "rate_card_set_version_id": set_version}
    made = store.put(CARD_VERSIONS, fresh(scope, CARD_VERSIONS, **ids, default_rate=default_rate))
    for old in store.where(ROLES, "rate_card_version_id", source["id"]) if source else ():
        fields = {"rate_card_version_id": made["id"], "role_id": old["role_id"], "rate": old["rate"]}
        store.put(ROLES, fresh(scope, ROLES, **fields))
    take_effect(scope, card)


def _copy_rows(scope: Scope, source: Record, version: Record) -> None:
    store = scope.store
    for old in store.where(ROWS, "rate_card_set_version_id", source["id"]):
        ids = {
            "id": f"{version['id']}:{old['role_id']}",
            "rate_card_set_id": int(version["rate_card_set_id"]),
            "rate_card_set_version_id": int(version["id"]),
        }
        store.put(ROWS, {**old, **ids})


def take_effect(scope: Scope, card: str) -> None:
    """Note which version of a card is in effect: that of the latest published version of the set that has begun."""
    store = scope.store
    begun: dict[str, str] = {}
    for row in store.where(CARD_VERSIONS, "rate_card_id", card):
        version = store.get(SET_VERSIONS, row["rate_card_set_version_id"]) or {}
        day = str(version.get("effective_date") or "")
        if version.get("active") and day <= store.today():
            begun[day] = row["id"]
    effective = begun[max(begun)] if begun else None
    if (store.get(CARDS, card) or {}).get("effective_rate_card_version_id") != effective:
        store.change(CARDS, card, effective_rate_card_version_id=effective)


def show_currencies(scope: Scope, card_set: str) -> None:
    """Update the currencies that a set and its versions show, and the default ones that every set shows."""
    store = scope.store
    for version in store.where(SET_VERSIONS, "rate_card_set_id", card_set):
        _show(store, SET_VERSIONS, version, used_currencies=used_currencies(store, version["id"]))
    for record in store.all(SETS):
        shown = {"default_currencies": default_currencies(store)}
        if record["id"] == card_set:
            shown["active_currencies"] = active_currencies(store, card_set)
        _show(store, SETS, record, **shown)


def _show(store: Store, key: str, record: Record, **shown: list[str]) -> None:
    if any(record.get(field) != value for field, value in shown.items()):
        store.change(key, record["id"], **shown)


def used_currencies(store: Store, version: str) -> list[str]:
    """The currencies of the cards in a version of a set."""
    rows = store.where(CARD_VERSIONS, "rate_card_set_version_id", version)
    return _currencies(store.get(CARDS, row["rate_card_id"]) or {} for row in rows)


def active_currencies(store: Store, card_set: str) -> list[str]:
    """The currencies of the cards in the published versions of a set."""
    versions = store.where(SET_VERSIONS, "rate_card_set_id", card_set)
    published = [version["id"] for version in versions if version.get("active")]
    return sorted({currency for each in published for currency in used_currencies(store, each)})


def default_currencies(store: Store) -> list[str]:
    """The currencies of the cards in the account's default set."""
    default = default_set(store)
    return _currencies(store.where(CARDS, "rate_card_set_id", default["id"]) if default else ())


def _currencies(cards: Iterable[Record]) -> list[str]:
    return sorted({str(card["currency"]) for card in cards if card.get("currency")})


def publish(call: Call) -> dict[str, Any]:
    """Publish a version of a set, which takes effect on its date."""
    version, store = call.existing(), call.scope.store
    day = str(version.get("effective_date") or "")
    others = store.where(SET_VERSIONS, "rate_card_set_id", version.get("rate_card_set_id"))
    if any(row.get("active") and row.get("effective_date") == day for row in others if row is not version):
        raise Refusal(422, invalid("effective_date", f"has another published version of the set: {day}."))
    if not version.get("active") and day < store.today():
        raise Refusal(422, invalid("effective_date", f"is in the past: {day}."))
    call.change(active=True)
    for row in store.where(CARD_VERSIONS, "rate_card_set_version_id", version["id"]):
        take_effect(call.scope, row["rate_card_id"])
    show_currencies(call.scope, str(version.get("rate_card_set_id")))
    return {"activated": True}


def activation(call: Call) -> dict[str, Any]:
    """Get whether rate cards are in use; POST activates them, with a version of the account's default set."""
    store = call.scope.store
    settings = store.get("settings", "account") or {"id": "account"}
    if call.operation.method == "POST":
        make_default_set(call.scope)
        given = call.parameter("rate_card_set_version_id") or ""
        version = mutations.existing(call.scope, SET_VERSIONS, given)
        default = default_set(store)
        if default is None or version.get("rate_card_set_id") != default["id"]:
            message = f"is not a version of the account's default set: {given}."
            raise Refusal(422, invalid("rate_card_set_version_id", message))
        settings = store.put("settings", {**settings, "rate_cards": True})
    return {"activated": bool(settings.get("rate_cards"))}


def table_rows(call: Call) -> dict[str, Any]:
    """List the rates of each role in the rate cards of a version."""
    version = mutations.existing(call.scope, SET_VERSIONS, call.identity)
    ids = call.scope.store.find(ROWS, "rate_card_set_version_id", version["id"])
    return call.page(ROWS, ids)


def table_row(call: Call) -> dict[str, Any]:
    """Set the rates of a role in the rate cards of a version."""
    scope = call.scope
    version = mutations.existing(scope, SET_VERSIONS, call.parameters["rate_card_set_version_id"])
    role = mutations.existing(scope, "roles", call.parameters["role_id"])
    rates: list[dict[str, Any]] = call.fields().get("rates") or []
    row = scope.store.get(call.key, call.identity) or fresh(
        scope,
        call.key,
        rate_card_set_id=int(version["rate_card_set_id"]),
        rate_card_set_version_id=int(version["id"]),
        role_id=int(role["id"]),
        name=role["name"],
        removable=True,
    )
    cells = dict(row.get("cells") or {})
    cells |= {rate.get("currency"): {"rate": rate.get("rate")} for rate in rates}
    scope.store.put(call.key, {**row, "id": call.identity, "cells": cells})
    for rate in rates:
        _set_role(scope, version["id"], role["id"], str(rate["currency"]), rate["rate"])
    return call.envelope([call.identity])


def delete_table_row(call: Call) -> None:
    """Delete the rates of a role in the rate cards of a version."""
    generic.delete(call)
    store = call.scope.store
    for row in store.where(
        CARD_VERSIONS, "rate_card_set_version_id", call.parameters["rate_card_set_version_id"]
    ):
        for role in store.where(ROLES, "rate_card_version_id", row["id"]):
            if role["role_id"] == call.parameters["role_id"]:
                mutations.delete_one(call.scope, ROLES, role)


def _set_role(scope: Scope, version: str, role: str, currency: str, rate: int) -> None:
    """Set the rate of a role in the card of a currency, if the version has one."""
    store = scope.store
    for row in store.where(CARD_VERSIONS, "rate_card_set_version_id", version):
        if (store.get(CARDS, row["rate_card_id"]) or {}).get("currency") == currency:
            olds = (
                old for old in store.where(ROLES, "rate_card_version_id", row["id"]) if old["role_id"] == role
            )
            old = next(olds, None)
            if old is not None:
                store.change(ROLES, old["id"], rate=rate)
            else:
                fields = {"rate_card_version_id": row["id"], "role_id": role, "rate": rate}
                store.put(ROLES, fresh(scope, ROLES, **fields))


def used(store: Store, card: object) -> bool:
    """Whether a project uses a card."""
    return bool(store.number("workspaces", "rate_card_id", card))


def fixed(store: Store, card_version: object) -> bool:
    """Whether the rates of a version of a card can't change any more: it is published, and a project uses the card."""
    row = store.get(CARD_VERSIONS, card_version) or {}
    version = store.get(SET_VERSIONS, row.get("rate_card_set_version_id")) or {}
    return bool(version.get("active")) and used(store, row.get("rate_card_id"))
