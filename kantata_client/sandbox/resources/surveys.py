"""Surveys: templates, questions, responses, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import among, one_of
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.resources.references import subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.filters.match import Match
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

_SUBJECT = {"subject_id": one_of("subject_id"), "subject_type": one_of("subject_type")}


_VALUES = (*(f"{kind}_value" for kind in ("date", "decimal", "integer", "string")), "choice_values")


def _answered(scope: Scope, record: Record, body: Mapping[str, Any]) -> None:
    """A new answer has a value."""
    if all(body.get(name) in (None, "", []) for name in _VALUES):
        raise Refusal(422, invalid("base", f"An answer needs a value: one of {', '.join(_VALUES)}."))


def _answer(scope: Scope, identity: str, body: Mapping[str, Any]) -> None:
    """Write the one value of an answer."""
    given = [name for name in _VALUES if body.get(name) is not None]
    if len(given) > 1:
        raise Refusal(422, invalid(given[1], f"can't be given beside {given[0]}: an answer has one value."))
    [name] = given
    if name == "choice_values":
        _answer_choices(scope, "survey_answers", identity, body[name])
    else:
        scope.store.change("survey_answers", identity, text=str(body[name]))


def _on_template(scope: Scope, value: str) -> Match:
    template = scope.store.get("survey_templates", value) or {}
    return among(frozenset(map(str, template.get("survey_question_ids") or ())))


def _question_choices(scope: Scope, key: str, identity: str, value: Any) -> None:
    ids: list[str] = []
    for position, choice in enumerate(cast("list[dict[str, Any]]", value), start=1):
        row = fresh(scope, "survey_question_choices", survey_question_id=identity, position=position)
        ids.append(scope.store.put("survey_question_choices", {**row, "label": choice.get("label")})["id"])
    scope.store.change(key, identity, choice_ids=ids)


def _answer_choices(scope: Scope, key: str, identity: str, value: Any) -> None:
    """Choose among the choices of the question, by their labels."""
    store = scope.store
    answer = store.get(key, identity) or {}
    question = store.get("survey_questions", answer.get("survey_question_id")) or {}
    choices = {
        str(row.get("label")): row["id"]
        for choice in question.get("choice_ids") or ()
        if (row := store.get("survey_question_choices", choice)) is not None
    }
    unknown = [str(label) for label in value if str(label) not in choices]
    if unknown:
        message = f"are not choices of the question: {', '.join(unknown)}."
        raise Refusal(422, invalid("choice_values", message))
    store.change(key, identity, choice_ids=[choices[str(label)] for label in value])


declare(
    Resource(
        key="survey_questions",
        filters={"included_on_template": _on_template},
        properties={"choices": _question_choices},
        owned=(("survey_question_choices", "survey_question_id"),),
    )
)
declare(Resource(key="survey_responses", filters=_SUBJECT, prepare=(subject_of,)))
declare(Resource(key="survey_templates", filters=_SUBJECT, prepare=(subject_of,)))
declare(
    Resource(
        key="survey_answers",
        created=(_answered,),
        composed=dict.fromkeys(_VALUES, _answer),
    )
)
