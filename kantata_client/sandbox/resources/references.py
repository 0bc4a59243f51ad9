"""External references, and the polymorphic references of other records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import moment
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import key_of_type, subject
from kantata_client.sandbox.routes import actions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.scope import Scope


def subject_of(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Turn `subject_type` and `subject_id` into the reference that records carry."""
    kind, identity = record.get("subject_type"), record.get("subject_id")
    if kind is None or identity is None:
        return
    key = key_of_type(str(kind))
    if key is None:
        raise Refusal(422, invalid("subject_type", f"is not a type of the API: {kind}."))
    if "subject_id" in changes and scope.store.get(key, identity) is None:
        raise Refusal(422, invalid("subject_id", f"names no record of {key}: {identity}."))
    record["subject_ref"] = subject(key, str(identity))


declare(
    Resource(
        key="external_references",
        filters={
            "last_synced_after": moment("last_synced_at", after=True),
            "last_synced_before": moment("last_synced_at", after=False),
        },
        prepare=(subject_of,),
        routes={"POST /external_references/create_or_update": actions.refer},
    )
)
