"""Every field that refers to another record: the associations of the contract, and ids that it declares as plain numbers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import attrs

from kantata_client.sandbox import registry, schema

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN: Mapping[tuple[str, str], str] = {
    ("*", "attachment_id"): "attachments",
    ("*", "creator_id"): "users",
    ("*", "current_resolution_creator_id"): "users",
    ("*", "custom_task_status_id"): "custom_task_statuses",
    ("*", "estimate_id"): "estimates",
    ("*", "estimate_scenario_id"): "estimate_scenarios",
    ("*", "exchange_table_id"): "exchange_tables",
    ("*", "insights_access_group_id"): "access_groups",
    ("*", "invoice_id"): "invoices",
    ("*", "location_id"): "account_locations",
    ("*", "project_snapshot_id"): "project_snapshots",
    ("*", "project_snapshot_resource_id"): "project_snapshot_resources",
    ("*", "project_snapshot_task_id"): "project_snapshot_tasks",
    ("*", "project_template_id"): "project_templates",
    ("*", "rate_card_id"): "rate_cards",
    ("*", "rate_card_set_id"): "rate_card_sets",
    ("*", "rate_card_set_version_id"): "rate_card_set_versions",
    ("*", "resource_id"): "workspace_resources",
    ("*", "revenue_recognition_method_id"): "revenue_recognition_methods",
    ("*", "role_id"): "roles",
    ("*", "status_set_id"): "task_status_sets",
    ("*", "story_id"): "stories",
    ("*", "task_status_set_id"): "task_status_sets",
    ("*", "user_id"): "users",
    ("*", "workspace_baseline_id"): "workspace_baselines",
    ("*", "workspace_id"): "workspaces",
    ("*", "workspace_invoice_preference_id"): "workspace_invoice_preferences",
    ("estimate_scenario_resource_allocations", "resource_id"): "estimate_scenario_resources",
    ("organizations", "ancestor_ids"): "organizations",
    ("organizations", "parent_id"): "organizations",
    ("posts", "subject_id"): "posts",
    ("project_template_additional_tabs", "associated_tab_id"): "account_insights_mappings",
    ("survey_responses", "subject_id"): "workspaces",
    ("survey_templates", "subject_id"): "workspaces",
}
"""(envelope key or `*`, field) → the envelope key of the record with that id."""

_TYPES: Mapping[tuple[str, str], str] = {
    ("organization_memberships", "member_id"): "member_type",
    ("project_snapshot_custom_field_values", "subject_id"): "subject_type",
    ("resolutions", "target_id"): "target_type",
}
"""(envelope key, field) → the field with the type of the record with that id."""


@attrs.frozen
class Pointer:
    """A field with the ids of other records."""

    field: str
    key: str | None
    """Their envelope key; None if each value names it, or the record does in `type_field`."""
    type_field: str | None = None
    """The field with their type, as in `organization_memberships.member_type`."""


@cache
def plain(key: str, field: str) -> str | None:
    """The envelope key of the record that a field without an association refers to; None if it refers to none."""
    return _PLAIN.get((key, field)) or _PLAIN.get(("*", field))


@cache
def pointers(key: str) -> tuple[Pointer, ...]:
    """The fields of a type that refer to other records, without those that are derived from other records."""
    model, derived = schema.model(key), registry.resource(key).derived
    found = {
        reference.ids: Pointer(reference.ids, reference.key)
        for reference in model.references.values()
        if reference.ids not in derived
    }
    for field in (*model.kinds, *schema.UNSHOWN.get(key, ()), *schema.INTERNAL.get(key, ())):
        type_field = _TYPES.get((key, field))
        target = plain(key, field)
        if field not in found and field not in derived and (target is not None or type_field is not None):
            found[field] = Pointer(field, target, type_field)
    return tuple(found.values())
