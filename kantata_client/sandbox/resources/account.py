"""The account itself: colours, locations, invitations, memberships, roles, organizations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client.sandbox.filters.makers import (
    among,
    csv,
    denied,
    either,
    given,
    linked,
    no_filter,
    one_of,
    text,
    three_way,
    unless,
    when_true,
    where,
)
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._organizations import move_below, tree_of_parent
from kantata_client.sandbox.resources._shared import PERMISSIONS, membership
from kantata_client.sandbox.resources._skills import with_skills
from kantata_client.sandbox.resources.users import possible_managees, possible_managers
from kantata_client.sandbox.routes import actions, generic, invitations

if TYPE_CHECKING:
    from collections.abc import Callable

    from kantata_client.sandbox.filters.match import Match, Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def _card_of(key: str) -> Callable[[Scope, str], frozenset[str]]:
    """The rate card of a record."""

    def cards(scope: Scope, value: str) -> frozenset[str]:
        card = (scope.store.get(key, value) or {}).get("rate_card_id")
        return frozenset() if card is None else frozenset({str(card)})

    return cards


def _on_rate_card(cards: Callable[[Scope, str], frozenset[str]]) -> Rule:
    """Roles that a version of one of the rate cards has a rate for."""

    def rule(scope: Scope, value: str) -> Match:
        store = scope.store
        versions = [
            row["id"]
            for card in cards(scope, value)
            for row in store.where("rate_card_versions", "rate_card_id", card)
        ]
        rows = [
            row
            for version in versions
            for row in store.where("rate_card_roles", "rate_card_version_id", version)
        ]
        return among(frozenset(str(row["role_id"]) for row in rows))

    return rule


def _in_workspace(scope: Scope, value: str) -> Match:
    """Roles of the participants and resources of a workspace."""
    store = scope.store
    ids = {row.get("primary_role_id") for row in store.where("participations", "workspace_id", value)}
    ids |= {row.get("role_id") for row in store.where("workspace_resources", "workspace_id", value)}
    return among(frozenset(str(identity) for identity in ids if identity is not None))


def _not_on_version(scope: Scope, value: str) -> Match:
    """Roles without a row in a version of a rate card set."""
    rows = scope.store.where("rate_card_table_rows", "rate_card_set_version_id", value)
    taken = {str(row["role_id"]) for row in rows}
    return where(lambda role: role["id"] not in taken)


def _leave(scope: Scope, record: Record) -> None:
    """Move a removed member to an account of their own; they can only view the projects they take part in."""
    store, user = scope.store, record["user_id"]
    if store.get("users", user) is not None:
        store.change("users", user, left_account=True)
    for row in store.where("participations", "user_id", user):
        rights = dict.fromkeys(PERMISSIONS, False)
        store.change("participations", row["id"], show_as_read_only=True, **rights)


declare(
    Resource(
        key="account_colors",
        filters={"enabled_only": no_filter},
        default_filters=(unless(denied("enabled_only"), lambda _, row: row.get("enabled") is not False),),
    )
)
declare(
    Resource(key="account_locations", filters={"archived": three_way("archived"), "workspace_id": no_filter})
)
declare(
    Resource(
        key="account_invitations",
        filters={"only_pending": no_filter},
        default_filters=(unless(denied("only_pending"), lambda _, row: row.get("pending") is not False),),
        created=(invitations.become_member,),
        without_effect=frozenset({"default_read_only"}),
        routes={"PUT /account_invitations/{id}/resend": actions.same},
    )
)
declare(
    Resource(
        key="account_memberships",
        filters={
            "only_active": when_true(lambda _, row: row.get("disabled_at") is None),
            "is_active": either(lambda _, row: row.get("disabled_at") is None),
            "with_skills": with_skills("user_id"),
            "only_inactive": when_true(lambda _, row: row.get("disabled_at") is not None),
            "by_full_name": linked("user_id", "users", text("full_name")),
        },
        derived={
            "managee_ids": lambda scope, row: scope.store.find("users", "manager_id", row["user_id"]),
            "possible_managee_ids": lambda scope, row: sorted(possible_managees(scope)),
            "possible_manager_ids": lambda scope, row: sorted(possible_managers(scope)),
            "skill_membership_ids": lambda scope, row: scope.store.find(
                "skill_memberships", "user_id", row["user_id"]
            ),
        },
        default_filters=(
            unless(
                lambda values: "is_active" in values or given("only_inactive")(values),
                lambda _, row: row.get("disabled_at") is None,
            ),
        ),
        undeletable=lambda _, row: "it is the account's owner" if row.get("is_owner") else None,
        deleting=(_leave,),
        computed={
            "non_participant": lambda scope, row: (
                not scope.store.number("participations", "user_id", row["user_id"])
            )
        },
        orders={
            "role": lambda scope, row: (scope.store.get("roles", row.get("default_role_id")) or {}).get(
                "name"
            )
        },
        without_effect=frozenset(
            {
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
        filters={
            "only_active": no_filter,
            "for_rate_card": _on_rate_card(lambda scope, value: csv(value)),
            "for_scenario_rate_card": _on_rate_card(_card_of("estimate_scenarios")),
            "for_workspace": _in_workspace,
            "for_workspace_rate_card": _on_rate_card(_card_of("workspaces")),
            "not_on_rate_card_set_version": _not_on_version,
        },
        default_filters=(unless(denied("only_active"), lambda _, row: row.get("deleted_at") is None),),
        soft_delete="marked",
        removed_if_unused=True,
    )
)
declare(
    Resource(
        key="organizations",
        filters={"for_current_user": no_filter},
        prepare=(tree_of_parent,),
        written=(move_below,),
    )
)
declare(
    Resource(
        key="insights_access_group_memberships",
        filters={
            "by_user_name": linked("user_id", "users", text("full_name")),
            "by_access_group_id": one_of("insights_access_group_id"),
        },
        computed={
            "user_name": lambda scope, row: (scope.store.get("users", row.get("user_id")) or {}).get(
                "full_name"
            ),
            "account_permission": lambda scope, row: membership(scope, row.get("user_id")).get("permission"),
        },
    )
)
declare(
    Resource(
        key="project_templates",
        spellings={
            "sharing": {
                "private_template": "private",
                "viewable_template": "shared",
                "editable_template": "editable",
            }
        },
        filters={"mine": when_true(lambda scope, row: row.get("user_id") == scope.viewer)},
    )
)
declare(Resource(key="user_group_memberships", filters={"group_ids": one_of("workspace_group_id")}))
declare(
    Resource(
        key="account_insights_mappings",
        filters={"standard": either(lambda _, row: not row.get("is_custom_dashboard"))},
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
