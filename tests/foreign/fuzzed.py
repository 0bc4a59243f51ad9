"""The contract as schemathesis gets it: any field of an answer may be null, and any operation may answer 501.

`python -m tests.foreign.fuzzed FILE` writes it.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

from tests.contract.contract import METHODS, contract
from tests.foreign.narrowed import demo, narrow

CSV = "/project_accounting_records/export_to_csv"
"""The path of an operation that the contract declares as JSON, and the documentation as a CSV file."""


def document() -> dict[str, Any]:
    """The corrected contract, as the sandbox promises to keep it."""
    made = copy.deepcopy(contract())
    made.pop("produces", None)
    for definition in made["definitions"].values():
        _nullable(definition)
    store = demo()
    for path, item in made["paths"].items():
        for method in METHODS:
            if method in item:
                narrow(f"{method.upper()} {path}", item[method], store)
            responses = item.get(method, {}).get("responses", {})
            for response in responses.values():
                if "schema" in response:
                    _nullable(response["schema"])
            if responses and "204" not in responses:  # an answer without content has no type
                item[method]["produces"] = ["application/json"]
            if responses:
                responses["501"] = {"description": "The sandbox does not emulate it."}
    made["paths"][CSV]["get"]["produces"] = ["text/csv", "application/json"]
    return made


def _nullable(schema: dict[str, Any]) -> None:
    """Let the properties below a schema be null: the contract says of none that it may, and any may."""
    for inner in [
        *schema.get("properties", {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]:
        if isinstance(inner, dict):
            inner["x-nullable"] = True
            _nullable(inner)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(document()), encoding="utf-8")
