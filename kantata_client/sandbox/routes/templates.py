"""Applying project templates.

What the service keeps in a template is not documented. In the sandbox, its `raw_json` is an object with `stories`, each
with a `title` and, optionally, `story_type`, `start_day` and `duration_days` (days from the start, counting workdays),
`time_estimate_in_minutes`, `checklist` (names), `assignments` (ids of project template assignments) and `sub_stories`.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox import mutations, registry
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.relations import fresh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

OPTIONS = (
    "project_template_start_date",
    "project_template_checklist_as_todos",
    "project_template_assignment_mappings",
    "project_template_weekends_as_workdays",
    "project_template_create_unnamed_resources",
    "project_template_distribute_hours",
    "project_template_before_story_id",
)
"""Properties that control how a template is applied."""


def apply(scope: Scope, identity: str, body: Mapping[str, Any]) -> None:
    """Apply the template in the body of a workspace to it."""
    _Application(scope, identity, body["project_tracker_template_id"], body).run()


def apply_to_workspace(call: Call) -> dict[str, Any]:
    """Apply a template to the workspace in the path."""
    workspace, fields = call.existing(), call.fields()
    if fields.get("project_tracker_template_id") is None:
        raise Refusal(422, invalid("project_tracker_template_id", "can't be blank."))
    edit = call.parameter("edit_stories") in {"true", "1"}
    application = _Application(call.scope, workspace["id"], fields["project_tracker_template_id"], fields)
    application.run(tasks=not edit)
    answer = call.envelope([call.identity])
    return answer | ({"template_stories_json": json.dumps(application.stories)} if edit else {})


class _Application:
    """One application of a template to a workspace."""

    def __init__(self, scope: Scope, workspace: str, template: object, options: Mapping[str, Any]) -> None:
        self.scope = scope
        self.workspace = workspace
        self.options = options
        record = scope.store.get("project_templates", template)
        if record is None:
            raise Refusal(422, invalid("project_tracker_template_id", f"names no template: {template}."))
        self.stories = _stories(record)
        self.resources: dict[str, str] = {}
        """Project template assignment → the workspace resource that gets its tasks."""
        held = scope.store.get("workspaces", workspace) or {}
        start = options.get("project_template_start_date") or held.get("start_date") or scope.store.today()
        self.start = date.fromisoformat(str(start)[:10])

    def run(self, *, tasks: bool = True) -> None:
        """Create the resources, and the tasks as well."""
        self._staff()
        if tasks:
            below = self.options.get("project_template_before_story_id")
            position = None
            if below is not None:
                above = mutations.existing(self.scope, "stories", str(below))
                position = int(above.get("position") or 0)
                self._make_room(position)
            for number, task in enumerate(self.stories, start=1):
                self._task(task, None, None if position is None else position + number)

    def _make_room(self, position: int) -> None:
        for row in self.scope.store.where("stories", "workspace_id", self.workspace):
            if row.get("parent_id") is None and (row.get("position") or 0) > position:
                moved = (row.get("position") or 0) + len(self.stories)
                self.scope.store.change("stories", row["id"], position=moved)

    def _staff(self) -> None:
        store = self.scope.store
        given = cast("list[dict[str, Any]]", self.options.get("project_template_assignment_mappings") or [])
        mappings = {str(row.get("resource_id")): row for row in given}
        if self.options.get("project_template_create_unnamed_resources"):
            roles = {
                identity: (store.get("project_template_assignments", identity) or {}).get("role_id")
                for identity in self._named()
            }
            mappings = {identity: {"role_id": role} for identity, role in roles.items()}
        for identity, row in mappings.items():
            user, role = row.get("user_id"), row.get("role_id")
            if user is not None and store.get("users", user) is None:
                raise Refusal(422, invalid("project_template_assignment_mappings", f"names no user: {user}."))
            existing = [
                each["id"]
                for each in store.where("workspace_resources", "workspace_id", self.workspace)
                if user is not None and each.get("user_id") == str(user)
            ]
            if existing:
                self.resources[identity] = existing[0]
                continue
            name = (store.get("users", user) or {}).get("full_name") if user is not None else None
            label = name or (store.get("roles", role) or {}).get("name")
            made = fresh(
                self.scope,
                "workspace_resources",
                workspace_id=int(self.workspace),
                user_id=None if user is None else str(user),
                role_id=None if role is None else str(role),
                full_name=name,
                display_label=label,
            )
            self.resources[identity] = store.put("workspace_resources", made)["id"]

    def _named(self) -> list[str]:
        """The project template assignments of the tasks."""
        names: dict[str, None] = {}
        waiting = list(self.stories)
        while waiting:
            task = waiting.pop()
            names.update(dict.fromkeys(str(item) for item in task.get("assignments") or ()))
            waiting += task.get("sub_stories") or []
        return list(names)

    def _task(self, task: Mapping[str, Any], parent: str | None, position: int | None) -> None:
        store = self.scope.store
        first = self._day(task.get("start_day") or 0)
        last = self._day((task.get("start_day") or 0) + max(int(task.get("duration_days") or 1), 1) - 1)
        record = fresh(
            self.scope,
            "stories",
            workspace_id=self.workspace,
            parent_id=parent,
            title=task.get("title"),
            description=task.get("description"),
            story_type=task.get("story_type") or "task",
            start_date=first.isoformat(),
            due_date=last.isoformat(),
            time_estimate_in_minutes=task.get("time_estimate_in_minutes"),
            creator_id=self.scope.viewer,
        )
        if position is not None:
            record["position"] = position
        declared = registry.resource("stories")
        for prepare in declared.prepare:
            prepare(self.scope, record, record)
        identity = store.put("stories", record)["id"]
        for follow in declared.written:
            follow(self.scope, None, record)
        self._checklist(task, identity)
        self._assign(task, identity, first, last)
        for below in task.get("sub_stories") or ():
            self._task(below, identity, None)

    def _day(self, number: int) -> date:
        """The day that is a number of workdays after the start."""
        if self.options.get("project_template_weekends_as_workdays"):
            return self.start + timedelta(days=number)
        day = self.start
        while day.weekday() >= 5:
            day += timedelta(days=1)
        for _ in range(number):
            day += timedelta(days=1)
            while day.weekday() >= 5:
                day += timedelta(days=1)
        return day

    def _checklist(self, task: Mapping[str, Any], story: str) -> None:
        store = self.scope.store
        for position, name in enumerate(task.get("checklist") or (), start=1):
            if self.options.get("project_template_checklist_as_todos"):
                record = fresh(
                    self.scope,
                    "stories",
                    workspace_id=self.workspace,
                    parent_id=story,
                    title=name,
                    project_plan=False,
                )
                declared = registry.resource("stories")
                for prepare in declared.prepare:
                    prepare(self.scope, record, record)
                store.put("stories", record)
                for follow in declared.written:
                    follow(self.scope, None, record)
            else:
                row = fresh(
                    self.scope, "story_tasks", story_id=story, name=name, completed=False, position=position
                )
                store.put("story_tasks", row)

    def _assign(self, task: Mapping[str, Any], story: str, first: date, last: date) -> None:
        store = self.scope.store
        taken = [
            self.resources[str(item)] for item in task.get("assignments") or () if str(item) in self.resources
        ]
        for identity in taken:
            resource = store.get("workspace_resources", identity) or {}
            minutes = int(task.get("time_estimate_in_minutes") or 0) // len(taken)
            row = fresh(
                self.scope,
                "assignments",
                story_id=story,
                assignee_id=resource.get("user_id"),
                resource_id=int(identity),
                estimated_minutes=minutes,
                current=True,
            )
            store.put("assignments", row)
            if self.options.get("project_template_distribute_hours") and minutes:
                self._distribute(row, story, minutes, first, last)

    def _distribute(self, assignment: Record, story: str, minutes: int, first: date, last: date) -> None:
        """Spread the estimate evenly over the workdays of a task."""
        weekends = bool(self.options.get("project_template_weekends_as_workdays"))
        every = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        workdays = [day for day in every if weekends or day.weekday() < 5] or [first]
        share, rest = divmod(minutes, len(workdays))
        for number, day in enumerate(workdays):
            row = fresh(
                self.scope,
                "story_allocation_days",
                assignment_id=assignment["id"],
                story_id=story,
                workspace_id=self.workspace,
                date=day.isoformat(),
                minutes=share + (1 if number < rest else 0),
                current=True,
            )
            self.scope.store.put("story_allocation_days", row)


def _stories(template: Record) -> list[dict[str, Any]]:
    """The tasks in a template."""
    text = template.get("raw_json")
    try:
        held: Any = json.loads(text) if isinstance(text, str) else text or {}
    except ValueError:
        held = {}
    found: Any = cast("dict[str, Any]", held).get("stories") if isinstance(held, dict) else None
    tasks = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", task) for task in tasks if isinstance(task, dict)]
