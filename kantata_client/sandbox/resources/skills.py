"""Skills and who has them."""

from __future__ import annotations

from kantata_client.sandbox.filters.makers import linked, text, when_true
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._shared import membership, participates

declare(
    Resource(
        key="skill_memberships",
        filters={
            "by_skill_name": linked("skill_id", "skills", text("name")),
            "by_user_name": linked("user_id", "users", text("full_name")),
            "workspace_id": participates("user_id"),
            "active_account_members_only": when_true(
                lambda scope, row: membership(scope, row.get("user_id")).get("disabled_at") is None
            ),
        },
    )
)
