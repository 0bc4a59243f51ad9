"""Custom fields, their choices and their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import one_of, own_id
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.resources.references import subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.relations import Scope


def _subject_type(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Take the type that a field is for from its set."""
    field_set = scope.store.get("custom_field_sets", record.get("custom_field_set_id")) or {}
    record["subject_type"] = field_set.get("subject_type")


def _choices(scope: Scope, key: str, identity: str, value: Any) -> None:
    for position, choice in enumerate(cast("list[Any]", value), start=1):
        given = cast("dict[str, Any]", choice) if isinstance(choice, dict) else {"label": choice}
        fields = {"position": position} | given | {"custom_field_id": identity}
        scope.store.put("custom_field_choices", fresh(scope, "custom_field_choices", **fields))


declare(
    Resource(
        key="custom_fields",
        filters={"subject_type": one_of("subject_type")},
        derived={
            "choice_ids": lambda scope, row: scope.store.find(
                "custom_field_choices", "custom_field_id", row["id"]
            )
        },
        prepare=(_subject_type,),
        properties={"choices": _choices},
        owned=(("custom_field_values", "custom_field_id"), ("custom_field_choices", "custom_field_id")),
    )
)
declare(
    Resource(
        key="custom_field_choices",
        filters={"for_choice_ids": own_id, "for_custom_fields": one_of("custom_field_id")},
    )
)
declare(
    Resource(
        key="custom_field_values",
        prepare=(subject_of,),
        identified_by=("custom_field_id", "subject_type", "subject_id"),
    )
)
