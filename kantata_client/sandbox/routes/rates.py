"""Exchange tables and their rates."""

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
    given = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    rows: Any = given.get("exchange_rates")
    for name in given.keys() - {"exchange_rates"}:
        if call.scope.strict:
            raise Refusal(422, invalid(name, "is not a property of the body."))
        call.scope.gaps.note(f"{call.operation.id}: the property `{name}` is unknown and was ignored.")
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
