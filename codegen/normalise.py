"""Normalise: the corrected contract as one regular OpenAPI 3 document that a generator can take literally.

Swagger 2.0 becomes OpenAPI 3, names become Python's, prose that states a type becomes that type, each inline object gets a
name, every field of a response may be missing or null, and the envelope around every answer is described once, as data
(`x-result`, `x-envelope`, `x-associations`), instead of by one response class for each operation.
"""

from __future__ import annotations

import copy
import json
import keyword
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from codegen import names
from codegen.errors import CodegenError, reading
from codegen.load import apart
from codegen.names import METHODS
from kantata_client._resources.base import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codegen.semantics import Semantics

Json = dict[str, Any]

ENVELOPE = frozenset({"count", "results"})
_BOOKKEEPING = frozenset({"count", "meta", "results"})
_SCHEMA_KEYS = ("type", "format", "items", "enum", "default", "maximum", "minimum", "maxItems")
_REF = "#/components/schemas/"

_VALID_VALUES = re.compile(r"Valid values: ((?:`[^`]+`[^`.;]*)+)")
_COMMA_SEPARATED = re.compile(
    r"^(?:Csv|Comma-separated)\b(?! file| geography)|\bcsv or array\b|\bcsv in URL\b", re.IGNORECASE
)
_AT_MOST = re.compile(r"\b(?:at most|max) (\d+)\b")
_ASSOCIATION = re.compile(
    r"^- `(?P<name>\w+)` \((?P<type>[\w:]+)\)(?: - (?P<text>.*))?$",
)
_REFERENCED_BY = re.compile(r"^referenced by `(\w+)`")
_FOUND_UNDER = re.compile(r"\bfound under `(\w+)`")


def normalise(contract: Json, semantics: Semantics) -> Json:
    """A regular OpenAPI 3 document of the contract.

    Args:
        contract: The corrected contract as `codegen.resolve.resolve` returns it; not changed.
        semantics: What people know of it besides.

    Raises:
        CodegenError: Something can't be expressed; the message names the operation, parameter or definition.
    """
    document = to_openapi_3(contract)
    _inline(document)
    _name_definitions(document)
    _name_operations(document, semantics)
    _read_prose(document)
    _name_inline_bodies(document)
    _describe_results(document, semantics)
    _relax_responses(document)
    return document


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Each operation as (upper-case method, path, operation), in the document's order."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


# --- Swagger 2.0 → OpenAPI 3 ---------------------------------------------------------------------------------------


def to_openapi_3(contract: Json) -> Json:
    """The same contract in OpenAPI 3.0's words; an OpenAPI 3.x contract is only copied.

    Every operation asks for authorization, which the published contract declares and applies to none.
    """
    document: Json
    if "openapi" in contract:
        document = apart(contract)
        document.setdefault("components", {}).setdefault("schemas", {})
        for path, item in document["paths"].items():
            document["paths"][path] = apart(_spread_path_parameters(item))
    else:
        document = {
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
            "components": {"schemas": copy.deepcopy(contract.get("definitions", {}))},
        }
        document = apart(document)
        _rewrite_refs(document)
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    return document


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
        return _converted(f"{method.upper()} {path}", operation, contract)


def _converted(where: str, operation: Json, contract: Json) -> Json:
    converted: Json = {
        key: operation[key] for key in ("summary", "description", "operationId", "tags") if key in operation
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
            form["properties"][parameter["name"]] = schema
            if parameter.get("required"):
                form.setdefault("required", []).append(parameter["name"])
        elif place in ("query", "path"):
            moved: Json = {
                key: parameter[key] for key in ("name", "in", "description", "required") if key in parameter
            }
            parameters.append({**moved, "schema": _parameter_schema(parameter)})
        else:
            msg = (
                f"{where}: parameter {parameter['name']!r} is in {place!r}, which methods have no argument for: "
                "remove it in overrides/overlay.yaml, or teach codegen/normalise.py"
            )
            raise CodegenError(msg)
    if body is not None:
        converted["requestBody"] = {"required": required, "content": {consumes[0]: {"schema": body}}}
    elif form["properties"]:
        converted["requestBody"] = {
            "required": "required" in form,
            "content": {"multipart/form-data": {"schema": form}},
        }
    converted["parameters"], converted["responses"] = parameters, {}
    produces = operation.get("produces") or contract.get("produces") or ["application/json"]
    for status, response in operation["responses"].items():
        answer: Json = {"description": response.get("description", "")}
        if "schema" in response:
            answer["content"] = {produces[0]: {"schema": response["schema"]}}
        converted["responses"][status] = answer
    return converted


def _parameter_schema(parameter: Json) -> Json:
    return {key: copy.deepcopy(parameter[key]) for key in _SCHEMA_KEYS if key in parameter}


def _rewrite_refs(node: Any) -> None:
    for each in _objects(node):
        if isinstance(each.get("$ref"), str):
            each["$ref"] = each["$ref"].replace("#/definitions/", _REF)


def _objects(node: Any) -> Iterator[Json]:
    """Every object in a document, the outer ones first."""
    if isinstance(node, dict):
        yield cast("Json", node)
        for value in cast("Json", node).values():
            yield from _objects(value)
    elif isinstance(node, list):
        for value in cast("list[Any]", node):
            yield from _objects(value)


# --- references ----------------------------------------------------------------------------------------------------


def _inline(document: Json) -> None:
    """Put in the place of a `$ref` what becomes no class: envelopes, arrays, maps, texts, and all that bodies use."""
    schemas: Json = document["components"]["schemas"]
    plain = {name: schema for name, schema in schemas.items() if _becomes_no_class(schema)}
    for method, path, operation in operations(document):
        with reading("paths", path, method.lower()):
            if "requestBody" in operation:
                operation["requestBody"] = _inlined(operation["requestBody"], schemas, ())
            operation["parameters"] = _inlined(operation["parameters"], schemas, ())
            operation["responses"] = _inlined(operation["responses"], plain, ())
    for name in [each for each in schemas if each not in plain]:
        with reading("definitions", name):
            schemas[name] = _inlined(schemas[name], plain, ())
    for name in plain:
        del schemas[name]


def _becomes_no_class(schema: Json) -> bool:
    properties: Json = schema.get("properties", {})
    return (
        "$ref" in schema
        or schema.get("type", "object") != "object"
        or properties.keys() >= ENVELOPE
        or (not properties and isinstance(schema.get("additionalProperties"), dict))
    )


def _inlined(node: Any, schemas: Json, inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inlined(each, schemas, inside) for each in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    found = cast("Json", node)
    reference = found.get("$ref")
    name = reference.removeprefix(_REF) if isinstance(reference, str) else None
    if name not in schemas:
        return {key: _inlined(value, schemas, inside) for key, value in found.items()}
    if name in inside:
        msg = (
            f"definition {name} holds itself, which an argument can't: take it out in overrides/overlay.yaml"
        )
        raise CodegenError(msg)
    said = {key: value for key, value in found.items() if key == "description"}
    return {**_inlined(apart(schemas[name]), schemas, (*inside, name)), **said}


# --- names ---------------------------------------------------------------------------------------------------------


def _name_definitions(document: Json) -> None:
    """Give every definition its class name, and drop the titles: the generator would prefer them, and they collide."""
    schemas: Json = document["components"]["schemas"]
    renamed = {name: names.class_name(name) for name in schemas}
    for name, times in Counter(renamed.values()).items():
        if times > 1:
            clashing = sorted(old for old, new in renamed.items() if new == name)
            msg = f"definitions {', '.join(clashing)} would all be the class {name}: tell them apart in codegen/names.py"
            raise CodegenError(msg)
    document["components"]["schemas"] = {renamed[name]: schema for name, schema in schemas.items()}

    for each in _objects([document["components"]["schemas"], document["paths"]]):
        if isinstance(reference := each.get("$ref"), str) and reference.startswith(_REF):
            old = reference.removeprefix(_REF)
            if old not in renamed:
                msg = f"a reference points to definition {old!r}, which does not exist"
                raise CodegenError(msg)
            each["$ref"] = _REF + renamed[old]
        if isinstance(each.get("title"), str) and "type" in each:
            del each["title"]
    document["x-class-names"] = renamed


def _name_operations(document: Json, semantics: Semantics) -> None:
    collections = names.find_collections(document["paths"])
    taken: dict[tuple[str, str], str] = {}
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        with reading("paths", path, method.lower()):
            resource, name = _named(
                where, names.resource_and_method(method.lower(), path, collections), semantics
            )
            places = Counter(parameter["name"] for parameter in operation["parameters"])
            if twice := [each for each, times in places.items() if times > 1]:
                msg = f"{where}: parameter {twice[0]!r} is declared in two places; correct it in overrides/overlay.yaml"
                raise CodegenError(msg)
            if (resource, name) in taken:
                both = f"{where} and {taken[resource, name]}"
                msg = f"{both} would both be {resource}.{name}: name one in overrides/semantics.yaml"
                raise CodegenError(msg)
            taken[resource, name] = where
            operation["x-tags"] = operation.get("tags", [])
            operation["x-resource"], operation["x-name"] = resource, name
            operation["tags"] = [resource]
            operation["operationId"] = f"{resource}__{name}"


def _named(where: str, by_rule: tuple[str, str], semantics: Semantics) -> tuple[str, str]:
    """The resource and the method of an operation; `names` gives the method, or both."""
    given = semantics.names.get(where)
    resource, name = by_rule
    if given is not None:
        resource, _, name = given.rpartition(".")
        resource = resource or by_rule[0]
        if (resource, name) == by_rule:
            msg = f"names: {where}: it is {name!r} without this line; delete the line"
            raise CodegenError(msg, ("names", where), facts=True)
    for word in (resource, name):
        if keyword.iskeyword(word) or not word.isidentifier() or word.startswith("_"):
            msg = f"{where}: {word!r} can't be the name of a {'resource' if word == resource else 'method'}: "
            raise CodegenError(msg + "name it in overrides/semantics.yaml")
    if name in ("create_many", "update_many") or hasattr(Resource, name):
        msg = f"{where}: {name!r} is what every resource has already: name it in overrides/semantics.yaml"
        raise CodegenError(msg)
    return resource, name


# --- prose that states a type --------------------------------------------------------------------------------------


def _read_prose(document: Json) -> None:
    for method, path, operation in operations(document):
        with reading("paths", path, method.lower()):
            _read_prose_of(f"{method} {path}", operation)


def _read_prose_of(where: str, operation: Json) -> None:
    for parameter in operation["parameters"]:
        if parameter["in"] != "query":
            continue
        schema, prose = parameter["schema"], parameter.get("description", "")
        if parameter["name"] == "include":
            entries = _associations(where, prose)
            operation["x-associations"] = entries
            parameter["schema"] = _comma_separated(
                {"type": "string", "enum": [each["name"] for each in entries]}
            )
            parameter["description"] = (
                prose.split("\n", 1)[0].rstrip(":").replace(", comma-separated", "") + "."
            )
            continue
        parameter["description"] = prose = _read_values(schema, prose)
        if schema.get("type") == "string" and "format" not in schema:
            several = parameter["name"] == "only" or parameter["name"].endswith("_ids")
            if several or _COMMA_SEPARATED.search(prose):
                default = {"default": schema.pop("default")} if "default" in schema else {}
                parameter["schema"] = schema = _comma_separated(schema) | default
            if most := _AT_MOST.search(prose):
                schema["maxItems" if schema["type"] == "array" else "maxLength"] = int(most[1])
        # A default is what the service assumes, not what the client sends: kept out of the generator's sight.
        if "default" in schema:
            parameter["x-default"] = schema.pop("default")


def _read_values(schema: Json, prose: str) -> str:
    """Make an enum of the values that prose lists for a text; the prose without them."""
    text = schema["items"] if schema.get("type") == "array" else schema
    values = _VALID_VALUES.search(prose)
    if text.get("type") != "string" or "enum" in text or not values:
        return prose
    text["enum"] = re.findall(r"`([^`]+)`", values[1])
    return (prose[: values.start()] + prose[values.end() :].lstrip(". ")).strip()


def _read_values_inside(schema: Json) -> None:
    for value in schema.get("properties", {}).values():
        if value.get("description"):
            value["description"] = _read_values(value, value["description"])
        for inner in _objects_in(value):
            _read_values_inside(inner)


def _comma_separated(item: Json) -> Json:
    return {"type": "array", "items": item}


def _associations(where: str, prose: str) -> list[Json]:
    """The associations that the description of an `include` parameter lists, one a line."""
    entries: list[Json] = []
    for line in prose.split("\n")[1:]:
        if not line.startswith("- "):
            msg = f"{where}: line {line!r} of the include parameter does not describe an association"
            raise CodegenError(msg)
        if not (entry := _ASSOCIATION.match(line)):
            msg = f"{where}: association {line!r} can't be read"
            raise CodegenError(msg)
        text = entry["text"] or ""
        field, key = _REFERENCED_BY.match(text), _FOUND_UNDER.search(text)
        notes = [part for part in re.split(r"; |, (?=found under)|(?<=`)\.$", text) if part]
        note = "; ".join(
            part for part in notes if not re.match(r"(referenced by|found under) `", part)
        ).rstrip(".")
        entries.append(
            {
                "name": entry["name"],
                "type": entry["type"],
                "field": field and field[1],
                "key": key and key[1],
                "note": note,
            }
        )
    return entries


# --- inline bodies -------------------------------------------------------------------------------------------------


def _name_inline_bodies(document: Json) -> None:
    """Unwrap each body (`x-wrapper`) and make its object, and the objects inside, named components."""
    naming = _Naming(document["components"]["schemas"])
    for method, path, operation in operations(document):
        if "requestBody" not in operation:
            continue
        with reading("paths", path, method.lower()):
            ((media, content),) = operation["requestBody"]["content"].items()
            wrapper, schema = _unwrap(f"{method} {path}", content["schema"])
            _read_values_inside(schema)
            owner = names.pascal(names.singular(operation["x-resource"]))
            verb = names.pascal(operation["x-name"])
            naming.take(owner, verb, schema)
            operation["x-wrapper"] = wrapper
            content["schema"] = schema
            operation["requestBody"]["content"] = {media: content}
    naming.name_all()
    for method, path, operation in operations(document):
        if "requestBody" in operation:
            (content,) = operation["requestBody"]["content"].values()
            owner = names.pascal(names.singular(operation["x-resource"]))
            name = names.pascal(operation["x-name"]) + owner
            if name in document["components"]["schemas"]:
                msg = f"{method} {path}: its body would be named {name}, which exists: name it in overrides/semantics.yaml"
                raise CodegenError(msg, ("paths", path, method.lower()))
            document["components"]["schemas"][name] = {**content["schema"], "x-input": True}
            content["schema"] = {"$ref": _REF + name}


def _unwrap(where: str, schema: Json) -> tuple[str | None, Json]:
    """(wrapper, object) of `{wrapper: object}`, or of `{wrapper: object, plural: [object, …]}`."""
    properties: Json = schema.get("properties", {})
    objects = {
        name: each
        for name, each in properties.items()
        if each.get("type") == "object" and "properties" in each
    }
    arrays = {name: each for name, each in properties.items() if each.get("type") == "array"}
    if len(objects) == 1 and len(objects) + len(arrays) == len(properties) and len(arrays) <= 1:
        ((wrapper, inner),) = objects.items()
        return wrapper, inner
    if not properties:
        msg = f"{where}: its body has no properties"
        raise CodegenError(msg)
    return None, schema


class _Found(NamedTuple):
    name: str
    owner: str
    verb: str
    structure: str
    schema: Json


class _Naming:
    """Names for the objects inside bodies: the same structure gets one name, `ExternalReferenceInput`."""

    def __init__(self, schemas: Json) -> None:
        self._schemas = schemas
        self._found: list[_Found] = []

    def take(self, owner: str, verb: str, schema: Json) -> None:
        for name, value in schema.get("properties", {}).items():
            for inner in _objects_in(value):
                self.take(owner, verb, inner)
                self._found.append(
                    _Found(names.pascal(names.singular(name)), owner, verb, _structure(inner), inner)
                )

    def name_all(self) -> None:
        shapes: dict[str, Counter[str]] = {}
        for each in self._found:
            shapes.setdefault(each.name, Counter())[each.structure] += 1
        chosen: dict[tuple[str, str], str] = {}
        for each in self._found:
            if (each.name, each.structure) not in chosen:
                candidates = [f"{each.owner}{each.name}Input", f"{each.verb}{each.owner}{each.name}Input"]
                if shapes[each.name].most_common(1)[0][0] == each.structure:
                    candidates.insert(0, f"{each.name}Input")
                name = next(candidate for candidate in candidates if candidate not in self._schemas)
                chosen[each.name, each.structure] = name
                self._schemas[name] = {"x-input": True}
        for each in self._found:  # inner objects come before the objects that hold them
            name = chosen[each.name, each.structure]
            self._schemas[name].update(each.schema)
            description = each.schema.get("description")
            each.schema.clear()
            each.schema.update({"$ref": _REF + name} | ({"description": description} if description else {}))


def _objects_in(schema: Json) -> Iterator[Json]:
    """The objects with properties that a property's value is, or holds in its arrays and maps."""
    if schema.get("type") == "object" and schema.get("properties"):
        yield schema
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _objects_in(schema[key])


def _structure(schema: Json) -> str:
    """A schema without its descriptions, to compare."""
    bare = copy.deepcopy(schema)
    for each in _objects(bare):
        if isinstance(each.get("description"), str):
            del each["description"]
    return json.dumps(bare, sort_keys=True)


# --- results -------------------------------------------------------------------------------------------------------


def _describe_results(document: Json, semantics: Semantics) -> None:
    """Say of each operation what it gives back, and take the response classes away."""
    for method, path, operation in operations(document):
        with reading("paths", path, method.lower()):
            told = semantics.results.get(f"{method} {path}")
            _describe_result(method, path, operation, told, document["components"]["schemas"])


def _describe_result(method: str, path: str, operation: Json, told: str | None, schemas: Json) -> None:
    where = f"{method} {path}"
    status, response = _success(where, operation)
    operation["x-status"] = int(status)
    operation["responses"] = {status: {"description": response.get("description", "")}}
    schema = _json_schema(response)
    if told in ("file", "none") and (told, schema) != ("none", None):
        operation["x-result"] = told
        return
    name, owner = operation["x-name"], names.pascal(names.singular(operation["x-resource"]))
    plain = owner if name in ("list", "get", "create", "update") else f"{owner}{names.pascal(name)}Result"
    fitting: tuple[str, ...] = ()
    if schema is None:
        result = "none"
    elif schema.get("type") == "array":
        result = "array"
        operation["x-model"] = _component(where, plain, schema["items"], schemas)
    elif set(schema.get("properties", {})) >= ENVELOPE:
        result, fitting = _result_in_envelope(method, path, operation), ("page", "one", "many")
        _describe_envelope(where, operation, schema["properties"], schemas)
    elif "properties" not in schema and isinstance(schema.get("additionalProperties"), dict):
        result = "keyed"
        operation["x-model"] = _component(where, plain, schema["additionalProperties"], schemas)
    else:
        result = "object"
        operation["x-model"] = _component(where, plain, schema, schemas)
    if told is not None and (told == result or told not in fitting):
        why = "is so without this line" if told == result else f"does not fit what is declared, {result!r}"
        msg = f"results: {where}: {told!r} {why}; delete the line, or correct it"
        raise CodegenError(msg, ("results", where), facts=True)
    operation["x-result"] = told or result


def _success(where: str, operation: Json) -> tuple[str, Json]:
    found = [
        (status, response)
        for status, response in operation["responses"].items()
        if str(status).startswith("2")
    ]
    if len(found) != 1:
        msg = f"{where}: {len(found)} success responses are declared; correct it in overrides/overlay.yaml"
        raise CodegenError(msg)
    return found[0]


def _json_schema(response: Json) -> Json | None:
    contents: Json = response.get("content", {})
    for media in ("application/json", *contents):
        if media in contents:
            return contents[media].get("schema")
    return None


def _describe_envelope(where: str, operation: Json, properties: Json, schemas: Json) -> None:
    envelope: dict[str, str] = {}
    for key, schema in properties.items():
        if key in _BOOKKEEPING:
            continue
        values: Any = schema.get("additionalProperties")
        if not isinstance(values, dict):
            msg = f"{where}: the objects under {key!r} are not declared as a map by id; correct it in overrides/overlay.yaml"
            raise CodegenError(msg)
        envelope[key] = _component(where, names.pascal(names.singular(key)), cast("Json", values), schemas)
    if not envelope:
        msg = f"{where}: its envelope holds no objects"
        raise CodegenError(msg)
    operation["x-envelope"] = envelope
    key = operation["x-resource"] if operation["x-resource"] in envelope else next(iter(envelope))
    operation["x-key"], operation["x-model"] = key, envelope[key]


def _result_in_envelope(method: str, path: str, operation: Json) -> str:
    if method == "GET":
        walked = operation["x-name"] == "list" or any(
            each["name"] == "page" for each in operation["parameters"]
        )
        return "page" if walked else "one"
    custom = operation["x-name"] not in ("create", "update")
    return "many" if custom and "{" not in path else "one"


def _component(where: str, name: str, schema: Json, schemas: Json) -> str:
    """The name of the component that a response's object is; an inline object becomes one."""
    if "$ref" in schema:
        return schema["$ref"].removeprefix(_REF)
    if name in schemas:
        if _structure(schemas[name]) != _structure(schema):
            msg = f"{where}: its object would be named {name}, which is something else; name it in codegen/normalise.py"
            raise CodegenError(msg)
    else:
        schemas[name] = schema
    return name


# --- responses -----------------------------------------------------------------------------------------------------


def _relax_responses(document: Json) -> None:
    """In every model: an id, no required field, null anywhere, and a component for each object inside."""
    schemas: Json = document["components"]["schemas"]
    in_envelopes = {
        model
        for _, _, operation in operations(document)
        for model in operation.get("x-envelope", {}).values()
    }
    definitions = set(document["x-class-names"].values())
    old_names = {new: old for old, new in document["x-class-names"].items()}
    for name in [name for name, schema in schemas.items() if not schema.get("x-input")]:
        with reading("definitions", old_names.get(name, name)):
            properties = schemas[name].setdefault("properties", {})
            if (
                (name in in_envelopes or name in definitions)
                and "Error" not in name
                and "id" not in properties
            ):
                schemas[name]["properties"] = {"id": {"type": "string"}, **properties}
            _relax(name, schemas[name], schemas)


def _relax(owner: str, schema: Json, schemas: Json) -> None:
    if composed := [key for key in ("allOf", "oneOf", "anyOf") if key in schema]:
        msg = f"{owner}: no class is made of what `{composed[0]}` composes: list its properties in overrides/overlay.yaml"
        raise CodegenError(msg)
    schema.pop("required", None)
    for name, value in schema["properties"].items():
        for each in (value, value.get("items", {})):
            # The service is ahead of its contract: a value that is not listed yet has to read as well as the others.
            if listed := each.pop("enum", None):
                known = ", ".join(f"`{one}`" for one in listed if one is not None)
                value["description"] = f"{value.get('description', '')} Known values: {known}.".strip()
        schema["properties"][name] = _nullable(_name_objects(f"{owner}{names.pascal(name)}", value, schemas))


def _name_objects(name: str, schema: Json, schemas: Json) -> Json:
    if schema.get("type") == "object" and schema.get("properties"):
        if set(schema["properties"]) == {"id", "key"}:  # the form of every polymorphic reference
            name = "Reference"
        elif name in schemas:
            msg = f"the object {name} would be named like a definition"
            raise CodegenError(msg)
        if name not in schemas:
            schemas[name] = {key: value for key, value in schema.items() if key != "description"}
            _relax(name, schemas[name], schemas)
        return {"$ref": _REF + name, "description": schema.get("description", "")}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict) and schema[key]:
            one = names.singular(name)
            schema[key] = _name_objects(one if one != name else f"{name}Entry", schema[key], schemas)
    return schema


def _nullable(schema: Json) -> Json:
    if "$ref" in schema:
        return {
            "nullable": True,
            "allOf": [{"$ref": schema["$ref"]}],
            **({"description": schema["description"]} if schema.get("description") else {}),
        }
    if schema.get("type") == "object":  # a map: the generator would make a class of its nullable form
        return schema
    return {**schema, "nullable": True}
