"""Estimates and their scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.custom_fields import custom_field_filters
from kantata_client.sandbox.filters.makers import one_of
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh

if TYPE_CHECKING:
    from kantata_client.sandbox.scope import Scope


def _scenario(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Create the first scenario of an estimate."""
    row = fresh(scope, "estimate_scenarios", estimate_id=int(identity), **value)
    scope.store.put("estimate_scenarios", row)


def _allocation(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Create the allocation of a resource."""
    target = "estimate_scenario_resource_allocations"
    row = fresh(scope, target, resource_id=identity, **value)
    scope.store.put(target, row)
    scope.store.change(key, identity, allocation_id=row["id"])


declare(
    Resource(
        key="estimates",
        filters={**custom_field_filters("estimates"), "creator": one_of("creator_id")},
        properties={"estimate_scenario": _scenario},
        owned=(("estimate_scenarios", "estimate_id"),),
    )
)
declare(
    Resource(
        key="estimate_scenarios",
        owned=(("estimate_scenario_resources", "estimate_scenario_id"),),
    )
)
declare(
    Resource(
        key="estimate_scenario_resources",
        properties={"allocation_attributes": _allocation},
        owned=(("estimate_scenario_resource_allocations", "resource_id"),),
    )
)
