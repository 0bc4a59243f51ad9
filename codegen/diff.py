"""Diff: the changes between two contracts, and what each means for users of the client.

The rules are one table: a change is breaking, risky, additive or cosmetic. `overrides/severities.yaml` can overrule one of
them, with a reason. The version bump follows from the gravest.
"""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

from codegen.errors import CodegenError, of_file, reading
from codegen.load import load_data
from codegen.names import plural
from codegen.snapshot import ID, comparable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Json = dict[str, Any]
Severity = Literal["breaking", "risky", "additive", "cosmetic"]
SEVERITIES: tuple[Severity, ...] = ("breaking", "risky", "additive", "cosmetic")

RULES: Mapping[str, tuple[Severity, str]] = {
    "operation removed": ("breaking", "its method is gone"),
    "operation added": ("additive", "a new method"),
    "operation renamed": ("breaking", "a guess by their likeness; the method has another name or path"),
    "method renamed": ("breaking", "the Python name changed"),
    "operation deprecated": ("risky", "the service may remove it"),
    "operation restored": ("cosmetic", "no longer deprecated"),
    "result changed": ("breaking", "the call gives back something else"),
    "model changed": ("breaking", "the call gives back another class"),
    "path arguments changed": ("breaking", "the positional arguments changed"),
    "parameter removed": ("breaking", "the keyword argument is gone"),
    "parameter renamed": ("breaking", "a guess by their likeness; the keyword argument has another name"),
    "parameter added": ("additive", "a new keyword argument"),
    "required parameter added": ("breaking", "calls without it are refused"),
    "parameter became required": ("breaking", "calls without it are refused"),
    "parameter became optional": ("additive", "it may be left out"),
    "parameter type changed": ("breaking", "it takes another type"),
    "parameter became a list": ("risky", "it takes several values; one is still accepted"),
    "parameter became single": ("breaking", "it takes one value only"),
    "value removed": ("breaking", "the type checker and the client refuse it"),
    "value added": ("additive", "a new value"),
    "values free": ("additive", "any value is accepted"),
    "values listed": ("breaking", "only the listed values are accepted"),
    "default changed": ("risky", "calls that leave it out mean something else"),
    "default added": ("cosmetic", "now known; the service may have assumed it before"),
    "default removed": ("risky", "it is no longer known what a call without it means"),
    "maximum lowered": ("breaking", "fewer values, or smaller ones, are accepted"),
    "maximum raised": ("additive", "more values, or larger ones, are accepted"),
    "maximum removed": ("additive", "any number is accepted"),
    "parameter restored": ("cosmetic", "no longer deprecated"),
    "parameter deprecated": ("risky", "the service may remove it"),
    "constraint added": ("risky", "the service may refuse values that it accepted"),
    "constraint tightened": ("breaking", "the service refuses values that it accepted"),
    "constraint loosened": ("additive", "the service accepts more values"),
    "constraint changed": ("risky", "the service checks values in another way"),
    "constraint removed": ("additive", "the service accepts more values"),
    "bulk limit lowered": ("cosmetic", "the client sends smaller chunks by itself"),
    "bulk limit raised": ("cosmetic", "the client sends larger chunks by itself"),
    "bulk added": ("additive", "many at once"),
    "bulk removed": ("breaking", "no longer many at once"),
    "rate limit added": ("risky", "the operation has a limit of its own; the throttle adapts"),
    "rate limit removed": ("cosmetic", "the general limit holds"),
    "body changed": ("cosmetic", "it is sent in another form; the keyword arguments are the same"),
    "stable walk lost": ("breaking", "`stable()` is refused"),
    "stable walk gained": ("additive", "`stable()` works"),
    "model removed": ("breaking", "the class is gone"),
    "model added": ("additive", "a new class"),
    "field removed": ("breaking", "the attribute is gone; `extra` keeps what still comes"),
    "field renamed": ("breaking", "a guess by their likeness; the attribute has another name"),
    "field added": ("additive", "a new attribute"),
    "field type changed": ("breaking", "the attribute has another type"),
    "field deprecated": ("risky", "the service may remove it"),
    "field restored": ("cosmetic", "no longer deprecated"),
    "field value added": ("risky", "code that handles each known value meets a new one"),
    "field value removed": ("cosmetic", "it is no longer sent; code that handles it still works"),
    "field values free": ("risky", "any value may be sent"),
    "field values listed": ("cosmetic", "now known; the type is the same"),
    "field now on request": ("breaking", "reading it needs `include` or `optional_fields`"),
    "field needs another association": ("breaking", "reading it needs another `include`"),
    "field always sent": ("additive", "reading it needs nothing"),
    "association removed": ("breaking", "it can't be included"),
    "association added": ("additive", "one more can be included"),
    "association changed": ("breaking", "it leads to another class, or to one instead of many"),
    "association moved": ("risky", "its ids are in another field, or its objects under another key"),
    "envelope key changed": ("cosmetic", "the client finds the objects by itself"),
}
"""Rule → (what it means for users, why)."""


@attrs.frozen
class Change:
    """One change."""

    rule: str
    subject: str
    """The operation or model, with the parameter or field: `GET /stories include`."""
    python: str
    """What users call it: `kantata.stories.list(include=)`."""
    severity: Severity
    detail: str
    """From what to what."""
    reason: str
    guess: bool = False

    @property
    def key(self) -> str:
        """What `--allow` and `overrides/severities.yaml` call it."""
        return f"{self.rule}: {self.subject}"


def diff(old: Json, new: Json, severities: Mapping[str, tuple[Severity, str]] | None = None) -> list[Change]:
    """What changed, the gravest first.

    Args:
        old: A snapshot, as `codegen.snapshot.snapshot` makes it.
        new: Another one.
        severities: Rule, or `rule: subject` → severity and reason, where people decided otherwise.
    """
    old, new = comparable(old, new)
    found = [*_operations(old["operations"], new["operations"]), *_models(old["models"], new["models"])]
    found = _with_new_associations(found, new["operations"])
    decided = severities or {}
    changes: list[Change] = []
    for change in found:
        severity, reason = decided.get(change.key, decided.get(change.rule, (change.severity, change.reason)))
        changes.append(attrs.evolve(change, severity=severity, reason=reason))
    return sorted(changes, key=lambda each: (SEVERITIES.index(each.severity), each.rule, each.subject))


def bump(changes: Iterable[Change]) -> str:
    """The version part that has to be raised: `major`, `minor`, `patch` or `none`."""
    gravest = min((SEVERITIES.index(each.severity) for each in changes), default=None)
    return "none" if gravest is None else ("major", "minor", "minor", "patch")[gravest]


def load_severities(path: Path) -> dict[str, tuple[Severity, str]]:
    """Read `overrides/severities.yaml`: rule, or `rule: subject` → `severity` and `reason`.

    Raises:
        CodegenError: A rule or severity does not exist, or a reason is missing.
    """
    if not path.is_file():
        return {}
    found: dict[str, tuple[Severity, str]] = {}
    with of_file(path), reading("the severities"):
        for key, value in load_data(path).items():
            rule = key.partition(":")[0]
            given = cast("Json", value) if isinstance(value, dict) else {}
            severity, reason = given.get("severity"), given.get("reason")
            if rule not in RULES or severity not in SEVERITIES or not isinstance(reason, str):
                msg = (
                    f"{key}: expected a rule ({', '.join(RULES)}) with a `severity` of {', '.join(SEVERITIES)} and a "
                    "`reason`"
                )
                raise CodegenError(msg, (key,))
            found[key] = severity, reason
    return found


# --- output --------------------------------------------------------------------------------------------------------


def as_table(changes: list[Change], stale: Iterable[str] = ()) -> str:
    """The changes for a terminal."""
    lines = [f"{each.severity:9} {each.rule}: {each.python}{_more(each)}" for each in changes]
    lines += [f"override no longer needed: {each}" for each in stale]
    return "\n".join([*lines, _total(changes)])


def as_markdown(changes: list[Change], stale: Iterable[str] = ()) -> str:
    """The changes as the text of a pull request."""
    parts = [f"**{_total(changes)}**"]
    for severity in SEVERITIES:
        own = [each for each in changes if each.severity == severity]
        if own:
            rows = [
                f"| {each.rule} | `{each.python}` | {each.detail.replace('|', chr(92) + '|')} | {each.reason} |"
                for each in own
            ]
            title = f"### {severity.capitalize()} ({len(own)})\n"
            head = f"{title}\n| change | in Python | from, to | why |\n| --- | --- | --- | --- |"
            parts.append("\n".join([head, *rows]))
    if listed := [f"- {each}" for each in stale]:
        parts.append("\n".join(["### Overrides that are no longer needed\n", *listed]))
    return "\n\n".join(parts) + "\n"


def as_json(changes: list[Change], stale: Iterable[str] = ()) -> str:
    """The changes for other programs."""
    data = {
        "bump": bump(changes),
        "changes": [attrs.asdict(each) | {"key": each.key} for each in changes],
        "stale": list(stale),
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _more(change: Change) -> str:
    return f" ({change.detail})" if change.detail else ""


def _total(changes: list[Change]) -> str:
    if not changes:
        return "No change for users."
    counts = [
        f"{number} {severity}"
        for severity in SEVERITIES
        if (number := sum(each.severity == severity for each in changes))
    ]
    return f"{', '.join(counts)}: a {bump(changes)} version."


# --- operations ----------------------------------------------------------------------------------------------------


def _change(rule: str, subject: str, python: str, detail: str = "", *, guess: bool = False) -> Change:
    severity, reason = RULES[rule]
    return Change(rule, subject, python, severity, detail, reason, guess)


def _operations(old: Json, new: Json) -> Iterator[Change]:
    gone, added = [each for each in old if each not in new], [each for each in new if each not in old]
    for one, other in _pairs(gone, added, old, new):
        detail = f"{one} to {other}, now `{_call(new[other])}`"
        yield _change("operation renamed", one, _call(old[one]), detail, guess=True)
        gone.remove(one)
        added.remove(other)
    for name in gone:
        yield _change("operation removed", name, _call(old[name]), name)
    for name in added:
        yield _change("operation added", name, _call(new[name]), name)
    for name in old:
        if name in new and old[name] != new[name]:
            yield from _operation(name, old[name], new[name])


def _call(operation: Json) -> str:
    return f"kantata.{operation['python']}()"


def _operation(name: str, old: Json, new: Json) -> Iterator[Change]:
    python = _call(old)
    for key, rule in (
        ("python", "method renamed"),
        ("result", "result changed"),
        ("model", "model changed"),
        ("path", "path arguments changed"),
    ):
        if old.get(key) != new.get(key):
            yield _change(rule, name, python, _from_to(old.get(key), new.get(key)))
    if old.get("path") == new.get("path"):
        yield from _placeholders(name, python, old.get("path_types", {}), new.get("path_types", {}))
    if bool(old.get("deprecated")) != bool(new.get("deprecated")):
        yield _change("operation deprecated" if new.get("deprecated") else "operation restored", name, python)
    if (old.get("wrapper"), old.get("multipart")) != (new.get("wrapper"), new.get("multipart")):
        yield _change("body changed", name, python, _from_to(old.get("wrapper"), new.get("wrapper")))
    if bool(old.get("own_rate_limit")) != bool(new.get("own_rate_limit")):
        yield _change("rate limit added" if new.get("own_rate_limit") else "rate limit removed", name, python)
    if old.get("stable_by") != new.get("stable_by"):
        yield _change("stable walk gained" if new.get("stable_by") else "stable walk lost", name, python)
    yield from _bulk(name, python, old.get("bulk_limit"), new.get("bulk_limit"))
    for place in ("query", "body"):
        yield from _arguments(name, old["python"], old.get(place, {}), new.get(place, {}))


def _placeholders(name: str, python: str, old: Json, new: Json) -> Iterator[Change]:
    """The path arguments of another type; those that take ids are not in the facts."""
    for each in sorted(old.keys() | new.keys()):
        before, after = old.get(each, ID), new.get(each, ID)
        if before != after:
            yield _change("path arguments changed", name, python, f"{each}: {_from_to(before, after)}")


def _bulk(name: str, python: str, old: int | None, new: int | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        yield _change("bulk added" if old is None else "bulk removed", name, python, _from_to(old, new))
    else:
        yield _change(
            "bulk limit lowered" if new < old else "bulk limit raised", name, python, _from_to(old, new)
        )


def _arguments(name: str, python: str, old: Json, new: Json, inside: str = "") -> Iterator[Change]:
    gone, added = [each for each in old if each not in new], [each for each in new if each not in old]

    def called(argument: str, facts: Json) -> tuple[str, str]:
        keyword = inside + str(facts.get("keyword", argument))
        return f"{name} {inside}{argument}", f"kantata.{python}({keyword}=)"

    for one, other in _pairs(gone, added, old, new):
        detail = _from_to(one, other)
        yield _change("parameter renamed", *called(one, old[one]), detail, guess=True)
        gone.remove(one)
        added.remove(other)
    for each in gone:
        yield _change("parameter removed", *called(each, old[each]))
    for each in added:
        rule = "required parameter added" if new[each].get("required") else "parameter added"
        yield _change(rule, *called(each, new[each]), _kind(new[each]))
    for each in old:
        if each in new and old[each] != new[each]:
            for rule, detail in _argument(old[each], new[each]):
                yield _change(rule, *called(each, old[each]), detail)
            yield from _arguments(
                name, python, old[each].get("fields", {}), new[each].get("fields", {}), f"{inside}{each}."
            )


def _argument(old: Json, new: Json) -> Iterator[tuple[str, str]]:
    if old.get("kind") != new.get("kind"):
        yield "parameter type changed", _from_to(old.get("kind"), new.get("kind"))
    elif old.get("range") != new.get("range"):
        yield "parameter type changed", _from_to(old.get("range"), new.get("range"))
    if bool(old.get("many")) != bool(new.get("many")):
        yield "parameter became a list" if new.get("many") else "parameter became single", ""
    if bool(old.get("required")) != bool(new.get("required")):
        yield "parameter became required" if new.get("required") else "parameter became optional", ""
    if bool(old.get("deprecated")) != bool(new.get("deprecated")):
        yield "parameter deprecated" if new.get("deprecated") else "parameter restored", ""
    if old.get("default") != new.get("default"):
        gone, fresh = new.get("default") is None, old.get("default") is None
        rule = "default removed" if gone else "default added" if fresh else "default changed"
        yield rule, _from_to(old.get("default"), new.get("default"))
    if old.get("keyword") != new.get("keyword"):
        yield "parameter renamed", _from_to(old.get("keyword"), new.get("keyword"))
    before, after = old.get("maximum"), new.get("maximum")
    if before != after:
        lowered = after is not None and (before is None or after < before)
        rule = "maximum lowered" if lowered else "maximum removed" if after is None else "maximum raised"
        yield rule, _from_to(before, after)
    yield from _values(old.get("values", []), new.get("values", []))
    yield from _constraints(old.get("constraints", {}), new.get("constraints", {}))


def _values(old: list[Any], new: list[Any]) -> Iterator[tuple[str, str]]:
    if bool(old) != bool(new):
        yield "values listed" if new else "values free", ", ".join(map(str, new or old))
    elif old != new:
        if removed := [str(each) for each in old if each not in new]:
            yield "value removed", ", ".join(removed)
        if extra := [str(each) for each in new if each not in old]:
            yield "value added", ", ".join(extra)


def _constraints(old: Json, new: Json) -> Iterator[tuple[str, str]]:
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if before is None or after is None:
            yield (
                ("constraint added", f"{key} {after}")
                if before is None
                else ("constraint removed", f"{key} {before}")
            )
            continue
        if key.rpartition(".")[2] in ("pattern", "multipleOf"):
            rule = "constraint changed"
        else:
            upwards = key.rpartition(".")[2].startswith("min")
            rule = "constraint tightened" if (after > before) == upwards else "constraint loosened"
        yield rule, f"{key} {_from_to(before, after)}"


def _kind(argument: Json) -> str:
    return f"{'list of ' if argument.get('many') else ''}{argument.get('kind')}"


# --- models --------------------------------------------------------------------------------------------------------


def _models(old: Json, new: Json) -> Iterator[Change]:
    for name in old:
        if name not in new:
            yield _change("model removed", name, f"models.{name}")
        elif old[name] != new[name]:
            yield from _model(name, old[name], new[name])
    for name in new:
        if name not in old:
            yield _change("model added", name, f"models.{name}")


def _model(name: str, old: Json, new: Json) -> Iterator[Change]:
    if old.get("key") != new.get("key"):
        yield _change(
            "envelope key changed", name, f"models.{name}", _from_to(old.get("key"), new.get("key"))
        )
    before, after = old.get("fields", {}), new.get("fields", {})
    gone, added = (
        [each for each in before if each not in after],
        [each for each in after if each not in before],
    )
    for one, other in _pairs(gone, added, before, after):
        yield _change("field renamed", f"{name}.{one}", f"{name}.{one}", _from_to(one, other), guess=True)
        gone.remove(one)
        added.remove(other)
    for each in gone:
        yield _change("field removed", f"{name}.{each}", f"{name}.{each}")
    for each in added:
        yield _change("field added", f"{name}.{each}", f"{name}.{each}", after[each])
    for each in before:
        if each in after and before[each] != after[each]:
            yield _field(f"{name}.{each}", before[each], after[each])
        if each in after:
            yield from _field_facts(f"{name}.{each}", _facts_of(each, old), _facts_of(each, new))
    yield from _associations(name, old.get("associations", {}), new.get("associations", {}))
    for key, rule in (("conditions", "field needs another association"), ("references", "association moved")):
        known, fresh = old.get(key, {}), new.get(key, {})
        for each in known:
            if each in fresh and known[each] != fresh[each]:
                yield _change(rule, f"{name}.{each}", f"{name}.{each}", _from_to(known[each], fresh[each]))


def _field(subject: str, old: str, new: str) -> Change:
    (kind, _, request), (other, _, asked) = old.partition(", on request"), new.partition(", on request")
    rule = "field type changed" if kind != other else "field now on request" if asked else "field always sent"
    return _change(rule, subject, subject, _from_to(old, new) if kind != other or (request and asked) else "")


def _facts_of(field: str, model: Json) -> tuple[list[Any], bool]:
    """(known values, whether it is deprecated) of a field."""
    return model.get("values", {}).get(field, []), field in model.get("deprecated", ())


def _field_facts(subject: str, old: tuple[list[Any], bool], new: tuple[list[Any], bool]) -> Iterator[Change]:
    for rule, detail in _values(old[0], new[0]):
        yield _change(f"field {rule}", subject, subject, detail)
    if old[1] != new[1]:
        yield _change("field deprecated" if new[1] else "field restored", subject, subject)


def _associations(name: str, old: Json, new: Json) -> Iterator[Change]:
    for each in sorted(old.keys() | new.keys()):
        subject = f"{name}.{each}"
        if each not in new:
            yield _change("association removed", subject, subject)
        elif each not in old:
            yield _change("association added", subject, subject, new[each])
        elif old[each] != new[each]:
            yield _change("association changed", subject, subject, _from_to(old[each], new[each]))


def _with_new_associations(changes: list[Change], operations: Json) -> list[Change]:
    """A new association as one change: without the values that `include` gains by it, and without the field of its ids."""
    added = {each.subject: each for each in changes if each.rule == "association added"}
    calls: dict[str, list[str]] = {subject: [] for subject in added}
    kept: list[Change] = []
    for change in changes:
        if change.rule == "value added" and change.subject.endswith(" include"):
            operation = operations[change.subject.removesuffix(" include")]
            values = {each: f"{operation.get('model')}.{each}" for each in change.detail.split(", ")}
            for subject in values.values():
                calls.get(subject, []).append(_call(operation))
            rest = [each for each, subject in values.items() if subject not in added]
            if rest:
                kept.append(attrs.evolve(change, detail=", ".join(rest)))
        elif change.rule == "field added" and _has_ids_of(change, added):
            continue
        elif change.rule != "association added":
            kept.append(change)
    for subject, change in added.items():
        where = f", by {', '.join(sorted(calls[subject]))}" if calls[subject] else ""
        kept.append(attrs.evolve(change, detail=f"{change.detail}{where}"))
    return kept


def _has_ids_of(field: Change, associations: Iterable[str]) -> bool:
    """Whether a new field has the ids of a new association, and is sent only with it."""
    model, _, name = field.subject.partition(".")
    one = re.sub(r"_(?:ids?|ref)$", "", name)
    named = {f"{model}.{one}", f"{model}.{plural(one)}"}
    return (
        one != name and field.detail.endswith("on request by include") and not named.isdisjoint(associations)
    )


# --- renames -------------------------------------------------------------------------------------------------------

_ALIKE = 0.6


def _pairs(gone: list[str], added: list[str], old: Json, new: Json) -> list[tuple[str, str]]:
    """What is probably the same thing under another name: alike in name, and the same otherwise."""
    pairs: list[tuple[str, str]] = []
    for one in gone:
        candidates = [
            (SequenceMatcher(None, one, other).ratio(), other)
            for other in added
            if _same(old[one], new[other]) and other not in {paired for _, paired in pairs}
        ]
        if candidates and max(candidates)[0] >= _ALIKE:
            pairs.append((one, max(candidates)[1]))
    return pairs


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        names = ("python", "keyword", "path")
        return {key: value for key, value in cast("Json", one).items() if key not in names} == {
            key: value for key, value in cast("Json", other).items() if key not in names
        }
    return one == other


def _from_to(old: object, new: object) -> str:
    def said(value: object) -> str:
        return "nothing" if value is None else str(cast("Any", value))

    return f"{said(old)} to {said(new)}"
