"""Time entries."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import always, any_of, either, no_filter, one_of
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._shared import (
    APPROVED_TIME,
    OF_LIVE_WORKSPACE,
    approved,
    currency_of_workspace,
    fill,
    invoiced,
    lock_date,
    membership,
    on_an_invoice,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def _prepare(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    story = scope.store.get("stories", record.get("story_id"))
    if story is not None and story.get("workspace_id") != record.get("workspace_id"):
        raise Refusal(422, invalid("story_id", "belongs to another workspace."))
    if (record.get("time_in_minutes") or 0) < 0:
        raise Refusal(422, invalid("time_in_minutes", "is negative."))
    old = scope.store.get("time_entries", record["id"]) or {}
    locked = lock_date(scope)
    for performed in (record.get("date_performed"), old.get("date_performed")):
        if performed and locked and str(performed) <= locked:
            raise Refusal(422, invalid("date_performed", f"is locked: time up to {locked} can't be changed."))
    billable = True if story is None else bool(story.get("billable", True))
    fill(record, billable=billable, approved=False, is_invoiced=False, taxable=False)
    if "rate_in_cents" not in changes and record.get("rate_in_cents") is None:
        rate = membership(scope, record.get("user_id")).get("bill_rate_in_cents", 0)
        record["rate_in_cents"] = rate if record["billable"] else 0


def _check_lock(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """A lock is on a Saturday in the past, and not before an earlier one."""
    day = str(record.get("locked_to"))
    if date.fromisoformat(day).weekday() != 5 or day >= scope.store.today():
        raise Refusal(422, invalid("locked_to", "is not a Saturday in the past."))
    if day < lock_date(scope):
        raise Refusal(422, invalid("locked_to", f"is before the present lock, {lock_date(scope)}."))
    waiting = scope.store.evaluate(
        "time_entries",
        lambda row: None,
        lambda row: str(row.get("date_performed")) <= day and not approved(scope, row),
    )
    for identity, _ in waiting:
        raise Refusal(422, invalid("locked_to", f"is too late: time entry {identity} is not approved."))


declare(Resource(key="line_item_locks", prepare=(_check_lock,)))


def _log(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Maintain the totals of time on a task."""
    for entry, sign in ((old, -1), (new, 1)):
        story = scope.store.get("stories", entry.get("story_id")) if entry else None
        if entry and story:
            field = f"logged_{'' if entry.get('billable') else 'non'}billable_time_in_minutes"
            minutes = (story.get(field) or 0) + sign * (entry.get("time_in_minutes") or 0)
            scope.store.put("stories", {**story, field: minutes})


def _location(scope: Scope, record: Record) -> int | None:
    """The id of the account location with the name in the entry."""
    found = scope.store.find("account_locations", "name", record.get("location"))
    return int(found[0]) if found else None


declare(
    Resource(
        key="time_entries",
        filters={
            "approved": any_of(*APPROVED_TIME),
            "created_by": one_of("user_id"),
            "from_archived_workspaces": no_filter,
            "in_active_invoice_id": one_of("invoice_id"),
            "in_active_submission": either(lambda _, row: row.get("active_submission_id") is not None),
            "invoiced": always(invoiced),
            "uninvoiced": always(lambda scope, row: not invoiced(scope, row)),
            "with_timesheet_id": one_of("active_submission_id"),
            "with_recent_timesheet_ids": one_of("recent_submission_id"),
        },
        default_filters=(OF_LIVE_WORKSPACE,),
        prepare=(_prepare, currency_of_workspace),
        computed={
            "user_can_edit": lambda scope, row: not invoiced(scope, row) and not row.get("approved"),
            "location_id": _location,
        },
        written=(_log,),
        undeletable=lambda scope, row: (
            on_an_invoice(scope, row)
            or ("its date is locked" if str(row.get("date_performed")) <= lock_date(scope) else None)
        ),
    )
)
