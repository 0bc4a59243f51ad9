"""Filters by organizations: departments and geographies of users and workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client.sandbox.filters.makers import either

if TYPE_CHECKING:
    from kantata_client.sandbox.filters.match import Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def memberships(scope: Scope, kind: str, identity: str) -> list[Record]:
    """The organization memberships of a `user` or a `workspace`."""
    rows = scope.store.where("organization_memberships", "member_id", identity)
    return [row for row in rows if row.get("member_type") == kind]


def has_organization(kind: str) -> Rule:
    """If true, records with an organization; if false, those without."""
    return either(lambda scope, row: bool(memberships(scope, kind, row["id"])))


def shared(scope: Scope, workspace: Record) -> bool:
    """Whether a workspace shares an organization with the viewer; a viewer without any sees all workspaces."""

    def organizations(kind: str, identity: str) -> set[str]:
        rows = memberships(scope, kind, identity)
        named = [row.get(name) for row in rows for name in ("department_id", "geography_id")]
        return {str(organization) for organization in named if organization is not None}

    own = organizations("user", scope.viewer)
    return not own or bool(own & organizations("workspace", workspace["id"]))
