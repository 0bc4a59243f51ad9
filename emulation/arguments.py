"""Values to try: what a parameter, a property or a placeholder of a path could take in the demo account."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from kantata_client import models
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox.pointers import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from emulation.server import Server
    from kantata_client._contract import Operation, Parameter

WIDE = {"users": {"on_my_account": True}, "expense_report_submissions": {"all_on_account": True}}
"""Envelope key → parameters besides `Operation.widest` with which a list hides less."""

NEEDED: Mapping[str, Any] = {
    "subject_type": "Workspace",
    "workspace_id": 10002,
    "story_id": 20060,
    "estimate_scenario_id": 82301,
}
"""Required parameters of lists."""

_TARGETS: Mapping[str, str] = {
    "account": "accounts",
    "approver": "users",
    "assignee": "users",
    "backup_approver": "users",
    "creator": "users",
    "department": "organizations",
    "follower": "users",
    "geography": "organizations",
    "manager": "users",
    "maven": "users",
    "member": "users",
    "participant": "users",
    "project": "workspaces",
    "recipient": "users",
    "resource": "workspace_resources",
    "submission": "timesheet_submissions",
    "task": "stories",
    "template": "project_templates",
}
"""What an id names, where its name is not that of a type."""


def plural(word: str) -> str:
    """The plural of a word of the contract."""
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x")) else f"{word}s"


class Known:
    """The ids in the demo account, as its lists and includes give them."""

    def __init__(self, server: Server) -> None:
        self._ids: dict[str, list[str]] = {}
        for operation in OPERATIONS.values():
            if operation.result == "page" and operation.key and "{" not in operation.path:
                self._read(server, operation)

    def _read(self, server: Server, operation: Operation) -> None:
        query = widest(operation)
        if "include" in operation.query:
            query["include"] = operation.query["include"].values
        answer = server.send("GET", operation.path, query)
        while not answer.ok and query.get("include"):
            query["include"] = query["include"][:-1]
            answer = server.send("GET", operation.path, query)
        for key, rows in (answer.body or {}).items():
            if isinstance(rows, dict) and key != "meta":
                found = self._ids.setdefault(key, [])
                found += [identity for identity in rows if identity not in found]

    def ids(self, key: str) -> list[str]:
        """The ids under an envelope key."""
        return self._ids.get(key, [])

    def target(self, name: str, key: str | None) -> str | None:
        """The envelope key of the records that an id names; None if it is no id."""
        bare = re.sub(r"^(with|by|for|not|in|has|exclude)_", "", name)
        cls: Any = getattr(models, models.KEYS.get(key or "", ""), None)
        for association in cls.ASSOCIATIONS.values() if cls else ():
            if association.ids in {name, bare} and association.key:
                return association.key
        if (pointed := plain(key or "", bare)) is not None:
            return pointed
        match = re.fullmatch(r"(?:.*?_)??(\w+?)_ids?", bare)
        words = bare.removesuffix("_ids").removesuffix("_id").split("_")
        for start in range(len(words)):
            word = "_".join(words[start:])
            if plural(word) in self._ids:
                return plural(word)
            if word in _TARGETS:
                return _TARGETS[word]
        return None if match is None else key

    def candidates(self, operation: Operation, name: str, parameter: Parameter) -> Iterator[Any]:
        """Different values for one parameter or property, the likeliest first."""
        for value in different(self._one(operation, name, parameter)):
            yield [value] if parameter.many else value

    def _one(self, operation: Operation, name: str, parameter: Parameter) -> Iterator[Any]:
        if name in NEEDED:
            yield NEEDED[name]
        yield from _NAMED.get(name, ())
        if parameter.values:
            yield from parameter.values
            return
        is_id = name.endswith(("_id", "_ids")) or name in {"ids", "only"}
        if is_id or parameter.kind in {"integer", "any", "string"}:
            target = operation.key if name in {"ids", "only"} else self.target(name, operation.key)
            ids = self.ids(target) if target else []
            number = parameter.kind == "integer"
            yield from (int(i) if number and i.isdigit() else i for i in _spread(ids))
        yield from _KINDS.get(parameter.kind, ())
        if parameter.kind == "object":
            for place in range(3):
                yield {
                    inner: next(itertools.islice(self.candidates(operation, inner, p), place, None), 1)
                    for inner, p in (parameter.fields or {}).items()
                }


def different(values: Iterable[Any]) -> Iterator[Any]:
    """The values, each once."""
    seen: set[str] = set()
    for value in values:
        if repr(value) not in seen:
            seen.add(repr(value))
            yield value


def _spread(ids: list[str]) -> Iterable[str]:
    """Some ids of a list, from its whole length."""
    step = max(len(ids) // 6, 1)
    return dict.fromkeys((*ids[:2], *ids[::step], *ids[-1:]))


_NAMED: Mapping[str, tuple[Any, ...]] = {
    "currency": ("EUR", "USD"),
    "permissions": ("view_only", "edit"),
    "rates": ({"currency": "USD", "rate": 100}, {"currency": "USD", "rate": 200}),
    "with_skills": ('{"3201": [1, 2]}',),
    "without_timesheet_submission": ("10002:2026-01-01:2026-01-31",),
    "locked_to": ("2024-01-06", "2024-01-13"),
    "exchange_rate": ("1.1",),
    "source_currency": ("EUR",),
    "target_currency": ("USD",),
    "csv_file": ("effective_date,source_currency,target_currency,exchange_rate\n2026-07-01,EUR,USD,1.1\n",),
    "photo": ("me.png",),
    "show_project_names": (0, 1),
}
"""Values of parameters and properties that take a form of their own."""

_KINDS: Mapping[str, tuple[Any, ...]] = {
    "boolean": (True, False),
    "integer": (1, 40, 400),
    "number": (1.5, 50),
    "date": ("2026-07-06", "2026-03-02"),
    "datetime": ("2026-03-02T09:00:00Z",),
    "string": (
        *("x", "2026-07-06", "2026-01-01:2026-06-30", "2026-01-01;2026-06-30", "1", "1:2", "25,75"),
        *("America/New_York", "USD", "Text", "(3801:a)", "3801:1:2", "3801", "true", "include", "1001:1002"),
    ),
    "any": ("x", 1, True, "2026-07-06"),
    "file": ("a file",),
}


def widest(operation: Operation) -> dict[str, Any]:
    """The query with which a list hides least."""
    query: dict[str, Any] = {
        name: NEEDED.get(name, 1) for name, parameter in operation.query.items() if parameter.required
    }
    query |= operation.widest
    query |= {
        name: value for name, value in WIDE.get(operation.key or "", {}).items() if name in operation.query
    }
    if "per_page" in operation.query:
        query["per_page"] = 200
    return query
