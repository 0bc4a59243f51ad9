"""Dialect: the lowered contract in OpenAPI 3, which openapi-python-client's parser reads."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from codegen.errors import CodegenError, action, parameter_place, reading
from codegen.load import apart
from codegen.lower import FORM, JSON, URLENCODED
from codegen.names import METHODS
from codegen.nodes import COMPONENTS
from codegen.schemas import CONSTRAINTS, mappings

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

_SCHEMA_KEYS = ("type", "format", "items", "enum", "default", "maximum", "maxItems", *CONSTRAINTS)


def to_openapi_3(contract: Json) -> Json:
    """Convert a lowered contract to OpenAPI 3.0.

    Args:
        contract: A contract in Swagger 2.0, as `codegen.resolve.resolve` returns it; not changed.

    Returns:
        `info`, `servers`, `paths` and `components`; the parameters of a path are given to each of its operations.

    Raises:
        CodegenError: A parameter is sent in a place that methods have no argument for.
    """
    document = apart(
        {
            "openapi": "3.0.3",
            "info": contract["info"],
            "servers": [{"url": f"https://{contract.get('host', '')}{contract.get('basePath', '')}"}],
            "paths": {
                path: {
                    method: _operation_from_swagger(method, path, operation, contract)
                    for method, operation in _spread_path_parameters(item).items()
                }
                for path, item in contract["paths"].items()
            },
            "components": {"schemas": contract.get("definitions", {})},
        }
    )
    for each in mappings(document):
        if isinstance(each.get("$ref"), str):
            each["$ref"] = each["$ref"].replace("#/definitions/", COMPONENTS)
    return document


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Each operation as (upper-case method, path, operation), in the document's order."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def _spread_path_parameters(item: Json) -> Json:
    shared = item.get("parameters", [])
    spread: Json = {}
    for method in METHODS:
        if method in item:
            operation = dict(item[method])
            own = {(each.get("in"), each.get("name")) for each in operation.get("parameters", [])}
            operation["parameters"] = [
                *operation.get("parameters", []),
                *(each for each in shared if (each.get("in"), each.get("name")) not in own),
            ]
            spread[method] = operation
    return spread


def _operation_from_swagger(method: str, path: str, operation: Json, contract: Json) -> Json:
    with reading("paths", path, method):
        if not path.startswith("/") or "//" in path:
            msg = (
                f"{method.upper()} {path}: a path must begin with one slash, and its words must not be empty"
            )
            raise CodegenError(msg)
        return _converted(f"{method.upper()} {path}", operation, contract)


def _converted(where: str, operation: Json, contract: Json) -> Json:
    converted: Json = {
        key: operation[key]
        for key in ("summary", "description", "operationId", "tags", "deprecated")
        if key in operation
    }
    parameters: list[Json] = []
    form: Json = {"type": "object", "properties": {}}
    body: Json | None = None
    required = False
    consumes = operation.get("consumes") or contract.get("consumes") or ["application/json"]
    for parameter in operation.get("parameters", []):
        place = parameter["in"]
        if place == "body":
            body = parameter["schema"]
            required = parameter.get("required", False)
        elif place == "formData":
            schema = _parameter_schema(parameter)
            if schema.get("type") == "file":
                schema |= {"type": "string", "format": "binary"}
            schema["description"] = parameter.get("description", "")
            if parameter.get("deprecated") is True:
                schema["deprecated"] = True
            form["properties"][parameter["name"]] = schema
            if parameter.get("required"):
                form.setdefault("required", []).append(parameter["name"])
        elif place in ("query", "path"):
            moved: Json = {
                key: parameter[key]
                for key in ("name", "in", "description", "required", "deprecated")
                if key in parameter
            }
            parameters.append({**moved, "schema": _parameter_schema(parameter)})
        else:
            msg = (
                f"{where}: parameter {parameter['name']!r} is in {place!r}, which methods have no argument for: "
                "remove it in overrides/overlay.yaml, or teach codegen/dialect.py"
            )
            method, path = where.split(" ", 1)
            at = ("paths", path, method.lower(), "parameters", parameter_place(parameter))
            proposal = action(
                at, f"methods can't send it in {place!r}; does the service need it?", remove=True
            )
            raise CodegenError(msg, at, proposals=[proposal])
    declared = [each["in"] for each in operation.get("parameters", []) if each["in"] in ("body", "formData")]
    if "body" in declared and len(declared) > 1:
        msg = f"{where}: it has two bodies, or a body beside a form: leave one in overrides/overlay.yaml"
        raise CodegenError(msg)
    if consumes[0] == URLENCODED and (body is not None or form["properties"]):
        raise _urlencoded(where, operation, JSON if body is not None else FORM)
    if body is not None:
        converted["requestBody"] = {"required": required, "content": {consumes[0]: {"schema": body}}}
    elif form["properties"]:
        converted["requestBody"] = {
            "required": "required" in form,
            "content": {FORM: {"schema": form}},
        }
    converted["parameters"], converted["responses"] = parameters, {}
    produces = operation.get("produces") or contract.get("produces") or ["application/json"]
    for status, response in operation["responses"].items():
        answer: Json = {"description": response.get("description", "")}
        if "schema" in response:
            answer["content"] = {produces[0]: {"schema": response["schema"]}}
        converted["responses"][status] = answer
    return converted


def _urlencoded(where: str, operation: Json, instead: str) -> CodegenError:
    """The refusal of a form that the client does not send, with a proposal to send another one."""
    msg = (
        f"{where}: its body is `{URLENCODED}`, which the client does not send: declare {instead} in overrides/overlay.yaml, "
        "if the service takes that too"
    )
    method, path = where.split(" ", 1)
    at, reason = ("paths", path, method.lower()), f"does the service take {instead} too?"
    if "consumes" in operation:
        at = (*at, "consumes")
        proposal = action(at, reason, x_was=operation["consumes"], x_replace=[instead])
    else:
        proposal = action(at, reason, update={"consumes": [instead]})
    return CodegenError(msg, at, proposals=[proposal])


def _parameter_schema(parameter: Json) -> Json:
    return {key: copy.deepcopy(parameter[key]) for key in _SCHEMA_KEYS if key in parameter}
