"""Invitations: an invitee becomes a user of the account and a participant of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import mutations
from kantata_client.sandbox.relations import fresh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

ACCESS_LEVELS: Mapping[str, str] = {
    "edit_tasks": "collaboration",
    "view_tasks": "collaboration",
    "edit_time_and_expenses": "time_logging",
    "view_time_and_expenses": "time_logging",
    "edit_financials": "financial",
    "view_financials": "financial",
}
"""Access level in a body → the one that participations show, where they differ."""

_SIDES = {"maven": "maven", "consultant": "maven", "buyer": "buyer", "client": "buyer"}


def _user(scope: Scope, given: Mapping[str, Any]) -> str:
    """The user with an e-mail address, created if necessary."""
    store, address = scope.store, str(given.get("email_address") or "")
    for row in store.all("users"):
        if str(row.get("email_address")).casefold() == address.casefold():
            return row["id"]
    fields = {"email_address": address, "full_name": given.get("full_name") or address.partition("@")[0]}
    return store.put("users", fresh(scope, "users", **fields))["id"]


def become_member(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Make the invitee a member of the account, as if the invitation were accepted immediately."""
    user = _user(scope, {**record, **body})
    if scope.store.number("account_memberships", "user_id", user):
        return
    if (scope.store.get("users", user) or {}).get("left_account"):
        scope.store.change("users", user, left_account=None)
    fields = {
        "user_id": user,
        "permission": body.get("permission") or "collaborator",
        "default_role_id": body.get("role_id"),
        "can_log_in": True,
        "is_owner": False,
        "is_administrator": body.get("permission") == "administrator",
    }
    scope.store.put("account_memberships", fresh(scope, "account_memberships", **fields))


def invite(call: Call) -> dict[str, Any]:
    """Invite somebody to the project in the path."""
    scope, fields = call.scope, call.fields()
    mutations.existing(scope, "workspaces", call.identity)
    row = fresh(scope, "workspace_invitations", workspace_id=call.identity, **fields)
    identity = scope.store.put("workspace_invitations", row)["id"]
    user = _user(scope, fields)
    rows = scope.store.where("participations", "workspace_id", call.identity)
    if user not in {row["user_id"] for row in rows}:
        side = _SIDES.get(str(fields.get("invitee_role")), "maven")
        join(scope, call.identity, user, access="edit_tasks", role=side)
    return call.envelope([identity])


def join(scope: Scope, workspace: str, user: str, *, access: str, role: str = "maven") -> Record:
    """Make a user a participant of a workspace, with a resource there."""
    ids = {"workspace_id": workspace, "user_id": user}
    members = scope.store.where("account_memberships", "user_id", user)
    role_id = members[0].get("default_role_id") if members else None
    row = fresh(
        scope,
        "participations",
        **ids,
        role=role,
        access_level=ACCESS_LEVELS.get(access, access),
        is_team_lead=False,
        primary_role_id=role_id,
        can_post=True,
    )
    scope.store.put("participations", row)
    name = (scope.store.get("users", user) or {}).get("full_name")
    resource = fresh(
        scope,
        "workspace_resources",
        workspace_id=int(workspace),
        user_id=user,
        role_id=role_id,
        participation_id=row["id"],
        full_name=name,
        display_label=name,
    )
    scope.store.put("workspace_resources", resource)
    return row
