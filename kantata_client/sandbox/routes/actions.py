"""Custom operations on users, memberships, invoices, external references and other records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox import mutations
from kantata_client.sandbox.currencies import NAMES, SYMBOLS
from kantata_client.sandbox.properties import refer_externally
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid
from kantata_client.sandbox.relations import fresh, key_of_type
from kantata_client.sandbox.routes.files import ids_of

if TYPE_CHECKING:
    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope
    from kantata_client.sandbox.store import Store


def me(call: Call) -> dict[str, Any]:
    """Get the user of the token."""
    return call.envelope([call.scope.viewer])


def currencies(call: Call) -> list[dict[str, Any]]:
    """List the currencies as a bare array."""
    text = (call.parameter("matching") or "").casefold()
    rows = [{"iso_code": code, "name": name, "symbol": SYMBOLS[code]} for code, name in NAMES.items()]
    found = [row for row in rows if text in f"{row['iso_code']} {row['name']}".casefold()]
    return [{**row, "subunit_to_unit": 100} for row in found]


def disable(call: Call) -> dict[str, Any]:
    """Disable an account membership, unless it is the owner's."""
    if call.existing().get("is_owner"):
        raise Refusal(422, invalid("base", "The account's owner can't be disabled."))
    return call.change(disabled_at=call.scope.store.now())


def enable(call: Call) -> dict[str, Any]:
    """Enable an account membership again."""
    return call.change(disabled_at=None)


def same(call: Call) -> dict[str, Any]:
    """Return the record unchanged: the effect of the operation is not visible through the API."""
    return call.change()


def next_number(call: Call) -> dict[str, Any]:
    """Get the number that the next invoice has."""
    return {"next_invoice_number": str(next_invoice_number(call.scope.store))}


def next_invoice_number(store: Store) -> int:
    """The number after the highest invoice number."""
    numbers = [str(row.get("user_invoice_number") or "") for row in store.all("invoices")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0) + 1


def cancel_invoice(call: Call) -> dict[str, Any]:
    """Cancel an active invoice, and release what it bills."""
    invoice = call.existing()
    if invoice.get("draft") or invoice.get("status") == "cancelled":
        state = "a draft, which can only be deleted" if invoice.get("draft") else "cancelled already"
        raise Refusal(422, invalid("base", f"Invoice {call.identity} is {state}."))
    answer = call.change(status="cancelled")
    free_invoice(call.scope, call.existing())
    return answer


def free_invoice(scope: Scope, invoice: Record) -> None:
    """Release what an invoice bills, so that it can be invoiced again."""
    for key in ("time_entries", "expenses"):
        for row in scope.store.where(key, "invoice_id", invoice["id"]):
            scope.store.change(key, row["id"], invoice_id=None, is_invoiced=False)
    for row in scope.store.where("billing_milestones", "invoice_id", invoice["id"]):
        scope.store.change("billing_milestones", row["id"], invoice_id=None, invoice_ids=[])


def refer(call: Call) -> dict[str, Any]:
    """Create or change an external reference."""
    fields = call.fields()
    key = key_of_type(str(fields["subject_type"]))
    if key is None or call.scope.store.get(key, fields["subject_id"]) is None:
        raise Refusal(
            422, invalid("subject_id", f"names no {fields['subject_type']}: {fields['subject_id']}.")
        )
    given = {name: value for name, value in fields.items() if not name.startswith("subject_")}
    return call.envelope([refer_externally(call.scope, key, str(fields["subject_id"]), given)])


def permissions(call: Call) -> dict[str, Any]:
    """Get the viewer's permissions in a workspace, which depend only on its state in the sandbox."""
    call.parameter("include")
    workspace = call.existing()
    store = call.scope.store
    waiting = {
        key: any(
            row.get("status") in {"pending", "approved"}
            for row in store.where(key, "workspace_id", workspace["id"])
        )
        for key in ("timesheet_submissions", "expense_report_submissions")
    }
    return {
        "can_change_budgetability": True,
        "can_change_currency": not store.number("time_entries", "workspace_id", workspace["id"]),
        "can_change_time_approvals": not waiting["timesheet_submissions"],
        "can_change_expense_approvals": not waiting["expense_report_submissions"],
        "can_edit_change_orders": True,
        "can_edit_project_settings": True,
        "can_edit_team_names": True,
        "can_manage_invoice_preferences": True,
        "can_manage_finance": True,
        "can_view_insights_dynamic_dashboards": True,
    }


def set_task_statuses(call: Call) -> dict[str, Any]:
    """Assign task status sets to workspaces, atomically."""
    store, target = call.scope.store, "workspace_task_status_sets"
    rows = cast("list[dict[str, Any]]", call.fields().get(target) or [])
    if not rows:
        raise Refusal(422, invalid(target, "is empty."))
    errors = [
        invalid(name, f"names no record of {key}: {row[name]}.", index)
        for index, row in enumerate(rows)
        for name, key in (("workspace_id", "workspaces"), ("status_set_id", "task_status_sets"))
        if store.get(key, row[name]) is None
    ]
    if errors:
        raise Refusal(422, *errors)
    ids: list[str] = []
    for row in rows:
        workspace, chosen = str(row["workspace_id"]), str(row["status_set_id"])
        name = (store.get("task_status_sets", chosen) or {}).get("name")
        store.change("workspaces", workspace, task_status_set_id=chosen, task_status_set_name=name)
        existing = store.find(target, "workspace_id", workspace)
        if existing:
            store.change(target, existing[0], status_set_id=int(chosen))
            ids.append(existing[0])
        else:
            pair = {"workspace_id": int(workspace), "status_set_id": int(chosen)}
            ids.append(store.put(target, fresh(call.scope, target, **pair))["id"])
    return call.envelope(ids)


def default_statuses(call: Call) -> dict[str, Any]:
    """Make a task status set the default of the account."""
    store = call.scope.store
    for row in store.all(call.key):
        if row.get("account_default"):
            store.change(call.key, row["id"], account_default=False)
    return call.change(account_default=True)


def soft_delete(call: Call) -> dict[str, Any]:
    """Mark accounting records as deleted."""
    given, text = call.parameter("ids") or "", call.parameter("csv_file")
    ids = [word for word in given.split(",") if word] + ([] if text is None else ids_of(text))
    if not ids:
        raise bad_request("`ids` is needed, or `csv_file`.")
    for identity in ids:
        mutations.existing(call.scope, call.key, identity)
        call.scope.store.change(call.key, identity, deleted_at=call.scope.store.now())
    return call.envelope(ids)
