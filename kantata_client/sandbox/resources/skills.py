"""Skills and who has them."""

from __future__ import annotations

from kantata_client.sandbox.filters.makers import linked, text, when_true
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._shared import membership, participates
from kantata_client.sandbox.resources._skills import missing_skills

declare(
    Resource(
        key="skills",
        filters={
            "for_users": missing_skills("skill_memberships", "user_id"),
            "unassigned_skills_for_user": missing_skills("skill_memberships", "user_id"),
            "unassigned_skills_for_workspace_resource": missing_skills(
                "workspace_resource_skills", "workspace_resource_id"
            ),
        },
    )
)
declare(
    Resource(
        key="workspace_resource_skills",
        filters={"by_skill_name": linked("skill_id", "skills", text("name"))},
    )
)
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
