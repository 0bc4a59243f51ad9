"""Expenses and their categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import (
    always,
    any_of,
    between,
    denied,
    either,
    if_true,
    no_filter,
    one_of,
    unless,
    when_true,
)
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._shared import (
    APPROVED_EXPENSE,
    OF_LIVE_WORKSPACE,
    currency_of_workspace,
    defaults,
    invoiced,
    marked_approved,
    mine,
    on_an_invoice,
    reported,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.scope import Scope


def _billable(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, is_billable=value)


def _keep_workspace(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    old = scope.store.get("expenses", record["id"])
    if old is not None and str(old.get("workspace_id")) != str(record.get("workspace_id")):
        raise Refusal(422, invalid("workspace_id", "can't be changed."))


_BUDGETS: Mapping[tuple[bool, bool, bool], str] = {
    (True, True, True): "a fixed fee budget",
    (False, True, True): "an itemized budget",
    (False, True, False): "a cost-only budget",
    (False, False, True): "a pass-through budget",
    (True, False, True): "a pass-through fixed fee budget",
}
"""(fixed_fee, burns_budget, billable) → what that is called."""


def _kind_of_budget(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    fields = ("fixed_fee", "burns_budget", "billable")
    kind = tuple(bool(record.get(field)) for field in fields)
    if kind not in _BUDGETS and changes.keys() & fields:
        possible = "; ".join(
            f"{name} has {', '.join(str(each).lower() for each in values)}"
            for values, name in _BUDGETS.items()
        )
        message = f"can't be combined with the other two of {', '.join(fields)}: {possible}."
        raise Refusal(422, invalid("fixed_fee", message))


declare(
    Resource(
        key="expense_budgets",
        prepare=(_kind_of_budget,),
        undeletable=lambda scope, row: (
            "expenses are logged to it"
            if scope.store.number("expenses", "expense_budget_id", row["id"])
            else None
        ),
    )
)
declare(
    Resource(
        key="expense_categories",
        filters={"only_active": no_filter},
        default_filters=(unless(denied("only_active"), lambda _, row: row.get("deleted_at") is None),),
        soft_delete="marked",
    )
)
declare(
    Resource(
        key="expenses",
        filters={
            "approved": if_true(any_of(*APPROVED_EXPENSE)),
            "created_by": one_of("user_id"),
            "date_expensed_between": between("date"),
            "from_archived_workspaces": no_filter,
            "in_active_invoice_id": one_of("invoice_id"),
            "invoiced": always(invoiced),
            "uninvoiced": always(lambda scope, row: not invoiced(scope, row)),
            "mine": when_true(mine()),
            "submitted": when_true(lambda _, row: row.get("active_submission_id") is not None),
            "unsubmitted": when_true(lambda _, row: row.get("active_submission_id") is None),
            "with_expense_approvals": either(
                lambda scope, row: bool(
                    (scope.store.get("workspaces", row.get("workspace_id")) or {}).get(
                        "require_expense_approvals"
                    )
                )
            ),
            "with_expense_report_id": one_of("active_submission_id"),
            "with_recent_expense_report_ids": one_of("recent_submission_id"),
        },
        default_filters=(OF_LIVE_WORKSPACE,),
        prepare=(_keep_workspace, defaults(is_billable=True, is_invoiced=False), currency_of_workspace),
        properties={"billable": _billable},
        computed={
            "user_can_edit": lambda scope, row: (
                not invoiced(scope, row) and not marked_approved(scope, row) and not reported(scope, row)
            )
        },
        undeletable=on_an_invoice,
    )
)
