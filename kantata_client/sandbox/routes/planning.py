"""Planning: capacities, allocations, and the standard workweek."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox import mutations
from kantata_client.sandbox.filters.makers import day
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid
from kantata_client.sandbox.relations import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
STANDARD_MINUTES = (480, 480, 480, 480, 480, 0, 0)
"""Minutes of work from Monday to Sunday, for accounts without a workweek."""
LONGEST_PERIOD = 3_660
"""Days that one question about capacity may cover."""


def days(first: str, last: str) -> Iterator[date]:
    """The days from the first to the last (ISO dates), both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    for number in range((end - start).days + 1):
        yield start + timedelta(days=number)


def workday_minutes(scope: Scope, user: object, when: date) -> int:
    """The minutes that a user works on a day, before holidays and time off."""
    store, text = scope.store, when.isoformat()
    memberships = store.where("workweek_memberships", "user_id", user)
    current = [
        row for row in memberships if (row.get("start_date") or "") <= text <= (row.get("end_date") or "9999")
    ]
    week: Record | None = store.get("workweeks", current[-1].get("workweek_id")) if current else None
    if week is None:
        week = next((row for row in store.all("workweeks") if row.get("default")), None)
    if week is None:
        return STANDARD_MINUTES[when.weekday()]
    return week.get(f"{DAYS[when.weekday()]}_minutes") or 0


def _holiday_hours(scope: Scope, user: object, text: str) -> float | None:
    """The hours of a holiday; None for the whole day."""
    store = scope.store
    hours = 0.0
    for membership in store.where("holiday_calendar_memberships", "user_id", user):
        calendar = membership.get("holiday_calendar_id")
        for row in store.where("holiday_calendar_associations", "holiday_calendar_id", calendar):
            holiday = store.get("holidays", row.get("holiday_id")) or {}
            first = holiday.get("start_date") or "9999"
            if first <= text <= (holiday.get("end_date") or first):
                if holiday.get("total_hours") is None:
                    return None
                hours += holiday["total_hours"]
    return hours


def capacity(call: Call) -> dict[str, Any]:
    """Get the hours a user can work on each day of a period: the workweek minus holidays and time off."""
    call.parameter("include")
    call.parameter("optional_fields")
    store, user = call.scope.store, mutations.existing(call.scope, "users", call.identity)["id"]
    first, last = day(call.parameter("start_date") or ""), day(call.parameter("end_date") or "")
    if last < first:
        raise Refusal(422, invalid("end_date", "is before start_date."))
    if (date.fromisoformat(last) - date.fromisoformat(first)).days > LONGEST_PERIOD:
        raise Refusal(422, invalid("end_date", f"is more than {LONGEST_PERIOD} days after start_date."))
    off: dict[str, float] = {}
    for row in store.where("time_off_entries", "user_id", user):
        off[str(row.get("requested_date"))] = off.get(str(row.get("requested_date")), 0.0) + (
            row.get("hours") or 0
        )
    hours: dict[str, float] = {}
    for when in days(first, last):
        text = when.isoformat()
        holiday = _holiday_hours(call.scope, user, text)
        able = 0.0 if holiday is None else workday_minutes(call.scope, user, when) / 60 - holiday
        hours[text] = max(0.0, able - off.get(text, 0.0))
    return {"start_date": first, "end_date": last, "hours": hours}


def split_allocation(call: Call) -> dict[str, Any]:
    """Split an allocation in two: the first ends the day before the date, the second starts on it."""
    identity = call.parameter("workspace_allocation_id") or ""
    record = mutations.existing(call.scope, "workspace_allocations", identity)
    when = day(call.parameter("split_date") or "")
    first, last = str(record.get("start_date")), str(record.get("end_date"))
    if not first < when <= last:
        raise Refusal(422, invalid("split_date", f"is not after {first} and up to {last}."))
    store = call.scope.store
    before = len(list(days(first, when))) - 1
    total = len(list(days(first, last)))
    minutes = record.get("minutes")
    part = None if minutes is None else minutes * before // total
    end = (date.fromisoformat(when) - timedelta(days=1)).isoformat()
    store.change("workspace_allocations", identity, end_date=end, minutes=part)
    rest = {name: value for name, value in record.items() if name not in {"id", "created_at", "updated_at"}}
    rest |= {"start_date": when, "minutes": None if minutes is None else minutes - (part or 0)}
    row = store.put("workspace_allocations", fresh(call.scope, "workspace_allocations", **rest))
    return call.envelope([identity, row["id"]])


def match_scheduled_hours(call: Call) -> dict[str, Any]:
    """Create allocations that match the daily scheduled hours of resources, one per day."""
    store = call.scope.store
    rows = cast("list[dict[str, Any]]", call.fields().get("data") or [])
    if not rows:
        raise Refusal(422, invalid("data", "can't be blank."))
    for given in rows:
        ids = [call.identity] if call.parameters else [str(item) for item in given.get("resource_ids") or ()]
        first, last = _occurrence(cast("dict[str, Any]", given["occurrence"]))
        for identity in ids:
            resource = mutations.existing(call.scope, "workspace_resources", identity)
            if given["hard"] and resource.get("user_id") is None:
                raise Refusal(422, invalid("hard", f"must be false: resource {identity} is unnamed."))
            for when, minutes in _scheduled(call.scope, resource, first, last).items():
                allocation = {
                    "workspace_resource_id": identity,
                    "workspace_id": str(resource["workspace_id"]),
                    "start_date": when,
                    "end_date": when,
                    "minutes": minutes,
                    "hard": given["hard"],
                    "creator_id": call.scope.viewer,
                }
                store.put("workspace_allocations", fresh(call.scope, "workspace_allocations", **allocation))
    return {"success": True}


def _occurrence(given: dict[str, Any]) -> tuple[str, str]:
    kind = given.get("type")
    needed = {
        "anytime": (),
        "after": ("after_date",),
        "before": ("before_date",),
        "between": ("start_date", "end_date"),
    }
    if kind not in needed:
        raise Refusal(422, invalid("occurrence", f"is of no known type; it has {', '.join(needed)}."))
    missing = [name for name in needed[kind] if not given.get(name)]
    if missing:
        raise Refusal(422, invalid("occurrence", f"lacks `{missing[0]}`."))
    first = (
        given.get("start_date") if kind == "between" else given.get("after_date") if kind == "after" else None
    )
    last = (
        given.get("end_date") if kind == "between" else given.get("before_date") if kind == "before" else None
    )
    return day(str(first)) if first else "", day(str(last)) if last else "9999"


def _scheduled(scope: Scope, resource: Record, first: str, last: str) -> dict[str, int]:
    """Day → minutes scheduled for a resource."""
    store = scope.store
    user = resource.get("user_id")
    planned: dict[str, int] = {}
    for story in store.where("stories", "workspace_id", str(resource["workspace_id"])):
        for assignment in store.where("assignments", "story_id", story["id"]):
            named = user is not None and assignment.get("assignee_id") == user
            if not named and str(assignment.get("resource_id")) != resource["id"]:
                continue
            for row in store.where("story_allocation_days", "assignment_id", assignment["id"]):
                when = str(row.get("date"))
                if row.get("current") is not False and first <= when <= last:
                    planned[when] = planned.get(when, 0) + (row.get("minutes") or 0)
    return dict(sorted(planned.items()))


def standard_workweek(call: Call) -> dict[str, Any]:
    """Move a user to the default workweek of the account, starting on a date."""
    store, fields = call.scope.store, call.fields()
    user = str(fields.get("user_id") or call.scope.viewer)
    if store.get("users", user) is None:
        raise Refusal(422, invalid("user_id", f"names no user: {user}."))
    default = next((row for row in store.all("workweeks") if row.get("default")), None)
    if default is None:
        raise bad_request("The account has no default workweek: create one with `default` true.")
    start = day(str(fields.get("start_date") or store.today()))
    end = (date.fromisoformat(start) - timedelta(days=1)).isoformat()
    for row in store.where("workweek_memberships", "user_id", user):
        if (row.get("start_date") or "") >= start:
            store.remove("workweek_memberships", row["id"])
        elif (row.get("end_date") or "9999") >= start:
            store.change("workweek_memberships", row["id"], end_date=end)
    made = fresh(
        call.scope, "workweek_memberships", user_id=int(user), workweek_id=default["id"], start_date=start
    )
    return call.envelope([store.put("workweek_memberships", made)["id"]])
