"""The rest of the demo account: a few records of every type, and a value for every field.

These records are generated from the contract: values by the name and type of a field, references to existing records.
Every list therefore has records, every include finds something, and no field is always null.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from kantata_client import models
from kantata_client._objects.model import annotation_of
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import registry, schema
from kantata_client.sandbox.pointers import plain
from kantata_client.sandbox.relations import ABOUT, blank, singular, subject, subject_type
from kantata_client.sandbox.routes import rate_cards
from kantata_client.sandbox.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

FIRST_ID = 80_001
MADE = 4
"""Records of each type."""
_EVERY = 3
"""Every third record with an empty field gets a value."""
CREATED = "2026-02-02T09:00:00Z"

NEVER = frozenset(
    {
        *(("stories", "deleted_at"), ("roles", "deleted_at"), ("expense_categories", "deleted_at")),
        *(("attachments", "deleted_at"), ("attachments", "url"), ("users", "photo_path")),
        ("workspace_resources", "photo_path"),
    }
)
"""Fields without a value in the demo account: nothing in it is deleted, and no picture or file is on the CDN."""

SIDELOADED = frozenset(
    {
        *("access_groups", "additional_items", "baseline_payloads", "fixed_fee_items", "google_documents"),
        *(
            "project_snapshot_assignments",
            "project_snapshot_custom_field_values",
            "project_snapshot_resources",
        ),
        *("project_snapshot_tasks", "resolutions", "survey_question_choices", "tags", "work_samples"),
        *("custom_field_sets", "custom_task_statuses", "estimate_scenario_resource_allocations"),
    }
)
"""Envelope keys of records that appear only when included."""

WITHOUT = frozenset({"exports", "subscribed_events", "private_label", "line_item_locks", "exchange_rates"})
"""Envelope keys whose records are created by custom operations."""

_WORDS: Mapping[str, tuple[Any, ...]] = {
    "currency": ("USD",),
    "currency_symbol": ("$",),
    "currency_base_unit": (100,),
    "iso_code": ("USD", "EUR"),
    "source_currency": ("USD",),
    "target_currency": ("EUR", "GBP"),
    "state": ("started", "completed"),
    "subject_type": ("Workspace",),
    "email": ("office@client.example",),
    "email_address": ("guest@client.example",),
    "website": ("https://client.example",),
    "phone_number": ("+1 555 0100",),
    "level": (3, 4, 5, 2),
    "max_level": (5,),
    "account_id": (1,),
    "cells": ({"USD": {"rate": 20_000}},),
    "task_statuses": ("not started", "started", "completed"),
    "archived": (False,),
    "disabled": (False,),
    "obsolete": (False,),
    "default": (True, False, False, False),
    "account_default": (True, False, False, False),
    "active": (True, False),
    "pending": (True, False),
    "hours": (4, 8),
    "requested_date": ("2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"),
    "locked_to": ("2024-01-06",),
    "total_hours": (8, 4),
    "dependency_type": (0,),
    "lag": (0, 1),
    "weight": (1, 2, 3),
    "tax_rate": (7.5,),
    "billability_target": (75,),
    "percentage": (50, 100),
    "percentage_complete": (25, 60),
    "total_minutes": (2400,),
    "role_initials": ("EN", "DE"),
    "raw_json": ('{"stories": [{"title": "Discovery", "duration_days": 10}]}',),
    **{f"{day}day_minutes": (480,) for day in ("mon", "tues", "wednes", "thurs", "fri")},
    **{f"{day}day_minutes": (0,) for day in ("satur", "sun")},
}


_TYPED: Mapping[tuple[str, str], tuple[Any, ...]] = {
    ("client_invoice_defaults", "expense_rollup_type"): (0, 1),
    ("client_invoice_defaults", "time_rollup_type"): (0, 1, 2),
    ("expense_report_submissions", "status"): ("pending", "approved", "pending", "rejected"),
    ("expense_report_submissions", "type"): ("ExpenseReportSubmission",),
    ("organization_memberships", "member_type"): ("user",),
    ("organizations", "type"): ("Geography", "Department"),
    ("project_accounting_records", "status"): ("Draft", "Approved", "Draft", "Adjusted"),
    ("project_accounting_records", "type"): ("Forecasting", "Recognition"),
    ("project_snapshots", "is_baseline"): (True, False, False, False),
    ("project_templates", "sharing"): ("private", "shared", "editable"),
    ("resolutions", "target_type"): ("TimesheetSubmission",),
    ("resolutions", "type"): ("approval", "rejection"),
    ("resource_requests", "status"): ("new", "approved", "new", "rejected"),
    ("survey_questions", "question_type"): ("string", "single"),
    ("workspaces", "stage"): ("project", "estimate"),
}
"""(envelope key, field) → values, where another type has others for a field of that name."""


def complete(records: dict[str, list[dict[str, Any]]], moved_by: timedelta) -> None:
    """Complete the records of the demo account.

    Args:
        records: The records so far, by envelope key.
        moved_by: What to add to the dates in this module.
    """
    keys = sorted({operation.key for operation in OPERATIONS.values() if operation.key} | SIDELOADED)
    ids = {key: [row["id"] for row in rows] for key, rows in records.items()}
    missing = [key for key in keys if key not in records and key not in WITHOUT]
    for key in missing:
        place = FIRST_ID + 100 * keys.index(key)
        ids[key] = [str(place + number) for number in range(MADE)]
    maker = _Maker(records, ids, moved_by)
    for key in missing:
        records[key] = [maker.record(key, identity, number) for number, identity in enumerate(ids[key])]
    for key in sorted(records):
        if key not in missing:
            maker.fill(key)
    _show_currencies(records)
    _plant(records["organizations"])
    for field, target in ABOUT.items():
        _describe(records, field, target)
    invoice = records["invoices"][0]
    billed = [row for row in records["expenses"] if row["workspace_id"] in invoice["workspace_ids"]]
    for row in billed[:2] or records["expenses"][:1]:
        row |= {"invoice_id": invoice["id"], "is_invoiced": True}


def _show_currencies(records: dict[str, list[dict[str, Any]]]) -> None:
    """Let the sets of rate cards and their versions show the currencies of their cards."""
    store = Store({key: records[key] for key in rate_cards.KEYS})
    for row in records[rate_cards.SETS]:
        row["default_currencies"] = rate_cards.default_currencies(store)
        row["active_currencies"] = rate_cards.active_currencies(store, row["id"])
    for row in records[rate_cards.SET_VERSIONS]:
        row["used_currencies"] = rate_cards.used_currencies(store, row["id"])


def _describe(records: dict[str, list[dict[str, Any]]], field: str, target: str) -> None:
    """Give each type that includes records about it (an external reference, the value of a custom field) one of them."""
    described = {row["subject_ref"]["key"] for row in records[target]}
    first = records[target][0]
    for key in sorted(set(records) - described):
        model = schema.model(key)
        if all(reference.ids != field for reference in model.references.values()):
            continue
        subject_id = records[key][0]["id"]
        about: dict[str, Any] = {
            "subject_type": subject_type(key, target),
            "subject_id": int(subject_id),
            "subject_ref": subject(key, subject_id),
        }
        if target == "external_references":
            about |= {"service_name": "archive", "service_model": model.name, "service_model_ref": subject_id}
        records[target].append({**first, "id": str(int(records[target][-1]["id"]) + 1), **about})


def _plant(organizations: list[dict[str, Any]]) -> None:
    """Make a tree of the organizations of each type: the first one is above the others."""
    roots: dict[str, dict[str, Any]] = {}
    for row in organizations:
        root = roots.setdefault(row["type"], row)
        below = row is not root
        row |= {"parent_id": root["id"] if below else None, "ancestor_ids": [root["id"]] if below else []}


class _Maker:
    def __init__(
        self, records: dict[str, list[dict[str, Any]]], ids: dict[str, list[str]], moved_by: timedelta
    ) -> None:
        self._moved_by = moved_by
        self._records = records
        self._ids = ids
        self._workspaces = {row["id"]: row for row in records["workspaces"]}
        self._stories = [row for row in records["stories"] if row["story_type"] == "task"]

    def _moved(self, time: str) -> str:
        return f"{date.fromisoformat(time[:10]) + self._moved_by}{time[10:]}"

    def record(self, key: str, identity: str, number: int) -> dict[str, Any]:
        """A record of a type without records so far."""
        row: dict[str, Any] = {
            "id": identity,
            **blank(key),
            **dict.fromkeys(schema.TIMES, self._moved(CREATED)),
        }
        if schema.model(key).kinds.get("created_at") == "date":
            row |= dict.fromkeys(schema.TIMES, row["created_at"][:10])
        for field in (*schema.model(key).kinds, *schema.model(key).optional):
            if row.get(field) in (None, []):
                value = self._value(key, field, number)
                if value is not None:
                    row[field] = value
        self._refer(key, row, number)
        return row

    def fill(self, key: str) -> None:
        """Give fields that are empty in all records of a type a value in some records."""
        rows, model = self._records[key], schema.model(key)
        for field in model.kinds:
            if field in model.optional and field not in schema.writable(key):
                continue  # the service computes it
            if any(row.get(field) not in (None, []) for row in rows):
                continue
            if model.reference_of(field) is not None:
                continue
            for number, row in enumerate(rows[::_EVERY]):
                value = self._value(key, field, number)
                if value is not None and (key, field) not in NEVER:
                    row[field] = value
        for number, row in enumerate(rows[::_EVERY]):
            self._refer(key, row, number)

    def _value(self, key: str, field: str, number: int) -> Any:
        model = schema.model(key)
        if field == "id" or model.reference_of(field) is not None or (key, field) in NEVER:
            return None
        if field in registry.resource(key).computed:
            return None
        value = self._by_kind(key, field, model.kinds.get(field, "str"), number)
        return [value] if field in model.lists and value is not None else value

    def _by_kind(self, key: str, field: str, kind: str, number: int) -> Any:
        values = _TYPED.get((key, field)) or _WORDS.get(field)
        if values:
            found = values[number % len(values)]
            found = self._moved(found) if field == "requested_date" else found
            return str(found) if kind == "str" else found
        match kind:
            case "bool":
                return number % 2 == 0
            case "date":
                return self._moved(f"2026-0{1 + number % 6}-{10 + number % 15}")
            case "datetime":
                return self._moved(f"2026-0{1 + number % 6}-{10 + number % 15}T09:00:00Z")
            case "float":
                return 10.0 + number
            case "int":
                if field.endswith("_id"):
                    return self._identity(key, field, number)
                return (number + 1) * (10_000 if field.endswith("_in_cents") or "rate" in field else 30)
            case "str":
                return self._text(key, field, number)
            case _:
                cls: Any = getattr(models, kind, None)
                if cls is None:
                    return None
                inner = {each: annotation_of(cls, each).removesuffix(" | None") for each in cls.FIELDS}
                simple = {name: kind for name, kind in inner.items() if kind in schema.SCALARS}
                return {name: self._by_kind(key, name, kind, number) for name, kind in simple.items()}

    def _text(self, key: str, field: str, number: int) -> str | None:
        values = _choices(key).get(field)
        if values:
            return values[number % len(values)]
        if field.endswith(("_id", "_ids")):
            identity = self._identity(key, field, number)
            return None if identity is None else str(identity)
        words = field.replace("_", " ")
        if field in {"name", "title", "label", "display_label", "full_name", "text"}:
            return f"{singular(key).replace('_', ' ').capitalize()} {number + 1}"
        return f"{words.capitalize()} {number + 1}"

    def _identity(self, key: str, field: str, number: int) -> int | None:
        """The id of a record for a field that is not a declared association."""
        member = (key, field) == ("organization_memberships", "member_id")
        target = "users" if member else plain(key, field)
        if target == "workspaces":
            return int(self._story(number)["workspace_id"])
        ids = self._ids.get(target or "")
        return int(ids[number % len(ids)]) if ids else None

    def _story(self, number: int) -> Mapping[str, Any]:
        return self._stories[(number * 37 + 11) % len(self._stories)]

    def _refer(self, key: str, row: dict[str, Any], number: int) -> None:
        """Point empty references to existing records, all of one project if there are several."""
        model, resource = schema.model(key), registry.resource(key)
        story = self._story(number)
        for reference in model.references.values():
            field = reference.ids
            if (
                row.get(field) not in (None, [])
                or field in {*resource.derived, *ABOUT}
                or (key, field) in _LEFT
            ):
                continue
            if reference.key is None:
                if not row.get("subject_id") and "subject_id" in {*model.kinds, *schema.UNSHOWN.get(key, ())}:
                    row |= {"subject_type": "Workspace", "subject_id": int(story["workspace_id"])}
                if field.endswith("_ref"):
                    asset = "attachments" if field == "asset_object_ref" else "workspaces"
                    identity = (
                        self._ids["attachments"][number] if asset == "attachments" else story["workspace_id"]
                    )
                    row[field] = subject(asset, identity)
                continue
            target = reference.key
            if reference.many and _points_back(key, target):
                continue
            if field in row or field in model.kinds:
                chosen = self._chosen(target, number, story)
                if chosen is not None:
                    numeric = model.kinds.get(field) == "int"
                    row[field] = [chosen] if reference.many else int(chosen) if numeric else chosen

    def _chosen(self, target: str, number: int, story: Mapping[str, Any]) -> str | None:
        if target == "stories":
            return str(story["id"])
        if target == "workspaces":
            return str(story["workspace_id"])
        ids = self._ids.get(target)
        if not ids:
            return None
        # Users from the end of the list: examples and tests use those at its start.
        return ids[-1 - (number * 7 + 2) % len(ids)] if target == "users" else ids[number % len(ids)]


_LEFT = frozenset(
    {
        *(
            ("time_entries", field)
            for field in ("invoice_id", "active_submission_id", "recent_submission_id")
        ),
        *(("stories", field) for field in ("parent_id", "root_id", "ancestor_ids")),
        *(("users", "manager_id"), ("account_memberships", "manager_id"), ("posts", "subject_ref")),
        *(("expenses", "invoice_id"), ("posts", "newest_reply_id")),
        ("workspaces", "primary_workspace_group_id"),
    }
)
"""References whose null is significant."""


def _points_back(key: str, target: str) -> bool:
    """Whether the records of a type refer to their owner, so that the owner needs no list of them."""
    fields = schema.model(target).kinds
    if key in {"billing_milestones", "estimates", "estimate_scenarios", "workspace_groups"}:
        return False
    return any(f"{singular(key)}{ending}" in fields for ending in ("_id", "_ids"))


def _choices(key: str) -> dict[str, tuple[str, ...]]:
    """Field → its values according to the bodies."""
    bodies = [operation.body for operation in schema.operations_of(key) if operation.body is not None]
    return {
        name: parameter.values
        for body in bodies
        for name, parameter in body.fields.items()
        if parameter.values
    }
