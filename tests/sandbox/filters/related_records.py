"""An account and the filters that look at other records: custom fields, skills, organizations, rate cards, teams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def about(key: str, kind: str, identity: int) -> dict[str, Any]:
    return {"subject_type": kind, "subject_id": identity, "subject_ref": {"key": key, "id": str(identity)}}


SUBJECTS = {
    "estimates": ("Estimate", 251, 252),
    "stories": ("Story", 201, 202),
    "users": ("User", 21, 22),
    "workspace_groups": ("WorkspaceGroup", 51, 52),
    "workspace_resources": ("WorkspaceResource", 371, 372),
    "workspaces": ("Workspace", 11, 12),
}
"""Envelope key → class, a record with custom field values, and one without."""

VALUES = {1: "Blue", 2: 42, 3: "2026-03-10", 4: ["91", "92"], 5: 1250}
"""Custom field → value: text, number, date, choices, currency (in cents)."""

RECORDS: Mapping[str, Mapping[int, Mapping[str, Any]]] = {
    "account_insights_mappings": {1: {"is_custom_dashboard": False}, 2: {"is_custom_dashboard": True}},
    "account_locations": {1: {"name": "Larkport", "archived": False}, 2: {"name": "Old", "archived": True}},
    "account_memberships": {
        31: {"user_id": 21, "default_role_id": "62", "permission": "collaborator"},
        32: {"user_id": 22, "default_role_id": "61"},
        33: {"user_id": 23, "disabled_at": "2026-01-01"},
    },
    "assignments": {
        211: {"story_id": 201, "assignee_id": 21, "current": True},
        212: {"story_id": 202, "assignee_id": 22, "current": False},
        213: {"story_id": 202, "assignee_id": None, "current": True},
    },
    "billing_milestones": {1: {"date_to_invoice": "2026-01-31"}, 2: {"date_to_invoice": "2026-02-28"}},
    "client_invoice_defaults": {1: {"client_user_id": 21}, 2: {"client_user_id": 22}},
    "custom_field_choices": {
        91: {"custom_field_id": 4, "label": "S"},
        92: {"custom_field_id": 4, "label": "M"},
        93: {"custom_field_id": 6, "label": "x"},
    },
    "custom_field_values": {
        number * 100 + field: {"custom_field_id": field, "value": value, **about(key, kind, first)}
        for number, (key, (kind, first, _)) in enumerate(SUBJECTS.items(), start=1)
        for field, value in VALUES.items()
    },
    "custom_fields": {field: {"name": f"Field {field}"} for field in (1, 2, 3, 4, 5, 6)},
    "estimates": {251: {"creator_id": 21}, 252: {"creator_id": 1001}},
    "expenses": {
        101: {"workspace_id": 11, "amount_in_cents": 1},
        102: {"workspace_id": 12, "amount_in_cents": 1},
    },
    "holiday_calendar_associations": {1: {"holiday_id": 261, "holiday_calendar_id": 71}},
    "holiday_calendar_memberships": {1: {"user_id": 21, "holiday_calendar_id": 71}},
    "holiday_calendars": {71: {"name": "North"}},
    "holidays": {261: {"name": "May day"}, 262: {"name": "Harvest"}},
    "insights_access_group_memberships": {
        1: {"user_id": 21, "insights_access_group_id": 5},
        2: {"user_id": 22, "insights_access_group_id": 6},
    },
    "organization_memberships": {
        1: {"member_type": "user", "member_id": "21", "department_id": "81", "geography_id": "82"},
        2: {"member_type": "workspace", "member_id": "11", "department_id": "81"},
        3: {"member_type": "user", "member_id": "1001", "department_id": "81"},
    },
    "organizations": {81: {"name": "Design"}, 82: {"name": "Coast"}},
    "participations": {
        41: {
            "workspace_id": 11,
            "user_id": 1001,
            "role": "maven",
            "access_level": "admin",
            "primary_role_id": "61",
        },
        42: {"workspace_id": 11, "user_id": 21, "role": "maven", "access_level": "financial"},
        43: {"workspace_id": 11, "user_id": 22, "role": "buyer", "show_as_read_only": True},
    },
    "posts": {},
    "rate_card_roles": {1: {"rate_card_version_id": 1, "role_id": 61}},
    "rate_card_set_versions": {
        1: {"rate_card_set_id": 1, "active": True, "effective_date": "2026-01-01"},
        2: {"rate_card_set_id": 1, "active": False, "effective_date": "2026-06-01"},
        3: {"rate_card_set_id": 2, "active": False, "effective_date": "2026-01-01"},
    },
    "rate_card_sets": {1: {"title": "Standard", "workspace_group_ids": ["51"]}, 2: {"title": "Nonprofit"}},
    "rate_card_table_rows": {1: {"rate_card_set_version_id": 1, "role_id": 61}},
    "rate_card_versions": {
        1: {"rate_card_id": 1, "rate_card_set_version_id": 1},
        2: {"rate_card_id": 2, "rate_card_set_version_id": 3},
    },
    "rate_cards": {
        1: {"rate_card_set_id": 1, "currency": "USD"},
        2: {"rate_card_set_id": 2, "currency": "EUR"},
    },
    "estimate_scenarios": {1: {"rate_card_id": 1}},
    "resource_requests": {
        1: {"status": "new", "approver_ids": ["21"]},
        2: {"status": "approved", "approver_ids": ["22"]},
    },
    "roles": {61: {"name": "Partner"}, 62: {"name": "Engineer"}, 63: {"name": "Poet"}},
    "skill_memberships": {
        1: {"user_id": 21, "skill_id": 301, "level": 4},
        2: {"user_id": 22, "skill_id": 302},
    },
    "skills": {301: {"name": "Python"}, 302: {"name": "Sketching"}},
    "stories": {
        201: {"workspace_id": "11", "title": "Interviews", "state": "started", "time_trackable": True},
        202: {
            "workspace_id": "11",
            "title": "Report on the interview",
            "description": "Interviewing takes time.",
            "state": "completed",
            "updated_at": "2026-02-10T00:00:00Z",
            "time_trackable": False,
            "story_type": "milestone",
            "weight": 3,
        },
        203: {"workspace_id": "11", "state": "not started", "story_type": "milestone", "weight": 1},
    },
    "story_allocation_days": {
        1: {"assignment_id": 211, "story_id": "201", "current": True},
        2: {"assignment_id": 211, "story_id": "201", "current": False},
        3: {"assignment_id": 213, "story_id": "202", "current": True},
    },
    "story_dependencies": {
        1: {"source_id": "201", "target_id": "202"},
        2: {"source_id": "201", "target_id": "203"},
    },
    "story_follows": {1: {"story_id": "201", "follower_id": "21"}},
    "story_state_changes": {
        1: {"story_id": "203", "state": "completed", "created_at": "2026-01-02T00:00:00Z"}
    },
    "story_tasks": {1: {"story_id": "201", "name": "Book a room"}, 2: {"story_id": "203", "name": "Print"}},
    "survey_questions": {1: {"text": "How?"}, 2: {"text": "Why?"}},
    "survey_templates": {1: {"survey_question_ids": ["1"]}},
    "timesheet_submissions": {
        1: {
            "workspace_id": "11",
            "user_id": "21",
            "status": "pending",
            "start_date": "2026-01-01",
            "end_date": "2026-01-31",
        }
    },
    "attachments": {1: {"filename": "agenda.pdf"}, 2: {"filename": "bill.pdf"}},
    "user_file_associations": {
        1: {"asset_object_ref": {"key": "attachments", "id": "1"}},
        2: {"asset_object_ref": {"key": "attachments", "id": "2"}},
    },
    "users": {
        21: {"full_name": "Mara Quill", "manager_id": "1001"},
        22: {"full_name": "Otto Client"},
        23: {"full_name": "Nils Gone"},
        24: {"full_name": "Vera Else"},
    },
    "workspace_groups": {51: {"name": "Alder", "company": True}, 52: {"name": "Internal", "company": False}},
    "workspace_resource_skills": {
        1: {"workspace_resource_id": 371, "skill_id": 301},
        2: {"workspace_resource_id": 372, "skill_id": 302},
    },
    "workspace_resources": {
        371: {"workspace_id": 11, "user_id": 21, "participation_id": "42", "organization_membership_id": "1"},
        372: {"workspace_id": 11, "user_id": 22, "participation_id": "43"},
        373: {"workspace_id": 11, "user_id": None, "role_id": "62"},
    },
    "workspaces": {
        11: {
            "title": "Portal",
            "require_expense_approvals": True,
            "approver_id": "21",
            "rate_card_id": 1,
            "primary_maven_id": "21",
        },
        12: {"title": "Warehouse", "access_level": "open", "rate_card_id": 2},
    },
    "workweek_memberships": {
        1: {"user_id": 21, "start_date": "2026-01-01", "end_date": "2026-06-30"},
        2: {"user_id": 23, "start_date": "2026-07-01"},
    },
    "workweeks": {1: {"start_date": "2026-01-01", "end_date": "2026-06-30"}, 2: {"start_date": "2026-07-01"}},
}

CUSTOM = {
    ("by_custom_text_value", "1:blue"),
    ("by_custom_text_value", "(1:Red):(1:BLUE)"),
    ("by_custom_text_value", "1"),
    ("by_custom_number_value", "2:42"),
    ("by_custom_number_value", "2:42;5:1250"),
    ("by_custom_date_value", "3:2026-03-01:2026-03-31"),
    ("by_custom_date_value", "(3:2026-03-10)"),
    ("by_custom_choice_value", "4:92,99"),
    ("by_custom_currency_value", "5:1250"),
    ("has_value_for_custom_field_ids", "1,6"),
}
"""(filter, value) that the record with values passes, in each of the resources."""

KEPT: Mapping[tuple[str, str, str], set[int]] = {
    ("account_insights_mappings", "standard", "true"): {1},
    ("account_locations", "archived", "only"): {2},
    ("account_locations", "archived", "exclude"): {1},
    ("account_memberships", "is_active", "true"): {2001, 31, 32},
    ("account_memberships", "is_active", "false"): {33},
    ("account_memberships", "with_skills", '{"ids":[301],"301":[4,5]}'): {31},
    ("account_memberships", "with_skills", '{"ids":[301,302],"operation":"or"}'): {31, 32},
    ("billing_milestones", "date_between", "2026-02-01:"): {2},
    ("client_invoice_defaults", "client_user_id", "22"): {2},
    ("custom_field_choices", "per_custom_field", "1"): {91, 93},
    ("expenses", "with_expense_approvals", "true"): {101},
    ("expenses", "with_expense_approvals", "false"): {102},
    ("holidays", "not_on_calendars", "71"): {262},
    ("insights_access_group_memberships", "by_access_group_id", "6"): {2},
    ("participations", "not_assigned_to_story", "201"): {41, 43},
    ("participations", "not_following_story", "201"): {41, 43},
    ("rate_card_set_versions", "effective_on_date", "2026-03-01"): {1, 3},
    ("rate_card_set_versions", "effective_on_date", "2026-07-01"): {2, 3},
    ("rate_card_sets", "active", "true"): {1},
    ("rate_card_sets", "has_currency", "EUR"): {2},
    ("rate_card_sets", "has_active_currency", "USD"): {1},
    ("rate_card_sets", "workspace_groups", "51"): {1},
    ("rate_card_versions", "effective_on_date", "2026-07-01"): {2},
    ("rate_card_versions", "rate_card_set_id", "1"): {1},
    ("rate_cards", "active", "true"): {1},
    ("rate_cards", "currencies", "EUR,GBP"): {2},
    ("rate_cards", "matching_title_or_currency", "non"): {2},
    ("rate_cards", "matching_title_or_currency", "usd"): {1},
    ("resource_requests", "pending_requests_only", "true"): {1},
    ("resource_requests", "requests_for_approver", "22"): {2},
    ("roles", "for_rate_card", "1"): {61},
    ("roles", "for_scenario_rate_card", "1"): {61},
    ("roles", "for_workspace", "11"): {61, 62},
    ("roles", "for_workspace_rate_card", "11"): {61},
    ("roles", "not_on_rate_card_set_version", "1"): {62, 63},
    ("skills", "for_users", "21"): {302},
    ("skills", "unassigned_skills_for_user", "22"): {301},
    ("skills", "unassigned_skills_for_workspace_resource", "371"): {302},
    ("stories", "by_custom_date_field", "3:2026-03-01:2026-03-31"): {201},
    ("stories", "completed_between", "2026-02-01:2026-02-28"): {202},
    ("stories", "not_assigned_to_resource", "371"): {202, 203},
    ("stories", "time_trackable_on_workspace_id", "11"): {201},
    ("stories", "without_past_completed", "true"): {201},
    ("stories", "with_assignees", "unnamed"): {202},
    ("story_allocation_days", "uncurrent", "true"): {2},
    ("survey_questions", "included_on_template", "1"): {1},
    ("user_file_associations", "filename", "AGENDA"): {1},
    ("users", "account_id", "2"): set(),
    ("users", "assignable_to_resource", "371"): {21, 22, 1001},
    ("users", "belonging_to_orgs", "82;81"): {21},
    ("users", "belonging_to_orgs", ";81"): {21, 1001},
    ("users", "by_full_name_or_account_role", "engineer"): {21},
    ("users", "by_full_name_or_account_role", "otto"): {22},
    ("users", "can_be_approver_in_workspace", "11"): {21, 1001},
    ("users", "contacts_on_different_account", "true"): set(),
    ("users", "not_assigned_to", "201"): {22, 1001, 24},
    ("users", "not_following", "201"): {22, 1001, 24},
    ("users", "not_on_calendars", "71"): {22, 1001, 24},
    ("users", "only_possible_managees", "true"): {21, 22, 24},
    ("users", "only_possible_managers", "true"): {21, 22},
    ("users", "potential_followers_for_story", "201"): {22, 1001},
    ("users", "provider_leads_on_account_projects", "true"): {21},
    ("users", "show_users_in_insights_groups", "true"): {21, 22},
    ("users", "with_created_estimates", "true"): {21, 1001},
    ("users", "with_organizations", "true"): {21, 1001},
    ("users", "with_organizations", "false"): {22, 24},
    ("users", "with_skills", "{'301': [4], 'operation': 'and'}"): {21},
    ("users", "without_timesheet_submission", "11:2026-01-15:2026-02-15"): {22, 1001},
    ("users", "write_access_in", "11"): {21, 1001},
    ("workspace_groups", "companies_only", "true"): {51},
    ("workspace_resource_skills", "by_skill_name", "pyth"): {1},
    ("workspace_resources", "potential_workspace_resource_for_story_with_unnamed_resources", "201"): {
        372,
        373,
    },
    ("workspace_resources", "potential_workspace_resources_for_story", "201"): {372},
    ("workspace_resources", "potential_workspace_resources_for_reassignment", "211"): {372},
    ("workspace_resources", "providers", "true"): {371},
    ("workspace_resources", "providers_with_unnamed", "true"): {371, 373},
    ("workspace_resources", "with_organizations", "true"): {371},
    ("workspaces", "current_user_is_maven_participant", "false"): {11},
    ("workspaces", "custom_date_range", "3:2026-03-01:2026-03-31"): {11},
    ("workspaces", "custom_integer_ranges", "2:40:50"): {11},
    ("workspaces", "selected_choices", "4:91"): {11},
    ("workspaces", "selected_choices", "4:none"): {12},
    ("workspaces", "financials_viewable_by_user", "true"): {11},
    ("workspaces", "has_approvers", "true"): {11},
    ("workspaces", "has_approvers", "false"): {12},
    ("workspaces", "milestone_weight_percentage_complete", "70,80"): {11},
    ("workspaces", "on_account_by_orgs", "true"): {11},
    ("workspaces", "only_joinable", "true"): set(),
    ("workspaces", "only_participating_or_joinable", "true"): {11, 12},
    ("workspaces", "only_project_manager_in", "true"): {11},
    ("workspaces", "participant_or_org_member_in", "true"): {11},
    ("workspaces", "pending_timesheet_submissions", "2026-01-31;2026-02-28"): {11},
    ("workspaces", "viewable_for_time_administration", "true"): {11, 12},
    ("workspaces", "with_organizations", "true"): {11},
    ("workspaces", "with_organizations", "false"): {12},
    ("workweek_memberships", "effective_date", "2026-03-01"): {1},
    ("workweek_memberships", "participating_with", "true"): {1},
    ("workweeks", "effective_date", "2026-07-01"): {2},
    # Searching
    ("stories", "search", "interview"): {201, 202},
    ("stories", "search", "time interviews"): {202},
    ("skills", "matching", "sketch"): {302},
    ("skills", "matching", "ketching"): set(),
}
"""(envelope key, filter, value) → the records that pass."""

WITHOUT_EFFECT = {
    ("account_locations", "workspace_id", "11"),
    ("assignments", "plannable", "true"),
    ("client_invoice_defaults", "workspace_id", "11"),
    ("custom_field_choices", "active", "true"),
    ("stories", "exclude_workspace_title_from_search", "true"),
    ("users", "account_id", "1"),
    ("users", "all_contacts", "true"),
    *(("story_dependencies", f"show_{what}", "true") for what in ("archived", "from_archived_workspaces")),
}
"""Filters that change nothing in a single account whose members see everything."""

LIFTING = {
    ("story_allocation_days", "include_unnamed"),
    ("stories", "show_deleted"),
    ("stories", "only_deleted"),
    ("story_tasks", "show_deleted"),
    ("story_dependencies", "show_deleted"),
}
"""Filters that lift a default filter and have tests of their own."""
