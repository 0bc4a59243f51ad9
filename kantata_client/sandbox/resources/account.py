"""The account itself: colours, locations, invitations, memberships, roles, organizations."""

from __future__ import annotations

from kantata_client.sandbox.filters.makers import (
    denied,
    linked,
    no_filter,
    one_of,
    text,
    unless,
    when_true,
)
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.routes import actions, generic

declare(
    Resource(
        key="account_colors",
        filters={"enabled_only": no_filter},
        default_filters=(unless(denied("enabled_only"), lambda _, row: row.get("enabled") is not False),),
    )
)
declare(
    Resource(
        key="account_invitations",
        filters={"only_pending": no_filter},
        default_filters=(unless(denied("only_pending"), lambda _, row: row.get("pending") is not False),),
        without_effect=frozenset({"default_read_only"}),
        routes={"PUT /account_invitations/{id}/resend": actions.same},
    )
)
declare(
    Resource(
        key="account_memberships",
        filters={
            "only_active": when_true(lambda _, row: row.get("disabled_at") is None),
            "only_inactive": when_true(lambda _, row: row.get("disabled_at") is not None),
            "by_full_name": linked("user_id", "users", text("full_name")),
        },
        derived={
            "managee_ids": lambda scope, row: scope.store.find("users", "manager_id", row["user_id"]),
            "skill_membership_ids": lambda scope, row: scope.store.find(
                "skill_memberships", "user_id", row["user_id"]
            ),
        },
        unknown_includes=frozenset({"possible_managees", "possible_managers"}),
        without_effect=frozenset(
            {
                "default_read_only",
                "change_role_option",
                "enforce_workweek_minimum_on_timesheet_submission",
                "enforce_workweek_maximum_on_timesheet_submission",
            }
        ),
        routes={
            "PUT /account_memberships/{id}/disable": actions.disable,
            "PUT /account_memberships/{id}/enable": actions.enable,
        },
    )
)
declare(
    Resource(
        key="roles",
        filters={"only_active": no_filter},
        default_filters=(unless(denied("only_active"), lambda _, row: row.get("deleted_at") is None),),
    )
)
declare(Resource(key="organizations", filters={"for_current_user": no_filter}))
declare(
    Resource(
        key="insights_access_group_memberships",
        filters={"by_user_name": linked("user_id", "users", text("full_name"))},
    )
)
declare(
    Resource(
        key="project_templates",
        filters={"mine": when_true(lambda scope, row: row.get("user_id") == scope.viewer)},
    )
)
declare(Resource(key="user_group_memberships", filters={"group_ids": one_of("workspace_group_id")}))
declare(
    Resource(
        key="account_insights_mappings",
        routes={"GET /account_insights_mappings/dynamic": generic.list_all},
    )
)
declare(
    Resource(
        key="revenue_recognition_methods",
        routes={"GET /revenue_recognition_methods": generic.list_all},
    )
)
declare(Resource(key="currencies", routes={"GET /currencies": actions.currencies}))
declare(
    Resource(
        key="recommendations",
        not_emulated={"GET /recommendations/estimate_scenario_resource": "recommendations"},
    )
)
declare(
    Resource(
        key="subscribed_events",
        unknown_includes=frozenset({"subject"}),
        not_emulated={
            "GET /subscribed_events": "subscribed events",
            "GET /subscribed_events/event_types": "subscribed events",
        },
    )
)
