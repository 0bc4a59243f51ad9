"""Stories (tasks), and what belongs to them: assignments, follows, checklists, dependencies, planned days."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox import registry
from kantata_client.sandbox.filters.custom_fields import custom_field_filters, date_ranges
from kantata_client.sandbox.filters.makers import (
    EVERYTHING,
    among,
    between,
    csv,
    date_range,
    flag,
    given,
    linked,
    no_filter,
    one_of,
    opposite,
    three_way,
    unless,
    when_true,
    where,
)
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.resources._shared import (
    OF_LIVE_STORY,
    defaults,
    fill,
    in_archived_workspace,
    story_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.filters.match import Match
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

DEEPEST = 4
"""Levels of tasks above a task, at most."""

DONE = frozenset({"completed", "fixed", "duplicate", "can't reproduce", "resolved", "won't fix"})
"""States of a task that is finished."""


def _current_assignments(scope: Scope, story: Record) -> list[Record]:
    rows = scope.store.where("assignments", "story_id", story["id"])
    return [row for row in rows if row.get("current") is not False]


def _assigned(scope: Scope, value: str) -> Match:
    words = csv(value)
    rows = [row for word in words for row in scope.store.where("assignments", "assignee_id", word)]
    ids = {row["story_id"] for row in rows if row.get("current") is not False}
    if "unassigned" in words:
        taken = {row["story_id"] for row in scope.store.all("assignments") if row.get("current") is not False}
        ids |= set(scope.store.ids("stories")) - taken
    if "unnamed" in words:
        unnamed = (row for row in scope.store.all("assignments") if row.get("assignee_id") is None)
        ids |= {row["story_id"] for row in unnamed if row.get("current") is not False}
    return among(frozenset(ids))


def _of_resource(scope: Scope, value: str) -> Match:
    """Tasks assigned to workspace resources, or to the users on them."""
    words = csv(value)
    users = {(scope.store.get("workspace_resources", word) or {}).get("user_id") for word in words} - {None}
    rows = [
        row
        for field, ids in (("resource_id", words), ("assignee_id", users))
        for word in ids
        for row in scope.store.where("assignments", field, word)
    ]
    return among(frozenset(row["story_id"] for row in rows if row.get("current") is not False))


def _resources(scope: Scope, story: Record, *, assigned: bool, named: bool = False) -> list[str]:
    """The resources of a task's workspace that are assigned to the task, or could be."""
    busy = {row.get("assignee_id") for row in _current_assignments(scope, story)} - {None}
    on_it = {str(row.get("resource_id")) for row in _current_assignments(scope, story)}
    rows = scope.store.where("workspace_resources", "workspace_id", story.get("workspace_id"))
    return [
        row["id"]
        for row in rows
        if (row["id"] in on_it or row.get("user_id") in busy) == assigned
        and (not named or row.get("user_id") is not None)
    ]


def _completions(scope: Scope, story: Record) -> list[str]:
    """The dates on which a task was completed."""
    rows = scope.store.where("story_state_changes", "story_id", story["id"])
    return [str(row.get("created_at"))[:10] for row in rows if row.get("state") in DONE]


def _completed_between(scope: Scope, value: str) -> Match:
    first, last = date_range(value)

    def keep(record: Record) -> bool:
        if record.get("state") not in DONE:
            return False
        dates = _completions(scope, record) or [str(record.get("updated_at"))[:10]]
        return first <= dates[-1] <= (last or "9")

    return where(keep)


def _paragraphs(story: Record) -> str:
    lines = str(story.get("description") or "").splitlines()
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _out_of_bounds(scope: Scope, story: Record) -> bool:
    """Whether hours are planned before the task starts or after it is due."""
    first, last = story.get("start_date") or "", story.get("due_date") or "9"
    rows = scope.store.where("story_allocation_days", "story_id", story["id"])
    return any(not first <= str(row.get("date")) <= last for row in rows)


def _target(scope: Scope, dependency: Record) -> Record:
    return scope.store.get("stories", dependency.get("target_id")) or {}


def _tagged(scope: Scope, value: str) -> Match:
    names = {name.casefold() for name in csv(value)}
    tags = {tag["id"] for tag in scope.store.all("tags") if tag["name"].casefold() in names}
    return where(lambda record: not tags.isdisjoint(record.get("tag_ids") or ()))


def _followed(scope: Scope, value: str) -> Match:
    followers = registry.resource("stories").derived["follower_ids"]
    words = csv(value)
    return where(lambda record: not words.isdisjoint(map(str, followers(scope, record))))


def _either_date(scope: Scope, value: str) -> Match:
    matches = [between(field)(scope, value) for field in ("start_date", "due_date")]
    return where(lambda record: any(match.allows(record) for match in matches))


def _completed(scope: Scope, record: Record) -> bool:
    return record.get("state") in DONE


def _prepare(scope: Scope, record: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Maintain the tree: parent, ancestors, root, depth."""
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
    if len(record["ancestor_ids"]) > DEEPEST:
        raise Refusal(422, invalid("parent_id", f"is too deep: tasks have at most {DEEPEST} above them."))
    record["root_id"] = record["ancestor_ids"][0] if record["ancestor_ids"] else None
    record["ancestry_depth"] = len(record["ancestor_ids"])
    fill(
        record,
        story_type="task",
        state="not started",
        status="not started",
        priority="normal",
        archived=False,
        billable=True,
        fixed_fee=False,
        time_trackable=True,
        project_plan=True,
        percentage_complete=0,
        sub_story_count=0,
        follower_ids=[],
        logged_billable_time_in_minutes=0,
        logged_nonbillable_time_in_minutes=0,
    )
    if "state" in changes and "status" not in changes:
        record["status"] = record["state"]
    if record.get("position") is None:
        record["position"] = store.number("stories", "workspace_id", record["workspace_id"]) + 1


def _tree(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Update the ancestors of the subtasks, and the counts of the ancestors."""
    store = scope.store
    before: list[str] = (old.get("ancestor_ids") or []) if old else []
    after: list[str] = (new.get("ancestor_ids") or []) if new else []
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


def _log_state(scope: Scope, old: Record | None, new: Record | None) -> None:
    """Log a change of state."""
    if old and new and old.get("state") != new.get("state"):
        state = str(new.get("state"))
        change = {"state": state, "formatted_state": state.capitalize(), "story_id": new["id"]}
        row = fresh(scope, "story_state_changes", user_id=scope.viewer, **change)
        scope.store.put("story_state_changes", row)


def _assignees(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Assign a task to exactly the given users."""
    store = scope.store
    missing = [str(user) for user in cast("list[Any]", value)]
    for row in store.where("assignments", "story_id", identity):
        if row.get("assignee_id") in missing:
            missing.remove(row["assignee_id"])
            if row.get("current") is False:
                store.change("assignments", row["id"], current=True)
        elif row.get("assignee_id") is not None and row.get("current") is not False:
            store.change("assignments", row["id"], current=False)
    for user in missing:
        row = fresh(scope, "assignments", story_id=identity, assignee_id=user, current=True)
        store.put("assignments", row)


def _checklist(scope: Scope, key: str, identity: str, value: Any) -> None:
    for name in cast("list[Any]", value):
        row = fresh(scope, "story_tasks", name=name, completed=False, story_id=identity)
        scope.store.put("story_tasks", row)


declare(
    Resource(
        key="stories",
        spellings={"state": {"can't repro": "can't reproduce"}},
        filters={
            **custom_field_filters("stories"),
            "by_custom_date_field": date_ranges("stories"),
            "completed_between": _completed_between,
            "exclude_workspace_title_from_search": no_filter,  # a search never looks there
            "not_assigned_to_resource": opposite(_of_resource),
            "only_deleted": when_true(lambda _, row: row.get("deleted_at") is not None),
            "show_deleted": no_filter,
            "time_trackable_on_workspace_id": lambda scope, value: where(
                lambda row: row.get("workspace_id") == value and bool(row.get("time_trackable"))
            ),
            "without_past_completed": when_true(
                lambda scope, row: not _completed(scope, row) and not _completions(scope, row)
            ),
            "active_between": _either_date,
            "archived": three_way("archived"),
            "assigned_to_current_user": lambda scope, value: (
                _assigned(scope, scope.viewer) if flag(value) else EVERYTHING
            ),
            "by_any_tag": _tagged,
            "by_tag_name": _tagged,
            "by_status": one_of("status"),
            "by_subtask_count": lambda scope, value: where(
                lambda row: scope.store.number("stories", "parent_id", row["id"]) == int(value) > 0
            ),
            "by_workspace_group": linked("workspace_id", "workspaces", one_of("workspace_group_ids")),
            "completed": when_true(_completed),
            "uncompleted": when_true(lambda scope, row: not _completed(scope, row)),
            "creators": one_of("creator_id"),
            "only_archived": when_true(lambda _, row: bool(row.get("archived"))),
            "only_todos": when_true(lambda _, row: row.get("project_plan") is False),
            "parents_only": when_true(lambda _, row: row.get("parent_id") is None),
            "priority": one_of("priority"),
            "show_archived": no_filter,
            "show_from_archived_workspaces": no_filter,
            "show_todos": no_filter,
            "starting_between": between("start_date"),
            "story_types": one_of("story_type"),
            "with_ancestry_depth": one_of("ancestry_depth"),
            "with_assignees": _assigned,
            "with_followers": _followed,
            "with_projects": one_of("workspace_id"),
            "with_root_id": one_of("ancestor_ids"),
            "not_assigned_to_user": opposite(_assigned),
        },
        default_filters=(
            unless(
                given("show_archived", "only_archived", "archived"), lambda _, row: not row.get("archived")
            ),
            unless(
                given("show_from_archived_workspaces"),
                lambda scope, row: not in_archived_workspace(scope, row),
            ),
            unless(given("show_todos", "only_todos"), lambda _, row: row.get("project_plan") is not False),
        ),
        derived={
            "assignee_ids": lambda scope, row: [
                assignment.get("assignee_id") for assignment in _current_assignments(scope, row)
            ],
            "current_assignment_ids": lambda scope, row: [
                assignment["id"] for assignment in _current_assignments(scope, row)
            ],
            "follower_ids": lambda scope, row: [
                *(row.get("follower_ids") or ()),
                *(
                    follow["follower_id"]
                    for follow in scope.store.where("story_follows", "story_id", row["id"])
                ),
            ],
            "sub_story_ids": lambda scope, row: scope.store.find("stories", "parent_id", row["id"]),
            "descendant_ids": lambda scope, row: scope.store.find("stories", "ancestor_ids", row["id"]),
            "source_dependency_ids": lambda scope, row: scope.store.find(
                "story_dependencies", "target_id", row["id"]
            ),
            "target_dependency_ids": lambda scope, row: scope.store.find(
                "story_dependencies", "source_id", row["id"]
            ),
            "reply_ids": lambda scope, row: scope.store.find("posts", "story_id", row["id"]),
            "workspace_resource_ids": lambda scope, row: _resources(scope, row, assigned=True, named=True),
            "workspace_resources_with_unnamed_ids": lambda scope, row: _resources(scope, row, assigned=True),
            "potential_workspace_resource_ids": lambda scope, row: _resources(
                scope, row, assigned=False, named=True
            ),
            "potential_workspace_resources_with_unnamed_ids": lambda scope, row: _resources(
                scope, row, assigned=False
            ),
        },
        computed={
            "archived_editable": lambda scope, row: not in_archived_workspace(scope, row),
            "can_align_time": lambda _, row: bool(row.get("time_trackable")),
            "can_edit": lambda _, row: not row.get("archived"),
            "can_post": lambda _, row: not row.get("archived"),
            "formatted_description": lambda _, row: _paragraphs(row),
            "has_out_of_bounds_sads": _out_of_bounds,
            "is_time_trackable_type": lambda _, row: row.get("story_type") != "milestone",
            "parsed_description": lambda _, row: row.get("description") or "",
            "read_only": lambda _, row: bool(row.get("archived")),
        },
        prepare=(_prepare,),
        written=(_tree, _log_state),
        properties={"assignee_ids": _assignees, "checklist": _checklist},
        owned=(
            ("stories", "parent_id"),
            *(
                (target, "story_id")
                for target in (
                    *("assignments", "story_tasks", "story_state_changes", "story_follows"),
                    "story_allocation_days",
                )
            ),
            ("story_dependencies", "source_id"),
            ("story_dependencies", "target_id"),
        ),
        soft_delete="aside",
        deleted_keeps=("story_tasks", "story_dependencies"),
    )
)
declare(
    Resource(
        key="assignments",
        filters={
            "in_unarchived_stories": no_filter,
            "in_unarchived_workspaces": no_filter,
            "include_unnamed": no_filter,
            "plannable": no_filter,  # the sandbox has no permissions: everybody may plan
            "uncurrent": when_true(lambda _, row: row.get("current") is False),
            "current": when_true(lambda _, row: row.get("current") is not False),
        },
        default_filters=(
            *OF_LIVE_STORY,
            unless(given("include_unnamed"), lambda _, row: row.get("assignee_id") is not None),
        ),
        prepare=(defaults(current=True),),
        owned=(("story_allocation_days", "assignment_id"),),
        deleted_as={"current": False},
    )
)
declare(
    Resource(
        key="story_allocation_days",
        filters={
            "include_unnamed": no_filter,
            "uncurrent": when_true(lambda _, row: row.get("current") is False),
            "in_unarchived_stories": no_filter,
            "in_unarchived_workspaces": no_filter,
            "assignee_id": linked("assignment_id", "assignments", one_of("assignee_id")),
            "only_my_account": no_filter,
        },
        default_filters=(
            *OF_LIVE_STORY,
            unless(
                given("include_unnamed"),
                lambda scope, row: (
                    (scope.store.get("assignments", row.get("assignment_id")) or {"assignee_id": ""}).get(
                        "assignee_id"
                    )
                    is not None
                ),
            ),
        ),
    )
)
declare(
    Resource(
        key="story_dependencies",
        filters={
            "workspace_id": linked("source_id", "stories", one_of("workspace_id")),
            "show_archived": no_filter,
            "show_deleted": no_filter,
            "show_from_archived_workspaces": no_filter,
        },
        default_filters=(
            unless(given("show_archived"), lambda scope, row: not _target(scope, row).get("archived")),
            unless(
                given("show_from_archived_workspaces"),
                lambda scope, row: not in_archived_workspace(scope, _target(scope, row)),
            ),
        ),
    )
)
declare(
    Resource(
        key="story_tasks",
        filters={
            "show_archived": no_filter,
            "show_deleted": no_filter,
            "show_from_archived_workspaces": no_filter,
        },
        default_filters=(
            unless(given("show_archived"), lambda scope, row: not story_of(scope, row).get("archived")),
            unless(
                given("show_from_archived_workspaces"),
                lambda scope, row: not in_archived_workspace(scope, story_of(scope, row)),
            ),
        ),
    )
)
