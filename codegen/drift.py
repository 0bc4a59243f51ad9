"""Drift: turn a running client's drift report into overlay actions.

`kantata.drift.save("drift.json")` writes the report. A person looks at the actions before they go into
`overrides/overlay.yaml`: one value does not show which values are possible.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import yaml

from codegen import names
from codegen.errors import CodegenError, shown
from codegen.load import apart
from codegen.models import can_be_a_field
from codegen.references import ENVELOPE
from codegen.schemas import mappings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Json = dict[str, Any]

_TYPES: tuple[tuple[str, Json], ...] = (
    (r"a boolean", {"type": "boolean"}),
    (r"a whole number", {"type": "integer"}),
    (r"a number", {"type": "number"}),
    (r"text like '9999-99-99a99:99", {"type": "string", "format": "date-time"}),
    (r"text like '9999-99-99'", {"type": "string", "format": "date"}),
    (r"(?:empty )?text", {"type": "string"}),
    (r"an array", {"type": "array", "items": {}}),
    (r"an object", {"type": "object"}),
)
"""How the report describes a value → its type."""


_KEY = re.compile(r"[a-z][a-z0-9_]*")
_KEPT = ("description", "title", "readOnly")


def actions_of(
    report: Any, definitions: Mapping[str, str], contract: Json | None = None
) -> tuple[list[Json], list[str]]:
    """(actions that make the contract fit a report, what a person has to look at).

    A field or envelope key that the contract lacks is added. A field that was received with other types than declared
    gets one that takes all of them: a wider one, or any JSON.

    Args:
        report: What `kantata.drift.save` wrote.
        definitions: Class name → definition.
        contract: The lowered and corrected contract, for fields of other types and envelope keys.

    Raises:
        CodegenError: The report has another form.
    """
    rows: Any = cast("Json", report).get("drift") if isinstance(report, dict) else None
    if not isinstance(rows, list):
        msg = 'expected {"drift": [...]}, as `kantata.drift.save` writes it'
        raise CodegenError(msg)
    found = _Found(definitions, contract or {})
    for row in cast("list[Any]", rows):
        entry = cast("Json", row) if isinstance(row, dict) else {}
        parts = [entry.get(name) for name in ("model", "field", "expected", "received", "operation")]
        if not all(isinstance(each, str) for each in parts):
            msg = f"expected rows with `model`, `field`, `expected`, `received` and `operation`, got {row!r:.200}"
            raise CodegenError(msg)
        found.add(*cast("list[str]", parts))
    return found.actions(), found.notes


class _Found:
    """The actions so far."""

    def __init__(self, definitions: Mapping[str, str], contract: Json) -> None:
        self._definitions = definitions
        self._contract = contract
        self._added: dict[str, Json] = {}
        """Target → what is added to it, by name."""
        self._replaced: dict[str, Json] = {}
        """Target → the rest of the action that replaces it."""
        self._received: dict[tuple[str, str], Json] = {}
        """(definition, field) → the type that takes every value received so far."""
        self.notes: list[str] = []

    def add(self, model: str, field: str, expected: str, received: str, operation: str) -> None:
        definition = self._definitions.get(model, "")
        if expected == "no field" and definition and can_be_a_field(field):
            self._add_field(definition, field, received, operation)
        elif model == "envelope" and expected == "no such key" and self._add_key(field, operation):
            return
        elif not self._replace(definition, field, received, operation):
            self.notes.append(f"{model}.{field}: {received} instead of {expected}, in {operation}")

    def _observe(self, definition: str, field: str, received: str) -> Json:
        """The type that takes this value of a field and all earlier ones."""
        at, found = (definition, field), _type(received)
        earlier = self._received.setdefault(at, found)
        if found != earlier:
            self._received[at] = _wider(earlier, found)
        return self._received[at]

    def _add_field(self, definition: str, field: str, received: str, operation: str) -> None:
        """Declare a field with a type that takes everything received."""
        fields = self._added.setdefault(f"$.definitions['{definition}'].properties", {})
        before = _inside(fields, field)
        said = before.get("description") or f"First seen in {operation}."
        kind = self._observe(definition, field, received)
        if before and before != {**kind, "description": said}:
            said = f"{said} Also {received}, in {operation}."
        fields[field] = {**kind, "description": said}

    def _add_key(self, key: str, operation: str) -> bool:
        """Declare an envelope key, with a new definition of its objects if the contract has none; False if it can't be."""
        method, _, path = operation.partition(" ")
        responses = _inside(self._contract, "paths", path, method.lower(), "responses")
        status = next((each for each in responses if each.startswith("2")), "")
        if not _inside(responses, status, "schema", "properties").keys() >= ENVELOPE or not _KEY.fullmatch(
            key
        ):
            return False
        if not (kind := self._kind(key)):
            kind = names.pascal(names.singular(key))
            definition: Json = {
                "type": "object",
                "description": f"First seen in {operation}, under `{key}`.",
                "properties": {"id": {"type": "string"}},
            }
            self._added.setdefault("$.definitions", {}).setdefault(kind, definition)
        target = f"$.paths['{path}'].{method.lower()}.responses['{status}'].schema.properties"
        self._added.setdefault(target, {})[key] = {
            "type": "object",
            "additionalProperties": {"$ref": f"#/definitions/{kind}"},
        }
        return True

    def _kind(self, key: str) -> str | None:
        """The definition of the objects under an envelope key."""
        for each in mappings(self._contract.get("paths", {})):
            reference = _inside(each, "properties", key, "additionalProperties").get("$ref")
            if isinstance(reference, str) and reference.startswith("#/definitions/"):
                return reference.removeprefix("#/definitions/")
        return self._definitions.get(names.pascal(names.singular(key)))

    def _replace(self, definition: str, field: str, received: str, operation: str) -> bool:
        """Give a field a type that takes what was received, besides what is declared; False if it can't be."""
        declared: Json = apart(_inside(self._contract, "definitions", definition, "properties", field))
        if not declared or not _type(received):
            return False
        target = f"$.definitions['{definition}'].properties['{field}']"
        earlier = _inside(self._replaced, target).get("description", "")
        also = f"Also {received}, in {operation}."
        said = earlier if also in earlier else f"{earlier} {also}".strip()
        kept = {key: declared[key] for key in _KEPT if key in declared}
        kind = _wider(declared, self._observe(definition, field, received))
        self._replaced[target] = {
            "description": said,
            "x-was": {key: value for key, value in declared.items() if key not in _KEPT},
            "x-replace": {**kept, **kind} or {"description": f"Any JSON. {said}"},
        }
        return True

    def actions(self) -> list[Json]:
        """All of them, in a fixed order."""
        lacking = "Sent by the service, but not in the contract yet."
        return [
            *(
                {"target": target, "description": lacking, "update": dict(sorted(found.items()))}
                for target, found in sorted(self._added.items())
            ),
            *({"target": target, **found} for target, found in sorted(self._replaced.items())),
        ]


def _inside(node: Any, *parts: str) -> Json:
    """The mapping at a path of keys, or an empty mapping if there is no such path."""
    for part in parts:
        node = cast("Json", node).get(part) if isinstance(node, dict) else None
    return cast("Json", node) if isinstance(node, dict) else {}


def _type(received: str) -> Json:
    """The type of a value, from what the report says of it; empty if that is not a value."""
    nothing: Json = {}
    return next((schema for pattern, schema in _TYPES if re.match(pattern, received)), nothing)


def _wider(one: Json, other: Json) -> Json:
    """A type that takes the values of two different ones; an empty schema takes any JSON."""
    kinds = {str(one.get("type")), str(other.get("type"))}
    if kinds == {"string"}:
        return {"type": "string"}
    return {"type": "number"} if kinds == {"integer", "number"} else {}


def read(path: Path, definitions: Mapping[str, str], contract: Json | None = None) -> tuple[str, list[str]]:
    """(the actions as YAML for `overrides/overlay.yaml`, what a person has to look at) of a report.

    Raises:
        CodegenError: The report can't be read.
    """
    try:
        actions, notes = actions_of(json.loads(path.read_text(encoding="utf-8")), definitions, contract)
    except (OSError, ValueError, RecursionError, CodegenError) as error:
        raise CodegenError(f"{shown(path)}:1: it can't be read: {error}", located=True) from error
    text = yaml.safe_dump(actions, sort_keys=False, width=110) if actions else ""
    return "".join(f"  {line}\n" for line in text.splitlines()), notes
