"""Requests that can't be made by rule: what an operation needs besides its required arguments, and before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from kantata_client.sandbox.routes.exports import column_key, dataset_key

MADE = "MADE"
"""In a path or a value: the id of the record that the last request of `before` made."""


@attrs.frozen
class Sample:
    """How to make an operation succeed in the demo account."""

    path: tuple[str, ...] = ()
    """The ids in the path; without them, those of the lists are tried."""
    query: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    body: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """Properties besides the required ones."""
    before: tuple[tuple[str, str, Any], ...] = ()
    """Requests (method, path, body) to send first."""


@attrs.frozen
class Trial:
    """How to try a parameter or a property that the operation's own sample can't be tried with."""

    sample: Sample | None = None
    """The request to put it into."""
    values: tuple[Any, ...] = ()
    """What to try."""


_ALLOCATIONS = {
    "data": [{"hard": False, "occurrence": {"type": "anytime"}, "resource_ids": [15001]}],
}
_EXPORT = (
    "POST",
    "/exports",
    {"export": {"export_definition": {dataset_key("users"): {"columns": [column_key("users", "id")]}}}},
)
_REPORT = (
    "POST",
    "/scheduled_jobs/insights_report_exports",
    {
        "insights_report_export": {
            "external_report_object_identifier": "1",
            "recurrence": {"cadence": "daily", "start_time": "2026-07-02T09:00:00Z"},
        }
    },
)
_LOCK = ("POST", "/line_item_locks", {"line_item_lock": {"locked_to": "2024-01-06"}})
_ALLOCATION = (
    "POST",
    "/workspace_allocations",
    {
        "workspace_allocation": {
            "resource_id": 15001,
            "start_date": "2026-01-05",
            "end_date": "2026-01-30",
            "minutes": 2400,
        }
    },
)
_MILESTONE = (
    "POST",
    "/billing_milestones",
    {"billing_milestone": {"workspace_id": 10002, "title": "Signed", "amount_in_cents": 100}},
)
_BUDGET = (
    "POST",
    "/expense_budgets",
    {
        "expense_budget": {
            "workspace_id": 10002,
            "title": "Travel",
            "fixed_fee": False,
            "burns_budget": True,
            "billable": True,
        }
    },
)
_CARD = ("POST", "/rate_cards", {"rate_card": {"rate_card_set_id": 86001, "currency": "EUR"}})
_SET_VERSION = ("POST", "/rate_card_set_versions", {"rate_card_set_version": {"rate_card_set_id": 86001}})
_QUESTION = (
    "POST",
    "/survey_questions",
    {
        "survey_question": {
            "text": "Which?",
            "question_type": "multi",
            "choices": [{"label": "A"}, {"label": "B"}],
        }
    },
)
_DRAFT = {"draft": True, "additional_items": [{"notes": "Workshop", "amount": 100}]}
_STATE = ("PUT", "/stories/20060", {"story": {"state": "started"}})
_RATES = [{"currency": "USD", "rate": 200}]

SAMPLES: Mapping[str, Sample] = {
    "POST /account_rate_cards_activations": Sample(query={"rate_card_set_version_id": 85901}),
    "POST /attachments": Sample(body={"attachment[type]": "receipt", "attachment[data]": "a file"}),
    "PUT /attachments/{id}/sync": Sample(
        path=(MADE,),
        before=(("POST", "/attachments", {"attachment[type]": "receipt", "attachment[data]": "a file"}),),
    ),
    "DELETE /billing_milestones/{id}": Sample(path=(MADE,), before=(_MILESTONE,)),
    "PUT /billing_milestones/{id}": Sample(path=(MADE,), before=(_MILESTONE,)),
    "PUT /expense_budgets/{id}": Sample(path=(MADE,), before=(_BUDGET,)),
    "DELETE /expense_budgets/{id}": Sample(path=(MADE,), before=(_BUDGET,)),
    "DELETE /rate_card_sets/{id}": Sample(
        path=(MADE,), before=(("POST", "/rate_card_sets", {"rate_card_set": {"title": "Set"}}),)
    ),
    "PUT /rate_cards/{id}": Sample(path=(MADE,), before=(_CARD,)),
    "DELETE /rate_cards/{id}": Sample(path=(MADE,), before=(_CARD,)),
    "DELETE /workspace_resources/{id}": Sample(
        path=(MADE,),
        before=(
            (
                "POST",
                "/workspace_resources",
                {"workspace_resource": {"workspace_id": 10002, "role_id": 3001}},
            ),
        ),
    ),
    "POST /expense_budgets": Sample(body={"fixed_fee": False, "burns_budget": True, "billable": True}),
    "POST /holidays": Sample(body={"start_date": "2026-12-24", "end_date": "2026-12-24"}),
    "PUT /holidays/{id}": Sample(body={"start_date": "2026-12-24", "end_date": "2026-12-24"}),
    "POST /rate_card_roles": Sample(body={"rate_card_version_id": 86202}),
    "PUT /rate_card_roles/{id}": Sample(path=("85802",)),
    "PUT /rate_card_versions/{id}": Sample(path=("86202",)),
    "PUT /rate_card_set_versions/{id}": Sample(path=("85902",)),
    "POST /survey_answers": Sample(body={"string_value": "x"}),
    "POST /custom_field_values": Sample(
        body={"custom_field_id": 3803, "subject_id": 10002, "subject_type": "Workspace"}
    ),
    "DELETE /custom_field_values": Sample(query={"ids": 70001}),
    "PUT /estimate_scenario_resource_allocations/{id}": Sample(path=("82101",)),
    "DELETE /expenses": Sample(query={"ids": 60158}),
    "DELETE /story_allocation_days": Sample(query={"ids": 87301}),
    "DELETE /time_entries": Sample(query={"ids": 119999}),
    "DELETE /time_entries/{id}": Sample(path=("119999",)),
    "DELETE /time_off_entries": Sample(query={"ids": 88701}),
    "POST /foreign_exchange/exchange_tables/{id}/rates": Sample(
        body={
            "exchange_rates": [
                {
                    "source_currency": "EUR",
                    "target_currency": "USD",
                    "effective_date": "2026-07-01",
                    "exchange_rate": "1.1",
                }
            ]
        }
    ),
    "POST /expense_report_submissions": Sample(body={"workspace_id": 10002, "line_item_ids": [60158]}),
    "POST /timesheet_submissions": Sample(body={"workspace_id": 10002, "line_item_ids": [119999]}),
    "POST /exports": Sample(
        body={"export_definition": {dataset_key("users"): {"columns": [column_key("users", "id")]}}}
    ),
    "GET /expense_report_submissions/{id}": Sample(query={"all_on_account": True}),
    "GET /exports/{id}/download_url": Sample(
        path=(MADE,), before=(_EXPORT, *(("GET", f"/exports/{MADE}", None),) * 4)
    ),
    "POST /users/{id}/profile_photo": Sample(path=("1001",)),
    "PUT /resource_requests/{id}": Sample(path=("86501",)),
    "GET /exports": Sample(before=(_EXPORT,)),
    "GET /exports/{id}": Sample(path=(MADE,), before=(_EXPORT,)),
    "PUT /exports/{id}": Sample(path=(MADE,), before=(_EXPORT,)),
    "GET /line_item_locks": Sample(before=(_LOCK,)),
    "GET /line_item_locks/{id}": Sample(path=(MADE,), before=(_LOCK,)),
    "POST /line_item_locks": Sample(body={"locked_to": "2024-01-06"}),
    "GET /scheduled_jobs/insights_report_exports": Sample(before=(_REPORT,)),
    "GET /scheduled_jobs/insights_report_exports/{id}": Sample(path=(MADE,), before=(_REPORT,)),
    "PUT /scheduled_jobs/insights_report_exports/{id}": Sample(path=(MADE,), before=(_REPORT,)),
    "DELETE /scheduled_jobs/insights_report_exports/{id}": Sample(path=(MADE,), before=(_REPORT,)),
    "GET /scheduled_jobs/insights_report_exports/{insights_report_export_id}/results/latest": Sample(
        path=(MADE,),
        before=(
            _REPORT,
            *(("GET", f"/scheduled_jobs/insights_report_exports/{MADE}/results/latest", None),) * 4,
        ),
    ),
    "POST /external_references/create_or_update": Sample(body={"subject_id": 10002}),
    "POST /assignments": Sample(body={"assignee_id": 1005}),
    "POST /invoices": Sample(body=_DRAFT),
    "DELETE /invoices/{id}": Sample(
        path=(MADE,), before=(("POST", "/invoices", {"invoice": {"payment_schedule": 30, **_DRAFT}}),)
    ),
    "POST /participations": Sample(body={"user_id": 1005}),
    "PUT /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows/{role_id}": Sample(
        path=("85901", "3001"), body={"rates": _RATES}
    ),
    "DELETE /rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows/{role_id}": Sample(
        path=("85901", "3001"),
        before=(
            (
                "PUT",
                "/rate_card_set_versions/85901/rate_card_table_rows/3001",
                {"rate_card_table_row": {"rates": _RATES}},
            ),
        ),
    ),
    "POST /rate_cards": Sample(body={"rate_card_set_id": 86001, "currency": "EUR"}),
    "POST /resource_requests": Sample(body={"approver_ids": [1002], "resource_id": 15001}),
    "GET /story_state_changes": Sample(before=(_STATE,)),
    "GET /subscribed_events": Sample(before=(_STATE,)),
    "DELETE /task_status_sets/{id}": Sample(
        path=(MADE,), before=(("POST", "/task_status_sets", {"task_status_set": {"name": "Set"}}),)
    ),
    "GET /users/{id}/capacity": Sample(query={"start_date": "2026-07-06", "end_date": "2026-07-10"}),
    "PUT /workspace_allocations/split": Sample(
        query={"split_date": "2026-01-12", "workspace_allocation_id": MADE},
        before=(_ALLOCATION,),
    ),
    "GET /workspace_invoice_preferences/{id}": Sample(path=("89801",)),
    "PUT /workspace_invoice_preferences/{id}": Sample(path=("89801",)),
    "POST /workspace_resources/allocations_matching_scheduled_hours": Sample(body=_ALLOCATIONS),
    "POST /workspace_resources/{id}/allocations_matching_scheduled_hours": Sample(body=_ALLOCATIONS),
    "PUT /workspace_task_status_sets/bulk_update": Sample(
        body={"workspace_task_status_sets": [{"status_set_id": 88502, "workspace_id": 10002}]}
    ),
    "PUT /project_accounting_records/delete": Sample(query={"ids": "84801"}),
    "PUT /workspaces/{id}/apply_template": Sample(body={"project_tracker_template_id": 85701}),
}
"""Operation → what makes it succeed."""

_TEMPLATE = {
    "stories": [
        {
            "title": "Discovery",
            "start_day": 3,
            "duration_days": 6,
            "time_estimate_in_minutes": 600,
            "checklist": ["Interviews"],
            "assignments": [85501],
        }
    ]
}
_FILLED = ("PUT", "/project_templates/85701", {"project_template": {"raw_json": json.dumps(_TEMPLATE)}})
_MAPPING = [{"resource_id": 85501, "user_id": 1005}]
_PROJECT = ("POST", "/workspaces", {"workspace": {"title": "P", "start_date": "2026-07-06"}})
_TASK = ("POST", "/stories", {"story": {"workspace_id": 10002, "title": "T", "story_type": "task"}})


def _templates() -> dict[tuple[str, str], Trial]:
    """The options of a template, tried with one that has something to apply them to."""
    filled = _FILLED
    used = {"project_tracker_template_id": 85701, "project_template_start_date": "2026-07-06"}
    staffed = {**used, "project_template_assignment_mappings": _MAPPING}
    options: dict[str, tuple[dict[str, Any], Any]] = {
        "project_template_start_date": (used, "2026-09-07"),
        "project_template_checklist_as_todos": (used, True),
        "project_template_assignment_mappings": (staffed, _MAPPING),
        "project_template_create_unnamed_resources": (used, True),
        "project_template_distribute_hours": (staffed, True),
        "project_template_weekends_as_workdays": (used, True),
    }
    found: dict[tuple[str, str], Trial] = {}
    for name, (body, value) in options.items():
        new = Sample(body={"title": "P", **body}, before=(filled,))
        found["POST /workspaces", name] = Trial(new, (value,))
        for operation in ("PUT /workspaces/{id}", "PUT /workspaces/{id}/apply_template"):
            existing = Sample(path=(MADE,), body=body, before=(filled, _PROJECT))
            found[operation, name] = Trial(existing, (value,))
    for operation in ("PUT /workspaces/{id}", "PUT /workspaces/{id}/apply_template"):
        below = Sample(path=("10002",), body=used, before=(filled, _TASK))
        found[operation, "project_template_before_story_id"] = Trial(below, (20060, 20055))
    return found


_UNNAMED = {
    "approver_ids": [1002],
    "resource_workspace_id": 10002,
    "resource_role_id": 3001,
    "workspace_allocation_start_date": "2026-07-06",
    "workspace_allocation_end_date": "2026-07-10",
    "workspace_allocation_percentage": 50,
}
_REQUEST = ("POST", "/resource_requests", {"resource_request": _UNNAMED})
_DAY = (
    "POST",
    "/story_allocation_days",
    {"story_allocation_day": {"assignment_id": 30080, "date": "2026-07-06", "minutes": 60}},
)
_HARD = [{**_ALLOCATIONS["data"][0], "hard": True}]
_DIRECT = Sample(body={"attachment[type]": "receipt", "direct": True, "attachment[filename]": "a.pdf"})
_CHOICES = (
    "POST",
    "/custom_fields",
    {"custom_field": {"name": "Size", "value_type": "single"}},
)
_COAST = ("POST", "/organizations", {"organization": {"name": "Coast", "parent_id": 84401}})
_LOOSE = (
    "POST",
    "/time_entries",
    {"time_entry": {"workspace_id": 10002, "date_performed": "2026-07-01", "time_in_minutes": 60}},
)

TRIALS: Mapping[tuple[str, str], Trial] = {
    **{
        place: Trial(values=("a file",))
        for place in (
            ("POST /attachments", "attachment[data]"),
            ("POST /project_accounting_records/import_csv", "csv_file"),
            ("POST /users/{id}/profile_photo", "user[profile_photo_attachment_file]"),
        )
    },
    **_templates(),
    **{
        (f"POST /{path}/allocations_matching_scheduled_hours", "data"): Trial(
            Sample(path=place, body=_ALLOCATIONS, before=(_DAY,)), (_ALLOCATIONS["data"], _HARD)
        )
        for path, place in (("workspace_resources", ()), ("workspace_resources/{id}", ("15001",)))
    },
    **{
        (f"POST /survey_{kind}", name): Trial(Sample(body={"subject_type": "Workspace", "subject_id": 10002}))
        for kind in ("responses", "templates")
        for name in ("subject_type", "subject_id")
    },
    ("POST /survey_answers", "choice_values"): Trial(
        Sample(body={"survey_question_id": MADE, "choice_values": ["A"]}, before=(_QUESTION,)), (["B"],)
    ),
    **{
        ("POST /survey_answers", f"{kind}_value"): Trial(Sample(body={f"{kind}_value": first}), (second,))
        for kind, first, second in (
            ("date", "2026-07-06", "2026-07-07"),
            ("decimal", 1.5, 2.5),
            ("integer", 1, 2),
            ("string", "x", "y"),
        )
    },
    ("POST /invoices", "billing_milestone_ids"): Trial(
        Sample(body={**_DRAFT, "workspace_id": 10002}, before=(_MILESTONE,)), ([MADE],)
    ),
    ("POST /rate_card_sets", "clone_version_id"): Trial(values=(85901,)),
    ("POST /rate_cards", "rate_card_set_version_id"): Trial(
        Sample(body={"rate_card_set_id": 86001, "currency": "EUR"}, before=(_SET_VERSION, _SET_VERSION)),
        (85901,),
    ),
    ("PUT /rate_cards/{id}", "currency"): Trial(Sample(path=(MADE,), before=(_CARD,)), ("GBP",)),
    **{
        (f"PUT /{key}/{{id}}", "start_date"): Trial(values=("2020-01-06",))
        for key in (
            "backup_approver_associations",
            "workspace_allocations",
            "workweek_memberships",
            "workweeks",
        )
    },
    ("PUT /survey_answers/{id}", "choice_values"): Trial(
        Sample(path=("87901",)), (["Survey question choice 1"], [])
    ),
    ("PUT /project_accounting_records/delete", "csv_file"): Trial(values=("ID\n84802",)),
    ("PUT /organizations/{id}", "parent_id"): Trial(Sample(path=(MADE,), before=(_COAST,)), (84403,)),
    ("PUT /invoices/{id}", "time_entry_ids"): Trial(values=([119999],)),
    ("PUT /invoices/{id}", "expense_ids"): Trial(values=([60158],)),
    ("PUT /resource_requests/{id}", "allocations_state"): Trial(
        Sample(path=(MADE,), body={"user_id": 1005}, before=(_REQUEST,)), (False,)
    ),
    ("PUT /workspaces/{id}/apply_template", "project_tracker_template_id"): Trial(
        Sample(path=(MADE,), body={"project_tracker_template_id": 85701}, before=(_FILLED, _PROJECT)),
        (85701, 85702),
    ),
    **{("POST /resource_requests", name): Trial(Sample(body=_UNNAMED)) for name in _UNNAMED},
    **{
        (f"PUT /workspaces/{{id}}/toggle_{kind}_approvals", "enable"): Trial(
            Sample(path=(MADE,), before=(_PROJECT,))
        )
        for kind in ("time", "expense")
    },
    ("PUT /workspaces/{id}/toggle_expense_approvals", "backfill_date"): Trial(
        Sample(path=("10004",)), ("2026-12-31",)
    ),
    ("POST /attachments", "attachment[filename]"): Trial(_DIRECT, ("a.pdf",)),
    ("POST /attachments", "direct"): Trial(_DIRECT, (True,)),
    ("GET /subscribed_events", "subject_id"): Trial(
        Sample(query={"subject_type": "Story"}, before=(_STATE,)), ("20060",)
    ),
    ("PUT /custom_fields/{id}", "choices"): Trial(
        Sample(path=(MADE,), before=(_CHOICES,)), ([{"label": "S"}],)
    ),
    ("PUT /project_snapshots/{id}", "replace_baseline"): Trial(Sample(path=("85302",)), (True,)),
    ("PUT /skills/{id}", "skill_category_id"): Trial(values=(3102,)),
    ("PUT /stories/{id}", "due_date"): Trial(values=("2030-01-07",)),
    ("PUT /expenses/{id}", "workspace_id"): Trial(Sample(path=("60158",)), (10002,)),
    ("PUT /time_entries/{id}", "workspace_id"): Trial(Sample(path=(MADE,), before=(_LOOSE,)), (10003,)),
    ("PUT /workspace_resources/{id}", "auto_update_label"): Trial(Sample(body={"role_id": 3003}), (True,)),
}
"""(operation, parameter or property) → how to try it."""
