"""Full-text search: every word must occur, in any order and inflection; the best match comes first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kantata_client.sandbox.filters.makers import where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kantata_client.sandbox.filters.match import Match, Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

SEARCHED = ("title", "name", "full_name", "label", "description", "message", "email_address", "notes")
"""Fields that `search` searches, the most significant first."""
MATCHED = ("title", "name", "full_name", "label", "email_address", "hex")
"""Fields that `matching` searches."""

_WORD = re.compile(r"\w+")
_ENDINGS = ("ings", "ing", "ies", "ied", "ers", "er", "es", "ed", "s", "e")
_SHORTEST_STEM = 3


def words(text: object) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(str(text).casefold()) if text else []


def stem(word: str) -> str:
    """A word without its inflection, roughly: `interviews`, `interviewing` → `interview`."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word.removesuffix(ending)
    return word


def score(terms: Sequence[str], record: Record) -> float:
    """How well a record matches the search terms; 0 if one is missing."""
    weights: dict[str, float] = {}
    for position, field in enumerate(SEARCHED):
        found = words(record.get(field))
        for word in found:
            weight = 1 / (1 + position) + 1 / (1 + len(found))
            for form, factor in ((word, 2.0), (stem(word), 1.0)):
                weights[form] = max(weights.get(form, 0.0), weight * factor)
    scores = [max(weights.get(word, 0.0), weights.get(stem(word), 0.0)) for word in terms]
    return sum(scores) if scores and all(scores) else 0.0


def search(scope: Scope, value: str) -> Match:
    """The records that contain every word of the value."""
    terms = words(value)
    return where(lambda record: score(terms, record) > 0)


def starting_with(*fields: str) -> Rule:
    """The records with a field that contains, for each word of the value, a word that starts with it."""

    def rule(scope: Scope, value: str) -> Match:
        terms = words(value) or [value.casefold()]

        def keep(record: Record) -> bool:
            return any(
                all(any(word.startswith(start) for word in words(record.get(field))) for start in terms)
                or (len(value) > 1 and str(record.get(field) or "").casefold().startswith(value.casefold()))
                for field in fields
            )

        return where(keep)

    return rule
