"""The wording of generated docstrings: imperative, and more than the name."""

from __future__ import annotations

import inspect
import pydoc
import re
from typing import TYPE_CHECKING

import pytest

from codegen.compile import OVERRIDES, understand
from codegen.errors import CodegenError
from codegen.facts import Argument
from codegen.load import load_data
from codegen.schemas import mappings
from codegen.wording import Wording, load_wording
from kantata_client.models import TimeEntry
from tests.codegen.vendored import vendored

if TYPE_CHECKING:
    from pathlib import Path

    from codegen.facts import Facts


@pytest.fixture(scope="module")
def facts() -> Facts:
    return understand()


def test_summaries_are_sentences_in_the_imperative(facts: Facts) -> None:
    for resource in facts.resources:
        for operation in resource.operations:
            first = operation.summary.split()[0]
            assert first[0].isupper(), operation
            assert not first.endswith("ing"), operation
            assert operation.summary.endswith("."), operation


def test_every_argument_is_explained_by_more_than_its_name(facts: Facts) -> None:
    short: list[str] = []
    for resource in facts.resources:
        for operation in resource.operations:
            for argument in operation.arguments:
                text = argument.description
                words = set(re.findall(r"[a-z]+", text.lower()))
                if text in ("Csv.", "Ids.") or words <= set(argument.name.split("_")):
                    short.append(f"{operation.id} {argument.name}: {text}")
                assert text[-1] in ".!?:`)", (operation.id, argument.name, text)
    # What is left are names of one word that are all there is to say.
    assert short == []


def argument(name: str, kind: str = "string", text: str = "", *, many: bool = False) -> Argument:
    return Argument(name, name, kind, "str", text, required=False, many=many)


@pytest.mark.parametrize(
    ("given", "filters", "expected"),
    [
        (argument("workspace_id", "integer"), True, "Filter time entries by workspace id."),
        (
            argument("with_user_ids", text="Csv of user ids.", many=True),
            True,
            "Filter time entries by user ids.",
        ),
        (argument("archived", "boolean"), True, "`True`: return only archived time entries."),
        (argument("only_pending", "boolean"), True, "`True`: return only pending time entries."),
        (argument("include_archived", "boolean"), True, "`True`: return archived time entries too."),
        (
            argument("not_on_calendars", text="Csv of calendar ids to leave out.", many=True),
            True,
            "Calendar ids to leave out.",
        ),
        (argument("billable", "boolean"), False, "Whether the time entry is billable."),
        (argument("notes"), False, "Notes of the time entry."),
        (argument("role_id", "integer"), False, "Id of the role."),
        (argument("holiday_ids", "integer", many=True), False, "Ids of the holidays."),
        (argument("rate_in_cents", "integer"), False, "Rate of the time entry, in cents."),
    ],
)
def test_rules(given: Argument, filters: bool, expected: str) -> None:
    assert Wording().argument(given, "time_entries", filters=filters) == expected


def test_own_sentences_win_and_those_of_a_resource_before_general_ones() -> None:
    wording = Wording(parameters={"notes": "One.", "posts.notes": "Two."})
    assert wording.argument(argument("notes", text="Said so."), "stories", filters=False) == "One."
    assert wording.argument(argument("notes"), "posts", filters=False) == "Two."


def test_a_filter_is_worded_apart_from_the_property_of_its_name() -> None:
    wording = Wording(
        parameters={"stories.priority": "Priority."}, filters={"stories.priority": "Only these."}
    )
    assert wording.argument(argument("priority"), "stories", filters=True) == "Only these."
    assert wording.argument(argument("priority"), "stories", filters=False) == "Priority."


def test_a_note_keeps_the_values_and_conditions_of_a_field() -> None:
    wording = Wording(notes={"Bytes.": "Size in bytes."})
    assert wording.note("Bytes. Returned only when named in `optional_fields`.") == (
        "Size in bytes. Returned only when named in `optional_fields`."
    )
    assert wording.note("Valid values: `a`, and `b`.") == "Valid values: `a`, and `b`."


def test_every_note_is_of_a_sentence_in_the_vendored_contract() -> None:
    said = " ".join(
        " ".join(each["description"].split())
        for document in (vendored(), load_data(OVERRIDES / "overlay.yaml"))
        for each in mappings(document)
        if isinstance(each.get("description"), str)
    )
    unused = [each for each in load_data(OVERRIDES / "wording.yaml")["notes"] if each not in said]
    assert unused == []


def test_descriptions_of_operations_leave_their_limits_to_the_generator(facts: Facts) -> None:
    for resource in facts.resources:
        for operation in resource.operations:
            assert "own rate limit" not in operation.description, operation.id
            assert "in one request" not in operation.description, operation.id


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("summaries:\n  GET /stores: List stores.\n", ":2: summaries: the contract has no 'GET /stores'"),
        ("parameters:\n  notse: Notes.\n", ":2: parameters: the contract has no 'notse'"),
        ("parameters:\n  notes: [x]\n", ":2: parameters: notes: expected a sentence"),
        ("filters:\n  message: Text.\n", ":2: filters: the contract has no 'message'"),
        ("parametres: {}\n", ":1: unknown sections ['parametres']"),
    ],
)
def test_sentences_about_unknown_names_are_refused(
    tmp_path: Path, facts: Facts, text: str, problem: str
) -> None:
    path = tmp_path / "wording.yaml"
    path.write_text(text)
    with pytest.raises(CodegenError) as caught:
        load_wording(path, facts)
    assert problem in str(caught.value)


def test_help_shows_the_fields_of_a_model_with_their_types() -> None:
    text = pydoc.plain(pydoc.render_doc(TimeEntry))
    for line in (
        "time_in_minutes: int | None",
        "created_at: datetime | None",
        "user: One[User]",
    ):
        assert line in text
    assert inspect.getdoc(TimeEntry).startswith("Time entry.")  # type: ignore[union-attr]
