"""Operations of their own on users, memberships, invoices, references and other records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import writes
from kantata_client.sandbox.properties import refer_externally
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.relations import fresh, key_of_type

if TYPE_CHECKING:
    from kantata_client.sandbox.call import Call


def me(call: Call) -> dict[str, Any]:
    """Answer with the token's user."""
    return call.envelope([call.scope.viewer])


def currencies(call: Call) -> list[dict[str, Any]]:
    """List the currencies as a bare array."""
    wanted = (call.asked("matching") or "").casefold()
    rows = [dict(zip(("iso_code", "name", "symbol"), row, strict=True)) for row in _CURRENCIES]
    found = [row for row in rows if wanted in f"{row['iso_code']} {row['name']}".casefold()]
    return [{**row, "subunit_to_unit": 100} for row in found]


_CURRENCIES = (("EUR", "Euro", "€"), ("GBP", "Pound Sterling", "£"), ("USD", "US Dollar", "$"))


def disable(call: Call) -> dict[str, Any]:
    """Disable an account membership."""
    return call.change(disabled_at=call.scope.store.now())


def enable(call: Call) -> dict[str, Any]:
    """Enable an account membership again."""
    return call.change(disabled_at=None)


def same(call: Call) -> dict[str, Any]:
    """Answer with the record as it is: what the operation sends is not seen through the API."""
    return call.change()


def next_number(call: Call) -> dict[str, Any]:
    """The number after the highest invoice number."""
    numbers = [str(row.get("user_invoice_number") or "") for row in call.scope.store.all("invoices")]
    return {"next_invoice_number": str(max((int(n) for n in numbers if n.isdigit()), default=0) + 1)}


def cancel_invoice(call: Call) -> dict[str, Any]:
    """Cancel an invoice and free what was billed on it."""
    store = call.scope.store
    answer = call.change(status="cancelled")
    for key in ("time_entries", "expenses"):
        for row in store.where(key, "invoice_id", call.identity):
            store.change(key, row["id"], invoice_id=None, is_invoiced=False)
    return answer


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


def invite(call: Call) -> dict[str, Any]:
    """Invite somebody to a workspace."""
    writes.existing(call.scope, "workspaces", call.identity)
    fields = call.fields()
    row = fresh(call.scope, "workspace_invitations", workspace_id=call.identity, **fields)
    return call.envelope([call.scope.store.put("workspace_invitations", row)["id"]])


def default_statuses(call: Call) -> dict[str, Any]:
    """Make a task status set the default of the account."""
    store = call.scope.store
    for row in store.all(call.key):
        if row.get("account_default"):
            store.change(call.key, row["id"], account_default=False)
    return call.change(account_default=True)


def soft_delete(call: Call) -> dict[str, Any]:
    """Mark accounting records as deleted."""
    given: Any = call.asked("ids") or ""
    ids = [word for word in given.split(",") if word]
    for identity in ids:
        writes.existing(call.scope, call.key, identity)
        call.scope.store.change(call.key, identity, deleted_at=call.scope.store.now())
    return call.envelope(ids)
