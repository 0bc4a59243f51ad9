"""Conversions of our contract: OpenAPI 3.0 as converters write it, and 3.1 with null in every type."""

from __future__ import annotations

import copy
import json
from typing import Any

Json = dict[str, Any]

_IN_SCHEMA = ("type", "format", "items", "enum", "default", "maximum", "minimum", "maxItems")


def openapi_3_0(contract: Json) -> Json:
    """OpenAPI 3.0; `::` is not allowed in names of components, so it becomes `_`."""
    document: Json = {
        "openapi": "3.0.3",
        "info": contract["info"],
        "servers": [{"url": f"https://{contract['host']}{contract['basePath']}"}],
        "components": {
            "schemas": {_name(name): _schema(each) for name, each in contract["definitions"].items()}
        },
        "paths": {
            path: {method: _operation(each) for method, each in item.items()}
            for path, item in contract["paths"].items()
        },
    }
    document["components"]["requestBodies"] = shared = {}
    for path, item in document["paths"].items():  # converters share bodies, even if the publisher did not
        if "put" in item and "requestBody" in item["put"] and path.startswith("/s"):
            name = path.strip("/").replace("/", "_").replace("{", "").replace("}", "")
            shared[name] = item["put"]["requestBody"]
            item["put"]["requestBody"] = {"$ref": f"#/components/requestBodies/{name}"}
    return document


def openapi_3_1(contract: Json) -> Json:
    """OpenAPI 3.1, where every type may be null and a reference is one of two."""
    document = openapi_3_0(contract)
    document["openapi"] = "3.1.0"
    _nullable(document["components"]["schemas"], names=True)
    _nullable(document["paths"], names=False)
    return json.loads(json.dumps(document, sort_keys=True))


def _name(definition: str) -> str:
    return definition.replace("::", "_")


def _schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        return {"$ref": "#/components/schemas/" + _name(schema["$ref"].removeprefix("#/definitions/"))}
    return {key: _schema(value) for key, value in schema.items()}


def _operation(operation: Json) -> Json:
    found = copy.deepcopy(
        {key: value for key, value in operation.items() if key not in ("consumes", "produces")}
    )
    found["parameters"] = [
        _parameter(each) for each in operation.get("parameters", ()) if each["in"] != "body"
    ]
    for each in operation.get("parameters", ()):
        if each["in"] == "body":
            content = {"application/json": {"schema": _schema(each["schema"])}}
            found["requestBody"] = {"required": each.get("required", False), "content": content}
    for status, response in operation["responses"].items():
        found["responses"][status] = {"description": response.get("description", "")}
        if "schema" in response:
            schema = {"schema": _schema(response["schema"])}
            found["responses"][status]["content"] = {"text/plain": {}, "application/json": schema}
    return found


def _parameter(parameter: Json) -> Json:
    found = {key: value for key, value in parameter.items() if key not in _IN_SCHEMA}
    found["schema"] = {key: copy.deepcopy(parameter[key]) for key in _IN_SCHEMA if key in parameter}
    if parameter["type"] == "array":
        found |= {"style": "form", "explode": False}
    return found


def _nullable(node: Any, *, names: bool) -> None:
    if isinstance(node, list):
        for each in node:
            _nullable(each, names=False)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if (
            not names
            and isinstance(value, dict)
            and "$ref" in value
            and key in ("items", "additionalProperties")
        ):
            node[key] = {"anyOf": [value, {"type": "null"}]}
        else:
            _nullable(value, names=not names and key == "properties")
    if not names and isinstance(node.get("type"), str) and "in" not in node:
        node["type"] = [node["type"], "null"]
