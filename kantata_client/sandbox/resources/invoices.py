"""Invoices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import between, when_true
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._shared import currency_of_workspace
from kantata_client.sandbox.routes import actions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.relations import Scope
    from kantata_client.sandbox.store import Record


def _bill(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Put time entries and expenses on their invoice, and sum them up."""
    store = scope.store
    balance = 0
    for field, key in (("time_entry_ids", "time_entries"), ("expense_ids", "expenses")):
        for identity in body.get(field) or ():
            row = store.get(key, identity) or {}
            if row.get("invoice_id") is not None:
                raise Refusal(422, invalid(field, f"is on an invoice already: {identity}."))
            store.change(key, str(identity), invoice_id=record["id"], is_invoiced=True)
            balance += row.get("amount_in_cents") or 0
            balance += (row.get("time_in_minutes") or 0) * (row.get("rate_in_cents") or 0) // 60
    number = record.get("user_invoice_number") or len(store.ids("invoices"))
    store.change("invoices", record["id"], balance_in_cents=balance, status="new", user_invoice_number=number)


def _workspace(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, workspace_ids=[str(value)])


declare(
    Resource(
        key="invoices",
        filters={
            "pending": when_true(lambda _, row: row.get("status") == "new" and not row.get("draft")),
            "paid": when_true(lambda _, row: row.get("status") == "accepted payment"),
            "without_drafts": when_true(lambda _, row: not row.get("draft")),
            "within_dates": between("created_at"),
        },
        derived={
            "time_entry_ids": lambda scope, row: scope.store.find("time_entries", "invoice_id", row["id"]),
            "expense_ids": lambda scope, row: scope.store.find("expenses", "invoice_id", row["id"]),
        },
        prepare=(currency_of_workspace,),
        created=(_bill,),
        properties={"workspace_id": _workspace},
        without_effect=frozenset({"suppress_emails"}),
        released=(("time_entries", "invoice_id"), ("expenses", "invoice_id")),
        routes={
            "GET /invoices/next_invoice_number": actions.next_number,
            "PUT /invoices/{id}/cancel": actions.cancel_invoice,
        },
    )
)
declare(Resource(key="client_invoice_defaults", without_effect=frozenset({"client_account_id"})))
