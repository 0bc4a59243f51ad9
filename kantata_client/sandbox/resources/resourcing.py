"""Workspace resources, their allocations, and requests for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import registry
from kantata_client.sandbox.filters.custom_fields import custom_field_filters
from kantata_client.sandbox.filters.makers import (
    among,
    date_range,
    either,
    given,
    linked,
    no_filter,
    one_of,
    unless,
    when_true,
    where,
)
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._shared import fill, membership
from kantata_client.sandbox.routes import planning, requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.filters.match import Match, Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def _named(scope: Scope, allocation: Record) -> bool:
    resource = scope.store.get("workspace_resources", allocation.get("workspace_resource_id")) or {}
    return resource.get("user_id") is not None


def _primary_role(scope: Scope, workspace: object, user: object) -> object:
    """The role of a user in a project: of the participation, or else of the account membership."""
    rows = scope.store.where("participations", "workspace_id", str(workspace))
    roles = (row.get("primary_role_id") for row in rows if row.get("user_id") == str(user))
    return next(roles, None) or membership(scope, user).get("default_role_id")


def _place(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Give a new resource of a user the user's primary role, and a label."""
    store = scope.store
    if store.get("workspace_resources", record["id"]) is not None:
        return
    user, workspace = record.get("user_id"), record.get("workspace_id")
    if user is not None:
        fill(record, role_id=_primary_role(scope, workspace, user))
        rows = store.where("participations", "workspace_id", str(workspace))
        fill(record, participation_id=next((row["id"] for row in rows if row["user_id"] == user), None))
    role = store.get("roles", record.get("role_id")) or {}
    fill(
        record,
        role_name=role.get("name"),
        label=role.get("name"),
        full_name=(store.get("users", user) or {}).get("full_name"),
        workspace_title=(store.get("workspaces", workspace) or {}).get("title"),
    )
    fill(record, display_label=record.get("full_name") or record.get("label"))


def _last_of_role(scope: Scope, resource: Record) -> str | None:
    user, role = resource.get("user_id"), resource.get("role_id")
    primary = None if user is None else _primary_role(scope, resource["workspace_id"], user)
    if role is None or role != primary:
        return None
    rows = scope.store.where("workspace_resources", "workspace_id", resource["workspace_id"])
    same = [row for row in rows if (row.get("user_id"), row.get("role_id")) == (user, role)]
    return None if len(same) > 1 else f"it is the last one of user {user} in their primary role"


def _provides(scope: Scope, resource: Record) -> bool:
    """Whether a resource is unnamed, or its user is on the provider's side."""
    participation = scope.store.get("participations", resource.get("participation_id"))
    return participation is None or participation.get("role") == "maven"


def _potential(*, named: bool) -> Rule:
    """The resources that a task could be assigned to."""
    field = "potential_workspace_resource_ids" if named else "potential_workspace_resources_with_unnamed_ids"

    def rule(scope: Scope, value: str) -> Match:
        story = scope.store.get("stories", value)
        ids = registry.resource("stories").derived[field](scope, story) if story is not None else []
        return among(frozenset(ids))

    return rule


def _for_reassignment(scope: Scope, value: str) -> Match:
    """The other resources in the workspace of an assignment."""
    assignment = scope.store.get("assignments", value) or {}
    story = scope.store.get("stories", assignment.get("story_id")) or {}
    rows = scope.store.where("workspace_resources", "workspace_id", story.get("workspace_id"))
    return among(
        frozenset(
            row["id"]
            for row in rows
            if row.get("user_id") != assignment.get("assignee_id")
            and row["id"] != str(assignment.get("resource_id"))
        )
    )


def _overlap(scope: Scope, value: str) -> Match:
    first, last = date_range(value)
    return where(
        lambda record: (
            (record.get("start_date") or "") <= (last or "9") and (record.get("end_date") or "9") >= first
        )
    )


def _allocated(scope: Scope, key: str, identity: str, value: Any) -> None:
    resource = scope.store.get("workspace_resources", value)
    if resource is None:
        raise Refusal(422, invalid("resource_id", f"names no workspace resource: {value}."))
    resource_fields = {"workspace_resource_id": resource["id"], "workspace_id": resource["workspace_id"]}
    scope.store.change(key, identity, **resource_fields)


def _relabel(scope: Scope, identity: str, body: Mapping[str, Any]) -> None:
    """Label a resource by its new role, unless the request gives a label."""
    role = scope.store.get("roles", body.get("role_id"))
    if body["auto_update_label"] and role is not None and body.get("label") is None:
        named = {"label": role["name"], "display_label": role["name"]}
        scope.store.change("workspace_resources", identity, **named)


declare(
    Resource(
        key="workspace_resources",
        filters={
            **custom_field_filters("workspace_resources"),
            "potential_workspace_resource_for_story_with_unnamed_resources": _potential(named=False),
            "potential_workspace_resources_for_story": _potential(named=True),
            "potential_workspace_resources_for_reassignment": _for_reassignment,
            "providers": when_true(
                lambda scope, row: row.get("user_id") is not None and _provides(scope, row)
            ),
            "providers_with_unnamed": when_true(_provides),
            "with_organizations": either(lambda _, row: row.get("organization_membership_id") is not None),
            "include_unnamed": no_filter,
            "only_unnamed": when_true(lambda _, row: row.get("user_id") is None),
        },
        default_filters=(
            unless(
                given(
                    "include_unnamed",
                    "only_unnamed",
                    "providers_with_unnamed",
                    "potential_workspace_resource_for_story_with_unnamed_resources",
                ),
                lambda _, row: row.get("user_id") is not None,
            ),
        ),
        computed={
            "resource_bill_rate": lambda scope, row: membership(scope, row.get("user_id")).get(
                "bill_rate_in_cents"
            ),
            "resource_cost_rate": lambda scope, row: membership(scope, row.get("user_id")).get(
                "cost_rate_in_cents"
            ),
        },
        prepare=(_place,),
        undeletable=_last_of_role,
        composed={"auto_update_label": _relabel},
        owned=(
            ("assignments", "resource_id"),
            ("workspace_allocations", "workspace_resource_id"),
            ("workspace_resource_skills", "workspace_resource_id"),
            ("resource_requests", "resource_id"),
        ),
        routes={
            "POST /workspace_resources/allocations_matching_scheduled_hours": planning.match_scheduled_hours,
            "POST /workspace_resources/{id}/allocations_matching_scheduled_hours": (
                planning.match_scheduled_hours
            ),
        },
    )
)
declare(
    Resource(
        key="workspace_allocations",
        filters={
            "overlaps_with_date_range": _overlap,
            "user_ids": linked("workspace_resource_id", "workspace_resources", one_of("user_id")),
            "type": lambda _, value: where(lambda row: bool(row.get("hard")) == (value == "hard")),
            "named_resources_only": when_true(_named),
            "unnamed_resources_only": when_true(lambda scope, row: not _named(scope, row)),
        },
        properties={"resource_id": _allocated},
        routes={"PUT /workspace_allocations/split": planning.split_allocation},
    )
)
declare(
    Resource(
        key="resource_requests",
        filters={
            "pending_requests_only": when_true(lambda _, row: row.get("status") == "new"),
            "requests_for_approver": one_of("approver_ids"),
        },
        routes={
            "POST /resource_requests": requests.create,
            "PUT /resource_requests/{id}": requests.resolve,
            "PUT /resource_requests/{id}/update_approver": requests.change_approvers,
        },
    )
)
