"""What the Singer tap reads."""

from __future__ import annotations

STREAMS = {
    "account_memberships",
    "assignments",
    "custom_fields",
    "estimate_scenario_resources",
    "estimate_scenarios",
    "estimates",
    "expense_categories",
    "expenses",
    "invoices",
    "posts",
    "stories",
    "time_entries",
    "users",
    "workspace_allocations",
    "workspace_custom_field_values",
    "workspace_groups",
    "workspaces",
}
KEYS = {"workspace_custom_field_values": "custom_field_values"}
"""Stream → envelope key, where they differ."""
