"""Working time: holidays and their calendars, workweeks, time off."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import (
    csv,
    day,
    linked,
    on_or_after,
    on_or_before,
    text,
    when_true,
    where,
)
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.resources._shared import participates, workspaces_of
from kantata_client.sandbox.routes import generic, planning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.filters.match import Match
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

_MINUTES = tuple(f"{day}_minutes" for day in planning.DAYS)


def _on_calendars(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Put a holiday on the given calendars, and remove it from the others."""
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


def _not_on_calendars(scope: Scope, value: str) -> Match:
    """Holidays that are on none of the calendars."""
    rows = [
        row
        for word in csv(value)
        for row in scope.store.where("holiday_calendar_associations", "holiday_calendar_id", word)
    ]
    taken = {str(row["holiday_id"]) for row in rows}
    return where(lambda holiday: holiday["id"] not in taken)


def _calendar_names(scope: Scope, holiday: Record) -> str:
    rows = scope.store.where("holiday_calendar_associations", "holiday_id", holiday["id"])
    return ", ".join(sorted(str(row.get("holiday_calendar_name")) for row in rows))


def _in_effect(scope: Scope, value: str) -> Match:
    """Records that start on or before a date and end after it, or do not end."""
    when = day(value)
    return where(lambda row: (row.get("start_date") or "") <= when and (row.get("end_date") or "9999") > when)


declare(
    Resource(
        key="holidays",
        filters={"not_on_calendars": _not_on_calendars},
        computed={"calendar_names_list": _calendar_names},
        properties={"holiday_calendar_ids": _on_calendars},
        owned=(("holiday_calendar_associations", "holiday_id"),),
    )
)
declare(
    Resource(
        key="holiday_calendars",
        owned=(
            ("holiday_calendar_associations", "holiday_calendar_id"),
            ("holiday_calendar_memberships", "holiday_calendar_id"),
        ),
    )
)
declare(
    Resource(
        key="holiday_calendar_associations",
        filters={"by_holiday_name": linked("holiday_id", "holidays", text("name"))},
    )
)


def _within_workday(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Refuse time off beyond the working time of the day; entries for the same day are combined into one."""
    present = scope.store.get("time_off_entries", record["id"])
    if present is not None and "requested_date" in changes:
        record["hours"] = (present.get("hours") or 0) + (record.get("hours") or 0)
    when, hours = record.get("requested_date"), float(record.get("hours") or 0)
    if not when:
        return
    rows = scope.store.where("time_off_entries", "user_id", record.get("user_id"))
    others = sum(
        float(row.get("hours") or 0)
        for row in rows
        if row["id"] != record["id"] and row.get("requested_date") == when
    )
    able = planning.workday_minutes(scope, record.get("user_id"), date.fromisoformat(str(when))) / 60
    if hours < 0 or hours + others > able:
        raise Refusal(422, invalid("hours", f"exceeds the {able:g} hours of work on {when}."))


declare(
    Resource(
        key="time_off_entries",
        prepare=(_within_workday,),
        identified_by=("user_id", "requested_date"),
        filters={
            "start_date": on_or_after("requested_date"),
            "end_date": on_or_before("requested_date"),
            "workspace_id": participates("user_id"),
        },
    )
)


def _add_up(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    record["total_minutes"] = sum(record.get(field) or 0 for field in _MINUTES)


def _own_workweek(scope: Scope, identity: str, body: Mapping[str, Any]) -> None:
    """Give a member a workweek with the minutes of the body; those left out stay as they were."""
    store = scope.store
    held = store.get("workweek_memberships", identity) or {}
    default = next((row for row in store.all("workweeks") if row.get("default")), None)
    current = store.get("workweeks", held.get("workweek_id")) or default
    standard = dict(zip(_MINUTES, planning.STANDARD_MINUTES, strict=True))
    minutes = {
        field: standard[field] if current is None else current.get(field) or 0 for field in _MINUTES
    } | {field: body[field] for field in _MINUTES if body.get(field) is not None}
    same = [
        row["id"]
        for row in store.all("workweeks")
        if all((row.get(field) or 0) == minutes[field] for field in _MINUTES)
    ]
    if not same:
        made = fresh(scope, "workweeks", **minutes, default=False, total_minutes=sum(minutes.values()))
        same = [store.put("workweeks", made)["id"]]
    store.change("workweek_memberships", identity, workweek_id=same[0])


def _create_workweek(call: Call) -> dict[str, Any]:
    """Create a workweek; the first one switches workweeks on, which has to be asked for."""
    enable = call.parameter("enable_workweeks") == "true"
    if not enable and not call.scope.store.count("workweeks"):
        raise bad_request("The first workweek needs `enable_workweeks=true`.")
    return generic.create(call)


declare(
    Resource(
        key="workweeks",
        routes={"POST /workweeks": _create_workweek},
        filters={"effective_date": _in_effect},
        prepare=(_add_up,),
        owned=(("workweek_memberships", "workweek_id"),),
    )
)
declare(
    Resource(
        key="workweek_memberships",
        filters={
            "effective_date": _in_effect,
            "participants_for_workspace_id": participates("user_id"),
            "participating_with": when_true(
                lambda scope, row: bool(
                    workspaces_of(scope, scope.viewer) & workspaces_of(scope, row.get("user_id"))
                )
            ),
        },
        composed=dict.fromkeys(_MINUTES, _own_workweek),
        routes={"PUT /workweek_memberships/standardize_to_default": planning.standard_workweek},
    )
)
