"""Surveys: templates, questions, responses, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox.filters.makers import one_of
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources.references import subject_of

if TYPE_CHECKING:
    from kantata_client.sandbox.relations import Scope

_SUBJECT = {"subject_id": one_of("subject_id"), "subject_type": one_of("subject_type")}


def _answer(scope: Scope, key: str, identity: str, value: Any) -> None:
    scope.store.change(key, identity, text=str(value))


declare(Resource(key="survey_responses", filters=_SUBJECT, prepare=(subject_of,)))
declare(Resource(key="survey_templates", filters=_SUBJECT, prepare=(subject_of,)))
declare(
    Resource(
        key="survey_answers",
        properties={f"{kind}_value": _answer for kind in ("date", "decimal", "integer", "string")},
    )
)
