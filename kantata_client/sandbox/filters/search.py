"""Searching in texts: every word has to be found, in any order and inflection; the best match comes first."""

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
"""Fields that `search` looks into, the most telling first."""
MATCHED = ("title", "name", "full_name", "label", "email_address", "hex")
"""Fields that `matching` looks into."""

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


def score(asked: Sequence[str], record: Record) -> float:
    """How well a record matches the words asked for; 0 when one of them is missing."""
    weights: dict[str, float] = {}
    for place, field in enumerate(SEARCHED):
        found = words(record.get(field))
        for word in found:
            weight = 1 / (1 + place) + 1 / (1 + len(found))
            for form, factor in ((word, 2.0), (stem(word), 1.0)):
                weights[form] = max(weights.get(form, 0.0), weight * factor)
    scores = [max(weights.get(word, 0.0), weights.get(stem(word), 0.0)) for word in asked]
    return sum(scores) if scores and all(scores) else 0.0


def search(scope: Scope, value: str) -> Match:
    """The records that have every word of the value."""
    asked = words(value)
    return where(lambda record: score(asked, record) > 0)


def starting_with(*fields: str) -> Rule:
    """The records that have, in one of the fields, words that start with the words of the value."""

    def rule(scope: Scope, value: str) -> Match:
        asked = words(value) or [value.casefold()]

        def keep(record: Record) -> bool:
            return any(
                all(any(word.startswith(start) for word in words(record.get(field))) for start in asked)
                or (len(value) > 1 and str(record.get(field) or "").casefold().startswith(value.casefold()))
                for field in fields
            )

        return where(keep)

    return rule
