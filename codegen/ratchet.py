"""Ratchet: refuse a new contract that loses facts of the committed code, unless `--allow` names each loss."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from codegen.errors import CodegenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codegen.diff import Change

LOSSES = {
    "operation removed": "operations gone",
    "operation renamed": "operations renamed",
    "operation restored": "deprecations of operations gone",
    "method renamed": "methods renamed",
    "parameter removed": "parameters gone",
    "parameter renamed": "parameters renamed",
    "parameter became single": "lists that became single values",
    "parameter type changed": "parameter types changed",
    "value removed": "lists of values shortened",
    "values free": "lists of values gone",
    "maximum removed": "maxima gone",
    "default removed": "defaults gone",
    "parameter restored": "deprecations of parameters gone",
    "constraint removed": "constraints of parameters gone",
    "bulk removed": "bulk operations gone",
    "rate limit removed": "own rate limits gone",
    "stable walk lost": "stable walks gone",
    "result changed": "results changed",
    "model changed": "models of results changed",
    "model removed": "models gone",
    "field removed": "fields gone",
    "field renamed": "fields renamed",
    "field type changed": "field types changed",
    "field restored": "deprecations of fields gone",
    "field value removed": "values of fields gone",
    "field values free": "lists of values of fields gone",
    "field always sent": "conditions of fields gone",
    "field needs another association": "conditions of fields changed",
    "association removed": "associations gone",
    "association changed": "associations changed",
    "association moved": "ids or envelope keys of associations changed",
}
"""Rules of `codegen.diff` that mean a loss → what the message calls several of them."""
_NAMED = 12


def check_losses(changes: Iterable[Change], allowed: Iterable[str]) -> None:
    """Refuse losses that are not allowed.

    Args:
        changes: From the committed code to the new one.
        allowed: What `--allow` names: keys of changes (`rule: subject`), subjects, or patterns of them, several
            separated by semicolons.

    Raises:
        CodegenError: A loss is not allowed; the message counts and names all of them, and says how to allow them.
    """
    patterns = [part.strip() for each in allowed for part in each.split(";")]
    lost = [
        each
        for each in changes
        if each.rule in LOSSES and not any(_matches(each, pattern) for pattern in patterns)
    ]
    if not lost:
        return
    lines: list[str] = []
    counts = Counter(each.rule for each in lost)
    for rule, number in sorted(counts.items(), key=lambda item: list(LOSSES).index(item[0])):
        own = [_named(each) for each in lost if each.rule == rule]
        more = f" and {len(own) - _NAMED} more" if len(own) > _NAMED else ""
        lines.append(f"{number} {LOSSES[rule]}: {', '.join(own[:_NAMED])}{more}")
    first = min(lost, key=lambda each: list(LOSSES).index(each.rule))
    msg = (
        "openapi/specification.yaml:1: the new code would lose facts of the committed one:\n  "
        + "\n  ".join(lines)
        + f"\nIf the service dropped them, allow each by name, as in --allow {first.subject!r} (patterns work: "
        f"{first.rule + ': *'!r}). If only the wording changed, add it to the tables in codegen/prose.py"
    )
    raise CodegenError(msg, located=True)


def _named(change: Change) -> str:
    return (
        f"{change.subject} ({change.detail})" if change.detail not in ("", change.subject) else change.subject
    )


def _matches(change: Change, pattern: str) -> bool:
    return any(
        name == pattern or fnmatchcase(name, pattern) for name in (change.key, change.subject, change.rule)
    )
