"""Drift: turn a running client's drift report into overlay actions.

`kantata.drift.save("drift.json")` writes the report. A person looks at the actions before they go into
`overrides/overlay.yaml`: one value does not show which values are possible.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import yaml

from codegen.errors import CodegenError, shown

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
"""What the report says of a value → its type."""


def actions_of(report: Any, definitions: Mapping[str, str]) -> tuple[list[Json], list[str]]:
    """(actions that declare the unknown fields of a report, what a person has to look at).

    Args:
        report: What `kantata.drift.save` wrote.
        definitions: Class name → definition.

    Raises:
        CodegenError: The report has another form.
    """
    rows: Any = cast("Json", report).get("drift") if isinstance(report, dict) else None
    if not isinstance(rows, list):
        msg = 'expected {"drift": [...]}, as `kantata.drift.save` writes it'
        raise CodegenError(msg)
    fields: dict[str, Json] = {}
    notes: list[str] = []
    for row in cast("list[Any]", rows):
        entry = cast("Json", row) if isinstance(row, dict) else {}
        model, field, expected = entry.get("model"), entry.get("field"), entry.get("expected")
        if not isinstance(model, str) or not isinstance(field, str) or not isinstance(expected, str):
            msg = f"expected rows with `model`, `field`, `expected` and `received`, got {row!r}"
            raise CodegenError(msg)
        seen = f"{model}.{field}: {entry.get('received')} instead of {expected}, in {entry.get('operation')}"
        if expected == "no field" and model in definitions and field.isidentifier():
            fields.setdefault(definitions[model], {})[field] = _schema(entry)
        else:
            notes.append(seen)
    actions = [
        {
            "target": f"$.definitions['{definition}'].properties",
            "description": "Sent by the service, but not in the contract yet.",
            "update": dict(sorted(found.items())),
        }
        for definition, found in sorted(fields.items())
    ]
    return actions, notes


def _schema(entry: Json) -> Json:
    received = str(entry.get("received", ""))
    nothing: Json = {}
    found = next((schema for pattern, schema in _TYPES if re.match(pattern, received)), nothing)
    return {**found, "description": f"First seen in {entry.get('operation', 'an answer')}."}


def read(path: Path, definitions: Mapping[str, str]) -> tuple[str, list[str]]:
    """(the actions as YAML for `overrides/overlay.yaml`, what a person has to look at) of a report.

    Raises:
        CodegenError: The report can't be read.
    """
    try:
        actions, notes = actions_of(json.loads(path.read_text(encoding="utf-8")), definitions)
    except (OSError, ValueError, CodegenError) as error:
        raise CodegenError(f"{shown(path)}:1: it can't be read: {error}", located=True) from error
    text = yaml.safe_dump(actions, sort_keys=False, width=110) if actions else ""
    return "".join(f"  {line}\n" for line in text.splitlines()), notes
