"""Workspaces, their participants, their groups, their task statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import (
    EVERYTHING,
    among,
    csv,
    either,
    flag,
    given,
    linked,
    no_filter,
    one_of,
    opposite,
    text,
    three_way,
    unless,
    when_true,
)
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.resources._shared import fill, nothing_more
from kantata_client.sandbox.routes import actions
from kantata_client.sandbox.routes.decisions import toggle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kantata_client.sandbox.filters.makers import Match
    from kantata_client.sandbox.relations import Scope
    from kantata_client.sandbox.store import Record

SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


CREATOR_ROLES = {"consultant": "maven", "client": "buyer"}
"""`creator_role` → the role of the participation that the creator gets."""


def _with_participant(scope: Scope, value: str) -> Match:
    return among(
        frozenset(
            row["workspace_id"]
            for word in csv(value)
            for row in scope.store.where("participations", "user_id", word)
        )
    )


def _with_consultant(scope: Scope, value: str) -> Match:
    rows = [row for word in csv(value) for row in scope.store.where("participations", "user_id", word)]
    return among(frozenset(row["workspace_id"] for row in rows if row.get("role") == "maven"))


def _next_milestone(scope: Scope, workspace: Record) -> list[str]:
    open_ones = [
        story
        for story in scope.store.where("stories", "workspace_id", workspace["id"])
        if story["story_type"] == "milestone" and story["state"] != "completed"
    ]
    return [min(open_ones, key=lambda story: story["due_date"] or "9")["id"]] if open_ones else []


def _latest(key: str, field: str) -> Callable[[Scope, Record], list[str]]:
    def derive(scope: Scope, record: Record) -> list[str]:
        rows = scope.store.where(key, field, record["id"])
        return [max(rows, key=lambda row: row.get("created_at") or "")["id"]] if rows else []

    return derive


def _participations(scope: Scope, workspace: Record) -> list[Record]:
    return scope.store.where("participations", "workspace_id", workspace["id"])


def _resources(scope: Scope, workspace: Record) -> list[Record]:
    return scope.store.where("workspace_resources", "workspace_id", workspace["id"])


def _prepare(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    fill(
        record,
        archived=False,
        currency="USD",
        currency_base_unit=100,
        access_level="invitation",
        budgeted=False,
        percentage_complete=0,
        consultant_role_name="Consultants",
        client_role_name="Clients",
        require_time_approvals=False,
        require_expense_approvals=False,
        time_trackable=True,
        workspace_group_ids=[],
        primary_maven_id=scope.viewer,
    )
    fill(record, currency_symbol=SYMBOLS.get(record["currency"], record["currency"]))


def _join(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Make the creator of a workspace its first participant."""
    place = {"workspace_id": record["id"], "user_id": scope.viewer}
    side = CREATOR_ROLES[body.get("creator_role") or "consultant"]
    role = {"role": side, "access_level": "admin", "is_team_lead": True}
    scope.store.put("participations", fresh(scope, "participations", **place, **role))


def _team_lead(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, is_team_lead=bool(value))


def _add_workspaces(scope: Scope, key: str, identity: str, value: Any) -> None:
    _regroup(scope, identity, value, member=True)


def _remove_workspaces(scope: Scope, key: str, identity: str, value: Any) -> None:
    _regroup(scope, identity, value, member=False)


def _regroup(scope: Scope, group: str, ids: Any, *, member: bool) -> None:
    for item in cast("list[Any]", ids):
        workspace = scope.store.get("workspaces", item)
        if workspace is not None:
            groups = [other for other in workspace.get("workspace_group_ids") or () if other != group]
            scope.store.change("workspaces", workspace["id"], workspace_group_ids=groups + [group] * member)


declare(
    Resource(
        key="workspaces",
        filters={
            "archived": three_way("archived"),
            "creator": one_of("creator_id"),
            "has_participant": _with_participant,
            "has_maven_participant": _with_consultant,
            "has_participation": lambda scope, value: (
                _with_participant(scope, scope.viewer) if flag(value) else EVERYTHING
            ),
            "include_archived": no_filter,
            "provider_lead": one_of("primary_maven_id"),
            "requiring_expense_approval": either(lambda _, row: bool(row.get("require_expense_approvals"))),
            "user_not_participating": opposite(_with_participant),
            "workspace_groups": one_of("workspace_group_ids"),
        },
        default_filters=(
            unless(given("include_archived", "archived"), lambda _, row: not row.get("archived")),
        ),
        derived={
            "participant_ids": lambda scope, row: [p["user_id"] for p in _participations(scope, row)],
            "financial_viewer_ids": lambda scope, row: [
                p["user_id"]
                for p in _participations(scope, row)
                if p.get("access_level") in {"admin", "financial"}
            ],
            "current_user_participation_id": lambda scope, row: [
                p["id"] for p in _participations(scope, row) if p["user_id"] == scope.viewer
            ],
            "next_uncompleted_milestone_id": _next_milestone,
            "current_status_report_id": _latest("status_reports", "workspace_id"),
            "workspace_resource_ids": lambda scope, row: [
                r["id"] for r in _resources(scope, row) if r.get("user_id") is not None
            ],
            "workspace_resources_with_unnamed_ids": lambda scope, row: [
                r["id"] for r in _resources(scope, row)
            ],
        },
        prepare=(_prepare,),
        created=(_join,),
        properties={"creator_role": nothing_more},
        without_effect=frozenset({"change_orders"}),
        owned=tuple(
            (target, "workspace_id")
            for target in (
                *("time_entries", "stories", "expenses", "participations", "workspace_resources", "posts"),
                *("timesheet_submissions", "status_reports", "billing_milestones", "expense_budgets"),
            )
        ),
        unknown_includes=frozenset({"possible_approvers"}),
        routes={
            "PUT /workspaces/{id}/toggle_time_approvals": toggle("require_time_approvals"),
            "PUT /workspaces/{id}/toggle_expense_approvals": toggle("require_expense_approvals"),
            "PUT /workspaces/{id}/unarchive_with_approvals": lambda call: call.change(archived=False),
            "POST /workspaces/{id}/invite": actions.invite,
        },
        not_emulated={
            "GET /workspaces/{id}/permissions": "permissions",
            "PUT /workspaces/{id}/apply_template": "project templates' application",
        },
    )
)
declare(
    Resource(
        key="participations",
        filters={
            "by_user": one_of("user_id"),
            "by_user_full_name": linked("user_id", "users", text("full_name")),
            "mavens_only": when_true(lambda _, row: row.get("role") == "maven"),
        },
        derived={
            "workspace_resource_ids": lambda scope, row: [
                resource["id"]
                for resource in scope.store.where("workspace_resources", "workspace_id", row["workspace_id"])
                if resource.get("user_id") == row["user_id"]
            ]
        },
        properties={"team_lead": _team_lead},
        without_effect=frozenset({"can_edit_todos", "permissions"}),
    )
)
declare(
    Resource(
        key="workspace_groups",
        derived={
            "workspace_ids": lambda scope, row: scope.store.find(
                "workspaces", "workspace_group_ids", row["id"]
            )
        },
        properties={"add_workspace_ids": _add_workspaces, "remove_workspace_ids": _remove_workspaces},
    )
)
declare(
    Resource(
        key="task_status_sets",
        routes={"PUT /task_status_sets/{id}/update_account_default": actions.default_statuses},
    )
)
declare(
    Resource(
        key="workspace_task_status_sets",
        not_emulated={"PUT /workspace_task_status_sets/bulk_update": "task status sets of workspaces"},
    )
)
