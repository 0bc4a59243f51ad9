"""Cost rates, rate cards, their sets and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.routes import rates

if TYPE_CHECKING:
    from kantata_client.sandbox.relations import Scope


def _version(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Give a rate card its version in a version of the set."""
    row = fresh(scope, "rate_card_versions", rate_card_id=identity, rate_card_set_version_id=str(value))
    scope.store.put("rate_card_versions", row)
    scope.store.change(key, identity, effective_rate_card_version_id=row["id"])


declare(Resource(key="cost_rates", identified_by=("account_membership_id", "currency")))
declare(Resource(key="rate_cards", properties={"rate_card_set_version_id": _version}))
declare(
    Resource(
        key="rate_card_set_versions",
        routes={
            "GET /account_rate_cards_activations": rates.activation,
            "POST /account_rate_cards_activations": rates.activation,
            "PUT /rate_card_set_versions/{id}/publish": rates.publish,
            "GET /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows": rates.table_rows,
            "PUT /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows/{role_id}": (
                rates.table_row
            ),
        },
    )
)
