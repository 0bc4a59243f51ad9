"""Project snapshots: a copy of a project's plan at one time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.relations import fresh

if TYPE_CHECKING:
    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.scope import Scope

_KEY = "project_snapshots"
_PRIORITIES = ("low", "normal", "high", "critical")
_COPIED = (
    *("archived", "billable", "budget_estimate_in_cents", "description", "due_date", "percentage_complete"),
    *("project_plan", "start_date", "state", "story_type", "time_estimate_in_minutes", "title"),
)


def create(call: Call) -> dict[str, Any]:
    """Copy the plan of a workspace: its tasks, assignments, resources and custom fields."""
    scope, store, fields = call.scope, call.scope.store, call.fields()
    workspace = store.get("workspaces", fields["workspace_id"])
    if workspace is None:
        raise Refusal(422, invalid("workspace_id", f"names no workspace: {fields['workspace_id']}."))
    about: dict[str, Any] = workspace.get("status") or {}
    record = store.put(
        _KEY,
        fresh(
            scope,
            _KEY,
            workspace_id=workspace["id"],
            title=fields.get("title") or f"Snapshot of {store.today()}",
            description=fields.get("description"),
            budget_in_cents=workspace.get("price_in_cents"),
            currency=workspace.get("currency"),
            start_date=workspace.get("start_date"),
            due_date=workspace.get("due_date"),
            status_as_text=about.get("message"),
            status_color=about.get("color"),
            is_baseline=False,
        ),
    )
    made = _copies(scope, workspace["id"], record["id"])
    store.put(_KEY, {**record, **{f"{name}_ids": ids for name, ids in made.items()}})
    if fields.get("replace_baseline"):
        make_baseline(scope, _KEY, record["id"], value=True)
    return call.envelope([record["id"]])


def _copies(scope: Scope, workspace: str, snapshot: str) -> dict[str, list[str]]:
    store, reference = scope.store, {"project_snapshot_id": int(snapshot)}
    made: dict[str, list[str]] = {
        name: []
        for name in (
            *("project_snapshot_resource", "project_snapshot_task", "project_snapshot_assignment"),
            *("project_snapshot_custom_field_value", "project_snapshot_task_custom_field_value"),
        )
    }

    def add(field: str, key: str, **given: Any) -> str:
        identity = store.put(key, {**fresh(scope, key, **given), **reference})["id"]
        made[field].append(identity)
        return identity

    def values(field: str, key: str, identity: str) -> None:
        for row in store.where("custom_field_values", "subject_ref", {"key": key, "id": identity}):
            add(
                field,
                "project_snapshot_custom_field_values",
                custom_field_name=row.get("custom_field_name"),
                subject_id=int(identity),
                subject_type=row.get("subject_type"),
                value=str(row.get("value")),
                value_type=row.get("type"),
            )

    resources: dict[object, str] = {}
    for row in store.where("workspace_resources", "workspace_id", workspace):
        about = {name: int(row[name]) for name in ("role_id", "user_id") if row.get(name) is not None}
        name = row.get("display_label") or row.get("full_name")
        resources[row.get("user_id")] = add(
            "project_snapshot_resource",
            "project_snapshot_resources",
            name=name,
            resource_id=int(row["id"]),
            **about,
        )
    for story in store.where("stories", "workspace_id", workspace):
        priority = str(story.get("priority"))
        task = add(
            "project_snapshot_task",
            "project_snapshot_tasks",
            story_id=int(story["id"]),
            priority_level=_PRIORITIES.index(priority) if priority in _PRIORITIES else None,
            wbs=story.get("position"),
            **{name: story.get(name) for name in _COPIED},
        )
        values("project_snapshot_task_custom_field_value", "stories", story["id"])
        for assignment in store.where("assignments", "story_id", story["id"]):
            resource = resources.get(assignment.get("assignee_id"))
            if assignment.get("current") is not False and resource is not None:
                add(
                    "project_snapshot_assignment",
                    "project_snapshot_assignments",
                    estimated_minutes=assignment.get("estimated_minutes"),
                    scheduled_minutes=assignment.get("allocated_minutes"),
                    project_snapshot_task_id=int(task),
                    project_snapshot_resource_id=int(resource),
                )
    values("project_snapshot_custom_field_value", "workspaces", workspace)
    return made


def make_baseline(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Make a snapshot the only baseline of its workspace."""
    if not value:
        return
    workspace = (scope.store.get(key, identity) or {}).get("workspace_id")
    for row in scope.store.where(key, "workspace_id", workspace):
        scope.store.change(key, row["id"], is_baseline=row["id"] == identity)
