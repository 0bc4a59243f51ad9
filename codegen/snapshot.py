"""Snapshot: the facts that users of the client rely on, as plain JSON, to compare one contract with another.

`openapi/facts.json` is the snapshot of the committed code, one line for each operation and model.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from codegen.errors import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from codegen.facts import Argument, Facts, ModelFacts, OperationFacts

Json = dict[str, Any]

SNAPSHOT = ROOT / "openapi" / "facts.json"
ID = "int | str"
"""The annotation of a path argument, unless it is not an id."""
_INCLUDED = re.compile(r"includ(?:ed\(|e=)\"(\w+)\"")
"""The association that a field needs, in its class attribute."""
VERSION = 2
"""Raised when snapshots get facts that earlier ones lack, which `comparable` then leaves out."""
_NOTHING: tuple[Any, ...] = (None, False, (), [], {}, "")


def snapshot(facts: Facts) -> Json:
    """The facts of a contract.

    Returns:
        `version` of the format, `operations` by `METHOD /path`, and `models` by class, each without what is empty or
        false.
    """
    operations = [operation for resource in facts.resources for operation in resource.operations]
    models = [each for model in facts.models for each in (model, *model.nested)]
    return {
        "version": VERSION,
        "operations": {each.id: _operation(each) for each in sorted(operations, key=lambda each: each.id)},
        "models": {each.name: _model(each) for each in sorted(models, key=lambda each: each.name)},
    }


def dumped(data: Json) -> str:
    """A snapshot as text, one line for each operation and model."""
    sections: list[str] = []
    for name, entries in data.items():
        if not isinstance(entries, dict):
            sections.append(f"{json.dumps(name)}: {json.dumps(entries)}")
            continue
        lines = ",\n".join(
            f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in cast("Json", entries).items()
        )
        sections.append(f"{json.dumps(name)}: {{\n{lines}\n}}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def committed(path: Path = SNAPSHOT) -> Json | None:
    """The snapshot of the committed code; `None` if the file is missing."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def comparable(old: Json, new: Json) -> tuple[Json, Json]:
    """Two snapshots, without what only one of them can state because the other was made before it was recorded."""
    if old.get("version", 1) == new.get("version", 1):
        return old, new
    return _of_version_1(old), _of_version_1(new)


def _of_version_1(data: Json) -> Json:
    def arguments(entries: Json, *dropped: str) -> Json:
        return {
            name: {
                key: arguments(value, *dropped) if key == "fields" else value
                for key, value in each.items()
                if key not in ("constraints", "range", *dropped)
            }
            for name, each in entries.items()
        }

    operations: Json = {}
    for name, each in data["operations"].items():
        operations[name] = {key: value for key, value in each.items() if key != "path_types"}
        if "query" in each:
            operations[name]["query"] = arguments(each["query"])
        if "body" in each:
            operations[name]["body"] = arguments(each["body"], "deprecated", "default")
    models = {
        name: {key: value for key, value in each.items() if key not in ("values", "deprecated")}
        for name, each in data["models"].items()
    }
    return {"operations": operations, "models": models}


def _operation(operation: OperationFacts) -> Json:
    body = operation.body
    return _some(
        {
            "python": f"{operation.resource}.{operation.name}",
            "result": operation.result,
            "model": operation.model,
            "deprecated": operation.deprecated,
            "path": [each.keyword for each in operation.path_arguments],
            "path_types": {
                each.keyword: each.annotation for each in operation.path_arguments if each.annotation != ID
            },
            "query": {each.name: _argument(each) for each in operation.query},
            "body": {each.name: _argument(each) for each in body.arguments} if body else {},
            "wrapper": body.wrapper if body else None,
            "multipart": body.multipart if body else False,
            "bulk_limit": operation.bulk_limit,
            "own_rate_limit": operation.own_rate_limit,
            "stable_by": operation.stable_by,
        }
    )


def _argument(argument: Argument) -> Json:
    fields = argument.fields or ()
    return _some(
        {
            "keyword": argument.keyword if argument.keyword != argument.name else None,
            "kind": argument.kind,
            "many": argument.many,
            "required": argument.required,
            "values": list(argument.values),
            "default": argument.default,
            "maximum": argument.maximum,
            "deprecated": argument.deprecated,
            "range": argument.range,
            "constraints": dict(argument.constraints),
            "fields": {each.name: _argument(each) for each in fields},
        }
    ) | ({"default": argument.default} if argument.default is not None else {})


def _model(model: ModelFacts) -> Json:
    return _some(
        {
            "key": model.key,
            "fields": {
                each.name: each.annotation.removesuffix(" | None") + _on_request(each.default)
                for each in model.fields
            },
            "associations": {
                each.name: f"{'list of ' if each.many else ''}{each.model or 'any'}"
                for each in model.associations
            },
            "conditions": {
                each.name: found[1] for each in model.fields if (found := _INCLUDED.search(each.default))
            },
            "values": {each.name: list(each.values) for each in model.fields if each.values},
            "deprecated": [each.name for each in model.fields if each.deprecated],
            "references": {
                each.name: each.ids + (f" in {each.key}" if each.key else "") for each in model.associations
            },
        }
    )


def _on_request(default: str) -> str:
    """Which query parameter has to name a field before the service sends it, as its class attribute says."""
    if "optional" in default:
        return ", on request by optional_fields"
    return ", on request by include" if "include" in default else ""


def _some(facts: Json) -> Json:
    return {
        key: value
        for key, value in facts.items()
        if not any(value is each or value == each for each in _NOTHING)
    }
