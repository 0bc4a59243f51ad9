"""Properties of many bodies that are not fields of the record: external references, custom fields, tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.relations import fresh, subject, subject_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope


def refer_externally(scope: Scope, key: str, identity: str, value: Mapping[str, Any]) -> str:
    """Create or change the external reference of a record for one provider; returns the reference's id."""
    store = scope.store
    now = store.now()
    existing = [
        row
        for row in store.where("external_references", "subject_ref", subject(key, identity))
        if row["service_name"] == value.get("service_name")
    ]
    if existing:
        return store.change("external_references", existing[0]["id"], last_synced_at=now, **value)["id"]
    about = {"subject_type": subject_type(key, "external_references"), "subject_id": int(identity)}
    given = {"status": "successful", "locked": False, "last_synced_at": now, **value}
    given["service_model_ref"] = str(value.get("service_model_ref"))
    record = fresh(scope, "external_references", **about, subject_ref=subject(key, identity), **given)
    return store.put("external_references", record)["id"]


def set_custom_value(scope: Scope, key: str, identity: str, field: Record, value: Any) -> str:
    """Create or change the value of a custom field for a record; returns the value's id."""
    store = scope.store
    existing = [
        row
        for row in store.where("custom_field_values", "subject_ref", subject(key, identity))
        if str(row["custom_field_id"]) == field["id"]
    ]
    for row in existing:  # every new value has an id of its own
        store.remove("custom_field_values", row["id"])
    about = {"subject_type": subject_type(key, "custom_field_values"), "subject_id": int(identity)}
    given = {"custom_field_id": field["id"], "custom_field_name": field.get("name"), "value": value}
    record = fresh(
        scope,
        "custom_field_values",
        **about,
        **given,
        subject_ref=subject(key, identity),
        setter_id=scope.viewer,
    )
    return store.put("custom_field_values", record)["id"]


def _external_reference(scope: Scope, key: str, identity: str, value: Any) -> None:
    refer_externally(scope, key, identity, value)


def _custom_fields(scope: Scope, key: str, identity: str, value: Any) -> None:
    for row in cast("list[dict[str, Any]]", value):
        given = row.get("custom_field_id")
        field = scope.store.get("custom_fields", given)
        if field is None:
            message = f"names no custom field: {given}." if given else "lacks `custom_field_id`."
            raise Refusal(422, invalid("custom_fields", message))
        set_custom_value(scope, key, identity, field, row.get("value"))


def _tags(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Tag a record with the names in a comma-separated list."""
    store = scope.store
    ids: list[str] = []
    for name in (word.strip() for word in str(value).split(",")):
        if name:
            existing = store.find("tags", "name", name)
            ids.append(existing[0] if existing else store.put("tags", fresh(scope, "tags", name=name))["id"])
    store.change(key, identity, tag_ids=ids)


COMMON_PROPERTIES: Mapping[str, Callable[[Scope, str, str, Any], None]] = {
    "external_reference": _external_reference,
    "custom_fields": _custom_fields,
    "tag_list": _tags,
}
"""Property → its effect on the record (scope, envelope key, id, value), in every body."""
