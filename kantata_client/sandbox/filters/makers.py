"""The building blocks of filters: functions that make a rule from a field name or a test."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from kantata_client.sandbox.columns import second
from kantata_client.sandbox.filters.conditions import AnyOf, InRange, OneOf, Without
from kantata_client.sandbox.filters.match import Match
from kantata_client.sandbox.refusals import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kantata_client.sandbox.filters.match import DefaultFilter, Rule
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.scope import Scope

BOOLEANS: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}


EVERYTHING = Match()


def where(keep: Callable[[Record], bool]) -> Match:
    """Keep the records that pass a test."""
    return Match(None, keep)


def among(ids: frozenset[str]) -> Match:
    """Keep the records with one of these ids."""
    return Match(ids, None)


def flag(value: str) -> bool:
    """The value as a boolean; 400 if it is not one."""
    if value not in BOOLEANS:
        raise bad_request(f"It takes true or false, not {value!r}.")
    return BOOLEANS[value]


def csv(value: str) -> frozenset[str]:
    """The items of a comma-separated value."""
    return frozenset(word.strip() for word in value.split(",") if word.strip())


def day(value: str) -> str:
    """A date, or the date of a time, in the format of the records."""
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        raise bad_request(f"{value!r} is not a date such as 2026-01-31.") from None


def date_range(value: str) -> tuple[str, str]:
    """The first and the last date of `2026-01-01:2026-01-31`; an empty string for an open end."""
    first, colon, last = value.partition(":")
    if not colon or ":" in last:
        raise bad_request(f"{value!r} is not a range of dates such as 2026-01-01:2026-01-31.")
    return first and day(first), last and day(last)


# Rules for booleans


def when_true(keep: Callable[[Scope, Record], bool]) -> Rule:
    """If true, only the records that pass; if false, no filter."""
    return lambda scope, value: where(lambda record: keep(scope, record)) if flag(value) else EVERYTHING


def if_true(rule: Rule) -> Rule:
    """If true, the records that pass a rule; if false, no filter."""
    return lambda scope, value: rule(scope, value) if flag(value) else EVERYTHING


def either(keep: Callable[[Scope, Record], bool]) -> Rule:
    """If true, the records that pass; if false, the others."""

    def rule(scope: Scope, value: str) -> Match:
        expected = flag(value)
        return where(lambda record: keep(scope, record) == expected)

    return rule


def always(keep: Callable[[Scope, Record], bool]) -> Rule:
    """The records that pass, whatever the value: some filters of the contract ignore it."""
    return lambda scope, value: where(lambda record: keep(scope, record))


def any_of(*tests: Callable[[Scope, Record], bool]) -> Rule:
    """The records that pass one of several tests, whatever the value."""
    return lambda scope, value: Match(condition=AnyOf(tuple(partial(test, scope) for test in tests)))


def no_filter(scope: Scope, value: str) -> Match:
    """A parameter that only lifts a default filter, or concerns what a single account does not have."""
    return EVERYTHING


# Rules for values


def one_of(field: str) -> Rule:
    """The records whose field is one of the values, or whose list has one of them."""

    def rule(scope: Scope, value: str) -> Match:
        return Match(condition=OneOf(field, csv(value) | {value}))

    return rule


def indexed(field: str) -> Rule:
    """`one_of` for references, using an index."""

    def rule(scope: Scope, value: str) -> Match:
        return Match(condition=OneOf(field, csv(value), indexed=True))

    return rule


def own_id(scope: Scope, value: str) -> Match:
    """The records with one of the ids."""
    return among(csv(value))


def not_own_id(scope: Scope, value: str) -> Match:
    """The records with none of the ids."""
    return Match(condition=Without(csv(value)))


def text(*fields: str) -> Rule:
    """The records that contain the text in one of the fields, ignoring case."""

    def rule(scope: Scope, value: str) -> Match:
        expected = value.casefold()
        return where(lambda record: any(expected in str(record.get(f) or "").casefold() for f in fields))

    return rule


def three_way(field: str) -> Rule:
    """`include`, `only` and `exclude`, for a boolean field; `exclude` is usually a default filter too."""

    def rule(scope: Scope, value: str) -> Match:
        if value == "include":
            return EVERYTHING
        if value not in {"only", "exclude"}:
            raise bad_request("It takes include, only or exclude.")
        return where(lambda record: bool(record.get(field)) == (value == "only"))

    return rule


# Rules for dates and times


def between(field: str) -> Rule:
    """Dates in a range, both ends included; either end may be open."""

    def rule(scope: Scope, value: str) -> Match:
        first, last = date_range(value)
        return _days(
            field, first, last, lambda record: first <= (record.get(field) or "")[:10] <= (last or "9")
        )

    return rule


def on_or_after(field: str) -> Rule:
    """That date or a later one."""

    def rule(scope: Scope, value: str) -> Match:
        expected = day(value)
        return _days(field, expected, "", lambda record: (record.get(field) or "")[:10] >= expected)

    return rule


def on_or_before(field: str) -> Rule:
    """That date or an earlier one; records without a date do not pass."""

    def rule(scope: Scope, value: str) -> Match:
        expected = day(value)
        return _days(
            field, _FIRST_DATE, expected, lambda record: "" < (record.get(field) or "")[:10] <= expected
        )

    return rule


def same_day(field: str) -> Rule:
    """That date."""

    def rule(scope: Scope, value: str) -> Match:
        expected = day(value)
        return _days(field, expected, expected, lambda record: (record.get(field) or "")[:10] == expected)

    return rule


_FIRST_DATE = date.min.isoformat()


def _days(field: str, first: str, last: str, test: Callable[[Record], bool]) -> Match:
    """The records with a date in a range; an open start includes those without a date."""
    numbers = [date.fromisoformat(end).toordinal() if end else None for end in (first, last)]
    return Match(condition=InRange(field, "day", numbers[0], numbers[1], test))


def moment(field: str, *, after: bool) -> Rule:
    """Strictly later, or earlier, than a time."""

    def rule(scope: Scope, value: str) -> Match:
        parsed = datetime.fromisoformat(value)
        parsed = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        # Stored times are UTC with seconds; a fraction matters for the comparison of strings.
        fraction = bool(parsed.microsecond)
        precision = "microseconds" if fraction else "seconds"
        expected = parsed.isoformat(timespec=precision).removesuffix("+00:00") + "Z"

        def seconds(record: Record) -> str:
            found: str = record.get(field) or ""
            return found.removesuffix("Z") + ".000000Z" if found and fraction else found

        number = second(parsed)
        if after:
            test: Callable[[Record], bool] = lambda record: seconds(record) > expected  # noqa: E731
            return Match(condition=InRange(field, "second", number + 1, None, test))
        return Match(
            condition=InRange(
                field,
                "second",
                1,
                number if fraction else number - 1,
                lambda record: "" < seconds(record) < expected,
            )
        )

    return rule


# Rules made of rules


def linked(link: str, target: str, rule: Rule) -> Rule:
    """The records whose related record (id in `link`, envelope key `target`) passes a rule."""

    def through(scope: Scope, value: str) -> Match:
        match = rule(scope, value)

        def test(record: Record) -> bool:
            other = scope.store.get(target, record.get(link))
            return other is not None and match.allows(other)

        return where(test)

    return through


def opposite(rule: Rule) -> Rule:
    """The records that do not pass a rule."""

    def others(scope: Scope, value: str) -> Match:
        match = rule(scope, value)
        return where(lambda record: not match.allows(record))

    return others


# Default filters


def unless(
    lifted: Callable[[Mapping[str, str]], bool], keep: Callable[[Scope, Record], bool]
) -> DefaultFilter:
    """Keep the records that pass, unless the parameters lift the filter."""
    return lambda scope, values: None if lifted(values) else where(lambda record: keep(scope, record))


def given(*names: str) -> Callable[[Mapping[str, str]], bool]:
    """Whether one of the parameters is sent and not false."""
    return lambda values: any(BOOLEANS.get(values.get(name, "false"), True) for name in names)


def denied(name: str) -> Callable[[Mapping[str, str]], bool]:
    """Whether the parameter, which is true by default, is false."""
    return lambda values: BOOLEANS.get(values.get(name, "true")) is False
