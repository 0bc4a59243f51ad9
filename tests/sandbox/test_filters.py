"""Every named filter of the lists: which records it keeps, and that it leaves others out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client.sandbox import registry, schema
from kantata_client.sandbox.filters.common import COMMON

from .test_filters_of_relations import TRIED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

WORKSPACE, STORY = {"workspace_id": "11"}, {"story_id": "201"}
ARCHIVED = {"workspace_id": "12"}

RECORDS: Mapping[str, Mapping[int, Mapping[str, Any]]] = {
    "account_colors": {121: {"enabled": True}, 122: {"enabled": False}},
    "account_invitations": {123: {"pending": True, "full_name": "Wim Oriveil"}, 124: {"pending": False}},
    "account_memberships": {
        31: {"user_id": 21, "permission": "project_lead"},
        32: {"user_id": 22, "disabled_at": "2026-01-01"},
        33: {"user_id": 23, "permission": "collaborator"},
    },
    "assignments": {
        211: {**STORY, "assignee_id": 1001, "current": True},
        212: {"story_id": 202, "assignee_id": 21, "current": True},
        213: {"story_id": 202, "assignee_id": 1001, "current": False},
        214: {"story_id": 203, "assignee_id": 21},
        215: {"story_id": 204, "assignee_id": 21},
        216: {**STORY, "assignee_id": None},
        217: {"story_id": 206, "assignee_id": 23, "current": False},
    },
    "custom_field_choices": {231: {"custom_field_id": 241}, 232: {"custom_field_id": 242}},
    "custom_fields": {241: {"subject_type": "Story"}, 242: {"subject_type": "Workspace"}},
    "estimates": {251: {"creator_id": 1001}, 252: {"creator_id": 21}},
    "expense_categories": {125: {"name": "Travel"}, 126: {"deleted_at": "2026-01-01"}},
    "expense_report_submissions": {
        75: {"status": "approved", "user_id": 1001},
        76: {"status": "cancelled", "user_id": 1001},
        77: {"status": "new", "user_id": 1001},
        78: {"status": "rejected", "user_id": 1001},
        79: {"status": "new", "user_id": 21},
    },
    "expenses": {
        101: {"workspace_id": 13, "amount_in_cents": 1, "date": "2026-01-10", "user_id": 1001},
        102: {
            "workspace_id": 13,
            "amount_in_cents": 1,
            "date": "2026-02-10",
            "user_id": 21,
            "active_submission_id": 75,
            "recent_submission_id": 75,
        },
        103: {
            "workspace_id": 11,
            "amount_in_cents": 1,
            "date": "2026-03-10",
            "user_id": 21,
            "invoice_id": 81,
            "recent_submission_id": 76,
        },
        104: {**ARCHIVED, "amount_in_cents": 1},
    },
    "external_references": {
        111: {"subject_type": "Workspace", "last_synced_at": "2026-01-01", "service_name": "a"},
        112: {"subject_type": "Workspace", "last_synced_at": "2026-06-01", "service_name": "b"},
    },
    "holiday_calendar_associations": {263: {"holiday_id": 261}, 264: {"holiday_id": 262}},
    "holidays": {261: {"name": "May day"}, 262: {"name": "Harvest"}},
    "insights_access_group_memberships": {265: {"user_id": 21}, 266: {"user_id": 23}},
    "invoices": {
        81: {"status": "new", "created_at": "2026-01-15", "updated_at": "2026-01-15"},
        82: {"status": "accepted payment", "created_at": "2026-02-15", "updated_at": "2026-02-15"},
        83: {"status": "new", "draft": True, "created_at": "2026-03-15", "updated_at": "2026-03-15"},
    },
    "organizations": {271: {"name": "North"}},
    "participations": {
        41: {**WORKSPACE, "user_id": 1001, "role": "maven"},
        42: {**WORKSPACE, "user_id": 23, "role": "buyer"},
        43: {"workspace_id": 13, "user_id": 21, "role": "maven"},
        44: {"workspace_id": 13, "user_id": 1001, "role": "buyer"},
        45: {"workspace_id": 14, "user_id": 22, "role": "observer"},
    },
    "posts": {
        281: {**WORKSPACE, **STORY},
        282: {**WORKSPACE, "story_id": 202, "subject_ref": {"key": "posts", "id": "281"}},
        283: ARCHIVED,
    },
    "project_accounting_records": {
        291: {**WORKSPACE, "created_at": "2026-01-15"},
        292: {**WORKSPACE, "deleted_at": "2026-02-01"},
        293: {**WORKSPACE, "created_at": "2026-02-15"},
    },
    "project_templates": {294: {"user_id": 1001, "title": "Audit"}, 295: {"user_id": 21, "title": "Launch"}},
    "roles": {127: {"name": "Partner"}, 128: {"deleted_at": "2026-01-01"}},
    "skill_memberships": {
        303: {"skill_id": 301, "user_id": 21},
        304: {"skill_id": 302, "user_id": 23},
        305: {"skill_id": 301, "user_id": 22},
    },
    "skills": {301: {"name": "Python"}, 302: {"name": "Sketching"}},
    "stories": {
        201: {
            **WORKSPACE,
            "story_type": "task",
            "state": "not started",
            "status": "not started",
            "start_date": "2026-01-05",
            "due_date": "2026-01-20",
            "creator_id": 21,
            "title": "Interviews",
            "tag_ids": ["131"],
            "follower_ids": ["1001"],
            "ancestry_depth": 0,
            "priority": "low",
        },
        202: {
            **WORKSPACE,
            "story_type": "milestone",
            "state": "completed",
            "status": "done",
            "start_date": "2026-03-02",
            "due_date": "2026-03-05",
            "ancestor_ids": ["201"],
            "parent_id": 201,
            "ancestry_depth": 1,
            "priority": "high",
        },
        203: {"workspace_id": 13, "archived": True},
        204: ARCHIVED,
        205: {**WORKSPACE, "project_plan": False},
        206: {"workspace_id": 13, "state": "started", "ancestry_depth": 0},
    },
    "story_allocation_days": {
        311: {**STORY, "assignment_id": 211},
        312: {"story_id": 202, "assignment_id": 212},
        313: {"story_id": 203, "assignment_id": 214},
        314: {"story_id": 204, "assignment_id": 215},
    },
    "story_dependencies": {321: {"source_id": 201}, 322: {"source_id": 206}},
    "story_follows": {221: {"story_id": 206, "follower_id": 21}},
    "story_tasks": {331: STORY, 332: {"story_id": 203}, 333: {"story_id": 204}},
    "survey_responses": {
        341: {"subject_type": "Story", "subject_id": 201},
        342: {"subject_type": "Workspace", "subject_id": 11},
    },
    "survey_templates": {
        343: {"subject_type": "Story", "subject_id": 201},
        344: {"subject_type": "Workspace", "subject_id": 11},
    },
    "tags": {131: {"name": "Urgent"}},
    "time_entries": {
        61: {**WORKSPACE, "user_id": 1001, "recent_submission_id": 72},
        62: {**WORKSPACE, "user_id": 1001, "approved": True},
        63: {"workspace_id": 13, "user_id": 1001},
        64: {**WORKSPACE, "user_id": 1001, "active_submission_id": 71},
        65: {**ARCHIVED, "user_id": 1001},
        66: {**WORKSPACE, "user_id": 21, "invoice_id": 81},
    },
    "time_off_entries": {
        351: {"requested_date": "2026-01-10", "user_id": 21},
        352: {"requested_date": "2026-05-01", "user_id": 23},
    },
    "timesheet_submissions": {
        71: {"status": "approved"},
        72: {"status": "cancelled"},
        73: {"status": "new"},
        74: {"status": "rejected"},
    },
    "user_group_memberships": {361: {"workspace_group_id": 51}, 362: {"workspace_group_id": 52}},
    "users": {
        21: {
            "full_name": "Mara Quill",
            "email_address": "mara@x.example",
            "role_id": 127,
            "manager_id": 1001,
        },
        22: {"full_name": "Nils Disabled"},
        23: {"full_name": "Otto Client", "email_address": "otto@y.example", "role_id": 129},
    },
    "workspace_allocations": {
        381: {
            "workspace_resource_id": 371,
            "hard": True,
            "start_date": "2026-01-01",
            "end_date": "2026-01-31",
        },
        382: {
            "workspace_resource_id": 373,
            "hard": False,
            "start_date": "2026-06-01",
            "end_date": "2026-06-30",
        },
    },
    "workspace_resources": {
        371: {**WORKSPACE, "user_id": 1001},
        372: {"workspace_id": 13, "user_id": 21},
        373: {"workspace_id": 13, "user_id": None},
    },
    "workspaces": {
        11: {"title": "Portal", "require_time_approvals": True, "workspace_group_ids": ["51"]},
        12: {"title": "Old", "archived": True},
        13: {"title": "Warehouse", "require_expense_approvals": True, "primary_maven_id": 21},
        14: {"title": "Rebrand", "creator_id": 21},
    },
    "workweek_memberships": {391: {"user_id": 21}, 392: {"user_id": 23}},
}
"""Envelope key → id → what the record has. The account's owner, user 1001 with membership 2001, is there too."""

REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "external_references": {"subject_type": "Workspace"},
    "participations": {"workspace_id": 11},
}

KEPT: Mapping[tuple[str, str, str], set[int]] = {
    ("account_memberships", "only_inactive", "true"): {32},
    ("account_memberships", "by_full_name", "quill"): {31},
    ("assignments", "uncurrent", "true"): {213, 217},
    ("assignments", "current", "true"): {211, 212},
    ("custom_field_choices", "for_choice_ids", "231"): {231},
    ("custom_field_choices", "for_custom_fields", "242"): {232},
    ("custom_fields", "subject_type", "Story"): {241},
    ("estimates", "creator", "21"): {252},
    ("expense_report_submissions", "active", "true"): {75, 77},
    ("expense_report_submissions", "not_cancelled", "true"): {75, 77, 78},
    ("expense_report_submissions", "statuses", "new,rejected"): {77, 78},
    ("expenses", "approved", "true"): {102, 103},
    ("expenses", "created_by", "21"): {102, 103},
    ("expenses", "date_expensed_between", "2026-02-01:2026-03-01"): {102},
    ("expenses", "in_active_invoice_id", "81"): {103},
    ("expenses", "invoiced", "true"): {103},
    ("expenses", "uninvoiced", "true"): {101, 102},
    ("expenses", "mine", "true"): {101},
    ("expenses", "submitted", "true"): {102},
    ("expenses", "unsubmitted", "true"): {101, 103},
    ("expenses", "with_expense_report_id", "75"): {102},
    ("expenses", "with_recent_expense_report_ids", "76"): {103},
    ("external_references", "last_synced_after", "2026-03-01T00:00:00Z"): {112},
    ("external_references", "last_synced_before", "2026-03-01T00:00:00Z"): {111},
    ("holiday_calendar_associations", "by_holiday_name", "may"): {263},
    ("insights_access_group_memberships", "by_user_name", "quill"): {265},
    ("invoices", "pending", "true"): {81},
    ("invoices", "paid", "true"): {82},
    ("invoices", "without_drafts", "true"): {81, 82},
    ("invoices", "within_dates", "2026-02-01:2026-02-28"): {82},
    ("participations", "by_user", "23"): {42},
    ("participations", "by_user_full_name", "otto"): {42},
    ("participations", "mavens_only", "true"): {41},
    ("posts", "parents_only", "true"): {281},
    ("posts", "story_ids", "202"): {282},
    ("project_accounting_records", "created_at", "2026-02-15T00:00:00Z"): {293},
    ("project_templates", "mine", "true"): {294},
    ("skill_memberships", "by_skill_name", "pyth"): {303, 305},
    ("skill_memberships", "by_user_name", "quill"): {303},
    ("skill_memberships", "workspace_id", "13"): {303},
    ("skill_memberships", "active_account_members_only", "true"): {303, 304},
    ("stories", "active_between", "2026-01-10:2026-01-31"): {201},
    ("stories", "active_between", "2026-03-01:2026-03-03"): {202},
    ("stories", "archived", "only"): {203},
    ("stories", "archived", "exclude"): {201, 202, 206},
    ("stories", "archived", "include"): {201, 202, 203, 206},
    ("stories", "assigned_to_current_user", "true"): {201},
    ("stories", "by_any_tag", "urgent,other"): {201},
    ("stories", "by_tag_name", "Urgent"): {201},
    ("stories", "by_status", "done"): {202},
    ("stories", "by_subtask_count", "1"): {201},
    ("stories", "by_workspace_group", "51"): {201, 202},
    ("stories", "completed", "true"): {202},
    ("stories", "uncompleted", "true"): {201, 206},
    ("stories", "creators", "21"): {201},
    ("stories", "only_archived", "true"): {203},
    ("stories", "only_todos", "true"): {205},
    ("stories", "parents_only", "true"): {201, 206},
    ("stories", "priority", "high"): {202},
    ("stories", "starting_between", "2026-03-01:"): {202},
    ("stories", "story_types", "milestone"): {202},
    ("stories", "with_ancestry_depth", "1"): {202},
    ("stories", "with_assignees", "21"): {202},
    ("stories", "with_assignees", "unassigned"): {206},
    ("stories", "with_followers", "1001"): {201},
    ("stories", "with_followers", "21"): {206},
    ("stories", "with_projects", "13"): {206},
    ("stories", "with_root_id", "201"): {202},
    ("stories", "not_assigned_to_user", "1001"): {202, 206},
    ("story_allocation_days", "assignee_id", "21"): {312},
    ("story_dependencies", "workspace_id", "13"): {322},
    ("survey_responses", "subject_id", "201"): {341},
    ("survey_responses", "subject_type", "Workspace"): {342},
    ("survey_templates", "subject_id", "201"): {343},
    ("survey_templates", "subject_type", "Workspace"): {344},
    ("time_entries", "approved", "true"): {62, 63, 64},
    ("time_entries", "created_by", "21"): {66},
    ("time_entries", "in_active_invoice_id", "81"): {66},
    ("time_entries", "in_active_submission", "true"): {64},
    ("time_entries", "in_active_submission", "false"): {61, 62, 63, 66},
    ("time_entries", "invoiced", "true"): {66},
    ("time_entries", "uninvoiced", "true"): {61, 62, 63, 64},
    ("time_entries", "with_timesheet_id", "71"): {64},
    ("time_entries", "with_recent_timesheet_ids", "72"): {61},
    ("time_off_entries", "start_date", "2026-03-01"): {352},
    ("time_off_entries", "end_date", "2026-03-01"): {351},
    ("time_off_entries", "workspace_id", "13"): {351},
    ("timesheet_submissions", "active", "true"): {71, 73},
    ("timesheet_submissions", "not_cancelled", "true"): {71, 73, 74},
    ("timesheet_submissions", "statuses", "new,rejected"): {73, 74},
    ("user_group_memberships", "group_ids", "52"): {362},
    ("users", "clients_only", "true"): {23, 1001},
    ("users", "consultants_only", "true"): {21, 1001},
    ("users", "without_skills", "301"): {23, 1001},
    ("users", "account_role_ids", "127"): {21},
    ("users", "by_email_address", "mara@x.example"): {21},
    ("users", "by_email_addresses", "mara@x.example,otto@y.example"): {21, 23},
    ("users", "can_view_reports", "true"): {1001},
    ("users", "is_project_lead", "true"): {21, 1001},
    ("users", "managers", "true"): {1001},
    ("users", "participant_in", "11"): {23, 1001},
    ("users", "not_participant_in", "11"): {21},
    ("users", "with_users", "21"): {21},
    ("users", "without_users", "21"): {23, 1001},
    ("workspace_allocations", "overlaps_with_date_range", "2026-01-15:2026-02-15"): {381},
    ("workspace_allocations", "overlaps_with_date_range", "2026-06-30:2026-07-30"): {382},
    ("workspace_allocations", "user_ids", "1001"): {381},
    ("workspace_allocations", "type", "soft"): {382},
    ("workspace_allocations", "named_resources_only", "true"): {381},
    ("workspace_allocations", "unnamed_resources_only", "true"): {382},
    ("workspace_resources", "only_unnamed", "true"): {373},
    ("workspaces", "archived", "only"): {12},
    ("workspaces", "archived", "exclude"): {11, 13, 14},
    ("workspaces", "creator", "21"): {14},
    ("workspaces", "has_participant", "1001"): {11, 13},
    ("workspaces", "has_maven_participant", "1001"): {11},
    ("workspaces", "has_participation", "true"): {11, 13},
    ("workspaces", "provider_lead", "21"): {13},
    ("workspaces", "requiring_expense_approval", "true"): {13},
    ("workspaces", "requiring_expense_approval", "false"): {11, 14},
    ("workspaces", "user_not_participating", "23"): {13, 14},
    ("workspaces", "workspace_groups", "51"): {11},
    ("workweek_memberships", "participants_for_workspace_id", "13"): {391},
    # Those that many lists have
    ("invoices", "created_after", "2026-02-01T00:00:00Z"): {82, 83},
    ("invoices", "created_before", "2026-02-01T00:00:00Z"): {81},
    ("invoices", "updated_after", "2026-02-15T00:00:00Z"): {83},
    ("invoices", "updated_before", "2026-02-15T01:00:00+01:00"): {81},
    ("skills", "matching", "pyth"): {301},
    ("stories", "search", "interview"): {201},
    ("users", "by_full_name", "quill"): {21},
    ("project_templates", "by_title", "aud"): {294},
    ("skills", "except", "301"): {302},
    ("project_accounting_records", "ids", "293"): {293},
    # Those whose names say it all
    ("stories", "workspace_id", "13"): {206},
    ("assignments", "workspace_id", "13"): {217},
    ("stories", "due_after", "2026-03-05"): {202},
    ("stories", "due_before", "2026-03-04"): {201},
    ("stories", "due_on", "2026-03-05"): {202},
    ("stories", "due_between", "2026-03-01:2026-03-31"): {202},
    ("workspaces", "require_time_approvals", "true"): {11},
}
"""(envelope key, filter, value) → the records that it keeps."""

LIFTED: Mapping[tuple[str, str, str], set[int]] = {
    ("account_colors", "enabled_only", "false"): {122},
    ("account_invitations", "only_pending", "false"): {124},
    ("assignments", "in_unarchived_stories", "false"): {214},
    ("assignments", "in_unarchived_workspaces", "false"): {215},
    ("assignments", "include_unnamed", "true"): {216},
    ("expense_categories", "only_active", "false"): {126},
    ("expense_report_submissions", "all_on_account", "true"): {79},
    ("expenses", "from_archived_workspaces", "true"): {104},
    ("posts", "from_archived_workspaces", "true"): {283},
    ("project_accounting_records", "show_deleted", "true"): {292},
    ("roles", "only_active", "false"): {128},
    ("stories", "show_archived", "true"): {203},
    ("stories", "show_from_archived_workspaces", "true"): {204},
    ("stories", "show_todos", "true"): {205},
    ("story_allocation_days", "in_unarchived_stories", "false"): {313},
    ("story_allocation_days", "in_unarchived_workspaces", "false"): {314},
    ("story_tasks", "show_archived", "true"): {332},
    ("story_tasks", "show_from_archived_workspaces", "true"): {333},
    ("time_entries", "from_archived_workspaces", "true"): {65},
    ("users", "show_disabled", "true"): {22},
    ("workspace_resources", "include_unnamed", "true"): {373},
    ("workspaces", "archived", "include"): {12},
    ("workspaces", "include_archived", "true"): {12},
}
"""(envelope key, filter, value) → the records that a default hides unless this is said."""

WITHOUT_EFFECT: Mapping[tuple[str, str], str] = {
    ("organizations", "for_current_user"): "true",
    ("account_memberships", "only_active"): "true",
    ("story_allocation_days", "only_my_account"): "true",
    ("users", "on_my_account_or_participant_in_workspace"): "11",
    ("users", "on_my_account"): "true",
    ("stories", "all_on_account"): "true",
}
"""Filters for what one account, whose members see everything, does not have."""


@pytest.fixture
async def world(empty: API) -> API:
    for key, rows in RECORDS.items():
        for identity, fields in rows.items():
            empty.sandbox.store.put(key, {"id": identity, **fields})
    return empty


async def listed(world: API, key: str, **query: Any) -> set[int]:
    operation = schema.list_of(key)
    assert operation is not None
    return {
        int(identity)
        for identity in await world.ids(operation.path, per_page=200, **REQUIRED.get(key, {}), **query)
    }


@pytest.mark.parametrize(("key", "name", "value"), KEPT)
async def test_what_a_filter_keeps_and_drops(world: API, key: str, name: str, value: str) -> None:
    kept = await listed(world, key, **{name: value})
    assert kept == KEPT[key, name, value]
    if value not in {"exclude", "include"}:
        assert await listed(world, key) - kept


@pytest.mark.parametrize(("key", "name", "value"), LIFTED)
async def test_what_a_default_hides(world: API, key: str, name: str, value: str) -> None:
    shown = await listed(world, key)
    assert await listed(world, key, **{name: value}) == shown | LIFTED[key, name, value] != shown


@pytest.mark.parametrize(("key", "name"), WITHOUT_EFFECT)
async def test_what_has_no_effect(world: API, key: str, name: str) -> None:
    shown = await listed(world, key)
    assert await listed(world, key, **{name: WITHOUT_EFFECT[key, name]}) == shown != set()


def test_no_filter_is_left_out() -> None:
    tried = {(key, name) for key, name, _ in (*KEPT, *LIFTED)} | WITHOUT_EFFECT.keys() | TRIED
    declared = registry.declared()
    assert not {(each.key, name) for each in declared for name in each.filters} - tried
    assert not COMMON.keys() - {name for _, name in tried}
    hiding = {each.key for each in declared if each.default_filters}
    assert hiding == {key for key, _, _ in LIFTED} | {"story_dependencies", "account_memberships"}


@pytest.mark.parametrize(
    ("key", "query"),
    [
        ("stories", {"starting_between": "foo:bar"}),
        ("stories", {"starting_between": "2026-01-01"}),
        ("stories", {"starting_between": "2026-01-01:2026-01-02:2026-01-03"}),
        ("stories", {"active_between": "2026-13-01:"}),
        ("time_entries", {"date_performed_between": ":soon"}),
        ("workspace_allocations", {"overlaps_with_date_range": "nonsense"}),
        ("account_locations", {"archived": "perhaps"}),
    ],
)
async def test_values_that_make_no_sense_are_refused(world: API, key: str, query: dict[str, str]) -> None:
    operation = schema.list_of(key)
    assert operation is not None
    answer = await world.get(operation.path, **query, status=400)
    assert next(iter(query)) in answer["errors"][0]["message"]
