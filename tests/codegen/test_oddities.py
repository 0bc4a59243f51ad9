"""Every correction listed in overrides/README.md holds in the corrected contract."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from codegen.load import load_data
from codegen.overlay import apply
from tests.codegen.vendored import vendored

ROOT = Path(__file__).parents[2]
OVERLAY = load_data(ROOT / "overrides" / "overlay.yaml")
CONTRACT = apply(vendored(), OVERLAY)
DEFINITIONS = CONTRACT["definitions"]


def operation(name: str) -> dict[str, Any]:
    method, path = name.split(" ")
    return CONTRACT["paths"][path][method.lower()]


def parameters(name: str) -> dict[str, dict[str, Any]]:
    listed = operation(name).get("parameters", [])
    by_name = {each["name"]: each for each in listed}
    assert len(by_name) == len(listed), f"{name} declares a parameter twice"
    return by_name


def body(name: str) -> dict[str, Any]:
    (wrapped,) = parameters(name)["body"]["schema"]["properties"].values()
    return wrapped["properties"]


def response(name: str) -> dict[str, Any]:
    return operation(name)["responses"]["200"]["schema"]


def held(name: str, key: str) -> str:
    """The definition that an envelope key holds."""
    values = response(name)["properties"][key]
    assert values.keys() == {"type", "additionalProperties"} or "description" in values
    return values["additionalProperties"]["$ref"].removeprefix("#/definitions/")


def words(description: str) -> list[str]:
    return re.findall(r"`([^`]+)`", description)


def test_overlay_keeps_everything_else() -> None:
    published = vendored()
    assert CONTRACT["paths"].keys() == published["paths"].keys()
    for path, item in published["paths"].items():
        assert CONTRACT["paths"][path].keys() == item.keys()
        for method, declared in item.items():
            query = {each["name"] for each in declared.get("parameters", []) if each["in"] == "query"}
            assert query <= parameters(f"{method.upper()} {path}").keys()
    assert published["definitions"].keys() <= CONTRACT["definitions"].keys()


def test_overlay_names_the_contract_it_extends() -> None:
    assert (ROOT / "overrides" / OVERLAY["extends"]).resolve() == ROOT / "openapi" / "specification.yaml"


def test_every_path_and_definition_in_a_target_exists() -> None:
    """One of several names in a target may vanish without the whole action selecting nothing."""
    for action in OVERLAY["actions"]:
        named = re.findall(r"'(/[^']*|[A-Z]\w*(?:::\w+)*)'", action["target"])
        assert [each for each in named if each not in CONTRACT["paths"] and each not in DEFINITIONS] == []


def test_every_correction_has_a_reason() -> None:
    assert [each["target"] for each in OVERLAY["actions"] if not each["description"].endswith(".")] == []


@pytest.mark.parametrize(
    ("name", "parameter", "kind"),
    [
        ("GET /account_memberships", "is_active", "boolean"),
        ("GET /account_memberships/{id}", "is_active", "boolean"),
        ("GET /expenses/{id}", "from_archived_workspaces", "boolean"),
        ("GET /posts/{id}", "from_archived_workspaces", "boolean"),
        ("GET /story_state_changes", "story_id", "integer"),
        ("GET /workspaces/{id}", "include_archived", "boolean"),
    ],
)
def test_described_filters_are_declared(name: str, parameter: str, kind: str) -> None:
    declared = parameters(name)[parameter]
    assert (declared["in"], declared["type"]) == ("query", kind)
    assert declared.get("required", False) == (parameter == "story_id")


def test_every_default_order_is_one_of_its_values() -> None:
    for path, item in CONTRACT["paths"].items():
        for each in item.get("get", {}).get("parameters", []):
            if each["name"] == "order":
                assert each["default"] in words(each["description"]), path


@pytest.mark.parametrize("parameter", ["csv_file", "body"])
def test_exchange_rates_come_as_file_or_list(parameter: str) -> None:
    declared = parameters("POST /foreign_exchange/exchange_tables/{id}/rates")[parameter]
    assert declared["required"] is False


@pytest.mark.parametrize(
    ("path", "required"),
    [
        ("/workspace_resources/allocations_matching_scheduled_hours", ["resource_ids", "hard", "occurrence"]),
        ("/workspace_resources/{id}/allocations_matching_scheduled_hours", ["hard", "occurrence"]),
    ],
)
def test_resource_ids_are_required_without_an_id_in_the_path(path: str, required: list[str]) -> None:
    data = parameters(f"POST {path}")["body"]["schema"]["properties"]["data"]
    assert data["items"]["required"] == required
    assert {"resource_ids", "hard", "occurrence"} == data["items"]["properties"].keys()


def test_expense_updates_take_what_creation_takes() -> None:
    created, updated = body("POST /expenses"), body("PUT /expenses/{id}")
    for name in ("reimbursable", "vendor_id"):
        assert updated[name]["type"] == created[name]["type"]


@pytest.mark.parametrize("name", ["POST /workspaces", "PUT /workspaces/{id}"])
def test_link_text_and_url_are_not_swapped(name: str) -> None:
    link = body(name)["external_link"]["properties"]
    assert "Text" in link["text"]["description"]
    assert "leads" in link["url"]["description"]


@pytest.mark.parametrize("name", ["POST /custom_field_values", "PUT /custom_field_values/{id}"])
def test_custom_field_values_take_any_type(name: str) -> None:
    assert body(name)["value"].keys() == {"description"}
    for definition in ("CustomFieldValue", "CustomFields::ChoiceValue", "CustomFields::CurrencyValue"):
        assert DEFINITIONS[definition]["properties"]["value"].keys() == {"description"}


LEVELS = [
    *("project_collaboration", "time_logging", "financial", "project_admin"),
    *("account_collaboration", "project_creator", "project_lead"),
    *("reports_viewer", "reports_viewer_with_cost", "account_admin"),
]


@pytest.mark.parametrize("name", ["read_access", "write_access"])
def test_access_levels_are_words(name: str) -> None:
    for definition in ("CustomField", "CustomFields::ChoiceField", "CustomFields::InputField"):
        level = DEFINITIONS[definition]["properties"][name]
        assert level.keys() == {"type", "description"}
        assert level["type"] == "string"
        assert words(level["description"]) == LEVELS
    for operation_name in ("POST /custom_fields", "PUT /custom_fields/{id}"):
        assert body(operation_name)[name]["enum"] == LEVELS


def test_priorities_are_words() -> None:
    priority = DEFINITIONS["Story"]["properties"]["priority"]
    assert priority["type"] == "string"
    assert set(words(priority["description"])) == set(body("POST /stories")["priority"]["enum"])


@pytest.mark.parametrize(
    ("name", "file", "others"),
    [
        ("POST /attachments", "attachment[data]", {"attachment[type]", "attachment[filename]", "direct"}),
        ("POST /users/{id}/profile_photo", "user[profile_photo_attachment_file]", set[str]()),
        ("POST /project_accounting_records/import_csv", "csv_file", set[str]()),
    ],
)
def test_uploads_are_multipart_forms(name: str, file: str, others: set[str]) -> None:
    assert operation(name)["consumes"] == ["multipart/form-data"]
    form = {key: each for key, each in parameters(name).items() if each["in"] == "formData"}
    assert form.keys() == {file} | others
    assert form[file]["type"] == "file"
    assert "body" not in parameters(name)


def test_a_direct_upload_is_described() -> None:
    properties = DEFINITIONS["DirectUpload"]["properties"]
    assert properties.keys() == {"id", "action", "fields"}
    assert properties["fields"]["additionalProperties"] == {}  # forwarded as they come


@pytest.mark.parametrize("name", ["GET /story_follows", "POST /story_follows", "GET /story_follows/{id}"])
def test_story_follows_answer_like_their_siblings(name: str) -> None:
    like = response("GET /account_colors")["properties"]
    mine = response(name)["properties"]
    assert {key: mine[key] for key in ("count", "meta", "results")} == {
        key: like[key] for key in ("count", "meta", "results")
    }
    assert held(name, "story_follows") == "StoryFollow"
    assert held(name, "stories") == "Story"
    assert held(name, "users") == "User"
    assert words(parameters(name)["include"]["description"]) == ["follower", "story"]


def test_story_follows_are_listed_by_page() -> None:
    follows, others = parameters("GET /story_follows"), parameters("GET /account_colors")
    for name in ("only", "page", "per_page"):
        assert follows[name] == others[name]


def test_updating_a_report_export_returns_what_get_returns() -> None:
    path = "/scheduled_jobs/insights_report_exports/{id}"

    def types(schema: Any) -> Any:
        if "properties" in schema:
            return {name: types(each) for name, each in schema["properties"].items()}
        return schema["type"], schema.get("format")

    assert types(response(f"PUT {path}")) == types(response(f"GET {path}"))


def test_currencies_are_a_list() -> None:
    assert response("GET /currencies") == {"type": "array", "items": {"$ref": "#/definitions/Currency"}}
    assert DEFINITIONS["Currency"]["properties"].keys() == {"iso_code", "name", "symbol", "subunit_to_unit"}


ROWS = "/rate_card_set_versions/{rate_card_set_version_id}/rate_card_table_rows"


@pytest.mark.parametrize(
    ("name", "key", "definition"),
    [
        ("GET /foreign_exchange/exchange_tables", "exchange_tables", "ExchangeTable"),
        ("POST /foreign_exchange/exchange_tables", "exchange_tables", "ExchangeTable"),
        ("PUT /foreign_exchange/exchange_tables/{id}", "exchange_tables", "ExchangeTable"),
        ("GET /foreign_exchange/exchange_tables/{id}/rates", "exchange_rates", "ExchangeRate"),
        ("POST /foreign_exchange/exchange_tables/{id}/rates", "exchange_rates", "ExchangeRate"),
        (f"GET {ROWS}", "rate_card_table_rows", "RateCardTableRow"),
        (f"PUT {ROWS}/{{role_id}}", "rate_card_table_rows", "RateCardTableRow"),
    ],
)
def test_maps_are_keyed_by_id(name: str, key: str, definition: str) -> None:
    assert held(name, key) == definition
    assert "properties" not in response(name)["properties"][key]


def test_one_exchange_table_is_a_bare_map() -> None:
    schema = response("GET /foreign_exchange/exchange_tables/{id}")
    assert schema == {"type": "object", "additionalProperties": {"$ref": "#/definitions/ExchangeTable"}}


def test_cells_are_keyed_by_currency() -> None:
    cells = DEFINITIONS["RateCardTableRow"]["properties"]["cells"]
    assert cells["additionalProperties"]["properties"].keys() == {"rate_card_role_id", "rate"}


@pytest.mark.parametrize("name", ["start_date", "end_date"])
def test_filters_by_period_take_ranges(name: str) -> None:
    parameter = parameters("GET /project_accounting_records")[name]
    assert parameter["type"] == "string"
    assert "format" not in parameter


def test_report_dates_are_not_swapped() -> None:
    report = response("GET /insights_reports")["items"]["properties"]
    assert "created" in report["created_at"]["description"]
    assert "changed" in report["updated_at"]["description"]


@pytest.mark.parametrize(
    "path", ["/timesheet_approvals", "/timesheet_cancellations", "/timesheet_rejections"]
)
def test_resolutions_are_a_plain_list_of_the_definition(path: str) -> None:
    properties = response(f"POST {path}")["properties"]
    assert properties.keys() == {"resolutions"}
    assert properties["resolutions"] == {"type": "array", "items": {"$ref": "#/definitions/Resolution"}}
    assert {"account_id", "current", "target_id"} <= DEFINITIONS["Resolution"]["properties"].keys()


@pytest.mark.parametrize(
    ("paths", "key", "definition", "operations"),
    [
        ("/access_group_memberships", "access_groups", "AccessGroup", 3),
        ("/account_insights_mappings/dynamic", "access_groups", "AccessGroup", 1),
        ("/custom_field_values", "estimates", "Estimate", 4),
        ("/custom_field_values", "workspace_resources", "WorkspaceResource", 4),
        ("/posts", "google_documents", "GoogleDocument", 4),
        ("/stories", "google_documents", "GoogleDocument", 4),
        ("/survey_answers", "survey_question_choices", "SurveyQuestionChoice", 3),
        ("/survey_questions", "survey_question_choices", "SurveyQuestionChoice", 3),
        ("/user_file_associations", "attachments", "Attachments::PostAttachment", 1),
        ("/user_file_associations", "google_documents", "GoogleDocument", 1),
    ],
)
def test_associations_have_their_envelope_key(paths: str, key: str, definition: str, operations: int) -> None:
    names = [
        f"{method.upper()} {path}"
        for path in (paths, paths + "/{id}")
        for method, each in CONTRACT["paths"].get(path, {}).items()
        if "results" in each["responses"].get("200", {}).get("schema", {}).get("properties", {})
    ]
    assert len(names) == operations
    assert {held(name, key) for name in names} == {definition}


def test_every_included_type_is_defined() -> None:
    for path, item in CONTRACT["paths"].items():
        for each in item.values():
            for parameter in each.get("parameters", []):
                if parameter["name"] == "include":
                    types = re.findall(r"^- `\w+` \(([\w:]+)\)", parameter["description"], re.MULTILINE)
                    assert types, path
                    assert set(types) - {"polymorphic"} <= DEFINITIONS.keys(), path


def test_every_operation_says_how_it_succeeds() -> None:
    for path, item in CONTRACT["paths"].items():
        for method, each in item.items():
            successes = [status for status in each["responses"] if status.startswith("2")]
            assert len(successes) == 1, f"{method} {path}"
