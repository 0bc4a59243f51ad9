"""The two trees of organizations, and filters by the departments and geographies of users and workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import either
from kantata_client.sandbox.refusals import Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.filters.match import Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def tree_of_parent(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put an organization into the tree of its parent, below it; a tree can't contain itself."""
    parent = scope.store.get("organizations", record.get("parent_id"))
    if parent is None:
        record["ancestor_ids"] = []
        return
    above = [*(parent.get("ancestor_ids") or ()), parent["id"]]
    if record["id"] in above:
        raise Refusal(422, invalid("parent_id", "is the organization itself, or below it."))
    if record.get("type") not in (None, parent.get("type")):
        raise Refusal(422, invalid("parent_id", f"is not a {record['type']}, but a {parent.get('type')}."))
    record |= {"type": parent.get("type"), "ancestor_ids": above}


def move_below(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Update the ancestors of what is below an organization that got other ones."""
    if old is None or new is None or old.get("ancestor_ids") == new.get("ancestor_ids"):
        return
    for child in scope.store.where("organizations", "parent_id", new["id"]):
        above = [*new["ancestor_ids"], new["id"]]
        move_below(scope, child, scope.store.change("organizations", child["id"], ancestor_ids=above))


def memberships(scope: Scope, kind: str, identity: str) -> list[Record]:
    """The organization memberships of a `user` or a `workspace`."""
    rows = scope.store.where("organization_memberships", "member_id", identity)
    return [row for row in rows if row.get("member_type") == kind]


def has_organization(kind: str) -> Rule:
    """If true, records with an organization; if false, those without."""
    return either(lambda scope, row: bool(memberships(scope, kind, row["id"])))


def shared(scope: Scope, workspace: Record) -> bool:
    """Whether a workspace is in an organization of the viewer, or above one; a viewer without any sees all workspaces."""

    def organizations(kind: str, identity: str) -> set[str]:
        rows = memberships(scope, kind, identity)
        named = [row.get(name) for row in rows for name in ("department_id", "geography_id")]
        return {str(organization) for organization in named if organization is not None}

    own = organizations("user", scope.viewer)
    for organization in list(own):
        own.update((scope.store.get("organizations", organization) or {}).get("ancestor_ids") or ())
    return not own or bool(own & organizations("workspace", workspace["id"]))
