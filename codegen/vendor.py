"""Vendor: a published contract in our own words, as `openapi/specification.yaml` holds it.

Facts are kept. A description is replaced by the sentence that the present file has in the same place, if both state the same
facts, and otherwise by a short one made of the facts. Formatting, HTML and the publisher's other text are dropped.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import yaml

from codegen.errors import guarded, parameter_place
from codegen.lower import lower
from codegen.markup import plain
from codegen.names import METHODS
from codegen.prose import (
    DEPRECATED,
    TIMES,
    bulk_limit,
    default_of,
    has_own_rate_limit,
    is_list,
    most,
    read_associations,
    says,
    sent_on_request,
    values_in,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from codegen.nodes import AssociationNode

Json = dict[str, Any]

_ENVELOPE = ("swagger", "host", "basePath", "schemes", "consumes", "produces", "info", "tags")
_LAST = ("securityDefinitions", "definitions", "paths")
_INFO = {
    "version": "1.0.0",
    "title": "Kantata OX API",
    "description": "Facts of the Kantata OX REST API (paths, parameters, bodies, responses), in this project's own words.",
}
_UNUSED = ("description", "schema", "example", "examples", "allowEmptyValue")
"""Keywords that a vendored parameter has elsewhere, or doesn't need."""
_INTRO = "Associations to sideload, comma-separated:"


def vendor(published: Json, present: Json) -> Json:
    """A published contract in our own words.

    Args:
        published: A contract in any dialect, as `codegen.load.load` returns it.
        present: The vendored contract, whose sentences are kept where they fit.

    Returns:
        The contract in Swagger 2.0.

    Raises:
        CodegenError: A part can't be lowered, or an association can't be read.
    """
    lowered, own = lower(published), lower(present)
    document: Json = {"swagger": "2.0", "schemes": ["https"]}
    document |= {key: lowered[key] for key in ("host", "basePath") if key in lowered}
    document |= {"consumes": ["application/json"], "produces": ["application/json"]}
    document["info"] = present.get("info", _INFO)
    document |= {key: present[key] for key in ("securityDefinitions",) if key in present}
    tags = {each.get("name"): each for each in present.get("tags", ())}
    listed = [tags.get(each["name"], {"name": each["name"]}) for each in lowered.get("tags", ())]
    document |= {"tags": listed} if listed else {}
    document["definitions"] = {}
    for name, schema in lowered["definitions"].items():
        with guarded("definitions", name):
            document["definitions"][name] = _schema(schema, own["definitions"].get(name))
    document["paths"] = {
        path: _item(path, item, own["paths"].get(path, {})) for path, item in lowered["paths"].items()
    }
    return {key: document[key] for key in (*_ENVELOPE, *_LAST) if key in document}


def dumped(document: Json) -> str:
    """A vendored contract as YAML."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


_Base = cast("type[yaml.SafeDumper]", getattr(yaml, "CSafeDumper", yaml.SafeDumper))  # libyaml's is faster


class _Dumper(_Base):
    """YAML with several lines as a block, and without aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return cast("Any", dumper).represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _item(path: str, item: Json, own: Json) -> Json:
    found: Json = {}
    for method in METHODS:
        if method in item:
            with guarded("paths", path, method):
                found[method] = _operation(f"{method.upper()} {path}", item[method], own.get(method, {}))
    return found


def _operation(where: str, operation: Json, own: Json) -> Json:
    found: Json = {}
    summary = own.get("summary") or plain(str(operation.get("summary", ""))).split("\n")[0]
    if summary:
        found["summary"] = summary
    if "operationId" in operation or "operationId" in own:
        found["operationId"] = own.get("operationId") or operation["operationId"].strip()
    found |= {key: operation[key] for key in ("tags", "deprecated") if key in operation}
    found |= {
        key: operation[key]
        for key in ("consumes", "produces")
        if key in operation and operation[key] != ["application/json"]
    }
    if text := _description(operation, own):
        found["description"] = text
    known = {(each.get("in"), each.get("name")): each for each in own.get("parameters", ())}
    parameters = [
        _parameter(where, each, known.get((each.get("in"), each.get("name")), {}))
        for each in operation.get("parameters", ())
    ]
    if parameters or "parameters" in operation:
        found["parameters"] = parameters
    found["responses"] = {
        status: _response(response, own.get("responses", {}).get(status, {}))
        for status, response in operation.get("responses", {}).items()
    }
    return found


def _description(operation: Json, own: Json) -> str:
    """What an operation's description states: our sentence, if it states the same."""
    text, ours = plain(operation.get("description") or ""), own.get("description") or ""

    def facts(prose: str) -> tuple[object, ...]:
        return bulk_limit(prose), has_own_rate_limit(prose), says(DEPRECATED, prose)

    if ours and facts(ours) == facts(text):
        return ours
    parts = [
        *(["Has its own rate limit."] if has_own_rate_limit(text) else []),
        *([f"Takes up to {limit} objects in one request."] if (limit := bulk_limit(text)) else []),
        *(["Deprecated."] if says(DEPRECATED, text) and not operation.get("deprecated") else []),
    ]
    return " ".join(parts)


def _response(response: Json, own: Json) -> Json:
    status = own.get("description") or "Success."
    found: Json = {"description": status if "schema" in response or own else own.get("description", "Done.")}
    if "schema" in response:
        found["schema"] = _schema(response["schema"], own.get("schema"))
    return found


def _parameter(where: str, parameter: Json, own: Json) -> Json:
    found = {
        key: value
        for key, value in parameter.items()
        if key not in _UNUSED and not key.startswith("x-") and (key, value) != ("required", False)
    }
    if parameter.get("in") == "query" and parameter.get("name") == "include":
        text = _include(where, parameter, own)
    else:
        text = _sentence(parameter, own)
    order = {key: found[key] for key in ("in", "name", "required") if key in found}
    if text:
        order["description"] = text
    order |= found
    if "schema" in parameter:
        order["schema"] = _schema(parameter["schema"], own.get("schema"))
    return order


def _include(where: str, parameter: Json, own: Json) -> str:
    prose = parameter.get("description") or ""
    ours = own.get("description") or ""

    def facts(entries: tuple[AssociationNode, ...]) -> list[tuple[str, str]]:
        return sorted((each.name, each.type) for each in entries)

    method, _, path = where.partition(" ")
    entries = read_associations(
        where, prose, ("paths", path, method.lower(), "parameters", parameter_place(parameter))
    )
    known = read_associations(where, ours, ()) if ours else ()
    if ours and facts(entries) == facts(known):
        return ours
    notes = {each.name: each for each in known}
    lines = [_INTRO]
    for each in sorted(entries, key=lambda entry: entry.name):
        before = notes.get(each.name)
        field, key = each.field or (before and before.field), each.key or (before and before.key)
        parts = [
            *([f"referenced by `{field}`"] if field else []),
            *([f"found under `{key}`"] if key else []),
        ]
        lines.append(f"- `{each.name}` ({each.type})" + (f" - {', '.join(parts)}." if parts else ""))
    return "\n".join(lines)


def _schema(schema: Any, own: Any, beside: Collection[str] = ()) -> Any:
    """A schema with our sentences.

    Args:
        schema: As published.
        own: The one in the same place of the vendored contract.
        beside: For a property, the names of all properties of its object.
    """
    if not isinstance(schema, dict):
        return schema
    given, ours = cast("Json", schema), cast("Json", own) if isinstance(own, dict) else {}
    found: Json = {}
    for key, value in given.items():
        if key == "properties" and isinstance(value, dict):
            known = cast("Json", ours.get("properties") or {})
            named = cast("Json", value)
            found[key] = {name: _schema(each, known.get(name), named) for name, each in named.items()}
        elif key in ("items", "additionalProperties"):
            found[key] = _schema(value, ours.get(key))
        elif key in ("allOf", "oneOf", "anyOf") and isinstance(value, list):
            found[key] = [_schema(each, None) for each in cast("list[Any]", value)]
        elif key == "title" and isinstance(value, str):
            found[key] = ours.get("title") or plain(value)
        elif key != "description" or not isinstance(value, str):
            found[key] = value
    text = _sentence(given, ours, beside)
    return {**found, "description": text} if text else found


def _sentence(schema: Json, own: Json, beside: Collection[str] = ()) -> str:
    """What a description states of a type, as a sentence of ours."""
    text = plain(schema.get("description") or "") if isinstance(schema.get("description"), str) else ""
    ours = own.get("description") or "" if isinstance(own.get("description"), str) else ""
    if ours and _stated(schema, ours, beside) == _stated(schema, text, beside):
        return ours
    many, limit, values, default, bound, optional, deprecated, times = _stated(schema, text, beside)
    name = str(schema.get("name", "")).replace("_", " ")
    noun = re.sub(r"^(with|by|for|in|not|without) ", "", name)
    parts = [
        *([f"Comma-separated {noun}{f', at most {limit}' * bool(limit)}."] if many else []),
        *([f"At most {limit}."] if limit and not many else []),
        *([f"Valid values: {', '.join(f'`{each}`' for each in values)}."] if values else []),
        *(
            [f"Default: `{json.dumps(default) if not isinstance(default, str) else default}`."]
            if default is not None
            else []
        ),
        *([f"Present only when `include` names `{bound}`."] if bound else []),
        *(["Returned only when named in `optional_fields`."] if optional else []),
        *(["A range of time stamps."] if times else []),
        *(["Deprecated."] if deprecated else []),
    ]
    return " ".join(parts)


def _stated(
    schema: Json, text: str, beside: Collection[str] = ()
) -> tuple[bool, int | None, tuple[str, ...], str | int | bool | None, str | None, bool, bool, bool]:
    """(list, maximum, values, default, association, optional, deprecated, range of times) that a text states of a type."""
    kind, query = schema.get("type"), schema.get("in") == "query"
    item: Json = schema["items"] if isinstance(schema.get("items"), dict) else schema
    free = kind in ("string", "array") and item.get("type") == "string" and "enum" not in item
    values, rest = values_in(text) if free and "format" not in item else ((), text)
    many = query and kind == "string" and "format" not in schema and is_list(str(schema.get("name")), rest)
    limit = most(rest) if many or (query and kind == "array" and "maxItems" not in schema) else None
    default = default_of(item.get("type"), values, text) if query and "default" not in schema else None
    request = None if query else sent_on_request(text, beside)
    named = schema.get("name") in ("only", "ids") or str(schema.get("name")).endswith("_ids")
    return (
        many and not named,
        limit,
        values,
        default,
        request[1] if request and request[0] == "include" else None,
        request is not None and request[0] == "optional_fields",
        says(DEPRECATED, text) and not schema.get("deprecated"),
        query and str(schema.get("name")).endswith("_between") and says(TIMES, text),
    )
