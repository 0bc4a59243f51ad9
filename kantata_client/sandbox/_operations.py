"""What an operation does: the five of every resource by their shape, and the custom routes one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs

from kantata_client.sandbox import _contract, _envelope, _exports, _query, _writes
from kantata_client.sandbox._effects import key_of_type, refer_externally
from kantata_client.sandbox._errors import Refusal, bad_request, invalid, not_emulated, not_found
from kantata_client.sandbox._relations import Scope, fresh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kantata_client._contract import Operation, Parameter
    from kantata_client.sandbox._query import Query

NOT_EMULATED: Mapping[str, str] = {
    "POST /project_snapshots": "the making of project snapshots",
    "GET /recommendations/estimate_scenario_resource": "recommendations",
    "POST /resource_requests": "the approval of resource requests",
    "PUT /resource_requests/{id}": "the approval of resource requests",
    "PUT /resource_requests/{id}/update_approver": "the approval of resource requests",
    "GET /subscribed_events": "subscribed events",
    "GET /subscribed_events/event_types": "subscribed events",
    "GET /users/{id}/capacity": "capacities",
    "PUT /workspace_allocations/split": "the splitting of allocations",
    "POST /workspace_resources/allocations_matching_scheduled_hours": "the matching of allocations",
    "POST /workspace_resources/{id}/allocations_matching_scheduled_hours": "the matching of allocations",
    "GET /workspaces/{id}/permissions": "permissions",
    "PUT /workspaces/{id}/apply_template": "project templates' application",
    "PUT /workweek_memberships/standardize_to_default": "the standard workweek",
    "PUT /workspace_task_status_sets/bulk_update": "task status sets of workspaces",
}
"""Operation → what of the service it needs that the sandbox lacks. They answer 501."""


class Call:
    """One request, taken apart."""

    __slots__ = ("_unread", "body", "operation", "parameters", "query", "scope")

    def __init__(
        self, scope: Scope, operation: Operation, parameters: dict[str, str], query: Query, body: Any
    ) -> None:
        self.scope = scope
        self.operation = operation
        self.parameters = parameters
        self.query = query
        self.body = body
        self._unread = dict(query.filters)

    @property
    def key(self) -> str:
        """The envelope key of the records: of the results, or else the path's collection."""
        words = [word for word in self.operation.path.strip("/").split("/") if not word.startswith("{")]
        return self.operation.key or words[-1 if self.operation.path.endswith("}") else 0]

    @property
    def identity(self) -> str:
        """The id in the path: `7`, or `7:8` for a record that two ids name."""
        return ":".join(self.parameters.values())

    def asked(self, name: str) -> str | None:
        """The value of a query parameter that is no filter."""
        return self._unread.pop(name, None)

    def select(self, operation: Operation, only: tuple[str, ...] | None) -> Sequence[str]:
        """The ids that the query's filters leave."""
        self._unread.clear()
        return _query.select(self.scope, operation, self.key, self.query._replace(only=only))

    def refuse_unread(self) -> None:
        """Say so when a parameter had no effect."""
        for name, value in self._unread.items():
            default = self.operation.query[name].default
            if default is None or str(default).lower() != value.lower():
                raise not_emulated(f"the parameter `{name}` of {self.operation.id}")

    def envelope(self, ids: list[str]) -> dict[str, Any]:
        """The records in an envelope."""
        return _envelope.envelope(self.scope, self.key, ids, self.query)

    def item(self) -> dict[str, Any]:
        """The single object of the body."""
        if self.body is None:
            if self.operation.body is not None:
                raise bad_request(f"{self.operation.id} takes a JSON object as its body.")
            # The exchange tables have their properties in the query.
            return {name: _value(self.asked(name), parameter) for name, parameter in self._sent()}
        [item], _ = _writes.items_of(self.operation, self.body)
        return item

    def _sent(self) -> list[tuple[str, Parameter]]:
        return [(name, parameter) for name, parameter in self.operation.query.items() if name in self._unread]

    def fields(self) -> dict[str, Any]:
        """As `item`, checked against the contract's properties."""
        item = self.item()
        described: Mapping[str, Parameter] = self.operation.body.fields if self.operation.body else {}
        errors = [invalid(name, "is not a property of the body.") for name in item if name not in described]
        for name, parameter in described.items():
            problem = _writes.wrong(name, item.get(name), parameter)
            if parameter.required and item.get(name) is None:
                problem = "can't be blank."
            if problem is not None:
                errors.append(invalid(name, problem))
        if errors:
            raise Refusal(422, *errors)
        return item

    def change(self, **changes: Any) -> dict[str, Any]:
        """Change the record in the path and answer with it."""
        _writes.existing(self.scope, self.key, self.identity)
        self.scope.store.change(self.key, self.identity, **changes)
        return self.envelope([self.identity])


def perform(
    scope: Scope, operation: Operation, parameters: dict[str, str], query: Query, body: Any
) -> dict[str, Any] | list[Any] | _exports.Document | None:
    """Carry out a request; None is an answer without content."""
    call = Call(scope, operation, parameters, query, body)
    if operation.id in NOT_EMULATED:
        raise not_emulated(f"{operation.id}: it lacks {NOT_EMULATED[operation.id]}")
    if body not in (None, {}) and operation.body is None and operation.method != "DELETE":
        raise bad_request(f"{operation.id} takes no body.")
    answer = _perform(call, body)
    call.refuse_unread()
    return answer


def _perform(call: Call, body: Any) -> dict[str, Any] | list[Any] | _exports.Document | None:
    operation = call.operation
    custom = CUSTOM.get(operation.id)
    if custom is not None:
        return custom(call)
    if body is not None and not isinstance(body, (dict, list)):
        raise bad_request(f"{operation.id} takes a JSON body.")
    ending = operation.path.rsplit("/", 1)[-1]
    by_id = ending.startswith("{")
    collection = "/" not in operation.path.strip("/")
    match operation.method:
        case "GET" if by_id:
            return _get(call)
        case "GET" if collection and operation.result == "page":
            return _list(call)
        case "POST" if collection:
            return _create(call)
        case "PUT" if by_id:
            return _update(call)
        case "DELETE" if by_id:
            return _delete(call)
        case "DELETE" if collection and "ids" in operation.query:
            return _delete_many(call)
        case _:
            raise not_emulated(operation.id)


def _value(text: str | None, parameter: Parameter) -> Any:
    """A value of the query as JSON would have it."""
    if text is None:
        return None
    match parameter.kind:
        case "boolean":
            return text in {"true", "1"}
        case "integer":
            return int(text)
        case _:
            return text


def _list(call: Call) -> dict[str, Any]:
    ids = call.select(call.operation, call.query.only)
    return _envelope.page(call.scope, call.key, ids, call.query)


def _get(call: Call) -> dict[str, Any]:
    listing = _contract.list_of(call.key) or call.operation
    ids = call.select(listing, (call.identity,))
    if not ids:
        raise not_found(f"There is no record {call.identity} in {call.key}, or a default filter hides it.")
    return call.envelope(list(ids))


def _create(call: Call) -> dict[str, Any]:
    items, bulk = ([call.item()], False) if call.body is None else _writes.items_of(call.operation, call.body)
    return call.envelope(_writes.create(call.scope, call.operation, call.key, items, bulk=bulk))


def _update(call: Call) -> dict[str, Any]:
    _writes.existing(call.scope, call.key, call.identity)
    _writes.update(call.scope, call.operation, call.key, call.identity, call.item())
    return call.envelope([call.identity])


def _delete(call: Call) -> dict[str, Any] | None:
    _writes.existing(call.scope, call.key, call.identity)
    _writes.delete(call.scope, call.key, [call.identity])
    return None if call.operation.result == "none" else {"success": f"{call.key} {call.identity} deleted"}


def _delete_many(call: Call) -> dict[str, Any] | None:
    given: Any = call.asked("ids")
    if given is None and isinstance(call.body, dict):
        given = cast("dict[str, Any]", call.body).get("ids")
    if given is None:
        raise bad_request("`ids` is missing, in the query or in the body: the records to delete.")
    words = (
        str(given).split(",") if isinstance(given, (str, int)) else [str(i) for i in cast("list[Any]", given)]
    )
    ids = [word.strip() for word in words if word.strip()]
    limit = call.operation.bulk_limit
    if limit is not None and len(ids) > limit:
        raise Refusal(422, invalid("ids", f"has {len(ids)} ids; one request takes at most {limit}."))
    _writes.delete(call.scope, call.key, ids)
    return None if call.operation.result == "none" else {"deleted": _contract.typed("int", ids)}


# Custom routes


def _me(call: Call) -> dict[str, Any]:
    return call.envelope([call.scope.viewer])


def _currencies(call: Call) -> list[dict[str, Any]]:
    wanted = (call.asked("matching") or "").casefold()
    rows = [dict(zip(("iso_code", "name", "symbol"), row, strict=True)) for row in _CURRENCIES]
    found = [row for row in rows if wanted in f"{row['iso_code']} {row['name']}".casefold()]
    return [{**row, "subunit_to_unit": 100} for row in found]


_CURRENCIES = (("EUR", "Euro", "€"), ("GBP", "Pound Sterling", "£"), ("USD", "US Dollar", "$"))


def _disable(call: Call) -> dict[str, Any]:
    return call.change(disabled_at=call.scope.store.now())


def _enable(call: Call) -> dict[str, Any]:
    return call.change(disabled_at=None)


def _same(call: Call) -> dict[str, Any]:
    return call.change()


def _next_number(call: Call) -> dict[str, Any]:
    numbers = [str(row.get("user_invoice_number") or "") for row in call.scope.store.all("invoices")]
    return {"next_invoice_number": str(max((int(n) for n in numbers if n.isdigit()), default=0) + 1)}


def _cancel_invoice(call: Call) -> dict[str, Any]:
    store = call.scope.store
    answer = call.change(status="cancelled")
    for key in ("time_entries", "expenses"):
        for row in store.where(key, "invoice_id", call.identity):
            store.change(key, row["id"], invoice_id=None, is_invoiced=False)
    return answer


_LINES = {"timesheet_submissions": "time_entries", "expense_report_submissions": "expenses"}


def _resolve(call: Call, key: str, identity: str, status: str, description: Any) -> dict[str, Any]:
    """Approve, reject or cancel a submission, with its time entries or expenses."""
    store = call.scope.store
    record = _writes.existing(call.scope, key, identity)
    if record.get("status") == status or record.get("status") == "cancelled":
        raise Refusal(422, invalid("status", f"is {record.get('status')} already: submission {identity}."))
    store.change(
        key,
        identity,
        status=status,
        current_resolution_description=description,
        current_resolution_creator_id=int(call.scope.viewer),
        current_resolution_created_at_date=store.now(),
    )
    for row in store.where(_LINES[key], "recent_submission_id", identity):
        active = identity if status == "approved" else None
        decided = {"approved": status == "approved"} if key == "timesheet_submissions" else {}
        store.change(_LINES[key], row["id"], active_submission_id=active, **decided)
    kind = {"approved": "approval", "rejected": "rejection", "cancelled": "cancellation"}[status]
    target = {"target_id": int(identity), "target_type": _contract.model(key).name}
    who = {"user_id": int(call.scope.viewer), "description": description}
    return dict(store.put("resolutions", fresh(call.scope, "resolutions", type=kind, **target, **who)))


def _decide(status: str) -> Callable[[Call], dict[str, Any]]:
    def decide(call: Call) -> dict[str, Any]:
        _resolve(call, call.key, call.identity, status, call.fields().get("description"))
        return call.envelope([call.identity])

    return decide


def _decide_many(status: str) -> Callable[[Call], dict[str, Any]]:
    def decide(call: Call) -> dict[str, Any]:
        fields = call.fields()
        given: Any = fields.get("submission_ids") or ()
        ids = given.split(",") if isinstance(given, str) else [str(item) for item in given]
        if not ids:
            raise Refusal(422, invalid("submission_ids", "is empty."))
        missing = [i for i in ids if call.scope.store.get("timesheet_submissions", i) is None]
        if missing:
            raise Refusal(422, invalid("submission_ids", f"names no submission: {', '.join(missing)}."))
        description = fields.get("description")
        return {
            "resolutions": [
                _resolve(call, "timesheet_submissions", identity, status, description) for identity in ids
            ]
        }

    return decide


def _refer(call: Call) -> dict[str, Any]:
    fields = call.fields()
    key = key_of_type(str(fields["subject_type"]))
    if key is None or call.scope.store.get(key, fields["subject_id"]) is None:
        raise Refusal(
            422, invalid("subject_id", f"names no {fields['subject_type']}: {fields['subject_id']}.")
        )
    given = {name: value for name, value in fields.items() if not name.startswith("subject_")}
    return call.envelope([refer_externally(call.scope, key, str(fields["subject_id"]), given)])


def _toggle(field: str) -> Callable[[Call], dict[str, Any]]:
    def toggle(call: Call) -> dict[str, Any]:
        fields = call.fields()
        if fields.get("backfill_date") is not None:
            raise not_emulated(f"the property `backfill_date` in the body of {call.operation.id}")
        return call.change(**{field: bool(fields.get("enable", True))})

    return toggle


def _invite(call: Call) -> dict[str, Any]:
    _writes.existing(call.scope, "workspaces", call.identity)
    fields = call.fields()
    row = fresh(call.scope, "workspace_invitations", workspace_id=call.identity, **fields)
    return call.envelope([call.scope.store.put("workspace_invitations", row)["id"]])


def _default_statuses(call: Call) -> dict[str, Any]:
    store = call.scope.store
    for row in store.all(call.key):
        if row.get("account_default"):
            store.change(call.key, row["id"], account_default=False)
    return call.change(account_default=True)


def _soft_delete(call: Call) -> dict[str, Any]:
    given: Any = call.asked("ids") or ""
    ids = [word for word in given.split(",") if word]
    for identity in ids:
        _writes.existing(call.scope, call.key, identity)
        call.scope.store.change(call.key, identity, deleted_at=call.scope.store.now())
    return call.envelope(ids)


def _activation(call: Call) -> dict[str, Any]:
    settings = call.scope.store.get("settings", "account") or {"id": "account"}
    if call.operation.method == "POST":
        _writes.existing(call.scope, "rate_card_set_versions", call.asked("rate_card_set_version_id") or "")
        settings = call.scope.store.put("settings", {**settings, "rate_cards": True})
    return {"activated": bool(settings.get("rate_cards"))}


def _publish(call: Call) -> dict[str, Any]:
    call.change(active=True)
    return {"activated": True}


def _exchange_table(call: Call) -> dict[str, Any]:
    record = _writes.existing(call.scope, "exchange_tables", call.identity)
    return {call.identity: call.scope.store.shown("exchange_tables", record)}


def _rates(call: Call) -> dict[str, Any]:
    _writes.existing(call.scope, "exchange_tables", call.identity)
    when = call.asked("date")
    wanted = {name: call.asked(name) for name in ("source_currency", "target_currency")}
    ids = [
        row["id"]
        for row in call.scope.store.where("exchange_rates", "exchange_table_id", int(call.identity))
        if (when is None or row["effective_date"] == when)
        and all(value is None or row[name] == value for name, value in wanted.items())
    ]
    return _envelope.page(call.scope, "exchange_rates", ids, call.query)


def _import_rates(call: Call) -> dict[str, Any]:
    """Set the rates of a table, one per currencies and date; all or none."""
    _writes.existing(call.scope, "exchange_tables", call.identity)
    store = call.scope.store
    text = call.asked("csv_file")
    body: Any = call.body
    rows: Any = cast("dict[str, Any]", body).get("exchange_rates") if isinstance(body, dict) else None
    if text:
        rows = _exports.rates_of(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in cast("list[Any]", rows)):
        raise bad_request("`exchange_rates` is needed, a list of objects, or `csv_file`.")
    rows = cast("list[dict[str, Any]]", rows)
    described = call.operation.body.fields["exchange_rates"].fields if call.operation.body else None
    errors = [error for index, row in enumerate(rows) for error in _wrong_rate(row, described or {}, index)]
    if errors:
        raise Refusal(422, *errors)
    ids: list[str] = []
    for row in rows:
        place = {"exchange_table_id": int(call.identity), **row}
        rate = place.pop("exchange_rate")
        known = [
            old["id"]
            for old in store.where("exchange_rates", "exchange_table_id", int(call.identity))
            if all(old.get(name) == value for name, value in place.items())
        ]
        record = (
            store.get("exchange_rates", known[0]) if known else fresh(call.scope, "exchange_rates", **place)
        )
        ids.append(store.put("exchange_rates", {**(record or {}), "rate": rate})["id"])
    return call.envelope(ids)


def _wrong_rate(
    row: dict[str, Any], described: Mapping[str, Parameter], index: int
) -> Iterator[dict[str, Any]]:
    for name in row:
        if name not in described:
            yield invalid(name, "is not a property of an exchange rate.", index)
    for name, parameter in described.items():
        number = attrs.evolve(parameter, kind="number") if name == "exchange_rate" else parameter
        problem = "can't be blank." if row.get(name) in (None, "") else _writes.wrong(name, row[name], number)
        if problem is not None:
            yield invalid(name, problem, index)


def _table_rows(call: Call) -> dict[str, Any]:
    version = _writes.existing(call.scope, "rate_card_set_versions", call.identity)
    ids = call.scope.store.find("rate_card_table_rows", "rate_card_set_version_id", version["id"])
    return _envelope.page(call.scope, "rate_card_table_rows", ids, call.query)


def _table_row(call: Call) -> dict[str, Any]:
    """Set what a role costs in the rate cards of a version."""
    scope = call.scope
    version = _writes.existing(scope, "rate_card_set_versions", call.parameters["rate_card_set_version_id"])
    role = _writes.existing(scope, "roles", call.parameters["role_id"])
    rates: list[dict[str, Any]] = call.fields().get("rates") or []
    row = scope.store.get(call.key, call.identity) or fresh(
        scope,
        call.key,
        rate_card_set_id=int(version["rate_card_set_id"]),
        rate_card_set_version_id=int(version["id"]),
        role_id=int(role["id"]),
        name=role["name"],
        removable=True,
    )
    cells = dict(row.get("cells") or {})
    cells |= {rate.get("currency"): {"rate": rate.get("rate")} for rate in rates}
    scope.store.put(call.key, {**row, "id": call.identity, "cells": cells})
    return call.envelope([call.identity])


_JOBS = "insights_report_exports"


def _job(call: Call, record: Mapping[str, Any]) -> dict[str, Any]:
    shown = {field: value for field, value in record.items() if field != "updated_at"}
    return {"description": None, **shown, "id": int(record["id"]), "latest_success": None}


def _jobs(call: Call) -> list[dict[str, Any]]:
    return [_job(call, record) for record in call.scope.store.all(_JOBS)]


def _get_job(call: Call) -> dict[str, Any]:
    return _job(call, _writes.existing(call.scope, _JOBS, call.identity))


def _create_job(call: Call) -> dict[str, Any]:
    store = call.scope.store
    return _job(call, store.put(_JOBS, {"id": store.new_id(), "created_at": store.now(), **call.fields()}))


def _update_job(call: Call) -> dict[str, Any] | None:
    _writes.existing(call.scope, _JOBS, call.identity)
    record = call.scope.store.change(_JOBS, call.identity, **call.fields())
    return None if call.operation.result == "none" else _job(call, record)


def _delete_job(call: Call) -> None:
    _writes.existing(call.scope, _JOBS, call.identity)
    call.scope.store.remove(_JOBS, call.identity)


CUSTOM: Mapping[str, Callable[[Call], dict[str, Any] | list[Any] | _exports.Document | None]] = {
    "POST /attachments": _exports.create_attachment,
    "PUT /attachments/{id}/sync": _exports.sync_attachment,
    "POST /users/{id}/profile_photo": _exports.set_photo,
    "DELETE /users/{id}/profile_photo": _exports.reset_photo,
    "POST /exports": _exports.create_export,
    "GET /exports/available_datasets": _exports.datasets,
    "GET /exports/{id}": _exports.get_export,
    "PUT /exports/{id}": _exports.cancel_export,
    "GET /exports/{id}/download_url": _exports.export_url,
    "GET /scheduled_jobs/insights_report_exports/{insights_report_export_id}/results/latest": (
        _exports.latest_report
    ),
    "GET /project_accounting_records/export_to_csv": _exports.export_records,
    "POST /project_accounting_records/import_csv": _exports.import_records,
    "GET /users/me": _me,
    "GET /currencies": _currencies,
    "PUT /account_memberships/{id}/disable": _disable,
    "PUT /account_memberships/{id}/enable": _enable,
    "PUT /account_invitations/{id}/resend": _same,
    "GET /invoices/next_invoice_number": _next_number,
    "PUT /invoices/{id}/cancel": _cancel_invoice,
    "PUT /timesheet_submissions/{id}/approve": _decide("approved"),
    "PUT /timesheet_submissions/{id}/reject": _decide("rejected"),
    "PUT /timesheet_submissions/{id}/cancel": _decide("cancelled"),
    "PUT /expense_report_submissions/{id}/approve": _decide("approved"),
    "PUT /expense_report_submissions/{id}/reject": _decide("rejected"),
    "PUT /expense_report_submissions/{id}/cancel": _decide("cancelled"),
    "POST /timesheet_approvals": _decide_many("approved"),
    "POST /timesheet_rejections": _decide_many("rejected"),
    "POST /timesheet_cancellations": _decide_many("cancelled"),
    "POST /external_references/create_or_update": _refer,
    "PUT /workspaces/{id}/toggle_time_approvals": _toggle("require_time_approvals"),
    "PUT /workspaces/{id}/toggle_expense_approvals": _toggle("require_expense_approvals"),
    "PUT /workspaces/{id}/unarchive_with_approvals": lambda call: call.change(archived=False),
    "POST /workspaces/{id}/invite": _invite,
    "PUT /task_status_sets/{id}/update_account_default": _default_statuses,
    "PUT /project_accounting_records/delete": _soft_delete,
    "GET /account_rate_cards_activations": _activation,
    "POST /account_rate_cards_activations": _activation,
    "PUT /rate_card_set_versions/{id}/publish": _publish,
    "GET /foreign_exchange/exchange_tables": _list,
    "POST /foreign_exchange/exchange_tables": _create,
    "GET /foreign_exchange/exchange_tables/{id}": _exchange_table,
    "GET /foreign_exchange/exchange_tables/{id}/rates": _rates,
    "POST /foreign_exchange/exchange_tables/{id}/rates": _import_rates,
    "GET /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows": _table_rows,
    "PUT /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows/{role_id}": _table_row,
    "GET /scheduled_jobs/insights_report_exports": _jobs,
    "GET /scheduled_jobs/insights_report_exports/{id}": _get_job,
    "POST /scheduled_jobs/insights_report_exports": _create_job,
    "PUT /scheduled_jobs/insights_report_exports/{id}": _update_job,
    "DELETE /scheduled_jobs/insights_report_exports/{id}": _delete_job,
    "GET /insights_reports": lambda call: [],
    "GET /account_insights_mappings/dynamic": _list,
    "GET /revenue_recognition_methods": _list,
}
