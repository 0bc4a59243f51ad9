"""Users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client.sandbox.filters.makers import (
    csv,
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
from kantata_client.sandbox.resources._shared import membership, participates
from kantata_client.sandbox.routes import actions, files

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client.sandbox.registry import Rule
    from kantata_client.sandbox.relations import Scope
    from kantata_client.sandbox.store import Record

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


def _member(keep: Callable[[Record], bool]) -> Rule:
    """Users by what their account membership says."""
    return when_true(lambda scope, user: keep(membership(scope, user["id"])))


declare(
    Resource(
        key="users",
        filters={
            "clients_only": when_true(_takes_part("buyer")),
            "consultants_only": when_true(_takes_part("maven")),
            "without_skills": lambda scope, value: where(lambda user: not _skilled(scope, user["id"], value)),
            "account_role_ids": one_of("role_id"),
            "by_email_address": one_of("email_address"),
            "by_email_addresses": one_of("email_address"),
            "can_view_reports": _member(lambda row: bool(row.get("can_view_reports"))),
            "is_project_lead": _member(lambda row: row.get("permission") in LEADS),
            "managers": when_true(
                lambda scope, user: bool(scope.store.find("users", "manager_id", user["id"]))
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
        },
        not_emulated={"GET /users/{id}/capacity": "capacities"},
    )
)
