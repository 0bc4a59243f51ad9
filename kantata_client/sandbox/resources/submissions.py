"""Timesheets and expense reports: what was submitted, and what was decided about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import given, one_of, unless, when_true
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._shared import currency_of_workspace, defaults
from kantata_client.sandbox.routes.decisions import decide, decide_many

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client.sandbox.filters.match import Match
    from kantata_client.sandbox.scope import Scope

ACTIVE = frozenset({"pending", "approved"})
"""States of a submission that has not been rejected or cancelled."""


def _in_status(scope: Scope, value: str) -> Match:
    """Submissions by status; the filter's word for `pending` is `new`."""
    return one_of("status")(scope, value.replace("new", "pending"))


_FILTERS = {
    "active": when_true(lambda _, row: row.get("status") in ACTIVE),
    "not_cancelled": when_true(lambda _, row: row.get("status") != "cancelled"),
    "statuses": _in_status,
}


def _submit(target: str) -> Callable[[Scope, str, str, Any], None]:
    """Put time entries or expenses into a submission."""

    def submit(scope: Scope, key: str, identity: str, value: Any) -> None:
        ids = [str(item) for item in cast("list[Any]", value)]
        missing = [item for item in ids if scope.store.get(target, item) is None]
        if missing:
            raise Refusal(
                422, invalid("line_item_ids", f"names no record of {target}: {', '.join(missing)}.")
            )
        submission = scope.store.get(key, identity) or {}
        for item in ids:
            row = scope.store.get(target, item) or {}
            if str(row.get("workspace_id")) != str(submission.get("workspace_id")):
                raise Refusal(422, invalid("line_item_ids", f"belongs to another project: {item}."))
            held = scope.store.get(key, row.get("active_submission_id")) or {}
            if held.get("status") in ACTIVE and held.get("id") != identity:
                raise Refusal(
                    422, invalid("line_item_ids", f"is in submission {held['id']} already: {item}.")
                )
        for item in ids:
            scope.store.change(target, item, active_submission_id=identity, recent_submission_id=identity)

    return submit


declare(
    Resource(
        key="timesheet_submissions",
        filters=_FILTERS,
        derived={
            "time_entry_ids": lambda scope, row: scope.store.find(
                "time_entries", "recent_submission_id", row["id"]
            )
        },
        prepare=(currency_of_workspace, defaults(status="pending")),
        properties={"line_item_ids": _submit("time_entries")},
        routes={
            "PUT /timesheet_submissions/{id}/approve": decide("approved"),
            "PUT /timesheet_submissions/{id}/reject": decide("rejected"),
            "PUT /timesheet_submissions/{id}/cancel": decide("cancelled"),
            "POST /timesheet_approvals": decide_many("approved"),
            "POST /timesheet_rejections": decide_many("rejected"),
            "POST /timesheet_cancellations": decide_many("cancelled"),
        },
    )
)
declare(
    Resource(
        key="expense_report_submissions",
        filters=_FILTERS,
        default_filters=(
            unless(given("all_on_account"), lambda scope, row: row.get("user_id") == scope.viewer),
        ),
        orders={"date": lambda _, row: row.get("created_at")},
        derived={
            "expense_ids": lambda scope, row: scope.store.find("expenses", "recent_submission_id", row["id"])
        },
        prepare=(currency_of_workspace, defaults(status="pending")),
        properties={"line_item_ids": _submit("expenses")},
        routes={
            "PUT /expense_report_submissions/{id}/approve": decide("approved"),
            "PUT /expense_report_submissions/{id}/reject": decide("rejected"),
            "PUT /expense_report_submissions/{id}/cancel": decide("cancelled"),
        },
    )
)
