"""The filters by custom fields, which estimates, stories, users, workspaces, groups and resources have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from kantata_client.sandbox.filters.makers import among, csv, day
from kantata_client.sandbox.records import listed
from kantata_client.sandbox.refusals import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kantata_client.sandbox.filters.match import Match, Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

_VALUES = "custom_field_values"


def custom_field_filters(key: str) -> Mapping[str, Rule]:
    """The filters of the records under an envelope key, by parameter."""
    return {
        "by_custom_choice_value": _rule(key, _choice),
        "by_custom_currency_value": _rule(key, _currency),
        "by_custom_date_value": _rule(key, _dates),
        "by_custom_number_value": _rule(key, _number),
        "by_custom_text_value": _rule(key, _text),
        "has_value_for_custom_field_ids": lambda scope, value: among(
            frozenset(identity for field in csv(value) for identity in _having(scope, key, field, _any))
        ),
    }


def date_ranges(key: str) -> Rule:
    """`FIELD:FROM:TO`, several separated by semicolons."""
    return _rule(key, _dates)


def integer_ranges(key: str) -> Rule:
    """`FIELD:MIN:MAX`, several separated by semicolons."""
    return _rule(key, _between)


def choices(key: str) -> Rule:
    """`FIELD:CHOICE,CHOICE`, several separated by semicolons; `none` for records without a choice."""
    return _rule(key, _choice)


def _rule(key: str, test: Callable[[str], Callable[[Record], bool] | None]) -> Rule:
    """A rule for `FIELD:…;FIELD:…`: every field must match; for a repeated field, one of its conditions must."""

    def rule(scope: Scope, value: str) -> Match:
        by_field: dict[str, list[str]] = {}
        for field, condition in _conditions(value):
            by_field.setdefault(field, []).append(condition)
        if not by_field:
            raise bad_request(f"{value!r} names no custom field: write FIELD_ID:VALUE.")
        kept: frozenset[str] | None = None
        for field, conditions in by_field.items():
            ids: set[str] = set()
            for condition in conditions:
                made = test(condition)
                if made is None:  # without a value
                    filled = set(_having(scope, key, field, _any))
                    ids |= {identity for identity in scope.store.ids(key) if identity not in filled}
                else:
                    ids |= set(_having(scope, key, field, made))
            kept = frozenset(ids) if kept is None else kept & ids
        return among(kept or frozenset())

    return rule


def _conditions(value: str) -> Iterator[tuple[str, str]]:
    groups = re.findall(r"\(([^()]*)\)", value) if value.lstrip().startswith("(") else value.split(";")
    for group in groups:
        field, _, condition = group.strip().partition(":")
        if field.strip():
            if not field.strip().isdigit():
                raise bad_request(f"{field!r} is not the id of a custom field.")
            yield field.strip(), condition.strip()


def _having(scope: Scope, key: str, field: str, test: Callable[[Record], bool]) -> Iterator[str]:
    """The ids of the records whose value of a custom field passes a test."""
    for row in scope.store.where(_VALUES, "custom_field_id", field):
        about: dict[str, str] = row.get("subject_ref") or {}
        if about.get("key") == key and _any(row) and test(row):
            yield about["id"]


def _any(row: Record) -> bool:
    return row.get("value") not in (None, "", [])


def _choice(condition: str) -> Callable[[Record], bool] | None:
    if condition.lower() in {"blank", "none"}:
        return None
    expected = csv(condition)
    return lambda row: any(
        str(item) in expected for item in (*listed(row.get("value")), *listed(row.get("selected_choice_ids")))
    )


def _amount(value: Any) -> float | None:
    if isinstance(value, dict):
        value = next((v for v in cast("dict[str, Any]", value).values() if isinstance(v, (int, float))), None)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _parse_amount(text: str) -> float:
    found = _amount(text)
    if found is None:
        raise bad_request(f"{text!r} is not a number.")
    return found


def _currency(condition: str) -> Callable[[Record], bool]:
    text, _, code = condition.partition(":")
    expected = _parse_amount(text)

    def test(row: Record) -> bool:
        held = f"{row.get('value')} {row.get('display_value')}"
        return _amount(row.get("value")) == expected and (not code or code.strip().upper() in held.upper())

    return test


def _number(condition: str) -> Callable[[Record], bool]:
    expected = _parse_amount(condition)
    return lambda row: _amount(row.get("value")) == expected


def _between(condition: str) -> Callable[[Record], bool]:
    low, _, high = condition.partition(":")
    least, most = _parse_amount(low) if low else float("-inf"), _parse_amount(high) if high else float("inf")

    def test(row: Record) -> bool:
        amount = _amount(row.get("value"))
        return amount is not None and least <= amount <= most

    return test


def _dates(condition: str) -> Callable[[Record], bool]:
    start, _, end = condition.partition(":")
    first, last = start and day(start), end and day(end)
    return lambda row: first <= str(row.get("value"))[:10] <= (last or "9")


def _text(condition: str) -> Callable[[Record], bool]:
    expected = condition.casefold()
    return lambda row: not expected or str(row.get("value")).casefold() == expected
