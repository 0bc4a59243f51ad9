"""Custom fields, their choices and their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import among, no_filter, one_of, own_id
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.resources.references import subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.filters.match import Match
    from kantata_client.sandbox.scope import Scope


def _subject_type(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Take the subject type of a field from its set."""
    field_set = scope.store.get("custom_field_sets", record.get("custom_field_set_id"))
    if field_set is not None:
        record["subject_type"] = field_set.get("subject_type")


def _first_of_each(scope: Scope, value: str) -> Match:
    """The first choices of each field, as many as the value says."""
    taken: dict[str, int] = {}
    ids: set[str] = set()
    for row in scope.store.all("custom_field_choices"):
        field = str(row.get("custom_field_id"))
        taken[field] = taken.get(field, 0) + 1
        if taken[field] <= int(value):
            ids.add(row["id"])
    return among(frozenset(ids))


def _choices(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Change the choices that have an id, and add the others."""
    store, choices = scope.store, "custom_field_choices"
    last = store.number(choices, "custom_field_id", identity)
    for given in cast("list[dict[str, Any]]", value):
        choice_id = given.get("id")
        if choice_id is None:
            last += 1
            fields = {"position": last, "label": given.get("label"), "custom_field_id": identity}
            store.put(choices, fresh(scope, choices, **fields))
            continue
        row = store.get(choices, choice_id)
        if row is None or str(row.get("custom_field_id")) != identity:
            raise Refusal(422, invalid("choices", f"names no choice of this field: {choice_id}."))
        store.change(choices, row["id"], label=given.get("label"))


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
        filters={
            "for_choice_ids": own_id,
            "for_custom_fields": one_of("custom_field_id"),
            "active": no_filter,  # the API has no way to make a choice obsolete
            "per_custom_field": _first_of_each,
        },
    )
)
declare(
    Resource(
        key="custom_field_values",
        prepare=(subject_of,),
        identified_by=("custom_field_id", "subject_type", "subject_id"),
        replaced=True,
    )
)
