"""Resource requests: an approver staffs the resource or rejects the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.properties import COMMON_PROPERTIES
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.relations import fresh

if TYPE_CHECKING:
    from kantata_client.sandbox.call import Call

_STATUSES = {"approve": "approved", "reject": "rejected", "cancel": "cancelled"}
_KEY, _RESOURCES = "resource_requests", "workspace_resources"


def _approvers(call: Call, name: str, value: Any) -> list[str]:
    ids = [str(item) for item in cast("list[Any]", value or [])]
    missing = [identity for identity in ids if call.scope.store.get("users", identity) is None]
    if missing or not ids:
        raise Refusal(422, invalid(name, f"names no user: {', '.join(missing)}." if missing else "is empty."))
    return ids


def create(call: Call) -> dict[str, Any]:
    """Request a resource: an existing one, or a new unnamed one with an allocation."""
    scope, store, fields = call.scope, call.scope.store, call.fields()
    approvers = _approvers(call, "approver_ids", fields.get("approver_ids"))
    resource = store.get(_RESOURCES, fields.get("resource_id"))
    if fields.get("resource_id") is not None and resource is None:
        raise Refusal(422, invalid("resource_id", f"names no workspace resource: {fields['resource_id']}."))
    if resource is None:
        workspace = store.get("workspaces", fields.get("resource_workspace_id"))
        role = store.get("roles", fields.get("resource_role_id"))
        if workspace is None:
            raise Refusal(
                422, invalid("resource_workspace_id", "names no workspace, and there is no resource_id.")
            )
        project = {"workspace_id": int(workspace["id"]), "workspace_title": workspace.get("title")}
        named = {"role_id": role["id"], "role_name": role["name"]} if role else {}
        resource = store.put(_RESOURCES, fresh(scope, _RESOURCES, **project, **named))
        dates = {
            name: fields.get(f"workspace_allocation_{name}")
            for name in ("start_date", "end_date", "percentage")
        }
        if all(value is not None for value in dates.values()):
            about = {"workspace_resource_id": resource["id"], "workspace_id": workspace["id"], "hard": False}
            row = fresh(scope, "workspace_allocations", **dates, **about, creator_id=scope.viewer)
            store.put("workspace_allocations", row)
    if fields.get("custom_fields"):
        COMMON_PROPERTIES["custom_fields"](scope, _RESOURCES, resource["id"], fields["custom_fields"])
    made = fresh(
        scope,
        _KEY,
        resource_id=resource["id"],
        approver_ids=approvers,
        creator_id=scope.viewer,
        status="new",
    )
    return call.envelope([store.put(_KEY, made)["id"]])


def resolve(call: Call) -> dict[str, Any]:
    """Approve, reject or cancel a request; an approval may assign a user to an unnamed resource."""
    record, fields, store = call.existing(), call.fields(), call.scope.store
    status = _STATUSES.get(str(fields["request_resolution_status"]))
    if status is None:
        raise Refusal(422, invalid("request_resolution_status", f"is not one of {', '.join(_STATUSES)}."))
    if record.get("status") != "new":
        raise Refusal(
            422, invalid("request_resolution_status", f"is too late: the request is {record.get('status')}.")
        )
    user = fields.get("user_id")
    if status == "approved" and user is not None:
        found = store.get("users", user)
        if found is None:
            raise Refusal(422, invalid("user_id", f"names no user: {user}."))
        name = found["full_name"]
        store.change(
            _RESOURCES, str(record["resource_id"]), user_id=found["id"], full_name=name, display_label=name
        )
        hard = fields.get("allocations_state") is not False
        for row in store.where("workspace_allocations", "workspace_resource_id", record["resource_id"]):
            store.change("workspace_allocations", row["id"], hard=hard)
    return call.change(status=status)


def change_approvers(call: Call) -> dict[str, Any]:
    """Replace the approvers of a request."""
    return call.change(approver_ids=_approvers(call, "new_approver_id", call.fields().get("new_approver_id")))
