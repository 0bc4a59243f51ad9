"""Random valid bodies for the operations of the contract, with references to records that exist."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from emulation.arguments import Known
from emulation.samples import SAMPLES
from emulation.server import Server
from kantata_client.operations import OPERATIONS
from kantata_client.sandbox.pointers import plain

if TYPE_CHECKING:
    from random import Random

    from emulation.server import Answer
    from kantata_client._contract import Operation, Parameter

_WORDS = ("Audit", "naïve", "日本", 'a "b"', "c,d", "<i>", "x" * 60, "0", " e ", "R&D", "line\nline", "100%")
_REDRAWN, _DRAWN = 5, 60
"""How often a property is drawn again before it is left out, and a body before it counts as refused."""
_TARGETS = {
    "department_id": "organizations",
    "geography_id": "organizations",
    "project_tracker_template_id": "project_templates",
}
_ALIASES = {"change_orders": "change_orders_enabled", "workspace_id": "workspace_ids"}
"""Property → another one that sets the same field."""


def creations() -> list[str]:
    """The operations that create a record from a JSON body."""
    return [
        name
        for name, operation in OPERATIONS.items()
        if operation.method == "POST"
        and operation.key is not None
        and operation.name == "create"
        and operation.body is not None
        and not operation.body.multipart
    ]


class Bodies:
    """Sends random bodies to a sandbox with the demo account."""

    def __init__(self, random: Random) -> None:
        self.server = Server()
        self.random = random
        self._known = Known(self.server)

    def send(self, operation: Operation, path: str) -> tuple[dict[str, Any], Answer]:
        """Send a body until one is carried out: what a refusal names is drawn again, and then left out."""
        assert operation.body is not None
        fields, random = operation.body.fields, self.random
        sample = SAMPLES.get(operation.id) if operation.method == "POST" else None
        fixed, query = (dict(sample.body), dict(sample.query)) if sample is not None else ({}, {})
        needed = {*(name for name, parameter in fields.items() if parameter.required), *fixed}
        item = {
            name: self.value(operation, name, parameter)
            for name, parameter in fields.items()
            if name in needed or random.random() < 0.5
        }
        answer = self._send(operation, path, query, item)
        refusals: dict[str, int] = {}
        for _ in range(_DRAWN):
            if answer.ok:
                break
            assert answer.status in {422, 501}, (operation.id, item, answer)
            for name in self._refused(answer, item):
                refusals[name] = refusals.get(name, 0) + 1
                if name in fixed and refusals[name] > _REDRAWN:
                    item[name] = fixed[name]
                elif name in needed or (name in fields and refusals[name] <= _REDRAWN):
                    item[name] = self.value(operation, name, fields[name])
                else:
                    item.pop(name, None)
                if refusals[name] > 2 * _REDRAWN:  # another property is wrong
                    for other in random.sample(sorted(item), min(2, len(item))):
                        if other not in needed:
                            del item[other]
                        elif other in fixed:
                            item[other] = fixed[other]
            answer = self._send(operation, path, query, item)
        return item, answer

    def _send(self, operation: Operation, path: str, query: dict[str, Any], item: dict[str, Any]) -> Answer:
        for alias, name in _ALIASES.items():
            if name in item:
                item.pop(alias, None)
        wrapper = operation.body.wrapper if operation.body else None
        return self.server.send(operation.method, path, query, {wrapper: item} if wrapper else item)

    def _refused(self, answer: Answer, item: dict[str, Any]) -> list[str]:
        """The properties that a refusal names."""
        fields = [str(error.get("field") or "").partition("[")[0] for error in answer.body["errors"]]
        named = [name for name in fields if name] or [name for name in item if f"`{name}`" in answer.message]
        return named or [self.random.choice(sorted(item))]

    def value(self, operation: Operation, name: str, parameter: Parameter) -> Any:
        """A random value of a property."""
        if parameter.many:
            values = [self._one(operation, name, parameter) for _ in range(self.random.randint(1, 3))]
            return [value for place, value in enumerate(values) if value not in values[:place]]
        return self._one(operation, name, parameter)

    def _one(self, operation: Operation, name: str, parameter: Parameter) -> Any:
        random = self.random
        if parameter.values:
            return random.choice(parameter.values)
        if (identity := self._id(operation, name)) is not None:
            return int(identity) if parameter.kind == "integer" and identity.isdigit() else identity
        day = date(2026, 1, 5) + timedelta(7 * random.randint(0, 40) + random.randint(0, 4))  # a weekday
        match parameter.kind:
            case "boolean":
                return random.random() < 0.5
            case "integer":
                return random.randint(0, min(parameter.maximum or 5_000, 5_000))
            case "number":
                return round(random.uniform(0, min(parameter.maximum or 100, random.choice((7, 100)))), 2)
            case "date":
                return str(day)
            case "datetime":
                return f"{day}T{random.randint(0, 23):02}:15:00Z"
            case "object" if parameter.fields:
                return {
                    inner: self.value(operation, inner, described)
                    for inner, described in parameter.fields.items()
                    if described.required or random.random() < 0.7
                }
            case _ if name.endswith("currency"):
                return random.choice(("USD", "EUR", "GBP"))
            case "string":
                return " ".join(random.choice(_WORDS) for _ in range(random.randint(1, 3)))
            case _:
                return random.choice(("x", 1, "2026-07-06"))

    def _id(self, operation: Operation, name: str) -> str | None:
        """The id of a record that a property can refer to; None if it is not a reference."""
        if not name.endswith(("_id", "_ids")):
            return None
        key = str(operation.key)
        target = _TARGETS.get(name) or plain(key, name) or self._known.target(name, key)
        ids = self.server.sandbox.store.ids(target) if target else []
        return self.random.choice(ids) if ids else None
