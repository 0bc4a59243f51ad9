"""Invoices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import between, no_filter, one_of, when_true
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.resources._shared import (
    CURRENCY,
    INVOICE_ITEMS,
    fill,
    line_total,
    nothing_more,
)
from kantata_client.sandbox.routes import actions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.registry import Act
    from kantata_client.sandbox.scope import Scope


_BILLED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "time_entry_ids": ("time_entries", {"is_invoiced": True}),
    "expense_ids": ("expenses", {"is_invoiced": True}),
    "billing_milestone_ids": ("billing_milestones", {}),
}
"""Property of a body → the envelope key of what it bills, and the fields that say so."""


def _bill(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Put time entries, expenses and milestones on their invoice, and sum them up."""
    store = scope.store
    lines = (*_BILLED, *INVOICE_ITEMS)
    if not any(body.get(field) for field in lines):
        raise Refusal(422, invalid("base", f"An invoice needs a line item: one of {', '.join(lines)}."))
    workspace = store.get("workspaces", body.get("workspace_id")) or {}
    record = {**record, **{field: record.get(field) or workspace.get(field) for field in CURRENCY}}
    for field, (key, marks) in _BILLED.items():
        for identity in body.get(field) or ():
            row = store.get(key, identity) or {}
            if row.get("invoice_id") is not None:
                raise Refusal(422, invalid(field, f"is on an invoice already: {identity}."))
            store.change(key, str(identity), invoice_id=record["id"], **marks)
    for row in store.where("billing_milestones", "invoice_id", record["id"]):
        store.change("billing_milestones", row["id"], invoice_ids=[record["id"]])
    ids = {
        field: [_item(scope, key, given, record) for given in body.get(key) or ()]
        for key, field in INVOICE_ITEMS.items()
    }
    billed = store.put("invoices", {**record, **{field: made for field, made in ids.items() if made}})
    balance = line_total(scope, billed)
    number = record.get("user_invoice_number") or actions.next_invoice_number(store)
    store.change("invoices", record["id"], balance_in_cents=balance, status="new", user_invoice_number=number)


def _relist(key: str, field: str) -> Act:
    """Replace the time entries, or the expenses, of an invoice by those that a body names."""

    def act(scope: Scope, invoices: str, identity: str, value: Any) -> None:
        store = scope.store
        named = [str(item) for item in value]
        for line in named:
            row = store.get(key, line)
            if row is None:
                raise Refusal(422, invalid(field, f"names no record of {key}: {line}."))
            if row.get("invoice_id") not in (None, identity):
                raise Refusal(422, invalid(field, f"is on an invoice already: {line}."))
        present = list(store.where(key, "invoice_id", identity))
        if {row["id"] for row in present} == set(named):
            return  # the balance, from which payments have been deducted, stays as it is
        for row in present:
            if row["id"] not in named:
                store.change(key, row["id"], invoice_id=None, is_invoiced=False)
        for line in named:
            store.change(key, line, invoice_id=identity, is_invoiced=True)
        invoice = store.get(invoices, identity) or {}
        store.change(invoices, identity, balance_in_cents=line_total(scope, invoice))

    return act


def _item(scope: Scope, key: str, given: Mapping[str, Any], invoice: Record) -> str:
    """Create a fixed fee or an additional item of an invoice."""
    fields = {**given, "amount_in_cents": given.get("amount"), "currency": invoice.get("currency")}
    return scope.store.put(key, fresh(scope, key, **fields))["id"]


def _not_invoiced(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    workspace = scope.store.get("workspaces", record.get("workspace_id")) or {}
    fill(record, currency=workspace.get("currency"))
    old = scope.store.get("billing_milestones", record["id"])
    reason = _invoiced(scope, old) if old is not None and changes else None
    if reason is not None:
        raise Refusal(422, invalid("base", f"Billing milestone {record['id']} can't be changed: {reason}."))


def _invoiced(scope: Scope, milestone: Record) -> str | None:
    rows = scope.store.where("invoices", "billing_milestone_ids", milestone["id"])
    on_one = milestone.get("invoice_id") or any(row.get("status") != "cancelled" for row in rows)
    return "it is on an invoice" if on_one else None


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
        created=(_bill,),
        properties={
            "workspace_id": _workspace,
            **dict.fromkeys(INVOICE_ITEMS, nothing_more),
            "time_entry_ids": _relist("time_entries", "time_entry_ids"),
            "expense_ids": _relist("expenses", "expense_ids"),
        },
        undeletable=lambda scope, row: None if row.get("draft") else "it is not a draft",
        without_effect=frozenset({"suppress_emails"}),
        deleting=(actions.free_invoice,),
        routes={
            "GET /invoices/next_invoice_number": actions.next_number,
            "PUT /invoices/{id}/cancel": actions.cancel_invoice,
        },
    )
)


def _payable(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """A payment for an invoice needs one of a single project that waits for payment, with a balance that covers it."""
    store = scope.store
    invoice = store.get("invoices", record.get("invoice_id"))
    if invoice is None:
        return
    if [str(each) for each in invoice.get("workspace_ids") or ()] != [str(record.get("workspace_id"))]:
        raise Refusal(
            422, invalid("invoice_id", f"is not an invoice of that project alone: {invoice['id']}.")
        )
    old = store.get("external_payments", record["id"]) or {}
    before = (old.get("amount_in_cents") or 0) if str(old.get("invoice_id")) == invoice["id"] else 0
    if not before and (invoice.get("draft") or invoice.get("status") != "new"):
        raise Refusal(422, invalid("invoice_id", f"does not wait for a payment: {invoice['id']}."))
    due = (invoice.get("balance_in_cents") or 0) + before
    if (record.get("amount_in_cents") or 0) > due:
        raise Refusal(
            422, invalid("amount_in_cents", f"is more than the {due} cents due on invoice {invoice['id']}.")
        )


def _settle(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Deduct a payment from the balance of its invoice, which is paid when nothing is left."""
    for payment, sign in ((old, 1), (new, -1)):
        invoice = scope.store.get("invoices", payment.get("invoice_id")) if payment else None
        if payment and invoice and invoice.get("status") != "cancelled":
            balance = (invoice.get("balance_in_cents") or 0) + sign * (payment.get("amount_in_cents") or 0)
            status = "new" if balance > 0 else "accepted payment"
            scope.store.change("invoices", invoice["id"], balance_in_cents=balance, status=status)


declare(Resource(key="external_payments", prepare=(_payable,), written=(_settle,)))
declare(
    Resource(
        key="client_invoice_defaults",
        filters={"client_user_id": one_of("client_user_id"), "workspace_id": no_filter},
        without_effect=frozenset({"client_account_id"}),
    )
)
declare(
    Resource(
        key="billing_milestones",
        filters={"date_between": between("date_to_invoice")},
        prepare=(_not_invoiced,),
        undeletable=_invoiced,
    )
)
