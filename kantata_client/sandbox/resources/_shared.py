"""Tests and steps that several resources share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import csv, denied, given, unless, where

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kantata_client.sandbox.filters.match import Match, Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.registry import Prepare
    from kantata_client.sandbox.scope import Scope

INVOICE_ITEMS = {"fixed_fee_items": "fixed_fee_item_ids", "additional_items": "additional_item_ids"}
"""Envelope key of invoice items → the invoice's field with their ids."""

PERMISSIONS = (
    *("can_edit", "can_post", "can_edit_expense", "can_edit_time", "can_invite"),
    *("can_schedule_their_hours", "can_schedule_team_hours"),
)
"""Fields of a participation that the words in `permissions` switch on."""

CURRENCY = ("currency", "currency_symbol", "currency_base_unit")


def fill(record: dict[str, Any], **defaults: Any) -> None:
    """Set fields that are null to defaults."""
    for field, value in defaults.items():
        if record.get(field) is None:
            record[field] = value


def defaults(**values: Any) -> Prepare:
    """A step that sets fields that are null to defaults."""
    return lambda scope, record, changes: fill(record, **values)


def nothing_more(scope: Scope, key: str, identity: str, value: Any) -> None:
    """No effect: other steps use the property."""


def currency_of_workspace(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Take the currency from the workspace."""
    workspace = scope.store.get("workspaces", record.get("workspace_id")) or {}
    fill(record, **{field: workspace.get(field) for field in CURRENCY})


def membership(scope: Scope, user: object) -> Record:
    """The account membership of a user, by the user's id; an empty record without one."""
    found = scope.store.where("account_memberships", "user_id", user)
    return found[0] if found else {}


def in_archived_workspace(scope: Scope, record: Record) -> bool:
    """Whether a record belongs to an archived workspace."""
    workspace = scope.store.get("workspaces", record.get("workspace_id"))
    return workspace is not None and bool(workspace.get("archived"))


def story_of(scope: Scope, record: Record) -> Record:
    """The task that a record belongs to; an empty record without one."""
    return scope.store.get("stories", record.get("story_id")) or {}


def participants(scope: Scope, value: str) -> frozenset[str]:
    """The ids of the participants of the workspaces in a comma-separated value."""
    return frozenset(
        row["user_id"]
        for word in csv(value)
        for row in scope.store.where("participations", "workspace_id", word)
    )


FINANCIAL = frozenset({"admin", "financial", "edit_financials", "view_financials"})
"""Levels of access of a participation that include the finances."""


def approvers(scope: Scope, workspace: object) -> list[str]:
    """The users on the provider's side of a workspace who may approve time and expenses."""
    return [
        row["user_id"]
        for row in scope.store.where("participations", "workspace_id", workspace)
        if row.get("role") == "maven" and row.get("access_level") in FINANCIAL
    ]


def workspaces_of(scope: Scope, user: object) -> set[str]:
    """The ids of the workspaces in which a user participates."""
    return {row["workspace_id"] for row in scope.store.where("participations", "user_id", user)}


def participates(link: str) -> Rule:
    """The records whose user (id in `link`) participates in a workspace."""

    def rule(scope: Scope, value: str) -> Match:
        users = participants(scope, value)
        return where(lambda record: str(record.get(link)) in users)

    return rule


def invoiced(scope: Scope, record: Record) -> bool:
    """Whether a time entry or an expense is on an invoice."""
    return record.get("invoice_id") is not None


def on_an_invoice(scope: Scope, record: Record) -> str | None:
    """Why a time entry or an expense can't be deleted."""
    return "it is on an invoice" if invoiced(scope, record) else None


def marked_approved(scope: Scope, record: Record) -> bool:
    """Whether a record was approved by itself, or with its submission."""
    return bool(record.get("approved"))


def _in_approved_submission(key: str) -> Callable[[Scope, Record], bool]:
    """Whether a record is in an approved submission (with this envelope key)."""

    def test(scope: Scope, record: Record) -> bool:
        submission = scope.store.get(key, record.get("active_submission_id")) or {}
        return submission.get("status") == "approved"

    return test


def _needs_no_approval(field: str) -> Callable[[Scope, Record], bool]:
    """Whether a record's workspace does not require approvals (in this field)."""

    def test(scope: Scope, record: Record) -> bool:
        workspace = scope.store.get("workspaces", record.get("workspace_id")) or {}
        return not workspace.get(field)

    return test


APPROVED_TIME = (
    marked_approved,
    _needs_no_approval("require_time_approvals"),
    _in_approved_submission("timesheet_submissions"),
)
"""The tests of which an approved time entry passes one."""

reported = _in_approved_submission("expense_report_submissions")
APPROVED_EXPENSE = (marked_approved, _needs_no_approval("require_expense_approvals"), reported)
"""The tests of which an approved expense passes one."""


def approved(scope: Scope, record: Record) -> bool:
    """Whether a time entry or an expense is approved, or needs no approval."""
    tests = APPROVED_EXPENSE if "amount_in_cents" in record else APPROVED_TIME
    return any(test(scope, record) for test in tests)


def lock_date(scope: Scope) -> str:
    """The last day up to which time is locked; empty without a lock."""
    return max((str(row.get("locked_to")) for row in scope.store.all("line_item_locks")), default="")


def line_total(scope: Scope, invoice: Record) -> int:
    """The cents of an invoice's line items."""
    store = scope.store
    time = sum(
        (row.get("time_in_minutes") or 0) * (row.get("rate_in_cents") or 0) // 60
        for row in store.where("time_entries", "invoice_id", invoice["id"])
    )
    spent = sum(
        row.get("amount_in_cents") or 0 for row in store.where("expenses", "invoice_id", invoice["id"])
    )
    milestones = sum(
        row.get("amount_in_cents") or 0
        for row in store.where("billing_milestones", "invoice_id", invoice["id"])
    )
    items = sum(
        (store.get(key, identity) or {}).get("amount_in_cents") or 0
        for key, field in INVOICE_ITEMS.items()
        for identity in invoice.get(field) or ()
    )
    return time + spent + milestones + items


def mine(field: str = "user_id") -> Callable[[Scope, Record], bool]:
    """Whether a record is the viewer's."""
    return lambda scope, record: record.get(field) == scope.viewer


OF_LIVE_WORKSPACE = unless(
    given("from_archived_workspaces"), lambda scope, record: not in_archived_workspace(scope, record)
)
"""Default filter: records of archived workspaces are hidden."""

OF_LIVE_STORY = (
    unless(
        denied("in_unarchived_stories"), lambda scope, record: not story_of(scope, record).get("archived")
    ),
    unless(
        denied("in_unarchived_workspaces"),
        lambda scope, record: not in_archived_workspace(scope, story_of(scope, record)),
    ),
)
"""Default filters: records of archived tasks, and of tasks in archived workspaces, are hidden."""
