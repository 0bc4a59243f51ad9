"""Shape: whether the values of a contract's keywords are of the right kind, checked before anything relies on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from codegen.errors import CodegenError, guarded
from codegen.names import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]
Place = tuple[str | int, ...]
Fault = tuple[Place, str, Any]
"""(place, what was expected there, what was found)."""

_SCHEMAS = ("properties", "patternProperties")
_LISTS = ("allOf", "oneOf", "anyOf")
_NUMBERS = ("maximum", "minimum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems")
_BOUNDS = ("exclusiveMaximum", "exclusiveMinimum")
"""Flags in earlier dialects, and numbers since 3.1."""
_FLAGS = ("deprecated", "readOnly", "uniqueItems")


def check_shape(document: Json) -> bool:
    """Refuse values of the wrong kind, and name the place of each.

    Args:
        document: A contract in any dialect.

    Returns:
        Whether every value is of the right kind.

    Raises:
        CodegenError: A value is of the wrong kind; inside `codegen.errors.collecting`, every one is collected.
    """
    faults = list(_document(document))
    for at, expected, found in faults:
        with guarded(*at):
            shown = f"{found!r:.60}"
            msg = f"{' > '.join(map(str, at))}: expected {expected}, got {shown}: correct it in the file"
            raise CodegenError(msg, at, shape=True)
    return not faults


def _document(document: Json) -> Iterator[Fault]:
    for key in ("consumes", "produces"):
        yield from _texts(document, key, ())
    yield from _mapping(document, "definitions", (), _schema)
    yield from _mapping(document, "parameters", (), _parameter)
    yield from _mapping(document, "responses", (), _response)
    if "components" in document:
        components = document["components"]
        if isinstance(components, dict):
            inner = cast("Json", components)
            yield from _mapping(inner, "schemas", ("components",), _schema)
            yield from _mapping(inner, "parameters", ("components",), _parameter)
            yield from _mapping(inner, "responses", ("components",), _response)
            yield from _mapping(inner, "requestBodies", ("components",), _body)
        else:
            yield ("components",), "a mapping", components
    yield from _mapping(document, "paths", (), _item)


def _mapping(
    owner: Json, key: str, above: Place, each: Callable[[Any, Place], Iterator[Fault]]
) -> Iterator[Fault]:
    """The faults of a key whose value, if there is one, must be a mapping."""
    value, at = owner.get(key), (*above, key)
    if isinstance(value, dict):
        for name, inner in cast("Json", value).items():
            if not name.startswith("x-") or key in _SCHEMAS:
                yield from each(inner, (*at, name))
    elif value is not None:
        yield at, "a mapping", value


def _listed(
    owner: Json, key: str, above: Place, each: Callable[[Any, Place], Iterator[Fault]]
) -> Iterator[Fault]:
    """The faults of a key whose value, if there is one, must be a list."""
    value, at = owner.get(key), (*above, key)
    if isinstance(value, list):
        for number, inner in enumerate(cast("list[Any]", value)):
            yield from each(inner, (*at, number))
    elif value is not None:
        yield at, "a list", value


def _texts(owner: Json, key: str, above: Place) -> Iterator[Fault]:
    yield from _listed(owner, key, above, _text)


def _text(value: Any, at: Place) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield at, "a text", value


def _item(item: Any, at: Place) -> Iterator[Fault]:
    if item is None:
        return
    if not isinstance(item, dict):
        yield at, "a mapping of methods", item
        return
    found = cast("Json", item)
    yield from _listed(found, "parameters", at, _parameter)
    for method in METHODS:
        if method in found:
            yield from _operation(found[method], (*at, method))


def _operation(operation: Any, at: Place) -> Iterator[Fault]:
    if not isinstance(operation, dict):
        yield at, "a mapping", operation
        return
    found = cast("Json", operation)
    for key in ("tags", "consumes", "produces"):
        yield from _texts(found, key, at)
    yield from _checks({key: found[key] for key in ("deprecated",) if key in found}, at)
    yield from _listed(found, "parameters", at, _parameter)
    yield from _mapping(found, "responses", at, _response)
    if "requestBody" in found:
        yield from _body(found["requestBody"], (*at, "requestBody"))


def _parameter(parameter: Any, at: Place) -> Iterator[Fault]:
    if not isinstance(parameter, dict):
        yield at, "a mapping", parameter
        return
    found = cast("Json", parameter)
    if "$ref" in found:
        yield from _text(found["$ref"], (*at, "$ref"))
        return
    for key in ("name", "in"):
        if not isinstance(found.get(key), str):
            yield (*at, key) if key in found else at, f"a text as its `{key}`", found.get(key)
    if "schema" in found:
        yield from _schema(found["schema"], (*at, "schema"))
    elif found.get("in") != "body":
        yield from _schema({key: value for key, value in found.items() if key != "required"}, at)
    yield from _mapping(found, "content", at, _media)


def _body(body: Any, at: Place) -> Iterator[Fault]:
    if not isinstance(body, dict):
        yield at, "a mapping", body
        return
    yield from _mapping(cast("Json", body), "content", at, _media)


def _response(response: Any, at: Place) -> Iterator[Fault]:
    if not isinstance(response, dict):
        yield at, "a mapping", response
        return
    found = cast("Json", response)
    if "$ref" in found:
        yield from _text(found["$ref"], (*at, "$ref"))
    if "schema" in found:
        yield from _schema(found["schema"], (*at, "schema"))
    yield from _mapping(found, "content", at, _media)


def _media(media: Any, at: Place) -> Iterator[Fault]:
    if media is None:
        return
    if not isinstance(media, dict):
        yield at, "a mapping", media
    elif "schema" in media:
        yield from _schema(cast("Json", media)["schema"], (*at, "schema"))


def _schema(schema: Any, at: Place) -> Iterator[Fault]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield at, "a schema (a mapping)", schema
        return
    found = cast("Json", schema)
    if "$ref" in found:
        yield from _text(found["$ref"], (*at, "$ref"))
    kind = found.get("type")
    if isinstance(kind, list):
        yield from _texts(found, "type", at)
    elif "type" in found:
        yield from _text(kind, (*at, "type"))
    for key in ("format", "pattern"):
        if key in found:
            yield from _text(found[key], (*at, key))
    yield from _checks(found, at)
    for key in _SCHEMAS:
        yield from _mapping(found, key, at, _schema)
    for key in ("items", "additionalProperties", "not"):
        if key in found:
            yield from _schema(found[key], (*at, key))
    for key in _LISTS:
        if key in found and found[key] is None:
            yield (*at, key), "a list", None
        yield from _listed(found, key, at, _schema)
    if "enum" in found:
        yield from _values(found["enum"], (*at, "enum"))
    if not isinstance(found.get("required"), bool):
        yield from _texts(found, "required", at)


def _checks(schema: Json, at: Place) -> Iterator[Fault]:
    """The faults of keywords that are numbers or flags; null is the same as none."""
    for keys, kinds, expected in (
        (_NUMBERS, (int, float), "a number"),
        (_BOUNDS, (int, float), "a number, true or false"),
        (_FLAGS, (bool,), "true or false"),
    ):
        for key in keys:
            value = schema.get(key)
            wrong = not isinstance(value, kinds) or (keys is _NUMBERS and isinstance(value, bool))
            if value is not None and wrong:
                yield (*at, key), expected, value


def _values(values: Any, at: Place) -> Iterator[Fault]:
    if not isinstance(values, list):
        yield at, "a list of values", values
        return
    for number, each in enumerate(cast("list[Any]", values)):
        if isinstance(each, dict | list):
            yield (*at, number), "a text, a number or a boolean", cast("Any", each)
