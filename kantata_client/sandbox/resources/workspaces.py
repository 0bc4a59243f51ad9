"""Workspaces, their participants, their groups, their task statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.currencies import SYMBOLS
from kantata_client.sandbox.filters import selection
from kantata_client.sandbox.filters.conditions import OneOf
from kantata_client.sandbox.filters.custom_fields import (
    choices,
    custom_field_filters,
    date_ranges,
    integer_ranges,
)
from kantata_client.sandbox.filters.makers import (
    EVERYTHING,
    always,
    among,
    any_of,
    csv,
    date_range,
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
    where,
)
from kantata_client.sandbox.filters.match import Match
from kantata_client.sandbox.mutations import delete_one
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.resources._organizations import has_organization, shared
from kantata_client.sandbox.resources._shared import (
    APPROVED_TIME,
    FINANCIAL,
    PERMISSIONS,
    approvers,
    fill,
    line_total,
    lock_date,
    membership,
    nothing_more,
)
from kantata_client.sandbox.routes import actions, invitations, templates
from kantata_client.sandbox.routes.decisions import approve_until, toggle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.filters.match import Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


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


def _participating(scope: Scope, workspace: Record) -> bool:
    return any(row["user_id"] == scope.viewer for row in _participations(scope, workspace))


def _on_team(scope: Scope, workspace: Record) -> bool:
    """Whether the viewer is on the provider's team."""
    rows = _participations(scope, workspace)
    return any(row["user_id"] == scope.viewer and row.get("role") == "maven" for row in rows)


def _sees_finances(scope: Scope, workspace: Record) -> bool:
    """Whether the viewer is on the provider's team, with access to the finances."""
    return scope.viewer in approvers(scope, workspace["id"])


def _administers_time(scope: Scope, workspace: Record) -> bool:
    """Whether the viewer may approve time: an administrator, or one of the project's approvers."""
    administrator = membership(scope, scope.viewer).get("is_administrator")
    return bool(administrator) or scope.viewer in approvers(scope, workspace["id"])


def _joinable(scope: Scope, workspace: Record) -> bool:
    return workspace.get("access_level") == "open" and not _participating(scope, workspace)


def _milestones_between(scope: Scope, value: str) -> Match:
    """`MIN,MAX`: workspaces with a completed share of their milestones' weight in this range, in percent."""
    try:
        least, most = (float(word) for word in value.split(","))
    except ValueError:
        raise bad_request(f"{value!r} is not two numbers such as 25,75.") from None

    def keep(workspace: Record) -> bool:
        rows = scope.store.where("stories", "workspace_id", workspace["id"])
        milestones = [row for row in rows if row.get("story_type") == "milestone"]
        total = sum(row.get("weight") or 1 for row in milestones)
        done = sum(row.get("weight") or 1 for row in milestones if row.get("state") == "completed")
        return least <= (100 * done / total if total else 0) <= most

    return where(keep)


def _with_pending_timesheets(scope: Scope, value: str) -> Match:
    """`FROM;TO`: workspaces with pending timesheets in the period."""
    first, last = date_range(value.replace(";", ":"))

    def keep(workspace: Record) -> bool:
        rows = scope.store.where("timesheet_submissions", "workspace_id", workspace["id"])
        return any(
            row.get("status") == "pending"
            and str(row.get("start_date")) <= (last or "9")
            and str(row.get("end_date")) >= first
            for row in rows
        )

    return where(keep)


def _not_on_story(target: str, field: str) -> Rule:
    """Participations of users without a record in `target` that connects them to a task."""

    def rule(scope: Scope, value: str) -> Match:
        rows = scope.store.where(target, "story_id", value)
        connected = {str(row.get(field)) for row in rows if row.get("current") is not False}
        return where(lambda row: row["user_id"] not in connected)

    return rule


def _minutes(scope: Scope, workspace: Record, match: Match = EVERYTHING) -> int:
    of_workspace = Match(condition=OneOf("workspace_id", frozenset({workspace["id"]}), indexed=True))
    return selection.total(scope.store, "time_entries", [of_workspace, match], "time_in_minutes")


def _name(scope: Scope, user: object) -> str | None:
    return (scope.store.get("users", user) or {}).get("full_name")


def _invoices(scope: Scope, workspace: Record) -> list[Record]:
    rows = scope.store.where("invoices", "workspace_ids", workspace["id"])
    return [row for row in rows if row.get("status") != "cancelled" and not row.get("draft")]


def _invoiced(scope: Scope, workspace: Record) -> int:
    """The total of the invoices of a workspace, in cents."""
    return sum(line_total(scope, invoice) for invoice in _invoices(scope, workspace))


def _paid(scope: Scope, workspace: Record) -> int:
    rows = [row for row in _invoices(scope, workspace) if row.get("status") == "accepted payment"]
    return sum(line_total(scope, invoice) for invoice in rows)


def _money(workspace: Record, cents: int) -> str:
    return f"{workspace.get('currency_symbol') or ''}{cents / 100:,.2f}"


STATUSES: Mapping[int, tuple[str, str]] = {
    0: ("grey", "No Status"),
    100: ("grey", "Estimate"),
    110: ("grey", "Prospect"),
    120: ("grey", "In Setup"),
    200: ("green", "On Track"),
    210: ("green", "On Schedule"),
    220: ("green", "In Progress"),
    300: ("yellow", "Needs Attention"),
    305: ("green", "Active"),
    310: ("yellow", "Warning"),
    400: ("grey", "Completed"),
    410: ("grey", "Done"),
    420: ("grey", "Closed"),
    500: ("red", "At Risk"),
    510: ("red", "Cancelled"),
}
"""Key → colour and message. Real accounts define their own."""


def _status(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Set the status, and log the change."""
    found = STATUSES.get(int(value))
    if found is None:
        supported = ", ".join(map(str, STATUSES))
        raise Refusal(422, invalid("status_key", f"is not a status of this account; it has {supported}."))
    colour, message = found
    old: Record = (scope.store.get(key, identity) or {}).get("status") or {}
    status = {"color": colour, "key": str(value), "message": message}
    scope.store.change(key, identity, status=status)
    change = fresh(
        scope,
        "workspace_status_changes",
        workspace_id=identity,
        user_id=scope.viewer,
        from_status_key=old.get("key"),
        from_message=old.get("message"),
        from_color=old.get("color"),
        to_status_key=str(value),
        to_message=message,
        to_color=colour,
    )
    scope.store.put("workspace_status_changes", change)


def _change_orders(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Let changes of the budget need approval."""
    scope.store.change(key, identity, change_orders_enabled=bool(value))


def _invoice_preference(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Set the defaults of new invoices."""
    preferences = "workspace_invoice_preferences"
    existing = scope.store.find(preferences, "workspace_id", identity)
    if existing:
        scope.store.change(preferences, existing[0], **value)
        return
    row = scope.store.put(preferences, fresh(scope, preferences, workspace_id=int(identity), **value))
    scope.store.change(key, identity, workspace_invoice_preference_id=int(row["id"]))


def _participants(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Add users to the provider's team."""
    for row in cast("list[dict[str, Any]]", value):
        user = row.get("user_id")
        if scope.store.get("users", user) is None:
            raise Refusal(422, invalid("participations", f"names no user: {user}."))
        if str(user) in {
            row["user_id"] for row in scope.store.where("participations", "workspace_id", identity)
        }:
            continue
        invitations.join(scope, identity, str(user), access=row.get("access") or "edit_tasks")


def _default_statuses(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Give a new set the default statuses, one for each state."""
    for position, name in enumerate(("Not Started", "Started", "Needs Info", "Completed"), start=1):
        fields = {"status": name, "category": name.lower(), "position": position}
        fields |= {"task_status_set_id": record["id"], "status_set_id": int(record["id"])}
        scope.store.put("custom_task_statuses", fresh(scope, "custom_task_statuses", **fields))


def _last_in_set(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """A new status belongs to its set, after the others."""
    others = scope.store.where("custom_task_statuses", "task_status_set_id", str(record.get("status_set_id")))
    last = max((row.get("position") or 0 for row in others if row["id"] != record["id"]), default=0)
    fill(record, task_status_set_id=str(record.get("status_set_id")), position=last + 1)


def _organizations(scope: Scope, key: str, identity: str, value: Any) -> None:
    for fields in cast("list[dict[str, Any]]", value):
        about = {"member_type": "workspace", "member_id": identity, "primary": True}
        row = fresh(scope, "organization_memberships", **about, **fields)
        scope.store.put("organization_memberships", row)


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
        change_orders_enabled=bool(record.get("budgeted")),
        workspace_group_ids=[],
        primary_maven_id=scope.viewer,
    )
    fill(record, currency_symbol=SYMBOLS[record["currency"]])


def _once(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Refuse a second participation of a user in a project."""
    rows = scope.store.where("participations", "workspace_id", record.get("workspace_id"))
    if any(row["user_id"] == record.get("user_id") and row["id"] != record["id"] for row in rows):
        raise Refusal(422, invalid("user_id", f"takes part in the project already: {record.get('user_id')}."))


def _leave(scope: Scope, participation: Record) -> None:
    """Remove the participant's resources in the project, with their assignments and allocations."""
    for row in scope.store.where("workspace_resources", "workspace_id", participation["workspace_id"]):
        if row.get("user_id") == participation["user_id"]:
            delete_one(scope, "workspace_resources", row)


def _join(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Make the creator of a workspace its first participant."""
    ids = {"workspace_id": record["id"], "user_id": scope.viewer}
    side = CREATOR_ROLES[body.get("creator_role") or "consultant"]
    role = {"role": side, "access_level": "admin", "is_team_lead": True}
    scope.store.put("participations", fresh(scope, "participations", **ids, **role))


def _team_lead(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, is_team_lead=bool(value))


_GROUPED = {"edit": ("can_edit", "can_post"), "view_only": (), "view_and_post": ("can_post",)}
"""Words in `permissions` that stand for several fields."""


def _permit(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Permit what a comma-separated list names, and nothing else."""
    named = csv(str(value))
    unknown = [word for word in named if word not in {*PERMISSIONS, *_GROUPED}]
    if unknown:
        known = ", ".join((*_GROUPED, *PERMISSIONS))
        message = f"has no {', '.join(sorted(unknown))}; it takes {known}."
        raise Refusal(422, invalid("permissions", message))
    granted = {field for word in named for field in _GROUPED.get(word, (word,))}
    scope.store.change(key, identity, **{field: field in granted for field in PERMISSIONS})


def _permissions_label(scope: Scope, participation: Record) -> str:
    if participation.get("can_edit") is not False:
        return "edit"
    granted = any(participation.get(field) for field in PERMISSIONS)
    return "view_with_custom" if granted else "view_only"


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


def _unarchive(call: Call) -> dict[str, Any]:
    """Unarchive a workspace that requires approvals, and approve its time up to the account's lock."""
    locked = lock_date(call.scope)
    if locked and call.existing().get("require_time_approvals"):
        approve_until(call.scope, "time_entries", call.identity, locked)
    return call.change(archived=False)


declare(
    Resource(
        key="workspaces",
        spellings={"access_level": {"admins": "admin"}},
        filters={
            **custom_field_filters("workspaces"),
            "current_user_is_maven_participant": always(_on_team),
            "custom_date_range": date_ranges("workspaces"),
            "custom_integer_ranges": integer_ranges("workspaces"),
            "selected_choices": choices("workspaces"),
            "financials_viewable_by_user": when_true(_sees_finances),
            "has_approvers": either(lambda _, row: bool(row.get("approver_id") or row.get("approver_ids"))),
            "milestone_weight_percentage_complete": _milestones_between,
            "on_account_by_orgs": when_true(shared),
            "only_joinable": when_true(lambda scope, row: _joinable(scope, row) and shared(scope, row)),
            "only_participating_or_joinable": when_true(
                lambda scope, row: _participating(scope, row) or _joinable(scope, row)
            ),
            "only_project_manager_in": when_true(_sees_finances),
            "participant_or_org_member_in": when_true(
                lambda scope, row: _participating(scope, row) or shared(scope, row)
            ),
            "pending_timesheet_submissions": _with_pending_timesheets,
            "viewable_for_time_administration": when_true(_administers_time),
            "with_organizations": has_organization("workspace"),
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
                p["user_id"] for p in _participations(scope, row) if p.get("access_level") in FINANCIAL
            ],
            "possible_approver_ids": lambda scope, row: list(approvers(scope, row["id"])),
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
        computed={
            "billable_minutes": lambda scope, row: _minutes(
                scope, row, where(lambda entry: bool(entry.get("billable")))
            ),
            "client_lead_name": lambda scope, row: _name(scope, row.get("primary_counterpart_id")),
            "estimated_minutes": lambda scope, row: sum(
                story.get("time_estimate_in_minutes") or 0
                for story in scope.store.where("stories", "workspace_id", row["id"])
            ),
            "incoming_email_address": lambda _, row: f"project-{row['id']}@sandbox.example",
            "lock_date": lambda scope, _: lock_date(scope) or None,
            "minutes_logged": _minutes,
            "non_billable_minutes": lambda scope, row: _minutes(
                scope, row, where(lambda entry: not entry.get("billable"))
            ),
            "provider_lead_name": lambda scope, row: _name(scope, row.get("primary_maven_id")),
            "total_invoiced": lambda scope, row: _money(row, _invoiced(scope, row)),
            "total_minutes_approved": lambda scope, row: _minutes(
                scope, row, any_of(*APPROVED_TIME)(scope, "")
            ),
        },
        orders={"amount_paid": _paid},
        prepare=(_prepare,),
        created=(_join,),
        properties={
            "creator_role": nothing_more,
            "status_key": _status,
            "change_orders": _change_orders,
            "invoice_preference": _invoice_preference,
            "participations": _participants,
            "organizations": _organizations,
            **dict.fromkeys(templates.OPTIONS, nothing_more),
        },
        composed={"project_tracker_template_id": templates.apply},
        owned=tuple(
            (target, "workspace_id")
            for target in (
                *("time_entries", "stories", "expenses", "participations", "workspace_resources", "posts"),
                *("timesheet_submissions", "status_reports", "billing_milestones", "expense_budgets"),
                *("expense_report_submissions", "workspace_allocations", "workspace_invitations"),
                *("workspace_invoice_preferences", "project_snapshots", "project_accounting_records"),
                *("workspace_baselines", "workspace_status_changes", "workspace_task_status_sets"),
                *("survey_templates", "user_file_associations"),
            )
        ),
        routes={
            "PUT /workspaces/{id}/toggle_time_approvals": toggle(
                "require_time_approvals", "timesheet_submissions"
            ),
            "PUT /workspaces/{id}/toggle_expense_approvals": toggle(
                "require_expense_approvals", "expense_report_submissions"
            ),
            "PUT /workspaces/{id}/unarchive_with_approvals": _unarchive,
            "POST /workspaces/{id}/invite": invitations.invite,
            "GET /workspaces/{id}/permissions": actions.permissions,
            "PUT /workspaces/{id}/apply_template": templates.apply_to_workspace,
        },
    )
)
declare(
    Resource(
        key="participations",
        filters={
            "not_assigned_to_story": _not_on_story("assignments", "assignee_id"),
            "not_following_story": _not_on_story("story_follows", "follower_id"),
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
        computed={
            "is_foreign_participant": lambda _, row: False,  # the sandbox has one account
            "permissions_label": _permissions_label,
        },
        prepare=(_once,),
        deleting=(_leave,),
        spellings={"access_level": invitations.ACCESS_LEVELS},
        properties={"team_lead": _team_lead, "permissions": _permit},
        without_effect=frozenset({"can_edit_todos"}),
    )
)
declare(
    Resource(
        key="workspace_groups",
        filters={
            **custom_field_filters("workspace_groups"),
            "companies_only": when_true(lambda _, row: bool(row.get("company"))),
        },
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
        created=(_default_statuses,),
        owned=(
            ("custom_task_statuses", "task_status_set_id"),
            ("workspace_task_status_sets", "status_set_id"),
        ),
        undeletable=lambda scope, row: (
            "a project uses it" if scope.store.number("workspaces", "task_status_set_id", row["id"]) else None
        ),
        routes={"PUT /task_status_sets/{id}/update_account_default": actions.default_statuses},
    )
)
declare(Resource(key="custom_task_statuses", prepare=(_last_in_set,)))
declare(
    Resource(
        key="workspace_task_status_sets",
        routes={"PUT /workspace_task_status_sets/bulk_update": actions.set_task_statuses},
    )
)
