"""Users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client.sandbox.filters.custom_fields import custom_field_filters
from kantata_client.sandbox.filters.makers import (
    among,
    csv,
    date_range,
    given,
    no_filter,
    not_own_id,
    one_of,
    opposite,
    own_id,
    unless,
    when_true,
    where,
)
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._organizations import has_organization
from kantata_client.sandbox.resources._shared import approvers, membership, participants, participates
from kantata_client.sandbox.resources._skills import with_skills
from kantata_client.sandbox.routes import actions, files, planning

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client.sandbox.filters.match import Match, Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

ACCOUNT = "1"
"""Id of the one account."""
LEADS = frozenset({"administrator", "reports_viewer_with_cost", "reports_viewer", "project_lead"})
"""Permissions of an account membership that include leading projects."""


def _takes_part(role: str) -> Callable[[Scope, Record], bool]:
    def takes_part(scope: Scope, user: Record) -> bool:
        rows = scope.store.where("participations", "user_id", user["id"])
        return any(row.get("role") == role for row in rows)

    return takes_part


def _skilled(scope: Scope, user: str, skills: str) -> bool:
    rows = scope.store.where("skill_memberships", "user_id", user)
    return any(row["skill_id"] in csv(skills) for row in rows)


def possible_managees(scope: Scope) -> set[str]:
    """The users the viewer could manage: all except the viewer and their managers."""
    above: set[str] = {scope.viewer}
    manager = (scope.store.get("users", scope.viewer) or {}).get("manager_id")
    while manager is not None and str(manager) not in above:
        above.add(str(manager))
        manager = (scope.store.get("users", manager) or {}).get("manager_id")
    return set(scope.store.ids("users")) - above


def possible_managers(scope: Scope) -> set[str]:
    """The users who could manage the viewer: all active users except the viewer."""
    return {
        str(row["user_id"])
        for row in scope.store.all("account_memberships")
        if row.get("disabled_at") is None
    } - {scope.viewer}


def _on_team_of_resource(scope: Scope, value: str) -> Match:
    resource = scope.store.get("workspace_resources", value) or {}
    return among(participants(scope, str(resource.get("workspace_id"))))


def _in_organizations(scope: Scope, value: str) -> Match:
    """`GEOGRAPHY_IDS;DEPARTMENT_IDS`: users in one of the geographies and one of the departments."""
    geographies, _, departments = value.partition(";")
    criteria = {"geography_id": csv(geographies), "department_id": csv(departments)}
    ids = frozenset(
        str(row["member_id"])
        for row in scope.store.all("organization_memberships")
        if row.get("member_type") == "user"
        and all(not named or str(row.get(field)) in named for field, named in criteria.items())
    )
    return among(ids)


def _named_or_in_role(scope: Scope, value: str) -> Match:
    text = value.casefold()

    def keep(user: Record) -> bool:
        role = scope.store.get("roles", membership(scope, user["id"]).get("default_role_id")) or {}
        return text in str(user.get("full_name")).casefold() or text in str(role.get("name", "")).casefold()

    return where(keep)


def _apart_from(target: str, field: str) -> Rule:
    """Users without a record in `target` that connects them to a task."""

    def rule(scope: Scope, value: str) -> Match:
        rows = [row for word in csv(value) for row in scope.store.where(target, "story_id", word)]
        connected = {str(row.get(field)) for row in rows if row.get("current") is not False}
        return where(lambda user: user["id"] not in connected)

    return rule


def _could_follow(scope: Scope, value: str) -> Match:
    story = scope.store.get("stories", value) or {}
    following = {row["follower_id"] for row in scope.store.where("story_follows", "story_id", value)}
    following |= set(story.get("follower_ids") or ())
    return among(participants(scope, str(story.get("workspace_id"))) - following)


def _not_on_calendars(scope: Scope, value: str) -> Match:
    rows = [
        row
        for word in csv(value)
        for row in scope.store.where("holiday_calendar_memberships", "holiday_calendar_id", word)
    ]
    taken = {str(row["user_id"]) for row in rows}
    return where(lambda user: user["id"] not in taken)


def _without_submission(scope: Scope, value: str) -> Match:
    """`WORKSPACE_ID:START:END`: participants without a timesheet that overlaps the period."""
    workspace, _, period = value.partition(":")
    first, last = date_range(period)
    rows = scope.store.where("timesheet_submissions", "workspace_id", workspace)
    submitted = {
        row["user_id"]
        for row in rows
        if row.get("status") in {"pending", "approved"}
        and str(row.get("start_date")) <= (last or "9")
        and str(row.get("end_date")) >= first
    }
    return among(participants(scope, workspace) - submitted)


def _on_account(user: Record) -> bool:
    return not user.get("left_account")


def _member(keep: Callable[[Record], bool]) -> Rule:
    """Users whose account membership passes a test."""
    return when_true(lambda scope, user: keep(membership(scope, user["id"])))


declare(
    Resource(
        key="users",
        filters={
            **custom_field_filters("users"),
            "account_id": lambda scope, value: where(_on_account) if value == ACCOUNT else among(frozenset()),
            "on_my_account": when_true(lambda scope, user: _on_account(user)),
            "all_contacts": no_filter,
            "assignable_to_resource": _on_team_of_resource,
            "belonging_to_orgs": _in_organizations,
            "by_full_name_or_account_role": _named_or_in_role,
            "can_be_approver_in_workspace": lambda scope, value: among(frozenset(approvers(scope, value))),
            "contacts_on_different_account": when_true(lambda scope, user: not _on_account(user)),
            "not_assigned_to": _apart_from("assignments", "assignee_id"),
            "not_following": _apart_from("story_follows", "follower_id"),
            "not_on_calendars": _not_on_calendars,
            "only_possible_managees": when_true(lambda scope, user: user["id"] in possible_managees(scope)),
            "only_possible_managers": when_true(lambda scope, user: user["id"] in possible_managers(scope)),
            "potential_followers_for_story": _could_follow,
            "provider_leads_on_account_projects": when_true(
                lambda scope, user: bool(scope.store.number("workspaces", "primary_maven_id", user["id"]))
            ),
            "show_users_in_insights_groups": when_true(
                lambda scope, user: bool(
                    scope.store.number("insights_access_group_memberships", "user_id", user["id"])
                )
            ),
            "with_created_estimates": when_true(
                lambda scope, user: bool(scope.store.number("estimates", "creator_id", user["id"]))
            ),
            "with_organizations": has_organization("user"),
            "with_skills": with_skills("id"),
            "without_timesheet_submission": _without_submission,
            "write_access_in": lambda scope, value: among(
                frozenset(
                    row["user_id"]
                    for row in scope.store.where("participations", "workspace_id", value)
                    if not row.get("show_as_read_only")
                )
            ),
            "clients_only": when_true(_takes_part("buyer")),
            "consultants_only": when_true(_takes_part("maven")),
            "without_skills": lambda scope, value: where(lambda user: not _skilled(scope, user["id"], value)),
            "account_role_ids": one_of("role_id"),
            "by_email_address": one_of("email_address"),
            "by_email_addresses": one_of("email_address"),
            "can_view_reports": _member(lambda row: bool(row.get("can_view_reports"))),
            "is_project_lead": _member(lambda row: row.get("permission") in LEADS),
            "managers": when_true(
                lambda scope, user: bool(scope.store.number("users", "manager_id", user["id"]))
            ),
            "participant_in": participates("id"),
            "not_participant_in": opposite(participates("id")),
            "on_my_account_or_participant_in_workspace": no_filter,
            "show_disabled": no_filter,
            "with_users": own_id,
            "without_users": not_own_id,
        },
        default_filters=(
            unless(
                lambda values: (
                    given("on_my_account", "all_contacts")(values)
                    or "on_my_account_or_participant_in_workspace" in values
                ),
                lambda scope, user: bool(scope.store.number("participations", "user_id", user["id"])),
            ),
            unless(
                given("show_disabled"),
                lambda scope, user: membership(scope, user["id"]).get("disabled_at") is None,
            ),
        ),
        derived={
            "account_membership_id": lambda scope, user: scope.store.find(
                "account_memberships", "user_id", user["id"]
            ),
            "skill_ids": lambda scope, user: [
                row["skill_id"] for row in scope.store.where("skill_memberships", "user_id", user["id"])
            ],
        },
        routes={
            "GET /users/me": actions.me,
            "POST /users/{id}/profile_photo": files.set_photo,
            "DELETE /users/{id}/profile_photo": files.reset_photo,
            "GET /users/{id}/capacity": planning.capacity,
        },
    )
)
