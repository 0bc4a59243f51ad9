"""Lower: convert a contract of any dialect to Swagger 2.0, which the overlay and the modules after it read.

From OpenAPI 3.0 and 3.1, shared parts are inlined, bodies become parameters, and schemas lose what Swagger 2.0 can't express
and generated code does not need (`nullable`: every field may be null anyway).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from codegen.errors import CodegenError, guarded, reading
from codegen.load import apart, follow
from codegen.names import METHODS
from codegen.schemas import BESIDE, CONSTRAINTS
from kantata_client._http.transport import BASE_URL

Json = dict[str, Any]

JSON = "application/json"
FORM = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"

_KEPT = ("type", "format", "items", "enum", "default", "maximum", "maxItems", *CONSTRAINTS)
"""What a schema says that a Swagger 2.0 parameter says itself."""
_STYLES = {"form": "csv", "simple": "csv", "spaceDelimited": "ssv", "pipeDelimited": "pipes"}
_DROPPED = frozenset(
    {"nullable", "x-nullable", "examples", "example", "$schema", "$id", "$comment", "xml", "externalDocs"}
    | {"writeOnly", "contentEncoding", "contentMediaType"}
)
_FORMATS = frozenset({"date", "date-time", "binary", "int32", "int64", "float", "double"})
"""Formats that change a type; the others, such as `uuid`, are text all the same."""
_NAMED = frozenset({"properties", "patternProperties", "definitions"})
_NAMESPACE = re.compile(r"(?<=[A-Za-z0-9])(?:__|[._-]+)(?=[A-Z])")


def lower(contract: Json) -> Json:
    """The same contract in Swagger 2.0.

    Args:
        contract: A document as `codegen.load.load` returns it; not changed.

    Raises:
        CodegenError: Something has no equivalent; the message names the operation or definition, and the way out.
    """
    if not isinstance(contract.get("paths"), dict):
        msg = f"`paths` must be a mapping, got {contract.get('paths')!r}"
        raise CodegenError(msg, ("paths",))
    lowered = _swagger(contract) if "swagger" in contract else _Lowering(contract).lowered()
    with reading("the contract"):
        return _ordered(lowered)


def _ordered(contract: Json) -> Json:
    """Sort paths and definitions by name, so that the publisher's order does not matter."""
    contract["definitions"] = {
        name: contract["definitions"][name] for name in sorted(contract["definitions"])
    }
    paths: Json = {}
    for path in sorted(contract["paths"]):
        item = contract["paths"][path]
        if isinstance(item, dict):
            found = cast("Json", item)
            item = {key: found[key] for key in (*METHODS, *found) if key in found}
        paths[path] = item
    return contract | {"paths": paths}


def check_address(contract: Json) -> None:
    """Refuse a contract for another address than the client's.

    Raises:
        CodegenError: Host or base path differ from `kantata_client`'s default base URL.
    """
    place: tuple[str, ...]
    if "swagger" in contract:
        place = ("host",) if "host" in contract else ("basePath",)
        host, base = contract.get("host"), contract.get("basePath")
    else:
        servers: Any = contract.get("servers")
        first: Any = cast("list[Any]", servers)[0] if isinstance(servers, list) and servers else {}
        url = urlsplit(str(cast("Json", first).get("url", "")) if isinstance(first, dict) else "")
        place, host, base = ("servers",), url.netloc or None, url.path or None
    expected = urlsplit(BASE_URL)
    if host not in (None, expected.netloc) or (base or expected.path).rstrip("/") != expected.path.rstrip(
        "/"
    ):
        msg = (
            f"the contract is for {host or ''}{base or ''}, but the client calls {BASE_URL} by default: change `BASE_URL` "
            "in kantata_client if the service has moved, or take the contract of the right service"
        )
        raise CodegenError(msg, place)


def _swagger(contract: Json) -> Json:
    lowered: Json = apart(contract)
    with reading("definitions"):
        lowered["definitions"] = {
            name: schema_of(schema, top=True) for name, schema in lowered.get("definitions", {}).items()
        }
    with reading("parameters"):
        shared: Json = lowered.get("parameters") or {}
        _tidy({"parameters": list(shared.values())}, {})
    with reading("responses"):
        _tidy({"responses": lowered.get("responses")}, {})
    for path, item in lowered["paths"].items():
        for method in METHODS:
            if isinstance(item, dict) and isinstance(cast("Json", item).get(method), dict):
                with guarded("paths", path, method):
                    _tidy(cast("Json", item)[method], lowered)
    return lowered


def _tidy(operation: Json, contract: Json) -> None:
    """The same for one operation of a Swagger 2.0 contract, in place: one media type, schemas without extras."""
    for parameter in operation.get("parameters") or ():
        if isinstance(parameter, dict) and "schema" in parameter:
            parameter["schema"] = schema_of(parameter["schema"])
        elif isinstance(parameter, dict) and isinstance(cast("Json", parameter).get("name"), str):
            plain = schema_of({key: parameter[key] for key in _KEPT if key in parameter})
            for key in _KEPT:
                cast("Json", parameter).pop(key, None)
            parameter |= plain
    responses: Json = operation.get("responses") or {}
    produces: list[str] = operation.get("produces") or contract.get("produces") or [JSON]
    text = chosen(produces) != JSON
    for response in responses.values():
        if isinstance(response, dict) and "schema" in response:
            response["schema"] = {"type": "file"} if text else schema_of(cast("Json", response)["schema"])
    consumes = operation.get("consumes") or contract.get("consumes")
    if isinstance(consumes, list) and (len(cast("list[Any]", consumes)) > 1 or operation.get("consumes")):
        listed: Any = operation.get("parameters") or ()
        form = any(isinstance(each, dict) and cast("Json", each).get("in") == "formData" for each in listed)
        operation["consumes"] = [chosen(cast("list[str]", consumes), form=form)]


def chosen(medias: list[str], *, form: bool = False) -> str:
    """The media type that the client can send or read, of several.

    Args:
        medias: As declared.
        form: Whether the body is declared as a form, so that a form is preferred.

    Returns:
        `application/json`, `multipart/form-data`, or what else is declared first.
    """
    plain = {media: media.partition(";")[0].strip().lower() for media in medias}
    json = [media for media, bare in plain.items() if is_json(bare)]
    forms = [media for media, bare in plain.items() if bare == FORM]
    for found, canonical in ((forms, FORM), (json, JSON)) if form else ((json, JSON), (forms, FORM)):
        if found:
            return canonical
    return next(iter(plain.values()), JSON)


def is_json(media: str) -> bool:
    """Whether a media type is JSON: `application/json`, `text/json`, or a vendor's own such as `application/vnd.x+json`."""
    return media in (JSON, "text/json", "*/*") or media.endswith("+json")


def schema_of(schema: Any, *, top: bool = False) -> Any:
    """A schema without `nullable`, `null` and `const`, and with one type at most.

    Args:
        schema: In any dialect.
        top: Whether it is a definition itself, which is never replaced by what it refers to.
    """
    if isinstance(schema, bool):
        return {}
    if not isinstance(schema, dict):
        return schema
    found: Json = {}
    if (
        "contentMediaType" in schema or "contentEncoding" in schema
    ):  # 3.1 says so where 3.0 says `format: binary`
        found["format"] = "binary"
    for key, value in cast("Json", schema).items():
        if key in _NAMED and isinstance(value, dict):
            found[key] = {name: schema_of(value[name]) for name in sorted(cast("Json", value))}
        elif key == "items" or (key in ("additionalProperties", "not") and isinstance(value, dict)):
            found[key] = schema_of(value)
        elif key in ("allOf", "oneOf", "anyOf") and isinstance(value, list):
            found[key] = [schema_of(each) for each in cast("list[Any]", value)]
        elif key == "const":
            found["enum"] = [value]
        elif key == "format" and value not in _FORMATS:
            continue
        elif key not in _DROPPED and not key.startswith("x-"):
            found[key] = value
    _one_type(found)
    _flagged(found)
    return found if top else _collapsed(found)


def _one_type(schema: Json) -> None:
    declared = schema.get("type")
    if isinstance(declared, list):
        kinds = [each for each in cast("list[Any]", declared) if each != "null"]
        if len(kinds) == 1:
            schema["type"] = kinds[0]
        else:
            del schema["type"]  # any JSON: what can be several things has no one annotation
    if isinstance(schema.get("enum"), list):
        values = [each for each in cast("list[Any]", schema["enum"]) if each is not None]
        if values:
            schema["enum"] = values


def _flagged(schema: Json) -> None:
    """`exclusiveMaximum: 10`, as 3.1 has it, as a maximum and a flag, in place."""
    for bound, flag, stricter in (("maximum", "exclusiveMaximum", min), ("minimum", "exclusiveMinimum", max)):
        excluded, included = schema.get(flag), schema.get(bound)
        if not isinstance(excluded, int | float) or isinstance(excluded, bool):
            continue
        if not isinstance(included, int | float) or stricter(excluded, included) == excluded:
            schema |= {bound: excluded, flag: True}
        else:
            del schema[flag]


def _collapsed(schema: Json) -> Json:
    """`anyOf: [X, null]` as X, and a reference alone in `allOf` as the reference."""
    for key in ("oneOf", "anyOf", "allOf"):
        parts: Any = schema.get(key)
        if not isinstance(parts, list):
            continue
        every = cast("list[Any]", parts)
        real = [each for each in every if not _is_null(each)]
        if len(real) < len(every) or (key == "allOf" and len(real) == 1 and "$ref" in real[0]):
            rest = {name: value for name, value in schema.items() if name != key}
            if len(real) == 1 and isinstance(real[0], dict) and rest.keys() <= {"title", "type", *BESIDE}:
                said = {name: rest[name] for name in BESIDE if name in rest}
                return {**cast("Json", real[0]), **said}
            schema[key] = real
    return schema


def _is_null(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    found = cast("Json", schema)
    return found.get("type") == "null" or found.get("enum") == [None]


class _Lowering:
    """One contract in OpenAPI 3.x."""

    def __init__(self, contract: Json) -> None:
        self._contract = contract
        components: Any = contract.get("components")
        schemas: Any = cast("Json", components).get("schemas") if isinstance(components, dict) else None
        self._schemas = cast("Json", schemas) if isinstance(schemas, dict) else {}
        self._names = {name: _NAMESPACE.sub("::", name) for name in self._schemas}

    def lowered(self) -> Json:
        contract = self._contract
        document: Json = {"swagger": "2.0", **self._address()}
        document |= {key: contract[key] for key in ("info", "tags") if key in contract}
        document |= {"consumes": [JSON], "produces": [JSON]}
        document["definitions"] = {}
        for name, schema in self._schemas.items():
            with guarded("definitions", name):
                document["definitions"][self._names[name]] = self._referring(schema_of(schema, top=True))
        document["paths"] = {}
        for path, item in contract["paths"].items():
            with guarded("paths", path):
                document["paths"][path] = self._item(path, self._part(item))
        return document

    def _address(self) -> Json:
        servers: Any = self._contract.get("servers")
        if not isinstance(servers, list) or not servers:
            return {}
        found: Any = cast("list[Any]", servers)[0]
        url = str(cast("Json", found).get("url", "")) if isinstance(found, dict) else ""
        parts = urlsplit(url)
        address: Json = {"host": parts.netloc} if parts.netloc else {}
        return address | {"basePath": parts.path or "/", "schemes": [parts.scheme or "https"]}

    def _part(self, node: Any) -> Any:
        """The target of a reference, unless that is a schema."""
        seen: set[str] = set()
        while isinstance(node, dict) and isinstance(target := cast("Json", node).get("$ref"), str):
            if target in seen or "/schemas/" in target:
                return cast("Json", node)
            seen.add(target)
            node = follow(self._contract, target)
        return cast("Any", node)

    def _item(self, path: str, item: Any) -> Any:
        if not isinstance(item, dict):
            return item
        found: Json = {}
        for key, value in cast("Json", item).items():
            if key == "parameters":
                found[key] = self._parameters(value)
            elif key in METHODS:
                with guarded("paths", path, key):
                    found[key] = self._operation(f"{key.upper()} {path}", self._part(value))
            elif key not in ("servers", "summary", "description"):
                found[key] = value
        return found

    def _operation(self, where: str, operation: Any) -> Any:
        if not isinstance(operation, dict):
            return operation
        declared = cast("Json", operation)
        found: Json = {
            key: declared[key]
            for key in ("summary", "description", "operationId", "tags", "deprecated")
            if key in declared
        }
        found["parameters"] = self._parameters(declared.get("parameters", []))
        if "requestBody" in declared and isinstance(found["parameters"], list):
            media, parameters = self._body(where, self._part(declared["requestBody"]))
            cast("list[Any]", found["parameters"]).extend(parameters)
            if media != JSON:
                found["consumes"] = [media]
        responses: Any = declared.get("responses")
        if isinstance(responses, dict):
            found["responses"] = {
                str(status): self._response(self._part(response))
                for status, response in cast("Json", responses).items()
            }
        return found

    def _parameters(self, listed: Any) -> Any:
        if not isinstance(listed, list):
            return listed
        return [self._parameter(self._part(each)) for each in cast("list[Any]", listed)]

    def _parameter(self, parameter: Any) -> Any:
        if not isinstance(parameter, dict):
            return parameter
        declared = cast("Json", parameter)
        found: Json = {
            key: value
            for key, value in declared.items()
            if key in ("name", "in", "description", "required", "deprecated")
        }
        name, schema = declared.get("name"), declared.get("schema")
        if "content" in declared:
            msg = f"parameter {name!r} is sent as a document (`content`), which no argument can be: give it a `schema`"
            raise CodegenError(msg)
        if schema is None:
            return found
        lowered = self._schema(self._inlined(schema, ()))
        if not isinstance(lowered, dict):
            return {**found, "schema": lowered}
        flat = cast("Json", lowered)
        found |= {key: flat[key] for key in _KEPT if key in flat}
        if "type" not in found and found.get("enum"):
            found["type"] = "string" if isinstance(found["enum"][0], str) else "integer"
        if flat.get("deprecated") is True:
            found["deprecated"] = True
        if not found.get("description") and isinstance(flat.get("description"), str):
            found["description"] = flat["description"]
        if found.get("type") == "array":
            style = declared.get("style", "form")
            exploded = declared.get("explode") is True and style == "form"
            separator = "multi" if exploded else _STYLES.get(str(style), str(style))
            if separator != "csv":
                found["collectionFormat"] = separator
        return found

    def _body(self, where: str, body: Any) -> tuple[str, list[Json]]:
        """(media type, parameters) of a request's body."""
        content: Any = cast("Json", body).get("content") if isinstance(body, dict) else None
        if not isinstance(content, dict) or not content:
            msg = f"{where}: its body has no `content`: declare a media type and a schema"
            raise CodegenError(msg)
        forms = cast("Json", content)
        media = chosen(list(forms))
        found = next(
            (form for name, form in forms.items() if chosen([name]) == media), next(iter(forms.values()))
        )
        schema: Any = cast("Json", found).get("schema", {}) if isinstance(found, dict) else found
        required = bool(cast("Json", body).get("required", False))
        said: Json = (
            {"description": cast("Json", body)["description"]}
            if cast("Json", body).get("description")
            else {}
        )
        if media not in (FORM, URLENCODED):
            lowered = self._schema(schema)
            return media, [{"in": "body", "name": "body", "required": required, **said, "schema": lowered}]
        return media, self._form(where, self._schema(self._inlined(schema, ())))

    def _form(self, where: str, schema: Any) -> list[Json]:
        properties: Any = cast("Json", schema).get("properties") if isinstance(schema, dict) else None
        if not isinstance(properties, dict) or not properties:
            msg = f"{where}: its form has no properties"
            raise CodegenError(msg)
        needed: Any = cast("Json", schema).get("required", [])
        parameters: list[Json] = []
        for name, value in cast("Json", properties).items():
            fields: Json = {"in": "formData", "name": name}
            if name in needed:
                fields["required"] = True
            flat = cast("Json", value)
            fields |= {key: flat[key] for key in ("description", "deprecated", *_KEPT) if key in flat}
            if flat.get("format") == "binary" or flat.get("type") is None:
                fields.pop("format", None)
                fields["type"] = "file"
            parameters.append(fields)
        return parameters

    def _response(self, response: Any) -> Any:
        if not isinstance(response, dict):
            return response
        declared = cast("Json", response)
        found: Json = {"description": declared.get("description", "")}
        content: Any = declared.get("content")
        if isinstance(content, dict) and content:
            forms = cast("Json", content)
            media = chosen(list(forms))
            form = next((form for name, form in forms.items() if chosen([name]) == media), None)
            if media != JSON:
                found["schema"] = {"type": "file"}
            elif isinstance(form, dict) and "schema" in form:
                found["schema"] = self._schema(cast("Json", form)["schema"])
        return found

    def _inlined(self, schema: Any, seen: tuple[str, ...]) -> Any:
        """A schema with its references inlined, for parameters and forms."""
        if isinstance(schema, list):
            return [self._inlined(each, seen) for each in cast("list[Any]", schema)]
        if not isinstance(schema, Mapping):
            return schema
        found = cast("Json", schema)
        target = found.get("$ref")
        if isinstance(target, str):
            if target in seen:
                msg = f"{target} contains itself, which an argument can't"
                raise CodegenError(msg)
            said = {key: value for key, value in found.items() if key in BESIDE}
            inner: Any = self._inlined(follow(self._contract, target), (*seen, target))
            return {**cast("Json", inner), **said} if isinstance(inner, dict) else inner
        return {key: self._inlined(value, seen) for key, value in found.items()}

    def _schema(self, schema: Any) -> Any:
        """A schema, and its references, in Swagger 2.0."""
        return self._referring(schema_of(schema))

    def _referring(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._referring(each) for each in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        found = cast("Json", node)
        target = found.get("$ref")
        if isinstance(target, str) and target.startswith("#/components/schemas/"):
            name = unquote(target.removeprefix("#/components/schemas/")).replace("~1", "/").replace("~0", "~")
            said = {key: value for key, value in found.items() if key in BESIDE}
            return {"$ref": f"#/definitions/{self._names.get(name, name)}", **said}
        return {key: self._referring(value) for key, value in found.items()}
