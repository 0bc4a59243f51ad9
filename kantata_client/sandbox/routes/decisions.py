"""Decisions about submissions: approvals, rejections and cancellations of timesheets and expense reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import mutations, schema
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.relations import fresh

if TYPE_CHECKING:
    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.registry import Handler
    from kantata_client.sandbox.scope import Scope


_LINES = {"timesheet_submissions": "time_entries", "expense_report_submissions": "expenses"}


def _resolve(call: Call, key: str, identity: str, status: str, description: Any) -> dict[str, Any]:
    """Approve, reject or cancel a submission, with its time entries or expenses."""
    store = call.scope.store
    record = mutations.existing(call.scope, key, identity)
    if record.get("status") == status or record.get("status") == "cancelled":
        raise Refusal(422, invalid("status", f"is {record.get('status')} already: submission {identity}."))
    store.change(
        key,
        identity,
        status=status,
        current_resolution_description=description,
        current_resolution_creator_id=int(call.scope.viewer),
        current_resolution_created_at_date=store.now(),
    )
    for row in store.where(_LINES[key], "recent_submission_id", identity):
        active = identity if status == "approved" else None
        decided = {"approved": status == "approved"} if key == "timesheet_submissions" else {}
        store.change(_LINES[key], row["id"], active_submission_id=active, **decided)
    kind = {"approved": "approval", "rejected": "rejection", "cancelled": "cancellation"}[status]
    target = {"target_id": int(identity), "target_type": schema.model(key).name}
    decision = {"user_id": int(call.scope.viewer), "description": description}
    return dict(store.put("resolutions", fresh(call.scope, "resolutions", type=kind, **target, **decision)))


def decide(status: str) -> Handler:
    """Give the submission in the path a status: `approved`, `rejected` or `cancelled`."""

    def perform(call: Call) -> dict[str, Any]:
        _resolve(call, call.key, call.identity, status, call.fields().get("description"))
        return call.envelope([call.identity])

    return perform


def decide_many(status: str) -> Handler:
    """Give the timesheets in the body a status, atomically."""

    def perform(call: Call) -> dict[str, Any]:
        fields = call.fields()
        given: Any = fields.get("submission_ids") or ()
        ids = given.split(",") if isinstance(given, str) else [str(item) for item in given]
        if not ids:
            raise Refusal(422, invalid("submission_ids", "is empty."))
        missing = [i for i in ids if call.scope.store.get("timesheet_submissions", i) is None]
        if missing:
            raise Refusal(422, invalid("submission_ids", f"names no submission: {', '.join(missing)}."))
        description = fields.get("description")
        return {
            "resolutions": [
                _resolve(call, "timesheet_submissions", identity, status, description) for identity in ids
            ]
        }

    return perform


def approve_until(scope: Scope, key: str, workspace: str, until: str) -> None:
    """Approve the time entries or expenses of a workspace up to a date that are in no submission."""
    day = "date" if key == "expenses" else "date_performed"
    for row in scope.store.where(key, "workspace_id", workspace):
        if str(row.get(day)) <= until and row.get("active_submission_id") is None and not row.get("approved"):
            scope.store.change(key, row["id"], approved=True)


def toggle(field: str, submissions: str) -> Handler:
    """Switch approvals on or off for the workspace in the path."""

    def perform(call: Call) -> dict[str, Any]:
        fields = call.fields()
        enable, backfill = bool(fields.get("enable", True)), fields.get("backfill_date")
        if backfill is not None and not enable:
            raise Refusal(422, invalid("backfill_date", "is only possible when approvals are switched on."))
        rows = call.scope.store.where(submissions, "workspace_id", call.identity)
        if not enable and any(row.get("status") in {"pending", "approved"} for row in rows):
            raise Refusal(
                422, invalid("enable", f"can't be switched off: the project has active {submissions}.")
            )
        if backfill is not None:
            approve_until(call.scope, _LINES[submissions], call.identity, str(backfill)[:10])
        return call.change(**{field: enable})

    return perform
