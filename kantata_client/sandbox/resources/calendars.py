"""Working time: holidays and their calendars, workweeks, time off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import linked, on_or_after, on_or_before, text
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.resources._shared import participates

if TYPE_CHECKING:
    from kantata_client.sandbox.relations import Scope

_MINUTES = frozenset(f"{day}day_minutes" for day in ("sun", "mon", "tues", "wednes", "thurs", "fri", "satur"))


def _on_calendars(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Put a holiday on the calendars named, and take it off the others."""
    store = scope.store
    associations = "holiday_calendar_associations"
    for row in store.where(associations, "holiday_id", identity):
        store.remove(associations, row["id"])
    for calendar in map(str, cast("list[Any]", value)):
        found = store.get("holiday_calendars", calendar)
        if found is None:
            raise Refusal(422, invalid("holiday_calendar_ids", f"names no calendar: {calendar}."))
        names = {
            "holiday_name": (store.get(key, identity) or {}).get("name"),
            "holiday_calendar_name": found["name"],
        }
        ids = {"holiday_id": identity, "holiday_calendar_id": calendar}
        store.put(associations, fresh(scope, associations, **ids, **names))


declare(Resource(key="holidays", properties={"holiday_calendar_ids": _on_calendars}))
declare(
    Resource(
        key="holiday_calendar_associations",
        filters={"by_holiday_name": linked("holiday_id", "holidays", text("name"))},
    )
)
declare(
    Resource(
        key="time_off_entries",
        filters={
            "start_date": on_or_after("requested_date"),
            "end_date": on_or_before("requested_date"),
            "workspace_id": participates("user_id"),
        },
    )
)
declare(Resource(key="workweeks", without_effect=_MINUTES))
declare(
    Resource(
        key="workweek_memberships",
        filters={"participants_for_workspace_id": participates("user_id")},
        without_effect=_MINUTES,
        not_emulated={"PUT /workweek_memberships/standardize_to_default": "the standard workweek"},
    )
)
