"""Which records a record refers to: by references it stores, and by those that follow from other records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from kantata_client.sandbox import _contract

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kantata_client.sandbox._store import Record, Store


class Scope(NamedTuple):
    """Where a request happens: the store, and the user whose token it carries."""

    store: Store
    viewer: str


def referred(scope: Scope, key: str, record: Record, reference: _contract.Reference) -> list[tuple[str, str]]:
    """The (envelope key, id) of the records that a record refers to by one association, if they exist."""
    store = scope.store
    if reference.key is None:
        pairs = [(str(item["key"]), str(item["id"])) for item in listed(record.get(reference.ids))]
    else:
        derive = DERIVED.get((key, reference.ids))
        if derive is not None:
            ids = derive(scope, record)
        elif reference.ids in record:
            ids = listed(record[reference.ids])
        elif reference.ids == "external_reference_ids":
            ids = _about(store, "external_references", key, record)
        elif reference.ids == "custom_field_value_ids":
            ids = _about(store, "custom_field_values", key, record)
        else:
            ids = _pointing_back(store, key, record, reference)
        target = reference.key
        pairs = [(target, str(identity)) for identity in ids if identity is not None]
    return [pair for pair in dict.fromkeys(pairs) if store.get(*pair) is not None]


def listed(value: Any) -> list[Any]:
    """The items of a list, or the one value, or nothing of null."""
    return cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]


def blank(key: str) -> dict[str, Any]:
    """The fields that every object under an envelope key shows, with nothing in them."""
    model = _contract.model(key)
    return {
        field: [] if field in model.lists else None
        for field in model.kinds
        if field not in model.hidden and (key, field) not in DERIVED
    }


def fresh(scope: Scope, key: str, **fields: Any) -> dict[str, Any]:
    """A new record, not yet stored: an id, the time, and of `fields` those that the type has."""
    model = _contract.model(key)
    references = {reference.ids for reference in model.references.values()}
    known = {*model.kinds, *references, *_contract.UNSHOWN.get(key, ())}
    times = dict.fromkeys(_contract.TIMES, scope.store.now())
    given = {field: value for field, value in fields.items() if field in known}
    return {"id": scope.store.new_id(), **blank(key), **times, **given}


def subject(key: str, identity: str) -> dict[str, str]:
    """A polymorphic reference."""
    return {"key": key, "id": identity}


def _about(store: Store, target: str, key: str, record: Record) -> list[str]:
    return store.find(target, "subject_ref", subject(key, record["id"]))


def _pointing_back(store: Store, key: str, record: Record, reference: _contract.Reference) -> list[str]:
    """The targets that name the record in `<its type>_id`, or list it in `<its type>_ids`."""
    assert reference.key is not None  # noqa: S101 - the caller deals with polymorphic ones
    fields = _contract.model(reference.key).kinds
    for field in (f"{singular(key)}_id", f"{singular(key)}_ids"):
        if field in fields:
            ids = store.find(reference.key, field, record["id"])
            return ids if reference.many else ids[-1:]
    return []


def singular(key: str) -> str:
    """The singular of an envelope key: `stories` → `story`."""
    for ending, replacement in (("ies", "y"), ("sses", "ss"), ("statuses", "status"), ("s", "")):
        if key.endswith(ending):
            return key.removesuffix(ending) + replacement
    return key


def _participants(scope: Scope, workspace: Record) -> list[str]:
    return [row["user_id"] for row in scope.store.where("participations", "workspace_id", workspace["id"])]


def _assignments(scope: Scope, story: Record) -> list[Record]:
    rows = scope.store.where("assignments", "story_id", story["id"])
    return [row for row in rows if row.get("current") is not False]


def _next_milestone(scope: Scope, workspace: Record) -> list[str]:
    open_ones = [
        story
        for story in scope.store.where("stories", "workspace_id", workspace["id"])
        if story["story_type"] == "milestone" and story["state"] != "completed"
    ]
    return [min(open_ones, key=lambda story: story["due_date"] or "9")["id"]] if open_ones else []


def _latest(key: str, field: str) -> Callable[[Scope, Record], list[str]]:
    def derive(scope: Scope, record: Record) -> list[str]:
        rows = scope.store.where(key, field, record["id"])
        return [max(rows, key=lambda row: row.get("created_at") or "")["id"]] if rows else []

    return derive


def _resources(scope: Scope, workspace: Record) -> list[Record]:
    return scope.store.where("workspace_resources", "workspace_id", workspace["id"])


DERIVED: Mapping[tuple[str, str], Callable[[Scope, Record], list[Any]]] = {
    ("stories", "assignee_ids"): lambda s, r: [row.get("assignee_id") for row in _assignments(s, r)],
    ("stories", "current_assignment_ids"): lambda s, r: [row["id"] for row in _assignments(s, r)],
    ("stories", "follower_ids"): lambda s, r: [
        *(r.get("follower_ids") or ()),
        *(row["follower_id"] for row in s.store.where("story_follows", "story_id", r["id"])),
    ],
    ("stories", "sub_story_ids"): lambda s, r: s.store.find("stories", "parent_id", r["id"]),
    ("stories", "descendant_ids"): lambda s, r: s.store.find("stories", "ancestor_ids", r["id"]),
    ("stories", "source_dependency_ids"): lambda s, r: s.store.find(
        "story_dependencies", "target_id", r["id"]
    ),
    ("stories", "target_dependency_ids"): lambda s, r: s.store.find(
        "story_dependencies", "source_id", r["id"]
    ),
    ("stories", "reply_ids"): lambda s, r: s.store.find("posts", "story_id", r["id"]),
    ("posts", "reply_ids"): lambda s, r: s.store.find("posts", "subject_ref", subject("posts", r["id"])),
    ("workspaces", "participant_ids"): _participants,
    ("workspaces", "financial_viewer_ids"): lambda s, r: [
        row["user_id"]
        for row in s.store.where("participations", "workspace_id", r["id"])
        if row.get("access_level") in {"admin", "financial"}
    ],
    ("workspaces", "current_user_participation_id"): lambda s, r: [
        row["id"]
        for row in s.store.where("participations", "workspace_id", r["id"])
        if row["user_id"] == s.viewer
    ],
    ("workspaces", "next_uncompleted_milestone_id"): _next_milestone,
    ("workspaces", "current_status_report_id"): _latest("status_reports", "workspace_id"),
    ("workspaces", "workspace_resource_ids"): lambda s, r: [
        row["id"] for row in _resources(s, r) if row.get("user_id") is not None
    ],
    ("workspaces", "workspace_resources_with_unnamed_ids"): lambda s, r: [
        row["id"] for row in _resources(s, r)
    ],
    ("users", "account_membership_id"): lambda s, r: s.store.find("account_memberships", "user_id", r["id"]),
    ("users", "skill_ids"): lambda s, r: [
        row["skill_id"] for row in s.store.where("skill_memberships", "user_id", r["id"])
    ],
    ("account_memberships", "managee_ids"): lambda s, r: s.store.find("users", "manager_id", r["user_id"]),
    ("account_memberships", "skill_membership_ids"): lambda s, r: s.store.find(
        "skill_memberships", "user_id", r["user_id"]
    ),
    ("workspace_groups", "workspace_ids"): lambda s, r: s.store.find(
        "workspaces", "workspace_group_ids", r["id"]
    ),
    ("participations", "workspace_resource_ids"): lambda s, r: [
        row["id"]
        for row in s.store.where("workspace_resources", "workspace_id", r["workspace_id"])
        if row.get("user_id") == r["user_id"]
    ],
    ("timesheet_submissions", "time_entry_ids"): lambda s, r: s.store.find(
        "time_entries", "recent_submission_id", r["id"]
    ),
    ("expense_report_submissions", "expense_ids"): lambda s, r: s.store.find(
        "expenses", "recent_submission_id", r["id"]
    ),
    ("invoices", "time_entry_ids"): lambda s, r: s.store.find("time_entries", "invoice_id", r["id"]),
    ("invoices", "expense_ids"): lambda s, r: s.store.find("expenses", "invoice_id", r["id"]),
    ("custom_fields", "choice_ids"): lambda s, r: s.store.find(
        "custom_field_choices", "custom_field_id", r["id"]
    ),
}
"""(envelope key, field) → the ids, where they are not stored with the record but follow from others."""

UNKNOWN = frozenset(
    {
        ("stories", "potential_workspace_resources"),
        ("stories", "potential_workspace_resources_with_unnamed"),
        ("workspaces", "possible_approvers"),
        ("account_memberships", "possible_managees"),
        ("account_memberships", "possible_managers"),
        ("subscribed_events", "subject"),
    }
)
"""(envelope key, association) whose rule lies in the service: asked for, they are refused with 501."""
