"""What follows from a write: fields that the service fills in, and records that change along with another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox import _contract
from kantata_client.sandbox._errors import Refusal, invalid
from kantata_client.sandbox._relations import Scope, fresh, subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kantata_client.sandbox._store import Record

CURRENCY = ("currency", "currency_symbol", "currency_base_unit")


# Before the record is written: fields that the service fills in


def _money(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Take the currency from the workspace."""
    workspace = scope.store.get("workspaces", record.get("workspace_id")) or {}
    for field in CURRENCY:
        if record.get(field) is None:
            record[field] = workspace.get(field)


def _time_entry(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    story = scope.store.get("stories", record.get("story_id"))
    if story is not None and story.get("workspace_id") != record.get("workspace_id"):
        raise Refusal(422, invalid("story_id", "belongs to another workspace."))
    if record.get("billable") is None:
        record["billable"] = True if story is None else bool(story.get("billable", True))
    for field, value in (("approved", False), ("is_invoiced", False), ("taxable", False)):
        if record.get(field) is None:
            record[field] = value
    if "rate_in_cents" not in changes and record.get("rate_in_cents") is None:
        member = scope.store.where("account_memberships", "user_id", record.get("user_id"))
        record["rate_in_cents"] = member[0].get("bill_rate_in_cents") if member and record["billable"] else 0


def _story(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Keep the tree: parent, ancestors, root, depth."""
    store = scope.store
    parent = store.get("stories", record.get("parent_id"))
    if parent is not None:
        if parent["workspace_id"] != record["workspace_id"]:
            raise Refusal(422, invalid("parent_id", "belongs to another workspace."))
        if record["id"] in {parent["id"], *(parent["ancestor_ids"] or ())}:
            raise Refusal(422, invalid("parent_id", "is the task itself, or below it."))
        record["ancestor_ids"] = [*(parent["ancestor_ids"] or ()), parent["id"]]
    else:
        record["ancestor_ids"] = []
    record["root_id"] = record["ancestor_ids"][0] if record["ancestor_ids"] else None
    record["ancestry_depth"] = len(record["ancestor_ids"])
    defaults: dict[str, Any] = {
        "story_type": "task",
        "state": "not started",
        "status": "not started",
        "priority": "normal",
        "archived": False,
        "billable": True,
        "fixed_fee": False,
        "time_trackable": True,
        "project_plan": True,
        "percentage_complete": 0,
        "sub_story_count": 0,
        "follower_ids": [],
        "logged_billable_time_in_minutes": 0,
        "logged_nonbillable_time_in_minutes": 0,
    }
    for field, value in defaults.items():
        if record.get(field) is None:
            record[field] = value
    if "state" in changes and "status" not in changes:
        record["status"] = record["state"]
    if record.get("position") is None:
        record["position"] = store.number("stories", "workspace_id", record["workspace_id"]) + 1


def _workspace(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    defaults: dict[str, Any] = {
        "archived": False,
        "currency": "USD",
        "currency_base_unit": 100,
        "access_level": "invitation",
        "budgeted": False,
        "percentage_complete": 0,
        "consultant_role_name": "Consultants",
        "client_role_name": "Clients",
        "require_time_approvals": False,
        "require_expense_approvals": False,
        "time_trackable": True,
        "workspace_group_ids": [],
        "primary_maven_id": scope.viewer,
    }
    for field, value in defaults.items():
        if record.get(field) is None:
            record[field] = value
    if record.get("currency_symbol") is None:
        record["currency_symbol"] = {"USD": "$", "EUR": "€", "GBP": "£"}.get(
            record["currency"], record["currency"]
        )


def _post(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    if record.get("subject_id") is not None and record.get("subject_type") in {None, "Post"}:
        record["subject_type"] = "Post"
        record["subject_ref"] = subject("posts", str(record["subject_id"]))
        if scope.store.get("posts", record["subject_id"]) is None:
            raise Refusal(422, invalid("subject_id", f"names no post: {record['subject_id']}."))
    record["has_attachments"] = bool(record.get("attachment_ids"))
    for field, value in (("private", False), ("reply", False), ("reply_count", 0)):
        if record.get(field) is None:
            record[field] = value


def _subject(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Turn `subject_type` and `subject_id` into the reference that records carry."""
    kind, identity = record.get("subject_type"), record.get("subject_id")
    if kind is None or identity is None:
        return
    key = key_of_type(str(kind))
    if key is None:
        raise Refusal(422, invalid("subject_type", f"is no type of the API: {kind}."))
    if "subject_id" in changes and scope.store.get(key, identity) is None:
        raise Refusal(422, invalid("subject_id", f"names no record of {key}: {identity}."))
    record["subject_ref"] = subject(key, str(identity))


def key_of_type(name: str) -> str | None:
    """The envelope key of a class name such as `TimeEntry`."""
    from kantata_client import models

    return next((key for key, cls in models.KEYS.items() if cls == name), None)


def _open_submission(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    if record.get("status") is None:
        record["status"] = "new"


def _custom_field(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    fields = scope.store.get("custom_field_sets", record.get("custom_field_set_id")) or {}
    record["subject_type"] = fields.get("subject_type")


def _expense(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for field, value in (("is_billable", True), ("is_invoiced", False)):
        if record.get(field) is None:
            record[field] = value


PREPARE: Mapping[str, tuple[Callable[[Scope, dict[str, Any], Mapping[str, Any]], None], ...]] = {
    "custom_field_values": (_subject,),
    "expense_report_submissions": (_money, _open_submission),
    "custom_fields": (_custom_field,),
    "expenses": (_expense, _money),
    "external_references": (_subject,),
    "invoices": (_money,),
    "posts": (_post,),
    "stories": (_story,),
    "survey_responses": (_subject,),
    "survey_templates": (_subject,),
    "time_entries": (_time_entry, _money),
    "timesheet_submissions": (_money, _open_submission),
    "workspaces": (_workspace,),
}


# After a record was created


def _join(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Make the creator of a workspace its first participant."""
    place = {"workspace_id": record["id"], "user_id": scope.viewer}
    role = {"role": "maven", "access_level": "admin", "is_team_lead": True}
    scope.store.put("participations", fresh(scope, "participations", **place, **role))


def _bill(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Put time entries and expenses on their invoice, and sum them up."""
    store = scope.store
    balance = 0
    for field, key in (("time_entry_ids", "time_entries"), ("expense_ids", "expenses")):
        for identity in body.get(field) or ():
            row = store.get(key, identity) or {}
            if row.get("invoice_id") is not None:
                raise Refusal(422, invalid(field, f"is on an invoice already: {identity}."))
            store.change(key, str(identity), invoice_id=record["id"], is_invoiced=True)
            balance += row.get("amount_in_cents") or 0
            balance += (row.get("time_in_minutes") or 0) * (row.get("rate_in_cents") or 0) // 60
    number = record.get("user_invoice_number") or len(store.ids("invoices"))
    store.change("invoices", record["id"], balance_in_cents=balance, status="new", user_invoice_number=number)


def _reply(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """Count a reply in the post that it answers."""
    above: dict[str, str] = record.get("subject_ref") or {}
    post = scope.store.get("posts", above.get("id")) if above.get("key") == "posts" else None
    if post is not None:
        scope.store.change(
            "posts",
            post["id"],
            reply=True,
            reply_count=(post.get("reply_count") or 0) + 1,
            newest_reply_id=record["id"],
            newest_reply_user_id=record["user_id"],
            newest_reply_at=record["created_at"],
        )


CREATED: Mapping[str, tuple[Callable[[Scope, Record, Mapping[str, Any]], None], ...]] = {
    "invoices": (_bill,),
    "posts": (_reply,),
    "workspaces": (_join,),
}


# After a record was created (no old one), changed or deleted (no new one)


def _tree(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Move the tasks below along with a task, and count them in those above."""
    store = scope.store
    before: list[str] = old["ancestor_ids"] if old else []
    after: list[str] = new["ancestor_ids"] if new else []
    if old and new and before != after:
        for child in store.where("stories", "parent_id", new["id"]):
            ancestors = [*after, new["id"]]
            moved = {"ancestor_ids": ancestors, "root_id": ancestors[0], "ancestry_depth": len(ancestors)}
            _tree(scope, child, store.change("stories", child["id"], **moved))
    for identity in dict.fromkeys((*before, *after)):
        above = store.get("stories", identity)
        count = store.number("stories", "ancestor_ids", identity)
        if above is not None and above.get("sub_story_count") != count:
            store.put("stories", {**above, "sub_story_count": count})


def _logged(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Keep the sums of time on a task."""
    for entry, sign in ((old, -1), (new, 1)):
        story = scope.store.get("stories", entry.get("story_id")) if entry else None
        if entry and story:
            field = f"logged_{'' if entry.get('billable') else 'non'}billable_time_in_minutes"
            minutes = (story.get(field) or 0) + sign * (entry.get("time_in_minutes") or 0)
            scope.store.put("stories", {**story, field: minutes})


def _task(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Keep the tree of tasks, and the log of their states."""
    _tree(scope, old, new)
    if old and new and old.get("state") != new.get("state"):
        state = str(new.get("state"))
        change = {"state": state, "formatted_state": state.capitalize(), "story_id": new["id"]}
        row = fresh(scope, "story_state_changes", user_id=scope.viewer, **change)
        scope.store.put("story_state_changes", row)


WRITTEN: Mapping[str, Callable[[Scope, Record | None, Record | None], None]] = {
    "stories": _task,
    "time_entries": _logged,
}


# What keeps a record from being deleted


def _invoiced(record: Record) -> str | None:
    return "it is on an invoice" if record.get("invoice_id") is not None else None


UNDELETABLE: Mapping[str, Callable[[Record], str | None]] = {"expenses": _invoiced, "time_entries": _invoiced}


# Properties of a body that are no fields of the record


def refer_externally(scope: Scope, key: str, identity: str, value: Mapping[str, Any]) -> str:
    """Create or change the external reference of a record for one provider."""
    store = scope.store
    now = store.now()
    known = [
        row
        for row in store.where("external_references", "subject_ref", subject(key, identity))
        if row["service_name"] == value.get("service_name")
    ]
    if known:
        return store.change("external_references", known[0]["id"], last_synced_at=now, **value)["id"]
    about = {"subject_type": _contract.model(key).name, "subject_id": int(identity)}
    given = {"status": "successful", "locked": False, "last_synced_at": now, **value}
    given["service_model_ref"] = str(value.get("service_model_ref"))
    record = fresh(scope, "external_references", **about, subject_ref=subject(key, identity), **given)
    return store.put("external_references", record)["id"]


def _external_reference(scope: Scope, key: str, identity: str, value: Any) -> None:
    refer_externally(scope, key, identity, value)


def _custom_fields(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Set custom field values from `[{id, value}]`."""
    for row in cast("list[dict[str, Any]]", value):
        field = scope.store.get("custom_fields", row.get("id"))
        if field is None:
            raise Refusal(422, invalid("custom_fields", f"names no custom field: {row.get('id')}."))
        set_custom_value(scope, key, identity, field, row.get("value"))


def set_custom_value(scope: Scope, key: str, identity: str, field: Record, value: Any) -> str:
    """Create or change the value of a custom field for a record."""
    store = scope.store
    known = [
        row
        for row in store.where("custom_field_values", "subject_ref", subject(key, identity))
        if str(row["custom_field_id"]) == field["id"]
    ]
    if known:
        return store.change("custom_field_values", known[0]["id"], value=value, setter_id=scope.viewer)["id"]
    about = {"subject_type": _contract.model(key).name, "subject_id": int(identity)}
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


def _assignees(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Make the assignments of a task those of the users named."""
    store = scope.store
    wanted = [str(user) for user in cast("list[Any]", value)]
    for row in store.where("assignments", "story_id", identity):
        if row.get("assignee_id") in wanted:
            wanted.remove(row["assignee_id"])
        elif row.get("assignee_id") is not None:
            store.remove("assignments", row["id"])
    for user in wanted:
        row = fresh(scope, "assignments", story_id=identity, assignee_id=user, current=True)
        store.put("assignments", row)


def _tags(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Tag a record with the names of a comma-separated list."""
    store = scope.store
    ids: list[str] = []
    for name in (word.strip() for word in str(value).split(",")):
        if name:
            known = store.find("tags", "name", name)
            ids.append(known[0] if known else store.put("tags", fresh(scope, "tags", name=name))["id"])
    store.change(key, identity, tag_ids=ids)


def _checklist(scope: Scope, key: str, identity: str, value: Any) -> None:
    for name in cast("list[Any]", value):
        row = fresh(scope, "story_tasks", name=name, completed=False, story_id=identity)
        scope.store.put("story_tasks", row)


def _submit(target: str) -> Callable[[Scope, str, str, Any], None]:
    """Put time entries or expenses into a submission."""

    def submit(scope: Scope, key: str, identity: str, value: Any) -> None:
        ids = [str(item) for item in cast("list[Any]", value)]
        rows = [scope.store.get(target, item) for item in ids]
        missing = [item for item, row in zip(ids, rows, strict=True) if row is None]
        if missing:
            raise Refusal(
                422, invalid("line_item_ids", f"names no record of {target}: {', '.join(missing)}.")
            )
        for item in ids:
            scope.store.change(target, item, active_submission_id=identity, recent_submission_id=identity)

    return submit


def _choices(scope: Scope, key: str, identity: str, value: Any) -> None:
    for position, choice in enumerate(cast("list[Any]", value), start=1):
        given = cast("dict[str, Any]", choice) if isinstance(choice, dict) else {"label": choice}
        fields = {"position": position} | given | {"custom_field_id": identity}
        scope.store.put("custom_field_choices", fresh(scope, "custom_field_choices", **fields))


def _team_lead(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, is_team_lead=bool(value))


def _invoiced_workspace(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, workspace_ids=[str(value)])


def _allocated(scope: Scope, key: str, identity: str, value: Any) -> None:
    resource = scope.store.get("workspace_resources", value)
    if resource is None:
        raise Refusal(422, invalid("resource_id", f"names no workspace resource: {value}."))
    place = {"workspace_resource_id": resource["id"], "workspace_id": resource["workspace_id"]}
    scope.store.change(key, identity, **place)


def _backdate(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, created_at=value)


def _answer(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, text=str(value))


def _on_calendars(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Put a holiday on the calendars named, and on no other."""
    store = scope.store
    wanted = [str(calendar) for calendar in cast("list[Any]", value)]
    for row in store.where("holiday_calendar_associations", "holiday_id", identity):
        store.remove("holiday_calendar_associations", row["id"])
    for calendar in wanted:
        found = store.get("holiday_calendars", calendar)
        if found is None:
            raise Refusal(422, invalid("holiday_calendar_ids", f"names no calendar: {calendar}."))
        names = {
            "holiday_name": (store.get(key, identity) or {}).get("name"),
            "holiday_calendar_name": found["name"],
        }
        ids = {"holiday_id": identity, "holiday_calendar_id": calendar}
        key_of_row = "holiday_calendar_associations"
        store.put(key_of_row, fresh(scope, key_of_row, **ids, **names))


def _card_version(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Give a rate card its version in a version of the set."""
    row = fresh(scope, "rate_card_versions", rate_card_id=identity, rate_card_set_version_id=str(value))
    scope.store.put("rate_card_versions", row)
    scope.store.change(key, identity, effective_rate_card_version_id=row["id"])


def _billable(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, is_billable=value)


def _add_workspaces(scope: Scope, key: str, identity: str, value: Any) -> None:
    _regroup(scope, identity, value, member=True)


def _remove_workspaces(scope: Scope, key: str, identity: str, value: Any) -> None:
    _regroup(scope, identity, value, member=False)


def _regroup(scope: Scope, group: str, ids: Any, *, member: bool) -> None:
    for item in cast("list[Any]", ids):
        workspace = scope.store.get("workspaces", item)
        if workspace is not None:
            groups = [other for other in workspace.get("workspace_group_ids") or () if other != group]
            scope.store.change("workspaces", workspace["id"], workspace_group_ids=groups + [group] * member)


BODY_FIELDS: Mapping[tuple[str, str], Callable[[Scope, str, str, Any], Any]] = {
    ("*", "external_reference"): _external_reference,
    ("*", "custom_fields"): _custom_fields,
    ("*", "tag_list"): _tags,
    ("custom_fields", "choices"): _choices,
    ("expense_report_submissions", "line_item_ids"): _submit("expenses"),
    ("expenses", "billable"): _billable,
    ("invoices", "workspace_id"): _invoiced_workspace,
    ("holidays", "holiday_calendar_ids"): _on_calendars,
    ("posts", "backdated_to"): _backdate,
    ("rate_cards", "rate_card_set_version_id"): _card_version,
    ("survey_answers", "date_value"): _answer,
    ("survey_answers", "decimal_value"): _answer,
    ("survey_answers", "integer_value"): _answer,
    ("survey_answers", "string_value"): _answer,
    ("participations", "team_lead"): _team_lead,
    ("stories", "assignee_ids"): _assignees,
    ("stories", "checklist"): _checklist,
    ("timesheet_submissions", "line_item_ids"): _submit("time_entries"),
    ("workspace_allocations", "resource_id"): _allocated,
    ("workspace_groups", "add_workspace_ids"): _add_workspaces,
    ("workspace_groups", "remove_workspace_ids"): _remove_workspaces,
}
"""(envelope key or `*`, property) → what it does to the record with an id."""
