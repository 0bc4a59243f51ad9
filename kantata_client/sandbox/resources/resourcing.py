"""Workspace resources, their allocations, and requests for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import (
    date_range,
    given,
    linked,
    no_filter,
    one_of,
    unless,
    when_true,
    where,
)
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare

if TYPE_CHECKING:
    from kantata_client.sandbox.filters.makers import Match
    from kantata_client.sandbox.relations import Scope
    from kantata_client.sandbox.store import Record


def _named(scope: Scope, allocation: Record) -> bool:
    resource = scope.store.get("workspace_resources", allocation.get("workspace_resource_id")) or {}
    return resource.get("user_id") is not None


def _overlap(scope: Scope, value: str) -> Match:
    first, last = date_range(value)
    return where(
        lambda record: (
            (record.get("start_date") or "") <= (last or "9") and (record.get("end_date") or "9") >= first
        )
    )


def _allocated(scope: Scope, key: str, identity: str, value: Any) -> None:
    resource = scope.store.get("workspace_resources", value)
    if resource is None:
        raise Refusal(422, invalid("resource_id", f"names no workspace resource: {value}."))
    place = {"workspace_resource_id": resource["id"], "workspace_id": resource["workspace_id"]}
    scope.store.change(key, identity, **place)


declare(
    Resource(
        key="workspace_resources",
        filters={
            "include_unnamed": no_filter,
            "only_unnamed": when_true(lambda _, row: row.get("user_id") is None),
        },
        default_filters=(
            unless(given("include_unnamed", "only_unnamed"), lambda _, row: row.get("user_id") is not None),
        ),
        without_effect=frozenset({"auto_update_label"}),
        not_emulated={
            "POST /workspace_resources/allocations_matching_scheduled_hours": "the matching of allocations",
            "POST /workspace_resources/{id}/allocations_matching_scheduled_hours": (
                "the matching of allocations"
            ),
        },
    )
)
declare(
    Resource(
        key="workspace_allocations",
        filters={
            "overlaps_with_date_range": _overlap,
            "user_ids": linked("workspace_resource_id", "workspace_resources", one_of("user_id")),
            "type": lambda _, value: where(lambda row: bool(row.get("hard")) == (value == "hard")),
            "named_resources_only": when_true(_named),
            "unnamed_resources_only": when_true(lambda scope, row: not _named(scope, row)),
        },
        properties={"resource_id": _allocated},
        not_emulated={"PUT /workspace_allocations/split": "the splitting of allocations"},
    )
)
declare(
    Resource(
        key="resource_requests",
        not_emulated={
            "POST /resource_requests": "the approval of resource requests",
            "PUT /resource_requests/{id}": "the approval of resource requests",
            "PUT /resource_requests/{id}/update_approver": "the approval of resource requests",
        },
    )
)
