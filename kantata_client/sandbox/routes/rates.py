"""Exchange tables and rate cards: their rates, and what publishes and activates them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client._contract import Parameter
from kantata_client.sandbox import mutations, validation
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.routes.files import rates_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kantata_client.sandbox.call import Call


def activation(call: Call) -> dict[str, Any]:
    """Get whether rate cards are in use; POST activates them."""
    settings = call.scope.store.get("settings", "account") or {"id": "account"}
    if call.operation.method == "POST":
        mutations.existing(
            call.scope, "rate_card_set_versions", call.parameter("rate_card_set_version_id") or ""
        )
        settings = call.scope.store.put("settings", {**settings, "rate_cards": True})
    return {"activated": bool(settings.get("rate_cards"))}


def publish(call: Call) -> dict[str, Any]:
    """Make a version of a rate card set the active one."""
    call.change(active=True)
    return {"activated": True}


def exchange_table(call: Call) -> dict[str, Any]:
    """Get one exchange table, keyed by its id."""
    record = mutations.existing(call.scope, "exchange_tables", call.identity)
    return {call.identity: call.scope.store.shown("exchange_tables", record)}


def rates(call: Call) -> dict[str, Any]:
    """List the rates of an exchange table."""
    mutations.existing(call.scope, "exchange_tables", call.identity)
    when = call.parameter("date")
    currencies = {name: call.parameter(name) for name in ("source_currency", "target_currency")}
    ids = [
        row["id"]
        for row in call.scope.store.where("exchange_rates", "exchange_table_id", int(call.identity))
        if (when is None or row["effective_date"] == when)
        and all(value is None or row[name] == value for name, value in currencies.items())
    ]
    return call.page("exchange_rates", ids)


def import_rates(call: Call) -> dict[str, Any]:
    """Set the rates of a table, one per pair of currencies and date, atomically."""
    mutations.existing(call.scope, "exchange_tables", call.identity)
    store = call.scope.store
    text = call.parameter("csv_file")
    body: Any = call.body
    rows: Any = cast("dict[str, Any]", body).get("exchange_rates") if isinstance(body, dict) else None
    if text:
        rows = rates_of(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in cast("list[Any]", rows)):
        raise bad_request("`exchange_rates` is needed, a list of objects, or `csv_file`.")
    rows = cast("list[dict[str, Any]]", rows)
    described = call.operation.body.fields["exchange_rates"].fields if call.operation.body else None
    errors = [error for index, row in enumerate(rows) for error in _wrong_rate(row, described or {}, index)]
    if errors:
        raise Refusal(422, *errors)
    ids: list[str] = []
    for row in rows:
        fields = {"exchange_table_id": int(call.identity), **row}
        rate = fields.pop("exchange_rate")
        existing = [
            old["id"]
            for old in store.where("exchange_rates", "exchange_table_id", int(call.identity))
            if all(old.get(name) == value for name, value in fields.items())
        ]
        record = (
            store.get("exchange_rates", existing[0])
            if existing
            else fresh(call.scope, "exchange_rates", **fields)
        )
        ids.append(store.put("exchange_rates", {**(record or {}), "rate": rate})["id"])
    return call.envelope(ids)


def _wrong_rate(
    row: dict[str, Any], described: Mapping[str, Parameter], index: int
) -> Iterator[dict[str, Any]]:
    for name in row:
        if name not in described:
            yield invalid(name, "is not a property of an exchange rate.", index)
    for name, parameter in described.items():
        number = Parameter("number", required=parameter.required) if name == "exchange_rate" else parameter
        problem = (
            "can't be blank." if row.get(name) in (None, "") else validation.wrong(name, row[name], number)
        )
        if problem is not None:
            yield invalid(name, problem, index)


def table_rows(call: Call) -> dict[str, Any]:
    """List the rates of each role in the rate cards of a version."""
    version = mutations.existing(call.scope, "rate_card_set_versions", call.identity)
    ids = call.scope.store.find("rate_card_table_rows", "rate_card_set_version_id", version["id"])
    return call.page("rate_card_table_rows", ids)


def table_row(call: Call) -> dict[str, Any]:
    """Set the rates of a role in the rate cards of a version."""
    scope = call.scope
    version = mutations.existing(scope, "rate_card_set_versions", call.parameters["rate_card_set_version_id"])
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
    return call.envelope([call.identity])
